"""Lists and tables of the 1.10.1 server, read once from the JSON files beside this module."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

VERSION = "v1.10.1"


@cache
def table(name: str) -> Any:
    """The content of `data/NAME.json`. Shared between callers: copy before changing it."""
    return json.loads(resources.files(__package__).joinpath("data", f"{name}.json").read_text(encoding="utf-8"))
