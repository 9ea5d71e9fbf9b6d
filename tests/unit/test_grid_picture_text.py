"""Texts of pictures, read without trust: what is there comes out, what is hostile is refused in bounds."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from orchestrator.errors import PictureError
from orchestrator.grid import picture_text
from orchestrator.grid.picture_text import read_texts

HEAD = b"\x89PNG\r\n\x1a\n"
KEY = "orchestrator grid"


def chunk(kind: bytes, data: bytes, *, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)
    )


def itxt(text: bytes, *, packed: bool = True, keyword: str = KEY) -> bytes:
    return keyword.encode() + b"\0" + bytes([packed, 0]) + b"\0\0" + (zlib.compress(text) if packed else text)


def png(*chunks: bytes) -> bytes:
    return HEAD + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)) + b"".join(chunks) + chunk(b"IEND", b"")


def why(path: Path) -> str:
    with pytest.raises(PictureError) as raised:
        read_texts(path, {KEY})
    assert "\n" not in raised.value.what
    assert raised.value.fix
    return raised.value.what


@pytest.fixture
def file(ugly_path: Path) -> Path:
    return ugly_path / "sheet.png"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"])), how=st.sampled_from(["itxt", "packed", "text"]))
def test_what_pillow_writes_is_read_back(file: Path, text: str, how: str) -> None:
    info = PngImagePlugin.PngInfo()
    if how == "text":
        info.add_text(KEY, text)
    else:
        info.add_itxt(KEY, text, zip=how == "packed")
    Image.new("RGB", (2, 2)).save(file, pnginfo=info)
    assert read_texts(file, {KEY, "parameters"}) == {KEY: text}


@pytest.mark.parametrize(("name", "order"), [("a.jpg", "be"), ("a.webp", "be"), ("b.jpg", "le")])
def test_the_user_comment_of_other_formats_is_the_parameters(ugly_path: Path, name: str, order: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "初音ミク, smile\nSteps: 2".encode(f"utf-16-{order}")
    Image.new("RGB", (8, 8)).save(ugly_path / name, exif=exif)
    assert read_texts(ugly_path / name, {"parameters"}) == {"parameters": "初音ミク, smile\nSteps: 2"}
    assert read_texts(ugly_path / name, {KEY}) == {}


def test_of_a_keyword_twice_the_first_counts(file: Path) -> None:
    file.write_bytes(png(chunk(b"iTXt", itxt(b"one")), chunk(b"iTXt", itxt(b"two"))))
    assert read_texts(file, {KEY}) == {KEY: "one"}


def test_text_behind_the_pixels_and_before_a_cut_is_found(file: Path) -> None:
    file.write_bytes(png(chunk(b"IDAT", b"x" * 1000), chunk(b"iTXt", itxt(b"late"))))
    assert read_texts(file, {KEY}) == {KEY: "late"}
    file.write_bytes(png(chunk(b"iTXt", itxt(b"early")), chunk(b"IDAT", b"x" * 1000))[:-400])
    assert read_texts(file, {KEY, "parameters"}) == {KEY: "early"}


def test_a_picture_cut_off_before_its_text(file: Path) -> None:
    file.write_bytes(png(chunk(b"iTXt", itxt(b"x" * 5000, packed=False)))[:-3000])
    assert "cut off" in why(file)


def test_a_wrong_checksum(file: Path) -> None:
    file.write_bytes(png(chunk(b"iTXt", itxt(b"text"), crc=7)))
    assert "checksum" in why(file)


def test_text_that_does_not_unpack(file: Path) -> None:
    file.write_bytes(png(chunk(b"iTXt", itxt(b"text")[:-3])))
    assert "ends too early" in why(file)
    file.write_bytes(png(chunk(b"zTXt", KEY.encode() + b"\0\0no zlib")))
    assert "does not unpack" in why(file)


def test_a_bomb_is_refused_before_it_is_unpacked(file: Path) -> None:
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    bomb = b"".join(packer.compress(block) for _ in range(400)) + packer.flush()
    file.write_bytes(png(chunk(b"zTXt", KEY.encode() + b"\0\0" + bomb)))
    assert file.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        assert "unpack to more than 32 MB" in why(file)
        assert tracemalloc.get_traced_memory()[1] < 3 * picture_text.MAX_TEXT_BYTES
    finally:
        tracemalloc.stop()


def test_text_larger_than_any_of_ours_is_not_read(file: Path) -> None:
    file.write_bytes(png(chunk(b"iTXt", itxt(bytes(picture_text.MAX_TEXT_BYTES), packed=False))))
    assert "larger than 32 MB" in why(file)


def test_many_texts_and_many_parts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(png(chunk(b"tEXt", b"a\0b") * (picture_text.MAX_TEXTS + 1)))
    assert "more than 1,000 texts" in why(file)
    monkeypatch.setattr(picture_text, "MAX_CHUNKS", 50)
    file.write_bytes(png(chunk(b"IDAT", b"") * 60))
    assert "more than 50 parts" in why(file)


def test_what_is_no_picture(file: Path) -> None:
    assert "does not exist" in why(file)
    file.write_bytes(b"MZ no picture")
    with pytest.raises(PictureError, match="not a picture"):
        read_texts(file, {"parameters"})
    Image.new("RGB", (2, 2)).save(file, "BMP")
    with pytest.raises(PictureError, match="BMP"):
        read_texts(file, {"parameters"})


VALID = io.BytesIO()
_info = PngImagePlugin.PngInfo()
_info.add_itxt(KEY, '{"format": 3}' * 20, zip=True)
_info.add_text("parameters", "a\nSteps: 1")
Image.new("RGB", (8, 8)).save(VALID, "PNG", pnginfo=_info)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_no_damage_leads_to_anything_but_one_sentence(file: Path, data: st.DataObject) -> None:
    damaged = bytearray(VALID.getvalue())
    for _ in range(data.draw(st.integers(0, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    file.write_bytes(damaged[:cut] + data.draw(st.binary(max_size=40)))
    try:
        texts = read_texts(file, {KEY, "parameters"})
    except PictureError as error:
        assert "\n" not in error.what
    else:
        # The checksum has proven what came out.
        assert set(texts.items()) <= {(KEY, '{"format": 3}' * 20), ("parameters", "a\nSteps: 1")}
