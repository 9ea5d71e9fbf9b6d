"""Our words for a training and sd-scripts' arguments, in one table: read forwards by the plan, backwards by imports.

A value may mean another thing in one of sd-scripts' two files than in the other: `resolution` is text in --config_file
and a pair of numbers in --dataset_config, and what the second says counts (subset before dataset before general before
the first file; observed on 48d368fa). `into_dataset_file` sees to it that each is written where it counts, in the kind
that file wants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import Problem
from orchestrator.kohya import dataset_config
from orchestrator.kohya.arguments import Argument
from orchestrator.profile.model import TrainingPlan

#: Ours → theirs, where the value is the same on both sides.
SAME: Mapping[str, str] = {
    "epochs": "max_train_epochs",
    "save_every": "save_every_n_epochs",
    "dim": "network_dim",
    "alpha": "network_alpha",
    "unet_lr": "unet_lr",
    "optimizer": "optimizer_type",
    "lr_scheduler": "lr_scheduler",
    "warmup_steps": "lr_warmup_steps",
    "mixed_precision": "mixed_precision",
    "gradient_checkpointing": "gradient_checkpointing",
    "seed": "seed",
    "save_state": "save_state",
}
#: Where a problem with one of sd-scripts' arguments comes from in our words.
_PLACES: Mapping[str, str] = {
    **{theirs: ours for ours, theirs in SAME.items()},
    "text_encoder_lr": "text_encoder_lr",
    "clip_skip": "clip_skip",
    "sample_sampler": "samples.sampler",
    "sample_every_n_epochs": "samples.every_epochs",
}
#: Numbered states kept besides the last one: the newest, and one before it in case the newest is cut off.
KEPT_STATES = 2
#: Arguments that follow from the workspace or that would break going on after a stop; nobody may set them in
#: [training.extra]. Saving by steps: step numbers begin anew at every resume and overwrite the files before.
_DECIDED = frozenset(
    {
        "config_file",
        "output_config",
        "dataset_config",
        "dataset_class",
        "train_data_dir",
        "reg_data_dir",
        "in_json",
        "output_dir",
        "output_name",
        "resume",
        "initial_epoch",
        "max_train_epochs",
        "save_every_n_epochs",
        "initial_step",
        "skip_until_initial_step",
        "max_train_steps",
        "save_every_n_steps",
        "save_n_epoch_ratio",
        "save_last_n_epochs",
        "save_last_n_epochs_state",
        "save_model_as",
        "no_metadata",
        "console_log_file",
        "console_log_simple",
        "resume_from_huggingface",
        "multi_gpu",
        "deepspeed",
        "pretrained_model_name_or_path",
    }
)
#: Arguments that sd-scripts reads from the dataset file alone, because we always write them there.
_ELSEWHERE: Mapping[str, str] = {
    "train_batch_size": "write [training] batch_size instead: the dataset file's value is the one that counts",
    "caption_extension": "captions of a dataset built here end in .txt; rename yours",
}
_OF_DATASET = frozenset(
    {"resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps", "bucket_no_upscale"}
)
_OF_GENERAL = frozenset({"shuffle_caption", "keep_tokens", "flip_aug"})
#: What their documentation asks for, per family (docs/flux_train_network.md, docs/sd3_train_network.md of 48d368fa).
_OF_FAMILY: Mapping[str, Mapping[str, Any]] = {
    "sd2": {"v2": True},
    "sdxl": {"no_half_vae": True},  # SDXL's own VAE overflows in fp16
    "flux": {"guidance_scale": 1.0, "timestep_sampling": "flux_shift", "model_prediction_type": "raw"},
    "sd3": {"weighting_scheme": "uniform"},
}
_MODULES: Mapping[str, str] = {"flux": "networks.lora_flux", "sd3": "networks.lora_sd3"}
#: Text encoders' outputs cannot be cached with these: sd-scripts stops with an AssertionError.
_CHANGE_CAPTIONS = ("shuffle_caption", "caption_dropout_rate", "caption_tag_dropout_rate", "token_warmup_step")


def values(
    chosen: TrainingPlan,
    *,
    family: str,
    output_name: str,
    accepted: Mapping[str, Argument],
) -> dict[str, Any]:
    """sd-scripts' arguments for `chosen`, with `[training.extra]` over them; paths of the run are not among them.

    `family` is that of the base checkpoint, `accepted` the arguments this install knows.
    """
    found: dict[str, Any] = {theirs: getattr(chosen, ours) for ours, theirs in SAME.items()}
    found |= {
        "output_name": output_name,
        "save_model_as": "safetensors",
        "save_precision": "bf16" if chosen.mixed_precision == "bf16" else "fp16",
        "network_module": _MODULES.get(family, "networks.lora"),
        "learning_rate": chosen.unet_lr,
        "caption_extension": dataset_config.CAPTION_EXTENSION,
        "cache_latents": True,
        # On Windows each worker imports torch anew at every epoch; cached latents need no worker at all.
        "max_data_loader_n_workers": 0,
        **_OF_FAMILY.get(family, {}),
    }
    if "sdpa" in accepted and not chosen.extra.get("xformers"):
        found["sdpa"] = True
    if chosen.save_state and "save_last_n_epochs_state" in accepted:
        found["save_last_n_epochs_state"] = KEPT_STATES
    if chosen.text_encoder_lr == 0:
        found["network_train_unet_only"] = True
        if family in {"flux", "sd3"} and not any(chosen.extra.get(key) for key in _CHANGE_CAPTIONS):
            found["cache_text_encoder_outputs"] = True  # they are large, and then need not lie in the card's memory
    else:
        found["text_encoder_lr"] = _text_encoder_lr(chosen.text_encoder_lr, family, accepted)
    if family in {"sd1", "sd2"} and chosen.clip_skip > 1:
        found["clip_skip"] = chosen.clip_skip
    return {**found, **chosen.extra, **_decimal(chosen.extra)}


def _decimal(extra: Mapping[str, Any]) -> dict[str, float]:
    """Numbers that sd-scripts refuses as whole ones: it holds these of its configuration against the rules of a
    dataset file (`config_util.py` of 48d368fa).
    """
    split = extra.get("validation_split")
    return {"validation_split": float(split)} if isinstance(split, int) and not isinstance(split, bool) else {}


def tensorboard(chosen: TrainingPlan, have: Mapping[str, str], accepted: Mapping[str, Argument]) -> dict[str, str]:
    """Argument for TensorBoard's files, the folder by its name alone; only where the trainer's Python, which has the
    packages `have`, can write them: without it sd-scripts stops.
    """
    wanted = chosen.tensorboard and "tensorboard" in have and "logging_dir" in accepted
    return {"logging_dir": "tensorboard"} if wanted else {}


def placed(watched: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """`watched` (samples, TensorBoard) with the names in it as paths in the run's `folder`."""
    return {
        **watched,
        **{key: str(folder / watched[key]) for key in ("logging_dir", "sample_prompts") if key in watched},
    }


