"""When windows open and close: nights, weekends, changing clocks."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.jobs import windows

BERLIN = ZoneInfo("Europe/Berlin")
TOKYO = ZoneInfo("Asia/Tokyo")


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def hours(text: str, now: str) -> float | None:
    closes = windows.open_until(windows.parse(text), at(now), BERLIN)
    return None if closes is None else (closes - at(now)) / 3600


@pytest.mark.parametrize(
    ("text", "now", "left"),
    [
        ("23:00-07:00", "2026-11-26 22:59", None),
        ("23:00-07:00", "2026-11-26 23:00", 8),
        ("23:00-07:00", "2026-11-27 06:00", 1),
        ("23:00-07:00", "2026-11-27 07:00", None),
        ("23-7", "2026-11-27 06:30", 0.5),
        ("mon-fri 23:00-07:00", "2026-11-28 03:00", 4),  # Saturday morning belongs to Friday's night
        ("mon-fri 23:00-07:00", "2026-11-28 23:30", None),
        ("weekend 00:00-24:00", "2026-11-28 12:00", 36),  # both days are one stretch
        ("sat,sun 09:00-24:00", "2026-11-29 23:00", 1),
        ("mon-fri 23:00-07:00; weekend 00:00-24:00", "2026-11-27 23:00", 49),  # the night runs into the weekend
        ("fri-mon 20:00-22:00", "2026-11-30 21:00", 1),  # days over the end of the week
        ("tue 12:00 - 13:00", "2026-12-01 12:30", 0.5),
    ],
)
def test_how_long_a_window_is_open(text: str, now: str, left: float | None) -> None:
    assert hours(text, now) == left


def test_the_night_the_clocks_go_forward_is_an_hour_shorter_and_back_an_hour_longer() -> None:
    assert hours("23:00-07:00", "2026-03-28 23:00") == 7
    assert hours("23:00-07:00", "2026-10-24 23:00") == 9
    # The hour that comes twice is open both times.
    twice = windows.parse("02:00-03:00")
    for fold in (0, 1):
        assert windows.is_open(twice, at("2026-10-25 02:30", fold=fold), BERLIN)
    # The hour that is left out: what opens in it opens when it would have begun, and what lies in it never opens.
    assert windows.next_opening(windows.parse("02:30-04:30"), at("2026-03-29 01:00"), BERLIN) == at("2026-03-29 03:30")
    assert windows.next_opening(twice, at("2026-03-29 00:30"), BERLIN) == at("2026-03-30 02:00")


def test_the_next_opening() -> None:
    night = windows.parse("mon-fri 23:00-07:00")
    assert windows.next_opening(night, at("2026-11-28 12:00"), BERLIN) == at("2026-11-30 23:00")
    assert windows.next_opening(night, at("2026-11-27 23:30"), BERLIN) == at("2026-11-27 23:30")
    assert windows.next_opening((), 5.0) == 5.0


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("22:00-22:00", "never opens"),
        ("25:00-07:00", "no clock"),
        ("23:61-07:00", "no clock"),
        ("someday 23:00-07:00", "someday"),
        ("mon-someday 23:00-07:00", "someday"),
        ("mon-fri", "no hours"),
        ("tonight", "no hours"),
        ("23:00-07:00 mon", "no hours"),
    ],
)
def test_windows_that_are_none(text: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        windows.parse(text)


@given(
    opens=st.integers(0, 1439),
    length=st.integers(1, 1439),
    days=st.sets(st.integers(0, 6), min_size=1),
    now=st.floats(1.7e9, 1.9e9),
    zone=st.sampled_from([BERLIN, TOKYO, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/St_Johns")]),
)
def test_every_window_opens_and_is_open_then(
    opens: int, length: int, days: set[int], now: float, zone: ZoneInfo
) -> None:
    spans = (windows.Window(frozenset(days), opens, length),)
    begins = windows.next_opening(spans, now, zone)
    assert begins is not None and begins >= now
    assert begins - now < 15 * 86_400
    closes = windows.open_until(spans, begins, zone)
    assert closes is not None and closes > begins
    assert not windows.is_open(spans, closes, zone) or len(days) > 1 or length > 1380
