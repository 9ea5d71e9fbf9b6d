"""How the simulated trainer takes its arguments: the TOML file, late type errors, optimizers and schedulers it knows.

Values of the TOML file land in the argument namespace unchecked, exactly as in sd-scripts; so a wrong type fails
where it is
first used, or not at all. Messages and exception types are those observed there.
"""

from __future__ import annotations

import argparse
import ast
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import toml

from orchestrator.sandbox.console_output import Console

#: Learning rate from which a LoRA surely blows up; adaptive optimizers scale theirs and are meant to be given 1.0.
_BLOWS_UP_FROM = 1.0
_ADAPTIVE = ("prodigy", "dadapt", "adafactor")
#: Optimizers by lower-case name: what the log calls them, and the full class name in the metadata.
_OPTIMIZERS = {
    "adamw": ("AdamW", "torch.optim.adamw.AdamW"),
    "adamw8bit": ("8-bit AdamW", "bitsandbytes.optim.adamw.AdamW8bit"),
    "pagedadamw": ("PagedAdamW", "bitsandbytes.optim.adamw.PagedAdamW"),
    "pagedadamw8bit": ("8-bit PagedAdamW", "bitsandbytes.optim.adamw.PagedAdamW8bit"),
    "pagedadamw32bit": ("32-bit PagedAdamW", "bitsandbytes.optim.adamw.PagedAdamW32bit"),
    "lion": ("Lion", "lion_pytorch.lion_pytorch.Lion"),
    "lion8bit": ("8-bit Lion", "bitsandbytes.optim.lion.Lion8bit"),
    "pagedlion8bit": ("8-bit Paged Lion", "bitsandbytes.optim.lion.PagedLion8bit"),
    "sgdnesterov": ("SGD with Nesterov", "torch.optim.sgd.SGD"),
    "sgdnesterov8bit": ("8-bit SGD with Nesterov", "bitsandbytes.optim.sgd.SGD8bit"),
    "dadaptation": ("D-Adaptation AdamPreprint", "dadaptation.experimental.dadapt_adam_preprint.DAdaptAdamPreprint"),
    "dadaptadam": ("D-Adaptation Adam", "dadaptation.dadapt_adam.DAdaptAdam"),
    "dadaptlion": ("D-Adaptation Lion", "dadaptation.dadapt_lion.DAdaptLion"),
    "prodigy": ("Prodigy", "prodigyopt.prodigy.Prodigy"),
    "adafactor": ("Adafactor", "transformers.optimization.Adafactor"),
    "adamwschedulefree": ("AdamWScheduleFree", "schedulefree.adamw_schedulefree.AdamWScheduleFree"),
}
#: Classes of torch.optim that may be named as they are (case matters).
_TORCH = {
    name: f"torch.optim.{name.lower()}.{name}"
    for name in ("Adadelta", "Adagrad", "Adam", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD")
}
_SCHEDULERS = (
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt",
    "reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay",
)  # fmt: skip
_PRECISIONS = ("no", "fp8", "fp16", "bf16")


def read_config_file(args: argparse.Namespace, parser: argparse.ArgumentParser, console: Console) -> argparse.Namespace:
    """Lay --config_file under the command line, or write it with --output_config. Ends the process as the real one
    does.

    One level of sections is flattened away; the command line wins over the file; the file's values are not checked.
    """
    if not args.config_file:
        return args
    file = args.config_file if args.config_file.endswith(".toml") else args.config_file + ".toml"
    if args.output_config:
        _write_config_file(args, parser, file, console)
        sys.exit(0)
    if not Path(file).exists():
        console.info(f"{file} not found.", "train_util.py:4741")
        sys.exit(1)
    console.info(f"Loading settings from {file}...", "train_util.py:4744")
    flat: dict[str, Any] = {}
    # Read as plain UTF-8: a byte order mark becomes part of the first key, which is thus lost.
    for name, value in toml.loads(Path(file).read_text(encoding="utf-8")).items():
        flat.update(value if isinstance(value, dict) else {name: value})
    merged = parser.parse_args(namespace=argparse.Namespace(**flat))
    merged.config_file = os.path.splitext(merged.config_file)[0]  # noqa: PTH122 - kept as text
    return merged


def _write_config_file(args: argparse.Namespace, parser: argparse.ArgumentParser, file: str, console: Console) -> None:
    if Path(file).exists():
        console.error(
            f"Config file already exists. Aborting... / 出力先の設定ファイルが既に存在します: {file}",
            "train_util.py:4709",
        )
        sys.exit(1)
    defaults = vars(parser.parse_args([]))
    kept = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(args).items()
        if name not in {"config_file", "output_config", "wandb_api_key"} and value != defaults.get(name)
    }
    Path(file).write_text(toml.dumps(kept), encoding="utf-8")
    console.info(f"Saved config file / 設定ファイルを保存しました: {file}", "train_util.py:4737")


