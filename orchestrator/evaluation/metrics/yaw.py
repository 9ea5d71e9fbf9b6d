"""The metric `yaw`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def yaw(sight: Sight) -> float | None:
    """How far the head is turned, + = to screen left."""
    return None if sight.face is None else sight.face.yaw_deg


METRIC = Metric(
    "yaw",
    "the face mesh's own axes (mediapipe)",
    "°",
    (-180.0, 180.0),
    "compressed by about 0.7: for comparing cells, no absolute angle",
    yaw,
)
