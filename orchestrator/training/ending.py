"""What follows when a trainer has ended: finished, started again, or an error that says why.

Several commands may watch one training. What its end means is decided under the mark that lets one command at a time
start a training, on the record as it then is: the first to come closes the attempt, the others find it closed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from orchestrator.errors import OrchestratorError, StorageError
from orchestrator.kohya.console import Event, Failed, NoData
from orchestrator.kohya.failure import Reason
from orchestrator.training import attempt, ending_words, metrics, outcome, resume, samples
from orchestrator.training.follow import Watch, follow
from orchestrator.training.guards import Stop
from orchestrator.training.outcome import Run
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.proof import Proof, prove
from orchestrator.training.record import RECORD_NAME, Attempt, RunRecord, now, read_record, write_record

#: By itself, or by somebody who wants it to end: SIGHUP, SIGINT, SIGTERM; Windows' Ctrl-C, shutdown, missing library.
_NO_CRASH = frozenset({0, -1, -2, -15, 0xC000013A, 0x40010004, 0xC0000135})


@dataclass(frozen=True)
class Seen:
    """What one command saw of an attempt. `number` counts attempts from 1; `exit_code` is None where it was not our
    child; `stop` is why the training must be stopped.
    """

    number: int
    watch: Watch
    exit_code: int | None
    stop: Stop | None


@dataclass(frozen=True)
class Again:
    """The training goes on with another attempt. An empty `why` = another command saw to it already."""

    why: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


def close(planned: TrainingPlanned, seen: Seen, may_restart: Callable[[int], bool]) -> RunRecord | Again:
    """Close the attempt that was seen to end: the finished record, or that it is to be started again.

    `may_restart` is asked with the epoch the next attempt would go on from. Call it while `starting` is held. Raises
    `TrainingFailed`, `StorageError`.
    """
    record = _record(planned, seen)
    if len(record.attempts) > seen.number or (record.status == "running" and record.attempts[-1].ended_at is not None):
        return Again(changes=record.attempts[-1].changes)
    if record.status == "finished":
        return record
    if record.status == "stopped":
        raise ending_words.stopped_elsewhere(planned, record)
    exit_code = record.attempts[-1].exit_code if seen.exit_code is None else seen.exit_code
    record = taken_in(record, seen.watch)
    planned = replace(planned, changes=record.attempts[-1].changes)
    gone = seen.stop is None or attempt.stop_all(attempt.recorded(record), planned.config)
    proof = prove(planned, record)
    # After its last file a trainer may hang at its end, or leave no room for a save that never comes.
    if proof.finished and (seen.stop is None or seen.stop.kind in {"stalled", "disk"}):
        return finish(planned, record, proof, exit_code)
    if seen.stop is not None:
        return _fail(
            planned, record, exit_code, ending_words.stopped_by_guard(planned, seen.stop, seen.watch, gone=gone)
        )
    reason = ending_words.reason(planned, seen.watch, exit_code)
    changes = _remedy(planned, record, reason, seen.watch)
    crashed = changes is None and is_crash(reason, seen.watch.said, exit_code)
    if changes is not None or (crashed and may_restart(resume.point(planned).epoch)):
        why = reason.why if reason is not None else ending_words.how_it_ended(exit_code)
        write_end(planned, record, "running", why, exit_code)
        return Again(why, changes if changes is not None else record.attempts[-1].changes)
    return _fail(planned, record, exit_code, ending_words.failed(planned, record, reason, proof, exit_code))


def is_crash(reason: Reason | None, said: Sequence[Event], exit_code: int | None) -> bool:
    """Whether the trainer was killed or crashed, so that going on from the last state may help; a Python error would
    only come again. Where the exit code is not known (an adopted trainer) the lack of any last words tells.
    """
    if reason is not None and any(isinstance(event, (Failed, NoData)) for event in said):
        return reason.crashed
    return exit_code is None or exit_code not in _NO_CRASH


def finish(planned: TrainingPlanned, record: RunRecord, proof: Proof, exit_code: int | None) -> RunRecord:
    """Write down that the training is finished, with what proves it."""
    ended = record.attempts[-1].ended_at or now()
    if exit_code is None:  # nobody saw the end: the final file's time is the best witness
        ended = min(ended, planned.final_file.stat().st_mtime)
    record = _measured(planned, record.with_last_attempt(ended_at=ended, exit_code=exit_code, why=""))
    record = record.changed(
        status="finished",
        files=outcome.saved_files(planned, proof.files),
        final_loss=record.losses[max(record.losses)] if record.losses else None,
        seconds=_seconds(record),
        proof=proof.said,
        samples=_samples(planned),
    )
    write_record(planned.folder, record)
    return record


def write_end(planned: Run, record: RunRecord, status: str, why: str, exit_code: int | None) -> None:
    """Write down that the last attempt ended without finishing the training."""
    ended = record.attempts[-1].ended_at or now()
    record = _measured(planned, record.with_last_attempt(ended_at=ended, exit_code=exit_code, why=why))
    path = planned.folder / RECORD_NAME
    since = path.stat().st_mtime if path.exists() else 0.0
    known = {file.file: file for file in record.files}
    whole = outcome.lora_files(planned)[0]
    record = record.changed(
        status=status,
        files=outcome.saved_files(planned, whole, known, since),
        seconds=_seconds(record),
        samples=_samples(planned),
    )
    write_record(planned.folder, record)


def stopped_on_request(run: Run, record: RunRecord) -> None:
    """Write down that the trainer was stopped by its run's name, with what it did by its log."""
    write_end(run, taken_in(record, hear(run, record.attempts[-1])), "stopped", "stopped on request", None)


