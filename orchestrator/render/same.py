"""Do several servers draw the same? Cells of one grid may only be shared among servers that do.

Other graphics cards, drivers and versions draw other pixels from the same request; a grid that mixes them compares
machines. One small picture, drawn by each, tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from orchestrator.errors import OrchestratorError, ServerError
from orchestrator.render.patience import Patience
from orchestrator.render.payload import payload
from orchestrator.render.proof import pixels_of
from orchestrator.render.recipe import Recipe
from orchestrator.render.server import Server, make_sure
from orchestrator.render.waiting import persist

_SIDE = 256
_MOST_STEPS = 8
_MOST_PROBES = 3


def that_draw_alike(
    servers: Sequence[Server], recipes: Sequence[Recipe], patience: Patience, say: Callable[[str], None]
) -> list[Server]:
    """The servers that draw `recipes` just as the first one does, the first one among them.

    A server that is another version or checkpoint, lacks one of the LoRA files, does not answer, or draws the probe
    picture with other pixels is left out, and `say` tells why.
    """
    first, *others = [make_sure(servers[0]), *servers[1:]]
    stems = {use.stem: use for recipe in recipes for use in recipe.loras}
    alike = [first]
    if not others:
        return alike
    # A recipe that fails by itself must not speak for all: one after the other is tried, the last without any LoRA.
    kinds = list({tuple(use.sha256 for use in recipe.loras): recipe for recipe in recipes}.values())[:_MOST_PROBES]
    # Sampler, checkpoint and LoRA as they are, since each may differ from machine to machine.
    probes = [r.small(_SIDE, min(r.steps, _MOST_STEPS)) for r in (*kinds, recipes[0].evolve(loras=()))]
    probe, expected = next(
        ((probe, pixels) for probe in probes if (pixels := _reference(first, probe, patience)) is not None),
        (probes[-1], b""),
    )
    with ThreadPoolExecutor(len(servers)) as pool:
        answers = [(server, pool.submit(_look, server, first, stems, probe)) for server in others]
        for server, future in answers:
            now, pixels, why = future.result()
            if not why and (not expected or pixels != expected):
                why = "it draws the same request with other pixels"
            if why:
                say(f"{server.client.url} is left out: {why}")
            else:
                alike.append(now)
    return alike


def _reference(first: Server, probe: Recipe, patience: Patience) -> bytes | None:
    """What the first server draws; None where it fails, or draws one flat colour that every broken server draws too."""
    try:
        pixels = _draw(first, probe, patience)
    except ServerError:
        return None
    return pixels if len(set(pixels[:3000])) > 1 or len(set(pixels)) > 1 else None


def _look(server: Server, first: Server, stems: Iterable[str], probe: Recipe) -> tuple[Server, bytes, str]:
    try:
        now = make_sure(server)
        for what, mine, its in (
            ("version", first.version, now.version),
            ("checkpoint", first.checkpoint_hash, now.checkpoint_hash),
            ("VAE", first.vae_hash, now.vae_hash),
        ):
            if mine != its:
                return now, b"", f"its {what} is {its or 'unknown'}, not {mine}"
        listed = {entry.name for entry in now.client.loras()}
        missing = [stem for stem in stems if stem not in listed]
        if missing:
            return now, b"", f"it has no LoRA {missing[0]!r}"
        return now, _draw(now, probe, Patience(away_s=0)), ""
    except OrchestratorError as error:
        return server, b"", error.what


def _draw(server: Server, probe: Recipe, patience: Patience) -> bytes:
    answer = persist(server.client, lambda: server.client.txt2img(payload(probe, server)), patience)
    return pixels_of(answer.pictures[0])
