"""Whole trainings with the simulated trainer as a real child process, through every way they can end."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file

from orchestrator.errors import DatasetError, InputError, ProfileError, StorageError, TrainingFailed
from orchestrator.kohya import install as kohya_install
from orchestrator.kohya import weights
from orchestrator.kohya.install import KohyaInstall
from orchestrator.training import outcome
from orchestrator.training.events import Progress, Saved, Started, TrainingEvent
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.record import read_record, write_record
from orchestrator.training.run import stop, train
from orchestrator.workspace import Workspace
from tests.integration import training_night
from tests.integration.training_night import PATIENCE_S, SANDBOX, quick_once_adopted, slow, wait_for

#: For tests of how a single start ends.
NEVER_AGAIN = {"restarts": 0}
ALONE = "import pickle, sys; from pathlib import Path; from orchestrator.training.run import train\n" + (
    "train(pickle.loads(Path(sys.argv[1]).read_bytes()))"
)


@pytest.fixture
def install() -> KohyaInstall:
    return kohya_install.find(SANDBOX, python=sys.executable)


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    return training_night.workspace_at(ugly_path)


Make = Callable[..., TrainingPlanned]


@pytest.fixture
def planned(workspace: Workspace, install: KohyaInstall) -> Make:
    def make(*, install: KohyaInstall = install, **training: Any) -> TrainingPlanned:
        return training_night.make(workspace.root, install=install, **training)

    return make


def _kill_at(epoch: int) -> Callable[[TrainingEvent], None]:
    """Kill the trainer the hard way when it begins to save that epoch's LoRA file."""
    running: list[int] = []

    def watch(event: TrainingEvent) -> None:
        if isinstance(event, Started):
            running.append(event.pid)
        if isinstance(event, Saved) and event.epoch == epoch:
            psutil.Process(running[-1]).kill()

    return watch


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _names(files: tuple[Path, ...]) -> list[str]:
    return [path.name for path in files]


EVERY_FILE = ["ai_model_v1-000002.safetensors", "ai_model_v1-000004.safetensors", "ai_model_v1.safetensors"]


def test_a_training_from_its_first_step_to_its_record(planned: Make, workspace: Workspace) -> None:
    events: list[TrainingEvent] = []
    plan_ = planned()
    run = train(plan_, events.append, poll_s=0.02)
    assert _names(run.lora_files) == EVERY_FILE
    assert [weights.read_header(path).metadata["ss_epoch"] for path in run.lora_files] == ["2", "4", "6"]
    assert isinstance(events[0], Started) and not events[0].adopted
    assert [e.epoch for e in events if isinstance(e, Saved)] == [2, 4, 6]
    progress = [e for e in events if isinstance(e, Progress)]
    assert (progress[-1].step, progress[-1].steps, progress[-1].epoch) == (36, 36, 6)
    assert run.losses.keys() == {1, 2, 3, 4, 5, 6}
    record = read_record(run.folder)
    assert record is not None and record.status == "finished"
    assert record.base["sha256"] == plan_.base_sha256
    assert record.dataset["pictures"] == 4
    assert [file.epoch for file in record.files] == [2, 4, 6]
    assert record.attempts[0].exit_code == 0
    assert "simulated trainer" in (run.folder / record.attempts[0].log).read_text(encoding="utf-8")
    assert not (run.folder / ".starting").exists()


def test_the_same_training_again_is_not_trained_again(planned: Make, workspace: Workspace) -> None:
    first = train(planned(), poll_s=0.02)
    again = train(planned(), lambda event: pytest.fail(f"it was started: {event}"))
    assert again.reused and again.lora_files == first.lora_files and again.final_loss == first.final_loss
    other = planned(seed=43)
    assert other.folder.name == "ai_model_v1-2" and other.fingerprint != planned().fingerprint
    before = planned().fingerprint
    caption = next(workspace.dataset("v1").rglob("*.txt"))
    caption.write_text("ai_model_v1, another caption", encoding="utf-8")
    assert planned().fingerprint != before
    assert planned().folder.name == "ai_model_v1-2"  # what was trained before is never overwritten


