"""What lies in a picture set's folder, and what a person has done to it since it was made.

The picture at place k of the plan is always the file k+1 (`0001.png` for the first), whatever happened to the others:
captions beside the pictures stay with them. What a person retouched or deleted is left so for as long as the plan asks
for the same picture there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.files import read_json, replace, sha256_file, storage_error, write_bytes, write_json

MANIFEST = "manifest.json"
#: Retouched pictures the plan has moved on from; as a folder of its own, nothing is varied from it or trained on.
RETOUCHED = "retouched"

#: What the manifest says of one picture: file, sha256, recipe_key, recipe, seed, source, …
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Before:
    """What the last manifest of a set says; everything empty when there is none."""

    plan: str = ""
    drawn_with: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = False
    notes: tuple[str, ...] = ()
    pictures: Mapping[str, Entry] = field(default_factory=dict)


def read_before(folder: Path) -> Before:
    """What was made at `folder`. Raises `StorageError`."""
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict):
        return Before()
    entries = [entry for entry in manifest.get("pictures", ()) if isinstance(entry, dict)]
    return Before(
        plan=str(manifest.get("plan", "")),
        drawn_with=manifest.get("drawn_with") or {},
        complete=bool(manifest.get("complete")),
        notes=tuple(manifest.get("notes", ())),
        pictures={entry["file"]: entry for entry in entries if "file" in entry and "sha256" in entry},
    )


def standing(folder: Path, before: Before, planned: Sequence[Entry], *, same_plan: bool) -> list[Entry | None]:
    """For each picture of the plan the entry that goes on standing: it is there already, or a person deleted it.

    None = it has to be made (or copied again). An entry of a file that a person retouched says `"retouched": True`
    and has the sha256 of what they made. Raises `StorageError`.
    """
    try:
        return [
            _standing(folder / file_name(index), before.pictures.get(file_name(index)), wanted, same_plan)
            for index, wanted in enumerate(planned)
        ]
    except OSError as error:
        raise storage_error(error, folder) from error


def write_set(
    folder: Path, before: Before, pictures: Sequence[tuple[Entry | None, Path | None]], head: Mapping[str, Any]
) -> tuple[str, ...]:
    """Write a set: for each picture of the plan its entry (None = it could not be made) and the file to copy (None =
    what lies there stays). `head` is the manifest without its pictures.

    Files that are the same already are not written again. Returns a sentence for each retouched picture that had to
    give way; they stand in the manifest's `notes` too. Raises `StorageError`.
    """
    notes: list[str] = []
    listed: dict[str, Entry] = {}
    try:
        for index, (entry, data) in enumerate(pictures):
            file = file_name(index)
            if entry is not None and data is not None:
                listed[file] = {"file": file, **entry, "sha256": _copy(data, folder / file, before, notes)}
            elif entry is not None:
                listed[file] = entry
        # What an earlier plan made and this one does not would silently get into the dataset.
        for file in before.pictures:
            path = folder / file
            if file not in listed and path.is_file():
                if _by_hand(path, before.pictures[file]):
                    notes.append(_set_aside(path))
                else:
                    path.unlink()
        manifest = {**head, "notes": [*head["notes"], *notes], "pictures": list(listed.values())}
        if read_json(folder / MANIFEST) != manifest:
            write_json(folder / MANIFEST, manifest)
    except OSError as error:
        raise storage_error(error, folder) from error
    return tuple(notes)


def file_name(index: int) -> str:
    """The file of the picture at `index` (from 0) of the plan."""
    return f"{index + 1:04d}.png"


def _standing(path: Path, old: Entry | None, wanted: Entry, same_plan: bool) -> Entry | None:
    if old is None:
        return None
    same_place = same_plan and all(old.get(key) == wanted[key] for key in ("seed", "source"))
    if not path.exists():
        return old if same_place or _same_picture(old, wanted, same_place) else None
    # An empty file is what a power cut leaves of one.
    if path.stat().st_size == 0 or not _same_picture(old, wanted, same_place):
        return None
    if _by_hand(path, old):
        return {**old, "sha256": sha256_file(path), "retouched": True}
    return old if wanted["recipe_key"] else None


def _same_picture(old: Entry, wanted: Entry, same_place: bool) -> bool:
    if wanted["recipe_key"] is None:
        source = wanted["source_sha256"]
        return (
            old.get("recipe_key") is None
            and old.get("source") == wanted["source"]
            and old.get("source_sha256", source) == source
        )
    if old.get("recipe_key") == wanted["recipe_key"]:
        return True
    # The same plan gives other keys after an update of the webui; that is no reason to draw a half-made set anew. It
    # also gives them once a source can be straightened that could not be before; that is one.
    before, now = old.get("recipe") or {}, wanted["recipe"]
    return same_place and before.get("init_sha256") == now["init_sha256"]


def _by_hand(path: Path, old: Entry | None) -> bool:
    return path.stat().st_size > 0 and (old is None or bool(old.get("retouched")) or sha256_file(path) != old["sha256"])


def _copy(data: Path, path: Path, before: Before, notes: list[str]) -> str:
    content = data.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if path.is_file():
        if sha256_file(path) == digest:
            return digest
        if _by_hand(path, before.pictures.get(path.name)):
            notes.append(_set_aside(path))
    # Its bytes lie in the cache, or in the source set, as well.
    write_bytes(path, content, durable=False)
    return digest


def _set_aside(path: Path) -> str:
    """Move a person's picture into `retouched/` under a free name, and say so."""
    folder = path.parent / RETOUCHED
    folder.mkdir(exist_ok=True)
    kept, number = folder / path.name, 2
    while kept.exists():
        kept, number = folder / f"{path.stem} {number}{path.suffix}", number + 1
    replace(path, kept)
    return (
        f"{path.name} was made or retouched by hand, and the plan asks for another picture there: yours is kept as "
        f"{RETOUCHED}/{kept.name}"
    )
