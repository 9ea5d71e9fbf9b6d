"""Which server draws what next: each stays with the LoRA files it has loaded for as long as there is work for them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from orchestrator.render.orders import Order


class Dispatcher:
    """Hands out orders to the workers of several servers. Safe to use from their threads."""

    def __init__(self, orders: Sequence[Order]) -> None:
        self._ready = threading.Condition()
        self._waiting: dict[tuple[str, ...], deque[Order]] = {}
        for order in orders:
            self._waiting.setdefault(order.files, deque()).append(order)
        self._at: dict[int, tuple[str, ...]] = {}
        self._out = 0
        self._stopped = False

    def next(self, host: int, wait_s: float = 0.5) -> Order | None:
        """The next order for that server; None when there is none within `wait_s` (others may still give theirs back:
        see `finished`).
        """
        with self._ready:
            order = None if self._stopped else self._take(host)
            if order is None and not self._stopped and self._out:
                self._ready.wait(wait_s)
                order = None if self._stopped else self._take(host)
            if order is not None:
                self._out += 1
            return order

    def finished(self) -> bool:
        """Whether every order is done, or no more are handed out."""
        with self._ready:
            return self._stopped or not (self._waiting or self._out)

    def done(self) -> None:
        """An order that was handed out is finished, well or not."""
        with self._ready:
            self._out -= 1
            self._ready.notify_all()

    def give_back(self, order: Order) -> None:
        """An order that was handed out could not be drawn where it was: it is next."""
        with self._ready:
            self._out -= 1
            self._waiting.setdefault(order.files, deque()).appendleft(order)
            self._ready.notify_all()

    def out(self) -> int:
        """How many orders are handed out and not done."""
        with self._ready:
            return self._out

    def left(self) -> bool:
        """Whether there are orders that nobody has."""
        with self._ready:
            return bool(self._waiting)

    def stop(self) -> None:
        """Hand out no more."""
        with self._ready:
            self._stopped = True
            self._ready.notify_all()

    def _take(self, host: int) -> Order | None:
        files = self._at.get(host)
        if files is None or files not in self._waiting:
            others = set(self._at.values())
            unclaimed = [key for key in self._waiting if key not in others]
            # In their order while there are any that nobody draws; after that, help with the longest.
            files = (
                unclaimed[0] if unclaimed else max(self._waiting, key=lambda key: len(self._waiting[key]), default=None)
            )
            if files is None:
                self._at.pop(host, None)
                return None
            self._at[host] = files
        queue = self._waiting[files]
        order = queue.popleft()
        if not queue:
            del self._waiting[files]
        return order
