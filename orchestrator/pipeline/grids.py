"""lora → grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from orchestrator.pipeline.lora import deploy_run, lora_files
from orchestrator.pipeline.progress import OnProgress, counter, named, quiet

if TYPE_CHECKING:
    from orchestrator.grid.cells import Grid
    from orchestrator.grid.definition import Definition
    from orchestrator.grid.here import FilesOf
    from orchestrator.grid.render import GridResult
    from orchestrator.lora.deploy import Deployed
    from orchestrator.profile.model import Profile
    from orchestrator.render.engine import Renderer
    from orchestrator.workspace import Workspace


def check_grids(profile: Profile, workspace: Workspace, renderer: Renderer) -> None:
    """Raise `InputError` for everything the profile's grids name that the server does not have: before a night of
    training, not after it.
    """
    from orchestrator.grid.here import check_names, definitions_of

    check_names(definitions_of(profile), renderer.server, workspace.root)


def plan_grids(
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    files_of: FilesOf,
    *,
    only: Iterable[str] = (),
    definitions: Sequence[Definition] | None = None,
) -> list[Grid]:
    """lora → grid, first half: every cell with its recipe. Of all of the profile's grids, those named, or
    `definitions`.

    `files_of` gives the LoRA files of a run by its name. Draws nothing but the tiny picture that tells what a server
    is. Raises one `InputError` for everything that is wrong.
    """
    from orchestrator.grid.here import definitions_of, plan_here

    if definitions is None:
        names = [grid.name for grid in profile.grids]
        # `grid list` shows them with the version before them: that is what people type.
        asked = [name if name in names else name.removeprefix(f"{profile.subject.version} ") for name in only]
        definitions = definitions_of(profile, named(names, asked, "grid"))
    return plan_here(definitions, renderer.server, files_of, workspace.root)


def not_deployed(workspace: Workspace) -> FilesOf:
    """Gives the LoRA files of a run as deploying would name them, without copying any: for a dry run."""
    from orchestrator.lora.deploy import Deployed, deployed_stem

    return lambda run: [Deployed(file, deployed_stem(file), file.path, "") for file in lora_files(workspace, run)]


def draw_grids(
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    deployed: Sequence[Deployed] = (),
    *,
    files_of: FilesOf | None = None,
    only: Iterable[str] = (),
    grids: Sequence[Grid] | None = None,
    native: bool = False,
    on_progress: OnProgress = quiet,
) -> list[GridResult]:
    """lora → grid: all of the profile's grids, those named, or `grids`, which `plan_grids` made.

    `deployed` are the LoRA files of the profile's run; of other versions `files_of` gives them. With `native`, the
    webui's own X/Y/Z plot draws the cells it can.
    """
    from orchestrator.grid.render import render_grid
    from orchestrator.render.native import NativeRenderer

    def ours(run: str) -> Sequence[Deployed]:
        return deployed if deployed and run == profile.run_name else deploy_run(workspace, run, renderer.server.client)

    if grids is None:
        grids = plan_grids(profile, workspace, renderer, files_of or ours, only=only)
    return [
        render_grid(
            grid,
            NativeRenderer(renderer) if native else renderer,
            workspace.grid(f"{profile.subject.version} {grid.name}"),
            title=f"{profile.run_name}: {grid.name}",
            simulated=renderer.server.simulated,
            server_version=renderer.server.version,
            on_picture=counter(on_progress, f"grid: {grid.name}", len(grid.recipes)),
        )
        for grid in grids
    ]
