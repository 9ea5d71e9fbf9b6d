"""Our words for a training, translated into sd-scripts' arguments. This is the only place where that happens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import ProfileError
from orchestrator.files import read_json
from orchestrator.kohya import arguments as kohya_arguments
from orchestrator.kohya import base_model, config_file, dataset_config
from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.base_model import BaseModel
from orchestrator.kohya.install import KohyaInstall
from orchestrator.profile.model import Profile, TrainingPlan
from orchestrator.training import inputs
from orchestrator.training.inputs import DatasetInput
from orchestrator.training.preset import effective
from orchestrator.workspace import Workspace

#: Bytes of one LoRA file and of one state folder per unit of dim, measured on SD1.5 with dim 32 in fp16 (37.9 MB and
#: 227 MB). An SDXL LoRA of both parts is about six times as large.
_LORA_BYTES_PER_DIM = 37_900_000 // 32
_STATE_BYTES_PER_DIM = 227_000_000 // 32
_SDXL_FACTOR = 6
#: Numbered states kept besides the last one: the newest, and one before it in case the newest is cut off.
_KEPT_STATES = 2
#: Arguments that follow from the workspace or that would break going on after a stop; nobody may set them in
#: [training.extra]. Saving by steps: step numbers begin anew at every resume and overwrite the files before.
_OURS = frozenset(
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
#: Decide where and how fast, not what comes out.
_NOT_IN_FINGERPRINT = frozenset(
    {
        "output_dir",
        "dataset_config",
        "pretrained_model_name_or_path",
        "max_data_loader_n_workers",
        "save_state",
    }
)
#: Where a problem with one of sd-scripts' arguments comes from in our words.
_OUR_PLACE = {
    "max_train_epochs": "epochs",
    "save_every_n_epochs": "save_every",
    "network_dim": "dim",
    "network_alpha": "alpha",
    "unet_lr": "unet_lr",
    "text_encoder_lr": "text_encoder_lr",
    "optimizer_type": "optimizer",
    "lr_scheduler": "lr_scheduler",
    "lr_warmup_steps": "warmup_steps",
    "mixed_precision": "mixed_precision",
    "gradient_checkpointing": "gradient_checkpointing",
    "clip_skip": "clip_skip",
    "seed": "seed",
    "save_state": "save_state",
}


@dataclass(frozen=True)
class TrainingPlanned:
    """Everything decided about one training before it is started.

    `fingerprint` (64 hex digits) names what decides the outcome: the values, the dataset's content, the base
    checkpoint's content and the version of sd-scripts. Two trainings with the same fingerprint are the same training.
    """

    name: str
    folder: Path
    output_name: str
    install: KohyaInstall
    base: BaseModel
    base_sha256: str
    dataset: DatasetInput
    values: Mapping[str, Any]
    dataset_values: Mapping[str, Any]
    epochs: int
    save_every: int
    seed: int
    can_resume: bool
    bytes_needed: int
    fingerprint: str
    cache: Path

    @property
    def output_folder(self) -> Path:
        """Where LoRA files and states are written."""
        return self.folder / "lora"

    @property
    def config(self) -> Path:
        """sd-scripts' configuration file of this run."""
        return self.folder / "config.toml"

    @property
    def dataset_config(self) -> Path:
        """sd-scripts' dataset file of this run."""
        return self.folder / "dataset.toml"

    @property
    def final_file(self) -> Path:
        """The LoRA file of the last epoch: sd-scripts gives it no number."""
        return self.output_folder / f"{self.output_name}.safetensors"


def plan(
    profile: Profile, install: KohyaInstall, workspace: Workspace, *, checkpoint: Path, dataset: Path | None = None
) -> TrainingPlanned:
    """Plan the training of the profile's version. Nothing is written but a cache of hashes.

    `checkpoint` is the base checkpoint's file (or diffusers folder); `dataset` the folder of the built dataset, that
    of the version when not given. Raises `ProfileError` with every value sd-scripts would not understand,
    `DatasetError`, `InputError`.
    """
    chosen = effective(profile.training, workspace.profile)
    base = base_model.identify(checkpoint)
    accepted = kohya_arguments.read(install, base.script)
    data = inputs.read_dataset(dataset or workspace.dataset(profile.subject.version))
    output_name = workspace.run(profile.run_name).name
    values = _values(chosen, base, output_name, accepted)
    dataset_values = dataset_config.values(
        [dataset_config.Subset(group.folder, group.repeats) for group in data.groups],
        resolution=profile.dataset.resolution,
        batch_size=chosen.batch_size,
    )
    base_sha256 = inputs.checkpoint_sha256(checkpoint, workspace.cache)
    fingerprint = _fingerprint(values, dataset_values, data, base_sha256, install, base.script)
    folder = _folder(workspace, profile.run_name, fingerprint)
    values |= {
        "pretrained_model_name_or_path": str(checkpoint.absolute()),
        "dataset_config": str((folder / "dataset.toml").absolute()),
        "output_dir": str((folder / "lora").absolute()),
    }
    problems = _problems(values, chosen, accepted)
    if problems:
        raise ProfileError(workspace.profile, problems)
    return TrainingPlanned(
        name=folder.name,
        folder=folder,
        output_name=output_name,
        install=install,
        base=base,
        base_sha256=base_sha256,
        dataset=data,
        values=values,
        dataset_values=dataset_values,
        epochs=chosen.epochs,
        save_every=chosen.save_every,
        seed=chosen.seed,
        # Releases before initial_epoch (up to v0.9) count epochs from 1 after a resume and overwrite the first files.
        can_resume="initial_epoch" in accepted and bool(values.get("save_state")),
        bytes_needed=_bytes_needed(chosen, base),
        fingerprint=fingerprint,
        cache=workspace.cache,
    )


