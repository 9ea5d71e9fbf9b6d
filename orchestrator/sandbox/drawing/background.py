"""What is behind the person, a little out of focus."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ..portrait import Background
from .canvas import RGB, scaled
from .chance import uniform


@lru_cache(maxsize=64)
def backdrop(background: Background, width: int, height: int) -> Image.Image:
    """The background alone, RGB. The answer is shared: copy it before drawing on it."""
    rows = 96
    columns = max(8, round(rows * width / height))
    if background.scene == "window":
        small = _window(background, columns, rows)
    elif background.scene == "trees":
        small = _trees(background, columns, rows)
    else:
        small = _wall(background.colour, columns, rows, background.scene == "gradient")
    return small.resize((width, height), Image.Resampling.BICUBIC)


def _wall(colour: RGB, columns: int, rows: int, graded: bool) -> Image.Image:
    y, x = np.mgrid[0:rows, 0:columns]
    down, across = y / (rows - 1.0), x / (columns - 1.0) - 0.5
    lit_from_above = 1.16 - 0.42 * down - 0.35 * across**2
    even = 1.02 - 0.16 * (across**2 + (down - 0.45) ** 2)
    value = lit_from_above if graded else even
    pixels = np.clip(np.asarray(colour)[None, None, :] * value[..., None], 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def _window(background: Background, columns: int, rows: int) -> Image.Image:
    image = _wall(scaled(background.colour, 0.80), columns, rows, graded=True)
    pen = ImageDraw.Draw(image)
    left = columns * (0.06 if background.variant % 2 == 0 else 0.50)
    right = left + columns * 0.44
    top, bottom = rows * 0.07, rows * 0.62
    pen.rectangle((left - 2, top - 2, right + 2, bottom + 2), fill=(238, 236, 230))
    for index in range(4):
        x0 = left + (right - left) * (index % 2) / 2 + 1.0
        y0 = top + (bottom - top) * (index // 2) / 2 + 1.0
        sky = (206, 226, 242) if index < 2 else (178, 208, 200)
        pen.rectangle((x0, y0, x0 + (right - left) / 2 - 2, y0 + (bottom - top) / 2 - 2), fill=sky)
    pen.rectangle((left - 4, bottom + 2, right + 4, bottom + 5), fill=(222, 218, 210))
    return image.filter(ImageFilter.GaussianBlur(0.9))


def _trees(background: Background, columns: int, rows: int) -> Image.Image:
    y = np.linspace(0.0, 1.0, rows)[:, None, None]
    sky, grass = np.array([206.0, 224.0, 226.0]), np.array([112.0, 142.0, 92.0])
    blend = 1.0 / (1.0 + np.exp(-(y - 0.58) * 14.0))
    pixels = np.broadcast_to(sky + (grass - sky) * blend, (rows, columns, 3))
    image = Image.fromarray(np.ascontiguousarray(pixels).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for index in range(9):

        def dice(word: str, index: int = index) -> float:
            return uniform("tree", background.variant, index, word)

        x = (index + dice("x")) / 9.0 * columns
        trunk = scaled((96, 84, 72), 0.8 + 0.4 * dice("trunk"))
        wide = columns * (0.006 + 0.010 * dice("wide"))
        pen.rectangle((x - wide, rows * 0.25, x + wide, rows * (0.60 + 0.1 * dice("foot"))), fill=trunk)
        for leaf in range(4):
            size = rows * (0.08 + 0.10 * dice(f"size{leaf}"))
            lx, ly = x + (dice(f"lx{leaf}") - 0.5) * rows * 0.3, rows * (0.06 + 0.34 * dice(f"ly{leaf}"))
            tone = scaled((104, 148, 92), 0.72 + 0.55 * dice(f"tone{leaf}"))
            pen.ellipse((lx - size, ly - size * 0.8, lx + size, ly + size * 0.8), fill=tone)
    image = image.filter(ImageFilter.GaussianBlur(rows / 42.0))
    glow = Image.new("L", image.size)
    pen = ImageDraw.Draw(glow)
    for index in range(14):
        x = uniform("light", background.variant, index, "x") * columns
        y0 = uniform("light", background.variant, index, "y") * rows * 0.5
        size = rows * (0.012 + 0.022 * uniform("light", background.variant, index, "size"))
        pen.ellipse((x - size, y0 - size, x + size, y0 + size), fill=70)
    image.paste((244, 248, 222), (0, 0), glow.filter(ImageFilter.GaussianBlur(0.9)))
    return image
