"""The simulated training run: sd-scripts' order of work, console lines and files, with a pause instead of each step."""

from __future__ import annotations

import argparse
import importlib
import os
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.sandbox import checkpoints, training_settings
from orchestrator.sandbox.console_output import Bar, Log, say
from orchestrator.sandbox.dataset_options import load_description, resolve
from orchestrator.sandbox.dataset_reading import ReadDataset, read_datasets, subfolder_subsets
from orchestrator.sandbox.latent_cache import cache_latents, open_pictures
from orchestrator.sandbox.training_metadata import model_spec, run_metadata
from orchestrator.sandbox.training_plan import Length, Losses, length, override_steps, start_at
from orchestrator.sandbox.training_settings import Optimizer

if TYPE_CHECKING:
    import numpy

STEP_SECONDS = "ORCHESTRATOR_SANDBOX_STEP_SECONDS"
WORLD = "ORCHESTRATOR_SANDBOX_WORLD"
_DEFAULT_STEP_SECONDS = 0.002
#: The machine the trainer pretends to run on: the one people have. Nothing is computed on it.
_DEVICE = "cuda"
_TRAINS_NOTHING = "simulated trainer: no network is trained"
_DTYPES = {"no": "torch.float32", "fp16": "torch.float16", "bf16": "torch.bfloat16", "fp8": "torch.float32"}


