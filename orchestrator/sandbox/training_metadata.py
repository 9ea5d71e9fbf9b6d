"""The ss_* and modelspec.* metadata of a simulated LoRA file: the real trainer's keys, with values of this very run."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.sandbox.dataset_reading import ReadDataset
from orchestrator.sandbox.training_kinds import SD, Kind

_REVISION = "(unknown)"
#: Metadata key without ss_ -> argument of the same meaning.
_FROM_ARGUMENTS = {
    **{
        name: name
        for name in (
            "output_name", "learning_rate", "gradient_checkpointing", "gradient_accumulation_steps", "max_train_steps",
            "lr_warmup_steps", "lr_scheduler", "network_module", "network_dim", "network_alpha", "network_dropout",
            "mixed_precision", "full_fp16", "v2", "clip_skip", "max_token_length", "cache_latents", "seed", "lowram",
            "noise_offset", "multires_noise_iterations", "multires_noise_discount", "adaptive_noise_scale",
            "zero_terminal_snr", "training_comment", "max_grad_norm", "caption_dropout_rate",
            "caption_dropout_every_n_epochs", "caption_tag_dropout_rate", "face_crop_aug_range", "prior_loss_weight",
            "min_snr_gamma", "scale_weight_norms", "ip_noise_gamma", "noise_offset_random_strength",
            "ip_noise_gamma_random_strength", "loss_type", "huber_schedule", "huber_scale", "huber_c", "fp8_base",
            "fp8_base_unet", "validation_seed", "validation_split", "max_validation_steps", "validate_every_n_epochs",
            "validate_every_n_steps", "resize_interpolation", "unet_lr",
        )
    },
    "debiased_estimation": "debiased_estimation_loss",
}  # fmt: skip


_OF_FLUX = (
    "model_type", "apply_t5_attn_mask", "weighting_scheme", "logit_mean", "logit_std", "mode_scale", "guidance_scale",
    "timestep_sampling", "sigmoid_scale", "model_prediction_type", "discrete_flow_shift",
)  # fmt: skip


def run_metadata(
    args: argparse.Namespace,
    datasets: Sequence[ReadDataset],
    *,
    session_id: int,
    started_at: float,
    epochs: int,
    optimizer: str,
    network_options: dict[str, str],
    kind: Kind = SD,
) -> dict[str, str]:
    """Metadata that stays the same through a run; every value is text, None is the text "None"."""
    found: dict[str, Any] = {
        "session_id": session_id,
        "training_started_at": started_at,
        "num_train_images": sum(dataset.train_count for dataset in datasets),
        "num_validation_images": sum(dataset.validation_count for dataset in datasets),
        "num_reg_images": sum(dataset.reg_count for dataset in datasets),
        "num_batches_per_epoch": sum(dataset.batches for dataset in datasets),
        "num_epochs": epochs,
        "base_model_version": "sd_v2" if args.v2 else kind.base_version,
        "optimizer": optimizer,
        "sd_scripts_commit_hash": _REVISION,
        **{key: getattr(args, name) for key, name in _FROM_ARGUMENTS.items()},
        "text_encoder_lr": _first(args.text_encoder_lr),
        **(_several(datasets) if args.dataset_config is not None else _single(args, datasets[0])),
        **_model("sd_model", args.pretrained_model_name_or_path),
        **_model("vae", args.vae),
    }
    for name in _OF_FLUX if kind.parts else ():
        found[name] = getattr(args, name)
    if network_options:
        found["network_args"] = json.dumps(network_options)
    return {f"ss_{key}": str(value) for key, value in found.items()}


def _first(rate: Any) -> Any:
    """SD 1.5 has one text encoder: of several rates the first counts."""
    return (rate[0] if rate else None) if isinstance(rate, list) else rate


def _single(args: argparse.Namespace, dataset: ReadDataset) -> dict[str, Any]:
    folders: dict[bool, dict[str, dict[str, int]]] = {False: {}, True: {}}
    for subset in dataset.subsets:
        entry = {"n_repeats": subset.options.num_repeats, "img_count": subset.count}
        folders[subset.options.is_reg][Path(subset.options.image_dir).name] = entry
    bucketed = dataset.options.enable_bucket
    return {
        "batch_size_per_device": args.train_batch_size,
        "total_batch_size": args.train_batch_size * args.gradient_accumulation_steps,
        "resolution": args.resolution,
        "color_aug": bool(args.color_aug),
        "flip_aug": bool(args.flip_aug),
        "random_crop": bool(args.random_crop),
        "shuffle_caption": bool(args.shuffle_caption),
        "enable_bucket": bool(bucketed),
        "bucket_no_upscale": bool(bucketed and dataset.options.bucket_no_upscale),
        "min_bucket_reso": dataset.options.min_bucket_reso if bucketed else None,
        "max_bucket_reso": dataset.options.max_bucket_reso if bucketed else None,
        "keep_tokens": args.keep_tokens,
        "dataset_dirs": json.dumps(folders[False]),
        "reg_dataset_dirs": json.dumps(folders[True]),
        "tag_frequency": json.dumps(dataset.tag_frequency),
        "bucket_info": json.dumps(_bucket_info(dataset)),
    }


def _several(datasets: Sequence[ReadDataset]) -> dict[str, Any]:
    described = []
    folders: dict[str, dict[str, int]] = {}
    frequency: dict[str, dict[str, int]] = {}
    for dataset in datasets:
        options = dataset.options
        bucketed = options.enable_bucket
        described.append(
            {
                "is_dreambooth": True,
                "batch_size_per_device": options.batch_size,
                "num_train_images": dataset.train_count,
                "num_reg_images": dataset.reg_count,
                "resolution": dataset.resolution,
                "enable_bucket": bool(bucketed),
                "min_bucket_reso": options.min_bucket_reso if bucketed else None,
                "max_bucket_reso": options.max_bucket_reso if bucketed else None,
                "tag_frequency": dataset.tag_frequency,
                "bucket_info": _bucket_info(dataset),
                "resize_interpolation": options.values["resize_interpolation"],
                "subsets": [_subset(subset.options.values, subset.count, subset.options) for subset in dataset.subsets],
            }
        )
        for subset in dataset.subsets:
            if subset.options.is_reg:
                continue
            plain = name = Path(subset.options.image_dir).name
            number = 2
            while name in folders:
                name, number = f"{plain} ({number})", number + 1
            folders[name] = {"n_repeats": subset.options.num_repeats, "img_count": subset.count}
        for folder, counts in dataset.tag_frequency.items():
            frequency.setdefault(folder, counts)
    return {
        "datasets": json.dumps(described),
        "tag_frequency": json.dumps(frequency),
        "dataset_dirs": json.dumps(folders),
    }


def _subset(values: Any, count: int, options: Any) -> dict[str, Any]:
    return {
        "img_count": count,
        "num_repeats": options.num_repeats,
        **{name: bool(values[name]) for name in ("color_aug", "flip_aug", "random_crop", "shuffle_caption")},
        **{name: values[name] for name in ("keep_tokens", "keep_tokens_separator", "secondary_separator")},
        "enable_wildcard": bool(values["enable_wildcard"]),
        **{name: values[name] for name in ("caption_prefix", "caption_suffix", "resize_interpolation")},
        "image_dir": Path(options.image_dir).name,
        "class_tokens": options.class_tokens,
        "is_reg": options.is_reg,
    }


def _bucket_info(dataset: ReadDataset) -> dict[str, Any] | None:
    if not dataset.options.enable_bucket:
        return None
    counts = dataset.buckets.counts.items()
    return {
        "buckets": {number: {"resolution": size, "count": count} for number, (size, count) in enumerate(counts)},
        "mean_img_ar_error": dataset.buckets.aspect_error,
    }


def _model(key: str, path: str | None) -> dict[str, str]:
    """Name and both hashes of a model file; the whole file is read."""
    if path is None:
        return {}
    if not Path(path).exists():
        return {f"{key}_name": path}
    return {
        f"{key}_hash": old_hash(Path(path)),
        # The second one keeps the family's odd name: new_sd_model_hash, new_vae_hash.
        f"new_{key}_hash": new_hash(Path(path)),
        f"{key}_name": Path(path).name,
    }


def old_hash(file: Path) -> str:
    """A1111's first model hash: eight digits of the sha256 of 64 kB at 1 MB."""
    if file.is_dir():
        return "IsADirectory"
    with file.open("rb") as stream:
        stream.seek(0x100000)
        return hashlib.sha256(stream.read(0x10000)).hexdigest()[:8]


