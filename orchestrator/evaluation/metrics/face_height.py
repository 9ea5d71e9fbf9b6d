"""The metric `face height`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def face_height(sight: Sight) -> float | None:
    """The face's share of the picture's height."""
    return None if sight.face is None else sight.face.height_ratio


METRIC = Metric(
    "face height",
    "forehead to chin of the face mesh (mediapipe) by the picture's height",
    "share",
    (0.0, 1.0),
    "only over the faces found",
    face_height,
)
