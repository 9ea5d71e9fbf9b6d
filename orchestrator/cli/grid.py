"""`orchestrator grid …`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.grid_again import regenerate
from orchestrator.cli.grid_compare import compare_grids, open_viewer, show
from orchestrator.cli.grid_pictures import animate, difference, sheets
from orchestrator.cli.grid_render import render
from orchestrator.cli.options import json_option, workspace_option


@click.group("grid")
def command() -> None:
    """Draw comparison grids: epoch × weight at fixed seeds with a baseline, or any other axes."""


for each in (render, regenerate, compare_grids, show, open_viewer):
    command.add_command(each)
command.add_command(animate)
command.add_command(difference)
command.add_command(sheets)


@command.command("list")
@workspace_option
@json_option
def list_grids(folder: Path, as_json: bool) -> None:
    """List the grids that are there."""
    from orchestrator.cli.console import answer_json, table
    from orchestrator.grid.manifest import find
    from orchestrator.workspace import find_workspace

    grids = find_workspace(folder).root / "grids"
    found = [(path, find(path)) for path in sorted(grids.iterdir())] if grids.is_dir() else []
    manifests = [(path, manifest) for path, manifest in found if manifest]
    if as_json:
        answer_json(
            [
                {
                    "grid": path.name,
                    "axes": {axis.name: list(axis.values) for axis in manifest.axes},
                    "cells": manifest.summary,
                    "written": manifest.made_with.get("written", ""),
                    "viewer": str(path / "index.html"),
                }
                for path, manifest in manifests
            ]
        )
        return
    rows = [
        (path.name, " × ".join(f"{len(a.values)} {a.name}" for a in m.axes), m.summary, path / "index.html")
        for path, m in manifests
    ]
    table(("grid", "axes", "cells", "viewer"), rows)
