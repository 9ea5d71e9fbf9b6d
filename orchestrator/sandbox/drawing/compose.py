"""The whole picture, from the back to the front."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from ..portrait import Portrait
from .background import backdrop
from .body import draw_body, draw_neck
from .canvas import Canvas
from .face import draw_ears, draw_features, draw_skin
from .frame import Frame
from .hair import draw_back, draw_front
from .mark import stamp

HEAD_PIXELS = 460.0
"""The head is drawn about this tall before it is reduced: smooth eyes even in a small full-body head."""


def compose(portrait: Portrait, width: int, height: int) -> Image.Image:
    """Draw the portrait at this size (see `portrait.draw`)."""
    frame = Frame(portrait, width, height)
    body = Canvas(backdrop(portrait.background, width, height), fine=2 if width * height <= 700_000 else 1)
    draw_back(body, frame, portrait)
    draw_neck(body, frame, portrait)
    draw_body(body, frame, portrait)
    head_fine = int(np.clip(round(HEAD_PIXELS / (2.0 * frame.unit)), 1, 6))
    if head_fine <= body.fine:
        _draw_head(body, frame, portrait)
        image = body.reduced()
    else:
        image = body.reduced()
        _head(image, frame, portrait, head_fine)
    if portrait.blur > 0.05:
        image = image.filter(ImageFilter.GaussianBlur(portrait.blur * height / 512.0))
    image = _developed(image, portrait)
    stamp(image)
    return image


def _draw_head(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    draw_ears(canvas, frame, portrait)
    draw_skin(canvas, frame, portrait)
    draw_features(canvas, frame, portrait)
    draw_front(canvas, frame, portrait)


def _head(image: Image.Image, frame: Frame, portrait: Portrait, fine: int) -> None:
    """Draw the head into the picture on its own, more enlarged canvas."""
    reach = frame.unit * np.array([1.75, 1.75, 1.75, 2.1])
    left, top = (int(max(0, value)) for value in frame.centre - reach[:2])
    right = int(min(image.width, frame.centre[0] + reach[2] + 1))
    bottom = int(min(image.height, frame.centre[1] + reach[3] + 1))
    if right <= left or bottom <= top:
        return
    canvas = Canvas(image.crop((left, top, right, bottom)), (left, top), fine)
    _draw_head(canvas, frame, portrait)
    image.paste(canvas.reduced(), (left, top))


_NEUTRAL = 128
"""Grain is kept as bytes around this value."""


@lru_cache(maxsize=4)
def _grain(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((256, 256), dtype=np.float32)


def _developed(image: Image.Image, portrait: Portrait) -> Image.Image:
    """Contrast and film grain."""
    if portrait.contrast != 1.0:
        table = [round(min(255.0, max(0.0, 128.0 + (value - 128.0) * portrait.contrast))) for value in range(256)]
        image = image.point(table * 3)
    if portrait.grain <= 0.0:
        return image
    tile = (_grain(portrait.noise_seed % 64) * (2.2 * portrait.grain) + _NEUTRAL).astype(np.uint8)
    shift = portrait.noise_seed // 64
    tile = np.roll(tile, (shift % 256, shift // 256 % 256), (0, 1))
    field = np.tile(tile, (-(-image.height // 256), -(-image.width // 256)))[: image.height, : image.width]
    layer = Image.fromarray(np.ascontiguousarray(field))
    return ImageChops.add(image, Image.merge("RGB", (layer, layer, layer)), 1.0, -_NEUTRAL)
