"""What straightening did: every picture before and after, side by side on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.grid.contact_sheet import ContactSheet, Row, Tile, draw_contact_sheet
from orchestrator.grid.set_sheet import SHEETS
from orchestrator.grid.sheet import write_sheet
from orchestrator.pictures.straighten import Straightened

#: Pairs in one row: a picture and its straightened self.
_PAIRS = 4


def write_before_after(folder: Path, pictures: Sequence[tuple[Path, Straightened]]) -> Path:
    """Draw the sheet of (source, what was done to it) into the sheets' folder of `folder`. Raises `InputError` for more
    than a sheet holds, `StorageError`.
    """
    sheet = ContactSheet(
        title="Straightened",
        subtitle=f"{len(pictures)} pictures: as they were, and upright" if len(pictures) > 1 else "before and after",
        rows=tuple(
            Row(tuple(tile for source, one in pictures[start : start + _PAIRS] for tile in _pair(source, one)))
            for start in range(0, len(pictures), _PAIRS)
        ),
        heads=("before", "after") * min(_PAIRS, len(pictures)),
    )
    return write_sheet(draw_contact_sheet(sheet), folder / SHEETS / "sheet.png", {"straightened": len(pictures)})


def _pair(source: Path, one: Straightened) -> tuple[Tile, Tile]:
    before = f"{one.before:+.1f}°" if one.before is not None else ""
    turned = f"turned {-(one.angle or 0.0):+.1f}°"
    after = f", now {one.after:+.1f}°" if one.after is not None else ""
    return Tile(source.stem, source, note=before), Tile("", one.path, note=turned + after)
