"""Which faults a server plays, and whether one strikes: decided by what is asked, never by when it arrives."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS: dict[str, str] = {
    "proxy": "502 with a proxy's HTML page, nothing drawn",
    "drop": "the connection is closed before anything is drawn",
    "hang": "never taken into the queue; the connection stays open and silent",
    "restart": "the server dies in the middle, refuses its port for a while, comes back having forgotten everything",
    "oom": "500 OutOfMemoryError in the middle",
    "500": "500 RuntimeError in the middle",
    "nan": "500 NansException; on the forks a black picture with 200",
    "disk-full": "drawn, then 500 OSError: no space left on device",
    "black": "200 with an all-black picture",
    "interrupted": "somebody presses Interrupt in the middle: 200, half-denoised, no sign in the answer",
    "wrong-lora": "the LoRAs are silently not used, and absent from Lora hashes",
    "unknown-checkpoint": "drawn with another checkpoint, and the answer says so",
    "reset": "drawn, then the connection is reset without an answer",
    "mute": "drawn to the end, the answer is never sent, the connection stays open",
    "truncated": "drawn; Content-Length is whole, the body is cut in the middle",
    "slow": "the answer is sent late",
}
"""Kind -> what happens. When several strike at once, the first of this table does."""

_ONE = re.compile(r"^(?P<kind>[a-z0-9-]+?)(?:=(?P<share>\d*\.?\d+))?(?:x(?P<times>\d+))?$")
_UNNAMED = ("force_task_id",)


@dataclass(frozen=True)
class Fault:
    """One kind, how likely it strikes (0 … 1), and only while the same payload was asked fewer than `times` before."""

    kind: str
    share: float = 1.0
    times: int | None = None


def parse(text: str) -> tuple[Fault, ...]:
    """`reset=0.05,oom=0.02x1,black` -> the faults. Without a share a kind always strikes; `x1` spares the second try.

    Raises:
        ValueError: an unknown kind (the message lists all), a share outside 0 … 1, or text of another form.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        read = _ONE.match(part)
        if read is None or read["kind"] not in KINDS:
            name = part.split("=")[0]
            raise ValueError(f"there is no fault '{name}'. KIND[=SHARE][xTIMES], kinds: {', '.join(KINDS)}")
        share = float(read["share"] or 1.0)
        if share > 1.0:
            raise ValueError(f"the share of '{read['kind']}' must be between 0 and 1, not {share:g}")
        found.append(Fault(read["kind"], share, int(read["times"]) if read["times"] else None))
    return tuple(sorted(found, key=lambda fault: list(KINDS).index(fault.kind)))


def identity(body: Mapping[str, Any]) -> str:
    """Digest of everything asked (prompt, seed, size, settings …) but the name the client gave to its request."""
    asked = {key: value for key, value in body.items() if key not in _UNNAMED}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


class Faults:
    """Counts how often each payload was asked. Outlives a restart of the server, or a fault would strike for ever."""

    def __init__(self, text: str, seed: int) -> None:
        self._faults = parse(text)
        self._seed = seed
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def strikes(self, body: Mapping[str, Any]) -> str | None:
        """The kind that strikes this request, if any. The same payload asked the k-th time always meets the same."""
        if not self._faults:
            return None
        name = identity(body)
        with self._lock:
            before = self._asked[name]
            self._asked[name] += 1
        for fault in self._faults:
            spared = fault.times is not None and before >= fault.times
            if not spared and _chance(self._seed, fault.kind, name, before) < fault.share:
                return fault.kind
        return None


def _chance(*parts: object) -> float:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
