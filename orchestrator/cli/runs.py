"""`orchestrator runs …`."""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import Urls, asked_to_wait, json_option, open_client, server_option, workspace_option

if TYPE_CHECKING:
    from orchestrator.training.record import Attempt, RunRecord


@click.group("runs")
def command() -> None:
    """List, show, compare, resume, stop and rebuild training runs."""


@command.command("list")
@workspace_option
@json_option
def list_(folder: Path, as_json: bool) -> None:
    """List the runs of the workspace, the newest last."""
    from orchestrator.cli.console import answer_json, note, table
    from orchestrator.training.runs import damaged, list_runs
    from orchestrator.workspace import find_workspace

    workspace = find_workspace(folder)
    runs = list_runs(workspace)
    if as_json:
        answer_json([run.model_dump(mode="json") for run in runs])
    else:
        rows = [
            (r.name, r.status, len(r.files), r.epochs, r.final_loss and round(r.final_loss, 4), _duration(r.seconds))
            for r in runs
        ]
        table(("run", "status", "files", "epochs", "loss", "time"), rows)
    for error in damaged(workspace):
        note(" ".join(filter(None, (error.what, error.fix))))


@command.command("show")
@click.argument("name")
@workspace_option
@json_option
def show(name: str, folder: Path, as_json: bool) -> None:
    """Show what the run NAME was made from, how it went and what came out."""
    from orchestrator.cli.console import answer, answer_json, table
    from orchestrator.training.runs import find_run
    from orchestrator.workspace import find_workspace

    workspace = find_workspace(folder)
    run = find_run(workspace, name)
    if as_json:
        answer_json(run.model_dump(mode="json"))
        return
    answer(f"{run.name}: {run.status}{' (put together from its files)' if run.rebuilt else ''}")
    for label, text in _facts(run, workspace.run(run.name)):
        answer(f"  {label:<10} {text}")
    for sentence in run.proof:
        answer(f"  {'proven':<10} {sentence}")
    answer()
    table(("start", "from", "steps", "s/step", "time", "ended"), [_row(attempt) for attempt in run.attempts])
    answer()
    table(
        ("file", "epoch", "loss", "MB", "sha256"),
        [(f.file, f.epoch, _loss(run, f.epoch), round(f.size / 1e6, 1), f.sha256[:12]) for f in run.files],
    )


@command.command("compare")
@click.argument("a")
@click.argument("b")
@workspace_option
@json_option
def compare(a: str, b: str, folder: Path, as_json: bool) -> None:
    """Show what the runs A and B differ in: what they were made from, and what came out."""
    from orchestrator.cli.console import answer, answer_json, table
    from orchestrator.training.compare import differences
    from orchestrator.training.runs import find_run
    from orchestrator.workspace import find_workspace

    workspace = find_workspace(folder)
    found = differences(find_run(workspace, a), find_run(workspace, b))
    if as_json:
        answer_json([{"key": key, a: left, b: right} for key, left, right in found])
    elif found:
        table(("key", a, b), found)
    else:
        answer(f"{a} and {b} differ in nothing that was recorded.")


