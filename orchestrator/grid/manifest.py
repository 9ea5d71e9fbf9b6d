"""What is written beside the sheets: which cell shows which picture, drawn from which recipe.

READ FIRST of this folder: `Axis`, `Entry` and `Manifest` are what planner, sheets, viewer and regeneration hand each
other. What the cells' recipes share stands there once, and each cell holds only what it has of its own: ten thousand
whole recipes would be a file no browser opens. The proof of each picture lies beside it, as `.json` of the same name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import WorkspaceError
from orchestrator.files import read_json, write_text

MANIFEST_NAME = "manifest.json"
#: Raised when a reader of an older manifest would misread a newer one.
FORMAT = 3

State = Literal["ready", "failed", "left out", "pending"]

#: One place in a grid: an index for every axis. None on every LoRA axis at once is the baseline, which goes without
#: them.
At = tuple[int | None, ...]


@dataclass(frozen=True)
class Axis:
    """One axis: what it varies and its values as texts, unique and in their order.

    `kind` is one of `orchestrator.grid.axes.KINDS`; `name` is unique within the grid, and what labels and rules of
    exclusion call it. `lora` axes are those the baseline goes without.
    """

    kind: str
    name: str
    values: tuple[str, ...]
    lora: bool = False


@dataclass(frozen=True)
class Entry:
    """One cell as it stands on disk."""

    at: At
    #: The cell in words: `epoch 40, weight 0.8, seed 123456789`.
    label: str
    state: State
    #: Relative to the grid's folder, with /; empty unless `state` is ready.
    picture: str = ""
    #: The recipe's key; empty where the cell is left out.
    key: str = ""
    #: Why it failed or was left out.
    reason: str = ""
    #: Whether the picture was there already.
    cached: bool = False
    #: What its recipe has that `Manifest.shared` does not say; None where the cell is left out. See `recipe_of`.
    recipe: Mapping[str, Any] | None = None
    #: What the server took for it; None where that is not known.
    seconds: float | None = None

    @property
    def is_baseline(self) -> bool:
        """Whether it shows what is drawn without LoRA."""
        return None in self.at


@dataclass(frozen=True)
class SheetEntry:
    """One sheet: its file in the grid's folder, and what it shows.

    `at` has one entry for every axis: the index it is fixed to, or None where the axis lies on the sheet (across, down,
    or side by side). `page` of `pages` counts from 1 the parts of a sheet that is too large for one file.
    """

    file: str
    at: At
    page: int = 1
    pages: int = 1


@dataclass(frozen=True)
class Manifest:
    """A grid on disk. Everything in it is relative to its folder, so the folder can be moved or sent away."""

    name: str
    title: str
    simulated: bool
    #: What was asked for, as `orchestrator.grid.definition` writes it: enough to plan the grid again elsewhere.
    definition: Mapping[str, Any]
    axes: tuple[Axis, ...]
    #: Indexes of the axes that lie across and down on a sheet; -1 = none. The others are pages.
    x: int
    y: int
    baseline: bool
    #: What the recipes of all cells have in common.
    shared: Mapping[str, Any]
    #: The baseline first, then the others with the last axis changing fastest.
    cells: tuple[Entry, ...]
    #: Winners: set by a verdict or by hand.
    highlighted: tuple[At, ...] = ()
    sheets: tuple[SheetEntry, ...] = ()
    #: Names what the sheets show; the same again means that they need not be drawn again.
    drawn: str = ""
    #: The versions of orchestrator and of the server, and when it was written.
    made_with: Mapping[str, str] = field(default_factory=dict)

    def count(self, state: State) -> int:
        """How many cells are in that state."""
        return sum(entry.state == state for entry in self.cells)

    @cached_property
    def by_place(self) -> Mapping[At, Entry]:
        """Every cell by its place."""
        return {entry.at: entry for entry in self.cells}

    def cell(self, at: At) -> Entry:
        """The cell at that place; an index on a LoRA axis that is None makes it the baseline. Raises KeyError."""
        return self.by_place[at]

    def axis(self, kind: str) -> Axis | None:
        """The first axis of that kind."""
        return next((axis for axis in self.axes if axis.kind == kind), None)

    def value_of(self, entry: Entry, kind: str) -> str | None:
        """What a cell has on the axis of that kind; None in the baseline, and where there is no such axis."""
        for axis, index in zip(self.axes, entry.at, strict=True):
            if axis.kind == kind:
                return None if index is None else axis.values[index]
        return None

    def recipe_of(self, entry: Entry) -> dict[str, Any] | None:
        """The whole recipe of a cell, as `Recipe.to_dict` gives it; None where the cell is left out."""
        return None if entry.recipe is None else {**self.shared, **entry.recipe}

    def words_of(self, sheet: SheetEntry) -> str:
        """What a sheet shows, apart from others: `seed 123456789`, `all side by side, page 2 of 3`."""
        told = [
            f"{axis.name} {axis.values[index]}"
            for axis, index in zip(self.axes, sheet.at, strict=True)
            if index is not None and len(axis.values) > 1
        ]
        free = [k for k, index in enumerate(sheet.at) if index is None and k not in {self.x, self.y}]
        single = [
            f"{axis.name} {axis.values[0]}" for axis in self.axes if len(axis.values) == 1 and axis.kind == "seed"
        ]
        words = told or (["all side by side"] if any(len(self.axes[k].values) > 1 for k in free) else single)
        words += [f"page {sheet.page} of {sheet.pages}"] if sheet.pages > 1 else []
        return ", ".join(words) or "the sheet"

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts the cells are drawn with, the baseline's left out where there are others."""
        found: dict[str, None] = {}
        for entry in (e for e in self.cells if not e.is_baseline and e.recipe is not None):
            found[str({**self.shared, **(entry.recipe or {})}.get("prompt", ""))] = None
        return tuple(found)

    @property
    def summary(self) -> str:
        """The grid in numbers: `80 of 82 pictures, 2 failed, 6 left out`. Never silently fewer than planned."""
        planned = len(self.cells) - self.count("left out")
        words = [f"{self.count('ready'):,} of {planned:,} pictures"]
        words += [f"{self.count('failed'):,} failed"] if self.count("failed") else []
        words += [f"{self.count('pending'):,} not made yet"] if self.count("pending") else []
        words += [f"{self.count('left out'):,} left out"] if self.count("left out") else []
        return ", ".join(words)


