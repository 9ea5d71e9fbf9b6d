"""Where the ledger lies, and whether it may lie there."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import platformdirs

from orchestrator import processes
from orchestrator.files import read_json, write_json
from orchestrator.processes import ProcessId

#: SQLite's write-ahead log needs memory that all its users share, and locks that work: no network drive has both.
NETWORK = frozenset(
    {
        "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "afs", "ncpfs", "webdav", "davfs",
        "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.davfs2", "fuse.glusterfs", "glusterfs", "ceph", "fuse.ceph",
        "lustre", "macfuse", "osxfuse",
    }
)  # fmt: skip
VARIABLE = "ORCHESTRATOR_LEDGER"


def state_folder() -> Path:
    """Where this user's queue keeps what is no file of a workspace: ledger, leases, notes, summaries."""
    return platformdirs.user_state_path("orchestrator", appauthor=False) / "queue"


def ledger_file() -> Path:
    """The ledger of this user on this machine, or the one ORCHESTRATOR_LEDGER names."""
    named = os.environ.get(VARIABLE, "")
    return Path(named).expanduser() if named else state_folder() / "ledger.sqlite3"


def network_drive(path: Path, mounts: Sequence[tuple[str, str]] | None = None, platform: str = sys.platform) -> str:
    """What kind of network drive `path` would lie on; empty = none. `mounts` are (mount point, kind), read from the
    system when not given.
    """
    if platform == "win32" and str(path).startswith(("\\\\", "//")) and not str(path).startswith("\\\\?\\"):
        return "a network share"
    where = path.absolute()
    place, kind = "", ""
    for point, name in _mounts(platform) if mounts is None else mounts:
        if where.is_relative_to(point) and len(point) >= len(place):
            place, kind = point, name
    return kind if kind.lower() in NETWORK or kind == "remote" else ""


def _mounts(platform: str) -> list[tuple[str, str]]:
    if platform.startswith("linux"):
        try:
            lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        parts = [line.split(" ") for line in lines]
        return [(part[1].replace("\\040", " "), part[2]) for part in parts if len(part) > 2]
    import psutil

    found = psutil.disk_partitions(all=True)
    return [(one.mountpoint, "remote" if "remote" in one.opts.split(",") else one.fstype) for one in found]


def _keeper_note(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}.keeper.json")


@contextlib.contextmanager
def keeping(ledger: Path) -> Iterator[None]:
    """Let others know that a keeper waits for jobs of this ledger."""
    note, me = _keeper_note(ledger), processes.own_identity()
    write_json(note, [me.pid, me.created])
    try:
        yield
    finally:
        if read_json(note) == [me.pid, me.created]:
            note.unlink(missing_ok=True)


def keeper_lives(ledger: Path) -> bool:
    """Whether a keeper waits for jobs of this ledger."""
    kept = read_json(_keeper_note(ledger))
    return isinstance(kept, list) and len(kept) == 2 and processes.is_running(ProcessId(kept[0], kept[1]))
