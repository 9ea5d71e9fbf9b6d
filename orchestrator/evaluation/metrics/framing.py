"""The metric `framing`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def framing(sight: Sight) -> float | None:
    """1 where the face's size is that of the framing the prompt names; 0 without a face."""
    if sight.framing is None or not sight.looked:
        return None
    return float(sight.face is not None and sight.face.framing == sight.framing)


METRIC = Metric(
    "framing",
    "the face's share of the picture's height: close-up from 0.32, upper body from 0.16, full body below",
    "rate",
    (0.0, 1.0),
    "children and unusual crops have other shares; only rounds whose prompt names a framing are counted",
    framing,
    "yes or no",
    more_is_better=True,
)
