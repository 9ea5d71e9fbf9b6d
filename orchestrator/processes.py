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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from orchestrator.errors import InstallError
from orchestrator.files import storage_error

#: Windows' process creation flags by value, for the names exist in `subprocess` only there.
CREATE_NEW_PROCESS_GROUP = 0x00000200
CREATE_NO_WINDOW = 0x08000000
CREATE_BREAKAWAY_FROM_JOB = 0x01000000
_ACCESS_DENIED = 5
#: Two processes with the same number cannot have started within this time of each other; clocks of psutil tick in 10
#: ms.
_SAME_START_S = 1.0
#: How often it is looked whether what was told to end has.
_LEFT_POLL_S = 0.02


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


@dataclass(frozen=True)
class Activity:
    """What a process and everything it started are seen to do. `status` is psutil's word for the process itself;
    `cpu_s` are seconds of computing since its start and `read` and `written` bytes, children counted (None = not told).
    """

    status: str
    cpu_s: float
    read: int | None
    written: int | None
    children: int


def start_options(platform: str = sys.platform) -> tuple[dict[str, Any], ...]:
    """How a child must be started so that Ctrl-C in our terminal does not reach it, and so that it has no window of
    its own; where there are several ways, each is tried when the one before is refused.

    On Windows a console window could freeze the child (a click selects text and stops its output), and Ctrl-C goes to
    everything of our process group; elsewhere the session is what counts. A terminal may hold us in a job that ends
    with it: the child leaves that job where the job allows it.
    """
    if platform == "win32":
        flags = CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW
        return {"creationflags": flags | CREATE_BREAKAWAY_FROM_JOB}, {"creationflags": flags}
    return ({"start_new_session": True},)


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

        def spawn(options: Mapping[str, Any]) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                list(argv),
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                close_fds=True,
                **options,
            )

        try:
            popen = first_allowed(spawn, start_options())
        except OSError as error:
            raise InstallError(
                f"{argv[0]} could not be started ({error.strerror or error}).",
                fix="Check the path of the Python that runs it, then run the same command again.",
            ) from error
    return Child(_identity(popen.pid), popen)


def first_allowed(
    spawn: Callable[[Mapping[str, Any]], subprocess.Popen[bytes]], ways: Sequence[Mapping[str, Any]]
) -> subprocess.Popen[bytes]:
    """What `spawn` makes of the first of `ways` that Windows does not refuse with "access denied". Raises `OSError`."""
    for options in ways[:-1]:
        try:
            return spawn(options)
        except OSError as error:
            if getattr(error, "winerror", None) != _ACCESS_DENIED:
                raise
    return spawn(ways[-1])


def is_running(identity: ProcessId) -> bool:
    """Whether exactly that process still runs. A finished one whose parent has not asked for its end yet does not."""
    return _process(identity) is not None


def find(*arguments: str) -> ProcessId | None:
    """The oldest of `find_all`, None when there is none."""
    return next(iter(find_all(*arguments)), None)


def find_all(*arguments: str) -> list[ProcessId]:
    """The running processes that have all `arguments` on their command line, the oldest first.

    Finds a child whose start we did not live to write down, and the ones a launcher that was killed left behind.
    """
    found: list[ProcessId] = []
    for process in psutil.process_iter():
        try:
            if set(arguments) <= set(process.cmdline()[1:]) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(ProcessId(process.pid, process.create_time()))
        except (psutil.Error, OSError):
            continue
    return sorted(found, key=lambda identity: identity.created)


def activity(identity: ProcessId) -> Activity | None:
    """What a process does, its children counted; None when it is gone."""
    process = _process(identity)
    if process is None:
        return None
    try:
        family = [process, *process.children(recursive=True)]
        status = process.status()
    except psutil.Error:
        return None
    cpu, read, written = 0.0, 0, 0
    told = False
    for member in family:
        with contextlib.suppress(psutil.Error):
            times = member.cpu_times()
            cpu += times.user + times.system
        # macOS has no such counters, and another user's are not shown.
        with contextlib.suppress(psutil.Error, AttributeError, OSError):
            counted = member.io_counters()  # type: ignore[attr-defined,unused-ignore]
            read, written, told = read + counted.read_bytes, written + counted.write_bytes, True
    return Activity(str(status), cpu, read if told else None, written if told else None, len(family) - 1)


def stop_tree(identity: ProcessId, *, grace_s: float = 5.0) -> bool:
    """`stop_trees` of one process."""
    return stop_trees([identity], grace_s=grace_s)


def stop_trees(identities: Iterable[ProcessId], *, grace_s: float = 5.0) -> bool:
    """End processes and everything they started: first politely, after `grace_s` seconds by force. True = nothing of
    them is left.

    A polite word exists only outside Windows. The children are listed before anything is stopped, since they lose
    their parent with it.
    """
    family: dict[int, psutil.Process] = {}
    for process in filter(None, map(_process, identities)):
        family[process.pid] = process
        with contextlib.suppress(psutil.Error):  # it may end in this very moment; wait_procs tells
            family.update({child.pid: child for child in process.children(recursive=True)})
    for member in family.values():
        _quietly(member.terminate)
    left = _left(family.values(), grace_s)
    for member in left:
        _quietly(member.kill)
    return not _left(left, grace_s)


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


def _left(members: Iterable[psutil.Process], wait_s: float) -> list[psutil.Process]:
    """Those that still run after at most `wait_s` seconds.

    psutil's own waiting would ask the system for the end of our children, and whoever started them then would not get
    their exit code any more; and it waits in vain for dead ones whose parent (a container's first process) never asks.
    """
    until = time.monotonic() + wait_s
    left = [member for member in members if _still_runs(member)]
    while left and time.monotonic() < until:
        time.sleep(_LEFT_POLL_S)
        left = [member for member in left if _still_runs(member)]
    return left


def _still_runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _quietly(action: Any) -> None:
    with contextlib.suppress(psutil.Error):
        action()
