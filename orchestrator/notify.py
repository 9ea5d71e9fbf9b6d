"""Telling a person who is asleep, or elsewhere: desktop, mail, Discord, ntfy, a webhook and a hundred more, by apprise.

An address often is a secret itself (whoever has a Discord webhook may write there): it is shown without what is secret
in it, and never logged. A wrong one is told by the doctor and ends nothing.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

#: How long a message may take; a dead network must not hold the night up.
_WITHIN_S = 30.0
_VARIABLE = re.compile(r"\$\{(\w+)\}")

Kind = Literal["info", "success", "warning", "failure"]


@dataclass(frozen=True)
class Wrong:
    """An address that cannot be used, as it may be shown, and why."""

    address: str
    why: str


def send(
    addresses: Sequence[str], title: str, body: str, kind: Kind = "info", *, within_s: float = _WITHIN_S
) -> list[Wrong]:
    """Send a message to every address; those it did not reach. Raises nothing and returns within `within_s` seconds."""
    failed: list[Wrong] = []
    threads = []
    for number, address in enumerate(addresses, start=1):
        outcome: list[str] = []
        thread = threading.Thread(
            target=_send_one, args=(address, title, body, kind, outcome), name="notify", daemon=True
        )
        thread.start()
        threads.append((number, address, thread, outcome))
    for number, address, thread, outcome in threads:
        thread.join(within_s)
        if thread.is_alive():
            failed.append(Wrong(shown(address, number), f"no answer within {within_s:.0f} s"))
        elif outcome:
            failed.append(Wrong(shown(address, number), outcome[0]))
    return failed


def check(addresses: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[Wrong]:
    """The addresses that cannot be used; nothing is sent."""
    wrong = []
    for number, address in enumerate(addresses, start=1):
        if why := _why_wrong(address, environment):
            wrong.append(Wrong(shown(address, number), why))
    return wrong


def shown(address: str, number: int = 1) -> str:
    """An address as it may be shown: its kind alone."""
    scheme, colon, _ = address.partition("://")
    return f"{scheme}://… (the {number}. of notify)" if colon and scheme.isalnum() else f"the {number}. of notify"


def _why_wrong(address: str, environment: Mapping[str, str]) -> str:
    missing = [name for name in _VARIABLE.findall(address) if name not in environment]
    if missing:
        return f"there is no environment variable {', '.join(missing)}"
    import apprise

    _silence()
    made = apprise.Apprise.instantiate(_filled(address, environment), suppress_exceptions=True)
    if made is None:
        return "apprise does not know such an address, or a part of it is missing"
    return "" if made.enabled else "what it needs is not installed on this machine"


def _send_one(address: str, title: str, body: str, kind: Kind, outcome: list[str]) -> None:
    try:
        if why := _why_wrong(address, os.environ):
            outcome.append(why)
            return
        import apprise

        sender = apprise.Apprise()
        sender.add(_filled(address, os.environ))
        if not sender.notify(body=body, title=title, notify_type=apprise.NotifyType(kind)):
            outcome.append("it was not taken (address, token or network)")
    except Exception as error:
        # Whatever a plugin does wrong; its text may hold the address.
        outcome.append(f"it failed ({type(error).__name__})")


def _filled(address: str, environment: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: environment[match[1]], address)


def _silence() -> None:
    # apprise logs addresses it cannot use, secrets included.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
