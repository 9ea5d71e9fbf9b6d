"""Sheets: the pictures of a grid on labelled pages, as PNG of any size, or WebP and JPEG in pages of what these hold.

`pages.py` says what is on them, `layout.py` where it stands, `drawing.py` draws it. Every sheet carries the manifest,
so that the grid can be drawn again from the picture alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from PIL import Image

from orchestrator.errors import InputError, PictureError
from orchestrator.files import beside, open_picture
from orchestrator.grid import manifest as manifests
from orchestrator.grid import png_stream
from orchestrator.grid.drawing import draw, strips
from orchestrator.grid.embedded import SHEET_CHUNK
from orchestrator.grid.layout import MAX_PIXELS, MAX_SIDE, Plan, fit, lay_out
from orchestrator.grid.manifest import Manifest, SheetEntry
from orchestrator.grid.page import Page, divided
from orchestrator.grid.pages import sheets_of
from orchestrator.grid.sheet_text import TEXT_CHUNK, exif_of, text_of

Format = Literal["png", "webp", "jpeg"]

#: The sheet of several sheets' places is for comparing; they themselves are for looking closely.
OVERVIEW_CELL: Final = 320
#: Faces cannot be compared in smaller cells: an overview that would need them goes on another page.
_LEAST_OVERVIEW_CELL: Final = 96
#: Raised when a sheet of the same pictures would look different.
_SHEET_FORMAT: Final = 2


@dataclass(frozen=True)
class _Limit:
    """What one file may hold: pixels a side, pixels altogether (0 = no limit of ours), and its ending."""

    side: int
    pixels: int
    ending: str


#: WebP has 14 bits for a side, and libjpeg refuses more than 65,500. PNG has 31 bits; what we stop at is the largest
#: side that JPEG can take over. WebP and JPEG are encoded from a whole picture in memory, so their pages are small.
LIMITS: Final[Mapping[Format, _Limit]] = {
    "png": _Limit(65_500, 0, ".png"),
    "webp": _Limit(16_383, 24_000_000, ".webp"),
    "jpeg": _Limit(65_500, 32_000_000, ".jpg"),
}


@dataclass(frozen=True)
class Planned:
    """A sheet before it is drawn: its entry in the manifest and what stands where on it."""

    entry: SheetEntry
    plan: Plan


def draw_sheets(
    folder: Path,
    state: Manifest,
    *,
    known: Manifest | None = None,
    format: Format = "png",
    max_cell: int = 0,
    target: Path | None = None,
) -> Manifest:
    """Draw all sheets of a grid into its folder, or into `target`; returns `state` with them named.

    Nothing is drawn when `known` (the manifest of the last time) says that the same is there already. Cells are as
    large as their pictures, or `max_cell` pixels on the longer side. Raises `StorageError`; a sheet that was there
    before is still whole then.
    """
    drawn = manifests.fingerprint(state, _SHEET_FORMAT, format, max_cell)
    if known is not None and known.drawn == drawn and all((folder / sheet.file).is_file() for sheet in known.sheets):
        return replace(state, sheets=known.sheets, drawn=drawn)
    planned = list(plan_sheets(folder, state, format=format, max_cell=max_cell))
    finished = replace(state, sheets=tuple(one.entry for one in planned), drawn=drawn)
    text = text_of(finished)
    for one in planned:
        write_plan((target or folder) / one.entry.file, one.plan, text, format=format)
    return finished


def plan_sheets(folder: Path, state: Manifest, *, format: Format = "png", max_cell: int = 0) -> Iterator[Planned]:
    """Every sheet that `draw_sheets` draws, in its order, with the boxes of cells and labels."""
    size = picture_size(folder, state)
    limit = LIMITS[format]
    for sheet in sheets_of(state, folder):
        if sheet.overview:
            plans = _overview(sheet.page, size, min(OVERVIEW_CELL, max_cell or OVERVIEW_CELL), limit)
        else:
            plans = tiled(sheet.page, _scaled(size, max_cell), limit.side, limit.pixels)
        for number, plan in enumerate(plans, start=1):
            part = f"-page-{number}-of-{len(plans)}" if len(plans) > 1 else ""
            yield Planned(SheetEntry(f"{sheet.stem}{part}{limit.ending}", sheet.at, number, len(plans)), plan)


def write_plan(path: Path, plan: Plan, text: str, *, format: Format = "png") -> Path:
    """Draw one planned sheet into a file that carries `text`. Raises `StorageError`."""
    if format == "png":
        return png_stream.write(
            path, (plan.width, plan.height), strips(plan), text={TEXT_CHUNK: text, SHEET_CHUNK: path.name}
        )
    image = draw(plan)
    with beside(path) as temporary:
        if format == "webp":
            image.save(temporary, "WEBP", quality=90, method=2, exif=exif_of(text))
        else:
            image.save(temporary, "JPEG", quality=92, subsampling=0, exif=exif_of(text))
    return path


def write_sheet(image: Image.Image, path: Path, reference: Mapping[str, object]) -> Path:
    """Write a small sheet that is no grid's as PNG, with `reference` (what it shows) in its text. Raises
    `StorageError`.
    """
    import numpy as np

    pixels = np.asarray(image.convert("RGB"))
    text = {TEXT_CHUNK: json.dumps(reference, ensure_ascii=False)}
    return png_stream.write(path, image.size, [pixels], text=text)


def preview(folder: Path, state: Manifest, entry: SheetEntry, side: int) -> Image.Image:
    """A sheet of the grid as a picture of at most `side` pixels a side, whatever the size of the sheet itself.

    A large one is drawn anew from the pictures: to shrink the file would mean to unpack it, and it may have a billion
    pixels. Raises `PictureError`.
    """
    path = folder / entry.file
    try:
        size = png_stream.read_size(path)
    except OSError as error:
        raise PictureError(path, error.strerror or str(error)) from error
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        for one in plan_sheets(folder, state):
            if one.entry.file == entry.file:
                across = len(one.plan.page.columns) * len(one.plan.page.blocks)
                # More than what remains of it, so that labels are shrunk with the cells, not drawn larger.
                cell = round(1.2 * side / max(across, len(one.plan.page.rows)))
                return _within(draw(fit(one.plan.page, picture_size(folder, state), most=max(cell, 24))), side)
    return _within(open_picture(path), side)


def _within(image: Image.Image, side: int) -> Image.Image:
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def tiled(page: Page, cell: tuple[int, int], side: int, pixels: int = 0) -> list[Plan]:
    """`page` with cells of that size on as few sheets as stay within `side` and `pixels` (0 = any number).

    Every sheet repeats the heads and the baseline. Where a single cell is too large, cells are shrunk. Raises
    `InputError` when the labels alone are larger than that.
    """
    across = down = 1
    while True:
        parts = divided(page, across, down)
        # The first page is the largest but for its labels: the others are looked at when it fits.
        over = _over(lay_out(parts[0], cell), side, pixels)
        if max(over) <= 1:
            plans = [lay_out(part, cell) for part in parts]
            worst = max((_over(plan, side, pixels) for plan in plans), key=max)
            if max(worst) <= 1:
                return plans
            over = worst
        wide, tall, large = over
        columns, rows = len(parts[0].columns) * len(parts[0].blocks), len(parts[0].rows)
        # What is longer is cut, so that pages come out near to square.
        cut_columns = wide > 1 or (tall <= 1 and columns * cell[0] >= rows * cell[1])
        for by_columns in (cut_columns, not cut_columns):
            if by_columns and len(divided(page, across + 1, down)) > len(parts) and (wide > 1 or large > 1):
                across = max(across + 1, int(across * wide))
                break
            if not by_columns and len(divided(page, across, down + 1)) > len(parts) and (tall > 1 or large > 1):
                down = max(down + 1, int(down * tall))
                break
        else:
            if max(cell) == 1:
                raise InputError(
                    f"The labels of {page.title!r} alone are larger than a page of {side} pixels.",
                    fix="Shorten the names and prompts of its axes.",
                )
            cell = (max(1, round(cell[0] * 0.8)), max(1, round(cell[1] * 0.8)))


def _over(plan: Plan, side: int, pixels: int) -> tuple[float, float, float]:
    """How many times as wide, as high and as large as it may be; 1 = just fits."""
    return plan.width / side, plan.height / side, plan.width * plan.height / pixels if pixels else 0.0


def picture_size(folder: Path, state: Manifest) -> tuple[int, int]:
    """(width, height) of the largest pictures of a grid; only as many are looked at as may differ."""
    alike = {"width", "height"} <= state.shared.keys()
    width = height = 0
    for entry in state.cells:
        if entry.state != "ready" or not entry.picture:
            continue
        try:
            with Image.open(folder / entry.picture) as image:
                found = image.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # drawn as failed where its turn comes
        width, height = max(width, found[0]), max(height, found[1])
        if alike:
            break
    if width and height:
        return width, height
    asked = (state.shared.get("width", 512), state.shared.get("height", 512))
    return (asked[0], asked[1]) if all(type(side) is int and side > 0 for side in asked) else (512, 512)


def _scaled(size: tuple[int, int], most: int) -> tuple[int, int]:
    scale = min(1.0, most / max(size)) if most else 1.0
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _overview(page: Page, size: tuple[int, int], most: int, limit: _Limit) -> list[Plan]:
    """Everything side by side on one sheet that any viewer opens; on several where cells would be too small to see."""
    plan = fit(page, size, most=most, least=_LEAST_OVERVIEW_CELL)
    if max(plan.width, plan.height) <= MAX_SIDE and plan.width * plan.height <= MAX_PIXELS:
        return [plan]
    cell = _scaled(size, _LEAST_OVERVIEW_CELL)
    return tiled(page, cell, min(MAX_SIDE, limit.side), MAX_PIXELS)
