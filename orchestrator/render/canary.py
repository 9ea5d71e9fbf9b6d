"""Does this server really apply a LoRA? The same tiny picture with weight 0 and with weight 1 tells.

On reForge the hash in the answer is no proof: a LoRA whose sizes do not fit the checkpoint is left out and listed all
the same (observed). Weight 0 gives the pixels of no LoRA, and the same request gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orchestrator.files import read_json, write_json
from orchestrator.render.patience import persist
from orchestrator.render.payload import payload
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import Server

_MEMORY = "canaries.json"
#: Large enough for a model's smallest feature map to have more than one place, and quick.
_SIDE = 128
_STEPS = 2


def is_applied(server: Server, use: LoraUse, like: Recipe | None = None) -> bool:
    """Whether weight 1 of the LoRA draws another picture than weight 0. Draws two tiny pictures.

    `like` gives checkpoint and sampler. Raises what the server answers with.
    """
    plain = like or Recipe(prompt="", checkpoint=server.checkpoint, sampler=next(iter(server.samplers), "Euler"))
    drawn = []
    for weight in (0.0, 1.0):
        recipe = plain.evolve(
            prompt="portrait of a person", negative_prompt="", loras=(LoraUse(use.stem, "", "", weight),), seed=1,
            steps=_STEPS, width=_SIDE, height=_SIDE, init_sha256="", mask_sha256="", batch_size=1, batch_position=0,
            alwayson_scripts="",
        )  # fmt: skip
        drawn.append(_pixels(_drawn(server, recipe)))
    return drawn[0] != drawn[1]


def not_applied(server: Server, recipes: Iterable[Recipe], memory: Path) -> frozenset[str]:
    """The LoRA files (sha256) in `recipes` that this server lists and does not apply.

    Asks only servers whose hashes prove nothing, and once for each file and checkpoint: what was found applied is kept
    in `memory` (a folder).
    """
    if server.dialect.hash_is_proof:
        return frozenset()
    known = read_json(memory / _MEMORY) or {}
    refused: set[str] = set()
    uses: dict[str, tuple[LoraUse, Recipe]] = {}
    for recipe in recipes:
        for use in recipe.loras:
            if use.weight:
                uses.setdefault(use.sha256, (use, recipe))
    for sha256, (use, recipe) in uses.items():
        name = f"{server.version} {server.checkpoint_hash} {sha256}"
        if known.get(name):
            continue
        if is_applied(server, use, recipe):
            known[name] = True
            write_json(memory / _MEMORY, known, durable=False)
        else:
            refused.add(sha256)
    return frozenset(refused)


def _drawn(server: Server, recipe: Recipe) -> bytes:
    return persist(lambda: server.client.txt2img(payload(recipe, server))).pictures[0]


def _pixels(picture: bytes) -> bytes:
    # The two pictures carry different texts; only their pixels say something.
    import io

    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        return image.convert("RGB").tobytes()
