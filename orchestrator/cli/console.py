"""The terminal: the only user of rich. Answers go to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import math
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    # Imported where they are used: a command that prints three lines into a log need not wait for rich's bars.
    from rich.console import Console
    from rich.progress import Progress, TaskID

#: Seconds between two plain lines of one stage where no bar can be drawn (a log file, a pipe).
_PLAIN_EVERY_S = 20.0
#: Columns of a table that is redirected.
_WIDE = 500


class OnProgress(Protocol):
    """Shows that `done` of `total` of the stage `what` are done.

    `left_s` is for who knows the seconds to go better than the speed seen here tells: a training that goes on does not
    begin at nothing. `math.inf` = it is not known yet. `detail` is shown beside the numbers.
    """

    def __call__(self, what: str, done: int, total: int, left_s: float | None = None, detail: str = "") -> None: ...


def _console(stream: Any) -> Console:
    from rich.console import Console

    # Markup and highlighting would eat the [brackets] of prompts. Emoji codes likewise.
    return Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _line(stream: Any, text: str) -> None:
    if stream.isatty():
        _console(stream).print(text)
    else:  # rich would write the same, and takes a while to be imported
        stream.write(f"{text}\n")
        stream.flush()


def answer(text: str = "") -> None:
    """A line of the answer."""
    _rest()
    _line(sys.stdout, text)


def note(text: str = "") -> None:
    """A line about what is going on."""
    _rest()
    _line(sys.stderr, text)


def paragraph(label: str, text: str) -> None:
    """`label` and `text` as an answer; on a terminal the text is wrapped beside its label, elsewhere it is one line."""
    if not sys.stdout.isatty():
        answer(label + text)
        return
    width = max(_console(sys.stdout).width, len(label) + 30)
    for line in textwrap.wrap(text, width, initial_indent=label, subsequent_indent=" " * len(label)) or [label]:
        answer(line)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table of the answer; numbers to the right, no frame, so that it can be pasted anywhere."""
    from rich.console import Console
    from rich.table import Table

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

    def show(self, what: str, done: int, total: int, left_s: float | None = None, detail: str = "") -> None:
        if self._progress is None:
            self._progress = _drawn_bars()
            self._progress.start()
        told: dict[str, Any] = {"left_s": left_s, "detail": detail}
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, **told)
        self._progress.update(self._tasks[what], completed=done, total=total, **told)

    def rest(self) -> None:
        progress, self._progress, self._tasks = self._progress, None, {}
        if progress is not None:
            progress.stop()


_bars = _Bars()


def _drawn_bars() -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text

    class Left(ProgressColumn):
        """The time to go: as it was told, else by the speed seen here."""

        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            told = task.fields.get("left_s")
            left = 0.0 if task.finished else task.time_remaining if told is None else told
            return Text(clock(left), style="progress.remaining")

    columns = (
        SpinnerColumn("line", finished_text="-"),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        Left(),
    )
    # A picture may take longer than rich's usual 30 s of memory; speed is judged over ten minutes.
    return Progress(*columns, console=_console(sys.stderr), redirect_stdout=False, speed_estimate_period=600)


def clock(seconds: float | None) -> str:
    """`1:02:03`; dashes for a time that is not known."""
    if seconds is None or not math.isfinite(seconds):
        return "-:--:--"
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _rest() -> None:
    # rich would write an answer into the middle of its bars: the two go to different streams of one terminal.
    _bars.rest()


def _plain_lines() -> OnProgress:
    said: dict[str, float] = {}
    began: dict[str, tuple[float, int]] = {}

    def show(what: str, done: int, total: int, left_s: float | None = None, detail: str = "") -> None:
        now = time.monotonic()
        since, first = began.setdefault(what, (now, done))
        # The first of a stage is said at once: a log that stays silent for minutes looks like a hung program.
        if done >= total or now - said.get(what, float("-inf")) >= _PLAIN_EVERY_S:
            said[what] = now
            seen = (now - since) / (done - first) * (total - done) if done > first else 0.0
            left = seen if left_s is None else left_s if math.isfinite(left_s) else 0.0
            words = (f"{what}: {done} of {total}", detail, f"about {_for_people(left)} left" if left > 30 else "")
            note(", ".join(filter(None, words)))

    return show


def _for_people(seconds: float) -> str:
    minutes = max(round(seconds / 60), 1)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
