"""Two grids held against each other: cells with the same values of their axes, and how far their pictures are apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import InputError, PictureError
from orchestrator.files import open_picture
from orchestrator.grid.manifest import At, Axis, Entry, Manifest

if TYPE_CHECKING:
    from PIL import Image


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
