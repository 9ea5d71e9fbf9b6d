"""Which bucket each picture will be trained in, and how much of it is cut off there. Opens no file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.kohya import buckets

Size = tuple[int, int]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Pictured:
    """A picture as far as buckets are concerned. Sizes in pixels, upright; `face` is x, y, width, height or None."""

    name: str
    size: Size
    repeats: int = 1
    face: Box | None = None


@dataclass(frozen=True)
class Placed:
    """A picture in its bucket.

    `bucket` is None where sd-scripts could make nothing of it. `scaled` is its size before it is cut. `cut` is the part
    of the scaled picture that is lost, `sides` the pixels of the picture itself lost at left, top, right and bottom.
    `face_cut` says that the face reaches into what is lost.
    """

    name: str
    size: Size
    bucket: Size | None
    scaled: Size | None
    cut: float
    sides: tuple[int, int, int, int]
    face_cut: bool


@dataclass(frozen=True)
class Bucket:
    """One bucket: how many pictures lie in it, how often they are seen per epoch, and in how many batches."""

    size: Size
    pictures: int
    seen: int
    batches: int


def preview(pictures: Iterable[Pictured], dataset: Mapping[str, Any]) -> tuple[list[Bucket], list[Placed]]:
    """The buckets (fullest first) and every picture in its own, under the options of a `[[datasets]]` table.

    sd-scripts scales a picture and cuts the middle out (`trim_and_resize_if_required` of v0.10.1 without random_crop).
    """
    known = list(pictures)
    placed = [_place(one, dataset) for one in known]
    counts: dict[Size, list[int]] = {}
    for one, place in zip(known, placed, strict=True):
        if place.bucket is not None:
            count = counts.setdefault(place.bucket, [0, 0])
            count[0] += 1
            count[1] += one.repeats
    batch = dataset.get("batch_size", 1)
    found = [Bucket(size, count, seen, -(-seen // batch)) for size, (count, seen) in counts.items()]
    return sorted(found, key=lambda bucket: (-bucket.pictures, bucket.size)), placed


def to_dict(found: Iterable[Bucket], placed: Iterable[Placed]) -> dict[str, Any]:
    """Plain values for JSON."""
    return {"buckets": [asdict(one) for one in found], "pictures": [asdict(one) for one in placed]}


def _place(one: Pictured, dataset: Mapping[str, Any]) -> Placed:
    bucket, scaled = buckets.training_size(one.size, dataset), buckets.scaled_size(one.size, dataset)
    if bucket is None or scaled is None:
        return Placed(one.name, one.size, None, None, 0.0, (0, 0, 0, 0), face_cut=False)
    factor = scaled[0] / one.size[0]
    left, top = (scaled[0] - bucket[0]) // 2, (scaled[1] - bucket[1]) // 2
    lost = (left, top, scaled[0] - bucket[0] - left, scaled[1] - bucket[1] - top)
    sides = tuple(math.ceil(pixels / factor) if pixels else 0 for pixels in lost)
    cut = 1 - bucket[0] * bucket[1] / (scaled[0] * scaled[1])
    return Placed(
        one.name, one.size, bucket, scaled, cut, (sides[0], sides[1], sides[2], sides[3]), _reaches(one, lost, factor)
    )


def _reaches(one: Pictured, lost: tuple[int, int, int, int], factor: float) -> bool:
    if one.face is None:
        return False
    x, y, width, height = (value * factor for value in one.face)
    right, bottom = one.size[0] * factor - lost[2], one.size[1] * factor - lost[3]
    return x < lost[0] - 1 or y < lost[1] - 1 or x + width > right + 1 or y + height > bottom + 1
