"""`orchestrator grid regenerate | compare | show | open`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from orchestrator.grid.again import DrawnAgain, PlannedAgain
    from orchestrator.grid.manifest import Entry, Manifest
    from orchestrator.grid.origin import Origin
    from orchestrator.grid.side_by_side import Compared, Side

#: Cells of `show` that are listed one by one.
_LISTED = 12


@click.command("regenerate")
@click.argument("what", metavar="NAME|MANIFEST|SHEET")
@click.option(
    "--exact", is_flag=True, help="The very same pictures, from the recipes. [default: ask anew what was asked]"
)
@click.option(
    "--init", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="The picture img2img starts from."
)
@click.option("--dry-run", is_flag=True, help="Say what changed and why, and draw nothing.")
@click.option("--side-by-side", is_flag=True, help="Lay old and new beside each other.")
@workspace_option
@server_option
@lora_folder_option
@json_option
def regenerate(
    what: str,
    exact: bool,
    init: Path | None,
    dry_run: bool,
    side_by_side: bool,
    folder: Path,
    url: Urls,
    lora_folder: str | None,
    as_json: bool,
) -> None:
    """Draw a grid again: a grid's NAME, its manifest.json, or nothing but one of its sheets.

    Says which cells changed and why, and draws these only. Sheets of A1111's own X/Y/Z plot and single A1111 pictures
    are taken too.

    \b
    Without --exact  the same question to what is here today: LoRA files as they are
                     trained now, the checkpoint of that name, lora.toml as it is.
    With --exact     the same pictures as then: LoRA files and checkpoint by their content,
                     under whatever name; what is not here is not replaced.

    \b
    Examples:
      orchestrator grid regenerate face --dry-run
      orchestrator grid regenerate face --side-by-side
      orchestrator grid regenerate sheet-from-a-friend.png --exact
    """
    from orchestrator.cli.console import answer_json, leave_failed, note, progress
    from orchestrator.cli.grid_from import give, named_only
    from orchestrator.cli.servers import open_servers
    from orchestrator.grid.again import draw_again, plan_again
    from orchestrator.grid.origin import find_grid
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    origin = find_grid(what, workspace, profile.subject.version, init=str(init.resolve()) if init else "")
    with open_servers(load_settings(a1111_url=url, lora_folder=lora_folder)) as servers, progress() as on_progress:
        from orchestrator import pipeline

        renderer = servers.renderer(profile, workspace)
        files_of = pipeline.not_deployed(workspace) if dry_run else functools.partial(servers.deploy, workspace)
        deploy = named_only if dry_run else functools.partial(give, servers)
        planned = plan_again(origin, profile, workspace, renderer, files_of, deploy, exact=exact, init=init)
        for sentence in planned.notes:
            note(sentence)
        if not as_json:
            _tell_changes(planned)
        if dry_run:
            if as_json:
                answer_json(_as_values(planned))
            return
        total, what_for = len(planned.again.grid.recipes), f"grid: {planned.folder.name}"
        drawn = draw_again(planned, _counted(on_progress, what_for, total))
    sheets = _laid_out(planned, drawn) if side_by_side else []
    if as_json:
        answer_json(_as_values(planned, drawn, sheets))
    else:
        _tell_drawn(planned, drawn, sheets)
    leave_failed(drawn.result.failed)


def _counted(on_progress: Callable[..., None], what: str, total: int) -> Callable[[Any], None]:
    done = 0

    def arrived(_: Any) -> None:
        nonlocal done
        done += 1
        on_progress(what, done, total)

    return arrived


def _tell_changes(planned: PlannedAgain) -> None:
    from dataclasses import replace

    from orchestrator.cli.console import answer
    from orchestrator.grid.price import price

    held, grid, problems = planned.again.changes, planned.again.grid, planned.again.problems
    possible = tuple(cell for cell in grid.cells if cell.recipe is None or cell.recipe.key not in problems)
    cost = price(replace(grid, cells=possible), planned.renderer.cache)
    if planned.origin is None:
        answer(f"{planned.folder.name}: {cost}")
        return
    if not held.cells and not held.gone:
        answer(f"{planned.folder.name}: nothing changed, all {held.unchanged:,} pictures are here")
        return
    answer(f"{planned.folder.name}: {len(held.cells):,} of {len(held.cells) + held.unchanged:,} pictures changed")
    for line in held.lines():
        answer(f"  {line}")
    answer(f"  {cost}")


def _tell_drawn(planned: PlannedAgain, drawn: DrawnAgain, sheets: list[Path]) -> None:
    from orchestrator.cli.console import answer, note

    result = drawn.result
    answer(f"{result.folder.name}: {result.summary}")
    for sheet in result.sheets:
        answer(f"  {sheet}")
    answer(f"  {result.viewer}")
    if drawn.before is not None:
        answer(f"  as it was: {drawn.before / 'index.html'}")
    for sheet in sheets:
        answer(f"  side by side: {sheet}")
    if result.residue:
        note(f"{result.folder.name}: {result.residue}")


def _laid_out(planned: PlannedAgain, drawn: DrawnAgain) -> list[Path]:
    """Sheets of old | new; none where nothing changed."""
    from orchestrator.cli.console import note
    from orchestrator.grid.again import sides
    from orchestrator.grid.side_by_side import compare, write_sheets

    changed = {change.at for change in planned.again.changes.cells}
    if not changed or planned.origin is None:
        note("There is nothing to lay side by side: " + ("no picture changed." if not changed else "it is a new grid."))
        return []
    before, now = sides(planned, drawn)
    found = compare(before, now)
    both = {pair.at for pair in found.pairs if pair.at in changed and pair.before is not None and pair.now is not None}
    if not both:
        note("There is nothing to lay side by side: the pictures of before are not here.")
    return write_sheets(found, planned.folder, title=planned.title, only=both)


def _as_values(
    planned: PlannedAgain, drawn: DrawnAgain | None = None, sheets: list[Path] | None = None
) -> dict[str, Any]:
    held = planned.again.changes
    values: dict[str, Any] = {
        "grid": planned.folder.name,
        "folder": str(planned.folder),
        "unchanged": held.unchanged,
        "changed": [
            {"cell": change.label, "reasons": [str(reason) for reason in change.reasons]} for change in held.cells
        ],
        "gone": list(held.gone),
        "notes": list(planned.notes),
    }
    if drawn is not None:
        values |= {
            "failed": drawn.result.failed,
            "sheets": [str(sheet) for sheet in drawn.result.sheets],
            "viewer": str(drawn.result.viewer),
            "before": str(drawn.before) if drawn.before else None,
            "side_by_side": [str(sheet) for sheet in sheets or ()],
        }
    return values


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
    from orchestrator.grid.side_by_side import as_one_grid, compare, write_sheets
    from orchestrator.grid.viewer import write_viewer

    workspace, profile = open_workspace(folder)
    origins = [find_ours(what, workspace, profile.subject.version) for what in (one, other)]
    names = [origin.called for origin in origins]
    if names[0] == names[1]:
        names = ["before", "now"] if "before" in origins[0].source.parts else ["A", "B"]
    before, now = (_side(origin, name) for origin, name in zip(origins, names, strict=True))
    total = sum(entry.recipe is not None for entry in now.manifest.cells)
    with progress() as on_progress:
        found = compare(before, now, functools.partial(_counted(on_progress, "compare", total), None))
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
    from orchestrator.grid.side_by_side import Side

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
