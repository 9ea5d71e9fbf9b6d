"""The contact sheet of a picture set: every picture with the number it is picked by."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import WorkspaceError
from orchestrator.files import read_json
from orchestrator.grid.contact_sheet import ContactSheet, Tile, draw_contact_sheet, rows_of
from orchestrator.grid.sheet import write_sheet
from orchestrator.pictures.keeping import MANIFEST
from orchestrator.pictures.picks import numbered

#: The folder of a set's sheets: beside its pictures they would be varied and trained on.
SHEETS = "sheet"


def write_set_sheet(folder: Path, *, columns: int = 0) -> Path:
    """Draw the sheet of the set in `folder` and return its file. `columns` 0 = as it looks best.

    Raises `WorkspaceError` for a set without pictures, `InputError` for more than a sheet holds, `StorageError`.
    """
    pictures = numbered(folder)
    if not pictures:
        raise WorkspaceError(f"There are no pictures in {folder}.", fix="Make the set first, or name another.")
    manifest = read_json(folder / MANIFEST)
    entries = manifest.get("pictures", ()) if isinstance(manifest, dict) else ()
    known = {entry["file"]: entry for entry in entries if isinstance(entry, dict) and "file" in entry}
    tiles = [Tile(number, path, note=_note(known.get(path.name, {}))) for number, path in pictures.items()]
    name = str(manifest.get("set") or folder.name) if isinstance(manifest, dict) else folder.name
    sheet = ContactSheet(
        title=name,
        subtitle=f"{len(tiles)} pictures" if len(tiles) > 1 else "1 picture",
        rows=rows_of(tiles, columns),
    )
    return write_sheet(draw_contact_sheet(sheet), folder / SHEETS / "sheet.png", {"set": name})


def _note(entry: dict[str, object]) -> str:
    if entry.get("retouched"):
        return "retouched"
    return f"seed {entry['seed']}" if entry.get("seed") is not None else ""
