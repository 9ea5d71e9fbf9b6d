"""Pictures beside what was made of them: straightened ones, and variations that were set aside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.grid.contact_sheet import ContactSheet, Row, Tile, draw_contact_sheet
from orchestrator.grid.set_sheet import SHEETS
from orchestrator.grid.sheet import write_sheet
from orchestrator.pictures.identity_floor import Refused
from orchestrator.pictures.straighten import Straightened

#: Pairs in one row: a picture and its straightened self.
_PAIRS = 4


def write_before_after(folder: Path, pictures: Sequence[tuple[Path, Straightened]]) -> Path:
    """Draw the sheet of (source, what was done to it) into the sheets' folder of `folder`. Raises `InputError` for more
    than a sheet holds, `StorageError`.
    """
    words = f"{len(pictures)} pictures: as they were, and upright" if len(pictures) > 1 else "before and after"
    pairs = [_pair(source, one) for source, one in pictures]
    sheet = _of_pairs("Straightened", words, ("before", "after"), pairs)
    return write_sheet(draw_contact_sheet(sheet), folder / SHEETS / "sheet.png", {"straightened": len(pictures)})


def write_refused(folder: Path, name: str, refused: Sequence[Refused]) -> Path:
    """Draw the sheet of a set's variations that were set aside, each beside the picture it was made from."""
    pairs = [(Tile(one.path.stem, one.source), Tile("", one.path, note=one.why)) for one in refused]
    sheet = _of_pairs(
        f"{name}: {len(refused)} refused", "set aside: not the face of the source", ("source", "refused"), pairs
    )
    return write_sheet(draw_contact_sheet(sheet), folder / SHEETS / "refused.png", {"set": name})


def _of_pairs(title: str, subtitle: str, heads: tuple[str, str], pairs: Sequence[tuple[Tile, Tile]]) -> ContactSheet:
    rows = (pairs[start : start + _PAIRS] for start in range(0, len(pairs), _PAIRS))
    return ContactSheet(
        title=title,
        subtitle=subtitle,
        rows=tuple(Row(tuple(tile for pair in row for tile in pair)) for row in rows),
        heads=heads * min(_PAIRS, len(pairs)),
    )


def _pair(source: Path, one: Straightened) -> tuple[Tile, Tile]:
    before = f"{one.before:+.1f}°" if one.before is not None else ""
    turned = f"turned {-(one.angle or 0.0):+.1f}°"
    after = f", now {one.after:+.1f}°" if one.after is not None else ""
    return Tile(source.stem, source, note=before), Tile("", one.path, note=turned + after)
