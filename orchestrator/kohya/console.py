"""What sd-scripts says on its console, as events.

Pure: bytes in, events out. However the bytes are cut into chunks, the events are the same. Robust to carriage
returns, progress bars glued to what follows them, terminal colours and hyperlinks, wrapped log lines, and to consoles
in UTF-8, in cp932 (Japanese Windows) or in neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from orchestrator.kohya.console_events import (
    CheckpointSaved,
    EpochStarted,
    Event,
    Failed,
    LatentsNaN,
    LossIsNaN,
    ModelSaved,
    NoData,
    Phase,
    Sampling,
    StateSaved,
    Step,
    Warned,
)

__all__ = [
    "CheckpointSaved",
    "EpochStarted",
    "Event",
    "Failed",
    "LatentsNaN",
    "LossIsNaN",
    "ModelSaved",
    "NoData",
    "Parser",
    "Phase",
    "Sampling",
    "StateSaved",
    "Step",
    "Warned",
    "parse",
]

#: A line longer than this is cut into pieces: nothing sd-scripts says is, and memory must stay bounded.
MAX_LINE = 1 << 16
#: A message may go on over many lines (torch lists every layer that does not fit): so much of it is kept.
_MAX_TEXT = 2000

# Line ends, bars and colours are found in the bytes themselves: no byte of a UTF-8 or cp932 character is one of \r, \n
# or ESC, and bars carry no text.
_ANSI = re.compile(rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")
_BAR = re.compile(
    rb"(?<![A-Za-z] )steps:\s+\d+%\|[^|]*\|\s*(?P<step>\d{1,12})/(?P<total>\d{1,12})\s+"
    rb"\[(?P<elapsed>[\d:]{1,20})<[\d:?]+,\s*(?P<rate>\d{1,12}(?:\.\d+)?|\?)\s*(?P<unit>s/it|it/s)(?P<rest>[^\]]*)\]?"
)
_OTHER_BAR = re.compile(rb"(?P<label>[^|\]]*?)\d+%\|[^|]*\|[^\]]*\]")
_LOSS = re.compile(
    rb"avr_loss=(?:tensor\()?\s*(?P<loss>[-+]?(?:nan|inf|\d{1,20}(?:\.\d*)?(?:e[-+]?\d{1,4})?))", re.IGNORECASE
)
_NOT_FINITE = re.compile(rb"=\s*(?:tensor\()?\s*[-+]?(?:nan|inf)", re.IGNORECASE)
_EPOCH = re.compile(r"epoch (\d{1,12})/(\d{1,12})")
_CHECKPOINT = "saving checkpoint: "
_LEVELS = ("INFO", "WARNING", "ERROR", "CRITICAL")
_RECORD = re.compile(
    r"\s*(?:\[?[\d-]{8,10} \d\d:\d\d:\d\d\]?)?\s*(?P<level>INFO|WARNING|ERROR|CRITICAL)\s+(?P<text>.*)"
)
_GLUED_RECORD = re.compile(r"(?:\]|\d\d:\d\d:\d\d)\s*(?P<level>INFO|WARNING|ERROR|CRITICAL)\s+(?P<text>.*)")
_SOURCE = re.compile(r"[\w.]+\.py:\d+")
_CONTINUATION = re.compile(r"\s{20,}(?=\S)")
_STATE = re.compile(r"Random states saved in (?P<path>.+?)[\\/]random_states_\d+\.pkl")
_SAMPLING = re.compile(r"generating sample images at step\D*(\d{1,12})")
_EXCEPTION = re.compile(r"(?P<kind>[A-Za-z_][\w.]*)(?:: ?(?P<text>.*))?")
_USAGE = re.compile(r"(?:\S*\.py|Accelerate CLI tool.*): error: (.+)")
_TRACEBACK = ("Traceback (most recent call last):", "Original Traceback (most recent call last):")


class Parser:
    """Feed it what was read from the log; it remembers only the unfinished end.

    With `every_step` each print of the bar is an event. Without, the newest of a chunk is, and the newest before
    anything else is said, and every one whose loss is no number: enough to show progress and to know each epoch's loss,
    at a fraction of the work.
    """

    def __init__(self, *, every_step: bool = True) -> None:
        self._every_step = every_step
        self._rest = b""
        self._held = b""
        self._record: tuple[str, str] | None = None
        self._wrapped = False
        self._failed: tuple[str, str] | None = None
        self._in_traceback = False
        self._harmless = False
        self._validating = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completed."""
        return [*self._lines(data), *self._release()]

    def close(self) -> list[Event]:
        """The events of an unfinished last line, when nothing more will come."""
        last, self._rest = self._rest, b""
        return [*self._line(last), *self._release(), *self._flush()]

    def _lines(self, data: bytes) -> Iterator[Event]:
        data = self._rest + data if self._rest else data
        *whole, self._rest = (data.replace(b"\n", b"\r") if b"\n" in data else data).split(b"\r")
        while len(self._rest) > MAX_LINE:
            whole.append(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        skip = not self._every_step and not _NOT_FINITE.search(data)
        for line in whole:
            if skip and line.startswith(b"steps: ") and self._record is None and self._failed is None:
                end = line.find(b"]") + 1
                if end == len(line) or (end and not line[end:].strip()):
                    self._held = line
                    continue
            for start in range(0, max(len(line), 1), MAX_LINE):
                yield from self._line(line[start : start + MAX_LINE])

    def _line(self, line: bytes) -> Iterator[Event]:
        # Exceptions and continuations are told by what stands before them, so an empty line must not reset anything.
        if not line or line.isspace():
            return
        yield from self._release()
        if b"\x1b" in line:
            line = _ANSI.sub(b"", line)
        bar = _BAR.search(line) if b"steps:" in line else None
        if bar is not None:
            yield from self._flush()
            self._validating = False
            yield from _step_events(bar)
            # What is printed next comes without a line end between: a log line, a traceback, a plain word.
            line = line[bar.end() :].lstrip(b" ")
        elif b"%|" in line and (other := _OTHER_BAR.match(line)) is not None:
            yield from self._flush()
            if other["label"].rstrip().endswith(b"validation steps:") and not self._validating:
                self._validating = True
                yield Phase("validation")
            line = line[other.end() :].lstrip(b" ")
        if line and not line.isspace():
            yield from self._said(_decoded(line))

    def _said(self, text: str) -> Iterator[Event]:
        level = _record(text)
        if self._record is not None and level is None and _CONTINUATION.match(text):
            kind, so_far = self._record
            self._wrapped = True
            self._record = (kind, f"{so_far} {_without_source(text.lstrip())}".strip()[:_MAX_TEXT])
            return
        if self._failed is not None and level is None and text[0].isspace():
            kind, so_far = self._failed
            self._failed = (kind, f"{so_far} {text.strip()}"[:_MAX_TEXT])
            return
        yield from self._flush()
        if level is not None:
            self._in_traceback = self._wrapped = False
            self._record = (level["level"], _without_source(level["text"]))
        else:
            yield from self._plain(text)

    def _plain(self, text: str) -> Iterator[Event]:
        words = text.strip()
        if match := _EPOCH.fullmatch(words):
            yield EpochStarted(int(match[1]), int(match[2]))
        elif words.startswith(_CHECKPOINT):
            yield CheckpointSaved(words.removeprefix(_CHECKPOINT))
        elif text.startswith(_TRACEBACK):
            self._in_traceback = True
        elif text.startswith("Exception ignored in"):
            self._harmless = True  # Python tidying up after the end; its traceback would hide the true one
        elif self._in_traceback and not text[0].isspace():
            self._in_traceback = False
            if (match := _EXCEPTION.fullmatch(words)) and not self._harmless:
                self._failed = (match["kind"], match["text"] or "")
            self._harmless = False
        elif match := _USAGE.match(text):
            yield Failed("argparse", match[1].strip())
        elif text.startswith("NaN found in latents"):
            yield LatentsNaN()

    def _release(self) -> Iterator[Event]:
        if self._held:
            line, self._held = self._held, b""
            if (bar := _BAR.search(line)) is not None:
                self._validating = False
                yield from _step_events(bar)

    def _flush(self) -> Iterator[Event]:
        if self._failed is not None:
            (kind, text), self._failed = self._failed, None
            yield Failed(kind, text)
        if self._record is None:
            return
        (level, text), self._record = self._record, None
        if "No data found" in text:
            yield NoData()
        elif level in {"WARNING", "ERROR", "CRITICAL"}:
            yield Warned("ERROR" if level == "CRITICAL" else level, text)
        elif text.startswith("Random states saved in"):
            # A path that was broken over lines cannot be put together: a blank may have stood at the break, or none.
            match = None if self._wrapped else _STATE.search(text)
            yield StateSaved("" if match is None else match["path"])
        elif text.startswith("model saved."):
            yield ModelSaved()
        elif text.startswith(("caching latents", "caching Text Encoder outputs", "caching text encoder outputs")):
            yield Phase("latents")
        elif text.startswith("Saving current state to"):
            yield Phase("saving")
        elif match := _SAMPLING.match(text):
            yield Sampling(int(match[1]))


def parse(chunks: Iterable[bytes]) -> list[Event]:
    """All events of a complete log."""
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)] + parser.close()


