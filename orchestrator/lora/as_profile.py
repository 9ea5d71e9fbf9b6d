"""A profile put together from what a LoRA file says about its own training.

sd-scripts writes most of its arguments into the file (`ss_*`, read in train_network.py of 48d368fa), as text, None as
"None". What it does not write is said: where the pictures lie, how often a file was saved, arguments of the scheduler.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.kohya.gui_words import Note
from orchestrator.lora.header import LoraHeader
from orchestrator.training.from_values import profile_text, to_plan

#: Written under the argument's own name: `ss_network_dim` is `network_dim`.
_SAME = (
    "adaptive_noise_scale", "apply_lg_attn_mask", "apply_t5_attn_mask", "cache_latents",
    "caption_dropout_every_n_epochs", "caption_dropout_rate", "caption_tag_dropout_rate", "clip_skip",
    "discrete_flow_shift", "face_crop_aug_range", "fp8_base", "fp8_base_unet", "full_fp16",
    "gradient_accumulation_steps", "gradient_checkpointing", "guidance_scale", "huber_c", "huber_scale",
    "huber_schedule", "ip_noise_gamma", "ip_noise_gamma_random_strength", "learning_rate", "logit_mean", "logit_std",
    "loss_type", "lowram", "lr_scheduler", "lr_warmup_steps", "max_grad_norm", "max_token_length",
    "max_validation_steps", "min_snr_gamma", "mixed_precision", "mode_scale", "model_prediction_type", "model_type",
    "multires_noise_discount", "multires_noise_iterations", "network_alpha", "network_dim", "network_dropout",
    "network_module", "noise_offset", "noise_offset_random_strength", "prior_loss_weight", "resize_interpolation",
    "scale_weight_norms", "seed", "sigmoid_scale", "text_encoder_lr", "timestep_sampling", "training_comment",
    "unet_lr", "v2", "validate_every_n_epochs", "validate_every_n_steps", "validation_seed", "validation_split",
    "weighting_scheme", "zero_terminal_snr",
)  # fmt: skip
_OTHER_NAMES = {"num_epochs": "max_train_epochs", "debiased_estimation": "debiased_estimation_loss"}
#: What sd-scripts takes where nothing is given; it need not be said in a profile. False is left out likewise.
_DEFAULTS: Mapping[str, Any] = {
    "caption_dropout_every_n_epochs": 0, "caption_dropout_rate": 0.0, "caption_tag_dropout_rate": 0.0,
    "discrete_flow_shift": 3.0, "gradient_accumulation_steps": 1, "huber_c": 0.1, "huber_scale": 1.0,
    "huber_schedule": "snr", "logit_mean": 0.0, "logit_std": 1.0, "loss_type": "l2", "max_grad_norm": 1.0,
    "mode_scale": 1.29, "model_type": "flux", "multires_noise_discount": 0.3, "prior_loss_weight": 1.0,
    "sigmoid_scale": 1.0, "validation_split": 0.0, "weighting_scheme": "uniform",
}  # fmt: skip
#: Said even where it is off: our own plan would switch it on.
_ALWAYS = frozenset({"cache_latents", "gradient_checkpointing"})
#: Text, even where it looks like a number or a word of Python.
_TEXTS = frozenset({"training_comment"})
_OF_DATASET = ("resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_no_upscale")
_OF_SUBSET = ("shuffle_caption", "keep_tokens", "flip_aug")
#: Of a folder of pictures, not in the dataset file we write: [training.extra] reaches every folder.
_ELSEWHERE = (
    "color_aug", "random_crop", "caption_prefix", "caption_suffix", "keep_tokens_separator", "secondary_separator",
    "enable_wildcard",
)  # fmt: skip
#: Where sd-scripts takes its own optimizers from, by whose name alone they are chosen.
_SHORT = ("torch.optim", "bitsandbytes", "lion_pytorch", "prodigyopt", "dadaptation", "transformers", "schedulefree")
_RENAMED_OPTIMIZERS = {"SGD": "SGDNesterov", "SGD8bit": "SGDNesterov8bit", "Adafactor": "AdaFactor"}
#: No argument has a larger number, and TOML has none.
_LARGEST = 2**63
#: Characters of a text shown in a note.
_SHOWN = 200
_PRECISIONS = {"F16": "fp16", "BF16": "bf16", "F32": "float"}
_VERSIONED = re.compile(r"^(?P<name>.+)_(?P<version>v\d+[a-z0-9._-]*)$")
_REPEATED = re.compile(r"^(?:(?P<repeats>\d+)_)?(?P<name>.+)$")


def as_profile(header: LoraHeader) -> tuple[str, list[Note]]:
    """The text of a lora.toml that trains as this file was trained, and what the file does not say or what has no
    place in a profile. Never raises: what cannot be read is noted.
    """
    metadata = {key.removeprefix("ss_"): text for key, text in header.metadata.items() if key.startswith("ss_")}
    notes: list[Note] = []
    values, more = _values(metadata, header)
    notes += more
    dataset, groups, elsewhere, more = _dataset(metadata)
    notes += more
    values |= elsewhere
    family = _family(metadata)
    training, planned_dataset, more = to_plan(values, dataset, family=family)
    notes += more
    subject, trigger_note = _subject(header.output_name, _json(metadata.get("tag_frequency")))
    notes += [trigger_note, *_not_in_the_file(header, metadata, training.save_every)]
    base = {"checkpoint": header.base_model} if header.base_model else {}
    heading = "Put together from what a LoRA file says about its own training; look at every line before you use it."
    text = profile_text(
        training, planned_dataset, subject=subject, base=base, groups=groups, notes=notes, heading=heading
    )
    return text, notes


def _values(metadata: Mapping[str, str], header: LoraHeader) -> tuple[dict[str, Any], list[Note]]:
    found: dict[str, Any] = {}
    notes: list[Note] = []
    for key in (*_SAME, *_OTHER_NAMES):
        value = metadata.get(key) if key in _TEXTS else _read(metadata.get(key))
        name = _OTHER_NAMES.get(key, key)
        if not _is_plain(value):
            why = "it is no value that sd-scripts writes"
            notes.append(Note("dropped", f"ss_{key}", metadata[key][:_SHOWN], "", why))
            continue
        if value in (None, "None") or (name not in _ALWAYS and value is False) or _DEFAULTS.get(name) == value:
            continue
        found[name] = value
    if metadata.get("optimizer") not in (None, "None", ""):
        found |= _optimizer(metadata["optimizer"])
    options = _json(metadata.get("network_args"))
    if isinstance(options, dict):
        found["network_args"] = [f"{key}={value}" for key, value in options.items()]
    kinds = {tensor.dtype for tensor in header.tensors.values()}
    if len(kinds) == 1 and (kind := kinds.pop()) in _PRECISIONS:
        found["save_precision"] = _PRECISIONS[kind]
    # Which parts were trained is not written; the names of the weights tell.
    parts = {name.partition("_")[2][:2] for name in header.tensors if name.startswith("lora_")}
    if parts and "te" not in parts:
        found["network_train_unet_only"] = True
    elif parts == {"te"}:
        found["network_train_text_encoder_only"] = True
    return found, notes


def _dataset(
    metadata: Mapping[str, str],
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any], list[Note]]:
    """Keys of a dataset_config, groups of a profile, arguments for every folder, notes."""
    notes: list[Note] = []
    described = _json(metadata.get("datasets"))
    tags = _json(metadata.get("tag_frequency")) or {}
    if isinstance(described, list) and described and isinstance(described[0], dict):
        first = described[0]
        if len(described) > 1:
            why = "a profile has one size and one batch for all groups; those of the first are taken"
            notes.append(Note("ambiguous", "ss_datasets", f"{len(described)} datasets", "", why))
        subsets = [subset for entry in described for subset in _subsets(entry)]
        found = {key: first.get(key) for key in _OF_DATASET} | {"batch_size": first.get("batch_size_per_device")}
        own = subsets[0] if subsets else {}
        found |= {key: own.get(key) for key in _OF_SUBSET}
        if any(other.get(key) != own.get(key) for other in subsets for key in (*_OF_SUBSET, *_ELSEWHERE)):
            why = "folders differ in it; that of the first is taken"
            notes.append(Note("ambiguous", "ss_datasets", "subsets", "", why))
        elsewhere = {key: own[key] for key in _ELSEWHERE if own.get(key)}
        folders = [(str(s.get("image_dir", "")), s.get("num_repeats", 1), s.get("is_reg", False)) for s in subsets]
    else:
        read = {key: _read(metadata.get(key)) for key in (*_OF_DATASET, *_OF_SUBSET)}
        found = read | {"batch_size": _read(metadata.get("batch_size_per_device"))}
        elsewhere = {key: True for key in ("color_aug", "random_crop") if metadata.get(key) == "True"}
        named = _json(metadata.get("dataset_dirs")) or {}
        folders = [
            (folder, entry.get("n_repeats", 1) if isinstance(entry, dict) else 1, False)
            for folder, entry in (named.items() if isinstance(named, dict) else ())
        ]
        if _json(metadata.get("reg_dataset_dirs")):
            why = "regularisation pictures are not part of a dataset here"
            notes.append(Note("dropped", "ss_reg_dataset_dirs", metadata["reg_dataset_dirs"], "", why))
    groups = [_group(folder, repeats, tags) for folder, repeats, is_reg in folders if folder and not is_reg]
    options, elsewhere = (
        {key: value for key, value in given.items() if value is not None and _is_plain(value)}
        for given in (found, elsewhere)
    )
    return options, _unlike(groups), elsewhere, notes


def _subsets(entry: Any) -> list[dict[str, Any]]:
    listed = entry.get("subsets") if isinstance(entry, dict) else None
    return [subset for subset in listed if isinstance(subset, dict)] if isinstance(listed, list) else []


def _group(folder: str, repeats: Any, tags: Any) -> dict[str, Any]:
    match = _REPEATED.match(folder)
    name = match["name"] if match else folder
    counts = tags.get(folder) if isinstance(tags, dict) else None
    entry: dict[str, Any] = {"name": name.strip()[:80] or "pictures", "folders": [folder]}
    if isinstance(counts, dict) and counts and len(set(counts.values())) == 1:
        entry["caption"] = ", ".join(counts)  # every picture has all of these words: one caption for all
    if isinstance(repeats, int) and 1 <= repeats <= 1000:
        entry["repeats"] = repeats
    return entry


def _unlike(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups with names no two of which are alike."""
    seen: set[str] = set()
    for group in groups:
        name, number = group["name"], 2
        while group["name"].casefold() in seen:
            group["name"], number = f"{name} {number}", number + 1
        seen.add(group["name"].casefold())
    return groups


