"""How one API route is described, and what a handler gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .dialects import Name
from .engine import Engine
from .life import Client
from .turns import Turn


@dataclass(frozen=True)
class Call:
    """One request, its body read. `turn` is its place in the queue if the route takes one."""

    engine: Engine
    fields: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    turn: Turn | None = None
    fault: str | None = None
    """The kind of fault that strikes this request."""
    client: Client | None = None

    @property
    def place(self) -> Turn:
        """The place in the queue of a route that takes one."""
        if self.turn is None:
            raise RuntimeError("this route was declared without a place in the queue")
        return self.turn


NOT_CLASSIC: frozenset[Name] = frozenset({"a1111", "forge", "reforge"})
Handler = Callable[[Call], Any]


@dataclass(frozen=True)
class Route:
    """`handler` returns a JSON value, bytes that already are JSON, or a finished response."""

    method: str
    path: str
    handler: Handler
    request: str | None = None
    """Name of the request schema; "" takes any JSON object."""
    response: str | None = None
    """Name of the response schema; "[Name]" is a list of it."""
    login: bool = True
    queued: bool = False
    """Runs in a thread with a place in the queue, taken on arrival."""
    draws: bool = False
    """Faults strike here."""
    threaded: bool = False
    """Runs in a thread outside the queue."""
    page: bool = False
    """Exists only with the web page on."""
    only: frozenset[Name] | None = None
    """Dialects that have it; None for all."""
    own: bool = True
    """Part of the web UI itself, not of an extension."""