def _decoded(line: bytes) -> str:
    # Line by line: the launcher, the trainer and its libraries need not agree. Text that is no UTF-8 but good cp932
    # comes from a Japanese Windows; of other code pages the ASCII part is right, and nothing else is looked at.
    for encoding in ("utf-8", "cp932"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("utf-8", errors="replace")


def _record(text: str) -> re.Match[str] | None:
    found = _RECORD.match(text)
    if found is None and any(level in text for level in _LEVELS):
        found = _GLUED_RECORD.search(text)
    return found


def _without_source(text: str) -> str:
    # rich writes file and line at the right of a message's first line.
    text = text.rstrip()
    before, _, last = text.rpartition(" ")
    return before.rstrip() if _SOURCE.fullmatch(last) else text


#: tqdm prints at most every 0.1 s, and sd-scripts sets the bar's clock forward to the last print after each step (its
#: `progress_bar.unpause()`): of faster steps the bar tells a nonsensical time, millions of them a second.
_LEAST_TOLD_S = 0.1


def _step_events(bar: re.Match[bytes]) -> Iterator[Event]:
    step, total, elapsed, rate, unit, rest = bar.groups()
    speed = None if rate == b"?" else float(rate)
    seconds = None if not speed else speed if unit == b"s/it" else 1.0 / speed
    if seconds is not None and seconds < _LEAST_TOLD_S:
        seconds = None
    loss = _LOSS.search(rest)
    value = None if loss is None else float(loss[1])
    yield Step(int(step), int(total), value, seconds, _seconds(elapsed))
    if value is not None and (value != value or value in {float("inf"), float("-inf")}):  # noqa: PLR0124 (nan differs from itself)
        yield LossIsNaN(int(step))


def _seconds(clock: bytes) -> int:
    seconds = 0
    for part in clock.split(b":"):
        seconds = seconds * 60 + int(part or b"0")
    return seconds
