"""Does this server really apply a LoRA? The same tiny picture with and without it tells.

A hash in the answer is no proof: on reForge a LoRA whose sizes do not fit the checkpoint is left out and listed all the
same (observed), and A1111 goes on in the same way when a layer's sizes do not fit (read in its source). The same
request gives the same pixels, so a picture that does not change was drawn without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orchestrator.a1111.models import Generated
from orchestrator.errors import AnswerLost, ServerError
from orchestrator.files import read_json, write_json
from orchestrator.render.patience import Patience
from orchestrator.render.payload import payload, route, settling
from orchestrator.render.proof import differences, picture_problems, pixels_of
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import Server
from orchestrator.render.waiting import persist

_MEMORY = "canaries.json"
#: Large enough for a model's smallest feature map to have more than one place, and quick.
_SIDE = 128
_STEPS = 2
#: As it will be used; and so strong that even a first epoch, which has hardly learned, must show.
_WEIGHTS = (1.0, 8.0)
_TRIES = 3


def is_applied(
    server: Server,
    use: LoraUse,
    like: Recipe | None = None,
    *,
    without: bytes | None = None,
    patience: Patience | None = None,
) -> bool | None:
    """Whether the LoRA changes a picture; None = it could not be found out. Draws two or three tiny pictures.

    `like` gives checkpoint and sampler; `without` is `picture_without` for it, drawn here when it is not given. Raises
    what the server answers with.
    """
    patience = patience or Patience()
    without = picture_without(server, like, patience) if without is None else without
    for weight in _WEIGHTS:
        try:
            drawn = _pixels(server, _canary(server, like).evolve(loras=(LoraUse(use.stem, "", "", weight),)), patience)
        except ServerError as error:
            if error.kind == "NansException":
                return True  # so strong that nothing is left of the picture: it acts
            raise
        if drawn is None or without is None:
            return None
        if drawn != without:
            return True
    return False


def picture_without(server: Server, like: Recipe | None = None, patience: Patience | None = None) -> bytes | None:
    """The pixels of the tiny picture without any LoRA; None where it cannot be had."""
    return _pixels(server, _canary(server, like), patience or Patience())


def not_applied(server: Server, recipes: Iterable[Recipe], memory: Path, patience: Patience) -> frozenset[str]:
    """The LoRA files (sha256) in `recipes` that this server lists and does not apply.

    Asks only servers whose hashes prove nothing, and once for each file and checkpoint: what was found applied is kept
    in `memory` (a folder).
    """
    if server.dialect.hash_is_proof:
        return frozenset()
    known = read_json(memory / _MEMORY) or {}
    uses: dict[str, tuple[LoraUse, Recipe]] = {}
    for recipe in recipes:
        for use in recipe.loras:
            if use.weight and not known.get(_name(server, use, recipe)):
                uses.setdefault(use.sha256, (use, recipe))
    refused: set[str] = set()
    bare: dict[str, bytes | None] = {}
    for sha256, (use, recipe) in uses.items():
        # Sampler, CFG and clip skip change the picture too: each LoRA is held against the one drawn like its own.
        key = _canary(server, recipe).key
        if key not in bare:
            bare[key] = picture_without(server, recipe, patience)
        without = bare[key]
        if without is None:
            continue
        applied = is_applied(server, use, recipe, without=without, patience=patience)
        if applied:
            known[_name(server, use, recipe)] = True
            write_json(memory / _MEMORY, known, durable=False)
        elif applied is not None:
            refused.add(sha256)
    return frozenset(refused)


def _name(server: Server, use: LoraUse, recipe: Recipe) -> str:
    return f"{server.version} {recipe.checkpoint_hash or server.checkpoint_hash} {use.sha256}"


def pixels_now(server: Server, recipe: Recipe, patience: Patience) -> bytes | None:
    """The pixels of a proven picture of `recipe`, drawn anew whatever the cache has; None where it cannot be had."""
    return _pixels(server, recipe, patience)


def _canary(server: Server, like: Recipe | None) -> Recipe:
    plain = like or Recipe(
        prompt="",
        sampler=next(iter(server.samplers), "Euler"),
        scheduler="Automatic" if server.schedulers else "",
        checkpoint=server.checkpoint,
    )
    bare = plain.evolve(prompt="portrait of a person", negative_prompt="", loras=())
    return bare.small(_SIDE, _STEPS)


def _pixels(server: Server, recipe: Recipe, patience: Patience) -> bytes | None:
    """The pixels of a proven picture: one drawn without a LoRA it should have says nothing."""
    for _ in range(_TRIES):
        try:
            answer = persist(server.client, lambda: _draw(server, recipe), patience)
        except AnswerLost:
            return None  # it ends the server whenever it is drawn: its cells will say so one by one
        standing = {**server.standing, **recipe.own_options}
        found = differences(recipe, answer, server.samplers.get(recipe.sampler, ""), standing)
        if not found and not picture_problems(recipe, answer.pictures[0]):
            return pixels_of(answer.pictures[0])
    return None


def _draw(server: Server, recipe: Recipe) -> Generated:
    if route(recipe) == "txt2img":
        return server.client.txt2img(payload(recipe, server))
    server.client.txt2img(settling(recipe, server))
    return server.client.img2img(payload(recipe, server))