def stopped(planned: TrainingPlanned, watch: Watch | None) -> NoReturn:
    """Ctrl-C: end the trainer and say where the same command goes on. Call it while `starting` is held. Raises
    `KeyboardInterrupt`.
    """
    record = read_record(planned.folder)
    gone = attempt.stop_all(None if record is None else attempt.recorded(record), planned.config)
    if record is not None and record.attempts and record.attempts[-1].ended_at is None:
        write_end(planned, record if watch is None else taken_in(record, watch), "stopped", "stopped by Ctrl-C", None)
    raise KeyboardInterrupt(ending_words.interrupted(planned, watch, gone=gone)) from None


def not_started(planned: TrainingPlanned, error: OrchestratorError) -> None:
    """Write down that a start failed before there was a trainer."""
    with contextlib.suppress(OrchestratorError):
        record = read_record(planned.folder)
        if record is not None and record.attempts and record.status == "running":
            write_end(planned, record, "failed", record.attempts[-1].why or ending_words.short(error), None)


def unseen(planned: TrainingPlanned, record: RunRecord) -> RunRecord:
    """The record with what the last attempt did, when nobody saw its end: losses, steps, and why it ended, from its
    log. Nothing is written.
    """
    if not record.attempts or record.attempts[-1].ended_at is not None:
        return record
    last = record.attempts[-1]
    planned = replace(planned, changes=last.changes)
    log = planned.folder / last.log
    watch = hear(planned, last)
    reason = ending_words.reason(planned, watch, None)
    ended = max(log.stat().st_mtime, last.started_at) if log.is_file() else last.started_at
    why = reason.why if reason is not None else ending_words.how_it_ended(None)
    return taken_in(record, watch).with_last_attempt(ended_at=ended, why=why)


def hear(planned: Run, last: Attempt) -> Watch:
    """What the console log of an attempt says, read again."""
    watch = Watch(planned.name, planned.epochs, planned.save_every, last.resumed_from, lambda _: None)
    follow(planned.folder / last.log, watch, lambda: False, poll_s=0.0)
    return watch


def taken_in(record: RunRecord, watch: Watch) -> RunRecord:
    """The record with what was seen of its last attempt."""
    record = record.changed(losses={**record.losses, **watch.losses})
    return record.with_last_attempt(steps=watch.covered, step_s=watch.pace.usual_s)


def _remedy(planned: TrainingPlanned, record: RunRecord, reason: Reason | None, watch: Watch) -> dict[str, Any] | None:
    """The changed values to try a full graphics card with; None = nothing is to be tried. Once in a run's life."""
    wanted = planned.guard.out_of_memory == "retry" and not any(each.changes for each in record.attempts)
    if not wanted or reason is None or not reason.out_of_memory:
        return None
    return ending_words.first_remedy(planned, watch)


def _fail(planned: TrainingPlanned, record: RunRecord, exit_code: int | None, error: OrchestratorError) -> NoReturn:
    if record.attempts[-1].ended_at is None:
        with contextlib.suppress(StorageError):  # where no record can be written, the reason must be said all the same
            write_end(planned, record, "failed", ending_words.short(error), exit_code)
    raise error


def _record(planned: TrainingPlanned, seen: Seen) -> RunRecord:
    record = read_record(planned.folder)
    if record is None or len(record.attempts) < seen.number:
        raise ending_words.folder_gone(planned)
    return record


def _measured(planned: Run, record: RunRecord) -> RunRecord:
    """The record with the metrics of all its attempts, written anew from their logs; unchanged where that fails: no
    curve is worth a lost ending.
    """
    logging = planned.values.get("logging_dir")
    sources = metrics.sources(planned.folder, record.attempts, planned.epochs, Path(logging) if logging else None)
    try:
        covered = metrics.collect(sources, planned.folder / metrics.METRICS_NAME)
    except OrchestratorError:
        return record
    attempts = tuple(
        each.model_copy(update={"steps": found.steps or each.steps, "step_s": found.step_s or each.step_s})
        for each, found in zip(record.attempts, covered, strict=True)
    )
    return record.changed(attempts=attempts, metrics=metrics.METRICS_NAME)


def _seconds(record: RunRecord) -> float:
    return round(sum(max((a.ended_at or a.started_at) - a.started_at, 0.0) for a in record.attempts), 3)


def _samples(planned: Run) -> tuple[str, ...]:
    drawn = samples.drawn(planned.output_folder)
    return tuple(sample.file.relative_to(planned.folder).as_posix() for sample in drawn)
