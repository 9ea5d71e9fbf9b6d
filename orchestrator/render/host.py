"""One server at work: requests drawn and proven, faults survived, our own request interrupted and nobody else's."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from orchestrator.a1111.models import Generated
from orchestrator.errors import (
    AnswerLost,
    OrchestratorError,
    PictureError,
    ProofError,
    ServerError,
    ServerStarting,
    ServerUnreachable,
)
from orchestrator.render.interruptions import Interruptions
from orchestrator.render.orders import Order
from orchestrator.render.patience import Patience
from orchestrator.render.payload import payload, route, settling
from orchestrator.render.proof import differences, infotext_of, picture_problems
from orchestrator.render.server import Server

#: Answers that say the request is wrong: the same again would be answered the same.
_FINAL = frozenset({400, 404, 405, 413, 422})
_FLAG_EVERY_S = 1.0
#: Seconds a picture gets to arrive after Ctrl-C before it is interrupted; it is kept if it does.
_LAST_MOMENT_S = 1.0
_INTERRUPT_WITHIN_S = 10.0


@dataclass(frozen=True)
class Keeper:
    """Who may start a server anew: `restart` gives back the memory it leaked, `revive` brings back one that is gone
    (None = only waiting helps). Both return when it answers again, and raise an `OrchestratorError` when it does not.
    """

    restart: Callable[[], None]
    revive: Callable[[], None] | None = None


@dataclass(frozen=True)
class Drawn:
    """An answer that was proven. `seconds` is the time from sending to having it."""

    answer: Generated
    seconds: float


class Failed(Exception):
    """An order that is given up. `refused`: A1111 drew something else than asked; `general`: others will fail alike."""

    def __init__(self, why: str, *, refused: bool, general: bool = True) -> None:
        super().__init__(why)
        self.refused = refused
        self.general = general


class Host:
    """One server. `slots` requests are with it at a time; proving and writing is done outside of them."""

    def __init__(
        self,
        server: Server,
        *,
        slots: int,
        patience: Patience,
        stop: threading.Event,
        say: Callable[[str], None],
        keeper: Keeper | None = None,
        restart_every: int = 0,
    ) -> None:
        self.server = server
        self.patience = patience
        self._stop = stop
        self._say = say
        self._keeper = keeper
        self._restart_every = restart_every if keeper else 0
        self._since_restart = 0
        self._slots = threading.Semaphore(slots)
        self._number = slots
        self._lock = threading.Lock()
        self._coming_back = threading.Lock()
        self._counting = threading.Lock()
        self._mine: set[str] = set()
        self._interruptions = Interruptions()

    def draw(self, order: Order) -> Drawn:
        """The proven answer to `order`, however often it had to be asked for.

        Raises `Failed` when it is given up, `ServerUnreachable` when the server is gone (the order may be tried
        elsewhere, or later), `InstallError` for wrong credentials.
        """
        doubtful: Generated | None = None
        while True:
            started = time.monotonic()
            task = f"task(orchestrator-{uuid.uuid4().hex[:12]})"
            try:
                answer, sent, answered = self._ask(order, task)
                problems = self._problems(order, answer)
                if problems:
                    raise ProofError(problems)
                if self._suspicious(order, sent, answered) and not _same_pictures(answer, doubtful):
                    doubtful = answer
                    order.failures += 1
                    if self._stop.is_set() or order.failures >= self.patience.tries + 2:
                        raise Failed("it was interrupted again and again", refused=True)
                    continue
                return Drawn(answer, time.monotonic() - started)
            except AnswerLost as lost:
                order.lost += 1
                if order.lost > self.patience.lost:
                    raise Failed(
                        f"no answer came in {order.lost} tries, the last time because: {lost.cause}", refused=False
                    ) from lost
                self._until_forgotten(lost.task or task)
            except (ServerError, ProofError) as error:
                order.failures += 1
                final = isinstance(error, ServerError) and error.status in _FINAL
                if final or order.failures >= self.patience.tries or self._stop.is_set():
                    general = not (isinstance(error, ServerError) and error.kind == "NansException")
                    raise Failed(error.what, refused=isinstance(error, ProofError), general=general) from error
                self._rest(self.patience.pause(order.failures))
            except PictureError as error:
                raise Failed(error.what, refused=False) from error

    def watch(self) -> None:
        """Look for interruptions until the drawing ends; the body of a thread."""
        while not self._stop.wait(_FLAG_EVERY_S):
            try:
                state = self.server.client.progress().state
            except OrchestratorError:
                continue
            self._interruptions.look(state, time.monotonic())

    def wait_until_back(self) -> bool:
        """Wait for a server that went away; whether it came back. Raises nothing.

        Its port is tried first, and nothing is asked for a while after it opened: a request in the wrong moment of its
        start can end A1111.
        """
        with self._coming_back:  # one worker waits, the others find it back
            return self._wait_until_back()

    def end(self) -> None:
        """The drawing ends early: give what is nearly done a moment, then interrupt our own requests and no others."""
        until = time.monotonic() + _LAST_MOMENT_S
        while self._mine and time.monotonic() < until:
            time.sleep(0.02)
        until = time.monotonic() + _INTERRUPT_WITHIN_S
        client = self.server.client
        while (mine := list(self._mine)) and time.monotonic() < until:
            try:
                if any(client.interrupt_task(task) for task in mine):
                    self._interruptions.interrupted(time.monotonic())
                else:
                    states = [client.task(task) for task in mine]
                    if not any(state and (state.queued or state.active) for state in states):
                        break
            except OrchestratorError:
                break
            time.sleep(0.1)
        client.connection.hang_up()

    def _ask(self, order: Order, task: str) -> tuple[Generated, float, float]:
        recipe = order.recipes[0]
        client = self.server.client
        body = {**payload(recipe, self.server), "force_task_id": task}
        self._restart_when_due()
        with self._slots:
            if self._stop.is_set():
                raise Failed("stopped", refused=False)
            if order.is_img2img:
                client.txt2img(settling(recipe, self.server))
            with self._lock:
                self._mine.add(task)
            sent = time.monotonic()
            try:
                answer = client.img2img(body) if route(recipe) == "img2img" else client.txt2img(body)
            finally:
                with self._lock:
                    self._mine.discard(task)
            return answer, sent, time.monotonic()

    def _problems(self, order: Order, answer: Generated) -> list[str]:
        for recipe in order.recipes:
            default = self.server.samplers.get(recipe.sampler, "")
            place = recipe.batch_position
            found = differences(recipe, answer, default) or picture_problems(
                recipe, answer.pictures[place], infotext_of(answer, place)
            )
            if found:
                return found
        return []

    def _suspicious(self, order: Order, sent: float, answered: float) -> bool:
        recipe = order.recipes[0]
        size = (recipe.width, recipe.height, len(order.recipes))
        kind = (*size, recipe.steps, recipe.sampler, recipe.denoising_strength, recipe.alwayson_scripts)
        return self._interruptions.suspicious(kind, sent, answered)

    def _until_forgotten(self, task: str) -> None:
        """Wait until the server no longer works on a request whose answer will never come, so that it is not done twice
        at once. When its turn comes it is interrupted: nobody waits for it.
        """
        client = self.server.client
        while not self._stop.is_set():
            state = client.task(task)
            if state is None or not (state.queued or state.active):
                return
            if state.active:
                running = client.progress().state
                if not (running.job or running.job_count):
                    return  # one that failed is called active until the next begins
                if client.interrupt_task(task):
                    self._interruptions.interrupted(time.monotonic())
            self._rest(0.25)

    def _restart_when_due(self) -> None:
        if not self._restart_every or self._keeper is None:
            return
        with self._counting:
            self._since_restart += 1
            if self._since_restart <= self._restart_every:
                return
            for _ in range(self._number):  # what is with the server comes home first
                self._slots.acquire()
            try:
                self._say(f"{self.server.client.url} is restarted after {self._restart_every} pictures")
                self._keeper.restart()
                self._since_restart = 1
            finally:
                for _ in range(self._number):
                    self._slots.release()

    def _wait_until_back(self) -> bool:
        url, patience = self.server.client.url, self.patience
        since = time.monotonic()
        said = was_shut = False
        starting_since: float | None = None
        while not self._stop.is_set():
            if not _port_is_open(url):
                was_shut, starting_since = True, None
                if self._keeper is not None and self._keeper.revive is not None:
                    return self._revive(self._keeper.revive)
            else:
                if was_shut:
                    self._rest(patience.settle_s)
                    was_shut = False
                try:
                    self.server.client.progress()
                    if said:
                        self._say(f"{url} is back")
                    return True
                except ServerStarting:
                    starting_since = starting_since or time.monotonic()
                    if time.monotonic() - starting_since > patience.starting_s:
                        self._say(f"{url} answers, but its API does not come: restart it")
                        return False
                except (ServerUnreachable, ServerError):
                    pass
                except OrchestratorError:
                    return False
            if time.monotonic() - since > patience.away_s:
                return False
            if not said:
                said = True
                self._say(f"{url} does not answer any more; waiting up to {patience.away_s / 60:.0f} min for it")
            self._rest(patience.look_s)
        return False

    def _revive(self, revive: Callable[[], None]) -> bool:
        self._say(f"{self.server.client.url} is gone; it is started again")
        try:
            revive()
        except OrchestratorError as error:
            self._say(str(error))
            return False
        return True

    def _rest(self, seconds: float) -> None:
        self._stop.wait(seconds)


def _same_pictures(one: Generated, other: Generated | None) -> bool:
    return other is not None and list(one.pictures) == list(other.pictures)


def _port_is_open(url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", port), timeout=2.0):
            return True
    except OSError:
        return False
