"""Opening the ledger's file: made, brought up to date, or refused with the reason."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import LedgerError, StorageError
from orchestrator.files import storage_error
from orchestrator.jobs.migrations import MIGRATIONS, VERSION
from orchestrator.jobs.place import network_drive

#: Written into the file's header, so that no other program's database is taken for ours ("orch").
APPLICATION_ID = 0x6F726368
#: How long another command may hold the ledger; ours hold it for milliseconds.
BUSY_S = 10.0


def connect(path: Path, *, durable: bool = True, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """A connection to the ledger at `path`, made or migrated where need be.

    What a `durable` connection commits outlives a power cut. Raises `LedgerError` for a ledger that is newer, damaged,
    locked, somebody else's, or on a network drive, `StorageError` where it cannot be written.
    """
    if kind := network_drive(path):
        raise LedgerError(
            f"The queue's ledger must not lie on a network drive, and {path} does ({kind}).",
            cause="Two workers that see it through a network could both take one job: locks do not hold there.",
            fix="Let ORCHESTRATOR_LEDGER name a file on a disk of this machine; every machine has a queue of its own.",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path) from error
    with told(path):
        # Statements are committed one by one, but inside of `transaction`.
        connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            _bring_up_to_date(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection, path)
    if version == VERSION:
        return
    if version == 0:
        connection.execute("PRAGMA journal_mode = WAL")
    else:
        _keep_copy(connection, path, version)
    for number in range(version + 1, VERSION + 1):
        with transaction(connection):
            if _version(connection, path) >= number:  # another command was quicker
                continue
            MIGRATIONS[number - 1](connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and not (empty and application == 0 and version == 0):
        raise LedgerError(f"{path} is a database of another program.", fix="Let ORCHESTRATOR_LEDGER name another file.")
    if version > VERSION:
        raise LedgerError(
            f"The queue's ledger {path} was written by a newer orchestrator (layout {version}; this one knows "
            f"{VERSION}).",
            cause="Two versions are installed, or this one was put back.",
            fix="Use the newer one; or let ORCHESTRATOR_LEDGER name another file for this one.",
        )
    return version


def _keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """The ledger as it was before it is changed."""
    kept = path.with_name(f"{path.stem}.layout-{version}-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    copy = sqlite3.connect(kept)
    try:
        connection.backup(copy)
    finally:
        copy.close()


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """An immediate transaction: the ledger is ours from the first statement on, all of it is kept or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # A full disk has ended it already.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Errors of SQLite as errors for people."""
    try:
        yield
    except sqlite3.Error as error:
        raise _worded(error, path) from error


def _worded(error: sqlite3.Error, path: Path) -> StorageError:
    text = str(error)
    if "full" in text:
        return StorageError(
            f"The disk is full: the queue's ledger {path} could not be written.",
            fix="Free some space. Nothing that was in the ledger is lost; the same command then goes on.",
        )
    if "locked" in text or "busy" in text:
        return LedgerError(
            f"The queue's ledger {path} is held by another program.",
            cause="A database viewer or a backup program has it open for writing; our own commands hold it for "
            "milliseconds.",
            fix="Close that program and run the same command again.",
        )
    if any(word in text for word in ("malformed", "not a database", "corrupt")):
        return LedgerError(
            f"The queue's ledger {path} is damaged ({text}).",
            cause="The disk failed, or another program wrote into it. Runs, pictures and grids are not in it.",
            fix=f"Rename it, and {path.name}-wal with it; then `orchestrator queue import` the newest file that "
            f"`queue export` wrote, or add the jobs again. What was made is found, nothing is made twice.",
        )
    if "readonly" in text or "unable to open" in text:
        return StorageError(
            f"The queue's ledger {path} cannot be opened for writing.",
            cause="The file or its folder belongs to another user, or is a folder itself.",
            fix="Give yourself the right to write there, or let ORCHESTRATOR_LEDGER name another file.",
        )
    return LedgerError(f"The queue's ledger {path} cannot be used: {text}.", fix="Run the same command again.")
