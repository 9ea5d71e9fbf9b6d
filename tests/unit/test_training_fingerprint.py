"""A finished run is found again by its fingerprint: with the same inputs it must stay the same 64 digits for ever.

A change here means that every training users have is trained anew. The digits were taken before the profile knew
guards, launches and samples.
"""

from __future__ import annotations

import base64
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import orchestrator
from orchestrator.kohya import install
from orchestrator.profile.model import Profile
from orchestrator.training.plan import TrainingPlanned, plan
from orchestrator.workspace import Workspace

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
#: A grey pixel as one program once wrote it: bytes that no later version of an encoder changes.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNoaGgAAAMEAYFL09IQAAAAAElFTkSuQmCC")
SD1, SD2, SDXL = "cond_stage_model.transformer.x", "cond_stage_model.model.x", "conditioner.embedders.1.x"
ALL_OTHER: dict[str, Any] = {
    "epochs": 12, "save_every": 3, "batch_size": 2, "dim": 16, "alpha": 8, "unet_lr": 2e-4, "text_encoder_lr": 1e-5,
    "optimizer": "Prodigy", "lr_scheduler": "constant_with_warmup", "warmup_steps": 10, "mixed_precision": "bf16",
    "gradient_checkpointing": True, "clip_skip": 2, "seed": 7, "extra": {"min_snr_gamma": 5, "network_args": ["a=1"]},
}  # fmt: skip
GOLDEN: list[tuple[str, dict[str, Any], str]] = [
    (SD1, {}, "efc9462f0a0379cdbd29c2922c5cc73aafce244ea7e1bfb596eee2b737e07216"),
    (SD1, ALL_OTHER, "a66ef75ad385308a868d62fbaf8bcdf8aeb9574b04747784c8bb89b7e7739cc8"),
    (SD1, {"preset": "8gb", "text_encoder_lr": 0}, "fdcd662fd3ce6d642973f269360529deac6ff5c7f4cba9093124133de4759f13"),
    (
        SD1,
        {"save_state": False, "extra": {"xformers": True}},
        "4b9a872c0683d63fd5bbd549c69406e7848aea02205aadf93a00ecba65011f04",
    ),
    (SD2, {"clip_skip": 2}, "471fdc5ff53ab77c03a75eb6642bfbb2e967b94b52dec8bb307cab4d74ebc0a9"),
    (SDXL, {"clip_skip": 2}, "982490ad3e29dcd24ba245d225d735637eabdd107e1556ce792f4aabc9d3e196"),
]


@pytest.mark.parametrize(("tensor", "training", "digits"), GOLDEN)
def test_the_fingerprint_of_known_inputs(tmp_path: Path, tensor: str, training: dict[str, Any], digits: str) -> None:
    assert planned(tmp_path, tensor, training).fingerprint == digits


LATER: list[dict[str, Any]] = [
    {"tensorboard": False},
    {"guard": {"when_stalled": "wait", "out_of_memory": "retry", "restarts": 7}},
    {"launch": {"cpu_threads": 2}},
    {"samples": {"prompts": ["{trigger}, a photo"], "every_epochs": 1}},
]


@pytest.mark.parametrize("training", LATER)
def test_what_does_not_decide_the_outcome_does_not_enter_it(tmp_path: Path, training: dict[str, Any]) -> None:
    assert planned(tmp_path, SD1, training).fingerprint == GOLDEN[0][2]


def planned(root: Path, tensor: str, training: dict[str, Any]) -> TrainingPlanned:
    scripts = root / "sd-scripts"
    shutil.copytree(SANDBOX, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "sdxl_train_network.py").write_text(
        "import train_network\ndef setup_parser():\n    return train_network.setup_parser()\n", encoding="utf-8"
    )
    workspace = Workspace(root / "workspace")
    folder = workspace.dataset("v1") / "3_face"
    folder.mkdir(parents=True)
    for number in range(2):
        (folder / f"{number:04d}.png").write_bytes(PNG)
        (folder / f"{number:04d}.txt").write_bytes(b"ai_model_v1, face")
    header = json.dumps({tensor: {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    checkpoint = workspace.root / "base.safetensors"
    checkpoint.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    profile = Profile.model_validate({"dataset": {"resolution": 512}, "training": training})
    kohya = replace(install.find(scripts, python=sys.executable), commit="48d368fa557731ad0488c07304dfeba8c07910eb")
    return plan(profile, kohya, workspace, checkpoint=checkpoint)
