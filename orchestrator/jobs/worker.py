"""A worker: takes jobs one after the other, whatever becomes of each.

What a job does is `execute`'s business, which card it needs `card`'s. Two workers never have one job: a claim is one
statement of the ledger. A job whose worker died is taken up again by whoever looks next.
"""

from __future__ import annotations

import _thread
import socket
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Any, Literal, Protocol

from orchestrator import processes
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.jobs import scheduling
from orchestrator.jobs.control import WORDS, CardBusy, Control, Interrupted
from orchestrator.jobs.model import LAST_DEATHS, MOST_DEATHS, Failure, Job, State, Timing, WorkerRow
from orchestrator.jobs.scheduling import CARD_TAKEN, Choice
from orchestrator.jobs.store import Store
from orchestrator.processes import ProcessId

#: How often an idle worker looks whether the ledger has changed.
IDLE_S = 1.0
#: A worker of another machine or container that was not heard for so long is dead; of our own we see the process.
_SILENT_S = 120.0
#: A worker that ends when there is nothing to do waits so long for the next job.
LINGER_S = 1800.0

#: `once` = one job; `empty` = until no job is left that can still run; `idle` = until nothing is due for a while.
#: What was asked of a job whose worker died before it heard.
_ASKED: Mapping[str, State] = {"cancel": "cancelled", "pause": "paused"}

Until = Literal["once", "empty", "idle", "stopped"]
Execute = Callable[[Job, Control], Mapping[str, Any]]


class Card(Protocol):
    """The graphics card as a worker sees it."""

    def take(self) -> bool:
        """Have the card; False when another process has it."""

    def left_behind(self) -> bool:
        """Whether a trainer of this ledger may run that nobody looks after. Cheap, and needs no lease."""

    def survivor(self) -> int | None:
        """The job of this ledger whose trainer still runs, though its worker died. Call it while the card is had."""

    def end_survivor(self) -> None:
        """Stop that trainer; what it saved stays."""

    def leave(self) -> None:
        """Give the card back to whoever was asked to leave it, and let others have it."""


class NoCard:
    """Where no job computes on a card."""

    def take(self) -> bool:
        return True

    def left_behind(self) -> bool:
        return False

    def survivor(self) -> int | None:
        return None

    def end_survivor(self) -> None:
        return None

    def leave(self) -> None:
        return None


def bury_dead(store: Store) -> list[Job]:
    """Take the running jobs of dead workers back; those jobs as they were.

    Of a job that loses its workers at the same place nobody knows whether it is to blame. So after the second one it
    comes behind all others, and only after two more it is set aside.
    """
    buried = []
    for job, worker in with_dead_workers(store):
        place = job.progress.place if job.progress is not None else ""
        deaths = job.deaths + 1 if job.deaths and place == job.death_place else 1
        state: State = "waiting" if deaths < MOST_DEATHS else "set aside"
        why = "its worker was ended in the middle"
        where = f"at the same place ({place or 'the beginning'})"
        if state == "set aside":
            why = f"{deaths} workers died of it {where}"
        elif deaths >= LAST_DEATHS:
            why = f"{deaths} workers died with it {where}: it is tried again when nothing else is left"
        if job.asked in _ASKED:  # nobody was left to hear it
            state, why, deaths = _ASKED[job.asked], WORDS[job.asked], job.deaths
        last_seen = worker.beat_at if worker is not None else (job.started_at or 0.0)
        if store.take_from_dead(job, last_seen=last_seen, state=state, deaths=deaths, why=why):
            buried.append(job)
        if worker is not None:
            store.unregister(worker.id)
    return buried


def with_dead_workers(store: Store) -> list[tuple[Job, WorkerRow | None]]:
    """The running jobs whose workers are dead, each with what is known of its worker."""
    running = store.running()
    if not running:
        return []
    workers = {worker.id: worker for worker in store.workers()}
    found = [(job, workers.get(job.worker)) for job in running]
    return [(job, worker) for job, worker in found if worker is None or not is_alive(worker)]


def is_alive(worker: WorkerRow) -> bool:
    """Whether a worker lives."""
    if worker.host == socket.gethostname():
        return processes.is_running(ProcessId(worker.pid, worker.created))
    return abs(time.time() - worker.beat_at) < _SILENT_S


def look(
    store: Store, now: float, *, zone: tzinfo | None = None, card: bool = True, skip: Iterable[int] = ()
) -> Choice:
    """What could be run at `now`."""
    return scheduling.choose(store.open_jobs(), store.needed_states(), now, zone=zone, card=card, skip=skip)


