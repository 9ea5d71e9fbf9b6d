"""What the night brought: one message to read on a phone, and one page with loss curves and grids."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.files import write_text
from orchestrator.jobs.model import Job

#: So many names on one line of the message.
_MOST_NAMES = 6
_SHEET_PX = 1600


@dataclass(frozen=True)
class Night:
    """What ran between two moments (seconds since 1970). `waiting` is what is left for the next night."""

    began_at: float
    ended_at: float
    over: tuple[Job, ...]
    waiting: tuple[Job, ...]
    #: Job → the stalls its trainer was seen in.
    stalls: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Job, ...]:
        """What needs somebody."""
        return tuple(job for job in self.over if job.state in {"failed", "set aside"})

    @property
    def finished(self) -> tuple[Job, ...]:
        return tuple(job for job in self.over if job.state == "finished")


def title(night: Night) -> str:
    """One line: `3 jobs finished, 1 failed, 2 wait`."""
    parts = [f"{len(night.finished)} finished"]
    parts += [f"{len(night.failed)} failed"] if night.failed else []
    parts += [f"{len(night.waiting)} wait"] if night.waiting else []
    return f"Night over: {', '.join(parts)}"


def text(night: Night, page: Path | None = None) -> str:
    """The message."""
    spent = duration(night.ended_at - night.began_at)
    lines = [f"Night of {_dates(night)}    ended {_clock(night.ended_at)}    {spent}{_planned(night)}"]
    for kind, verb in (("train", "Trained"), ("pictures", "Pictures"), ("grid", "Grids")):
        mine = [job for job in night.over if job.kind == kind and job.state != "cancelled"]
        if mine:
            done = [job for job in mine if job.state == "finished"]
            lines.append(f"{verb:<10}{len(done)} of {len(mine)}    {_names(done)}".rstrip())
    lines += [f"{'Verdict':<10}{job.result['verdict']}" for job in night.finished if job.result.get("verdict")]
    for job in night.failed:
        failure = job.failure
        lines.append(f"{'Failed':<10}{job.id} {job.title}: {failure.what if failure else job.why}")
        if failure and failure.fix:
            lines.append(f"{'':<10}{failure.fix}")
    lines += [f"{'Stalled':<10}{stall}" for stall in night.stalls]
    lines += [f"{'Goes on':<10}{job.id} {job.title}{_far(job)}{_last(job)}" for job in night.waiting if job.attempts]
    fresh = [job for job in night.waiting if not job.attempts]
    lines += [f"{'Not begun':<10}{len(fresh)}    {_titles(fresh)}"] if fresh else []
    lines += [f"{'Report':<10}{job.result['report']}" for job in night.finished if job.result.get("report")]
    lines += [f"{'Night':<10}{page}"] if page is not None else []
    return "\n".join(lines)


def write(night: Night, folder: Path) -> Path:
    """The page, in a folder of its own that can be sent as it is. Returns its index.html. Raises `StorageError`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("orchestrator.night"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("night.html").render(
        title=title(night),
        dates=_dates(night),
        text=text(night),
        jobs=[_shown(job, folder) for job in night.over],
        waiting=[{"id": job.id, "title": job.title, "why": job.why, "far": _far(job)} for job in night.waiting],
    )
    return write_text(folder / "index.html", page)


def _shown(job: Job, folder: Path) -> dict[str, Any]:
    return {
        "id": job.id,
        "title": job.title,
        "state": job.state,
        "spent": duration(job.worked_s),
        "attempts": job.attempts,
        "failure": job.failure if job.state in {"failed", "set aside"} else None,
        "loss": _loss_curve(job),
        "sheets": _sheets(job, folder),
        "verdict": job.result.get("verdict", ""),
        "report": _link(job.result.get("report")),
        "viewers": [(one["name"], one["summary"], _link(one["viewer"])) for one in job.result.get("grids", ())],
    }


def _loss_curve(job: Job) -> Any:
    """The loss of each epoch as a drawing; empty where there is none."""
    from markupsafe import Markup

    from orchestrator.report import svg
    from orchestrator.training.record import read_record

    record = None
    if job.kind == "train" and job.result.get("folder"):
        with contextlib.suppress(OrchestratorError):
            record = read_record(Path(job.result["folder"]))
    if record is None or len(record.losses) < 2:
        return ""
    points = sorted(record.losses.items())
    drawn = svg.line(points, points, title=f"Loss of {record.name}", x_axis="epoch", y_axis="loss")
    return Markup(drawn)


def _sheets(job: Job, folder: Path) -> list[str]:
    """Small copies of a grid's sheets beside the page."""
    from orchestrator.files import beside, open_picture

    names = []
    for number, grid in enumerate(job.result.get("grids", ())):
        for place, sheet in enumerate(sorted(Path(grid["viewer"]).parent.glob("sheet*.png"))[:2]):
            name = f"job-{job.id}-{number}-{place}.jpg"
            with contextlib.suppress(OrchestratorError, OSError):
                picture = open_picture(sheet)
                picture.thumbnail((_SHEET_PX, _SHEET_PX))
                with beside(folder / name, ".jpg") as temporary:
                    picture.save(temporary, quality=85)
                names.append(name)
    return names


def _link(path: object) -> str:
    try:
        return Path(str(path)).absolute().as_uri() if path else ""
    except ValueError:
        return ""


def _dates(night: Night) -> str:
    first, last = time.localtime(night.began_at), time.localtime(night.ended_at)
    if first[:3] == last[:3]:
        return time.strftime("%d %b", last)
    if first[:2] == last[:2]:
        return f"{first.tm_mday}-{time.strftime('%d %b', last)}"
    return f"{time.strftime('%d %b', first)}-{time.strftime('%d %b', last)}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M", time.localtime(at))


def duration(seconds: float) -> str:
    """`7 h 51 min`, `12 min`, `40 s`."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _planned(night: Night) -> str:
    known = [job.estimate for job in night.over if job.estimate is not None]
    if not known or len(known) < len(night.over):
        return ""
    low, high = sum(one[0] for one in known), sum(one[1] for one in known)
    return f" (planned {duration(low)} to {duration(high)})"


def _names(jobs: Sequence[Job]) -> str:
    names = [job.title.partition(" ")[2] or job.title for job in jobs]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return "  ".join(names[:_MOST_NAMES]) + more


def _titles(jobs: Sequence[Job]) -> str:
    more = f" and {len(jobs) - _MOST_NAMES} more" if len(jobs) > _MOST_NAMES else ""
    return ", ".join(job.title for job in jobs[:_MOST_NAMES]) + more


def _last(job: Job) -> str:
    return f": {job.why}" if job.comes_last and job.why else ""


def _far(job: Job) -> str:
    if job.progress is None or not job.progress.total:
        return ""
    return f" ({job.progress.detail or f'{job.progress.done} of {job.progress.total}'})"