def _values(
    chosen: TrainingPlan, base: BaseModel, output_name: str, accepted: Mapping[str, Argument]
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "output_name": output_name,
        "save_model_as": "safetensors",
        "save_precision": "bf16" if chosen.mixed_precision == "bf16" else "fp16",
        "network_module": "networks.lora",
        "network_dim": chosen.dim,
        "network_alpha": chosen.alpha,
        "max_train_epochs": chosen.epochs,
        "save_every_n_epochs": chosen.save_every,
        "save_state": chosen.save_state,
        "learning_rate": chosen.unet_lr,
        "unet_lr": chosen.unet_lr,
        "optimizer_type": chosen.optimizer,
        "lr_scheduler": chosen.lr_scheduler,
        "lr_warmup_steps": chosen.warmup_steps,
        "mixed_precision": chosen.mixed_precision,
        "gradient_checkpointing": chosen.gradient_checkpointing,
        "seed": chosen.seed,
        "caption_extension": dataset_config.CAPTION_EXTENSION,
        "cache_latents": True,
        # On Windows each worker imports torch anew at every epoch; cached latents need no worker at all.
        "max_data_loader_n_workers": 0,
    }
    if "sdpa" in accepted and not chosen.extra.get("xformers"):
        values["sdpa"] = True
    if chosen.save_state and "save_last_n_epochs_state" in accepted:
        values["save_last_n_epochs_state"] = _KEPT_STATES
    if chosen.text_encoder_lr == 0:
        values["network_train_unet_only"] = True
    else:
        values["text_encoder_lr"] = _text_encoder_lr(chosen.text_encoder_lr, base, accepted)
    if base.family == "sdxl":
        values["no_half_vae"] = True  # SDXL's own VAE overflows in fp16
    elif chosen.clip_skip > 1:
        values["clip_skip"] = chosen.clip_skip
    if base.family == "sd2":
        values["v2"] = True
    return {**values, **chosen.extra}


def _text_encoder_lr(rate: float, base: BaseModel, accepted: Mapping[str, Argument]) -> float | list[float]:
    # A single number up to v0.9, a list since.
    argument = accepted.get("text_encoder_lr")
    if argument is None or not argument.many:
        return rate
    return [rate, rate] if base.family == "sdxl" else [rate]


def _problems(values: Mapping[str, Any], chosen: TrainingPlan, accepted: Mapping[str, Argument]) -> list[str]:
    problems = [
        f"training.extra.{key}: is decided by orchestrator and cannot be set" for key in chosen.extra if key in _OURS
    ]
    for problem in config_file.check(values, accepted):
        key, _, what = problem.partition(": ")
        place = f"extra.{key}" if key in chosen.extra else _OUR_PLACE.get(key, key)
        problems.append(f"training.{place}: {what}")
    if chosen.save_every > chosen.epochs:
        problems.append(f"training.save_every: {chosen.save_every} is more than the {chosen.epochs} epochs there are")
    return problems


def _fingerprint(
    values: Mapping[str, Any],
    dataset_values: Mapping[str, Any],
    data: DatasetInput,
    base_sha256: str,
    install: KohyaInstall,
    script: str,
) -> str:
    # Folders are named by the dataset's content hash; their paths would change with the workspace's place.
    datasets = [
        {key: value for key, value in entry.items() if key != "subsets"} for entry in dataset_values["datasets"]
    ]
    decisive = {
        "values": {key: value for key, value in values.items() if key not in _NOT_IN_FINGERPRINT},
        "general": dataset_values["general"],
        "datasets": datasets,
        "dataset": data.sha256,
        "base": base_sha256,
        "script": f"{script} {install.commit or install.code_hash}",
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _folder(workspace: Workspace, name: str, fingerprint: str) -> Path:
    """The folder of this very training, or the next free one: `v4`, `v4-2`, `v4-3` … What was trained before is never
    overwritten.
    """
    attempt = 1
    while True:
        folder = workspace.run(name if attempt == 1 else f"{name}-{attempt}").absolute()
        record = read_json(folder / "run.json")
        if isinstance(record, dict):
            if record.get("fingerprint") == fingerprint:
                return folder
        elif not folder.exists() or not any(folder.iterdir()):
            return folder
        attempt += 1


def _bytes_needed(chosen: TrainingPlan, base: BaseModel) -> int:
    files = -(-chosen.epochs // chosen.save_every)
    states = _KEPT_STATES + 2 if chosen.save_state else 0  # the kept ones, the one being written, the last
    per_dim = files * _LORA_BYTES_PER_DIM + states * _STATE_BYTES_PER_DIM
    return per_dim * chosen.dim * (_SDXL_FACTOR if base.family == "sdxl" else 1)
