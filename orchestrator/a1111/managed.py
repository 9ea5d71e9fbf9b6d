"""A webui that is started and stopped by us.

A1111 with its page on opens its port one or two seconds before its API exists, and a single HTTP request in between can
end it, or on reForge leave it without an API for ever (observed on 1.10.1 and reForge). So it is never asked over HTTP
whether it is ready: its own line `Startup time:` in the log says so, and where there is no log, or the line does not
come, an open port and a long pause.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psutil

from orchestrator import processes
from orchestrator.a1111.connection import port_is_open
from orchestrator.errors import InstallError, ServerUnreachable
from orchestrator.processes import Child, ProcessId
from orchestrator.settings import is_loopback

#: The last line of a start, in A1111, Forge and reForge.
READY_LINE = b"Startup time:"
#: Seconds a start may take: a first one downloads and hashes for many minutes.
READY_WITHIN_S = 1200.0
#: Seconds between an open port and the first request, where no line tells. The API came 1 to 2 s after the port on an
#: idle machine, and start-ups took two to three times as long on a busy one.
QUIET_S = 15.0
#: A process on this machine that is older than this is not starting any more.
_YOUNG_S = 120.0
#: Seconds in which a server that was told to restart must have closed its port.
_GONE_WITHIN_S = 60.0
#: Seconds between two questions after a restart, once it should be back.
_ASK_EVERY_S = 10.0
_POLL_S = 0.1
_EXIT_CODE_WITHIN_S = 2.0
_TAIL_LINES = 15
#: Of our own Python: webui.sh would take our virtual environment for its own.
_OURS = frozenset({"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "PYTHONSTARTUP"})
_SECRET = re.compile(r"ORCHESTRATOR_\w*PASSWORD", re.IGNORECASE)


class Client(Protocol):
    """What restarting needs of a client; `orchestrator.a1111.client.A1111` is one."""

    @property
    def url(self) -> str: ...
    def restart(self) -> None: ...
    def options(self) -> Mapping[str, object]: ...


@dataclass
class Webui:
    """A webui at `url`: one of ours, or one that ran before we came (then `child` is None and it is not ours to stop).

    `secrets` are the names of further environment variables that must not reach it.
    """

    url: str
    command: tuple[str, ...]
    folder: Path
    log: Path
    ready_within_s: float = READY_WITHIN_S
    quiet_s: float = QUIET_S
    secrets: frozenset[str] = frozenset()
    child: Child | None = None
    #: What the command has started in turn, remembered so that it is found when the command itself is gone.
    _family: list[ProcessId] = field(default_factory=list)

    @property
    def ours(self) -> bool:
        """Whether it was started by us."""
        return self.child is not None

    def ensure(self) -> None:
        """Adopt the one that runs at the URL, or start it and wait until it is ready.

        Raises `InstallError` with the end of its log when it does not come up, and `StorageError` when the log cannot
        be written. Nothing of it is left running then, nor after Ctrl-C.
        """
        if self.child is not None and processes.is_running(self.child.identity):
            return
        if port_is_open(self.url):
            self.child = None
            _let_it_start(self.url, self.quiet_s)
            return
        self._start()

    def stop(self) -> None:
        """End it with everything it started; nothing happens when it is not ours. Raises `InstallError` when it cannot
        be ended.
        """
        child, self.child = self.child, None
        if child is None:
            return
        family = [child.identity, *self._family, *_descendants(child.identity)]
        self._family = []
        ended = [processes.stop_tree(identity) for identity in dict.fromkeys(family)]
        # Its first thread may be gone while others still end: then the system has no exit code yet.
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.popen.wait(_EXIT_CODE_WITHIN_S)
        if not all(ended):
            raise InstallError(
                f"The webui at {self.url} could not be ended.",
                cause="The driver of the graphics card may hold it.",
                fix="End its python process by hand; on Windows in the Task Manager.",
            )

    def restart(self) -> None:
        """Stop it and start it anew, which frees what it leaked. Only for one of ours."""
        if self.child is None:
            raise ValueError(f"the webui at {self.url} is not ours")
        self.stop()
        _wait_until_closed(self.url)
        self._start()

    def tail(self) -> str:
        """The last lines of its log."""
        lines = _read(self.log).decode("utf-8", errors="replace").replace("\r", "\n").splitlines()
        return "\n".join(line.rstrip() for line in lines[-_TAIL_LINES:] if line.strip())

    def _start(self) -> None:
        with contextlib.suppress(OSError):  # the log of the one before says why it went away
            self.log.replace(self.log.with_name(f"{self.log.stem}.before{self.log.suffix}"))
        argv = [_program(self.command[0], self.folder), *self.command[1:]]
        self.child = processes.start(argv, folder=self.folder, environment=environment(self.secrets), log=self.log)
        try:
            self._wait_until_ready(self.child)
            self._family = _descendants(self.child.identity)
        except BaseException:
            with contextlib.suppress(InstallError):
                self.stop()
            raise

    def _wait_until_ready(self, child: Child) -> None:
        deadline = time.monotonic() + self.ready_within_s
        open_since: float | None = None
        while (now := time.monotonic()) < deadline:
            # Looked at before the code is: what it printed last must be there when it has ended.
            code = child.exit_code
            if code is not None:
                raise InstallError(
                    f"The webui {processes.exit_words(code)} before it was ready.",
                    cause=f"The end of its log, {self.log}:\n{self.tail() or '(nothing)'}",
                    fix="Start it by hand with the words of `a1111_command` and look at its console.",
                )
            if port_is_open(self.url):
                open_since = now if open_since is None else open_since
                # With --nowebui the line comes first and the port after it.
                if READY_LINE in _read(self.log) or now - open_since >= self.quiet_s:
                    return
            time.sleep(_POLL_S)
        raise InstallError(
            f"The webui was not ready at {self.url} within {self.ready_within_s:.0f} s; it was ended.",
            cause=f"It may have another port than the address says. The end of its log, {self.log}:\n"
            f"{self.tail() or '(nothing)'}",
            fix="Let its --port and the address agree, or start it once by hand so that it can download what it needs.",
        )


def webui(
    url: str, command: Sequence[str], *, log: Path, folder: Path | str = "", secrets: Sequence[str] = ()
) -> Webui:
    """A webui that `command` starts, not started yet. `folder` is its working directory; empty = the program's own.

    Raises `InstallError` when the folder or the program is not there.
    """
    where = Path(folder).expanduser() if folder else _own_folder(command[0])
    if not where.is_dir():
        raise InstallError(f"There is no folder {where} to start the webui in.", fix="Correct `a1111_folder`.")
    _program(command[0], where)
    return Webui(url, tuple(command), where, log, secrets=frozenset(secrets))


@contextlib.contextmanager
def running(managed: Webui) -> Iterator[Webui]:
    """`managed`, ready to be asked; stopped at the end, and on Ctrl-C, when it was started here."""
    managed.ensure()
    try:
        yield managed
    finally:
        managed.stop()


def restart(
    client: Client, managed: Webui | None = None, *, within_s: float = READY_WITHIN_S, quiet_s: float = QUIET_S
) -> None:
    """Start the server of `client` anew and wait until it is back; call it while nothing is drawn.

    One of ours is stopped and started; any other is asked to do it itself, which needs --api-server-stop and a start by
    webui.sh or webui.bat. Raises `InstallError` when it cannot, or does not come back within `within_s` seconds.
    """
    if managed is not None and managed.ours:
        managed.restart()
        return
    client.restart()
    _wait_until_closed(client.url)
    deadline = time.monotonic() + within_s
    while not port_is_open(client.url):
        if time.monotonic() > deadline:
            raise _not_back(client.url, within_s)
        time.sleep(_POLL_S)
    pause = quiet_s
    while True:
        time.sleep(pause)
        try:
            client.options()
            return
        except ServerUnreachable as error:
            if time.monotonic() > deadline:
                raise _not_back(client.url, within_s) from error
            pause = max(quiet_s, _ASK_EVERY_S)


def environment(secrets: frozenset[str] = frozenset(), base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the child: `base` (default: ours) without our Python's and without passwords, and with what
    makes its lines come at once and in UTF-8.
    """
    given = os.environ if base is None else base
    kept = {k: v for k, v in given.items() if k not in _OURS and k not in secrets and not _SECRET.fullmatch(k)}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:replace"}


