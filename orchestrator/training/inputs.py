"""What a training reads: the dataset's folders and the base checkpoint, checked and named by content."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import DatasetError, PictureError, StorageError
from orchestrator.files import open_picture, picture_files, read_json, sha256_file, write_json

_GROUP = re.compile(r"^(?P<repeats>\d+)_(?P<name>.+)$")
_LISTED = 12


@dataclass(frozen=True)
class GroupFolder:
    """One `<repeats>_<group>` folder of a built dataset."""

    folder: Path
    repeats: int
    name: str
    pictures: tuple[Path, ...]


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


def read_dataset(folder: Path) -> DatasetInput:
    """The dataset in `folder`, every picture decoded and every caption read. Raises `DatasetError` listing all
    problems at once.

    sd-scripts would train on a missing caption's folder name, stop without naming a file at a broken picture, and end
    with exit code 0 when there is nothing at all.
    """
    if not folder.is_dir():
        raise DatasetError(f"There is no dataset in {folder}.", fix="Build it first: `orchestrator dataset build`.")
    groups: list[GroupFolder] = []
    problems: list[str] = []
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        match = _GROUP.match(path.name)
        if match is None or int(match["repeats"]) == 0:
            continue
        pictures = tuple(picture_files(path))
        groups.append(GroupFolder(path, int(match["repeats"]), match["name"], pictures))
        digest.update(f"{path.name}\n".encode())
        for picture in pictures:
            problems += _picture_problems(picture)
            caption = picture.with_suffix(".txt")
            digest.update(
                f"{picture.name} {sha256_file(picture)} {sha256_file(caption) if caption.is_file() else ''}\n".encode()
            )
        if not pictures:
            problems.append(f"{path.name}: holds no pictures")
    if not groups:
        problems.append("there is no folder named <repeats>_<group>")
    if problems:
        shown = problems[:_LISTED] + ([f"… and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else [])
        raise DatasetError(
            f"The dataset in {folder} cannot be trained on:\n" + "\n".join(f"  {p}" for p in shown),
            fix="Correct what it was made from and build it again: `orchestrator dataset build`.",
        )
    manifest = folder / "manifest.json"
    return DatasetInput(folder, tuple(groups), digest.hexdigest(), sha256_file(manifest) if manifest.is_file() else "")


def checkpoint_sha256(path: Path, cache: Path) -> str:
    """The sha256 of a checkpoint, kept by path, size and time because the file has gigabytes.

    For a diffusers folder: the sha256 over the names and hashes of its files. Raises `StorageError`.
    """
    kept_in = cache / "checkpoints.json"
    kept = read_json(kept_in)
    known: dict[str, str] = kept if isinstance(kept, dict) else {}
    before = dict(known)
    if path.is_file():
        answer = _remembered(path, known)
    else:
        digest = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()} {_remembered(file, known)}\n".encode())
        answer = digest.hexdigest()
    if known != before:
        write_json(kept_in, known)
    return answer


def forget_stale_latents(dataset: DatasetInput, key: str, cache: Path) -> int:
    """Remove the latents sd-scripts left in the dataset's folders when they were made under another `key`; how many.

    sd-scripts takes such a file without asking whether the picture, the size or the base checkpoint is still the same
    (observed).
    """
    marker = cache / "latents" / f"{hashlib.sha256(str(dataset.folder).encode()).hexdigest()[:24]}.json"
    same = read_json(marker) == key
    stale = [] if same else [npz for group in dataset.groups for npz in group.folder.glob("*.npz")]
    for npz in stale:
        npz.unlink()
    if not same:
        write_json(marker, key)
    return len(stale)


def check_space(folder: Path, needed: int) -> None:
    """Raises `StorageError` when the disk of `folder` has less than `needed` bytes and 200 MB to breathe."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed + 200_000_000:
        raise StorageError(
            f"The training will need about {_size(needed)}, and the disk of {existing} has {_size(free)} left.",
            fix="Free some space, save less often (save_every), or move the workspace; then run the same command.",
        )


def _remembered(file: Path, known: dict[str, str]) -> str:
    facts = file.stat()
    key = f"{file}|{facts.st_size}|{facts.st_mtime_ns}"
    if key not in known:
        known[key] = sha256_file(file)
    return known[key]


def _picture_problems(picture: Path) -> list[str]:
    problems: list[str] = []
    place = f"{picture.parent.name}/{picture.name}"
    try:
        open_picture(picture)
    except PictureError as error:
        problems.append(f"{place}: {error.what.split(' cannot be used as a picture: ')[-1].rstrip('.')}")
    try:
        text = picture.with_suffix(".txt").read_bytes().decode("utf-8")
        if not text.strip():
            problems.append(f"{place}: its caption is empty")
        elif text.startswith("\ufeff"):
            problems.append(
                f"{place}: its caption begins with a byte order mark, which would become part of the trigger word"
            )
    except FileNotFoundError:
        problems.append(f"{place}: has no caption")
    except UnicodeDecodeError:
        problems.append(f"{place}: its caption is not UTF-8")
    return problems


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
