"""A workspace with a trained version, without training it: LoRA files the sandbox can draw, under a finished run."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from safetensors.numpy import save_file

from orchestrator.files import write_text
from orchestrator.sandbox import learned
from orchestrator.training.record import begin, write_record
from orchestrator.workspace import Workspace
from tests.unit.training_files import metadata, planned

PROFILE = """
[subject]
name = "ai_model"
version = "v4"
trigger = "{name}_{version}"

[generation]
negative_prompt = "bad"
sampler = "DPM++ 2M"
scheduler = "Karras"
steps = 2
width = 128
height = 128

[[grids]]
name = "face"
prompt = "{trigger}, close-up"
seeds = [1, 2]
weights = [0.4, 1.0]
"""


def make_workspace(root: Path, profile: str = PROFILE) -> Workspace:
    """A workspace with `profile` and nothing else."""
    write_text(root / "lora.toml", profile)
    return Workspace(root)


def finish_run(
    workspace: Workspace, name: str = "ai_model_v4", epochs: tuple[int, ...] = (20, 40), person: int = 7
) -> Path:
    """Write a finished run with a file for each epoch; another `person` gives files of other content."""
    folder = workspace.run(name)
    for epoch in epochs:
        make_lora(folder / "lora" / f"{name}-{epoch:06d}.safetensors", name, epoch, person)
    plan = planned(folder, name=name, values={"output_name": name, "max_train_epochs": max(epochs)})
    write_record(folder, begin(plan).changed(status="finished"))
    return folder / "lora"


def make_lora(path: Path, name: str, epoch: int, person: int) -> Path:
    """A LoRA file of the sandbox's kind, with the hash that A1111 shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    knows = replace(learned.starter(person, name, epoch=epoch), progress=min(1.0, epoch / 50))
    weights = learned.tensors(knows, 4, 4, person)
    digest = hashlib.sha256(b"".join(weights[key].tobytes() for key in sorted(weights))).hexdigest()
    save_file(weights, path, metadata(epoch, ss_output_name=name, sshs_model_hash=digest))
    return path
