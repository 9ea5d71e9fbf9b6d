"""`orchestrator scout`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import Urls, json_option, open_workspace, server_option, workspace_option


@click.command("scout")
@workspace_option
@server_option
@click.option("--keep", "chosen", metavar="SEEDS", default="", help="Keep these instead, by hand: 1003,1007,1012.")
@json_option
def command(folder: Path, url: Urls, chosen: str, as_json: bool) -> None:
    """Draw many seeds without LoRA and trigger, and keep those that obey the poses of the rounds.

    A contact sheet shows all of them. With --keep nothing is drawn: of the seeds scouted before, those named are used.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, answer_json, progress, table
    from orchestrator.cli.servers import open_servers
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    if chosen:
        by_hand = pipeline.choose_seeds(profile, workspace, _numbers(chosen))
        answer(f"Seeds: {', '.join(map(str, by_hand.seeds))}")
        return
    with open_servers(load_settings(a1111_url=url)) as servers, progress() as on_progress:
        renderer = servers.renderer(profile, workspace)
        result = pipeline.scout_seeds(profile, workspace, renderer, on_progress=on_progress)
        sheet = pipeline.scout_sheet(profile, workspace, result, simulated=renderer.server.simulated)
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
    answer(f"Sheet: {sheet}")


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.replace(" ", ",").split(",") if part]
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no list of seeds such as 1003,1007", param_hint="--keep") from error
