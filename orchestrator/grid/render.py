"""Draw a grid: pictures through the cache, then sheets, viewer and manifest. The same call again regenerates it."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from orchestrator.errors import InputError
from orchestrator.files import beside
from orchestrator.grid import manifest as manifests
from orchestrator.grid.cells import Cell, Grid
from orchestrator.grid.manifest import Entry, Manifest, SheetEntry
from orchestrator.grid.viewer import write_data, write_viewer
from orchestrator.render.recipe import Recipe

PICTURES = "pictures"
#: Seconds between two writes of the viewer's data while pictures arrive.
_DATA_PAUSE_S = 2.0
#: … and at most this share of the time is spent on writing it, however many cells there are.
_DATA_SHARE = 0.03
#: Raised when a sheet of the same pictures would look different.
_SHEET_FORMAT = 1
#: The sheet of all seeds is for comparing; every seed has a sheet of its own for looking closely.
_OVERVIEW_CELL = 320


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


class Draws(Protocol):
    """What a grid needs of a renderer."""

    def render(self, recipes: Sequence[Recipe], on_picture: Callable[[Any], None] | None = None) -> Sequence[Rendered]:
        """One picture for every recipe, in their order; a failed one has an `error` and stops nothing."""


@dataclass(frozen=True)
class GridResult:
    """A grid on disk. The counts are of pictures: `total` planned, `cached` of them there already, `failed`,
    `left_out` cells.
    """

    folder: Path
    #: One for each seed, then all seeds side by side when there are several.
    sheets: list[Path]
    manifest: Path
    viewer: Path
    failed: int
    cached: int
    total: int
    left_out: int = 0
    summary: str = ""


def render_grid(
    grid: Grid,
    renderer: Draws,
    folder: Path,
    *,
    title: str,
    simulated: bool,
    on_picture: Callable[[Any], None] | None = None,
    max_cell: int = 512,
) -> GridResult:
    """Draw what is missing of `grid` and write sheets, viewer and manifest into `folder`.

    `on_picture` is called with every picture as it arrives. A failed picture becomes a cell drawn as failed, with its
    reason. When the renderer gives up altogether (or the user does), viewer and manifest are left showing what is
    there, the rest as not made yet, and the exception goes on. Sheets of unchanged pictures are not drawn again. Raises
    `StorageError`, `InputError`, and what the renderer raises.
    """
    progress = _Progress(grid, folder, title, simulated, on_picture)
    known = manifests.find(folder)
    # Sheets of the last time stay named until there are new ones: an interrupted run takes nothing away.
    write_viewer(folder, progress.manifest(known.sheets if known else ()))
    try:
        for picture in renderer.render(grid.recipes, progress.arrived):
            progress.note(picture)
    finally:
        state = progress.manifest(known.sheets if known else ())
        manifests.write(folder, state)
        write_data(folder, state)
    finished = draw_sheets(folder, grid, state, max_cell=max_cell, known=known)
    _tidy(folder, known, finished)
    manifests.write(folder, finished)
    return GridResult(
        folder=folder,
        sheets=[folder / sheet.file for sheet in finished.sheets],
        manifest=folder / manifests.MANIFEST_NAME,
        viewer=write_viewer(folder, finished),
        failed=finished.count("failed"),
        cached=sum(entry.cached for entry in finished.entries),
        total=len(finished.entries) - finished.count("left out"),
        left_out=finished.count("left out"),
        summary=finished.summary,
    )


def draw_sheets(
    folder: Path, grid: Grid, state: Manifest, *, max_cell: int = 512, known: Manifest | None = None
) -> Manifest:
    """Draw a sheet for each seed and one of all seeds; returns `state` with them named. Skips what `known` says is
    drawn already.
    """
    from dataclasses import replace as evolve

    from orchestrator.grid.sheet import Shown, draw_sheet, write_sheet

    seed_sets = [(seed,) for seed in grid.seeds] + ([grid.seeds] if len(grid.seeds) > 1 else [])
    sheets = tuple(SheetEntry(f"sheet-seed-{s[0]}.png" if len(s) == 1 else "sheet-all-seeds.png", s) for s in seed_sets)
    drawn = manifests.fingerprint(state, _SHEET_FORMAT, max_cell, _OVERVIEW_CELL)
    finished = evolve(state, sheets=sheets, drawn=drawn)
    if known is not None and known.drawn == drawn and all((folder / sheet.file).is_file() for sheet in known.sheets):
        return evolve(finished, sheets=known.sheets)
    shown = {
        cell: Shown(folder / entry.picture if entry.picture else None, entry.reason if entry.state == "failed" else "")
        for cell, entry in zip(grid.cells, state.entries, strict=True)
    }
    for sheet in sheets:
        cell = max_cell if len(sheet.seeds) == 1 else min(max_cell, _OVERVIEW_CELL)
        try:
            image = draw_sheet(grid, sheet.seeds, shown, title=state.title, simulated=state.simulated, max_cell=cell)
        except InputError:
            # A hundred seeds side by side fit on no sheet; each has its own, and the viewer shows them all.
            if len(sheet.seeds) == 1:
                raise
            finished = evolve(finished, sheets=tuple(one for one in sheets if one is not sheet))
            continue
        reference = {
            "manifest": manifests.MANIFEST_NAME,
            "grid": grid.name,
            "seeds": list(sheet.seeds),
            "simulated": state.simulated,
        }
        write_sheet(image, folder / sheet.file, {**reference, "drawn": drawn})
        del image  # the next one would stand beside it in memory
    return finished


class _Progress:
    """The cells as they stand while pictures arrive, possibly from several threads."""

    def __init__(
        self, grid: Grid, folder: Path, title: str, simulated: bool, on_picture: Callable[[Any], None] | None
    ) -> None:
        self._grid, self._folder, self._title, self._simulated = grid, folder, title, simulated
        self._on_picture = on_picture
        self._lock = threading.Lock()
        self._keys = [cell.recipe.key if cell.recipe is not None else "" for cell in grid.cells]
        self._cells: dict[str, list[int]] = {}
        for index, key in enumerate(self._keys):
            self._cells.setdefault(key, []).append(index)
        self._shared = manifests.shared_recipe(grid)
        self._entries = [_waiting(cell, key, self._shared) for cell, key in zip(grid.cells, self._keys, strict=True)]
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
            write_data(self._folder, self.manifest(()))
            now = time.monotonic()
            self._due = now + max(_DATA_PAUSE_S, (now - started) / _DATA_SHARE)

    def note(self, picture: Rendered) -> None:
        """Take in one picture; a second time changes nothing."""
        for index in self._cells.get(picture.key, []):
            with self._lock:
                if self._entries[index].state != "pending":
                    continue
            entry = _done(self._grid.cells[index], self._entries[index], picture, self._folder)
            with self._lock:
                self._entries[index] = entry

    def manifest(self, sheets: Iterable[SheetEntry]) -> Manifest:
        """The grid as it stands."""
        from dataclasses import replace as evolve

        with self._lock:
            entries = list(self._entries)
        state = manifests.from_grid(self._grid, entries, self._shared, title=self._title, simulated=self._simulated)
        return evolve(state, sheets=tuple(sheets))


def _waiting(cell: Cell, key: str, shared: Mapping[str, Any]) -> Entry:
    recipe = None
    if cell.recipe is not None:
        recipe = {name: value for name, value in cell.recipe.to_dict().items() if name not in shared}
    return Entry(
        cell.epoch,
        cell.weight,
        cell.seed,
        cell.label,
        "left out" if cell.left_out else "pending",
        key=key,
        reason=cell.left_out,
        recipe=recipe,
    )


def _done(cell: Cell, waiting: Entry, picture: Rendered, folder: Path) -> Entry:
    from dataclasses import replace as evolve

    if picture.error:
        return evolve(waiting, state="failed", reason=picture.error)
    # ".": the picture's own suffix, should a server ever send something else than PNG
    name = f"{PICTURES}/{cell.stem}{picture.path.suffix or '.png'}"
    link_or_copy(picture.path, folder / name)
    proof = picture.path.with_suffix(".json")
    if proof.is_file():
        link_or_copy(proof, (folder / name).with_suffix(".json"))
    return evolve(waiting, state="ready", picture=name, cached=picture.cached)


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


def _tidy(folder: Path, known: Manifest | None, finished: Manifest) -> None:
    # Only what an earlier manifest of ours names is taken away, never a file somebody put here. The cache keeps every
    # picture.
    if known is None:
        return
    before = {entry.picture for entry in known.entries if entry.picture} | {sheet.file for sheet in known.sheets}
    now = {entry.picture for entry in finished.entries if entry.picture} | {sheet.file for sheet in finished.sheets}
    root = folder.resolve()
    for name in before - now:
        path = (folder / name).resolve()
        if path.is_relative_to(root):
            for file in (path, path.with_suffix(".json")):
                with contextlib.suppress(OSError):
                    file.unlink()
