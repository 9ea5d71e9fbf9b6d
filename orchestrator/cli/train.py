"""`orchestrator train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import (
    Urls,
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
    from orchestrator.training.events import TrainingEvent


@click.command("train")
@workspace_option
@kohya_options
@server_option
@click.option(
    "--checkpoint",
    metavar="FILE",
    help="The base checkpoint's file; default: base.path of the profile, or what A1111 draws with.",
)
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be done; start nothing.")
def command(
    folder: Path, kohya: str | None, kohya_python: str | None, url: Urls, checkpoint: str | None, dry_run: bool
) -> None:
    """Train the profile's version on the built dataset.

    The configuration is checked against this very sd-scripts first. Closing the terminal does not end the training: the
    same command finds it again, goes on after an interruption, and does nothing when it is finished.

    \b
    Example:  orchestrator train --kohya C:\\kohya_ss
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, progress
    from orchestrator.settings import load_settings
    from orchestrator.training.plan import plan

    workspace, profile = open_workspace(folder)
    settings = load_settings(kohya_folder=kohya, kohya_python=kohya_python, a1111_url=url)
    install = find_kohya(settings)
    client = open_client(settings)
    named = checkpoint or profile.base.path
    renderer = None if named else pipeline.open_renderer(profile, workspace, client)
    base = pipeline.base_checkpoint(profile, renderer, named=checkpoint or "")
    if dry_run:
        planned = plan(profile, install, workspace, checkpoint=base)
        answer(f"Would train {planned.name} into {planned.output_folder}")
        answer(
            f"  {planned.dataset.pictures} pictures, {planned.epochs} epochs, a file every {planned.save_every} epochs"
        )
        answer(f"  base {base}")
        for key, value in sorted(planned.values.items()):
            answer(f"  {key} = {value}")
        return
    with progress() as bar:
        run = pipeline.train_version(profile, workspace, install, base, client=client, on_event=show_events(bar))
    files = len(run.lora_files)
    answer(f"{run.name}: {files} LoRA files in {run.folder}{' (finished before)' if run.reused else ''}")


def show_events(on_progress: OnProgress) -> Callable[[TrainingEvent], None]:
    """A listener that shows a training's progress."""
    from orchestrator.cli.console import note
    from orchestrator.training.events import Note, Progress, Started

    def show(event: TrainingEvent) -> None:
        if isinstance(event, Progress):
            on_progress("train", event.step, event.steps)
        elif isinstance(event, Started) and event.adopted:
            note(f"{event.name} is being trained already: watching it.")
        elif isinstance(event, Started) and event.resumed_from:
            note(f"{event.name} goes on after epoch {event.resumed_from}.")
        elif isinstance(event, Note):
            note(event.text)

    return show
