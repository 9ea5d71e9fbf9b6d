"""How far two measured pictures are apart. Pure and light: importing this loads nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.vision.model import Measurement

COLOURS_SIDE = 16
#: Copies of one picture by JPEG, resizing, blur, brightness or contrast stay below this; the nearest two different
#: drawings of one person in one pose and place measured 0.015, photographs are far beyond.
SAME_COLOURS = 0.013


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


def hash_distance(first: int, second: int) -> int:
    """Bits of 64 in which two difference hashes differ."""
    return (first ^ second).bit_count()


def colour_difference(first: str, second: str, *, mirrored: bool = False) -> float:
    """1 - correlation of two pictures' 16×16 colours: 0 = the same but for brightness and contrast, 1 = unrelated.

    `mirrored` compares with the second picture's mirror image.
    """
    one, other = _channels(first, mirrored=False), _channels(second, mirrored=mirrored)
    lengths = math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))
    # An even surface has no pattern to compare: alike only to another one.
    if lengths == 0:
        return 0.0 if first == second else 1.0
    return max(0.0, 1.0 - sum(a * b for a, b in zip(one, other, strict=True)) / lengths)


def near_copy(
    first: Measurement, second: Measurement, bits: int, colours: float = SAME_COLOURS
) -> tuple[int, bool] | None:
    """Whether two pictures are nearly the same or nearly mirror images: (bits of the hash that differ, mirrored), or
    None.

    A difference hash alone takes different pictures of one composition for copies, so their colours must agree too.
    """
    for mirrored, other in ((False, second.dhash), (True, second.dhash_mirror)):
        distance = hash_distance(first.dhash, other)
        if distance <= bits and colour_difference(first.colours, second.colours, mirrored=mirrored) <= colours:
            return distance, mirrored
    return None


def _channels(colours: str, *, mirrored: bool) -> list[float]:
    """The colours' values with each channel's mean taken off, row by row."""
    data = bytes.fromhex(colours)
    means = [sum(data[channel::3]) / max(1, len(data) // 3) for channel in range(3)]
    # Within its row, place p of the mirror image is place 15 - p of the picture; XOR with 15 says the same.
    turn = COLOURS_SIDE - 1 if mirrored else 0
    return [
        data[3 * (place ^ turn) + channel] - means[channel] for place in range(len(data) // 3) for channel in range(3)
    ]
