"""What a training reads: the dataset's folders and the base checkpoint, checked and named by content."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import DatasetError, Problem
from orchestrator.files import picture_files, read_json, sha256_file
from orchestrator.kohya.dataset_config import Subset
from orchestrator.training import captions, picture_facts
from orchestrator.training.picture_facts import Facts

_GROUP = re.compile(r"^(?P<repeats>\d+)_(?P<name>.+)$")
#: Places named of one problem that many files share.
_NAMED = 6
_BUILD = "correct what it was made from and build it again: `orchestrator dataset build`"


@dataclass(frozen=True)
class GroupFolder:
    """One `<repeats>_<group>` folder of a built dataset.

    `captions` are the texts that are trained on and `sizes` the pictures' (width, height) in pixels, both in the order
    of `pictures`.
    """

    folder: Path
    repeats: int
    name: str
    pictures: tuple[Path, ...]
    captions: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    #: Pictures of the class in general, not of the subject.
    regularisation: bool = False
    #: Only what is opaque in the pictures is learned.
    alpha_mask: bool = False

    @property
    def subset(self) -> Subset:
        """The folder as sd-scripts is told of it."""
        return Subset(self.folder, self.repeats, regularisation=self.regularisation, alpha_mask=self.alpha_mask)


@dataclass(frozen=True)
class DatasetInput:
    """A built dataset as a training sees it. `sha256` names pictures, captions and repeats, and nothing else (no
    paths, no dates).
    """

    folder: Path
    groups: tuple[GroupFolder, ...]
    sha256: str
    manifest_sha256: str

    @property
    def pictures(self) -> int:
        """How many pictures, each counted once."""
        return sum(len(group.pictures) for group in self.groups)

    @property
    def seen_per_epoch(self) -> int:
        """How many pictures one epoch shows, repeats counted."""
        return sum(len(group.pictures) * group.repeats for group in self.groups)


@dataclass(frozen=True)
class Looked:
    """What a look at a dataset's folder found. `dataset` is None where `problems` speak against training on it;
    `doubts` do not. `groups` are there either way.
    """

    dataset: DatasetInput | None
    problems: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()
    groups: tuple[GroupFolder, ...] = ()


def look(folder: Path, cache: Path | None = None) -> Looked:
    """Look at the dataset in `folder` as sd-scripts will: every picture decoded, every caption read. Writes nothing
    but, into `cache`, what was learned of pictures that have not changed since.

    sd-scripts would train on a missing caption's folder name, stop without naming a file at a broken picture, and end
    with exit code 0 when there is nothing at all.
    """
    if not folder.is_dir():
        missing = Problem(str(folder), "there is no dataset", "build it first: `orchestrator dataset build`")
        return Looked(None, (missing,))
    try:
        return _look(folder, cache)
    except OSError as error:
        unreadable = Problem(str(folder), f"cannot be read ({error})", "give yourself the right to read it")
        return Looked(None, (unreadable,))


def _look(folder: Path, cache: Path | None) -> Looked:
    problems: list[Problem] = []
    doubts: list[Problem] = []
    found: list[tuple[Path, int, str, list[Path]]] = []
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        match = _GROUP.match(path.name)
        if match is not None and int(match["repeats"]) > 0:
            found.append((path, int(match["repeats"]), match["name"], picture_files(path)))
        elif not path.name.startswith(".") and picture_files(path):
            doubts.append(Problem(path.name, "is left out", "name it <repeats>_<group>, such as 3_close-up"))
    facts = picture_facts.of([picture for *_, pictures in found for picture in pictures], folder, cache)
    digest = hashlib.sha256()
    marks = _marks(folder)
    groups: list[GroupFolder] = []
    for path, repeats, name, pictures in found:
        read = [captions.read(picture) for picture in pictures]
        digest.update(f"{path.name}\n".encode("utf-8", "surrogateescape"))
        for picture, caption in zip(pictures, read, strict=True):
            place, fact = f"{path.name}/{picture.name}", facts[picture]
            problems += _picture_problems(place, picture, fact)
            if caption.problem:
                problems.append(Problem(place, caption.problem, caption.fix))
            if caption.doubt:
                doubts.append(Problem(place, caption.doubt, "write it in one line"))
            digest.update(
                f"{picture.name} {fact.sha256} {_caption_sha256(picture)}\n".encode("utf-8", "surrogateescape")
            )
        problems += _shared_captions(path, pictures)
        if not pictures:
            problems.append(Problem(path.name, "holds no pictures", "remove the folder, or fill it"))
        more_problems, more_doubts = _other_files(path, pictures)
        problems += more_problems
        doubts += more_doubts
        texts = tuple(caption.text for caption in read)
        sizes = tuple((facts[picture].width, facts[picture].height) for picture in pictures)
        told = marks.get(path.name, {})
        groups.append(
            GroupFolder(
                path, repeats, name, tuple(pictures), texts, sizes,
                regularisation=bool(told.get("regularisation")), alpha_mask=bool(told.get("alpha_mask")),
            )
        )  # fmt: skip
        if told.get("regularisation") or told.get("alpha_mask"):
            digest.update(f"{path.name} {sorted(key for key, value in told.items() if value is True)}\n".encode())
    if not groups:
        problems.append(Problem(str(folder), "there is no folder named <repeats>_<group>", _BUILD))
    manifest = folder / "manifest.json"
    manifest_sha256 = sha256_file(manifest) if manifest.is_file() else ""
    dataset = None if problems else DatasetInput(folder, tuple(groups), digest.hexdigest(), manifest_sha256)
    return Looked(dataset, gathered(problems), gathered(doubts), tuple(groups))


def _marks(folder: Path) -> dict[str, dict[str, Any]]:
    """What the dataset's manifest says of each folder; nothing where there is none."""
    manifest = read_json(folder / "manifest.json")
    groups = manifest.get("groups") if isinstance(manifest, dict) else None
    listed = groups if isinstance(groups, list) else []
    return {str(one.get("folder")): one for one in listed if isinstance(one, dict)}


