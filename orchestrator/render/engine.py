"""Recipes → proven pictures: from the cache, or drawn with two requests in flight."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import PictureError, ProofError, ServerError, ToolError
from orchestrator.render.cache import PictureCache
from orchestrator.render.payload import payload, route
from orchestrator.render.proof import differences, picture_problems, record
from orchestrator.render.recipe import Recipe
from orchestrator.render.server import Server, refuse_unknown

#: A1111 encodes PNGs outside its queue lock: one request being drawn and one waiting keep the card busy; more gain
#: nothing (measured).
IN_FLIGHT = 2
#: When the first pictures all fail, the rest of the night would be wasted in the same way.
GIVE_UP_AFTER = 4


@dataclass(frozen=True)
class Picture:
    """One picture of a recipe. With an `error` there is no file; `cached` tells that it was not drawn anew."""

    path: Path
    recipe: Recipe
    key: str
    cached: bool = False
    proof: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    #: A1111 drew something else than asked (the proof failed), as opposed to answering with an error.
    refused: bool = False


OnPicture = Callable[[Picture], None]


@dataclass(frozen=True)
class Renderer:
    """Draws on one server, through one cache."""

    server: Server
    cache: PictureCache
    in_flight: int = IN_FLIGHT

    def missing(self, recipes: Sequence[Recipe]) -> int:
        """How many pictures would have to be drawn."""
        return sum(not self.cache.has(key) for key in {recipe.key for recipe in recipes})

    def render(self, recipes: Sequence[Recipe], on_picture: OnPicture | None = None) -> list[Picture]:
        """The pictures of `recipes`, in their order; equal recipes are drawn once.

        Pictures are kept one by one as they arrive. One that A1111 refuses or that is not proven carries its error and
        does not stop the others, unless the first ones all fail. Raises `InputError` before anything is drawn when a
        name is unknown to the server, `ServerUnreachable` when the server is gone, `StorageError` when the disk is
        full; what arrived before is kept.
        """
        done: dict[str, Picture] = {}
        wanted: dict[str, Recipe] = {}
        for recipe in recipes:
            wanted.setdefault(recipe.key, recipe)
        report = on_picture or (lambda picture: None)
        to_draw: list[tuple[str, Recipe]] = []
        for key, recipe in wanted.items():
            if self.cache.has(key):
                done[key] = Picture(self.cache.picture(key), recipe, key, cached=True, proof=self.cache.proof(key))
                report(done[key])
            else:
                to_draw.append((key, recipe))
        if to_draw:
            refuse_unknown(
                self.server,
                [r for _, r in to_draw],
                self.server.client.loras() if any(r.loras for _, r in to_draw) else [],
            )
            # img2img draws a little of its noise from what the request before left behind (observed on 1.10.1): one at
            # a time and always in the same order, a set that is drawn twice from nothing comes out the same.
            in_flight = 1 if any(recipe.init_sha256 for _, recipe in to_draw) else self.in_flight
            for picture in self._draw_all(_cheapest_order(to_draw), report, in_flight, hopeful=bool(done)):
                done[picture.key] = picture
        return [done[recipe.key] for recipe in recipes]

    def _draw_all(
        self, to_draw: Sequence[tuple[str, Recipe]], report: OnPicture, in_flight: int, *, hopeful: bool
    ) -> list[Picture]:
        drawn: list[Picture] = []
        waiting = iter(to_draw)
        running: set[Future[Picture]] = set()
        stop = threading.Event()
        pool = ThreadPoolExecutor(in_flight, thread_name_prefix="draw")
        try:
            while True:
                while len(running) < in_flight and (item := next(waiting, None)) is not None:
                    running.add(pool.submit(self._draw, *item, stop))
                if not running:
                    return drawn
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    picture = future.result()
                    drawn.append(picture)
                    report(picture)
                # Where others of this request were drawn before, or a picture became NaN, these cells fail and not the
                # whole.
                if not hopeful and len(drawn) >= GIVE_UP_AFTER and all(_is_general(p.error) for p in drawn):
                    _give_up(drawn)
        finally:
            # After Ctrl-C or an error the requests in flight are still waited for: A1111 draws them anyway, and they
            # are kept.
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _draw(self, key: str, recipe: Recipe, stop: threading.Event) -> Picture:
        path = self.cache.picture(key)
        if stop.is_set():
            return Picture(path, recipe, key, error="stopped")
        started = time.monotonic()
        try:
            client = self.server.client
            answer = client.img2img(payload(recipe)) if route(recipe) == "img2img" else client.txt2img(payload(recipe))
            default = self.server.samplers.get(recipe.sampler, "")
            found = differences(recipe, answer, default) or picture_problems(recipe, answer.pictures[0])
            if found:
                raise ProofError(found)
            proof = record(recipe, answer, time.monotonic() - started, simulated=self.server.simulated)
            self.cache.put(key, answer.pictures[0], proof)
            return Picture(path, recipe, key, proof=proof)
        except (ProofError, ServerError, PictureError) as error:
            return Picture(path, recipe, key, error=error.what, refused=isinstance(error, ProofError))


def _is_general(error: str) -> bool:
    return bool(error) and "NansException" not in error


def _give_up(drawn: Sequence[Picture]) -> None:
    if all(picture.refused for picture in drawn):
        raise ProofError([f"the first {len(drawn)} pictures are all refused, the first because {drawn[0].error}"])
    raise ToolError(
        f"The first {len(drawn)} pictures all failed: {drawn[0].error}",
        fix="Nothing wrong was kept. Mend the cause, then run the same command again.",
    )


def _cheapest_order(to_draw: Sequence[tuple[str, Recipe]]) -> list[tuple[str, Recipe]]:
    """LoRA file outermost, then its weight, then the prompt, then the seed.

    Measured on 1.10.1: another LoRA file costs twice another weight, so this order is 1.8 times faster than LoRA
    innermost. Pictures without LoRA come first: residue of a LoRA that was taken out has been reported, and the
    baseline must be free of it.
    """

    def cost_of_change(item: tuple[str, Recipe]) -> tuple[object, ...]:
        recipe = item[1]
        files = tuple(lora.sha256 for lora in recipe.loras)
        weights = tuple(lora.weight for lora in recipe.loras)
        return (recipe.checkpoint_hash, recipe.vae, files, weights, recipe.prompt, recipe.seed)

    return sorted(to_draw, key=cost_of_change)
