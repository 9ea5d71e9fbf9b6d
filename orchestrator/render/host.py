"""One server at work: requests drawn and proven, faults survived, our own request interrupted and nobody else's."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from orchestrator.a1111.connection import port_is_open
from orchestrator.a1111.models import Generated
from orchestrator.errors import (
    AnswerLost,
    OrchestratorError,
    PictureError,
    ProofError,
    ServerError,
    ServerUnreachable,
)
from orchestrator.render.interruptions import QUICK_S, Interruptions
from orchestrator.render.orders import Order
from orchestrator.render.patience import Patience
from orchestrator.render.payload import payload, route, settling
from orchestrator.render.proof import differences, infotext_of, picture_problems
from orchestrator.render.server import Server
from orchestrator.render.waiting import wait_until_back

#: Answers that say the request is wrong: the same again would be answered the same.
_FINAL = frozenset({400, 404, 405, 413, 422})
_FLAG_EVERY_S = 0.3
#: Seconds within which the connections of a server that died break one after the other.
_OTHERS_BREAK_WITHIN_S = 0.2
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
    """An answer that was proven. `seconds` is the time from sending to having it.

    With an `early` time (seconds on the card, and of what kind) it can only be judged when others were timed.
    """

    answer: Generated
    seconds: float
    early: tuple[Hashable, float] | None = None


class Failed(Exception):
    """An order that is given up. `refused`: A1111 drew something else than asked."""

    def __init__(self, why: str, *, refused: bool) -> None:
        super().__init__(why)
        self.refused = refused


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
        self._away = threading.Event()
        #: Away for longer: whoever has an order gives it back, for another server to draw.
        self._down = threading.Event()
        self._gone = threading.Event()
        self._interrupting = threading.Event()
        self._mine: set[str] = set()
        self._interruptions = Interruptions()

    def draw(self, order: Order) -> Drawn:
        """The proven answer to `order`, however often it had to be asked for.

        Raises `Failed` when it is given up, `ServerUnreachable` when the server is gone (the order may be tried
        elsewhere, or later), `InstallError` for wrong credentials.
        """
        while True:
            started = time.monotonic()
            task = f"task(orchestrator-{uuid.uuid4().hex[:12]})"
            try:
                answer, sent, answered = self._ask(order, task)
                problems = self._problems(order, answer)
                if problems:
                    raise ProofError(problems)
                if self._interrupting.is_set():
                    raise Failed("stopped", refused=False)
                kind = _kind(order)
                judged = self._interruptions.judge(kind, sent, answered, answer.info.job_timestamp)
                if order.doubtful is not None and _same_pictures(answer, order.doubtful):
                    self._interruptions.was_whole(kind)
                elif judged.suspicious or self._was_cut_off(answer, answered - sent):
                    self._doubt(order, answer)
                    continue
                early = (kind, judged.took) if judged.early else None
                return Drawn(answer, time.monotonic() - started, early)
            except AnswerLost as lost:
                order.lost += 1
                if order.lost > self.patience.lost:
                    raise Failed(
                        f"no answer came in {order.lost} tries, the last time because: {lost.cause}", refused=False
                    ) from lost
                if not lost.answers:
                    self._let_it_start()
                self._until_forgotten(lost.task or task)
            except (ServerError, ProofError) as error:
                order.failures += 1
                final = isinstance(error, ServerError) and error.status in _FINAL
                if final or order.failures >= self.patience.tries or self._stop.is_set():
                    raise Failed(error.what, refused=isinstance(error, ProofError)) from error
                self._rest(self.patience.pause(order.failures))
            except PictureError as error:
                raise Failed(error.what, refused=False) from error

    def judge_late(self, order: Order, drawn: Drawn, *, last: bool) -> bool | None:
        """Whether an early picture is whole, by those that came after it; None = not known yet. `last`: none follow."""
        if drawn.early is None:
            return True
        short = self._interruptions.judge_late(*drawn.early, last=last)
        if short:
            self._doubt(order, drawn.answer)
        return None if short is None else not short

    def watch(self) -> None:
        """Look for interruptions while something is drawn, until the drawing ends; the body of a thread."""
        while not self._stop.wait(_FLAG_EVERY_S):
            # Nothing is asked of a server that may be starting: it could be the end of it.
            if self._mine and not self._away.is_set():
                with contextlib.suppress(OrchestratorError):
                    self._interruptions.look(self.server.client.progress().state, time.monotonic())

    def wait_until_back(self) -> bool:
        """Wait for a server that went away; whether it came back. Raises nothing.

        Its port is tried first, and nothing is asked for a while after it opened: a request in the wrong moment of its
        start can end A1111.
        """
        self._away.set()
        self._down.set()
        with self._coming_back:  # one worker waits, the others find it back, or gone
            if self._gone.is_set():
                return False
            back = not self._away.is_set() or wait_until_back(
                self.server.client, self.patience, self._stop, self._say, self._keeper.revive if self._keeper else None
            )
            if back:
                self._down.clear()
                self._away.clear()
            else:
                self._gone.set()
            return back

    def end(self) -> None:
        """The drawing ends early: give what is nearly done a moment, then interrupt our own requests and no others."""
        until = time.monotonic() + _LAST_MOMENT_S
        while self._mine and time.monotonic() < until:
            time.sleep(0.02)
        until = time.monotonic() + _INTERRUPT_WITHIN_S
        client = self.server.client
        while (mine := list(self._mine)) and time.monotonic() < until:
            # What arrives from here on may be half drawn.
            self._interrupting.set()
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
            self._wait_for_the_others()
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
            found = differences(
                recipe, answer, default, {**self.server.standing, **recipe.own_options}
            ) or picture_problems(recipe, answer.pictures[place], infotext_of(answer, place))
            if found:
                return found
        return []

    def _doubt(self, order: Order, answer: Generated) -> None:
        order.doubtful = answer
        order.failures += 1
        if self._stop.is_set() or order.failures >= self.patience.tries + 2:
            raise Failed("it was interrupted again and again", refused=True)

    def _wait_for_the_others(self) -> None:
        """While another worker finds out whether the server is there, nothing is sent to it."""
        while self._away.is_set() and not self._stop.is_set():
            if self._down.is_set():
                raise ServerUnreachable(self.server.client.url)
            self._rest(0.05)

    def _let_it_start(self) -> None:
        """After a connection broke: ask nothing until it is sure that the server is not just starting anew. Raises
        `ServerUnreachable` when it is gone.
        """
        self._away.set()
        self._rest(_OTHERS_BREAK_WITHIN_S)
        # A server that died has cut off everything that was with it.
        if not self._mine:
            if not port_is_open(self.server.client.url):
                raise ServerUnreachable(self.server.client.url)
            self._rest(self.patience.settle_s)
        self._away.clear()

    def _was_cut_off(self, answer: Generated, seconds: float) -> bool:
        """Whether the server itself says so, as it does until its next job begins. Where another request of ours waits
        behind, that has begun already; then there is only something to be seen if pictures are slow.
        """
        if self._mine and seconds < QUICK_S:
            return False
        try:
            state = self.server.client.progress().state
        except OrchestratorError:
            return False
        return state.interrupted and state.job_timestamp == answer.info.job_timestamp

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
                with contextlib.suppress(ServerError):
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
            if not self._restart_every or self._since_restart <= self._restart_every:
                return
            for _ in range(self._number):  # what is with the server comes home first
                self._slots.acquire()
            try:
                self._say(f"{self.server.client.url} is restarted after {self._restart_every} pictures")
                self._keeper.restart()
                self._since_restart = 1
            except OrchestratorError as error:
                # One that cannot be restarted goes on as it is.
                self._say(str(error))
                self._restart_every = 0
            finally:
                for _ in range(self._number):
                    self._slots.release()

    def _rest(self, seconds: float) -> None:
        self._stop.wait(seconds)


def _kind(order: Order) -> Hashable:
    """Pictures of one kind take the card the same time."""
    recipe = order.recipes[0]
    size = (recipe.width, recipe.height, len(order.recipes))
    return (*size, recipe.steps, recipe.sampler, recipe.denoising_strength, recipe.alwayson_scripts)


def _same_pictures(one: Generated, other: Generated | None) -> bool:
    return other is not None and list(one.pictures) == list(other.pictures)
