"""A chosen LoRA file under a clean name, with the card A1111 shows for it.

A1111 reads `<stem>.json` beside a LoRA as its card (extensions-builtin/Lora/ui_edit_user_metadata.py of 1.10): what it
is for, the word that calls it, the weight to begin with. Keys it does not know it leaves alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.files import file_stem, read_json, sha256_file, write_json
from orchestrator.lora.catalog import LoraFile
from orchestrator.lora.deploy import NOT_IN_TAGS, copy_whole
from orchestrator.lora.nan_check import require_finite

#: What A1111 lists as a LoRA, each by its stem alone.
_LISTED = {".safetensors", ".pt", ".ckpt"}
_SD_VERSIONS = {"sd1": "SD1", "sd2": "SD2", "sdxl": "SDXL", "sd3": "SD3"}


@dataclass(frozen=True)
class Published:
    """A LoRA file under its clean name. `card_kept` = a card was there already, whose own words were left as they are;
    `reused` = the file was there already.
    """

    path: Path
    card: Path
    reused: bool
    card_kept: bool


def publish(lora: LoraFile, folder: Path, name: str, *, card: Mapping[str, Any]) -> Published:
    """Copy `lora` to `<name>.safetensors` in `folder`, with `card` as its `<name>.json`.

    The file is the same byte for byte. Doing it twice does nothing twice. Raises `InputError` for a name that cannot
    stand in a prompt's tag or belongs to another file anywhere in `folder`, and for a file that is cut off or full of
    NaN; `StorageError`.
    """
    stem = _stem(name)
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", fix="Make it, or name another one with --to.")
    if lora.problem:
        raise InputError(f"{lora.path.name} cannot be published: {lora.problem}.", fix="Choose another epoch.")
    target = folder / f"{stem}.safetensors"
    taken = _taken(folder, stem)
    for other in taken:
        if other != target or sha256_file(other) != lora.sha256:
            raise InputError(
                f"The name {stem} belongs to another file already: {other}.",
                cause="A1111 knows a LoRA by its file's stem alone; a file that is replaced under its name may go on "
                "being drawn with the old weights.",
                fix="Choose another name, such as one with the version in it; or remove that file first.",
            )
    if not taken:
        require_finite(lora.path)
        copy_whole(lora, target)
    beside = folder / f"{stem}.json"
    before = read_json(beside)
    if beside.exists() and not isinstance(before, dict):
        raise InputError(f"{beside} is no card of A1111's.", fix="Rename or remove it, or choose another name.")
    kept = {key: value for key, value in (before or {}).items() if key != "orchestrator"}
    # What somebody wrote in A1111 since is not overwritten; where it comes from is ours to say.
    write_json(beside, {**card, **kept})
    return Published(target, beside, bool(taken), bool(kept))


def card(
    lora: LoraFile, *, run: str, family: str = "", trigger: str = "", weight: float = 0.0, base_sha256: str = ""
) -> dict[str, Any]:
    """What A1111 shows for a LoRA, and below `orchestrator` where it comes from.

    `family` is the base model's (sd1, sd2, sdxl, sd3; others A1111 has no word for), `weight` the one to begin with
    (0 = A1111's own setting), `trigger` the word that calls the subject.
    """
    return {
        "description": f"{run}, epoch {lora.epoch}",
        "sd version": _SD_VERSIONS.get(family, "Unknown"),
        "activation text": trigger,
        "preferred weight": weight,
        "notes": f"{lora.path.name}, sha256 {lora.sha256}",
        "orchestrator": {
            "run": run,
            "file": lora.path.name,
            "epoch": lora.epoch,
            "sha256": lora.sha256,
            "shown hash": lora.shown_hash,
            "base": lora.base_model,
            "base sha256": base_sha256,
        },
    }


def _stem(name: str) -> str:
    wanted = name.strip().removesuffix(".safetensors")
    if not wanted or wanted != file_stem(NOT_IN_TAGS.sub("_", wanted)):
        raise InputError(
            f"{name!r} cannot be a LoRA's name.",
            cause="It is used in a file's name and in a prompt's tag, <lora:name:1>.",
            fix=f"Take {file_stem(NOT_IN_TAGS.sub('_', wanted)) or 'letters, digits, - and _'!r} or another name.",
        )
    return wanted


def _taken(folder: Path, stem: str) -> list[Path]:
    """Files of that stem anywhere in `folder`; A1111 takes no notice of subfolders, Windows none of case."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _LISTED and path.stem.casefold() == stem.casefold() and path.is_file()
    )
