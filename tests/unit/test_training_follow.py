"""Console events to progress, also after a resume."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.kohya.console import EpochStarted, LossIsNaN, Step, Warned
from orchestrator.training.events import Note, Progress, Saved, TrainingEvent
from orchestrator.training.follow import Watch, follow
from orchestrator.training.record import Attempt, RunRecord, read_record, write_record

GOLDEN = Path(__file__).parents[1] / "golden" / "kohya_console.log"


def _watch(resumed_from: int = 0, epochs: int = 12) -> tuple[Watch, list[TrainingEvent]]:
    events: list[TrainingEvent] = []
    return Watch("m", epochs, 5, resumed_from, events.append), events


def test_a_real_log_is_followed_while_it_grows(tmp_path: Path) -> None:
    data = GOLDEN.read_bytes()
    log = tmp_path / "console.log"
    log.write_bytes(b"")
    watch, events = _watch()
    pieces = [data[i : i + 997] for i in range(0, len(data), 997)]

    def running() -> bool:
        if not pieces:
            return False
        with log.open("ab") as stream:
            stream.write(pieces.pop(0))
        return True

    follow(log, watch, running, poll_s=0)
    progress = [e for e in events if isinstance(e, Progress)]
    assert progress[-1] == Progress(6, 12, 48, 48, 1.09, 0.0)
    assert [e.file for e in events if isinstance(e, Saved)] == [
        "ai_model_v1-000005.safetensors",
        "ai_model_v1.safetensors",
    ]
    assert not [e for e in events if isinstance(e, Note)]  # "no regularization images" comes in every run


def test_after_a_resume_the_count_goes_on_where_it_was() -> None:
    """The bar of a resumed run begins at 0 of the whole and ends at a third: 4 of 6 epochs were done before."""
    watch, events = _watch(resumed_from=4, epochs=6)
    watch.take(
        [EpochStarted(5, 6), Step(0, 24, None, None), Step(4, 24, 0.5, 2.0), EpochStarted(6, 6), Step(8, 24, 0.4, 2.0)]
    )
    watch.close()
    assert [(e.epoch, e.step, e.steps, e.seconds_left) for e in events if isinstance(e, Progress)] == [
        (5, 16, 24, None), (5, 20, 24, 8.0), (6, 24, 24, 0.0),
    ]  # fmt: skip
    assert watch.losses == {5: 0.5, 6: 0.4}


def test_the_second_print_of_a_step_has_the_loss_that_counts() -> None:
    watch, events = _watch(epochs=2)
    watch.take([EpochStarted(1, 2), Step(1, 4, 0.9, 1.0), Step(1, 4, 0.8, 1.0), Step(1, 4, 0.8, 1.0)])
    watch.take([Step(2, 4, 0.8, 1.0), Step(2, 4, 0.7, 1.0), EpochStarted(2, 2)])
    assert [e.loss for e in events if isinstance(e, Progress)] == [0.9, 0.8, 0.8, 0.7]
    assert watch.losses == {1: 0.7}


def test_an_epoch_that_was_not_finished_has_no_loss() -> None:
    watch, _ = _watch(epochs=2)
    watch.take([EpochStarted(1, 2), Step(3, 8, 0.9, 1.0)])
    watch.close()
    assert watch.losses == {}


def test_a_warning_is_told_once_and_in_one_language() -> None:
    watch, events = _watch()
    watch.take([Warned("WARNING", "the disk is slow / ディスクが遅い")] * 3)
    assert events == [Note("the disk is slow")]


@pytest.mark.parametrize("alive", [True, False])
def test_nan_ends_the_watching_at_once(tmp_path: Path, alive: bool) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"\rsteps:  42%|# | 5/12 [00:00<00:01,  6.16it/s, avr_loss=nan]\r")
    watch, _ = _watch()
    follow(log, watch, lambda: alive, poll_s=0)
    assert watch.went_nan and LossIsNaN(5) in watch.said


def test_a_record_survives_the_disk(ugly_path: Path) -> None:
    attempt = Attempt(
        command=("python", "x"), environment={"A": "1"}, log="console-1.log", resumed_from=0, started_at=1.5
    )
    record = RunRecord(
        name="m_v1", status="running", fingerprint="f", orchestrator="0", computer="x", values={"network_dim": 4},
        dataset_config={}, dataset={}, base={}, trainer={}, epochs=2, save_every=1, seed=1, attempts=(attempt,),
        losses={1: 0.5},
    )  # fmt: skip
    write_record(ugly_path, record.with_last_attempt(pid=3, created=4.25))
    found = read_record(ugly_path)
    assert found is not None and found.losses == {1: 0.5} and found.attempts[0].created == 4.25
    assert read_record(ugly_path / "elsewhere") is None
