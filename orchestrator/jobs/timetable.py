"""When each job will probably run: the queue played forward with the estimates. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo

from orchestrator.jobs import scheduling, windows
from orchestrator.jobs.model import Job, State

#: So many pieces of work are looked ahead; a queue that needs more is shown as far as it goes.
_MOST_ROWS = 2000
#: A job without an estimate is taken to last so long when others behind it are dated.
_UNKNOWN_S = 0.0


@dataclass(frozen=True)
class Row:
    """A stretch of one job: from `begins` to `ends` (seconds since 1970). `ends` is None where it is not known how long
    it takes; `uncertain` = something before it is of unknown length. `note` says what will not fit.
    """

    job: Job
    begins: float | None
    ends: float | None
    note: str = ""
    uncertain: bool = False


def left_s(job: Job) -> tuple[float, float] | None:
    """Seconds at least and at most that a job still takes."""
    progress = job.progress
    if progress is not None and progress.left_s is not None and job.state == "running":
        return progress.left_s, progress.left_s * 1.2
    if job.estimate is None:
        return None
    low, high = job.estimate
    # Only a training tells by its steps how much of the whole is done.
    done = progress.done / progress.total if progress and progress.total and job.kind == "train" else 0.0
    return low * (1 - done), high * (1 - done)


def timetable(jobs: Sequence[Job], needed: Mapping[int, State], now: float, *, zone: tzinfo | None = None) -> list[Row]:
    """What a single worker would do from `now` on, in order; jobs that will not run by themselves come last, with the
    reason.
    """
    left = {job.id: left_s(job) for job in jobs}
    # A job that runs is one that begins now.
    waiting = {job.id: job for job in jobs if job.state == "waiting"}
    waiting |= {
        job.id: replace(job, state="waiting", interrupted=True, deaths=0) for job in jobs if job.state == "running"
    }
    states: dict[int, State] = {**needed, **dict.fromkeys(waiting, "waiting")}
    rows: list[Row] = []
    time, uncertain = now, False
    while waiting and len(rows) < _MOST_ROWS:
        choice = scheduling.choose(list(waiting.values()), states, time, zone=zone)
        if choice.job is None:
            if choice.wake_at is None:
                break
            time = max(choice.wake_at, time)
            continue
        job = choice.job
        row, rest = _stretch(job, left[job.id], time, zone)
        rows.append(replace(row, uncertain=uncertain))
        uncertain = uncertain or row.ends is None
        time = row.ends if row.ends is not None else time + _UNKNOWN_S
        if rest is None:
            del waiting[job.id]
            states[job.id] = "finished"
        else:
            left[job.id] = rest
            time += scheduling.LEAST_LEFT_S
    for job in waiting.values():
        reason, _ = scheduling.why_not(job, states, time, zone=zone)
        rows.append(Row(job, None, None, reason or "too far ahead"))
    rows += [Row(job, None, None, "paused") for job in jobs if job.state == "paused"]
    return rows


def _stretch(
    job: Job, left: tuple[float, float] | None, begins: float, zone: tzinfo | None
) -> tuple[Row, tuple[float, float] | None]:
    """What of a job is done in one go, and what is left of it."""
    spans = windows.parse(job.window)
    closes = windows.open_until(spans, begins, zone) if spans else None
    if left is None:
        return Row(job, begins, None, "nothing like it was done here yet"), None
    low, high = left
    usual = (low + high) / 2
    if closes is None or begins + high <= closes:
        return Row(job, begins, begins + usual), None
    room = closes - begins
    if begins + usual <= closes:
        return Row(job, begins, begins + usual, "may not fit into its window"), None
    done = room / usual
    note = "does not fit: it goes on when its window opens again"
    return Row(job, begins, closes, note), (low * (1 - done), high * (1 - done))