def into_dataset_file(
    found: Mapping[str, Any], dataset: Mapping[str, Any], extra: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments and dataset file, with those of `extra` moved that would do nothing where they are.

    What the dataset file says already stays where it is: it changes nothing.
    """
    (first, *others) = dataset["datasets"]
    tables = {"datasets": dict(first), "general": dict(dataset["general"])}
    left = dict(found)
    for key in extra:
        place = "datasets" if key in _OF_DATASET else "general" if key in _OF_GENERAL else ""
        value = sides(extra[key]) if key == "resolution" else extra[key]
        if place and value is not None and tables[place].get(key) != value:
            tables[place][key] = value
            del left[key]
    return left, {**dataset, "general": tables["general"], "datasets": [tables["datasets"], *others]}


def sides(resolution: Any) -> list[int] | None:
    """Width and height in pixels of a resolution as either file or a LoRA's metadata writes it; None = it is none.

    512, "512", "512,650", "(512, 650)", [512, 650].
    """
    numbers = re.findall(r"\d+", str(resolution))
    shown = re.fullmatch(r"[\s(\[]*\d{1,6}(\s*,\s*\d{1,6})?[\s)\]]*", str(resolution))
    if isinstance(resolution, bool) or not shown or not 1 <= len(numbers) <= 2:
        return None
    return [int(numbers[0]), int(numbers[-1])]


def refused(extra: Mapping[str, Any]) -> list[Problem]:
    """Keys of [training.extra] that cannot be set there."""
    problems: list[Problem] = []
    for key, value in extra.items():
        place = f"training.extra.{key}"
        if key in _DECIDED:
            problems.append(Problem(place, "is decided by orchestrator and cannot be set"))
        elif key in _ELSEWHERE:
            problems.append(Problem(place, "would do nothing here", _ELSEWHERE[key]))
        elif key == "resolution":
            pair = sides(value)
            if pair is None:
                problems.append(Problem(place, f"{value!r} is no size", 'write "width,height", such as "512,768"'))
            elif pair[0] == pair[1] and pair[0] % 64 == 0:
                problems.append(
                    Problem(place, "would stand beside [dataset] resolution", f"write [dataset] resolution = {pair[0]}")
                )
    return problems


def place(key: str, extra: Mapping[str, Any]) -> str:
    """Where in the profile the argument `key` comes from."""
    return f"training.{f'extra.{key}' if key in extra else _PLACES.get(key, key)}"


def _text_encoder_lr(rate: float, family: str, accepted: Mapping[str, Argument]) -> float | list[float]:
    # A single number up to v0.9, a list since. Flux and SD3 repeat one number for all of theirs.
    argument = accepted.get("text_encoder_lr")
    if argument is None or not argument.many:
        return rate
    return [rate, rate] if family == "sdxl" else [rate]
