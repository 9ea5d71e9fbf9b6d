"""The ledger: which jobs there are, who works on them, what became of them. SQLite is the truth for jobs.

Every change of a job and the line in its log are one transaction. Times are seconds since 1970.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from orchestrator.errors import InputError
from orchestrator.jobs import opening, rows, scheduling
from orchestrator.jobs.model import (
    PAYLOAD_FORMAT,
    Asked,
    Event,
    Failure,
    Job,
    NewJob,
    Progress,
    State,
    Timing,
    WorkerRow,
)
from orchestrator.jobs.place import ledger_file
from orchestrator.jobs.sql import queries

Clock = Callable[[], float]


class Store:
    """One connection to the ledger; each thread opens its own. Close it or use it as a context manager.

    Every method raises `LedgerError` and `StorageError` as `opening.connect` does.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        durable: bool = True,
        busy_s: float = opening.BUSY_S,
        clock: Clock = time.time,
    ) -> None:
        self.path = path or ledger_file()
        self._clock = clock
        self._connection = opening.connect(self.path, durable=durable, busy_s=busy_s)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # Adding

    def add(self, jobs: Sequence[NewJob]) -> list[int]:
        """Add jobs together, all or none; their ids. Raises `InputError` for one that waits for a job that is not
        there, or for itself.
        """
        ids: list[int] = []
        with self._transaction():
            # Looked for first: one of them may get the very number that was named.
            for need in (need for new in jobs for need in new.needs if need >= 0):
                if self._one("job", id=need) is None:
                    raise _no_job(need)
            for new in jobs:
                ids.append(self._add(new))
            for id_, new in zip(ids, jobs, strict=True):
                for need in new.needs:
                    needed = ids[-need - 1] if need < 0 else need
                    self._run("add_need", job=id_, needs=needed)
            _refuse_cycle(self._edges())
        return ids

    def _add(self, new: NewJob) -> int:
        low, high = new.estimate or (None, None)
        values: dict[str, Any] = {
            name: getattr(new, name)
            for name in ("kind", "title", "workspace", "priority", "window", "at", "retries", "needs_card", "chain")
        }
        row = self._one("add", **values, estimate_low=low, estimate_high=high, now=self._clock())
        assert row is not None
        content = json.dumps(new.payload, ensure_ascii=False)
        self._run("add_payload", job=row["id"], format=PAYLOAD_FORMAT, content=content)
        self._log(row["id"], "added", "")
        return int(row["id"])

    def wait_for(self, id_: int, needs: int) -> None:
        """Let a job wait for another one, too. Raises `InputError` where they would wait for each other."""
        with self._transaction():
            if self._one("job", id=needs) is None:
                raise _no_job(needs)
            self._run("add_need", job=id_, needs=needs)
            _refuse_cycle(self._edges())

    # Looking

    def job(self, id_: int) -> Job:
        """One job. Raises `InputError` where there is none."""
        with opening.told(self.path):
            row = self._one("job", id=id_)
        if row is None:
            raise _no_job(id_)
        return rows.job(row)

    def open_jobs(self) -> list[Job]:
        """Every job that may still run, in the order they would be taken."""
        return [rows.job(row) for row in self._all("open")]

    def over(self, *, since: float = 0.0, limit: int = 1_000_000) -> list[Job]:
        """The jobs that are over, the newest first."""
        return [rows.job(row) for row in self._all("over", since=since, limit=limit)]

    def running(self) -> list[Job]:
        """The jobs that are being worked on."""
        return [rows.job(row) for row in self._all("running")]

    def counts(self) -> dict[State, int]:
        """How many jobs are in each state."""
        return {row["state"]: row["jobs"] for row in self._all("counts")}

    def needed_states(self) -> dict[int, State]:
        """In which state each job is that a waiting one waits for."""
        return {row["id"]: row["state"] for row in self._all("states_of_needs")}

    def payload(self, id_: int) -> tuple[int, dict[str, Any]]:
        """The format and the frozen content of a job."""
        with opening.told(self.path):
            row = self._one("payload", job=id_)
        if row is None:
            raise _no_job(id_)
        return row["format"], json.loads(row["content"])

    def events(self, id_: int | None = None, *, after: int = 0, since: float = 0.0) -> list[Event]:
        """The log of one job (of all when not named) after an event, the oldest first."""
        if id_ is None:
            found = self._all("all_events", after=after, since=since)
        else:
            found = self._all("events", job=id_, after=after)
        return [Event(**dict(row)) for row in found]

    @property
    def changes(self) -> int:
        """A number that changes when another connection has changed the ledger; costs next to nothing."""
        with opening.told(self.path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    # What a worker does

    def claim(self, id_: int, worker: str) -> Job | None:
        """Take a waiting job; None when somebody else was quicker."""
        with self._transaction():
            row = self._one("claim", id=id_, worker=worker, now=self._clock())
            if row is None:
                return None
            self._log(id_, "claimed", "")
            found = self._one("job", id=id_)
        assert found is not None
        return rows.job(found)

    def finish(self, id_: int, worker: str, result: Mapping[str, Any]) -> bool:
        """The job is done. False = it is not this worker's any more; then nothing was changed."""
        text = json.dumps(result, ensure_ascii=False, default=str)
        return self._changed("finish", id_, "finished", "", worker=worker, result=text)

    def fail(self, id_: int, worker: str, failure: Failure, *, retry_at: float | None = None) -> bool:
        """The job failed, for good or until `retry_at`."""
        text = rows.failure_text(failure)
        if retry_at is None:
            return self._changed("fail", id_, "failed", failure.what, worker=worker, failure=text, state="failed")
        return self._changed(
            "fail_for_now", id_, "failed for now", failure.what,
            worker=worker, failure=text, retry_at=retry_at, why="it failed and is tried again",
        )  # fmt: skip

    def put_back(
        self, id_: int, worker: str, why: str, *, state: State = "waiting", retry_at: float | None = None
    ) -> bool:
        """The job was left off in the middle and goes on later from what it made."""
        kind = "put back" if state == "waiting" else state
        return self._changed("put_back", id_, kind, why, worker=worker, state=state, why=why, retry_at=retry_at)

    def take_from_dead(self, job: Job, *, last_seen: float, state: State, deaths: int, why: str) -> bool:
        """The worker of a running job is gone; `last_seen` is when it was heard last."""
        place = job.progress.place if job.progress is not None else ""
        failure = Failure(why, fix=f"Look at `orchestrator queue log {job.id}`, then `queue retry {job.id}`.")
        return self._changed(
            "take_from_dead", job.id, "worker died" if state == "waiting" else state, why,
            worker=job.worker, asked=job.asked, state=state, why=why, deaths=deaths, place=place, last_seen=last_seen,
            failure=rows.failure_text(failure) if state == "set aside" else rows.failure_text(job.failure),
        )  # fmt: skip

    def asked(self, id_: int, worker: str) -> Asked | None:
        """What is asked of the job of this worker; None when the job is not its own any more."""
        with opening.told(self.path):
            row = self._one("asked", id=id_, worker=worker)
        return None if row is None else row["asked"]

    def progress(self, id_: int, progress: Progress) -> None:
        """Write down how far a job is."""
        with opening.told(self.path):
            self._run(
                "set_progress", job=id_, what=progress.what, done=progress.done, total=progress.total,
                detail=progress.detail, left_s=progress.left_s, at=self._clock(),
            )  # fmt: skip

    def note(self, id_: int, text: str, kind: str = "note") -> None:
        """A line for the log of a job."""
        with opening.told(self.path):
            self._log(id_, kind, text)

    def register(self, worker: WorkerRow) -> None:
        """A worker begins."""
        with opening.told(self.path):
            self._run(
                "register", id=worker.id, host=worker.host, pid=worker.pid, created=worker.created, now=self._clock()
            )

    def beat(self, worker: str) -> None:
        """The worker is alive."""
        with opening.told(self.path):
            self._run("beat", id=worker, now=self._clock())

    def unregister(self, worker: str) -> None:
        """The worker ends, or is known to be dead."""
        with opening.told(self.path):
            self._run("unregister", id=worker)

    def workers(self) -> list[WorkerRow]:
        """The workers that registered and did not say that they ended."""
        return [WorkerRow(**dict(row)) for row in self._all("workers")]

    def timing(self, timing: Timing) -> None:
        """Remember how long something took here."""
        with opening.told(self.path):
            self._run("timing", kind=timing.kind, units=timing.units, seconds=timing.seconds, at=self._clock())

    def timings(self, kind: str, limit: int = 50) -> list[Timing]:
        """What is remembered of a kind, the newest first."""
        return [Timing(**dict(row)) for row in self._all("timings", kind=kind, limit=limit)]

    # What people do

    def ask(self, id_: int, asked: Asked) -> bool:
        """Ask something of a running job. False = it does not run."""
        return self._changed("ask", id_, "asked", f"asked to {asked or 'go on'}", asked=asked)

    def set_state(self, id_: int, before: State, state: State, why: str = "") -> bool:
        """Change the state of a job that does not run, if it is `before`."""
        kind = {"waiting": "resumed"}.get(state, state)
        return self._changed("set_state", id_, kind, why, state=state, before=before)

    def try_again(self, id_: int, *, retries: int = 0) -> bool:
        """Let a job that is over wait again. False = it is not over, or it is finished."""
        return self._changed("try_again", id_, "tried again", "", retries=retries)

    def set_priority(self, id_: int, priority: int) -> bool:
        """A higher number comes first."""
        return self._changed("set_priority", id_, "priority", str(priority), priority=priority)

    def move(self, id_: int, *, position: float, priority: int) -> bool:
        """Put a job at a place among those of a priority."""
        return self._changed("set_position", id_, "moved", "", position=position, priority=priority)

    def prune(self, before: float) -> int:
        """Forget the jobs that were over before a time. What they made stays."""
        with self._transaction():
            return len(self._all("prune", before=before))

    def fact(self, name: str) -> str:
        """Something the queue remembers; empty = nothing."""
        with opening.told(self.path):
            row = self._one("get", name=name)
        return "" if row is None else str(row["value"])

    def set_fact(self, name: str, value: str) -> None:
        """Let the queue remember something."""
        with opening.told(self.path):
            self._run("set", name=name, value=value)

    def clear_fact(self, name: str, value: str) -> bool:
        """Forget something that still is `value`. False = somebody else was quicker."""
        with self._transaction():
            return self._one("clear", name=name, value=value) is not None

    # Underneath

    def _changed(self, query: str, id_: int, kind: str, text: str, **values: Any) -> bool:
        with self._transaction():
            if self._one(query, id=id_, **self._with_now(query, values)) is None:
                return False
            self._log(id_, kind, text)
        return True

    def _with_now(self, query: str, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "now": self._clock()} if ":now" in queries()[query] else values

    def _edges(self) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for row in self._connection.execute(queries()["dependencies"]):
            found.setdefault(row["job"], set()).add(row["needs"])
        return found

    def _log(self, id_: int, kind: str, text: str) -> None:
        self._run("event", job=id_, at=self._clock(), kind=kind, text=text)

    def _run(self, query: str, **values: Any) -> None:
        self._connection.execute(queries()[query], values)

    def _one(self, query: str, **values: Any) -> sqlite3.Row | None:
        found: list[sqlite3.Row] = self._connection.execute(queries()[query], values).fetchall()
        return found[0] if found else None

    def _all(self, query: str, **values: Any) -> list[sqlite3.Row]:
        with opening.told(self.path):
            return self._connection.execute(queries()[query], values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with opening.told(self.path), opening.transaction(self._connection):
            yield


def _refuse_cycle(edges: Mapping[int, set[int]]) -> None:
    if circle := scheduling.cycle(edges):
        raise InputError(
            f"The jobs {' → '.join(map(str, circle))} would wait for each other for ever.",
            fix="Leave one of the dependencies out.",
        )


def _no_job(id_: int) -> InputError:
    return InputError(f"There is no job {id_} in the queue.", fix="`orchestrator queue list` names those there are.")