def start(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Read the configuration file named in `args`, then train."""
    say(_TRAINS_NOTHING)
    log = Log()
    train(training_settings.read_config_file(args, parser, log), log)


def train(args: argparse.Namespace, log: Log) -> None:
    """Run from the first log line to the last file. Fails where, and with what, the real trainer fails."""
    session_id = random.randint(0, 2**32)
    started_at = time.time()
    training_settings.verify(args, log)
    log = Log(simple=args.console_log_simple, file=args.console_log_file, level=args.console_log_level)
    if args.seed is None:
        args.seed = random.randint(0, 2**32)
    datasets = _datasets(args, log)
    if sum(dataset.batches for dataset in datasets) == 0:
        log.error(
            "No data found. Please verify arguments (train_data_dir must be the parent of folders with images) / "
            "画像がありません。引数指定を確認してください（train_data_dirには画像があるフォルダではなく、"
            "画像があるフォルダの親フォルダを指定する必要があります）",
            "train_network.py:576",
        )
        return
    log.info("preparing accelerator", "train_network.py:593")
    training_settings.check_accelerator(args)
    say(f"accelerator device: {_DEVICE}")
    training_settings.check_base_model(args, log)
    with tempfile.TemporaryDirectory(prefix="sandbox_trainer_") as scratch:
        sources = cache_latents(datasets, args.cache_latents_to_disk, Path(scratch), log) if args.cache_latents else {}
        network = _network(args, log)
        say("prepare optimizer, data loader etc.")
        chosen = training_settings.optimizer(args, log)
        workers = min(args.max_data_loader_n_workers, os.cpu_count() or 1)
        if args.persistent_data_loader_workers and workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        override_steps(args, datasets)
        training_settings.check_scheduler(args)
        training_settings.check_full_precision(args)
        lesson = Lesson(args, tuple(datasets), sources, network.lora_dim, network.alpha, chosen.blows_up)
        losses = Losses(args.seed, args.max_train_steps, chosen.blows_up)
        state_step = _resume(args, lesson, losses, log)
        whole = length(args, datasets)
        _announce(args, datasets, whole)
        metadata = run_metadata(
            args,
            datasets,
            session_id=session_id,
            started_at=started_at,
            epochs=whole.epochs,
            optimizer=chosen.name + (f"({chosen.arguments})" if chosen.arguments else ""),
            network_options=training_settings.network_options(args),
        )
        first_epoch, skipped = start_at(args, state_step, whole, log)
        run = Run(args, log, datasets, whole, lesson, losses, metadata, workers, first_epoch)
        run.go(skipped)


def _datasets(args: argparse.Namespace, log: Log) -> tuple[ReadDataset, ...]:
    log.info("Using v1 tokenizer", "strategy_sd.py:26")
    if args.tokenizer_cache_dir:
        cached = Path(args.tokenizer_cache_dir) / "openai_clip-vit-large-patch14"
        if cached.is_dir():
            log.info(f"load tokenizer from cache: {cached}", "strategy_base.py:61")
    if args.dataset_config is not None:
        log.info(f"Loading dataset config from {args.dataset_config}", "train_network.py:519")
        description = load_description(args.dataset_config, log)
        if any(value is not None for value in (args.train_data_dir, args.reg_data_dir, args.in_json)):
            names = "train_data_dir, reg_data_dir, in_json"
            log.warning(
                f"ignoring the following options because config file is found: {names} / "
                f"設定ファイルが利用されるため以下のオプションは無視されます: {names}",
                "train_network.py:523",
            )
    elif args.in_json is not None:
        raise NotImplementedError("the simulated trainer reads folders of pictures with captions, no metadata file (in_json)")
    else:
        log.info("Using DreamBooth method.", "train_network.py:530")
        description = {"datasets": [{"subsets": subfolder_subsets(args.train_data_dir, args.reg_data_dir, log)}]}
    return read_datasets(resolve(description, args, log), log)


def _network(args: argparse.Namespace, log: Log) -> Any:
    say("import network module:", args.network_module)
    module = importlib.import_module(args.network_module)
    options = training_settings.network_options(args)
    network = module.create_network(
        1.0, args.network_dim, args.network_alpha, neuron_dropout=args.network_dropout, **options
    )
    enabled = network.enabled(not args.network_train_unet_only, not args.network_train_text_encoder_only)
    for message, place in (*network.notes, *enabled):
        log.info(message, place)
    if args.network_weights is not None:
        from safetensors import safe_open

        with safe_open(args.network_weights, framework="np"):
            say(f"load network weights from {args.network_weights}: <All keys matched successfully>")
    return network


def _resume(args: argparse.Namespace, lesson: Lesson, losses: Losses, log: Log) -> int | None:
    """Load the state folder of --resume; return the step written in it. Fails as a broken or foreign state really fails."""
    if not args.resume:
        return None
    folder = Path(args.resume)
    log.info(f"resume training from local state: {folder}", "train_util.py:4777")
    if folder.is_dir():
        log.info(f"Loading states from {folder}", "accelerator.py:3371")
    state = checkpoints.load_train_state(folder)
    if state is not None:
        log.info(f"load train state from {folder / 'train_state.json'}: {state}", "train_network.py:969")
    checkpoints.load_network(folder, lesson.shapes())
    log.info("All model weights loaded successfully", "checkpointing.py:214")
    checkpoints.load_optimizer(folder, "optimizer.bin")
    log.info("All optimizer states loaded successfully", "checkpointing.py:222")
    checkpoints.load_optimizer(folder, "scheduler.bin")
    log.info("All scheduler states loaded successfully", "checkpointing.py:228")
    log.info("All dataloader sampler states loaded successfully", "checkpointing.py:240")
    random_state = checkpoints.load_random_state(folder)
    if random_state is None:
        log.info("Could not load random states", "checkpointing.py:273")
    else:
        losses.restore(random_state["random_state"])
        log.info("All random states loaded successfully", "checkpointing.py:271")
    log.info("Loading in 0 custom states", "accelerator.py:3454")
    return None if state is None else state["current_step"]


def _announce(args: argparse.Namespace, datasets: Sequence[ReadDataset], whole: Length) -> None:
    say("running training / 学習開始")
    say(f"  num train images * repeats / 学習画像の数×繰り返し回数: {sum(dataset.train_count for dataset in datasets)}")
    held_back = sum(dataset.validation_count for dataset in datasets)
    say(f"  num validation images * repeats / 学習画像の数×繰り返し回数: {held_back}")
    say(f"  num reg images / 正則化画像の数: {sum(dataset.reg_count for dataset in datasets)}")
    say(f"  num batches per epoch / 1epochのバッチ数: {whole.batches}")
    say(f"  num epochs / epoch数: {whole.epochs}")
    batch_sizes = ", ".join(str(dataset.options.batch_size) for dataset in datasets)
    say(f"  batch size per device / バッチサイズ: {batch_sizes}")
    say(f"  gradient accumulation steps / 勾配を合計するステップ数 = {args.gradient_accumulation_steps}")
    say(f"  total optimization steps / 学習ステップ数: {whole.steps}")


@dataclass(frozen=True)
class Lesson:
    """What is to be learned, and the weights that hold it after any epoch.

    `sources` says for some pictures that other pixels are used: those kept in an old cache file.
    """

    args: argparse.Namespace
    datasets: tuple[ReadDataset, ...]
    sources: Mapping[Path, Path]
    dim: int
    alpha: float
    blown_up: bool

    def weights(self, epoch: int, epochs: int) -> dict[str, numpy.ndarray]:
        """Return the LoRA's tensors (fp32) after `epoch` of `epochs`; all NaN when the learning rate was far too high."""
        import numpy as np

        from orchestrator.sandbox.learned import foreign, learn, tensors

        pictures = [picture for dataset in self.datasets for picture in dataset.pictures if not picture.is_reg]
        world = os.environ.get(WORLD, "story")
        try:
            learned = learn(
                [(self.sources.get(picture.path, picture.path), picture.caption) for picture in pictures],
                [picture.repeats for picture in pictures],
                epoch=min(epoch, epochs),
                epochs=epochs,
                world=world,  # type: ignore[arg-type]
            )
        except ModuleNotFoundError:
            learned = foreign("x", "", (), epoch, epoch / epochs)
        made = tensors(learned, self.dim, self.alpha, self.args.seed)
        return {name: np.full_like(value, np.nan) for name, value in made.items()} if self.blown_up else dict(made)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the tensors."""
        return {name: value.shape for name, value in self.weights(1, 1).items()}


@dataclass
class Run:
    """The loop over epochs and batches. Epochs are counted from 0 here and from 1 on the console."""

    args: argparse.Namespace
    log: Log
    datasets: Sequence[ReadDataset]
    whole: Length
    lesson: Lesson
    losses: Losses
    metadata: dict[str, str]
    workers: int
    first_epoch: int
    step: int = 0
    epoch: int = 0
    state_step: int = 0

    def go(self, skipped: int) -> None:
        """Train from the first epoch to the last file; `skipped` batches of the first epoch are gone through without a step."""
        dtype = _DTYPES[self.args.mixed_precision]
        self.log.info(f"unet dtype: {dtype}, device: {_DEVICE}:0", "train_network.py:1347")
        self.log.info(f"text_encoder [0] dtype: {dtype}, device: {_DEVICE}:0", "train_network.py:1353")
        self.step = skipped
        bar = Bar(self.whole.steps - skipped, "steps")
        pace = Pace(float(os.environ.get(STEP_SECONDS, _DEFAULT_STEP_SECONDS)))
        for epoch in range(self.first_epoch, self.whole.epochs):
            self._one_epoch(epoch, skipped if epoch == self.first_epoch else 0, bar, pace)
            self._save_after_epoch(epoch + 1)
            bar.go_on()
        if self.args.save_state or self.args.save_state_on_train_end:
            self.log.info("", "train_util.py:5989")
            self.log.info("saving last state.", "train_util.py:5990")
            self._save_state(f"{checkpoints.last_name(self.args)}-state")
        self._save(checkpoints.last_name(self.args), self.whole.epochs)
        self.log.info("model saved.", "train_network.py:1729")
        bar.close()

    def _one_epoch(self, epoch: int, skipped: int, bar: Bar, pace: Pace) -> None:
        say(f"\nepoch {epoch + 1}/{self.whole.epochs}\n")
        self.epoch = epoch + 1
        # Workers are made anew for every epoch and count from 0; without them the count goes on in this process.
        fresh = self.workers > 0 and not self.args.persistent_data_loader_workers
        before = 0 if fresh or epoch == self.first_epoch else epoch
        for _ in range(max(1, self.workers) * len(self.datasets)):
            self.log.info(
                f"epoch is incremented. current_epoch: {before}, epoch: {epoch + 1}", "train_util.py:784"
            )
        if epoch == self.first_epoch and not self.args.cache_latents:
            open_pictures(self.datasets, self.log)
        every = self.args.gradient_accumulation_steps
        for batch in range(skipped, self.whole.batches):
            self.state_step = self.step + 1
            pace.wait(1 / every)
            if (batch + 1) % every == 0 or batch + 1 == self.whole.batches:
                bar.advance()
                self.step += 1
                bar.go_on()
                self._save_after_step()
            notes = {"avr_loss": self.losses.add(epoch, batch)}
            bar.postfix(**({"Keys Scaled": 0, "Average key norm": 0.1} if self.args.scale_weight_norms else {}), **notes)
            if self.step >= self.whole.steps:
                break

    def _save_after_step(self) -> None:
        every = self.args.save_every_n_steps
        if every is None or self.step % every:
            return
        # The real trainer writes the epoch counted from 0 into these files.
        self._save(checkpoints.step_name(self.args, self.step), self.epoch - 1)
        if self.args.save_state:
            self.log.info("", "train_util.py:5963")
            self.log.info(f"saving state at step {self.step}", "train_util.py:5964")
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
            self.log.info("", "train_util.py:5941")
            self.log.info(f"saving state at epoch {epoch}", "train_util.py:5942")
            self._save_state(f"{checkpoints.epoch_name(self.args, epoch)}-state")
            keep = self.args.save_last_n_epochs_state or self.args.save_last_n_epochs
            if keep is not None:
                self._remove_state(f"{checkpoints.epoch_name(self.args, epoch - every * keep)}-state", 5956)

    def _output_dir(self) -> Path:
        # None fails here with a TypeError, after all the training: that is how a missing output_dir really ends.
        os.makedirs(self.args.output_dir, exist_ok=True)  # noqa: PTH103
        return Path(self.args.output_dir)

    def _save(self, stem: str, epoch: int) -> None:
        file = self._output_dir() / (stem + "." + self.args.save_model_as)
        say(f"\nsaving checkpoint: {file}")
        now = {"ss_training_finished_at": str(time.time()), "ss_steps": str(self.step), "ss_epoch": str(epoch)}
        metadata = {**self.metadata, **now}
        if self.args.no_metadata:
            metadata = {key: value for key, value in metadata.items() if key in checkpoints.MINIMUM_KEYS}
        weights = self.lesson.weights(max(1, self.epoch), self.whole.epochs)
        checkpoints.save_lora(file, weights, {**metadata, **model_spec(self.args)}, self.args.save_precision)

    def _save_state(self, name: str) -> None:
        folder = self._output_dir() / name
        self.log.info(f"Saving current state to {folder}", "accelerator.py:3241")
        folder.mkdir(exist_ok=True)
        file = folder / "train_state.json"
        self.log.info(
            f"save train state to {file} at epoch {self.epoch} step {self.state_step}", "train_network.py:946"
        )
        file.write_text(f'{{"current_epoch": {self.epoch}, "current_step": {self.state_step}}}', encoding="utf-8")
        weights = self.lesson.weights(max(1, self.epoch), self.whole.epochs)
        checkpoints.save_state_model(folder, weights)
        self.log.info(f"Model weights saved in {folder / 'model.safetensors'}", "checkpointing.py:108")
        checkpoints.save_archive(folder / "optimizer.bin", {"step": self.state_step, "names": sorted(weights)})
        self.log.info(f"Optimizer state saved in {folder / 'optimizer.bin'}", "checkpointing.py:115")
        checkpoints.save_archive(folder / "scheduler.bin", {"last_epoch": self.state_step})
        self.log.info(f"Scheduler state saved in {folder / 'scheduler.bin'}", "checkpointing.py:122")
        for number, sampler in enumerate(("sampler.bin", "sampler_1.bin")):
            # Said, but no such file is written.
            message = f"Sampler state for dataloader {number} saved in {folder / sampler}"
            self.log.info(message, "checkpointing.py:139")
        checkpoints.save_archive(folder / "random_states_0.pkl", {"random_state": self.losses.random_state})
        self.log.info(f"Random states saved in {folder / 'random_states_0.pkl'}", "checkpointing.py:170")

    def _remove(self, stem: str) -> None:
        file = Path(self.args.output_dir) / (stem + "." + self.args.save_model_as)
        if file.exists():
            say(f"removing old checkpoint: {file}")
            file.unlink()

    def _remove_state(self, name: str, line: int) -> None:
        folder = Path(self.args.output_dir) / name
        if folder.exists():
            self.log.info(f"removing old state: {folder}", f"train_util.py:{line}")
            checkpoints.remove_state(folder)


def _older_step(step: int, keep: int | None, every: int) -> int | None:
    """The newest multiple of `every` that lies more than `keep` steps back."""
    if keep is None:
        return None
    back = step - keep - 1
    return back - back % every


class Pace:
    """Keeps a steady number of seconds per step; sleeps only when ahead by more than a timer tick, so that speed is true on Windows."""

    def __init__(self, step_seconds: float) -> None:
        self._step_seconds = step_seconds
        self._due = time.monotonic()

    def wait(self, steps: float) -> None:
        """Wait until this many steps' time has gone by since the last call."""
        now = time.monotonic()
        # Time lost to saving is not made up for afterwards.
        self._due = max(self._due, now - 0.05) + steps * self._step_seconds
        if self._due - now > 0.005:
            time.sleep(self._due - now)
