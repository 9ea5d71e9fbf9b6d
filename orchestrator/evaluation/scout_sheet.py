"""The contact sheet of a scouting: rounds down, candidate seeds across, and which of them obey."""

from __future__ import annotations

from pathlib import Path

from orchestrator.evaluation.scout import ScoutResult, SeedScouted
from orchestrator.grid.contact_sheet import ContactSheet, Mark, Row, Tile, draw_contact_sheet
from orchestrator.grid.sheet import write_sheet
from orchestrator.render.cache import PictureCache
from orchestrator.workspace import Workspace

SHEET = "scout.png"
#: Seeds in a row; more begin a further block of rows.
ACROSS = 12


def write_scout_sheet(result: ScoutResult, workspace: Workspace, version: str, *, simulated: bool = False) -> Path:
    """Draw the sheet beside the scouted seeds and return its file. Raises `InputError`, `StorageError`."""
    sheet = scout_sheet(result, PictureCache(workspace.cache), simulated=simulated)
    return write_sheet(draw_contact_sheet(sheet), workspace.evaluation(version) / SHEET, {"scout": version})


def scout_sheet(result: ScoutResult, cache: PictureCache, *, simulated: bool = False) -> ContactSheet:
    """What the sheet shows: the kept seeds first, then the others."""
    seeds = sorted(result.candidates, key=lambda each: (not each.kept, each.seed))
    rates = {rate.round: rate for rate in result.rates}
    rows = [
        Row(
            tuple(_tile(each, name, cache) for each in seeds[start : start + ACROSS]),
            name,
            f"{rate.obeyed} of {rate.measured} obey\n{rate.low:.0%} to {rate.high:.0%}"
            if rate.measured
            else "not measured",
        )
        for start in range(0, len(seeds), ACROSS)
        for name, rate in rates.items()
    ]
    title = "Scouted seeds, without LoRA"
    return ContactSheet(f"{title} — simulated" if simulated else title, tuple(rows), remarks=result.sentences)


def _tile(seed: SeedScouted, name: str, cache: PictureCache) -> Tile:
    key = seed.pictures.get(name, "")
    marks: tuple[Mark, ...] = ("hit",) if name in seed.obeyed else ("miss",) if name in seed.failed else ()
    path = cache.picture(key) if key else None
    return Tile(
        str(seed.seed), path if path is not None and path.is_file() else None, "", "kept" if seed.kept else "", marks
    )
