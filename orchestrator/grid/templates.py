"""Prompts from templates: which words an axis may change, and what stands there in each cell.

A phrase is found once, in the prompt as it was written, as a whole and never inside a <lora:…> tag or a {placeholder};
what an axis puts in its place is never searched again. So no value can hit the words of another axis, which plain
search and replace does.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.grid.prompts import take_out
from orchestrator.render.recipe import number

#: Tags and placeholders: a phrase may hold whole placeholders, but none is ever cut.
_TAG = re.compile(r"<[^<>]*>")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


class Collision(ValueError):
    """Two axes would change the same words; the text says which."""


@dataclass(frozen=True)
class Phrase:
    """Words an axis changes. With `weighted` the value is their weight, else what takes their place."""

    axis: str
    words: str
    weighted: bool = False


@dataclass(frozen=True)
class Template:
    """A prompt as texts and slots between them: a slot is the phrase whose axis fills it."""

    pieces: tuple[str | Phrase, ...]

    @property
    def phrases(self) -> frozenset[Phrase]:
        """The phrases that occur."""
        return frozenset(piece for piece in self.pieces if isinstance(piece, Phrase))

    def filled(self, values: Mapping[str, str]) -> str:
        """The prompt with each axis' value (by axis name) in its slots. A phrase replaced by nothing takes its comma
        with it.
        """
        parts: list[str | None] = []
        empty = False
        for piece in self.pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            value = values[piece.axis]
            if piece.weighted:
                weight = number(float(value))
                parts.append(piece.words if weight == "1" else f"({piece.words}:{weight})")
            else:
                empty = empty or not value
                parts.append(value or None)
        return take_out(parts) if empty else "".join(part or "" for part in parts)


def template(text: str, phrases: Sequence[Phrase]) -> Template:
    """`text` with slots where the phrases stand. Raises `Collision` where two of them want the same words."""
    places: list[tuple[int, int, Phrase]] = []
    tags = [match.span() for match in _TAG.finditer(text)]
    holders = [match.span() for match in _PLACEHOLDER.finditer(text)]
    for phrase in phrases:
        for start, end in _found(text, phrase):
            inside = any(start < b and a < end for a, b in tags)
            cuts = any((a < start < b) or (a < end < b) for a, b in holders)
            if not inside and not cuts:
                places.append((start, end, phrase))
    places.sort(key=lambda place: place[:2])
    for (_, end, one), (start, _, other) in itertools.pairwise(places):
        if start < end:
            raise Collision(f"{one.axis!r} and {other.axis!r} both change the words {_longer(one, other)!r}")
    pieces: list[str | Phrase] = []
    at = 0
    for start, end, phrase in places:
        pieces += [text[at:start], phrase]
        at = end
    return Template(tuple(piece for piece in (*pieces, text[at:]) if piece))


def _found(text: str, phrase: Phrase) -> list[tuple[int, int]]:
    words = re.escape(phrase.words)
    # Whole words: `hair` is not found in `hairband`. A phrase that begins or ends with a bracket has no such edge.
    before = r"(?<!\w)" if phrase.words[:1].isalnum() or phrase.words[:1] == "_" else ""
    after = r"(?!\w)" if phrase.words[-1:].isalnum() or phrase.words[-1:] == "_" else ""
    whole = f"{before}{words}{after}"
    if phrase.weighted:
        # Emphasis that is there already is replaced, not wrapped once more.
        whole = rf"(?<!\\)\({whole}\s*:\s*[\d.]+\s*\)|{whole}"
    return [match.span() for match in re.finditer(whole, text)]


def _longer(one: Phrase, other: Phrase) -> str:
    return max(one.words, other.words, key=len)
