"""Chance that is the same on every machine and in every version of numpy: numbers made from SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from statistics import NormalDist
from typing import TypeVar

_NORMAL = NormalDist()
T = TypeVar("T")


def uniform(*words: object) -> float:
    """A number in (0, 1) decided by the words alone; other words give an independent number."""
    digest = hashlib.sha256("\x1f".join(map(str, words)).encode("utf-8")).digest()
    return (int.from_bytes(digest[:7], "big") + 0.5) / 2.0**56


def normal(*words: object) -> float:
    """A standard normal number decided by the words alone."""
    return _NORMAL.inv_cdf(uniform(*words))


def choice(options: Sequence[T], *words: object) -> T:
    """One of the options, all equally likely, decided by the words alone. `options` must not be empty."""
    return options[min(int(uniform(*words) * len(options)), len(options) - 1)]


def whole(*words: object) -> int:
    """An integer in 0 … 2**32 - 1 decided by the words alone."""
    return int(uniform(*words) * 2**32)
