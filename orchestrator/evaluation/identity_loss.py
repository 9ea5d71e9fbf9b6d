"""Where img2img loses the person: each result's face held against the face of the picture it was made from.

A distance of two embeddings means nothing alone: on drawings all are small, and redrawing, blur and small faces raise
them as another person does (measured on dlib's embedding, one face against itself: 0.23 at a blur of 1 pixel, 0.41 at
2; 0.24 at a face of 45 pixels, 0.39 at 30). So a result is held against two faces: its source's, and the one that the
same prompt and seed draw without any source. What raises the distance raises both. In this order:

    beyond 0.6 from its source    lost: the mark of the embedding's authors, for photographs
    as near as the person's own   held: within what 95 % of the pairs of the person's pictures are apart (from 3 on)
    nearer to the prompt's face   lost: it is on its way to somebody else, and past the middle
    nearer to its source          held

Where the prompt alone draws the same person (a LoRA of it), or no face, the last two say nothing: unsure.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from orchestrator.vision import Measurement, identity_distance
from orchestrator.vision.model import NO_FACE, NOT_MEASURED
from orchestrator.vision.person import AUTHORS_MARK

State = Literal["held", "lost", "unsure", "not measured"]

#: Ten times less variance of the Laplacian than the source's face (its log10 falls by 1) is what a blur of about one
#: pixel does (measured: 862 → 69); from there on a distance is that of a stranger.
_BLURRED: Final = 1.0
#: Pixels from forehead to chin; see above.
_SMALL_FACE: Final = 45


@dataclass(frozen=True)
class Kept:
    """Whether one result still shows its source's person. `distance` is to the source, `to_prompt` to the face that the
    prompt draws alone; None = not measured, and `why`.
    """

    state: State
    distance: float | None = None
    to_prompt: float | None = None
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


def kept(source: Measurement, result: Measurement, alone: Measurement | None, own: float | None) -> Kept:
    """Whether `result` shows the person of `source`.

    `alone`: the picture of the same prompt and seed without a source; `own`: what the person's own
    pictures are apart (`own_spread`).
    """
    if source.identity is None:
        return Kept("not measured", why=f"its source: {_reason(source)}")
    if result.identity is None:
        return Kept("lost", why=NO_FACE) if result.missing == NO_FACE else Kept("not measured", why=_reason(result))
    if source.embedding_name != result.embedding_name:
        return Kept("not measured", why="measured with two different embeddings")
    distance = identity_distance(source.identity, result.identity)
    far = to_prompt = None
    if alone is not None and alone.identity is not None and alone.embedding_name == source.embedding_name:
        far = identity_distance(source.identity, alone.identity)
        to_prompt = identity_distance(result.identity, alone.identity)
    if distance <= AUTHORS_MARK:
        if own is not None and distance <= own:
            return Kept("held", distance, to_prompt)
        if far is None or to_prompt is None:
            return Kept("unsure", distance, None, "the prompt alone draws no face to compare with")
        if own is not None and far <= own:
            return Kept("unsure", distance, to_prompt, "the prompt alone draws the same face")
        if distance <= to_prompt:
            return Kept("held", distance, to_prompt)
    spoilt = _spoilt(source, result)
    return Kept("unsure" if spoilt else "lost", distance, to_prompt, spoilt)


def how_told(own: float | None) -> str:
    """How lost and held are told apart, in a sentence."""
    near = f", or within what its own pictures are apart ({own:.2f})" if own is not None else ""
    return (
        f"Held: nearer to its source{near}. Lost: nearer to the face that the prompt draws without a source, or beyond "
        f"{AUTHORS_MARK}, dlib's mark for photographs."
    )


def where_lost(source: str, by_value: Mapping[float, Sequence[Kept]]) -> Loss:
    """Where on the way of rising values the person is lost, each value decided by the majority of its seeds."""
    verdicts = {value: _majority(found) for value, found in sorted(by_value.items())}
    known = [(value, verdict) for value, verdict in verdicts.items() if verdict != "not measured"]
    if not known:
        whys = [one.why for found in by_value.values() for one in found if one.why]
        return Loss(source, None, None, f"identity was not measured ({whys[0] if whys else 'no picture'})")
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
    between = [
        f"{value:g}" for value, _ in known if (holds is None or value > holds) and (lost is None or value < lost)
    ]
    parts = [f"holds up to {holds:g}"] if holds is not None else []
    if between:
        parts.append(f"is in doubt at {', '.join(between)}")
    if lost is not None:
        parts.append(f"{'' if parts else 'is '}lost from {lost:g}")
    said = f"identity {', '.join(parts)}"
    return said if between or (holds is not None and lost is not None) else f"{said}, the {_end(holds)} tried"


def _end(holds: float | None) -> str:
    return "highest" if holds is not None else "lowest"


def _spoilt(source: Measurement, result: Measurement) -> str:
    if source.face is None or result.face is None:
        return ""
    if source.face.sharpness - result.face.sharpness >= _BLURRED:
        return "the face is too blurred to tell"
    return "the face is too small to tell" if result.face.box[3] < _SMALL_FACE <= source.face.box[3] else ""


def _reason(seen: Measurement) -> str:
    return seen.missing.removeprefix(NOT_MEASURED).strip().rstrip(".") or "no identity"
