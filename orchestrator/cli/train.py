"""`orchestrator train`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import (
    Urls,
    asked_to_wait,
    find_kohya,
    kohya_options,
    open_client,
    open_workspace,
    server_option,
    workspace_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.cli.console import OnProgress
    from orchestrator.kohya.install import KohyaInstall
    from orchestrator.profile.model import Profile
    from orchestrator.training.events import Progress, Started, TrainingEvent
    from orchestrator.training.preflight import Ready
    from orchestrator.training.run import TrainingRun
    from orchestrator.workspace import Workspace


@click.command("train")
@workspace_option
@kohya_options
@server_option
@click.option(
    "--checkpoint",
    metavar="FILE",
    help="The base checkpoint's file; default: base.path of the profile, or what A1111 draws with.",
)
@click.option(
    "--from",
    "preset",
    metavar="PRESET.json",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Train as this preset of the kohya_ss GUI says, with the profile's pictures.",
)
@click.option(
    "--as-profile", is_flag=True, help="With --from: answer with the preset as a lora.toml, and start nothing."
)
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be done; start nothing.")
def command(
    folder: Path,
    kohya: str | None,
    kohya_python: str | None,
    url: Urls,
    checkpoint: str | None,
    preset: Path | None,
    as_profile: bool,
    dry_run: bool,
) -> None:
    """Train the profile's version on the built dataset.

    Everything that speaks against it is looked for first and said at once, with what the dataset will lock in. Closing
    the terminal does not end the training: the same command finds it again, goes on after an interruption, and does
    nothing when it is finished.

    \b
    Example:  orchestrator train --kohya C:\\kohya_ss
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import note, progress
    from orchestrator.night import keyboard
    from orchestrator.settings import load_settings
    from orchestrator.training.preflight import preflight

    settings = load_settings(kohya_folder=kohya, kohya_python=kohya_python, a1111_url=url)
    if as_profile:
        if preset is None:
            raise click.UsageError("--as-profile needs --from PRESET.json.")
        _answer_as_profile(preset, find_kohya(settings))
        return
    workspace, profile = open_workspace(folder)
    install = find_kohya(settings)
    elsewhere = ""
    if preset is not None:
        from orchestrator.cli.train_preset import taken_over

        profile, elsewhere = taken_over(preset, profile, install, workspace)
    named = checkpoint or profile.base.path or elsewhere
    if named:
        # Whether it is there, and what it is, is one of the things that are told together.
        base = Path(checkpoint).expanduser() if checkpoint else workspace.named(named)
    else:
        renderer = pipeline.open_renderer(profile, workspace, open_client(settings))
        base = pipeline.base_checkpoint(profile, workspace, renderer)
    ready = preflight(profile, install, workspace, checkpoint=base, preset=preset.name if preset is not None else "")
    _say_what_locks(profile, workspace, ready)
    if dry_run:
        from orchestrator.cli.train_shown import show_plan

        show_plan(ready)
        return
    with keyboard.for_training(ready.planned, wait=asked_to_wait(), say=note) as listening, progress() as bar:
        run = pipeline.train_ready(
            ready, a1111=functools.partial(open_client, settings), on_event=listening(show_events(bar))
        )
    show_finished(run)


def _say_what_locks(profile: Profile, workspace: Workspace, ready: Ready) -> None:
    """The dataset check on what will be trained on, where a training really begins. What will be locked in stops
    nothing here, as it does in `run`: whoever trains what is built has decided. What sd-scripts would stop at does.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import note, progress
    from orchestrator.cli.dataset_shown import show_locks, verdict_line
    from orchestrator.dataset.before_training import refuse_untrainable
    from orchestrator.training import preflight_run_folder

    if preflight_run_folder.needs_no_start(ready.planned):
        return
    with progress() as bar:
        checked = pipeline.check_built(profile, workspace, on_progress=bar)
    if checked is not None:
        show_locks(checked.result.findings)
        note(f"Dataset check: {verdict_line(checked.result)}")
        if checked.result.verdict == "will lock":
            note("It is trained on all the same; `orchestrator dataset check` says what would mend it.")
        refuse_untrainable(checked.result, built=True)


def _answer_as_profile(preset: Path, install: KohyaInstall) -> None:
    from orchestrator.cli.console import answer, note
    from orchestrator.cli.train_preset import as_profile

    text, notes = as_profile(preset, install)
    for each in notes:
        note(str(each))
    answer(text)


def show_finished(run: TrainingRun) -> None:
    """Answer what came out of a training, and what its files were held against."""
    from orchestrator.cli.console import answer, many
    from orchestrator.training.record import read_record

    files = many(len(run.lora_files), "LoRA file")
    answer(f"{run.name}: {files} in {run.folder}{' (finished before)' if run.reused else ''}")
    record = None if run.reused else read_record(run.folder)
    for sentence in record.proof if record is not None else ():
        answer(f"  {sentence}")


def show_events(on_progress: OnProgress) -> Callable[[TrainingEvent], None]:
    """A listener that shows a training's progress."""
    import math

    from orchestrator.cli.console import note
    from orchestrator.training.events import Note, Progress, Restarted, Sampled, Stalled, Started

    def show(event: TrainingEvent) -> None:
        if isinstance(event, Progress):
            left = math.inf if event.seconds_left is None else event.seconds_left
            on_progress("train", event.step, event.steps, left, _detail(event))
        elif isinstance(event, Started):
            if text := _started(event):
                note(text)
        elif isinstance(event, Sampled):
            note(f"Drawn after epoch {event.epoch}: {event.file}")
        elif isinstance(event, Stalled):
            note(f"Nothing has happened for {event.minutes:.0f} min: {event.diagnosis}")
        elif isinstance(event, Restarted):
            changed = ", ".join(f"{key} = {value}" for key, value in event.changes.items())
            why = event.why.rstrip(".")
            note(f"{why[:1].upper()}{why[1:]}. It is started again{f' with {changed}' if changed else ''}.")
        elif isinstance(event, Note):
            note(event.text)

    return show


def _started(event: Started) -> str:
    if event.adopted:
        return f"{event.name} is being trained already: watching it."
    if event.resumed_from:
        return f"{event.name} goes on after epoch {event.resumed_from}."
    return ""


def _detail(event: Progress) -> str:
    loss = "" if event.loss is None else f"loss {event.loss:.4f}"
    return ", ".join(filter(None, (f"epoch {event.epoch}/{event.epochs}", loss, _rate(event.rate_s))))


def _rate(seconds: float | None) -> str:
    if not seconds:
        return ""
    return f"{seconds:.2f} s/step" if seconds >= 0.1 else f"{1 / seconds:.0f} steps/s"