def test_a_lost_final_file_is_made_again_from_the_last_state(planned: Make) -> None:
    first = train(planned(), poll_s=0.02)
    before = load_file(first.lora_files[-1])
    first.lora_files[-1].unlink()
    events: list[TrainingEvent] = []
    again = train(planned(), events.append, poll_s=0.02)
    assert isinstance(events[0], Started) and events[0].resumed_from == 4
    assert _names(again.lora_files) == EVERY_FILE
    assert load_file(again.lora_files[-1]).keys() == before.keys()


def test_killed_in_the_middle_of_a_save_it_goes_on_from_the_state_before(
    planned: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.08)
    plan_ = planned(guard=NEVER_AGAIN)
    with pytest.raises(TrainingFailed) as caught:
        train(plan_, _kill_at(4), poll_s=0.02)
    assert "killed from outside" in str(caught.value)
    # What such a kill leaves at worst: half a LoRA file under its final name, half a state.
    half = plan_.output_folder / "ai_model_v1-000004.safetensors"
    if not half.exists():
        half.write_bytes((plan_.output_folder / "ai_model_v1-000002.safetensors").read_bytes())
    _cut(half)
    (plan_.output_folder / "ai_model_v1-000004-state" / "random_states_0.pkl").unlink(missing_ok=True)
    slow(monkeypatch, 0.001)
    events: list[TrainingEvent] = []
    run = train(plan_, events.append, poll_s=0.02)
    assert isinstance(events[0], Started) and events[0].resumed_from == 2
    assert next(e for e in events if isinstance(e, Progress)).step == 12
    assert [e for e in events if isinstance(e, Progress)][-1].step == 36
    assert _names(run.lora_files) == EVERY_FILE
    assert run.losses.keys() == {1, 2, 3, 4, 5, 6}
    record = read_record(run.folder)
    assert record is not None and [a.resumed_from for a in record.attempts] == [0, 2]
    assert "--initial_epoch" in record.attempts[1].command


def test_resumed_twice_no_epoch_is_trained_twice(planned: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.08)
    plan_ = planned(epochs=8, guard=NEVER_AGAIN)
    seen: list[list[int]] = []
    for epoch in (4, 6, None):
        events: list[TrainingEvent] = []
        kill = _kill_at(epoch) if epoch else (lambda _: None)

        def watch(event: TrainingEvent, kill: Any = kill, events: Any = events) -> None:
            events.append(event)
            kill(event)

        if epoch:
            with pytest.raises(TrainingFailed):
                train(plan_, watch, poll_s=0.02)
            name = f"ai_model_v1-{epoch:06d}-state"
            (plan_.output_folder / name / "random_states_0.pkl").unlink(missing_ok=True)
        else:
            slow(monkeypatch, 0.001)
            train(plan_, watch, poll_s=0.02)
        seen.append(sorted({e.epoch for e in events if isinstance(e, Progress) and e.step}))
    assert seen[1][0] in {2, 3} and seen[2][0] in {4, 5}
    assert seen[2][-1] == 8


def test_ctrl_c_stops_the_trainer_and_says_where_it_goes_on(planned: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.05)
    pids: list[int] = []

    def interrupt(event: TrainingEvent) -> None:
        if isinstance(event, Started):
            pids.append(event.pid)
        if isinstance(event, Progress) and event.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="goes on from epoch 3"):
        train(planned(), interrupt, poll_s=0.02)
    assert not psutil.pid_exists(pids[0])
    record = read_record(planned().folder)
    assert record is not None and record.status == "stopped"
    slow(monkeypatch, 0.001)
    assert _names(train(planned(), poll_s=0.02).lora_files) == EVERY_FILE


def test_our_own_death_leaves_the_trainer_working_and_the_next_command_finds_it(
    planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.5)
    plan_ = planned()
    ours = _alone(plan_, tmp_path)
    pid = wait_for(lambda: (record := read_record(plan_.folder)) and record.attempts and record.attempts[-1].pid)
    wait_for(lambda: "steps:" in (plan_.folder / "console-1.log").read_text(encoding="utf-8"))
    ours.kill()
    ours.wait()
    assert psutil.pid_exists(pid)
    events: list[TrainingEvent] = []
    run = train(plan_, quick_once_adopted(monkeypatch, events), poll_s=0.02)
    assert events[0] == Started(plan_.name, 6, 0, True, pid)
    assert _names(run.lora_files) == EVERY_FILE
    assert run.losses.keys() == {1, 2, 3, 4, 5, 6}
    record = read_record(run.folder)
    assert record is not None and len(record.attempts) == 1


