"""Reading a drawn picture back: linear readers over small crops, fitted on drawn pictures (see `fit_reading`).

Three steps, each a matrix product: find (a template for each head tilt, slid over coarse copies of the picture), align
(place, size and tilt are corrected three times, each time on a crop turned upright), read (the dials of the portrait).
The fitted numbers lie beside this file in `reading.npz`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import cos, radians, sin
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..portrait import Arms

Floats = NDArray[np.float32]

FIND_HEAD = 14.0
"""Head height in pixels on the coarse copies that are searched."""
FIND_SIDE = 18
SKIN_FROM = 0.18
"""Mean skin likeness in the middle of a window below which it is not searched further."""
TILTS = (-40.0, -20.0, 0.0, 20.0, 40.0)
SHARES = tuple(float(0.10 * 2 ** (step / 3.0)) for step in range(11))
"""Head heights searched, as shares of the picture height: 0.10 … 1.0."""
ALIGN_SIDE = (22, 26, 30)
ALIGN_REACH = 1.30
FACE_BOX = (-1.35, -1.35, 1.35, 2.0)
FACE_GRID = (24, 30)
DETAIL_BOX = (-0.66, -0.42, 0.66, 1.02)
DETAIL_GRID = (36, 38)
BODY_BOX = (-2.7, -0.4, 2.7, 6.0)
BODY_GRID = (28, 33)
SCENE_GRID = (20, 20)
ARM_KINDS: tuple[tuple[Arms, int], ...] = (
    ("down", 0),
    ("hand raised", -1),
    ("hand raised", 1),
    ("arms crossed", 0),
    ("hand on hip", -1),
    ("hand on hip", 1),
)
"""What the body reader tells apart: the pose and, where it matters, the side of the picture."""

NUMBERS = Path(__file__).with_name("reading.npz")


@dataclass(frozen=True)
class Place:
    """Where a head is: its middle (pixels), half its height (pixels), its tilt (degrees, + clockwise)."""

    x: float
    y: float
    unit: float
    roll_deg: float

    def corrected(self, change: Floats) -> Place:
        """The place after a correction (across, down in head units; log of size; tilt / 20 degrees)."""
        across, down, growth, tilt = (float(value) for value in change)
        c, s = cos(radians(self.roll_deg)), sin(radians(self.roll_deg))
        return Place(
            self.x + (across * c - down * s) * self.unit,
            self.y + (across * s + down * c) * self.unit,
            float(self.unit * np.exp(np.clip(growth, -0.5, 0.5))),
            self.roll_deg + 20.0 * tilt,
        )


class Shrunk:
    """A picture and its reduced copies, so that small crops do not alias."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image.convert("RGB")
        self._copies: dict[int, Image.Image] = {1: self.image}

    def at(self, factor: int) -> Image.Image:
        """The picture reduced by a whole factor."""
        if factor not in self._copies:
            self._copies[factor] = self.image.reduce(factor)
        return self._copies[factor]

    def crop(
        self, place: Place, box: tuple[float, float, float, float], grid: tuple[int, int], upright: bool = True
    ) -> Floats:
        """A crop in head units around a head as (rows, columns, 3), 0 … 1; outside the picture it is mid grey.

        `upright`: turn with the head; otherwise keep the picture's own axes.
        """
        columns, rows = grid
        step_x = (box[2] - box[0]) / columns * place.unit
        step_y = (box[3] - box[1]) / rows * place.unit
        factor = max(1, int(min(step_x, step_y) / 1.3))
        angle = radians(place.roll_deg) if upright else 0.0
        c, s = cos(angle), sin(angle)
        start_x, start_y = box[0] * place.unit, box[1] * place.unit
        # Pillow maps the middle of each pixel of the crop, so no half-pixel shift is needed here.
        matrix = (
            c * step_x / factor,
            -s * step_y / factor,
            (place.x + c * start_x - s * start_y) / factor,
            s * step_x / factor,
            c * step_y / factor,
            (place.y + s * start_x + c * start_y) / factor,
        )
        crop = self.at(factor).transform(
            (columns, rows), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)
        )
        return np.asarray(crop, dtype=np.float32) / 255.0


