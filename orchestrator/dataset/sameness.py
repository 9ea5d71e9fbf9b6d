"""Which pictures share a background or clothes, by colours and small structures: the largest cluster of each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.vision.distance import COLOURS_SIDE
from orchestrator.vision.model import Measurement, Surroundings

#: Distances in CIELAB (ΔE 1976) up to which two colours count as the same: light and shade on one piece of cloth or one
#: wall measure 3 … 7, two colours with names of their own 20 and more.
_ONE_WALL, _ONE_CLOTH = 7.0, 12.0
#: Bits of 64 in which the structure of one place differs at most.
_ONE_PLACE_BITS = 10
#: Pictures beyond this many are judged by as many, evenly chosen: the share does not change, the time would.
_MOST_COMPARED = 1500


@dataclass(frozen=True)
class Cluster:
    """The `largest` cluster as indices of the pictures given, how many had something to look at, and its colour in
    words.
    """

    largest: tuple[int, ...]
    looked: int
    colour: str = ""


def backgrounds(pictures: Sequence[Measurement]) -> Cluster:
    """Pictures with one background: its colour and its structure."""
    return _cluster(pictures, lambda around: around.border, _ONE_WALL, with_structure=True)


def outfits(pictures: Sequence[Measurement]) -> Cluster:
    """Pictures with clothes of one colour below the chin."""
    return _cluster(pictures, lambda around: around.torso, _ONE_CLOTH, with_structure=False)


def _cluster(
    pictures: Sequence[Measurement],
    colour_of: Callable[[Surroundings], tuple[int, int, int] | None],
    near: float,
    *,
    with_structure: bool,
) -> Cluster:
    found = [
        (index, colour, one.around.border_hash if with_structure else 0)
        for index, one in enumerate(pictures)
        if one.around is not None and (colour := colour_of(one.around)) is not None
    ]
    return _largest(tuple(found[:: -(-len(found) // _MOST_COMPARED)]), near) if found else Cluster((), 0)


# The table, the findings and what is foretold all ask about the same pictures.
@functools.lru_cache(maxsize=64)
def _largest(found: tuple[tuple[int, tuple[int, int, int], int], ...], near: float) -> Cluster:
    """The largest cluster of (index, colour, structure); the structure 0 of all pictures when it does not count."""
    lab = _lab(np.array([colour for _, colour, _ in found], dtype=np.float64))
    same = sum(np.subtract.outer(channel, channel) ** 2 for channel in lab.T) <= near**2
    places = np.array([bits for *_, bits in found], dtype=np.uint64)
    if places.any():
        same &= bit_differences(places, places) <= _ONE_PLACE_BITS
    middle = int(same.sum(axis=1).argmax())
    members = np.flatnonzero(same[middle])
    return Cluster(tuple(found[int(at)][0] for at in members), len(found), colour_name(found[middle][1]))


def bit_differences(ones: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Bits in which each of n hashes differs from each of m others: n×m."""
    # Ones counted in all 64 bits at once, pairs first (Warren, Hacker's Delight, 5-1); numpy counts them from 2.0 on.
    bits = ones[:, None] ^ others[None, :]
    bits -= (bits >> np.uint64(1)) & _PAIRS
    bits = (bits & _FOURS) + ((bits >> np.uint64(2)) & _FOURS)
    bits = (bits + (bits >> np.uint64(4))) & _EIGHTS
    counts: NDArray[np.uint8] = ((bits * _SUM) >> np.uint64(56)).astype(np.uint8)
    return counts


@dataclass(frozen=True)
class Patterns:
    """16×16 colours of n pictures as rows of length 1 (768 values), those of their mirror images, and which have no
    pattern (an even surface), with a number for each different one.
    """

    straight: NDArray[np.float32]
    mirrored: NDArray[np.float32]
    even: NDArray[np.bool_]
    kind: NDArray[np.int64]


def colour_patterns(colours: Sequence[str]) -> Patterns:
    """The patterns of `Measurement.colours`; an empty one counts as even."""
    side = COLOURS_SIDE
    grids = np.zeros((len(colours), side, side, 3), dtype=np.float32)
    for index, text in enumerate(colours):
        if text:
            grids[index] = np.frombuffer(bytes.fromhex(text), dtype=np.uint8).reshape(side, side, 3)
    grids -= grids.mean(axis=(1, 2), keepdims=True)
    lengths = np.linalg.norm(grids.reshape(len(colours), -1), axis=1)
    even = lengths == 0
    grids /= np.where(even, 1.0, lengths)[:, None, None, None].astype(np.float32)
    numbers = {text: number for number, text in enumerate(dict.fromkeys(colours))}
    kind = np.array([numbers[text] for text in colours], dtype=np.int64)
    flat = (len(colours), -1)
    return Patterns(grids.reshape(flat), grids[:, :, ::-1].reshape(flat), even, kind)


def colour_differences(patterns: Patterns, rows: NDArray[np.intp], *, mirror: bool) -> NDArray[Any]:
    """`vision.distance.colour_difference` of each of `rows` with each picture: m×n."""
    others = patterns.mirrored if mirror else patterns.straight
    differ: NDArray[Any] = 1.0 - patterns.straight[rows] @ others.T
    undecided = patterns.even[rows][:, None] | patterns.even[None, :]
    same = patterns.kind[rows][:, None] == patterns.kind[None, :]
    return np.where(undecided, np.where(same, 0.0, 1.0), differ)


def alike(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Whether two 8-bit RGB colours could be one piece of cloth or one wall in different light."""
    first, second = _lab(np.array([one, other], dtype=np.float64))
    return float(np.linalg.norm(first - second)) <= _ONE_CLOTH


def colour_name(colour: tuple[int, int, int]) -> str:
    """An everyday word for an 8-bit RGB colour."""
    light, across, along = (float(value) for value in _lab(np.array([colour], dtype=np.float64))[0])
    strength = float(np.hypot(across, along))
    if strength < 9:
        return "black" if light < 18 else "white" if light > 90 else "grey"
    angle = float(np.degrees(np.arctan2(along, across))) % 360
    word = next(word for limit, word in _HUES if angle < limit)
    if word == "orange" and light < 55:
        word = "brown"
    shade = "dark " if light < 30 else "light " if light > 78 else ""
    return f"{shade}{word}"


def _lab(rgb: NDArray[Any]) -> NDArray[Any]:
    """sRGB 0-255 as CIELAB (D65), by the formulas of IEC 61966-2-1 and CIE 15."""
    value = rgb / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab: NDArray[Any] = np.stack(
        [116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1
    )
    return lab


_PAIRS, _FOURS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_EIGHTS, _SUM = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
#: Hue angles in CIELAB where the next word begins.
_HUES = (
    (20, "pink"), (50, "red"), (78, "orange"), (110, "yellow"), (180, "green"), (235, "teal"), (300, "blue"),
    (335, "purple"), (361, "pink"),
)  # fmt: skip
