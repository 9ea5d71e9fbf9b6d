"""What a person means by a grid: its name, its folder, its manifest, or a sheet of it; or a picture of A1111's."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.files import PICTURE_SUFFIXES
from orchestrator.grid import manifest as manifests
from orchestrator.grid.embedded import from_file, from_sheet, picture_of
from orchestrator.grid.from_a1111 import FromA1111, from_picture, from_text_file
from orchestrator.grid.manifest import Entry, Manifest
from orchestrator.workspace import Workspace


@dataclass(frozen=True)
class Origin:
    """A grid and where it was found.

    `folder` holds its pictures; None for a sheet that came alone. `source` is the file it was read from. `trusted`
    grids lie in this workspace; `own` ones are its grids themselves, which are drawn again in their place.
    """

    manifest: Manifest
    folder: Path | None
    source: Path
    trusted: bool = False
    own: bool = False

    def picture(self, entry: Entry) -> Path | None:
        """The picture of a cell, if it is there."""
        return picture_of(self.folder, entry) if entry.state == "ready" else None

    @property
    def called(self) -> str:
        """How a person knows it: the folder's name, else the file's."""
        return self.folder.name if self.folder is not None else self.source.stem


def find_grid(what: str, workspace: Workspace, version: str = "", *, init: str = "") -> Origin | FromA1111:
    """The grid that `what` names or is. `version` is the profile's, whose grids may be named without it; `init` goes
    to pictures of A1111's that were made from another.

    Raises `InputError` for a name that no grid has and for files that hold none, `PictureError`, `StorageError`.
    """
    named = _named(what, workspace, version)
    if named is not None:
        return named
    path = Path(what).expanduser()
    if path.is_dir():
        path = path / manifests.MANIFEST_NAME
        if not path.is_file():
            raise InputError(
                f"{what} is a folder without a grid.", fix="Name a grid, its folder, or one of its sheets."
            )
    if not path.is_file():
        raise _unknown(what, workspace)
    if path.suffix.lower() == ".txt":
        return from_text_file(path, init=init)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        return _at(path, from_file(path), workspace, path.parent)
    manifest = from_sheet(path)
    if manifest is not None:
        beside = path.parent if (path.parent / manifests.MANIFEST_NAME).is_file() else None
        return _at(path, manifest, workspace, beside)
    try:
        return from_picture(path, init=init)
    except InputError as error:
        if "does not say how it was drawn" not in error.what:
            raise
        raise InputError(
            f"{path} carries no grid: neither one of ours nor A1111's text.",
            cause="Chats and picture hosts pack pictures anew and drop what they carry, and so does a screenshot.",
            fix="Have the file itself sent (as a file, or in a ZIP), or the manifest.json that lies beside it.",
        ) from None


def find_ours(what: str, workspace: Workspace, version: str = "") -> Origin:
    """As `find_grid`, for grids of ours alone."""
    found = find_grid(what, workspace, version)
    if isinstance(found, FromA1111):
        raise InputError(
            f"{what} is a picture of A1111's: it has no cells of its own.",
            fix="Draw it again first: `orchestrator grid regenerate FILE`; then name the grid that comes out.",
        )
    return found


def folder_for(origin: Manifest, workspace: Workspace) -> Path:
    """Where a grid from elsewhere is drawn: a folder of its own, the same one every time."""
    number = 1
    while True:
        folder = workspace.grid(origin.name if number == 1 else f"{origin.name} {number}")
        known = manifests.find(folder)
        if known is None and not folder.exists():
            return folder
        if known is not None and known.axes == origin.axes and known.definition == origin.definition:
            return folder
        number += 1


def _named(what: str, workspace: Workspace, version: str) -> Origin | None:
    for name in (what, f"{version} {what}".strip()):
        folder = workspace.grid(name)
        path = folder / manifests.MANIFEST_NAME
        if name.strip() and folder.name.casefold() == name.casefold() and path.is_file():
            return Origin(from_file(path), folder, path, trusted=True, own=True)
    return None


def _at(source: Path, manifest: Manifest, workspace: Workspace, folder: Path | None) -> Origin:
    grids = workspace.root / "grids"
    trusted = source.resolve().is_relative_to(grids.resolve())
    own = folder is not None and folder.resolve().parent == grids.resolve()
    return Origin(manifest, folder, source, trusted=trusted, own=own)


def _unknown(what: str, workspace: Workspace) -> InputError:
    grids = workspace.root / "grids"
    there = (
        sorted(path.name for path in grids.iterdir() if (path / manifests.MANIFEST_NAME).is_file())
        if (grids.is_dir())
        else []
    )
    close = difflib.get_close_matches(what, there, n=1, cutoff=0.4)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return InputError(
        f"There is no grid and no file {what!r}.",
        fix=f"{hint}There are: {', '.join(there)}." if there else "Draw one: `orchestrator grid render`.",
    )
