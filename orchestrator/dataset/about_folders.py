"""What else lies where the pictures come from: files still being written, kinds that are not read, names that clash."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.dataset.model import DatasetPicture, Finding
from orchestrator.dataset.view import many
from orchestrator.files import PICTURE_SUFFIXES

#: Endings that browsers, sync programs and our own writer give to files that are not whole yet.
_UNFINISHED = (".tmp", ".crdownload", ".part", ".partial", ".download", ".opdownload", ".!sync", ".icloud", "~")
_OTHER_KINDS = frozenset({".gif", ".tif", ".tiff", ".avif", ".jxl", ".heic", ".heif", ".psd", ".jfif", ".svg", ".mp4"})
_SHOWN = 4


def look(pictures: Sequence[DatasetPicture]) -> list[Finding]:
    """The findings about the folders these pictures lie in. Reads their listings, and no file."""
    folders: dict[Path, str] = {}
    for picture in pictures:
        folders.setdefault(picture.path.parent, picture.group)
    return [finding for folder, group in folders.items() for finding in _look(folder, group)]


def _look(folder: Path, group: str) -> Iterator[Finding]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Finding(
            "warning", "folder", group, f"{folder} cannot be listed ({error.strerror or error})",
            "what else lies there is not known", "give yourself the right to read it",
        )  # fmt: skip
        return
    # Something may go away while it is looked at; then it is nothing to speak of.
    names = [entry.name for entry in entries]
    unfinished = [name for name in names if name.lower().endswith(_UNFINISHED)]
    if unfinished:
        yield Finding(
            "warning",
            "unfinished",
            group,
            f"{many(len(unfinished), 'file')} in {folder.name} not whole yet: {_some(unfinished)}",
            "a download or a sync is under way, or was broken off; those pictures are missing",
            "wait until it is done, or delete them; then run the same command again",
            tuple(unfinished),
        )
    other = [name for name in names if Path(name).suffix.lower() in _OTHER_KINDS]
    if other:
        yield Finding(
            "warning",
            "other kinds",
            group,
            f"{many(len(other), 'file')} in {folder.name} of a kind that is not trained on: {_some(other)}",
            "they are left out",
            f"save them as PNG ({', '.join(sorted(PICTURE_SUFFIXES))} are read), or move them away",
            tuple(other),
        )
    stems: dict[str, list[str]] = {}
    for name in names:
        path = Path(name)
        if path.suffix.lower() in PICTURE_SUFFIXES and not name.startswith("."):
            stems.setdefault(path.stem.casefold(), []).append(name)
    for same in stems.values():
        if len(same) > 1:
            yield Finding(
                "warning",
                "one stem",
                group,
                f"{' and '.join(same)} in {folder.name} differ in their ending alone",
                "both are trained on with the same caption file, and sd-scripts would mix up their latents; the build "
                "gives each a name of its own",
                "remove one of them if they are the same picture",
                tuple(same),
            )


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
