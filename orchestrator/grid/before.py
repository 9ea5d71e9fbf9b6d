"""What a grid looked like before it was drawn otherwise: kept beside it as a grid of its own.

The pictures are hard links, so that keeping them costs next to nothing; a LoRA that was trained over can never draw
them again.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from orchestrator.grid import manifest as manifests
from orchestrator.grid.embedded import picture_of
from orchestrator.grid.manifest import At, Axis, Manifest
from orchestrator.grid.progress import link_or_copy
from orchestrator.grid.viewer import write_viewer

FOLDER = "before"


def keep_before(folder: Path, old: Manifest) -> Path:
    """Keep the grid in `folder` as it stands; returns the folder it is kept in. Raises `StorageError`.

    What was kept already is not kept once more: its pictures may have been replaced in `folder` since.
    """
    kept = _free(folder / FOLDER, old.made_with.get("written", ""), old)
    if manifests.find(kept) is not None:
        return kept
    cells = []
    for entry in old.cells:
        picture = picture_of(folder, entry) if entry.state == "ready" else None
        if picture is None:
            state = "pending" if entry.state == "ready" else entry.state
            cells.append(replace(entry, state=state, picture=""))
            continue
        for file in (picture, picture.with_suffix(".json")):
            if file.is_file():
                link_or_copy(
                    file, kept / entry.picture if file is picture else (kept / entry.picture).with_suffix(".json")
                )
        cells.append(entry)
    manifest = replace(old, cells=tuple(cells), sheets=(), drawn="")
    manifests.write(kept, manifest)
    write_viewer(kept, manifest)
    return kept


def _free(parent: Path, written: str, old: Manifest) -> Path:
    stamp = re.sub(r"[^0-9]+", "-", written).strip("-") or "earlier"
    number = 1
    while True:
        folder = parent / (stamp if number == 1 else f"{stamp}-{number}")
        known = manifests.find(folder)
        if not folder.exists() or (known is not None and _shown(known) == _shown(old)):
            return folder
        number += 1


def _shown(manifest: Manifest) -> tuple[tuple[Axis, ...], list[tuple[At, str, str, bool]]]:
    return manifest.axes, [(entry.at, entry.key, entry.state, entry.recipe is None) for entry in manifest.cells]
