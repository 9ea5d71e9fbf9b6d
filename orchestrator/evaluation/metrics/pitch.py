"""The metric `pitch`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def pitch(sight: Sight) -> float | None:
    """How far the chin is down."""
    return None if sight.face is None else sight.face.pitch_deg


METRIC = Metric(
    "pitch",
    "the face mesh's own axes (mediapipe)",
    "°",
    (-180.0, 180.0),
    "about 7° too high everywhere: for comparing cells, no absolute angle",
    pitch,
)
