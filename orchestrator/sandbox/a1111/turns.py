"""The queue: one request at a time holds the graphics card, strictly in the order the requests arrived."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType

from .failures import Died


class Turn:
    """A place in the queue. `with turn:` waits until it is first and gives the card back at the end.

    Raises Died instead when the server ends meanwhile.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._first = threading.Event()

    def __enter__(self) -> None:
        self._first.wait()
        if self._queue.closed:
            raise Died

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.leave()

    def call(self) -> None:
        """It is this turn's turn."""
        self._first.set()

    def leave(self) -> None:
        """Give up the place, wherever it is in the queue. Doing it twice is harmless."""
        self._queue.remove(self)


class Queue:
    """Arrival order is fixed when `turn()` is called, not when a thread happens to be scheduled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: deque[Turn] = deque()
        self.closed = False

    def close(self) -> None:
        """The server ends: whoever waits is let go with Died."""
        with self._lock:
            self.closed = True
            for turn in self._turns:
                turn.call()

    def turn(self) -> Turn:
        """Take the last place."""
        turn = Turn(self)
        with self._lock:
            self._turns.append(turn)
            if self.closed or self._turns[0] is turn:
                turn.call()
        return turn

    def remove(self, turn: Turn) -> None:
        """Take a turn out; if it was first, the next one is called."""
        with self._lock:
            if turn in self._turns:
                was_first = self._turns[0] is turn
                self._turns.remove(turn)
                if was_first and self._turns:
                    self._turns[0].call()
