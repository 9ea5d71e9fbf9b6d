"""Windows: the hours in which a job may run, and when they open and close.

`23:00-07:00`, `mon-fri 23:00-07:00`, `weekend 00:00-24:00`, several parted by commas or semicolons:
`mon-fri 23:00-07:00; sat,sun 09:00-24:00`. A day is the day a window opens on. Times are the wall clock's: a night in
which the clocks change is an hour longer or shorter. Pure; `zone` is the local time zone (None = the system's).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from orchestrator.errors import InputError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WORDS = {
    "daily": frozenset(range(7)),
    "weekdays": frozenset(range(5)),
    "weekend": frozenset({5, 6}),
    "weekends": frozenset({5, 6}),
}
_TIMES = re.compile(r"^(\d{1,2})(?::(\d{2}))?\s*-\s*(\d{1,2})(?::(\d{2}))?$")
_DAY = 24 * 60
#: Windows of a week are looked at for two, so that one that opens on a single day is found from any other.
_LOOK_DAYS = 15
#: Two windows that touch are one; clocks round.
_TOUCH_S = 1.0
_FIX = "Write it as 23:00-07:00, mon-fri 23:00-07:00, or weekend 00:00-24:00; several are parted by semicolons."


@dataclass(frozen=True)
class Window:
    """Opens on each of `days` (0 = Monday) at `opens` and closes `minutes` later; both in minutes of the wall clock."""

    days: frozenset[int]
    opens: int
    minutes: int


def parse(text: str) -> tuple[Window, ...]:
    """The windows in `text`; none for an empty one, which is: at any time. Raises `InputError`."""
    found: list[Window] = []
    days: list[str] = []
    for part in re.split(r"[;,]", text.lower()):
        words = part.split()
        if not words:
            continue
        joined = re.sub(r"\s*-\s*", "-", " ".join(words)).split()
        *named, last = joined
        days += named
        if not _TIMES.match(last):
            days.append(last)  # `sat,sun 09:00-24:00`: the hours come with the last day
            continue
        found.append(_window(days, last, text))
        days = []
    if days:
        raise InputError(f"The window {text!r} names no hours for {' '.join(days)}.", fix=_FIX)
    return tuple(found)


def _window(days: list[str], times: str, text: str) -> Window:
    match = _TIMES.match(times)
    assert match
    opens = int(match[1]) * 60 + int(match[2] or 0)
    closes = int(match[3]) * 60 + int(match[4] or 0)
    if max(int(match[2] or 0), int(match[4] or 0)) > 59 or opens >= _DAY or closes > _DAY:
        raise InputError(f"The window {text!r} has a time that no clock shows.", fix=_FIX)
    if opens == closes:
        raise InputError(
            f"The window {text!r} never opens: it closes when it opens.", fix="Write 00:00-24:00 for a whole day."
        )
    return Window(_days(days, text), opens, closes - opens if closes > opens else closes + _DAY - opens)


def _days(words: list[str], text: str) -> frozenset[int]:
    found: set[int] = set()
    for word in words:
        first, dash, last = word.partition("-")
        if word in _WORDS:
            found |= _WORDS[word]
        elif first[:3] in _DAYS and (not dash or last[:3] in _DAYS):
            begin = _DAYS.index(first[:3])
            end = _DAYS.index(last[:3]) if dash else begin
            found |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
        else:
            raise InputError(f"The window {text!r} has a day that is none: {word!r}.", fix=_FIX)
    return frozenset(found or range(7))


def open_until(windows: tuple[Window, ...], now: float, zone: tzinfo | None = None) -> float | None:
    """When the window that is open at `now` closes, windows that follow at once counted; None = none is open, or
    `windows` is empty (then nothing ever closes: ask `is_open`).
    """
    end: float | None = None
    for opens, closes in _spans(windows, now, zone):
        if opens <= now < closes or (end is not None and opens <= end + _TOUCH_S < closes + _TOUCH_S):
            end = closes if end is None else max(end, closes)
    return end


def is_open(windows: tuple[Window, ...], now: float, zone: tzinfo | None = None) -> bool:
    """Whether a job with these windows may run at `now`."""
    return not windows or open_until(windows, now, zone) is not None


def next_opening(windows: tuple[Window, ...], now: float, zone: tzinfo | None = None) -> float | None:
    """When a job with these windows may run next: `now` where one is open (or there are none); None = never."""
    if is_open(windows, now, zone):
        return now
    return next((opens for opens, closes in _spans(windows, now, zone) if opens > now), None)


def _spans(windows: tuple[Window, ...], now: float, zone: tzinfo | None) -> Iterator[tuple[float, float]]:
    """From when to when the windows are open, those of yesterday included, the earliest first."""
    today = datetime.fromtimestamp(now, zone).date()
    found = [
        span
        for step in range(-2, _LOOK_DAYS)
        for window in windows
        if (day := today + timedelta(days=step)).weekday() in window.days
        if (span := _span(window, day, zone))[1] > span[0]
    ]
    yield from sorted(found)


def _span(window: Window, day: date, zone: tzinfo | None) -> tuple[float, float]:
    # An hour that comes twice is in the window both times: opened by the first, closed by the second.
    return _moment(day, window.opens, 0, zone), _moment(day, window.opens + window.minutes, 1, zone)


def _moment(day: date, minutes: int, fold: int, zone: tzinfo | None) -> float:
    day += timedelta(days=minutes // _DAY)
    wall = time(minutes % _DAY // 60, minutes % 60, fold=fold)
    # An hour that is left out: what lies in it comes when it would have begun.
    return datetime.combine(day, wall, zone).timestamp()
