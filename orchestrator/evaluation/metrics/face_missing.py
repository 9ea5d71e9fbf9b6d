"""The metric `face missing`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def face_missing(sight: Sight) -> float | None:
    """1 where nobody is to be found."""
    return float(sight.face is None) if sight.looked else None


METRIC = Metric(
    "face missing",
    "the face mesh (mediapipe) over the whole picture and over windows of it, agreed on by two looks",
    "rate",
    (0.0, 1.0),
    "backs of heads, profiles beyond about 60° and faces under about 25 pixels are not found",
    face_missing,
    "yes or no",
    more_is_better=False,
)
