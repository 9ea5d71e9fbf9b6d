"""A profile from what a LoRA file says about its own training."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save_file

import orchestrator
from orchestrator.kohya import command, config_file, install, toml_file
from orchestrator.kohya.weights import Tensor
from orchestrator.lora.as_profile import as_profile
from orchestrator.lora.header import LoraHeader, read_header
from orchestrator.profile.load import load_profile, parse_profile
from orchestrator.profile.model import Profile
from orchestrator.training.plan import TrainingPlanned, plan
from orchestrator.workspace import Workspace

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
ASKED: list[dict[str, Any]] = [
    {},
    {"mixed_precision": "bf16", "lr_scheduler": "constant", "gradient_checkpointing": True},
    {
        "dim": 4, "alpha": 2, "unet_lr": 3e-4, "text_encoder_lr": 7e-6, "optimizer": "Lion", "warmup_steps": 3,
        "batch_size": 2, "clip_skip": 2, "seed": 1234, "mixed_precision": "no",
        "extra": {
            "min_snr_gamma": 5.0, "noise_offset": 0.05, "network_args": ["conv_dim=4", "conv_alpha=1"],
            "optimizer_args": ["weight_decay=0.1", "betas=(0.9, 0.99)"], "gradient_accumulation_steps": 2,
            "max_grad_norm": 0.0, "shuffle_caption": True, "keep_tokens": 1, "flip_aug": True, "enable_bucket": False,
        },
    },
    {"text_encoder_lr": 0},
    {"extra": {"resolution": "512,640", "lr_warmup_steps": 0.25, "unet_lr": 1.0, "learning_rate": 1.0,
               "text_encoder_lr": [1.0], "optimizer_type": "Prodigy"}},
]  # fmt: skip
#: What a file cannot say (how often it was saved), and where this very run lies.
UNKNOWN = {"output_dir", "dataset_config", "pretrained_model_name_or_path", "save_every_n_epochs"}


@pytest.mark.parametrize("training", ASKED)
def test_a_training_is_found_again_from_its_final_file(ugly_path: Path, training: dict[str, Any]) -> None:
    workspace = Workspace(ugly_path)
    for folder, caption in (("3_face", "ai_model_v1, close-up"), ("1_body", "ai_model_v1, full body")):
        _pictures(workspace.dataset("v1") / folder, caption)
    save_file({"cond_stage_model.transformer.x": np.zeros(4, np.float16)}, ugly_path / "base.safetensors")
    profile = Profile.model_validate(
        {"dataset": {"resolution": 512}, "training": {"epochs": 2, "save_every": 1} | training}
    )
    asked = _plan(profile, workspace)
    _train(asked)
    text, notes = as_profile(read_header(asked.final_file))
    workspace.profile.write_text(text, encoding="utf-8")
    again = load_profile(workspace.profile)
    found = _plan(again, workspace)
    assert {k: v for k, v in found.values.items() if k not in UNKNOWN} == {
        k: v for k, v in asked.values.items() if k not in UNKNOWN
    }
    assert found.dataset_values == asked.dataset_values
    assert (again.subject.name, again.subject.version, again.trigger) == ("ai_model", "v1", "ai_model_v1")
    assert {g.name: (g.repeats, g.caption) for g in again.dataset.groups} == {
        "face": (3, "ai_model_v1, close-up"), "body": (1, "ai_model_v1, full body"),
    }  # fmt: skip
    assert {"training.save_every", "dataset.groups.folders", "base.checkpoint"} <= {note.key for note in notes}


def test_the_weights_tell_which_parts_were_trained() -> None:
    metadata = {"ss_unet_lr": "0.0001", "ss_text_encoder_lr": "None", "ss_learning_rate": "0.0002"}
    both = _profile(metadata, tensors=("lora_te_x", "lora_unet_x"))
    assert (both.training.unet_lr, both.training.text_encoder_lr) == (1e-4, 2e-4)
    assert _profile(metadata, tensors=("lora_unet_x",)).training.text_encoder_lr == 0
    assert _profile(metadata, tensors=("lora_te1_x",)).training.extra == {"network_train_text_encoder_only": True}


OPTIMIZERS = [
    ("torch.optim.adamw.AdamW", "AdamW", None),
    ("bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1,betas=(0.9, 0.99))", "AdamW8bit",
     ["weight_decay=0.1", "betas=(0.9, 0.99)"]),
    ("prodigyopt.prodigy.Prodigy(decouple=True,d_coef=2)", "Prodigy", ["decouple=True", "d_coef=2"]),
    ("torch.optim.sgd.SGD(momentum=0.9)", "SGDNesterov", ["momentum=0.9"]),
    ("transformers.optimization.Adafactor(relative_step=True)", "AdaFactor", ["relative_step=True"]),
    ("pytorch_optimizer.optimizer.came.CAME(betas=[0.9, 0.99, 0.999])", "pytorch_optimizer.optimizer.came.CAME",
     ["betas=[0.9, 0.99, 0.999]"]),
]  # fmt: skip


@pytest.mark.parametrize(("written", "name", "args"), OPTIMIZERS)
def test_optimizers_are_read_out_of_their_class(written: str, name: str, args: list[str] | None) -> None:
    training = _profile({"ss_optimizer": written}).training
    assert (training.optimizer, training.extra.get("optimizer_args")) == (name, args)


def test_what_a_file_of_train_data_dir_says() -> None:
    found = _profile(
        {
            "ss_resolution": "(512, 512)", "ss_batch_size_per_device": "4", "ss_enable_bucket": "True",
            "ss_bucket_no_upscale": "False", "ss_min_bucket_reso": "320", "ss_max_bucket_reso": "960",
            "ss_shuffle_caption": "True", "ss_keep_tokens": "1", "ss_num_epochs": "6", "ss_color_aug": "True",
            "ss_dataset_dirs": '{"10_ai_model_v1 woman": {"n_repeats": 10, "img_count": 4}}',
            "ss_tag_frequency": '{"10_ai_model_v1 woman": {"ai_model_v1": 4, "close-up": 2}}',
            "ss_vae_name": "vae.safetensors", "ss_loss_type": "l2", "ss_huber_c": "0.1", "ss_training_comment": "1e5",
            "ss_output_name": "my: model?",
        }
    )  # fmt: skip
    assert found.dataset.resolution == 512
    assert (found.training.batch_size, found.training.epochs, found.training.save_every) == (4, 6, 6)
    assert found.training.extra == {
        "bucket_no_upscale": False, "min_bucket_reso": 320, "max_bucket_reso": 960, "shuffle_caption": True,
        "keep_tokens": 1, "color_aug": True, "training_comment": "1e5",
    }  # fmt: skip
    (group,) = found.dataset.groups
    assert (group.name, group.repeats, group.folders) == ("ai_model_v1 woman", 10, ("10_ai_model_v1 woman",))
    assert (found.subject.name, found.trigger) == ("my_ model_", "ai_model_v1")


def test_a_file_that_says_nothing_or_nonsense_still_gives_a_profile() -> None:
    assert _profile({}).training.dim == 32
    odd = {
        "ss_network_dim": "many", "ss_seed": "-4", "ss_num_epochs": "[1, 2]", "ss_datasets": "[{]",
        "ss_network_args": "1", "ss_resolution": "None", "ss_unet_lr": "nan", "ss_dataset_dirs": "[]",
        "ss_tag_frequency": '{"a": 1}',
        "ss_output_name": "\x07", "ss_clip_skip": "0", "ss_optimizer": "(", "ss_mixed_precision": "fp8",
    }  # fmt: skip
    found = _profile(odd)
    assert found.training.extra["network_dim"] == "many" and found.training.extra["mixed_precision"] == "fp8"


def test_sdxl_and_flux_files_know_their_family() -> None:
    xl = _profile({"ss_base_model_version": "sdxl_base_v1-0", "ss_clip_skip": "1"})
    assert "clip_skip" not in xl.training.extra
    flux = _profile(
        {"ss_base_model_version": "flux1", "ss_network_module": "networks.lora_flux", "ss_guidance_scale": "3.5",
         "ss_timestep_sampling": "flux_shift", "ss_model_prediction_type": "raw",
         "ss_text_encoder_lr": "[5e-05, 1e-05]"}
    )  # fmt: skip
    assert flux.training.extra == {"guidance_scale": 3.5, "text_encoder_lr": [5e-05, 1e-05]}


def _profile(metadata: Mapping[str, str], *, tensors: tuple[str, ...] = ()) -> Profile:
    name, model, seed = (metadata.get(f"ss_{key}", "") for key in ("output_name", "sd_model_name", "seed"))
    header = LoraHeader(
        metadata, dict.fromkeys(tensors, Tensor("F16", (1,), 0, 2)), True, None, None, "", name, None, None, model,
        int(seed) if seed.isdigit() else None, None,
    )  # fmt: skip
    return parse_profile(as_profile(header)[0], "test")


def _pictures(folder: Path, caption: str) -> None:
    folder.mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text(caption, encoding="utf-8")


def _plan(profile: Profile, workspace: Workspace) -> TrainingPlanned:
    kohya = install.find(SANDBOX, python=sys.executable)
    return plan(profile, kohya, workspace, checkpoint=workspace.root / "base.safetensors")


def _train(planned: TrainingPlanned) -> None:
    config_file.write(planned.config, planned.values)
    toml_file.write(planned.dataset_config, planned.dataset_values)
    done = subprocess.run(
        command.argv(planned.install, planned.config, script=planned.base.script),
        env=command.environment(), cwd=planned.install.root, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert planned.final_file.is_file(), done.stderr[-2000:]


#: What no sd-scripts writes, and a file made by somebody else may hold.
JUNK = (
    "", "None", "null", "[]", "{}", "[1, [2]]", '{"a": 1}', '{"1_a": {"x": "y"}}', '{"1_a": [1]}', "-1", "1e400", "nan",
    "(" * 300, "1" * 5000, "a\x7fb", "日本\n#", "[{}]", '[{"subsets": 5}]', '[{"subsets": [1]}]', '[{"subsets": null}]',
    '[{"subsets": [{"image_dir": 5, "num_repeats": "x"}]}]', "{1, 2}", "b'x'", "1j", "['a']",
)  # fmt: skip
METADATA = {
    "ss_network_dim": "4", "ss_network_alpha": "2", "ss_network_args": '{"conv_dim": "4"}', "ss_learning_rate": "1e-4",
    "ss_text_encoder_lr": "5e-05", "ss_unet_lr": "0.0001", "ss_max_grad_norm": "1.0", "ss_shuffle_caption": "False",
    "ss_resolution": "(512, 512)", "ss_batch_size_per_device": "1", "ss_num_epochs": "8", "ss_seed": "42",
    "ss_optimizer": "torch.optim.adamw.AdamW", "ss_clip_skip": "None", "ss_lr_scheduler": "cosine",
    "ss_dataset_dirs": '{"1_a": {"n_repeats": 1}}', "ss_tag_frequency": '{"1_a": {"x": 4}}', "ss_vae_name": "None",
    "ss_datasets": "None", "ss_training_comment": "None", "ss_base_model_version": "sd_v1",
}  # fmt: skip


@given(changes=st.dictionaries(st.sampled_from(sorted(METADATA)), st.sampled_from(JUNK), min_size=1, max_size=4))
def test_a_file_that_says_nonsense_still_makes_a_profile(changes: dict[str, str]) -> None:
    header = LoraHeader({**METADATA, **changes}, {}, True, 8, 8, "", "m", 4, 2.0, "a\x7fb.safetensors", 42, 0.0)
    text, _ = as_profile(header)
    parse_profile(text, "the file")


def test_what_is_no_value_is_noted() -> None:
    header = LoraHeader({"ss_max_grad_norm": "1e400"}, {}, True, 8, 8, "", "m", 4, 2.0, "", 42, 0.0)
    _, notes = as_profile(header)
    assert [note.kind for note in notes if note.key == "ss_max_grad_norm"] == ["dropped"]
