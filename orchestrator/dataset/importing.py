"""Pictures from anywhere into the workspace: copied, never moved, each with where it came from; and taken back.

An imported picture lies in `imported/<group>/<stem>-<8 hex digits of its content>.<ext>` with its caption beside it,
and the group takes it from there. Every import writes a record of its own, so two at once cannot lose each other's.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.dataset import caption_store
from orchestrator.dataset.captions import CAPTION_SUFFIXES, decode, likely_encoding, one_line
from orchestrator.dataset.import_records import RECORDS, origins, put_aside
from orchestrator.dataset.provenance import made_by_a1111, made_of
from orchestrator.errors import DatasetError, InputError, Problem
from orchestrator.files import (
    beside,
    file_stem,
    picture_files,
    sha256_file,
    storage_error,
    write_json,
    write_text,
)
from orchestrator.profile.model import Group, Profile
from orchestrator.workspace import Workspace

#: How sd-scripts names folders: how often each picture is seen, `_`, the class words.
_KOHYA_FOLDER = re.compile(r"(\d+)_(.+)")
_LONGEST_STEM = 60


@dataclass(frozen=True)
class Incoming:
    """One picture to be imported. `caption` is None where none lies beside it."""

    path: Path
    group: str
    sha256: str
    caption: str | None = None
    caption_path: Path | None = None
    origin: dict[str, Any] = field(default_factory=dict)
    #: The imported picture it takes the place of; empty = none.
    instead_of: str = ""

    @property
    def file(self) -> str:
        """Its name in the workspace: readable, and different for every content."""
        return f"{file_stem(self.path.stem)[:_LONGEST_STEM].rstrip(' .')}-{self.sha256[:8]}{self.path.suffix.lower()}"


@dataclass(frozen=True)
class ImportPlan:
    """What an import would do. `there` are pictures the group has already; `notes` are for the user."""

    incoming: tuple[Incoming, ...]
    there: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Imported:
    """What an import did. `number` names it for `undo`; empty when nothing was new."""

    number: str
    files: tuple[Path, ...]
    there: int
    left_out: int
    instead: int
    notes: tuple[str, ...] = ()


def plan_import(
    profile: Profile,
    workspace: Workspace,
    sources: Sequence[Path],
    *,
    group: str = "",
    caption_encoding: str = "utf-8",
    instead: bool = False,
) -> ImportPlan:
    """What importing `sources` (pictures, folders, kohya's `N_name` folders or their parent) would do. Writes nothing.

    Every picture is decoded once, so that what sd-scripts would stop at is found now. Without `group` the folder's own
    name says it. Captions (.txt or .caption) are read in `caption_encoding`. `instead`: a picture made of an imported
    one (straightened) takes its place and its caption. Raises `InputError` for a source that is not there or whose
    group is not known.
    """
    problems: list[Problem] = []
    notes: list[str] = []
    incoming: list[Incoming] = []
    there: list[Path] = []
    seen: dict[tuple[str, str], Path] = {}
    replaced = {group.name: _by_content(workspace.imported(group.name)) for group in profile.dataset.groups if instead}
    for path, target in _pictures(profile, sources, group, notes):
        found = _look(path, target, caption_encoding, problems)
        if found is None:
            continue
        old = replaced.get(target, {}).get(str(found.origin.get("source_sha256", "")), "")
        found = dataclasses.replace(found, instead_of=old)
        if (first := seen.setdefault((target, found.sha256), path)) != path:
            notes.append(f"{path} is the same picture as {first}; it is imported once.")
        elif (workspace.imported(target) / found.file).exists() and not old:
            there.append(path)
        else:
            incoming.append(found)
    return ImportPlan(tuple(incoming), tuple(there), tuple(problems), tuple(notes))


def carry_out(workspace: Workspace, plan: ImportPlan, *, skip_bad: bool = False) -> Imported:
    """Copy what `plan` found. Raises `DatasetError` naming every problem unless `skip_bad`, `StorageError`.

    A picture's caption and then the picture itself are written whole or not at all; the record comes first, so that an
    import that was cut off can be undone, and the same import again brings what is missing.
    """
    if plan.problems and not skip_bad:
        listed = "\n".join(f"  {problem}" for problem in plan.problems)
        count = "1 problem" if len(plan.problems) == 1 else f"{len(plan.problems)} problems"
        raise DatasetError(
            f"Nothing was imported, {count}:\n{listed}",
            fix="Mend what is listed, or import the others with --skip-bad. The originals were not touched.",
        )
    if not plan.incoming:
        return Imported("", (), len(plan.there), len(plan.problems), 0, plan.notes)
    # To the millisecond, so that the newest sorts last; the rest tells apart two that run at once.
    now = time.time()
    number = (
        f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{int(now * 1000) % 1000:03d}-{uuid.uuid4().hex[:4]}"
    )
    files = []
    for group in dict.fromkeys(one.group for one in plan.incoming):
        ours = [one for one in plan.incoming if one.group == group]
        folder = workspace.imported(group)
        write_json(
            folder / RECORDS / f"{number}.json", {"import": number, "pictures": [_entry(folder, one) for one in ours]}
        )
        for one in ours:
            target = folder / one.file
            caption = _caption_of(folder, one)
            if caption is not None:
                write_text(target.with_suffix(".txt"), caption + "\n")
            with beside(target) as temporary:
                shutil.copyfile(one.path, temporary)
            if one.instead_of:
                put_aside(folder, number, one.instead_of)
            files.append(target)
    instead = [one for one in plan.incoming if one.instead_of]
    _keep_captions(workspace, instead)
    return Imported(number, tuple(files), len(plan.there), len(plan.problems), len(instead), plan.notes)


def _pictures(profile: Profile, sources: Sequence[Path], group: str, notes: list[str]) -> list[tuple[Path, str]]:
    """Each picture with the group it goes to."""
    found: list[tuple[Path, str]] = []
    for source in sources:
        if source.is_dir():
            inside = [one for one in sorted(source.iterdir()) if one.is_dir() and _KOHYA_FOLDER.fullmatch(one.name)]
            for folder in inside or [source]:
                target = _group(profile, folder, group, notes)
                pictures = picture_files(folder)
                if not pictures:
                    notes.append(f"{folder} holds no pictures.")
                found += [(path, target) for path in pictures]
        elif source.is_file():
            found.append((source, _group(profile, source.parent, group, notes)))
        else:
            raise InputError(f"{source} is not there.", fix="Give a picture or a folder of pictures.")
    return found


def _group(profile: Profile, folder: Path, wanted: str, notes: list[str]) -> str:
    groups = {one.name.casefold(): one for one in profile.dataset.groups}
    kohya = _KOHYA_FOLDER.fullmatch(folder.name)
    name = wanted or (kohya[2] if kohya else folder.name)
    group = groups.get(name.casefold()) or next((g for g in groups.values() if file_stem(g.name) == name), None)
    if group is None:
        raise InputError(
            f"The profile has no dataset group {name!r}, which {folder} would go to.",
            fix=f"Say which with --group ({', '.join(g.name for g in groups.values()) or 'there are none yet'}), "
            "or add it to lora.toml:\n"
            f'[[dataset.groups]]\nname = "{name}"\nrepeats = {int(kohya[1]) if kohya else 1}',
        )
    if kohya:
        _say_repeats(group, int(kohya[1]), folder, notes)
    return group.name


def _say_repeats(group: Group, repeats: int, folder: Path, notes: list[str]) -> None:
    if repeats != group.repeats:
        notes.append(
            f"{folder.name} is seen {repeats} times per epoch, the group {group.name!r} {group.repeats}: "
            f"set `repeats = {repeats}` in lora.toml to train as before."
        )


def _look(path: Path, group: str, encoding: str, problems: list[Problem]) -> Incoming | None:
    from orchestrator.dataset.provenance import what_is_wrong

    if problem := what_is_wrong(path):
        problems.append(problem)
        return None
    try:
        digest = sha256_file(path)
    except OSError as error:
        raise storage_error(error, path) from error
    caption, caption_path = None, _caption_file(path, problems)
    if caption_path is not None:
        try:
            text = decode(caption_path, encoding)
        except ValueError as error:
            problems.append(Problem(str(caption_path), str(error), _encoding_advice(caption_path)))
            return None
        caption = one_line(text)
        if not caption:
            problems.append(
                Problem(str(caption_path), "the caption is empty", "write one, or delete it: the group's is then used")
            )
            return None
    return Incoming(path, group, digest, caption, caption_path, made_of(path, digest) | made_by_a1111(path))


def _caption_file(path: Path, problems: list[Problem]) -> Path | None:
    there = [path.with_suffix(suffix) for suffix in CAPTION_SUFFIXES if path.with_suffix(suffix).is_file()]
    if len(there) == 2 and there[0].read_bytes() != there[1].read_bytes():
        problems.append(
            Problem(
                str(path),
                f"it has two captions, {there[0].name} and {there[1].name}, that differ",
                "delete the one that is not meant",
            )
        )
    return there[0] if there else None


def _encoding_advice(path: Path) -> str:
    data = path.read_bytes()
    for encoding in filter(None, (likely_encoding(data), "gb18030", "cp1252")):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return f"save it as UTF-8, or import with --caption-encoding {encoding} if this is right: {text.strip()[:60]}"
    return "save it as UTF-8"


def _by_content(folder: Path) -> dict[str, str]:
    """The pictures that lie in an imported group, by what their files hold."""
    return {str(entry["sha256"]): file for file, entry in origins(folder).items() if (folder / file).is_file()}


def _caption_of(folder: Path, one: Incoming) -> str | None:
    """The caption of its own, else that of the picture it takes the place of."""
    if one.caption is not None or not one.instead_of:
        return one.caption
    old = (folder / one.instead_of).with_suffix(".txt")
    return one_line(decode(old)) if old.is_file() else None


def _keep_captions(workspace: Workspace, ones: Sequence[Incoming]) -> None:
    """What is kept of the captions of pictures counts for those that take their place."""
    kept = caption_store.read(workspace) if ones else {}
    new = {
        one.sha256: kept[source]
        for one in ones
        if (source := str(one.origin["source_sha256"])) in kept and one.sha256 not in kept
    }
    if new:
        caption_store.write(workspace, {**kept, **new})


def _entry(folder: Path, one: Incoming) -> dict[str, Any]:
    return {
        "file": one.file,
        "sha256": one.sha256,
        "imported_from": str(one.path),
        "caption": _caption_of(folder, one),
        **({"instead_of": one.instead_of} if one.instead_of else {}),
        **({"caption_from": str(one.caption_path)} if one.caption_path else {}),
        **one.origin,
    }
