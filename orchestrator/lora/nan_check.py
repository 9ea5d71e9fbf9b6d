"""Does a LoRA file hold NaN or infinity? Such a file makes A1111 answer 500, or draw noise."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.kohya import weights


def not_finite(path: Path) -> list[str]:
    """The names of the tensors that hold NaN or infinity. Reads the file once. Raises `InputError` for one that is
    cut off.
    """
    return weights.not_finite(path)


def require_finite(path: Path) -> None:
    """Raises `InputError` when the file holds NaN or infinity."""
    bad = not_finite(path)
    if bad:
        raise InputError(
            f"{path.name} holds NaN in {len(bad)} tensors, such as {bad[0]}.",
            cause="Its training went wrong: the learning rate was too high, or a value overflowed in fp16.",
            fix="Lower the learning rates or use bf16, and train again.",
        )
