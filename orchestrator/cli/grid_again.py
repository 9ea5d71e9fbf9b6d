"""`orchestrator grid regenerate`."""

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
        drawn = draw_again(planned, counted(on_progress, what_for, total))
    sheets = _laid_out(planned, drawn) if side_by_side else []
    if as_json:
        answer_json(_as_values(planned, drawn, sheets))
    else:
        _tell_drawn(planned, drawn, sheets)
    leave_failed(drawn.result.failed)


def counted(on_progress: Callable[..., None], what: str, total: int) -> Callable[[Any], None]:
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
    from orchestrator.grid.pairs import compare
    from orchestrator.grid.side_by_side import write_sheets

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
