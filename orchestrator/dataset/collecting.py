"""Which pictures the profile's groups are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from orchestrator.dataset.caption_store import Kept, compose, read
from orchestrator.dataset.captions import caption_beside
from orchestrator.dataset.importing import origins
from orchestrator.dataset.model import DatasetPicture
from orchestrator.errors import DatasetError
from orchestrator.files import picture_files, read_json, sha256_file, storage_error
from orchestrator.profile.model import Group, Profile
from orchestrator.workspace import Workspace


def collect(profile: Profile, workspace: Workspace) -> list[DatasetPicture]:
    """The pictures of every group, in the order of its sets and folders, then what was imported into it, at most
    `count` of each group.

    What is kept of a picture's caption in the workspace is its caption, else the .txt beside it, else the group's
    caption with the picture's words (`caption_store.compose`). Nothing is opened but caption files and
    manifests. Raises `DatasetError` when the profile has no groups, or a set or folder is not there.
    """
    if not profile.dataset.groups:
        raise DatasetError("The profile has no dataset groups.", fix="Add [[dataset.groups]] to lora.toml.")
    kept = read(workspace)
    return [picture for group in profile.dataset.groups for picture in _of_group(profile, group, workspace, kept)]


def _of_group(profile: Profile, group: Group, workspace: Workspace, kept: Mapping[str, Kept]) -> list[DatasetPicture]:
    found: list[DatasetPicture] = []
    for name in group.sets:
        folder = workspace.picture_set(name)
        files = picture_files(folder)
        if not files:
            raise DatasetError(
                f"The group {group.name!r} takes pictures from the set {name!r}, which has none yet.",
                fix=f"Make it first: orchestrator pictures make {json.dumps(name, ensure_ascii=False)}",
            )
        made = _manifest(folder)
        found += [_picture(profile, group, path, name, made, kept) for path in _at_most(files, group, len(found))]
    for name in group.folders:
        folder = workspace.root / Path(name).expanduser()
        if not folder.is_dir():
            raise DatasetError(
                f"The group {group.name!r} takes pictures from {folder}, and there is no such folder.",
                fix="Correct `folders` in lora.toml; a relative path starts at the workspace.",
            )
        found += [
            _picture(profile, group, path, name, {}, kept)
            for path in _at_most(picture_files(folder), group, len(found))
        ]
    folder = workspace.imported(group.name)
    known = origins(folder)
    found += [
        _picture(profile, group, path, "imported", known, kept)
        for path in _at_most(picture_files(folder), group, len(found))
    ]
    return found


def _at_most(files: list[Path], group: Group, have: int) -> list[Path]:
    return files[: max(0, group.count - have)] if group.count else files


def _picture(
    profile: Profile, group: Group, path: Path, source: str, made: dict[str, Any], kept: Mapping[str, Kept]
) -> DatasetPicture:
    try:
        digest = sha256_file(path)
    except OSError as error:
        raise storage_error(error, path) from error
    found = caption_beside(path)
    beside, problem, note = (None, "", "") if found is None else found
    own = kept.get(digest, Kept())
    caption = compose(group.caption, beside, own)
    came_from: Literal["file", "kept", "group"] = "group" if beside is None else "file"
    if own.caption and caption == own.caption:
        came_from, problem = "kept", ""
    origin = made.get(path.name)
    if origin is not None and (origin.get("sha256") != digest or origin.get("retouched")):
        # Retouched by hand: still from there, but its recipe alone does not make it again.
        origin = origin | {"changed_by_hand": True}
    return DatasetPicture(
        path, group.name, profile.fill(caption), source, digest, origin or {}, problem, note, caption, beside, came_from
    )


def _manifest(folder: Path) -> dict[str, Any]:
    """What is known about each file of a picture set, by file name."""
    manifest = read_json(folder / "manifest.json")
    entries = manifest.get("pictures") if isinstance(manifest, dict) else None
    if not isinstance(entries, list):
        return {}
    return {entry["file"]: entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("file"), str)}