def _subject(output_name: str, tags: Any) -> tuple[dict[str, Any], Note]:
    """Name, version and trigger; the last two are only guessed."""
    cleaned = re.sub(r'[<>:"/\\|?*,(){}\[\]\x00-\x1f]+', "_", output_name).strip()[:80]
    match = _VERSIONED.match(cleaned)
    subject: dict[str, Any] = {"name": match["name"], "version": match["version"]} if match else {}
    if not match and cleaned:
        subject = {"name": cleaned}
    counts = next(iter(tags.values()), None) if isinstance(tags, dict) else None
    words = counts if isinstance(counts, dict) and all(isinstance(n, int) for n in counts.values()) else {}
    first = next((word.strip()[:80] for word, count in words.items() if count == max(words.values())), "")
    if first:
        subject["trigger"] = first
    why = "which word calls the subject is not written; this one begins most captions of the first folder"
    return subject, Note("ambiguous", "subject.trigger", None, first or "{name}_{version}", why)


def _not_in_the_file(header: LoraHeader, metadata: Mapping[str, str], save_every: int) -> list[Note]:
    notes = [
        Note("ambiguous", "training.save_every", None, str(save_every), "how often a file was saved is not written"),
        Note("ambiguous", "dataset.groups.folders", None, "", "only names of folders are written, not where they lie"),
    ]
    if header.base_model:
        digits = metadata.get("new_sd_model_hash", "")
        known = f"; its sha256 is {digits}" if re.fullmatch(r"[0-9a-f]{64}", digits) else ""
        why = f"only the file's name is written{known}"
        notes.append(Note("ambiguous", "base.checkpoint", None, header.base_model, why))
    if _read(metadata.get("vae_name")) is not None:
        why = "only the file's name is written: give its path as [training.extra] vae"
        notes.append(Note("dropped", "ss_vae_name", metadata["vae_name"], "", why))
    if header.seed is None:
        notes.append(Note("ambiguous", "training.seed", None, "", "it was random, or is not written"))
    if not metadata:
        notes.append(Note("ambiguous", "ss_*", None, "", "the file says nothing about its training: defaults are left"))
    return notes


