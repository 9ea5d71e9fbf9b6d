"""From pictures' numbers to those of cells: means over seeds with t intervals, rates with Wilson's, and how many
pictures have a number at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.distributions import wilson
from orchestrator.evaluation.metrics import METRICS, Metric
from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.statistics import mean, t_interval

#: A fault that this share of the pictures without LoRA has already cannot be told from the LoRA's.
ALREADY_THERE = 0.9
#: Fewer pictures without LoRA than this do not show that a metric tells nothing.
FEWEST = 4


@dataclass(frozen=True)
class Figure:
    """One metric of one cell. `measured` of `pictures` have a number; `low` and `high` are None where chance is not
    known (one seed).
    """

    metric: str
    mean: float
    low: float | None
    high: float | None
    measured: int
    pictures: int

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Figure:
        """The inverse of `dataclasses.asdict`."""
        return cls(**data)


def figures_of(
    observations: Sequence[Observation], confidence: float = 0.95, without: Mapping[str, str] | None = None
) -> dict[CellId, tuple[Figure, ...]]:
    """Every metric that was measured, by cell; those in `without` are left out."""
    cells: dict[CellId, list[Observation]] = {}
    for observation in observations:
        if observation.drawn:
            cells.setdefault(observation.cell, []).append(observation)
    kept = [metric for metric in METRICS if metric.name not in (without or {})]
    return {
        cell: tuple(f for metric in kept if (f := _figure(metric, found, confidence)) is not None)
        for cell, found in cells.items()
    }


def tell_nothing(observations: Sequence[Observation]) -> dict[str, str]:
    """Metrics that do not discriminate on the pictures without LoRA, each with a sentence that says so."""
    bare = [o for o in observations if o.cell == BASELINE and o.drawn]
    said: dict[str, str] = {}
    for metric in METRICS:
        values = [o.metrics[metric.name] for o in bare if metric.name in o.metrics]
        if len(values) < FEWEST:
            continue
        if metric.kind == "yes or no":
            bad = values.count(0.0 if metric.more_is_better else 1.0)
            if bad >= ALREADY_THERE * len(values):
                fault = f"no {metric.name}" if metric.more_is_better else metric.name
                said[metric.name] = (
                    f"{metric.name.capitalize()} is left out: without LoRA {bad} of {len(values)} pictures have "
                    f"{fault} already, so it tells nothing about the LoRA."
                )
        elif metric.least_spread and max(values) - min(values) < metric.least_spread:
            said[metric.name] = (
                f"{metric.name.capitalize()} is left out: it is the same in all {len(values)} pictures without LoRA, "
                "so it tells nothing."
            )
    return said


def _figure(metric: Metric, found: Sequence[Observation], confidence: float) -> Figure | None:
    by_seed: dict[int, list[float]] = {}
    for observation in found:
        if metric.name in observation.metrics:
            by_seed.setdefault(observation.seed, []).append(observation.metrics[metric.name])
    measured = sum(map(len, by_seed.values()))
    if not measured:
        return None
    if metric.kind == "yes or no":
        count = round(sum(sum(values) for values in by_seed.values()))
        low, high = wilson(count, measured, confidence)
        return Figure(metric.name, count / measured, low, high, measured, len(found))
    interval = t_interval([mean(values) for values in by_seed.values()], confidence)
    lowest, highest = metric.range
    # A t interval knows nothing of the scale's ends; beyond them no value exists.
    low_end = None if interval.low is None else max(interval.low, lowest)
    high_end = interval.high if interval.high is None or highest is None else min(interval.high, highest)
    return Figure(metric.name, interval.mean, low_end, high_end, measured, len(found))