@dataclass
class Worker:
    """One worker on the ledger at `path`.

    `on_end` is told about every job that left off, in whatever state; `say` gets a sentence for whoever watches.
    """

    path: Path
    execute: Execute
    card: Card = field(default_factory=NoCard)
    clock: Callable[[], float] = time.time
    zone: tzinfo | None = None
    say: Callable[[str], object] = str
    on_end: Callable[[Job], object] = lambda job: None
    #: Told at once, from a thread of the job's, when it is seen to hang.
    on_stall: Callable[[Job, str], object] = lambda job, text: None
    interrupt: Callable[[], None] = _thread.interrupt_main
    linger_s: float = LINGER_S
    #: The jobs this worker had, with the state each was left in.
    had: list[Job] = field(default_factory=list)
    _id: str = field(default_factory=lambda: uuid.uuid4().hex)
    _control: Control | None = None
    _stopping: bool = False

    def stop(self) -> None:
        """End at the next good place. May be called from another thread or a signal handler."""
        self._stopping = True
        if self._control is not None:
            self._control.stop()

    def run(self, until: Until = "stopped") -> None:
        """Work. Raises `KeyboardInterrupt` after having put its job back, and what the ledger raises."""
        me = processes.own_identity()
        with Store(self.path, clock=self.clock) as store:
            store.register(WorkerRow(self._id, socket.gethostname(), me.pid, me.created, 0.0))
            try:
                self._work(store, until)
            finally:
                self.card.leave()
                store.unregister(self._id)

    def _work(self, store: Store, until: Until) -> None:
        seen = -1
        wake_at: float | None = 0.0
        beat_at = 0.0
        while not self._stopping:
            now = self.clock()
            if store.changes != seen or (wake_at is not None and now >= wake_at):
                seen = store.changes
                job, choice = self._next(store, now)
                if job is not None:
                    self._do(store, job)
                    seen, wake_at = -1, 0.0
                    if until == "once":
                        return
                    continue
                self.card.leave()
                wake_at = choice.wake_at
                if self._is_enough(store, choice, until):
                    return
                # Somebody else's card and dead workers are not seen in the ledger.
                wake_at = min(filter(None, (wake_at, now + 5.0)))
            if time.monotonic() - beat_at > 5.0:
                store.beat(self._id)
                beat_at = time.monotonic()
            time.sleep(IDLE_S)

    def _is_enough(self, store: Store, choice: Choice, until: Until) -> bool:
        if until == "once":
            return not choice.reasons
        if until == "stopped":
            return False
        open_jobs = store.open_jobs()
        if any(job.state == "running" for job in open_jobs):
            return False
        if until == "idle":
            if CARD_TAKEN in (choice.reasons or {}).values():
                return False
            return choice.wake_at is None or choice.wake_at > self.clock() + self.linger_s
        return {job.id for job in open_jobs} == scheduling.stuck(open_jobs, store.needed_states())

    def _next(self, store: Store, now: float) -> tuple[Job | None, Choice]:
        """A job that is ours now, and has the card where it needs it."""
        for buried in bury_dead(store):
            if (now_it_is := store.job(buried.id)).state == "set aside":
                self._tell_end(store, now_it_is)
        gone: set[int] = set()
        card = True
        while True:
            if store.fact("paused"):
                return None, Choice(None)
            choice = look(store, now, zone=self.zone, card=card, skip=gone)
            job = choice.job
            if card and self._wants_card(choice):
                if not self.card.take():
                    card = False
                    continue
                job = self._survivor(store) or job
            if job is None:
                return None, choice
            claimed = store.claim(job.id, self._id)
            if claimed is not None:
                return claimed, choice
            gone.add(job.id)

    def _wants_card(self, choice: Choice) -> bool:
        # A trainer whose worker died is looked after even when its job may not be begun now, or was cancelled.
        return (choice.job is not None and choice.job.needs_card) or self.card.left_behind()

    def _survivor(self, store: Store) -> Job | None:
        """The job whose trainer runs on without a worker: nothing else may have the card before it."""
        number = self.card.survivor()
        if number is None:
            return None
        try:
            job = store.job(number)
        except InputError:
            job = None
        if job is not None and job.state == "waiting":
            return job
        if job is None or job.state != "running":
            self.card.end_survivor()
        return None

    def _do(self, store: Store, job: Job) -> None:
        self.say(f"{job.id} {job.title}")
        control = Control(
            job,
            self._id,
            lambda: Store(self.path, durable=False, clock=self.clock),
            interrupt=self.interrupt,
            alarm=self.on_stall,
            clock=self.clock,
        )
        self._control = control
        if self._stopping:
            control.stop()
        try:
            with control:
                result = dict(self.execute(job, control))
        except Interrupted as left_off:
            self._put_back(store, job, control, str(left_off))
        except CardBusy as busy:
            store.put_back(job.id, self._id, busy.why, retry_at=self.clock() + busy.again_s)
        except KeyboardInterrupt:
            if not control.why:
                store.put_back(job.id, self._id, "the worker was stopped (Ctrl-C)")
                raise
            self._put_back(store, job, control, WORDS[control.why])
        except OrchestratorError as error:
            failure = Failure(error.what, error.cause, error.fix)
            self._fail(store, job, failure, again=not isinstance(error, InputError))
        except Exception as error:
            store.note(job.id, "".join(traceback.format_exception(error)), "traceback")
            failure = Failure(
                f"Something went wrong that should not: {type(error).__name__}: {error}",
                "This is a defect of ours.",
                f"`orchestrator queue log {job.id}` has what a bug report needs.",
            )
            self._fail(store, job, failure, again=True)
        else:
            for kind, units, seconds in result.pop("timings", ()):
                store.timing(Timing(kind, units, seconds))
            store.finish(job.id, self._id, result)
        finally:
            self._control = None
        self._tell_end(store, job)

    def _put_back(self, store: Store, job: Job, control: Control, words: str) -> None:
        states: dict[str, State] = {"cancel": "cancelled", "pause": "paused"}
        why = control.why
        if why == "pause" and store.asked(job.id, self._id) == "":
            why, words = "", "it was resumed while it left off"
        store.put_back(job.id, self._id, words, state=states.get(why, "waiting"))

    def _fail(self, store: Store, job: Job, failure: Failure, *, again: bool) -> None:
        retry_at = self.clock() + scheduling.backoff_s(job.failures + 1) if again and job.retries > 0 else None
        store.fail(job.id, self._id, failure, retry_at=retry_at)

    def _tell_end(self, store: Store, job: Job) -> None:
        ended = store.job(job.id)
        self.had.append(ended)
        self.say(
            f"{job.id} {job.title}: {ended.state}" + (f" ({ended.why})" if ended.why not in {"", ended.state} else "")
        )
        self.on_end(ended)
