"""`orchestrator queue work`, `plan`, `watch`, `install-service`."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option

if TYPE_CHECKING:
    from orchestrator.jobs.worker import Until


@click.command("work")
@click.option("--until-empty", is_flag=True, help="End when no job is left that could still run.")
@click.option("--once", is_flag=True, help="End after one job.")
@click.option("--until-idle", is_flag=True, hidden=True, help="End when nothing is due: what the keeper starts.")
@click.option("--gpu", type=click.IntRange(0, 63), default=0, show_default=True, help="The card, as nvidia-smi counts.")
@click.option(
    "--then",
    type=click.Choice(["nothing", "sleep", "shutdown"]),
    help="What this machine does when the queue is done. [default: when_done of the settings]",
)
@click.option("--ledger", type=click.Path(path_type=Path), hidden=True, help="The ledger; default: this user's.")
def work(until_empty: bool, once: bool, until_idle: bool, gpu: int, then: str | None, ledger: Path | None) -> None:
    """Work off the queue, and wait for more.

    May be ended at any moment: a training goes on by itself and is found again, everything else goes on from what is
    there. Two workers never take one job, nor two trainings one card.

    \b
    Examples:
      orchestrator queue work
      orchestrator queue work --until-empty --then shutdown
    """
    from orchestrator.jobs import place

    if ledger is not None:
        os.environ[place.VARIABLE] = str(ledger.absolute())
    if once or until_empty or until_idle:
        _work("once" if once else "empty" if until_empty else "idle", gpu, then)
    else:
        _keep(gpu, then)


def _work(until: Until, gpu: int, then: str | None) -> None:
    from orchestrator.cli.console import note
    from orchestrator.jobs.place import ledger_file
    from orchestrator.night.session import Session
    from orchestrator.settings import load_settings

    session = Session(ledger_file(), load_settings(), note, gpu, then)  # type: ignore[arg-type]
    _on_end(session.worker.stop)
    session.run(until)


def _keep(gpu: int, then: str | None) -> None:
    from orchestrator.cli.console import note
    from orchestrator.jobs import keeper, place

    path = place.ledger_file()
    options = [*(["--gpu", str(gpu)] if gpu else []), *(["--then", then] if then else [])]
    kept = keeper.Keeper(path, keeper.working_command(*options), note)
    _on_end(kept.end)
    with place.keeping(path):
        note("Waiting for jobs; Ctrl-C ends it.")
        try:
            kept.run()
        except KeyboardInterrupt:
            # The terminal sends it to the child, too, which puts its job back.
            if kept.child is not None:
                kept.child.wait()
            raise


def _on_end(end: Any) -> None:
    """A service is ended by SIGTERM; Windows has none that arrives."""
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, lambda *_: end())


@click.command("plan")
@json_option
def plan(as_json: bool) -> None:
    """Show when each job will probably run, and what will not fit into its window."""
    from orchestrator.cli.console import answer, answer_json
    from orchestrator.cli.queue_shown import columns, estimated, moment
    from orchestrator.jobs.store import Store
    from orchestrator.jobs.timetable import left_s, timetable

    with Store() as store:
        rows = timetable(store.open_jobs(), store.needed_states(), time.time())
    if as_json:
        answer_json(
            [
                {"job": row.job.id, "title": row.job.title, "begins": row.begins, "ends": row.ends, "note": row.note,
                 "uncertain": row.uncertain}
                for row in rows
            ]
        )  # fmt: skip
        return
    shown: list[tuple[str, ...]] = [
        (
            str(row.job.id), row.job.title, ("~" if row.uncertain else "") + moment(row.begins)[:16],
            moment(row.ends)[:16], estimated(left_s(row.job)), row.note,
        )
        for row in rows
    ]  # fmt: skip
    for line in columns(("job", "what", "begins", "ends", "takes", "note"), shown):
        answer(line)


@click.command("watch")
@click.option("--every", type=click.FloatRange(0.2), default=1.0, show_default=True, help="Seconds between two looks.")
@click.option("--until-empty", is_flag=True, help="End when no job is left that could still run.")
def watch(every: float, until_empty: bool) -> None:
    """Watch the queue live until Ctrl-C: on a terminal the list, elsewhere a line for what changes."""
    from orchestrator.cli import queue_shown
    from orchestrator.cli.console import answer
    from orchestrator.cli.queue_shown import COLUMNS, columns, event_line, progress_line
    from orchestrator.jobs import scheduling
    from orchestrator.jobs.store import Store

    live = sys.stdout.isatty()
    with Store() as store:
        last = max((event.id for event in store.events(since=time.time() - 60)), default=0)
        while True:
            jobs, over, needed = store.open_jobs(), store.over(limit=5), store.needed_states()
            if live:
                click.clear()
                for line in columns(
                    COLUMNS, [queue_shown.row(job, needed, time.time()) for job in (*jobs, *reversed(over))]
                ):
                    answer(line)
            else:
                for event in store.events(after=last):
                    answer(f"{event.job:>4}  {event_line(event)}")
                    last = event.id
                for job in jobs:
                    if job.state == "running" and (line := progress_line(job)):
                        answer(f"{job.id:>4}  {line}")
            if until_empty and {job.id for job in jobs} == scheduling.stuck(jobs, needed):
                return
            time.sleep(every)


@click.command("install-service")
@click.option("--remove", is_flag=True, help="Take the service away again.")
@click.option("--print", "only_print", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--gpu", type=click.IntRange(0, 63), default=0, show_default=True, help="The card, as nvidia-smi counts.")
def install_service(remove: bool, only_print: bool, gpu: int) -> None:
    """Let a worker run whenever you are logged in: by systemd, the Task Scheduler or launchd.

    Says what it wrote and which commands it ran.
    """
    from orchestrator.cli.console import answer, note
    from orchestrator.errors import ToolError
    from orchestrator.jobs import place
    from orchestrator.night import service

    words = service.program() + (["--gpu", str(gpu)] if gpu else [])
    if os.environ.get(place.VARIABLE):
        words += ["--ledger", str(place.ledger_file().absolute())]
    one = service.service(words)
    if only_print:
        encoding = "utf-16" if one.file.suffix == ".xml" else "utf-8"
        answer(f"# {one.file}")
        answer(one.content.decode(encoding))
        for step in one.install:
            answer(f"# then: {' '.join(step)}")
        return
    outcome = service.remove(one) if remove else service.install(one)
    answer(f"{'Removed' if remove else 'Written'}: {one.file}")
    for words_run in outcome.ran:
        answer(f"Ran: {words_run}")
    if outcome.failed and not remove:
        raise ToolError(
            f"The service is written, but not running: {'; '.join(outcome.failed)} did not go well.",
            cause="There is no such service manager here, or it may not be used (a container, a session without one).",
            fix="Run the command by hand to see why; `orchestrator queue work` works without a service.",
        )
    if not remove:
        for sentence in one.notes:
            note(sentence)
        note("Passwords in environment variables are not known to a service: give them to it as it is set up there.")


commands = (work, plan, watch, install_service)
