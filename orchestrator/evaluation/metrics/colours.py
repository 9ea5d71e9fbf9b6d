"""How unlike two pictures' colours are, for thousands of pairs: `orchestrator.vision.distance` in numpy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from orchestrator.vision.distance import COLOURS_SIDE


def difference(first: str, second: str, *, mirrored: bool = False) -> float:
    """1 - correlation of two pictures' 16×16 colours, as `orchestrator.vision.distance.colour_difference`."""
    one, other = _direction(first, False), _direction(second, mirrored)
    if one is None or other is None:
        # An even surface has no pattern to compare: alike only to another one.
        return 0.0 if first == second else 1.0
    return max(0.0, 1.0 - float(one @ other))


@lru_cache(maxsize=8192)
def _direction(colours: str, mirrored: bool) -> NDArray[np.float64] | None:
    """The colours with each channel's mean taken off, as a vector of length 1; None for an even surface."""
    pixels = np.frombuffer(bytes.fromhex(colours), dtype=np.uint8).reshape(COLOURS_SIDE, COLOURS_SIDE, 3)
    pattern = pixels.astype(np.float64) - pixels.reshape(-1, 3).mean(axis=0)
    length = float(np.linalg.norm(pattern))
    return (pattern[:, ::-1] if mirrored else pattern).ravel() / length if length else None
