"""A job, and the words for its states.

                claimed                          done
  ┌─ waiting ────────────────► running ───────────────────► finished
  │   ▲   ▲                     │ │ │
  │   │   └── put back ─────────┘ │ └── failed, no retry left ──► failed ───┐
  │   │   window over, worker gone │                                        │
  │   │   card in use, retry later └── killed four workers ────► set aside ─┤
  │   │   killed two: behind all others                                     │
  ▼   │                                                                     │
paused ┘     cancelled ◄── asked for, in whatever state it was              │
                 └──────────────── `queue retry` ──► waiting ◄──────────────┘
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["waiting", "running", "paused", "finished", "failed", "set aside", "cancelled"]
#: What a command asks of a running job; its worker sees it within a second. `pause` and `stop` wait for the next saved
#: epoch or cell, `cancel` does not.
Asked = Literal["", "pause", "stop", "cancel"]

#: States in which a job may still run without anybody doing anything.
OPEN: tuple[State, ...] = ("waiting", "running", "paused")
OVER: tuple[State, ...] = ("finished", "failed", "set aside", "cancelled")
#: When so many workers died with a job at the same place, it is tried again only when nothing else is left to do.
LAST_DEATHS = 2
#: When so many did, it is set aside.
MOST_DEATHS = 4
#: The layout of payloads this version writes.
PAYLOAD_FORMAT = 1


@dataclass(frozen=True)
class Progress:
    """How far a running job is: `done` of `total` of the stage `what`; `left_s` is None where it is not known."""

    what: str
    done: int
    total: int
    detail: str = ""
    left_s: float | None = None
    at: float = 0.0

    @property
    def place(self) -> str:
        """Where in the job this is."""
        return f"{self.what} {self.done}"


@dataclass(frozen=True)
class Failure:
    """Why a job failed: what happened, why probably, what to do."""

    what: str
    cause: str = ""
    fix: str = ""


@dataclass(frozen=True)
class NewJob:
    """A job to be added. `payload` is everything it needs, frozen now; `needs` are the jobs it waits for, by id, or
    by their (negative) place in the list that is added together: -1 is the first of it.
    """

    kind: str
    title: str
    payload: Mapping[str, Any]
    workspace: str = ""
    priority: int = 0
    window: str = ""
    #: Not before this time (seconds since 1970).
    at: float | None = None
    retries: int = 0
    needs: tuple[int, ...] = ()
    #: Whether it computes on the graphics card.
    needs_card: bool = False
    #: Jobs that were added together as one run of a profile share it.
    chain: str = ""
    #: How long it takes at least and at most, in seconds; None = nothing like it was done here before.
    estimate: tuple[float, float] | None = None


@dataclass(frozen=True)
class Job:
    """One row of the ledger, without its payload. Times are seconds since 1970."""

    id: int
    kind: str
    title: str
    state: State
    workspace: str
    priority: int
    #: Among equal priorities the smaller one comes first.
    position: float
    window: str
    at: float | None
    #: How often a failure is still tried again by itself.
    retries: int
    #: How often it failed so far, which decides how long the next pause is.
    failures: int
    #: How many workers died with it at the place `death_place`.
    deaths: int
    death_place: str
    retry_at: float | None
    needs: tuple[int, ...]
    needs_card: bool
    chain: str
    estimate: tuple[float, float] | None
    #: How often it was claimed.
    attempts: int
    added_at: float
    started_at: float | None
    ended_at: float | None
    #: Seconds it was worked on, of all attempts together.
    worked_s: float
    worker: str
    asked: Asked
    #: Why it waits, where that is not plain: the card was in use, its worker died.
    why: str
    failure: Failure | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None
    #: A worker died while it ran and something of it may be alive: it comes before all others.
    interrupted: bool = False

    @property
    def comes_last(self) -> bool:
        """Whether workers seem to die of it: whatever else can be done is done first."""
        return self.deaths >= LAST_DEATHS

    @property
    def is_open(self) -> bool:
        """Whether it may still run."""
        return self.state in OPEN


@dataclass(frozen=True)
class WorkerRow:
    """A worker as the ledger knows it; `pid` and `created` name its process for ever."""

    id: str
    host: str
    pid: int
    created: float
    beat_at: float


@dataclass(frozen=True)
class Event:
    """One line of a job's log."""

    id: int
    job: int
    at: float
    kind: str
    text: str


@dataclass(frozen=True)
class Timing:
    """How long `units` of something took on this machine: steps, cells, pictures."""

    kind: str
    units: int
    seconds: float
    at: float = 0.0
