"""How much memory of the card the simulated trainer would need, held against a card of a size somebody names.

`ORCHESTRATOR_SANDBOX_VRAM_MB` is that size. The numbers are rough on purpose and ordered as the real ones are: an
SD1.5 LoRA at 512² fits 8 GB only with gradient checkpointing, 12 GB takes a batch of 2 without it (sd-scripts'
train_network_README: "8 GB VRAM just about works").
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from orchestrator.sandbox.dataset_reading import ReadDataset
from orchestrator.sandbox.training_faults import out_of_memory
from orchestrator.sandbox.training_kinds import Kind

VRAM_MB = "ORCHESTRATOR_SANDBOX_VRAM_MB"
_PICTURE_MB = 4800.0
_CHECKPOINTED = 0.27
_ENCODING_MB = 1300.0
#: Million numbers in a LoRA per rank: rank 32 is a state of 75.6 MB in fp32 (observed).
_NUMBERS_M = 0.59
#: Bytes a number: the weight and its gradient, and what the optimizer keeps (two moments in 32 or in 8 bit).
_PLAIN, _FULL, _EIGHT_BIT = 8, 8, 2
_UNIT = 512 * 512


def check_encoding(args: argparse.Namespace, datasets: Sequence[ReadDataset], kind: Kind) -> None:
    """Raise `OutOfMemoryError` when turning pictures into latents needs more than the card has."""
    _check(_model(args, kind) + args.vae_batch_size * _ENCODING_MB * _area(datasets))


def check_training(args: argparse.Namespace, datasets: Sequence[ReadDataset], rank: int, kind: Kind) -> None:
    """Raise `OutOfMemoryError` when a step needs more than the card has."""
    _check(training_need(args, datasets, rank, kind))


def training_need(args: argparse.Namespace, datasets: Sequence[ReadDataset], rank: int, kind: Kind) -> float:
    """MB a step needs, by batch size, training size, gradient checkpointing, optimizer and precision."""
    eight_bit = args.use_8bit_adam or "8bit" in args.optimizer_type.lower()
    network = rank * _NUMBERS_M * (_PLAIN + (_EIGHT_BIT if eight_bit else _FULL))
    picture = _PICTURE_MB * kind.size * (_CHECKPOINTED if args.gradient_checkpointing else 1.0)
    precise = 2.0 if args.mixed_precision == "no" else 1.0
    batch = max(dataset.options.batch_size for dataset in datasets)
    return _model(args, kind) + network + batch * picture * precise * _area(datasets)


def _model(args: argparse.Namespace, kind: Kind) -> float:
    return kind.model_mb * (2.0 if args.mixed_precision == "no" else 1.0) * (0.5 if args.fp8_base else 1.0)


def _area(datasets: Sequence[ReadDataset]) -> float:
    return max(width * height / _UNIT for width, height in (dataset.resolution for dataset in datasets))


def _check(need_mb: float) -> None:
    card = float(os.environ.get(VRAM_MB) or 0)
    if card and need_mb > card:
        raise out_of_memory(need_mb - card, card)
