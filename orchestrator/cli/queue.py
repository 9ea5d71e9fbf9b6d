"""`orchestrator queue …`: looking at the queue and steering it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli import queue_add, queue_work
from orchestrator.cli.options import json_option

if TYPE_CHECKING:
    from orchestrator.jobs.model import Job
    from orchestrator.jobs.store import Store

#: So many jobs that are over are listed unless all are asked for.
_SHOWN_OVER = 15


@click.group("queue")
def command() -> None:
    """Let trainings and grids run overnight, one after the other, on one graphics card.

    \b
    Example:
      orchestrator queue add run --tonight
      orchestrator queue work
    """


for _sub in (*queue_add.commands, *queue_work.commands):
    command.add_command(_sub)


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Every job that is over, too, and not only the newest.")
@json_option
def list_(everything: bool, as_json: bool) -> None:
    """List the jobs: first those that will run, in their order, then the newest that are over."""
    from orchestrator.cli.console import answer, answer_json, note
    from orchestrator.cli.queue_shown import COLUMNS, as_dict, columns, row

    with _open() as store:
        jobs, over, needed = store.open_jobs(), store.over(limit=1_000_000 if everything else _SHOWN_OVER), {}
        needed = store.needed_states()
        counts = store.counts()
        paused = store.fact("paused")
        living = _living(store)
    shown = [*jobs, *reversed(over)]
    if as_json:
        answer_json([as_dict(job) for job in shown])
        return
    now = time.time()
    for line in columns(COLUMNS, [row(job, needed, now) for job in shown]):
        answer(line)
    hidden = sum(counts.values()) - len(shown)
    if hidden > 0:
        note(f"{hidden} older jobs are over; --all lists them.")
    if paused:
        note("The whole queue is paused; `orchestrator queue resume` lets it go on.")
    elif jobs and not living and any(job.state == "waiting" for job in jobs):
        note("No worker is at work: `orchestrator queue work` starts one.")


@command.command("show")
@click.argument("job", type=int)
@json_option
def show(job: int, as_json: bool) -> None:
    """Show what JOB is, how far it is, and what became of it."""
    from orchestrator.cli.console import answer, answer_json
    from orchestrator.cli.queue_shown import as_dict, facts

    with _open() as store:
        found = store.job(job)
        needed = store.needed_states()
        format_, payload = store.payload(job)
    if as_json:
        answer_json({**as_dict(found), "payload_format": format_, "payload": payload})
        return
    answer(f"{found.id} {found.title}: {found.state}")
    for label, text in facts(found, needed, payload, time.time()):
        answer(f"  {label:<10} {text}")


@command.command("log")
@click.argument("job", type=int)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job is over.")
@json_option
def log(job: int, follow: bool, as_json: bool) -> None:
    """Show what happened to JOB, line by line."""
    from orchestrator.cli.console import answer, answer_json
    from orchestrator.cli.queue_shown import event_line, progress_line

    with _open() as store:
        found = store.job(job)
        events = store.events(job)
        if as_json:
            answer_json([asdict(event) for event in events])
            return
        last, said = 0, ""
        while True:
            for event in events:
                answer(event_line(event))
                last = event.id
            if not follow or not found.is_open:
                return
            time.sleep(0.5)
            found, events = store.job(job), store.events(job, after=last)
            line = progress_line(found) if found.state == "running" else ""
            if line and line != said:
                answer(f"{time.strftime('%H:%M:%S')}  {line}")
                said = line


@command.command("pause")
@click.argument("job", type=int, required=False)
def pause(job: int | None) -> None:
    """Pause JOB, or the whole queue.

    A running job leaves off at its next saved epoch or cell; what a paused queue runs already goes on to its end.
    """
    from orchestrator.cli.console import answer

    with _open() as store:
        if job is None:
            store.set_fact("paused", "yes")
            answer("The queue is paused: nothing new is begun.")
            return
        found = store.job(job)
        if store.set_state(job, "waiting", "paused"):
            answer(f"{job} {found.title} is paused.")
        elif store.ask(job, "pause"):
            answer(f"{job} {found.title} is paused at its next saved epoch or cell.")
        else:
            _refuse(found, "pause")


@command.command("resume")
@click.argument("job", type=int, required=False)
def resume(job: int | None) -> None:
    """Let JOB, or the whole queue, go on after a pause."""
    from orchestrator.cli.console import answer

    with _open() as store:
        if job is None:
            store.set_fact("paused", "")
            answer("The queue goes on.")
            return
        found = store.job(job)
        if not (store.set_state(job, "paused", "waiting") or store.ask(job, "")):
            _refuse(found, "resume")
        answer(f"{job} {found.title} goes on when it is its turn.")


@command.command("cancel")
@click.argument("jobs", type=int, nargs=-1, required=True)
def cancel(jobs: tuple[int, ...]) -> None:
    """Take JOBS out. One that runs is stopped at once; what it made stays."""
    from orchestrator.cli.console import answer

    with _open() as store:
        for job in jobs:
            found = store.job(job)
            if store.ask(job, "cancel"):
                answer(f"{job} {found.title} is being stopped.")
            elif store.set_state(job, "waiting", "cancelled") or store.set_state(job, "paused", "cancelled"):
                answer(f"{job} {found.title} is cancelled.")
            else:
                _refuse(found, "cancel")


@command.command("retry")
@click.argument("jobs", type=int, nargs=-1, required=True)
@click.option("--retry", "retries", type=click.IntRange(0, 100), default=2, show_default=True, help="… so often.")
def retry(jobs: tuple[int, ...], retries: int) -> None:
    """Let JOBS that failed, were set aside or cancelled run again, from what they made."""
    from orchestrator.cli.console import answer

    with _open() as store:
        for job in jobs:
            found = store.job(job)
            if not store.try_again(job, retries=retries):
                _refuse(found, "retry")
            answer(f"{job} {found.title} waits for its turn again.")


@command.command("reorder")
@click.argument("job", type=int)
@click.option("--first", is_flag=True, help="Before all others of its priority.")
@click.option("--last", is_flag=True, help="After all others of its priority.")
@click.option("--before", type=int, metavar="JOB", help="Right before that job; takes its priority.")
@click.option("--priority", type=int, help="A new priority: higher ones come first.")
def reorder(job: int, first: bool, last: bool, before: int | None, priority: int | None) -> None:
    """Let JOB come earlier or later."""
    from orchestrator.cli.console import answer

    if sum((first, last, before is not None, priority is not None)) != 1:
        raise click.UsageError("Give one of --first, --last, --before JOB, --priority N.")
    with _open() as store:
        found = store.job(job)
        if not found.is_open:
            _refuse(found, "reorder")
        if priority is not None:
            store.set_priority(job, priority)
        else:
            position, rank = _place(store, found, first=first, before=before)
            store.move(job, position=position, priority=rank)
        order = [one.id for one in store.open_jobs()]
    answer(f"{job} {found.title} is number {order.index(job) + 1} of {len(order)}.")


@command.command("prune")
@click.option("--older-than", "days", type=click.FloatRange(0), default=30, show_default=True, help="Days.")
def prune(days: float) -> None:
    """Forget jobs that were over long ago. What they made stays."""
    from orchestrator.cli.console import answer, many

    with _open() as store:
        answer(f"{many(store.prune(time.time() - days * 86_400), 'job')} forgotten.")


@command.command("stay-awake")
def stay_awake() -> None:
    """Call off that this machine sleeps or shuts down now that the queue is done."""
    from orchestrator.cli.console import answer

    with _open() as store:
        store.set_fact("stay awake", "yes")
    answer("This machine stays on.")


def _open() -> Store:
    from orchestrator.jobs.store import Store

    return Store()


def _living(store: Store) -> bool:
    from orchestrator.jobs.place import keeper_lives
    from orchestrator.jobs.worker import is_alive

    return keeper_lives(Path(store.path)) or any(is_alive(worker) for worker in store.workers())


def _place(store: Store, job: Job, *, first: bool, before: int | None) -> tuple[float, int]:
    jobs = [one for one in store.open_jobs() if one.id != job.id]
    if before is None:
        places = [one.position for one in jobs if one.priority == job.priority] or [job.position]
        return (min(places) - 1 if first else max(places) + 1), job.priority
    target = store.job(before)
    earlier = [one.position for one in jobs if one.priority == target.priority and one.position < target.position]
    return (target.position + (max(earlier) if earlier else target.position - 2)) / 2, target.priority


def _refuse(job: Job, verb: str) -> None:
    from orchestrator.errors import InputError

    fix = {
        "finished": "It is done; add it anew to do it again.",
        "running": "`orchestrator queue cancel` stops it.",
        "paused": "`orchestrator queue resume` lets it go on.",
    }.get(job.state, "`orchestrator queue retry` lets it run again." if not job.is_open else "")
    raise InputError(f"{job.id} {job.title} is {job.state}: there is nothing to {verb}.", fix=fix)
