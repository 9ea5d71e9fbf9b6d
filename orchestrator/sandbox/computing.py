"""When something really computed on the simulated card: one file that server and trainers append to.

Whoever wants to know whether two of them ever did at once need not believe what anybody says of leases.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

#: Environment variable that names the file; nothing is written without it.
CARD_LOG = "ORCHESTRATOR_SANDBOX_CARD_LOG"


def note(who: str, began: float | None = None) -> float:
    """Append that `who` (server, trainer) computed from `began` (seconds since 1970) until now, or that it begins
    now. Returns now.
    """
    now = time.time()
    if named := os.environ.get(CARD_LOG):
        line = json.dumps({"who": who, "pid": os.getpid(), "began": now if began is None else began, "ended": now})
        # One write: lines of several processes do not mix.
        with Path(named).open("ab", buffering=0) as file:
            file.write(f"{line}\n".encode())
    return now
