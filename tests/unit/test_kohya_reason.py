"""Values that exclude each other, and values that are hardly meant."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.kohya import reason

CLASHES: list[tuple[dict[str, Any], str]] = [
    ({"full_fp16": True, "mixed_precision": "bf16"}, "full_fp16"),
    ({"full_bf16": True}, "full_bf16"),
    ({"fp8_base": True, "mixed_precision": "no"}, "fp8_base"),
    ({"fp8_base_unet": True}, "fp8_base"),
    ({"cache_latents": True, "random_crop": True}, "cache_latents"),
    ({"cache_latents_to_disk": True, "color_aug": True}, "cache_latents"),
    ({"cache_text_encoder_outputs": True, "shuffle_caption": True}, "cache_text_encoder_outputs"),
    ({"use_8bit_adam": True, "optimizer_type": "AdamW"}, "use_8bit_adam"),
    ({"lr_scheduler": "constant", "lr_warmup_steps": 10}, "lr_warmup_steps"),
    ({"lr_scheduler": "constant", "lr_warmup_steps": 0.1}, "lr_warmup_steps"),
    ({"lr_scheduler": "x", "lr_scheduler_type": "a.B", "lr_warmup_steps": 10}, "lr_warmup_steps"),
    ({"lr_scheduler": "constant", "optimizer_type": "AdaFactor", "lr_warmup_steps": 10}, "lr_warmup_steps"),
    ({"lr_scheduler": "cosine_with_min_lr"}, "lr_scheduler_min_lr_ratio"),
    ({"fused_backward_pass": True, "optimizer_type": "AdamW"}, "fused_backward_pass"),
    (
        {"fused_backward_pass": True, "optimizer_type": "Adafactor", "gradient_accumulation_steps": 2},
        "fused_backward_pass",
    ),
    ({"adaptive_noise_scale": 0.1}, "adaptive_noise_scale"),
    ({"scale_v_pred_loss_like_noise_pred": True}, "scale_v_pred_loss_like_noise_pred"),
    ({"v_pred_like_loss": 0.5, "v_parameterization": True}, "v_pred_like_loss"),
    ({"blocks_to_swap": 18, "cpu_offload_checkpointing": True}, "blocks_to_swap"),
    ({"log_with": "tensorboard"}, "log_with"),
    ({"optimizer_args": ["weight_decay=0.1", "betas"]}, "optimizer_args"),
    ({"optimizer_args": ["weight_decay=much"]}, "optimizer_args"),
    ({"lr_scheduler_args": ["a=1=2"]}, "lr_scheduler_args"),
    ({"network_args": ["=4"]}, "network_args"),
]
FINE: list[dict[str, Any]] = [
    {"full_fp16": True, "mixed_precision": "fp16"},
    {"fp8_base": True, "mixed_precision": "bf16"},
    {"cache_latents": True, "color_aug": False},
    {"color_aug": True},
    {"cache_text_encoder_outputs": True, "caption_dropout_rate": 0.0},
    {"use_8bit_adam": True, "optimizer_type": ""},
    {"lr_scheduler": "constant", "lr_warmup_steps": 0},
    {"lr_scheduler": "constant", "lr_warmup_steps": 0, "lr_scheduler_type": "x.Y"},
    {
        "lr_scheduler": "cosine",
        "optimizer_type": "AdaFactor",
        "lr_warmup_steps": 9,
        "optimizer_args": ["relative_step=False"],
    },
    {"lr_scheduler": "cosine_with_min_lr", "lr_scheduler_min_lr_ratio": 0.1},
    {"lr_scheduler": "cosine_with_min_lr", "lr_scheduler_args": ["min_lr=1e-6"]},
    {"adaptive_noise_scale": 0.1, "noise_offset": 0.05},
    {"v_pred_like_loss": 0.5},
    {"cache_text_encoder_outputs": True},
    {"fused_backward_pass": True, "optimizer_type": "adafactor"},
    {"log_with": "tensorboard", "logging_dir": "x"},
    {"optimizer_args": ["betas=0.9,0.99", "scale=True", "mode='x'"], "network_args": ["algo=loha", "a=b=c"]},
    {"optimizer_args": "of the wrong kind, said elsewhere"},
    {},
]


@pytest.mark.parametrize(("values", "place"), CLASHES)
def test_what_sd_scripts_would_stop_at(values: dict[str, Any], place: str) -> None:
    (problem,) = reason.clashes(values)
    assert (problem.place, bool(problem.what), bool(problem.fix)) == (place, True, True)


@pytest.mark.parametrize("values", FINE)
def test_what_goes_together(values: dict[str, Any]) -> None:
    assert reason.clashes(values) == []


def test_sdxl_cannot_train_the_text_encoders_whose_outputs_are_cached() -> None:
    """Flux and SD3 cache the outputs of T5 and can train CLIP meanwhile."""
    values = {"cache_text_encoder_outputs": True}
    (problem,) = reason.clashes(values, caches_all_texts=True)
    assert "text_encoder_lr = 0" in problem.fix
    assert reason.clashes({**values, "network_train_unet_only": True}, caches_all_texts=True) == []


USUAL: dict[str, Any] = {
    "unet_lr": 1e-4, "text_encoder_lr": [5e-5], "network_dim": 32, "network_alpha": 16.0, "optimizer_type": "AdamW8bit",
    "lr_scheduler": "cosine", "lr_warmup_steps": 100, "mixed_precision": "fp16", "lr_scheduler_num_cycles": 1,
}  # fmt: skip
DOUBTS: list[tuple[dict[str, Any], str, str]] = [
    ({"unet_lr": 0.9}, "unet_lr", "1e-4"),
    ({"unet_lr": 1e-8, "text_encoder_lr": 0}, "unet_lr", "1e-4"),
    ({"unet_lr": None, "learning_rate": 0.01}, "unet_lr", "1e-4"),
    ({"text_encoder_lr": [1e-4, 2e-4]}, "text_encoder_lr", "5e-05"),
    ({"optimizer_type": "Prodigy", "unet_lr": 1e-4, "text_encoder_lr": 0}, "unet_lr", "1.0"),
    ({"optimizer_type": "DAdaptAdam", "unet_lr": 1.0, "text_encoder_lr": 0.5}, "text_encoder_lr", "1"),
    ({"network_alpha": 64.0}, "network_alpha", "16"),
    ({"network_dim": 512}, "network_dim", "128"),
    ({"mixed_precision": "no"}, "mixed_precision", "fp16"),
    ({"noise_offset": 0.5}, "noise_offset", "0.1"),
    ({"lr_warmup_steps": 2000}, "lr_warmup_steps", "160"),
    ({"lr_warmup_steps": 0.6}, "lr_warmup_steps", "tenth"),
    ({"gradient_accumulation_steps": 31}, "gradient_accumulation_steps", "less"),
    ({"lr_scheduler_num_cycles": 3}, "lr_scheduler_num_cycles", "restarts"),
    ({"lr_scheduler_power": 2.0}, "lr_scheduler_power", "polynomial"),
]


@pytest.mark.parametrize(("values", "place", "words"), DOUBTS)
def test_what_is_hardly_meant(values: dict[str, Any], place: str, words: str) -> None:
    (doubt,) = reason.doubts({**USUAL, **values}, pictures=30, steps=1600)
    assert doubt.place == place
    assert words in doubt.fix


@pytest.mark.parametrize(("steps", "doubted"), [(159, True), (160, False), (16000, False), (16001, True), (0, False)])
def test_the_length_of_the_run(steps: int, doubted: bool) -> None:
    found = reason.doubts({**USUAL, "lr_warmup_steps": 0}, pictures=30, steps=steps)
    assert [doubt.place for doubt in found] == (["max_train_epochs"] if doubted else [])


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"optimizer_type": "Prodigy", "unet_lr": 1.0, "text_encoder_lr": [1.0]},
        {"unet_lr": "of the wrong kind", "network_dim": "x", "lr_warmup_steps": "10%", "text_encoder_lr": ["x"]},
        {"lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": 3},
    ],
)
def test_what_is_usual_is_not_doubted(values: dict[str, Any]) -> None:
    assert reason.doubts({**USUAL, **values}, pictures=30, steps=1600) == []
