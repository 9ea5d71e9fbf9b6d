"""What makes a training this very training, where it therefore lies, and how much room it takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.files import read_json
from orchestrator.kohya.install import KohyaInstall
from orchestrator.training import words
from orchestrator.training.inputs import DatasetInput
from orchestrator.workspace import Workspace

#: Bytes of one LoRA file and of one state folder per unit of dim, measured on SD1.5 with dim 32 in fp16 (37.9 MB and
#: 227 MB).
_LORA_BYTES_PER_DIM = 37_900_000 // 32
_STATE_BYTES_PER_DIM = 227_000_000 // 32
#: How many times as large a LoRA of both parts is as one of SD1.5: SDXL measured; Flux and SD3.5 large summed up from
#: the shapes of their layers.
_SIZE = {"sdxl": 6, "flux": 9, "sd3": 9}
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


def fingerprint(
    values: Mapping[str, Any],
    dataset_values: Mapping[str, Any],
    data: DatasetInput,
    base_sha256: str,
    install: KohyaInstall,
    script: str,
    *,
    components: Mapping[str, str],
    cards: int,
) -> str:
    """64 hex digits of everything that decides the outcome.

    `values` are without the paths of the run; `components` are name → sha256 of the further files of the base (Flux,
    SD3); `cards` is how many graphics cards train together, which makes the batch so many times as large.
    """
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
    # Only where there is something to say: trainings of before these words must keep their digits.
    if components:
        decisive["components"] = dict(components)
    if cards > 1:
        decisive["cards"] = cards
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def folder(workspace: Workspace, name: str, digits: str) -> Path:
    """The folder of this very training, or the next free one: `v4`, `v4-2`, `v4-3` … What was trained before is never
    overwritten; `digits` are the training's fingerprint.
    """
    attempt = 1
    while True:
        candidate = workspace.run(name if attempt == 1 else f"{name}-{attempt}").absolute()
        # A file in its place is told by whoever looks for room there.
        record = read_json(candidate / "run.json") if candidate.is_dir() else None
        if isinstance(record, dict):
            if record.get("fingerprint") == digits:
                return candidate
        elif not candidate.is_dir() or all(path.name.startswith(".") for path in candidate.iterdir()):
            # A command that was killed while it began leaves its mark at most.
            return candidate
        attempt += 1


def bytes_needed(*, dim: int, epochs: int, save_every: int, save_state: bool, family: str) -> int:
    """About how many bytes the training writes, all its files and the states it keeps."""
    files = -(-epochs // save_every)
    states = words.KEPT_STATES + 2 if save_state else 0  # the kept ones, the one being written, the last
    per_dim = files * _LORA_BYTES_PER_DIM + states * _STATE_BYTES_PER_DIM
    return per_dim * dim * _SIZE.get(family, 1)
