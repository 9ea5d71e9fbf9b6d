"""Run a planned training to its end, whatever happens in between.

The trainer is supervised, not held: it has its own process group and writes to a log file, so it goes on when we are
killed, and the same command finds it again. Going on after a stop, a crash or a full disk is always the same command,
too; a crash at night is gone on from without any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import processes
from orchestrator.errors import OrchestratorError
from orchestrator.files import sha256_file
from orchestrator.kohya import command
from orchestrator.training import attempt, ending, ending_words, outcome
from orchestrator.training.attempt import Held
from orchestrator.training.ending import Seen
from orchestrator.training.events import Restarted, Started, TrainingEvent
from orchestrator.training.follow import Watch, follow
from orchestrator.training.looking import Looker
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.proof import prove
from orchestrator.training.record import Recorded, RunRecord, begin, read_record, write_record
from orchestrator.training.start_mark import starting


@dataclass(frozen=True)
class TrainingRun:
    """A finished training. `lora_files` are whole and sorted by epoch, the final one last; `reused` = it had been
    finished before.
    """

    name: str
    folder: Path
    status: str
    lora_files: tuple[Path, ...]
    final_loss: float | None
    losses: dict[int, float]
    seconds: float
    reused: bool
    record: Path


@dataclass
class Restarts:
    """How often a crashed training may still be started again: without end as long as each start saves something new,
    else `allowed` times. 0 = never.
    """

    allowed: int
    epoch: int
    used: int = 0

    def may(self, epoch: int) -> bool:
        """Whether to start again, now that the training would go on after `epoch`. Counts it."""
        if epoch > self.epoch:
            self.epoch, self.used = epoch, 0
            return self.allowed > 0
        self.used += 1
        return self.used <= self.allowed


def train(
    planned: TrainingPlanned, on_event: Callable[[TrainingEvent], None] | None = None, *, poll_s: float = 0.2
) -> TrainingRun:
    """Train, go on training, watch a training that runs already, or find that it is finished: whichever is due.

    A trainer that crashes or is killed is started again as `planned.guard` says. Raises `TrainingFailed` with the
    reason found in the console log, `StorageError` when the disk is full, and `KeyboardInterrupt` on Ctrl-C, after the
    trainer was stopped, with a sentence saying where the same command goes on.
    """
    tell = on_event or (lambda _: None)
    restarts: Restarts | None = None
    changes: Mapping[str, Any] | None = None
    while True:
        held = _hold(planned, changes, tell)
        if isinstance(held, TrainingRun):
            return held
        restarts = restarts or Restarts(planned.guard.restarts, held.attempt.resumed_from)
        seen = _supervise(planned, held, tell, poll_s)
        if seen is None:
            continue
        with starting(planned.folder):
            found = ending.close(planned, seen, restarts.may)
        if isinstance(found, RunRecord):
            return _result(planned, found, reused=False)
        changes = found.changes
        if found.why:
            tell(Restarted(found.why, found.changes))


def is_finished(planned: TrainingPlanned) -> bool:
    """Whether this very training was finished before and its last file is as it was: `train` would start nothing."""
    record = read_record(planned.folder)
    return record is not None and record.status == "finished" and _intact(planned, record)


def stop(folder: Path) -> bool:
    """Stop the trainer of the run in `folder`, if one runs. False = something of it is still there. It can be gone on
    with later. Raises `WorkspaceError` for a damaged record.
    """
    with starting(folder):
        record = read_record(folder)
        if record is None or not record.attempts:
            return True
        config = folder.absolute() / "config.toml"
        if attempt.present(attempt.recorded(record), config) is None:
            return True
        gone = attempt.stop_all(attempt.recorded(record), config)
        if gone:
            ending.stopped_on_request(Recorded(folder, record), record)
        return gone


def _hold(
    planned: TrainingPlanned, changes: Mapping[str, Any] | None, tell: Callable[[TrainingEvent], None]
) -> Held | TrainingRun:
    """The running trainer, found or started; or the finished training."""
    with starting(planned.folder):
        record = read_record(planned.folder)
        if record is None:  # before anything else is in the folder: without it the folder would be passed over
            record = begin(planned)
            write_record(planned.folder, record)
        if record.status == "finished" and _intact(planned, record):
            return _result(planned, record, reused=True)
        identity = attempt.running(planned, record)
        if identity is not None:
            if identity != attempt.recorded(record):
                record = record.with_last_attempt(pid=identity.pid, created=identity.created)
                write_record(planned.folder, record)
            return Held(record, identity, None)
        closed = bool(record.attempts) and record.attempts[-1].ended_at is not None
        if closed and not attempt.stop_all(attempt.recorded(record), planned.config):
            raise ending_words.still_there(planned)
        if record.attempts:
            seen = ending.unseen(planned, record)
            proof = prove(planned, seen)
            if proof.finished:  # it came to its end while nobody watched
                return _result(planned, ending.finish(planned, seen, proof, None), reused=False)
            if proof.only_lost:
                ending.write_end(planned, seen, "failed", proof.why, None)
                raise ending_words.unproven(planned, proof)
            record = seen
            changes = changes or record.attempts[-1].changes
        try:
            return attempt.launch(planned, record, changes or {}, tell)
        except KeyboardInterrupt:
            ending.stopped(planned, None)
        except OrchestratorError as error:
            ending.not_started(planned, error)
            raise


def _supervise(
    planned: TrainingPlanned, held: Held, tell: Callable[[TrainingEvent], None], poll_s: float
) -> Seen | None:
    """Watch until the trainer has ended or must be stopped. None = what we watched has ended, but the training goes on
    in another process: its launcher was killed alone.
    """
    last, child = held.attempt, held.child
    watch = Watch(planned.name, planned.epochs, planned.save_every, last.resumed_from, tell)

    def running() -> bool:
        return attempt.present(held.identity, planned.config) is not None if child is None else child.exit_code is None

    try:
        tell(Started(planned.name, planned.epochs, last.resumed_from, child is None, held.identity.pid))
        looker = Looker(planned, held.identity, tell)
        stop = follow(planned.folder / last.log, watch, running, poll_s=poll_s, look=looker.look)
    except KeyboardInterrupt:
        with starting(planned.folder):
            ending.stopped(planned, watch)
    finally:
        exit_code = None if child is None else child.exit_code
        if child is not None:
            child.let_go()
    if stop is None and processes.find(*command.signs(planned.config)) is not None:
        return None
    return Seen(len(held.record.attempts), watch, exit_code, stop)


def _result(planned: TrainingPlanned, record: RunRecord, *, reused: bool) -> TrainingRun:
    return TrainingRun(
        name=planned.name,
        folder=planned.folder,
        status=record.status,
        lora_files=tuple(outcome.lora_files(planned)[0]),
        final_loss=record.final_loss,
        losses=dict(record.losses),
        seconds=record.seconds,
        reused=reused,
        record=planned.folder / "run.json",
    )


def _intact(planned: TrainingPlanned, record: RunRecord) -> bool:
    final = planned.final_file
    kept = next((f for f in record.files if f.file == final.name), None)
    return (
        kept is not None and final.is_file() and final.stat().st_size == kept.size and sha256_file(final) == kept.sha256
    )
