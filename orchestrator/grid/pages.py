"""Which sheets a grid has, and what each shows: axes across and down, the others as sheets of their own, and one of the
last of them side by side.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.files import file_stem
from orchestrator.grid.axes import KINDS
from orchestrator.grid.manifest import At, Axis, Entry, Manifest
from orchestrator.grid.page import Block, Page, Place

#: More values on a line than this are set in several lines, each with its own caption.
_LINE = 8
_NAME_LETTERS = 14
_NOTE = "What is drawn without LoRA: the same prompt without it and without its trigger word."


@dataclass(frozen=True)
class Sheet:
    """One sheet: the start of its file's name, which places it shows (as `SheetEntry.at`), and what is on it."""

    stem: str
    at: At
    #: Whether it shows what other sheets show one by one.
    overview: bool
    page: Page


def sheets_of(manifest: Manifest, folder: Path) -> list[Sheet]:
    """All sheets of a grid: one for every combination of the axes that do not lie on it; then, where there are several,
    one that shows the last of these axes side by side. Pictures are looked for in `folder`.
    """
    view = _View(manifest, folder)
    single = [view.sheet(fixed) for fixed in view.combinations()]
    side = next((axis for axis in reversed(view.pages) if len(manifest.axes[axis].values) > 1), None)
    if side is None:
        return single
    return single + [view.sheet(fixed, side) for fixed in view.combinations(side)]


def words_of(axis: Axis, index: int | None) -> str:
    """A value as it stands on a sheet: `epoch 40`, `Euler a`; `no LoRA` for the baseline."""
    if index is None:
        return "no LoRA"
    value = " ".join(axis.values[index].split()) or "(nothing)"
    return f"{axis.name} {value}" if _says_its_name(axis) else value


