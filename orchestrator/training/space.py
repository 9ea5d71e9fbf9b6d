"""Whether a disk takes what a training will write."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import uuid
from pathlib import Path

from orchestrator.errors import Problem, StorageError

#: Bytes that stay free besides what a training needs: logs, and whatever else the machine writes meanwhile.
BREATHING = 200_000_000
#: Characters of a path that Windows takes unless long paths are switched on (MAX_PATH is 260 with the ending NUL).
_LONGEST = 259
_FULL = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})


def free(folder: Path) -> int:
    """The free bytes of the disk that `folder` is on, or will be on. Raises `OSError`."""
    return shutil.disk_usage(_existing(folder)).free


def used(folder: Path) -> int:
    """The bytes of all files in `folder`; 0 where it does not exist."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:  # removed by the trainer between the listing and the look
                continue
    return total


def problems(folder: Path, needed: int, *, longest: str = "") -> list[Problem]:
    """Why `needed` bytes cannot be written into `folder`, which need not exist yet; empty when they can.

    A file is really written there and removed again: neither the rights of a folder nor the free bytes of its disk
    tell of quotas, mounts and network drives. `longest` is the longest path that will be made in it.
    """
    too_long = None if _long_paths() else path_problem(folder, longest)
    found = [too_long] if too_long else []
    where = _existing(folder)
    if not where.is_dir():
        return [*found, Problem(str(where), "is a file where a folder is needed", "rename or remove it")]
    if refusal := _refusal(where):
        return [*found, refusal]
    available = free(where)
    if available < needed + BREATHING:
        found.append(
            Problem(
                str(folder),
                f"the training will need about {size(needed)}, and the disk has {size(available)} left",
                "free some space, save less often (training.save_every), or move the workspace",
            )
        )
    return found


def require(folder: Path, needed: int) -> None:
    """Raises `StorageError` with the first of `problems`."""
    for problem in problems(folder, needed):
        cure = f"{problem.fix[:1].upper()}{problem.fix[1:]}; then run the same command."
        raise StorageError(f"{problem.place}: {problem.what}.", fix=cure)


def path_problem(folder: Path, longest: str) -> Problem | None:
    """Why Windows without long paths could not make `longest` in `folder`."""
    length = len(str(folder.absolute())) + 1 + len(longest)
    if length <= _LONGEST:
        return None
    return Problem(
        str(folder),
        f"paths in it would have {length} characters, and Windows takes {_LONGEST}",
        "move the workspace to a shorter path, or switch long paths on in Windows",
    )


def size(count: int) -> str:
    """A number of bytes for people."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1e6:.0f} MB"


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    return next((p for p in (folder, *folder.parents) if p.exists()), folder)


def _refusal(folder: Path) -> Problem | None:
    trial = folder / f".orchestrator-{uuid.uuid4().hex[:8]}.tmp"
    try:
        try:
            with trial.open("wb") as stream:
                stream.write(bytes(4096))
                stream.flush()
                os.fsync(stream.fileno())  # a network drive says only now that it is full
        finally:
            trial.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            return Problem(str(folder), "the disk is full", "free some space, or move the workspace")
        if error.errno == errno.EROFS:
            return Problem(
                str(folder), "the disk is mounted read-only", "mount it writable, or move the workspace to another disk"
            )
        if isinstance(error, PermissionError):
            return Problem(
                str(folder), "may not be written", "give yourself the right to write there, or move the workspace"
            )
        return Problem(str(folder), f"cannot be written: {error.strerror or error}", "move the workspace")
    return None


def _long_paths() -> bool:
    """Whether paths may be longer than `_LONGEST` here."""
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
                return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
        except OSError:
            return False
    return True
