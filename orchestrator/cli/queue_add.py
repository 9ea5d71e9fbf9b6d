"""`orchestrator queue add`, `export`, `import`."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import (
    Urls,
    address_option,
    json_option,
    kohya_options,
    lora_folder_option,
    workspace_option,
)

if TYPE_CHECKING:
    from orchestrator.settings import Settings

KINDS = ("pictures", "train", "deploy", "grid", "scout", "evaluate", "report", "run")
_LATER = re.compile(r"^\+(\d+(?:\.\d+)?)\s*(min|m|h)$")


@click.command("add")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("names", nargs=-1)
@workspace_option
@click.option("--tonight", is_flag=True, help="In the hours that `night` of the settings names (23:00-07:00).")
@click.option("--window", default="", metavar="HOURS", help="23:00-07:00, mon-fri 23:00-07:00, weekend 00:00-24:00 …")
@click.option("--at", metavar="TIME", help="Not before: 02:30, 2026-11-27 02:30, +2h, +30min.")
@click.option("--after", type=int, multiple=True, metavar="JOB", help="When that job is finished. Repeatable.")
@click.option("--priority", type=int, default=0, show_default=True, help="Higher ones come first.")
@click.option(
    "--retry", "retries", type=click.IntRange(0, 100), default=2, show_default=True, help="After failures, so often."
)
@click.option("--run", default="", metavar="RUN", help="The run to draw with; default: the newest, or that of --after.")
@click.option("--checkpoint", default="", metavar="FILE", help="The base checkpoint to train on.")
@click.option("--anyway", is_flag=True, help="With run: train although the dataset check has findings.")
@address_option
@kohya_options
@lora_folder_option
@json_option
def add(
    kind: str, names: tuple[str, ...], folder: Path, tonight: bool, window: str, at: str | None, after: tuple[int, ...],
    priority: int, retries: int, run: str, checkpoint: str, anyway: bool, url: Urls, kohya: str | None,
    kohya_python: str | None, lora_folder: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Add a job of the workspace: KIND is one stage of its profile, or `run` for all of them.

    The profile is copied into the job: what you edit afterwards means the next job. What speaks against it is said now
    and not at night. NAMES are picture sets or grids; without, all.

    \b
    Examples:
      orchestrator queue add train --tonight
      orchestrator queue add grid faces --after 12
      orchestrator queue add run --window "mon-fri 23:00-07:00; weekend 00:00-24:00"
    """
    from orchestrator.cli.console import answer, answer_json, note
    from orchestrator.cli.queue_shown import estimated
    from orchestrator.jobs.store import Store
    from orchestrator.night import adding
    from orchestrator.settings import load_settings
    from orchestrator.workspace import find_workspace

    if tonight and window:
        raise click.UsageError("--tonight and --window are two different hours: give one.")
    settings = load_settings(a1111_url=url, kohya_folder=kohya, kohya_python=kohya_python, lora_folder=lora_folder)
    source = adding.read_source(find_workspace(folder), settings)
    now = time.time()
    asked = adding.Asked(
        priority=priority,
        window=settings.night if tonight else window,
        at=parse_at(at, now) if at else None,
        after=after,
        retries=retries,
        names=names,
        run=run,
        checkpoint=checkpoint,
        anyway=anyway,
    )
    with Store() as store:
        new = adding.jobs(kind, source, asked, store, now)
        ids = store.add(new)
        jobs = [store.job(id_) for id_ in ids]
    if as_json:
        answer_json([{"id": job.id, "kind": job.kind, "title": job.title, "estimate": job.estimate} for job in jobs])
        return
    for job in jobs:
        told = estimated(job.estimate)
        answer(f"{job.id}  {job.title}{f'  ({told})' if told else ''}")
    note("`orchestrator queue plan` shows when; `orchestrator queue work` works it off.")


@click.command("export")
@click.option("--all", "everything", is_flag=True, help="With the jobs that are over.")
def export(everything: bool) -> None:
    """Write the queue as JSON to standard output, with everything frozen in it.

    \b
    Example:  orchestrator queue export > queue.json
    """
    from orchestrator.cli.console import answer_json
    from orchestrator.jobs import transfer
    from orchestrator.jobs.store import Store

    with Store() as store:
        answer_json(transfer.export(store, everything=everything))


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "-w",
    "--workspace",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where their workspace lies here.",
)
def import_(file: Path, folder: Path | None) -> None:
    """Add the jobs of an exported FILE. They use the installs of this machine, whatever the file names."""
    from orchestrator.cli.console import answer, many
    from orchestrator.errors import InputError
    from orchestrator.jobs import transfer
    from orchestrator.jobs.store import Store
    from orchestrator.settings import load_settings

    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as error:
        raise InputError(f"{file} cannot be read: {error}.", fix="Give a file that `queue export` wrote.") from None
    settings = load_settings()
    new = [_of_this_machine(job, settings, folder) for job in transfer.read(content)]
    with Store() as store:
        ids = store.add(new)
    answer(f"{many(len(ids), 'job')} added{f': {ids[0]} to {ids[-1]}' if ids else ''}.")


def _of_this_machine(job: Any, settings: Settings, folder: Path | None) -> Any:
    """The job with this machine's programs: a file must not decide which ones are started."""
    from dataclasses import replace

    from orchestrator.night.frozen import settings_part
    from orchestrator.workspace import find_workspace

    root = str(find_workspace(folder or Path(job.workspace)).root)
    payload = {**job.payload, "settings": settings_part(settings), "workspace": root}
    return replace(job, payload=payload, workspace=root)


def parse_at(text: str, now: float) -> float:
    """`02:30` (the next), `2026-11-27 02:30`, `+2h`, `+30min` as seconds since 1970. Raises `InputError`."""
    from orchestrator.errors import InputError

    text = text.strip()
    if later := _LATER.match(text):
        return now + float(later[1]) * (3600 if later[2] == "h" else 60)
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}", text):
            hour, minute = map(int, text.split(":"))
            today = datetime.fromtimestamp(now).replace(hour=hour, minute=minute, second=0, microsecond=0)
            moment = today if today.timestamp() > now else today + timedelta(days=1)
            return moment.timestamp()
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise InputError(f"{text!r} is no time.", fix="Write 02:30, 2026-11-27 02:30, +2h or +30min.") from None


commands = (add, export, import_)
