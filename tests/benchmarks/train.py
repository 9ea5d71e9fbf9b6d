"""From `orchestrator train` to the trainer's first byte, a dry run, and reading the arguments: beside their limits.

The command runs as a person runs it, in processes of its own. "Ours" is the time to the trainer's first byte without
what the simulated trainer itself takes to say it, measured in the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.benchmarks import trainings
from tests.benchmarks.trainings import figure

FIRST_BYTE_S = 0.5
DRY_RUN_S = 1.0
ARGUMENTS_COLD_S = 1.0
ARGUMENTS_CACHED_MS = 20.0
SCRIPTS = ("train_network.py", "sdxl_train_network.py", "flux_train_network.py")

_ARGUMENTS = """
import json, sys, time
from pathlib import Path
from orchestrator.kohya import arguments, install
found = install.find(sys.argv[1], sys.executable)
began = time.perf_counter()
found = install.find(sys.argv[1], sys.executable)
read = {}
for script in sys.argv[3:]:
    read[script] = len(arguments.read(found, script, Path(sys.argv[2])))
print(json.dumps({"ms": (time.perf_counter() - began) * 1000, "read": read}))
"""


def first_byte(workspace: Path) -> tuple[float, float, float]:
    """Seconds to the trainer's first byte, those that the trainer alone takes for it, and our processor's till then."""
    runs = workspace / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    log = runs / trainings.NAME / "console-1.log"
    began = time.perf_counter()
    child = psutil.Popen(
        trainings.command(), cwd=workspace, env=trainings.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    took = busy = 0.0
    while child.poll() is None and not took:
        if log.exists() and log.stat().st_size:
            took = time.perf_counter() - began
            busy = sum(child.cpu_times()[:2])
        else:
            time.sleep(0.001)
    said = child.communicate()[0].decode("utf-8", "replace")
    if child.returncode or not took:
        sys.exit(f"orchestrator train ended with exit code {child.returncode}:\n{said[-2000:]}")
    return took, alone(runs / trainings.NAME / "config.toml"), busy


def alone(config: Path) -> float:
    """Seconds the simulated trainer takes from its start to its first byte."""
    began = time.perf_counter()
    trainer = subprocess.Popen(
        [sys.executable, str(trainings.SANDBOX / "train_network.py"), "--config_file", str(config)],
        env={**trainings.environment(), "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert trainer.stdout is not None
    trainer.stdout.read(1)
    took = time.perf_counter() - began
    trainer.kill()
    trainer.communicate()
    return took


def arguments_ms(kohya: Path, cache: Path, scripts: list[str]) -> tuple[float, dict[str, int]]:
    """Milliseconds to find the install again and to read the arguments of its scripts, in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", _ARGUMENTS, str(kohya), str(cache), *scripts],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    return found["ms"], found["read"]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--kohya", type=Path, default=trainings.SANDBOX, help="read the arguments of this sd-scripts")
    asked.add_argument("--rounds", type=int, default=7)
    given = asked.parse_args()
    print(trainings.machine())
    with tempfile.TemporaryDirectory() as name:
        workspace = trainings.make_workspace(Path(name) / "workspace")
        total, own, _ = first_byte(workspace)
        print(f"{'the very first time (nothing cached)':46} {total - own:9.3g} s")
        rounds = [first_byte(workspace) for _ in range(given.rounds)]
        ours = statistics.median(total - own for total, own, _ in rounds)
        print(figure("to the trainer's first byte, ours", ours, FIRST_BYTE_S, "s"))
        busy = statistics.median(busy for _, _, busy in rounds)
        print(f"{'  processor time in it (what load cannot change)':46} {busy:9.3g} s")
        print(f"{'  the trainer itself':46} {statistics.median(own for _, own, _ in rounds):9.3g} s")
        shutil.rmtree(workspace / "runs")
        dry = [
            trainings.seconds(lambda: trainings.run(trainings.command("--dry-run"), workspace))
            for _ in range(given.rounds)
        ]
        print(figure(f"--dry-run, {trainings.PICTURES} pictures", statistics.median(dry), DRY_RUN_S, "s"))
        shutil.rmtree(workspace / ".orchestrator" / "cache")
        cold = trainings.seconds(lambda: trainings.run(trainings.command("--dry-run"), workspace))
        print(f"{'  with nothing cached':46} {cold:9.3g} s")
        present = [script for script in SCRIPTS if os.path.isfile(given.kohya / script)]  # noqa: PTH113
        for scripts in ([present[0]], present):
            label = "one script" if len(scripts) == 1 else f"{len(scripts)} scripts"
            cache = Path(name) / f"arguments-{len(scripts)}"
            took, read = arguments_ms(given.kohya, cache, scripts)
            print(figure(f"arguments of {label}, cold ({sum(read.values())})", took / 1000, ARGUMENTS_COLD_S, "s"))
            again = statistics.median(arguments_ms(given.kohya, cache, scripts)[0] for _ in range(given.rounds))
            print(figure(f"arguments of {label}, cached", again, ARGUMENTS_CACHED_MS, "ms"))


if __name__ == "__main__":
    main()
