"""The contact sheet of a ramp: settings down, seeds across, and what was seen on each picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.evaluation.hits import HitRate
from orchestrator.evaluation.ramp import RampResult, SettingResult, Shot, grouped
from orchestrator.files import picture_files
from orchestrator.grid.contact_sheet import ContactSheet, Mark, Row, Tile, draw_contact_sheet
from orchestrator.grid.set_sheet import SHEETS
from orchestrator.grid.sheet import write_sheet
from orchestrator.pictures.picks import numbered
from orchestrator.workspace import Workspace


def write_ramp_sheet(result: RampResult, workspace: Workspace) -> Path:
    """Draw the sheet of a ramp from its picture set and return its file. Raises `InputError`, `StorageError`."""
    folder = workspace.picture_set(result.name)
    image = draw_contact_sheet(ramp_sheet(result, folder, workspace))
    return write_sheet(image, folder / SHEETS / "sheet.png", {"set": result.name})


def ramp_sheet(result: RampResult, folder: Path, workspace: Workspace) -> ContactSheet:
    """What the sheet shows. A picture that was deleted from the set leaves its place empty."""
    there = {path.name: number for number, path in numbered(folder).items()}
    blocks = max(1, len(result.sources))
    across = blocks * len(result.seeds)
    rows = [
        Row(
            tuple(_tile(shot, folder, there) for shot in result.shots[number * across : (number + 1) * across]),
            "\n".join(f"{name} {value:g}" for name, value in setting.values) or setting.label,
            _found(setting),
        )
        for number, setting in enumerate(result.settings)
    ]
    if result.sources:
        rows.insert(0, _sources(result, workspace))
    one_seed = len(result.seeds) == 1
    return ContactSheet(
        title=f"{result.name} — simulated" if result.simulated else result.name,
        subtitle=f"{_prompt(result)}   ·   seed {result.seeds[0]}" if one_seed else _prompt(result),
        rows=tuple(rows),
        heads=() if one_seed and result.sources else tuple(f"seed {seed}" for seed in result.seeds) * blocks,
        blocks=tuple((name, number * len(result.seeds)) for number, name in enumerate(_short(result.sources))),
        remarks=(*(f"{sources}: {sentence}." for sources, sentence in grouped(result.losses)), *result.notes),
    )


def _short(sources: Sequence[str]) -> list[str]:
    """What a source is called over its column: its file's name is enough where all lie in one folder."""
    one_folder = len({source.rpartition("/")[0] for source in sources}) == 1
    return [Path(source).stem if one_folder else source for source in sources]


def _prompt(result: RampResult) -> str:
    prompts = list(dict.fromkeys(setting.prompt for setting in result.settings))
    said = prompts[0] if len(prompts) == 1 else f"{prompts[0]}   …   {prompts[-1]}"
    loras = dict.fromkeys(f"{name} {weight:g}" for setting in result.settings for name, weight in setting.loras)
    return f"{said}   ·   {', '.join(loras)}" if 0 < len(loras) <= 3 else said


def _found(setting: SettingResult) -> str:
    rate = setting.hits
    lines = [] if rate is None else [_rate(rate)]
    if setting.failed:
        lines.append(f"{setting.failed} failed")
    return "\n".join(lines)


def _rate(rate: HitRate) -> str:
    if rate.low is None or rate.high is None:
        return "hits not measured"
    hits = "1 hit" if rate.hits == 1 else f"{rate.hits} hits"
    return f"{hits} of {rate.measured}\n{rate.low:.0%} to {rate.high:.0%}"


def _tile(shot: Shot, folder: Path, there: dict[str, str]) -> Tile:
    number = there.get(shot.file, str(int(Path(shot.file).stem)))
    marks: list[Mark] = []
    if shot.hit is not None:
        marks.append("hit" if shot.hit else "miss")
    if shot.person is not None and shot.person.state != "not measured":
        marks.append(shot.person.state)
    note = ""
    if shot.person is not None and shot.person.distance is not None:
        note = f"{shot.person.distance:.2f}"
    elif shot.score is not None:
        note = f"{shot.score:.2f}"
    return Tile(number, folder / shot.file if shot.file in there else None, shot.error, note, tuple(marks))


def _sources(result: RampResult, workspace: Workspace) -> Row:
    """The pictures it started from, each over its first seed."""
    sets = workspace.picture_set("a").parent
    tiles: list[Tile | None] = []
    for origin in result.sources:
        places = [sets / origin, workspace.root / origin]
        found = next((path for path in places if path in picture_files(path.parent)), None)
        tiles += [Tile("", found), *([None] * (len(result.seeds) - 1))]
    return Row(tuple(tiles), "source")
