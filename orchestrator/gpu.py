"""The lease: one graphics card, several programs of ours, never two of them on it at once.

A lease is a lock of the operating system on a file in the user's state folder: it is shared by all workspaces and
queues of a user, and gone when its process is, however that ended. A trainer outlives us, though. So beside the lock
lies a note of what the holder started, and whoever takes the lease looks whether that still runs.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator import processes
from orchestrator.files import read_json, storage_error, write_json
from orchestrator.processes import ProcessId

#: nvidia-smi answers in well under a second; a hung driver never.
_SMI_WITHIN_S = 20.0
_MB = 1 << 20
#: The log of who held the card is begun anew when it is longer than this; the one before is kept.
_LOG_BYTES = 4 << 20


@dataclass(frozen=True)
class Holder:
    """Who has, or had, the card, and since when (seconds since 1970). `signs` are what the trainer's command line holds
    (empty = no trainer). Without a `ledger` it was a command at the keyboard.
    """

    ledger: str = ""
    job: int = 0
    title: str = ""
    signs: tuple[str, ...] = ()
    pid: int | None = None
    created: float | None = None
    since: float = 0.0

    def trainer(self) -> ProcessId | None:
        """The trainer it started, if that still runs."""
        if self.pid is not None and self.created is not None:
            identity = ProcessId(self.pid, self.created)
            if processes.is_running(identity):
                return identity
        return processes.find(*self.signs) if self.signs else None


@dataclass
class Lease:
    """The right to compute on graphics card `gpu` (its number as nvidia-smi counts). Held until `release`, or until
    this process ends. `folder` is shared by everything that uses the card.
    """

    gpu: int
    folder: Path
    _lock: Any = field(default=None, repr=False)

    @property
    def note(self) -> Path:
        """What the last holder wrote down of itself."""
        return self.folder / f"gpu-{self.gpu}.json"

    @property
    def log(self) -> Path:
        """Who held the card from when to when, one JSON line each; written by nobody but the holders."""
        return self.folder / f"gpu-{self.gpu}.log.jsonl"

    @property
    def held(self) -> bool:
        """Whether we have it."""
        return self._lock is not None and bool(self._lock.is_locked)

    def take(self, wait_s: float = 0.0) -> bool:
        """Take the lease; False when another process has it. Raises `StorageError`."""
        if self.held:
            return True
        from filelock import FileLock, Timeout

        path = self.folder / f"gpu-{self.gpu}.lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path, timeout=wait_s)
            lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            raise storage_error(error, path) from error
        self._lock = lock
        self._write("taken")
        return True

    def is_taken(self) -> bool:
        """Whether another process has it at this moment. Leaves no line in the log. Raises `StorageError`."""
        from filelock import FileLock, Timeout

        path = self.folder / f"gpu-{self.gpu}.lock"
        if self.held or not path.exists():
            return False
        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            return True
        except OSError as error:
            raise storage_error(error, path) from error

    def release(self) -> None:
        """Give it back."""
        if self.held:
            self._write("released")
            self._lock.release()
        self._lock = None

    def before(self) -> Holder:
        """Who held it last, by its note."""
        kept = read_json(self.note)
        if not isinstance(kept, dict):
            return Holder()
        known: dict[str, Any] = {name: kept[name] for name in Holder.__dataclass_fields__ if kept.get(name) is not None}
        try:
            return Holder(**{**known, "signs": tuple(map(str, known.get("signs", ())))})
        except TypeError:
            return Holder()

    def use(self, holder: Holder) -> None:
        """Write down what the card is used for from now on. Call it while the lease is held, before a trainer is
        started: whoever comes after our death must know what to look for.
        """
        if holder != Holder() and not holder.since:
            before = self.before()
            same = (before.ledger, before.job, before.signs) == (holder.ledger, holder.job, holder.signs)
            holder = replace(holder, since=before.since if same and before.since else time.time())
        write_json(self.note, asdict(holder))
        self._write("used", job=holder.job, title=holder.title, ledger=holder.ledger)

    def _write(self, event: str, **more: Any) -> None:
        line = json.dumps({"at": time.time(), "event": event, "pid": os.getpid(), **more}, ensure_ascii=False)
        try:
            if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
                with contextlib.suppress(PermissionError):  # Windows, while somebody reads it: the next time, then
                    os.replace(self.log, self.log.with_suffix(".before.jsonl"))  # noqa: PTH105
            with self.log.open("a", encoding="utf-8", newline="\n") as stream:
                stream.write(line + "\n")
        except OSError as error:
            raise storage_error(error, self.log) from error


@dataclass(frozen=True)
class CardMemory:
    """Memory of one card in bytes, all programs counted."""

    used: int
    total: int


@dataclass(frozen=True)
class CardUser:
    """A process that computes on the card. `used` is in bytes, None where the driver does not tell (Windows)."""

    pid: int
    name: str
    used: int | None


def memory(gpu: int) -> CardMemory | None:
    """What nvidia-smi says of a card; None where there is no nvidia-smi, or none of that number."""
    rows = _smi(["--query-gpu=memory.used,memory.total"], gpu)
    try:
        return CardMemory(int(rows[0][0]) * _MB, int(rows[0][1]) * _MB)
    except (IndexError, ValueError):
        return None


def users(gpu: int) -> list[CardUser]:
    """The processes that compute on a card, as far as nvidia-smi tells."""
    found = []
    for row in _smi(["--query-compute-apps=pid,process_name,used_memory"], gpu):
        if len(row) == 3 and row[0].isdigit():
            found.append(CardUser(int(row[0]), row[1], int(row[2]) * _MB if row[2].isdigit() else None))
    return found


def count() -> int | None:
    """How many cards nvidia-smi sees; None where there is no nvidia-smi."""
    rows = _smi(["--query-gpu=index"], None)
    return len(rows) or None


def choose(gpu: int, environment: MutableMapping[str, str] = os.environ) -> None:
    """Let everything that is started from here on see card `gpu` alone, counted as nvidia-smi counts."""
    environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    environment["CUDA_VISIBLE_DEVICES"] = str(gpu)


def _smi(query: Sequence[str], gpu: int | None) -> list[list[str]]:
    program = find_smi()
    if program is None:
        return []
    chosen = [] if gpu is None else [f"--id={gpu}"]
    flags: dict[str, Any] = {"creationflags": processes.CREATE_NO_WINDOW} if sys.platform == "win32" else {}
    try:
        done = subprocess.run(
            [program, *query, "--format=csv,noheader,nounits", *chosen],
            capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=_SMI_WITHIN_S, check=False,
            stdin=subprocess.DEVNULL, **flags,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode:
        return []
    return [[cell.strip() for cell in row] for row in csv.reader(done.stdout.splitlines()) if row]


def find_smi(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str | None:
    """The nvidia-smi of this machine."""
    found = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if found or platform != "win32":
        return found
    beside = Path(environment.get("SystemRoot", r"C:\Windows")) / "System32" / "nvidia-smi.exe"
    return str(beside) if beside.is_file() else None
