"""The console of the simulated trainer: log lines in a table, progress bars, plain lines; each on its own stream.

The shapes are those of sd-scripts, whose log goes through rich and whose bars come from tqdm; both are drawn here by
hand,
because a reader of the console must meet the same widths, paddings and carriage returns.
"""

from __future__ import annotations

import locale
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

_Item = TypeVar("_Item")

_TIME_WIDTH = 19
_LEVEL_WIDTH = 8
_BAR_WIDTH = 10
#: tqdm's default: an update is printed at most this often (seconds).
_MININTERVAL_S = 0.1
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


def say(*words: object) -> None:
    """Write one line to stdout.

    It is block-buffered off a terminal, as in the real trainer, unless PYTHONUNBUFFERED is set.
    """
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")


def cells(text: str) -> int:
    """Number of terminal columns `text` takes; East Asian wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def fold(text: str, width: int) -> list[str]:
    """Break one line of text into lines of at most `width` columns: at blanks if possible, inside a word if it is
    longer.
    """
    lines = [""]
    room = width
    for word in _words(text):
        need = cells(word.rstrip())
        if need <= room:
            lines[-1] += word
            room -= cells(word)
            continue
        if lines[-1]:
            lines.append("")
        if need > width:
            pieces = _chop(word, width)
            lines[-1:] = pieces
            room = width - cells(pieces[-1])
        else:
            lines[-1] = word
            room = width - cells(word)
    return [line.rstrip() if cells(line) > width else line for line in lines]


def _words(text: str) -> Iterator[str]:
    """Words with the blanks that follow them; leading blanks are part of the first word."""
    start = 0
    inside = False
    for index, letter in enumerate(text):
        if letter.isspace():
            inside = False
        elif not inside:
            inside = True
            if text[start:index].strip():
                yield text[start:index]
                start = index
    if start < len(text):
        yield text[start:]


def _chop(word: str, width: int) -> list[str]:
    pieces = [""]
    for letter in word:
        if cells(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


class Console:
    """Console lines as rich lays them out: time (once per second), level, message folded to its column, file:line at
    the right.

    `simple` writes bare messages to stdout, `file` writes them to a file instead; `level` is the lowest level shown.
    """

    def __init__(self, *, simple: bool = False, file: str | None = None, level: str | None = None) -> None:
        self._simple = simple
        self._lowest = _LEVELS[level or "INFO"]
        self._last_time = ""
        self._file = Path(file) if file else None
        if self._file is not None:
            self._file.write_bytes(b"")

    def info(self, message: str, place: str) -> None:
        """Write a message of level INFO that came from `place` ("train_util.py:2112")."""
        self.write("INFO", message, place)

    def warning(self, message: str, place: str) -> None:
        """Write a message of level WARNING."""
        self.write("WARNING", message, place)

    def error(self, message: str, place: str) -> None:
        """Write a message of level ERROR."""
        self.write("ERROR", message, place)

    def write(self, level: str, message: str, place: str) -> None:
        """Write one message, which may have several lines."""
        if _LEVELS[level] < self._lowest:
            return
        if self._file is not None:
            # The real trainer leaves the encoding of this file to the locale.
            with self._file.open("a", encoding=locale.getpreferredencoding(False)) as stream:
                stream.write(message + "\n")
        elif self._simple:
            say(message)
        else:
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            stamp = now if now != self._last_time else ""
            self._last_time = now
            sys.stderr.write(table_row(stamp, level, message, place, _columns()))
            sys.stderr.flush()


def table_row(stamp: str, level: str, message: str, place: str, columns: int) -> str:
    """Lay one message out in `columns` columns and return its lines, each ended by a line feed."""
    width = max(1, columns - _TIME_WIDTH - _LEVEL_WIDTH - 3 - len(place))
    lines = [piece for line in message.split("\n") for piece in fold(line, width)]
    rows = []
    for index, line in enumerate(lines):
        head = f"{stamp if not index else '':<{_TIME_WIDTH}} {level if not index else '':<{_LEVEL_WIDTH}} "
        rows.append(head + line + " " * (width - cells(line)) + " " + (place if not index else " " * len(place)) + "\n")
    return "".join(rows)


def _columns() -> int:
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 80


class Bar:
    """A progress bar as tqdm prints it on a pipe.

    `advance` prints at most every 0.1 s, `postfix` always, which is why one step shows up as two prints: first the
    new count
    with the old loss, then the same count with the new one.
    """

    def __init__(self, total: int, label: str = "", clock: Callable[[], float] = time.time) -> None:
        self._total = total
        self._label = f"{label}: " if label else ""
        self._clock = clock
        self._count = 0
        self._notes = ""
        self._width = 0
        # A new bar flushes stdout once: everything said before it is on the pipe even when stdout is buffered.
        sys.stdout.flush()
        self._start = self._printed_at = clock()
        self._printed_count = 0
        # tqdm learns from each print how many counts pass before the clock is looked at again.
        self._least_advance = 0
        self._print()

    def advance(self) -> None:
        """Count one more; print if the last print is long enough ago."""
        self._count += 1
        if self._count - self._printed_count < self._least_advance:
            return
        now = self._clock()
        if now - self._printed_at >= _MININTERVAL_S:
            self._print()
            self._least_advance = max(self._least_advance, self._count - self._printed_count)
            self._printed_count, self._printed_at = self._count, now

    def go_on(self) -> None:
        """Leave the time since the last print out of the elapsed time, as the trainer does after saving and
        sampling.
        """
        now = self._clock()
        self._start += now - self._printed_at
        self._printed_at = now

    def postfix(self, **notes: object) -> None:
        """Set what is shown behind the rate, and print."""
        self._notes = "".join(f", {key}={_shorter(value)}" for key, value in notes.items())
        self._print()

    def close(self) -> None:
        """Print a last time and end the line."""
        self._print()
        sys.stderr.write("\n")
        sys.stderr.flush()

    def _print(self) -> None:
        elapsed = max(0.0, self._clock() - self._start)
        text = self._label + meter(self._count, self._total, elapsed, self._notes, ascii_only=not _shows_unicode())
        sys.stderr.write("\r" + text + " " * max(0, self._width - cells(text)))
        sys.stderr.flush()
        self._width = cells(text)


def meter(count: int, total: int, elapsed_s: float, notes: str = "", *, ascii_only: bool = False) -> str:
    """Return "42%|████▏     | 5/12 [00:00<00:01,  6.16it/s, avr_loss=1.05]" for a count, a total and the seconds gone
    by.
    """
    if not total:
        return f"{count}it [{clock_text(elapsed_s)}, ?it/s{notes}]"
    rate = count / elapsed_s if elapsed_s > 0 and count else None
    left = clock_text((total - count) / rate) if rate else "?"
    speed = "?it/s" if rate is None else f"{1 / rate:5.2f}s/it" if rate < 1 else f"{rate:5.2f}it/s"
    share = count / total
    bar = _blocks(share, ascii_only)
    return f"{share * 100:3.0f}%|{bar}| {count}/{total} [{clock_text(elapsed_s)}<{left}, {speed}{notes}]"


def _shorter(value: object) -> str:
    """A number with three significant digits, or as it is when that is shorter ("1", "0.984", "nan")."""
    if not isinstance(value, float):
        return str(value)
    rounded = f"{value:.3g}".replace("e+0", "e+").replace("e-0", "e-")
    return rounded if len(rounded) < len(str(value)) else str(value)


def clock_text(seconds: float) -> str:
    """Return seconds as "MM:SS", from an hour on as "H:MM:SS"."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute:02d}:{second:02d}"


def _blocks(share: float, ascii_only: bool) -> str:
    steps = " 123456789#" if ascii_only else " ▏▎▍▌▋▊▉█"
    top = len(steps) - 1
    full, part = divmod(int(share * _BAR_WIDTH * top), top)
    bar = steps[top] * full
    return bar if full >= _BAR_WIDTH else bar + steps[part] + " " * (_BAR_WIDTH - full - 1)


def _shows_unicode() -> bool:
    return (sys.stderr.encoding or "").lower().startswith("utf")


def bar_over(items: Iterable[_Item], label: str = "") -> Iterator[_Item]:
    """Yield the items while a bar shows how far they are."""
    listed = list(items)
    bar = Bar(len(listed), label)
    for item in listed:
        yield item
        bar.advance()
    bar.close()
