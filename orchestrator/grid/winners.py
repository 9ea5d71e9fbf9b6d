"""The winner of a verdict, shown in the grids that have its cell."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from orchestrator.grid import manifest as manifests
from orchestrator.grid.manifest import At, Manifest
from orchestrator.grid.viewer import write_viewer


def highlight(folder: Path, epoch: int, weight: float, lora_files: Collection[str]) -> bool:
    """Mark the cells of the grid in `folder` that were drawn from that epoch at that weight, and draw its sheets again.

    `lora_files` are the files (sha256) the verdict was made over: a grid drawn before the LoRA was trained again is
    left alone. Returns whether anything changed. Raises `StorageError`.
    """
    from orchestrator.grid.sheet import draw_sheets

    known = manifests.find(folder)
    if known is None:
        return False
    winners = _winners(known, epoch, weight, lora_files)
    if not winners or winners == known.highlighted:
        return False
    marked = draw_sheets(folder, replace(known, highlighted=winners), known=known)
    manifests.write(folder, marked)
    write_viewer(folder, marked)
    return True


def _winners(manifest: Manifest, epoch: int, weight: float, lora_files: Collection[str]) -> tuple[At, ...]:
    if manifest.axis("epoch") is None or manifest.axis("weight") is None:
        return ()
    found = []
    for entry in manifest.cells:
        recipe = manifest.recipe_of(entry)
        loras = recipe["loras"] if recipe else ()
        if not loras or loras[0]["sha256"] not in lora_files:
            continue
        at = manifest.value_of(entry, "epoch"), manifest.value_of(entry, "weight")
        if at[0] == str(epoch) and at[1] is not None and abs(float(at[1]) - weight) < 1e-9:
            found.append(entry.at)
    return tuple(found)
