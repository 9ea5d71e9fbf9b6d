"""metrics.jsonl: loss, learning rate and time of the steps of a whole run, from the logs of its attempts.

sd-scripts' TensorBoard files have each step's own loss and the learning rates, but the last two minutes of them are
lost when it is killed, and a run may have none. The console log has the mean loss of every step that was printed. What
the first lacks is taken from the second.
"""

from __future__ import annotations

import json
import math
import statistics
from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.files import storage_error, write_text
from orchestrator.kohya import console, tensorboard

if TYPE_CHECKING:
    from orchestrator.training.record import Attempt

METRICS_NAME = "metrics.jsonl"
#: So many points at most; of longer runs every 2nd, 4th, 8th … step is kept, and the last one.
MOST_POINTS = 20_000
#: Logs up to this size are read step by step; of longer ones so much is taken at once that the points still suffice.
_READ_WHOLE = 4 << 20
#: The bar counts whole seconds: a step's time is told over at least so many.
_SPAN_S = 10
_CURRENT, _MEAN, _RATE = "loss/current", "loss/average", "lr/"


@dataclass(frozen=True)
class Point:
    """One optimizer step, counted over the whole run from 1.

    `loss` is that step's own, `mean_loss` the mean over the last epoch's worth of steps; `rates` are learning rates by
    sd-scripts' names (`unet`, `textencoder`, `group1` …), `seconds` the step's time. None and empty = not known.
    """

    step: int
    epoch: int
    loss: float | None = None
    mean_loss: float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None


@dataclass(frozen=True)
class Source:
    """The logs of one attempt that went on after `resumed_from` of `epochs` epochs. Files may be absent."""

    log: Path
    events: tuple[Path, ...]
    resumed_from: int
    epochs: int


@dataclass(frozen=True)
class Covered:
    """What one attempt did: its first and last step, and the median time of a step in seconds."""

    steps: tuple[int, int] | None
    step_s: float | None


def sources(folder: Path, attempts: Sequence[Attempt], epochs: int, logging: Path | None = None) -> list[Source]:
    """The logs of a run's attempts in its folder; `logging` is sd-scripts' logging_dir.

    Each attempt logs into a folder of its own there, named by the time of its start: that tells whose it is.
    """
    found: list[list[Path]] = [[] for _ in attempts]
    for path in tensorboard.event_files(logging) if logging is not None else []:
        began = tensorboard.started_at(path)
        owners = [n for n, attempt in enumerate(attempts) if began is not None and attempt.started_at <= began + 1]
        if owners:
            found[owners[-1]].append(path)
    return [
        Source(folder / attempt.log, tuple(files), attempt.resumed_from, epochs)
        for attempt, files in zip(attempts, found, strict=True)
    ]


def collect(given: Sequence[Source], path: Path) -> list[Covered]:
    """Write the points of all attempts to `path`, whole or not at all; what one attempt did again counts as it did it.

    Returns what each attempt covered. Raises `StorageError`.
    """
    covered = []
    kept: dict[int, str] = {}
    stride = 1
    for source in given:
        times = array("d")
        first = last = None
        newest: Point | None = None
        for point in points(source):
            if first is None:
                first = point.step
                for step in [step for step in kept if step >= first]:
                    del kept[step]
            last, newest = point.step, point
            if point.seconds is not None and len(times) < MOST_POINTS:
                times.append(point.seconds)
            if point.step % stride == 0:
                kept[point.step] = _line(point)
            while len(kept) > MOST_POINTS:
                stride *= 2
                kept = {step: line for step, line in kept.items() if step % stride == 0}
        if newest is not None and len(kept) < MOST_POINTS:
            kept[newest.step] = _line(newest)
        step_s = round(statistics.median(times), 4) if times else None
        covered.append(Covered(None if first is None or last is None else (first, last), step_s))
    write_text(path, "".join(f"{kept[step]}\n" for step in sorted(kept)))
    return covered


