"""A small training for tests of what can happen to one in a night, and our command in a process of its own."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from safetensors.numpy import save_file

import orchestrator
from orchestrator import processes
from orchestrator.files import write_text
from orchestrator.kohya import command
from orchestrator.kohya import install as kohya_install
from orchestrator.kohya.install import KohyaInstall
from orchestrator.processes import ProcessId
from orchestrator.profile.model import Profile
from orchestrator.training.events import Started, TrainingEvent
from orchestrator.training.plan import TrainingPlanned, plan
from orchestrator.workspace import Workspace

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
#: Seconds a test may wait for what a child process does.
PATIENCE_S = 60.0
#: Trains what is pickled in its argument and says every event's name; with a second argument it waits for a line first.
OURS = """
import pickle, sys
from pathlib import Path
from orchestrator.training.run import train
planned = pickle.loads(Path(sys.argv[1]).read_bytes())
if sys.argv[2:] and not sys.stdin.readline():
    sys.exit()
run = train(planned, lambda event: print(type(event).__name__, getattr(event, "pid", ""), flush=True), poll_s=0.02)
print("FINISHED", len(run.lora_files), flush=True)
"""


def workspace_at(root: Path) -> Workspace:
    """A workspace with a dataset of 4 pictures in two groups, and a checkpoint to train on."""
    workspace = Workspace(root)
    for repeats, group in ((2, "close-up"), (1, "full body")):
        folder = workspace.dataset("v1") / f"{repeats}_{group}"
        folder.mkdir(parents=True)
        for number in range(2):
            shade = (60 * number + 40, 120, 200 - 50 * repeats)
            Image.new("RGB", (96, 96), shade).save(folder / f"{number:04d}.png")
            (folder / f"{number:04d}.txt").write_text(f"ai_model_v1, {group}", encoding="utf-8")
    names = ("model.diffusion_model.x", "cond_stage_model.transformer.x")
    save_file({name: np.zeros(4, np.float16) for name in names}, root / "base.safetensors")
    return workspace


def make(root: Path, *, install: KohyaInstall | None = None, **training: Any) -> TrainingPlanned:
    """A planned training of 4 pictures, 6 steps an epoch, in the workspace `root`, which is made where it is not there
    yet.
    """
    workspace = Workspace(root) if Workspace(root).dataset("v1").exists() else workspace_at(root)
    values = {"epochs": 6, "save_every": 2, "dim": 4, "alpha": 2, **training}
    profile = Profile.model_validate({"dataset": {"resolution": 64}, "training": values})
    install = install or kohya_install.find(SANDBOX, python=sys.executable)
    return plan(profile, install, workspace, checkpoint=root / "base.safetensors")


def trainers(planned: TrainingPlanned) -> list[ProcessId]:
    """The living trainers of that training."""
    return processes.find_all(*command.signs(planned.config))


def ours(planned: TrainingPlanned, said: Path, *, ready: bool = False) -> subprocess.Popen[bytes]:
    """Our command in a process of its own; what it says goes to the file `said` (and its errors with it).

    One that is `ready` has loaded everything and begins with a line on its stdin.
    """
    pickled = said.with_suffix(".pickle")
    pickled.write_bytes(pickle.dumps(planned))
    with said.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-c", OURS, str(pickled), *(["ready"] if ready else [])],
            stdin=subprocess.PIPE if ready else None, stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip


def slow(monkeypatch: pytest.MonkeyPatch, step_seconds: float) -> None:
    """How long a step takes from now on, in trainers that run already as well: slow while something is looked at,
    however busy the machine is, and quick afterwards.
    """
    file = Path(os.environ["XDG_STATE_HOME"]) / "pace.txt"
    write_text(file, str(step_seconds))
    monkeypatch.setenv("ORCHESTRATOR_SANDBOX_STEP_SECONDS", str(file))


def quick_once_adopted(monkeypatch: pytest.MonkeyPatch, events: list[TrainingEvent]) -> Callable[[TrainingEvent], None]:
    """Gathers `events`; what was slow so that it could be found running need not be slow any more."""

    def watch(event: TrainingEvent) -> None:
        events.append(event)
        if isinstance(event, Started) and event.adopted:
            slow(monkeypatch, 0.001)

    return watch


def wait_for(ready: Callable[[], Any], what: str = "it") -> Any:
    """What `ready` gives as soon as it gives something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if value := ready():
                return value
        except (FileNotFoundError, psutil.NoSuchProcess):
            pass
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen in time")
