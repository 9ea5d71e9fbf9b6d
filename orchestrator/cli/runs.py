"""`orchestrator runs …`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, workspace_option


@click.group("runs")
def command() -> None:
    """List and show training runs."""


@command.command("list")
@workspace_option
@json_option
def list_(folder: Path, as_json: bool) -> None:
    """List the runs of the workspace, the newest last."""
    from orchestrator.cli.console import answer_json, table
    from orchestrator.training.runs import list_runs
    from orchestrator.workspace import find_workspace

    runs = list_runs(find_workspace(folder))
    if as_json:
        answer_json([run.model_dump(mode="json") for run in runs])
        return
    rows = [
        (r.name, r.status, len(r.files), r.epochs, r.final_loss and round(r.final_loss, 4), _duration(r.seconds))
        for r in runs
    ]
    table(("run", "status", "files", "epochs", "loss", "time"), rows)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


@command.command("show")
@click.argument("name")
@workspace_option
@json_option
def show(name: str, folder: Path, as_json: bool) -> None:
    """Show what the run NAME was made from and what came out."""
    from orchestrator.cli.console import answer, answer_json, table
    from orchestrator.errors import WorkspaceError
    from orchestrator.training.runs import list_runs
    from orchestrator.workspace import find_workspace

    workspace = find_workspace(folder)
    runs = {run.name: run for run in list_runs(workspace)}
    if name not in runs:
        raise WorkspaceError(f"There is no run {name!r}.", fix=f"There are: {', '.join(runs) or 'none'}.")
    run = runs[name]
    if as_json:
        answer_json(run.model_dump(mode="json"))
        return
    answer(f"{run.name}: {run.status}")
    answer(f"  base       {run.base.get('path', '-')}")
    answer(f"  dataset    {run.dataset.get('folder')} ({run.dataset.get('pictures')} pictures)")
    answer(f"  trained    {run.epochs} epochs, seed {run.seed}, {len(run.attempts)} start(s), {run.seconds:.0f} s")
    answer(f"  folder     {workspace.run(run.name)}")
    if run.attempts and run.attempts[-1].why:
        answer(f"  ended      {run.attempts[-1].why}")
    answer()
    table(
        ("file", "epoch", "MB", "sha256"), [(f.file, f.epoch, round(f.size / 1e6, 1), f.sha256[:12]) for f in run.files]
    )
