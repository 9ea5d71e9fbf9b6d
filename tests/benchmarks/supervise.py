"""Memory and processor time of watching a training: eight hours replayed, then some seconds of the real command.

The replay is a log of 20 steps a second for eight hours (576,000 steps, each printed twice, epochs and files between),
about 110 MB, read by the code that follows a training, in a process that has imported all that the command imports;
afterwards the metrics are collected from it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from tests.benchmarks import trainings
from tests.benchmarks.console import bars
from tests.benchmarks.trainings import figure

LIMIT_MB = 60.0
#: Flat means: what the second half of the night adds.
GROWTH_MB = 2.0
_EPOCHS = 80
_STEPS = 576_000
_REPLAY = """
import sys
from pathlib import Path
import orchestrator.cli.train, orchestrator.cli.console, orchestrator.pipeline, orchestrator.training.run
from orchestrator.training.follow import Watch, follow
log, epochs, save_every = Path(sys.argv[1]), int(sys.argv[2]), 10
seen = []
watch = Watch("night", epochs, save_every, 0, lambda event: seen.clear())
print("watching", flush=True)
follow(log, watch, lambda: False, poll_s=0.2)
print("watched", watch.step, len(watch.losses), flush=True)
from orchestrator.training import metrics
covered = metrics.collect([metrics.Source(log, (), 0, epochs)], log.with_name("metrics.jsonl"))
print("collected", covered[0].steps, flush=True)
"""


def write_night(log: Path) -> int:
    """The log of eight hours; its size in bytes."""
    per_epoch = _STEPS // _EPOCHS
    one = bars(per_epoch, _STEPS)
    with log.open("wb") as stream:
        for epoch in range(1, _EPOCHS + 1):
            stream.write(f"\n\nepoch {epoch}/{_EPOCHS}\n\n".encode())
            stream.write(_shifted(one, (epoch - 1) * per_epoch))
            if epoch % 10 == 0:
                stream.write(f"\n\nsaving checkpoint: /runs/night/lora/night-{epoch:06d}.safetensors\n".encode())
    return log.stat().st_size


def _shifted(bars_of_an_epoch: bytes, before: int) -> bytes:
    """The same bars after `before` steps more."""
    tail = b"/%d [" % _STEPS
    parts = []
    for line in bars_of_an_epoch.split(b"\r")[1:]:
        end = line.index(tail)
        start = line.rindex(b" ", 0, end) + 1
        parts.append(line[:start] + b"%d" % (int(line[start:end]) + before) + line[end:])
    return b"\r" + b"\r".join(parts)


def replay(log: Path) -> None:
    """Read the night in a process of its own and print its memory at each stage."""
    child = subprocess.Popen([sys.executable, "-c", _REPLAY, str(log), str(_EPOCHS)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    process = psutil.Process(child.pid)
    child.stdout.readline()
    curve = [process.memory_info().rss / 1e6]
    began, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
    watched = threading.Event()
    words: list[str] = []
    output = child.stdout

    def listen() -> None:
        words.append(output.readline())
        watched.set()

    threading.Thread(target=listen, daemon=True).start()
    while not watched.wait(0.05):
        curve.append(process.memory_info().rss / 1e6)
    took, cpu = time.perf_counter() - began, sum(process.cpu_times()[:2]) - cpu
    if not words[0].startswith(f"watched {_STEPS} {_EPOCHS}"):
        sys.exit(f"the night was not followed to its end: {words[0]!r}")
    middle = curve[len(curve) // 2]
    print(f"  read in {took:.1f} s, {cpu / (_STEPS / 20) * 100:.3f} % of a core over the eight hours")
    shown = " ".join(f"{curve[round(part * (len(curve) - 1) / 8)]:.0f}" for part in range(9))
    print(f"  MB hour by hour: {shown}")
    print(figure("watching eight hours, peak", max(curve), LIMIT_MB, "MB"))
    print(figure("  grown in the second half", curve[-1] - middle, GROWTH_MB, "MB"))
    peak = curve[-1]
    while child.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss / 1e6)
        except psutil.Error:
            break
        time.sleep(0.02)
    print(figure("collecting the metrics of it, peak", peak, LIMIT_MB, "MB"))


def live(watch_s: float) -> None:
    """The real command beside the simulated trainer at 20 steps a second."""
    with tempfile.TemporaryDirectory() as name:
        workspace = trainings.make_workspace(Path(name) / "workspace", epochs=400)
        child = subprocess.Popen(
            trainings.command(), cwd=workspace, env=trainings.environment(0.05), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        process = psutil.Process(child.pid)
        log = workspace / "runs" / trainings.NAME / "console-1.log"
        while not (log.exists() and b"steps:" in log.read_bytes()):
            if child.poll() is not None:
                sys.exit(f"orchestrator train ended with exit code {child.returncode}")
            time.sleep(0.05)
        time.sleep(2.0)
        began, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
        peak = 0.0
        while time.perf_counter() - began < watch_s:
            peak = max(peak, process.memory_info().rss / 1e6)
            time.sleep(0.2)
        share = (sum(process.cpu_times()[:2]) - cpu) / (time.perf_counter() - began) * 100
        for one in process.children(recursive=True):
            one.kill()
        child.kill()
        child.wait()
    print(figure(f"the command, {watch_s:.0f} s at 20 steps a second", peak, LIMIT_MB, "MB"))
    print(f"{'  all of it, files and guards included':46} {share:9.3g} % of core")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=20.0, help="how long the real command is watched")
    given = asked.parse_args()
    print(trainings.machine())
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "console-1.log"
        print(f"eight hours of console: {write_night(log) / 1e6:.0f} MB")
        replay(log)
    live(given.seconds)


if __name__ == "__main__":
    main()
