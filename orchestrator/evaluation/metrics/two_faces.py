"""The metric `two faces`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def two_faces(sight: Sight) -> float | None:
    """1 where a second face is found once the first is covered."""
    if not sight.looked or sight.seen is None or sight.seen.faces is None:
        return None
    return float(sight.seen.faces > 1)


METRIC = Metric(
    "two faces",
    "the face mesh (mediapipe) once more, with the first face covered in grey",
    "rate",
    (0.0, 1.0),
    "a second face much smaller than the first is not looked for; a picture on a wall counts",
    two_faces,
    "yes or no",
    more_is_better=False,
)
