"""Child processes that outlive us, and the way to find and stop them again.

Every platform call stands here with its twin; the platform is an argument, so that both sides are tested everywhere.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from orchestrator.errors import InstallError
from orchestrator.files import storage_error

#: Windows' process creation flags by value, for the names exist in `subprocess` only there.
CREATE_NEW_PROCESS_GROUP = 0x00000200
CREATE_NO_WINDOW = 0x08000000
#: Two processes with the same number cannot have started within this time of each other; clocks of psutil tick in 10
#: ms.
_SAME_START_S = 1.0


@dataclass(frozen=True)
class ProcessId:
    """One process, for ever: numbers are given again, a number with its start time (seconds since 1970) is not."""

    pid: int
    created: float


@dataclass
class Child:
    """A process we started ourselves: only then does the system tell its exit code."""

    identity: ProcessId
    popen: subprocess.Popen[bytes]

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative = ended by that signal."""
        return self.popen.poll()

    def let_go(self) -> None:
        """Watch it no longer. It may go on working: Python must not complain about that when this object is dropped."""
        if self.popen.poll() is None:
            self.popen.returncode = 0


def start_options(platform: str = sys.platform) -> dict[str, Any]:
    """How a child must be started so that Ctrl-C in our terminal does not reach it, and so that it has no window of
    its own.

    On Windows a console window could freeze the child (a click selects text and stops its output), and Ctrl-C goes to
    everything of our process group; elsewhere the session is what counts.
    """
    if platform == "win32":
        return {"creationflags": CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW}
    return {"start_new_session": True}


def start(argv: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path) -> Child:
    """Start a program whose output goes to the file `log` (begun anew), never to a pipe: a pipe would die with us,
    and the child of it.

    Raises `InstallError` when it cannot be started, `StorageError` when the log cannot be written.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("wb")
    except OSError as error:
        raise storage_error(error, log) from error
    with output:
        try:
            popen = subprocess.Popen(
                list(argv),
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                close_fds=True,
                **start_options(),
            )
        except OSError as error:
            raise InstallError(
                f"{argv[0]} could not be started ({error.strerror or error}).",
                fix="Check the path of the Python that runs it, then run the same command again.",
            ) from error
    return Child(_identity(popen.pid), popen)


def is_running(identity: ProcessId) -> bool:
    """Whether exactly that process still runs. A finished one whose parent has not asked for its end yet does not."""
    return _process(identity) is not None


def find(*arguments: str) -> ProcessId | None:
    """The running process of this user that has all `arguments` on its command line, the oldest when there are
    several.

    Finds a child whose start we did not live to write down.
    """
    found: list[ProcessId] = []
    for process in psutil.process_iter():
        try:
            if set(arguments) <= set(process.cmdline()[1:]) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(ProcessId(process.pid, process.create_time()))
        except (psutil.Error, OSError):
            continue
    return min(found, key=lambda identity: identity.created, default=None)


def stop_tree(identity: ProcessId, *, grace_s: float = 5.0) -> bool:
    """End a process and everything it started: first politely, after `grace_s` seconds by force. True = nothing of it
    is left.

    A polite word exists only outside Windows. The children are listed before anything is stopped, since they lose
    their parent with it.
    """
    process = _process(identity)
    if process is None:
        return True
    family = [process]
    with contextlib.suppress(psutil.Error):  # it may end in this very moment; wait_procs tells
        family += process.children(recursive=True)
    for member in family:
        _quietly(member.terminate)
    _, left = psutil.wait_procs(family, timeout=grace_s)
    for member in left:
        _quietly(member.kill)
    _, left = psutil.wait_procs(left, timeout=grace_s)
    return not [member for member in left if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]


def exit_words(code: int | None, platform: str = sys.platform) -> str:
    """An exit code in words: signals by name, Windows' crash codes as people search for them."""
    if code is None:
        return "ended while nobody watched"
    if code < 0:
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"
    if platform == "win32" and code >= 0xC0000000:
        return f"crashed (0x{code:08X})"
    return f"ended with exit code {code}"


def own_identity() -> ProcessId:
    """This process."""
    return _identity(os.getpid())


def _identity(pid: int) -> ProcessId:
    try:
        return ProcessId(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        # Ended already: a start time that no later process with this number can have.
        return ProcessId(pid, time.time())


def _process(identity: ProcessId) -> psutil.Process | None:
    try:
        process = psutil.Process(identity.pid)
        if abs(process.create_time() - identity.created) > _SAME_START_S or process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process
    except psutil.Error:
        return None


def _quietly(action: Any) -> None:
    with contextlib.suppress(psutil.Error):
        action()