class _View:
    """A grid as its sheets show it: which axes lie across and down, and which are pages."""

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self.manifest, self.folder = manifest, folder
        self.axes = manifest.axes
        self.highlighted = frozenset(manifest.highlighted)
        x, y = manifest.x, manifest.y if manifest.y != manifest.x else -1
        many = [axis for axis in (x, y) if axis >= 0 and len(self.axes[axis].values) > 1]
        self.flows = len(many) == 1 and len(self.axes[many[0]].values) > _LINE
        if self.flows:
            x, y = many[0], -1
        elif x < 0:
            x, y = y, -1
        self.x, self.y = x, y
        self.pages = [axis for axis in range(len(self.axes)) if axis not in (x, y)]
        lora = {axis for axis in range(len(self.axes)) if self.axes[axis].lora}
        self.lora_pages = [axis for axis in self.pages if axis in lora]
        self.x_is_lora, self.y_is_lora = x in lora, y in lora
        self.bare_inside = manifest.baseline and (self.x_is_lora or self.y_is_lora)
        self.bare_beside = manifest.baseline and not self.bare_inside and bool(lora)

    def combinations(self, side: int | None = None) -> list[dict[int, int]]:
        """Every combination of the values of the axes that are pages, without `side`."""
        axes = [axis for axis in self.pages if axis != side]
        return [
            dict(zip(axes, indexes, strict=True))
            for indexes in itertools.product(*(range(len(self.axes[axis].values)) for axis in axes))
        ]

    def sheet(self, fixed: Mapping[int, int], side: int | None = None) -> Sheet:
        """The sheet at these values; with `side`, all values of that axis beside each other."""
        wanted: list[dict[int, int | None]] = (
            [dict(fixed)] if side is None else [{**fixed, side: i} for i in range(len(self.axes[side].values))]
        )
        if self.bare_beside:
            bare = [{**one, **dict.fromkeys(self.lora_pages, None)} for one in wanted]
            wanted = [*_once(bare), *wanted]
        shown = [axis for axis in ([side] if side is not None else []) if axis is not None]
        blocks, columns, rows, captions = [], self._across(), self._down(), False
        for one in wanted:
            head = self._head(one, shown) if len(wanted) > 1 else ""
            table = [[self._place(one, column, row) for column in columns] for row in rows]
            if self.flows:
                lone = table[1][0] if len(rows) > 1 else None
                table, captions = self._flowed(table[0], lone), True
            blocks.append(Block(head, tuple(tuple(row) for row in table)))
        places = [place for block in blocks for row in block.rows for place in row if place is not None]
        bare_row = self.bare_inside and self.y < 0 if self.flows else self.bare_inside and self._bare_row()
        page = Page(
            title=f"{self.manifest.title} — simulated" if self.manifest.simulated else self.manifest.title,
            subtitles=tuple(self._subtitles(fixed, places)),
            columns=tuple(self._heads(self.x, columns)) if not captions else ("",) * len(blocks[0].rows[0]),
            rows=tuple(self._heads(self.y, rows)) if not captions else ("",) * len(blocks[0].rows),
            blocks=tuple(blocks),
            across=self._corner(self.x) if not captions else "",
            down=self._corner(self.y) if not captions else "",
            apart_column=not captions and None in columns and len(columns) > 1,
            apart_row=bare_row,
            note=_NOTE if bare_row and (self.flows or self.x_is_lora or self.x < 0) else "",
        )
        at = tuple(fixed.get(axis) if axis in fixed else None for axis in range(len(self.axes)))
        return Sheet(self._stem(fixed, side), at, side is not None, page)

    def _bare_row(self) -> bool:
        return self.y_is_lora

    def _across(self) -> list[int | None]:
        """Indexes across; None is the baseline's column."""
        if self.x < 0:
            return [0]
        indexes: list[int | None] = list(range(len(self.axes[self.x].values)))
        apart = self.bare_inside and self.x_is_lora and not self.y_is_lora and not self.flows
        return [None, *indexes] if apart else indexes

    def _down(self) -> list[int | None]:
        indexes: list[int | None] = list(range(len(self.axes[self.y].values))) if self.y >= 0 else [0]
        bare = self.bare_inside and (self.y_is_lora or self.flows)
        return [*indexes, None] if bare else indexes

    def _place(self, fixed: Mapping[int, int | None], column: int | None, row: int | None) -> Place | None:
        bare = (column is None and self.x >= 0) or (row is None) or None in fixed.values()
        if row is None and (self.x_is_lora or self.x < 0 or self.flows) and column not in (0, None):
            return None  # one baseline for all of them
        at = []
        for axis in range(len(self.axes)):
            index = column if axis == self.x else row if axis == self.y else fixed[axis]
            at.append(None if bare and self.axes[axis].lora else index)
        entry = self.manifest.by_place.get(tuple(at))
        if entry is None:
            return None
        caption = ""
        if self.flows:
            caption = words_of(self.axes[self.x], None if row is None else column)
        return self.place(entry, caption)

    def place(self, entry: Entry, caption: str = "") -> Place:
        """What a place of the grid shows."""
        return Place(
            picture=self.folder / entry.picture if entry.picture and entry.state == "ready" else None,
            state=entry.state if entry.picture or entry.state != "ready" else "pending",
            reason=entry.reason,
            label=entry.label,
            caption=caption,
            highlighted=entry.at in self.highlighted,
            at=entry.at,
        )

    def _flowed(self, line: Sequence[Place | None], lone: Place | None) -> list[list[Place | None]]:
        """One long line set in several, a little wider than high; the baseline below."""
        across = max(4, math.ceil(math.sqrt(len(line) * 1.5)))
        across = math.ceil(len(line) / math.ceil(len(line) / across))
        rows = [list(line[start : start + across]) for start in range(0, len(line), across)]
        rows[-1] += [None] * (across - len(rows[-1]))
        return rows + ([[lone, *[None] * (across - 1)]] if lone is not None else [])

    def _heads(self, axis: int, indexes: Iterable[int | None]) -> list[str]:
        if axis < 0:
            return ["" if index is not None else "no LoRA" for index in indexes]
        return [words_of(self.axes[axis], index) for index in indexes]

    def _corner(self, axis: int) -> str:
        """The name of an axis whose heads are values alone."""
        if axis < 0 or _says_its_name(self.axes[axis]):
            return ""
        return self.axes[axis].name

    def _head(self, fixed: Mapping[int, int | None], shown: Sequence[int]) -> str:
        if None in fixed.values():
            rest = [axis for axis in shown if fixed[axis] is not None]
            return ", ".join(["no LoRA", *(words_of(self.axes[axis], fixed[axis]) for axis in rest)])
        return ", ".join(words_of(self.axes[axis], fixed[axis]) for axis in shown or self.lora_pages)

    def _subtitles(self, fixed: Mapping[int, int], places: Sequence[Place]) -> Iterable[str]:
        first = [_named(self.axes[axis], index) for axis, index in fixed.items()]
        shared = self.manifest.shared
        kinds = {axis.kind for axis in self.axes}
        if "seed" not in kinds and "seed" in shared:
            first.append(f"seed {shared['seed']}")
        first += _settings(shared, kinds)
        missing = [place for place in places if place.state in ("failed", "pending")]
        planned = sum(place.state != "left out" for place in places)
        if missing:
            first.append(f"{planned - len(missing):,} of {planned:,} pictures")
        yield "   ·   ".join(first)
        if "prompt" not in kinds:
            yield self._prompt()

    def _prompt(self) -> str:
        """The prompt of all cells but the baseline; the template where they differ."""
        found = {
            entry.recipe.get("prompt", self.manifest.shared.get("prompt"))
            for entry in self.manifest.cells
            if entry.recipe is not None and not entry.is_baseline
        }
        only = next(iter(found)) if len(found) == 1 else None
        return str(only or self.manifest.definition.get("prompt") or "")

    def _stem(self, fixed: Mapping[int, int], side: int | None) -> str:
        parts = [_file_words(self.axes[axis], index) for axis, index in fixed.items()]
        parts += [f"all-{self.axes[side].name}s"] if side is not None else []
        return file_stem("-".join(["sheet", *parts]).replace(" ", "-"))


