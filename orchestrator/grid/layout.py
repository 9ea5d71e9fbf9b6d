"""Where everything stands on a sheet, in pixels. Pure arithmetic; `sheet.py` draws what this says."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: A sheet is one picture in memory, 4 bytes a pixel: 96 MB here. Larger grids are shown smaller on it; the viewer shows
#: every cell in full.
MAX_PIXELS = 24_000_000
#: WebP and most viewers end here.
MAX_SIDE = 16_000
#: No cell is drawn smaller: labels could not be read any more. Sheets that would still be too large are refused.
MIN_CELL = 24


@dataclass(frozen=True)
class Layout:
    """Sizes of one sheet. `columns` holds the x of every picture column, `rows` the y of every picture row."""

    width: int
    height: int
    cell_width: int
    cell_height: int
    columns: tuple[int, ...]
    rows: tuple[int, ...]
    #: The left edges of the blocks (one per seed) and their common width.
    blocks: tuple[int, ...]
    block_width: int
    #: y of the baseline row, which stands apart under the others.
    baseline: int
    margin: int
    gutter: int
    header: int
    label_size: int
    title_size: int
    gap: int


def lay_out(
    picture_width: int,
    picture_height: int,
    *,
    columns: int,
    rows: int,
    blocks: int,
    row_label_chars: int,
    max_cell: int,
) -> Layout:
    """The layout of `blocks` blocks side by side, each `columns` × `rows` pictures and a baseline row.

    Cells keep the pictures' shape and are at most `max_cell` pixels on their longer side; they shrink until the sheet
    is within `MAX_PIXELS` and `MAX_SIDE`. Text is sized by the sheet, so that labels stay readable when the sheet is
    scaled to fit a screen. Raises ValueError when even `MIN_CELL` is too large.
    """
    scale = min(1.0, max_cell / max(picture_width, picture_height))
    while True:
        width, height = max(1, round(picture_width * scale)), max(1, round(picture_height * scale))
        layout = _at(width, height, columns, rows, blocks, row_label_chars)
        if layout.width * layout.height <= MAX_PIXELS and max(layout.width, layout.height) <= MAX_SIDE:
            return layout
        if max(width, height) <= MIN_CELL:
            raise ValueError(f"{blocks * columns} × {rows + 1} pictures do not fit on one sheet")
        over = max(
            layout.width / MAX_SIDE, layout.height / MAX_SIDE, math.sqrt(layout.width * layout.height / MAX_PIXELS)
        )
        scale *= min(0.98, 1 / over)


def _at(width: int, height: int, columns: int, rows: int, blocks: int, row_label_chars: int) -> Layout:
    gap = max(2, round(min(width, height) / 96))
    block_gap = gap * 8
    block_width = columns * width + (columns - 1) * gap
    inner = blocks * block_width + (blocks - 1) * block_gap
    # 1/64 of the sheet's width is 20 px when it is fitted to 1280 (of its height, 1/90); never larger than a cell
    # carries.
    label = max(9, min(round(max(inner / 64, (rows + 1) * height / 90)), round(min(width, height) * 0.16), 160))
    title = max(11, min(round(label * 1.5), 220))
    margin = label
    gutter = round(label * (0.62 * row_label_chars + 1.0))
    header = margin + round(title * 1.35) + round(label * 1.45) + round(label * 2.0)
    header += round(label * 1.7) if blocks > 1 else 0
    left = margin + gutter
    block_lefts = tuple(left + index * (block_width + block_gap) for index in range(blocks))
    xs = tuple(block + column * (width + gap) for block in block_lefts for column in range(columns))
    ys = tuple(header + row * (height + gap) for row in range(rows))
    baseline = header + rows * (height + gap) + gap * 8
    return Layout(
        width=left + inner + margin,
        height=baseline + height + margin,
        cell_width=width,
        cell_height=height,
        columns=xs,
        rows=ys,
        blocks=block_lefts,
        block_width=block_width,
        baseline=baseline,
        margin=margin,
        gutter=gutter,
        header=header,
        label_size=label,
        title_size=title,
        gap=gap,
    )
