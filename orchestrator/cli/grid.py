"""`orchestrator grid …`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import (
    Urls,
    json_option,
    lora_folder_option,
    open_workspace,
    server_option,
    workspace_option,
)


@click.group("grid")
def command() -> None:
    """Draw comparison grids: epoch × weight at fixed seeds, with a baseline row."""


@command.command("render")
@click.argument("names", nargs=-1)
@workspace_option
@server_option
@lora_folder_option
@click.option(
    "--native", is_flag=True, help="Let the webui's own X/Y/Z plot draw the cells: the same pictures, more slowly."
)
def render(names: tuple[str, ...], folder: Path, url: Urls, lora_folder: str | None, native: bool) -> None:
    """Draw the grids NAMES of the profile (all without names) over the newest finished run.

    Cells that were drawn before come from the cache, so the same command regenerates a grid, and goes on with an
    interrupted one.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, leave_failed, note, progress
    from orchestrator.cli.servers import open_servers
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    settings = load_settings(a1111_url=url, lora_folder=lora_folder)
    with open_servers(settings) as servers, progress() as on_progress:
        deployed = servers.deploy(workspace, profile.run_name)
        renderer = servers.renderer(profile, workspace)
        if deployed:
            note(f"{len(deployed)} LoRA files of {profile.run_name} are in {deployed[0].path.parent}")
        results = pipeline.draw_grids(
            profile, workspace, renderer, deployed, only=names, native=native, on_progress=on_progress
        )
    for result in results:
        answer(f"{result.folder.name}: {result.summary}")
        for sheet in result.sheets:
            answer(f"  {sheet}")
        answer(f"  {result.viewer}")
    leave_failed(sum(result.failed for result in results))


@command.command("show")
@workspace_option
@json_option
def show(folder: Path, as_json: bool) -> None:
    """List the grids that are there."""
    from orchestrator.cli.console import answer_json, table
    from orchestrator.grid.manifest import find
    from orchestrator.workspace import find_workspace

    grids = find_workspace(folder).root / "grids"
    manifests = [(path, find(path)) for path in sorted(grids.iterdir())] if grids.is_dir() else []
    rows = [(path.name, m.summary, path / "index.html") for path, m in manifests if m]
    if as_json:
        answer_json([{"grid": name, "cells": cells, "viewer": str(viewer)} for name, cells, viewer in rows])
        return
    table(("grid", "cells", "viewer"), rows)