def verify(args: argparse.Namespace, console: Console) -> None:
    """Check what the trainer checks before anything else, and settle cache_latents and resolution in `args`."""
    if args.cache_latents_to_disk and not args.cache_latents:
        args.cache_latents = True
        console.warning(
            "cache_latents_to_disk is enabled, so cache_latents is also enabled / "
            "cache_latents_to_diskが有効なため、cache_latentsを有効にします",
            "train_util.py:4426",
        )
    if args.adaptive_noise_scale is not None and args.noise_offset is None:
        raise ValueError(
            "adaptive_noise_scale requires noise_offset / adaptive_noise_scaleを使用するにはnoise_offsetが必要です"
        )
    if args.caption_extention is not None:
        args.caption_extension, args.caption_extention = args.caption_extention, None
    if args.resolution is not None:
        sides = tuple(int(side) for side in args.resolution.split(","))
        args.resolution = sides * 2 if len(sides) == 1 else sides
        assert len(args.resolution) == 2, (
            "resolution must be 'size' or 'width,height' / "
            f"resolution（解像度）は'サイズ'または'幅','高さ'で指定してください: {args.resolution}"
        )
    if args.face_crop_aug_range is not None:
        args.face_crop_aug_range = tuple(float(side) for side in args.face_crop_aug_range.split(","))
        assert len(args.face_crop_aug_range) == 2 and args.face_crop_aug_range[0] <= args.face_crop_aug_range[1], (
            "face_crop_aug_range must be two floats / "
            f"face_crop_aug_rangeは'下限,上限'で指定してください: {args.face_crop_aug_range}"
        )


def check_accelerator(args: argparse.Namespace) -> None:
    """Raise what preparing the accelerator raises: an unknown precision, TensorBoard without a folder, wandb not
    installed.
    """
    if args.log_with in {"tensorboard", "all"} and args.logging_dir is None:
        raise ValueError(
            "logging_dir is required when log_with is tensorboard / "
            "Tensorboardを使う場合、logging_dirを指定してください"
        )
    if args.log_with in {"wandb", "all"}:
        raise ImportError("No wandb / wandb がインストールされていないようです")
    if args.mixed_precision not in _PRECISIONS:
        raise ValueError(f"Unknown mixed_precision mode: {args.mixed_precision}. Choose between {list(_PRECISIONS)}")


@dataclass(frozen=True)
class Optimizer:
    """The optimizer of a run: full class name, arguments as text, and whether the weights will turn to NaN."""

    name: str
    arguments: str
    blows_up: bool


def optimizer(args: argparse.Namespace, console: Console) -> Optimizer:
    """Choose the optimizer. Raises `AttributeError` for an unknown one and `TypeError` for a learning rate that is
    text.

    8-bit optimizers are accepted as if bitsandbytes were installed.
    """
    wanted = (
        "AdamW8bit" if args.use_8bit_adam else "Lion" if args.use_lion_optimizer else args.optimizer_type or "AdamW"
    )
    if args.use_8bit_adam or args.use_lion_optimizer:
        assert not args.optimizer_type, (
            "both option use_8bit_adam and optimizer_type are specified / "
            "use_8bit_adamとoptimizer_typeの両方のオプションが指定されています"
        )
    options = {}
    for given in args.optimizer_args or []:
        key, value = given.split("=")
        options[key] = ast.literal_eval(value)
    known = _OPTIMIZERS.get(wanted.lower())
    if known is not None:
        console.info(f"use {known[0]} optimizer | {options}", "train_util.py:5096")
        name = known[1]
    else:
        console.info(f"use {wanted} | {options}", "train_util.py:5127")
        name = wanted if "." in wanted else _TORCH.get(wanted, "")
        if not name:
            raise AttributeError(f"module 'torch.optim' has no attribute '{wanted}'")
    rates = [rate for rate in (args.learning_rate, args.unet_lr, *_encoder_rates(args)) if rate is not None]
    for rate in rates:
        # Text is not comparable with a number: this is where a quoted learning rate fails.
        if not 0.0 <= rate <= math.inf:
            raise ValueError(f"Invalid learning rate: {rate}")
    adaptive = wanted.lower().startswith(_ADAPTIVE)
    return Optimizer(
        name=name,
        arguments=",".join(f"{key}={value}" for key, value in options.items()),
        blows_up=not adaptive and max(rates, default=0.0) >= _BLOWS_UP_FROM,
    )


def _encoder_rates(args: argparse.Namespace) -> list[Any]:
    rate = args.text_encoder_lr
    return rate if isinstance(rate, list) else [] if rate is None else [rate]


def check_scheduler(args: argparse.Namespace) -> None:
    """Raise `ValueError` for a scheduler name the trainer does not know, or for a warm-up it cannot have."""
    name = args.lr_scheduler
    if args.lr_scheduler_type or name.startswith("adafactor") or name == "piecewise_constant":
        return
    if name not in _SCHEDULERS:
        raise ValueError(f"{name} is not a valid SchedulerType, please select one of {list(_SCHEDULERS)}")
    warmup = args.lr_warmup_steps
    steps = int(warmup * args.max_train_steps) if isinstance(warmup, float) else warmup
    if name == "constant" and steps not in {None, 0}:
        raise ValueError("SchedulerType.CONSTANT does not require `num_warmup_steps`. Set None or 0.")


def check_full_precision(args: argparse.Namespace) -> None:
    """Raise `AssertionError` when full_fp16, full_bf16 or fp8 is asked for without the mixed precision it needs."""
    for name, needed in (("full_fp16", "fp16"), ("full_bf16", "bf16")):
        if getattr(args, name):
            assert args.mixed_precision == needed, (
                f"{name} requires mixed precision='{needed}' / "
                f"{name}を使う場合はmixed_precision='{needed}'を指定してください。"
            )
            break
    if args.fp8_base or args.fp8_base_unet:
        assert args.mixed_precision != "no", (
            "fp8_base requires mixed precision='fp16' or 'bf16' / "
            "fp8を使う場合はmixed_precision='fp16'または'bf16'が必要です。"
        )


def network_options(args: argparse.Namespace) -> dict[str, str]:
    """Split network_args at "=".

    Raises `ValueError` when they are one text instead of a list (its letters have no "=").
    """
    options: dict[str, str] = {}
    for given in args.network_args or []:
        key, value = given.split("=", 1)
        options[key] = value
    return options
