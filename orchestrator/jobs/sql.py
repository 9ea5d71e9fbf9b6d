"""queries.sql as a table of statements by name."""

from __future__ import annotations

import functools
import re
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@functools.cache
def queries() -> dict[str, str]:
    """Every statement of queries.sql, by name."""
    text = (Path(__file__).parent / "queries.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
