"""What a training left on disk: which LoRA files are whole, and whether it is finished.

The exit code decides nothing: sd-scripts ends with 0 when it found no data and when its loss was NaN.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.files import sha256_file
from orchestrator.kohya import state, weights
from orchestrator.kohya.state import State
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.record import SavedFile


@dataclass(frozen=True)
class Outcome:
    """`finished` = the final file is whole and free of NaN. `why` says what is wrong with it otherwise."""

    finished: bool
    why: str
    files: tuple[Path, ...]
    broken: tuple[Path, ...]


def judge(planned: TrainingPlanned) -> Outcome:
    """Look at the run's LoRA files. Reads the weights of the final one."""
    whole, broken = lora_files(planned)
    final = planned.final_file
    why = ""
    if final in broken:
        why = "the final LoRA file was not written to its end"
    elif final not in whole:
        why = "there is no final LoRA file"
    else:
        header = weights.read_header(final)
        written = header.metadata.get("ss_epoch", "")
        bad = weights.not_finite(final, header)
        if bad:
            why = f"the final LoRA file is full of NaN ({len(bad)} of {len(header.tensors)} tensors)"
        elif written.isdigit() and int(written) != planned.epochs:
            why = f"the final LoRA file is of epoch {written}, not {planned.epochs}"
    return Outcome(not why, why, tuple(whole), tuple(broken))


def lora_files(planned: TrainingPlanned) -> tuple[list[Path], list[Path]]:
    """The run's LoRA files, whole ones and cut-off ones, each by epoch; the final one last."""
    pattern = re.compile(re.escape(planned.output_name) + r"(?:-(\d{6}))?\.safetensors")
    folder = planned.output_folder
    found = [p for p in folder.iterdir() if p.is_file() and pattern.fullmatch(p.name)] if folder.is_dir() else []
    found.sort(key=lambda p: (p == planned.final_file, p.name))
    whole = [p for p in found if weights.is_complete(p)]
    return whole, [p for p in found if p not in whole]


def saved_files(planned: TrainingPlanned, files: tuple[Path, ...]) -> tuple[SavedFile, ...]:
    """The entries for the record, hashed."""
    return tuple(
        SavedFile(file=p.name, epoch=epoch_of(planned, p), sha256=sha256_file(p), size=p.stat().st_size) for p in files
    )


def epoch_of(planned: TrainingPlanned, path: Path) -> int:
    """The epoch of one of the run's files; the one without a number is the last."""
    number = path.stem.rpartition("-")[2]
    return int(number) if path != planned.final_file and number.isdigit() else planned.epochs


def clear_unusable(planned: TrainingPlanned) -> None:
    """Remove LoRA files that were cut off by a kill or a full disk, and a final one that holds no numbers.

    They have their final names and would pass for finished ones; the training makes them again.
    """
    outcome = judge(planned)
    for path in outcome.broken:
        path.unlink()
    if not outcome.finished and planned.final_file in outcome.files:
        planned.final_file.unlink()


def resume_point(planned: TrainingPlanned) -> State | None:
    """The newest state that is complete and holds only numbers, or None to begin anew."""
    if not planned.can_resume:
        return None
    below = planned.epochs
    while found := state.newest_resumable(planned.output_folder, planned.output_name, below):
        try:
            if not weights.not_finite(found.path / "model.safetensors"):
                return found
        except InputError:
            pass  # cut off: the one before it is the next candidate
        below = found.epoch or 0
    return None