def read(path: Path) -> list[Point]:
    """The points of a metrics file, by step; none when there is no such file. Lines that are damaged are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise storage_error(error if isinstance(error, OSError) else OSError(str(error)), path) from error
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
            found.append(
                Point(
                    int(entry["step"]),
                    int(entry["epoch"]),
                    _number(entry.get("loss")),
                    _number(entry.get("mean_loss")),
                    {name: float(rate) for name, rate in entry.get("rates", {}).items()},
                    _number(entry.get("seconds")),
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def points(source: Source) -> Iterator[Point]:
    """The steps of one attempt in their order, each once. Raises `StorageError` for a log that cannot be read."""
    told = _from_console(source)
    opening = next(told, None)
    if opening is None:
        return
    total = opening[1]
    before = round(source.resumed_from * total / source.epochs)
    last = 0
    if total:
        per_epoch = max(total / source.epochs, 1)
        for logged in _from_events(source):
            if logged.step <= last:
                continue  # a second file of the same attempt
            last = logged.step
            step = min(before + last, total)
            yield Point(
                step, _epoch(step, per_epoch, source), logged.loss, logged.mean_loss, logged.rates, logged.seconds
            )
    for point in (opening[0], *(pair[0] for pair in told)):
        if point.step > last:
            yield Point(min(before + point.step, total), point.epoch, None, point.mean_loss, {}, point.seconds)


def _from_console(source: Source) -> Iterator[tuple[Point, int]]:
    """Points counted from the attempt's beginning, each with the total the bar names."""
    try:
        size = source.log.stat().st_size
    except OSError:
        return
    whole = size <= _READ_WHOLE
    parser = console.Parser(every_step=whole)
    block = 1 << 16 if whole else max(size // MOST_POINTS, 1 << 10)
    epoch = source.resumed_from + 1
    held: tuple[Point, int] | None = None
    window: deque[tuple[int, int]] = deque()
    for event in _events(source.log, parser, block):
        if isinstance(event, console.EpochStarted):
            epoch = event.epoch
        elif isinstance(event, console.Step) and event.step:
            # Each step is printed twice, the second time with its own loss.
            if held is not None and held[0].step != event.step:
                yield held
            point = Point(event.step, epoch, None, event.loss, {}, _seconds(window, event))
            held = (point, event.total)
    if held is not None:
        yield held


def _events(log: Path, parser: console.Parser, block: int) -> Iterator[console.Event]:
    try:
        with log.open("rb") as stream:
            while data := stream.read(block):
                yield from parser.feed(data)
    except OSError as error:
        raise storage_error(error, log) from error
    yield from parser.close()


def _seconds(window: deque[tuple[int, int]], event: console.Step) -> float | None:
    if not window or window[-1][0] != event.step:
        window.append((event.step, event.elapsed_s))
    while len(window) > 2 and event.elapsed_s - window[1][1] >= _SPAN_S:
        window.popleft()
    (step, elapsed) = window[0]
    if event.elapsed_s - elapsed < _SPAN_S or event.step <= step or event.seconds_per_step is None:
        return event.seconds_per_step
    return round((event.elapsed_s - elapsed) / (event.step - step), 4)


def _from_events(source: Source) -> Iterator[Point]:
    before: tuple[int, float] | None = None
    for path in source.events:
        try:
            for step, group in groupby(_wanted(path), key=lambda scalar: scalar.step):
                values = {scalar.tag: (scalar.value, scalar.wall_time) for scalar in group}
                at = max(wall for _, wall in values.values())
                seconds = None
                if before is not None and before[0] < step:
                    seconds = round(max(at - before[1], 0.0) / (step - before[0]), 4)
                before = (step, at)
                rates = {tag[len(_RATE) :]: value for tag, (value, _) in values.items() if tag.startswith(_RATE)}
                yield Point(step, 0, _first(values.get(_CURRENT)), _first(values.get(_MEAN)), rates, seconds)
        except OSError as error:
            raise storage_error(error, path) from error


def _wanted(path: Path) -> Iterator[tensorboard.Scalar]:
    for scalar in tensorboard.read_scalars(path):
        if scalar.step > 0 and (scalar.tag in {_CURRENT, _MEAN} or scalar.tag.startswith(_RATE)):
            yield scalar


def _first(value: tuple[float, float] | None) -> float | None:
    return None if value is None else value[0]


def _epoch(step: int, per_epoch: float, source: Source) -> int:
    return min(math.ceil(step / per_epoch - 1e-9), source.epochs)


def _line(point: Point) -> str:
    entry: dict[str, Any] = {"step": point.step, "epoch": point.epoch}
    for name, value in (("loss", point.loss), ("mean_loss", point.mean_loss), ("seconds", point.seconds)):
        if value is not None:
            # JSON has no NaN: as text it stays readable for everybody.
            entry[name] = value if math.isfinite(value) else str(value)
    if point.rates:
        entry["rates"] = {name: rate if math.isfinite(rate) else str(rate) for name, rate in point.rates.items()}
    return json.dumps(entry, ensure_ascii=False)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float, str)) else None
