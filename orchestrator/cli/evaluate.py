"""`orchestrator evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import (
    Urls,
    json_option,
    lora_folder_option,
    open_workspace,
    server_option,
    workspace_option,
)

if TYPE_CHECKING:
    from orchestrator.evaluation.statistics import Interval
    from orchestrator.evaluation.verdict import Verdict


@click.command("evaluate")
@workspace_option
@server_option
@lora_folder_option
@click.option("--dry-run", is_flag=True, help="Only say how many pictures and how long; draw nothing.")
@json_option
def command(folder: Path, url: Urls, lora_folder: str | None, dry_run: bool, as_json: bool) -> None:
    """Draw the rounds on the scouted seeds, measure them, and say which LoRA is best.

    Every epoch and weight is drawn on a few seeds, those that may still be the best on more; the best three are
    confirmed on fresh ones. Stopped, it goes on where it was when it is run again.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, answer_json, note, progress
    from orchestrator.cli.servers import open_servers
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    settings = load_settings(a1111_url=url, lora_folder=lora_folder)
    with open_servers(settings) as servers, progress() as on_progress:
        deployed = servers.deploy(workspace, profile.run_name)
        renderer = servers.renderer(profile, workspace)
        least, most = pipeline.price_rounds(profile, workspace, renderer, deployed)
        priced = f"The rounds = {least}" + ("." if least == most else f"; with everything that may follow {most}.")
        if dry_run:
            answer(priced)
            return
        note(priced)
        verdict = pipeline.evaluate_version(profile, workspace, renderer, deployed, on_progress=on_progress)
    if as_json:
        answer_json(verdict.to_dict())
    else:
        show_verdict(verdict)


def show_verdict(verdict: Verdict) -> None:
    """The verdict in words, the cells that may be best, and what was not measured."""
    from orchestrator.cli.console import answer, paragraph, table

    paragraph("", verdict.text)
    best = sorted((r for r in verdict.cells if r.may_be_best), key=lambda r: -(r.utility.mean if r.utility else 0.0))
    if best:
        answer()
        answer("Cells that may be best, the highest utility first (means and intervals over seeds):")
        rows = [
            (
                "->" if result.cell == verdict.recommended else " ",
                result.cell.epoch,
                result.cell.weight,
                *(_shown(interval) for interval in (result.utility, result.identity, result.obedience)),
            )
            for result in best
        ]
        table(("", "epoch", "weight", "utility", "identity", "obedience"), rows)
        answer(verdict.rule)
    for sentence in (*verdict.trade_offs, *verdict.not_measured):
        paragraph("- ", sentence)


def _shown(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    if interval.low is None or interval.high is None:
        return f"{interval.mean:.2f}"
    # A t interval knows nothing of the scale's ends; beyond them no value exists.
    return f"{interval.mean:.2f} ({max(interval.low, 0.0):.2f} to {min(interval.high, 1.0):.2f})"
