"""How far two measured pictures are apart. Pure and light: importing this loads nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence


def identity_distance(first: Sequence[float], second: Sequence[float]) -> float:
    """Euclidean distance of two embeddings: 0 = the same picture.

    On photographs the network's authors call two pictures one person below 0.6. Blur and small faces raise the distance
    as another person does, and on drawings every distance is smaller: compare only within one prompt and one kind of
    picture.
    """
    if len(first) != len(second):
        raise ValueError("two embeddings of different length were compared")
    return math.dist(first, second)


def similarity(distance: float) -> float:
    """A distance as 0…1, 1 = the same face: `1 - distance`, never below 0.

    Linear, so equal steps of distance weigh the same everywhere.
    """
    return min(1.0, max(0.0, 1.0 - distance))


def hash_distance(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, bool]:
    """Bits of 64 in which two pictures' hashes (picture, mirrored) differ, and whether one is the mirrored other."""
    straight = (first[0] ^ second[0]).bit_count()
    mirrored = (first[0] ^ second[1]).bit_count()
    return (mirrored, True) if mirrored < straight else (straight, False)
