"""What sd-scripts says on its console, as events.

Pure: bytes in, events out. However the bytes are cut into chunks, the events are the same. Robust to carriage
returns, progress bars glued to log lines, terminal colours and hyperlinks, wrapped log lines and broken UTF-8.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Step:
    """The bar after `step` of `total` optimizer steps. Each step is printed twice, the second time with its own loss:
    the last counts.

    `loss` is the mean over the last epoch's worth of steps (nan possible), None before the first; `seconds_per_step`
    likewise. After a resume the bar counts from 0 again while `total` stays that of the whole run.
    """

    step: int
    total: int
    loss: float | None
    seconds_per_step: float | None


@dataclass(frozen=True)
class EpochStarted:
    """Epoch `epoch` of `total` begins; the first is 1."""

    epoch: int
    total: int


@dataclass(frozen=True)
class CheckpointSaved:
    """A LoRA file was announced. sd-scripts says so before it writes: only the file's own length tells when it is
    whole.
    """

    path: str


@dataclass(frozen=True)
class StateSaved:
    """A state folder is complete: its last file was written. `path` is empty where the log line was broken in it."""

    path: str


@dataclass(frozen=True)
class ModelSaved:
    """The last words of a training that came to its end."""


@dataclass(frozen=True)
class LossIsNaN:
    """The loss is no number any more at `step`. It never recovers, and sd-scripts would go on to the end and save
    garbage.
    """

    step: int


@dataclass(frozen=True)
class NoData:
    """sd-scripts found nothing to train on; it then ends with exit code 0."""


@dataclass(frozen=True)
class Warned:
    """A log line of level WARNING or ERROR. `level` is that word."""

    level: str
    text: str


@dataclass(frozen=True)
class Failed:
    """The last line of a Python traceback (`kind` = exception), or a refused command line (`kind` = "argparse")."""

    kind: str
    text: str


Event = Union[  # noqa: UP007 (evaluated at run time, also on 3.10)
    Step, EpochStarted, CheckpointSaved, StateSaved, ModelSaved, LossIsNaN, NoData, Warned, Failed
]

#: A line longer than this is cut into pieces: nothing sd-scripts says is, and memory must stay bounded.
MAX_LINE = 1 << 16

_ANSI = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")
_BAR = re.compile(
    r"(?<![A-Za-z] )steps:\s+\d+%\|[^|]*\|\s*(?P<step>\d+)/(?P<total>\d+)\s+"
    r"\[[\d:]+<[\d:?]+,\s*(?P<rate>[\d.]+|\?)\s*(?P<unit>s/it|it/s)(?P<rest>[^\r\n]*)"
)
_LOSS = re.compile(r"avr_loss=(?:tensor\()?\s*(?P<loss>[-+]?(?:nan|inf|\d[\d.]*(?:e[-+]?\d+)?))", re.IGNORECASE)
_EPOCH = re.compile(r"^\s*epoch (\d+)/(\d+)\s*$")
_CHECKPOINT = re.compile(r"^\s*saving checkpoint: (.+?)\s*$")
_LEVEL = re.compile(r"(?:^|\]|\d\d:\d\d:\d\d)\s*(?P<level>INFO|WARNING|ERROR|CRITICAL)\s+(?P<text>.*)$")
_SOURCE = re.compile(r"\s+[\w.]+\.py:\d+\s*$")
_CONTINUATION = re.compile(r"^\s{20,}(?=\S)")
_STATE = re.compile(r"Random states saved in (?P<path>.+?)[\\/]random_states_\d+\.pkl")
_EXCEPTION = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*)(?:: (?P<text>.*))?$")
_USAGE = re.compile(r"^\S*\.py: error: (.+)$")


class Parser:
    """Feed it what was read from the log; it remembers only the unfinished end."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._record: tuple[str, str] | None = None
        self._in_traceback = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completed."""
        return list(self._lines(self._decoder.decode(data)))

    def close(self) -> list[Event]:
        """The events of an unfinished last line, when nothing more will come."""
        events = list(self._lines(self._decoder.decode(b"", final=True)))
        events += self._line(self._rest)
        self._rest = ""
        return [*events, *self._flush()]

    def _lines(self, text: str) -> Iterator[Event]:
        *whole, self._rest = re.split(r"[\r\n]", self._rest + text)
        while len(self._rest) > MAX_LINE:
            whole.append(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        for line in whole:
            for start in range(0, max(len(line), 1), MAX_LINE):
                yield from self._line(line[start : start + MAX_LINE])

    def _line(self, line: str) -> Iterator[Event]:
        text = _ANSI.sub("", line)
        # Exceptions and continuations are told by what stands before them, so an empty line must not reset anything.
        if not text.strip():
            return
        if self._record is not None and _CONTINUATION.match(text) and not _LEVEL.search(text):
            level, so_far = self._record
            self._record = (level, f"{so_far} {_SOURCE.sub('', text).strip()}")
            return
        yield from self._flush()
        bar = _BAR.search(text)
        if bar is not None:
            yield from _step_events(bar)
        if match := _LEVEL.search(text):
            self._in_traceback = False
            self._record = (match["level"], _SOURCE.sub("", match["text"]).strip())
        elif bar is None:
            yield from self._plain(text)

    def _plain(self, text: str) -> Iterator[Event]:
        if match := _EPOCH.match(text):
            yield EpochStarted(int(match[1]), int(match[2]))
        elif match := _CHECKPOINT.match(text):
            yield CheckpointSaved(match[1])
        elif text.startswith("Traceback (most recent call last):"):
            self._in_traceback = True
        elif self._in_traceback and not text[0].isspace():
            self._in_traceback = False
            if match := _EXCEPTION.match(text.rstrip()):
                yield Failed(match["kind"], match["text"] or "")
        elif match := _USAGE.match(text):
            yield Failed("argparse", match[1].strip())

    def _flush(self) -> Iterator[Event]:
        if self._record is None:
            return
        (level, text), self._record = self._record, None
        if "No data found" in text:
            yield NoData()
        elif level in {"WARNING", "ERROR", "CRITICAL"}:
            yield Warned("ERROR" if level == "CRITICAL" else level, text)
        elif text.startswith("Random states saved in"):
            match = _STATE.search(text)
            yield StateSaved("" if match is None else match["path"])
        elif text.startswith("model saved."):
            yield ModelSaved()


def parse(chunks: Iterable[bytes]) -> list[Event]:
    """All events of a complete log."""
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)] + parser.close()


def _step_events(bar: re.Match[str]) -> Iterator[Event]:
    rate = None if bar["rate"] == "?" else float(bar["rate"])
    seconds = None if not rate else rate if bar["unit"] == "s/it" else 1.0 / rate
    loss = _LOSS.search(bar["rest"])
    value = None if loss is None else float(loss["loss"])
    yield Step(int(bar["step"]), int(bar["total"]), value, seconds)
    if value is not None and (value != value or value in {float("inf"), float("-inf")}):  # noqa: PLR0124 (nan differs from itself)
        yield LossIsNaN(int(bar["step"]))
