"""What a preset says about starting the trainer, and about the pictures drawn meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.kohya.gui_values import number, truth
from orchestrator.kohya.gui_words import Note

_MOST_THREADS, _MOST_CARDS = 256, 64


def launch_of(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Note]]:
    """`cpu_threads` and `gpus` of a preset, where it names any, and notes."""
    launch: dict[str, Any] = {}
    notes: list[Note] = []
    threads = int(number(given.get("num_cpu_threads_per_process"), 0))
    if 0 < threads <= _MOST_THREADS:
        launch["cpu_threads"] = threads
    cards = [int(part) for part in str(given.get("gpu_ids") or "").split(",") if part.strip().isdecimal()]
    processes = int(number(given.get("num_processes"), 1))
    if processes > _MOST_CARDS:
        notes.append(Note("dropped", "num_processes", processes, "", "no machine has so many cards"))
    elif truth(given.get("multi_gpu")) and not cards and processes > 1:
        cards = list(range(processes))
        notes.append(Note("ambiguous", "num_processes", processes, f"gpus = {cards}", "which cards is not said"))
    if cards:
        launch["gpus"] = tuple(cards)
    if int(number(given.get("num_machines"), 1)) > 1:
        notes.append(Note("dropped", "num_machines", given["num_machines"], "", "one machine trains here"))
    return launch, notes


def samples_of(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Note]]:
    """`prompts`, `every_epochs` (0 = with every file), `sampler` (empty where the GUI draws none), and notes."""
    lines = [line.strip() for line in str(given.get("sample_prompts") or "").splitlines()]
    prompts = tuple(line for line in lines if line and not line.startswith("#"))
    epochs, steps = (max(int(number(given.get(f"sample_every_n_{unit}"), 0)), 0) for unit in ("epochs", "steps"))
    if not prompts:
        return {}, []
    if not epochs and not steps:
        why = "neither sample_every_n_epochs nor sample_every_n_steps is set, so the GUI drew none"
        return {}, [Note("dropped", "sample_prompts", f"{len(prompts)} prompts", "", why)]
    notes = []
    if not epochs:
        why = "pictures are drawn after epochs here: with every saved file"
        notes.append(Note("ambiguous", "sample_every_n_steps", steps, "samples.every_epochs = 0", why))
    sampler = str(given.get("sample_sampler") or "euler_a")
    return {"prompts": prompts, "every_epochs": epochs, "sampler": sampler}, notes
