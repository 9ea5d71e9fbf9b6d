"""Whole console logs, cut anywhere and in any encoding, to events."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.kohya import console
from orchestrator.kohya.console import Event, LossIsNaN, Parser, Step, Warned

FOLDER = Path(__file__).parents[1] / "golden" / "console"
LOGS = {path.stem: path.read_bytes() for path in sorted(FOLDER.glob("*.log"))}


def _chunked(data: bytes, cuts: Sequence[int], *, every_step: bool = True) -> list[Event]:
    places = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    parser = Parser(every_step=every_step)
    return [e for a, b in pairwise(places) for e in parser.feed(data[a:b])] + parser.close()


def _same(event: Event, expected: list[Any]) -> bool:
    values = astuple(event)
    if type(event).__name__ != expected[0] or len(values) != len(expected) - 1:
        return False
    for value, wanted in zip(values, expected[1:], strict=True):
        if wanted == "nan":
            if not (isinstance(value, float) and math.isnan(value)):
                return False
        elif isinstance(wanted, float):
            # Times are printed with two decimals; losses exactly.
            if value is None or not math.isclose(value, wanted, rel_tol=0.01):
                return False
        elif value != wanted:
            return False
    return True


def test_all_logs_are_there() -> None:
    assert len(LOGS) == 12


@pytest.mark.parametrize("name", LOGS)
def test_a_whole_log_is_read_as_written_down(name: str) -> None:
    expected = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    events = console.parse([LOGS[name]])
    wrong = [(e, w) for e, w in zip(events, expected, strict=False) if not _same(e, w)]
    assert not wrong
    assert len(events) == len(expected)


@settings(max_examples=60)
@given(st.sampled_from(sorted(LOGS)), st.lists(st.integers(0, 11_000), max_size=40))
def test_any_chunking_gives_the_same_events(name: str, cuts: list[int]) -> None:
    assert repr(_chunked(LOGS[name], cuts)) == repr(console.parse([LOGS[name]]))


@settings(max_examples=60)
@given(st.sampled_from(sorted(LOGS)), st.lists(st.integers(0, 11_000), max_size=40))
def test_the_newest_bars_are_enough_for_progress_epochs_and_nan(name: str, cuts: list[int]) -> None:
    """Without `every_step` nothing but bars is lost, and never the one before something else is said."""
    every = console.parse([LOGS[name]])
    newest = _chunked(LOGS[name], cuts, every_step=False)
    assert [e for e in newest if not isinstance(e, Step)] == [e for e in every if not isinstance(e, Step)]
    assert repr(_before_each(newest)) == repr(_before_each(every))
    assert repr([e for e in newest if isinstance(e, Step)][-1:]) == repr([e for e in every if isinstance(e, Step)][-1:])


def _before_each(events: list[Event]) -> list[tuple[Event, Event | None]]:
    """Each event that is no step, with the newest step before it."""
    found: list[tuple[Event, Event | None]] = []
    step: Event | None = None
    for event in events:
        if isinstance(event, Step):
            step = event
        else:
            found.append((event, step))
    return found


def test_newest_bars_are_few() -> None:
    bars = "".join(f"\rsteps:  1%|▏| {i}/9000 [00:01<00:02, 2.00s/it, avr_loss=0.1]" for i in range(1, 9001)).encode()
    events = _chunked(bars, range(0, len(bars), 60_000), every_step=False)
    assert len(events) < 20
    last = events[-1]
    assert isinstance(last, Step) and last.step == 9000


def test_the_first_nan_is_told_with_its_step_among_thousands() -> None:
    losses = ["0.1"] * 700 + ["nan"] * 50
    bars = "".join(f"\rsteps:  1%|#| {i}/750 [00:01<00:02, 2.00s/it, avr_loss={x}]" for i, x in enumerate(losses, 1))
    events = _chunked(f"{bars}\r".encode(), [], every_step=False)
    assert next(e for e in events if isinstance(e, LossIsNaN)) == LossIsNaN(701)


TEXTS = st.text(alphabet="表示画像ソ能ミクabc \\|]", min_size=1, max_size=30).map(lambda t: f"見{t}".strip())
LINES = st.lists(st.tuples(TEXTS, st.sampled_from(["utf-8", "cp932"])), min_size=1, max_size=8)


@given(LINES, st.lists(st.integers(0, 1500), max_size=20))
def test_each_line_is_read_in_its_own_encoding(lines: list[tuple[str, str]], cuts: list[int]) -> None:
    """The launcher and the trainer may differ; no byte of a character is taken for a line's or a bar's end."""
    written = [f"2026-11-22 12:53:08 WARNING  {text}\n".encode(encoding) for text, encoding in lines]
    # A few cp932 texts are good UTF-8 by chance; nobody could tell.
    lucky = [encoding == "cp932" and _is_utf8(line) for line, (_, encoding) in zip(written, lines, strict=True)]
    events = _chunked(b"".join(written), cuts)
    assert len(events) == len(lines)
    for event, (text, _), unclear in zip(events, lines, lucky, strict=True):
        assert unclear or event == Warned("WARNING", text)


@given(st.binary(min_size=1, max_size=40), st.lists(st.integers(0, 200), max_size=8))
def test_broken_bytes_spoil_only_their_own_line(broken: bytes, cuts: list[int]) -> None:
    broken = broken.translate(None, b"\r\n\x1b")
    data = b"\nepoch 1/2\nx" + broken + b"\nepoch 2/2\n"
    events = _chunked(data, cuts)
    assert events == [console.EpochStarted(1, 2), console.EpochStarted(2, 2)]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
