"""What sd-scripts cached beside the pictures is removed when it would be wrong, and kept when it is right."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import orchestrator
from orchestrator.errors import StorageError
from orchestrator.kohya import install
from orchestrator.profile.model import Profile
from orchestrator.training import latents
from orchestrator.training.plan import TrainingPlanned, plan
from orchestrator.workspace import Workspace

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
Make = Callable[..., TrainingPlanned]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    folder = workspace.dataset("v1") / "3_face"
    folder.mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text("ai_model_v1, face", encoding="utf-8")
    _model(tmp_path / "base.safetensors", 0.0)
    return workspace


def _model(path: Path, value: float) -> None:
    save_file({"cond_stage_model.transformer.x": np.full(4, value, np.float16)}, path)


@pytest.fixture
def make(workspace: Workspace) -> Make:
    kohya = install.find(SANDBOX, python=sys.executable)

    def planned(resolution: int = 512, **training: Any) -> TrainingPlanned:
        values = {"optimizer": "AdamW", **training}
        profile = Profile.model_validate({"dataset": {"resolution": resolution}, "training": values})
        return plan(profile, kohya, workspace, checkpoint=workspace.root / "base.safetensors")

    return planned


def _cached(planned: TrainingPlanned) -> list[Path]:
    """A cached file of each kind, whole."""
    folder = planned.dataset.groups[0].folder
    names = ("0000_0064x0064_sd.npz", "0001.npz", "0000_te_outputs.npz", "metadata_cache.json")
    for name in names[:3]:
        np.savez(folder / name, latents=np.zeros((4, 8, 8)))
    (folder / names[3]).write_text("{}", encoding="utf-8")
    return [folder / name for name in names]


@pytest.mark.parametrize(
    "training",
    [
        {"seed": 7}, {"epochs": 3, "save_every": 3}, {"dim": 4}, {"alpha": 4.0}, {"unet_lr": 1e-3}, {"batch_size": 2},
        {"text_encoder_lr": 0}, {"lr_scheduler": "constant"}, {"save_state": False}, {"gradient_checkpointing": True},
        {"extra": {"cache_latents_to_disk": True}}, {"extra": {"min_snr_gamma": 5}}, {"warmup_steps": 4},
    ],
)  # fmt: skip
def test_what_is_learned_otherwise_keeps_the_latents(make: Make, training: dict[str, Any]) -> None:
    assert latents.key(make(**training)) == latents.key(make())


@pytest.mark.parametrize(
    "training",
    [
        {"resolution": 576}, {"extra": {"vae": "some/hub-id"}}, {"mixed_precision": "bf16"},
        {"extra": {"max_token_length": 150}}, {"clip_skip": 2}, {"extra": {"no_half_vae": True}},
    ],
)  # fmt: skip
def test_what_decides_the_latents_changes_their_key(make: Make, training: dict[str, Any]) -> None:
    assert latents.key(make(**training)) != latents.key(make())


def test_pictures_captions_base_family_and_shapes_change_the_key(make: Make, workspace: Workspace) -> None:
    first = make()
    keys = [latents.key(first)]
    for general, dataset in (({"flip_aug": True}, {}), ({}, {"enable_bucket": False}), ({}, {"bucket_reso_steps": 32})):
        changed = {
            "general": {**first.dataset_values["general"], **general},
            "datasets": [{**first.dataset_values["datasets"][0], **dataset}],
        }
        keys.append(latents.key(replace(first, dataset_values=changed)))
    keys.append(latents.key(replace(first, base=replace(first.base, family="sdxl"))))
    folder = workspace.dataset("v1") / "3_face"
    (folder / "0000.txt").write_text("other", encoding="utf-8")
    keys.append(latents.key(make()))
    Image.new("RGB", (64, 64), (9, 9, 9)).save(folder / "0000.png")
    keys.append(latents.key(make()))
    _model(workspace.root / "base.safetensors", 1.0)
    keys.append(latents.key(make()))
    assert len(set(keys)) == len(keys) == 8


def test_another_vae_under_the_same_name_changes_the_key(make: Make, workspace: Workspace) -> None:
    vae = workspace.root / "vae.safetensors"
    _model(vae, 0.0)
    extra = {"vae": str(vae)}
    before = latents.key(make(extra=extra))
    _model(vae, 1.0)
    assert latents.key(make(extra=extra)) != before


def test_a_moved_workspace_keeps_its_latents(make: Make) -> None:
    first = make()
    group = first.dataset.groups[0]
    elsewhere = replace(first.dataset, folder=Path("/other"), groups=(replace(group, folder=Path("/other/3_face")),))
    values = {**first.values, "output_dir": "/other/lora", "pretrained_model_name_or_path": "/other/base"}
    subsets = [{"image_dir": "/other/3_face", "num_repeats": 3}]
    dataset_values = {**first.dataset_values, "datasets": [{**first.dataset_values["datasets"][0], "subsets": subsets}]}
    moved = replace(first, dataset=elsewhere, values=values, dataset_values=dataset_values)
    assert latents.key(moved) == latents.key(first)


def test_stale_files_go_and_right_ones_stay(make: Make) -> None:
    planned = make()
    files = _cached(planned)
    assert latents.forget_stale(planned.dataset, "first", planned.cache) == 4  # nobody knows what made them
    assert not any(file.exists() for file in files)
    _cached(planned)
    assert latents.forget_stale(planned.dataset, "first", planned.cache) == 0
    assert all(file.exists() for file in files)
    assert latents.forget_stale(planned.dataset, "second", planned.cache) == 4
    assert sorted(p.suffix for p in files[0].parent.iterdir()) == [".png", ".png", ".txt", ".txt"]


def test_a_file_that_a_kill_cut_off_goes_alone(make: Make) -> None:
    planned = make()
    latents.forget_stale(planned.dataset, "key", planned.cache)
    files = _cached(planned)
    files[0].write_bytes(files[0].read_bytes()[:-30])
    assert latents.forget_stale(planned.dataset, "key", planned.cache) == 1
    assert [file.exists() for file in files] == [False, True, True, True]


def test_a_lost_cache_of_ours_means_not_to_trust(make: Make) -> None:
    planned = make()
    latents.forget_stale(planned.dataset, "key", planned.cache)
    _cached(planned)
    for marker in (planned.cache / "latents").iterdir():
        marker.unlink()
    assert latents.forget_stale(planned.dataset, "key", planned.cache) == 4


def test_a_file_that_cannot_be_removed_stops_the_start(make: Make) -> None:
    planned = make()
    (planned.dataset.groups[0].folder / "0000_sd.npz").mkdir()
    with pytest.raises(StorageError):
        latents.forget_stale(planned.dataset, "key", planned.cache)
    # Not marked as cleaned: the next start tries again.
    with pytest.raises(StorageError):
        latents.forget_stale(planned.dataset, "key", planned.cache)
