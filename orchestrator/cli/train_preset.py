"""Presets of the kohya_ss GUI on the command line: trained from, or written as a profile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.console import note
from orchestrator.files import picture_files
from orchestrator.kohya import arguments, gui_preset
from orchestrator.kohya.gui_words import Note
from orchestrator.training import from_values, inputs

if TYPE_CHECKING:
    from orchestrator.kohya.gui_preset import Imported
    from orchestrator.kohya.install import KohyaInstall
    from orchestrator.profile.model import DatasetPlan, Profile, TrainingPlan
    from orchestrator.workspace import Workspace

_GROUP = re.compile(r"^(?P<repeats>\d+)_(?P<name>.+)$")
_VERSIONED = re.compile(r"^(?P<name>.+)_(?P<version>v\d\w*)$")
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*,(){}\[\]\x00-\x1f]+')


def taken_over(path: Path, profile: Profile, install: KohyaInstall, workspace: Workspace) -> tuple[Profile, str]:
    """`profile` with the preset's training in the place of its own, and the preset's base checkpoint ("" where it is
    not on this machine). What became of each value is told. Raises `InputError`.
    """
    looked = inputs.look(workspace.dataset(profile.subject.version), workspace.cache)
    seen = sum(len(group.pictures) * group.repeats for group in looked.groups)
    imported, training, dataset, notes = _read(path, install, workspace.cache, seen or None)
    for each in notes:
        note(str(each))
    taken = from_values.onto(profile, training, dataset)
    components = {
        name: file for name, file in imported.base.items() if name != "path" and not getattr(profile.base, name)
    }
    named = imported.base.get("path", "")
    if named:
        note(f"The preset was made for the base checkpoint {named}.")
    there = named if named and Path(named).expanduser().exists() else ""
    return taken.model_copy(update={"base": profile.base.model_copy(update=components)}), there


def as_profile(path: Path, install: KohyaInstall) -> tuple[str, list[Note]]:
    """The text of a lora.toml that trains as the preset does, and what became of each value. Raises `InputError`."""
    preset = gui_preset.read(path)
    groups, more = _groups(str(preset.get("train_data_dir") or ""))
    seen = sum(group["repeats"] * len(picture_files(Path(group["folders"][0]))) for group in groups)
    imported, training, dataset, notes = _read(path, install, None, seen or None)
    subject = _subject(str(preset.get("output_name") or ""))
    why = "a preset does not say which word calls the subject"
    notes = [*notes, *more, Note("ambiguous", "subject.trigger", None, "{name}_{version}", why)]
    heading = f"Put together from the kohya_ss preset {path.name}; look at every line before you use it."
    text = from_values.profile_text(
        training, dataset, subject=subject, base=imported.base, groups=groups, notes=notes, heading=heading
    )
    return text, notes


def _read(
    path: Path, install: KohyaInstall, cache: Path | None, seen_per_epoch: int | None
) -> tuple[Imported, TrainingPlan, DatasetPlan, list[Note]]:
    preset = gui_preset.read(path)
    accepted = arguments.read(install, gui_preset.script(preset), cache)
    imported = gui_preset.convert(preset, accepted, seen_per_epoch=seen_per_epoch)
    training, dataset, more = from_values.to_plan(
        imported.values, imported.dataset, family=imported.family, launch=imported.launch, samples=imported.samples
    )
    return imported, training, dataset, [*imported.notes, *more]


def _groups(pictures: str) -> tuple[list[dict[str, Any]], list[Note]]:
    """The preset's `<repeats>_<name>` folders as groups of the user's own pictures."""
    if not pictures:
        return [], []
    folder = Path(pictures).expanduser()
    found = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    groups = [
        {"name": match["name"], "folders": [str(each.absolute())], "repeats": int(match["repeats"])}
        for each in found
        if (match := _GROUP.match(each.name)) and 1 <= int(match["repeats"]) <= 1000
    ]
    if groups:
        return groups, []
    why = "no <repeats>_<name> folders are there on this machine: write [[dataset.groups]]"
    return [], [Note("dropped", "train_data_dir", pictures, "", why)]


def _subject(output_name: str) -> dict[str, str]:
    name = _NOT_IN_NAMES.sub("_", output_name).strip()[:80]
    match = _VERSIONED.match(name)
    return match.groupdict() if match else {"name": name} if name else {}
