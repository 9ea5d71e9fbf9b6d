"""PNGs written strip by strip are the pictures they should be, and a failed one leaves nothing behind."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from orchestrator.errors import StorageError
from orchestrator.grid import png_stream
from orchestrator.grid.picture_text import read_texts


def noise(width: int, height: int, seed: int = 0) -> png_stream.Strip:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 30), st.booleans(), st.integers(0, 2),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3000),
)  # fmt: skip
def test_what_is_written_in_strips_is_read_back_whole(
    tmp_path: Path, width: int, height: int, rows: int, noisy: bool, slope: int, text: str
) -> None:
    pixels = noise(width, height)
    if not noisy:
        pixels[:] = (np.arange(height)[:, None, None] * slope + np.arange(width)[None, :, None] * 3) % 256
    path = tmp_path / "out.png"
    strips = (pixels[start : start + rows] for start in range(0, height, rows))
    png_stream.write(path, (width, height), strips, text={"orchestrator grid": text, "Title": "ü"})
    with Image.open(path) as image:
        image.load()
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), pixels)
        assert image.info["orchestrator grid"] == text
    assert png_stream.read_size(path) == (width, height)
    assert read_texts(path, {"orchestrator grid", "Title"}) == {"orchestrator grid": text, "Title": "ü"}


def test_segments_are_joined_across_strips_and_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_stream, "_SEGMENT", 1000)
    pixels = np.concatenate([noise(100, 90), np.zeros((90, 100, 3), np.uint8)])
    path = png_stream.write(tmp_path / "x.png", (100, 180), [pixels[:7], pixels[7:100], pixels[100:]])
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), pixels)


@given(st.binary(max_size=3000), st.binary(max_size=70_000))
def test_sums_of_pieces_join(first: bytes, second: bytes) -> None:
    joined = png_stream._combined(zlib.adler32(first), zlib.adler32(second), len(second))
    assert joined == zlib.adler32(first + second)


def test_the_text_stands_before_the_pixels(tmp_path: Path) -> None:
    path = png_stream.write(tmp_path / "x.png", (900, 900), [noise(900, 900)], text={"orchestrator grid": "{}"})
    assert path.read_bytes().index(b"orchestrator grid") < 100
    cut = tmp_path / "cut.png"
    cut.write_bytes(path.read_bytes()[:5000])
    assert read_texts(cut, {"orchestrator grid"}) == {"orchestrator grid": "{}"}


@pytest.mark.parametrize("rows", [9, 11])
def test_rows_that_are_missing_or_too_many_are_refused_and_nothing_is_left(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="rows"):
        png_stream.write(path, (8, 10), [noise(8, rows)])
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("x.png", b"old")]


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (1 << 31, 1)])
def test_sizes_that_no_png_has_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        png_stream.write(tmp_path / "x.png", size, [])


def test_a_disk_that_fills_up_in_the_middle_leaves_the_old_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = png_stream.write(tmp_path / "sheet.png", (50, 50), [noise(50, 50)])
    before = path.read_bytes()
    written = 0
    real = png_stream._chunk

    def full(stream: object, kind: bytes, data: bytes) -> None:
        nonlocal written
        written += len(data)
        if written > 400_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(stream, kind, data)  # type: ignore[arg-type]

    monkeypatch.setattr(png_stream, "_chunk", full)

    def strips() -> Iterator[png_stream.Strip]:
        for seed in range(8):
            yield noise(500, 100, seed)

    with pytest.raises(StorageError) as caught:
        png_stream.write(path, (500, 800), strips())
    assert "disk is full" in caught.value.what
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_drawing_raises_goes_on(tmp_path: Path) -> None:
    def strips() -> Iterator[png_stream.Strip]:
        yield noise(10, 5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        png_stream.write(tmp_path / "x.png", (10, 10), strips())
    assert not list(tmp_path.iterdir())


def test_other_files_have_no_size(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x89PNG\r\n\x1a\nIDAT")
    assert png_stream.read_size(tmp_path / "x") is None
