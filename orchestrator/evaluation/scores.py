"""From observations to one number per cell, seed and metric.

Missing faces are data: a picture in which nobody is to be found shows neither the person nor an upright head and
counts 0 for both; one whose face is too small to be recognised shows no person. An average over the found faces alone
would favour cells that lose the difficult ones. Pictures that were never drawn, and pictures a judge gave no answer
for, are not data: their cell has no number and is out of the ranking until they are there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.statistics import mean
from orchestrator.vision.model import TOO_SMALL

Metric = Literal["identity", "obedience", "upright"]
METRICS: Final[tuple[Metric, ...]] = ("identity", "obedience", "upright")
#: The roll that is wanted; the article's complaint is a head that will not stand upright.
WANTED_ROLL_DEG = 0.0
#: A head this far from the wanted roll counts 0 as upright.
UPRIGHT_SCALE_DEG = 20.0


@dataclass(frozen=True)
class Scores:
    """Values by metric, cell and seed (rounds averaged); None where something of the cell is missing at that seed."""

    cells: tuple[CellId, ...]
    seeds: tuple[int, ...]
    rounds: tuple[str, ...]
    #: The rounds in which each metric was measured; a metric that is not here was not measured at all.
    measured: Mapping[Metric, tuple[str, ...]]
    values: Mapping[Metric, Mapping[CellId, Mapping[int, float | None]]]
    at: Mapping[CellId, Mapping[tuple[str, int], Observation]]

    def complete(self, metric: Metric, cell: CellId) -> list[float] | None:
        """The cell's values in the order of the seeds; None when the metric was not measured or one is missing."""
        if metric not in self.measured:
            return None
        values = self.values[metric].get(cell, {})
        row = [value for seed in self.seeds if (value := values.get(seed)) is not None]
        return row if len(row) == len(self.seeds) else None

    def available(self, metric: Metric, cell: CellId) -> list[float]:
        """The cell's values at the seeds that have one."""
        if metric not in self.measured:
            return []
        return [value for value in self.values[metric].get(cell, {}).values() if value is not None]


def score_observations(observations: Sequence[Observation]) -> Scores:
    """The scores of all cells, the baseline among them. Seeds and rounds are those of the cells with LoRA."""
    trained = [o for o in observations if not o.cell.is_baseline]
    cells = tuple(sorted({o.cell for o in trained}, key=lambda c: (c.epoch or 0, c.weight)))
    seeds = tuple(sorted({o.seed for o in trained}))
    rounds = tuple(dict.fromkeys(o.round for o in trained))
    at: dict[CellId, dict[tuple[str, int], Observation]] = {cell: {} for cell in (*cells, BASELINE)}
    for o in observations:
        at[o.cell][o.round, o.seed] = o
    measured: dict[Metric, tuple[str, ...]] = {}
    for metric in METRICS:
        names = tuple(name for name in rounds if any(o.round == name and _raw(o, metric) is not None for o in trained))
        if names:
            measured[metric] = names
    values = {
        metric: {
            cell: {seed: _inside_seed(at[cell], metric, names, seed) for seed in seeds} for cell in (*cells, BASELINE)
        }
        for metric, names in measured.items()
    }
    return Scores(cells, seeds, rounds, measured, values, at)


def value(observation: Observation, metric: Metric) -> float | None:
    """One picture's value, 0…1; 0 without a face where a face is needed, None where nobody measured.

    A face that was found but not compared (its embedding failed, the person's part is not installed) is no 0: nothing
    is known of it.
    """
    if not observation.drawn:
        return None
    raw = _raw(observation, metric)
    if raw is not None or metric == "obedience":
        return raw
    too_small = metric == "identity" and observation.identity is None and observation.missing == TOO_SMALL
    return 0.0 if observation.face_found is False or (observation.face_found and too_small) else None


def upright(roll_deg: float) -> float:
    """1 at the wanted roll, falling evenly to 0 at `UPRIGHT_SCALE_DEG` from it."""
    return max(0.0, 1.0 - abs(roll_deg - WANTED_ROLL_DEG) / UPRIGHT_SCALE_DEG)


def _raw(observation: Observation, metric: Metric) -> float | None:
    if metric == "upright":
        found = None if observation.roll_deg is None else upright(observation.roll_deg)
    else:
        found = observation.identity if metric == "identity" else observation.obedience
    # A NaN compares as neither more nor less than anything; it must never reach a ranking.
    return found if found is not None and math.isfinite(found) else None


def _inside_seed(
    at: Mapping[tuple[str, int], Observation], metric: Metric, rounds: Sequence[str], seed: int
) -> float | None:
    values = [value(o, metric) if (o := at.get((name, seed))) is not None else None for name in rounds]
    known = [v for v in values if v is not None]
    return mean(known) if known and len(known) == len(values) else None
