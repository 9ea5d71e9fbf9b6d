"""Identity as 0…1, between anchors that were measured in this very project.

An embedding distance means nothing alone: dlib's usual mark of 0.6 says nothing about drawings, and two papers' values
cannot be compared. So every distance is set between two distances measured here:

    1 = the dataset's own pictures: the median distance of each one to the centre of the others
    0 = the baseline: the mean distance of the pictures drawn without LoRA, for the same prompt

and clipped there. Nearer than the dataset's own pictures is not better, it is copying. The lower anchor is taken round
by round, because the prompt itself moves the distance. One centre serves all framings: half the size moves an
embedding by 0.05, another person by 0.3-0.6 (measured).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from orchestrator.evaluation.statistics import mean

#: Fewer embeddings than this have no spread worth the name.
FEWEST_REFERENCES = 3
#: The baseline must be at least this much further from the centre than the dataset's own pictures, or the scale would
#: magnify noise.
SMALLEST_GAP = 0.05


@dataclass(frozen=True)
class Anchors:
    """Where the scale of identity begins and ends. Distances are Euclidean, of the embedding named."""

    centre: tuple[float, ...] = ()
    #: Distance that counts as 1.
    own_distance: float = 0.0
    #: Per round, the distance that counts as 0.
    baseline_distance: Mapping[str, float] = field(default_factory=dict)
    references: int = 0
    embedding_name: str = ""
    #: Per round (or "" for all), why identity is not measured there.
    not_measured: Mapping[str, str] = field(default_factory=dict)

    def distance(self, embedding: Sequence[float]) -> float:
        """The distance to the dataset's centre. Raises ValueError for an embedding of another length."""
        if len(embedding) != len(self.centre):
            raise ValueError(
                f"an embedding of {len(embedding)} numbers cannot be compared with one of {len(self.centre)}"
            )
        return math.dist(embedding, self.centre)

    def identity(self, round_name: str, distance: float) -> float | None:
        """The distance as 0…1 within its round; None where the round has no scale."""
        far = self.baseline_distance.get(round_name)
        if far is None:
            return None
        return min(1.0, max(0.0, (far - distance) / (far - self.own_distance)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def find_centre(embeddings: Sequence[Sequence[float]], embedding_name: str = "") -> Anchors:
    """The anchors as far as the dataset alone decides them; no round has a scale yet."""
    if len(embeddings) < FEWEST_REFERENCES:
        found = "no face" if not embeddings else f"only {len(embeddings)} of the faces"
        why = f"{found} in the dataset could be measured; at least {FEWEST_REFERENCES} are needed"
        return Anchors(references=len(embeddings), embedding_name=embedding_name, not_measured={"": why})
    count, length = len(embeddings), len(embeddings[0])
    sums = [math.fsum(e[i] for e in embeddings) for i in range(length)]
    # Against the centre of the OTHERS: a centre that holds the picture itself would call every picture nearer than a
    # new one can be.
    own = [math.dist(e, [(total - x) / (count - 1) for total, x in zip(sums, e, strict=True)]) for e in embeddings]
    return Anchors(tuple(total / count for total in sums), median(own), {}, count, embedding_name)


def set_baselines(anchors: Anchors, distances: Mapping[str, Sequence[float]]) -> Anchors:
    """The anchors with the scale of each round, from the distances of its baseline pictures."""
    if not anchors.centre:
        return anchors
    far: dict[str, float] = {}
    why: dict[str, str] = dict(anchors.not_measured)
    for name, values in distances.items():
        if not values:
            why[name] = "no face was measured in its pictures without LoRA"
        elif (baseline := mean(values)) - anchors.own_distance < SMALLEST_GAP:
            why[name] = (
                f"without LoRA the faces are as near to the dataset ({baseline:.2f}) as the dataset's own pictures "
                f"are to each other ({anchors.own_distance:.2f})"
            )
        else:
            far[name] = baseline
    return Anchors(anchors.centre, anchors.own_distance, far, anchors.references, anchors.embedding_name, why)
