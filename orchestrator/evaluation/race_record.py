"""How a race went, as the verdict keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.evaluation.observations import CellId


@dataclass(frozen=True)
class Look:
    """One look: how many cells were looked at on how many seeds, and which of them left."""

    seeds: int
    cells: int
    pictures: int
    left: tuple[CellId, ...]


@dataclass(frozen=True)
class Race:
    """How a race went. `pictures` counts all that were asked for, from the cache or not."""

    looks: tuple[Look, ...]
    pictures: int
    budget: int
    #: Cells that were not followed further because the budget did not allow it, though they may still be best.
    set_aside: tuple[CellId, ...]
    finalists: tuple[CellId, ...]
    fresh: tuple[int, ...]
    #: Whether the leader was shown on the fresh seeds to be above each of the other finalists.
    confirmed: bool
    #: Why there was no confirmation; empty = there was one.
    unconfirmed: str = ""
    #: How far below the leader a finalist had to lie on the fresh seeds.
    margin: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Race:
        """The inverse of `to_dict`. Raises KeyError or TypeError for anything else."""
        cells = {name: tuple(map(CellId.from_dict, data[name])) for name in ("set_aside", "finalists")}
        looks = tuple(Look(**{**look, "left": tuple(map(CellId.from_dict, look["left"]))}) for look in data["looks"])
        return cls(**{**data, **cells, "looks": looks, "fresh": tuple(data["fresh"])})
