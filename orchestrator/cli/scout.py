"""`orchestrator scout`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import Urls, json_option, open_workspace, server_option, workspace_option


@click.command("scout")
@workspace_option
@server_option
@json_option
def command(folder: Path, url: Urls, as_json: bool) -> None:
    """Draw many seeds without LoRA and trigger, and keep those that obey the poses of the rounds."""
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, answer_json, progress, table
    from orchestrator.cli.servers import open_servers
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    with open_servers(load_settings(a1111_url=url)) as servers, progress() as on_progress:
        renderer = servers.renderer(profile, workspace)
        result = pipeline.scout_seeds(profile, workspace, renderer, on_progress=on_progress)
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
