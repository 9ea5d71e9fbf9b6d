"""What is written beside the sheets: which cell shows which picture, drawn from which recipe.

What the cells' recipes share stands there once, and each cell holds only what it has of its own: ten thousand whole
recipes would be a file no browser opens. The proof of each picture lies beside it, as `.json` of the same name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import WorkspaceError
from orchestrator.files import read_json, write_json
from orchestrator.grid.cells import Grid

MANIFEST_NAME = "manifest.json"
#: Raised when a reader of an older manifest would misread a newer one.
FORMAT = 2

State = Literal["ready", "failed", "left out", "pending"]


@dataclass(frozen=True)
class Entry:
    """One cell as it stands on disk."""

    epoch: int | None
    weight: float | None
    seed: int
    label: str
    state: State
    #: Relative to the grid's folder; empty unless `state` is ready.
    picture: str = ""
    #: The recipe's key; empty where the cell is left out.
    key: str = ""
    #: Why it failed or was left out.
    reason: str = ""
    #: Whether the picture was there already.
    cached: bool = False
    #: What its recipe has that `Manifest.shared` does not say; None where the cell is left out. See `recipe_of`.
    recipe: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class SheetEntry:
    """One sheet: its file in the grid's folder and the seeds it shows."""

    file: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """A grid on disk. Everything in it is relative to its folder, so the folder can be moved or sent away."""

    name: str
    title: str
    simulated: bool
    prompt: str
    baseline_prompt: str
    trigger: str
    seeds: tuple[int, ...]
    epochs: tuple[int, ...]
    weights: tuple[float, ...]
    entries: tuple[Entry, ...]
    #: What the recipes of all cells have in common.
    shared: Mapping[str, Any]
    sheets: tuple[SheetEntry, ...] = ()
    #: Names what the sheets show; the same again means that they need not be drawn again.
    drawn: str = ""

    def count(self, state: State) -> int:
        """How many cells are in that state."""
        return sum(entry.state == state for entry in self.entries)

    def recipe_of(self, entry: Entry) -> dict[str, Any] | None:
        """The whole recipe of a cell, as `Recipe.to_dict` gives it; None where the cell is left out."""
        return None if entry.recipe is None else {**self.shared, **entry.recipe}

    @property
    def summary(self) -> str:
        """The grid in numbers: `80 of 82 pictures, 2 failed, 6 left out`. Never silently fewer than planned."""
        planned = len(self.entries) - self.count("left out")
        words = [f"{self.count('ready'):,} of {planned:,} pictures"]
        words += [f"{self.count('failed'):,} failed"] if self.count("failed") else []
        words += [f"{self.count('pending'):,} not made yet"] if self.count("pending") else []
        words += [f"{self.count('left out'):,} left out"] if self.count("left out") else []
        return ", ".join(words)


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


def from_grid(
    grid: Grid, entries: Sequence[Entry], shared: Mapping[str, Any], *, title: str, simulated: bool
) -> Manifest:
    """The manifest of `grid` with its cells as they stand; `shared` is `shared_recipe(grid)`."""
    return Manifest(
        name=grid.name,
        title=title,
        simulated=simulated,
        prompt=grid.prompt,
        baseline_prompt=grid.baseline_prompt,
        trigger=grid.trigger,
        seeds=grid.seeds,
        epochs=grid.epochs,
        weights=grid.weights,
        entries=tuple(entries),
        shared=shared,
    )


def fingerprint(manifest: Manifest, *settings: object) -> str:
    """Names everything a sheet shows: axes, title, and each cell's picture key, state and reason."""
    cells = [(e.label, e.state, e.key, e.reason) for e in manifest.entries]
    axes = (
        manifest.title,
        manifest.simulated,
        manifest.prompt,
        manifest.trigger,
        manifest.seeds,
        manifest.epochs,
        manifest.weights,
    )
    return hashlib.sha256(json.dumps([axes, cells, settings], default=str).encode("utf-8")).hexdigest()


def to_dict(manifest: Manifest) -> dict[str, Any]:
    """Plain values for JSON; `from_dict` is the inverse. The entries' own values are not copied."""
    values = {field.name: getattr(manifest, field.name) for field in fields(manifest)}
    values["entries"] = [{field.name: getattr(entry, field.name) for field in _ENTRY} for entry in manifest.entries]
    values["sheets"] = [asdict(sheet) for sheet in manifest.sheets]
    return {"format": FORMAT, **values}


_ENTRY = fields(Entry)


def from_dict(values: Mapping[str, Any]) -> Manifest:
    """A manifest from `to_dict`'s values. Raises KeyError or TypeError when they are something else."""
    if values["format"] != FORMAT:
        raise KeyError(f"format {values['format']}")
    parts = {key: value for key, value in values.items() if key != "format"}
    for name in ("seeds", "epochs", "weights"):
        parts[name] = tuple(parts[name])
    parts["entries"] = tuple(Entry(**entry) for entry in parts["entries"])
    parts["sheets"] = tuple(SheetEntry(sheet["file"], tuple(sheet["seeds"])) for sheet in parts["sheets"])
    return Manifest(**parts)


def write(folder: Path, manifest: Manifest) -> Path:
    """Write the manifest into the grid's folder. Raises `StorageError`."""
    return write_json(folder / MANIFEST_NAME, to_dict(manifest))


def find(folder: Path) -> Manifest | None:
    """The manifest in `folder`, or None where there is none we can read."""
    values = read_json(folder / MANIFEST_NAME)
    try:
        return from_dict(values) if isinstance(values, dict) else None
    except (KeyError, TypeError):
        return None


def read(folder: Path) -> Manifest:
    """The manifest in `folder`. Raises `WorkspaceError` where there is none we can read."""
    if (manifest := find(folder)) is None:
        raise WorkspaceError(f"{folder} holds no grid we can read.", fix="Draw it with `orchestrator grid render`.")
    return manifest
