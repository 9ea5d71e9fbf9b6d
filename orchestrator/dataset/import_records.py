"""What was imported and when: a record for each import and group, and the way back.

A record is `imported/<group>/records/<number>.json`. Pictures that an import took the place of lie in a folder of its
number beside it, so that nothing of them is trained on and nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.files import read_json, replace, sha256_file, storage_error, write_json
from orchestrator.workspace import Workspace

#: The folder of the records, beside the imported pictures; as a folder of its own nothing in it is trained on.
RECORDS = "records"


@dataclass(frozen=True)
class Undone:
    """What undoing an import did. `kept` were changed since, so they stay; `back` are those it had taken the
    place of.
    """

    number: str
    removed: tuple[Path, ...]
    kept: tuple[Path, ...]
    back: tuple[Path, ...] = ()


def put_aside(folder: Path, number: str, file: str) -> None:
    """Move the imported picture `file` with its caption out of the group `folder`, for as long as the import `number`
    lasts. Raises `StorageError`.
    """
    place = folder / RECORDS / number
    try:
        place.mkdir(parents=True, exist_ok=True)
        for path in (folder / file, (folder / file).with_suffix(".txt")):
            if path.is_file():
                replace(path, place / path.name)
    except OSError as error:
        raise storage_error(error, folder) from error


def _bring_back(folder: Path, number: str, file: str) -> bool:
    place = folder / RECORDS / number
    if not (place / file).is_file() or (folder / file).exists():
        return False
    try:
        for path in (place / file, (place / file).with_suffix(".txt")):
            if path.is_file():
                replace(path, folder / path.name)
        if not any(place.iterdir()):
            place.rmdir()
    except OSError as error:
        raise storage_error(error, folder) from error
    return True


def undo(workspace: Workspace, number: str = "") -> Undone:
    """Take back the import `number` (the newest without one): its copies go, unless they were changed since.

    Raises `InputError` when there is no such import.
    """
    known = imports(workspace)
    chosen = number or max(known, default="")
    if chosen not in known:
        raise InputError(
            f"There is no import {number!r}." if number else "Nothing was imported yet.",
            fix=f"There are: {', '.join(sorted(known))}." if known else "",
        )
    removed, kept, back = [], [], []
    for record in known[chosen]:
        folder = record.parent.parent
        left = []
        for entry in entries(record):
            path = folder / entry["file"]
            if not path.is_file():
                continue
            if sha256_file(path) != entry["sha256"] or _caption_changed(path, entry):
                kept.append(path)
                left.append(entry)
                continue
            for file in (path, path.with_suffix(".txt")):
                try:
                    file.unlink(missing_ok=True)
                except OSError as error:
                    raise storage_error(error, file) from error
            removed.append(path)
            if (old := str(entry.get("instead_of", ""))) and _bring_back(folder, chosen, Path(old).name):
                back.append(folder / Path(old).name)
        if left:
            write_json(record, {"import": chosen, "pictures": left})
        else:
            record.unlink(missing_ok=True)
    return Undone(chosen, tuple(removed), tuple(kept), tuple(back))


def imports(workspace: Workspace) -> dict[str, list[Path]]:
    """The imports that can be taken back: number → its records, one for every group."""
    found: dict[str, list[Path]] = {}
    for record in sorted(workspace.imported("").glob(f"*/{RECORDS}/*.json")):
        found.setdefault(record.stem, []).append(record)
    return found


def origins(folder: Path) -> dict[str, dict[str, Any]]:
    """What the records of an imported group say of each file, by its name."""
    return {entry["file"]: entry for record in sorted(folder.glob(f"{RECORDS}/*.json")) for entry in entries(record)}


def entries(record: Path) -> list[dict[str, Any]]:
    """The pictures of one import's record."""
    values = read_json(record)
    listed = values.get("pictures") if isinstance(values, dict) else None
    if not isinstance(listed, list):
        return []
    # The file name is taken as a name only: a record from elsewhere must not reach out of the folder.
    return [
        entry
        for entry in listed
        if isinstance(entry, dict) and isinstance(entry.get("file"), str) and Path(entry["file"]).name == entry["file"]
    ]


def _caption_changed(path: Path, entry: dict[str, Any]) -> bool:
    beside_it = path.with_suffix(".txt")
    now = beside_it.read_text(encoding="utf-8", errors="replace").strip() if beside_it.is_file() else None
    return bool(now != entry.get("caption"))
