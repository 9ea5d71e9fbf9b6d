"""The console of the simulated trainer has the widths, paddings and carriage returns of the real one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sandbox.console_output import Bar, cells, clock_text, fold, meter, table_row


def test_a_log_line_is_laid_out_in_eighty_columns() -> None:
    row = table_row("2026-11-22 12:56:47", "INFO", "Using v1 tokenizer", "strategy_sd.py:26", 80)
    assert row == "2026-11-22 12:56:47 INFO     Using v1 tokenizer                strategy_sd.py:26\n"


def test_a_second_line_in_the_same_second_has_no_time_and_a_long_message_is_folded() -> None:
    row = table_row("", "INFO", "create LoRA network. base dim (rank): 4, alpha: 2", "lora.py:935", 80)
    assert row == (
        "                    INFO     create LoRA network. base dim (rank):   lora.py:935\n"
        "                             4, alpha: 2                                        \n"
    )


def test_japanese_takes_two_columns() -> None:
    row = table_row(
        "", "WARNING", "no regularization images / 正則化画像が見つかりませんでした", "train_util.py:2167", 80
    )
    assert row == (
        "                    WARNING  no regularization images /       train_util.py:2167\n"
        "                             正則化画像が見つかりませんでした                   \n"
    )


def test_an_empty_message_keeps_its_place() -> None:
    row = table_row("2026-11-22 12:57:06", "INFO", "", "train_util.py:5989", 80)
    assert row == "2026-11-22 12:57:06 INFO                                      train_util.py:5989\n"


def test_a_wide_console_keeps_a_message_on_one_line() -> None:
    row = table_row("", "INFO", "Saving current state to " + "/a/very/long/path" * 9, "accelerator.py:3241", 1000)
    assert row.count("\n") == 1
    assert len(row) == 1001


@given(st.text(alphabet="ab 日/", max_size=120), st.integers(min_value=2, max_value=40))
def test_folding_loses_no_letter_and_keeps_the_width(text: str, width: int) -> None:
    lines = fold(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cells(line.rstrip()) <= width for line in lines)


@pytest.mark.parametrize(
    ("count", "total", "elapsed", "notes", "shown"),
    [
        (0, 12, 0.0, "", "  0%|          | 0/12 [00:00<?, ?it/s]"),
        (5, 12, 0.8117, ", avr_loss=1.05", " 42%|████▏     | 5/12 [00:00<00:01,  6.16it/s, avr_loss=1.05]"),
        (1, 48, 0.3485, "", "  2%|▏         | 1/48 [00:00<00:16,  2.87it/s]"),
        (47, 48, 13.584, "", " 98%|█████████▊| 47/48 [00:13<00:00,  3.46it/s]"),
        (2, 4, 142.14, "", " 50%|█████     | 2/4 [02:22<02:22, 71.07s/it]"),
        (0, 0, 0.0, "", "0it [00:00, ?it/s]"),
    ],
)
def test_the_meter_reads_as_tqdm_writes_it(count: int, total: int, elapsed: float, notes: str, shown: str) -> None:
    assert meter(count, total, elapsed, notes) == shown


def test_a_console_without_unicode_gets_another_bar() -> None:
    assert meter(5, 12, 0.8117, ascii_only=True).startswith(" 42%|####1     | 5/12")


def test_hours_are_shown_from_an_hour_on() -> None:
    assert (clock_text(3599), clock_text(11490)) == ("59:59", "3:11:30")


class Clock:
    """Seconds that only go on when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_slow_step_is_printed_twice_and_a_fast_one_once(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    bar = Bar(4, "steps", clock)
    for seconds, loss in ((0.3, 1.15), (0.3, 0.984), (0.01, 1.0)):
        clock.now += seconds
        bar.advance()
        bar.go_on()
        bar.postfix(avr_loss=loss)
    prints = capsys.readouterr().err.split("\r")[1:]
    assert [line.split(" [")[0].rsplit(" ", 1)[-1] for line in prints] == ["0/4", "1/4", "1/4", "2/4", "2/4", "3/4"]
    assert "avr_loss=1.15" in prints[3], "the new count comes with the old loss first"
    assert prints[4].endswith("avr_loss=0.984]")
    # The blanks wipe out the rest of the longer text before it.
    assert prints[5].endswith("avr_loss=1]    ")


def test_nan_is_shown_as_nan(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar(1, "steps", Clock())
    bar.postfix(avr_loss=float("nan"))
    assert capsys.readouterr().err.rstrip().endswith("avr_loss=nan]")
