"""Measuring faces while the card is busy: drawing and tagging need the server, faces need only this machine."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.render.engine import Picture

#: Pictures measured in one go: enough to be worth starting the measuring processes for, few enough to stop soon.
BATCH = 32


@contextlib.contextmanager
def measured_meanwhile(measure: Callable[[Sequence[Path]], Any]) -> Iterator[Callable[[Picture], None]]:
    """Gives a function to call with every picture that arrives; `measure` is called with them on a thread of its own.

    What `measure` returns is not used: it keeps its results in its cache, where whoever asks later finds them. On
    leaving, the batch being measured is waited for and the rest is left to be measured when it is asked for.
    """
    arrived: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
    leaving = threading.Event()

    def work() -> None:
        while (first := arrived.get()) is not None and not leaving.is_set():
            batch = [first, *_at_hand(arrived)]
            try:
                measure(batch)
            except OrchestratorError:
                # The same error meets whoever asks for these measurements, who can say it to somebody.
                return

    thread = threading.Thread(target=work, name="measure meanwhile", daemon=True)
    thread.start()
    try:
        yield lambda picture: None if picture.error else arrived.put(picture.path)
    finally:
        leaving.set()
        arrived.put(None)
        thread.join()


def _at_hand(arrived: queue.SimpleQueue[Path | None]) -> list[Path]:
    more: list[Path] = []
    with contextlib.suppress(queue.Empty):
        while len(more) < BATCH - 1:
            path = arrived.get_nowait()
            if path is None:
                # Put back for the loop: it ends the thread.
                arrived.put(None)
                break
            more.append(path)
    return more
