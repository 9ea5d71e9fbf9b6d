"""The terminal: the only user of rich. Answers go to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

#: Seconds between two plain lines of one stage where no bar can be drawn (a log file, a pipe).
_PLAIN_EVERY_S = 20.0
#: Columns of a table that is redirected.
_WIDE = 500

OnProgress = Callable[[str, int, int], None]


def _console(stream: Any) -> Console:
    # Markup and highlighting would eat the [brackets] of prompts. Emoji codes likewise.
    return Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True)


def answer(text: str = "") -> None:
    """A line of the answer."""
    _rest()
    _console(sys.stdout).print(text)


def note(text: str = "") -> None:
    """A line about what is going on."""
    _rest()
    _console(sys.stderr).print(text)


def paragraph(label: str, text: str) -> None:
    """`label` and `text` as an answer; on a terminal the text is wrapped beside its label, elsewhere it is one line."""
    if not sys.stdout.isatty():
        answer(label + text)
        return
    width = max(Console(file=sys.stdout).width, len(label) + 30)
    for line in textwrap.wrap(text, width, initial_indent=label, subsequent_indent=" " * len(label)) or [label]:
        answer(line)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table of the answer; numbers to the right, no frame, so that it can be pasted anywhere."""
    _rest()
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        is_number = all(isinstance(row[index], int | float) for row in rows) and rows
        # Folded, never shortened: a name with its end cut off cannot be pasted.
        shown.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        shown.add_row(*("-" if value is None or value == "" else str(value) for value in row))
    # Redirected, a long path must not be broken at column 80.
    width = None if sys.stdout.isatty() else _WIDE
    Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=width).print(shown)


def leave_failed(failed: int) -> None:
    """End with the exit code of a failing A1111 when pictures are missing; what was made is kept and was answered."""
    if failed:
        from orchestrator.errors import ToolError

        note(f"{many(failed, 'picture')} failed; the same command tries {'it' if failed == 1 else 'them'} again.")
        click.get_current_context().exit(ToolError.exit_code)


def many(count: int, word: str) -> str:
    """`1 picture`, `3 pictures`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def answer_json(value: object) -> None:
    """The answer for a script."""
    import json

    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


@contextlib.contextmanager
def progress() -> Iterator[OnProgress]:
    """A function `(what, done, total)` that shows how far each stage is: bars on a terminal, now and then a line
    elsewhere.
    """
    if not sys.stderr.isatty():
        yield _plain_lines()
        return
    try:
        yield _bars.show
    finally:
        _rest()


class _Bars:
    """The bars at the bottom of the terminal. They rest while something else is printed, and stay where they were."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def show(self, what: str, done: int, total: int) -> None:
        if self._progress is None:
            columns = (
                SpinnerColumn("line", finished_text="-"),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            # A picture may take longer than rich's usual 30 s of memory; speed is judged over ten minutes.
            self._progress = Progress(
                *columns, console=_console(sys.stderr), redirect_stdout=False, speed_estimate_period=600
            )
            self._progress.start()
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)

    def rest(self) -> None:
        progress, self._progress, self._tasks = self._progress, None, {}
        if progress is not None:
            progress.stop()


_bars = _Bars()


def _rest() -> None:
    # rich would write an answer into the middle of its bars: the two go to different streams of one terminal.
    _bars.rest()


def _plain_lines() -> OnProgress:
    said: dict[str, float] = {}
    began: dict[str, tuple[float, int]] = {}

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        since, first = began.setdefault(what, (now, done))
        # The first of a stage is said at once: a log that stays silent for minutes looks like a hung program.
        if done >= total or now - said.get(what, float("-inf")) >= _PLAIN_EVERY_S:
            said[what] = now
            left = (now - since) / (done - first) * (total - done) if done > first else 0.0
            note(f"{what}: {done} of {total}" + (f", about {max(left / 60, 1):.0f} min left" if left > 30 else ""))

    return show
