"""`orchestrator grid render NAME --from PICTURE`: a picture of A1111's drawn again along axes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from orchestrator.cli.servers import Servers
    from orchestrator.grid.definition import Definition
    from orchestrator.lora.catalog import LoraFile
    from orchestrator.render.engine import Renderer
    from orchestrator.workspace import Workspace


def from_picture(
    picture: Path,
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
    workspace: Workspace,
    renderer: Renderer,
    servers: Servers,
    *,
    dry_run: bool,
) -> tuple[Definition, Renderer]:
    """The definition of the grid `names` with what `picture` says it was drawn from, and a renderer on its checkpoint.

    Options that were given count more than the picture. What could not be taken over is told.
    """
    from orchestrator.cli.console import note
    from orchestrator.errors import InputError
    from orchestrator.grid import from_a1111
    from orchestrator.grid.definition import from_command_line, further_lora
    from orchestrator.grid.embedded import from_sheet
    from orchestrator.grid.placing import place_a1111

    if len(names) != 1:
        raise click.UsageError("Give the new grid one NAME.")
    if from_sheet(picture) is not None:
        raise InputError(
            f"{picture} is a sheet of a grid of ours.", fix=f"Draw it again: `orchestrator grid regenerate {picture}`."
        )
    found = from_a1111.from_picture(picture, init=str(Path(init).resolve()) if init else "")
    deploy = named_only if dry_run else functools.partial(give, servers)
    definition, server, notes = place_a1111(found, workspace, renderer.server, deploy)
    for sentence in notes:
        note(sentence)
    definition = from_a1111.with_axes(definition, [from_command_line(text) for text in axes])
    definition = replace(
        definition,
        name=names[0],
        prompt=prompt or definition.prompt,
        negative_prompt=definition.negative_prompt if negative is None else negative,
        x=across or definition.x,
        y=down or definition.y,
        exclude=exclude,
        loras=(*definition.loras, *map(further_lora, loras)),
        baseline=definition.baseline if baseline is None else baseline,
    )
    return definition, renderer if server is renderer.server else replace(renderer, server=server)


def give(servers: Servers, file: LoraFile) -> str:
    """Give one LoRA file to the server; returns its stem there."""
    from orchestrator.lora.deploy import deploy, find_lora_folder

    return deploy([file], find_lora_folder(servers.client, servers.lora_folder or None), servers.client)[0].stem


def named_only(file: LoraFile) -> str:
    """The stem a LoRA file would get, for a dry run."""
    from orchestrator.lora.deploy import deployed_stem

    return deployed_stem(file)
