"""A training as its folder shows it, without a trainer: LoRA files, states and logs as sd-scripts leaves them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from orchestrator.kohya import install as kohya_install
from orchestrator.kohya import state
from orchestrator.kohya.base_model import BaseModel
from orchestrator.kohya.install import KohyaInstall
from orchestrator.training.inputs import DatasetInput, GroupFolder
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.record import Attempt, RunRecord, begin

#: When the trainings of these tests began, seconds since 1970.
BEGAN = 1_795_000_000.0
VALUES = {
    "output_name": "m", "network_module": "networks.lora", "network_dim": 4, "network_alpha": 2.0, "unet_lr": 1e-4,
    "seed": 42, "mixed_precision": "fp16", "lr_scheduler": "cosine", "save_state": True, "max_train_epochs": 6,
    "save_every_n_epochs": 2, "gradient_checkpointing": False,
}  # fmt: skip


def planned(folder: Path, *, install: KohyaInstall | None = None, **changed: Any) -> TrainingPlanned:
    """A planned training of 6 epochs, a file every 2, in `folder`."""
    group = GroupFolder(folder / "2_woman", 2, "woman", tuple(folder / f"{n}.png" for n in range(3)))
    values = {**VALUES, **changed.pop("values", {})}
    arguments: dict[str, Any] = {
        "name": "m",
        "folder": folder,
        "output_name": "m",
        "install": install or kohya_install.KohyaInstall(folder / "sd", folder / "python", "", ""),
        "base": BaseModel(folder / "base.safetensors", "sd1", "train_network.py"),
        "base_sha256": "b" * 64,
        "dataset": DatasetInput(folder, (group,), "d" * 64, ""),
        "values": values,
        "dataset_values": {"general": {}, "datasets": [{"resolution": 64, "batch_size": 1, "subsets": []}]},
        "epochs": 6,
        "save_every": 2,
        "seed": 42,
        "can_resume": True,
        "bytes_needed": 1000,
        "fingerprint": "f" * 64,
        "cache": folder / "cache",
        **changed,
    }
    return TrainingPlanned(**arguments)


def metadata(epoch: int, **changed: Any) -> dict[str, str]:
    """What sd-scripts 48d368fa writes into a file (observed), as far as it matters here."""
    found = {
        **{f"ss_{key}": str(value) for key, value in VALUES.items()},
        "ss_epoch": str(epoch),
        "ss_num_epochs": "6",
        "ss_training_started_at": str(BEGAN + 3),
        "ss_num_train_images": "6",
        "ss_dataset_dirs": json.dumps({"2_woman": {"n_repeats": 2, "img_count": 3}}),
        "ss_datasets": json.dumps([{"resolution": [64, 64], "batch_size_per_device": 1}]),
        "ss_sd_scripts_commit_hash": "48d368fa",
        **{key: str(value) for key, value in changed.items()},
    }
    return {key: value for key, value in found.items() if value}


def lora(plan_: TrainingPlanned, epoch: int, *, nan: bool = False, **changed: Any) -> Path:
    """Write the LoRA file of an epoch."""
    name = "m.safetensors" if epoch == plan_.epochs else f"m-{epoch:06d}.safetensors"
    plan_.output_folder.mkdir(parents=True, exist_ok=True)
    numbers = np.full(4, np.nan if nan else 1.0, np.float16)
    save_file({"x": np.ones(3, np.float16), "y": numbers}, plan_.output_folder / name, metadata(epoch, **changed))
    return plan_.output_folder / name


def saved_state(plan_: TrainingPlanned, epoch: int, *, nan: bool = False, files: tuple[str, ...] = state.FILES) -> Path:
    """Write the state folder after an epoch; `files` are those the trainer came to."""
    folder = plan_.output_folder / ("m-state" if epoch == plan_.epochs else f"m-{epoch:06d}-state")
    folder.mkdir(parents=True)
    for name in files:
        if name == "model.safetensors":
            save_file({"x": np.full(4, np.nan if nan else 1.0, np.float32)}, folder / name)
        else:
            text = json.dumps({"current_epoch": epoch, "current_step": 1}).encode()
            (folder / name).write_bytes(text if name == "train_state.json" else archive())
    return folder


def archive() -> bytes:
    """A file as PyTorch writes it: a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        opened.writestr("archive/data.pkl", b"x" * 100)
    return stream.getvalue()


def record(plan_: TrainingPlanned, *attempts: Attempt) -> RunRecord:
    """The record of a training that was started once, or with `attempts`."""
    return begin(plan_).changed(attempts=attempts or (attempt(1),))


def attempt(number: int, **changed: Any) -> Attempt:
    """One start."""
    values = {
        "command": ("python", "train_network.py"),
        "environment": {},
        "log": f"console-{number}.log",
        "resumed_from": 0,
        "started_at": BEGAN + 100 * (number - 1),
        **changed,
    }
    return Attempt.model_validate(values)
