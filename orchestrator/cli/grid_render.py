"""`orchestrator grid render`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
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
    from orchestrator.grid.definition import Definition
    from orchestrator.grid.price import GridPrice
    from orchestrator.grid.render import GridResult
    from orchestrator.profile.model import Profile

#: Of a grid that names no seed.
_SEED = "123456789"


@click.command("render")
@click.argument("names", nargs=-1)
@click.option(
    "--axis", "axes", multiple=True, metavar="KIND=VALUES", help="An axis of a new grid NAME; give it several times."
)
@click.option(
    "--from",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A picture of A1111's: everything the axes do not say is as it was drawn.",
)
@click.option("--prompt", default="", help="Of the new grid; {trigger} may stand in it.")
@click.option("--negative", default=None, metavar="PROMPT", help="Negative prompt. [default: the profile's]")
@click.option("--x", "across", default="", metavar="AXIS", help="The axis that lies across. [default: the second]")
@click.option("--y", "down", default="", metavar="AXIS", help="The axis that lies down. [default: the first]")
@click.option("--exclude", multiple=True, metavar="RULE", help="Cells to leave out: epoch <= 20 and weight <= 0.6")
@click.option("--lora", "loras", multiple=True, metavar="NAME[:WEIGHT]", help="A further LoRA file of every cell.")
@click.option("--init", default="", metavar="FILE", help="The picture img2img starts from.")
@click.option("--baseline/--no-baseline", default=None, help="Cells without LoRA. [default: where a LoRA is varied]")
@click.option("--dry-run", is_flag=True, help="Say what it would cost and draw nothing.")
@click.option("--yes", is_flag=True, help="Draw even more than 10,000 cells.")
@click.option(
    "--native", is_flag=True, help="Let the webui's own X/Y/Z plot draw the cells: the same pictures, more slowly."
)
@workspace_option
@server_option
@lora_folder_option
@json_option
def render(
    names: tuple[str, ...],
    axes: tuple[str, ...],
    picture: Path | None,
    prompt: str,
    negative: str | None,
    across: str,
    down: str,
    exclude: tuple[str, ...],
    loras: tuple[str, ...],
    init: str,
    baseline: bool | None,
    dry_run: bool,
    yes: bool,
    native: bool,
    folder: Path,
    url: Urls,
    lora_folder: str | None,
    as_json: bool,
) -> None:
    """Draw the grids NAMES of the profile, all without names; or with --axis a new one of that NAME.

    Cells that were drawn before come from the cache, so the same command regenerates a grid, goes on with an
    interrupted one, and tries failed cells again.

    \b
    Kinds of axes: epoch, weight, version, lora, prompt, replace, prompt weight PHRASE, seed, sampler,
    scheduler, steps, cfg, size, checkpoint, vae, clip skip, denoise, negative prompt, styles, option NAME.
    Values: 10-40 (+10) by a step, 0.2-1.0 [5] so many, 1-10, or a list; "quoted, with a comma".

    \b
    Examples:
      orchestrator grid render face
      orchestrator grid render face --dry-run
      orchestrator grid render sampling --axis "steps=10-40 (+10)" --axis "cfg=4, 6, 8" --prompt "{trigger}, close-up"
      orchestrator grid render again --from 00012-123.png --axis "weight=0.4-1 (+0.2)"
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, answer_json, leave_failed, note, progress
    from orchestrator.cli.grid_from import from_picture
    from orchestrator.cli.servers import open_servers
    from orchestrator.grid.price import price
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    asked = (prompt, negative, across, down, exclude, loras, init, baseline)
    definitions = [_new(profile, names, axes, *asked)] if axes and picture is None else None
    if definitions is None and picture is None and any(value not in {"", None, ()} for value in asked):
        raise click.UsageError("--prompt and its like are of a new grid: give it an --axis.")
    with open_servers(load_settings(a1111_url=url, lora_folder=lora_folder)) as servers, progress() as on_progress:
        renderer = servers.renderer(profile, workspace)
        if picture is not None:
            drawn_from = functools.partial(from_picture, picture, names, axes, *asked)
            definition, renderer = drawn_from(workspace, renderer, servers, dry_run=dry_run)
            definitions = [definition]
        files_of = pipeline.not_deployed(workspace) if dry_run else functools.partial(servers.deploy, workspace)
        only = () if definitions else names
        grids = pipeline.plan_grids(profile, workspace, renderer, files_of, only=only, definitions=definitions)
        prices = [price(grid, renderer.cache) for grid in grids]
        if dry_run:
            show_prices(prices, as_json=as_json)
            return
        for one in prices:
            note(f"{one.name}: {one}")
        if not yes:
            _ask_back(prices)
        results = pipeline.draw_grids(profile, workspace, renderer, grids=grids, native=native, on_progress=on_progress)
    if as_json:
        answer_json([_as_values(result) for result in results])
    for result in () if as_json else results:
        answer(f"{result.folder.name}: {result.summary}")
        for sheet in result.sheets:
            answer(f"  {sheet}")
        answer(f"  {result.viewer}")
    for result in results:
        if result.residue:
            note(f"{result.folder.name}: {result.residue}")
    leave_failed(sum(result.failed for result in results))


