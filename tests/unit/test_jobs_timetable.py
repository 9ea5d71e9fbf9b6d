"""The queue played forward."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.jobs.model import Progress
from orchestrator.jobs.timetable import left_s, timetable
from tests.unit.test_jobs_scheduling import BERLIN, NIGHT, at, job

HOUR = 3600.0


def hours(value: float) -> tuple[float, float]:
    return (value * HOUR, value * HOUR)


def test_one_after_the_other_in_the_night_and_the_rest_in_the_next() -> None:
    jobs = [
        job(1, window=NIGHT, estimate=hours(5)),
        job(2, window=NIGHT, estimate=hours(6)),
        job(3, estimate=hours(1), needs=(2,)),
    ]
    rows = timetable(jobs, {2: "waiting"}, at("2026-11-26 20:00"), zone=BERLIN)
    assert [(row.job.id, row.begins, row.ends) for row in rows] == [
        (1, at("2026-11-26 23:00"), at("2026-11-27 04:00")),
        (2, at("2026-11-27 04:00"), at("2026-11-27 07:00")),
        (2, at("2026-11-27 23:00"), at("2026-11-28 02:00")),
        (3, at("2026-11-28 02:00"), at("2026-11-28 03:00")),
    ]
    assert "does not fit" in rows[1].note and not rows[2].note


def test_what_may_not_fit_and_what_nobody_knows() -> None:
    jobs = [
        job(1, window=NIGHT, estimate=(6 * HOUR, 9 * HOUR)),
        job(2, priority=-1),
        job(3, priority=-2, estimate=hours(1)),
        job(4, needs=(9,)),
        job(5, state="paused"),
    ]
    rows = {row.job.id: row for row in timetable(jobs, {9: "failed"}, at("2026-11-26 23:00"), zone=BERLIN)}
    assert "may not fit" in rows[1].note
    assert rows[2].ends is None and "nothing like it" in rows[2].note
    assert rows[3].uncertain and not rows[2].uncertain
    assert rows[4].begins is None and "failed" in rows[4].note
    assert rows[5].note == "paused"


def test_what_is_left_of_a_job() -> None:
    one = job(1, estimate=(100.0, 200.0), kind="train", progress=Progress("train", 75, 100))
    assert left_s(one) == (25.0, 50.0)
    running = replace(one, state="running", progress=Progress("train", 75, 100, left_s=30.0))
    assert left_s(running) == (30.0, 36.0)
    assert left_s(job(2)) is None
