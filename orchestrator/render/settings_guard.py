"""The webui's own settings stay as they were, although a request overrides some of them.

`override_settings` are put back only for options that already stand in the server's config (observed on A1111, Forge
and reForge): on a fresh install, one request with clip skip 2 leaves everybody's next pictures with clip skip 2. An
option that is set once to its own value stands in the config from then on. So that is done before the first request
that overrides it with something else, and looked at again after the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.render.patience import persist
from orchestrator.render.payload import overridden
from orchestrator.render.recipe import Recipe
from orchestrator.render.server import Server


def secure(server: Server, recipes: Iterable[Recipe]) -> dict[str, Any]:
    """Make the server put back every option that `recipes` override. Returns those options with their values.

    Draws one tiny picture where the server does not say which checkpoint is loaded.
    """
    wanted: dict[str, list[Any]] = {}
    for recipe in recipes:
        for key, value in overridden(recipe, server).items():
            if value not in wanted.setdefault(key, []):
                wanted[key].append(value)
    options = server.client.options()
    before: dict[str, Any] = {}
    for key, values in wanted.items():
        value = options.get(key)
        if key == "sd_model_checkpoint":
            value = value or _loaded_checkpoint(server)
        # Forge hides some options that exist; what it does not tell cannot be put back.
        if value is not None and value != "" and not all(_same(server, key, value, other) for other in values):
            before[key] = value
    if before:
        server.client.set_options(before)
    return before


def put_back(server: Server, before: Mapping[str, Any]) -> list[str]:
    """Put back what the drawing changed after all. Returns the names of those options."""
    if not before:
        return []
    now = server.client.options()
    changed = {key: value for key, value in before.items() if key in now and not _same(server, key, value, now[key])}
    if changed:
        server.client.set_options(changed)
    return sorted(changed)


def _loaded_checkpoint(server: Server) -> str:
    # reForge: null in a fresh config although a checkpoint is loaded.
    bare = {"prompt": "probe", "steps": 1, "width": 64, "height": 64, "seed": 1}
    info = persist(lambda: server.client.txt2img(bare)).info
    entry = next((one for one in server.client.models() if one.hash and one.hash == info.sd_model_hash), None)
    return entry.title if entry else ""


def _same(server: Server, key: str, one: Any, other: Any) -> bool:
    if one == other or key != "sd_model_checkpoint" or not other:
        return bool(one == other)
    # By title, file name or hash, as each of them may have been set.
    return any(entry.answers_to(str(one)) and entry.answers_to(str(other)) for entry in server.client.models())
