"""What goes wrong in the simulated trainer goes wrong as it does in the real one: same exit code, same last words, as
late.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toml
from PIL import Image
from safetensors.numpy import load_file

from .test_sandbox_trainer_run import Trainer, make_trainer, metadata_of


@pytest.fixture
def trainer(ugly_path: Path) -> Trainer:
    """A trainer in a folder with an ugly name."""
    return make_trainer(ugly_path)


LATE_ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "rank as text": ({"network_dim": "abc"}, "TypeError: empty(): argument 'size'"),
    "learning rate as text": (
        {"learning_rate": "1e-4"},
        "TypeError: '<=' not supported between instances of 'float' and 'str'",
    ),
    "unknown precision": ({"mixed_precision": "fp32"}, "ValueError: Unknown mixed_precision mode: fp32"),
    "resolution as a number": ({"resolution": 512}, "AttributeError: 'int' object has no attribute 'split'"),
    "resolution as a list": ({"resolution": [512, 512]}, "AttributeError: 'list' object has no attribute 'split'"),
    "network_args as text": ({"network_args": "conv_dim=4"}, "ValueError: not enough values to unpack"),
    "batch size as text": ({"train_batch_size": "4"}, "expected int for object value @ data['train_batch_size']"),
    "unknown optimizer": ({"optimizer_type": "AdamZ"}, "AttributeError: module 'torch.optim' has no attribute 'AdamZ'"),
    "unknown scheduler": ({"lr_scheduler": "cosin"}, "ValueError: cosin is not a valid SchedulerType, please"),
    "constant with warm-up": ({"lr_warmup_steps": 10}, "does not require `num_warmup_steps`"),
    "no network module": ({"network_module": None}, "AttributeError: 'NoneType' object has no attribute 'startswith'"),
    "unknown network module": ({"network_module": "lycoris.kohya"}, "ModuleNotFoundError: No module named 'lycoris'"),
    "tensorboard without a folder": ({"log_with": "tensorboard"}, "ValueError: logging_dir is required"),
    "no output folder": ({"output_dir": None}, "TypeError: expected str, bytes or os.PathLike object, not NoneType"),
    "no resolution": ({"resolution": None}, "AssertionError: resolution is required"),
    "wrong base model": (
        {"pretrained_model_name_or_path": "/no/such/model.safetensors"},
        "is neither a valid local path nor a valid repo id",
    ),
    "full fp16 alone": ({"full_fp16": True, "mixed_precision": "bf16"}, "AssertionError: full_fp16 requires"),
    "kept workers without workers": (
        {"persistent_data_loader_workers": True},
        "ValueError: persistent_workers option needs num_workers > 0",
    ),
}


@pytest.mark.parametrize("case", LATE_ERRORS)
def test_a_wrong_value_in_the_file_fails_late_with_the_real_exception(trainer: Trainer, case: str) -> None:
    changes, words = LATE_ERRORS[case]
    done = trainer.train(**changes)
    assert done.code == 1
    assert words in done.err.splitlines()[-1], done.err[-600:]
    assert trainer.files() == set()


def test_no_output_folder_is_noticed_after_all_the_training(trainer: Trainer) -> None:
    assert "steps: 100%" in trainer.train(output_dir=None).err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--network_dimm", "3"), "unrecognized arguments: --network_dimm 3"),
        (("--network_dim", "abc"), "argument --network_dim: invalid int value: 'abc'"),
        (("--save_precision", "fp99"), "argument --save_precision: invalid choice: 'fp99'"),
        (("--cache_text_encoder_outputs",), "unrecognized arguments: --cache_text_encoder_outputs"),
    ],
)
def test_a_wrong_command_line_ends_with_two(trainer: Trainer, flags: tuple[str, ...], words: str) -> None:
    done = trainer.train(*flags)
    assert done.code == 2
    assert words in done.err.splitlines()[-1]


def test_configuration_files(trainer: Trainer) -> None:
    missing = trainer.run("--config_file", str(trainer.home / "X.TOML"))
    assert missing.code == 1
    assert "X.TOML.toml not found." in missing.err
    (trainer.home / "broken.toml").write_text("a = [1, 2.5]", encoding="utf-8")
    broken = trainer.run("--config_file", str(trainer.home / "broken"))
    assert broken.code == 1
    assert "TomlDecodeError: Not a homogeneous array" in broken.err
    # Sections are flattened away, and a byte order mark eats the first key.
    settings = toml.dumps(trainer.settings(output_name=None))
    sections = f"output_name = 'lost'\n[one]\n{settings}\n[two]\nnetwork_dim = 3\n"
    (trainer.home / "marked.toml").write_text("\ufeff" + sections, encoding="utf-8")
    marked = trainer.run("--config_file", str(trainer.home / "marked"))
    assert marked.code == 0, marked.err[-600:]
    assert metadata_of(trainer.out / "last.safetensors")["ss_network_dim"] == "3"


def test_writing_a_configuration(trainer: Trainer) -> None:
    target = str(trainer.home / "written.toml")
    done = trainer.run("--output_config", "--config_file", target, "--network_dim", "7")
    assert done.code == 0
    assert toml.loads(Path(target).read_text(encoding="utf-8")) == {"network_dim": 7}
    assert trainer.run("--output_config", "--config_file", target).code == 1


@pytest.mark.parametrize("where", ["absent", "empty", "data/2_ai_model_v1 woman"])
def test_no_pictures_is_an_error_line_and_success(trainer: Trainer, where: str) -> None:
    (trainer.home / "empty").mkdir()
    done = trainer.train(train_data_dir=str(trainer.home / where))
    assert done.code == 0
    assert "ERROR    No data found. Please verify arguments" in done.err
    assert trainer.files() == set()


def test_an_empty_dataset_description_is_the_same(trainer: Trainer) -> None:
    file = trainer.home / "dataset.toml"
    subsets = [{"image_dir": str(trainer.home / "absent")}]
    file.write_text(toml.dumps({"datasets": [{"resolution": 64, "subsets": subsets}]}), encoding="utf-8")
    done = trainer.train(dataset_config=str(file))
    assert done.code == 0
    assert "not directory: " in done.err
    assert "No data found" in done.err


def test_a_wrong_dataset_description_is_refused(trainer: Trainer) -> None:
    file = trainer.home / "dataset.toml"
    subsets = [{"image_dir": str(trainer.pictures), "num_repeat": 1}]
    file.write_text(toml.dumps({"datasets": [{"subsets": subsets}]}), encoding="utf-8")
    done = trainer.train(dataset_config=str(file))
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        "voluptuous.error.MultipleInvalid: extra keys not allowed @ data['datasets'][0]['subsets'][0]['num_repeat']"
    )


def test_missing_captions_are_a_warning_and_the_class_tokens(trainer: Trainer) -> None:
    done = trainer.train(caption_extension=None)
    assert done.code == 0
    assert "No caption file found for 4 images." in done.err
    found = metadata_of(trainer.out / "ai_model_v1.safetensors")
    assert found["ss_tag_frequency"] == '{"2_ai_model_v1 woman": {"ai_model_v1 woman": 4}}'


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "AssertionError: caption file is empty"), ("猫耳".encode("cp932"), "UnicodeDecodeError: 'utf-8' codec")],
)
def test_a_broken_caption_ends_the_run(trainer: Trainer, content: bytes, words: str) -> None:
    (trainer.pictures / "img1.txt").write_bytes(content)
    done = trainer.train()
    assert done.code == 1
    assert words in done.err.splitlines()[-1]
    assert "img1.txt" in done.err


def test_a_byte_order_mark_stays_in_the_trigger_word(trainer: Trainer) -> None:
    (trainer.pictures / "img1.txt").write_bytes("\ufeffai_model_v1, close-up".encode())
    assert trainer.train().code == 0
    assert "\\ufeffai_model_v1" in metadata_of(trainer.out / "ai_model_v1.safetensors")["ss_tag_frequency"]


def test_a_file_that_is_no_picture(trainer: Trainer) -> None:
    (trainer.pictures / "img9.png").write_bytes(b"no picture")
    done = trainer.train()
    assert done.code == 1
    assert done.err.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert f"WARNING  failed to get image size: {trainer.pictures / 'img9.png'}, error: cannot identify" in done.err


def test_a_truncated_picture(trainer: Trainer) -> None:
    file = trainer.pictures / "img2.png"
    file.write_bytes(file.read_bytes()[:12000])
    done = trainer.train()
    assert done.code == 1
    assert "OSError: image file is truncated" in done.err.splitlines()[-1]
    assert "Error loading file: " in done.err


def test_pictures_larger_than_the_resolution_need_a_cache_or_buckets(trainer: Trainer) -> None:
    assert trainer.train(cache_latents=True).code == 0
    done = trainer.train(cache_latents=None)
    assert done.code == 1
    assert "AssertionError: image too large, but cropping and bucketing are disabled" in done.err.splitlines()[-1]
    assert "steps:   0%" in done.err


def test_a_huge_learning_rate_ends_well_with_nan_weights(trainer: Trainer) -> None:
    done = trainer.train(learning_rate=1e30)
    assert done.code == 0
    assert "avr_loss=nan" in done.err
    weights = load_file(trainer.out / "ai_model_v1.safetensors")
    assert all(np.isnan(value).all() for value in weights.values())


def test_eight_bit_optimizers_are_taken_as_installed(trainer: Trainer) -> None:
    assert trainer.train(optimizer_type="AdamW8bit", optimizer_args=["weight_decay=0.1"]).code == 0
    assert metadata_of(trainer.out / "ai_model_v1.safetensors")["ss_optimizer"] == (
        "bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1)"
    )


def test_a_console_without_japanese_kills_the_run(trainer: Trainer) -> None:
    done = trainer.train(environment={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert done.code == 1
    assert "UnicodeEncodeError: 'ascii' codec" in done.err.splitlines()[-1]
    assert "use AdamW optimizer" in done.err


def test_old_cache_files_are_used_without_a_word(trainer: Trainer) -> None:
    first = trainer.train(cache_latents_to_disk=True, cache_latents=None)
    assert first.code == 0
    assert "cache_latents_to_disk is enabled, so cache_latents is also enabled" in first.err
    caches = sorted(trainer.pictures.glob("*_0096x0096_sd.npz"))
    assert len(caches) == 4
    assert np.load(caches[0])["latents"].shape == (4, 8, 8)
    written = [path.stat().st_mtime_ns for path in caches]
    for picture in trainer.pictures.glob("*.png"):
        Image.new("RGB", (96, 96), (200, 40, 40)).save(picture)
    again = trainer.train(cache_latents_to_disk=True, resolution="128")
    assert again.code == 0
    assert "set image size from cache files: 4/4" in again.err
    assert [path.stat().st_mtime_ns for path in caches] == written
    assert metadata_of(trainer.out / "ai_model_v1.safetensors")["ss_resolution"] == "(128, 128)"
