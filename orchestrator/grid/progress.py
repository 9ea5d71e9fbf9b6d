"""The cells of a grid as they stand while its pictures arrive."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import orchestrator
from orchestrator.files import beside, read_json
from orchestrator.grid.cells import Cell, Grid, shared_recipe
from orchestrator.grid.manifest import At, Entry, Manifest, SheetEntry
from orchestrator.grid.thumbnails import Wants
from orchestrator.grid.viewer import write_data

PICTURES = "pictures"
#: Seconds between two writes of the viewer's data while pictures arrive.
_DATA_PAUSE_S = 2.0
#: … and at most this share of the time is spent on writing it, however many cells there are.
_DATA_SHARE = 0.03


class Rendered(Protocol):
    """A picture as `orchestrator.render.engine` hands it out."""

    @property
    def path(self) -> Path:
        """Where it lies in the cache; absent when `error` is not empty."""

    @property
    def key(self) -> str:
        """The recipe's key."""

    @property
    def cached(self) -> bool:
        """Whether it was there already."""

    @property
    def error(self) -> str:
        """Why there is no picture; empty = there is one."""


class Progress:
    """Takes in pictures, possibly from several threads, and writes the viewer's data now and then.

    `known` is the manifest of the time before: its winners and sheets stay named until there are new ones.
    `want_thumbnail` is asked for one of every picture.
    """

    def __init__(
        self,
        grid: Grid,
        folder: Path,
        *,
        title: str,
        simulated: bool,
        server_version: str = "",
        known: Manifest | None = None,
        on_picture: Callable[[Any], None] | None = None,
        want_thumbnail: Wants | None = None,
    ) -> None:
        self._grid, self._folder, self._title, self._simulated = grid, folder, title, simulated
        self._on_picture = on_picture
        self._want_thumbnail = want_thumbnail
        self._made_with = {"orchestrator": orchestrator.__version__, "server": server_version}
        self._known = known
        self._lock = threading.Lock()
        self._cells: dict[str, list[int]] = {}
        self._shared = shared_recipe(grid)
        self._entries = []
        for index, cell in enumerate(grid.cells):
            key = cell.recipe.key if cell.recipe is not None else ""
            self._cells.setdefault(key, []).append(index)
            self._entries.append(_waiting(cell, key, self._shared))
        self.drawn: set[str] = set()
        self._due = time.monotonic() + _DATA_PAUSE_S

    def arrived(self, picture: Any) -> None:
        """Take in one picture and say so."""
        self.note(picture)
        if self._on_picture is not None:
            self._on_picture(picture)
        with self._lock:
            started = time.monotonic()
            due = started >= self._due
            if due:
                self._due = float("inf")
        if due:
            write_data(self._folder, self.manifest())
            now = time.monotonic()
            self._due = now + max(_DATA_PAUSE_S, (now - started) / _DATA_SHARE)

    def note(self, picture: Rendered) -> None:
        """Take in one picture; a second time changes nothing."""
        for index in self._cells.get(picture.key, []):
            with self._lock:
                if self._entries[index].state != "pending":
                    continue
            entry = _done(self._grid.cells[index], self._entries[index], picture, self._folder)
            if entry.picture and self._want_thumbnail is not None:
                self._want_thumbnail(entry.key, picture.path)
            with self._lock:
                self._entries[index] = entry
                if not picture.cached and not picture.error:
                    self.drawn.add(picture.key)

    def manifest(self, sheets: Iterable[SheetEntry] | None = None, **made_with: str) -> Manifest:
        """The grid as it stands. Without `sheets`, those of the time before."""
        with self._lock:
            entries = tuple(self._entries)
        grid, known = self._grid, self._known
        return Manifest(
            name=grid.name,
            title=self._title,
            simulated=self._simulated,
            definition=grid.definition,
            axes=grid.axes,
            x=grid.x,
            y=grid.y,
            baseline=grid.baseline,
            shared=self._shared,
            cells=entries,
            highlighted=_carried(known, grid) if known else (),
            sheets=tuple(sheets) if sheets is not None else _still_named(known, grid) if known else (),
            made_with={
                **self._made_with,
                "written": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                **made_with,
            },
        )


def _waiting(cell: Cell, key: str, shared: Mapping[str, Any]) -> Entry:
    recipe = None
    if cell.recipe is not None:
        recipe = {name: value for name, value in cell.recipe.to_dict().items() if name not in shared}
    state = "left out" if cell.left_out else "pending"
    return Entry(cell.at, cell.label, state, key=key, reason=cell.left_out, recipe=recipe)  # type: ignore[arg-type]


def _done(cell: Cell, waiting: Entry, picture: Rendered, folder: Path) -> Entry:
    if picture.error:
        return replace(waiting, state="failed", reason=picture.error)
    # ".": the picture's own suffix, should a server ever send something else than PNG
    name = f"{PICTURES}/{cell.stem}{picture.path.suffix or '.png'}"
    link_or_copy(picture.path, folder / name)
    proof = picture.path.with_suffix(".json")
    seconds = None
    if proof.is_file():
        beside_it = folder / PICTURES / f"{cell.stem}.json"
        link_or_copy(proof, beside_it)
        recorded = read_json(proof)
        took = recorded.get("seconds") if isinstance(recorded, dict) else None
        seconds = float(took) if isinstance(took, int | float) else None
    return replace(waiting, state="ready", picture=name, cached=picture.cached, seconds=seconds)


def _carried(known: Manifest, grid: Grid) -> tuple[At, ...]:
    """The winners of the time before, where their values are still on the axes."""
    if [axis.name for axis in known.axes] != [axis.name for axis in grid.axes]:
        return ()
    moved = [
        {old: new.values.index(value) for old, value in enumerate(axis.values) if value in new.values}
        for axis, new in zip(known.axes, grid.axes, strict=True)
    ]
    places = (
        tuple(None if index is None else where.get(index, -1) for index, where in zip(at, moved, strict=True))
        for at in known.highlighted
    )
    return tuple(place for place in places if -1 not in place)


def _still_named(known: Manifest, grid: Grid) -> tuple[SheetEntry, ...]:
    return known.sheets if known.axes == grid.axes else ()


def link_or_copy(source: Path, target: Path) -> Path:
    """Make `target` the same bytes as `source`: a hard link where the disk allows it, else a copy. Raises
    `StorageError`.
    """
    # What is not there, on either side, is told below.
    with contextlib.suppress(OSError):
        if target.samefile(source):
            return target
    with beside(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # another disk, FAT, or more links than the file system counts
            shutil.copyfile(source, temporary)
    return target
