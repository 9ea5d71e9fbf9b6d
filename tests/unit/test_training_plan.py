"""Our words for a training, into sd-scripts' arguments."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import orchestrator
from orchestrator.errors import DatasetError, ProfileError
from orchestrator.kohya import install
from orchestrator.kohya.install import KohyaInstall
from orchestrator.profile.model import Profile, TrainingPlan
from orchestrator.training import inputs
from orchestrator.training.plan import TrainingPlanned, plan
from orchestrator.training.preset import effective, load, presets
from orchestrator.workspace import Workspace

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
Make = Callable[..., TrainingPlanned]


@pytest.fixture
def kohya() -> KohyaInstall:
    return install.find(SANDBOX, python=sys.executable)


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    workspace = Workspace(ugly_path)
    _pictures(workspace.dataset("v1") / "3_face", 2)
    _checkpoint(ugly_path / "base.safetensors", "cond_stage_model.transformer.x")
    return workspace


def _pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text("ai_model_v1, face", encoding="utf-8")


def _checkpoint(path: Path, *names: str, value: float = 0.0) -> None:
    save_file({name: np.full(4, value, np.float16) for name in names}, path)


@pytest.fixture
def make(workspace: Workspace, kohya: KohyaInstall) -> Make:
    def planned(*, where: Workspace = workspace, install: KohyaInstall = kohya, **training: Any) -> TrainingPlanned:
        profile = Profile.model_validate({"dataset": {"resolution": 512}, "training": training})
        return plan(profile, install, where, checkpoint=workspace.root / "base.safetensors")

    return planned


def test_every_word_of_ours_reaches_sd_scripts(make: Make) -> None:
    given = make(
        epochs=40, save_every=5, batch_size=2, dim=16, alpha=8, unet_lr=2e-4, text_encoder_lr=1e-5, optimizer="Prodigy",
        lr_scheduler="constant_with_warmup", warmup_steps=10, mixed_precision="bf16", gradient_checkpointing=True,
        clip_skip=2, seed=7, extra={"min_snr_gamma": 5},
    )  # fmt: skip
    expected = {
        "max_train_epochs": 40, "save_every_n_epochs": 5, "network_dim": 16, "network_alpha": 8.0, "unet_lr": 2e-4,
        "text_encoder_lr": [1e-5], "optimizer_type": "Prodigy", "lr_scheduler": "constant_with_warmup",
        "lr_warmup_steps": 10, "mixed_precision": "bf16", "save_precision": "bf16", "gradient_checkpointing": True,
        "clip_skip": 2, "seed": 7, "min_snr_gamma": 5, "caption_extension": ".txt", "network_module": "networks.lora",
        "output_name": "ai_model_v1",
    }  # fmt: skip
    assert {key: given.values[key] for key in expected} == expected
    assert given.dataset_values["datasets"][0]["batch_size"] == 2
    assert given.dataset_values["datasets"][0]["subsets"][0]["num_repeats"] == 3
    assert Path(given.values["output_dir"]).is_absolute()
    assert not given.folder.exists()  # planning writes nothing


def test_no_learning_of_words_trains_the_unet_alone(make: Make) -> None:
    values = make(text_encoder_lr=0).values
    assert values["network_train_unet_only"] is True and "text_encoder_lr" not in values


def test_an_sdxl_checkpoint_chooses_its_script(workspace: Workspace, tmp_path: Path) -> None:
    root = tmp_path / "sd-scripts"
    shutil.copytree(SANDBOX, root, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "sdxl_train_network.py").write_text(
        "import train_network\ndef setup_parser():\n    return train_network.setup_parser()\n", encoding="utf-8"
    )
    _checkpoint(workspace.root / "base.safetensors", "conditioner.embedders.1.x")
    profile = Profile.model_validate({"training": {"clip_skip": 2}})
    kohya = install.find(root, python=sys.executable)
    found = plan(profile, kohya, workspace, checkpoint=workspace.root / "base.safetensors")
    assert found.base.script == "sdxl_train_network.py"
    assert found.values["text_encoder_lr"] == [5e-5, 5e-5] and "clip_skip" not in found.values


def test_the_fingerprint_names_content_and_nothing_else(make: Make, workspace: Workspace, tmp_path: Path) -> None:
    first = make().fingerprint
    moved = tmp_path / "moved"
    shutil.copytree(workspace.root, moved)
    assert make(where=Workspace(moved)).fingerprint == first
    assert make(seed=43).fingerprint != first
    assert make(extra={"min_snr_gamma": 5}).fingerprint != first
    _checkpoint(workspace.root / "base.safetensors", "cond_stage_model.transformer.x", value=1.0)
    assert make().fingerprint != first
    _checkpoint(workspace.root / "base.safetensors", "cond_stage_model.transformer.x")
    assert make().fingerprint == first
    Image.new("RGB", (64, 64), (9, 9, 9)).save(workspace.dataset("v1") / "3_face" / "0000.png")
    assert make().fingerprint != first


PROBLEMS: list[tuple[dict[str, Any], str]] = [
    ({"extra": {"network_dimm": 4}}, "training.extra.network_dimm: this sd-scripts has no such argument; did you mean"),
    ({"extra": {"max_train_steps": 100}}, "training.extra.max_train_steps: is decided by orchestrator"),
    ({"extra": {"save_every_n_steps": 100}}, "is decided by orchestrator"),
    ({"extra": {"min_snr_gamma": "5"}}, "training.extra.min_snr_gamma: must be a number"),
    ({"epochs": 5, "save_every": 10}, "training.save_every: 10 is more than the 5 epochs"),
    ({"preset": "6gb"}, "training.preset: there is no preset '6gb'; there are 12gb, 8gb"),
]  # fmt: skip


@pytest.mark.parametrize(("training", "words"), PROBLEMS)
def test_a_wrong_value_is_named_in_the_users_words(make: Make, training: dict[str, Any], words: str) -> None:
    with pytest.raises(ProfileError) as caught:
        make(**training)
    assert any(words in problem for problem in caught.value.problems)


def test_presets_fill_in_only_what_was_not_given() -> None:
    assert set(presets()) == {"8gb", "12gb"}
    small = effective(TrainingPlan(preset="8gb", dim=64, extra={"sdpa": False}))
    assert (small.gradient_checkpointing, small.batch_size, small.dim) == (True, 1, 64)
    assert small.extra["sdpa"] is False and small.extra["cache_latents"] is True
    large = effective(TrainingPlan(preset="12gb", epochs=40))
    assert (large.gradient_checkpointing, large.batch_size, large.epochs) == (False, 2, 40)
    # A value given on purpose stays, even where it is the default.
    assert effective(TrainingPlan(preset="12gb", batch_size=1)).batch_size == 1
    assert effective(TrainingPlan(batch_size=3)) == TrainingPlan(batch_size=3)


@pytest.mark.parametrize("name", ["8gb", "12gb"])
def test_every_value_of_a_preset_is_known_to_sd_scripts(make: Make, name: str) -> None:
    assert set(load(name)) <= set(TrainingPlan.model_fields)
    assert make(preset=name).values["optimizer_type"] == "AdamW8bit"


def test_a_dataset_with_nothing_in_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no dataset"):
        inputs.read_dataset(tmp_path / "missing")
    (tmp_path / "no repeats").mkdir()
    with pytest.raises(DatasetError, match="<repeats>_<group>"):
        inputs.read_dataset(tmp_path)
    (tmp_path / "3_empty").mkdir()
    with pytest.raises(DatasetError, match="3_empty: holds no pictures"):
        inputs.read_dataset(tmp_path)


def test_every_picture_and_caption_is_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "1_face"
    _pictures(folder, 5)
    (folder / "0000.png").write_bytes((folder / "0000.png").read_bytes()[:60])
    (folder / "0001.txt").write_text("  \n", encoding="utf-8")
    (folder / "0002.txt").write_bytes("\ufeffai_model".encode())
    (folder / "0003.txt").unlink()
    (folder / "0004.txt").write_bytes(b"\x83\x7e")
    with pytest.raises(DatasetError) as caught:
        inputs.read_dataset(tmp_path)
    for words in ("1_face/0000.png: it is", "caption is empty", "byte order mark", "has no caption", "not UTF-8"):
        assert words in caught.value.what


def test_repeats_count_and_captions_decide_the_hash(tmp_path: Path) -> None:
    _pictures(tmp_path / "3_face", 2)
    _pictures(tmp_path / "1_body", 4)
    first = inputs.read_dataset(tmp_path)
    assert (first.pictures, first.seen_per_epoch) == (6, 10)
    (tmp_path / "3_face").rename(tmp_path / "4_face")
    assert inputs.read_dataset(tmp_path).sha256 != first.sha256
    (tmp_path / "4_face").rename(tmp_path / "3_face")
    assert inputs.read_dataset(tmp_path).sha256 == first.sha256
    (tmp_path / "1_body" / "0000.txt").write_text("other", encoding="utf-8")
    assert inputs.read_dataset(tmp_path).sha256 != first.sha256


def test_a_checkpoint_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "base.ckpt"
    path.write_bytes(b"weights")
    first = inputs.checkpoint_sha256(path, tmp_path / "cache")
    monkeypatch.setattr(inputs, "sha256_file", lambda _: pytest.fail("it was read again"))
    assert inputs.checkpoint_sha256(path, tmp_path / "cache") == first
