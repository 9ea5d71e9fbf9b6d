"""What the benchmarks of training share: a workspace with 30 pictures, and the figures of this very machine beside
which theirs are read.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

import orchestrator.sandbox

SANDBOX = orchestrator.sandbox.trainer_folder()
PICTURES = 30
SIDE = 512
NAME = "ai_model_v1"


def make_workspace(folder: Path, *, epochs: int = 4) -> Path:
    """A workspace with a built dataset of 30 pictures of 512², and a base checkpoint of a few bytes."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(1)
    for group in ("close-up", "upper body", "full body"):
        place = folder / "dataset" / "v1" / f"1_{group}"
        place.mkdir(parents=True)
        for number in range(PICTURES // 3):
            pixels = chance.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number:04d}.png")
            (place / f"{number:04d}.txt").write_text(f"{NAME}, {group}", encoding="utf-8")
    weights = {f"{part}.x": np.zeros(4, np.float16) for part in ("model.diffusion_model", "cond_stage_model")}
    save_file(weights, folder / "base.safetensors")
    (folder / "lora.toml").write_text(
        f'[subject]\nname = "ai_model"\nversion = "v1"\n[base]\npath = {str(folder / "base.safetensors")!r}\n'
        f'[training]\nepochs = {epochs}\nsave_every = 2\ndim = 4\nalpha = 2\noptimizer = "AdamW"\n',
        encoding="utf-8",
    )
    return folder


def command(*more: str) -> list[str]:
    """`orchestrator train` with the simulated trainer."""
    return [
        sys.executable, "-m", "orchestrator", "train", "--kohya", str(SANDBOX), "--kohya-python", sys.executable, *more,
    ]  # fmt: skip


def environment(step_seconds: float = 0.0) -> dict[str, str]:
    return {**os.environ, "ORCHESTRATOR_SANDBOX_STEP_SECONDS": str(step_seconds), "PYTHONUTF8": "1"}


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run(arguments: list[str], folder: Path) -> None:
    """Run to the end; its words are shown when it fails."""
    done = subprocess.run(
        arguments, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} ended with exit code {done.returncode}:\n{done.stderr.decode()[-2000:]}")


def machine() -> str:
    """One line about this machine now: a busy one makes every figure worse, and this one too."""
    bare = ["-c", "pass"], ["-c", "import pydantic; pydantic.create_model('M', x=(int, 1))()"]
    took = [
        statistics.median(
            seconds(lambda code=code: subprocess.run([sys.executable, *code], check=True)) for _ in range(5)
        )
        for code in bare
    ]
    load = f", load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores" if hasattr(os, "getloadavg") else ""
    return f"this machine: an empty Python {took[0] * 1000:.0f} ms, one with pydantic {took[1] * 1000:.0f} ms{load}"


def figure(what: str, value: float, limit: float, unit: str, *, least: bool = False) -> str:
    """One line: the figure, its limit, and whether it is met."""
    met = value >= limit if least else value <= limit
    side = "at least" if least else "at most"
    return f"{what:46} {value:9.3g} {unit:9} {side} {limit:g}   {'met' if met else 'NOT MET'}"
