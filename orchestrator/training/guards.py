"""When a training that runs must be stopped, and what a silent one is seen to do.

Pure: whoever watches gathers the numbers, here they are judged. All times are seconds of one steady clock.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.profile.model import Guard

#: What the trainer is at: `start` = until the first bar or the first latents.
PhaseName = Literal["start", "latents", "steps", "sampling", "saving", "validation"]

#: Steps are timed over spans of at least so long: whoever looks five times a second sees a step up to 0.2 s late.
_SPAN_S = 2.0
#: So many of the newest spans are kept; the median of fewer than three says nothing.
_SPANS = 64
_LEAST_SPANS = 3
#: A span so many times slower than the median held a pause (a save, sample pictures, new loader processes).
_PAUSE_FACTOR = 3.0
#: Who looks several times a second and then not for so long was asleep, and so may the trainer have been.
SLEPT_S = 60.0
#: A process tree that uses less of one core than this does not compute.
_IDLE_CPU = 0.02

_WHILE: dict[PhaseName, str] = {
    "start": "while starting",
    "latents": "while caching latents",
    "steps": "in the middle of training",
    "sampling": "while drawing sample pictures",
    "saving": "while saving",
    "validation": "while validating",
}


@dataclass(frozen=True)
class Stop:
    """Why a training is to be stopped. `text` is a sentence's end ("… was stopped: text")."""

    kind: Literal["nan", "stalled", "disk", "nan file"]
    text: str


@dataclass
class Pace:
    """How fast steps go, measured while watching. `told_s` is what the trainer's own bar says: the mean of a step."""

    told_s: float | None = None
    #: When the bar moved last, None before it was seen to.
    step_at: float | None = None
    _step: int | None = None
    _from: tuple[float, int] | None = None
    _spans: deque[float] = field(default_factory=lambda: deque(maxlen=_SPANS))
    _pauses_s: float = 0.0
    _steps: int = 0

    def step(self, now: float, step: int) -> None:
        """`step` steps were done at `now`."""
        # The same count again is a sign of life as well: the bar is printed anew after sample pictures.
        self.step_at = now
        if step == self._step:
            return
        self._step = step
        if self._from is None or step < self._from[1]:
            self._from = (now, step)
            return
        seconds, steps = now - self._from[0], step - self._from[1]
        if seconds < _SPAN_S or not steps:
            return
        usual = self.median_s
        if usual is not None:
            self._steps += steps
            if seconds > _PAUSE_FACTOR * usual * steps:
                self._pauses_s += seconds - usual * steps
        self._spans.append(seconds / steps)
        self._from = (now, step)

    def slept(self, now: float) -> None:
        """The time up to `now` tells nothing: the machine, or whoever watches, was asleep."""
        self._from = None
        if self.step_at is not None:
            self.step_at = now

    @property
    def median_s(self) -> float | None:
        """The usual time of a step as seen, None before there is enough to tell."""
        return statistics.median(self._spans) if len(self._spans) >= _LEAST_SPANS else None

    @property
    def usual_s(self) -> float | None:
        """The usual time of a step: as seen, else as the bar tells."""
        return self.told_s if self.median_s is None else self.median_s

    def left_s(self, steps: int) -> float | None:
        """How long `steps` more steps take, with the pauses there were between them so far."""
        usual = self.usual_s
        if usual is None:
            return None
        return steps * (usual + (self._pauses_s / self._steps if self._steps else 0.0))


def stalled(pace: Pace, phase: PhaseName, quiet_s: float, now: float, guard: Guard) -> Stop | None:
    """Whether nothing goes on any more. `quiet_s` is the time since the console said anything at all.

    In the middle of training only a step counts, whatever else is said. Where no step was taken yet, and while the
    base model loads and latents are cached, `guard.start_minutes` of silence are allowed.
    """
    idle_s = now - pace.step_at if phase == "steps" and pace.step_at is not None else quiet_s
    limit_s = allowed_s(pace, phase, guard)
    if idle_s <= limit_s:
        return None
    usual = pace.usual_s
    what = "no step" if phase == "steps" and pace.step_at is not None else "not a word"
    compared = f" (a step takes {_duration(usual)} otherwise)" if usual is not None else ""
    return Stop("stalled", f"{what} for {_duration(idle_s)} {_WHILE[phase]}{compared}")


def allowed_s(pace: Pace, phase: PhaseName, guard: Guard) -> float:
    """How long nothing may happen in `phase`."""
    usual = pace.usual_s
    if phase in {"start", "latents"} or (usual is None and pace.step_at is None):
        return guard.start_minutes * 60
    # Steps that were taken and of which nothing is told yet were fast ones.
    return max(guard.stalled_minutes * 60, guard.stalled_factor * (usual or 0.0))


def low_disk(free: int, next_save_bytes: int) -> Stop | None:
    """Whether the next save would not fit: sd-scripts would leave a cut-off file under its final name. In bytes."""
    if free >= next_save_bytes:
        return None
    return Stop("disk", f"only {_size(free)} are free, and the next save needs {_size(next_save_bytes)}")


@dataclass(frozen=True)
class Facts:
    """What is seen of the trainer's processes: how many there are, psutil's word for what the first of them does
    (`running`, `sleeping`, `disk-sleep`, `stopped` …), and the CPU time of all of them per second since the last look
    (None = not measured).
    """

    processes: int
    status: str
    cpu: float | None


def diagnose(facts: Facts, phase: PhaseName) -> str:
    """What a trainer that makes no progress is seen to do, and what that most often means, in one sentence."""
    if not facts.processes:
        return "The process is gone."
    if facts.status in {"stopped", "tracing-stop"}:
        return "The process is halted (Ctrl-Z, or a debugger holds it)."
    if facts.status == "disk-sleep":
        return "The process waits for a disk or network drive that does not answer."
    if facts.cpu is None:
        return "The process is there; what it does was not measured."
    if facts.cpu < _IDLE_CPU:
        if phase == "start":
            return "The process does nothing; it may be waiting for the network (a download) or for another program."
        return "The process does nothing; a hung graphics driver or data loader looks like this."
    return (
        f"The process computes ({facts.cpu:.0%} of a core) without getting on; graphics memory that spills over into "
        "main memory looks like this."
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
