"""Console bytes to events."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.kohya import console
from orchestrator.kohya.console import (
    CheckpointSaved,
    EpochStarted,
    Event,
    Failed,
    LossIsNaN,
    ModelSaved,
    NoData,
    Parser,
    Phase,
    StateSaved,
    Step,
    Warned,
)

GOLDEN = (Path(__file__).parents[1] / "golden" / "kohya_console.log").read_bytes()
OUT = "/opt/kohya_ss/out/refu/ai_model_v1"


def _events(text: str) -> list[Event]:
    return console.parse([text.encode()])


def test_a_real_log() -> None:
    events = console.parse([GOLDEN])
    assert [e for e in events if not isinstance(e, Step)] == [
        Warned("WARNING", "no regularization images / 正則化画像が見つかりませんでした"),
        EpochStarted(1, 12),
        CheckpointSaved(f"{OUT}-000005.safetensors"),
        Phase("saving"),
        StateSaved(""),
        EpochStarted(6, 12),
        StateSaved(""),
        CheckpointSaved(f"{OUT}.safetensors"),
        ModelSaved(),
    ]
    steps = [e for e in events if isinstance(e, Step)]
    assert steps[0] == Step(0, 48, None, None)
    assert [(s.step, s.loss) for s in steps[1:5]] == [(1, None), (1, 1.15), (2, 1.15), (2, 1.05)]
    assert steps[-1].step == steps[-1].total == 48
    assert steps[-1].seconds_per_step == pytest.approx(1 / 3.4)


@given(st.lists(st.integers(0, len(GOLDEN)), max_size=30))
def test_any_chunking_of_a_real_log_gives_the_same_events(cuts: list[int]) -> None:
    assert _chunked(GOLDEN, cuts) == console.parse([GOLDEN])


LINES = st.sampled_from(
    [
        "epoch 3/10",
        "steps:  42%|████▏     | 5/12 [00:00<00:01,  6.16it/s, avr_loss=1.05]",
        "saving checkpoint: C:\\a b\\ミク.safetensors",
        "Traceback (most recent call last):",
        '  File "x.py", line 1',
        "ValueError: no / だめ",
        "\x1b[32mINFO\x1b[0m     model saved.",
        "2026-11-22 12:53:08 ERROR    No data found. Please  x.py:1",
        "                             more",
        "",
        "\x1b]8;id=1;file://x\x1b\\x.py",
        "steps:  50%|#####     | 6/12 [00:00<?, ?it/s, avr_loss=nan]",
    ]
)


@given(
    st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r", "\r\n", ""]))), st.lists(st.integers(0, 2000), max_size=20)
)
def test_any_chunking_of_any_log_gives_the_same_events(lines: list[tuple[str, str]], cuts: list[int]) -> None:
    data = "".join(line + end for line, end in lines).encode()
    assert repr(_chunked(data, cuts)) == repr(console.parse([data]))  # repr: nan is not equal to itself


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=8))
def test_any_bytes_at_all_are_survived(data: bytes, cuts: list[int]) -> None:
    assert repr(_chunked(data, cuts)) == repr(console.parse([data]))


def _chunked(data: bytes, cuts: list[int]) -> list[Event]:
    places = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    parser = Parser()
    events = [e for a, b in pairwise(places) for e in parser.feed(data[a:b])]
    return events + parser.close()


def test_memory_stays_bounded_without_any_line_end() -> None:
    parser = Parser()
    for _ in range(64):
        parser.feed(b"x" * 65_536)
    assert len(parser._rest) <= console.MAX_LINE


BARS = [
    ("steps:   0%|          | 0/48 [00:00<?, ?it/s]", Step(0, 48, None, None)),
    ("steps:  42%|████▏     | 5/12 [00:00<00:01,  6.16it/s, avr_loss=1.05]", Step(5, 12, 1.05, 1 / 6.16)),
    ("steps:  42%|####1     | 5/12 [00:00<00:01, 71.07s/it, avr_loss=0.0988] ", Step(5, 12, 0.0988, 71.07)),
    ("steps:  36%|███▌  | 5/14 [3:11:30<5:40:05,  1.10s/it, avr_loss=1]", Step(5, 14, 1.0, 1.10, 11_490)),
    (
        "steps:  1%| | 1/99 [00:01<00:02, 2.00s/it, Average key norm=0.3, Keys Scaled=4, "
        "avr_loss=tensor(0.1880, device='cuda:0')]",
        Step(1, 99, 0.188, 2.0, 1),
    ),
    ("steps:  1%| | 1/99 [00:01<00:02, 2.00s/it, avr_loss=5e-05]", Step(1, 99, 5e-5, 2.0, 1)),
]


@pytest.mark.parametrize(("text", "step"), BARS)
def test_bars_of_every_shape(text: str, step: Step) -> None:
    assert _events(text) == [step]


@pytest.mark.parametrize("text", [
    "  0%|          | 0/4 [00:00<?, ?it/s]", "read caption: 100%|██████████| 4/4 [00:00<00:00, 19328.59it/s]",
    "epoch validation", "the epoch 3/4 began", "",
])  # fmt: skip
def test_other_bars_and_lines_are_no_progress(text: str) -> None:
    assert _events(text) == []


def test_a_log_line_glued_to_a_bar_is_both() -> None:
    bar = "steps: 100%|█| 4/4 [00:00<00:00,  6.16it/s, avr_loss=1.05]"
    glued = bar + "2026-11-22 12:53:08 INFO     model saved.     train_network.py:1729"
    assert _events(glued) == [Step(4, 4, 1.05, 1 / 6.16), ModelSaved()]


def test_the_time_of_steps_too_fast_for_the_bar_is_not_believed() -> None:
    """tqdm prints at most ten times a second, and the clock is set forward to its last print after every step."""
    for rate, told in (("4536230.96it/s", None), ("12.5it/s", None), ("6.16it/s", 1 / 6.16), ("1.10s/it", 1.1)):
        (step,) = _events(f"\rsteps:   1%|          | 4/600 [00:00<00:00, {rate}, avr_loss=0.15]\r")
        assert isinstance(step, Step)
        assert step.seconds_per_step == (None if told is None else pytest.approx(told))


def test_a_nan_loss_is_told_with_its_step() -> None:
    events = _events("steps:  42%|██| 5/12 [00:00<00:01,  6.16it/s, avr_loss=nan]")
    assert events[1] == LossIsNaN(5)
    assert isinstance(events[0], Step) and events[0].loss is not None and math.isnan(events[0].loss)


def test_terminal_colours_and_links_are_taken_off() -> None:
    line = "\x1b[2;36m2026-11-22 12:53:08\x1b[0m \x1b[33mWARNING \x1b[0m \x1b[1mall lost\x1b[0m "
    line += "\x1b]8;id=1;file:///t.py\x1b\\t.py\x1b]8;;\x1b\\:12"
    assert _events(line) == [Warned("WARNING", "all lost")]


def test_a_wrapped_warning_is_put_together() -> None:
    text = (
        "2026-11-22 12:56:47 WARNING  neither caption file nor       train_util.py:2100\n"
        "                             class tokens are found                        \n"
        "                    INFO     next                           train_util.py:2101\n"
    )
    assert _events(text) == [Warned("WARNING", "neither caption file nor class tokens are found")]


def test_no_data() -> None:
    assert _events("2026-11-22 12:56:47 ERROR    No data found. Please verify / 画像がありません  x.py:576") == [
        NoData()
    ]


def test_a_chain_of_tracebacks_gives_each_exception() -> None:
    text = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    train()\n'
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "b.py", line 1\nKeyboardInterrupt\n'
    )
    assert _events(text) == [
        Failed("torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB"),
        Failed("KeyboardInterrupt", ""),
    ]


def test_a_traceback_glued_to_a_bar_is_found() -> None:
    """A crash in the middle of a step: the bar before it has no line end (unnamed bars likewise)."""
    bar = "steps:  17%|█▋        | 2/12 [00:00<00:04,  2.50it/s, avr_loss=1.1] "
    crash = 'Traceback (most recent call last):\n  File "t.py", line 1\nValueError: no\n'
    assert _events(bar + crash) == [Step(2, 12, 1.1, 0.4), Failed("ValueError", "no")]
    assert _events("\r 25%|██▌       | 1/4 [00:00<00:01,  1.84it/s]" + crash) == [Failed("ValueError", "no")]


def test_an_exception_goes_on_over_indented_lines() -> None:
    text = (
        "Traceback (most recent call last):\nRuntimeError: Error(s) in loading:\n\tsize mismatch for a\n\tand b\nbye\n"
    )
    assert _events(text) == [Failed("RuntimeError", "Error(s) in loading: size mismatch for a and b")]


def test_the_exception_of_a_loader_process_is_found() -> None:
    text = (
        'Traceback (most recent call last):\n  File "t.py", line 1\n'
        "OSError: Caught OSError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "w.py", line 1\nOSError: image file is truncated\n\n'
    )
    assert _events(text)[-1] == Failed("OSError", "image file is truncated")


def test_python_tidying_up_is_no_failure() -> None:
    text = "Exception ignored in: <function x>\nTraceback (most recent call last):\n  File\nAttributeError: gone\n"
    assert _events(text) == []
    assert _events(text + "Traceback (most recent call last):\nValueError: no\n") == [Failed("ValueError", "no")]


def test_numbers_that_are_none_are_survived() -> None:
    digits = "9" * 5000
    for text in (
        f"steps: 1%|#| {digits}/{digits} [00:01<00:02, 1.2.3it/s, avr_loss=1.2.3]", f"epoch {digits}/{digits}",
        f"steps: 1%|#| 1/2 [:::<00:02, {digits}s/it]", f"steps: 1%|#| 1/2 [00:01<00:02, 1.00s/it, avr_loss={digits}]",
    ):  # fmt: skip
        assert all(isinstance(e, (Step, LossIsNaN)) for e in _events(text))


def test_the_launchers_refusal() -> None:
    assert _events("Accelerate CLI tool: error: unrecognized arguments: --x") == [
        Failed("argparse", "unrecognized arguments: --x")
    ]


def test_a_refused_command_line() -> None:
    assert _events("usage: train_network.py [-h]\ntrain_network.py: error: unrecognized arguments: --x") == [
        Failed("argparse", "unrecognized arguments: --x")
    ]


def test_the_last_line_needs_no_end() -> None:
    parser = Parser()
    assert parser.feed(b"epoch 1/2") == []
    assert parser.close() == [EpochStarted(1, 2)]


def test_a_state_folder_with_its_path_when_the_console_is_wide() -> None:
    line = r"          INFO     Random states saved in C:\out\m-000005-state\random_states_0.pkl   x.py:170"
    assert _events(line) == [StateSaved(r"C:\out\m-000005-state")]
