"""A dataset as it lies there to be trained on, as pictures and groups to check: built by us, or made by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from orchestrator.dataset.captions import caption_beside
from orchestrator.dataset.model import DatasetPicture
from orchestrator.dataset.on_disk import manifest_of
from orchestrator.files import picture_files, sha256_file
from orchestrator.profile.model import Group
from orchestrator.workspace import Workspace

#: As sd-scripts names the folders: how often each picture is seen, `_`, the group.
_FOLDER = re.compile(r"(?P<repeats>[1-9]\d*)_(?P<name>.+)")


def built_groups(workspace: Workspace, version: str, known: Sequence[Group]) -> list[Group]:
    """The groups as they were built, with their repeats; the profile's may have been changed since. What a dataset does
    not say (the framing that is meant) is taken from the group of that name among those `known`.
    """
    folder = workspace.dataset(version)
    manifest = manifest_of(folder)
    by_name = {group.name: group for group in known}
    if manifest is None:
        return [
            by_name.get(name, Group.model_construct(name=name)).model_copy(update={"repeats": repeats, "masks": ""})
            for name, repeats, _ in _folders(folder)
        ]
    return [
        by_name.get(one["name"], Group.model_construct(name=one["name"])).model_copy(
            update={
                "repeats": one["repeats"],
                "regularisation": bool(one.get("regularisation")),
                # Which masks they were does not matter here: what is transparent is not learned.
                "masks": "alpha" if one.get("alpha_mask") else "",
            }
        )
        for one in manifest["groups"]
    ]


def as_pictures(workspace: Workspace, version: str) -> list[DatasetPicture]:
    """The pictures that would be trained on, with the captions that lie beside them; none where there is no dataset."""
    folder = workspace.dataset(version)
    manifest = manifest_of(folder)
    if manifest is None:
        return [_picture(path, name, sha256_file(path)) for name, _, inside in _folders(folder) for path in inside]
    return [
        _picture(folder / entry["file"], entry["group"], entry["sha256"], entry.get("from"))
        for entry in manifest["pictures"]
    ]


def _picture(path: Path, group: str, sha256: str, came_from: dict[str, object] | None = None) -> DatasetPicture:
    beside = caption_beside(path) if path.is_file() else None
    caption, problem, note = beside or ("", "missing", "")
    about = came_from or {}
    origin = about.get("origin")
    return DatasetPicture(
        path, group, caption, str(about.get("set") or path.parent.name), sha256,
        origin=origin if isinstance(origin, dict) else {}, caption_problem=problem, caption_note=note,
    )  # fmt: skip


def _folders(folder: Path) -> list[tuple[str, int, list[Path]]]:
    """(group, repeats, pictures) of the folders sd-scripts would see in one that was made by hand."""
    found = [
        (match["name"], int(match["repeats"]), picture_files(path))
        for path in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if path.is_dir() and (match := _FOLDER.fullmatch(path.name))
    ]
    return [one for one in found if one[2]]
