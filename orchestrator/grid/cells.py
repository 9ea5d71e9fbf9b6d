"""The planned grid: its axes and every cell with its recipe. `orchestrator.grid.planning` makes it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from orchestrator.grid.manifest import At, Axis
from orchestrator.render.recipe import LoraUse, Recipe

#: Makes the recipe of one picture: prompt, seed, LoRA files (none for the baseline).
MakeRecipe = Callable[[str, int, tuple[LoraUse, ...]], Recipe]

#: Letters of a file name's words; with folder and ending they stay below what Windows takes.
_WORDS = 72


class TrainedFile(Protocol):
    """The LoRA file behind a deployed one."""

    @property
    def epoch(self) -> int:
        """The epoch it was saved after."""

    @property
    def sha256(self) -> str:
        """Of the file's bytes."""


class DeployedLora(Protocol):
    """A LoRA file that A1111 lists, as `orchestrator.lora` deploys it."""

    @property
    def lora(self) -> TrainedFile:
        """What was deployed."""

    @property
    def stem(self) -> str:
        """The name that goes into the prompt's tag."""

    @property
    def shown_hash(self) -> str:
        """The hash A1111 prints for it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One place in a grid: an index for every axis; None on all LoRA axes at once is the baseline."""

    at: At
    #: The cell in words: `epoch 40, weight 0.8, seed 123456789`.
    label: str
    #: None where the cell is left out.
    recipe: Recipe | None
    #: Why the plan leaves it out; empty = it is drawn.
    left_out: str = ""

    @property
    def is_baseline(self) -> bool:
        """Whether it shows what is drawn without LoRA."""
        return None in self.at

    @property
    def stem(self) -> str:
        """A file name of its own within the grid, sorted as the grid is: `01-03-00 epoch 40, weight 0.8, seed 7`."""
        place = "-".join("no" if index is None else f"{index:02d}" for index in self.at)
        words = re.sub(r"[^\w.,+-]+", " ", unicodedata.normalize("NFC", self.label)).strip(" .")
        return f"{place} {words[:_WORDS].strip(' .')}".strip()


@dataclass(frozen=True)
class Grid:
    """The axes of a grid and all its cells: the baseline first, then the others, the last axis changing fastest.

    `x` and `y` are the indexes of the axes that lie across and down on a sheet, -1 = none; the others are pages.
    """

    name: str
    #: As `orchestrator.grid.definition.to_dict` writes it.
    definition: Mapping[str, Any]
    axes: tuple[Axis, ...]
    x: int
    y: int
    baseline: bool
    cells: tuple[Cell, ...]

    @cached_property
    def by_place(self) -> Mapping[At, Cell]:
        """Every cell by its place."""
        return {cell.at: cell for cell in self.cells}

    def cell(self, at: At) -> Cell:
        """The cell at that place. Raises KeyError."""
        return self.by_place[at]

    @property
    def recipes(self) -> list[Recipe]:
        """What has to be drawn, each recipe once, in the order of the cells (not the order of drawing)."""
        return list({cell.recipe.key: cell.recipe for cell in self.cells if cell.recipe is not None}.values())


def shared_recipe(grid: Grid) -> dict[str, Any]:
    """What the recipes of all cells of `grid` have in common."""
    drawn = [cell.recipe for cell in grid.cells if cell.recipe is not None]
    if not drawn:
        return {}
    first = drawn[0]
    return {
        name: value
        for name, value in first.to_dict().items()
        if all(getattr(recipe, name) == getattr(first, name) for recipe in drawn)
    }
