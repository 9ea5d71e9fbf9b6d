"""Which kind of model a base checkpoint is, told from the names of its tensors, and the script that trains it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.errors import InputError
from orchestrator.kohya import weights
from orchestrator.kohya.install import SCRIPT_NAME

Family = Literal["sd1", "sd2", "sdxl"]
#: Name parts that only one family has (the single-file layouts of their publishers).
_MARKS: tuple[tuple[str, Family], ...] = (
    ("conditioner.embedders.1.", "sdxl"),
    ("cond_stage_model.model.", "sd2"),
    ("cond_stage_model.transformer.", "sd1"),
)
_OTHERS = (("double_blocks.", "Flux"), ("joint_blocks.", "Stable Diffusion 3"))


@dataclass(frozen=True)
class BaseModel:
    """A base checkpoint: a file, or a folder in the diffusers layout."""

    path: Path
    family: Family

    @property
    def script(self) -> str:
        """The script of sd-scripts that trains a LoRA on it."""
        return "sdxl_train_network.py" if self.family == "sdxl" else SCRIPT_NAME


def identify(path: Path) -> BaseModel:
    """The base checkpoint at `path`. Raises `InputError` when it is missing, damaged, or of a kind we do not train."""
    if path.is_dir():
        if not (path / "model_index.json").is_file():
            raise InputError(
                f"{path} is a folder, but no diffusers model (it has no model_index.json).",
                fix="Name the checkpoint file itself in [base] path of lora.toml.",
            )
        return BaseModel(path, "sdxl" if (path / "text_encoder_2").is_dir() else "sd1")
    if not path.is_file():
        raise InputError(
            f"There is no base checkpoint at {path}.",
            cause="It was moved, or A1111 runs on another machine and its path means nothing here.",
            fix="Name a file on this machine in [base] path of lora.toml.",
        )
    if path.suffix.lower() != ".safetensors":
        return BaseModel(path, "sd1")  # a .ckpt is a pickle: it must not be opened just to look
    header = weights.read_header(path)
    if not header.complete:
        raise InputError(
            f"The base checkpoint {path} is shorter than it should be.",
            cause="Its download was probably cut off.",
            fix="Download it again, then run the same command.",
        )
    for mark, name in _OTHERS:
        if any(mark in tensor for tensor in header.tensors):
            raise InputError(
                f"{path.name} is a {name} model.",
                fix="Choose an SD1.5 or SDXL checkpoint: only these are trained so far.",
            )
    return BaseModel(path, next((f for mark, f in _MARKS if any(t.startswith(mark) for t in header.tensors)), "sd1"))
