"""home/drawn.jsonl: what was really drawn, whatever the clients were told. For tests, and for whoever wonders."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

NAME = "drawn.jsonl"


class Ledger:
    """One JSON line per drawing job as it ends, flushed at once so that another process can read it.

    Keys: `task`, `kind` (txt2img, img2img), `seed` (of the first picture; as asked when nothing was drawn), `prompt`,
    `width`, `height`, `steps`, `batch_size`, `fault` (kind or null), `pictures` (how many were sampled),
    `status` (HTTP status, null without an answer), `answered` (the whole answer is about to be sent to a client that
    is still there).
    """

    def __init__(self, home: Path) -> None:
        self._path = home / NAME
        self._lock = threading.Lock()

    def write(self, entry: dict[str, Any]) -> None:
        """Append one line."""
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        with self._lock, self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(line)
