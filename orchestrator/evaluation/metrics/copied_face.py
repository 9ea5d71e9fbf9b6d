"""The metric `copied face`."""

from __future__ import annotations

from statistics import median

from orchestrator.evaluation.metrics.metric import Metric, Sight
from orchestrator.vision.distance import identity_distance
from orchestrator.vision.model import Measurement


def copied_face(sight: Sight) -> float | None:
    """How much nearer the face is to one training picture than those are to each other."""
    if sight.seen is None or sight.seen.identity is None:
        return None
    alike = [p for p in sight.training if p.identity is not None and p.embedding_name == sight.seen.embedding_name]
    usual = _usual(alike)
    if not usual:
        return None
    nearest = min(identity_distance(sight.seen.identity, picture.identity) for picture in alike if picture.identity)
    return max(0.0, 1 - nearest / usual)


def _usual(pictures: list[Measurement]) -> float:
    """The median distance of a training face to its nearest neighbour; 0 for fewer than three."""
    if len(pictures) < 3:
        return 0.0
    faces = [picture.identity for picture in pictures if picture.identity]
    return median(min(identity_distance(a, b) for b in faces if b is not a) for a in faces)


METRIC = Metric(
    "copied face",
    "1 - the distance (dlib) to the nearest training face by the usual distance between neighbours among those",
    "share",
    (0.0, 1.0),
    "datasets of near-duplicates have a small usual distance, so that copies do not show",
    copied_face,
    more_is_better=False,
)
