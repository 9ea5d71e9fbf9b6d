"""Console events to progress, also after a resume."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.kohya import console
from orchestrator.kohya.console import EpochStarted, Failed, LatentsNaN, LossIsNaN, Phase, Sampling, Step, Warned
from orchestrator.profile.model import Guard
from orchestrator.training.events import Note, Progress, Saved, TrainingEvent
from orchestrator.training.follow import Watch, follow
from orchestrator.training.guards import Stop, stalled
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


def test_an_epoch_that_only_began_has_no_loss() -> None:
    watch, _ = _watch(epochs=3)
    watch.take([EpochStarted(1, 3), Step(4, 12, 0.5, 1.0), EpochStarted(2, 3)])
    watch.close()
    assert watch.losses == {1: 0.5}


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
    assert watch.nan_at and LossIsNaN(5) in watch.said


def test_where_the_loss_became_nan_is_told_however_late_it_is_seen(tmp_path: Path) -> None:
    """Adopted after hours, the whole log is read at once."""
    log = tmp_path / "console.log"
    bars = "".join(
        f"\n\nepoch {epoch}/6\n\n"
        + "".join(
            f"\rsteps: 1%| | {step}/24 [00:09<00:09, 1.00s/it, avr_loss={'nan' if step > 9 else 0.1}]"
            for step in range(4 * epoch - 3, 4 * epoch + 1)
        )
        for epoch in range(1, 6)
    )
    log.write_text(bars, encoding="utf-8")
    watch, _ = _watch(epochs=6)
    stop = follow(log, watch, lambda: True, poll_s=0)
    assert stop is not None and stop.text == "the loss became NaN in epoch 3 (step 10 of 24)"


def test_what_every_resume_says_is_told_to_nobody() -> None:
    log = (GOLDEN.parent / "console" / "resume.log").read_bytes()
    watch, events = _watch(resumed_from=4, epochs=6)
    watch.take(console.parse([log]))
    watch.close()
    assert not [e for e in events if isinstance(e, Note)]
    assert watch.covered == (17, 24)
    assert watch.losses == {5: 0.9, 6: 0.9}


def test_what_was_done_before_somebody_watched_does_not_spoil_what_is_left() -> None:
    """A found-again training: 100 steps are read in a moment, then one is seen every 3 s; the bar's mean says 2 s."""
    watch, events = _watch(epochs=1)
    watch.take([EpochStarted(1, 1), *(Step(n, 200, 0.5, 2.0) for n in range(101))])
    last = events[-1]
    assert isinstance(last, Progress) and last.seconds_left == 200.0 and last.rate_s is None
    for n in range(101, 111):
        watch.take([Step(n, 200, 0.5 + n / 1000, 2.0)], now=5000.0 + 3 * n)
    last = events[-1]
    assert isinstance(last, Progress)
    assert last.rate_s == pytest.approx(3.0) and last.seconds_left == pytest.approx(270.0)


