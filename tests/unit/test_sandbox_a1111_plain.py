"""The cheap painter's pictures are valid PNGs, photo-sized, and differ with everything that is asked."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image, ImageStat

from orchestrator.sandbox.a1111 import pictures
from orchestrator.sandbox.a1111.painting import Order
from orchestrator.sandbox.a1111.plain import PlainPainter

ORDER = Order("a cat", "bad", 7, 20, 7.0, "Euler", "Automatic", 512, 512, "model", (("learned", 0.8),))


@pytest.fixture(scope="module")
def painter() -> PlainPainter:
    return PlainPainter()


def _png(painter: PlainPainter, order: Order, text: str = "", *more: object) -> bytes:
    image = painter.paint(order, *more)
    image.info["parameters"] = text
    return pictures.encode(image)


def _check_chunks(content: bytes) -> None:
    at, packed = 8, b""
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    assert kind == b"IEND"
    assert len(zlib.decompress(packed)) == 512 * (512 * 3 + 1)  # checks the Adler-32 as well


def test_it_is_a_whole_png_of_a_photos_size_with_its_text(painter: PlainPainter) -> None:
    text = "a cat\nSteps: 20, Seed: 7"
    content = _png(painter, ORDER, text)
    _check_chunks(content)
    assert 400_000 < len(content) < 650_000
    image = Image.open(io.BytesIO(content))
    assert image.info["parameters"] == text
    image.load()
    assert (image.size, image.mode) == ((512, 512), "RGB")
    assert min(ImageStat.Stat(image).stddev) > 15
    beyond = Image.open(io.BytesIO(_png(painter, ORDER, "初音ミク")))
    assert beyond.info["parameters"] == "初音ミク"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"prompt": "a dog"},
        {"cfg_scale": 7.5},
        {"loras": (("learned", 0.9),)},
        {"loras": (("other", 0.8),)},
        {"checkpoint": "other"},
        {"init": Image.new("RGB", (8, 8), "red")},
    ],
)
def test_pixels_differ_with_what_is_asked_and_only_with_that(painter: PlainPainter, change: dict[str, Any]) -> None:
    def pixels(order: Order) -> bytes:
        return Image.open(io.BytesIO(_png(painter, order))).convert("RGB").tobytes()

    assert pixels(ORDER) == pixels(ORDER) != pixels(replace(ORDER, **change))


@pytest.mark.parametrize("size", [(8, 8), (64, 72), (768, 512)])
def test_any_size_can_be_had_and_what_is_made_from_it_is_ordinary(painter: PlainPainter, size: tuple[int, int]) -> None:
    image = painter.paint(replace(ORDER, width=size[0], height=size[1]))
    assert image.size == size
    small = image.resize((4, 4))
    again = Image.open(io.BytesIO(pictures.encode(small)))
    assert again.size == (4, 4) and again.convert("RGB").tobytes() == small.tobytes()
