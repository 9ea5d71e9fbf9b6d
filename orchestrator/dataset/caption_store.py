"""Captions of single pictures, kept in the workspace by the picture's content: `captions.json`.

A picture may be renamed, imported again or used by a later version and keeps its caption. Files of the user's own
beside a picture are read and never written; what replaces one is kept here, for as long as that file stays as it was.
Braces (`{trigger}`) are kept as such, so that the next version's pictures get the next version's trigger.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.dataset.model import DatasetPicture
from orchestrator.errors import WorkspaceError
from orchestrator.files import read_json, write_json
from orchestrator.tagging.tags import FRAMINGS, TAG_NAMES
from orchestrator.workspace import Workspace

_FORMAT = 1
#: Where a template says that a picture's own words go; without it they go to the end.
WORDS = "{tags}"
_FRAMING_WORDS = frozenset(
    name.replace("_", " ") for expects, names in TAG_NAMES.items() if expects in FRAMINGS for name in names
)


@dataclass(frozen=True)
class Kept:
    """What is kept of one picture. `words` are added to its group's template; `caption`, when not empty, stands in
    place of template and file, as long as the file beside the picture still says `instead_of`.
    """

    words: tuple[str, ...] = ()
    caption: str = ""
    instead_of: str = ""

    @property
    def is_empty(self) -> bool:
        return not self.words and not self.caption


def read(workspace: Workspace) -> dict[str, Kept]:
    """The kept captions by the sha256 of their pictures. Raises `WorkspaceError` for a file that was damaged by hand:
    going on without it would train with other captions than were written.
    """
    path = workspace.captions
    values = read_json(path)
    if values is None and not path.exists():
        return {}
    try:
        if values["format"] != _FORMAT:
            raise WorkspaceError(f"{path} was written by a newer orchestrator.", fix="Update this one.")
        return {
            str(sha256): Kept(
                tuple(map(str, one.get("words", ()))), str(one.get("caption", "")), str(one.get("instead_of", ""))
            )
            for sha256, one in values["pictures"].items()
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise WorkspaceError(
            f"{path} cannot be read.",
            cause="It was changed by hand into something else than JSON of its kind.",
            fix=f"Correct it, put {workspace.captions_before.name} in its place, or delete it.",
        ) from error


def write(workspace: Workspace, kept: Mapping[str, Kept]) -> None:
    """Keep captions; the last state goes to `captions.before.json`. Raises `StorageError`."""
    if workspace.captions.exists():
        write_json(workspace.captions_before, read_json(workspace.captions))
    pictures = {
        sha256: {
            name: value
            for name, value in (("words", list(one.words)), ("caption", one.caption), ("instead_of", one.instead_of))
            if value
        }
        for sha256, one in sorted(kept.items())
        if not one.is_empty
    }
    write_json(workspace.captions, {"format": _FORMAT, "pictures": pictures})


def compose(template: str, beside: str | None, kept: Kept) -> str:
    """The caption of one picture: what is kept of it, else the file beside it, else the group's template with the
    picture's words. Where the template names a framing, a tagger's word for another one (`upper body` in a close-up) is
    left out: it would contradict the group.
    """
    if kept.caption and kept.instead_of == (beside or ""):
        return kept.caption
    if beside is not None:
        return beside
    has = {part.strip().casefold() for part in template.split(",")}
    if has & _FRAMING_WORDS:
        has |= _FRAMING_WORDS
    words = [word for word in kept.words if word.casefold() not in has]
    if WORDS in template:
        return tidy(template.replace(WORDS, ", ".join(words)))
    return ", ".join([template, *words])


def tidy(text: str) -> str:
    """`text` without the doubled or outer commas that an empty place leaves."""
    parts = [part.strip() for part in text.split(",")]
    return ", ".join(part for part in parts if part)


def with_words(caption: str, words: Sequence[str], *, first: bool = False, fill: Callable[[str], str] = str) -> str:
    """`caption` with further words at its end, or as its `first`; those it has stay where they are.

    `fill` puts in what braces stand for, so that `{trigger}` and the trigger itself are one word.
    """
    have = {part.strip().casefold() for part in fill(caption).split(",")}
    new = list(dict.fromkeys(word for word in words if fill(word).casefold() not in have))
    if not new:
        return caption
    return ", ".join([*new, caption] if first else [caption, *new])


def replace_words(caption: str, old: str, new: str) -> str:
    """`caption` with every whole `old` made `new` (letters' case does not matter); an empty `new` takes it out with its
    comma. `red` does not touch `red hair` nor `tired`: a word of a caption ends at a comma, unless `old` is given as a
    part of one with `*` at its ends (`*red*`).
    """
    if "*" in old:
        pattern = re.compile(re.escape(old.strip("*")), re.IGNORECASE)
        return tidy(pattern.sub(lambda _: new, caption))
    parts = [part.strip() for part in caption.split(",")]
    return tidy(", ".join(new if part.casefold() == old.strip().casefold() else part for part in parts))


def changed(
    pictures: Sequence[DatasetPicture], kept: Mapping[str, Kept], change: Callable[[str], str]
) -> tuple[dict[str, Kept], list[tuple[DatasetPicture, str]]]:
    """(what is kept after `change` was made to every picture's caption, braces unfilled; the pictures whose caption it
    changes, with the new one). Writes nothing.
    """
    after = dict(kept)
    seen: list[tuple[DatasetPicture, str]] = []
    for picture in pictures:
        if picture.caption_problem:
            continue
        new = change(picture.caption_template)
        if new == picture.caption_template or not new:
            continue
        own = after.get(picture.sha256, Kept())
        after[picture.sha256] = Kept(own.words, new, picture.caption_beside or "")
        seen.append((picture, new))
    return after, seen


def to_dict(pictures: Sequence[DatasetPicture]) -> list[dict[str, Any]]:
    """The captions of pictures as plain values for JSON."""
    return [
        {"group": p.group, "file": p.path.name, "sha256": p.sha256, "caption": p.caption, "from": p.caption_from}
        for p in pictures
    ]