@command.command("resume")
@click.argument("name")
@workspace_option
@server_option
def resume(name: str, folder: Path, url: Urls) -> None:
    """Go on with the run NAME as it was begun, whatever lora.toml says by now.

    Watches it where it is being trained already, and does nothing when it is finished.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import note, progress
    from orchestrator.cli.train import show_events, show_finished
    from orchestrator.errors import InputError
    from orchestrator.night import keyboard
    from orchestrator.profile.load import load_profile
    from orchestrator.settings import load_settings
    from orchestrator.training.runs import planned_again
    from orchestrator.workspace import find_workspace

    workspace = find_workspace(folder)
    settings = load_settings(a1111_url=url)
    guard = None
    with contextlib.suppress(InputError):  # a profile that is being rewritten must not keep the run from going on
        guard = load_profile(workspace.profile).training.guard
    planned = planned_again(workspace, name, guard=guard)
    with keyboard.for_training(planned, wait=asked_to_wait(), say=note) as listening, progress() as bar:
        run = pipeline.resume_run(
            workspace,
            name,
            guard=guard,
            a1111=functools.partial(open_client, settings),
            on_event=listening(show_events(bar)),
        )
    show_finished(run)


@command.command("stop")
@click.argument("name")
@workspace_option
def stop(name: str, folder: Path) -> None:
    """Stop the trainer of the run NAME. What is saved stays, and the training can be gone on with."""
    from orchestrator.cli.console import answer
    from orchestrator.errors import ToolError
    from orchestrator.training import runs
    from orchestrator.workspace import find_workspace

    workspace = find_workspace(folder)
    before = runs.find_run(workspace, name)
    if not runs.stop(workspace, name):
        raise ToolError(
            f"The trainer of {name} does not end.",
            cause="It was asked to and then ended by force; a driver or a disk that hangs can hold a process.",
            fix="Look at it in the task manager; restarting the computer ends it for certain.",
        )
    after = runs.find_run(workspace, name)
    if len(after.attempts) == len(before.attempts) and after.status == before.status:
        answer(f"{name} is not being trained (it is {_ended(after)}).")
        return
    answer(f"{name} is stopped. `orchestrator runs resume {name}` goes on from its last state.")


@command.command("rebuild")
@click.argument("name")
@workspace_option
def rebuild(name: str, folder: Path) -> None:
    """Put the record of the run NAME together again from what lies in its folder.

    For a run.json that is damaged or gone. What nothing in the folder says is left empty; a record that was there is
    kept beside.
    """
    from orchestrator.cli.console import answer, many
    from orchestrator.training import runs
    from orchestrator.workspace import find_workspace

    record = runs.rebuild(find_workspace(folder), name)
    starts, files = many(len(record.attempts), "start"), many(len(record.files), "LoRA file")
    answer(f"{record.name}: {record.status}, {files}, {starts}.")
    unknown = [what for what, there in (("base", record.base.get("sha256")), ("trainer", record.trainer.get("folder")),
                                        ("dataset", record.dataset.get("sha256"))) if not there]  # fmt: skip
    if unknown:
        answer(f"Nothing in the folder says exactly which {', '.join(unknown)} it was.")


def _facts(run: RunRecord, folder: Path) -> list[tuple[str, str]]:
    trainer = " ".join(filter(None, (run.trainer.get("script"), run.trainer.get("version", "")[:12])))
    facts = [
        ("base", f"{run.base.get('path') or '-'} ({run.base.get('family') or 'unknown kind'})"),
        ("dataset", f"{run.dataset.get('folder', '-')} ({run.dataset.get('pictures', '?')} pictures)"),
        ("trained", f"{run.epochs} epochs, seed {run.seed}, {len(run.attempts)} start(s), {_duration(run.seconds)}"),
        ("trainer", ", ".join(filter(None, (trainer, *(f"{k} {v}" for k, v in _shown_packages(run)))))),
        ("folder", str(folder)),
        ("metrics", str(folder / run.metrics) if run.metrics else ""),
        ("samples", f"{len(run.samples)} pictures, the last {run.samples[-1]}" if run.samples else ""),
    ]
    return [(label, text) for label, text in facts if text]


def _shown_packages(run: RunRecord) -> list[tuple[str, str]]:
    return [(name, run.packages[name]) for name in ("torch", "diffusers", "bitsandbytes") if name in run.packages]


def _row(attempt: Attempt) -> tuple[object, ...]:
    start = {"new": "the beginning", "state": "state of", "weights": "LoRA file of"}[attempt.kind]
    changed = ", ".join(f"{key} = {value}" for key, value in attempt.changes.items())
    ended = attempt.why or ("" if attempt.ended_at is None else "finished")
    return (
        time.strftime("%Y-%m-%d %H:%M", time.localtime(attempt.started_at)),
        start if attempt.kind == "new" else f"{start} epoch {attempt.resumed_from}",
        f"{attempt.steps[0]}-{attempt.steps[1]}" if attempt.steps else None,
        f"{attempt.step_s:.3g}" if attempt.step_s else None,
        _duration(attempt.ended_at - attempt.started_at) if attempt.ended_at else "running",
        ended + (f" (with {changed})" if changed else ""),
    )


def _loss(run: RunRecord, epoch: int) -> float | None:
    return round(run.losses[epoch], 4) if epoch in run.losses else None


def _ended(run: RunRecord) -> str:
    return "interrupted" if run.status == "running" else run.status


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
