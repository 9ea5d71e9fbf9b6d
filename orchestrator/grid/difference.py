"""Two cells of a grid beside the map of their differences, with how many pixels changed and by how much."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from orchestrator.errors import InputError
from orchestrator.files import file_stem, open_picture
from orchestrator.grid.addresses import address_of
from orchestrator.grid.fonts import font, text_width
from orchestrator.grid.layout import SOFT, Box, CellBox, Label, Plan, lay_out, line_height
from orchestrator.grid.manifest import At, Manifest
from orchestrator.grid.page import Block, Page, Place
from orchestrator.grid.sheet import write_plan
from orchestrator.grid.sheet_text import text_of

#: A channel may differ by this much, of 255, and the pixel still counts as the same: what a change of driver does.
TOLERANCE: Final = 2
#: The map is amplified until this share of its pixels is white at most.
_WHITE: Final = 0.005
_AMPLIFIED: Final = (1, 2, 4, 8, 16, 32)
_MAX_SIDE: Final = 2048

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Difference:
    """How two pictures of the same size differ. Channels run from 0 to 255."""

    pixels: int
    #: Pixels of which a channel differs by more than TOLERANCE.
    changed: int
    #: Over all pixels and channels.
    mean: float
    largest: int
    #: How much brighter the map is than the differences.
    amplified: int
    map: Image.Image

    @property
    def share(self) -> float:
        """Of pixels that changed, 0 to 1."""
        return self.changed / self.pixels

    @property
    def summary(self) -> str:
        """`41,203 of 262,144 pixels changed (15.7%), mean change 3.12 of 255, largest 201`."""
        if not self.largest:
            return f"the same: none of {self.pixels:,} pixels differs"
        return (
            f"{self.changed:,} of {self.pixels:,} pixels changed ({self.share:.1%}), "
            f"mean change {self.mean:.2f} of 255, largest {self.largest}"
        )


def measure(first: Image.Image, second: Image.Image) -> Difference:
    """The differences between two pictures. Raises ValueError when their sizes differ."""
    if first.size != second.size:
        raise ValueError(f"{first.width}×{first.height} and {second.width}×{second.height} pixels")
    a, b = np.asarray(first.convert("RGB")), np.asarray(second.convert("RGB"))
    apart: Pixels = np.maximum(a, b) - np.minimum(a, b)
    strongest: Pixels = apart.max(axis=2)
    bright = int(np.quantile(strongest, 1 - _WHITE)) if strongest.any() else 0
    amplified = max((times for times in _AMPLIFIED if bright * times <= 255), default=1)
    shown = np.minimum(strongest.astype(np.uint16) * amplified, 255).astype(np.uint8)
    return Difference(
        pixels=strongest.size,
        changed=int((strongest > TOLERANCE).sum()),
        mean=float(apart.mean()),
        largest=int(strongest.max()),
        amplified=amplified,
        map=Image.fromarray(_HEAT[shown]),
    )


def write_difference(folder: Path, manifest: Manifest, first: At, second: At, target: Path | None = None) -> Difference:
    """Write both pictures and their map, side by side, as PNG to `target` (default: `difference_file`).

    Raises `InputError` when a cell has no picture or the sizes differ, `PictureError`, `StorageError`.
    """
    pictures = [open_picture(picture_of(folder, manifest, at)) for at in (first, second)]
    names = [manifest.cell(at).label for at in (first, second)]
    try:
        found = measure(*pictures)
    except ValueError as error:
        raise InputError(
            f"{names[0]} and {names[1]} cannot be laid over each other: they have {error}.",
            fix="Choose two cells of the same size.",
        ) from None
    scale = "" if found.amplified == 1 else f", {found.amplified} times as bright"
    page = Page(
        title=f"{manifest.title}: difference" + (" — simulated" if manifest.simulated else ""),
        subtitles=(
            found.summary,
            f"Right: the largest difference of a channel at each pixel{scale}. A pixel counts as changed beyond "
            f"{TOLERANCE} of 255.",
        ),
        columns=(names[0], names[1], f"difference × {found.amplified}"),
        rows=("",),
        blocks=(Block("", (tuple(Place(picture) for picture in (*pictures, found.map)),)),),
    )
    path = target or difference_file(folder, manifest, first, second)
    width, height = pictures[0].size
    shrunk = min(1.0, _MAX_SIDE / max(width, height))
    plan = lay_out(page, (max(1, round(width * shrunk)), max(1, round(height * shrunk))))
    write_plan(path, _with_scale(plan, found), text_of(manifest))
    return found


def _with_scale(plan: Plan, found: Difference) -> Plan:
    """The plan with the colours of the map and what they mean under it."""
    under = plan.cells[-1].box
    height = line_height(plan.text)
    top = plan.height
    ramp = np.linspace(0, 255, under.width).round().astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(np.broadcast_to(_HEAT[ramp], (height, under.width, 3))))
    size = max(9, round(plan.text * 0.8))
    words = ("no difference", f"{255 // found.amplified} of 255 or more")
    box = Box(under.x, top + height, under.width, line_height(size))
    left = Label("legend", (words[0],), box, size, colour=SOFT)
    wide = text_width(words[1], font(size))
    right = replace(left, lines=(words[1],), box=Box(max(under.x, under.right - wide), box.y, wide, box.height))
    end = box.bottom + plan.text
    return replace(
        plan,
        height=end,
        cells=(*plan.cells, CellBox(Place(picture, label="scale"), Box(under.x, top, under.width, height))),
        labels=(*plan.labels, left, right),
        bands=(*plan.bands, (top, end)),
    )


def difference_file(folder: Path, manifest: Manifest, first: At, second: At) -> Path:
    """Where the difference of two cells is written to in the grid's folder."""
    words = " - ".join(address_of(at, manifest).replace(",", " ") for at in (first, second))
    return folder / f"difference {file_stem(words)}.png"


def picture_of(folder: Path, manifest: Manifest, at: At) -> Path:
    """The picture of a cell. Raises `InputError` when it has none."""
    entry = manifest.cell(at)
    if entry.state != "ready" or not entry.picture:
        why = {"failed": f"it failed ({entry.reason})", "left out": f"it is left out ({entry.reason})"}
        raise InputError(
            f"{entry.label} of the grid {manifest.name} has no picture: {why.get(entry.state, 'it is not made yet')}.",
            fix="Choose another cell, or draw what is missing with `orchestrator grid render`.",
        )
    return folder / entry.picture


def _heat() -> Pixels:
    """Black over red and yellow to white: brightness rises all along, so that it reads without colour, too."""
    steps = np.linspace(0, 1, 256)[:, None]
    stops = np.array([0, 0.35, 0.7, 1.0])
    colours = np.array([[0, 0, 0], [176, 32, 24], [250, 190, 40], [255, 255, 255]], float)
    return np.concatenate(
        [np.interp(steps, stops, colours[:, channel]) for channel in range(3)], axis=1
    ).round().astype(np.uint8)  # fmt: skip


_HEAT: Final = _heat()
