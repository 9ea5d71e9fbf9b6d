"""The kinds of jobs there are."""

from __future__ import annotations

from typing import Literal

Kind = Literal["pictures", "train", "deploy", "grid", "scout", "evaluate", "report"]
#: Those that draw on A1111.
DRAWING: frozenset[str] = frozenset({"pictures", "grid", "scout", "evaluate"})
