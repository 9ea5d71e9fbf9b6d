"""Several commands, launchers and trainers of one training, and what becomes of it when some of them die."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.errors import TrainingFailed
from orchestrator.training import runs
from orchestrator.training.events import Progress, Restarted, Started, TrainingEvent
from orchestrator.training.record import read_record
from orchestrator.training.run import stop, train
from orchestrator.workspace import Workspace
from tests.integration.training_night import make, ours, slow, trainers, wait_for

EVERY_FILE = ["ai_model_v1-000002.safetensors", "ai_model_v1-000004.safetensors", "ai_model_v1.safetensors"]


def _of(events: list[TrainingEvent], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_a_launcher_killed_alone_leaves_a_trainer_that_is_watched_on(
    ugly_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.05)
    planned = make(ugly_path, launch={"accelerate": True})
    killed: list[int] = []
    events: list[TrainingEvent] = []

    def watch(event: TrainingEvent) -> None:
        events.append(event)
        if isinstance(event, Progress) and event.epoch == 2 and not killed:
            launcher, trainer = trainers(planned)
            killed.append(launcher.pid)
            assert psutil.Process(trainer.pid).ppid() == launcher.pid
            psutil.Process(launcher.pid).kill()
            slow(monkeypatch, 0.5)
        if isinstance(event, Started) and event.adopted:
            slow(monkeypatch, 0.001)

    run = train(planned, watch, poll_s=0.02)
    assert [path.name for path in run.lora_files] == EVERY_FILE
    first, second = _of(events, Started)
    assert first.pid == killed[0] and second.adopted and second.pid != first.pid
    record = read_record(planned.folder)
    assert record is not None and len(record.attempts) == 1
    assert "accelerate.commands.accelerate_cli" in record.attempts[0].command


def test_the_orphan_of_a_launcher_is_stopped_with_everything(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.1)
    planned = make(ugly_path, launch={"accelerate": True})
    command = ours(planned, ugly_path / "said.txt")
    launcher, _ = wait_for(lambda: trainers(planned) if len(trainers(planned)) == 2 else None, "launcher and trainer")
    command.kill()
    command.wait()
    psutil.Process(launcher.pid).kill()
    wait_for(lambda: len(trainers(planned)) == 1, "the launcher's end")
    assert stop(planned.folder)
    assert not trainers(planned)
    record = read_record(planned.folder)
    assert record is not None and (record.status, record.attempts[-1].why) == ("stopped", "stopped on request")


@pytest.mark.parametrize("number", range(5))
def test_two_commands_at_once_start_one_trainer(ugly_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    slow(monkeypatch, 0.02)
    planned = make(ugly_path)
    commands = [ours(planned, ugly_path / f"said-{n}.txt") for n in range(2)]
    said = []
    for n, command in enumerate(commands):
        assert command.wait(60) == 0
        said.append((ugly_path / f"said-{n}.txt").read_text(encoding="utf-8"))
    assert all("FINISHED 3" in text for text in said)
    record = read_record(planned.folder)
    assert record is not None and len(record.attempts) == 1 and record.status == "finished"
    started = {line for text in said for line in text.splitlines() if line.startswith("Started")}
    assert len(started) == 1  # one process, named by both who saw it
    assert len(list(planned.folder.glob("console-*.log"))) == 1


def test_of_two_that_watch_a_crash_one_starts_it_again(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.03)
    monkeypatch.setenv("ORCHESTRATOR_SANDBOX_TRAINER_FAULTS", "die@step:15,die@step:30")
    planned = make(ugly_path)
    commands = [ours(planned, ugly_path / f"said-{n}.txt") for n in range(2)]
    for command in commands:
        assert command.wait(60) == 0
    record = read_record(planned.folder)
    assert record is not None and [attempt.resumed_from for attempt in record.attempts] == [0, 2, 4]
    assert record.losses.keys() == {1, 2, 3, 4, 5, 6}


def test_stopped_by_another_command_it_is_not_started_again(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.3)  # epoch 4 is not to be over before epoch 3 is seen to begin
    planned = make(ugly_path)
    stopper = threading.Thread(target=runs.stop, args=(Workspace(ugly_path), planned.name))
    events: list[TrainingEvent] = []

    def watch(event: TrainingEvent) -> None:
        events.append(event)
        if isinstance(event, Progress) and event.epoch == 3 and not stopper.ident:
            slow(monkeypatch, 10.0)
            stopper.start()

    with pytest.raises(TrainingFailed, match="another command: stopped on request") as caught:
        train(planned, watch, poll_s=0.02)
    stopper.join()
    assert "goes on from epoch 3" in caught.value.fix
    assert not _of(events, Restarted) and not trainers(planned)


def test_what_nobody_saw_the_end_of_is_in_the_record(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.05)
    planned = make(ugly_path)
    command = ours(planned, ugly_path / "said.txt")
    (trainer,) = wait_for(lambda: trainers(planned), "a trainer")
    log = planned.folder / "console-1.log"
    wait_for(lambda: "epoch 3/6" in log.read_text(encoding="utf-8"), "epoch 3")
    slow(monkeypatch, 0.4)  # epoch 4 is not to be over before the trainer is killed
    wait_for(lambda: "epoch 4/6" in log.read_text(encoding="utf-8"), "epoch 4")
    command.kill()
    command.wait()
    psutil.Process(trainer.pid).kill()
    wait_for(lambda: not trainers(planned), "its end")
    slow(monkeypatch, 0.001)
    run = train(planned, poll_s=0.02)
    assert run.losses.keys() == {1, 2, 3, 4, 5, 6}
    record = read_record(planned.folder)
    assert record is not None
    first = record.attempts[0]
    assert first.ended_at is not None and first.ended_at > first.started_at and "nobody watched" in first.why
    assert first.steps is not None and first.steps[0] == 1 and first.steps[1] >= 18
    assert record.attempts[1].resumed_from == 2 and record.seconds >= first.ended_at - first.started_at
