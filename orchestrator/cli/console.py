"""The terminal: the only user of rich. Answers go to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

#: Seconds between two plain lines of one stage where no bar can be drawn (a log file, a pipe).
_PLAIN_EVERY_S = 20.0

OnProgress = Callable[[str, int, int], None]


def _console(stream: Any) -> Console:
    # Markup and highlighting would eat the [brackets] of prompts. Emoji codes likewise.
    return Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True)


def answer(text: str = "") -> None:
    """A line of the answer."""
    _console(sys.stdout).print(text)


def note(text: str = "") -> None:
    """A line about what is going on."""
    _console(sys.stderr).print(text)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table of the answer; numbers to the right, no frame, so that it can be pasted anywhere."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        is_number = all(isinstance(row[index], int | float) for row in rows) and rows
        shown.add_column(column, justify="right" if is_number else "left")
    for row in rows:
        shown.add_row(*("-" if value is None or value == "" else str(value) for value in row))
    Console(file=sys.stdout, markup=False, highlight=False, emoji=False).print(shown)


def answer_json(value: object) -> None:
    """The answer for a script."""
    import json

    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


@contextlib.contextmanager
def progress() -> Iterator[OnProgress]:
    """A function `(what, done, total)` that shows how far each stage is: bars on a terminal, now and then a line
    elsewhere.
    """
    if sys.stderr.isatty():
        yield from _bars()
    else:
        yield _plain_lines()


def _bars() -> Iterator[OnProgress]:
    columns = (
        SpinnerColumn("line"),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_console(sys.stderr), transient=False) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


def _plain_lines() -> OnProgress:
    said: dict[str, float] = {}

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - said.get(what, 0.0) >= _PLAIN_EVERY_S:
            said[what] = now
            note(f"{what}: {done} of {total}")

    return show
