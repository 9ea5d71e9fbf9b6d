"""Time on the simulated graphics card: what the job holding the queue still has to wait for."""

from __future__ import annotations

import time
from collections.abc import Callable

from PIL import Image

from ..computing import note
from .failures import Died
from .settings import Settings
from .state import State


class Card:
    """Counts from the moment the queue was got, so whatever the processor did meanwhile is part of the card's time."""

    def __init__(self, settings: Settings, state: State) -> None:
        self._settings = settings
        self._state = state
        self._free_since = time.monotonic()
        self._owed = 0.0
        self.halfway: Callable[[], None] | None = None
        """Called once, in the middle of the next batch: an interrupt, an error, the end of the process."""

    def take(self) -> None:
        """Call first after getting the queue."""
        self._free_since, self._owed = time.monotonic(), 0.0

    def owe(self, seconds: float) -> None:
        """Something besides sampling takes time: loading a file, changing a weight."""
        self._owed += seconds

    def settle(self) -> None:
        """Wait for what is owed without sampling."""
        self._state.rest(self._owed)
        self.take()

    def sample(self, steps: int, pictures: list[Image.Image]) -> float:
        """Hold the card for this batch; the share of it done, below 1.0 only after interrupt or skip.

        Raises Died when the server ended meanwhile.
        """
        began = note("server")
        seconds = self._settings.gpu_seconds(steps, len(pictures)) + self._owed
        what, self.halfway = self.halfway, None
        share = self._state.sample(steps, seconds if what is None else seconds / 2, self._free_since, pictures[0])
        note("server", began)
        self.take()
        if what is not None:
            what()
            if self._state.closed:
                raise Died
            share = 0.5
        return share
