"""The metric `diversity`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.colours import difference
from orchestrator.evaluation.metrics.metric import Metric, Sight


def diversity(sight: Sight) -> float | None:
    """How unlike the same cell's pictures on other seeds this one is, on average."""
    if sight.seen is None or not sight.seen.colours or not sight.siblings:
        return None
    apart = [min(1.0, difference(sight.seen.colours, other.colours)) for other in sight.siblings if other.colours]
    return sum(apart) / len(apart) if apart else None


METRIC = Metric(
    "diversity",
    "1 - correlation of the 16×16 colours with the same cell's pictures of the round on the other seeds",
    "share",
    (0.0, 1.0),
    "sees composition and colours, not faces: one person in many places is diverse",
    diversity,
    more_is_better=True,
    least_spread=1e-6,
)
