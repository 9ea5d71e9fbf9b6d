"""The mark that lets only one command at a time start a training in a folder."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator import processes
from orchestrator.errors import StorageError, WorkspaceError
from orchestrator.files import is_disk_full, read_json, storage_error
from orchestrator.processes import ProcessId

MARK_NAME = ".starting"
#: How long we wait for another command that looks for a running trainer or starts one; hashing files takes its time.
_START_WAIT_S = 120.0
#: A mark is empty for the moment between its creation and its first byte; empty for longer, its writer died there.
_EMPTY_MARK_S = 5.0
#: Windows refuses to open a file that is being removed, and to remove one that another command is just reading: both
#: pass within moments. A folder that may not be written refuses for longer.
_REFUSED_S = 2.0
_PAUSE_S = 0.05


@contextlib.contextmanager
def starting(folder: Path) -> Iterator[None]:
    """Only one command at a time looks for a running trainer and starts one.

    A mark left by a dead command does not count. Raises `WorkspaceError` when a living one keeps its mark for longer
    than `_START_WAIT_S`.
    """
    mark = folder / MARK_NAME
    me = processes.own_identity()
    ours: list[Any] | None = [me.pid, me.created, uuid.uuid4().hex]
    began = time.monotonic()
    refused = 0.0
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with mark.open("x", encoding="utf-8") as stream:
                json.dump(ours, stream)
        except FileExistsError:
            _wait_for_mark(mark, time.monotonic() - began)
        except PermissionError as error:
            refused = refused or time.monotonic()
            if time.monotonic() - refused > _REFUSED_S:
                raise storage_error(error, mark) from error
            time.sleep(_PAUSE_S)
        except OSError as error:
            if not is_disk_full(error):
                raise storage_error(error, mark) from error
            # A trainer must be stopped and its end judged on a full disk, too. Where there is room for the file alone
            # it counts for as long as an empty one does; where there is not even that, nobody can start anything.
            ours = None
            break
        else:
            break
    try:
        yield
    finally:
        _remove(mark, ours)


def _remove(mark: Path, ours: object) -> None:
    """Remove our own mark, which is empty where the disk was full (None). One that cannot be removed counts as long as
    we live: no reason to fail for.
    """
    until = time.monotonic() + _REFUSED_S
    while mark.exists() and (holder := _holder(mark)) in (ours, None):
        if holder == ours:
            with contextlib.suppress(OSError):
                mark.unlink()
                return
        if time.monotonic() > until:
            return
        time.sleep(_PAUSE_S)


def _holder(mark: Path) -> object:
    """What a mark says; None where it says nothing, or cannot be read at this moment."""
    try:
        return read_json(mark)
    except StorageError:
        return None


def _wait_for_mark(mark: Path, waited: float) -> None:
    """Somebody's mark is there: remove it when its holder is gone, else wait a moment."""
    holder = _holder(mark)
    if isinstance(holder, list) and len(holder) >= 2:
        if not processes.is_running(ProcessId(holder[0], holder[1])):
            _break_mark(mark, holder)
            return
        if waited > _START_WAIT_S:
            raise WorkspaceError(
                f"Another command (process {holder[0]}) has been starting this training for {waited:.0f} s.",
                fix=f"Wait until it is done, or end process {holder[0]}; then run the same command again.",
            )
    elif waited > _EMPTY_MARK_S and mark.exists():
        _break_mark(mark, holder)
        return
    time.sleep(0.1)


def _break_mark(mark: Path, holder: object) -> None:
    # Renamed first: of two commands that wait for the same dead one, the slower must not remove the quicker one's mark.
    aside = mark.with_name(f"{MARK_NAME}-{uuid.uuid4().hex[:8]}")
    with contextlib.suppress(FileNotFoundError, FileExistsError, PermissionError):
        mark.rename(aside)
        if _holder(aside) != holder and not mark.exists():
            aside.rename(mark)
        else:
            aside.unlink()
