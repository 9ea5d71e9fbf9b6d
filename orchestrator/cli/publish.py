"""`orchestrator publish`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import Urls, models_folder, open_workspace, server_option, workspace_option


@click.command("publish")
@click.argument("name")
@workspace_option
@click.option(
    "--to",
    "to",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder; default: A1111's models/Lora, from the settings or asked from A1111.",
)
@server_option
def command(name: str, folder: Path, to: Path | None, url: Urls) -> None:
    """Copy the verdict's winner to NAME.safetensors, with A1111's card and preview beside it.

    A folder to give away is written into the workspace: the file, a model card, sample pictures with their recipes, and
    civitai.json with what the site asks for. Another file of that name is never replaced.

    \b
    Example:  orchestrator publish my-model
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, note

    workspace, profile = open_workspace(folder)
    published, card = pipeline.publish_winner(profile, workspace, name, models_folder(url) if to is None else to)
    if published.card_kept:
        note(f"{published.card.name} was there already: what it says is kept.")
    answer(f"{published.path}{' (there already)' if published.reused else ''}")
    answer(f"Model card: {card}")
