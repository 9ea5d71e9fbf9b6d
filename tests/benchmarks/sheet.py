"""Sheets against what Pillow needs to decode their cells and to encode the same PNG once; time and peak memory.

Fair means: the same pictures (photographs' statistics: smooth with noise, packed at level 6 as A1111 does), both from a
warm disk cache, both in a fresh process. Pillow encodes at level 1, its fastest; the time to paste is not counted, and
neither are Pillow's labels, for it draws none. Three runs of each in turn; the fastest counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from orchestrator.grid.manifest import Axis, Entry, Manifest

TIMES_PILLOW = 1.3
_SIDE = 512
_RUNS = 3


def picture(rng: np.random.Generator) -> Image.Image:
    """Smooth shapes of all sizes, and the noise of a camera."""
    total = np.zeros((_SIDE, _SIDE, 3))
    for cells in (4, 8, 16, 32, 64, 128):
        coarse = Image.fromarray((rng.random((cells, cells, 3)) * 255).astype(np.uint8))
        total += np.asarray(coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), float) / cells**0.9
    total = (total - total.min()) / (total.max() - total.min()) * 255 + rng.normal(0, 2.0, total.shape)
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


def grid(folder: Path, rows: int, columns: int) -> Manifest:
    """A grid of `rows` × `columns` over the pictures in `folder`."""
    axes = (
        Axis("epoch", "epoch", tuple(str(n) for n in range(1, rows + 1)), True),
        Axis("seed", "seed", tuple(str(n) for n in range(columns))),
    )
    files = sorted(path.name for path in folder.glob("cell-*.png"))
    cells = [
        Entry((row, column), f"epoch {row + 1}, seed {column}", "ready", files[(row * columns + column) % len(files)])
        for row in range(rows)
        for column in range(columns)
    ]
    shared = {"width": _SIDE, "height": _SIDE}
    return Manifest("bench", "benchmark", True, {}, axes, 1, 0, False, shared, tuple(cells))


def ours(folder: Path, rows: int, columns: int) -> dict[str, float]:
    """Seconds and megabytes of one sheet."""
    from orchestrator.grid.sheet import draw_sheets

    state = grid(folder, rows, columns)
    began = time.perf_counter()
    (sheet,) = draw_sheets(folder, state).sheets
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak": peak_mb(), "bytes": (folder / sheet.file).stat().st_size}


def pillow(folder: Path, rows: int, columns: int) -> dict[str, float]:
    """Seconds to decode all cells, and to encode them all as one PNG."""
    state = grid(folder, rows, columns)
    whole = Image.new("RGB", (columns * _SIDE, rows * _SIDE))
    decoding = 0.0
    for entry in state.cells:
        began = time.perf_counter()
        with Image.open(folder / entry.picture) as image:
            decoded = image.convert("RGB")
        decoding += time.perf_counter() - began
        whole.paste(decoded, (entry.at[1] * _SIDE, entry.at[0] * _SIDE))
    target = folder / "pillow.png"
    began = time.perf_counter()
    whole.save(target, compress_level=1)
    encoding = time.perf_counter() - began
    return {"seconds": decoding + encoding, "decoding": decoding, "peak": peak_mb(), "bytes": target.stat().st_size}


def peak_mb() -> float:
    """The most memory this process had."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def child(what: str, folder: Path, rows: int, columns: int) -> dict[str, float]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.sheet", "--child", what, str(folder), str(rows), str(columns)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8")
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=4, metavar=("WHAT", "FOLDER", "ROWS", "COLUMNS"))
    parser.add_argument("--only-400", action="store_true", help="leave out the sheet of 655 megapixels")
    options = parser.parse_args()
    if options.child:
        what, folder, rows, columns = options.child
        print(json.dumps({"ours": ours, "pillow": pillow}[what](Path(folder), int(rows), int(columns))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(1)
        for number in range(40):
            picture(rng).save(folder / f"cell-{number:02d}.png")
        runs: dict[str, list[dict[str, float]]] = {"pillow": [], "ours": []}
        for _ in range(_RUNS):
            for what, found in runs.items():
                found.append(child(what, folder, 20, 20))
        best = {what: min(found, key=lambda run: run["seconds"]) for what, found in runs.items()}
        mine, rival = best["ours"], best["pillow"]
        print(f"400 cells of {_SIDE}×{_SIDE} ({os.cpu_count()} processors)")
        print(f"  Pillow: {rival['seconds']:.2f} s ({rival['decoding']:.2f} s of it decoding), {rival['peak']:.0f} MB")
        ratio = mine["seconds"] / rival["seconds"]
        print(f"  sheet:  {mine['seconds']:.2f} s = {ratio:.2f} × Pillow's (at most {TIMES_PILLOW})")
        print(f"  peak:   {mine['peak']:.0f} MB = {mine['peak'] / 200:.2f} of 200 MB")
        print(f"  file:   {mine['bytes'] / 1e6:.0f} MB = {mine['bytes'] / rival['bytes']:.2f} × Pillow's at level 1")
        if not options.only_400:
            large = child("ours", folder, 50, 50)
            print("2,500 cells, 655 megapixels")
            print(f"  sheet:  {large['seconds']:.1f} s, {large['peak']:.0f} MB = {large['peak'] / 300:.2f} of 300 MB")


if __name__ == "__main__":
    main()
