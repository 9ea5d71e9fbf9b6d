"""`orchestrator report`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import open_workspace, workspace_option


@click.command("report")
@workspace_option
def command(folder: Path) -> None:
    """Write the HTML report: one folder that can be opened by a double click, sent, and kept."""
    from orchestrator import pipeline
    from orchestrator.cli.console import answer

    workspace, profile = open_workspace(folder)
    answer(str(pipeline.write_report(profile, workspace)))
