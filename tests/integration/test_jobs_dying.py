"""Jobs whose workers die: never in the way of others, tried again at the end, set aside only after that."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator import processes
from orchestrator.cli.queue_shown import reason
from orchestrator.jobs.control import Control
from orchestrator.jobs.model import Asked, Job, NewJob, Progress, WorkerRow
from orchestrator.jobs.store import Store
from orchestrator.jobs.worker import Worker, bury_dead
from orchestrator.night import session, summary


@pytest.fixture(scope="module")
def dead() -> WorkerRow:
    """A worker whose process has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        created = processes._identity(process.pid).created
        process.communicate()
    return WorkerRow("dead", socket.gethostname(), process.pid, created, 0.0)


def die(store: Store, id_: int, dead: WorkerRow, done: int) -> Job:
    """A worker takes the job, gets so far, and dies."""
    store.register(dead)
    assert store.claim(id_, dead.id) is not None
    store.progress(id_, Progress("train", done, 100))
    assert [job.id for job in bury_dead(store)] == [id_]
    return store.job(id_)


def test_after_two_deaths_at_one_place_it_comes_last_and_after_two_more_it_is_set_aside(
    ugly_path: Path, dead: WorkerRow
) -> None:
    path = ugly_path / "ledger.sqlite3"
    order: list[int] = []
    told: list[str] = []

    def execute(job: Job, control: Control) -> Mapping[str, Any]:
        order.append(job.id)
        return {}

    with Store(path) as store:
        innocent, guilty, *others = store.add([NewJob("report", f"job {n}", {}, priority=5 - n) for n in range(4)])
        job = die(store, innocent, dead, 7)
        assert (job.state, job.interrupted, job.comes_last) == ("waiting", True, False)
        job = die(store, innocent, dead, 7)
        assert (job.state, job.comes_last) == ("waiting", True)
        assert "tried again when nothing else is left" in reason(job, {}, 0)
        for deaths in range(1, 5):
            job = die(store, guilty, dead, 3)
            assert job.state == ("waiting" if deaths < 4 else "set aside")
        assert job.failure is not None and job.failure.what == "4 workers died of it at the same place (train 3)"
        assert "queue retry" in job.failure.fix
        night = session.look_back(store, 0.0)
        text = summary.text(night)
        assert f"{guilty} job 1: 4 workers died of it" in text
        assert f"{innocent} job 0 (7 of 100): 2 workers died with it" in text
        Worker(path, execute, on_end=lambda ended: told.append(ended.title)).run("empty")
        assert order == [*others, innocent]
        job = store.job(innocent)
        assert (job.state, job.deaths) == ("finished", 0)


def test_a_job_that_gets_on_between_two_deaths_is_not_suspected(ugly_path: Path, dead: WorkerRow) -> None:
    with Store(ugly_path / "ledger.sqlite3") as store:
        (one,) = store.add([NewJob("train", "a job", {})])
        for done in range(8):
            job = die(store, one, dead, done)
            assert job.state == "waiting" and not job.comes_last
        for _ in range(2):
            job = die(store, one, dead, 7)
        assert job.comes_last
        assert not die(store, one, dead, 8).comes_last, "it got on"


def test_a_job_that_is_set_aside_is_told_at_once(ugly_path: Path, dead: WorkerRow) -> None:
    told: list[tuple[str, str]] = []
    path = ugly_path / "ledger.sqlite3"
    with Store(path) as store:
        (one,) = store.add([NewJob("train", "a job", {})])
        for _ in range(3):
            die(store, one, dead, 3)
        store.register(dead)
        store.claim(one, dead.id)
    Worker(path, lambda job, control: {}, on_end=lambda job: told.append((job.title, job.state))).run("empty")
    assert told == [("a job", "set aside")]


@pytest.mark.parametrize(("asked", "state"), [("cancel", "cancelled"), ("pause", "paused")])
def test_what_was_asked_of_a_job_whose_worker_died_is_done(
    ugly_path: Path, dead: WorkerRow, asked: Asked, state: str
) -> None:
    with Store(ugly_path / "ledger.sqlite3") as store:
        (one,) = store.add([NewJob("train", "a job", {})])
        store.register(dead)
        store.claim(one, dead.id)
        assert store.ask(one, asked)
        bury_dead(store)
        job = store.job(one)
        assert (job.state, job.deaths, job.failure) == (state, 0, None)
        assert (job.ended_at is None) == (state == "paused")


def test_a_clock_that_was_set_back_takes_no_time_away(ugly_path: Path) -> None:
    clock = iter((9e9, 9e9, 9e9, *[1e9] * 9))
    with Store(ugly_path / "ledger.sqlite3", clock=lambda: next(clock)) as store:
        (one,) = store.add([NewJob("train", "a job", {})])
        store.claim(one, "w")
        store.finish(one, "w", {})
        assert store.job(one).worked_s == 0
