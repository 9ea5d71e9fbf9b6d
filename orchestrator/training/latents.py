"""Files that sd-scripts caches beside a dataset's pictures, removed where they would be wrong.

Since v0.10 (20 Aug 2024) sd-scripts takes a cached file as soon as it holds latents of any kind (observed): another
resolution, picture, VAE or base checkpoint is not noticed, and the metadata say what was asked for, not what was used.
The pictures' sizes are read from these files' names too, whether or not they are used otherwise.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.files import read_json, storage_error, write_json
from orchestrator.training import inputs
from orchestrator.training.inputs import DatasetInput

if TYPE_CHECKING:
    from orchestrator.training.plan import TrainingPlanned

#: Latents (`_sd`, `_sdxl`, `_flux`, `_sd3`, the old ones without ending) and text encoder outputs (`_te_outputs`,
#: `_flux_te`, `_sd3_te`); and captions and sizes, where `cache_info` is on.
_CACHES = ("*.npz", "metadata_cache.json")
#: Beginnings of arguments that decide nothing of what is cached. All others count, so that one we do not know costs
#: seconds and never a training.
_HARMLESS = (
    "base_weights", "cache_latents", "dataset_config", "dim_from_weights", "dynamo", "gradient_", "huber_", "initial_",
    "ip_noise", "learning_rate", "log", "loss", "lr_", "max_data_loader", "max_grad_norm", "max_train_", "metadata_",
    "min_snr", "multires_", "network_", "noise", "optimizer", "output_", "persistent_", "pretrained_model",
    "prior_loss", "resume", "sample_", "save_", "scale_weight", "sdpa", "seed", "text_encoder_lr", "training_comment",
    "unet_lr", "vae_batch", "wandb", "weighting", "xformers", "caption_extension", "mem_eff",
)  # fmt: skip
#: Arguments that name further parts of the model; what counts is the content of their files.
_FILES = frozenset({"vae", "ae", "clip_l", "clip_g", "t5xxl"})


def key(planned: TrainingPlanned) -> str:
    """Names everything that decides what is cached (64 hex digits): pictures, captions, their size and shape in
    training, base checkpoint, VAE, text encoders, script. Raises `OSError` when a model's file cannot be read.
    """
    values = {name: value for name, value in planned.values.items() if not name.startswith(_HARMLESS)}
    for name in _FILES & values.keys():
        # sd-scripts is started in its own folder, which a relative path therefore begins at.
        file = planned.install.root / str(values[name])
        if file.exists():
            values[name] = inputs.checkpoint_sha256(file, planned.cache)
    decisive = {
        "values": values,
        "general": planned.dataset_values.get("general"),
        "datasets": [_shape(entry) for entry in planned.dataset_values["datasets"]],
        "dataset": planned.dataset.sha256,
        "base": planned.base_sha256,
        "script": planned.base.script,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()


def forget_stale(dataset: DatasetInput, key: str, cache: Path) -> int:
    """Remove what sd-scripts cached in the dataset's folders under another `key`, and what a kill cut off; how many
    files. Raises `StorageError`.

    A file that was cut off would end every further start: sd-scripts opens it and gives up.
    """
    marker = cache / "latents" / f"{hashlib.sha256(str(dataset.folder).encode()).hexdigest()[:24]}.json"
    same = read_json(marker) == key
    stale = [file for file in _cached(dataset) if not same or _cut_off(file)]
    for file in stale:
        try:
            file.unlink()
        except OSError as error:
            raise storage_error(error, file) from error
    if not same:
        write_json(marker, key)
    return len(stale)


def _shape(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What of a dataset's options decides, without what names pictures: those are named by their content."""
    kept = {name: value for name, value in entry.items() if name not in {"subsets", "batch_size"}}
    subsets = [
        {name: value for name, value in subset.items() if name not in {"image_dir", "num_repeats", "class_tokens"}}
        for subset in entry.get("subsets", ())
    ]
    return {**kept, "subsets": subsets}


def _cached(dataset: DatasetInput) -> Iterator[Path]:
    for group in dataset.groups:
        for pattern in _CACHES:
            yield from sorted(group.folder.glob(pattern))


def _cut_off(file: Path) -> bool:
    return file.suffix == ".npz" and not zipfile.is_zipfile(file)
