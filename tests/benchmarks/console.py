"""Reading the trainer's console: MB/s of a log that is read at once, and what it costs while it is being written.

A training at 20 steps a second prints 40 bars a second; we look five times a second.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from orchestrator.kohya import console
from tests.benchmarks import trainings
from tests.benchmarks.trainings import figure

MB_A_SECOND = 50.0
PERCENT_OF_A_CORE = 0.1
_STEPS_A_SECOND, _LOOKS_A_SECOND = 20, 5
_CHUNK = 1 << 16
_GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "kohya_console.log"


def bars(steps: int, total: int = 576_000) -> bytes:
    """What the bar prints for so many steps: each twice, first with the loss of the one before it."""
    printed = []
    loss = "0.0812"
    for step in range(1, steps + 1):
        blocks = "█" * (step * 10 // total)
        head = f"\rsteps: {step * 100 // total:3d}%|{blocks:<10}| {step}/{total} [3:11:30<5:40:05, 20.01it/s, avr_loss="
        printed.append(f"{head}{loss}]")
        loss = f"0.0{800 + step % 97}"
        printed.append(f"{head}{loss}]")
    return "".join(printed).encode()


def read_at_once(data: bytes, *, every_step: bool) -> tuple[float, int]:
    """MB/s of processor time, and how many events came of it."""
    parser = console.Parser(every_step=every_step)
    began = time.process_time()
    events = sum(len(parser.feed(data[start : start + _CHUNK])) for start in range(0, len(data), _CHUNK))
    events += len(parser.close())
    return len(data) / 1e6 / (time.process_time() - began), events


def share_of_a_core(data: bytes) -> float:
    """Percent of a core while the log grows at 20 steps a second and is looked at five times a second."""
    parser = console.Parser(every_step=False)
    prints = data.split(b"\r")[1:]
    at_once = 2 * _STEPS_A_SECOND // _LOOKS_A_SECOND
    began = time.process_time()
    for start in range(0, len(prints), at_once):
        parser.feed(b"".join(b"\r" + one for one in prints[start : start + at_once]))
    joined = time.process_time()
    for start in range(0, len(prints), at_once):
        b"".join(b"\r" + one for one in prints[start : start + at_once])
    own = (joined - began) - (time.process_time() - joined)
    return own / (len(prints) / 2 / _STEPS_A_SECOND) * 100


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    rounds = asked.parse_args().rounds
    print(trainings.machine())
    golden = _GOLDEN.read_bytes()
    kinds = {
        "bars": bars(100_000),
        "a whole log again and again": golden * (8_000_000 // len(golden)),
    }
    for label, data in kinds.items():
        for every_step in (False, True):
            found = [read_at_once(data, every_step=every_step) for _ in range(rounds)]
            speed = statistics.median(speed for speed, _ in found)
            what = f"{label}, {'every step' if every_step else 'to show progress'}"
            # What a night consists of, as it is read while one watches; the rest is for comparison.
            limited = label == "bars" and not every_step
            line = figure(what, speed, MB_A_SECOND, "MB/s", least=True) if limited else f"{what:46} {speed:9.3g} MB/s"
            print(f"{line}   ({found[0][1]} events of {len(data) / 1e6:.1f} MB)")
    share = statistics.median(share_of_a_core(kinds["bars"]) for _ in range(rounds))
    print(figure("while it is written, 20 steps a second", share, PERCENT_OF_A_CORE, "% of core"))


if __name__ == "__main__":
    main()
