"""The ledger on a real disk: what is in it stays, what is wrong with it is said."""

from __future__ import annotations

import multiprocessing
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import InputError, LedgerError, StorageError
from orchestrator.jobs import migrations, opening, place
from orchestrator.jobs.model import Failure, NewJob, Progress
from orchestrator.jobs.sql import queries
from orchestrator.jobs.store import Store

WORKER = "w"


@pytest.fixture
def path(ugly_path: Path) -> Path:
    return ugly_path / "queue" / "ledger.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as store:
        yield store


def new(title: str = "a job", **values: Any) -> NewJob:
    return NewJob("train", title, {"profile": "[subject]\nname = '初音ミク'"}, **values)


def test_a_job_from_beginning_to_end(store: Store) -> None:
    (id_,) = store.add([new(priority=3, window="23:00-07:00", retries=1, needs_card=True, estimate=(60.0, 90.0))])
    job = store.job(id_)
    assert (job.state, job.priority, job.estimate, job.needs_card) == ("waiting", 3, (60.0, 90.0), True)
    assert store.payload(id_)[1]["profile"].endswith("'初音ミク'")
    assert store.claim(id_, WORKER) is not None
    assert store.claim(id_, "another") is None
    store.progress(id_, Progress("train", 5, 10, "loss 0.1", 12.5))
    assert store.asked(id_, WORKER) == ""
    assert store.ask(id_, "pause")
    assert (store.asked(id_, WORKER), store.asked(id_, "another")) == ("pause", None)
    assert store.fail(id_, WORKER, Failure("it broke", "why", "do this"), retry_at=9e9)
    job = store.job(id_)
    assert (job.state, job.retries, job.failures, job.retry_at) == ("waiting", 0, 1, 9e9)
    assert job.failure == Failure("it broke", "why", "do this")
    assert job.progress is not None and job.progress.place == "train 5"
    assert store.claim(id_, WORKER) is not None
    assert not store.finish(id_, "another", {})
    assert store.finish(id_, WORKER, {"run": "v1"})
    job = store.job(id_)
    assert (job.state, job.result, job.failure, job.attempts) == ("finished", {"run": "v1"}, None, 2)
    kinds = [event.kind for event in store.events(id_)]
    assert kinds == ["added", "claimed", "asked", "failed for now", "claimed", "finished"]
    assert store.open_jobs() == [] and [one.id for one in store.over()] == [id_]


def test_jobs_added_together_are_all_there_or_none(store: Store) -> None:
    ids = store.add([new("one"), new("two", needs=(-1,)), new("three", needs=(-1, -2))])
    assert store.job(ids[2]).needs == (ids[0], ids[1])
    with pytest.raises(InputError, match="no job 999"):
        store.add([new("four"), new("five", needs=(999,))])
    assert len(store.open_jobs()) == 3
    with pytest.raises(InputError, match="for ever"):
        store.wait_for(ids[0], ids[2])
    assert store.job(ids[0]).needs == ()


def test_what_was_committed_is_there_for_the_next(path: Path, store: Store) -> None:
    store.add([new()])
    with Store(path) as another:
        assert len(another.open_jobs()) == 1
        before = another.changes
        store.add([new()])
        assert another.changes != before


def test_every_statement_has_a_name_a_sentence_and_is_understood(store: Store) -> None:
    connection = store._connection
    named = {**queries()}
    assert len(named) > 30
    for name, text in named.items():
        parameters = dict.fromkeys(re.findall(r":(\w+)", text))
        connection.execute(f"EXPLAIN {text}", parameters)
        assert text.startswith("--") or len(text.splitlines()) <= 3, f"{name} has no sentence"


def test_what_a_worker_chooses_from_is_found_by_index(store: Store) -> None:
    for name, index in (("open", "jobs_by_state"), ("over", "jobs_by_end"), ("events", "events_by_job")):
        values = dict.fromkeys(re.findall(r":(\w+)", queries()[name]), 1)
        plan = store._connection.execute(f"EXPLAIN QUERY PLAN {queries()[name]}", values).fetchall()
        assert any(index in row["detail"] for row in plan), [row["detail"] for row in plan]


def test_an_older_ledger_is_brought_up_to_date_and_kept_beside(path: Path) -> None:
    path.parent.mkdir(parents=True)
    old = sqlite3.connect(path, isolation_level=None)
    old.row_factory = sqlite3.Row
    migrations.m001_jobs(old)
    old.execute(f"PRAGMA application_id = {opening.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    old.execute(
        "INSERT INTO jobs (kind, title, state, workspace, priority, position, window, retries, needs_card, chain,"
        " added_at) VALUES ('train', 'from before', 'waiting', '', 0, 1, '', 0, 1, '', 5.0)"
    )
    old.close()
    with Store(path) as store:
        (job,) = store.open_jobs()
        assert (job.title, job.estimate) == ("from before", None)
        assert store.timings("steps") == []
    (kept,) = path.parent.glob("ledger.layout-1-*.sqlite3")
    copy = sqlite3.connect(kept)
    assert copy.execute("SELECT title FROM jobs").fetchall() == [("from before",)]
    assert copy.execute("PRAGMA user_version").fetchone() == (1,)
    copy.close()


