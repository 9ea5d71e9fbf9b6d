"""Identity as 0…1, between anchors that were measured in this very project.

An embedding distance means nothing alone: dlib's usual mark of 0.6 says nothing about drawings, and two papers' values
cannot be compared. So every distance is set between two distances measured here:

    1 = the dataset's own pictures: the median distance of each one to the centre of the others
    0 = the baseline: the mean distance of the pictures drawn without LoRA, for the same prompt

and clipped there. Nearer than the dataset's own pictures is not better, it is copying.

Both anchors are taken round by round, because the prompt itself moves the distance: the lower one from the round's own
baseline, the upper one from the dataset's pictures of the round's framing where there are enough of them. (Measured on
drawn portraits: the same person's upper-body pictures lie 0.23 from the centre of the close-ups, a stranger's 0.44.)
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
#: Two people of a dataset are only told where each has this many pictures of a framing.
FEWEST_OF_A_PERSON = 2
#: Between two drawn people dlib measured 0.32 and more, between photographs of two people mostly 0.6 and more.
TWO_KINDS_APART = 0.3
#: The name under which the centre of all framings together is kept.
ALL_FRAMINGS = ""


@dataclass(frozen=True)
class Centre:
    """The middle of the dataset's embeddings of one framing; `own_distance` is the distance that counts as 1."""

    point: tuple[float, ...]
    own_distance: float
    pictures: int


@dataclass(frozen=True)
class Scale:
    """The scale of one round: which centre, and the distances that count as 1 and as 0."""

    framing: str
    own_distance: float
    baseline_distance: float

    def identity(self, distance: float) -> float:
        """The distance as 0…1."""
        gap = self.baseline_distance - self.own_distance
        return min(1.0, max(0.0, (self.baseline_distance - distance) / gap))


@dataclass(frozen=True)
class Anchors:
    """Where the scale of identity begins and ends. Distances are Euclidean, of the embedding named."""

    #: By framing; "" is the centre of all pictures.
    centres: Mapping[str, Centre] = field(default_factory=dict)
    rounds: Mapping[str, Scale] = field(default_factory=dict)
    embedding_name: str = ""
    #: Per round (or "" for all), why identity is not measured there.
    not_measured: Mapping[str, str] = field(default_factory=dict)

    def framing(self, wanted: str | None) -> str:
        """The centre to use for pictures of that framing: its own where there is one, else that of all pictures."""
        return wanted if wanted in self.centres and wanted is not None else ALL_FRAMINGS

    def distance(self, embedding: Sequence[float], framing: str = ALL_FRAMINGS) -> float:
        """The distance to a centre. Raises ValueError for an embedding of another length, KeyError without a centre."""
        centre = self.centres[framing].point
        if len(embedding) != len(centre):
            raise ValueError(f"an embedding of {len(embedding)} numbers cannot be compared with one of {len(centre)}")
        return math.dist(embedding, centre)

    def identity(self, round_name: str, distance: float) -> float | None:
        """The distance as 0…1 within its round; None where the round has no scale."""
        scale = self.rounds.get(round_name)
        return None if scale is None else scale.identity(distance)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def find_centres(faces: Sequence[tuple[str, Sequence[float]]], embedding_name: str = "") -> Anchors:
    """The anchors as far as the dataset alone decides them, from the framing and the embedding of each of its faces.

    No round has a scale yet; without enough faces `not_measured` says so.
    """
    if len(faces) < FEWEST_REFERENCES:
        found = "no face" if not faces else f"only {len(faces)} of the faces"
        why = f"{found} in the dataset could be measured; at least {FEWEST_REFERENCES} are needed"
        return Anchors(embedding_name=embedding_name, not_measured={"": why})
    if (split := two_people(faces)) is not None:
        why = (
            f"the dataset's faces look like two people ({split[0]} and {split[1]} pictures); the middle between two is "
            "nobody. Take one of them out of the dataset"
        )
        return Anchors(embedding_name=embedding_name, not_measured={"": why})
    groups: dict[str, list[Sequence[float]]] = {ALL_FRAMINGS: [embedding for _, embedding in faces]}
    for framing, embedding in faces:
        groups.setdefault(framing, []).append(embedding)
    groups[ALL_FRAMINGS] = [embedding for _, embedding in faces]
    centres = {name: _centre(group) for name, group in groups.items() if len(group) >= FEWEST_REFERENCES}
    return Anchors(centres, {}, embedding_name)


def two_people(faces: Sequence[tuple[str, Sequence[float]]]) -> tuple[int, int] | None:
    """How many pictures each of two people has, where the faces fall into two kinds; None where they are one.

    Looked for within a framing, because the framing alone moves the distance (0.23 between a person's close-ups and
    upper bodies, measured on drawings). Two kinds = the farthest pair's nearest ones are `TWO_KINDS_APART` apart in the
    middle, and no two of a kind are as far apart as any two of different kinds.
    """
    for framing in dict.fromkeys(framing for framing, _ in faces):
        points = [point for name, point in faces if name == framing]
        if len(points) < 2 * FEWEST_OF_A_PERSON:
            continue
        apart = [[math.dist(a, b) for b in points] for a in points]
        everyone = range(len(points))
        one, other = max(((i, j) for i in everyone for j in everyone if i < j), key=lambda ij: apart[ij[0]][ij[1]])
        first = [i for i in everyone if apart[i][one] <= apart[i][other]]
        second = [i for i in everyone if i not in first]
        if min(len(first), len(second)) < FEWEST_OF_A_PERSON:
            continue
        across = [apart[i][j] for i in first for j in second]
        within = [apart[i][j] for group in (first, second) for i in group for j in group if i < j]
        if median(across) >= TWO_KINDS_APART and min(across) > max(within):
            return len(first), len(second)
    return None


def set_baselines(anchors: Anchors, distances: Mapping[str, tuple[str, Sequence[float]]]) -> Anchors:
    """The anchors with the scale of each round, from its centre and the distances of its baseline pictures to it."""
    if not anchors.centres:
        return anchors
    rounds: dict[str, Scale] = {}
    why: dict[str, str] = dict(anchors.not_measured)
    for name, (framing, values) in distances.items():
        own = anchors.centres[framing].own_distance
        if not values:
            why[name] = "no face was measured in its pictures without LoRA"
        elif (baseline := mean(values)) - own < SMALLEST_GAP:
            why[name] = (
                f"without LoRA the faces are as near to the dataset ({baseline:.2f}) as the dataset's own pictures "
                f"are to each other ({own:.2f})"
            )
        else:
            rounds[name] = Scale(framing, own, baseline)
    return Anchors(anchors.centres, rounds, anchors.embedding_name, why)


def without_round(anchors: Anchors, name: str, why: str) -> Anchors:
    """The anchors without the scale of a round, and why."""
    rounds = {each: scale for each, scale in anchors.rounds.items() if each != name}
    return Anchors(anchors.centres, rounds, anchors.embedding_name, {**anchors.not_measured, name: why})


def _centre(embeddings: Sequence[Sequence[float]]) -> Centre:
    count, length = len(embeddings), len(embeddings[0])
    sums = [math.fsum(e[i] for e in embeddings) for i in range(length)]
    # Against the centre of the OTHERS: a centre that holds the picture itself would call every picture of the dataset
    # nearer than a new one can be.
    own = [math.dist(e, [(total - x) / (count - 1) for total, x in zip(sums, e, strict=True)]) for e in embeddings]
    return Centre(tuple(total / count for total in sums), median(own), count)
