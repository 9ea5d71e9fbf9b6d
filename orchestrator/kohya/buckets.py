"""The size each picture is trained at, and how many steps an epoch therefore has.

`BucketManager.select_bucket` of sd-scripts v0.10.1 (`train_util.py`), for buckets that never enlarge a picture and for
no buckets at all: what `dataset_config.values` asks for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Size = tuple[int, int]


def training_size(size: Size, dataset: Mapping[str, Any]) -> Size | None:
    """The (width, height) in pixels that a picture of that size is scaled and cropped to under the options of a
    `[[datasets]]` table; None where sd-scripts would divide by zero or cut nothing out: the picture is too small or too
    elongated.
    """
    if not dataset.get("enable_bucket"):
        return _pair(dataset["resolution"])
    scaled = scaled_size(size, dataset)
    if scaled is None:
        return None
    steps = dataset.get("bucket_reso_steps", 64)
    width, height = (side - side % steps for side in scaled)
    return (width, height) if width and height else None


def scaled_size(size: Size, dataset: Mapping[str, Any]) -> Size | None:
    """The (width, height) in pixels that a picture of that size is scaled to before the middle is cut out of it: never
    enlarged for a bucket, and just covering the resolution without buckets. None as in `training_size`.
    """
    width, height = size
    area = _pair(dataset["resolution"])
    if dataset.get("enable_bucket"):
        if width * height <= area[0] * area[1]:
            return size
        return _shrunk(width / height, area[0] * area[1], dataset.get("bucket_reso_steps", 64))
    factor = max(area[0] / width, area[1] / height)
    return max(area[0], int(width * factor + 0.5)), max(area[1], int(height * factor + 0.5))


def is_known(dataset: Mapping[str, Any]) -> bool:
    """Whether these options are of the kinds that `training_size` tells the size for."""
    return not dataset.get("enable_bucket") or bool(dataset.get("bucket_no_upscale"))


def steps_per_epoch(pictures: Iterable[tuple[Size, int]], dataset: Mapping[str, Any]) -> int:
    """How many batches one epoch has: each bucket's pictures, given as (size, repeats), fill batches of their own.

    Pictures without a training size count nothing.
    """
    counts: Counter[Size] = Counter()
    for size, repeats in pictures:
        if (target := training_size(size, dataset)) is not None:
            counts[target] += repeats
    return sum(-(-count // dataset.get("batch_size", 1)) for count in counts.values())


def with_regularisation(
    pictures: Sequence[tuple[Size, int]], of_the_class: Sequence[tuple[Size, int]]
) -> list[tuple[Size, int]]:
    """`pictures`, as (size, repeats), with those of the class repeated or left out until there are as many of them:
    `DreamBoothDataset` of sd-scripts v0.10.1.
    """
    wanted = sum(repeats for _, repeats in pictures)
    used = [0] * len(of_the_class)
    total, first = 0, True
    while of_the_class and total < wanted:
        for index, (_, repeats) in enumerate(of_the_class):
            more = repeats if first else 1
            used[index] += more
            total += more
            if total >= wanted:
                break
        first = False
    return [*pictures, *((size, count) for (size, _), count in zip(of_the_class, used, strict=True) if count)]


def _shrunk(aspect: float, area: int, steps: int) -> Size | None:
    """The size of that aspect and about that area with one side in steps: whichever side keeps the aspect better."""
    wide = _round_down(math.sqrt(area * aspect), steps)
    tall = _round_down(area / math.sqrt(area * aspect), steps)
    beside_wide = _round_down(wide / aspect, steps)
    if not beside_wide or not tall:
        return None
    by_width = abs(wide / beside_wide - aspect)
    by_height = abs(_round_down(tall * aspect, steps) / tall - aspect)
    return (wide, int(wide / aspect + 0.5)) if by_width < by_height else (int(tall * aspect + 0.5), tall)


def _round_down(length: float, steps: int) -> int:
    whole = int(length + 0.5)
    return whole - whole % steps


def _pair(resolution: Any) -> Size:
    return (resolution, resolution) if isinstance(resolution, int) else (resolution[0], resolution[1])
