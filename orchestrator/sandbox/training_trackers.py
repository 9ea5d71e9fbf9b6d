"""What the simulated trainer tells TensorBoard: loss and learning rates of every step, the mean of every epoch."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

from orchestrator.sandbox.event_files import EventFile


def start(args: argparse.Namespace) -> EventFile | None:
    """The event file of this run, None without logging_dir.

    The folder's name is the prefix and the time, as in sd-scripts.
    """
    if args.logging_dir is None:
        return None
    stamp = time.strftime("%Y%m%d%H%M%S", time.localtime())
    return EventFile(
        Path(args.logging_dir) / f"{args.log_prefix or ''}{stamp}" / (args.log_tracker_name or "network_train")
    )


def step_values(args: argparse.Namespace, loss: float, average: float, done: int, total: int) -> dict[str, float]:
    """The scalars of one step. `done` steps of the schedule lie behind, of `total`."""
    part = schedule(args, done, total)
    base = args.learning_rate
    encoder = args.text_encoder_lr[0] if isinstance(args.text_encoder_lr, list) else args.text_encoder_lr
    rates = []
    if not args.network_train_unet_only:
        rates.append(("textencoder", (base if encoder is None else encoder) * part))
    if not args.network_train_text_encoder_only:
        rates.append(("unet", (base if args.unet_lr is None else args.unet_lr) * part))
    values = {"loss/current": loss, "loss/average": average, **{f"lr/{name}": rate for name, rate in rates}}
    # sd-scripts names all groups but the text encoder's a second time (a loop's else branch that always runs).
    first = 0 if args.network_train_unet_only else 1
    return {**values, **{f"lr/group{number}": rates[number][1] for number in range(first, len(rates))}}


def schedule(args: argparse.Namespace, done: int, total: int) -> float:
    """Share of the learning rate after `done` of `total` steps; formulas of transformers' optimization.py."""
    warmup = args.lr_warmup_steps or 0
    warmup = int(warmup * total) if isinstance(warmup, float) else warmup
    if done < warmup:
        return done / max(1, warmup)
    progress = min(1.0, (done - warmup) / max(1, total - warmup))
    name = args.lr_scheduler
    if name == "linear":
        return 1.0 - progress
    if name.startswith("cosine_with_restarts"):
        turn = progress * args.lr_scheduler_num_cycles % 1.0
        return 0.0 if progress >= 1.0 else 0.5 * (1.0 + math.cos(math.pi * turn))
    if name.startswith("cosine"):
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    if name == "polynomial":
        return float((1.0 - progress) ** args.lr_scheduler_power)
    return 1.0
