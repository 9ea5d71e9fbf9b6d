"""The metric `copying`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.colours import difference
from orchestrator.evaluation.metrics.metric import Metric, Sight
from orchestrator.vision.distance import hash_distance
from orchestrator.vision.model import Measurement

#: Two unrelated pictures differ in about half of the 64 bits.
_UNRELATED_BITS = 32


def copying(sight: Sight) -> float | None:
    """The largest likeness to any training picture or its mirror image."""
    if sight.seen is None or not sight.seen.colours or not any(picture.colours for picture in sight.training):
        return None
    return max(likeness(sight.seen, picture) for picture in sight.training if picture.colours)


def likeness(one: Measurement, other: Measurement) -> float:
    """0 = unrelated, 1 = a copy: what hash and colours agree on."""
    found = 0.0
    for mirrored, bits in ((False, other.dhash), (True, other.dhash_mirror)):
        by_hash = max(0.0, 1 - hash_distance(one.dhash, bits) / _UNRELATED_BITS)
        # A hash is a hundred times quicker and rules out nearly all.
        if by_hash > found:
            by_colour = max(0.0, 1 - difference(one.colours, other.colours, mirrored=mirrored))
            found = max(found, min(by_hash, by_colour))
    return found


METRIC = Metric(
    "copying",
    "the most similar training picture or its mirror image, by 64-bit difference hash and by 16×16 colours, the lower "
    "of the two",
    "share",
    (0.0, 1.0),
    "crops by more than a tenth and turned copies are missed; one plain background makes all pictures alike",
    copying,
    more_is_better=False,
)
