"""`orchestrator grid compare | show | open`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.grid_again import counted
from orchestrator.cli.options import json_option, open_workspace, workspace_option

if TYPE_CHECKING:
    from orchestrator.grid.manifest import Entry, Manifest
    from orchestrator.grid.origin import Origin
    from orchestrator.grid.pairs import Compared, Side

#: Cells that are listed one by one.
_LISTED = 12


@click.command("compare")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Where to. [default: comparisons/A - B]"
)
@workspace_option
@json_option
def compare_grids(one: str, other: str, output: Path | None, folder: Path, as_json: bool) -> None:
    """Lay two grids side by side: names, folders, manifests or sheets.

    Cells with the same values are held against each other. Writes sheets of the pairs, A | B, and a viewer that flips
    between them.

    \b
    Examples:
      orchestrator grid compare "v3 face" "v4 face"
      orchestrator grid compare "grids/v4 face/before/2026-11-26-01-02-03" "v4 face"
    """
    from orchestrator.cli.console import answer, answer_json, many, progress, table
    from orchestrator.files import file_stem
    from orchestrator.grid.origin import find_ours
    from orchestrator.grid.pairs import compare
    from orchestrator.grid.side_by_side import as_one_grid, write_sheets
    from orchestrator.grid.viewer import write_viewer

    workspace, profile = open_workspace(folder)
    origins = [find_ours(what, workspace, profile.subject.version) for what in (one, other)]
    names = [origin.called for origin in origins]
    if names[0] == names[1]:
        names = ["before", "now"] if "before" in origins[0].source.parts else ["A", "B"]
    before, now = (_side(origin, name) for origin, name in zip(origins, names, strict=True))
    total = sum(entry.recipe is not None for entry in now.manifest.cells)
    with progress() as on_progress:
        found = compare(before, now, functools.partial(counted(on_progress, "compare", total), None))
    title = f"{names[0]} | {names[1]}"
    target = output or workspace.root / "comparisons" / file_stem(f"{names[0]} - {names[1]}")
    sheets = write_sheets(found, target, title=title)
    viewer = write_viewer(target, as_one_grid(found, target, title=title))
    if as_json:
        answer_json({"summary": found.summary, "pairs": _pairs(found), "sheets": sheets, "viewer": viewer})
        return
    answer(f"{title}: {found.summary}")
    farthest = sorted((pair for pair in found.pairs if pair.difference), key=lambda pair: -(pair.difference or 0))
    if farthest:
        rows = [(pair.label, f"{pair.difference:.2g} %") for pair in farthest[:_LISTED]]
        table(("differ most", "by"), rows)
    for count, name in zip(found.alone, names, strict=True):
        if count:
            answer(f"not shown, because only {name} has them: {many(count, 'cell')}")
    for path in (*sheets, viewer):
        answer(f"  {path}")


def _side(origin: Origin, called: str) -> Side:
    from orchestrator.grid.crops import crops_of
    from orchestrator.grid.pairs import Side

    if origin.folder is None:
        return Side(called, origin.manifest, crops_of(origin.source, origin.manifest))
    return Side(called, origin.manifest, origin.picture)


def _pairs(found: Compared) -> list[dict[str, object]]:
    return [
        {"cell": pair.label, "difference_percent": pair.difference, "same_recipe": pair.same_recipe}
        for pair in found.pairs
    ]


@click.command("show")
@click.argument("what", metavar="NAME|MANIFEST|SHEET", required=False)
@click.option("--cell", "address", metavar="ADDRESS", help="One cell's recipe: epoch=40,weight=0.8,seed=123")
@workspace_option
@json_option
@click.pass_context
def show(context: click.Context, what: str | None, address: str | None, folder: Path, as_json: bool) -> None:
    """Show a grid: its axes, how its cells stand, and with --cell how one of them was drawn."""
    from orchestrator.cli.console import answer, answer_json, table
    from orchestrator.grid import manifest as manifests
    from orchestrator.grid.addresses import read_cell
    from orchestrator.grid.origin import find_ours

    if what is None:
        # Which grids there are is the first thing somebody asks who names none.
        from orchestrator.cli.grid import list_grids

        context.invoke(list_grids, folder=folder, as_json=as_json)
        return
    workspace, profile = open_workspace(folder)
    origin = find_ours(what, workspace, profile.subject.version)
    manifest = origin.manifest
    if address is not None:
        _show_cell(origin, manifest.cell(read_cell(address, manifest)), as_json=as_json)
        return
    if as_json:
        answer_json({**manifests.to_dict(manifest), "summary": manifest.summary})
        return
    simulated = " (simulated)" if manifest.simulated else ""
    answer(f"{origin.called}: {manifest.summary}{simulated}")
    rows = [
        (axis.name, _lies(manifest, k), len(axis.values), ", ".join(axis.values))
        for k, axis in enumerate(manifest.axes)
    ]
    table(("axis", "lies", "values", "which"), rows)
    for name, value in manifest.made_with.items():
        answer(f"{name}: {value}")
    for entry in [entry for entry in manifest.cells if entry.state == "failed"][:_LISTED]:
        answer(f"failed: {entry.label}: {entry.reason}")


def _lies(manifest: Manifest, index: int) -> str:
    lies = "across" if index == manifest.x else "down" if index == manifest.y else "pages"
    return lies if len(manifest.axes[index].values) > 1 else "-"


def _show_cell(origin: Origin, entry: Entry, *, as_json: bool) -> None:
    from orchestrator.cli.console import answer, answer_json, paragraph

    recipe = origin.manifest.recipe_of(entry)
    picture = origin.picture(entry)
    if as_json:
        answer_json(
            {
                "cell": entry.label, "state": entry.state, "reason": entry.reason, "key": entry.key, "recipe": recipe,
                "picture": picture, "seconds": entry.seconds,
            }
        )  # fmt: skip
        return
    answer(f"{entry.label}: {entry.state}" + (f", {entry.reason}" if entry.reason else ""))
    for name, value in (recipe or {}).items():
        if name == "loras":
            for use in value:
                answer(f"lora: {use['stem']} at {use['weight']:g} (sha256 {use['sha256'][:12]})")
        elif value not in (None, ""):
            paragraph(f"{name.replace('_', ' ')}: ", str(value))
    if picture is not None:
        answer(f"picture: {picture}")


@click.command("open")
@click.argument("what", metavar="NAME|MANIFEST")
@workspace_option
def open_viewer(what: str, folder: Path) -> None:
    """Open a grid's viewer in the browser, and print where it lies."""
    import webbrowser

    from orchestrator.cli.console import answer, note
    from orchestrator.errors import InputError
    from orchestrator.grid.origin import find_ours
    from orchestrator.grid.viewer import VIEWER_NAME

    workspace, profile = open_workspace(folder)
    origin = find_ours(what, workspace, profile.subject.version)
    viewer = (origin.folder or origin.source.parent) / VIEWER_NAME
    if not viewer.is_file():
        raise InputError(
            f"{origin.called} has no viewer beside it.",
            fix="Make one by drawing the grid again: `orchestrator grid regenerate`.",
        )
    answer(str(viewer))
    if not _has_display() or not webbrowser.open(viewer.resolve().as_uri()):
        note("There is no browser here to open it with.")


def _has_display() -> bool:
    """Whether a browser window could appear: without one, `webbrowser` may start a text browser in this terminal."""
    import os
    import sys

    return sys.platform in {"win32", "darwin"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