def new_hash(file: Path) -> str:
    """sha256 of the whole file."""
    if file.is_dir():
        return "IsADirectory"
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def model_spec(args: argparse.Namespace, kind: Kind = SD) -> dict[str, str]:
    """The modelspec.* entries (ModelSpec 1.0.1) of a LoRA file saved now."""
    now = time.time()
    size = args.resolution or (512, 512)
    base = "stable-diffusion-v2-768-v" if args.v2 and args.v_parameterization else "stable-diffusion-v2-512"
    found = {
        "sai_model_spec": "1.0.1",
        "architecture": f"{base if args.v2 else kind.architecture}/lora",
        "implementation": kind.implementation,
        "implementation_version": f"sd-scripts/{_REVISION}",
        "title": args.metadata_title or args.output_name or f"LoRA@{now}",
        "resolution": f"{size[0]}x{size[1]}",
        "date": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now)),
        "prediction_type": "v" if args.v_parameterization else "epsilon",
        "author": args.metadata_author,
        "description": args.metadata_description,
        "license": args.metadata_license,
        "tags": args.metadata_tags,
        "usage_hint": args.metadata_usage_hint,
        "thumbnail": args.metadata_thumbnail,
        "merged_from": args.metadata_merged_from,
        "trigger_phrase": args.metadata_trigger_phrase,
        "preprocessor": args.metadata_preprocessor,
        "is_negative_embedding": args.metadata_is_negative_embedding,
        "encoder_layer": str(args.clip_skip) if args.clip_skip is not None else None,
    }
    if args.min_timestep is not None or args.max_timestep is not None:
        found["timestep_range"] = f"{args.min_timestep or 0},{args.max_timestep or 1000}"
    return {f"modelspec.{key}": value for key, value in found.items() if value is not None}
