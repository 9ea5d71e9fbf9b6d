"""Draw a grid: pictures through the cache, then sheets, viewer and manifest. The same call again regenerates it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from orchestrator.grid import manifest as manifests
from orchestrator.grid.cells import Grid
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.order import drawing_order
from orchestrator.grid.progress import Progress, Rendered
from orchestrator.grid.thumbnails import remove_unused, thumbnails
from orchestrator.grid.viewer import write_data, write_viewer
from orchestrator.render.recipe import Recipe

#: What `Manifest.made_with` calls the outcome of the baseline's second drawing.
CANARY = "baseline at the end"
RESIDUE = (
    "The picture without LoRA came out otherwise when it was drawn again at the end: something of the LoRA files has "
    "stayed in the webui's model. Restart the webui, delete the grid's pictures from the cache and draw it again."
)


class Draws(Protocol):
    """What a grid needs of a renderer."""

    def render(
        self, recipes: Sequence[Recipe], on_picture: Callable[[Any], None] | None = None, *, as_given: bool = False
    ) -> Sequence[Rendered]:
        """One picture for every recipe, in their order; a failed one has an `error` and stops nothing. Drawn in the
        order that costs least, or `as_given`.
        """

    def clean_load(self, recipes: Sequence[Recipe]) -> None:
        """Have the checkpoint loaded anew, if one of these has to be drawn."""

    def drawn_again(self, recipe: Recipe) -> bool | None:
        """Whether a picture in the cache comes out with the same pixels now; None = not known."""


@dataclass(frozen=True)
class GridResult:
    """A grid on disk. The counts are of cells: `total` planned, `cached` of them there already, `failed`, `left_out`.

    `residue` says that the baseline came out otherwise at the end than at the beginning; empty = it did not, or was
    not drawn again because no picture with a LoRA was.
    """

    folder: Path
    sheets: list[Path]
    manifest: Path
    viewer: Path
    failed: int
    cached: int
    total: int
    left_out: int = 0
    summary: str = ""
    residue: str = ""


def render_grid(
    grid: Grid,
    renderer: Draws,
    folder: Path,
    *,
    title: str,
    simulated: bool,
    server_version: str = "",
    on_picture: Callable[[Any], None] | None = None,
    max_cell: int = 0,
) -> GridResult:
    """Draw what is missing of `grid` and write sheets, viewer and manifest into `folder`.

    The baseline comes first, after the checkpoint was loaded anew, and one of its pictures once more at the end, when
    pictures with a LoRA were drawn in between. `on_picture` is called with every picture as it arrives. A failed
    picture becomes a cell drawn as failed, with its reason. When the renderer gives up altogether (or the user does),
    viewer and manifest are left showing what is there, the rest as not made yet, and the exception goes on. Sheets of
    unchanged pictures are not drawn again. Raises `StorageError`, `InputError`, and what the renderer raises.
    """
    from orchestrator.grid.sheet import draw_sheets

    known = manifests.find(folder)
    with thumbnails(folder) as want:
        progress = Progress(
            grid,
            folder,
            title=title,
            simulated=simulated,
            server_version=server_version,
            known=known,
            on_picture=on_picture,
            want_thumbnail=want,
        )
        write_viewer(folder, progress.manifest())
        order = drawing_order(grid)
        try:
            renderer.clean_load([cell.recipe for cell in grid.cells if cell.is_baseline and cell.recipe is not None])
            for picture in renderer.render(order, progress.arrived, as_given=True):
                progress.note(picture)
        finally:
            state = progress.manifest()
            manifests.write(folder, state)
            write_data(folder, state)
        again = _baseline_again(grid, renderer, order, progress.drawn)
    said = {} if again is None else {CANARY: "the same" if again else "other pixels"}
    finished = draw_sheets(folder, progress.manifest((), **said), max_cell=max_cell, known=known)
    _tidy(folder, known, finished)
    remove_unused(folder, {entry.key for entry in finished.cells})
    manifests.write(folder, finished)
    return GridResult(
        folder=folder,
        sheets=[folder / sheet.file for sheet in finished.sheets],
        manifest=folder / manifests.MANIFEST_NAME,
        viewer=write_viewer(folder, finished),
        failed=finished.count("failed"),
        cached=sum(entry.cached for entry in finished.cells),
        total=len(finished.cells) - finished.count("left out"),
        left_out=finished.count("left out"),
        summary=finished.summary,
        residue=RESIDUE if again is False else "",
    )


def _baseline_again(grid: Grid, renderer: Draws, order: Sequence[Recipe], drawn: set[str]) -> bool | None:
    """Draw one picture of the baseline once more; whether it came out the same. None = there was no need, or no way."""
    bare = [cell.recipe for cell in grid.cells if cell.is_baseline and cell.recipe is not None]
    with_lora = [recipe for recipe in order if recipe.key in drawn and recipe.loras]
    if not bare or not with_lora:
        return None
    # One with the checkpoint that was drawn with last: no other has to be loaded for it.
    last = with_lora[-1]
    same = (recipe for recipe in bare if (recipe.checkpoint_hash, recipe.vae) == (last.checkpoint_hash, last.vae))
    recipe = next(same, None)
    return None if recipe is None else renderer.drawn_again(recipe)


def _tidy(folder: Path, known: Manifest | None, finished: Manifest) -> None:
    # Only what an earlier manifest of ours names is taken away, never a file somebody put here. The cache keeps every
    # picture.
    if known is None:
        return
    before = {entry.picture for entry in known.cells if entry.picture} | {sheet.file for sheet in known.sheets}
    now = {entry.picture for entry in finished.cells if entry.picture} | {sheet.file for sheet in finished.sheets}
    root = folder.resolve()
    for name in before - now:
        path = (folder / name).resolve()
        if path.is_relative_to(root):
            for file in (path, path.with_suffix(".json")):
                with contextlib.suppress(OSError):
                    file.unlink()
