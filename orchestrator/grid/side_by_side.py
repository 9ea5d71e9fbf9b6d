"""Two grids held against each other: cells with the same values of their axes, old | new, and how far they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import InputError, PictureError
from orchestrator.files import file_stem, open_picture
from orchestrator.grid.manifest import At, Axis, Entry, Manifest, State
from orchestrator.grid.page import Block, Page, Place
from orchestrator.grid.pages import sheets_of
from orchestrator.grid.sheet import LIMITS, tiled, write_plan

if TYPE_CHECKING:
    from PIL import Image

#: What a sheet of pairs carries as its text: it is no grid that could be drawn again.
NO_GRID = '{"side by side": true}'


@dataclass(frozen=True)
class Side:
    """One of two grids: what it is called (`before`, `v3 faces`), and where its pictures are."""

    called: str
    manifest: Manifest
    picture: Callable[[Entry], Path | Image.Image | None]


@dataclass(frozen=True)
class Pair:
    """Two cells with the same values: `at` in the second grid, `at_before` in the first.

    `difference` is the mean distance of their pixels in percent of what is possible (0 = the same pixels); None where
    a picture is missing, the two have different sizes, or one is the framed winner of a sheet.
    """

    at: At
    at_before: At
    label: str
    before: Path | Image.Image | None
    now: Path | Image.Image | None
    difference: float | None
    same_recipe: bool


@dataclass(frozen=True)
class Compared:
    """Two grids and their pairs. `alone` are cells that only one of them has."""

    before: Side
    now: Side
    pairs: tuple[Pair, ...]
    alone: tuple[int, int]

    @property
    def different(self) -> tuple[Pair, ...]:
        """The pairs whose pictures differ, or of which one is missing."""
        return tuple(pair for pair in self.pairs if pair.difference != 0)

    @property
    def summary(self) -> str:
        """In numbers: `24 pairs: 12 the same, 12 differ by 0.4 % to 9.1 %`."""
        measured = sorted(pair.difference for pair in self.pairs if pair.difference)
        same = sum(pair.difference == 0 for pair in self.pairs)
        unknown = sum(pair.difference is None for pair in self.pairs)
        words = [f"{same:,} the same"] * bool(same)
        if measured:
            span = f"{measured[0]:.2g} %" if len(measured) == 1 else f"{measured[0]:.2g} % to {measured[-1]:.2g} %"
            words.append(f"{len(measured):,} differ by {span}")
        words += [f"{unknown:,} without both pictures in one size"] * bool(unknown)
        count = "1 pair" if len(self.pairs) == 1 else f"{len(self.pairs):,} pairs"
        return f"{count}: {', '.join(words)}"


def compare(before: Side, now: Side, on_pair: Callable[[], None] | None = None) -> Compared:
    """Hold the cells of `now` against those of `before` with the same values.

    Axes are matched by name; one that only one grid has must have a single value there. Raises `InputError` when the
    two have nothing in common.
    """
    shared = [axis.name for axis in now.manifest.axes if any(a.name == axis.name for a in before.manifest.axes)]
    for side, other in ((before, now), (now, before)):
        _refuse_extra(side, other, shared)
    if not shared:
        raise InputError(
            f"{before.called} and {now.called} have no axis in common.",
            fix="Compare grids that vary the same things.",
        )
    theirs: dict[object, Entry] = {}
    for entry in before.manifest.cells:
        theirs.setdefault(_place(before.manifest, entry, shared), entry)
    pairs = []
    lonely = 0
    for entry in now.manifest.cells:
        found = theirs.pop(_place(now.manifest, entry, shared), None)
        if found is None or (found.recipe is None and entry.recipe is None):
            lonely += entry.recipe is not None
            continue
        one, two = before.picture(found), now.picture(entry)
        same = bool(entry.key) and found.key == entry.key
        marked = _is_marked(before, found, one) or _is_marked(now, entry, two)
        apart = None if marked else difference(one, two, same=same)
        pairs.append(Pair(entry.at, found.at, entry.label, one, two, apart, same))
        if on_pair is not None:
            on_pair()
    if not pairs:
        raise InputError(
            f"{before.called} and {now.called} have no cell in common.",
            cause=f"They both have {', '.join(shared)}, but no values of these that both have.",
            fix="Compare grids that overlap.",
        )
    left = sum(entry.recipe is not None for entry in theirs.values())
    return Compared(before, now, tuple(pairs), (left, lonely))


def _is_marked(side: Side, entry: Entry, picture: Path | Image.Image | None) -> bool:
    """Whether it is a piece of a sheet with the frame of a winner drawn over it."""
    return entry.at in side.manifest.highlighted and picture is not None and not isinstance(picture, Path)


def _refuse_extra(side: Side, other: Side, shared: Sequence[str]) -> None:
    for axis in side.manifest.axes:
        if axis.name not in shared and len(axis.values) > 1:
            raise InputError(
                f"{side.called} varies {axis.name} and {other.called} does not: which of its {len(axis.values)} values "
                "is meant?",
                fix=f"Draw a grid with one {axis.name} and compare that.",
            )


def _place(manifest: Manifest, entry: Entry, shared: Sequence[str]) -> object:
    values = {
        axis.name: None if index is None else _canonical(axis, axis.values[index])
        for axis, index in zip(manifest.axes, entry.at, strict=True)
    }
    return (entry.is_baseline, *(values[name] for name in shared))


def _canonical(axis: Axis, value: str) -> str:
    # A seed must not be taken for a float of it.
    return value.casefold() if axis.kind != "prompt" else value


def difference(one: Path | Image.Image | None, two: Path | Image.Image | None, *, same: bool = False) -> float | None:
    """The mean distance of the pixels of two pictures in percent; None where one is missing or they differ in size.

    `same` tells that both are of one recipe and both are files: then equal bytes need no unpacking.
    """
    import numpy as np

    if one is None or two is None:
        return None
    if same and isinstance(one, Path) and isinstance(two, Path) and _same_bytes(one, two):
        return 0.0
    try:
        first, second = (np.asarray(_opened(picture), dtype=np.int16) for picture in (one, two))
    except PictureError:
        return None
    if first.shape != second.shape:
        return None
    return float(np.abs(first - second).mean() / 255 * 100)


def _same_bytes(one: Path, two: Path) -> bool:
    try:
        return one.samefile(two) or one.read_bytes() == two.read_bytes()
    except OSError:
        return False


def _opened(picture: Path | Image.Image) -> Image.Image:
    return open_picture(picture) if isinstance(picture, Path) else picture


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
