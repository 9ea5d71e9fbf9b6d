"""What can happen to a training in a night, and what becomes of it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from orchestrator import processes
from orchestrator.errors import OrchestratorError, StorageError, TrainingFailed
from orchestrator.kohya import command
from orchestrator.training import attempt, ending, looking, runs
from orchestrator.training.events import Note, Restarted, Saved, Stalled, Started, TrainingEvent
from orchestrator.training.guards import Stop
from orchestrator.training.plan import TrainingPlanned, from_record
from orchestrator.training.record import Attempt, RunRecord, begin, read_record, write_record
from orchestrator.training.run import train
from orchestrator.training.start_mark import MARK_NAME
from orchestrator.workspace import Workspace
from tests.integration.training_night import make, slow, trainers, wait_for

EVERY_FILE = ["ai_model_v1-000002.safetensors", "ai_model_v1-000004.safetensors", "ai_model_v1.safetensors"]
Fault = Callable[[str], None]


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    """Lets things go wrong in the trainer."""

    def ask(text: str) -> None:
        monkeypatch.setenv("ORCHESTRATOR_SANDBOX_TRAINER_FAULTS", text)

    return ask


def _train(planned: TrainingPlanned) -> tuple[list[TrainingEvent], RunRecord]:
    events: list[TrainingEvent] = []
    run = train(planned, events.append, poll_s=0.02)
    assert [path.name for path in run.lora_files] == EVERY_FILE
    record = read_record(planned.folder)
    assert record is not None and record.losses.keys() == {1, 2, 3, 4, 5, 6}
    return events, record


def _fails(planned: TrainingPlanned, match: str) -> tuple[list[TrainingEvent], OrchestratorError]:
    events: list[TrainingEvent] = []
    with pytest.raises(OrchestratorError, match=match) as caught:
        train(planned, events.append, poll_s=0.02)
    return events, caught.value


def _of(events: list[TrainingEvent], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_trainer_that_crashes_is_gone_on_with_without_a_command(ugly_path: Path, fault: Fault) -> None:
    fault("die:SIGSEGV@step:15,die@save:4,die@state:4:optimizer.bin,die@final")
    events, record = _train(make(ugly_path))
    assert _of(events, Restarted)[0].why.startswith("Python itself crashed")
    assert [attempt.resumed_from for attempt in record.attempts] == [0, 2, 2, 2, 4]
    assert all(attempt.ended_at and (attempt.why or attempt is record.attempts[-1]) for attempt in record.attempts)
    assert [attempt.steps for attempt in record.attempts][-1] == (25, 36)


def test_what_crashes_at_once_is_given_up_in_the_end(ugly_path: Path, fault: Fault) -> None:
    fault(",".join(["die@start"] * 4))
    events, error = _fails(make(ugly_path), "killed from outside|no final LoRA file")
    assert len(_of(events, Restarted)) == 2
    assert isinstance(error, TrainingFailed) and "3 times from the same state" in str(error)
    record = read_record(make(ugly_path).folder)
    assert record is not None and record.status == "failed" and len(record.attempts) == 3
    _, record = _train(make(ugly_path))  # a command of a person begins to count anew
    assert len(record.attempts) == 5


def test_whoever_wants_no_restarts_has_none(ugly_path: Path, fault: Fault) -> None:
    fault("die@step:15")
    events, _ = _fails(make(ugly_path, guard={"restarts": 0}), "ended without a finished")
    assert not _of(events, Restarted)


def test_a_python_error_and_a_polite_end_are_not_tried_again(ugly_path: Path, fault: Fault) -> None:
    fault("disk@save:2")
    events, error = _fails(make(ugly_path), "disk is full")
    assert not _of(events, Restarted) and isinstance(error, StorageError)
    if sys.platform != "win32":
        fault("die:SIGTERM@step:20")
        events, _ = _fails(make(ugly_path), "stopped from outside")
        assert not _of(events, Restarted)


def test_full_graphics_memory_is_tried_once_with_the_mildest_remedy(ugly_path: Path, fault: Fault) -> None:
    fault("oom@step:15")
    planned = make(ugly_path, guard={"out_of_memory": "retry"}, gradient_checkpointing=False)
    events, record = _train(planned)
    (restarted,) = _of(events, Restarted)
    assert restarted.changes == {"gradient_checkpointing": True} and "ran out of memory" in restarted.why
    assert [attempt.changes for attempt in record.attempts] == [{}, {"gradient_checkpointing": True}]
    assert "gradient_checkpointing = true" in planned.config.read_text(encoding="utf-8")
    assert record.values["gradient_checkpointing"] is False and record.fingerprint == planned.fingerprint
    assert train(planned).reused


def test_full_graphics_memory_that_no_remedy_mends_is_said_with_advice(
    ugly_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_SANDBOX_VRAM_MB", "100")
    planned = make(ugly_path, guard={"out_of_memory": "retry"}, gradient_checkpointing=False, batch_size=2)
    events, error = _fails(planned, "ran out of memory")
    assert len(_of(events, Restarted)) <= 1
    monkeypatch.setenv("ORCHESTRATOR_SANDBOX_VRAM_MB", "100000")
    fault("oom@step:2")
    other = make(ugly_path, gradient_checkpointing=False, batch_size=2, seed=7)
    events, error = _fails(other, "ran out of memory")
    assert not _of(events, Restarted)
    assert "gradient_checkpointing = true" in error.fix and "batch_size = 1" in error.fix


def test_a_smaller_batch_is_written_where_it_counts_and_kept_by_the_next_command(ugly_path: Path, fault: Fault) -> None:
    fault("oom@step:3,die@step:10")
    guard = {"out_of_memory": "retry", "restarts": 0}
    planned = make(ugly_path, guard=guard, gradient_checkpointing=True, batch_size=2)
    _fails(planned, "ended without")
    changes = {"batch_size": 1, "gradient_accumulation_steps": 2}
    assert "batch_size = 1" in planned.dataset_config.read_text(encoding="utf-8")
    _, record = _train(planned)
    assert [attempt.changes for attempt in record.attempts] == [{}, changes, changes]


def test_a_stall_is_diagnosed_and_stopped_and_the_same_command_goes_on(
    ugly_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.02)
    fault("stall@step:20")
    # Longer than a busy machine lets anything wait for the processor.
    planned = make(ugly_path, guard={"stalled_minutes": 0.08, "stalled_factor": 5})
    events, error = _fails(planned, "was stopped: no step for")
    (stalled,) = _of(events, Stalled)
    assert "does nothing" in stalled.diagnosis and "does nothing" in error.what
    assert "goes on from epoch 3" in error.fix
    assert not trainers(planned) and not _of(events, Restarted)
    _, record = _train(make(ugly_path))
    assert [attempt.resumed_from for attempt in record.attempts] == [0, 2]
    assert record.attempts[0].why.startswith("no step for")


def test_whoever_wants_to_wait_is_told_of_the_stall_and_waits(
    ugly_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.02)
    fault("stall:6@step:20")
    planned = make(ugly_path, guard={"stalled_minutes": 0.02, "stalled_factor": 5, "when_stalled": "wait"})
    events, record = _train(planned)
    assert _of(events, Stalled) and len(record.attempts) == 1


def test_a_saved_file_of_nan_stops_the_training_and_is_not_kept(
    ugly_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_FOLDER_S", 0.05)
    slow(monkeypatch, 0.1)
    fault("nan@save:4")
    planned = make(ugly_path)
    _, error = _fails(planned, "ai_model_v1-000004.safetensors holds NaN")
    assert error.cause.endswith("are fine: ai_model_v1-000002.safetensors.")
    slow(monkeypatch, 0.001)
    events, _ = _train(planned)
    assert _of(events, Started)[0].resumed_from in {2, 4}


@pytest.mark.parametrize("room_for_us", [True, False])
def test_a_disk_that_runs_full_is_noticed_before_the_save(
    ugly_path: Path, room_for_us: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_FOLDER_S", 0.05)
    slow(monkeypatch, 0.05)
    planned = make(ugly_path)
    with monkeypatch.context() as other:
        real, full = Path.open, []

        def as_long_as_there_is_room(path: Path, *args: Any, **named: Any) -> Any:
            if full and not room_for_us and args and args[0] in {"x", "wb"}:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(path, *args, **named)

        other.setattr(Path, "open", as_long_as_there_is_room)
        other.setattr(looking, "next_save_bytes", lambda planned: full.append(1) or 1 << 60)
        _, error = _fails(planned, "next save needs")
    assert isinstance(error, StorageError) and "goes on from epoch 1" in error.fix
    assert not trainers(planned)
    slow(monkeypatch, 0.001)
    _train(planned)


def test_without_states_it_goes_on_from_the_newest_lora_file_and_says_so(
    ugly_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault("die@step:28")
    planned = make(ugly_path, save_state=False)
    events, record = _train(planned)
    assert [(attempt.resumed_from, attempt.kind) for attempt in record.attempts] == [(0, "new"), (4, "weights")]
    assert "--network_weights" in record.attempts[1].command
    assert any("second best" in note.text for note in _of(events, Note))
    assert _of(events, Started)[1].resumed_from == 4


def test_a_lost_file_is_made_again_where_an_older_state_is_there(ugly_path: Path, fault: Fault) -> None:
    fault("die@step:28")
    planned = make(ugly_path, guard={"restarts": 0})
    _fails(planned, "ended without")
    (planned.output_folder / EVERY_FILE[1]).unlink()
    _, record = _train(planned)
    assert [attempt.resumed_from for attempt in record.attempts] == [0, 2]


def test_a_lost_file_that_cannot_be_made_again_is_no_success_until_it_is_accepted(
    ugly_path: Path, fault: Fault
) -> None:
    fault("die@step:28")
    planned = make(ugly_path, guard={"restarts": 0})
    _fails(planned, "ended without")
    (planned.output_folder / EVERY_FILE[0]).unlink()
    (planned.output_folder / "ai_model_v1-000002-state" / "random_states_0.pkl").unlink(missing_ok=True)
    _, error = _fails(planned, "the LoRA file of epoch 2 is missing")
    assert "runs rebuild" in error.fix
    events, _ = _fails(planned, "epoch 2 is missing")
    assert not events  # nothing is trained in vain
    record = runs.rebuild(Workspace(ugly_path), planned.name)
    assert record.status == "finished" and record.fingerprint == planned.fingerprint
    assert [file.epoch for file in record.files] == [4, 6]
    assert train(planned).reused


def test_a_run_is_gone_on_with_from_its_own_record(ugly_path: Path, fault: Fault) -> None:
    fault("die@step:28")
    planned = make(ugly_path, guard={"restarts": 0})
    _fails(planned, "ended without")
    (planned.folder / "run.json").write_text("{ broken", encoding="utf-8")
    workspace = Workspace(ugly_path)
    assert runs.list_runs(workspace) == [] and "no JSON" in runs.damaged(workspace)[0].what
    runs.rebuild(workspace, planned.name)
    assert (planned.folder / "run.json").is_file() and list(planned.folder.glob("run.json.before-*"))
    run = runs.resume(workspace, planned.name, poll_s=0.02)
    assert [path.name for path in run.lora_files] == EVERY_FILE
    record = read_record(planned.folder)
    assert record is not None and [attempt.resumed_from for attempt in record.attempts] == [0, 4]
    assert record.losses.keys() == {1, 2, 3, 4, 5, 6}
    assert make(ugly_path).folder == planned.folder  # and it is known again as what the profile asks for


@pytest.mark.parametrize("dies", ["begin", "config_file.write"])
def test_a_command_that_dies_before_the_start_leaves_a_folder_that_is_used(
    ugly_path: Path, dies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = make(ugly_path)

    def die(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(f"orchestrator.training.{'run' if dies == 'begin' else 'attempt'}.{dies}", die)
        with pytest.raises(SystemExit):
            train(planned)
    (planned.folder / MARK_NAME).write_text("[1, 0.0]", encoding="utf-8")  # the dead remove nothing
    assert make(ugly_path).folder == planned.folder
    _train(make(ugly_path))


@pytest.mark.parametrize("kind", ["disk", "stalled"])
def test_what_a_guard_stops_after_the_last_file_is_finished(ugly_path: Path, kind: Literal["disk", "stalled"]) -> None:
    """A trainer may hang at its very end, and no room is needed for a save that never comes."""
    planned = make(ugly_path)
    _train(planned)
    record = read_record(planned.folder)
    assert record is not None
    open_ = record.changed(status="running").with_last_attempt(ended_at=None, exit_code=None)
    write_record(planned.folder, open_)
    seen = ending.Seen(1, ending.hear(planned, open_.attempts[-1]), None, Stop(kind, "x"))
    found = ending.close(planned, seen, lambda _: False)
    assert isinstance(found, RunRecord) and found.status == "finished"


def test_what_is_left_of_a_closed_start_is_ended_before_another(ugly_path: Path) -> None:
    """A hung process that could not be ended may be there still when the same command comes again."""
    planned = make(ugly_path, epochs=2)
    train(planned, poll_s=0.02)
    planned.final_file.unlink()
    left = processes.start(
        [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)", *command.signs(planned.config)],
        folder=ugly_path, environment=dict(os.environ), log=ugly_path / "left.txt",
    )  # fmt: skip
    wait_for((ugly_path / "left.txt").read_bytes, "its beginning")

    def first_word(event: TrainingEvent) -> None:
        if isinstance(event, Started):
            assert not event.adopted and len(trainers(planned)) == 1

    train(planned, first_word, poll_s=0.02)
    assert left.exit_code is not None


@pytest.mark.parametrize(
    "launch", [{}, {"gpus": [1]}, {"gpus": [0, 2], "cpu_threads": 4}, {"accelerate": True}, {"cpu_threads": 3}]
)
def test_a_run_that_is_gone_on_with_takes_the_same_cards(
    ugly_path: Path, launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    planned = make(ugly_path, launch=launch)
    asked = planned.launch
    argv = command.argv(
        planned.install, planned.config, script="train_network.py", accelerate=asked.accelerate, gpus=asked.gpus,
        cpu_threads=asked.cpu_threads,
    )  # fmt: skip
    known = command.recorded_environment(attempt.environment(planned))
    start = Attempt(command=tuple(argv), environment=known, log="x", resumed_from=0, started_at=0)
    found = from_record(begin(planned).changed(attempts=(start,)), planned.folder).launch
    assert (found.gpus, found.cpu_threads) == (asked.gpus, asked.cpu_threads)
    assert found.accelerate == (asked.accelerate or len(asked.gpus) > 1)


def test_a_finished_training_says_what_proves_it_and_has_its_curve(ugly_path: Path) -> None:
    events, record = _train(make(ugly_path))
    assert any("whole and free of NaN" in sentence for sentence in record.proof)
    assert record.metrics and (make(ugly_path).folder / record.metrics).read_text(encoding="utf-8").count("\n") > 6
    assert record.attempts[0].steps == (1, 36)
    assert [event.epoch for event in _of(events, Saved)] == [2, 4, 6]
    assert processes.exit_words(record.attempts[0].exit_code) == "ended with exit code 0"