def show_prices(prices: Sequence[GridPrice], *, as_json: bool) -> None:
    """What the grids would cost, with their axes."""
    from orchestrator.cli.console import answer, answer_json, table
    from orchestrator.grid.price import total_seconds
    from orchestrator.pictures.price import duration

    if as_json:
        answer_json([one.to_dict() for one in prices])
        return
    for one in prices:
        answer(f"{one.name}: {one}")
        table(("  axis", "lies", "values", "which"), [(f"  {name}", *rest) for name, *rest in one.axes])
        if one.baseline:
            answer(f"  baseline: {one.baseline} cells without LoRA, drawn first")
        answer()
    if len(prices) > 1:
        seconds = total_seconds(prices)
        words = "" if seconds is None else f", {duration(seconds)}" if seconds else ", nothing to do"
        answer(f"together: {sum(one.to_draw for one in prices):,} pictures to draw{words}")


def _new(
    profile: Profile,
    names: Sequence[str],
    axes: Sequence[str],
    prompt: str,
    negative: str | None,
    across: str,
    down: str,
    exclude: tuple[str, ...],
    loras: Sequence[str],
    init: str,
    baseline: bool | None,
) -> Definition:
    """The definition of a grid that is not in the profile."""
    from dataclasses import replace

    from orchestrator.errors import InputError
    from orchestrator.grid.definition import AskedAxis, from_command_line, from_profile, further_lora
    from orchestrator.profile.model import GridPlan

    if len(names) != 1:
        raise click.UsageError("Give the new grid one NAME.")
    if any(grid.name.casefold() == names[0].casefold() for grid in profile.grids):
        raise InputError(
            f"The profile has a grid {names[0]!r} already.", fix="Give the new one another name, or leave out --axis."
        )
    asked = [from_command_line(text) for text in axes]
    if all(axis.kind != "seed" for axis in asked):
        asked.append(AskedAxis("seed", _SEED))
    defaults = from_profile(profile, GridPlan(name=names[0], negative_prompt=negative))
    return replace(
        defaults,
        axes=tuple(asked),
        prompt=prompt,
        x=across,
        y=down,
        exclude=exclude,
        loras=tuple(map(further_lora, loras)),
        # Relative to where the command was given, not to the workspace.
        init=str(Path(init).resolve()) if init else "",
        baseline=baseline,
    )


def _ask_back(prices: Sequence[GridPrice]) -> None:
    """Ask whether so many cells are meant. Raises `InputError` where nobody can answer."""
    from orchestrator.errors import InputError
    from orchestrator.grid.reading import MANY_CELLS

    for one in prices:
        if one.cells <= MANY_CELLS or not one.to_draw:
            continue
        if sys.stdin.isatty() and sys.stderr.isatty():
            click.confirm(f"{one.name} has {one.cells:,} cells. Draw them all?", abort=True, err=True)
        else:
            raise InputError(
                f"Grid {one.name} has {one.cells:,} cells: {one}.",
                cause="So many are often a slip of the pen.",
                fix="Name fewer values, or say that you mean it with --yes.",
            )


def _as_values(result: GridResult) -> dict[str, object]:
    return {
        "grid": result.folder.name,
        "cells": result.total,
        "left_out": result.left_out,
        "cached": result.cached,
        "failed": result.failed,
        "sheets": [str(sheet) for sheet in result.sheets],
        "manifest": str(result.manifest),
        "viewer": str(result.viewer),
        "residue": result.residue,
    }
