"""Time and memory of `orchestrator demo`, from nothing and repeated; memory is the sum over all its processes
(proportional set size).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

LIMIT_S = {"from nothing": 120, "repeated": 15}
LIMIT_GB = 1.5


def memory(process: psutil.Process) -> float:
    """Bytes used by a process and its children; shared pages counted once where the system tells (Linux), else resident
    size.
    """
    total = 0.0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    for each in family:
        try:
            full = each.memory_full_info()
            total += getattr(full, "pss", full.rss)
        except psutil.Error:
            continue
    return total


def run(folder: Path, more: list[str]) -> tuple[float, float]:
    """Seconds and peak bytes of one demo."""
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "demo", "--folder", str(folder), *more],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ,
    )  # fmt: skip
    peak = 0.0
    while child.poll() is None:
        peak = max(peak, memory(psutil.Process(child.pid)))
        time.sleep(0.25)
    if child.returncode:
        raise SystemExit(f"the demo ended with exit code {child.returncode}")
    return time.perf_counter() - started, peak


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--keep", type=Path, help="play it here and keep it")
    asked, more = arguments.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        folder = asked.keep or Path(name) / "demo"
        for what, limit in LIMIT_S.items():
            took, peak = run(folder, more)
            print(
                f"{what:13} {took:6.1f} s   limit {limit} s   {took / limit:.2f} of it   "
                f"peak memory {peak / 1e9:.2f} GB of {LIMIT_GB}"
            )


if __name__ == "__main__":
    main()
