"""Which job runs next, with a clock of the test's own."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.jobs import scheduling
from orchestrator.jobs.model import Job, State

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = "23:00-07:00"


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def job(id_: int = 1, **values: Any) -> Job:
    given_ = {
        "kind": "train", "title": f"job {id_}", "state": "waiting", "workspace": "", "priority": 0,
        "position": float(id_), "window": "", "at": None, "retries": 0, "failures": 0, "deaths": 0, "death_place": "",
        "retry_at": None, "needs": (), "needs_card": True, "chain": "", "estimate": None, "attempts": 0,
        "added_at": 0.0, "started_at": None, "ended_at": None, "worked_s": 0.0, "worker": "", "asked": "", "why": "",
        **values,
    }  # fmt: skip
    return Job(id=id_, **given_)


def chosen(jobs: list[Job], now: float, needed: dict[int, State] | None = None, **how: Any) -> int | None:
    choice = scheduling.choose(jobs, needed or {}, now, zone=BERLIN, **how)
    return None if choice.job is None else choice.job.id


def test_the_higher_priority_first_then_the_place_then_what_was_interrupted_before_all() -> None:
    jobs = [job(1), job(2, priority=5), job(3, priority=5, position=1.5)]
    assert chosen(jobs, 0) == 3
    assert chosen([*jobs, job(4, priority=-9, interrupted=True)], 0) == 4
    assert chosen(jobs, 0, skip={3}) == 2


def test_a_job_waits_for_what_it_needs() -> None:
    jobs = [job(2, needs=(1,))]
    for state in ("waiting", "running", "paused"):
        assert chosen(jobs, 0, {1: state}) is None
    assert chosen(jobs, 0, {1: "finished"}) == 2
    assert chosen(jobs, 0, {}) == 2  # what it needed was finished and is forgotten
    choice = scheduling.choose(jobs, {1: "failed"}, 0)
    assert choice.job is None and choice.wake_at is None
    assert "failed" in (choice.reasons or {})[2]


def test_what_will_not_run_by_itself_is_stuck_however_far_down_the_line() -> None:
    jobs = [
        job(2, needs=(1,)),
        job(3, needs=(2,)),
        job(4, state="paused"),
        job(5, needs=(4,)),
        job(6, needs=(7,)),
        job(7),
    ]
    assert scheduling.stuck(jobs, {1: "failed", 2: "waiting", 4: "paused", 7: "waiting"}) == {2, 3, 4, 5}
    assert scheduling.stuck(jobs, {1: "finished", 2: "waiting", 4: "paused", 7: "waiting"}) == {4, 5}


def test_without_the_card_only_what_needs_none() -> None:
    jobs = [job(1), job(2, needs_card=False)]
    assert chosen(jobs, 0, card=False) == 2
    assert chosen(jobs, 0) == 1


def test_a_night_over_midnight_and_the_last_minute_of_it() -> None:
    jobs = [job(1, window=NIGHT)]
    choice = scheduling.choose(jobs, {}, at("2026-11-26 20:00"), zone=BERLIN)
    assert choice.job is None and choice.wake_at == at("2026-11-26 23:00")
    assert chosen(jobs, at("2026-11-26 23:00")) == 1
    assert chosen(jobs, at("2026-11-27 06:58")) == 1
    late = scheduling.choose(jobs, {}, at("2026-11-27 06:59:30"), zone=BERLIN)
    assert late.job is None and late.wake_at == at("2026-11-27 23:00")


def test_not_before_its_time_and_only_in_its_window() -> None:
    jobs = [job(1, at=at("2026-11-27 12:00"), window=NIGHT)]
    assert chosen(jobs, at("2026-11-27 01:00")) is None
    assert chosen(jobs, at("2026-11-27 13:00")) is None
    assert chosen(jobs, at("2026-11-27 23:30")) == 1


def test_pauses_after_failures_grow_and_end() -> None:
    assert [scheduling.backoff_s(n) for n in (1, 2, 3)] == [60, 120, 240]
    assert scheduling.backoff_s(50) == scheduling.MOST_BACKOFF_S
    jobs = [job(1, retry_at=1060.0, failures=1)]
    assert chosen(jobs, 1000) is None
    assert chosen(jobs, 1060) == 1


def test_a_clock_that_jumps() -> None:
    # Set back by a year: a pause of a minute must not last one.
    assert chosen([job(1, retry_at=40_000_000.0)], 1000) == 1
    # Set forward, or awake again after days: what was due is due.
    assert chosen([job(1, retry_at=1060.0)], 40_000_000) == 1
    # Back from summer time, the hour comes twice; both are in the window.
    jobs = [job(1, window="02:00-03:00")]
    for fold in (0, 1):
        now = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold).timestamp()
        assert chosen(jobs, now) == 1


def test_jobs_that_wait_for_each_other() -> None:
    assert scheduling.cycle({1: {2}, 2: {3}, 3: set()}) == []
    assert scheduling.cycle({1: {2}, 2: {3}, 3: {1}}) in ([1, 2, 3, 1], [2, 3, 1, 2], [3, 1, 2, 3])
    assert scheduling.cycle({7: {7}}) == [7, 7]
    # Deep chains are no recursion.
    assert scheduling.cycle({n: {n + 1} for n in range(5000)}) == []


@given(st.dictionaries(st.integers(0, 12), st.sets(st.integers(0, 12), max_size=4), max_size=13))
def test_a_circle_is_found_if_and_only_if_there_is_one(edges: dict[int, set[int]]) -> None:
    circle = scheduling.cycle(edges)
    for one, following in pairwise(circle):
        assert following in edges[one]
    left = {node: set(needs) for node, needs in edges.items()}
    while free := [node for node, needs in left.items() if not needs & left.keys()]:
        for node in free:
            del left[node]
    assert bool(circle) == bool(left)
