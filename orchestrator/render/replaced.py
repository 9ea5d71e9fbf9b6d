"""LoRA files that were replaced under their old name, on servers that go on drawing with the old weights.

Forge and reForge keep the last few files they read by their path: a file replaced under the same name is drawn with its
old weights, and after a refresh under its new hash (observed). No answer shows it. So what each name meant when this
workspace drew with it is remembered, and a name that means another file now is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import InputError
from orchestrator.files import read_json, write_json
from orchestrator.render.recipe import Recipe

if TYPE_CHECKING:
    from orchestrator.render.server import Server

_MEMORY = "loras.json"


def refuse_replaced(server: Server, recipes: Iterable[Recipe], memory: Path) -> None:
    """Raise `InputError` for a LoRA name that stood for another file when it was last drawn with on this server.

    What the names mean now is kept in `memory` (a folder).
    """
    if not server.dialect.keeps_replaced_loras:
        return
    used = {use.stem: use.sha256 for recipe in recipes for use in recipe.loras if use.weight}
    if not used:
        return
    everything = read_json(memory / _MEMORY) or {}
    before = dict(everything.get(server.client.url) or {})
    replaced = sorted(stem for stem, sha256 in used.items() if before.get(stem, sha256) != sha256)
    if replaced:
        names = ", ".join(replaced)
        raise InputError(
            f"{server.dialect.name} still draws with what was in these LoRA files before: {names}.",
            cause="It keeps a file it has read, and does not notice that another one has taken its name.",
            fix="Give the new file a name of its own, or restart the webui and run the same command before anything "
            "else is drawn.",
        )
    now = {**before, **used}
    if now != before:
        write_json(memory / _MEMORY, {**everything, server.client.url: now}, durable=False)


def forget(url: str, memory: Path) -> None:
    """The server at `url` was started anew: it has read nothing yet."""
    everything = read_json(memory / _MEMORY) or {}
    if everything.pop(url, None) is not None:
        write_json(memory / _MEMORY, everything, durable=False)