def test_a_start_we_did_not_live_to_note_is_found_by_its_command_line(
    planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.5)
    plan_ = planned()
    ours = _alone(plan_, tmp_path)
    pid = wait_for(lambda: (record := read_record(plan_.folder)) and record.attempts and record.attempts[-1].pid)
    ours.kill()
    ours.wait()
    record = read_record(plan_.folder)
    assert record is not None
    write_record(plan_.folder, record.with_last_attempt(pid=None, created=None))
    events: list[TrainingEvent] = []
    train(plan_, quick_once_adopted(monkeypatch, events), poll_s=0.02)
    assert isinstance(events[0], Started) and events[0].adopted and events[0].pid == pid


def test_a_trainer_is_found_again_after_the_clock_was_set(
    planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux and WSL2 count start times from the boot, so a step of the clock moves them all."""
    slow(monkeypatch, 0.5)
    plan_ = planned()
    ours = _alone(plan_, tmp_path)
    pid = wait_for(lambda: (record := read_record(plan_.folder)) and record.attempts and record.attempts[-1].pid)
    ours.kill()
    ours.wait()
    record = read_record(plan_.folder)
    assert record is not None
    created = record.attempts[-1].created
    assert created is not None
    write_record(plan_.folder, record.with_last_attempt(created=created - 40))
    events: list[TrainingEvent] = []
    train(plan_, quick_once_adopted(monkeypatch, events), poll_s=0.02)
    assert isinstance(events[0], Started) and events[0].adopted and events[0].pid == pid
    record = read_record(plan_.folder)
    assert record is not None and len(record.attempts) == 1
    assert record.attempts[-1].created == pytest.approx(created, abs=1)


def test_a_trainer_is_stopped_after_the_clock_was_set(
    planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.5)
    plan_ = planned()
    ours = _alone(plan_, tmp_path)
    pid = wait_for(lambda: (record := read_record(plan_.folder)) and record.attempts and record.attempts[-1].pid)
    ours.kill()
    ours.wait()
    record = read_record(plan_.folder)
    assert record is not None
    write_record(plan_.folder, record.with_last_attempt(created=1.0))
    assert stop(plan_.folder)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_what_ended_while_nobody_watched_is_finished(
    planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.02)
    plan_ = planned()
    ours = _alone(plan_, tmp_path)
    pid = wait_for(lambda: (record := read_record(plan_.folder)) and record.attempts and record.attempts[-1].pid)
    ours.kill()
    ours.wait()
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    run = train(plan_, lambda event: pytest.fail(f"it was started again: {event}"))
    assert _names(run.lora_files) == EVERY_FILE
    assert run.losses.keys() == {1, 2, 3, 4, 5, 6}
    assert 0 < run.seconds < PATIENCE_S


def test_a_second_command_joins_the_first(planned: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.05)
    plan_ = planned()
    events: dict[int, list[TrainingEvent]] = {0: [], 1: []}
    runs: list[Any] = []

    def work(number: int) -> None:
        runs.append(train(plan_, events[number].append, poll_s=0.02))

    threads = [threading.Thread(target=work, args=(n,)) for n in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    started = sorted(e.adopted for every in events.values() for e in every if isinstance(e, Started))
    assert started in ([False, True], [False])
    assert len(runs) == 2 and all(_names(run.lora_files) == EVERY_FILE for run in runs)


def test_a_nan_loss_stops_the_training_at_once(planned: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.05)
    events: list[TrainingEvent] = []
    with pytest.raises(TrainingFailed, match="loss became NaN") as caught:
        train(
            planned(epochs=50, save_every=10, extra={"learning_rate": 1e30, "unet_lr": 1e30}),
            events.append,
            poll_s=0.02,
        )
    assert "Lower unet_lr" in caught.value.fix
    assert [e for e in events if isinstance(e, Progress)][-1].epoch < 40


def test_a_dataset_that_vanished_is_no_success(planned: Make, workspace: Workspace) -> None:
    plan_ = planned()
    for path in workspace.dataset("v1").rglob("*.*"):
        path.unlink()
    with pytest.raises(TrainingFailed, match="no pictures to train on") as caught:
        train(plan_, poll_s=0.02)
    assert "exit code 0" in caught.value.cause


def test_an_unknown_optimizer_is_named(planned: Make) -> None:
    plan_ = planned()
    unchecked = replace(plan_, values={**plan_.values, "optimizer_type": "AdamZ"})
    with pytest.raises(TrainingFailed, match="no optimizer AdamZ") as caught:
        train(unchecked, poll_s=0.02)
    assert "console-1.log" in caught.value.cause


@pytest.mark.skipif(sys.platform == "win32", reason="a file size limit stands in for a full disk")
def test_a_full_disk_is_said_and_the_same_command_goes_on(planned: Make, tmp_path: Path, install: KohyaInstall) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nulimit -f "${{LIMIT:-400}}"\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    limited = kohya_install.find(SANDBOX, python=python)
    with pytest.raises(StorageError, match="disk is full"):
        train(planned(install=limited, dim=32), poll_s=0.02)
    cut = outcome.lora_files(planned(install=limited, dim=32))[1]
    assert _names(tuple(cut)) == EVERY_FILE[:1]
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    assert _names(train(planned(install=limited, dim=32), poll_s=0.02).lora_files) == EVERY_FILE


def test_stopping_by_name_leaves_it_to_be_gone_on_with(
    planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.5)
    plan_ = planned()
    ours = _alone(plan_, tmp_path)
    pid = wait_for(lambda: (record := read_record(plan_.folder)) and record.attempts and record.attempts[-1].pid)
    assert stop(plan_.folder)
    assert ours.wait(PATIENCE_S) != 0
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    slow(monkeypatch, 0.001)
    assert _names(train(plan_, poll_s=0.02).lora_files) == EVERY_FILE


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal to send to one process")
def test_ctrl_c_in_a_terminal_ends_both(planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.5)
    plan_ = planned()
    ours = _alone(plan_, tmp_path)
    pid = wait_for(lambda: (record := read_record(plan_.folder)) and record.attempts and record.attempts[-1].pid)
    wait_for(lambda: "steps:" in (plan_.folder / "console-1.log").read_text(encoding="utf-8"), "a first step")
    ours.send_signal(signal.SIGINT)
    ours.wait(PATIENCE_S)
    assert "The same command goes on from epoch 1." in (tmp_path / "said.txt").read_text(encoding="utf-8")
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_stale_latents_are_removed_before_a_training(planned: Make, workspace: Workspace) -> None:
    folder = next(workspace.dataset("v1").iterdir())
    stale = folder / "0000_0096x0096_sd.npz"
    train(planned(), poll_s=0.02)
    np.savez(stale, latents=np.zeros(3))
    train(planned(epochs=2), poll_s=0.02)
    assert stale.exists()  # same pictures, size and checkpoint: they are still right
    save_file({"cond_stage_model.transformer.x": np.ones(4, np.float16)}, workspace.root / "base.safetensors")
    train(planned(epochs=2), poll_s=0.02)
    assert not stale.exists()


def test_everything_wrong_is_found_before_the_start(planned: Make, workspace: Workspace) -> None:
    with pytest.raises(ProfileError) as caught:
        planned(extra={"network_dimm": 4, "output_dir": "x", "resolution": 512}, save_every=9)
    assert len(caught.value.problems) == 4
    assert any("did you mean network_dim" in problem for problem in caught.value.problems)
    base = workspace.root / "base.safetensors"
    base.rename(base.with_suffix(".away"))
    with pytest.raises(InputError, match="no base checkpoint"):
        planned()
    base.with_suffix(".away").rename(base)
    folder = workspace.dataset("v1") / "2_close-up"
    (folder / "0000.png").write_bytes(b"no picture")
    (folder / "0001.txt").write_bytes("初音".encode("cp932"))
    (folder / "0002.png").write_bytes((workspace.dataset("v1") / "1_full body" / "0000.png").read_bytes())
    with pytest.raises(DatasetError) as wrong:
        planned()
    assert all(words in wrong.value.what for words in ("0000.png", "not UTF-8", "has no caption"))


def _alone(plan_: TrainingPlanned, folder: Path) -> subprocess.Popen[bytes]:
    """The same command in a process of its own."""
    pickled = folder / "planned.pickle"
    pickled.write_bytes(pickle.dumps(plan_))
    with (folder / "said.txt").open("wb") as said:
        return subprocess.Popen([sys.executable, "-c", ALONE, str(pickled)], stderr=said)