def fingerprint(manifest: Manifest, *settings: object) -> str:
    """Names everything a sheet shows: axes and what lies where, title, winners, and each cell's picture key, state and
    reason.
    """
    cells = [(e.at, e.label, e.state, e.key, e.reason) for e in manifest.cells]
    axes = [(axis.kind, axis.name, axis.values, axis.lora) for axis in manifest.axes]
    shown = [
        manifest.title, manifest.simulated, manifest.definition, axes, manifest.x, manifest.y, manifest.baseline,
        manifest.highlighted, cells, settings,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(shown, default=str).encode("utf-8")).hexdigest()


def without_paths(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's values for what may be sent away (sheets, viewers): no paths of this machine."""
    return {name: value for name, value in recipe.items() if not name.endswith("_path")}


def to_dict(manifest: Manifest) -> dict[str, Any]:
    """Plain values for JSON; `from_dict` is the inverse. The entries' own values are not copied."""
    values = {"format": FORMAT, **{part.name: getattr(manifest, part.name) for part in fields(manifest)}}
    for name, kind in (("axes", Axis), ("cells", Entry), ("sheets", SheetEntry)):
        names = [part.name for part in fields(kind)]
        values[name] = [{each: getattr(one, each) for each in names} for one in values[name]]
    return values


def from_dict(values: Mapping[str, Any]) -> Manifest:
    """A manifest from `to_dict`'s values. Raises KeyError, TypeError or ValueError when they are something else."""
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}")
    parts = {key: value for key, value in values.items() if key != "format"}
    parts["axes"] = tuple(Axis(**{**axis, "values": tuple(axis["values"])}) for axis in parts["axes"])
    parts["cells"] = tuple(Entry(**{**cell, "at": tuple(cell["at"])}) for cell in parts["cells"])
    parts["sheets"] = tuple(SheetEntry(**{**sheet, "at": tuple(sheet["at"])}) for sheet in parts["sheets"])
    parts["highlighted"] = tuple(tuple(at) for at in parts["highlighted"])
    manifest = Manifest(**parts)
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    """What readers rely on: a file from elsewhere may say anything."""
    places = [entry.at for entry in manifest.cells] + list(manifest.highlighted)
    places += [sheet.at for sheet in manifest.sheets]
    for at in places:
        if len(at) != len(manifest.axes):
            raise ValueError(f"a place of {len(at)} indexes among {len(manifest.axes)} axes")
        for index, axis in zip(at, manifest.axes, strict=True):
            if index is not None and not (type(index) is int and 0 <= index < len(axis.values)):
                raise ValueError(f"no place {index!r} on the axis {axis.name!r}")
    for index in (manifest.x, manifest.y):
        if not (type(index) is int and -1 <= index < len(manifest.axes)):
            raise ValueError(f"no axis {index!r}")


def write(folder: Path, manifest: Manifest) -> Path:
    """Write the manifest into the grid's folder. Raises `StorageError`."""
    # Without indents: a grid of ten thousand cells would be thrice as large and take thrice as long.
    text = json.dumps(to_dict(manifest), ensure_ascii=False, separators=(",", ":"))
    return write_text(folder / MANIFEST_NAME, text + "\n")


def find(folder: Path) -> Manifest | None:
    """The manifest in `folder`, or None where there is none we can read."""
    values = read_json(folder / MANIFEST_NAME)
    try:
        return from_dict(values) if isinstance(values, dict) else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def read(folder: Path) -> Manifest:
    """The manifest in `folder`. Raises `WorkspaceError` where there is none we can read."""
    if (manifest := find(folder)) is None:
        raise WorkspaceError(f"{folder} holds no grid we can read.", fix="Draw it with `orchestrator grid render`.")
    return manifest
