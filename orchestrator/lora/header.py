"""The header of a LoRA file in our words, read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.kohya import weights
from orchestrator.kohya.weights import Tensor


@dataclass(frozen=True)
class LoraHeader:
    """What a LoRA file says about itself. Every field is empty or None where the file does not say it.

    `metadata` is the file's own (`ss_*`, `sshs_*`, `modelspec.*`); `complete` = the file is exactly as long as its
    header says; `trained_at` is the time of saving in seconds since 1970.
    """

    metadata: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    complete: bool
    epoch: int | None
    epochs: int | None
    session_id: str
    output_name: str
    dim: int | None
    alpha: float | None
    base_model: str
    seed: int | None
    trained_at: float | None


def read_header(path: Path) -> LoraHeader:
    """The header of a `.safetensors` file. Raises `InputError` for a file that has none."""
    header = weights.read_header(path)
    metadata = header.metadata
    epoch, epochs, dim, seed = (
        _number(metadata, f"ss_{key}") for key in ("epoch", "num_epochs", "network_dim", "seed")
    )
    return LoraHeader(
        metadata=metadata,
        tensors=header.tensors,
        complete=header.complete,
        epoch=None if epoch is None else int(epoch),
        epochs=None if epochs is None else int(epochs),
        session_id=_text(metadata, "ss_session_id"),
        output_name=_text(metadata, "ss_output_name"),
        dim=None if dim is None else int(dim),
        alpha=_number(metadata, "ss_network_alpha"),
        base_model=_text(metadata, "ss_sd_model_name"),
        seed=None if seed is None else int(seed),
        trained_at=_number(metadata, "ss_training_finished_at"),
    )


def _text(metadata: Mapping[str, str], key: str) -> str:
    # The trainer writes the word None for what was not given.
    value = metadata.get(key, "")
    return "" if value == "None" else value


def _number(metadata: Mapping[str, str], key: str) -> float | None:
    try:
        value = float(_text(metadata, key))
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None
