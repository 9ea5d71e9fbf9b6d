"""How the ledger came to look as it does. Each step and the record that it ran are one transaction.

Never change a step that was released: add one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable


def m001_jobs(connection: sqlite3.Connection) -> None:
    """Jobs with payload, dependencies, progress, log; workers."""
    for statement in (
        """CREATE TABLE jobs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            title TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN
                ('waiting', 'running', 'paused', 'finished', 'failed', 'set aside', 'cancelled')),
            workspace TEXT NOT NULL,
            priority INTEGER NOT NULL,
            position REAL NOT NULL,
            "window" TEXT NOT NULL,
            at REAL,
            retries INTEGER NOT NULL,
            needs_card INTEGER NOT NULL,
            chain TEXT NOT NULL,
            added_at REAL NOT NULL,
            started_at REAL,
            ended_at REAL,
            worked_s REAL NOT NULL DEFAULT 0,
            attempts INTEGER NOT NULL DEFAULT 0,
            failures INTEGER NOT NULL DEFAULT 0,
            deaths INTEGER NOT NULL DEFAULT 0,
            death_place TEXT NOT NULL DEFAULT '',
            retry_at REAL,
            interrupted INTEGER NOT NULL DEFAULT 0,
            worker TEXT NOT NULL DEFAULT '',
            asked TEXT NOT NULL DEFAULT '',
            why TEXT NOT NULL DEFAULT '',
            failure TEXT,
            result TEXT)""",
        "CREATE INDEX jobs_by_state ON jobs (state) WHERE state IN ('waiting', 'running', 'paused')",
        "CREATE INDEX jobs_by_end ON jobs (ended_at)",
        """CREATE TABLE payloads (
            job INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
            format INTEGER NOT NULL, content TEXT NOT NULL)""",
        """CREATE TABLE dependencies (
            job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
            needs INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
            PRIMARY KEY (job, needs)) WITHOUT ROWID""",
        "CREATE INDEX dependencies_by_needs ON dependencies (needs)",
        """CREATE TABLE progress (
            job INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
            what TEXT NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL, detail TEXT NOT NULL, left_s REAL,
            at REAL NOT NULL)""",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
            at REAL NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL)""",
        "CREATE INDEX events_by_job ON events (job, id)",
        """CREATE TABLE workers (
            id TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, created REAL NOT NULL,
            beat_at REAL NOT NULL)""",
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ):
        connection.execute(statement)


def m002_estimates(connection: sqlite3.Connection) -> None:
    """How long things took here, and how long a job will probably take."""
    connection.execute("ALTER TABLE jobs ADD COLUMN estimate_low REAL")
    connection.execute("ALTER TABLE jobs ADD COLUMN estimate_high REAL")
    connection.execute(
        "CREATE TABLE timings (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, units INTEGER NOT NULL,"
        " seconds REAL NOT NULL, at REAL NOT NULL)"
    )
    connection.execute("CREATE INDEX timings_by_kind ON timings (kind, id)")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (m001_jobs, m002_estimates)
VERSION = len(MIGRATIONS)
