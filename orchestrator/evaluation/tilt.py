"""Whether a cell's head tilt is frozen.

The mean shifted and the spread fallen, against the baseline on the same seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.evaluation.statistics import Interval, mean, t_interval

#: A shift below this is not worth a word: single rolls are measured to within 1°.
LEAST_SHIFT_DEG = 3.0
#: The spread has fallen when it is at most this share of the baseline's. With 24 pictures each (8 seeds × 3 rounds)
#: chance alone does that in about 5 % of cells (F test with 23 and 23 degrees of freedom), and the mean must have
#: moved as well.
FALLEN_TO = 0.7

#: Roll in degrees by (round, seed); + = leaning clockwise on screen.
Rolls = Mapping[tuple[str, int], float]


@dataclass(frozen=True)
class Tilt:
    """The head tilt of a cell beside the baseline's. Degrees; `shift` is the paired difference over seeds.

    `shifted`: the heads lean, beyond chance and by at least `LEAST_SHIFT_DEG`; `locked`: and they all lean alike.
    """

    mean_roll: float
    spread: float
    baseline_roll: float
    baseline_spread: float
    shift: Interval
    shifted: bool
    locked: bool


def tilt(cell: Rolls, baseline: Rolls, confidence: float = 0.95) -> Tilt | None:
    """The tilt of a cell over the places where both have a face; None with fewer than two seeds in common.

    Spreads are standard deviations around each round's own mean, so that rounds that lean differently by their pose do
    not count as spread.
    """
    common = sorted(cell.keys() & baseline.keys())
    differences: dict[int, list[float]] = {}
    for round_, seed in common:
        differences.setdefault(seed, []).append(cell[round_, seed] - baseline[round_, seed])
    if len(differences) < 2:
        return None
    shift = t_interval([mean(values) for values in differences.values()], confidence)
    spread, baseline_spread = (_spread({place: rolls[place] for place in common}) for rolls in (cell, baseline))
    beyond_chance = shift.low is not None and shift.high is not None and (shift.low > 0 or shift.high < 0)
    shifted = beyond_chance and abs(shift.mean) >= LEAST_SHIFT_DEG
    return Tilt(
        mean_roll=mean([cell[place] for place in common]),
        spread=spread,
        baseline_roll=mean([baseline[place] for place in common]),
        baseline_spread=baseline_spread,
        shift=shift,
        shifted=shifted,
        locked=shifted and spread <= FALLEN_TO * baseline_spread,
    )


def _spread(rolls: Rolls) -> float:
    by_round: dict[str, list[float]] = {}
    for (round_, _), roll in rolls.items():
        by_round.setdefault(round_, []).append(roll)
    squares = math.fsum((roll - mean(values)) ** 2 for values in by_round.values() for roll in values)
    free = sum(len(values) - 1 for values in by_round.values())
    return math.sqrt(squares / free) if free else 0.0
