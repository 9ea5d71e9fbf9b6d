"""Grids planned on this machine: definitions, the runs' LoRA files and the server brought together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.errors import InputError, WorkspaceError
from orchestrator.grid.cells import DeployedLora, Grid
from orchestrator.grid.definition import Definition, from_profile
from orchestrator.grid.planning import plan
from orchestrator.grid.reading import Reading, read, refuse
from orchestrator.grid.stock import take_stock
from orchestrator.profile.model import Profile
from orchestrator.render.server import Server

#: Gives the files of a run, by its name, as the server has them. Raises `WorkspaceError` for a run that is not there.
FilesOf = Callable[[str], Sequence[DeployedLora]]


def no_runs(run: str) -> Sequence[DeployedLora]:
    """`FilesOf` where there is no workspace: LoRA files are named by the axis `lora`. Raises `WorkspaceError`."""
    raise WorkspaceError(f"There is no run {run} without a workspace.", fix="Name LoRA files by a `lora` axis.")


def plan_here(
    definitions: Iterable[Definition], server: Server, files_of: FilesOf = no_runs, root: Path = Path()
) -> list[Grid]:
    """The grids of `definitions`. `root` is where relative init pictures start.

    Raises one `InputError` for everything that is wrong with any of them, before a picture is drawn.
    """
    grids: list[Grid] = []
    errors: list[InputError] = []
    for definition in definitions:
        reading = read(definition)
        try:
            grids.append(plan(reading, take_stock(reading, server, _runs(reading, files_of), root)))
        except WorkspaceError:
            raise
        except InputError as error:
            errors.append(error)
    if errors:
        raise InputError("\n".join(error.what for error in errors), fix=errors[0].fix)
    return grids


def _runs(reading: Reading, files_of: FilesOf) -> dict[str, Sequence[DeployedLora]]:
    subject = reading.definition.subject
    found: dict[str, Sequence[DeployedLora]] = {}
    for version in reading.versions:
        try:
            found[version] = files_of(subject.run(version))
        except WorkspaceError:
            # Of one version among several the plan names what is missing; of the only one, this says it better.
            if len(reading.versions) == 1 and not reading.problems:
                raise
    return found


def check_names(definitions: Iterable[Definition], server: Server, root: Path = Path()) -> None:
    """Raise `InputError` for what the definitions name and `server` does not have. LoRA files are not asked for: the
    work that is still to come may make them.
    """
    for definition in definitions:
        reading = read(replace(definition, loras=()))
        without = replace(reading, axes=tuple(axis for axis in reading.axes if axis.kind.name != "lora"))
        refuse(definition.name, [*reading.problems, *take_stock(without, server, {}, root).problems])


def definitions_of(profile: Profile, only: Iterable[str] | None = None) -> list[Definition]:
    """The definitions of the profile's grids: all, or those named."""
    wanted = None if only is None else set(only)
    return [from_profile(profile, grid) for grid in profile.grids if wanted is None or grid.name in wanted]


def problems_of(profile: Profile) -> list[str]:
    """What is wrong with the profile's grids and can be told without a server, each as `grids.NAME: …`."""
    return [
        f"grids.{grid.name}: {problem}"
        for grid in profile.grids
        for problem in read(from_profile(profile, grid)).problems
    ]
