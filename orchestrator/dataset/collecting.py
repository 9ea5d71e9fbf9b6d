"""Which pictures the profile's groups are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from orchestrator.content_hashes import ContentHashes
from orchestrator.dataset.caption_store import Kept, compose, read
from orchestrator.dataset.captions import caption_beside, caption_elsewhere
from orchestrator.dataset.import_records import origins
from orchestrator.dataset.model import DatasetPicture
from orchestrator.errors import DatasetError
from orchestrator.files import picture_files, read_json, sha256_file
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
    with ContentHashes(workspace.cache) as hashes:
        return [
            picture
            for group in profile.dataset.groups
            for picture in _of_group(profile, group, workspace, kept, hashes)
        ]


def _of_group(
    profile: Profile, group: Group, workspace: Workspace, kept: Mapping[str, Kept], hashes: ContentHashes
) -> list[DatasetPicture]:
    found: list[DatasetPicture] = []

    def take(files: list[Path], source: str, made: dict[str, Any]) -> None:
        wanted = files[: max(0, group.count - len(found))] if group.count else files
        found.extend(
            _picture(profile, group, workspace, path, source, made.get(path.name), kept, hashes) for path in wanted
        )

    for name in group.sets:
        folder = workspace.picture_set(name)
        files = picture_files(folder)
        if not files:
            raise DatasetError(
                f"The group {group.name!r} takes pictures from the set {name!r}, which has none yet.",
                fix=f"Make it first: orchestrator pictures make {json.dumps(name, ensure_ascii=False)}",
            )
        take(files, name, _manifest(folder))
    for name in group.folders:
        folder = workspace.root / Path(name).expanduser()
        if not folder.is_dir():
            raise DatasetError(
                f"The group {group.name!r} takes pictures from {folder}, and there is no such folder.",
                fix="Correct `folders` in lora.toml; a relative path starts at the workspace.",
            )
        take(picture_files(folder), name, {})
    folder = workspace.imported(group.name)
    take(picture_files(folder), "imported", origins(folder))
    return found


def _picture(
    profile: Profile,
    group: Group,
    workspace: Workspace,
    path: Path,
    source: str,
    origin: dict[str, Any] | None,
    kept: Mapping[str, Kept],
    hashes: ContentHashes,
) -> DatasetPicture:
    try:
        digest = hashes.of(path)
    except OSError:
        # Gone, or held by a program that is still writing it: it is listed with the others that cannot be read.
        digest = ""
    found = caption_beside(path)
    beside, problem, note = (None, "", "") if found is None else found
    own = kept.get(digest, Kept())
    caption = compose(group.caption, beside, own)
    came_from: Literal["file", "kept", "group"] = "group" if beside is None else "file"
    if own.caption and caption == own.caption:
        came_from, problem = "kept", ""
    if origin is not None and (origin.get("sha256") != digest or origin.get("retouched")):
        # Retouched by hand: still from there, but its recipe alone does not make it again.
        origin = origin | {"changed_by_hand": True}
    mask = _mask(group, path, workspace)
    return DatasetPicture(
        path=path,
        group=group.name,
        caption=profile.fill(caption),
        source=source,
        sha256=digest,
        origin=origin or {},
        caption_problem=problem,
        caption_note=note,
        mask=mask,
        mask_sha256=sha256_file(mask) if mask is not None and mask != path else "",
        caption_template=caption,
        caption_beside=beside,
        caption_from=came_from,
        caption_elsewhere=caption_elsewhere(path) if found is None and came_from != "kept" else "",
    )


def _mask(group: Group, path: Path, workspace: Workspace) -> Path | None:
    """The picture's mask; itself where its own transparency is meant. Raises `DatasetError` when it has none."""
    if not group.masks:
        return None
    if group.masks == "alpha":
        return path
    folder = workspace.root / Path(group.masks).expanduser()
    found = [other for other in picture_files(folder) if other.stem == path.stem]
    if not found:
        raise DatasetError(
            f"{path.name} of the group {group.name!r} has no mask in {folder}.",
            cause="`masks` of the group names that folder.",
            fix=f"Put a picture named {path.stem}.png there, white where it is learned.",
        )
    return found[0]


def _manifest(folder: Path) -> dict[str, Any]:
    """What is known about each file of a picture set, by file name."""
    manifest = read_json(folder / "manifest.json")
    entries = manifest.get("pictures") if isinstance(manifest, dict) else None
    if not isinstance(entries, list):
        return {}
    return {entry["file"]: entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("file"), str)}
