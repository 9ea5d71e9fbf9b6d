"""Which training size a picture gets in the simulated trainer, and how many batches an epoch therefore has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

Size = tuple[int, int]


@dataclass(frozen=True)
class BucketRules:
    """How sizes are chosen; sizes are (width, height) in pixels."""

    resolution: Size
    enabled: bool = False
    smallest: int = 256
    largest: int = 1024
    steps: int = 64
    no_upscale: bool = False


@dataclass(frozen=True)
class Buckets:
    """Pictures per training size, repeats included, sorted by size; `aspect_error` is the mean error of the aspect
    ratio.
    """

    counts: dict[Size, int] = field(default_factory=dict)
    aspect_error: float = 0.0

    def batches(self, batch_size: int) -> int:
        """Batches per epoch: each bucket is rounded up on its own."""
        return sum(math.ceil(count / batch_size) for count in self.counts.values())


def sizes_to_choose(rules: BucketRules) -> list[Size]:
    """All sizes whose area is at most that of the resolution, in multiples of `steps`, sorted."""
    area = rules.resolution[0] * rules.resolution[1]
    side = int(math.sqrt(area) // rules.steps) * rules.steps
    sizes = {(side, side)}
    for width in range(rules.smallest, rules.largest + 1, rules.steps):
        height = min(rules.largest, area // width // rules.steps * rules.steps)
        if height >= rules.smallest:
            sizes |= {(width, height), (height, width)}
    return sorted(sizes)


def training_size(size: Size, rules: BucketRules) -> Size:
    """Return the size a picture is scaled and cropped to.

    A height of 0 (no picture) raises `ZeroDivisionError`, as it really does.
    """
    aspect = size[0] / size[1]
    if not rules.enabled:
        return rules.resolution
    if rules.no_upscale:
        return _own_size(size, aspect, rules)
    choice = sizes_to_choose(rules)
    return size if size in choice else min(choice, key=lambda candidate: abs(candidate[0] / candidate[1] - aspect))


def _own_size(size: Size, aspect: float, rules: BucketRules) -> Size:
    width, height = size
    area = rules.resolution[0] * rules.resolution[1]
    if width * height > area:
        wide = _down(math.sqrt(area * aspect), rules.steps)
        tall = _down(math.sqrt(area / aspect), rules.steps)
        by_width = abs(wide / _down(wide / aspect, rules.steps) - aspect)
        by_height = abs(_down(tall * aspect, rules.steps) / tall - aspect)
        width, height = (wide, round(wide / aspect)) if by_width < by_height else (round(tall * aspect), tall)
    return width - width % rules.steps, height - height % rules.steps


def _down(length: float, steps: int) -> int:
    whole = int(length + 0.5)
    return whole - whole % steps


def fill(pictures: Sequence[tuple[Size, int]], rules: BucketRules) -> Buckets:
    """Sort (size, repeats) into buckets."""
    counts: dict[Size, int] = {}
    errors = []
    for size, repeats in pictures:
        target = training_size(size, rules)
        counts[target] = counts.get(target, 0) + repeats
        errors.append(abs(target[0] / target[1] - size[0] / size[1]))
    return Buckets(dict(sorted(counts.items())), sum(errors) / len(errors) if errors else 0.0)


def size_in_cache_name(path: Path, end: str) -> Size | None:
    """The size in the name of a latents file beside the picture, "img0_0096x0096_sd.npz"; nothing is opened."""
    for cached in sorted(path.parent.glob("*" + end)):
        stem = cached.name[: -len(end)]
        name, _, size = stem.rpartition("_")
        if name == path.stem and "x" in size:
            width, height = size.split("x")
            return int(width), int(height)
    return None
