"""`orchestrator scout`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, open_client, open_workspace, server_option, workspace_option


@click.command("scout")
@workspace_option
@server_option
@json_option
def command(folder: Path, url: str | None, as_json: bool) -> None:
    """Draw many seeds without LoRA and trigger, and keep those that obey the poses of the rounds."""
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, answer_json, progress, table
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    with open_client(load_settings(a1111_url=url)) as client, progress() as on_progress:
        result = pipeline.scout_seeds(
            profile, workspace, pipeline.open_renderer(profile, workspace, client), on_progress=on_progress
        )
    if as_json:
        answer_json(result.to_dict())
        return
    for sentence in result.sentences:
        answer(sentence)
    table(
        ("round", "obeyed", "rate lies between"),
        [(r.round, f"{r.obeyed} of {r.measured}", f"{r.low:.0%} and {r.high:.0%}") for r in result.rates],
    )
    answer(f"Seeds: {', '.join(map(str, result.seeds))}")
