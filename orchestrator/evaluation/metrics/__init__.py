"""The metrics of a picture: a file each, a line each here. A new one is a file with its function and its `METRIC`.

`metric` says what a metric is; `summary` turns pictures' numbers into those of cells.
"""

from __future__ import annotations

import math
from typing import Final

from orchestrator.evaluation.metrics import (
    collapse,
    copied_face,
    copying,
    diversity,
    face_height,
    face_missing,
    face_sharpness,
    framing,
    identity,
    obedience,
    pitch,
    roll,
    sharpness,
    two_faces,
    upright,
    yaw,
)
from orchestrator.evaluation.metrics.metric import Metric, Sight

__all__ = ["METRICS", "Metric", "Sight", "metric_of", "numbers"]

METRICS: Final[tuple[Metric, ...]] = (
    identity.METRIC,
    obedience.METRIC,
    upright.METRIC,
    framing.METRIC,
    face_missing.METRIC,
    two_faces.METRIC,
    collapse.METRIC,
    sharpness.METRIC,
    face_sharpness.METRIC,
    face_height.METRIC,
    diversity.METRIC,
    copying.METRIC,
    copied_face.METRIC,
    roll.METRIC,
    yaw.METRIC,
    pitch.METRIC,
)


def metric_of(name: str) -> Metric:
    """The metric of that name. Raises KeyError."""
    return {metric.name: metric for metric in METRICS}[name]


def numbers(sight: Sight) -> dict[str, float]:
    """Every metric's number of one picture; those that were not measured are not there."""
    found = {metric.name: metric.of(sight) for metric in METRICS}
    # A NaN compares as neither more nor less than anything; it must never reach a mean.
    return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}
