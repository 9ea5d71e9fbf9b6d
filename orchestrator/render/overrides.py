"""The webui's own settings stay as they were, although a request overrides some of them.

`override_settings` are put back only for options that already stand in the server's config (observed on A1111, Forge
and reForge): on a fresh install, one request with clip skip 2 leaves everybody's next pictures with clip skip 2. An
option that is set once to its own value stands in the config from then on. So that is done before the first request
that overrides it with something else, and looked at again after the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.a1111.client import A1111
from orchestrator.render.patience import Patience
from orchestrator.render.waiting import persist

#: Options by name, each with the values that requests are going to ask for.
Wanted = Mapping[str, Iterable[Any]]


def secure(client: A1111, wanted: Wanted, patience: Patience) -> dict[str, Any]:
    """Make the server put back every option in `wanted`. Returns those that need it with their present values.

    Draws one tiny picture where the server does not say which checkpoint is loaded.
    """
    options = client.options()
    before: dict[str, Any] = {}
    for key, values in wanted.items():
        value = options.get(key)
        if key == "sd_model_checkpoint" and not value:
            # reForge: null in a fresh config although a checkpoint is loaded.
            before[key] = _loaded_checkpoint(client, patience)
        # Forge hides some options that exist; what it does not tell cannot be put back.
        elif value is not None and not all(_same(client, key, value, other) for other in values):
            before[key] = value
    before = {key: value for key, value in before.items() if value != ""}
    if before:
        client.set_options(before)
    return before


def put_back(client: A1111, before: Mapping[str, Any]) -> list[str]:
    """Put back what the drawing changed after all. Returns the names of those options."""
    if not before:
        return []
    now = client.options()
    changed = {key: value for key, value in before.items() if key in now and not _same(client, key, value, now[key])}
    if changed:
        client.set_options(changed)
    return sorted(changed)


def _loaded_checkpoint(client: A1111, patience: Patience) -> str:
    bare = {"prompt": "probe", "steps": 1, "width": 64, "height": 64, "seed": 1}
    info = persist(client, lambda: client.txt2img(bare), patience).info
    entry = next((one for one in client.models() if one.hash and one.hash == info.sd_model_hash), None)
    return entry.title if entry else ""


def _same(client: A1111, key: str, one: Any, other: Any) -> bool:
    if one == other or key != "sd_model_checkpoint" or not other:
        return bool(one == other)
    # By title, file name or hash, as each of them may have been set.
    return any(entry.answers_to(str(one)) and entry.answers_to(str(other)) for entry in client.models())
