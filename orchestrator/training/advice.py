"""What to do when the graphics card is too small for a training: for this very one, mildest remedy first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.training.guards import PhaseName

#: Values that stand in the dataset's file, not in the configuration (sd-scripts ignores them in the other one).
_OF_THE_DATASET = frozenset({"batch_size", "resolution"})
#: sd-scripts' optimizers with a twin that keeps its state in 8 bits; empty = its default, AdamW.
_EIGHT_BIT = {"": "AdamW8bit", "adamw": "AdamW8bit", "lion": "Lion8bit", "sgdnesterov": "SGDNesterov8bit"}
#: Below this an SD1.5 LoRA learns little of a face; smaller is not advised.
_LEAST_RESOLUTION = 384


@dataclass(frozen=True)
class Remedy:
    """One way to need less memory. `words` name it as it is written in the profile.

    `changes` are sd-scripts' values that differ then (of the configuration and of the dataset's file, see `applied`);
    empty = only a person can do it, because what is learned would be another thing.
    """

    words: str
    changes: Mapping[str, Any] = field(default_factory=dict)


class Values(Protocol):
    """What remedies look at of a planned training."""

    @property
    def values(self) -> Mapping[str, Any]:
        """sd-scripts' configuration."""

    @property
    def dataset_values(self) -> Mapping[str, Any]:
        """sd-scripts' dataset file."""


def remedies(
    planned: Values, phase: PhaseName, packages: Mapping[str, str], *, has_state: bool = False
) -> list[Remedy]:
    """What helps against memory that ran out in `phase`, in the order in which it should be tried.

    Each is meant alone, on top of what the one before changed. `packages` are those of kohya's Python; `has_state` =
    the training would go on from a state, which another optimizer cannot read.
    """
    values = planned.values
    if phase in {"latents", "start"}:
        return _before_training(planned, phase)
    if phase == "sampling":
        return [Remedy("make the sample pictures smaller or leave them out ([training.samples])"), *_smaller(planned)]
    found = []
    if not values.get("gradient_checkpointing"):
        found.append(Remedy("gradient_checkpointing = true", {"gradient_checkpointing": True}))
    eight_bit = _EIGHT_BIT.get(str(values.get("optimizer_type") or "").lower())
    if eight_bit and not has_state and "bitsandbytes" in {name.lower() for name in packages}:
        found.append(Remedy(f'optimizer = "{eight_bit}"', {"optimizer_type": eight_bit}))
    batch = _batch_size(planned)
    if batch > 1:
        # Halved batches, summed up by twos, are the same sum of gradients; an odd one becomes one picture more or less.
        half, steps = batch // 2, int(values.get("gradient_accumulation_steps") or 1) * 2
        words = f"batch_size = {half} (and gradient_accumulation_steps = {steps} in [training.extra])"
        found.append(Remedy(words, {"batch_size": half, "gradient_accumulation_steps": steps}))
    if values.get("mixed_precision", "no") == "no":
        found.append(Remedy('mixed_precision = "fp16" ("bf16" on an RTX 30 or newer)'))
    return [*found, *_smaller(planned)]


def applied(
    changes: Mapping[str, Any], values: Mapping[str, Any], dataset_values: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """sd-scripts' configuration and dataset file with `changes`, each written into the file where it counts."""
    ours = {key: value for key, value in changes.items() if key in _OF_THE_DATASET}
    datasets = [{**entry, **ours} for entry in dataset_values["datasets"]]
    rest = {key: value for key, value in changes.items() if key not in _OF_THE_DATASET}
    return {**values, **rest}, {**dataset_values, "datasets": datasets}


def automatic(found: Sequence[Remedy]) -> Remedy | None:
    """The first remedy that changes only how the training is computed, not what is learned."""
    return next((remedy for remedy in found if remedy.changes), None)


def memory_advice(found: Sequence[Remedy], *, tried: str = "") -> str:
    """The fix for the person at the keyboard; `tried` = what was tried already, in words."""
    before = f"It was tried with {tried}, too. " if tried else ""
    free = "Close A1111 or let it unload its checkpoint"
    if not found:
        return f"{before}{free}; the same command then goes on. No setting is left that would need less memory."
    *first, last = [remedy.words for remedy in found]
    listed = f"{', '.join(first)} or {last}" if first else last
    return f"{before}{free}. If that is not enough, set in lora.toml (best first): {listed}; then run the same command."


def _before_training(planned: Values, phase: PhaseName) -> list[Remedy]:
    found = []
    batch = int(planned.values.get("vae_batch_size") or 1)
    if phase == "latents" and batch > 1:
        found.append(Remedy("vae_batch_size = 1 in [training.extra]", {"vae_batch_size": 1}))
    return [*found, *(_smaller(planned) if phase == "latents" else [])]


def _smaller(planned: Values) -> list[Remedy]:
    sides = [_side(entry.get("resolution")) for entry in planned.dataset_values.get("datasets", [])]
    side = max(sides, default=0)
    less = int(side * 0.75) // 64 * 64
    return [Remedy(f"resolution = {less} in [dataset]")] if less >= _LEAST_RESOLUTION else []


def _side(resolution: object) -> int:
    if isinstance(resolution, (list, tuple)):
        return max((int(side) for side in resolution), default=0)
    return int(resolution) if isinstance(resolution, int) else 0


def _batch_size(planned: Values) -> int:
    return max((int(entry.get("batch_size") or 1) for entry in planned.dataset_values.get("datasets", [])), default=1)
