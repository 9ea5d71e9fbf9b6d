"""Waiting for a server that went away, without being the end of it when it comes back.

A1111 with its page on opens its port a second or two before its API is there, and an HTTP request in between can end
it, or on reForge leave it without an API for ever (observed). So its port is tried first, and nothing is asked for a
while after it opened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.a1111.client import A1111
from orchestrator.a1111.connection import port_is_open
from orchestrator.errors import AnswerLost, OrchestratorError, ServerError, ServerStarting, ServerUnreachable
from orchestrator.render.patience import Patience

Answer = TypeVar("Answer")
Say = Callable[[str], None]


def wait_until_back(
    client: A1111, patience: Patience, stop: threading.Event, say: Say, revive: Callable[[], None] | None = None
) -> bool:
    """Whether the server is there again; `revive` starts it when nothing listens any more. Raises nothing."""
    url = client.url
    since = time.monotonic()
    # It may have come back already, a moment ago.
    said, was_shut = False, True
    starting_since: float | None = None
    while not stop.is_set():
        if not port_is_open(url):
            was_shut, starting_since = True, None
            if revive is not None:
                return _revive(url, revive, say)
        else:
            if was_shut:
                stop.wait(patience.settle_s)
                was_shut = False
            try:
                client.progress()
                if said:
                    say(f"{url} is back")
                return True
            except ServerStarting:
                starting_since = starting_since or time.monotonic()
                if time.monotonic() - starting_since > patience.starting_s:
                    say(f"{url} answers, but its API does not come: restart it")
                    return False
            except (ServerUnreachable, ServerError):
                pass
            except OrchestratorError:
                return False
        if time.monotonic() - since > patience.away_s:
            return False
        if not said:
            said = True
            say(f"{url} does not answer any more; waiting up to {patience.away_s / 60:.0f} min for it")
        stop.wait(patience.look_s)
    return False


def persist(
    client: A1111, ask: Callable[[], Answer], patience: Patience, say: Say | None = None, *, waits: bool = True
) -> Answer:
    """The answer to a request outside of the drawing itself (a probe), asked again after an error or a lost answer.

    With `waits`, a server that is gone is waited for. Raises the last error when it stays away or goes on failing.
    """
    never = threading.Event()
    for failures in range(1, patience.tries + patience.lost):
        try:
            return ask()
        except ServerError as error:
            if error.status < 500 or failures >= patience.tries:
                raise
            time.sleep(patience.pause(failures))
        except ServerUnreachable as error:
            lost = isinstance(error, AnswerLost)
            if not lost and not waits:
                raise
            if waits and not wait_until_back(client, patience, never, say or (lambda sentence: None)):
                raise
            if not waits:
                time.sleep(patience.pause(failures))
    return ask()


def _revive(url: str, revive: Callable[[], None], say: Say) -> bool:
    say(f"{url} is gone; it is started again")
    try:
        revive()
    except OrchestratorError as error:
        say(str(error))
        return False
    return True
