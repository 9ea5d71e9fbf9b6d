"""Whole nights: jobs added, worked off, stopped at their window's end, gone on with, handed the card."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.a1111.client import A1111
from orchestrator.jobs.store import Store
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.training.record import read_record
from tests.integration.queue_night import Night, server_at

_GB = 1 << 30


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sandbox.RunningServer]:
    settings = Settings(vram_gb=8, painter="plain")
    with server_at(tmp_path_factory.mktemp("home"), settings) as (running, _):
        yield running


@pytest.fixture
def night(ugly_path: Path, server: sandbox.RunningServer) -> Iterator[Night]:
    """A night; after it, nothing must have computed while a trainer did."""
    computed = server.home / "computed.jsonl"
    made = Night(ugly_path, server.url, computed=computed)
    yield made
    made.check_card()


def held_by_a1111(url: str) -> float:
    with A1111(url) as client:
        return client.memory().cuda.reserved["current"] / _GB


def test_a_training_and_its_grid_in_one_night(night: Night, server: sandbox.RunningServer) -> None:
    night.profile(epochs=2, save_every=1)
    (train,) = night.add("train")
    (grid,) = night.add("grid", "faces", "--after", str(train))
    # What is edited now means the next job: the grid's profile is frozen.
    night.profile(version="v9")
    night.pace(0.12)
    night.work("--until-empty")
    assert (night.job(train).state, night.job(grid).state) == ("finished", "finished")
    assert night.job(train).result["files"] == 2
    assert night.job(grid).result["run"] == "ai_model_v1"
    assert (night.root / "grids" / "v1 faces" / "index.html").is_file()
    assert held_by_a1111(server.url) > 1, "A1111 was not given the card back"
    computed = [json.loads(line)["who"] for line in night.computed.read_text(encoding="utf-8").splitlines()]
    assert set(computed) == {"server", "trainer"}, "who computes does not write it down"
    shown = json.loads(night.queue("list", "--json"))
    assert [(job["id"], job["state"]) for job in shown] == [(train, "finished"), (grid, "finished")]
    (page,) = (night.cards.parent / "nights").glob("*/index.html")
    text = page.read_text(encoding="utf-8")
    assert "2 finished" in text and "Loss of ai_model_v1" in text and "v1 faces" in text
    assert list(page.parent.glob("*.jpg"))
    # The next time it is known how long that takes.
    with Store(night.ledger) as store:
        assert store.timings("steps")[0].units == 12
        assert store.timings("pictures")[0].units == 5
    night.profile()
    (again,) = night.add("train")
    assert night.job(again).estimate is not None
    assert "takes" in night.queue("plan")


def test_a_training_stops_at_a_saved_epoch_when_its_window_closes_and_goes_on_in_the_next(night: Night) -> None:
    night.profile(epochs=16, save_every=2)
    now = time.localtime()
    window = f"{(now.tm_hour - 1) % 24}:00-{(now.tm_hour + 2) % 24}:00"
    (train,) = night.add("train", "--window", window)
    ahead = night.root / "ahead.txt"
    ahead.write_text("0")
    night.pace(0.1)
    with night.start_ahead(ahead, "once") as worker:
        night.wait(lambda: night.steps(train) > 10, "ten steps")
        ahead.write_text(str(4 * 3600))  # the morning has come, at once
        worker.communicate(timeout=60)
    job = night.job(train)
    assert (job.state, job.why) == ("waiting", "its window is over; it goes on in the next one")
    assert night.trainers() == []
    night.pace()
    record = read_record(night.root / "runs" / "ai_model_v1")
    assert record is not None and record.status == "stopped"
    # By day nothing is begun; the night after, it goes on.
    with night.start_ahead(ahead, "idle") as worker:
        worker.communicate(timeout=60)
    assert night.job(train).attempts == 1
    ahead.write_text(str(24 * 3600))
    with night.start_ahead(ahead, "empty") as worker:
        worker.communicate(timeout=60)
    assert night.job(train).state == "finished"
    record = read_record(night.root / "runs" / "ai_model_v1")
    assert record is not None and record.status == "finished"
    _, second = record.attempts
    assert second.kind == "state" and second.resumed_from % 2 == 0
    # It was stopped right after a save: next to nothing is trained twice.
    said = (night.root / "runs" / "ai_model_v1" / record.attempts[0].log).read_text(encoding="utf-8")
    begun = max(int(epoch) for epoch in re.findall(r"^epoch (\d+)/16\s*$", said, re.MULTILINE))
    assert begun <= second.resumed_from + 2


def test_a_grid_leaves_off_between_two_cells_and_draws_only_what_is_missing(
    night: Night, server: sandbox.RunningServer
) -> None:
    night.profile(seeds=tuple(range(1, 6)))
    (train,) = night.add("train")
    night.work("--until-empty")
    drawn = server.home / "drawn.jsonl"
    before = len(drawn.read_text(encoding="utf-8").splitlines()) if drawn.exists() else 0
    (grid,) = night.add("grid", "--after", str(train))
    with night.start("work", "--once") as worker:
        night.wait(lambda: (p := night.job(grid).progress) is not None and p.done >= 1, "a cell")
        night.queue("pause", str(grid))
        worker.communicate(timeout=60)
    state = night.job(grid).state
    assert state in {"paused", "finished"}
    if state == "paused":
        night.queue("resume", str(grid))
    night.work("--until-empty")
    assert night.job(grid).state == "finished"
    after = len(drawn.read_text(encoding="utf-8").splitlines())
    # 5 seeds × (2 epochs × 2 weights + baseline), probes, and at most the two that were in flight.
    assert after - before <= 25 + 8


def test_cancelled_in_the_middle_its_trainer_ends_at_once(night: Night) -> None:
    night.profile(epochs=40)
    (train,) = night.add("train")
    (report,) = night.add("report")
    night.pace(0.5)
    with night.start("work", "--until-empty") as worker:
        night.wait(night.trainers, "a trainer")
        night.wait(lambda: night.steps(train), "a step")
        night.queue("cancel", str(train))
        worker.communicate(timeout=60)
    assert night.job(train).state == "cancelled"
    assert not night.job(report).is_open, "the queue did not go on"
    assert night.trainers() == []


def test_a_failed_job_stops_nothing_and_is_tried_again_later(night: Night) -> None:
    (train,) = night.add("train", "--retry", "1")
    (report,) = night.add("report", "--retry", "0")  # nothing is there to report: it fails as well, for good
    with night.start("work", "--until-empty", ORCHESTRATOR_SANDBOX_TRAINER_FAULTS="oom@start") as worker:
        night.wait(lambda: not night.job(report).is_open, "the report")
        job = night.job(train)
        assert (job.state, job.retries, job.failures) == ("waiting", 0, 1)
        assert job.failure is not None and "memory" in job.failure.what
        assert job.retry_at is not None and 0 < job.retry_at - time.time() <= 60
        worker.kill()
        worker.communicate()


def test_what_moved_since_it_was_added_is_told_before_a1111_is_disturbed(
    night: Night, server: sandbox.RunningServer
) -> None:
    (train,) = night.add("train")
    (after,) = night.add("report", "--after", str(train))
    base = night.root / "base.safetensors"
    base.rename(night.root / "moved.safetensors")
    with A1111(server.url) as client:
        client.reload_checkpoint()
    night.work("--once")
    job = night.job(train)
    assert job.state == "failed" and job.failure is not None and "base.safetensors" in job.failure.what
    assert held_by_a1111(server.url) > 1
    assert "needs" in night.queue("list") and night.job(after).state == "waiting"
    (night.root / "moved.safetensors").rename(base)
    night.queue("retry", str(train))
    night.work("--until-empty")
    assert night.job(after).state == "finished"


def test_another_version_s_payload_is_refused_with_the_reason(night: Night) -> None:
    (one, two) = (*night.add("report"), *night.add("report"))
    with Store(night.ledger) as store:
        store._connection.execute("UPDATE payloads SET format = 99 WHERE job = ?", (one,))
        store._connection.execute("UPDATE jobs SET kind = 'dream' WHERE id = ?", (two,))
    night.work("--until-empty")
    failures = [job.failure.what for id_ in (one, two) if (job := night.job(id_)).failure]
    assert "another version" in failures[0] and "dream" in failures[1]


def test_a_killed_worker_s_training_is_adopted_and_goes_on(night: Night) -> None:
    night.profile(epochs=16)
    (train,) = night.add("train")
    night.pace(0.3)
    with night.start("work", "--until-empty") as worker:
        (trainer,) = night.wait(night.trainers, "a trainer")
        night.wait(lambda: night.steps(train), "a step")
        worker.kill()
        worker.communicate()
    assert [one.pid for one in night.trainers()] == [trainer.pid]
    looked = night.root / ".orchestrator" / "cache" / "measurements"
    shutil.rmtree(looked)
    with night.start("work", "--until-empty") as second:
        night.wait(lambda: any("found running" in line for line in night.log(train)), "the adoption")
        night.pace()
        second.communicate(timeout=60)
    assert not looked.exists(), "a running training is adopted at once, without another look at the dataset"
    record = read_record(night.root / "runs" / "ai_model_v1")
    assert record is not None and record.status == "finished" and len(record.attempts) == 1
    assert night.job(train).state == "finished"


def test_while_a_trainer_runs_on_nobody_else_gets_its_card(night: Night, tmp_path: Path) -> None:
    night.profile(epochs=40)
    night.pace(0.5)
    night.add("train")
    with night.start("work", "--until-empty") as worker:
        night.wait(lambda: night.steps(1), "a step")
        worker.kill()
        worker.communicate()
    other_root = tmp_path / "other"
    other_root.mkdir()
    shared = {"XDG_STATE_HOME": night.environment["XDG_STATE_HOME"]}
    other = Night(other_root, night.url, shared, computed=night.computed)
    (train,) = other.add("train")
    with other.start("work", "--until-empty") as theirs:
        before = len(night.held())
        night.wait(lambda: len(night.held()) >= before + 2, "a look at the card")
        assert other.job(train).state == "waiting", "two trainers on one card"
        for trainer in night.trainers():
            psutil.Process(trainer.pid).kill()
        out, err = theirs.communicate(timeout=60)
    assert other.job(train).state == "finished", out + err


def test_two_workers_share_the_queue_and_not_the_card(night: Night) -> None:
    trainings = []
    for version in ("v1", "v2", "v3"):
        night.profile(version=version)
        if version != "v1":
            shutil.copytree(night.root / "dataset" / "v1", night.root / "dataset" / version)
        trainings += night.add("train")
    reports = [night.add("report")[0] for _ in range(3)]
    logs = [night.root / "a.txt", night.root / "b.txt"]
    night.pace(0.03)
    workers = [night.start("work", "--until-empty", log=log) for log in logs]
    most = 0
    while any(worker.poll() is None for worker in workers):
        most = max(most, len(night.trainers()))
        time.sleep(0.05)
    assert [night.job(id_).state for id_ in trainings] == ["finished"] * 3
    assert not any(night.job(id_).is_open for id_ in reports)
    assert most == 1
    assert all(night.job(id_).attempts == 1 for id_ in (*trainings, *reports))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that arrives")
def test_the_keeper_starts_a_worker_when_something_is_due_and_anew_when_it_dies(night: Night) -> None:
    said = night.root / "keeper.txt"
    with night.start("work", log=said) as keeper:
        try:
            time.sleep(0.5)
            night.profile(epochs=16)
            night.pace(0.3)
            (train,) = night.add("train")
            night.wait(lambda: night.steps(train), "a step")
            (child,) = psutil.Process(keeper.pid).children()
            child.kill()
            night.wait(lambda: any("found running" in line for line in night.log(train)), "the adoption")
            night.pace()
            night.wait(lambda: night.job(train).state == "finished", "the end")
            os.kill(keeper.pid, signal.SIGTERM)
            assert keeper.wait(30) == 0
        finally:
            keeper.kill()  # one that waits for jobs would be waited for without end
    assert "the next one is started" in said.read_text(encoding="utf-8")
