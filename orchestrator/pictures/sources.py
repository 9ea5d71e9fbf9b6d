"""The pictures a set starts from: another set's, a folder's, or single files; turned upright where that is asked."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import InputError, MissingExtra, PictureError, WorkspaceError
from orchestrator.files import open_picture, picture_files, sha256_file, storage_error
from orchestrator.profile.model import Corners, Generation, PictureSet
from orchestrator.workspace import Workspace

#: Shapes that differ by less than this share are taken for the same: the pixels lost by rounding to multiples of 8.
_SAME_SHAPE = 0.02


@dataclass(frozen=True)
class Source:
    """A picture to start from, and how it was turned upright. `sha256` is of `path`, `original_sha256` of the file as
    it was found; `origin` says where that was: `set/0001.png`, a path in the workspace, or an absolute one.
    """

    path: Path
    sha256: str
    original_sha256: str
    origin: str
    straightened_deg: float | None = None
    #: What is to be drawn anew of it, white in this picture; None = all of it.
    mask: Path | None = None

    def size(self, generation: Generation) -> tuple[int, int]:
        """The size to draw at: the profile's, or of its area in the picture's own shape, which A1111 would squeeze
        otherwise. Raises `PictureError`, before the picture is sent: A1111 never forgets a request whose picture it
        cannot read (observed on 1.10.1).
        """
        width, height = open_picture(self.path).size
        wanted = generation.width / generation.height
        if abs(width / height / wanted - 1) < _SAME_SHAPE:
            return generation.width, generation.height
        side = math.sqrt(generation.width * generation.height)
        across, down = (side * math.sqrt(width / height), side * math.sqrt(height / width))
        return max(64, 8 * round(across / 8)), max(64, 8 * round(down / 8))


def of_set(picture_set: PictureSet, workspace: Workspace) -> list[Source]:
    """The pictures of the set that `picture_set` starts from; none when it starts from nothing. Raises
    `WorkspaceError` when that set is not made yet.
    """
    if not picture_set.source:
        return []
    found = [_source(path, workspace) for path in picture_files(workspace.picture_set(picture_set.source))]
    if not found:
        raise WorkspaceError(
            f"The picture set {picture_set.name!r} starts from {picture_set.source!r}, which has no pictures yet.",
            fix=f"Make it first: orchestrator pictures make {json.dumps(picture_set.source, ensure_ascii=False)}",
        )
    return found


def given(names: Sequence[str], workspace: Workspace) -> list[Source]:
    """The pictures that `names` stand for: picture sets of the workspace, folders, files; in this order, each once.

    Raises `WorkspaceError` for a name that is none of these, `PictureError` for a file that is no picture.
    """
    paths: dict[Path, None] = {}
    for name in names:
        of_that_set = picture_files(workspace.picture_set(name))
        path = Path(name).expanduser()
        if of_that_set:
            paths |= dict.fromkeys(of_that_set)
        elif path.is_dir():
            inside = picture_files(path)
            if not inside:
                raise WorkspaceError(f"There are no pictures in {path}.", fix="Name another folder, a set, or files.")
            paths |= dict.fromkeys(file.resolve() for file in inside)
        elif path.is_file():
            paths[path.resolve()] = None
        else:
            raise _unknown(name, workspace)
    for path in paths:
        open_picture(path)
    return [_source(path, workspace) for path in paths]


def straightened(
    sources: Sequence[Source], cache: Path, notes: list[str], corners: Corners = "crop"
) -> tuple[list[Source], bool]:
    """The sources turned upright, and whether that can be done here; when not, as they are."""
    from orchestrator.pictures.straighten import straighten_files

    ending = "" if corners == "crop" else f"-{corners}"
    targets = [cache / "straightened" / f"{source.sha256}{ending}.png" for source in sources]
    pairs = [(source.path, target) for source, target in zip(sources, targets, strict=True)]
    try:
        done = straighten_files(pairs, cache, corners=corners)
    except MissingExtra as error:
        notes.append(f"not straightened: {error.fix}")
        return list(sources), False
    unknown = sum(one.angle is None for one in done)
    if unknown:
        notes.append(f"{unknown} of {len(done)} not straightened: no face was found in them")
    upright = [
        Source(
            one.path,
            sha256_file(one.path),
            source.sha256,
            source.origin,
            one.angle,
            one.mask if corners == "outpaint" else None,
        )
        if one.angle
        else source
        for source, one in zip(sources, done, strict=True)
    ]
    return upright, True


def mask_hash(mask: Path) -> str:
    """The sha256 of a mask's file. Raises `PictureError` for a file that is no picture, `InputError` for a mask that
    changes nothing.
    """
    if open_picture(mask).convert("L").getextrema()[1] == 0:
        raise InputError(
            f"The mask {mask} is all black: nothing would change.", fix="Paint white what is to be drawn anew."
        )
    return sha256_file(mask)


def _source(path: Path, workspace: Workspace) -> Source:
    try:
        digest = sha256_file(path)
    except FileNotFoundError:
        raise PictureError(path, "the file does not exist") from None
    except OSError as error:
        raise storage_error(error, path) from error
    return Source(path, digest, digest, _origin(path, workspace))


def _origin(path: Path, workspace: Workspace) -> str:
    sets = workspace.picture_set("a").parent
    for folder in (sets, workspace.root):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return str(path)


def _unknown(name: str, workspace: Workspace) -> WorkspaceError:
    import difflib

    folder = workspace.picture_set("a").parent
    sets = sorted(p.name for p in folder.iterdir() if picture_files(p)) if folder.is_dir() else []
    close = difflib.get_close_matches(name, sets, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Sets that are made: {', '.join(sets) or 'none'}."
    return WorkspaceError(f"{name!r} is no picture set that is made, no folder and no file.", fix=hint)
