"""A grid of ten thousand cells: processor time per picture and peak memory of our process; and a grid of 400 cells that
is complete, rendered again.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import psutil

from orchestrator.a1111.client import A1111
from orchestrator.grid.render import render_grid
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Renderer
from orchestrator.render.server import connect
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings
from tests.integration.grid_samples import STARTER, Deployed, File, grid_of, starter, tiny

LIMIT_MS, LIMIT_MB, LIMIT_AGAIN_S = 15, 150, 1.5


def draw(url: str, folder: Path, epochs: int, weights: int, seeds: int, side: int) -> dict[str, float]:
    """Draw epochs × weights × seeds; seconds, CPU seconds and peak memory of this process above idle (MB)."""
    with A1111(url) as client:
        # Whatever is imported at the first use belongs to idle.
        renderer = Renderer(connect(client, memory=folder / "cache"), PictureCache(folder / "cache"))
        shown, settings = starter(renderer).shown_hash, tiny(width=side, height=side)
        deployed = [Deployed(File(epoch, f"{epoch:064d}"), STARTER, shown) for epoch in range(1, epochs + 1)]
        warm = grid_of(renderer, [("epoch", "1"), ("weight", "1"), ("seed", "1")], deployed, settings=settings)
        render_grid(warm, renderer, folder / "warm", title="warm", simulated=True)
        process = psutil.Process()
        idle = process.memory_info().rss
        axes = [
            ("epoch", "all"),
            ("weight", [round(k / weights, 3) for k in range(1, weights + 1)]),
            ("seed", range(seeds)),
        ]
        grid = grid_of(renderer, axes, deployed, settings=settings)
        missing = renderer.missing(grid.recipes)
        started, before = time.perf_counter(), process.cpu_times()
        pictures = renderer.render(grid.recipes)
        after, drawn = process.cpu_times(), time.perf_counter() - started
        assert not any(picture.error for picture in pictures)
        del pictures
        peak_drawing = _peak()
        result = render_grid(grid, renderer, folder / "large", title="large", simulated=True)
        assert result.failed == 0
        return {
            "cells": result.total,
            "drawn": missing,
            "drawing": drawn,
            "seconds": time.perf_counter() - started,
            "cpu": after.user + after.system - before.user - before.system,
            "drawing_mb": (peak_drawing - idle) / 1e6,
            "peak_mb": (_peak() - idle) / 1e6,
        }


def _peak() -> float:
    """Peak resident bytes of this process so far."""
    scale = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=100, help="of 10 epochs × 10 weights")
    arguments.add_argument("--side", type=int, default=512)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        home.mkdir()
        with sandbox.start(home, settings=Settings(painter="plain")) as running:
            large = draw(running.url, Path(name) / "large", 10, 10, asked.seeds, asked.side)
            print(
                f"{large['cells']:,.0f} cells of {asked.side}×{asked.side}: drawn in {large['drawing']:.0f} s, "
                f"with sheets, viewer and manifest {large['seconds']:.0f} s"
            )
            print(
                f"peak memory {large['peak_mb']:.0f} MB above idle ({large['drawing_mb']:.0f} MB while drawing)   "
                f"limit {LIMIT_MB}   {large['peak_mb'] / LIMIT_MB:.2f} of it"
            )
            per_picture = large["cpu"] / large["drawn"] * 1000
            print(
                f"{per_picture:.1f} ms of processor time a picture while drawing   limit {LIMIT_MS}   "
                f"{per_picture / LIMIT_MS:.2f} of it"
            )
            folder = Path(name) / "again"
            draw(running.url, folder, 8, 10, 5, asked.side)
            drawn = _jobs(home)
            started = time.perf_counter()
            again = draw(running.url, folder, 8, 10, 5, asked.side)
            seconds = time.perf_counter() - started
            print(
                f"{again['cells']:.0f} cells again: {seconds:.2f} s with finding out what the server is   limit "
                f"{LIMIT_AGAIN_S}   {seconds / LIMIT_AGAIN_S:.2f} of it   requests that draw: {_jobs(home) - drawn}"
            )


def _jobs(home: Path) -> int:
    return sum(1 for line in (home / "drawn.jsonl").read_text(encoding="utf-8").splitlines() if json.loads(line))


if __name__ == "__main__":
    main()
