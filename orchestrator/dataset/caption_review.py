"""Captions edited on the review page, taken into the workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.dataset.caption_page import FORMAT
from orchestrator.dataset.caption_store import Kept, tidy
from orchestrator.dataset.captions import one_line
from orchestrator.dataset.model import DatasetPicture
from orchestrator.errors import InputError
from orchestrator.files import storage_error

#: A caption is a line; anything near this size is not one.
_LONGEST = 20_000


@dataclass(frozen=True)
class Edit:
    """One caption as the page gives it: what it `was` when the page was written, and what it shall be."""

    sha256: str
    name: str
    was: str
    caption: str


@dataclass(frozen=True)
class Applied:
    """What is `kept` afterwards, which pictures `changed` (with the new caption, braces unfilled), and a sentence for
    each edit that was refused.
    """

    kept: dict[str, Kept]
    changed: tuple[tuple[DatasetPicture, str], ...]
    refused: tuple[str, ...]


def read_edits(path: Path) -> list[Edit]:
    """The edits of a downloaded file. Raises `InputError` for another file, `StorageError`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
        if value["format"] != FORMAT:
            raise InputError(f"{path} was written by another version of the page.", fix="Write the page anew.")
        return [
            Edit(str(one["sha256"]), f"{one['group']}/{one['file']}", str(one["was"]), str(one["caption"]))
            for one in value["captions"]
        ]
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", fix="Browsers put it into the folder of downloads.") from None
    except OSError as error:
        raise storage_error(error, path) from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path} does not hold captions of the review page.",
            fix="Write the page with `orchestrator dataset caption review` and download them there.",
        ) from error


def apply(edits: Sequence[Edit], pictures: Sequence[DatasetPicture], kept: Mapping[str, Kept]) -> Applied:
    """Apply edits to the captions of pictures. Writes nothing."""
    after = dict(kept)
    by_content = {picture.sha256: picture for picture in pictures if picture.sha256}
    changed: list[tuple[DatasetPicture, str]] = []
    refused: list[str] = []
    for edit in edits:
        picture = by_content.get(edit.sha256)
        new = tidy(one_line(edit.caption))
        if picture is None:
            refused.append(f"{edit.name} is not in the dataset any more.")
        elif picture.caption_template != edit.was:
            if picture.caption_template != new:
                refused.append(f"{edit.name} has another caption by now: {picture.caption_template!r}.")
        elif not new:
            refused.append(f"{edit.name} would have no caption; sd-scripts stops at an empty one.")
        elif len(new) > _LONGEST:
            refused.append(f"{edit.name} would have a caption of {len(new)} letters.")
        elif new != picture.caption_template:
            own = after.get(picture.sha256, Kept())
            after[picture.sha256] = Kept(own.words, new, picture.caption_beside or "")
            changed.append((picture, new))
    return Applied(after, tuple(changed), tuple(refused))
