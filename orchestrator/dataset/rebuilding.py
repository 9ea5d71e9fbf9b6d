"""A version's dataset once more, bit for bit, from its manifest alone.

The manifest names every picture by its content. Its bytes are looked for where they were taken from, in the picture
sets, among imported pictures, in the cache and in the datasets of other versions.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.dataset import on_disk
from orchestrator.dataset.building import as_trained, take_place, write_config
from orchestrator.dataset.lineage import describe
from orchestrator.errors import DatasetError, PictureError, Problem, WorkspaceError
from orchestrator.files import PICTURE_SUFFIXES, sha256_file, storage_error, write_bytes, write_json, write_text
from orchestrator.render.cache import PictureCache
from orchestrator.workspace import Workspace


@dataclass(frozen=True)
class Rebuilt:
    """A dataset as it is on disk now. `made` is False when it was there already, whole. `notes` are for the user."""

    folder: Path
    pictures: int
    made: bool
    notes: tuple[str, ...] = ()


def rebuild(workspace: Workspace, version: str, manifest_path: Path | None = None) -> Rebuilt:
    """Make the dataset of `version` again exactly as its manifest says: its own, else the copy in the newest run that
    trained on it, or the one `manifest_path` names.

    What lies there and was changed by hand is kept under another name. Raises `DatasetError` naming every picture whose
    bytes are nowhere any more, with how it came to be; `WorkspaceError` without a manifest; `StorageError`.
    """
    folder = workspace.dataset(version)
    manifest = on_disk.manifest_at(manifest_path) if manifest_path else on_disk.manifest_of_version(workspace, version)
    if manifest is None:
        raise WorkspaceError(
            f"{manifest_path} is no manifest of a dataset."
            if manifest_path
            else f"There is no manifest of the dataset {version}, and no training run holds a copy.",
            fix="Name a copy of it with --manifest; the folder of a run that trained on it holds one "
            f"({on_disk.RUN_COPY}).",
        )
    state = on_disk.look(folder)
    if state.stranger:
        raise DatasetError(
            f"{folder} was not made by orchestrator, so it is not replaced.",
            fix="Move it elsewhere, then run it again.",
        )
    count = len(manifest["pictures"])
    if state.fingerprint == manifest["fingerprint"] and not state.changed:
        return Rebuilt(folder, count, made=write_config(folder, folder, manifest))
    found = _find(workspace, manifest["pictures"])
    missing = [
        Problem(str(entry["file"]), f"its bytes are nowhere any more; it was {describe(entry)}")
        for entry in manifest["pictures"]
        if entry["sha256"] not in found
    ]
    if missing:
        listed = "\n".join(f"  {problem}" for problem in missing)
        raise DatasetError(
            f"{version} cannot be rebuilt, {len(missing)} of {count} pictures are missing:\n{listed}",
            fix="Put the files back where they were, or make their picture sets again, then run the same command.",
        )
    beside = folder.with_name(f".{folder.name}.rebuilding")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        for entry in manifest["pictures"]:
            write_bytes(beside / _inside(entry), found[entry["sha256"]](), durable=False)
            write_text((beside / _inside(entry)).with_suffix(".txt"), f"{entry['caption']}\n", durable=False)
        write_config(beside, folder, manifest)
        write_json(beside / on_disk.MANIFEST, manifest)
        notes = take_place(beside, folder, state)
    except OSError as error:
        raise storage_error(error, folder) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Rebuilt(folder, count, made=True, notes=notes)


def _inside(entry: dict[str, Any]) -> Path:
    file = Path(entry["file"])
    # A manifest may come from elsewhere: it names `group/picture`, nothing above and nothing absolute.
    if file.is_absolute() or len(file.parts) != 2 or ".." in file.parts:
        raise DatasetError(f"The manifest names a file outside its folder: {entry['file']}.")
    return file


class _Bytes:
    """The bytes of one picture as they are trained on, read when they are needed."""

    def __init__(self, path: Path, *, converted: bool, mask: Path | None = None) -> None:
        self._path, self._converted, self._mask = path, converted, mask

    def __call__(self) -> bytes:
        return as_trained(self._path, self._mask) if self._converted else self._path.read_bytes()


def _find(workspace: Workspace, entries: list[dict[str, Any]]) -> dict[str, _Bytes]:
    """Where the bytes of each picture are, by their sha256. Looks no further than it must."""
    # What a picture was taken from, as bytes → what it is trained as; the two differ where it had to be converted.
    taken_from = {entry["from"]["sha256"]: entry["sha256"] for entry in entries if entry.get("from")}
    masks = {entry["sha256"]: entry["from"] for entry in entries if (entry.get("from") or {}).get("mask")}
    wanted = {entry["sha256"] for entry in entries}
    found: dict[str, _Bytes] = {}
    for path in _candidates(workspace, entries):
        if len(found) == len(wanted):
            break
        try:
            digest = sha256_file(path)
        except OSError:
            continue
        if digest in wanted:
            found.setdefault(digest, _Bytes(path, converted=False))
        final = taken_from.get(digest)
        if final is not None and final not in found:
            # Another Pillow may write other bytes for the same pixels: only what comes out the same counts.
            with contextlib.suppress(PictureError):
                mask = _mask(masks.get(final), path)
                if hashlib.sha256(as_trained(path, mask)).hexdigest() == final:
                    found[final] = _Bytes(path, converted=True, mask=mask)
    return found


def _mask(about: dict[str, Any] | None, path: Path) -> Path | None:
    """The mask a picture was trained with; itself where its own transparency was meant."""
    if about is None:
        return None
    return Path(str(about["mask"])) if about.get("mask_sha256") else path


def _candidates(workspace: Workspace, entries: list[dict[str, Any]]) -> Iterator[Path]:
    cache = PictureCache(workspace.cache)
    for entry in entries:
        about = entry.get("from") or {}
        origin = about.get("origin") or {}
        yield from (Path(str(place)) for place in (about.get("path"), origin.get("imported_from")) if place)
        if key := origin.get("recipe_key"):
            yield cache.picture(str(key))
    for root in (workspace.root / "dataset", workspace.root / "pictures", workspace.imported("")):
        if root.is_dir():
            yield from (path for path in sorted(root.rglob("*")) if path.suffix.lower() in PICTURE_SUFFIXES)
