"""A built dataset as it lies on disk: ours or not, unchanged or not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.dataset.model import Dataset, DatasetGroup
from orchestrator.errors import DatasetError
from orchestrator.files import picture_files, read_json, sha256_file, storage_error
from orchestrator.workspace import Workspace

MANIFEST = "manifest.json"
CONFIG = "dataset.toml"
#: The manifest's copy in the folder of every run that trained on the dataset.
RUN_COPY = "dataset-manifest.json"
MADE_BY = "orchestrator dataset"
#: Raised when the files of a dataset are laid out differently; older ones are then built again.
LAYOUT = 1
#: sd-scripts puts its latent caches beside the pictures.
_CACHES = frozenset({".npz"})
# File managers write these unasked; a folder that somebody only looked at is not one that was changed.
_DROPPINGS = frozenset({".ds_store", "thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class State:
    """What lies at a dataset's place. `changed` names files that were altered, added or removed by hand."""

    stranger: bool = False
    fingerprint: str = ""
    changed: tuple[str, ...] = ()


def look(folder: Path) -> State:
    """What lies at `folder`. Reads every picture's bytes once, to know whether it is still the one that was written."""
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return State()
        manifest = manifest_of(folder)
        if manifest is None:
            return State(stranger=True)
        return State(False, str(manifest["fingerprint"]), tuple(_changed(folder, manifest)))
    except OSError as error:
        raise storage_error(error, folder) from error


def load(workspace: Workspace, version: str) -> Dataset | None:
    """The built dataset of a version, or None when there is none."""
    folder = workspace.dataset(version)
    return read(folder, version, built=False) if manifest_of(folder) is not None else None


def read(folder: Path, version: str, *, built: bool, notes: tuple[str, ...] = ()) -> Dataset:
    """The dataset at `folder`. Raises `DatasetError` when there is none of ours."""
    manifest = manifest_of(folder)
    if manifest is None:
        raise DatasetError(
            f"{folder} is not a dataset made by orchestrator.", fix="Build it: orchestrator dataset build"
        )
    return Dataset(
        version=version,
        folder=folder,
        config=folder / CONFIG,
        manifest=folder / MANIFEST,
        fingerprint=manifest["fingerprint"],
        groups=tuple(
            DatasetGroup(one["name"], folder / one["folder"], one["repeats"], one["count"], one["caption"])
            for one in manifest["groups"]
        ),
        resolution=manifest["resolution"],
        built=built,
        notes=notes,
    )


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """The manifest of the dataset in `folder`, or None where there is none of ours."""
    return manifest_at(folder / MANIFEST)


def manifest_at(path: Path) -> dict[str, Any] | None:
    """The manifest in the file `path`, or None where there is none of ours."""
    manifest = read_json(path)
    ours = isinstance(manifest, dict) and manifest.get("made_by") == MADE_BY and manifest.get("layout") == LAYOUT
    return manifest if ours else None


def manifest_of_version(workspace: Workspace, version: str) -> dict[str, Any] | None:
    """The manifest of a version: the dataset's own, else the copy in the newest run that trained on it."""
    own = manifest_of(workspace.dataset(version))
    return own if own is not None else copies(workspace).get(version)


def copies(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Manifests that training runs hold, by version; of several runs of one version the newest copy."""
    found: dict[str, dict[str, Any]] = {}
    paths = sorted(workspace.runs.glob(f"*/{RUN_COPY}"), key=lambda path: path.stat().st_mtime)
    for path in paths:
        if (manifest := manifest_at(path)) is not None:
            found[str(manifest["version"])] = manifest
    return found


def _changed(folder: Path, manifest: dict[str, Any]) -> list[str]:
    changed = []
    written = {entry["file"]: entry for entry in manifest["pictures"]}
    for file, entry in written.items():
        picture, caption = folder / file, (folder / file).with_suffix(".txt")
        if not picture.is_file() or sha256_file(picture) != entry["sha256"]:
            changed.append(file)
        if not caption.is_file() or caption.read_bytes() != f"{entry['caption']}\n".encode():
            changed.append(caption.relative_to(folder).as_posix())
    return changed + _added(folder, {MANIFEST, CONFIG, *written, *_captions(written)})


def _captions(pictures: Iterable[str]) -> list[str]:
    return [PurePosixPath(file).with_suffix(".txt").as_posix() for file in pictures]


def _added(folder: Path, ours: Collection[str]) -> list[str]:
    """What lies anywhere in `folder` and is neither ours nor written there unasked by another program."""
    added = []
    for path in sorted(folder.rglob("*")):
        file = path.relative_to(folder).as_posix()
        folder_of_its_own = path.is_dir() and not path.is_symlink()
        if folder_of_its_own or file in ours or path.suffix.lower() in _CACHES or path.name.lower() in _DROPPINGS:
            continue
        added.append(file)
    return added


def built_pictures(workspace: Workspace, version: str) -> list[Path]:
    """The pictures a version was trained on, group by group; none before its dataset is built."""
    folder = workspace.dataset(version)
    groups = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for group in groups if group.is_dir() for path in picture_files(group)]
