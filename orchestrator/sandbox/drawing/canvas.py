"""A picture under construction: filled paths, and shading that follows a light function.

Everything is drawn larger than needed and reduced at the end, which smooths the edges. Shading is computed on a coarse
grid and enlarged, which keeps a 512 x 512 portrait within a few tens of milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]
RGB = tuple[int, int, int]
Light = Callable[[Points, Points], Points]
"""Brightness (0 dark … 0.6 local colour … 1 highlight) at picture coordinates x, y (arrays of one shape)."""


class Canvas:
    """A region of a picture, `fine` times enlarged. Coordinates given to it are pixels of the finished picture."""

    def __init__(self, image: Image.Image, origin: tuple[int, int] = (0, 0), fine: int = 2) -> None:
        self.origin = origin
        self.fine = fine
        self.image = image.resize((image.width * fine, image.height * fine), Image.Resampling.NEAREST)
        """A copy; the image it was made from stays as it is."""
        self._draw = ImageDraw.Draw(self.image)

    def reduced(self) -> Image.Image:
        """The region at its finished size."""
        return self.image.reduce(self.fine) if self.fine > 1 else self.image

    def _pixels(self, points: Points) -> Points:
        return (points - np.asarray(self.origin, dtype=np.float64)) * self.fine

    def fill(self, points: Points, colour: RGB) -> None:
        """A flat filled path."""
        self._draw.polygon(_flat(self._pixels(points)), fill=colour)

    def shade(self, paths: list[Points], light: Light, ramp: bytes, step: float = 4.0, soft: float = 0.0) -> None:
        """Fill the union of the paths with `ramp` (see `ramp_of`), looked up by the light function.

        `step`: spacing of the light grid in enlarged pixels. `soft`: blur of the edge, in finished pixels.
        """
        inside = [self._pixels(path) for path in paths]
        joined = np.concatenate(inside)
        pad = 1 + int(soft * self.fine * 2)
        left, top = np.floor(joined.min(axis=0)).astype(int) - pad
        right, bottom = np.ceil(joined.max(axis=0)).astype(int) + pad
        left, top = max(int(left), 0), max(int(top), 0)
        right, bottom = min(int(right), self.image.width), min(int(bottom), self.image.height)
        if right - left < 1 or bottom - top < 1:
            return
        size = (right - left, bottom - top)
        mask = Image.new("L", size)
        pen = ImageDraw.Draw(mask)
        for path in inside:
            pen.polygon(_flat(path - (left, top)), fill=255)
        if soft > 0:
            mask = blurred(mask, soft * self.fine)
        columns = max(2, round(size[0] / step))
        rows = max(2, round(size[1] / step))
        xs = (left + (np.arange(columns) + 0.5) * size[0] / columns) / self.fine + self.origin[0]
        ys = (top + (np.arange(rows) + 0.5) * size[1] / rows) / self.fine + self.origin[1]
        grid_x, grid_y = np.meshgrid(xs, ys)
        values = np.clip(light(grid_x, grid_y) * 255.0, 0, 255).astype(np.uint8)
        surface = Image.fromarray(values).resize(size, Image.Resampling.BILINEAR)
        surface.putpalette(ramp)
        self.image.paste(surface.convert("RGB"), (left, top), mask)

    def glaze(
        self, points: Points, colour: RGB, strength: float, soft: float = 0.0, clip: Points | None = None
    ) -> None:
        """Lay a see-through colour over a path: `strength` 0 … 1, edge blurred by `soft` finished pixels."""
        path = self._pixels(points)
        spread = int(soft * self.fine * 2.5) + 1
        left, top = np.floor(path.min(axis=0)).astype(int) - spread
        right, bottom = np.ceil(path.max(axis=0)).astype(int) + spread
        left, top = max(int(left), 0), max(int(top), 0)
        right, bottom = min(int(right), self.image.width), min(int(bottom), self.image.height)
        if right - left < 1 or bottom - top < 1:
            return
        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).polygon(_flat(path - (left, top)), fill=round(255 * strength))
        if soft > 0:
            mask = blurred(mask, soft * self.fine)
        if clip is not None:
            limit = Image.new("L", mask.size)
            ImageDraw.Draw(limit).polygon(_flat(self._pixels(clip) - (left, top)), fill=255)
            mask = Image.composite(mask, Image.new("L", mask.size), limit)
        self.image.paste(colour, (left, top, right, bottom), mask)


def blurred(mask: Image.Image, radius: float) -> Image.Image:
    """A soft version of a mask; wide blurs are made on a smaller copy, for speed."""
    from PIL import ImageFilter

    if radius < 0.3:
        return mask
    shrink = max(1, int(radius / 2.5))
    if shrink == 1:
        return mask.filter(ImageFilter.BoxBlur(radius * 0.8)).filter(ImageFilter.BoxBlur(radius * 0.8))
    small = mask.resize((max(1, mask.width // shrink), max(1, mask.height // shrink)), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(radius / shrink))
    return small.resize(mask.size, Image.Resampling.BILINEAR)


@lru_cache(maxsize=256)
def ramp_of(colour: RGB, shadow: tuple[float, float, float] = (0.55, 0.52, 0.60), shine: float = 0.30) -> bytes:
    """A 256-colour palette from shadow over the local colour (at 0.6) to a highlight, for `Canvas.shade`.

    `shadow`: factors for red, green, blue in the dark. `shine`: how far the highlight goes to white, 0 … 1.
    """
    base = np.asarray(colour, dtype=np.float64)
    dark = base * np.asarray(shadow)
    bright = base + (255.0 - base) * shine
    level = np.linspace(0.0, 1.0, 256)[:, None]
    lower = dark + (base - dark) * np.clip(level / 0.6, 0, 1)
    upper = (bright - base) * np.clip((level - 0.6) / 0.4, 0, 1)
    palette: bytes = np.clip(np.round(lower + upper), 0, 255).astype(np.uint8).tobytes()
    return palette


def scaled(colour: RGB, factor: float) -> RGB:
    """The colour, darker or lighter by a factor."""
    return (
        min(255, max(0, round(colour[0] * factor))),
        min(255, max(0, round(colour[1] * factor))),
        min(255, max(0, round(colour[2] * factor))),
    )


def _flat(points: Points) -> list[float]:
    # Rounding to the nearest enlarged pixel: Pillow would cut off, which shifts everything by half a pixel.
    flat: list[float] = np.round(points).ravel().tolist()
    return flat
