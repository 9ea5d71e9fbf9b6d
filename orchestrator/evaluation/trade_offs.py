"""The trade-offs between cells, as sentences with figures; one is said only when the seeds show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orchestrator.evaluation.observations import BASELINE, CellId
from orchestrator.evaluation.scores import Metric, Scores
from orchestrator.evaluation.statistics import Interval, mean, t_interval
from orchestrator.evaluation.tilt import tilt

if TYPE_CHECKING:
    from orchestrator.evaluation.verdict import CellResult

_MOST_SEEDS_NAMED = 5
#: All cells are compared with one baseline, so its own luck makes many seem to lean at once; a lean is told from this
#: share of the cells on.
LEANING_SHARE = 0.5


def trade_offs(scores: Scores, results: Sequence[CellResult], confidence: float = 0.95) -> list[str]:
    """What is gained and what is lost along the axes, locked tilts, and seeds that never obey."""
    said = [
        _along("weight", scores, confidence),
        _along("epoch", scores, confidence),
        _tilted(results),
        _turned("yaw", "turn", scores, confidence),
        _turned("pitch", "nod", scores, confidence),
        *_never(scores),
    ]
    return [sentence for sentence in said if sentence]


def _along(axis: str, scores: Scores, confidence: float) -> str:
    """The two ends of an axis compared seed by seed, over the upper half of the other axis: where a LoRA does little,
    neither weight nor epoch shows, and pictures without effect would hide those with one.
    """
    position: Callable[[CellId], float] = (lambda c: c.weight) if axis == "weight" else (lambda c: c.epoch or 0)
    ends = sorted({position(cell) for cell in scores.cells})
    if len(ends) < 2:
        return ""
    low, high = ends[0], ends[-1]
    other: Callable[[CellId], float] = (lambda c: c.epoch or 0) if axis == "weight" else (lambda c: c.weight)
    at_low, at_high = ({other(c): c for c in scores.cells if position(c) == end} for end in (low, high))
    common = sorted(at_low.keys() & at_high.keys())
    upper = common[len(common) // 2 :]
    pairs = [(at_low[key], at_high[key]) for key in upper]
    found = {metric: _contrast(metric, pairs, scores, confidence) for metric in ("identity", "obedience")}
    identity, obedience = found["identity"], found["obedience"]
    if not identity or not obedience or not _above_zero(identity[2]) or not _below_zero(obedience[2]):
        return ""
    if axis == "weight":
        return (
            f"Low weight obeys but is another face: at weight {low:g} obedience is {obedience[0]:.2f} and identity "
            f"{identity[0]:.2f}, at weight {high:g} obedience is {obedience[1]:.2f} and identity {identity[1]:.2f} "
            f"(epochs from {upper[0]:g})."
        )
    return (
        f"A high epoch keeps the face but its training pose wins: at epoch {high:g} identity is {identity[1]:.2f} "
        f"and obedience {obedience[1]:.2f}, at epoch {low:g} identity is {identity[0]:.2f} "
        f"and obedience {obedience[0]:.2f} (weights from {upper[0]:g})."
    )


def _contrast(
    metric: Metric, pairs: Sequence[tuple[CellId, CellId]], scores: Scores, confidence: float
) -> tuple[float, float, Interval] | None:
    """Mean at the low end, mean at the high end, and the interval of their difference over seeds."""
    if metric not in scores.measured:
        return None
    rows = [(scores.complete(metric, low), scores.complete(metric, high)) for low, high in pairs]
    both = [(a, b) for a, b in rows if a is not None and b is not None]
    if not both or len(scores.seeds) < 2:
        return None
    low_by_seed = [mean([a[i] for a, _ in both]) for i in range(len(scores.seeds))]
    high_by_seed = [mean([b[i] for _, b in both]) for i in range(len(scores.seeds))]
    difference = t_interval([b - a for a, b in zip(low_by_seed, high_by_seed, strict=True)], confidence)
    return mean(low_by_seed), mean(high_by_seed), difference


def _tilted(results: Sequence[CellResult]) -> str:
    """Heads that lean, all alike (locked) or each as it likes; single cells that lean by chance are not told."""
    tilts = [(result.tilt, result.cell) for result in results if result.tilt is not None]
    locked = [(tilt, cell) for tilt, cell in tilts if tilt.locked]
    leaning = [(tilt, cell) for tilt, cell in tilts if tilt.shifted and not tilt.locked]
    if locked:
        more = f", and heads lean in {len(leaning)} more" if leaning else ""
        told = f"The head tilt is locked in {len(locked)} of {len(results)} cells{more}"
    elif len(leaning) >= max(2, LEANING_SHARE * len(results)):
        told = f"Heads lean in {len(leaning)} of {len(results)} cells"
    else:
        return ""
    worst, cell = max(locked or leaning, key=lambda each: abs(each[0].shift.mean))
    return (
        f"{told}: at {cell.label} {worst.mean_roll:+.1f}° ± {worst.spread:.1f}°, on the same seeds without LoRA "
        f"{worst.baseline_roll:+.1f}° ± {worst.baseline_spread:.1f}°."
    )


def _turned(metric: str, called: str, scores: Scores, confidence: float) -> str:
    """A turn or a nod that is locked in; as with the tilt, the mean shifted and the spread fallen. Nobody asked for
    these two, so chance is divided among all cells.
    """
    at = {
        cell: {place: o.metrics[metric] for place, o in seen.items() if metric in o.metrics}
        for cell, seen in scores.at.items()
    }
    strict = 1 - (1 - confidence) / max(1, len(scores.cells))
    found = [(tilt(at[cell], at[BASELINE], strict), cell) for cell in scores.cells]
    locked = [(each, cell) for each, cell in found if each is not None and each.locked]
    if not locked:
        return ""
    worst, cell = max(locked, key=lambda each: abs(each[0].shift.mean))
    return (
        f"The head's {called} is locked in {len(locked)} of {len(scores.cells)} cells: at {cell.label} "
        f"{worst.mean_roll:+.1f}° ± {worst.spread:.1f}°, on the same seeds without LoRA "
        f"{worst.baseline_roll:+.1f}° ± {worst.baseline_spread:.1f}°."
    )


def _never(scores: Scores) -> list[str]:
    if "obedience" not in scores.measured:
        return []
    never: dict[int, list[str]] = {}
    for seed in scores.seeds:
        for name in scores.measured["obedience"]:
            answers = [o.obeys for at in scores.at.values() if (o := at.get((name, seed))) is not None]
            if answers and all(answer is False for answer in answers):
                never.setdefault(seed, []).append(name)
    listed = [f"seed {seed} never obeys {', '.join(names)}" for seed, names in never.items()]
    if not listed:
        return []
    more = f" and {len(listed) - _MOST_SEEDS_NAMED} more seeds" if len(listed) > _MOST_SEEDS_NAMED else ""
    sentence = "; ".join(listed[:_MOST_SEEDS_NAMED]) + more + ", in any cell, LoRA or not."
    return [sentence[0].upper() + sentence[1:]]


def _above_zero(interval: Interval) -> bool:
    return interval.low is not None and interval.low > 0


def _below_zero(interval: Interval) -> bool:
    return interval.high is not None and interval.high < 0
