"""The simulated server as a process: `python -m orchestrator.sandbox.server`, and `start()` for the demo and
the tests."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, get_args, get_type_hints

import psutil

from .a1111.faults import KINDS
from .a1111.settings import Settings

if TYPE_CHECKING:
    from .a1111.painting import World

WORLDS = ("story", "equal", "spike")
_LOG_TAIL = 30
_GRACE_SECONDS = 5.0


class SandboxError(RuntimeError):
    """The simulated server did not start; the message holds the end of its log."""


@dataclass
class RunningServer:
    """A server in a child process. Leave the `with` block, or call `stop()`, to end it."""

    url: str
    """`http://127.0.0.1:PORT`, without a trailing slash."""
    home: Path
    log: Path
    pid: int
    """The process that serves; where Python is started through a launcher (Windows venvs) not the one started."""
    _process: subprocess.Popen[bytes]

    def running(self) -> bool:
        """Whether it still answers for itself."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end, then make it. Works on every system and may be called twice."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would; a third of a second quicker than `stop()`. May be called twice."""
        if self.running():  # otherwise its numbers may be another's by now
            for pid in (self.pid, self._process.pid):
                with contextlib.suppress(psutil.Error):
                    psutil.Process(pid).kill()
            self._process.wait(_GRACE_SECONDS)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def __enter__(self) -> RunningServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()


def start(
    home: Path,
    world: World = "story",
    settings: Settings | None = None,
    *,
    port: int = 0,
    timeout_seconds: float = 60.0,
    ready: bool = True,
) -> RunningServer:
    """Start a server over `home` (see `home.make_home`) and wait until it answers; with `ready` False only until its
    port is open (see `Settings.startup_seconds`). `port` 0 takes a free one.

    The child ends by itself when this process ends. Its output goes to `home/server.log`.

    Raises:
        SandboxError: it ended or stayed silent; the message ends with the last lines of its log.
    """
    log, announcement = home / "server.log", home / "server.json"
    announcement.unlink(missing_ok=True)
    token = secrets.token_hex(8)
    command = [sys.executable, "-m", "orchestrator.sandbox.server", "--home", str(home), "--port", str(port)]
    command += ["--world", world, "--token", token, "--parent", str(os.getpid()), *_arguments(settings or Settings())]
    package_root = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    # The painter's matrices are small: a second BLAS thread only takes the processor from the client (twice the time).
    environment = {**os.environ, "PYTHONPATH": search, "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
    until = time.monotonic() + timeout_seconds
    try:
        while time.monotonic() < until and process.poll() is None:
            found = _announced(announcement, token, ready)
            if found is not None:
                return RunningServer(found[0], home, log, found[1], process)
            time.sleep(0.02)
    except BaseException:
        _end(process)
        raise
    ended = process.poll()
    _end(process)
    what = f"ended with exit code {ended}" if ended is not None else f"did not answer within {timeout_seconds:g} s"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_TAIL:]
    tail = "\n".join(lines) or "(nothing)"
    raise SandboxError(f"The simulated server {what}. The end of its log, {log}:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _announced(path: Path, token: str, ready: bool) -> tuple[str, int] | None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return (said["url"], said["pid"]) if said.get("token") == token and (said["ready"] or not ready) else None


def _arguments(settings: Settings) -> list[str]:
    """The command line that makes these settings again."""
    out = []
    for key, value in asdict(settings).items():
        if value is None:
            continue
        shown = str(value).lower() if isinstance(value, bool) else value
        out.append(f"--{key.replace('_', '-')}={shown}")
    return out


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator.sandbox.server",
        description="A simulated AUTOMATIC1111 server. Every picture it makes is drawn, and says so.",
        epilog="\n".join(["kinds of faults:", *(f"  {kind:<20}{what}" for kind, what in KINDS.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--home", type=Path, required=True, help="folder with models/ and outputs/; completed if needed"
    )
    parser.add_argument("--port", type=int, default=7860, help="0 takes a free one (default 7860)")
    parser.add_argument("--world", choices=WORLDS, default="story")
    parser.add_argument("--token", default="", help=argparse.SUPPRESS)
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    hints = get_type_hints(Settings)
    for one in fields(Settings):
        name = f"--{one.name.replace('_', '-')}"
        hint = hints[one.name]
        if hint is bool:
            parser.add_argument(name, type=_yes_or_no, nargs="?", const=True, default=one.default, metavar="true|false")
        elif all(isinstance(choice, str) for choice in get_args(hint)) and get_args(hint):
            parser.add_argument(name, choices=get_args(hint), default=one.default)
        else:
            kind = next(k for k in (float, int, str) if k is hint or k in get_args(hint))
            parser.add_argument(name, type=kind, default=one.default)
    return parser


def _yes_or_no(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise argparse.ArgumentTypeError("true or false")
    return text.lower() == "true"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C (or, as a child, until the parent is gone). Returns the exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    try:
        settings = Settings(**{one.name: getattr(args, one.name) for one in fields(Settings)})
    except ValueError as wrong:
        parser.error(str(wrong))
    from .a1111 import serving
    from .home import make_home

    home = make_home(args.home.absolute(), args.world)
    return serving.serve(home, args.world, settings, args.port, token=args.token, parent=args.parent)


if __name__ == "__main__":
    sys.exit(main())
