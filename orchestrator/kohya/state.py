"""Which state folders of sd-scripts a training can go on from."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from orchestrator.files import read_json

#: The files of a state folder in the order they are written (observed). The last one proves that all others were
#: written; train_state.json, the first, proves nothing.
FILES = ("train_state.json", "model.safetensors", "optimizer.bin", "scheduler.bin", "random_states_0.pkl")
#: Those that PyTorch writes: zip archives, which end with this record of 22 bytes (it puts no comment behind).
_ARCHIVES = FILES[2:]
_ARCHIVE_END, _ARCHIVE_END_BYTES = b"PK\x05\x06", 22
_NUMBERED = re.compile(r"-(\d{6})-state$")


@dataclass(frozen=True)
class State:
    """One state folder. `epoch` is the last finished one, None where nothing tells; `final` = written at the end of
    the training.
    """

    path: Path
    epoch: int | None
    complete: bool
    final: bool


@dataclass(frozen=True)
class FromStart:
    """Begin with nothing."""

    epoch = 0


@dataclass(frozen=True)
class FromState:
    """Go on from a complete state after `epoch` epochs, with its optimizer, learning rates and random numbers."""

    path: Path
    epoch: int


@dataclass(frozen=True)
class FromWeights:
    """Go on from the LoRA file of `epoch` alone: the second best, for optimizer, learning rates and random numbers
    begin anew.
    """

    path: Path
    epoch: int


ResumePoint = Union[FromStart, FromState, FromWeights]  # noqa: UP007 (evaluated at run time, also on 3.10)
FROM_START = FromStart()


def states(folder: Path, output_name: str) -> list[State]:
    """The states of `output_name` in `folder`, earliest epoch first; the one without a number last."""
    if not folder.is_dir():
        return []
    found = [
        _state(path, output_name)
        for path in folder.iterdir()
        if path.is_dir()
        and (path.name == f"{output_name}-state" or re.fullmatch(re.escape(output_name) + r"-\d{6}-state", path.name))
    ]
    return sorted(found, key=lambda s: (s.final, s.epoch or 0, s.path.name))


def newest_resumable(folder: Path, output_name: str, epochs: int) -> State | None:
    """The complete state to go on from towards `epochs` epochs in total, or None to begin anew.

    A state of the last epoch is no help: sd-scripts refuses to go on from it ("max_train_steps should be greater than
    initial step"), and writes it before the final LoRA file, so that a kill between the two leaves exactly this.
    """
    found = states(folder, output_name)
    usable = [s for s in found if s.complete and s.epoch is not None and 1 <= s.epoch < epochs]
    return max(usable, key=lambda s: s.epoch or 0, default=None)


def _state(path: Path, output_name: str) -> State:
    final = path.name == f"{output_name}-state"
    # Of several cards only the main process saves (train_network.py 48d368fa, `if is_main_process and saving`), so that
    # random_states_0.pkl is the only one there ever is; the others go on without theirs. The other files are looked at
    # too: a state may be cut off while it is removed, and a power cut leaves files full of zeros.
    complete = (path / "model.safetensors").is_file() and all(_is_archive(path / name) for name in _ARCHIVES)
    numbered = _NUMBERED.search(path.name)
    # The epoch comes from the folder's name: sd-scripts counts current_step anew after a resume, and computes a wrong
    # epoch from it.
    epoch = int(numbered[1]) if numbered and not final else _written_epoch(path)
    return State(path, epoch, complete, final)


def _is_archive(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.seek(-_ARCHIVE_END_BYTES, os.SEEK_END)
            return stream.read().startswith(_ARCHIVE_END)
    except OSError:  # not there, or shorter than that
        return False


def _written_epoch(path: Path) -> int | None:
    written = read_json(path / FILES[0])
    epoch = written.get("current_epoch") if isinstance(written, dict) else None
    return epoch if isinstance(epoch, int) and not isinstance(epoch, bool) else None
