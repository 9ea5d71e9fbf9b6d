"""The LoRA files of a folder, with the epoch each one really is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.files import sha256_file
from orchestrator.kohya import weights
from orchestrator.lora.header import LoraHeader, read_header

_NUMBERED = re.compile(r"^(?P<name>.+)-(?P<epoch>\d{6})$")


@dataclass(frozen=True)
class LoraFile:
    """One LoRA file. `epoch` is 0 where neither the file nor its name tells it.

    `model_hash` (64 digits) is what A1111 shows the first 12 of; `sha256` is that of the whole file, which also
    changes when only its metadata does. `problem` is empty for a usable file, else a sentence's end.
    """

    path: Path
    stem: str
    sha256: str
    epoch: int
    session_id: str
    output_name: str
    model_hash: str
    network_dim: int | None
    base_model: str
    trained_at: float | None
    size: int
    problem: str = ""

    @property
    def shown_hash(self) -> str:
        """The 12 digits A1111 writes as "Lora hashes"."""
        return self.model_hash[:12]


def catalog(folder: Path, *, output_name: str = "", everything: bool = False) -> list[LoraFile]:
    """The usable LoRA files directly in `folder`, by name and epoch; those of `output_name` only when it is given.

    The file without a number gets the epoch written in it (the last one). Left out, unless `everything` is asked for,
    are files that are cut off and files left behind by an earlier, longer training of the same name. Raises
    `InputError` when there is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", fix="Train first: `orchestrator train`.")
    found = [
        lora_file(path) for path in folder.glob("*.safetensors") if path.is_file() and not path.name.startswith(".")
    ]
    if output_name:
        found = [f for f in found if f.output_name == output_name]
    found = _mark_leftovers(found)
    return sorted((f for f in found if everything or not f.problem), key=lambda f: (f.output_name, f.epoch, f.stem))


def lora_file(path: Path) -> LoraFile:
    """One file's entry; a file that cannot be used has a `problem`. Raises `InputError` when there is no such file,
    `StorageError`.
    """
    match = _NUMBERED.match(path.stem)
    named = match["name"] if match else path.stem
    epoch = int(match["epoch"]) if match else 0
    sha256 = sha256_file(path) if path.is_file() else ""
    try:
        header: LoraHeader = read_header(path)
    except InputError as error:
        if not path.is_file():
            raise
        why = error.what.rpartition("safetensors file: ")[2].rstrip(".")
        return LoraFile(path, path.stem, sha256, epoch, "", named, "", None, "", None, path.stat().st_size, why)
    return LoraFile(
        path=path,
        stem=path.stem,
        sha256=sha256,
        epoch=epoch if header.epoch is None else header.epoch,
        session_id=header.session_id,
        output_name=header.output_name or named,
        model_hash=weights.shown_hash(path),
        network_dim=header.dim,
        base_model=header.base_model,
        trained_at=header.trained_at,
        size=path.stat().st_size,
        problem="" if header.complete else "it was cut off",
    )


def _mark_leftovers(files: Iterable[LoraFile]) -> list[LoraFile]:
    """Mark what an earlier training left behind.

    A training that was gone on with has another session id for each part, so the id alone proves nothing. But within
    one training a later epoch is always saved later: a file of another session that is older than one of a lower
    epoch is not of this training.
    """
    every = list(files)
    return [_leftover(f) if any(_is_newer_beginning(f, other) for other in every) else f for f in every]


def _is_newer_beginning(file: LoraFile, other: LoraFile) -> bool:
    return (
        other.output_name == file.output_name
        and not other.problem
        and other.session_id != file.session_id
        and other.trained_at is not None
        and file.trained_at is not None
        and 0 < other.epoch <= file.epoch
        and other.trained_at > file.trained_at
    )


def _leftover(file: LoraFile) -> LoraFile:
    return (
        file
        if file.problem
        else LoraFile(**{**vars(file), "problem": "an earlier training of the same name left it behind"})
    )
