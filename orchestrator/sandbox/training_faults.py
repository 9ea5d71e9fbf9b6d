"""What goes wrong in the simulated trainer when somebody asks for it, so that a supervisor can be tried on it.

`ORCHESTRATOR_SANDBOX_TRAINER_FAULTS` is a list parted by commas, each `WHAT` or `WHAT@WHERE`:

- `stall` (for ever) or `stall:SECONDS`, `oom`, `die` (SIGKILL) or `die:SIGSEGV`, `disk` (no space left), `nan`
- at `start`, `latents`, `step:N` (instead of the N-th step of the whole run), `sample:E` (pictures after epoch E),
  `save:E` (half of the LoRA file of epoch E is written; the run's last epoch is the last file), `state:E:FILE` (half
  of that file of the state after epoch E), `final` (between the last state and the last file)
- `nan@step:N` turns loss and weights to NaN from that step on, `nan@save:E` only the file's weights
- `deaf` (ignores SIGTERM) and `slow-save:SECONDS` (a pause in the middle of every file) have no place

Faults with a place happen once in a run folder, so that a restart gets past them: what happened is a line of
`.fault-done` beside the configuration. A fault named three times happens in the first three attempts.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FAULTS = "ORCHESTRATOR_SANDBOX_TRAINER_FAULTS"
DONE = ".fault-done"
_POINTS = ("start", "latents", "step", "sample", "save", "state", "final")
_STATE_FILES = ("train_state.json", "model.safetensors", "optimizer.bin", "scheduler.bin", "random_states_0.pkl")
#: What writes a file half can break only where a file is written; only numbers can turn to NaN.
_PLACES = {
    "stall": _POINTS,
    "die": _POINTS,
    "oom": ("start", "latents", "step", "sample"),
    "disk": ("latents", "save", "state", "final"),
    "nan": ("step", "save"),
}
_EVERYWHERE = ("deaf", "slow-save")
_FOR_EVER_S = 7 * 24 * 3600.0


class OutOfMemoryError(RuntimeError):
    """What PyTorch raises when the card is full; shown under its name."""

    __module__ = "torch"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. `point` is "step:12", "state:2:optimizer.bin", "final" …; empty for a lasting one."""

    text: str
    kind: str
    argument: str
    point: str


def parse(text: str) -> tuple[Fault, ...]:
    """Read the environment variable. Raises `ValueError` that names what is not understood."""
    return tuple(_fault(item.strip()) for item in text.split(",") if item.strip())


def _fault(text: str) -> Fault:
    what, _, point = text.partition("@")
    kind, _, argument = what.partition(":")
    if kind in _EVERYWHERE and not point:
        if kind == "slow-save":
            float(argument)
        return Fault(text, kind, argument, "")
    place, *rest = point.split(":")
    if place not in _PLACES.get(kind, ()):
        raise ValueError(f"{FAULTS}: {text!r} is no fault; {kind} can happen at {', '.join(_PLACES.get(kind, ()))}")
    numbered = place in {"step", "sample", "save", "state"}
    if numbered:
        number = int(rest[0]) if rest and rest[0].isdigit() else 0
        if number < 1:
            raise ValueError(f"{FAULTS}: {text!r} lacks a number from 1 on, as in {place}:2")
        point = f"{place}:{number}"
    if place == "state":
        file = rest[1] if len(rest) > 1 else "optimizer.bin"
        if file not in _STATE_FILES:
            raise ValueError(f"{FAULTS}: a state holds no {file}; there are {', '.join(_STATE_FILES)}")
        point = f"{point}:{file}"
    if kind == "stall" and argument:
        float(argument)
    if kind == "die" and argument and not hasattr(signal, argument) and sys.platform != "win32":
        raise ValueError(f"{FAULTS}: there is no signal {argument}")
    return Fault(text, kind, argument, point)


class Faults:
    """The faults of one process."""

    def __init__(self, faults: Sequence[Fault] = (), done: Path | None = None) -> None:
        self._at: dict[str, list[Fault]] = {}
        for fault in faults:
            self._at.setdefault(fault.point, []).append(fault)
        self._done = done
        lasting = {fault.kind: fault for fault in self._at.pop("", ())}
        self._pause_s = float(lasting["slow-save"].argument) if "slow-save" in lasting else 0.0
        if "deaf" in lasting:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def strike(self, point: str) -> None:
        """Let happen what is planned for `point`: stay for ever, end this process, or raise.

        Raises `OutOfMemoryError`, and `OSError` for a full disk.
        """
        for fault in self._at.get(point, ()):
            if fault.kind != "nan" and self._claimed(fault):
                _happen(fault)
                return

    def midway(self, point: str) -> None:
        """The same in the middle of a file, after the pause that was asked for."""
        if self._pause_s:
            time.sleep(self._pause_s)
        self.strike(point)

    def turns_to_nan(self, point: str) -> bool:
        """Whether the numbers turn to NaN here."""
        return any(fault.kind == "nan" and self._claimed(fault) for fault in self._at.get(point, ()))

    def _claimed(self, fault: Fault) -> bool:
        if self._done is None:
            return True
        try:
            past = self._done.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            past = []
        if past.count(fault.text) >= sum(other.text == fault.text for other in self._at[fault.point]):
            return False
        # Written before it happens: nothing is written after it.
        with self._done.open("a", encoding="utf-8") as stream:
            stream.write(fault.text + "\n")
        return True


def asked_for(args: argparse.Namespace) -> Faults:
    """The faults of the environment, for the run whose configuration file `args` names. Raises `ValueError`."""
    text = os.environ.get(FAULTS, "")
    if not text:
        return Faults()
    beside = args.config_file or args.output_dir
    return Faults(parse(text), Path(beside).parent / DONE if beside else None)


def _happen(fault: Fault) -> None:
    if fault.kind == "stall":
        time.sleep(float(fault.argument) if fault.argument else _FOR_EVER_S)
    elif fault.kind == "oom":
        raise out_of_memory(20.0, 0.0)
    elif fault.kind == "disk":
        raise OSError(errno.ENOSPC, "No space left on device")
    else:
        _die(fault.argument or "SIGKILL")


def _die(name: str) -> None:
    if sys.platform == "win32":
        # A crash and a TerminateProcess as Windows reports them.
        os._exit(-1073741819 if name == "SIGSEGV" else 1)
    os.kill(os.getpid(), getattr(signal, name))
    # A signal that is ignored here would let the run go on.
    time.sleep(1.0)
    os._exit(1)


def out_of_memory(wanted_mb: float, card_mb: float) -> OutOfMemoryError:
    """PyTorch 2.x's words for a full card, from its source (CUDACachingAllocator.cpp); there was no card to observe."""
    total = (card_mb or 8192.0) / 1024
    return OutOfMemoryError(
        f"CUDA out of memory. Tried to allocate {wanted_mb:.2f} MiB. GPU 0 has a total capacity of {total:.2f} GiB of "
        f"which 12.06 MiB is free. Including non-PyTorch memory, this process has {total - 0.02:.2f} GiB memory in "
        f"use. Of the allocated memory {total - 0.4:.2f} GiB is allocated by PyTorch, and 94.21 MiB is reserved by "
        "PyTorch but unallocated. If reserved but unallocated memory is large try setting "
        "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See documentation for Memory "
        "Management  (https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)"
    )
