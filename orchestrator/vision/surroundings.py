"""Background, clothes and marks, as far as colours and small structures tell. Needs no extra; clothes need a face."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from orchestrator.vision.model import Surroundings

_SMALL = 64
#: The border: this share of the width at each side, down to this share of the height.
_BORDER_WIDTH, _BORDER_HEIGHT = 0.14, 0.55
#: Grey levels by which neighbours must differ to count as structure, so that grain on an even wall is none.
_STRUCTURE = 3
#: Below the chin, in face heights; and to each side of the face's middle, in face widths.
_TORSO_FROM, _TORSO_TO, _TORSO_HALF = 0.35, 1.1, 0.6
#: At least this much of it must lie in the picture.
_TORSO_SEEN = 0.3
#: A mark's boxes: (left, top) of each in shares of the picture; their size; their bits.
MARK_BOXES = {
    "top left": (0.0, 0.0), "top": (0.36, 0.0), "top right": (0.72, 0.0),
    "bottom left": (0.0, 0.91), "bottom": (0.36, 0.91), "bottom right": (0.72, 0.91),
}  # fmt: skip
_MARK_SIZE = (0.28, 0.09)
MARK_BITS = (48, 16)
#: Grey levels by which a mark's strokes stand out from what is around them.
_STROKE = 14


def surroundings(image: Image.Image, face: tuple[int, int, int, int] | None) -> Surroundings:
    """What is around the face of an RGB picture; `face` is its box in pixels (x, y, width, height)."""
    small = np.asarray(image.resize((_SMALL, _SMALL), Image.Resampling.BOX), dtype=np.uint8)
    wide, down = round(_SMALL * _BORDER_WIDTH), round(_SMALL * _BORDER_HEIGHT)
    left, right = small[:down, :wide], small[:down, -wide:]
    border = np.concatenate([left.reshape(-1, 3), right.reshape(-1, 3)])
    return Surroundings(
        _median(border),
        _structure(image, _BORDER_WIDTH, _BORDER_HEIGHT),
        None if face is None else _torso(image, face),
        tuple(_strokes(image, place) for place in MARK_BOXES.values()),
    )


def _median(pixels: NDArray[Any]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in np.median(pixels, axis=0))
    return red, green, blue


def _structure(image: Image.Image, wide: float, down: float) -> int:
    width, height = image.size
    edge, foot = max(1, round(width * wide)), max(1, round(height * down))
    bits = []
    for box in ((0, 0, edge, foot), (width - edge, 0, width, foot)):
        strip = np.asarray(image.crop(box).convert("L").resize((5, 8), Image.Resampling.BOX), dtype=np.int16)
        bits += (strip[:, 1:] > strip[:, :-1] + _STRUCTURE).flatten().tolist()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def _torso(image: Image.Image, face: tuple[int, int, int, int]) -> tuple[int, int, int] | None:
    x, y, width, height = face
    middle, chin = x + width / 2, y + height
    wanted = (
        middle - _TORSO_HALF * width, chin + _TORSO_FROM * height,
        middle + _TORSO_HALF * width, chin + _TORSO_TO * height,
    )  # fmt: skip
    box = (
        max(0, round(wanted[0])), max(0, round(wanted[1])),
        min(image.width, round(wanted[2])), min(image.height, round(wanted[3])),
    )  # fmt: skip
    area = (wanted[2] - wanted[0]) * (wanted[3] - wanted[1])
    if box[2] <= box[0] or box[3] <= box[1] or (box[2] - box[0]) * (box[3] - box[1]) < _TORSO_SEEN * area:
        return None
    seen = np.asarray(image.crop(box).resize((24, 24), Image.Resampling.BOX), dtype=np.uint8)
    return _median(seen.reshape(-1, 3))


def _strokes(image: Image.Image, place: tuple[float, float]) -> str:
    left, top = round(place[0] * image.width), round(place[1] * image.height)
    box = (left, top, left + round(_MARK_SIZE[0] * image.width), top + round(_MARK_SIZE[1] * image.height))
    grey = image.crop(box).convert("L").resize(MARK_BITS, Image.Resampling.BOX)
    around = np.asarray(grey.filter(ImageFilter.BoxBlur(3)), dtype=np.int16)
    bits = np.abs(np.asarray(grey, dtype=np.int16) - around) > _STROKE
    return bytes(np.packbits(bits)).hex()
