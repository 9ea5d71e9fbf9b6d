"""What we say sd-scripts will read, held against what the simulated trainer says it has read: its file's metadata."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import orchestrator
from orchestrator.errors import TrainingRefused
from orchestrator.kohya import buckets, config_file, install, toml_file, weights
from orchestrator.profile.model import Profile
from orchestrator.training import inputs, latents
from orchestrator.training.plan import TrainingPlanned, plan
from orchestrator.training.preflight import preflight
from orchestrator.workspace import Workspace

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    workspace = Workspace(ugly_path)
    for name, count in (("3_close-up", 3), ("1_full body 初音", 1)):
        folder = workspace.dataset("v1") / name
        folder.mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (128 + 64 * number, 128), (40 * number, 0, 0)).save(folder / f"{number:04d}.png")
            text = f" ai_model_v1, {name[2:]}, {number} \r\n\r\nsecond line, not read"
            (folder / f"{number:04d}.txt").write_text(text, encoding="utf-8", newline="")
    save_file({"cond_stage_model.transformer.x": np.zeros(4, np.float16)}, ugly_path / "base.safetensors")
    return workspace


def _profile(resolution: int = 256, **extra: Any) -> Profile:
    training = {"optimizer": "AdamW", "epochs": 1, "save_every": 1, "dim": 4, "save_state": False, "batch_size": 2}
    return Profile.model_validate({"dataset": {"resolution": resolution}, "training": {**training, "extra": extra}})


def _train(planned: TrainingPlanned) -> subprocess.CompletedProcess[str]:
    config = config_file.write(planned.config, planned.values)
    toml_file.write(planned.dataset_config, planned.dataset_values)
    toml_file.verify(config, planned.values)
    toml_file.verify(planned.dataset_config, planned.dataset_values)
    command = [sys.executable, str(SANDBOX / "train_network.py"), "--config_file", str(config)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=60)


def _read(planned: TrainingPlanned) -> tuple[dict[str, str], dict[str, Any]]:
    metadata = dict(weights.read_header(planned.final_file).metadata)
    (dataset,) = json.loads(metadata["ss_datasets"])
    return metadata, dataset


def test_the_trainer_reads_what_we_said_it_would(workspace: Workspace) -> None:
    kohya = install.find(SANDBOX, python=sys.executable)
    ready = preflight(_profile(min_snr_gamma=5), kohya, workspace, checkpoint=workspace.root / "base.safetensors")
    planned = ready.planned
    assert sum("first line" in doubt.what for doubt in ready.doubts) == 1
    done = _train(planned)
    assert done.returncode == 0, done.stderr
    metadata, dataset = _read(planned)
    said = {
        group.folder.name: dict(
            Counter(tag.strip().lower() for caption in group.captions for tag in caption.split(",") if tag.strip())
        )
        for group in planned.dataset.groups
    }
    assert dataset["tag_frequency"] == said
    assert [(s["image_dir"], s["img_count"], s["num_repeats"]) for s in dataset["subsets"]] == [
        (group.folder.name, len(group.pictures), group.repeats) for group in planned.dataset.groups
    ]
    assert dataset["num_train_images"] == planned.dataset.seen_per_epoch == 10
    options = planned.dataset_values["datasets"][0]
    pictures = [(size, group.repeats) for group in planned.dataset.groups for size in group.sizes]
    assert int(metadata["ss_num_batches_per_epoch"]) == buckets.steps_per_epoch(pictures, options) == 6
    trained_at = {tuple(bucket["resolution"]) for bucket in dataset["bucket_info"]["buckets"].values()}
    assert trained_at == {buckets.training_size(size, options) for size, _ in pictures} and len(trained_at) == 3
    for key in ("network_dim", "seed", "min_snr_gamma", "output_name", "lr_scheduler", "mixed_precision"):
        assert metadata[f"ss_{key}"] == str(planned.values[key]), key


def _not_an_image(folder: Path) -> None:
    (folder / "0000.png").write_bytes(b"this is no picture")


def _cut_off(folder: Path) -> None:
    # Noise, for a flat picture is whole after its first bytes.
    Image.effect_noise((64, 64), 90).convert("RGB").save(folder / "0000.png")
    (folder / "0000.png").write_bytes((folder / "0000.png").read_bytes()[:900])


def _cp932(folder: Path) -> None:
    (folder / "0000.txt").write_bytes("初音ミク".encode("cp932"))


def _empty(folder: Path) -> None:
    (folder / "0000.txt").write_bytes(b"")


def _blank_line(folder: Path) -> None:
    (folder / "0000.txt").write_text("\nai_model_v1, lost", encoding="utf-8")


def _mark(folder: Path) -> None:
    (folder / "0000.txt").write_bytes("\ufeffai_model_v1, lost".encode())


def _no_caption(folder: Path) -> None:
    (folder / "0000.txt").unlink()


def _mixed_letters(folder: Path) -> None:
    (folder / "0000.png").rename(folder / "0000.Png")


def _shared(folder: Path) -> None:
    Image.new("RGB", (64, 64)).save(folder / "0000.jpg")


@pytest.mark.parametrize("spoil", [_not_an_image, _cut_off, _cp932, _empty])
def test_what_we_refuse_ends_the_trainer(workspace: Workspace, spoil: Callable[[Path], None]) -> None:
    assert _spoilt(workspace, spoil)[0].returncode != 0


@pytest.mark.parametrize("spoil", [_blank_line, _mark, _no_caption, _shared])
def test_what_we_refuse_is_trained_on_without_a_word(workspace: Workspace, spoil: Callable[[Path], None]) -> None:
    done, planned = _spoilt(workspace, spoil)
    assert done.returncode == 0, done.stderr
    tags = _read(planned)[1]["tag_frequency"]["3_close-up"]
    expected = {_shared: 4}.get(spoil, 2)  # of three pictures, each with a caption of its own
    assert tags.get("ai_model_v1", 0) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no difference")
def test_a_picture_that_we_call_unseen_is_not_seen(workspace: Workspace) -> None:
    done, planned = _spoilt(workspace, _mixed_letters)
    assert done.returncode == 0, done.stderr
    counts = {subset["image_dir"]: subset["img_count"] for subset in _read(planned)[1]["subsets"]}
    assert counts == {"1_full body 初音": 1, "3_close-up": 2}


@pytest.mark.parametrize("size", [(1000, 40), (600, 12), (63, 200)])
def test_a_picture_without_a_size_to_train_at_is_refused_and_would_end_the_trainer(
    workspace: Workspace, size: tuple[int, int]
) -> None:
    planned = _planned(workspace, 64)
    picture = workspace.dataset("v1") / "3_close-up" / "0001.png"
    Image.new("RGB", size).save(picture)
    kohya = install.find(SANDBOX, python=sys.executable)
    with pytest.raises(TrainingRefused, match=r"3_close-up/0001.png: .* leave nothing to train on"):
        preflight(_profile(64), kohya, workspace, checkpoint=workspace.root / "base.safetensors")
    assert _train(planned).returncode != 0


def _spoilt(
    workspace: Workspace, spoil: Callable[[Path], None]
) -> tuple[subprocess.CompletedProcess[str], TrainingPlanned]:
    """Planned while all was well, then spoilt, then trained all the same."""
    planned = _planned(workspace, 256)
    folder = workspace.dataset("v1") / "3_close-up"
    spoil(folder)
    assert inputs.look(workspace.dataset("v1")).dataset is None
    return _train(planned), planned


def _planned(workspace: Workspace, resolution: int, **extra: Any) -> TrainingPlanned:
    kohya = install.find(SANDBOX, python=sys.executable)
    return plan(_profile(resolution, **extra), kohya, workspace, checkpoint=workspace.root / "base.safetensors")


def _forget(planned: TrainingPlanned) -> int:
    return latents.forget_stale(planned.dataset, latents.key(planned), planned.cache)


def _shapes(planned: TrainingPlanned) -> set[tuple[int, ...]]:
    files = [file for group in planned.dataset.groups for file in group.folder.glob("*.npz")]
    assert len(files) == 4
    return {np.load(file)["latents"].shape for file in files}


def test_latents_of_another_resolution_are_made_anew(workspace: Workspace) -> None:
    for folder in workspace.dataset("v1").iterdir():
        for picture in folder.glob("*.png"):
            Image.new("RGB", (256, 256)).save(picture)
    small = _planned(workspace, 128, cache_latents_to_disk=True)
    assert _forget(small) == 0
    assert _train(small).returncode == 0 and _shapes(small) == {(4, 16, 16)}
    large = _planned(workspace, 256, cache_latents_to_disk=True)
    # Left alone, the trainer would take the small ones and say that it trained at 256.
    assert _train(large).returncode == 0 and _shapes(large) == {(4, 16, 16)}
    assert json.loads(_read(large)[0]["ss_datasets"])[0]["resolution"] == [256, 256]
    assert _forget(large) == 4
    assert _train(large).returncode == 0 and _shapes(large) == {(4, 32, 32)}
    assert _forget(large) == 0  # the same again finds them right


def test_a_file_cut_off_while_it_was_cached_does_not_end_every_further_start(workspace: Workspace) -> None:
    planned = _planned(workspace, 256, cache_latents_to_disk=True)
    _forget(planned)
    assert _train(planned).returncode == 0
    victim = next(planned.dataset.groups[0].folder.glob("*.npz"))
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    assert _train(planned).returncode != 0
    assert _forget(planned) == 1
    assert _train(planned).returncode == 0
