"""What everything that draws needs: a renderer, recipes, the base checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import InputError, OrchestratorError

if TYPE_CHECKING:
    from orchestrator.a1111.client import A1111
    from orchestrator.grid.cells import MakeRecipe
    from orchestrator.profile.model import Profile
    from orchestrator.render.engine import Renderer
    from orchestrator.workspace import Workspace


def open_renderer(
    profile: Profile, workspace: Workspace, client: A1111, others: Iterable[A1111] = (), **how: Any
) -> Renderer:
    """Find out what the server is and make ready to draw with the profile's checkpoint, through the workspace's cache.

    `others` help where they draw the same; one that cannot be used is told to `say` and left out. `how` are fields of
    `Renderer`: patience, keepers, restart_every, say.
    """
    from orchestrator.render.cache import PictureCache
    from orchestrator.render.engine import Renderer
    from orchestrator.render.server import connect

    base = profile.base
    server = connect(client, base.checkpoint, base.vae, memory=workspace.cache)
    helping = []
    for other in others:
        try:
            helping.append(connect(other, base.checkpoint, base.vae, memory=workspace.cache))
        except OrchestratorError as error:
            how.get("say", str)(f"{other.url} is left out: {error.what}")
    return Renderer(server, PictureCache(workspace.cache), others=tuple(helping), **how)


def recipe_maker(profile: Profile, renderer: Renderer) -> MakeRecipe:
    """`(prompt, seed, loras) → recipe` with everything else as the profile says."""
    from orchestrator.pictures.recipes import make_recipe

    return lambda prompt, seed, loras: make_recipe(profile, renderer.server, prompt, seed, loras)


def base_checkpoint(profile: Profile, workspace: Workspace, renderer: Renderer | None) -> Path:
    """The checkpoint's file to train on: the profile's `base.path`, else the file A1111 draws with.

    Raises `InputError` when neither names a file on this machine.
    """
    named = profile.base.path or (renderer.server.checkpoint_path if renderer else "")
    path = workspace.named(named)
    if named and path.exists():
        return path
    raise InputError(
        f"The base checkpoint {named!r} is not on this machine."
        if named
        else "The base checkpoint to train on is not named.",
        cause="A1111 runs on another machine, or its file has moved." if not profile.base.path else "",
        fix="Give its file as `base.path` in lora.toml.",
    )
