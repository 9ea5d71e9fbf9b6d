"""How far apart the faces of one person are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final

from orchestrator.vision.distance import identity_distance
from orchestrator.vision.model import Measurement

#: dlib's authors: two photographs closer than this show one person (99.38 % right on Labeled Faces in the Wild).
AUTHORS_MARK: Final = 0.6
#: Three pictures give three pairs; fewer have no spread worth the name.
FEWEST_PICTURES: Final = 3
#: This share of the pairs of one person must lie within the spread; the rest are turned or half-hidden faces.
OF_THE_PAIRS: Final = 0.95


def own_spread(pictures: Sequence[Measurement]) -> float | None:
    """How far apart pictures of the person lie; None for fewer than three faces of one embedding."""
    faces = [(seen.embedding_name, seen.identity) for seen in pictures if seen.identity is not None]
    alike = [identity for name, identity in faces if name == faces[0][0]]
    if len(alike) < FEWEST_PICTURES:
        return None
    pairs = sorted(identity_distance(a, b) for a, b in itertools.combinations(alike, 2))
    # Beyond the authors' mark these pictures cannot tell people apart.
    return min(AUTHORS_MARK, pairs[math.ceil(OF_THE_PAIRS * len(pairs)) - 1])
