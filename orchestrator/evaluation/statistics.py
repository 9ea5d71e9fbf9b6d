"""What the observations allow to be said, and no more.

The unit is the seed: a cell's prompts are averaged inside each seed first, because pictures of one seed share its
composition. Intervals over pictures, and bootstraps over 4-8 seeds, cover far less than they promise; Student's t over
seeds covers 94-96 % (simulated with 28 cells × 4 prompts). A table here is a list of rows, one row per cell, one
number per seed, the same seeds in the same order in each row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.distributions import dunnett_quantile, t_quantile

#: The chance with which a difference that exists is to be shown, when seeds are counted beforehand.
POWER = 0.8
#: More seeds than this are never asked for; nobody would draw them.
MOST_SEEDS = 1_000_000


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its t interval.

    `low` and `high` are None with fewer than two seeds: chance is then unknown.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; raises ValueError for nothing."""
    if not values:
        raise ValueError("the mean of nothing")
    return math.fsum(values) / len(values)


def standard_deviation(values: Sequence[float]) -> float:
    """The sample standard deviation (n - 1); 0 with fewer than two values."""
    if len(values) < 2:
        return 0.0
    centre = mean(values)
    return math.sqrt(math.fsum((v - centre) ** 2 for v in values) / (len(values) - 1))


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean of one number per seed, with Student's two-sided interval."""
    centre = mean(values)
    if len(values) < 2:
        return Interval(centre, None, None, len(values))
    half = t_quantile(0.5 + confidence / 2.0, len(values) - 1) * standard_deviation(values) / math.sqrt(len(values))
    return Interval(centre, centre - half, centre + half, len(values))


@dataclass(frozen=True)
class BestSet:
    """Which rows may be the best.

    `margin` is how far below the leader's mean a row may lie and still be a member; infinite with fewer than two
    seeds. It is a promise for each row singly: a truly best row is a member with the confidence asked for. It is no
    proof that the others are worse.
    """

    leader: int
    members: tuple[int, ...]
    means: tuple[float, ...]
    residual_sd: float
    degrees_of_freedom: int
    critical: float
    margin: float


def may_be_best(table: Sequence[Sequence[float]], confidence: float = 0.95) -> BestSet:
    """The rows that may have the highest true mean (multiple comparison with the best, Hsu 1984, on two-way residuals).

    Row and column means are taken out of the table, the residuals' variance is pooled over all rows, and a row is a
    member when its mean lies within q·s·√(2/seeds) of the highest, q being the one-sided Dunnett quantile for all
    other rows. The seeds' own effect cancels because every row has the same seeds. Ties with the leader are members
    always.
    """
    rows, seeds = _shape(table)
    means = tuple(mean(row) for row in table)
    leader = max(range(rows), key=lambda i: means[i])
    df = (rows - 1) * (seeds - 1)
    if rows == 1:
        return BestSet(0, (0,), means, 0.0, 0, 0.0, 0.0)
    if seeds < 2:
        return BestSet(leader, tuple(range(rows)), means, 0.0, 0, 0.0, math.inf)
    residual_sd = two_way_residual_sd(table)
    critical = dunnett_quantile(confidence, rows - 1, df)
    margin = critical * residual_sd * math.sqrt(2.0 / seeds)
    # Rounding of sums must not tell two exactly tied rows apart.
    rounding = 1e-12 * max(1.0, *(abs(m) for m in means))
    members = tuple(i for i in range(rows) if means[i] >= means[leader] - margin - rounding)
    return BestSet(leader, members, means, residual_sd, df, critical, margin)


def two_way_residual_sd(table: Sequence[Sequence[float]]) -> float:
    """The pooled standard deviation left in the table after its row and column means are taken out.

    Needs 2 rows and 2 seeds.
    """
    rows, seeds = _shape(table)
    row_means = [mean(row) for row in table]
    column_means = [mean([row[j] for row in table]) for j in range(seeds)]
    grand = mean(row_means)
    squares = math.fsum(
        (table[i][j] - row_means[i] - column_means[j] + grand) ** 2 for i in range(rows) for j in range(seeds)
    )
    return math.sqrt(squares / ((rows - 1) * (seeds - 1)))


def smallest_difference(
    residual_sd: float, seeds: int, cells: int, confidence: float = 0.95, power: float = POWER
) -> float:
    """The true difference from the leader that `may_be_best` shows with the given power.

    (q + t)·s·√(2/seeds). Infinite below 2 seeds.
    """
    if seeds < 2 or cells < 2:
        return math.inf
    df = (cells - 1) * (seeds - 1)
    return (dunnett_quantile(confidence, cells - 1, df) + t_quantile(power, df)) * residual_sd * math.sqrt(2.0 / seeds)


def seeds_needed(
    difference: float, residual_sd: float, cells: int, confidence: float = 0.95, power: float = POWER
) -> int:
    """How many seeds `may_be_best` needs to show a true difference from the leader with the given power; at least 2."""
    return _fewest(lambda seeds: smallest_difference(residual_sd, seeds, cells, confidence, power) <= difference)


def pareto_front(points: Sequence[tuple[float, ...]]) -> tuple[bool, ...]:
    """For each point whether no other is at least as good in everything and better in something (more is better)."""

    def beaten(point: tuple[float, ...]) -> bool:
        return any(other != point and all(o >= p for o, p in zip(other, point, strict=True)) for other in points)

    return tuple(not beaten(point) for point in points)


def _shape(table: Sequence[Sequence[float]]) -> tuple[int, int]:
    if not table or not table[0]:
        raise ValueError("a table needs at least one row and one seed")
    seeds = len(table[0])
    if any(len(row) != seeds for row in table):
        raise ValueError("every row needs the same seeds")
    if not all(math.isfinite(value) for row in table for value in row):
        raise ValueError("every number must be finite; leave incomplete cells out first")
    return len(table), seeds


def _fewest(enough: Callable[[int], bool]) -> int:
    high = 2
    while not enough(high):
        if high >= MOST_SEEDS:
            return MOST_SEEDS
        high *= 2
    low = max(2, high // 2)
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return low
