"""What a grid costs, before it is drawn: cells, cached ones, time from this machine's own history, loads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.grid.cells import Grid
from orchestrator.grid.order import Loads, drawing_order, loads
from orchestrator.pictures.price import duration, time_for
from orchestrator.render.cache import PictureCache

#: Letters of an axis' values in the table.
_SHOWN = 60


@dataclass(frozen=True)
class GridPrice:
    """`cells` in all, `left_out` of them by rule; `pictures` without those that are the same, `cached` of them there.

    `loads` are those the missing pictures need; `seconds` their time, None where pictures like them were never timed
    here.
    """

    name: str
    cells: int
    left_out: int
    pictures: int
    cached: int
    loads: Loads
    seconds: float | None
    axes: tuple[tuple[str, str, int, str], ...]
    baseline: int

    @property
    def to_draw(self) -> int:
        """How many pictures would be drawn."""
        return self.pictures - self.cached

    def __str__(self) -> str:
        words = [f"{self.cells:,} cells" if self.cells != 1 else "1 cell"]
        words += [f"{self.left_out:,} left out"] if self.left_out else []
        words += [f"{self.cached:,} of {self.pictures:,} pictures already made"]
        if not self.to_draw:
            return ", ".join(words)
        words.append(f"{self.to_draw:,} to draw")
        words.append(_many(self.loads.loras, "LoRA load"))
        words += [_many(self.loads.checkpoints, "checkpoint load")] if self.loads.checkpoints > 1 else []
        words += [_many(self.loads.vaes, "VAE load")] if self.loads.vaes else []
        words.append("time not known here yet" if self.seconds is None else duration(self.seconds))
        return ", ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "grid": self.name,
            "cells": self.cells,
            "left_out": self.left_out,
            "baseline": self.baseline,
            "pictures": self.pictures,
            "cached": self.cached,
            "to_draw": self.to_draw,
            "seconds": self.seconds,
            "loads": self.loads._asdict(),
            "axes": [{"axis": n, "lies": lies, "values": count, "are": are} for n, lies, count, are in self.axes],
        }


def price(grid: Grid, cache: PictureCache) -> GridPrice:
    """What drawing `grid` costs now."""
    order = drawing_order(grid)
    missing = [recipe for recipe in order if not cache.has(recipe.key)]
    return GridPrice(
        name=grid.name,
        cells=len(grid.cells),
        left_out=sum(cell.recipe is None for cell in grid.cells),
        pictures=len(order),
        cached=len(order) - len(missing),
        loads=loads(missing),
        seconds=time_for(missing, cache),
        axes=tuple(_axes(grid)),
        baseline=sum(cell.is_baseline for cell in grid.cells),
    )


def total_seconds(prices: Iterable[GridPrice]) -> float | None:
    """The time of several grids together; None when that of one is not known."""
    times = [one.seconds for one in prices if one.to_draw]
    return None if None in times else sum(seconds for seconds in times if seconds is not None)


def _axes(grid: Grid) -> Iterable[tuple[str, str, int, str]]:
    for index, axis in enumerate(grid.axes):
        lies = "across" if index == grid.x else "down" if index == grid.y else "pages" if len(axis.values) > 1 else "-"
        yield axis.name, lies, len(axis.values), _listed(axis.values)


def _listed(values: Sequence[str]) -> str:
    """`10, 20, … 80`: as many from both ends as the table has room for."""
    texts = [" ".join(value.split()) or "(nothing)" for value in values]
    whole = ", ".join(texts)
    if len(whole) <= _SHOWN or len(texts) < 4:
        return whole if len(whole) <= 2 * _SHOWN else whole[: 2 * _SHOWN - 1] + "…"
    return f"{texts[0][:20]}, {texts[1][:20]}, … {texts[-1][:20]}"


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
