"""The metric `face sharpness`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def face_sharpness(sight: Sight) -> float | None:
    """How much fine detail the face has, all faces at one size."""
    return None if sight.face is None else sight.face.sharpness


METRIC = Metric(
    "face sharpness",
    "log10 of the variance of the 4-neighbour Laplacian of the face at 128×128",
    "log10",
    (-3.0, 5.5),
    "small faces are enlarged and so less sharp; only over the faces found",
    face_sharpness,
)
