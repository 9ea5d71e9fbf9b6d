"""The loop of the simulated trainer: epochs, batches, the bar, and what is saved when."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.sandbox import checkpoints, training_memory, training_samples, training_trackers
from orchestrator.sandbox.computing import note
from orchestrator.sandbox.console_output import Bar, Console, say
from orchestrator.sandbox.dataset_reading import ReadDataset
from orchestrator.sandbox.event_files import EventFile
from orchestrator.sandbox.latent_cache import open_pictures
from orchestrator.sandbox.lesson import Lesson
from orchestrator.sandbox.training_faults import Faults
from orchestrator.sandbox.training_metadata import model_spec
from orchestrator.sandbox.training_plan import Length, Losses, is_main_process

#: Environment variable with the seconds one optimizer step takes, or with the path of a file that holds them: what is
#: written there later counts from the next step on.
STEP_SECONDS = "ORCHESTRATOR_SANDBOX_STEP_SECONDS"
_DEFAULT_STEP_SECONDS = "0.002"
#: The machine the trainer pretends to run on: the one people have. Nothing is computed on it.
DEVICE = "cuda"
_DTYPES = {"no": "torch.float32", "fp16": "torch.float16", "bf16": "torch.bfloat16", "fp8": "torch.float32"}


@dataclass
class Run:
    """The loop over epochs and batches. Epochs are counted from 0 here and from 1 on the console."""

    args: argparse.Namespace
    console: Console
    datasets: Sequence[ReadDataset]
    whole: Length
    lesson: Lesson
    losses: Losses
    metadata: dict[str, str]
    workers: int
    first_epoch: int
    faults: Faults = field(default_factory=Faults)
    events: EventFile | None = None
    step: int = 0
    epoch: int = 0
    state_step: int = 0

    def go(self, skipped: int) -> None:
        """Train from the first epoch to the last file; `skipped` batches of the first epoch are gone through without
        a step.
        """
        dtype = _DTYPES[self.args.mixed_precision]
        self.console.info(f"unet dtype: {dtype}, device: {DEVICE}:0", "train_network.py:1347")
        self.console.info(f"text_encoder [0] dtype: {dtype}, device: {DEVICE}:0", "train_network.py:1353")
        self.step = skipped
        self._sample(0, bar=None)
        bar = Bar(self.whole.steps - skipped, "steps")
        pace = Pace(os.environ.get(STEP_SECONDS, _DEFAULT_STEP_SECONDS))
        for epoch in range(self.first_epoch, self.whole.epochs):
            self._one_epoch(epoch, skipped if epoch == self.first_epoch else 0, bar, pace)
            if self.events is not None:
                self.events.write({"loss/epoch_average": self.losses.average}, epoch + 1)
            self._save_after_epoch(epoch + 1)
            self._sample(epoch + 1, bar)
            bar.go_on()
        if self.args.save_state or self.args.save_state_on_train_end:
            self.console.info("", "train_util.py:5989")
            self.console.info("saving last state.", "train_util.py:5990")
            self._save_state(f"{checkpoints.last_name(self.args)}-state")
        self.faults.strike("final")
        self._save(checkpoints.last_name(self.args), self.whole.epochs)
        self.console.info("model saved.", "train_network.py:1729")
        bar.close()

    def _one_epoch(self, epoch: int, skipped: int, bar: Bar, pace: Pace) -> None:
        say(f"\nepoch {epoch + 1}/{self.whole.epochs}\n")
        self.epoch = epoch + 1
        # Workers are made anew for every epoch and count from 0; without them the count goes on in this process.
        fresh = self.workers > 0 and not self.args.persistent_data_loader_workers
        before = 0 if fresh or epoch == self.first_epoch else epoch
        for _ in range(max(1, self.workers) * len(self.datasets)):
            self.console.info(f"epoch is incremented. current_epoch: {before}, epoch: {epoch + 1}", "train_util.py:784")
        if epoch == self.first_epoch and not self.args.cache_latents:
            open_pictures(self.datasets, self.console)
        every = self.args.gradient_accumulation_steps
        for batch in range(skipped, self.whole.batches):
            self.state_step = self.step + 1
            began = time.time()
            pace.wait(1 / every)
            if is_main_process():
                note("trainer", began)
            if not self.step:
                training_memory.check_training(self.args, self.datasets, self.lesson.dim, self.lesson.kind)
            if (batch + 1) % every == 0 or batch + 1 == self.whole.batches:
                self._before_step(f"step:{self._begun + self.step + 1}")
                bar.advance()
                self.step += 1
                self._sample(None, bar)
                bar.go_on()
                self._save_after_step()
            notes = {"avr_loss": self.losses.add(epoch, batch)}
            bar.postfix(
                **({"Keys Scaled": 0, "Average key norm": 0.1} if self.args.scale_weight_norms else {}), **notes
            )
            if self.events is not None:
                self._tell(notes["avr_loss"])
            if self.step >= self.whole.steps:
                break

    @property
    def _begun(self) -> int:
        """Steps of the whole run that lie before this process."""
        return self.first_epoch * self.whole.steps_per_epoch

    def _before_step(self, point: str) -> None:
        self.faults.strike(point)
        if self.faults.turns_to_nan(point):
            self.losses.blow_up()
            self.lesson.blown_up = True

    def _tell(self, average: float) -> None:
        # The schedule goes on with a state; with weights alone it begins anew.
        done = self.step + (self._begun if self.args.resume else 0)
        values = training_trackers.step_values(self.args, self.losses.last, average, done, self.whole.steps)
        assert self.events is not None
        self.events.write(values, self.step)

    def _sample(self, epoch: int | None, bar: Bar | None) -> None:
        if not training_samples.due(self.args, epoch, self.step) or not is_main_process():
            return
        if epoch:
            self.faults.strike(f"sample:{epoch}")
        training_samples.draw(self.args, self.console, self.lesson, epoch, self.step, self.whole.epochs)
        if bar is not None:
            bar.go_on()

    def _save_after_step(self) -> None:
        every = self.args.save_every_n_steps
        if every is None or self.step % every:
            return
        # The real trainer writes the epoch counted from 0 into these files.
        self._save(checkpoints.step_name(self.args, self.step), self.epoch - 1)
        if self.args.save_state:
            self.console.info("", "train_util.py:5963")
            self.console.info(f"saving state at step {self.step}", "train_util.py:5964")
            self._save_state(f"{checkpoints.step_name(self.args, self.step)}-state")
            keep = self.args.save_last_n_steps_state or self.args.save_last_n_steps
            old = _older_step(self.step, keep, every)
            if old is not None and old > 0:
                self._remove_state(f"{checkpoints.step_name(self.args, old)}-state", 5982)
        old = _older_step(self.step, self.args.save_last_n_steps, every)
        if old is not None and old >= 0:
            self._remove(checkpoints.step_name(self.args, old))

    def _save_after_epoch(self, epoch: int) -> None:
        every = self.args.save_every_n_epochs
        if every is None or epoch % every or epoch >= self.whole.epochs:
            return
        self._save(checkpoints.epoch_name(self.args, epoch), epoch)
        if self.args.save_last_n_epochs is not None and epoch >= every * self.args.save_last_n_epochs:
            self._remove(checkpoints.epoch_name(self.args, epoch - every * self.args.save_last_n_epochs))
        if self.args.save_state:
            self.console.info("", "train_util.py:5941")
            self.console.info(f"saving state at epoch {epoch}", "train_util.py:5942")
            self._save_state(f"{checkpoints.epoch_name(self.args, epoch)}-state")
            keep = self.args.save_last_n_epochs_state or self.args.save_last_n_epochs
            if keep is not None:
                self._remove_state(f"{checkpoints.epoch_name(self.args, epoch - every * keep)}-state", 5956)

    def _output_dir(self) -> Path:
        # None fails here with a TypeError, after all the training: that is how a missing output_dir really ends.
        os.makedirs(self.args.output_dir, exist_ok=True)  # noqa: PTH103
        return Path(self.args.output_dir)

    def _save(self, stem: str, epoch: int) -> None:
        if not is_main_process():
            return
        point = f"save:{epoch}"
        file = self._output_dir() / (stem + "." + self.args.save_model_as)
        say(f"\nsaving checkpoint: {file}")
        now = {"ss_training_finished_at": str(time.time()), "ss_steps": str(self.step), "ss_epoch": str(epoch)}
        metadata = {**self.metadata, **now}
        if self.args.no_metadata:
            metadata = {key: value for key, value in metadata.items() if key in checkpoints.MINIMUM_KEYS}
        weights = self.lesson.weights(max(1, self.epoch), self.whole.epochs)
        if self.faults.turns_to_nan(point):
            first = min(weights)
            weights[first] = weights[first] * float("nan")
        spec = model_spec(self.args, self.lesson.kind)
        midway = self._midway(point)
        checkpoints.save_lora(file, weights, {**metadata, **spec}, self.args.save_precision, midway)

    def _midway(self, point: str) -> Callable[[], None]:
        return lambda: self.faults.midway(point)

    def _save_state(self, name: str) -> None:
        # Of several processes only the main one saves, so that random_states_0.pkl is the last file there too.
        if not is_main_process():
            return
        point = f"state:{self.epoch}:"
        folder = self._output_dir() / name
        self.console.info(f"Saving current state to {folder}", "accelerator.py:3241")
        folder.mkdir(exist_ok=True)
        file = folder / "train_state.json"
        self.console.info(
            f"save train state to {file} at epoch {self.epoch} step {self.state_step}", "train_network.py:946"
        )
        state = f'{{"current_epoch": {self.epoch}, "current_step": {self.state_step}}}'
        checkpoints.write_halves(file, state.encode(), self._midway(point + file.name))
        weights = self.lesson.weights(max(1, self.epoch), self.whole.epochs)
        checkpoints.save_state_model(folder, weights, self._midway(point + "model.safetensors"))
        self.console.info(f"Model weights saved in {folder / 'model.safetensors'}", "checkpointing.py:108")
        self._archive(folder / "optimizer.bin", {"step": self.state_step, "names": sorted(weights)})
        self.console.info(f"Optimizer state saved in {folder / 'optimizer.bin'}", "checkpointing.py:115")
        self._archive(folder / "scheduler.bin", {"last_epoch": self.state_step})
        self.console.info(f"Scheduler state saved in {folder / 'scheduler.bin'}", "checkpointing.py:122")
        for number, sampler in enumerate(("sampler.bin", "sampler_1.bin")):
            # Said, but no such file is written.
            message = f"Sampler state for dataloader {number} saved in {folder / sampler}"
            self.console.info(message, "checkpointing.py:139")
        self._archive(folder / "random_states_0.pkl", {"random_state": self.losses.random_state})
        self.console.info(f"Random states saved in {folder / 'random_states_0.pkl'}", "checkpointing.py:170")

    def _archive(self, file: Path, content: dict[str, Any]) -> None:
        checkpoints.save_archive(file, content, self._midway(f"state:{self.epoch}:{file.name}"))

    def _remove(self, stem: str) -> None:
        file = Path(self.args.output_dir) / (stem + "." + self.args.save_model_as)
        if file.exists():
            say(f"removing old checkpoint: {file}")
            file.unlink()

    def _remove_state(self, name: str, line: int) -> None:
        folder = Path(self.args.output_dir) / name
        if folder.exists():
            self.console.info(f"removing old state: {folder}", f"train_util.py:{line}")
            checkpoints.remove_state(folder)


def _older_step(step: int, keep: int | None, every: int) -> int | None:
    """The newest multiple of `every` that lies more than `keep` steps back."""
    if keep is None:
        return None
    back = step - keep - 1
    return back - back % every


class Pace:
    """Keeps a steady number of seconds per step; sleeps only when ahead by more than a timer tick, so that speed is
    true on Windows.
    """

    def __init__(self, said: str) -> None:
        """`said` is the number of seconds, or the path of a file that holds it."""
        self._file: Path | None = None
        try:
            self._step_seconds = float(said)
        except ValueError:
            self._file = Path(said)
            self._step_seconds = float(self._file.read_text(encoding="utf-8"))
        self._due = time.monotonic()

    def wait(self, steps: float) -> None:
        """Wait until this many steps' time has gone by since the last call."""
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError):  # just now written anew: the next step finds it
                self._step_seconds = float(self._file.read_text(encoding="utf-8"))
        now = time.monotonic()
        # Time lost to saving is not made up for afterwards.
        self._due = max(self._due, now - 0.05) + steps * self._step_seconds
        if self._due - now > 0.005:
            time.sleep(self._due - now)
