"""Ids of the requests under way: what POST /internal/progress and GET /internal/pending-tasks can see."""

from __future__ import annotations

import random
import string
import threading

_REMEMBERED = 16


class Tasks:
    """A request that fails never becomes completed, and one that fails before it starts stays pending for
    ever: so does the real one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[str] = []
        self._finished: list[str] = []
        self._names = random.Random()
        self.current: str | None = None

    def queue(self, name: str | None, kind: str) -> str:
        """Enter the queue under the client's name, or a made-up one."""
        letters = self._names.choices(string.ascii_uppercase + string.digits, k=7)
        task = name or f"task({kind}-{''.join(letters)})"
        with self._lock:
            if task not in self._pending:
                self._pending.append(task)
        return task

    def start(self, task: str) -> None:
        """It runs now."""
        with self._lock:
            self.current = task
            if task in self._pending:
                self._pending.remove(task)

    def finish(self, task: str) -> None:
        """It ended well."""
        with self._lock:
            if self.current == task:
                self.current = None
            self._finished = [*self._finished, task][-_REMEMBERED:]

    def pending(self) -> list[str]:
        """Ids in queue order."""
        with self._lock:
            return list(self._pending)

    def completed(self, task: str | None) -> bool:
        """Whether it is among the last 16 that ended well."""
        with self._lock:
            return task in self._finished