def _says_its_name(axis: Axis) -> bool:
    """Whether heads carry the axis' name: a bare number says nothing, a sampler's name does."""
    numeric = axis.kind in KINDS and KINDS[axis.kind].numeric
    return numeric and len(axis.name) <= _NAME_LETTERS


def _named(axis: Axis, index: int) -> str:
    words = words_of(axis, index)
    return words if _says_its_name(axis) else f"{axis.name}: {words}"


def _file_words(axis: Axis, index: int) -> str:
    """`seed-123`; the value's number where the value itself would not tell files apart on every system."""
    stems = [file_stem(value.replace(" ", "-")).casefold() for value in axis.values]
    value = file_stem(axis.values[index].replace(" ", "-"))
    if len(value) > 24 or stems.count(value.casefold()) > 1 or value.startswith("_"):
        value = str(index + 1)
    return f"{axis.name}-{value}"


def _settings(shared: Mapping[str, Any], kinds: set[str]) -> list[str]:
    found = []
    if shared.get("sampler") and not kinds & {"sampler", "scheduler"}:
        found.append(" ".join(str(shared[name]) for name in ("sampler", "scheduler") if shared.get(name)))
    if "steps" in shared and "steps" not in kinds:
        found.append(f"{shared['steps']} steps")
    if "cfg_scale" in shared and "cfg" not in kinds:
        found.append(f"CFG {shared['cfg_scale']:g}")
    return found


def _once(values: Iterable[dict[int, int | None]]) -> list[dict[int, int | None]]:
    return list({tuple(sorted(one.items(), key=lambda pair: pair[0])): one for one in values}.values())
