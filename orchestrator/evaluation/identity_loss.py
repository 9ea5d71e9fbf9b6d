"""Where img2img loses the person: each result's face held against the face of the picture it was made from.

How far two faces of one person may lie apart is measured on this person's own pictures wherever there are some. Only
without them the mark of the embedding's authors stands in: 0.6, for photographs; drawings lie closer together, so there
it notices a loss late or never, and is said to.

The distance grows with blur and with small faces as it does with another person (measured on dlib's embedding, one face
against itself: 0.23 at a blur of 1 pixel, 0.41 at 2; 0.24 at a face of 45 pixels, 0.39 at 30). A face that is beyond
the mark and much blurred or small is therefore not called somebody else but unsure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from orchestrator.vision import Measurement, identity_distance
from orchestrator.vision.model import NO_FACE, NOT_MEASURED

State = Literal["held", "lost", "unsure", "not measured"]

#: dlib's authors: two photographs closer than this show one person (99.38 % on Labeled Faces in the Wild).
AUTHORS_MARK: Final = 0.6
#: Three pictures give three pairs; fewer have no spread worth the name.
FEWEST_PICTURES: Final = 3
#: This share of the pairs of one person must lie within the mark; the rest are turned or half-hidden faces.
OF_THE_PAIRS: Final = 0.95
#: Ten times less variance of the Laplacian than the source's face (its log10 falls by 1) is what a blur of about one
#: pixel does (measured: 862 → 69); from there on the distance to oneself is that of a stranger.
_BLURRED: Final = 1.0
#: Pixels from forehead to chin; see above.
_SMALL_FACE: Final = 45


@dataclass(frozen=True)
class Mark:
    """Up to which distance two faces are taken for one person, and where that comes from."""

    distance: float
    source: str


@dataclass(frozen=True)
class Kept:
    """Whether one result still shows its source's person. `distance` None = not measured, and `why`."""

    state: State
    distance: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Loss:
    """Where the person gets lost on the way from one source: the highest value up to which it always held, and the
    lowest from which on it was always lost; None where there is no such value.
    """

    source: str
    holds_up_to: float | None
    lost_from: float | None
    sentence: str


def mark_of_person(pictures: Sequence[Measurement]) -> Mark:
    """How far apart two pictures of the person may lie, from `pictures` of that person."""
    faces = [(seen.embedding_name, seen.identity) for seen in pictures if seen.identity is not None]
    faces = [face for face in faces if face[0] == faces[0][0]]
    if len(faces) < FEWEST_PICTURES:
        return Mark(
            AUTHORS_MARK,
            f"{AUTHORS_MARK}, the mark of the embedding's authors for photographs, because fewer than "
            f"{FEWEST_PICTURES} pictures of the person are there to compare; on drawings it notices a loss late",
        )
    pairs = sorted(identity_distance(a, b) for (_, a), (_, b) in itertools.combinations(faces, 2) if a != b)
    if not pairs:
        return mark_of_person([])
    own = pairs[math.ceil(OF_THE_PAIRS * len(pairs)) - 1]
    if own >= AUTHORS_MARK:
        return Mark(
            AUTHORS_MARK,
            f"{AUTHORS_MARK}, the mark of the embedding's authors for photographs, because the {len(faces)} pictures "
            f"of the person lie up to {own:.2f} apart themselves",
        )
    return Mark(
        own, f"{own:.2f}, within which {OF_THE_PAIRS:.0%} of the pairs of the person's {len(faces)} pictures lie"
    )


def kept(source: Measurement, result: Measurement, mark: Mark) -> Kept:
    """Whether `result` shows the person of `source`."""
    for one, whose in ((source, "source"), (result, "picture")):
        if one.identity is None and (one is source or one.missing != NO_FACE):
            reason = one.missing.removeprefix(NOT_MEASURED).strip() or "no identity"
            return Kept("not measured", why=f"{whose}: {reason}")
    if result.identity is None or source.identity is None:
        return Kept("lost", why=NO_FACE)
    if source.embedding_name != result.embedding_name:
        return Kept("not measured", why="measured with two different embeddings")
    distance = identity_distance(source.identity, result.identity)
    if distance <= mark.distance:
        return Kept("held", distance)
    blurred = _blurred(source, result)
    return Kept("unsure", distance, blurred) if blurred else Kept("lost", distance)


def where_lost(source: str, by_value: Mapping[float, Sequence[Kept]]) -> Loss:
    """Where on the way of rising values the person is lost, each value decided by the majority of its seeds."""
    verdicts = {value: _majority(found) for value, found in sorted(by_value.items())}
    known = [(value, verdict) for value, verdict in verdicts.items() if verdict != "not measured"]
    if not known:
        whys = [one.why for found in by_value.values() for one in found if one.why]
        return Loss(source, None, None, f"not measured ({whys[0] if whys else 'no picture'})")
    held = [value for value, _ in itertools.takewhile(lambda item: item[1] == "held", known)]
    lost = [value for value, _ in itertools.takewhile(lambda item: item[1] == "lost", reversed(known))]
    holds_up_to, lost_from = (held[-1] if held else None), (lost[-1] if lost else None)
    return Loss(source, holds_up_to, lost_from, _words(known, holds_up_to, lost_from))


def _majority(found: Sequence[Kept]) -> State:
    held, lost = sum(one.state == "held" for one in found), sum(one.state == "lost" for one in found)
    if held == lost:
        return "unsure" if any(one.state != "not measured" for one in found) else "not measured"
    return "held" if held > lost else "lost"


def _words(known: Sequence[tuple[float, State]], holds: float | None, lost: float | None) -> str:
    first, last = known[0][0], known[-1][0]
    if holds == last:
        return f"identity holds up to {last:g}, the highest tried"
    if lost == first:
        return f"identity is lost from {first:g} on, the lowest tried"
    up_to = f"identity holds up to {holds:g}" if holds is not None else f"already in doubt at {first:g}"
    from_ = f"lost from {lost:g}" if lost is not None else f"in doubt up to {last:g}, the highest tried"
    between = [value for value, _ in known if (holds is None or value > holds) and (lost is None or value < lost)]
    return f"{up_to}, {from_}" + (
        f", in doubt between ({', '.join(f'{v:g}' for v in between)})" if lost and between else ""
    )


def _blurred(source: Measurement, result: Measurement) -> str:
    if source.face is None or result.face is None:
        return ""
    if source.face.sharpness - result.face.sharpness >= _BLURRED:
        return "the face is too blurred to tell"
    return "the face is too small to tell" if result.face.box[3] < _SMALL_FACE <= source.face.box[3] else ""
