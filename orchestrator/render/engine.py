"""Recipes → proven pictures: from the cache, or drawn so that the graphics card never waits."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError, ProofError, ServerUnreachable, ToolError
from orchestrator.render import overrides
from orchestrator.render.cache import PictureCache
from orchestrator.render.canary import not_applied, pixels_now
from orchestrator.render.dispatch import Dispatcher
from orchestrator.render.host import Drawn, Failed, Host, Keeper
from orchestrator.render.orders import Order, orders
from orchestrator.render.patience import Patience
from orchestrator.render.payload import all_overridden
from orchestrator.render.proof import pixels_of, record
from orchestrator.render.recipe import Recipe
from orchestrator.render.replaced import refuse_replaced
from orchestrator.render.same import that_draw_alike
from orchestrator.render.server import Server, refuse_unknown

#: A1111 encodes PNGs outside its queue lock: one request being drawn and one waiting keep the card busy; more gain
#: nothing (measured).
IN_FLIGHT = 2
#: When the first pictures all fail, the rest of the night would be wasted in the same way.
GIVE_UP_AFTER = 4
#: So often an order comes back from servers that went away before it is given up.
_MOST_RETURNS = 20


@dataclass(frozen=True)
class Picture:
    """One picture of a recipe. With an `error` there is no file; `cached` tells that it was not drawn anew."""

    path: Path
    recipe: Recipe
    key: str
    cached: bool = False
    error: str = ""
    #: A1111 drew something else than asked (the proof failed), as opposed to answering with an error.
    refused: bool = False

    @property
    def proof(self) -> dict[str, Any]:
        """What is recorded beside the picture; empty where there is none. Read from the disk, so that ten thousand
        pictures need no memory for it.
        """
        return {} if self.error else PictureCache.proof_of(self.path)


OnPicture = Callable[[Picture], None]
Say = Callable[[str], None]


def _quiet(sentence: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Renderer:
    """Draws on one server, or on several that draw the same, through one cache.

    `server` is the one recipes are made for; `others` help when a probe picture proves that they draw the same.
    `keepers` maps an address to who may start the server there anew, which is done every `restart_every` pictures (0 =
    never) and when it is gone. `say` is told what happens meanwhile: a server that went away, one that is left out.
    """

    server: Server
    cache: PictureCache
    in_flight: int = IN_FLIGHT
    others: tuple[Server, ...] = ()
    patience: Patience = field(default_factory=Patience)
    keepers: Mapping[str, Keeper] = field(default_factory=dict)
    restart_every: int = 0
    say: Say = _quiet
    #: Servers whose remembered facts were seen again in a picture, by address.
    _sure: dict[str, Server] = field(default_factory=dict, init=False, repr=False, compare=False)

    def missing(self, recipes: Sequence[Recipe]) -> int:
        """How many pictures would have to be drawn."""
        return sum(not self.cache.has(key) for key in {recipe.key for recipe in recipes})

    def clean_load(self, recipes: Sequence[Recipe]) -> None:
        """Have the checkpoint loaded anew before pictures that must be free of any LoRA, if one of them is missing.

        Forge reads its file again; A1111 moves it out of the card and back, and takes a LoRA out by the weights it has
        saved. Whether something stayed behind all the same is told by `drawn_again`.
        """
        if not self.missing(recipes):
            return
        with contextlib.suppress(OrchestratorError):
            # It loads by itself with the next picture; a webui that cannot unload goes on as it is.
            self.server.client.unload_checkpoint()
            self.server.client.reload_checkpoint()

    def drawn_again(self, recipe: Recipe) -> bool | None:
        """Whether a picture that is in the cache comes out with the same pixels now; None = it could not be drawn."""
        try:
            before = pixels_of(self.cache.picture(recipe.key).read_bytes())
            now = pixels_now(self._sure.get(self.server.client.url, self.server), recipe, self.patience)
        except (OrchestratorError, OSError):
            return None
        return None if now is None else now == before

    def render(
        self, recipes: Sequence[Recipe], on_picture: OnPicture | None = None, *, as_given: bool = False
    ) -> list[Picture]:
        """The pictures of `recipes`, in their order; equal recipes are drawn once.

        They are drawn in the order that costs least, or `as_given`.
        Pictures are kept one by one as they arrive. One that A1111 refuses or that is not proven carries its error and
        does not stop the others, unless the first ones all fail. Raises `InputError` before anything is drawn when a
        name is unknown to the server, `ServerUnreachable` when the server stays away, `StorageError` when the disk is
        full; what arrived before is kept.
        """
        done: dict[str, Picture] = {}
        wanted: dict[str, Recipe] = {}
        for recipe in recipes:
            wanted.setdefault(recipe.key, recipe)
        report = on_picture or (lambda picture: None)
        to_draw: list[Recipe] = []
        for key, recipe in wanted.items():
            if self.cache.has(key):
                done[key] = Picture(self.cache.picture(key), recipe, key, cached=True)
                report(done[key])
            else:
                to_draw.append(recipe)
        if to_draw:
            listed = self.server.client.loras() if any(recipe.loras for recipe in to_draw) else []
            refuse_unknown(self.server, to_draw, listed)
            with self._drawing(to_draw, hopeful=bool(done), as_given=as_given) as pictures:
                for picture in pictures:
                    # Of a batch that is drawn again for one of its pictures, the others were not asked for.
                    if picture.key in wanted and picture.key not in done:
                        done[picture.key] = picture
                        report(picture)
        return [done[recipe.key] for recipe in recipes]

    @contextlib.contextmanager
    def _drawing(self, to_draw: Sequence[Recipe], *, hopeful: bool, as_given: bool) -> Iterator[Iterator[Picture]]:
        asked = [self._sure.get(server.client.url, server) for server in self._servers(to_draw)]
        servers = that_draw_alike(asked, to_draw, self.patience, self.say)
        self._sure.update({server.client.url: server for server in servers})
        for server in servers:
            refuse_replaced(server, to_draw, self.cache.folder)
        before = [(s, overrides.secure(s.client, all_overridden(to_draw, s), self.patience)) for s in servers]
        refused: frozenset[str] = frozenset()
        for server in servers:
            refused |= not_applied(server, to_draw, self.cache.folder, self.patience)
        work = _Work(self, servers, orders(to_draw, as_given=as_given), refused)
        try:
            yield work.pictures(hopeful=hopeful)
        finally:
            work.end()
            for server, settings in before:
                # What the drawing ended with matters more than a server that is gone.
                with contextlib.suppress(OrchestratorError):
                    for name in overrides.put_back(server.client, settings):
                        self.say(f"{server.client.url} had kept {name} from a request; it is put back")

    def _servers(self, to_draw: Sequence[Recipe]) -> list[Server]:
        # img2img draws a little of its noise from what the request before left behind: one server, one at a time. And
        # the others were held against this one with a single checkpoint and VAE.
        models = {(recipe.checkpoint_hash, recipe.vae_hash) for recipe in to_draw}
        alone = len(models) > 1 or any(recipe.init_sha256 for recipe in to_draw)
        return [self.server] if alone else [self.server, *self.others]


class _Work:
    """One call of `render`: the workers of all servers, and what they hand over."""

    def __init__(
        self, renderer: Renderer, servers: Sequence[Server], asked: Sequence[Order], not_applied: frozenset[str]
    ) -> None:
        self._renderer, self._cache = renderer, renderer.cache
        self._not_applied = not_applied
        self._stop = threading.Event()
        self._dispatcher = Dispatcher(asked)
        self._lock = threading.Lock()
        #: The first pictures of each server, which can only be judged by the time the later ones take.
        self._early: dict[int, list[tuple[Order, Drawn]]] = {number: [] for number in range(len(servers))}
        self._results: queue.Queue[list[Picture] | BaseException | None] = queue.Queue()
        one_by_one = any(order.is_img2img for order in asked)
        slots = 1 if one_by_one else renderer.in_flight
        self._hosts = [
            Host(
                server,
                slots=slots,
                patience=renderer.patience,
                stop=self._stop,
                say=renderer.say,
                keeper=renderer.keepers.get(server.client.url),
                restart_every=renderer.restart_every,
            )
            for server in servers
        ]
        # One more than the slots: while two requests are with the server, an answer is proven and written.
        workers = 1 if one_by_one else slots + 1
        self._threads = [
            threading.Thread(target=self._worker, args=(number,), name=f"draw {number}", daemon=True)
            for number in range(len(self._hosts))
            for _ in range(workers)
        ]
        self._watchers = [threading.Thread(target=host.watch, name="watch", daemon=True) for host in self._hosts]

    def pictures(self, *, hopeful: bool) -> Iterator[Picture]:
        """Every picture as it arrives. Raises what ends the whole drawing."""
        for thread in (*self._threads, *self._watchers):
            thread.start()
        working = len(self._threads)
        first: list[Picture] = []
        gone: BaseException | None = None
        # A worker that waits for a server that is gone has nothing more to say once everything is drawn.
        while working and not (self._dispatcher.finished() and self._results.empty()):
            try:
                # With a timeout, because Windows would not let Ctrl-C through otherwise.
                result = self._results.get(timeout=0.25)
            except queue.Empty:
                continue
            if result is None:
                working -= 1
            elif isinstance(result, ServerUnreachable):
                gone = result
            elif isinstance(result, BaseException):
                raise result
            else:
                yield from result
                if not hopeful and len(first) < GIVE_UP_AFTER:
                    first += [picture for picture in result if picture.key]
                    _give_up_if_hopeless(first)
        if gone is not None and self._dispatcher.left():
            raise gone

    def end(self) -> None:
        """Stop all workers. What is in flight is kept if it arrives at once, else interrupted."""
        finished = not any(thread.is_alive() for thread in self._threads)
        self._stop.set()
        self._dispatcher.stop()
        if not finished:
            for host in self._hosts:
                host.end()
            self._keep_early()
        for thread in (*self._threads, *self._watchers):
            # With a timeout, because Windows would not let a second Ctrl-C through otherwise.
            while thread.ident is not None and thread.is_alive():
                thread.join(0.25)

    def _worker(self, number: int) -> None:
        host = self._hosts[number]
        try:
            while not self._dispatcher.finished():
                self._judge_early(number)
                order = self._dispatcher.next(number)
                if order is None:
                    continue
                try:
                    self._draw(order, number)
                except ServerUnreachable as error:
                    order.returned += 1
                    if order.returned > _MOST_RETURNS:
                        why = f"the server went away {order.returned} times: {error.cause}"
                        self._fail(order, Failed(why, refused=False))
                        continue
                    self._dispatcher.give_back(order)
                    if self._stop.is_set() or not host.wait_until_back():
                        self._results.put(error)
                        break
        except BaseException as error:
            self._results.put(error)
        finally:
            self._results.put(None)

    def _draw(self, order: Order, number: int) -> None:
        bad = next((use for use in order.recipes[0].loras if use.weight and use.sha256 in self._not_applied), None)
        try:
            if bad is not None:
                raise Failed(f"the server lists the LoRA {bad.stem} and does not apply it", refused=True)
            drawn = self._hosts[number].draw(order)
        except Failed as failed:
            self._fail(order, failed)
            return
        if drawn.early is not None:
            with self._lock:
                self._early[number].append((order, drawn))
        else:
            self._hand_over(order, drawn, self._hosts[number])

    def _judge_early(self, number: int) -> None:
        """Hand over those of the first pictures that are whole by the time the later ones took, and draw the others
        again.
        """
        host = self._hosts[number]
        with self._lock:
            held, self._early[number] = self._early[number], []
        # Everything that is out is held here: no picture will follow by which these could be judged.
        last = bool(held) and not self._dispatcher.left() and self._dispatcher.out() <= self._holding() + len(held)
        for order, drawn in held:
            try:
                whole = host.judge_late(order, drawn, last=last)
            except Failed as failed:
                self._fail(order, failed)
                continue
            if whole is None:
                with self._lock:
                    self._early[number].append((order, drawn))
            elif whole:
                self._hand_over(order, drawn, host)
            else:
                self._dispatcher.give_back(order)

    def _keep_early(self) -> None:
        """What was drawn and not judged yet when the drawing ends early: kept if nothing speaks against it."""
        for number, held in self._early.items():
            for order, drawn in held:
                with contextlib.suppress(Failed, OrchestratorError):
                    if self._hosts[number].judge_late(order, drawn, last=True):
                        for recipe in order.recipes:
                            self._keep(recipe, drawn, self._hosts[number])

    def _holding(self) -> int:
        with self._lock:
            return sum(map(len, self._early.values()))

    def _hand_over(self, order: Order, drawn: Drawn, host: Host) -> None:
        self._results.put([self._keep(recipe, drawn, host) for recipe in order.recipes])
        self._dispatcher.done()

    def _fail(self, order: Order, why: Failed) -> None:
        pictures = [
            Picture(self._cache.picture(recipe.key), recipe, recipe.key, error=str(why), refused=why.refused)
            for recipe in order.recipes
        ]
        self._results.put(pictures)
        self._dispatcher.done()

    def _keep(self, recipe: Recipe, drawn: Drawn, host: Host) -> Picture:
        server = host.server
        more = {"after": "a txt2img of 1 step with seed 0 and the same prompt"} if recipe.init_sha256 else {}
        proof = record(
            recipe,
            drawn.answer,
            drawn.seconds / len(drawn.answer.pictures),
            server=server.client.url,
            simulated=server.simulated,
            **more,
        )
        path = self._cache.put(recipe.key, drawn.answer.pictures[recipe.batch_position], proof)
        return Picture(path, recipe, recipe.key)


def _give_up_if_hopeless(first: Sequence[Picture]) -> None:
    # A picture that became NaN says nothing of the others.
    if len(first) < GIVE_UP_AFTER or not all(p.error and "NansException" not in p.error for p in first):
        return
    if all(picture.refused for picture in first):
        raise ProofError([f"the first {len(first)} pictures are all refused, the first because {first[0].error}"])
    raise ToolError(
        f"The first {len(first)} pictures all failed: {first[0].error}",
        fix="Nothing wrong was kept. Mend the cause, then run the same command again.",
    )
