"""The queue's own time: listing, claiming, the card's idle gaps, an idle worker, and going on after a crash.

    python -m tests.benchmarks.queue

The trainer and the server are simulated; of a gap between two jobs only what we cause is counted: from the last moment
the card was used by the one to the first by the other, without the trainer's and A1111's own loading.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from orchestrator.jobs.model import NewJob
from orchestrator.jobs.store import Store
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.training.record import read_record
from tests.benchmarks.trainings import figure, machine
from tests.integration.queue_night import Night

JOBS = 10_000
CLAIMS = 200
IDLE_S = 20.0


def listing(folder: Path) -> None:
    """`queue list` over a ledger of many jobs, most of them over."""
    ledger = folder / "large.sqlite3"
    with Store(ledger) as store:
        payload = {"profile": "x" * 4000}
        ids = store.add([NewJob("train", f"train somebody_v{n}", payload, window="23:00-07:00") for n in range(JOBS)])
        store._connection.execute(
            "UPDATE jobs SET state = 'finished', ended_at = id, started_at = id WHERE id <= ?", (ids[-200],)
        )
    environment = {**os.environ, "ORCHESTRATOR_LEDGER": str(ledger)}
    for words, limit in ((["list"], 0.3), (["list", "--all"], float("inf"))):
        took = []
        for _ in range(9):
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "orchestrator", "queue", *words], env=environment, check=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            took.append(time.perf_counter() - began)
        print(figure(f"queue {' '.join(words)}, {JOBS:,} jobs", statistics.median(took), limit, "s"))


def claiming(folder: Path) -> None:
    """Claim and finish, each of them safe from a power cut."""
    with Store(folder / "large.sqlite3") as store:
        ids = [job.id for job in store.open_jobs()][:CLAIMS] or []
        took = []
        for id_ in ids:
            began = time.perf_counter()
            store.claim(id_, "me")
            store.finish(id_, "me", {})
            took.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        plain = folder / "plain"
        for _ in range(20):
            with plain.open("ab") as stream:
                stream.write(b"x" * 4096)
                stream.flush()
                os.fsync(stream.fileno())
        disk = (time.perf_counter() - began) / 20 * 1000
    print(figure("claim and finish of a job", statistics.median(took), 15, "ms"))
    print(f"  this disk takes {disk:.1f} ms to write 4 kB for good; a claim and its end are two such writes")


def gaps(folder: Path) -> None:
    """Two trainings and a grid in a row."""
    home = folder / "home"
    home.mkdir()
    root = folder / "night"
    root.mkdir()
    with sandbox.start(home, settings=Settings(vram_gb=8, painter="plain")) as server:
        night = Night(root, server.url)
        night.add("train")
        night.profile(epochs=6)
        second = night.add("train")[0]
        night.add("grid", "--after", str(second))
        night.work("--until-empty")
        first, other = (read_record(folder_) for folder_ in night.runs())
        assert first is not None and other is not None
        with Store(night.ledger) as store:
            events = {(e.job, e.kind): e.at for e in store.events()}
        # A trainer's end is seen by its process, its start is its process' start.
        ended, began = first.attempts[-1].ended_at, other.attempts[0].started_at
        assert ended is not None
        print(figure("idle gap between two trainings", began - ended, 2, "s"))
        drawn = min(path.stat().st_mtime for path in (root / ".orchestrator" / "cache").rglob("*.png"))
        last = other.attempts[-1].ended_at
        assert last is not None
        print(figure("from a training to the first cell of a grid", drawn - last, 3, "s"))
        print(
            f"  of it until the grid is claimed {events[3, 'claimed'] - last:.2f} s (proving the files is part of it)"
        )


def idle(folder: Path) -> None:
    """A worker that waits, as a service does: the keeper."""
    environment = {**os.environ, "ORCHESTRATOR_LEDGER": str(folder / "idle.sqlite3"), "XDG_STATE_HOME": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "queue", "work"], env=environment, stderr=subprocess.DEVNULL
    ) as keeper:
        time.sleep(3)
        process = psutil.Process(keeper.pid)
        before = process.cpu_times()
        time.sleep(IDLE_S)
        after = process.cpu_times()
        used = (after.user + after.system - before.user - before.system) / IDLE_S * 100
        print(figure("an idle worker's processor", used, 0.5, "% of one"))
        print(figure("an idle worker's memory", process.memory_info().rss / 1e6, 80, "MB"))
        keeper.kill()


def crash(folder: Path) -> None:
    """From kill -9 of the worker in the middle of a training to the next one at work on it."""
    home, root = folder / "home2", folder / "night2"
    home.mkdir()
    root.mkdir()
    with sandbox.start(home, settings=Settings(painter="plain")) as server:
        night = Night(root, server.url)
        night.profile(epochs=40)
        (train,) = night.add("train")
        night.pace(0.1)
        with night.start("work", log=folder / "said.txt") as keeper:
            night.wait(lambda: night.job(train).progress, "a step")
            (child,) = psutil.Process(keeper.pid).children()
            child.kill()
            began = time.monotonic()
            night.wait(lambda: any("found running" in line for line in night.log(train)), "the adoption")
            print(figure("crash to continued work", time.monotonic() - began, 10, "s"))
            night.queue("cancel", str(train))
            night.wait(lambda: not night.job(train).is_open, "its end")
            keeper.terminate()
            keeper.wait()


def main() -> None:
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listing(folder)
        claiming(folder)
        gaps(folder)
        idle(folder)
        crash(folder)


if __name__ == "__main__":
    main()
