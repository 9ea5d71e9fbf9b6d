"""Jobs in lines and tables. rich takes longer to be imported than a queue of ten thousand to be read."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.cli.console import clock
from orchestrator.jobs import scheduling
from orchestrator.jobs.model import Event, Job, State

COLUMNS = ("job", "what", "state", "how far", "left", "window", "why")
_NUMBERS = frozenset({0})


def columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; columns in which nothing stands are left out."""
    kept = [index for index in range(len(names)) if not rows or any(row[index] for row in rows)]
    cells = [[str(row[index]) or "-" for index in kept] for row in (names, *rows)]
    widths = [max(_width(row[place]) for row in cells) for place in range(len(kept))]
    lines = []
    for row in cells:
        padded = [
            " " * (width - _width(cell)) + cell if kept[place] in _NUMBERS else cell + " " * (width - _width(cell))
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def row(job: Job, needed: Mapping[int, State], now: float) -> tuple[str, ...]:
    """One job of the list."""
    progress = job.progress
    far = ""
    if progress is not None and job.is_open:
        far = f"{progress.done} of {progress.total}"
        far += f", {progress.detail}" if progress.detail else f" ({progress.what})"
    left = ""
    if job.state == "running":
        left = clock(progress.left_s) if progress is not None and progress.left_s is not None else "?"
    return (str(job.id), job.title, job.state, far, left, job.window if job.is_open else "", reason(job, needed, now))


def reason(job: Job, needed: Mapping[int, State], now: float) -> str:
    """Why a job is where it is, in a few words."""
    if job.state == "waiting":
        return scheduling.why_not(job, needed, now)[0] or job.why
    if job.state == "running":
        return f"asked to {job.asked}" if job.asked else ""
    if job.state in {"failed", "set aside"} and job.failure is not None:
        return job.failure.what.partition("\n")[0]
    return job.why


def progress_line(job: Job) -> str:
    """`train: 120 of 800, epoch 3 of 20, loss 0.1, about 0:12:00 left`."""
    progress = job.progress
    if progress is None:
        return ""
    left = f"{clock(progress.left_s)} left" if progress.left_s is not None else ""
    return ", ".join(filter(None, (f"{progress.what}: {progress.done} of {progress.total}", progress.detail, left)))


def event_line(event: Event) -> str:
    """`2026-11-26 23:00:01  claimed`."""
    words = event.kind if not event.text else event.text if event.kind == "note" else f"{event.kind}: {event.text}"
    return f"{moment(event.at)}  {words}"


def moment(at: float | None) -> str:
    """`2026-11-26 23:00:01`; empty for none."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at is not None else ""


def duration(seconds: float) -> str:
    """`2 h 05 min`, `12 min`, `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def estimated(span: tuple[float, float] | None) -> str:
    """`40 min to 55 min`."""
    if span is None:
        return ""
    low, high = duration(span[0]), duration(span[1])
    return f"about {low}" if low == high else f"{low} to {high}"


def facts(job: Job, needed: Mapping[int, State], payload: Mapping[str, Any], now: float) -> list[tuple[str, str]]:
    """What `queue show` says of a job."""
    failure = job.failure
    options = {name: value for name, value in payload.get("options", {}).items() if value}
    found = [
        ("why", reason(job, needed, now) if job.is_open else ""),
        ("how far", progress_line(job)),
        ("workspace", job.workspace),
        ("window", job.window),
        ("not before", moment(job.at)),
        ("priority", str(job.priority) if job.priority else ""),
        ("needs", ", ".join(map(str, job.needs))),
        ("run of", job.chain),
        ("estimate", estimated(job.estimate)),
        ("worked", duration(job.worked_s) if job.worked_s else ""),
        ("begun", f"{job.attempts} times" if job.attempts > 1 else ""),
        ("added", moment(job.added_at)),
        ("started", moment(job.started_at)),
        ("ended", moment(job.ended_at)),
        ("failed", failure.what if failure else ""),
        ("because", failure.cause if failure else ""),
        ("do", failure.fix if failure else ""),
        ("options", json.dumps(options, ensure_ascii=False) if options else ""),
        ("result", json.dumps(dict(job.result), ensure_ascii=False) if job.result else ""),
    ]
    return [(label, text) for label, text in found if text]


def as_dict(job: Job) -> dict[str, Any]:
    """A job for a script."""
    return asdict(job)
