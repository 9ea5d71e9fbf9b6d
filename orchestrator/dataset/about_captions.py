"""What the captions leave to the trigger word, as far as a tagger has looked at the pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.dataset.model import Finding
from orchestrator.dataset.tag_words import NAMED_FROM, UNNAMED_UP_TO, Shared, shared_things
from orchestrator.dataset.view import Measured

_WORDS = {"outfit": "outfit", "place": "place"}


def of_all(
    pictures: Sequence[Measured], tags: Mapping[str, Mapping[str, float]], seen_from: float
) -> Iterator[Finding]:
    """The findings; `tags` are those of each picture by its sha256, `seen_from` when a tag counts as seen (0…1)."""
    known = [(one.picture.caption, tags.get(one.picture.sha256)) for one in pictures]
    for thing in shared_things(known, seen_from=seen_from):
        if thing.kind == "person":
            if thing.share_named >= NAMED_FROM:
                yield _trait(thing)
        elif thing.share_named <= UNNAMED_UP_TO:
            yield _locked(thing)
        elif thing.share_named < NAMED_FROM:
            yield _partly(thing)
        else:
            yield _flexible(thing)


def _seen(thing: Shared) -> str:
    return f'"{thing.words}" is seen in {thing.seen} of {thing.looked} pictures and named in {thing.named} captions'


def _locked(thing: Shared) -> Finding:
    return Finding(
        "locked in",
        f"unnamed {thing.kind}",
        "",
        _seen(thing),
        f"the trigger alone will call up this {_WORDS[thing.kind]}, and other prompts will hardly get rid of it",
        f'name it where it is seen (`orchestrator dataset caption add "{thing.words}"`), or add pictures without it',
    )


def _partly(thing: Shared) -> Finding:
    return Finding(
        "warning",
        f"unnamed {thing.kind}",
        "",
        _seen(thing),
        f"the trigger takes a part of this {_WORDS[thing.kind]} along",
        "name it in the other captions too",
    )


def _flexible(thing: Shared) -> Finding:
    return Finding(
        "note", f"named {thing.kind}", "", _seen(thing), "it stays flexible: named, it can be asked for or left out", ""
    )


def _trait(thing: Shared) -> Finding:
    return Finding(
        "note",
        "named trait",
        "",
        _seen(thing),
        "a trait of the person that is named has to be prompted for later; unnamed, the trigger brings it",
        f'take it out (`orchestrator dataset caption replace "{thing.words}" ""`), unless it shall stay changeable',
    )
