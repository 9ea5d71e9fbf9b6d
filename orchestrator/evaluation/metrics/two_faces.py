"""The metric `two faces`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def two_faces(sight: Sight) -> float | None:
    """1 where there is more than one face."""
    if not sight.looked or sight.seen is None or sight.seen.faces is None:
        return None
    return float(sight.seen.faces > 1)


METRIC = Metric(
    "two faces",
    "the face mesh (mediapipe) in the whole picture and its largest windows, each face looked at twice",
    "rate",
    (0.0, 1.0),
    "faces under about a twelfth of the short side are not looked for; a picture on a wall counts",
    two_faces,
    "yes or no",
    more_is_better=False,
)