def _optimizer(text: str) -> dict[str, Any]:
    """`bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1,betas=(0.9, 0.99))` as name and arguments."""
    name, parenthesis, rest = text.partition("(")
    module, _, short = name.rpartition(".")
    chosen = _RENAMED_OPTIMIZERS.get(short, short) if module.startswith(_SHORT) else name
    found: dict[str, Any] = {"optimizer_type": chosen}
    if parenthesis:
        # At commas outside of every bracket and quote: a list of numbers is one value.
        parts = re.findall(
            r"(?:[^,(\[{'\"]|\([^)]*\)|\[[^\]]*\]|\{[^}]*\}|'[^']*'|\"[^\"]*\")+", rest.removesuffix(")")
        )
        found["optimizer_args"] = [part.strip() for part in parts if "=" in part]
    return found


def _family(metadata: Mapping[str, str]) -> str:
    version = metadata.get("base_model_version", "")
    for start, family in (("sdxl", "sdxl"), ("sd_v2", "sd2"), ("sd3", "sd3"), ("flux", "flux")):
        if version.startswith(start):
            return family
    return "sd1"


def _read(text: str | None) -> Any:
    """A value written by Python's str(): numbers, True, lists; what is none of them is text, None is nothing."""
    if text is None or text in {"None", "null", ""}:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _is_plain(value: Any) -> bool:
    """Whether it is a number, a text, yes or no, nothing, or a list of these."""
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) and not isinstance(item, (list, tuple)) for item in value)
    if isinstance(value, (int, float)):
        return math.isfinite(value) and abs(value) < _LARGEST
    return value is None or isinstance(value, str)


def _json(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None
