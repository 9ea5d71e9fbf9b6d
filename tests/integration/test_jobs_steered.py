"""A running job that is paused and resumed: the last word counts, however late it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.jobs.control import Control, Interrupted
from orchestrator.jobs.model import Job, NewJob
from orchestrator.jobs.store import Store
from orchestrator.jobs.worker import Worker


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_resumed_before_it_came_to_a_place_to_leave_off_at_it_goes_on(ugly_path: Path) -> None:
    path = ugly_path / "ledger.sqlite3"

    def execute(job: Job, control: Control) -> Mapping[str, Any]:
        with Store(path) as store:
            store.ask(job.id, "pause")
            until(lambda: control.why == "pause")
            store.ask(job.id, "")
            until(lambda: not control.why)
        control.check()
        return {}

    with Store(path) as store:
        (one,) = store.add([NewJob("train", "a job", {})])
        Worker(path, execute).run("empty")
        assert (store.job(one).state, store.job(one).attempts) == ("finished", 1)
        assert "asked to go on" in [event.text for event in store.events(one)]


def test_resumed_while_it_leaves_off_it_waits_for_its_turn_and_is_not_paused(ugly_path: Path) -> None:
    path = ugly_path / "ledger.sqlite3"

    def execute(job: Job, control: Control) -> Mapping[str, Any]:
        if job.attempts > 1:
            return {}
        with Store(path) as store:
            store.ask(job.id, "pause")
            until(lambda: control.why == "pause")
            store.ask(job.id, "")
        raise Interrupted("paused")

    with Store(path) as store:
        (one,) = store.add([NewJob("train", "a job", {})])
        Worker(path, execute).run("empty")
        assert (store.job(one).state, store.job(one).attempts) == ("finished", 2)
