"""Numbers of a simulated run: its length, where it starts after a resume, and the losses it shows."""

from __future__ import annotations

import argparse
import math
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.sandbox.console_output import Console, say
from orchestrator.sandbox.dataset_reading import ReadDataset


@dataclass(frozen=True)
class Length:
    """Length of a run. `batches` and `steps_per_epoch` differ by gradient accumulation."""

    batches: int
    steps_per_epoch: int
    steps: int
    epochs: int


def override_steps(args: argparse.Namespace, datasets: Sequence[ReadDataset]) -> None:
    """Let max_train_epochs decide max_train_steps, and say so."""
    if args.max_train_epochs is None:
        return
    batches = sum(dataset.batches for dataset in datasets)
    per_epoch = math.ceil(batches / processes() / args.gradient_accumulation_steps)
    args.max_train_steps = args.max_train_epochs * per_epoch
    say(
        f"override steps. steps for {args.max_train_epochs} epochs is / "
        f"指定エポックまでのステップ数: {args.max_train_steps}"
    )


def processes() -> int:
    """How many processes train together; accelerate says so to each."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this process is the one that speaks and saves."""
    return os.environ.get("RANK", "0") == "0"


def length(args: argparse.Namespace, datasets: Sequence[ReadDataset]) -> Length:
    """Length of the whole run, also after a resume; settles save_every_n_epochs when only a ratio was given."""
    batches = math.ceil(sum(dataset.batches for dataset in datasets) / processes())
    per_epoch = math.ceil(batches / args.gradient_accumulation_steps)
    epochs = math.ceil(args.max_train_steps / per_epoch)
    if args.save_n_epoch_ratio is not None and args.save_n_epoch_ratio > 0:
        args.save_every_n_epochs = epochs // args.save_n_epoch_ratio or 1
    return Length(batches, per_epoch, args.max_train_steps, epochs)


def start_at(args: argparse.Namespace, state_step: int | None, whole: Length, console: Console) -> tuple[int, int]:
    """Return (first epoch counted from 0, batches to skip) after a resume.

    The state's own step decides, although it counts from that run's start only; --initial_epoch and --initial_step
    win over
    it with a warning. Raises `AssertionError` when nothing is left to train.
    """
    if args.initial_epoch is not None or args.initial_step is not None:
        if state_step is not None:
            console.warning(
                "steps from the state is ignored because initial_step is specified / "
                "initial_stepが指定されているため、stateからのステップ数は無視されます",
                "train_network.py:1236",
            )
        step = args.initial_step
        if step is None:
            step = (args.initial_epoch - 1) * whole.steps_per_epoch
    else:
        step = state_step or 0
    if step <= 0:
        return 0, 0
    assert whole.steps > step, (
        "max_train_steps should be greater than initial step / "
        f"max_train_stepsは初期ステップより大きい必要があります: {whole.steps} vs {step}"
    )
    if not args.skip_until_initial_step:
        return step // whole.steps_per_epoch, 0
    if not args.resume:
        console.info(
            "initial_step is specified but not resuming. lr scheduler will be started from the beginning / "
            "initial_stepが指定されていますがresumeしていないため、lr schedulerは最初から始まります",
            "train_network.py:1262",
        )
    console.info(f"skipping {step} steps / {step}ステップをスキップします", "train_network.py:1265")
    step *= args.gradient_accumulation_steps
    epoch = step // whole.steps_per_epoch
    left = step
    for skipped in range(epoch):
        console.info(
            f"skipping epoch {skipped + 1} because initial_step (multiplied) is {left}", "train_network.py:1342"
        )
        left -= whole.batches
    return epoch, left


@dataclass
class Losses:
    """Losses that fall over the run with noise around them, and their mean over the last epoch's worth of batches.

    `blows_up`: from the second loss on everything is NaN, and the mean never recovers. `last`: the newest loss.
    """

    seed: int
    expected: int
    blows_up: bool = False
    last: float = math.nan
    _slots: list[float] = field(default_factory=list)
    _total: float = 0.0
    _count: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def random_state(self) -> Any:
        """State of the random numbers, as JSON can hold it."""
        return self._random.getstate()

    def restore(self, random_state: Any) -> None:
        """Go on with the random numbers of a saved state."""
        version, numbers, gauss = random_state
        self._random.setstate((version, tuple(numbers), gauss))

    def add(self, epoch: int, batch: int) -> float:
        """Draw the next loss and return the moving mean.

        `epoch` counts from 0: the first one grows the list of slots.
        """
        progress = self._count / max(1, self.expected)
        self._count += 1
        loss = (0.085 + 0.06 * math.exp(-4.0 * progress)) * math.exp(self._random.gauss(0.0, 0.45))
        if self.blows_up and self._count > 1:
            loss = math.nan
        self.last = loss
        if epoch == 0:
            self._slots.append(loss)
        else:
            self._slots.extend([0.0] * (batch + 1 - len(self._slots)))
            self._total -= self._slots[batch]
            self._slots[batch] = loss
        self._total += loss
        return self.average

    @property
    def average(self) -> float:
        """The moving mean: of the last epoch's worth of losses."""
        return self._total / len(self._slots) if self._slots else 0.0

    def blow_up(self) -> None:
        """From the next loss on everything is NaN."""
        self.blows_up = True
        self._count = max(self._count, 1)
