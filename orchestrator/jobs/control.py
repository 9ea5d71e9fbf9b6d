"""What a running job is told, and what it tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from orchestrator.errors import OrchestratorError
from orchestrator.jobs import windows
from orchestrator.jobs.model import Job, Progress
from orchestrator.jobs.store import Store

#: How often a worker looks what is asked of its job, and writes down how far it is.
LOOK_S = 0.5
#: How often it says that it is alive.
BEAT_S = 5.0

#: Why a job is to stop: its window is over, somebody asked, or it was given to another worker.
Why = Literal["", "window", "pause", "stop", "cancel", "lost"]
#: These do not wait for the next saved epoch or cell.
AT_ONCE: frozenset[Why] = frozenset({"cancel", "lost"})
WORDS: dict[Why, str] = {
    "": "",
    "window": "its window is over; it goes on in the next one",
    "pause": "paused",
    "stop": "the worker was told to stop",
    "cancel": "cancelled",
    "lost": "another worker has it",
}


class Interrupted(Exception):
    """The job left off at a good place because it was told to."""


class CardBusy(Exception):
    """Somebody else uses the graphics card: the job is tried again after `again_s` seconds, and nothing is counted."""

    def __init__(self, why: str, again_s: float = 60.0) -> None:
        self.why = why
        self.again_s = again_s
        super().__init__(why)


class Control:
    """Between a job and its worker. A thread of its own looks at the ledger twice a second, so that a job that is
    silent for an hour is still alive, and still hears.

    `interrupt` makes the main thread raise `KeyboardInterrupt`; it is called only between `__enter__` and `__exit__`.
    """

    def __init__(
        self,
        job: Job,
        worker: str,
        open_store: Callable[[], Store],
        *,
        interrupt: Callable[[], None],
        alarm: Callable[[Job, str], object] = lambda job, text: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.job = job
        self._worker = worker
        self._open_store = open_store
        self._interrupt = interrupt
        self._alarm = alarm
        self._clock = clock
        self._spans = windows.parse(job.window)
        self._lock = threading.Lock()
        self._armed = False
        self._over = threading.Event()
        self._progress: Progress | None = None
        self._said: list[tuple[str, str]] = []
        self._why: Why = ""
        self._thread = threading.Thread(target=self._look, name=f"job {job.id}", daemon=True)

    def __enter__(self) -> Control:
        self._armed = True
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with self._lock:
                self._armed = False
        finally:
            # An interrupt that was on its way arrives while the lock is waited for.
            self._over.set()
            self._thread.join()

    @property
    def why(self) -> Why:
        """Why the job is to stop; empty = it goes on."""
        return self._why

    def stop(self) -> None:
        """The worker is to end: leave off at the next good place."""
        self._why = self._why or "stop"

    def check(self) -> None:
        """Call it where the job may leave off without loss. Raises `Interrupted` when it is to stop."""
        if self._why:
            raise Interrupted(WORDS[self._why])

    def report(self, what: str, done: int, total: int, left_s: float | None = None, detail: str = "") -> None:
        """How far the job is. Cheap: written down twice a second at most."""
        self._progress = Progress(what, done, total, detail, left_s)

    def say(self, text: str, kind: str = "note") -> None:
        """A line for the job's log."""
        with self._lock:
            self._said.append((kind, text))

    def _look(self) -> None:
        beat_at = 0.0
        store: Store | None = None
        while True:
            over = self._over.wait(LOOK_S)
            try:
                store = store or self._open_store()
                self._write(store)
                if over:
                    break
                if (now := time.monotonic()) - beat_at >= BEAT_S:
                    store.beat(self._worker)
                    beat_at = now
                self._hear(store)
            except OrchestratorError:
                # A ledger that is full or held for a moment: the job is worth more than a line about it.
                if over:
                    break
        if store is not None:
            store.close()

    def _write(self, store: Store) -> None:
        with self._lock:
            said, self._said = self._said, []
        for kind, text in said:
            store.note(self.job.id, text, kind)
            if kind == "stalled":
                self._alarm(self.job, text)
        progress, self._progress = self._progress, None
        if progress is not None:
            store.progress(self.job.id, progress)

    def _hear(self, store: Store) -> None:
        asked = store.asked(self.job.id, self._worker)
        why: Why = "lost" if asked is None else asked
        if not why and not windows.is_open(self._spans, self._clock()):
            why = "window"
        if self._why in AT_ONCE:
            return
        if not why:
            # It was resumed, or its window is longer by now, before it came to a place to leave off at.
            if self._why in {"pause", "window"}:
                self._why = ""
            return
        self._why = why
        if why in AT_ONCE:
            with self._lock:
                if self._armed:
                    self._interrupt()
