"""Presets of the kohya_ss GUI, in sd-scripts' words and in ours."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orchestrator
from orchestrator.errors import InputError
from orchestrator.kohya import arguments, config_file, gui_preset, install
from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.gui_preset import Imported
from orchestrator.profile.load import parse_profile
from orchestrator.profile.model import Profile
from orchestrator.training import from_values, words

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
GOLDEN = Path(__file__).parent.parent / "golden" / "gui_presets"
#: A preset that says everything the GUI asks for and nothing special.
PLAIN: dict[str, Any] = {
    "LoRA_type": "Standard", "bucket_no_upscale": True, "cache_latents": True, "enable_bucket": True, "epoch": 10,
    "learning_rate": 1e-4, "lr_scheduler": "cosine", "lr_warmup": 0, "max_resolution": "512,512",
    "mixed_precision": "fp16", "network_alpha": 16, "network_dim": 32, "optimizer": "AdamW8bit",
    "save_every_n_epochs": 1, "save_precision": "fp16", "seed": 7, "text_encoder_lr": 5e-5, "train_batch_size": 1,
    "unet_lr": 1e-4, "xformers": "sdpa",
}  # fmt: skip


def known(script: str = "train_network.py") -> Mapping[str, Argument]:
    return arguments.read(install.find(SANDBOX, python=sys.executable), script)


def imported(*, seen: int | None = None, **changes: Any) -> Imported:
    preset = {**PLAIN, **changes}
    return gui_preset.convert(preset, known(gui_preset.script(preset)), seen_per_epoch=seen)


def test_a_plain_preset_needs_no_explanation_but_its_length() -> None:
    found = imported()
    assert [note.key for note in found.notes] == ["epoch"]
    training, dataset, notes = from_values.to_plan(found.values, found.dataset)
    assert (training.dim, training.alpha, training.epochs, training.seed, training.extra) == (32, 16.0, 10, 7, {})
    assert (dataset.resolution, notes) == (512, [])


#: What is given → what sd-scripts is given (None = nothing).
VALUES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"lr_warmup": 10}, {"lr_warmup_steps": 0.1}),
    ({"lr_warmup": "10"}, {"lr_warmup_steps": 0.1}),
    ({"lr_warmup": 10, "lr_warmup_steps": 50}, {"lr_warmup_steps": 50}),
    ({"lr_warmup": 10, "lr_scheduler": "constant"}, {"lr_warmup_steps": 0}),
    ({"epoch": "12"}, {"max_train_epochs": 12}),
    ({"epoch": 12, "max_train_epochs": 5, "max_train_steps": 1600}, {"max_train_epochs": 5, "max_train_steps": None}),
    ({"max_train_epochs": "", "epoch": 3}, {"max_train_epochs": 3, "epoch": None}),
    ({"save_every_n_epochs": 0, "epoch": 8}, {"save_every_n_epochs": 8}),
    ({"save_every_n_epochs": 20, "epoch": 8}, {"save_every_n_epochs": 8}),
    ({"optimizer": "", "use_8bit_adam": True}, {"optimizer_type": "AdamW8bit"}),
    ({"optimizer": "", "use_8bit_adam": False}, {"optimizer_type": "AdamW"}),
    ({"optimizer": "Prodigy", "use_8bit_adam": True}, {"optimizer_type": "Prodigy", "use_8bit_adam": None}),
    ({"xformers": "xformers"}, {"xformers": True, "sdpa": None}),
    ({"xformers": True}, {"xformers": True, "sdpa": None}),
    ({"xformers": "none"}, {"xformers": None, "sdpa": False}),
    ({"xformers": False}, {"xformers": None, "sdpa": False}),
    ({"unet_lr": "0.0001", "text_encoder_lr": "5e-05"}, {"unet_lr": 1e-4, "text_encoder_lr": [5e-5]}),
    ({"text_encoder_lr": 0}, {"network_train_unet_only": True, "text_encoder_lr": None}),
    ({"unet_lr": "", "learning_rate": 2e-4}, {"network_train_text_encoder_only": True, "unet_lr": 2e-4}),
    ({"unet_lr": 0, "text_encoder_lr": 0}, {"unet_lr": 1e-4, "text_encoder_lr": [1e-4]}),
    ({"optimizer_args": 'eps=1e-8 "betas=0.9,0.99"'}, {"optimizer_args": ["eps=1e-8", "betas=0.9,0.99"]}),
    ({"lr_scheduler_args": "a=1 b=2"}, {"lr_scheduler_args": ["a=1", "b=2"]}),
    ({"optimizer_args": ""}, {"optimizer_args": None}),
    ({"noise_offset": "0.05"}, {"noise_offset": 0.05}),
    ({"noise_offset": 0.05, "noise_offset_type": "Multires"}, {"noise_offset": None}),
    (
        {"multires_noise_iterations": 6, "multires_noise_discount": 0.2, "noise_offset_type": "Multires"},
        {"multires_noise_iterations": 6, "multires_noise_discount": 0.2},
    ),
    ({"multires_noise_iterations": 6}, {"multires_noise_iterations": None}),
    ({"clip_skip": "2", "min_snr_gamma": 5}, {"clip_skip": 2, "min_snr_gamma": 5.0}),
    ({"vae_batch_size": 0}, {"vae_batch_size": None}),
    ({"max_timestep": 1000}, {"max_timestep": None}),
    ({"max_timestep": 800}, {"max_timestep": 800}),
    ({"max_token_length": "75"}, {"max_token_length": None}),
    ({"max_token_length": 225}, {"max_token_length": 225}),
    ({"lora_network_weights": "a b.safetensors"}, {"network_weights": "a b.safetensors"}),
    ({"use_wandb": "True"}, {"log_with": "wandb"}),
    ({"lr_scheduler_num_cycles": "", "epoch": 4}, {"lr_scheduler_num_cycles": 4}),
    ({"lr_scheduler_num_cycles": "3"}, {"lr_scheduler_num_cycles": 3}),
    ({"lr_scheduler_power": ""}, {"lr_scheduler_power": None}),
    ({"max_data_loader_n_workers": "2"}, {"max_data_loader_n_workers": 2}),
    ({}, {"max_data_loader_n_workers": 0, "network_module": "networks.lora", "network_args": None}),
    ({"cache_latents": False}, {"cache_latents": False}),
    ({"gradient_accumulation_steps": 2.0}, {"gradient_accumulation_steps": 2}),
    ({"mem_eff_attn": "True"}, {"mem_eff_attn": True}),
    ({"vae": "C:/vae.pt"}, {"vae": "C:/vae.pt"}),
    ({"LoRA_type": "Kohya LoCon", "conv_dim": 8, "conv_alpha": 4.0}, {"network_args": ["conv_dim=8", "conv_alpha=4"]}),
    ({"LoRA_type": "Standard", "conv_dim": 8, "conv_alpha": 4}, {"network_args": None}),
    ({"rank_dropout": 0.1, "module_dropout": 0}, {"network_args": ["rank_dropout=0.1"]}),
    ({"block_dims": "1, 2", "down_lr_weight": ""}, {"network_args": ["block_dims=1,2"]}),
    ({"LoRA_type": "LoRA-FA"}, {"network_module": "networks.lora_fa"}),
    ({"LoRA_type": "Kohya DyLoRA", "unit": 4}, {"network_module": "networks.dylora", "network_args": ["unit=4"]}),
    (
        {"LoRA_type": "LyCORIS/LoKr", "factor": 8, "conv_dim": 4, "conv_alpha": 1, "use_scalar": True},
        {
            "network_module": "lycoris.kohya",
            "network_args": ["preset=full", "algo=lokr", "conv_dim=4", "conv_alpha=1", "use_scalar=True", "factor=8"],
        },
    ),
    (
        {"LoRA_type": "LoCon", "LyCORIS_preset": "attn-mlp"},
        {"network_args": ["preset=attn-mlp", "algo=locon", "conv_dim=1", "conv_alpha=1"]},
    ),
    ({"additional_parameters": "--min_snr_gamma=7 --v_param"}, {"min_snr_gamma": 7.0, "v_parameterization": True}),
    ({"additional_parameters": "--network_dim 64", "network_dim": 8}, {"network_dim": 64}),
    ({"additional_parameters": '--optimizer_args "a=1" b=2'}, {"optimizer_args": ["a=1", "b=2"]}),
    ({"sdxl": True, "sdxl_no_half_vae": True}, {"no_half_vae": True}),
    ({"sdxl_no_half_vae": True}, {"no_half_vae": None}),
    (
        {"sdxl": True, "sdxl_cache_text_encoder_outputs": True, "text_encoder_lr": 0},
        {"cache_text_encoder_outputs": True},
    ),
    ({"guidance_scale": 3.5, "timestep_sampling": "sigma"}, {"guidance_scale": None, "timestep_sampling": None}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), VALUES)
def test_every_word_reaches_sd_scripts_as_the_gui_hands_it_over(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = imported(**given)
    assert {key: found.values.get(key) for key in expected} == expected
    assert config_file.check(found.values, known(found.script)) == []


#: What is given → how it is called, about which key, with which words.
NOTES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"max_grad_norm": 0}, "ambiguous", "max_grad_norm", "it trained with 1.0"),
    ({"max_grad_norm": "0"}, "ambiguous", "max_grad_norm", "it trained with 1.0"),
    ({"network_alpha": 0}, "ambiguous", "network_alpha", "it trained with 1"),
    ({"prior_loss_weight": 0.0}, "ambiguous", "prior_loss_weight", "it trained with 1.0"),
    ({"network_dim": None}, "ambiguous", "network_dim", "what a fresh GUI shows"),
    ({"noise_offset": "much"}, "ambiguous", "noise_offset", "no number"),
    ({"max_resolution": "big"}, "ambiguous", "max_resolution", "no size"),
    ({"seed": 0}, "ambiguous", "seed", "random"),
    ({"max_train_steps": 1600}, "ambiguous", "max_train_steps", "depends on the pictures"),
    ({"LoRA_type": "LoRA 3000"}, "ambiguous", "LoRA_type", "Standard"),
    ({"lr_warmup": 10}, "converted", "lr_warmup", "per cent"),
    ({"epoch": 3}, "converted", "epoch", "without buckets"),
    ({"LoRA_type": "LyCORIS/LoHa"}, "converted", "LoRA_type", "lycoris-lora"),
    ({"additional_parameters": "--network_di 4"}, "converted", "additional_parameters --network_di", "network_dim = 4"),
    ({"additional_parameters": "--nothing 4"}, "dropped", "additional_parameters --nothing", "no such argument"),
    ({"additional_parameters": "--save_every_n 4"}, "dropped", "additional_parameters --save_every_n", "several"),
    ({"additional_parameters": "--seed x"}, "dropped", "additional_parameters --seed", "needs a number"),
    ({"save_every_n_steps": 100}, "dropped", "save_every_n_steps", "could not go on"),
    ({"reg_data_dir": "D:/reg"}, "dropped", "reg_data_dir", "not part of a dataset"),
    ({"caption_extension": ".caption"}, "dropped", "caption_extension", ".txt"),
    ({"stop_text_encoder_training_pct": 30}, "dropped", "stop_text_encoder_training_pct", "no script"),
    ({"no_token_padding": True}, "dropped", "no_token_padding", "no script"),
    ({"conv_dims": "1,1"}, "dropped", "conv_dims", "no script"),
    ({"learning_rate": 3e-4}, "dropped", "learning_rate", "used instead"),
    ({"multires_noise_iterations": 6}, "dropped", "multires_noise_iterations", "noise_offset_type is Original"),
    ({"save_model_as": "ckpt"}, "dropped", "save_model_as", "safetensors"),
    ({"sample_prompts": "a cat"}, "dropped", "sample_prompts", "drew none"),
    ({"sample_prompts": "a cat", "sample_every_n_steps": 9}, "ambiguous", "sample_every_n_steps", "after epochs"),
    ({"made_up_in_2031": 3}, "dropped", "made_up_in_2031", "no such arguments"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "kind", "key", "said"), NOTES)
def test_what_became_of_a_value_is_said(given: dict[str, Any], kind: str, key: str, said: str) -> None:
    notes = [note for note in imported(**given).notes if note.key == key]
    assert [note.kind for note in notes] == [kind]
    assert said in str(notes[0])


def test_a_length_in_steps_is_told_in_epochs_where_the_pictures_are_known() -> None:
    found = imported(seen=60, max_train_steps=1000, train_batch_size=3, gradient_accumulation_steps=2)
    assert found.values["max_train_epochs"] == 100
    assert imported(seen=60, max_train_steps=1601).values["max_train_epochs"] == 27


def test_a_password_is_shown_nowhere() -> None:
    found = imported(wandb_api_key="hunter2", huggingface_token="hunter2")
    training, dataset, notes = from_values.to_plan(found.values, found.dataset)
    assert "hunter2" not in from_values.profile_text(training, dataset, notes=[*found.notes, *notes])


def test_the_dataset_s_values_are_written_where_they_count() -> None:
    found = imported(
        max_resolution="512,768", train_batch_size="3", shuffle_caption=True, keep_tokens="1", bucket_no_upscale=False,
        max_bucket_reso=2048, bucket_reso_steps=32.0, caption_dropout_rate=0.1,
    )  # fmt: skip
    training, dataset, _ = from_values.to_plan(found.values, found.dataset)
    accepted = known()
    values = words.values(training, family="sd1", output_name="x", accepted=accepted)
    written = {"datasets": [{"resolution": [512, 512], "subsets": []}], "general": {"shuffle_caption": False}}
    left, moved = words.into_dataset_file(values, written, training.extra)
    assert moved["datasets"][0] == {
        "resolution": [512, 768], "bucket_no_upscale": False, "max_bucket_reso": 2048, "bucket_reso_steps": 32,
        "subsets": [],
    }  # fmt: skip
    assert moved["general"] == {"shuffle_caption": True, "keep_tokens": 1}
    assert not {"resolution", "shuffle_caption", "keep_tokens", "train_batch_size"} & set(left)
    assert (left["caption_dropout_rate"], training.batch_size) == (0.1, 3)
    assert "resolution" not in dataset.model_fields_set


@pytest.mark.parametrize(
    ("box", "script"),
    [
        ({"sdxl": True}, "sdxl_train_network.py"),
        ({"flux1_checkbox": True}, "flux_train_network.py"),
        ({"sd3_checkbox": True}, "sd3_train_network.py"),
        ({"v2": True}, "train_network.py"),
    ],
)
def test_the_checkbox_chooses_the_script(box: dict[str, Any], script: str) -> None:
    assert gui_preset.script({**PLAIN, **box}) == script


@pytest.mark.parametrize("box", ["hunyuan_image_checkbox", "anima_checkbox", "lumina_checkbox"])
def test_a_preset_for_a_model_that_is_not_trained_here_is_refused(box: str) -> None:
    with pytest.raises(InputError, match="The preset trains"):
        gui_preset.script({**PLAIN, box: True})


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"learning_rate": 1}', "{", "\udcff"])
def test_a_file_that_is_no_preset_is_called_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "preset.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match="no preset"):
        gui_preset.read(path)


@pytest.mark.parametrize("preset", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_whole_presets_become_whole_profiles(preset: str) -> None:
    given = gui_preset.read(GOLDEN / f"{preset}.json")
    found = gui_preset.convert(given, known(gui_preset.script(given)), seen_per_epoch=100)
    training, dataset, notes = from_values.to_plan(
        found.values, found.dataset, family=found.family, launch=found.launch, samples=found.samples
    )
    text = from_values.profile_text(training, dataset, base=found.base, notes=[*found.notes, *notes])
    assert text == (GOLDEN / f"{preset}.toml").read_text(encoding="utf-8")
    profile = parse_profile(text, preset)
    assert profile.training == training
    # … and sd-scripts gets every value the preset had.
    accepted = known(found.script)
    values = words.values(profile.training, family=found.family, output_name="x", accepted=accepted)
    asked = {key: value for key, value in found.values.items() if key not in {"text_encoder_lr", "clip_skip"}}
    assert {key: values.get(key) for key in asked} == asked
    assert config_file.check({k: v for k, v in values.items() if k != "resolution"}, accepted) == []


def test_presets_saved_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "初音.json"
    path.write_text(json.dumps(PLAIN), encoding="utf-8-sig")
    assert gui_preset.read(path) == PLAIN


#: What a preset that was written by hand, or damaged, may hold in the place of any value.
JUNK = (
    0, 1, -3, 10**9, 0.5, "", "-3", "1e400", "abc", "²", "a\x7fb", "0,1", "1,1,2", True, False, None, [], [1], {"a": 1},
    math.nan, math.inf, 1e30, "--gpu --", "x" * 500,
)  # fmt: skip
WORDS = (
    "num_processes", "multi_gpu", "gpu_ids", "num_cpu_threads_per_process", "num_machines", "sample_every_n_epochs",
    "sample_prompts", "sample_sampler", "caption_extension", "dynamo_backend", "max_resolution", "network_dim", "epoch",
    "lr_warmup", "learning_rate", "text_encoder_lr", "optimizer_args", "LoRA_type", "additional_parameters", "seed",
    "train_batch_size", "keep_tokens", "max_token_length", "xformers", "optimizer", "output_name", "max_train_steps",
)  # fmt: skip


@given(given_=st.dictionaries(st.sampled_from(WORDS), st.sampled_from(JUNK), min_size=1, max_size=5))
def test_nonsense_in_a_preset_breaks_nothing(given_: dict[str, Any]) -> None:
    found = imported(**{"sample_prompts": "a cat", "multi_gpu": True, **given_})
    training, dataset, notes = from_values.to_plan(
        found.values, found.dataset, family=found.family, launch=found.launch, samples=found.samples
    )
    from_values.profile_text(training, dataset, base=found.base, notes=[*found.notes, *notes])


def test_the_one_card_a_preset_names_is_the_one_it_is_trained_on() -> None:
    found = imported(gpu_ids="1")
    training, _, _ = from_values.to_plan(found.values, found.dataset, launch=found.launch)
    assert training.launch.gpus == (1,)


def test_the_profile_s_card_stays_where_the_preset_names_none() -> None:
    found = imported(num_cpu_threads_per_process=2)
    training, dataset, _ = from_values.to_plan(found.values, found.dataset, launch=found.launch)
    mine = Profile.model_validate({"training": {"launch": {"gpus": [1], "cpu_threads": 8}}})
    launch = from_values.onto(mine, training, dataset).training.launch
    assert (launch.gpus, launch.cpu_threads) == ((1,), 2)
