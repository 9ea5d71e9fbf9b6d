"""Definitions and what there is to plan them from, without a server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.grid.cells import Cell, Grid
from orchestrator.grid.definition import AskedAxis, Definition, Subject, asked
from orchestrator.grid.planning import plan
from orchestrator.grid.reading import read
from orchestrator.grid.stock import Stock
from orchestrator.render.recipe import LoraUse, Recipe

SUBJECT = Subject("miku", "v2", "{name}_{version}")


def use(name: str) -> LoraUse:
    """A LoRA file that is told apart by its name."""
    return LoraUse(name, f"sha of {name}", "0" * 12, 1.0)


def stock(epochs: Iterable[int] = (10, 20, 30), **more: object) -> Stock:
    """A run of v2, and three LoRA files a, b, c."""
    values = {
        "base": Recipe(prompt="", checkpoint_hash="base"),
        "sampler": lambda sampler, scheduler: (sampler, scheduler),
        "runs": {"v2": {epoch: use(f"v2-{epoch}") for epoch in epochs}},
        "loras": {name: use(name) for name in "abc"},
        **more,
    }
    return Stock(**values)  # type: ignore[arg-type]


def defined(*axes: tuple[str, str | Sequence[object]], **more: object) -> Definition:
    """A definition with these axes, each as (kind, values)."""
    read_axes = tuple(asked(kind, values if isinstance(values, str) else tuple(values)) for kind, values in axes)  # type: ignore[arg-type]
    values = {"name": "face", "prompt": "{trigger}, close-up", "subject": SUBJECT, **more}
    return Definition(axes=read_axes, **values)  # type: ignore[arg-type]


def planned(*axes: tuple[str, str | Sequence[object]], of: Stock | None = None, **more: object) -> Grid:
    """The planned grid."""
    return plan(read(defined(*axes, **more)), of or stock())


def at(grid: Grid, **values: str | None) -> Cell:
    """The cell with these values by axis name; every axis must be named unless it has one value."""
    place = tuple(
        None if (value := values.get(axis.name.replace(" ", "_"), axis.values[0])) is None else axis.values.index(value)
        for axis in grid.axes
    )
    return grid.cell(place)


__all__ = ["SUBJECT", "AskedAxis", "at", "defined", "planned", "stock", "use"]
