"""The metric `roll`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def roll(sight: Sight) -> float | None:
    """How far the head leans, + = clockwise on screen."""
    return None if sight.face is None else sight.face.roll_deg


METRIC = Metric(
    "roll",
    "eye line of the face mesh (mediapipe), un-rolled and measured again; right to better than 1°",
    "°",
    (-180.0, 180.0),
    "only over the faces found: read their rate beside it",
    roll,
)
