"""The metric `upright`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight
from orchestrator.evaluation.scores import upright as of_roll


def upright(sight: Sight) -> float | None:
    """1 for a head that stands straight, 0 from 20° on."""
    return None if sight.face is None else of_roll(sight.face.roll_deg)


METRIC = Metric(
    "upright",
    "roll of the face mesh's eye line (mediapipe), measured twice: 1 - |roll| / 20°",
    "share",
    (0.0, 1.0),
    "a pose that is meant to lean counts against the cell",
    upright,
    more_is_better=True,
)
