"""`orchestrator grid animate`, `difference` and `sheets`: pictures made of the cells of a grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, workspace_option

if TYPE_CHECKING:
    from orchestrator.grid.manifest import Manifest
    from orchestrator.grid.sheet import Format


@click.command("animate")
@click.argument("name")
@click.option("--along", default="epoch", show_default=True, metavar="AXIS", help="The axis to go along.")
@click.option("--at", "fixed", default="", metavar="VALUES", help="Where the others stand: weight=0.8,seed=123.")
@click.option("--seconds", default=0.6, show_default=True, help="How long each picture is shown.")
@click.option("--side", default=0, show_default=True, help="Longer side in pixels; 0 = as large as the pictures are.")
@click.option(
    "--out",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file, .webp or .gif. Default: a WebP in the grid's folder.",
)
@workspace_option
def animate(name: str, along: str, fixed: str, seconds: float, side: int, target: Path | None, folder: Path) -> None:
    """Animate the grid NAME along one axis, for example epoch by epoch, at one value of every other axis."""
    from orchestrator.cli.console import answer
    from orchestrator.grid.addresses import find_axis, read_values
    from orchestrator.grid.strip import write_strip

    grid, manifest = _open(folder, name)
    axis = find_axis(along, manifest)
    values = read_values(fixed, manifest)
    answer(str(write_strip(grid, manifest, axis, values, target, seconds=seconds, side=side)))


@click.command("difference")
@click.argument("name")
@click.argument("first", metavar="CELL")
@click.argument("second", metavar="CELL")
@click.option(
    "--out",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The PNG. Default: one in the grid's folder.",
)
@workspace_option
@json_option
def difference(name: str, first: str, second: str, target: Path | None, folder: Path, as_json: bool) -> None:
    """Draw what differs between two cells of the grid NAME, beside both pictures.

    A CELL is written epoch=40,weight=0.8,seed=123; the baseline is no LoRA,seed=123. An axis of one value may be left
    out, and #2 is the second value of an axis.
    """
    from orchestrator.cli.console import answer, answer_json
    from orchestrator.grid.addresses import read_cell
    from orchestrator.grid.difference import difference_file, write_difference

    grid, manifest = _open(folder, name)
    places = read_cell(first, manifest), read_cell(second, manifest)
    path = target or difference_file(grid, manifest, *places)
    found = write_difference(grid, manifest, *places, path)
    if as_json:
        answer_json(
            {
                "file": str(path), "pixels": found.pixels, "changed": found.changed, "mean": found.mean,
                "largest": found.largest,
            }
        )  # fmt: skip
        return
    answer(found.summary)
    answer(str(path))


@click.command("sheets")
@click.argument("name")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["png", "webp", "jpeg"]),
    default="jpeg",
    show_default=True,
    help="WebP and JPEG are smaller and lose a little; large grids come in several pages.",
)
@click.option("--cell", default=0, show_default=True, help="Longer side of cells in pixels; 0 = as the pictures are.")
@click.option(
    "--out",
    "target",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder. Default: the grid's own, for PNG its folder sheets.",
)
@workspace_option
def sheets(name: str, kind: Format, cell: int, target: Path | None, folder: Path) -> None:
    """Draw the sheets of the grid NAME in another format or size, from the pictures that are there.

    `grid render` draws them as PNG with full-size cells. What this draws is not kept up to date by it.
    """
    from orchestrator.cli.console import answer
    from orchestrator.grid.sheet import draw_sheets

    grid, manifest = _open(folder, name)
    # In its own folder the grid's PNG sheets have the same names.
    place = target or (grid / "sheets" if kind == "png" else grid)
    for sheet in draw_sheets(grid, manifest, format=kind, max_cell=cell, target=place).sheets:
        answer(str(place / sheet.file))


def _open(folder: Path, name: str) -> tuple[Path, Manifest]:
    from orchestrator.grid.manifest import read
    from orchestrator.workspace import find_workspace

    grid = find_workspace(folder).grid(name)
    return grid, read(grid)
