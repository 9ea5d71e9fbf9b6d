"""Bring LoRA files to A1111 under names that were never used before.

A1111 knows a LoRA by its file's stem alone: folders do not count, all epochs of a run share one alias, and an
overwritten file may go on being drawn with the old weights or the old text encoder. So every file gets a stem that
names its content.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Protocol

from orchestrator.errors import InputError, ServerError
from orchestrator.files import beside, file_stem, sha256_file
from orchestrator.lora.catalog import LoraFile
from orchestrator.lora.nan_check import require_finite

#: Digits of the content hash in a stem, and how many more when two files share those.
_DIGITS = (6, 8, 12, 16, 64)
#: A1111 rebuilds its list within 0.05 s for 7 files (observed); a folder on a slow disk with hundreds takes seconds.
_LISTED_WITHIN_S = 20.0
#: Characters that end or part a tag in a prompt, or that A1111 takes out of the name when it writes "Lora hashes".
NOT_IN_TAGS = re.compile(r"[,:=<>()\[\]{}|\\]+")


class Entry(Protocol):
    """One LoRA as A1111 lists it."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...


class Server(Protocol):
    """What deploying needs of A1111; `orchestrator.a1111.client.A1111` is one."""

    def loras(self) -> Sequence[Entry]: ...
    def refresh_loras(self) -> None: ...
    def cmd_flags(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Deployed:
    """A LoRA file that A1111 has listed. `stem` goes into the prompt's tag; `shown_hash` is what the picture's info
    must then show.
    """

    lora: LoraFile
    stem: str
    path: Path
    shown_hash: str


def deploy(files: Sequence[LoraFile], lora_folder: Path, server: Server) -> list[Deployed]:
    """Copy `files` into A1111's LoRA folder and wait until it lists them all, with the right content.

    A file that is there already is left alone, so doing it twice does nothing twice. Call it while nothing is drawn:
    A1111 empties its list for a moment when it reads the folder again. Raises `InputError` for a file that is cut off
    or full of NaN, `StorageError`, and `ServerError` when A1111 does not list what was copied.
    """
    placed = [_place(file, lora_folder) for file in files]
    if placed:
        _wait_until_listed(placed, lora_folder, server)
    return placed


def deployed_stem(file: LoraFile, digits: int = _DIGITS[0]) -> str:
    """`<name>-<epoch, six digits>-<start of its sha256>`, safe in a file name and in a prompt's tag."""
    name = file_stem(NOT_IN_TAGS.sub("_", file.output_name))
    return f"{name}-{file.epoch:06d}-{file.sha256[:digits]}"


def find_lora_folder(server: Server, setting: str | Path | None = None) -> Path:
    """A1111's LoRA folder: the one from the settings, else the one A1111 names. Raises `InputError` when it is not on
    this machine.
    """
    if setting:
        folder = Path(setting).expanduser()
        if not folder.is_dir():
            raise InputError(
                f"There is no LoRA folder {folder}.", fix="Correct --lora-folder or ORCHESTRATOR_LORA_FOLDER."
            )
        return folder
    named = _named_folders(server)
    for name in named:
        if Path(name).is_dir():
            return Path(name)
    raise InputError(
        f"A1111 keeps its LoRA files in {named[0]}, and there is no such folder on this machine."
        if named
        else "A1111 does not say where it keeps its LoRA files.",
        cause="It runs on another machine or in a container." if named else "",
        fix="Name its models/Lora folder as this machine sees it (a share, a mount) with --lora-folder or "
        "ORCHESTRATOR_LORA_FOLDER.",
    )


def _named_folders(server: Server) -> list[str]:
    named: list[str] = []
    with contextlib.suppress(ServerError):  # a server that hides its flags may still list its files
        flags = server.cmd_flags()
        if flags.get("lora_dir"):
            named.append(str(flags["lora_dir"]))
        root = flags.get("models_dir") or (f"{flags['data_dir']}/models" if flags.get("data_dir") else "")
        if root:
            named.append(f"{root}/Lora")
    for entry in server.loras():
        # The server's path style may not be ours; a subfolder of models/Lora is cut off at that name.
        parts = PureWindowsPath(entry.path).parts if "\\" in entry.path else PurePosixPath(entry.path).parts
        cut = next((i for i, part in enumerate(parts) if part.lower() == "lora"), len(parts) - 2)
        if parts:
            named.append(str(Path(*parts[: cut + 1])))
    return list(dict.fromkeys(named))


def _place(file: LoraFile, folder: Path) -> Deployed:
    if file.problem:
        raise InputError(
            f"{file.path.name} cannot be deployed: {file.problem}.",
            fix="Run the training again; it makes the file anew.",
        )
    for digits in _DIGITS:
        stem = deployed_stem(file, digits)
        target = folder / f"{stem}.safetensors"
        if target.is_file():
            if sha256_file(target) == file.sha256:
                return Deployed(file, stem, target, file.shown_hash)
            continue  # another file with the same first digits: that stem is taken for ever
        require_finite(file.path)
        copy_whole(file, target)
        return Deployed(file, stem, target, file.shown_hash)
    raise InputError(
        f"{folder} holds a damaged copy of {file.path.name}.",
        fix=f"Remove {deployed_stem(file, 64)}.safetensors there.",
    )


def copy_whole(file: LoraFile, target: Path) -> None:
    """Copy a LoRA file so that `target` is never there in part. Raises `InputError` when it changes meanwhile,
    `StorageError`.
    """
    # A1111 lists *.safetensors, *.pt and *.ckpt: a half-written copy must have none of these endings.
    with beside(target, ".part") as temporary:
        shutil.copyfile(file.path, temporary)
        if sha256_file(temporary) != file.sha256:
            raise InputError(
                f"{file.path.name} changed while it was copied.",
                fix="Wait until the training has ended, then run the same command.",
            )


def _wait_until_listed(placed: Sequence[Deployed], folder: Path, server: Server) -> None:
    listed = {entry.name: entry for entry in server.loras()}
    if any(deployed.stem not in listed for deployed in placed):
        server.refresh_loras()
    deadline = time.monotonic() + _LISTED_WITHIN_S
    pause = 0.05
    while True:
        listed = {entry.name: entry for entry in server.loras()}
        missing = [deployed.stem for deployed in placed if deployed.stem not in listed]
        if not missing:
            break
        if time.monotonic() > deadline:
            raise ServerError(
                "/sdapi/v1/loras",
                200,
                "",
                f"{missing[0]} is not in its list",
                cause=f"{folder} is probably not the folder this A1111 reads.",
                fix="Name its models/Lora folder with --lora-folder or ORCHESTRATOR_LORA_FOLDER, then run the same "
                "command.",
            )
        time.sleep(pause)
        pause = min(pause * 2, 1.0)
    for deployed in placed:
        _check_listed(deployed, listed[deployed.stem])


def _check_listed(deployed: Deployed, entry: Entry) -> None:
    shown = entry.metadata.get("sshs_model_hash")
    if shown and str(shown)[:12] != deployed.shown_hash:
        raise ServerError(
            "/sdapi/v1/loras",
            200,
            "",
            f"{deployed.stem} has the hash {str(shown)[:12]} there, not {deployed.shown_hash}",
            cause=f"A1111 has another file of that name: {entry.path}.",
            fix="Remove that file or rename it, then run the same command.",
        )
