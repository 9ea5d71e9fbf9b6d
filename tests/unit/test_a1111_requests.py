"""Requests are checked before anything is sent: every problem at once, each with its reason."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.a1111.pictures import decode, encode
from orchestrator.a1111.request_fields import MAX_PIXELS, MAX_SEED, MAX_SIDE, MIN_SIDE
from orchestrator.a1111.requests import Img2Img, Txt2Img, Upscale, UpscaleMany, checked_request
from orchestrator.errors import InputError, PictureError


def picture(width: int = 96, height: int = 64, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((width, height), 50).convert("RGB").save(file, kind, **options)
    return file.getvalue()


def bomb() -> bytes:
    """The head of a PNG of 30000 × 30000, and nothing to unpack."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_only_what_is_given_is_sent() -> None:
    assert Txt2Img(prompt="a", seed=1).body() == {"prompt": "a", "seed": 1}
    assert Txt2Img().body() == {}


def test_fields_of_forks_go_under_extra() -> None:
    assert Txt2Img(steps=4, extra={"distilled_cfg_scale": 3.5}).body() == {"steps": 4, "distilled_cfg_scale": 3.5}
    with pytest.raises(InputError, match="steps is checked where it stands on its own"):
        Txt2Img(extra={"steps": 0})


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Txt2Img(
            widht=512, width=0, height=100_000, seed=2**63, steps=0, batch_size=65, n_iter=0, cfg_scale=float("nan")
        )
    told = str(caught.value)
    for field in ("widht", "width: 0", "height: 100000", "seed", "steps", "batch_size", "n_iter", "cfg_scale"):
        assert field in told
    assert "did you mean width?" in told
    assert "keeps it busy for minutes" in told
    assert "Nothing was sent" in told


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 4096, "height": 4096},
        {"width": 2048, "height": 2048, "enable_hr": True},
        {"enable_hr": True, "hr_resize_x": 8192},
        {"seed": MAX_SEED, "batch_size": 2},
        {"seed": MAX_SEED - 5, "n_iter": 3, "batch_size": 3},
        {"seed": -2},
        {"denoising_strength": 1.01},
        {"prompt": "\ud800"},
        {"prompt": "x" * 1_000_001},
        {"prompt": 5},
        {"width": None},
        {"width": True},
        {"override_settings": {"a": float("inf")}},
        {"alwayson_scripts": {"ADetailer": {"args": [b"\x89PNG"]}}},
        {"script_args": [{1: "a"}]},
    ],
)
def test_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="cannot be sent"):
        Txt2Img(**fields)
    with pytest.raises(InputError, match="cannot be sent"):
        checked_request(Txt2Img, fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "初音, " * 7_000, "negative_prompt": "x" * 50_000},
        {"width": 4096, "height": 3904},
        {"seed": MAX_SEED},
        {"seed": -1, "batch_size": 64, "n_iter": 100},
        {"width": 2048, "height": 2048, "hr_scale": 4},
        {"enable_hr": True, "hr_resize_x": 2048},
        {"cfg_scale": 0, "denoising_strength": 0, "steps": 150},
        {"sampler_name": None, "alwayson_scripts": {"ADetailer": {"args": [True, {"ad_model": "face"}]}}},
    ],
)
def test_legal(fields: dict[str, Any]) -> None:
    assert Txt2Img(**fields).body() == fields


def test_what_is_no_request_is_told() -> None:
    with pytest.raises(InputError, match="A list was given where a Txt2Img is taken"):
        checked_request(Txt2Img, [])  # type: ignore[type-var]


@given(st.integers(-100, 5_000), st.integers(-100, 5_000), st.integers(-3, 2**64))
def test_a_size_or_seed_passes_exactly_when_a1111_can_take_it(width: int, height: int, seed: int) -> None:
    legal = all(MIN_SIDE <= side <= MAX_SIDE and side % 8 == 0 for side in (width, height))
    legal = legal and width * height <= MAX_PIXELS and -1 <= seed <= MAX_SEED
    try:
        body = Txt2Img(width=width, height=height, seed=seed).body()
    except InputError:
        assert not legal
    else:
        assert legal
        assert body == {"width": width, "height": height, "seed": seed}


@given(st.binary(max_size=200))
def test_base64_both_ways(data: bytes) -> None:
    text = encode(data)
    assert decode(text) == data
    assert decode(f"data:image/png;base64,{text}") == data
    assert decode("\n".join(text[at : at + 7] for at in range(0, len(text), 7))) == data