def _wait_until_closed(url: str) -> None:
    deadline = time.monotonic() + _GONE_WITHIN_S
    while port_is_open(url):
        if time.monotonic() > deadline:
            raise InstallError(
                f"The webui at {url} was told to end and goes on.",
                cause="Another program answers at its address, or it hangs in a picture.",
                fix="End it by hand, then run the same command again.",
            )
        time.sleep(_POLL_S)


def _not_back(url: str, within_s: float) -> InstallError:
    return InstallError(
        f"A1111 at {url} did not come back within {within_s:.0f} s after it was started anew.",
        cause="Its console says why; reForge sometimes comes up without its API.",
        fix="Start it again by hand; the same command then goes on where it stopped.",
    )


def _let_it_start(url: str, quiet_s: float) -> None:
    """Wait as long as a request might be the death of a webui that somebody has only just started."""
    age = _age_of_listener(url)
    if age is not None and age < _YOUNG_S:
        time.sleep(min(quiet_s, _YOUNG_S - age))


def _age_of_listener(url: str) -> float | None:
    """Seconds since the process that listens at `url` was started; None where that cannot be seen (another machine, a
    container, another user's process).
    """
    if not is_loopback(url):
        return None
    port = urlsplit(url).port
    try:
        owners = {
            one.pid
            for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid
        }
        return min((time.time() - psutil.Process(pid).create_time() for pid in owners), default=None)
    except (psutil.Error, OSError):
        return None


def _descendants(identity: ProcessId) -> list[ProcessId]:
    try:
        process = psutil.Process(identity.pid)
        if abs(process.create_time() - identity.created) > 1.0:
            return []
        return [ProcessId(child.pid, child.create_time()) for child in process.children(recursive=True)]
    except psutil.Error:
        return []


def _program(word: str, folder: Path) -> str:
    """The program `word` names: a file in `folder`, an absolute path, or one on the PATH."""
    path = Path(word).expanduser()
    beside = path if path.is_absolute() else folder / path
    if beside.is_file():
        return str(beside)
    found = shutil.which(word)
    if found is None:
        raise InstallError(
            f"There is no program {word} to start the webui with.",
            fix="Correct the first word of `a1111_command`; write the whole path of webui.sh or webui-user.bat.",
        )
    return found


def _own_folder(word: str) -> Path:
    path = Path(word).expanduser()
    return path.parent if path.is_absolute() else Path.cwd()


def _read(log: Path) -> bytes:
    try:
        return log.read_bytes()
    except OSError:
        return b""
