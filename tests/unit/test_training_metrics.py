"""Loss, learning rate and time of each step of a run, from what its attempts left behind."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from orchestrator.training import metrics
from orchestrator.training.metrics import Covered, Point, Source, collect, points, read, sources
from orchestrator.training.record import Attempt

GOLDEN = Path(__file__).parents[1] / "golden"
EVENTS = GOLDEN / "tensorboard" / "events.out.tfevents.1763816207.computer.1.0"


def _log(path: Path, first: int, last: int, total: int, *, epoch: int = 1, loss: str = "0.5") -> Path:
    lines = [f"\nepoch {epoch}/{epoch}\n"]
    for step in range(first, last + 1):
        clock = f"{step * 2 // 60:02d}:{step * 2 % 60:02d}"
        for shown in ("0.9", loss):
            lines.append(f"\rsteps:  1%|#| {step}/{total} [{clock}<00:02, 2.00s/it, avr_loss={shown}]")
    path.write_text("".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_console_log_gives_each_step_once_with_its_last_loss() -> None:
    found = list(points(Source(GOLDEN / "console" / "first_run.log", (), 0, 3)))
    assert [p.step for p in found] == list(range(1, 13))
    assert [p.epoch for p in found] == [1] * 4 + [2] * 4 + [3] * 4
    assert [p.mean_loss for p in found][:3] == [1.15, 1.05, 1.06]
    assert all(p.loss is None and not p.rates for p in found)
    assert found[0].seconds == pytest.approx(0.4)


def test_a_resumed_attempt_is_counted_over_the_whole_run() -> None:
    found = list(points(Source(GOLDEN / "console" / "resume.log", (), 4, 6)))
    assert [(p.step, p.epoch) for p in found] == [
        (17, 5),
        (18, 5),
        (19, 5),
        (20, 5),
        (21, 6),
        (22, 6),
        (23, 6),
        (24, 6),
    ]


def test_tensorboard_adds_each_steps_own_loss_and_rates_and_the_console_what_it_lost(tmp_path: Path) -> None:
    """TensorBoard's file ends at step 8 (the last minutes are lost in a kill); the console goes on to 12."""
    found = list(points(Source(_log(tmp_path / "log", 1, 12, 12), (EVENTS,), 0, 3)))
    assert [p.step for p in found] == list(range(1, 13))
    assert found[3] == Point(4, 1, 0.25, 0.375, {"textencoder": 5e-5, "unet": 5e-5}, 0.5)
    assert found[7].epoch == 2
    assert found[8].loss is None and found[8].mean_loss == 0.5 and found[8].seconds == pytest.approx(2.0)


def test_what_was_trained_again_counts_as_it_was_done_last(tmp_path: Path) -> None:
    """The first attempt died in epoch 3 of 4 after step 10; the second began at epoch 3 (step 9) again."""
    first = Source(_log(tmp_path / "1", 1, 10, 16, loss="0.7"), (), 0, 4)
    second = Source(_log(tmp_path / "2", 1, 8, 16, epoch=3, loss="0.3"), (), 2, 4)
    silent = Source(tmp_path / "never-written", (), 2, 4)
    covered = collect([first, second, silent], tmp_path / "metrics.jsonl")
    assert covered == [Covered((1, 10), 2.0), Covered((9, 16), 2.0), Covered(None, None)]
    found = read(tmp_path / "metrics.jsonl")
    assert [p.step for p in found] == list(range(1, 17))
    assert [p.mean_loss for p in found] == [0.7] * 8 + [0.3] * 8


def test_steps_that_were_lost_and_not_trained_again_yet_are_not_counted(tmp_path: Path) -> None:
    first = Source(_log(tmp_path / "1", 1, 10, 16, loss="0.7"), (), 0, 4)
    second = Source(_log(tmp_path / "2", 1, 1, 16, epoch=3, loss="0.3"), (), 2, 4)
    collect([first, second], tmp_path / "m")
    assert [(p.step, p.mean_loss) for p in read(tmp_path / "m")][-2:] == [(8, 0.7), (9, 0.3)]


def test_nan_is_kept_in_a_file_that_stays_json(tmp_path: Path) -> None:
    collect([Source(GOLDEN / "console" / "nan.log", (), 0, 2)], tmp_path / "m")
    for line in (tmp_path / "m").read_text(encoding="utf-8").splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    loss = read(tmp_path / "m")[-1].mean_loss
    assert loss is not None and math.isnan(loss)


def test_a_long_run_is_thinned_evenly_and_ends_with_its_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST_POINTS", 50)
    collect([Source(_log(tmp_path / "log", 1, 333, 333), (), 0, 1)], tmp_path / "m")
    steps = [p.step for p in read(tmp_path / "m")]
    assert steps == [*range(8, 333, 8), 333]


def test_of_a_huge_log_enough_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = _log(tmp_path / "log", 1, 3000, 3000)
    monkeypatch.setattr(metrics, "_READ_WHOLE", 1000)
    found = list(points(Source(log, (), 0, 1)))
    assert 100 < len(found) < 3000
    assert found[-1] == Point(3000, 1, None, 0.5, {}, pytest.approx(2.0))


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "m").write_text(
        '{"step": 1, "epoch": 1}\n{"step": 2, "ep\n[]\n{"step": 3, "epoch": 1}\n', encoding="utf-8"
    )
    assert [p.step for p in read(tmp_path / "m")] == [1, 3]
    assert read(tmp_path / "none") == []


def test_each_attempt_finds_its_own_event_files(tmp_path: Path) -> None:
    from orchestrator.kohya.tensorboard import started_at

    began = started_at(EVENTS)
    assert began is not None
    folder = tmp_path / "tensorboard" / "20261122" / "network_train"
    folder.mkdir(parents=True)
    shutil.copy(EVENTS, folder)
    (folder / "events.out.tfevents.9.empty").write_bytes(b"")
    attempts = [
        Attempt(command=(), environment={}, log=f"console-{n}.log", resumed_from=n - 1, started_at=began + shift)
        for n, shift in ((1, -100.0), (2, -10.0), (3, 50.0))
    ]
    found = sources(tmp_path, attempts, 6, tmp_path / "tensorboard")
    assert [len(s.events) for s in found] == [0, 1, 0]
    assert [(s.log, s.resumed_from, s.epochs) for s in found][2] == (tmp_path / "console-3.log", 2, 6)
    assert [s.events for s in sources(tmp_path, attempts, 6)] == [(), (), ()]
