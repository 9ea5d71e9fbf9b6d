"""`orchestrator dataset …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli import dataset_captions, dataset_keep, dataset_make
from orchestrator.cli.options import json_option, open_workspace, workspace_option

if TYPE_CHECKING:
    from orchestrator.dataset.foretell import Compared, Foretold

#: Exit code of `dataset check` when something would be locked in: the pictures can be trained on, and should not be.
WILL_LOCK = 9


@click.group("dataset")
def command() -> None:
    """Check the dataset before training, and build it."""


@command.command("check")
@click.option("--page", "open_it", is_flag=True, help="Open the page of the check in the browser.")
@workspace_option
@json_option
def check(open_it: bool, folder: Path, as_json: bool) -> None:
    """Say what will be locked into the LoRA and what will go wrong, before a night is spent on it.

    The verdict is the exit code: 0 ready (warnings and notes stop nothing), 9 will lock, 3 cannot train. The same with
    every picture lies in dataset/VERSION.check.html and .check.json.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer_json, note, progress
    from orchestrator.cli.dataset_shown import show_check
    from orchestrator.errors import DatasetError

    workspace, profile = open_workspace(folder)
    with progress() as on_progress:
        checked = pipeline.check_dataset(profile, workspace, on_progress=on_progress)
    page = workspace.check_page(profile.subject.version)
    if as_json:
        answer_json(checked.result.to_dict())
    else:
        show_check(checked.result)
        note(f"Every picture: {page}")
    if open_it:
        click.launch(page.as_uri())
    code = {"ready": 0, "will lock": WILL_LOCK, "cannot train": DatasetError.exit_code}[checked.result.verdict]
    if code:
        raise click.exceptions.Exit(code)


@command.command("foretold")
@workspace_option
@json_option
def foretold(folder: Path, as_json: bool) -> None:
    """Hold what the dataset let expect of the LoRA against what its grids show.

    Before there is a grid, it says what is expected. Both are kept for every version in dataset/VERSION.foretold.json,
    and stand in its report.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, answer_json, note, progress
    from orchestrator.cli.dataset_shown import show_foretold
    from orchestrator.dataset import foretold_file
    from orchestrator.errors import WorkspaceError
    from orchestrator.evaluation.foretold import expected

    workspace, profile = open_workspace(folder)
    record = foretold_file.read(workspace.foretold(profile.subject.version)) or foretold_file.Record()
    told: list[Foretold] = []
    compared: list[Compared] = []
    try:
        told = expected(profile, workspace)
        with progress() as on_progress:
            compared = pipeline.compare_foretold(profile, workspace, on_progress=on_progress)
    except WorkspaceError as error:
        if not told and not record.foretold:
            raise
        note(f"{error.what} {error.fix}")
    now = list(record.foretold) if not told or foretold_file.differs(told, record.foretold) else []
    if as_json:
        import dataclasses

        answer_json(
            {
                "foretold": [dataclasses.asdict(one) for one in told],
                "compared": [dataclasses.asdict(one) for one in compared],
                "now": [dataclasses.asdict(one) for one in now],
            }
        )
        return
    if told:
        show_foretold(told, compared)
    if now:
        answer("\nOf the pictures as they were checked last:" if told else "Of the pictures as they were checked last:")
        show_foretold(now, [])


@command.command("build")
@click.option("--balance", is_flag=True, help="As `balance = true` in lora.toml: leave out and repeat as proposed.")
@workspace_option
def build(balance: bool, folder: Path) -> None:
    """Copy the pictures with their captions into kohya's folders, with a manifest of where each came from."""
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, note, progress

    workspace, profile = open_workspace(folder)
    if balance and not profile.dataset.balance:
        profile = profile.model_copy(update={"dataset": profile.dataset.model_copy(update={"balance": True})})
        note("To have `orchestrator run` build it so too, write `balance = true` under [dataset] in lora.toml.")
    with progress() as on_progress:
        dataset = pipeline.build_dataset(profile, workspace, on_progress=on_progress)
    answer(
        f"{dataset.folder}: {dataset.count} pictures in {len(dataset.groups)} groups"
        f"{'' if dataset.built else ' (unchanged)'}"
    )
    for sentence in dataset.notes:
        note(f"  {sentence}")


for _more in (*dataset_make.COMMANDS, *dataset_keep.COMMANDS, dataset_captions.command):
    command.add_command(_more)
