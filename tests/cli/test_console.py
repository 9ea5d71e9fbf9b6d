"""What is shown while something takes its time."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from orchestrator.cli import console
from orchestrator.cli.train import show_events
from orchestrator.training.events import Note, Progress, Restarted, Sampled, Stalled, Started


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00:00"), (59.9, "0:00:59"), (3723, "1:02:03"), (100 * 3600, "100:00:00"), (None, "-:--:--"),
     (math.inf, "-:--:--"), (math.nan, "-:--:--")],
)  # fmt: skip
def test_the_time_to_go(seconds: float | None, shown: str) -> None:
    assert console.clock(seconds) == shown


def test_a_log_shows_the_time_that_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress() as bar:
        bar("train", 900, 1000, 3600.0, "epoch 9/10")
        bar("other", 900, 1000, math.inf)
        bar("third", 1, 2)
    assert capsys.readouterr().err.splitlines() == [
        "train: 900 of 1000, epoch 9/10, about 60 min left",
        "other: 900 of 1000",
        "third: 1 of 2",
    ]


def test_a_training_that_goes_on_does_not_show_the_speed_of_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[object, ...]] = []
    show = show_events(lambda *given: told.append(given))
    show(Started("v1", 60, 25, True, 1))
    show(Progress(26, 60, 780, 1800, None, None))
    show(Progress(26, 60, 781, 1800, 0.0834, 5095.0, 5.0))
    show(Progress(26, 60, 782, 1800, 0.0834, 50.0, 0.02))
    assert told == [
        ("train", 780, 1800, math.inf, "epoch 26/60"),
        ("train", 781, 1800, 5095.0, "epoch 26/60, loss 0.0834, 5.00 s/step"),
        ("train", 782, 1800, 50.0, "epoch 26/60, loss 0.0834, 50 steps/s"),
    ]
    assert capsys.readouterr().err == "v1 is being trained already: watching it.\n"


def test_what_happens_at_night_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    show = show_events(lambda *given, **named: None)
    show(Started("v1", 60, 25, False, 1))
    show(Sampled("lora/sample/v1_e000002.png", 2))
    show(Stalled(12.4, "it waits for the disk"))
    show(Restarted("The graphics card's memory is full.", {"gradient_checkpointing": True}))
    show(Restarted("it was killed", {}))
    show(Note("a word"))
    assert capsys.readouterr().err.splitlines() == [
        "v1 goes on after epoch 25.",
        "Drawn after epoch 2: lora/sample/v1_e000002.png",
        "Nothing has happened for 12 min: it waits for the disk",
        "The graphics card's memory is full. It is started again with gradient_checkpointing = True.",
        "It was killed. It is started again.",
        "a word",
    ]


def test_bars_show_the_time_that_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with console.progress() as bar:
        bar("train", 780, 1800, 5095.0, "epoch 26/60")
    assert "1:24:55" in terminal.getvalue()
    assert "epoch 26/60" in terminal.getvalue()


def test_what_shows_nothing_is_not_loaded_beside_a_training() -> None:
    """A command may watch all night: rich and pygments, which httpx would bring along, are 4 MB."""
    code = (
        "import sys, orchestrator.cli.train, orchestrator.cli.console, orchestrator.training.run, "
        "orchestrator.a1111.client, httpx; httpx.Client().close(); "
        "print(sorted({'rich', 'pygments', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
