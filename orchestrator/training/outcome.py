"""What a training left on disk: which LoRA files there are and which of them are whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from orchestrator.errors import InputError
from orchestrator.files import sha256_file
from orchestrator.kohya import weights
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.record import SavedFile


class Run(Protocol):
    """What is asked of a run to tell its files: a planned training, or what a record says of one."""

    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def output_folder(self) -> Path: ...
    @property
    def output_name(self) -> str: ...
    @property
    def final_file(self) -> Path: ...
    @property
    def epochs(self) -> int: ...
    @property
    def save_every(self) -> int: ...
    @property
    def values(self) -> Mapping[str, Any]: ...


def expected_epochs(planned: TrainingPlanned) -> list[int]:
    """The epochs whose LoRA files a finished training has, the last one included."""
    return [*range(planned.save_every, planned.epochs, planned.save_every), planned.epochs]


def lora_files(planned: Run) -> tuple[list[Path], list[Path]]:
    """The run's LoRA files, whole ones and cut-off ones, each by epoch; the final one last."""
    return files_of(planned.output_folder, planned.output_name)


def files_of(folder: Path, output_name: str) -> tuple[list[Path], list[Path]]:
    """`lora_files` of any folder."""
    pattern = re.compile(re.escape(output_name) + r"(?:-(\d{6}))?\.safetensors")
    found = [p for p in folder.iterdir() if p.is_file() and pattern.fullmatch(p.name)] if folder.is_dir() else []
    found.sort(key=lambda p: (p.stem == output_name, p.name))
    whole = [p for p in found if weights.is_complete(p)]
    return whole, [p for p in found if p not in whole]


def saved_files(
    planned: Run, files: Iterable[Path], known: Mapping[str, SavedFile] | None = None, since: float = 0.0
) -> tuple[SavedFile, ...]:
    """The entries for the record, hashed. One in `known` is taken as it is when its file was not written to after
    `since` (seconds since 1970) and has its size still: eighty files are gigabytes to hash.
    """
    entries = []
    for path in files:
        facts = path.stat()
        old = (known or {}).get(path.name)
        if old is None or old.size != facts.st_size or facts.st_mtime >= since:
            epoch = epoch_of(planned, path)
            old = SavedFile(file=path.name, epoch=epoch, sha256=sha256_file(path), size=facts.st_size)
        entries.append(old)
    return tuple(entries)


def epoch_of(planned: Run, path: Path) -> int:
    """The epoch of one of the run's files; the one without a number is the last."""
    number = path.stem.rpartition("-")[2]
    return int(number) if path != planned.final_file and number.isdigit() else planned.epochs


def clear_unusable(planned: TrainingPlanned) -> list[str]:
    """Remove LoRA files that were cut off by a kill or a full disk, those that hold NaN, and a final one that was not
    accepted; their names.

    They have their final names and would pass for finished ones; the training makes them again. What holds NaN is
    found from the newest file backwards: weights never recover, so that the files before a good one are good.
    """
    whole, unusable = lora_files(planned)
    unusable = [*unusable, *(path for path in whole if path == planned.final_file)]
    for path in reversed([path for path in whole if path != planned.final_file]):
        if not holds_nan(path):
            break
        unusable.append(path)
    for path in unusable:
        path.unlink(missing_ok=True)
    return [path.name for path in unusable]


def holds_nan(path: Path) -> bool:
    """Whether a LoRA file holds NaN or infinity, or cannot be read. Reads its weights."""
    try:
        return bool(weights.not_finite(path))
    except InputError:
        return True
