"""Which job runs next, and when to look again. Pure: time, jobs and states are given.

Dependencies first, then `--at`, windows and pauses after failures; among what may run, a job whose worker died in the
middle comes first (its trainer may be alive), then the higher priority, then the earlier place. A job that workers seem
to die of comes after all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from orchestrator.jobs import windows
from orchestrator.jobs.model import Job, State

#: The pause after the first failure; it doubles with each.
BACKOFF_S = 60.0
MOST_BACKOFF_S = 3600.0
#: A job is not begun when its window closes within this time: loading alone takes longer.
LEAST_LEFT_S = 60.0
CARD_TAKEN = "the card is taken"


@dataclass(frozen=True)
class Choice:
    """What to do now: `job` is to be run; without one, look again at `wake_at` (None = only when something changes)."""

    job: Job | None
    wake_at: float | None = None
    #: Job → why it does not run now.
    reasons: Mapping[int, str] | None = None


def backoff_s(failures: int) -> float:
    """The pause before the next try after so many failures."""
    return float(min(BACKOFF_S * 2 ** max(failures - 1, 0), MOST_BACKOFF_S))


def choose(
    jobs: Sequence[Job],
    needed: Mapping[int, State],
    now: float,
    *,
    zone: tzinfo | None = None,
    card: bool = True,
    skip: Iterable[int] = (),
) -> Choice:
    """The job to run at `now` among the open `jobs`. `needed` are the states of those they wait for.

    Without the `card`, only jobs that do not compute on it. `skip` are jobs somebody else was quicker with.
    """
    ready: list[Job] = []
    reasons: dict[int, str] = {}
    times: list[float] = []
    left_out = set(skip)
    for job in jobs:
        if job.state != "waiting" or job.id in left_out:
            continue
        reason, again = why_not(job, needed, now, zone=zone)
        if reason:
            reasons[job.id] = reason
            if again is not None:
                times.append(again)
        elif job.needs_card and not card:
            reasons[job.id] = CARD_TAKEN
        else:
            ready.append(job)
    if ready:
        return Choice(min(ready, key=order), min(times, default=None), reasons)
    return Choice(None, min(times, default=None), reasons)


def order(job: Job) -> tuple[bool, bool, int, float, int]:
    """The key jobs are sorted by: smaller comes first."""
    return (job.comes_last, not job.interrupted, -job.priority, job.position, job.id)


def why_not(
    job: Job, needed: Mapping[int, State], now: float, *, zone: tzinfo | None = None
) -> tuple[str, float | None]:
    """Why a waiting job may not run at `now`, and when to look again; an empty reason = it may."""
    for need in job.needs:
        state = needed.get(need, "finished")  # one that was pruned was over
        if state == "finished":
            continue
        if state in {"failed", "set aside", "cancelled"}:
            return f"needs {need}, which {'was ' if state != 'failed' else ''}{state}", None
        return f"waits for {need}", None
    if job.at is not None and now < job.at:
        return "not before its time", job.at
    # A pause cannot be longer than the longest: the clock was set back since.
    if job.retry_at is not None and now < job.retry_at <= now + MOST_BACKOFF_S:
        return job.why or "it is tried again later", job.retry_at
    if not job.window:
        return "", None
    spans = windows.parse(job.window)
    closes = windows.open_until(spans, now, zone)
    if closes is None:
        return "outside its window", windows.next_opening(spans, now, zone)
    if closes - now < LEAST_LEFT_S:
        return "its window closes", windows.next_opening(spans, closes + 1, zone)
    return "", None


def stuck(jobs: Sequence[Job], needed: Mapping[int, State]) -> set[int]:
    """The open jobs that will not run until somebody does something: paused ones, and those that wait for one that is
    over without having finished, or for one that is stuck itself.
    """
    found = {job.id for job in jobs if job.state == "paused"}
    lost = {"failed", "set aside", "cancelled"}
    grew = True
    while grew:
        more = {
            job.id
            for job in jobs
            if job.id not in found
            and job.state == "waiting"
            and any(need in found or needed.get(need) in lost for need in job.needs)
        }
        found |= more
        grew = bool(more)
    return found


def cycle(edges: Mapping[int, Iterable[int]]) -> list[int]:
    """Jobs that wait for each other, the first named again at the end; empty = there are none."""
    done: set[int] = set()
    for start in edges:
        path: list[int] = []
        on_path: set[int] = set()
        stack: list[tuple[int, list[int]]] = [(start, sorted(edges.get(start, ())))]
        if start in done:
            continue
        path.append(start)
        on_path.add(start)
        while stack:
            node, rest = stack[-1]
            if not rest:
                stack.pop()
                path.pop()
                on_path.discard(node)
                done.add(node)
                continue
            following = rest.pop()
            if following in on_path:
                return [*path[path.index(following) :], following]
            if following not in done:
                path.append(following)
                on_path.add(following)
                stack.append((following, sorted(edges.get(following, ()))))
    return []
