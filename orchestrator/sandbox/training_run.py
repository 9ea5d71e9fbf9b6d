"""The simulated training run: sd-scripts' order of work, console lines and files, with a pause instead of each step."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator.sandbox import (
    checkpoints,
    training_faults,
    training_memory,
    training_model,
    training_settings,
    training_trackers,
)
from orchestrator.sandbox.computing import note
from orchestrator.sandbox.console_output import Console, say
from orchestrator.sandbox.dataset_options import load_description, resolve
from orchestrator.sandbox.dataset_reading import ReadDataset, read_datasets, subfolder_subsets
from orchestrator.sandbox.latent_cache import cache_latents, cache_text_outputs
from orchestrator.sandbox.lesson import Lesson
from orchestrator.sandbox.training_kinds import SD, Kind
from orchestrator.sandbox.training_loop import DEVICE, Run
from orchestrator.sandbox.training_metadata import run_metadata
from orchestrator.sandbox.training_plan import (
    Length,
    Losses,
    is_main_process,
    length,
    override_steps,
    start_at,
)

_TRAINS_NOTHING = "simulated trainer: no network is trained"


def start(args: argparse.Namespace, parser: argparse.ArgumentParser, kind: Kind = SD) -> None:
    """Read the configuration file named in `args`, then train."""
    if not is_main_process():
        # One of several processes speaks.
        sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    say(_TRAINS_NOTHING)
    console = Console()
    train(training_settings.read_config_file(args, parser, console), console, kind)


def train(args: argparse.Namespace, console: Console, kind: Kind = SD) -> None:
    """Run from the first log line to the last file. Fails where, and with what, the real trainer fails."""
    faults = training_faults.asked_for(args)
    faults.strike("start")
    session_id = random.randint(0, 2**32)
    started_at = time.time()
    training_settings.verify(args, console)
    console = Console(simple=args.console_log_simple, file=args.console_log_file, level=args.console_log_level)
    if args.seed is None:
        args.seed = random.randint(0, 2**32)
    datasets = _datasets(args, console, kind)
    if sum(dataset.batches for dataset in datasets) == 0:
        console.error(
            "No data found. Please verify arguments (train_data_dir must be the parent of folders with images) / "
            "画像がありません。引数指定を確認してください（train_data_dirには画像があるフォルダではなく、"
            "画像があるフォルダの親フォルダを指定する必要があります）",
            "train_network.py:576",
        )
        return
    training_model.check_kind(args, datasets, console, kind)
    console.info("preparing accelerator", "train_network.py:593")
    training_settings.check_accelerator(args)
    if is_main_process():
        note("trainer")
    say(f"accelerator device: {DEVICE}")
    training_model.check_base_model(args, console, kind)
    with _scratch(args) as scratch:
        sources: dict[Path, Path] = {}
        if args.cache_latents:
            training_memory.check_encoding(args, datasets, kind)
            sources = cache_latents(datasets, args.cache_latents_to_disk, scratch, console, kind, faults)
        if kind.text_outputs and args.cache_text_encoder_outputs:
            cache_text_outputs(datasets, args.cache_text_encoder_outputs_to_disk, console, kind)
        network = _network(args, console)
        say("prepare optimizer, data loader etc.")
        chosen = training_settings.optimizer(args, console)
        workers = min(args.max_data_loader_n_workers, os.cpu_count() or 1)
        if args.persistent_data_loader_workers and workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        override_steps(args, datasets)
        training_settings.check_scheduler(args)
        training_settings.check_full_precision(args)
        lesson = Lesson(args, tuple(datasets), sources, network.lora_dim, network.alpha, chosen.blows_up, kind)
        losses = Losses(args.seed, args.max_train_steps, chosen.blows_up)
        state_step = _resume(args, lesson, losses, console)
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
            kind=kind,
        )
        first_epoch, skipped = start_at(args, state_step, whole, console)
        run = Run(args, console, datasets, whole, lesson, losses, metadata, workers, first_epoch, faults)
        run.events = training_trackers.start(args) if is_main_process() else None
        run.go(skipped)


@contextlib.contextmanager
def _scratch(args: argparse.Namespace) -> Iterator[Path]:
    """A folder for pictures out of cache files; none is made without such files: a killed run cannot remove it."""
    if not args.cache_latents_to_disk:
        yield Path()
        return
    with tempfile.TemporaryDirectory(prefix="sandbox_trainer_") as folder:
        yield Path(folder)


def _datasets(args: argparse.Namespace, console: Console, kind: Kind) -> tuple[ReadDataset, ...]:
    console.info("Using v1 tokenizer", "strategy_sd.py:26")
    if args.tokenizer_cache_dir:
        cached = Path(args.tokenizer_cache_dir) / "openai_clip-vit-large-patch14"
        if cached.is_dir():
            console.info(f"load tokenizer from cache: {cached}", "strategy_base.py:61")
    if args.dataset_config is not None:
        console.info(f"Loading dataset config from {args.dataset_config}", "train_network.py:519")
        description = load_description(args.dataset_config, console)
        if any(value is not None for value in (args.train_data_dir, args.reg_data_dir, args.in_json)):
            names = "train_data_dir, reg_data_dir, in_json"
            console.warning(
                f"ignoring the following options because config file is found: {names} / "
                f"設定ファイルが利用されるため以下のオプションは無視されます: {names}",
                "train_network.py:523",
            )
    elif args.in_json is not None:
        raise NotImplementedError(
            "the simulated trainer reads folders of pictures with captions, no metadata file (in_json)"
        )
    else:
        console.info("Using DreamBooth method.", "train_network.py:530")
        description = {"datasets": [{"subsets": subfolder_subsets(args.train_data_dir, args.reg_data_dir, console)}]}
    return read_datasets(resolve(description, args, console), console, kind.latents)


def _network(args: argparse.Namespace, console: Console) -> Any:
    say("import network module:", args.network_module)
    module = importlib.import_module(args.network_module)
    options = training_settings.network_options(args)
    network = module.create_network(
        1.0, args.network_dim, args.network_alpha, neuron_dropout=args.network_dropout, **options
    )
    enabled = network.enabled(not args.network_train_unet_only, not args.network_train_text_encoder_only)
    for message, place in (*network.notes, *enabled):
        console.info(message, place)
    if args.network_weights is not None:
        from safetensors import safe_open

        with safe_open(args.network_weights, framework="np"):
            say(f"load network weights from {args.network_weights}: <All keys matched successfully>")
    return network


def _resume(args: argparse.Namespace, lesson: Lesson, losses: Losses, console: Console) -> int | None:
    """Load the state folder of --resume; return the step written in it.

    Fails as a broken or foreign state really fails.
    """
    if not args.resume:
        return None
    folder = Path(args.resume)
    console.info(f"resume training from local state: {folder}", "train_util.py:4777")
    if folder.is_dir():
        console.info(f"Loading states from {folder}", "accelerator.py:3371")
    state = checkpoints.load_train_state(folder)
    if state is not None:
        console.info(f"load train state from {folder / 'train_state.json'}: {state}", "train_network.py:969")
    checkpoints.load_network(folder, lesson.shapes())
    console.info("All model weights loaded successfully", "checkpointing.py:214")
    checkpoints.load_optimizer(folder, "optimizer.bin")
    console.info("All optimizer states loaded successfully", "checkpointing.py:222")
    checkpoints.load_optimizer(folder, "scheduler.bin")
    console.info("All scheduler states loaded successfully", "checkpointing.py:228")
    console.info("All dataloader sampler states loaded successfully", "checkpointing.py:240")
    random_state = checkpoints.load_random_state(folder)
    if random_state is None:
        console.info("Could not load random states", "checkpointing.py:273")
    else:
        losses.restore(random_state["random_state"])
        console.info("All random states loaded successfully", "checkpointing.py:271")
    console.info("Loading in 0 custom states", "accelerator.py:3454")
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
