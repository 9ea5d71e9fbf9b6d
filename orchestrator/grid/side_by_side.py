"""Two grids side by side: sheets of their pairs, old | new, and both as one grid for the viewer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.files import file_stem
from orchestrator.grid.manifest import At, Axis, Manifest, State
from orchestrator.grid.page import Block, Page, Place
from orchestrator.grid.pages import sheets_of
from orchestrator.grid.pairs import Compared, Pair, Side
from orchestrator.grid.sheet import LIMITS, tiled, write_plan

if TYPE_CHECKING:
    from PIL import Image

#: What a sheet of pairs carries as its text: it is no grid that could be drawn again.
NO_GRID = '{"side by side": true}'


def write_sheets(compared: Compared, folder: Path, *, title: str, only: Iterable[At] | None = None) -> list[Path]:
    """Draw sheets of the pairs, old | new beside each other, and write them as PNG into `folder`.

    The sheets are those of the second grid, each column twice; rows without a pair are left out, and with `only` those
    without one of these cells. Raises `StorageError`.
    """
    wanted = {pair.at for pair in compared.pairs} if only is None else set(only)
    size = _cell_size(compared)
    found = []
    for sheet in sheets_of(compared.now.manifest, folder):
        page = None if sheet.overview else _paired(sheet.page, compared, title, wanted)
        if page is None:
            continue
        plans = tiled(page, size, LIMITS["png"].side)
        for number, plan in enumerate(plans, start=1):
            part = f"-page-{number}-of-{len(plans)}" if len(plans) > 1 else ""
            stem = sheet.stem.replace("sheet", "side-by-side", 1)
            found.append(write_plan(folder / f"{stem}{part}.png", plan, NO_GRID))
    return found


def _cell_size(compared: Compared) -> tuple[int, int]:
    from PIL import Image

    for picture in (picture for pair in compared.pairs for picture in (pair.now, pair.before)):
        if isinstance(picture, Path):
            try:
                with Image.open(picture) as image:
                    return image.size
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                continue  # drawn as failed where its turn comes
        if picture is not None:
            return picture.size
    return 512, 512


def _paired(page: Page, compared: Compared, title: str, wanted: set[At]) -> Page | None:
    """`page` with every column twice, old | new; None where nothing wanted is on it."""
    pairs = {pair.at: pair for pair in compared.pairs}
    calls = (compared.before.called, compared.now.called)
    rows = [
        row
        for row in range(len(page.rows))
        if any(place is not None and place.at in wanted for block in page.blocks for place in block.rows[row])
    ]
    if not rows:
        return None
    heads = [head for head in page.columns for _ in calls]
    has_baseline = page.apart_row and rows[-1] == len(page.rows) - 1 and len(rows) > 1
    return replace(
        page,
        title=f"{title} — simulated" if _simulated(compared) else title,
        subtitles=(f"{calls[0]} | {calls[1]}   ·   {compared.summary}", *page.subtitles),
        columns=tuple(heads),
        rows=tuple(page.rows[row] for row in rows),
        blocks=tuple(
            Block(block.head, tuple(_row(block.rows[row], pairs, compared) for row in rows)) for block in page.blocks
        ),
        # The baseline's column is two now, and only one would stand apart.
        apart_column=False,
        apart_row=has_baseline,
        note="",
    )


def _row(row: Iterable[Place | None], pairs: Mapping[At, Pair], compared: Compared) -> tuple[Place | None, ...]:
    found: list[Place | None] = []
    for place in row:
        pair = None if place is None else pairs.get(place.at)
        if place is None or pair is None:
            why = (place.reason if place is not None else "") or "not in both"
            found += [place and replace(place, picture=None, state="left out", reason=why), None]
            continue
        told = (
            "" if pair.difference is None else "the same" if pair.difference == 0 else f"{pair.difference:.2g} % other"
        )
        words = [place.caption] * bool(place.caption)
        found.append(_shown(place, pair.before, compared.before, ", ".join([*words, compared.before.called])))
        found.append(
            _shown(place, pair.now, compared.now, ", ".join([*words, compared.now.called, *[told] * bool(told)]))
        )
    return tuple(found)


def _shown(place: Place, picture: Path | Image.Image | None, side: Side, caption: str) -> Place:
    missing: State = "failed" if place.state == "failed" else "pending"
    return replace(
        place,
        picture=picture,
        state="ready" if picture is not None else missing,
        reason="" if picture is not None else place.reason or "no picture",
        label=f"{place.label} ({side.called})",
        caption=caption,
    )


def _simulated(compared: Compared) -> bool:
    return compared.now.manifest.simulated or compared.before.manifest.simulated


def as_one_grid(compared: Compared, folder: Path, *, title: str) -> Manifest:
    """Both grids as one with a further axis, for the viewer, which flips between its values.

    The pictures are linked (or written) into `folder`; nothing is drawn. Raises `StorageError`.
    """
    from orchestrator.grid.progress import link_or_copy

    now = compared.now.manifest
    cells = []
    theirs = {pair.at: pair for pair in compared.pairs}
    for number, entry in enumerate(now.cells):
        pair = theirs.get(entry.at)
        if pair is None:
            continue
        then = compared.before.manifest.cell(pair.at_before)
        # The second grid's shared values are not the first one's.
        sides = (
            (replace(then, recipe=compared.before.manifest.recipe_of(then)), compared.before, pair.before),
            (entry, compared.now, pair.now),
        )
        for index, (one, side, picture) in enumerate(sides):
            name = f"pictures/{number:05d}-{index}.png"
            if isinstance(picture, Path):
                link_or_copy(picture, folder / name)
            elif picture is not None:
                (folder / "pictures").mkdir(parents=True, exist_ok=True)
                picture.save(folder / name)
            missing: State = "pending" if one.state == "ready" else one.state
            cells.append(
                replace(
                    one,
                    at=(*entry.at, index),
                    label=f"{entry.label} ({side.called})",
                    state="ready" if picture is not None else missing,
                    picture=name if picture is not None else "",
                )
            )
    return replace(
        now,
        name=file_stem(title),
        title=title,
        axes=(*now.axes, Axis("grid", "grid", (compared.before.called, compared.now.called))),
        simulated=_simulated(compared),
        cells=tuple(cells),
        highlighted=tuple((*at, 1) for at in now.highlighted),
        sheets=(),
        drawn="",
    )
