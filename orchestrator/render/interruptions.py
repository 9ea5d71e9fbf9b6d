"""Was this picture cut off? A1111 hands over the half-denoised picture of an interrupted request with a plain 200.

Two things give it away: the flag `interrupted` that the server shows until its next job begins, and the time the
picture took. Neither proves anything, so a suspicious picture is drawn again: the same request draws the same bytes.
"""

from __future__ import annotations

import statistics
import threading
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

from orchestrator.a1111.models import ProgressState

#: So many pictures of one kind are timed before a short one is told by the usual time; the first are judged afterwards.
_ENOUGH = 3
_REMEMBERED = 40
#: A picture this much shorter than the usual is suspicious; a multiple of the usual scatter where that is more.
_SHORTER = 0.15
_SCATTERS = 6.0
#: Of fewer pictures, one that took less than this share of the longest is drawn again.
_SHARE_OF_LONGEST = 0.75
#: Pictures quicker than this, in seconds, are not judged by their time: one hiccup of the network weighs more.
QUICK_S = 0.4
#: Seconds of a picture's time in which a flag that was seen concerns it: the flag is asked for several times a second.
_SLACK_S = 0.3


@dataclass(frozen=True)
class Judged:
    """What one picture's time says. `early` pictures of a kind can only be judged when others were timed."""

    took: float
    suspicious: bool
    early: bool


class Interruptions:
    """What one server's pictures and flags say. Times are of `time.monotonic`. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: deque[float] = deque(maxlen=_REMEMBERED)
        self._jobs: deque[str] = deque(maxlen=_REMEMBERED)
        self._was_flagged: bool | None = None
        self._last_answer = 0.0
        self._last_excess = 0.0
        self._times: dict[Hashable, deque[float]] = {}

    def look(self, state: ProgressState, now: float) -> None:
        """Take in what the server says of its running job. A flag that stood there from the start is an old one."""
        running = bool(state.job or state.job_count)
        with self._lock:
            if state.interrupted and (running or self._was_flagged is False):
                self._seen.append(now)
                self._jobs.append(state.job_timestamp)
            self._was_flagged = state.interrupted

    def interrupted(self, now: float) -> None:
        """We interrupted a request of our own; another one may have been hit if it began in that moment."""
        with self._lock:
            self._seen.append(now)

    def judge(self, kind: Hashable, sent: float, answered: float, job: str = "") -> Judged:
        """What is known of the picture sent and answered then. `kind` tells pictures of unequal cost apart (size,
        steps, number); `job` is the time stamp the server gave it.
        """
        with self._lock:
            began = max(sent, self._last_answer)
            took = answered - began
            flagged = any(began - _SLACK_S <= at <= answered + _SLACK_S for at in self._seen)
            flagged = flagged or (bool(job) and job in self._jobs)
            times = self._times.setdefault(kind, deque(maxlen=_REMEMBERED))
            usual = statistics.median(times) if times else took
            early = len(times) < _ENOUGH
            # What the answer before came too late by, this one seems too early by.
            short = not early and usual >= QUICK_S and took + self._last_excess < usual - _margin(times, usual)
            if not flagged and not short:
                times.append(took)
                self._last_excess = max(0.0, took - usual)
            self._last_answer = max(self._last_answer, answered)
            return Judged(took, flagged or short, early and not flagged)

    def judge_late(self, kind: Hashable, took: float, *, last: bool) -> bool | None:
        """Whether an early picture was short after all; None = not enough others yet, and more will come (`last`)."""
        with self._lock:
            times = self._times.get(kind, deque())
            if len(times) >= _ENOUGH:
                usual = statistics.median(times)
                return usual >= QUICK_S and took < usual - _margin(times, usual)
            longest = max(times, default=took)
            return (longest >= QUICK_S and took < _SHARE_OF_LONGEST * longest) if last else None

    def was_whole(self, kind: Hashable) -> None:
        """A suspicious picture came out the same again: the server has become quicker, and the times begin anew."""
        with self._lock:
            self._times.pop(kind, None)


def _margin(times: deque[float], usual: float) -> float:
    scatter = statistics.median(abs(t - usual) for t in times)
    return max(_SCATTERS * scatter, _SHORTER * usual)
