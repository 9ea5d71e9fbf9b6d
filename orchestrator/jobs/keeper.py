"""The keeper: a small process that waits for the next job and starts the one that works.

Working takes libraries and memory, and may be ended by what it works on. So it is done by a child that ends when
nothing is due; the keeper stays small, and starts the next one at once when a child died in the middle.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.jobs.store import Store
from orchestrator.jobs.worker import IDLE_S, look, with_dead_workers

#: The pause before a child that died at once is started again; it doubles up to the second number.
_FIRST_PAUSE_S = 1.0
_MOST_PAUSE_S = 5.0
#: A child that lived so long did not die of its start.
_LIVED_S = 10.0
#: A ledger that cannot be used for the moment (full disk) is looked at again after so long.
_TROUBLE_S = 15.0


@dataclass
class Keeper:
    """`command` starts a worker that ends when nothing is due (exit code 0)."""

    path: Path
    command: Sequence[str]
    say: Callable[[str], object] = str
    clock: Callable[[], float] = time.time
    child: subprocess.Popen[bytes] | None = None
    _ending: threading.Event = field(default_factory=threading.Event)

    def end(self) -> None:
        """End, and let the child leave off at the next good place. For signal handlers."""
        self._ending.set()
        if self.child is not None:
            self.child.terminate()

    def run(self) -> None:
        """Keep until `end` is called. Ctrl-C and SIGTERM reach the child by themselves or through `end`."""
        pause = 0.0
        while not self._ending.is_set():
            try:
                self._wait_for_work()
            except OrchestratorError as error:
                self.say(str(error))
                self._ending.wait(_TROUBLE_S)
                continue
            if self._ending.is_set():
                return
            started = time.monotonic()
            code = self._work()
            if code == 0:
                pause = 0.0
                continue
            if self._ending.is_set():
                return
            pause = 0.0 if time.monotonic() - started > _LIVED_S else min(max(pause * 2, _FIRST_PAUSE_S), _MOST_PAUSE_S)
            self.say(f"The worker ended (exit code {code}); the next one is started.")
            self._ending.wait(pause)

    def _wait_for_work(self) -> None:
        seen = -1
        wake_at: float | None = 0.0
        with Store(self.path, clock=self.clock) as store:
            while not self._ending.is_set():
                now = self.clock()
                if store.changes != seen or (wake_at is not None and now >= wake_at):
                    seen = store.changes
                    if with_dead_workers(store):
                        return  # what becomes of them is a worker's to decide, and to tell
                    choice = look(store, now)
                    if choice.job is not None and not store.fact("paused"):
                        return
                    wake_at = min(filter(None, (choice.wake_at, now + 5.0)))
                self._ending.wait(IDLE_S)

    def _work(self) -> int:
        self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        try:
            while True:
                try:
                    return self.child.wait(timeout=0.5)  # with a timeout: Windows lets no Ctrl-C through otherwise
                except subprocess.TimeoutExpired:
                    continue
        finally:
            self.child = None


def working_command(*options: str) -> list[str]:
    """What starts a worker that ends when nothing is due."""
    return [sys.executable, "-m", "orchestrator", "queue", "work", "--until-idle", *options]
