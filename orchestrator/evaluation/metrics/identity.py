"""The metric `identity`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def identity(sight: Sight) -> float | None:
    """How near the face is to the dataset's, between this project's own anchors."""
    return sight.identity


METRIC = Metric(
    "identity",
    "distance of dlib's 128 numbers to the middle of the dataset's faces of that framing, between the dataset's own "
    "(1) and that of the pictures without LoRA (0)",
    "share of the way",
    (0.0, 1.0),
    "blur and small faces lower it as another person does: read face height and face sharpness beside it",
    identity,
    more_is_better=True,
)