@pytest.mark.parametrize("text", ["abc", "é===", "a,b=", "====", "ab!d"])
def test_no_base64(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text)


def test_the_picture_decides_the_size() -> None:
    data = picture(203, 133)
    body = Img2Img(init_images=[data]).body()
    assert (body["width"], body["height"]) == (200, 128)
    assert decode(body["init_images"][0]) == data
    one_side = Img2Img(init_images=[data], width=400).body()
    assert (one_side["width"], one_side["height"]) == (400, 264)
    both = Img2Img(init_images=[data], width=64, height=64).body()
    assert (both["width"], both["height"]) == (64, 64)
    lying = picture(160, 96, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0")
    turned = Img2Img(init_images=[lying]).body()
    assert (turned["width"], turned["height"]) == (96, 160)


def test_an_infotext_may_decide_the_size() -> None:
    body = Img2Img(init_images=[picture()], infotext="a\nSteps: 4, Size: 512x512").body()
    assert "width" not in body
    assert "height" not in body


@pytest.mark.parametrize("size", [(40, 400), (8, 8)])
def test_a_picture_of_an_impossible_size_asks_for_another(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="give a width and height"):
        Img2Img(init_images=[picture(*size)])
    assert Img2Img(init_images=[picture(*size)], width=64, height=64).body()["width"] == 64


def test_pictures_fit_the_batch() -> None:
    with pytest.raises(InputError, match="2 pictures for a batch of 3"):
        Img2Img(init_images=[picture(), picture()], batch_size=3)
    with pytest.raises(InputError, match="2 pictures for a batch of 1"):
        Img2Img(init_images=[picture(), picture()])
    assert len(Img2Img(init_images=[picture(), picture()], batch_size=2).body()["init_images"]) == 2


def test_sources_of_a_picture(ugly_path: Path) -> None:
    data = picture()
    file = ugly_path / "a.png"
    file.write_bytes(data)
    for source in (data, bytearray(data), file, encode(data), f"data:image/png;base64,{encode(data)}"):
        assert Img2Img(init_images=[source], mask=source).body()["mask"] == encode(data)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (b"a text, and no picture", "not a picture in a format we know"),
        (picture()[:-30], "damaged"),
        (picture(kind="JPEG")[:-200], "damaged"),
        (picture()[:60] + b"!" + picture()[61:], "damaged"),
        (bomb(), "more"),
        (b"", "empty"),
        ("http://example.com/a.png", "it is an address"),
        ("C:\\pictures\\a.png", r"a file is given as a pathlib\.Path"),
        (7, "it is a int"),
    ],
    ids=["text", "short png", "short jpeg", "damaged png", "bomb", "empty", "address", "file name", "number"],
)
def test_what_is_no_picture_is_named(source: Any, why: str) -> None:
    with pytest.raises(PictureError, match=why) as caught:
        Img2Img(init_images=[source])
    assert caught.value.path == "init_images.0"


def test_a_file_that_is_no_picture_is_named_among_the_other_problems(ugly_path: Path) -> None:
    file = ugly_path / "notes.png"
    with pytest.raises(PictureError, match="the file does not exist") as caught:
        Img2Img(init_images=[picture()], mask=file)
    assert caught.value.path == file
    file.write_text("notes", encoding="utf-8")
    with pytest.raises(InputError) as all_of_them:
        Img2Img(init_images=[file], steps=0)
    assert str(file) in str(all_of_them.value)
    assert "steps: 0" in str(all_of_them.value)


def test_a_long_wrong_value_is_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        Txt2Img(styles="x" * 100_000)
    assert len(str(caught.value)) < 300


def test_upscaling() -> None:
    data = picture()
    body = Upscale(image=data, upscaler_1="Lanczos", upscaling_resize=3).body()
    assert body == {"image": encode(data), "upscaler_1": "Lanczos", "upscaling_resize": 3.0}
    with pytest.raises(InputError, match=r"upscaling_resize: 0"):
        Upscale(image=data, upscaling_resize=0)
    with pytest.raises(InputError, match="more than 200 million pixels"):
        Upscale(image=picture(2000, 2000), upscaling_resize=8)
    many = UpscaleMany(imageList=[{"data": data, "name": "a"}, {"data": data}]).body()
    assert many == {"imageList": [{"data": encode(data), "name": "a"}, {"data": encode(data), "name": ""}]}
    with pytest.raises(PictureError) as caught:
        UpscaleMany(imageList=[{"data": data}, {"data": b"text"}])
    assert caught.value.path == "imageList.1.data"
