"""What one sheet shows, apart from where: titles, heads, and blocks of places side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.grid.manifest import At, State

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Place:
    """One place of a sheet. Without a `picture` it says why there is none: `state` and `reason`."""

    picture: Path | Image.Image | None = None
    state: State = "ready"
    reason: str = ""
    #: The cell in words; names the place in data, not on the sheet.
    label: str = ""
    #: Words over the picture; empty on sheets whose columns and rows have heads.
    caption: str = ""
    highlighted: bool = False
    at: At = ()


#: The places of one row; None = nothing was planned there.
Row = tuple[Place | None, ...]


@dataclass(frozen=True)
class Block:
    """One table of pictures: as many rows and columns as its page has heads."""

    head: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Page:
    """One sheet, or one page of a sheet that is too large for a file.

    All blocks have the same rows and columns. `columns` and `rows` are their heads; heads that are all empty take no
    room.
    """

    title: str
    subtitles: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    blocks: tuple[Block, ...]
    #: What columns and rows are, where their heads do not say it: `sampler`, `prompt`.
    across: str = ""
    down: str = ""
    #: Whether the first column / the last row is the baseline, which stands apart.
    apart_column: bool = False
    apart_row: bool = False
    #: Said in the free places beside a baseline row of one picture.
    note: str = ""
    page: int = 1
    pages: int = 1

    @property
    def places(self) -> Iterator[Place]:
        """Every place, block by block and row by row."""
        return (place for block in self.blocks for row in block.rows for place in row if place is not None)


def divided(page: Page, across: int, down: int) -> list[Page]:
    """`page` as `across` × `down` pages of about the same size, each with its heads and its baseline.

    Blocks stay whole while there are enough of them. Fewer pages come back where there is nothing left to divide.
    """
    parts = _across(page, across)
    parts = [one for part in parts for one in _down(part, down)]
    return [replace(part, page=index + 1, pages=len(parts)) for index, part in enumerate(parts)]


def _across(page: Page, count: int) -> list[Page]:
    if len(page.blocks) > 1 and count > 1:
        groups = _shares(range(len(page.blocks)), min(count, len(page.blocks)))
        parts = [replace(page, blocks=tuple(page.blocks[i] for i in group)) for group in groups]
        further = -(-count // len(groups))
        return [one for part in parts for one in (_across(part, further) if further > 1 else [part])]
    fixed = [0] if page.apart_column else []
    chosen = _shares(range(len(fixed), len(page.columns)), count)
    return [_with_columns(page, fixed + group) for group in chosen] if len(chosen) > 1 else [page]


def _down(page: Page, count: int) -> list[Page]:
    last = len(page.rows) - 1
    fixed = [last] if page.apart_row else []
    chosen = _shares(range(len(page.rows) - len(fixed)), count)
    return [_with_rows(page, group + fixed) for group in chosen] if len(chosen) > 1 else [page]


def _with_columns(page: Page, chosen: list[int]) -> Page:
    blocks = []
    for block in page.blocks:
        rows = [tuple(row[i] for i in chosen) for row in block.rows]
        if page.apart_row and page.note:
            # Its one picture stands in the first place, whichever columns are shown.
            lone = next((place for place in block.rows[-1] if place is not None), None)
            rows[-1] = (lone, *[None] * (len(chosen) - 1))
        blocks.append(replace(block, rows=tuple(rows)))
    return replace(page, columns=tuple(page.columns[i] for i in chosen), blocks=tuple(blocks))


def _with_rows(page: Page, chosen: list[int]) -> Page:
    blocks = tuple(replace(block, rows=tuple(block.rows[i] for i in chosen)) for block in page.blocks)
    return replace(page, rows=tuple(page.rows[i] for i in chosen), blocks=blocks)


def _shares(values: range, count: int) -> list[list[int]]:
    """`values` in `count` runs of about the same length, none of them empty."""
    count = max(1, min(count, len(values)))
    size, longer = divmod(len(values), count)
    runs, start = [], values.start
    for index in range(count):
        end = start + size + (index < longer)
        runs.append(list(range(start, end)))
        start = end
    return runs