def evened(crop: Floats) -> Floats:
    """A crop as a vector without its mean brightness and contrast."""
    flat = crop.reshape(-1)
    result: Floats = (flat - flat.mean()) / (flat.std() + 0.04)
    return result


def skin_like(pixels: Floats) -> Floats:
    """How much a colour (…, 3), 0 … 1, resembles skin of any tone, 0 … 1."""
    total = pixels.sum(axis=-1) + 0.05
    red, green = pixels[..., 0] / total, pixels[..., 1] / total
    # The band all skin tones of `person.skin_colour` fall into, lit or in shadow.
    likeness: Floats = np.exp(-(((red - 0.415) / 0.055) ** 2) - ((green - 0.315) / 0.022) ** 2)
    return likeness


def find_features(image: Image.Image) -> Floats:
    """A coarse copy as (rows, columns, 4): colour and skin likeness."""
    pixels = np.asarray(image, dtype=np.float32) / 255.0
    return np.concatenate([pixels, skin_like(pixels)[..., None]], axis=2)


def find_windows(windows: Floats) -> Floats:
    """Windows (n, 4, side, side) as features (n, m), colour evened in each window."""
    colour = windows[:, :3].reshape(len(windows), -1)
    colour = (colour - colour.mean(axis=1, keepdims=True)) / (colour.std(axis=1, keepdims=True) + 0.04)
    result: Floats = np.concatenate([colour, windows[:, 3].reshape(len(windows), -1)], axis=1)
    return result


