"""`orchestrator dataset …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli import dataset_captions, dataset_keep, dataset_make
from orchestrator.cli.options import json_option, open_workspace, workspace_option

if TYPE_CHECKING:
    from orchestrator.dataset.model import CheckResult


@click.group("dataset")
def command() -> None:
    """Check the dataset before training, and build it."""


@command.command("check")
@workspace_option
@json_option
def check(folder: Path, as_json: bool) -> None:
    """Say what will be locked into the LoRA and what will go wrong, before a night is spent on it.

    Exit code 0 when there is nothing but notes, else 3.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer_json, progress
    from orchestrator.errors import DatasetError

    workspace, profile = open_workspace(folder)
    with progress() as on_progress:
        checked = pipeline.check_dataset(profile, workspace, on_progress=on_progress)
    if as_json:
        answer_json(checked.result.to_dict())
    else:
        show_check(checked.result)
    if not checked.result.clean:
        raise click.exceptions.Exit(DatasetError.exit_code)


def show_check(result: CheckResult) -> None:
    """The table of the groups and the findings below it."""
    from orchestrator.cli.console import answer, paragraph, table

    rows = [
        (
            g.group,
            g.count,
            g.repeats,
            f"{g.faces}/{g.looked}" if g.looked else "-",
            _angle(g.roll_mean),
            _angle(g.roll_sd),
            g.min_side,
        )
        for g in result.groups
    ]
    table(("group", "pictures", "repeats", "faces", "mean roll", "spread", "short side"), rows)
    marks = {"locked in": "[x]", "warning": "[!]", "note": "[-]"}
    for finding in result.findings:
        answer()
        where = f", {finding.group}" if finding.group else ""
        paragraph(f"{marks[finding.level]} {finding.level}{where}: ", finding.what)
        if finding.means:
            paragraph("    Means:  ", finding.means)
        if finding.fix:
            paragraph("    Fix:    ", finding.fix)
    if result.clean:
        answer()
        looked = all(group.looked == group.count for group in result.groups)
        answer(
            "[ok] Nothing will be locked in."
            if looked
            else "[?] Nothing was found, but not every picture was measured: what it will lock in is not known."
        )


def _angle(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}°"


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
