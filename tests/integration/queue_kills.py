"""Kill -9 over a queue of trainings and grids, at random moments: worker, trainer, server, all of them."""

from __future__ import annotations

import json
import random
import re
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from orchestrator import processes
from orchestrator.files import sha256_file
from orchestrator.jobs.store import Store
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.training.record import read_record
from tests.integration.queue_night import Night, sandbox_logging

KINDS = ("worker", "trainer", "server", "all")
#: A picture may be drawn, lost and drawn again: two were with the server, one was being proven.
IN_FLIGHT = 3
_STATE = re.compile(r"Random states saved in \S.*?-(\d{6})-state")


@dataclass
class Kills:
    """One run of it. `came_last` counts how often a job lost its second worker at the same place."""

    root: Path
    rounds: int
    seed: int
    epochs: int = 10
    seeds: int = 2
    kinds: tuple[str, ...] = KINDS
    #: So many trainings wait behind the one that runs.
    behind: int = 2
    killed: Counter[str] = field(default_factory=Counter)
    pids: set[int] = field(default_factory=set)
    most_trainers: int = 0
    came_last: int = 0
    slowest_s: float = 0.0
    night: Night = field(init=False)
    _server: sandbox.RunningServer = field(init=False)
    _worker: subprocess.Popen[str] | None = None
    _versions: int = 0
    _chance: random.Random = field(default_factory=random.Random)

    def run(self) -> None:
        """Kill so often, then let the queue come to its end."""
        chance = self._chance = random.Random(self.seed)
        self._start_server(0)
        computed = self.root / "home" / "computed.jsonl"
        self.night = Night(self.root, self._server.url, computed=computed)
        self.night.pace(0.05)
        over = threading.Event()
        watching = threading.Thread(target=self._watch, args=(over,), daemon=True)
        try:
            self._feed()
            watching.start()
            while sum(self.killed.values()) < self.rounds:
                self._feed()
                self._ensure_worker()
                time.sleep(chance.uniform(0.3, 1.6))
                self._kill(chance.choice(self.kinds))
            self._finish()
        finally:
            over.set()
            if watching.is_alive():
                watching.join()
            if self._worker is not None and self._worker.poll() is None:
                self._worker.kill()
                self._worker.wait()
            for trainer in self.night.trainers():
                psutil.Process(trainer.pid).kill()
            self._server.stop()

    def _start_server(self, port: int) -> None:
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        settings = Settings(vram_gb=8, painter="plain", gpu_seconds_per_picture=0.1)
        with sandbox_logging(home):
            self._server = sandbox.start(home, settings=settings, port=port)

    def _feed(self) -> None:
        """`behind` trainings and their grids are always waiting."""
        while True:
            with Store(self.night.ledger) as store:
                waiting = [job for job in store.open_jobs() if job.state == "waiting" and not job.comes_last]
                if sum(job.kind == "train" for job in waiting) >= self.behind:
                    return
            self._versions += 1
            version = f"v{self._versions}"
            if version != "v1":
                shutil.copytree(self.root / "dataset" / "v1", self.root / "dataset" / version, dirs_exist_ok=True)
            self.night.profile(version=version, epochs=self.epochs, save_every=1, seeds=tuple(range(1, self.seeds + 1)))
            (train,) = self.night.add("train", "--retry", "100")
            self.night.add("grid", "--after", str(train), "--retry", "100")

    def _ensure_worker(self) -> None:
        if self._worker is not None and self._worker.poll() is None:
            return
        began = time.monotonic()
        self._worker = self.night.start("work", "--until-empty", log=self.root / "worker.txt")
        self._soonest()
        pid = self._worker.pid

        def working() -> bool:
            with Store(self.night.ledger) as store:
                mine = {worker.id for worker in store.workers() if worker.pid == pid}
                return any(job.worker in mine for job in store.running())

        self.night.wait(working, "a job")
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def _soonest(self) -> None:
        """Pauses after failures are for nights; here they would only make it long."""
        with Store(self.night.ledger) as store:
            store._connection.execute("UPDATE jobs SET retry_at = NULL WHERE state = 'waiting'")

    def _kill(self, kind: str) -> None:
        trainers = self._some_trainer() if kind in {"trainer", "all"} else []
        if kind == "trainer" and not trainers:
            return
        assert self._worker is not None
        if kind in {"worker", "all"}:
            self.pids.add(self._worker.pid)
            self._worker.kill()
            self._worker.wait()
        if kind in {"trainer", "all"}:
            for trainer in trainers:
                try:
                    psutil.Process(trainer.pid).kill()
                except psutil.NoSuchProcess:
                    continue
        self.killed[kind] += 1
        if kind in {"server", "all"}:
            psutil.Process(self._server.pid).kill()
            self._server.stop()
            port = int(self._server.url.rsplit(":", 1)[1])
            self.night.wait(lambda: _free(port), "a free port")
            self._start_server(port)
            # A server that came back is asked nothing for 5 s: killed within that, no grid would ever get on.
            time.sleep(self._chance.uniform(4.0, 7.0))

    def _some_trainer(self) -> list[processes.ProcessId]:
        """The trainer, waited for a moment: it is what the kill is meant for."""
        for _ in range(40):
            if found := self.night.trainers():
                time.sleep(self._chance.uniform(0, 1.0))
                return found
            time.sleep(0.1)
        return []

    def _finish(self) -> None:
        self.night.pace()
        for _ in range(20):
            self._soonest()
            if self._worker is None or self._worker.poll() is not None:
                with Store(self.night.ledger) as store:
                    if not store.open_jobs():
                        return
                self._worker = self.night.start("work", "--until-empty", log=self.root / "worker.txt")
            try:
                self._worker.wait(20)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError("the queue did not come to its end")

    def _watch(self, over: threading.Event) -> None:
        """From outside, whatever our own logs say: how many trainers there are at a time."""
        while not over.wait(0.1):
            self.most_trainers = max(self.most_trainers, len(self.night.trainers()))

    def check(self) -> None:
        """Everything is finished, nothing was done twice, and the card was never in two hands."""
        with Store(self.night.ledger) as store:
            jobs = store.over()
            self.came_last = sum("nothing else is left" in event.text for event in store.events())
        assert jobs and {job.state for job in jobs} == {"finished"}, [(job.title, job.failure) for job in jobs]
        assert self.most_trainers == 1
        assert self.rounds < 20 or set(self.killed) == set(KINDS), self.killed
        self._check_trainings()
        self._check_pictures()
        self._check_card()
        self.night.check_card()

    def _check_trainings(self) -> None:
        for folder in self.night.runs():
            record = read_record(folder)
            assert record is not None and record.status == "finished"
            assert {file.epoch for file in record.files} == set(range(1, self.epochs + 1))
            for file in record.files:
                assert sha256_file(folder / "lora" / file.file) == file.sha256
            newest = 0
            for attempt in record.attempts:
                # Nothing that a state was saved of is trained again.
                assert attempt.resumed_from in {newest, newest + 1}, (folder.name, attempt.resumed_from, newest)
                said = (folder / attempt.log).read_text(encoding="utf-8")
                newest = max([attempt.resumed_from, *map(int, _STATE.findall(said))])

    def _check_pictures(self) -> None:
        lines = (self.root / "home" / "drawn.jsonl").read_text(encoding="utf-8").splitlines()
        drawn = Counter(
            (one["prompt"], one["seed"])
            for one in map(json.loads, lines)
            if "close-up" in one["prompt"] and "<lora" in one["prompt"] and one["pictures"] and one["status"] == 200
        )
        again = sum(drawn.values()) - len(drawn)
        assert again <= IN_FLIGHT * (self.rounds - self.killed["trainer"]), again

    def _check_card(self) -> None:
        holder = None
        for event in self.night.held():
            if event["event"] == "taken":
                assert holder is None or holder in self.pids, f"{event['pid']} took the card that {holder} had"
                holder = event["pid"]
            elif event["event"] == "released":
                assert holder == event["pid"]
                holder = None
            else:
                assert holder == event["pid"], "the card was used by who did not have it"


def _free(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) != 0