def test_a_step_that_fails_leaves_the_ledger_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path) as store:
        store.add([new()])

    def breaks(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (x)")
        connection.execute("INSERT INTO nowhere VALUES (1)")

    monkeypatch.setattr(opening, "MIGRATIONS", (*migrations.MIGRATIONS, breaks))
    monkeypatch.setattr(opening, "VERSION", migrations.VERSION + 1)
    with pytest.raises(LedgerError, match="nowhere"):
        Store(path)
    monkeypatch.undo()
    with Store(path) as store:
        assert len(store.open_jobs()) == 1
        assert store._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchall() == []


def test_a_newer_ledger_is_refused(path: Path) -> None:
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerError, match="newer orchestrator"):
        Store(path)


def test_somebody_elses_database_is_refused_and_not_touched(path: Path) -> None:
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="another program"):
        Store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("what", ["garbage", "truncated"])
def test_a_damaged_ledger_is_named_with_its_cure(path: Path, what: str) -> None:
    if what == "garbage":
        path.parent.mkdir(parents=True)
        path.write_bytes(b"no database at all " * 200)
    else:
        with Store(path) as store:
            store.add([new("x" * 4000) for _ in range(50)])
            store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(LedgerError, match="damaged") as caught, Store(path) as store:
        store.open_jobs()
    assert "queue import" in caught.value.fix


def test_a_held_ledger_is_waited_for_and_then_named(path: Path) -> None:
    Store(path).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with Store(path, busy_s=0.05) as store, pytest.raises(LedgerError, match="held by another program"):
        store.add([new()])
    holder.execute("ROLLBACK")
    holder.close()


def test_a_full_disk_is_named_and_nothing_is_lost(path: Path) -> None:
    with Store(path) as store:
        (id_,) = store.add([new()])
        # SQLite's own way to say that there is no room: the very error a full disk gives.
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageError, match="disk is full"):
            store.add([new("x" * 20_000)])
        assert store.claim(id_, WORKER) is not None
    with Store(path) as store:
        assert [job.title for job in store.open_jobs()] == ["a job"]


def test_a_network_drive_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [("/", "ext4"), (str(tmp_path), "nfs4"), (str(tmp_path / "local"), "xfs")]
    assert place.network_drive(tmp_path / "queue" / "l.sqlite3", mounts) == "nfs4"
    assert place.network_drive(tmp_path / "local" / "l.sqlite3", mounts) == ""
    assert place.network_drive(tmp_path / "x", [(str(tmp_path), "remote")]) == "remote"
    assert place.network_drive(Path("\\\\server\\share\\l.sqlite3"), [], "win32") == "a network share"
    monkeypatch.setattr(opening, "network_drive", lambda path: place.network_drive(path, mounts))
    with pytest.raises(LedgerError, match="network drive") as caught:
        Store(tmp_path / "l.sqlite3")
    assert "both take one job" in caught.value.cause


def test_over_jobs_are_forgotten_but_not_what_is_still_needed(store: Store) -> None:
    first, second, third = store.add([new("one"), new("two"), new("three", needs=(-1,))])
    for id_ in (first, second):
        store.claim(id_, WORKER)
        store.finish(id_, WORKER, {})
    assert store.prune(9e9) == 1
    assert store.job(first).state == "finished"
    with pytest.raises(InputError):
        store.job(second)
    assert store.events(second) == []
    assert store.job(third).needs == (first,)


def _race(path: Path, worker: str, barrier: Any, out: Any) -> None:
    got = []
    with Store(path) as store:
        barrier.wait()
        while jobs := [job for job in store.open_jobs() if job.state == "waiting"]:
            for job in jobs[:20]:
                if store.claim(job.id, worker) is not None:
                    store.finish(job.id, worker, {"by": worker})
                    got.append(job.id)
    out.put((worker, got))


def test_two_workers_race_over_500_jobs_and_none_is_done_twice(path: Path) -> None:
    with Store(path) as store:
        ids = store.add([new(str(n)) for n in range(500)])
    context = multiprocessing.get_context("spawn")
    barrier, out = context.Barrier(2), context.Queue()
    racers = [context.Process(target=_race, args=(path, name, barrier, out)) for name in ("a", "b")]
    for racer in racers:
        racer.start()
    done = dict(out.get(timeout=60) for _ in racers)
    for racer in racers:
        racer.join()
    assert sorted(done["a"] + done["b"]) == ids
    assert done["a"] and done["b"], "there was no race"
    with Store(path) as store:
        assert all(store.job(id_).attempts == 1 for id_ in ids)
        assert {job.result["by"] for job in store.over()} == {"a", "b"}
