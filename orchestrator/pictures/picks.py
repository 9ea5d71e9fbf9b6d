"""Picking: copies of chosen pictures in a set of their own, each with everything that is known of it.

A set of picks only grows: nothing in it is written over, and a picture that is in it already is not added twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError, PictureError, WorkspaceError
from orchestrator.files import picture_files, read_json, sha256_file, storage_error, write_bytes, write_json
from orchestrator.pictures.keeping import MANIFEST, file_name
from orchestrator.render.cache import PictureCache
from orchestrator.workspace import Workspace

#: What `made_by` says in the manifest of a set of picks.
MADE_BY = "pick"
_NUMBERED = re.compile(r"\d{4,}\.png")
_NUMBERS = re.compile(r"(\d+)(?:\s*[-–…]\s*(\d+))?")


@dataclass(frozen=True)
class Picked:
    """What a pick did. `added` and `there` pair the file in the set picked from with the one in the set of picks."""

    folder: Path
    added: tuple[tuple[str, str], ...]
    there: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        pairs = {"added": self.added, "there": self.there}
        return {
            "folder": str(self.folder),
            **{name: [{"from": old, "file": new} for old, new in found] for name, found in pairs.items()},
        }


def numbered(folder: Path) -> dict[str, Path]:
    """The pictures of a set by what they are called on its sheet: the number of their file, else the file's name."""
    return {
        str(int(path.stem)) if _NUMBERED.fullmatch(path.name) else path.name: path for path in picture_files(folder)
    }


def choose(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    """What `3 7-9 mine.png` stands for among the names of a sheet, in the order of the set.

    Raises one `InputError` for everything that is not there. Numbers inside a range that were deleted are left out.
    """
    chosen: set[str] = set()
    missing: list[str] = []
    for word in (part for text in wanted for part in text.split(",") if part.strip()):
        numbers = _NUMBERS.fullmatch(word.strip())
        if word.strip() in there:
            chosen.add(word.strip())
        elif numbers and numbers[2]:
            low, high = int(numbers[1]), int(numbers[2])
            within = [name for name in there if name.isdecimal() and low <= int(name) <= high]
            chosen.update(within)
            if not within:
                missing.append(word)
        elif numbers and str(int(numbers[1])) in there:
            chosen.add(str(int(numbers[1])))
        else:
            missing.append(word)
    if missing:
        raise InputError(
            f"There is no picture {', '.join(missing)} in it; it has {_spans(there)}.",
            fix="Look at the numbers on its sheet: orchestrator pictures sheet SET",
        )
    return [name for name in there if name in chosen]


def pick(workspace: Workspace, name: str, wanted: Sequence[str], into: str) -> Picked:
    """Copy the pictures `wanted` of the set `name` into the set `into`, with their manifest entries and proofs.

    Raises `WorkspaceError` when the set is not there or `into` is one that is drawn, `InputError` for numbers it has
    not, `PictureError`, `StorageError`.
    """
    source, target = workspace.picture_set(name), workspace.picture_set(into)
    pictures = numbered(source)
    if not pictures:
        raise WorkspaceError(f"The picture set {name!r} has no pictures.", fix=f"Make it first, or look in {source}.")
    if source == target:
        raise InputError(f"{into!r} is the set you pick from.", fix="Name another set with --into.")
    known = _entries(source)
    kept = read_json(target / MANIFEST)
    if isinstance(kept, dict) and kept.get("made_by") != MADE_BY:
        raise WorkspaceError(
            f"The set {into!r} is drawn, not picked: picks would be taken away when it is made again.",
            fix="Name another set with --into.",
        )
    entries = list(kept.get("pictures", ())) if isinstance(kept, dict) else []
    cache = PictureCache(workspace.cache)
    added: list[tuple[str, str]] = []
    there: list[tuple[str, str]] = []
    free = _free_numbers(target, entries)
    try:
        # What lies there without an entry was put there by hand, or by a pick that was cut off.
        listed = {entry["file"] for entry in entries}
        loose = {sha256_file(path): path.name for path in picture_files(target) if path.name not in listed}
        for number in choose(wanted, list(pictures)):
            path = pictures[number]
            data = path.read_bytes()
            if not data:
                raise PictureError(path, "the file is empty")
            digest = sha256_file(path)
            # By what was picked, not by what lies there: a retouched pick is still that picture.
            old = next((e for e in entries if digest in (e.get("picked_sha256"), e.get("sha256"))), None)
            if old is not None and (target / old["file"]).exists():
                there.append((path.name, old["file"]))
                continue
            file = old["file"] if old is not None else loose.pop(digest, None) or next(free)
            entries = [e for e in entries if e["file"] != file]
            entries.append(
                _carried(known.get(path.name, {}), cache, digest)
                | {"file": file, "sha256": digest, "picked_from": f"{source.name}/{path.name}", "picked_sha256": digest}
            )
            if not (target / file).exists():
                write_bytes(target / file, data)
            added.append((path.name, file))
        if added:
            _write(target, into, entries)
    except OSError as error:
        raise storage_error(error, target) from error
    return Picked(target, tuple(added), tuple(there))


def _write(target: Path, name: str, entries: Sequence[dict[str, Any]]) -> None:
    # `plan` and `drawn_with` belong to sets that are made again from a plan; a set of picks is not.
    ordered = sorted(entries, key=lambda entry: str(entry["file"]))
    head = {"set": name, "made_by": MADE_BY, "plan": "", "drawn_with": {}, "complete": True, "notes": []}
    write_json(target / MANIFEST, {**head, "pictures": ordered})


def _carried(entry: dict[str, Any], cache: PictureCache, digest: str) -> dict[str, Any]:
    """The entry of a picture as it goes with it, with the server's proof as far as the cache still has it."""
    carried = {key: value for key, value in entry.items() if key not in ("file", "sha256")}
    if entry and entry.get("sha256") != digest:
        carried["retouched"] = True
    proof = cache.proof(str(entry["recipe_key"])) if entry.get("recipe_key") and "proof" not in entry else {}
    if proof:
        carried |= {key: proof[key] for key in ("proof", "simulated") if key in proof}
    return carried


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    manifest = read_json(folder / MANIFEST)
    found = manifest.get("pictures", ()) if isinstance(manifest, dict) else ()
    return {entry["file"]: entry for entry in found if isinstance(entry, dict) and "file" in entry}


def _free_numbers(folder: Path, entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    # The number of a pick that was deleted is not given to another picture: a caption may still lie there.
    taken = [path.stem for path in folder.iterdir()] if folder.is_dir() else []
    numbers = [int(stem) for stem in (*taken, *(Path(e["file"]).stem for e in entries)) if stem.isdecimal()]
    index = max(numbers, default=0)
    while True:
        yield file_name(index)
        index += 1


def _spans(names: Sequence[str]) -> str:
    """`1-4, 6, mine.png`"""
    numbers = sorted(int(name) for name in names if name.isdecimal())
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    words = [str(low) if low == high else f"{low}-{high}" for low, high in spans]
    return ", ".join([*words, *(name for name in names if not name.isdecimal())])
