"""Sheets: one labelled PNG of a grid, for one seed or for all seeds side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, PngImagePlugin

from orchestrator.errors import InputError, PictureError
from orchestrator.files import beside, open_picture
from orchestrator.grid.cells import Cell, Grid
from orchestrator.grid.fonts import font, text_width, wrap
from orchestrator.grid.layout import Layout, lay_out

#: The PNG text chunk that says which grid a sheet shows.
TEXT_CHUNK = "orchestrator grid"

_PAPER = "#ffffff"
_INK = "#1c2430"
_SOFT = "#5b6675"
_RULE = "#c9d0d9"
_FAILED = ("#fbe9e7", "#8c1d18")
_EMPTY = ("#eef1f4", "#5b6675")
_HATCH = "#d3d9e0"


@dataclass(frozen=True)
class Shown:
    """What a sheet draws in one cell: a picture, or why there is none."""

    path: Path | None
    #: Why the picture could not be made; empty with a path, or when it was not tried yet.
    error: str = ""


def draw_sheet(
    grid: Grid,
    seeds: Sequence[int],
    shown: Mapping[Cell, Shown],
    *,
    title: str,
    simulated: bool,
    max_cell: int = 512,
    captions: Mapping[int, str] | None = None,
) -> Image.Image:
    """The sheet of `grid` for `seeds`: epochs down, weights across, a block for every seed, the baseline row set apart.

    Pictures are shrunk to `max_cell` pixels on their longer side, never enlarged; the originals are in the grid's
    folder. A picture that cannot be read is drawn as failed with its reason. Raises `InputError` when the grid is too
    large for any sheet.
    """
    width, height = _picture_size(grid, seeds, shown)
    try:
        layout = lay_out(
            width,
            height,
            columns=len(grid.weights),
            rows=len(grid.epochs),
            blocks=len(seeds),
            row_label_chars=max(7, *(len(f"epoch {epoch}") for epoch in grid.epochs)),
            max_cell=max_cell,
        )
    except ValueError as error:
        raise InputError(
            f"Grid {grid.name}: {error}.",
            fix="Name fewer epochs, weights or seeds; the viewer shows grids of any size.",
        ) from error
    image = Image.new("RGB", (layout.width, layout.height), _PAPER)
    draw = ImageDraw.Draw(image)
    _heading(draw, layout, grid, seeds, title=title, simulated=simulated)
    for row, epoch in enumerate(grid.epochs):
        _row_label(draw, layout, layout.rows[row], f"epoch {epoch}")
    for block, seed in enumerate(seeds):
        for column, weight in enumerate(grid.weights):
            x = layout.columns[block * len(grid.weights) + column]
            for row, epoch in enumerate(grid.epochs):
                cell = grid.cell(epoch, weight, seed)
                _cell(image, draw, layout, (x, layout.rows[row]), cell, shown.get(cell, Shown(None)))
        bare = grid.cell(None, None, seed)
        _cell(
            image,
            draw,
            layout,
            (layout.columns[block * len(grid.weights)], layout.baseline),
            bare,
            shown.get(bare, Shown(None)),
        )
    _baseline_words(draw, layout, grid)
    return image


def write_sheet(image: Image.Image, path: Path, reference: Mapping[str, object]) -> Path:
    """Write a sheet as PNG with `reference` (which manifest, which seeds) in its text chunk. Raises `StorageError`."""
    chunk = PngImagePlugin.PngInfo()
    chunk.add_itxt(TEXT_CHUNK, json.dumps(reference, ensure_ascii=False))
    # Level 1: a third of the time of the default for a tenth more bytes. Straight to the disk: bytes in memory
    # besides its pixels are too much.
    with beside(path) as temporary:
        image.save(temporary, "PNG", pnginfo=chunk, compress_level=1)
    return path


def _picture_size(grid: Grid, seeds: Sequence[int], shown: Mapping[Cell, Shown]) -> tuple[int, int]:
    for cell in grid.cells:
        found = shown.get(cell)
        if cell.seed in seeds and found is not None and found.path is not None:
            try:
                with Image.open(found.path) as image:
                    return image.size
            except OSError:  # drawn as failed where its turn comes
                continue
    return 512, 512


def _heading(
    draw: ImageDraw.ImageDraw, layout: Layout, grid: Grid, seeds: Sequence[int], *, title: str, simulated: bool
) -> None:
    size = layout.label_size
    full = layout.width - 2 * layout.margin
    words = f"{title} — simulated" if simulated else title
    face = font(layout.title_size, bold=True)
    y = layout.margin
    draw.text((layout.margin, y), _one_line(words, full, face), fill=_INK, font=face)
    y += round(layout.title_size * 1.45)
    small = font(max(8, round(size * 0.85)))
    seed_words = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
    draw.text((layout.margin, y), _one_line(f"{seed_words}   ·   {grid.prompt}", full, small), fill=_SOFT, font=small)
    label = font(size, bold=True)
    columns = layout.header - round(size * 1.55)
    for block, seed in enumerate(seeds):
        if len(seeds) > 1:
            left = layout.blocks[block]
            top = columns - round(size * 1.7)
            draw.text((left, top), f"seed {seed}", fill=_INK, font=label)
        for column, weight in enumerate(grid.weights):
            x = layout.columns[block * len(grid.weights) + column] + layout.cell_width // 2
            long = f"weight {weight:g}"
            words = long if text_width(long, label) <= layout.cell_width else f"{weight:g}"
            draw.text((x - text_width(words, label) // 2, columns), words, fill=_INK, font=label)
    for left in layout.blocks[1:]:
        x = left - layout.gap * 4
        draw.line(
            [(x, layout.header - round(size * 3.3)), (x, layout.height - layout.margin)],
            fill=_RULE,
            width=max(1, layout.gap // 2),
        )


def _row_label(draw: ImageDraw.ImageDraw, layout: Layout, top: int, words: str) -> None:
    face = font(layout.label_size, bold=True)
    y = top + (layout.cell_height - layout.label_size) // 2 - layout.label_size // 5
    draw.text((layout.margin, y), words, fill=_INK, font=face)


def _baseline_words(draw: ImageDraw.ImageDraw, layout: Layout, grid: Grid) -> None:
    line = layout.baseline - layout.gap * 4
    draw.line([(layout.margin, line), (layout.width - layout.margin, line)], fill=_RULE, width=max(1, layout.gap // 2))
    _row_label(draw, layout, layout.baseline, "no LoRA")
    left = layout.columns[0] + layout.cell_width + layout.gap * 4
    room = layout.blocks[0] + layout.block_width - left
    face = font(max(8, round(layout.label_size * 0.85)))
    if room > layout.label_size * 6:
        words = "What the seed alone draws: the same prompt without LoRA" + (
            " and without the trigger word." if grid.trigger else "."
        )
        lines = wrap(words, room, face.getlength, lines=max(1, int(layout.cell_height / (layout.label_size * 1.3))))
        draw.multiline_text(
            (left, layout.baseline), "\n".join(lines), fill=_SOFT, font=face, spacing=round(layout.label_size * 0.3)
        )


def _cell(
    image: Image.Image, draw: ImageDraw.ImageDraw, layout: Layout, at: tuple[int, int], cell: Cell, shown: Shown
) -> None:
    width, height = layout.cell_width, layout.cell_height
    box = (at[0], at[1], at[0] + width - 1, at[1] + height - 1)
    if cell.left_out:
        _hatched(image, box)
        _words(draw, layout, box, "left out", cell.left_out, _EMPTY[1])
        return
    error = shown.error
    if shown.path is not None and not error:
        try:
            picture = open_picture(shown.path)
        except PictureError as problem:
            error = problem.what
        else:
            picture.thumbnail((width, height), Image.Resampling.LANCZOS)
            image.paste(picture, (at[0] + (width - picture.width) // 2, at[1] + (height - picture.height) // 2))
            return
    paper, ink = _FAILED if error else _EMPTY
    draw.rectangle(box, fill=paper, outline=ink, width=max(1, layout.gap // 2))
    _words(draw, layout, box, "failed" if error else "not made yet", error, ink)


def _words(
    draw: ImageDraw.ImageDraw, layout: Layout, box: tuple[int, int, int, int], head: str, why: str, ink: str
) -> None:
    size = max(7, min(layout.label_size, (box[2] - box[0]) // 9))
    pad = size
    room = max(1, box[2] - box[0] - 2 * pad)
    face, bold = font(max(7, round(size * 0.8))), font(size, bold=True)
    fits = max(0, int((box[3] - box[1] - 3 * size) / (size * 1.15)))
    lines = wrap(why, room, face.getlength, lines=fits) if why and fits else []
    height = round(size * 1.4) + round(size * 1.1) * len(lines)
    y = box[1] + max(pad // 2, (box[3] - box[1] - height) // 2)
    draw.text((box[0] + pad, y), _one_line(head, room, bold), fill=ink, font=bold)
    for index, line in enumerate(lines):
        draw.text((box[0] + pad, y + round(size * 1.5) + round(size * 1.1) * index), line, fill=ink, font=face)


def _hatched(image: Image.Image, box: tuple[int, int, int, int]) -> None:
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    tile = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(tile)
    step = max(6, min(width, height) // 12)
    for offset in range(-height, width, step):
        draw.line([(offset, height), (offset + height, 0)], fill=_HATCH, width=max(1, step // 8))
    draw.rectangle((0, 0, width - 1, height - 1), outline=_HATCH, width=max(1, step // 8))
    # a clear middle, so that the words on it can be read
    draw.rectangle((step, height // 2 - height // 6, width - step, height // 2 + height // 6), fill=_PAPER)
    image.paste(tile, box[:2])


def _one_line(text: str, width: int, face: object) -> str:
    measure = face.getlength  # type: ignore[attr-defined]
    return wrap(" ".join(text.split()), width, measure, lines=1)[0]
