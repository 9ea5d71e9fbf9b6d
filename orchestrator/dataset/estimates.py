"""Sizes of effect with how sure they are: Student's t for means, Wilson for shares, both at 95 %.

The pictures are taken as a sample of what the same way of making them gives. The interval so answers "would another ten
pictures made like these do it too?", which is what the LoRA is going to do.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.distributions import t_quantile, wilson

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean (in `unit`) or a share (0…1) over `count` pictures with its interval; None where one picture tells none.

    `sd` is the sample standard deviation of a mean, 0 of a share.
    """

    kind: Literal["mean", "share"]
    value: float
    low: float | None
    high: float | None
    count: int
    sd: float = 0.0
    unit: str = ""

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{_number(self, self.value)}; how sure cannot be told from one picture"
        return f"95 % sure: {_number(self, self.low)} to {_number(self, self.high)}"

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def mean_of(values: Sequence[float], unit: str = "°") -> Estimate | None:
    """The mean of measured values; None of nothing."""
    if not values:
        return None
    middle = statistics.fmean(values)
    if len(values) < 2:
        return Estimate("mean", middle, None, None, 1, 0.0, unit)
    sd = statistics.stdev(values)
    half = t_quantile(0.5 + CONFIDENCE / 2, len(values) - 1) * sd / math.sqrt(len(values))
    return Estimate("mean", middle, middle - half, middle + half, len(values), sd, unit)


def share_of(count: int, total: int) -> Estimate | None:
    """`count` of `total` as a share; None of nothing."""
    if total == 0:
        return None
    low, high = wilson(count, total, CONFIDENCE)
    return Estimate("share", count / total, low, high, total)


def _number(estimate: Estimate, value: float) -> str:
    return f"{value:.0%}" if estimate.kind == "share" else f"{value:+.1f}{estimate.unit}"