def test_what_stood_in_the_log_already_is_not_timed(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    bars = [f"\rsteps:  1%|#| {n}/90 [01:{n:02d}<00:02,  2.00s/it, avr_loss=0.5]" for n in range(1, 31)]
    log.write_text("".join(bars), encoding="utf-8")
    watch, _ = _watch(epochs=1)
    seen: list[float | None] = []

    def look(watch: Watch, now: float) -> Stop | None:
        seen.append(watch.pace.step_at)
        if len(seen) == 1:
            with log.open("a", encoding="utf-8") as stream:
                stream.write("\rsteps:  1%|#| 31/90 [01:31<00:02,  2.00s/it, avr_loss=0.5]\r")
        return Stop("disk", "") if len(seen) == 2 else None

    follow(log, watch, lambda: True, poll_s=0, look=look)
    assert seen[0] is None and seen[1] is not None
    assert watch.step == 31


def test_the_phase_is_known() -> None:
    watch, _ = _watch()
    seen = [watch.phase]
    for event in (
        Phase("latents"), Step(0, 48, None, None), Sampling(4), Step(5, 48, 0.1, 1.0), Phase("validation"),
        Step(6, 48, 0.1, 1.0), console.CheckpointSaved("/x/m-000001.safetensors"), EpochStarted(2, 12),
    ):  # fmt: skip
        watch.take([event])
        seen.append(watch.phase)
    assert seen == ["start", "latents", "steps", "sampling", "steps", "validation", "steps", "saving", "saving"]


def test_a_training_that_talks_all_night_is_remembered_by_its_beginning_and_end() -> None:
    watch, events = _watch()
    for n in range(20_000):
        watch.take([Warned("WARNING", f"number {n}"), EpochStarted(n + 1, 20_000), Step(n, 20_000, 0.1, 1.0)])
    watch.take([Failed("RuntimeError", "at last")])
    assert len(watch.said) == 500
    assert watch.said[0] == Warned("WARNING", "number 0") and watch.said[-1] == Failed("RuntimeError", "at last")
    notes = [e for e in events if isinstance(e, Note)]
    assert len(notes) == 50 and "more warnings" in notes[-1].text


def test_latents_that_became_nan_are_told_with_what_to_do() -> None:
    watch, events = _watch()
    watch.take([LatentsNaN(), LatentsNaN()])
    assert [e.text for e in events if isinstance(e, Note)] == [
        "A picture became NaN in the VAE and is trained as zeros: set no_half_vae = true."
    ]


def test_a_night_asleep_is_no_silence() -> None:
    watch, _ = _watch()
    watch.look(10.0)
    watch.hear(10.0)
    watch.look(15.0)
    assert watch.quiet_s(15.0) == 5.0
    watch.look(15.0 + 8 * 3600)
    assert watch.quiet_s(15.0 + 8 * 3600) == 0.0


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    watch, _ = _watch()
    answers = iter([True, True, False])

    def running() -> bool:
        alive = next(answers)
        if not alive:
            log.write_bytes(b"epoch 3/12")
        return alive

    assert follow(log, watch, running, poll_s=0) is None
    assert watch.epoch == 3


def test_whoever_looks_on_can_stop_it_and_is_not_asked_after_the_end(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"epoch 1/12\n")
    asked: list[float] = []

    def look(watch: Watch, now: float) -> Stop | None:
        asked.append(now)
        return Stop("disk", "full") if len(asked) == 3 else None

    assert follow(log, _watch()[0], lambda: True, poll_s=0, look=look) == Stop("disk", "full")
    assert len(asked) == 3 and asked == sorted(asked)
    assert follow(log, _watch()[0], lambda: False, poll_s=0, look=look) is None
    assert len(asked) == 3


HANGS = r"""
import sys, time
sys.stderr.write("\nepoch 1/1\n\n")
for n in range(6):
    sys.stderr.write(f"\rsteps:  1%|#| {n}/90 [00:{n:02d}<00:02, 50.00it/s, avr_loss=0.{n}]")
    sys.stderr.flush()
    time.sleep(0.02)
sys.stderr.write("\n")
sys.stderr.flush()
time.sleep(600)
"""


def test_a_trainer_that_hangs_is_found_out(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    with log.open("wb") as output:
        child = subprocess.Popen([sys.executable, "-c", HANGS], stderr=output)
    guard = Guard(stalled_factor=5, stalled_minutes=0.005, start_minutes=5)
    watch, events = _watch(epochs=1)

    def look(watch: Watch, now: float) -> Stop | None:
        return stalled(watch.pace, watch.phase, watch.quiet_s(now), now, guard)

    try:
        stop = follow(log, watch, lambda: child.poll() is None, poll_s=0.01, look=look)
    finally:
        child.kill()
        child.wait()
    assert stop is not None and stop.kind == "stalled" and "in the middle of training" in stop.text
    assert watch.step == 5
    assert [e.step for e in events if isinstance(e, Progress)][-1] == 5


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