def _with_skin(features: Floats, stride: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """The windows of a coarse copy that have skin in the middle: rows, columns, windows."""
    # numpy's own type stubs know one axis only.
    slide: Any = np.lib.stride_tricks.sliding_window_view
    views: Floats = slide(features, (FIND_SIDE, FIND_SIDE), axis=(0, 1))[::stride, ::stride]
    middle = FIND_SIDE // 2
    skin = views[:, :, 3, middle - 3 : middle + 4, middle - 3 : middle + 4].mean(axis=(2, 3))
    rows, columns = np.nonzero(skin > SKIN_FROM)
    return rows, columns, np.ascontiguousarray(views[rows, columns])


@lru_cache(maxsize=1)
def numbers() -> dict[str, Floats]:
    """The fitted matrices by name."""
    with np.load(NUMBERS) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def apply(name: str, features: Floats) -> Floats:
    """A fitted linear reader: features (…, n) to values (…, m)."""
    matrix = numbers()[name]
    result: Floats = features @ matrix[:-1] + matrix[-1]
    return result


def candidates(picture: Shrunk, count: int = 6) -> list[tuple[float, Place]]:
    """Where heads may be, the likeliest first, with a score (about 1 for a head, 0 for none)."""
    height, width = picture.image.height, picture.image.width
    found: list[tuple[float, Place]] = []
    for share in SHARES:
        scale = FIND_HEAD / (share * height)
        size = (round(width * scale), round(height * scale))
        # A border, so that a head at the picture's edge still gets a whole window.
        edge = FIND_SIDE // 3
        if min(size) + 2 * edge < FIND_SIDE:
            continue
        factor = max(1, int(0.5 / scale))
        small = picture.at(factor).resize(
            size, Image.Resampling.BILINEAR if scale * factor > 0.5 else Image.Resampling.BOX
        )
        features = np.pad(find_features(small), ((edge, edge), (edge, edge), (0, 0)), mode="edge")
        rows, columns, windows = _with_skin(features, 2)
        if len(windows) == 0:
            continue
        scores = apply("find", find_windows(windows))
        best = scores.max(axis=1)
        for index in np.argsort(best)[::-1][:8]:
            x = (columns[index] * 2 + FIND_SIDE / 2 - edge) / scale
            y = (rows[index] * 2 + FIND_SIDE / 2 - edge) / scale
            tilt = TILTS[int(scores[index].argmax())]
            found.append((float(best[index]), Place(float(x), float(y), FIND_HEAD / 2 / scale, tilt)))
    found.sort(key=lambda one: -one[0])
    kept: list[tuple[float, Place]] = []
    for score, place in found:
        if all(_apart(place, other) for _, other in kept):
            kept.append((score, place))
        if len(kept) == count:
            break
    return kept


def _apart(one: Place, other: Place) -> bool:
    near = np.hypot(one.x - other.x, one.y - other.y) < 0.5 * max(one.unit, other.unit)
    return not (near and abs(np.log(one.unit / other.unit)) < 0.3 and abs(one.roll_deg - other.roll_deg) < 25.0)


def align_features(picture: Shrunk, place: Place, stage: int) -> Floats:
    """What the aligner of a stage (0, 1, 2) looks at."""
    reach, side = ALIGN_REACH, ALIGN_SIDE[stage]
    crop = picture.crop(place, (-reach, -reach, reach, reach), (side, side))
    return np.concatenate([evened(crop), skin_like(crop).reshape(-1)])


def aligned(picture: Shrunk, place: Place) -> tuple[Place, float]:
    """The place after three corrections, and how much the last look still wanted to move it (0 = settled)."""
    for stage in (0, 1, 2, 2):
        place = place.corrected(apply(f"align{stage}", align_features(picture, place, stage)))
        if not 1.0 < place.unit < 1e5:
            return place, 9.0
    rest = apply("align2", align_features(picture, place, 2))
    return place, float(np.abs(rest).sum())


def face_features(picture: Shrunk, place: Place) -> Floats:
    """What the reader of the face looks at: the colours of head and hair, and the features close up."""
    crop = picture.crop(place, FACE_BOX, FACE_GRID)
    detail = picture.crop(place, DETAIL_BOX, DETAIL_GRID)
    redness = detail[..., 0] - detail[..., 1]
    parts = [crop.reshape(-1), skin_like(crop).reshape(-1), evened(detail.mean(axis=2)), evened(redness)]
    return np.concatenate(parts)


def body_features(picture: Shrunk, place: Place, skin: Floats) -> Floats:
    """What the reader of arms and clothes looks at: colours, likeness to this person's skin, and to the chest."""
    crop = picture.crop(place, BODY_BOX, BODY_GRID, upright=False)
    chest = np.median(crop[11:15, 10:18].reshape(-1, 3), axis=0)
    # Brightness varies with shading, so skin is compared by direction of colour more than by length.
    shade = crop.sum(axis=2, keepdims=True) / max(float(skin.sum()), 0.05)
    like_skin = np.exp(-(((crop - skin * shade) / 0.05) ** 2).sum(axis=2) - ((shade[..., 0] - 0.92) / 0.30) ** 2)
    like_chest = np.exp(-(((crop - chest) / 0.16) ** 2).sum(axis=2))
    return np.concatenate([crop.reshape(-1), like_skin.reshape(-1), like_chest.reshape(-1)])


def scene_features(picture: Shrunk) -> Floats:
    """What the reader of the background looks at: a thumbnail, and how it differs from its own border."""
    small = picture.at(max(1, min(picture.image.size) // 64)).resize(SCENE_GRID, Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float32) / 255.0
    greenish = np.clip(pixels[..., 1] - np.maximum(pixels[..., 0], pixels[..., 2]), -0.1, 0.1) * 5.0
    bright = np.clip((pixels.min(axis=2) - 0.72) * 4.0, 0.0, 1.0)
    edges = np.abs(np.diff(pixels.mean(axis=2), axis=1))
    return np.concatenate([pixels.reshape(-1), greenish.reshape(-1), bright.reshape(-1), edges.reshape(-1)])
