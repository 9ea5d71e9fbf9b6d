"""The pictures of a grid taken back out of its sheet, where the sheet is all there is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from orchestrator.errors import OrchestratorError
from orchestrator.grid.embedded import SHEET_CHUNK
from orchestrator.grid.layout import Box, Plan
from orchestrator.grid.manifest import At, Entry, Manifest
from orchestrator.grid.picture_text import read_texts
from orchestrator.grid.sheet import Format, plan_sheets

#: Larger sheets are not unpacked: this one takes 180 MB.
MAX_SHEET_PIXELS = 60_000_000
_NOWHERE = Path("no folder")
_FORMATS: dict[str, Format] = {"PNG": "png", "WEBP": "webp", "JPEG": "jpeg"}


def crops_of(path: Path, manifest: Manifest) -> Callable[[Entry], Image.Image | None]:
    """Gives the piece of the sheet at `path` that shows a cell; None for cells that are not on it.

    Where cells stand follows from the manifest, and which sheet it is from the name it was written with. One that was
    scaled or cut gives nothing: a piece of the wrong place would be worse than none. Raises no errors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                kind = _FORMATS.get(image.format or "")
                if kind is None or image.width * image.height > MAX_SHEET_PIXELS:
                    return lambda entry: None
                name = read_texts(path, {SHEET_CHUNK}).get(SHEET_CHUNK, path.name)
                boxes = _boxes(name, image.size, manifest, kind)
                whole = image.convert("RGB") if boxes else None
    except (OSError, ValueError, SyntaxError, ArithmeticError, Image.DecompressionBombError, OrchestratorError):
        return lambda entry: None

    def crop(entry: Entry) -> Image.Image | None:
        box = boxes.get(entry.at)
        if whole is None or box is None or entry.state != "ready":
            return None
        return whole.crop((box.x, box.y, box.right, box.bottom))

    return crop


def _boxes(name: str, size: tuple[int, int], manifest: Manifest, kind: Format) -> dict[At, Box]:
    fitting: dict[str, Plan] = {
        planned.entry.file: planned.plan
        for planned in plan_sheets(_NOWHERE, manifest, format=kind)
        if (planned.plan.width, planned.plan.height) == size
    }
    plan = fitting.get(name) or (next(iter(fitting.values())) if len(fitting) == 1 else None)
    return {cell.place.at: cell.box for cell in plan.cells} if plan is not None else {}