def read_dataset(folder: Path, cache: Path | None = None) -> DatasetInput:
    """The dataset in `folder`. Raises `DatasetError` listing all problems that `look` finds, at once."""
    looked = look(folder, cache)
    if looked.dataset is not None:
        return looked.dataset
    if not folder.is_dir():
        raise DatasetError(f"There is no dataset in {folder}.", fix="Build it first: `orchestrator dataset build`.")
    raise DatasetError(
        f"The dataset in {folder} cannot be trained on:\n" + "\n".join(f"  {p}" for p in looked.problems),
        fix="Correct what it was made from and build it again: `orchestrator dataset build`.",
    )


def checkpoint_sha256(path: Path, cache: Path) -> str:
    """The sha256 of a checkpoint, kept by path, size and time because the file has gigabytes.

    For a diffusers folder: the sha256 over the names and hashes of its files. Raises `OSError`; a cache that cannot be
    read or written is done without.
    """
    kept_in = cache / "checkpoints.json"
    known: dict[str, str] = picture_facts.kept(kept_in)
    before = dict(known)
    if path.is_file():
        answer = _remembered(path, known)
    else:
        digest = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()} {_remembered(file, known)}\n".encode())
        answer = digest.hexdigest()
    if known != before:
        picture_facts.keep(kept_in, known)
    return answer


def _remembered(file: Path, known: dict[str, str]) -> str:
    facts = file.stat()
    key = f"{file}|{facts.st_size}|{facts.st_mtime_ns}"
    if key not in known:
        known[key] = sha256_file(file)
    return known[key]


def _caption_sha256(picture: Path) -> str:
    file = picture.with_suffix(".txt")
    try:
        return sha256_file(file) if file.is_file() else ""
    except OSError:
        return ""  # a problem of the caption, found where it is read


def _picture_problems(place: str, picture: Path, fact: Facts) -> list[Problem]:
    found: list[Problem] = []
    if unseen := captions.suffix_problem(picture):
        found.append(Problem(place, unseen, f"rename it to {picture.stem}{picture.suffix.lower()}"))
    if fact.problem:
        found.append(Problem(place, fact.problem, fact.fix))
    return found


def _shared_captions(folder: Path, pictures: Iterable[Path]) -> list[Problem]:
    """Pictures that differ in their suffix alone: one caption, and one file of cached latents, for all of them."""
    by_stem: dict[str, list[str]] = {}
    for picture in pictures:
        by_stem.setdefault(os.path.normcase(picture.stem), []).append(picture.name)
    return [
        Problem(
            f"{folder.name}/{' and '.join(names)}",
            f"have one stem and so share one caption, {Path(names[0]).stem}.txt",
            "rename or remove one of them; each picture needs a caption of its own",
        )
        for names in by_stem.values()
        if len(names) > 1
    ]


def _other_files(folder: Path, pictures: Sequence[Path]) -> tuple[list[Problem], list[Problem]]:
    """What else lies in a group's folder and might be meant for the training."""
    problems: list[Problem] = []
    doubts: list[Problem] = []
    stems = {picture.stem for picture in pictures}
    for path in sorted(folder.iterdir()):
        place, suffix = f"{folder.name}/{path.name}", path.suffix.lower()
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if picture_files(path):
                doubts.append(Problem(place, "is not looked into", "move its pictures into the folder above"))
        elif suffix in captions.MAYBE_SEEN:
            problems.append(
                Problem(place, "whether sd-scripts sees it depends on its plug-ins", "convert it to PNG, or remove it")
            )
        elif suffix in captions.NEVER_SEEN:
            doubts.append(Problem(place, "is of a kind that sd-scripts does not read", "convert it to PNG"))
        elif suffix == ".txt" and path.stem not in stems:
            doubts.append(Problem(place, "belongs to no picture", "name it as its picture is named, or remove it"))
    return problems, doubts


def gathered(found: Sequence[Problem]) -> tuple[Problem, ...]:
    """The problems, those that many files share as one."""
    places: dict[tuple[str, str], list[str]] = {}
    for problem in found:
        places.setdefault((problem.what, problem.fix), []).append(problem.place)
    return tuple(Problem(_named(names), what, fix) for (what, fix), names in places.items())


def _named(places: Sequence[str]) -> str:
    more = len(places) - _NAMED
    return ", ".join(places[:_NAMED]) + (f" and {more} more" if more > 0 else "")
