"""What may have happened to a run's folder since we wrote it last: edited, damaged, replaced, taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator import processes
from orchestrator.errors import InputError, Problem, StorageError, WorkspaceError
from orchestrator.files import read_json
from orchestrator.kohya import command, toml_file, weights
from orchestrator.processes import ProcessId
from orchestrator.training import inputs
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.record import RECORD_NAME, RunRecord, SavedFile, read_record
from orchestrator.workspace import Workspace

#: Follow from where the workspace lies, or are only looked at: they may differ from what the record remembers without
#: anybody having touched the files.
_MAY_DIFFER = frozenset(
    {
        "output_dir", "dataset_config", "pretrained_model_name_or_path", "logging_dir", "sample_prompts",
        "max_data_loader_n_workers", "save_state",
    }
)  # fmt: skip
_KEPT_VALUE = 60
#: How much coarser than our clock a disk may tell the time of a file (FAT: 2 s).
_CLOCKS_S = 2.0


def folders(workspace: Workspace, name: str) -> list[Path]:
    """The folders there are of a run: `v4`, `v4-2`, `v4-3` …"""
    found: list[Path] = []
    while (candidate := workspace.run(name if not found else f"{name}-{len(found) + 1}").absolute()).exists():
        found.append(candidate)
    return found


def needs_no_start(planned: TrainingPlanned) -> bool:
    """Whether this training runs already, or is finished with its last file in place: nothing will be written."""
    record = _record(planned.folder)
    if record is None:
        return False
    if record.status == "finished":
        final = next((file for file in record.files if file.file == planned.final_file.name), None)
        return final is not None and planned.final_file.is_file() and planned.final_file.stat().st_size == final.size
    return is_alive(planned.folder, record)


def is_finished(folder: Path) -> bool:
    """Whether the folder holds a finished training."""
    record = _record(folder)
    return record is not None and record.status == "finished"


def is_alive(folder: Path, record: RunRecord) -> bool:
    """Whether the trainer of that run runs at this moment."""
    if not record.attempts or record.attempts[-1].ended_at is not None:
        return False
    last = record.attempts[-1]
    if last.pid is not None and last.created is not None and processes.is_running(ProcessId(last.pid, last.created)):
        return True
    return processes.find(*command.signs(folder.absolute() / "config.toml")) is not None


def damage(folder: Path) -> list[Problem]:
    """Why nobody can tell which training the folder holds."""
    place, cure = f"runs/{folder.name}/{RECORD_NAME}", _cure(folder)
    if not folder.is_dir():
        return []  # told with the disk
    if not (folder / RECORD_NAME).exists():
        made = any(folder.glob("console-*.log")) or any((folder / "lora").glob("*.safetensors"))
        return [Problem(place, "is gone, and the folder holds a training", cure)] if made else []
    if read_json(folder / RECORD_NAME) is None:
        return [Problem(place, "is damaged: it is no JSON", cure)]
    try:
        read_record(folder)
    except WorkspaceError as error:
        return [Problem(place, error.what.partition(" is ")[2].rstrip(".") or error.what, cure)]
    return []


def edits(folder: Path) -> list[Problem]:
    """Configurations of sd-scripts that were changed by hand since they were written. The changes would be lost: both
    files are written anew at every start.
    """
    record = _record(folder)
    if record is None:
        return []
    changes = record.attempts[-1].changes if record.attempts else {}
    meant = (("config.toml", {**record.values, **changes}), ("dataset.toml", record.dataset_config))
    return [problem for name, values in meant for problem in _edited(folder / name, values)]


def _trained_again(record: RunRecord, kept: SavedFile, path: Path) -> bool:
    """Whether the last start trained that epoch once more, from an earlier state: it was killed before the record could
    take the new file in.
    """
    last = record.attempts[-1] if record.attempts else None
    if last is None or last.ended_at is not None or kept.epoch <= last.resumed_from:
        return False
    return path.stat().st_mtime >= last.started_at - _CLOCKS_S


def lost_and_replaced(folder: Path, cache: Path) -> tuple[list[Problem], list[Problem]]:
    """Problems and doubts about the LoRA files that the record remembers.

    A whole file of other content is somebody's: the training would overwrite it. One that was cut off is not.
    """
    record = _record(folder)
    problems: list[Problem] = []
    doubts: list[Problem] = []
    if record is None:
        return [], []
    for kept in record.files:
        path, place = folder / "lora" / kept.file, f"runs/{folder.name}/lora/{kept.file}"
        if not path.is_file():
            doubts.append(
                Problem(place, "was made by this training and is gone", "nothing, if you removed it on purpose")
            )
        elif _trained_again(record, kept, path):
            continue
        elif weights.is_complete(path) and not _same(path, kept.size, kept.sha256, cache):
            problems.append(
                Problem(place, "is not the file this training made", "move it elsewhere, or it would be overwritten")
            )
    return problems, doubts


def others_alive(workspace: Workspace, planned: TrainingPlanned) -> tuple[list[Problem], list[Problem]]:
    """Problems and doubts about other trainings of the workspace that run at this moment."""
    problems: list[Problem] = []
    doubts: list[Problem] = []
    for folder in sorted(workspace.runs.iterdir()) if workspace.runs.is_dir() else []:
        raw = read_json(folder / RECORD_NAME) if folder.is_dir() and folder.name != planned.name else None
        if not isinstance(raw, dict) or raw.get("status") != "running":
            continue
        record = _record(folder)
        if record is None or not is_alive(folder, record):
            continue
        cached = any(record.values.get(key) for key in CACHES_ON_DISK)
        if cached and record.dataset.get("folder") == str(planned.dataset.folder):
            problems.append(
                Problem(
                    f"runs/{folder.name}",
                    "is being trained from files cached beside the same pictures, which would change under it",
                    "wait for its end, or stop it",
                )
            )
        else:
            doubts.append(Problem(f"runs/{folder.name}", "is being trained, too", "both share the card's memory"))
    return problems, doubts


#: Arguments that have sd-scripts write beside the pictures.
CACHES_ON_DISK = ("cache_latents_to_disk", "cache_text_encoder_outputs_to_disk")


def _edited(path: Path, meant: Mapping[str, Any]) -> Iterator[Problem]:
    if not path.is_file() or (sealed := toml_file.edited(path)) is False:
        return
    place = f"runs/{path.parent.name}/{path.name}"
    cure = "write the change into lora.toml ([training], or [training.extra] by sd-scripts' names) and delete this file"
    try:
        found = toml_file.read(path)
    except InputError:
        yield Problem(place, "was edited by hand, and sd-scripts could not read it any more", "delete the file")
        return
    changed = toml_file.differences(meant, found)
    # Files of releases without seals are known by their values alone.
    told = [key for key in changed if key.rpartition(".")[2] not in _MAY_DIFFER | {"image_dir"}]
    told = told or (changed if sealed else [])
    if told:
        shown = ", ".join(f"{key}{_values(key, meant, found)}" for key in told)
        yield Problem(place, f"was edited by hand: {shown}", cure)


def _values(key: str, meant: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if "." in key:  # of dataset.toml: the key itself tells where
        return ""
    was, is_now = repr(meant[key]) if key in meant else "nothing", repr(found[key]) if key in found else "nothing"
    return f" ({was} → {is_now})" if len(was) + len(is_now) <= _KEPT_VALUE else ""


def _same(path: Path, size: int, sha256: str, cache: Path) -> bool:
    return path.stat().st_size == size and inputs.checkpoint_sha256(path, cache) == sha256


def _record(folder: Path) -> RunRecord | None:
    try:
        return read_record(folder) if folder.is_dir() else None
    except (WorkspaceError, StorageError):
        return None


def _cure(folder: Path) -> str:
    return f"`orchestrator runs rebuild {folder.name}`, or rename the folder to have the training begin anew"
