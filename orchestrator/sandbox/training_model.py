"""What the simulated trainer asks of its base model, by kind of script."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.sandbox.console_output import Console, bar_over
from orchestrator.sandbox.dataset_reading import ReadDataset
from orchestrator.sandbox.training_kinds import SD, Kind


def check_kind(args: argparse.Namespace, datasets: Sequence[ReadDataset], console: Console, kind: Kind) -> None:
    """What only the scripts for SDXL and Flux ask for (sdxl_train_util.py, flux_train_network.py).

    Raises `AssertionError` with their words.
    """
    if not kind.text_outputs:
        return
    assert not args.v2, "v2 cannot be enabled in SDXL training / SDXL学習ではv2を有効にすることはできません"
    if args.cache_text_encoder_outputs_to_disk and not args.cache_text_encoder_outputs:
        args.cache_text_encoder_outputs = True
        console.warning(
            "cache_text_encoder_outputs is enabled because cache_text_encoder_outputs_to_disk is enabled / "
            "cache_text_encoder_outputs_to_diskが有効になっているためcache_text_encoder_outputsが有効になりました",
            "sdxl_train_util.py:374",
        )
    if args.cache_text_encoder_outputs:
        every = [subset.options.values for dataset in datasets for subset in dataset.subsets]
        changing = ("caption_dropout_rate", "shuffle_caption", "token_warmup_step", "caption_tag_dropout_rate")
        assert not any(values[name] for values in every for name in changing), (
            "when caching Text Encoder output, either caption_dropout_rate, shuffle_caption, token_warmup_step or "
            "caption_tag_dropout_rate cannot be used / Text Encoderの出力をキャッシュするときはcaption_dropout_rate, "
            "shuffle_caption, token_warmup_step, caption_tag_dropout_rateは使えません"
        )
        assert args.network_train_unet_only or kind.parts, (
            "network for Text Encoder cannot be trained with caching Text Encoder outputs / Text Encoderの出力を"
            "キャッシュしながらText Encoderのネットワークを学習することはできません"
        )
    for dataset in datasets:
        steps = dataset.options.bucket_reso_steps
        assert not dataset.options.enable_bucket or steps % kind.bucket_steps == 0, (
            f"bucket_reso_steps is {steps}. it must be divisible by {kind.bucket_steps}.\n"
            f"bucket_reso_stepsが{steps}です。{kind.bucket_steps}で割り切れる必要があります"
        )


def check_base_model(args: argparse.Namespace, console: Console, kind: Kind = SD) -> None:
    """Look at the base model. Raises `ValueError` for a wrong path and `SafetensorError` for a broken file."""
    name = args.pretrained_model_name_or_path
    console.info("loading model for process 0/1", "train_util.py:5574")
    if os.path.islink(name):  # noqa: PTH114 - takes None to a TypeError, as in the real trainer
        name = os.path.realpath(name)
    if Path(name).is_file():
        console.info(f"load StableDiffusion checkpoint: {name}", "train_util.py:5530")
        if name.endswith(".safetensors"):
            from safetensors import safe_open

            with safe_open(name, framework="np"):
                pass
        for part in kind.parts:
            _check_part(part, getattr(args, part), console)
        console.info("UNet2DConditionModel: 64, 8, 768, False, False", "original_unet.py:1395")
        for part, line in (("u-net", 1011), ("vae", 1019), ("text encoder", 1076)):
            console.info(f"loading {part}: <All keys matched successfully>", f"model_util.py:{line}")
    else:
        console.info(f"load Diffusers pretrained models: {name}", "train_util.py:5536")
        if not (Path(name) / "model_index.json").is_file():
            raise ValueError(
                f'The provided pretrained_model_name_or_path "{name}" is neither a valid local path '
                "nor a valid repo id. "
                "Please check the parameter."
            )
        for _ in bar_over(range(4), "Loading pipeline components..."):
            pass
        console.info("UNet2DConditionModel: 64, 8, 768, False, False", "original_unet.py:1395")
        console.info("U-Net converted to original U-Net", "train_util.py:5561")
    if args.vae is not None:
        console.info("additional VAE loaded", "train_util.py:5566")
    for wanted, text, line in (
        (args.mem_eff_attn, "memory efficient attention", 3364),
        (args.xformers, "xformers", 3367),
        (args.sdpa, "SDPA", 3375),
    ):
        if wanted:
            console.info(f"Enable {text} for U-Net", f"train_util.py:{line}")
            break


def _check_part(part: str, file: str | None, console: Console) -> None:
    """Open one more file of the base model. Raises what safetensors raises for none and for a wrong one."""
    from safetensors import safe_open

    console.info(f"Loading state dict from {file}", "flux_utils.py:350")
    with safe_open(file, framework="np"):  # None fails here, as it really does
        console.info(f"Loaded {part}: <All keys matched successfully>", "flux_utils.py:353")
