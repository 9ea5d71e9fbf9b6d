"""Run a planned training to its end, whatever happens in between.

The trainer is supervised, not held: it has its own process group and writes to a log file, so it goes on when we are
killed, and the same command finds it again. Going on after a stop, a crash or a full disk is always the same command,
too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from orchestrator import processes
from orchestrator.errors import OrchestratorError, StorageError, TrainingFailed
from orchestrator.files import sha256_file
from orchestrator.kohya import command, config_file, failure, toml_file
from orchestrator.processes import Child, ProcessId
from orchestrator.training import inputs, outcome
from orchestrator.training.events import Note, Started, TrainingEvent
from orchestrator.training.follow import Watch, follow
from orchestrator.training.outcome import Outcome
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.record import Attempt, RunRecord, begin, now, read_record, write_record
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


def train(
    planned: TrainingPlanned, on_event: Callable[[TrainingEvent], None] | None = None, *, poll_s: float = 0.2
) -> TrainingRun:
    """Train, go on training, watch a training that runs already, or find that it is finished: whichever is due.

    Raises `TrainingFailed` with the reason found in the console log, `StorageError` when the disk is full, and
    `KeyboardInterrupt` on Ctrl-C, after the trainer was stopped, with a sentence saying where the same command goes
    on.
    """
    tell = on_event or (lambda _: None)
    child: Child | None = None
    with starting(planned.folder):
        record = read_record(planned.folder) or begin(planned)
        if record.status == "finished" and _intact(planned, record):
            return _result(planned, record, outcome.lora_files(planned)[0], reused=True)
        identity = _running(planned, record)
        if identity is None:
            found = outcome.judge(planned) if record.attempts else None
            if found is not None and found.finished:  # it came to its end while nobody watched
                return _finish(planned, _heard(planned, record), found, exit_code=None)
            record = _prepare(planned, record, tell)
            try:
                child = processes.start(
                    record.attempts[-1].command,
                    folder=planned.install.root,
                    environment=_environment(planned),
                    log=planned.folder / record.attempts[-1].log,
                )
                record = record.with_last_attempt(pid=child.identity.pid, created=child.identity.created)
                write_record(planned.folder, record)
            except KeyboardInterrupt:
                _interrupted(planned, record, None if child is None else child.identity, None)
            identity = child.identity
        elif identity != _recorded(record):
            record = record.with_last_attempt(pid=identity.pid, created=identity.created)
            write_record(planned.folder, record)
    return _supervise(planned, record, identity, child, tell, poll_s)


def is_finished(planned: TrainingPlanned) -> bool:
    """Whether this very training was finished before and its last file is as it was: `train` would start nothing."""
    record = read_record(planned.folder)
    return record is not None and record.status == "finished" and _intact(planned, record)


def stop(folder: Path) -> bool:
    """Stop the trainer of the run in `folder`, if one runs. False = something of it is still there. It can be gone on
    with later.
    """
    record = read_record(folder)
    if record is None or not record.attempts:
        return True
    identity = _present(_recorded(record), folder.absolute() / "config.toml")
    if identity is None:
        return True
    gone = processes.stop_tree(identity)
    if gone:
        write_record(
            folder, record.changed(status="stopped").with_last_attempt(ended_at=now(), why="stopped on request")
        )
    return gone


def _prepare(planned: TrainingPlanned, record: RunRecord, tell: Callable[[TrainingEvent], None]) -> RunRecord:
    """Everything before the start: a clean folder, the configs, where to go on, and the record with a new attempt."""
    outcome.clear_unusable(planned)
    used = (
        sum(p.stat().st_size for p in planned.output_folder.rglob("*") if p.is_file())
        if planned.output_folder.is_dir()
        else 0
    )
    inputs.check_space(planned.folder, max(planned.bytes_needed - used, 0))
    resolution = planned.dataset_values["datasets"][0]["resolution"]
    key = f"{planned.base_sha256} {planned.dataset.sha256} {resolution}"
    if stale := inputs.forget_stale_latents(planned.dataset, key, planned.cache):
        tell(Note(f"{stale} cached latents of another size, picture or checkpoint were removed."))
    state = outcome.resume_point(planned)
    config_file.write(planned.config, planned.values)
    toml_file.write(planned.dataset_config, planned.dataset_values)
    attempt = Attempt(
        command=tuple(command.argv(planned.install, planned.config, script=planned.base.script, state=state)),
        environment=command.recorded_environment(_environment(planned)),
        log=f"console-{len(record.attempts) + 1}.log",
        resumed_from=0 if state is None or state.epoch is None else state.epoch,
        started_at=now(),
    )
    record = record.changed(status="running", attempts=(*record.attempts, attempt))
    write_record(planned.folder, record)
    return record


def _supervise(
    planned: TrainingPlanned,
    record: RunRecord,
    identity: ProcessId,
    child: Child | None,
    tell: Callable[[TrainingEvent], None],
    poll_s: float,
) -> TrainingRun:
    attempt = record.attempts[-1]
    watch = Watch(planned.name, planned.epochs, planned.save_every, attempt.resumed_from, tell)

    def running() -> bool:
        return _present(identity, planned.config) is not None if child is None else child.exit_code is None

    try:
        tell(Started(planned.name, planned.epochs, attempt.resumed_from, child is None, identity.pid))
        follow(planned.folder / attempt.log, watch, running, poll_s=poll_s)
        if watch.went_nan:
            processes.stop_tree(_present(identity, planned.config) or identity)
            _fail_nan(planned, record, watch)
        exit_code = None if child is None else child.exit_code
        found = outcome.judge(planned)
    except KeyboardInterrupt:
        _interrupted(planned, record, identity, watch)
    finally:
        if child is not None:
            child.let_go()
    record = _merge(record, watch)
    if found.finished:
        return _finish(planned, record, found, exit_code)
    raise _failure(planned, record, watch, found, exit_code)


def _finish(planned: TrainingPlanned, record: RunRecord, found: Outcome, exit_code: int | None) -> TrainingRun:
    ended = record.attempts[-1].ended_at or now()
    if exit_code is None:  # nobody saw the end: the final file's time is the best witness
        ended = min(ended, planned.final_file.stat().st_mtime)
    record = record.with_last_attempt(ended_at=ended, exit_code=exit_code)
    record = record.changed(
        status="finished",
        files=outcome.saved_files(planned, found.files),
        final_loss=record.losses[max(record.losses)] if record.losses else None,
        seconds=_seconds(record),
    )
    write_record(planned.folder, record)
    return _result(planned, record, list(found.files), reused=False)


def _failure(
    planned: TrainingPlanned, record: RunRecord, watch: Watch, found: Outcome, exit_code: int | None
) -> OrchestratorError:
    reason = failure.explain(watch.said, exit_code)
    ending = f"the trainer {processes.exit_words(exit_code)}"
    why = reason.why if reason else f"{found.why}; {ending}"
    _write_end(planned, record, "failed", why, exit_code)
    log = planned.folder / record.attempts[-1].log
    if reason is not None and reason.disk_full:
        return StorageError(
            f"The disk is full: the training of {planned.name} could not save its LoRA file.", fix=reason.fix
        )
    return TrainingFailed(
        f"The training of {planned.name} ended without a finished LoRA file: {why}.",
        cause=f"{ending[0].upper()}{ending[1:]}. Its console log: {log}" if reason else f"Its console log: {log}",
        fix=reason.fix if reason else f"{_goes_on(planned)} Should it fail again, the log tells more.",
    )


def _fail_nan(planned: TrainingPlanned, record: RunRecord, watch: Watch) -> NoReturn:
    record = _merge(record, watch)
    why = f"the loss became NaN in epoch {watch.epoch} (step {watch.step} of {watch.steps})"
    _write_end(planned, record, "failed", why, None)
    usable = [path.name for path in outcome.lora_files(planned)[0]]
    raise TrainingFailed(
        f"The training of {planned.name} was stopped: {why}.",
        cause="The learning rate is too high, or a value overflowed in fp16; what is learned from there on is garbage."
        + (f" The LoRA files before it are fine: {', '.join(usable)}." if usable else ""),
        fix='Lower unet_lr and text_encoder_lr, or set mixed_precision = "bf16" in [training]; then train again.',
    )


def _interrupted(
    planned: TrainingPlanned, record: RunRecord, identity: ProcessId | None, watch: Watch | None
) -> NoReturn:
    gone = identity is None or processes.stop_tree(_present(identity, planned.config) or identity)
    if watch is not None:
        record = _merge(record, watch)
    _write_end(planned, record, "stopped", "stopped by Ctrl-C", None)
    at = f" in epoch {watch.epoch} of {planned.epochs}" if watch is not None and watch.epoch else ""
    left = "" if gone or identity is None else f" Process {identity.pid} did not end; end it by hand before you go on."
    raise KeyboardInterrupt(f"The training of {planned.name} was stopped{at}.{left} {_goes_on(planned)}") from None


def _goes_on(planned: TrainingPlanned) -> str:
    state = outcome.resume_point(planned)
    return f"The same command goes on from epoch {(state.epoch or 0) + 1 if state else 1}."


def _write_end(planned: TrainingPlanned, record: RunRecord, status: str, why: str, exit_code: int | None) -> None:
    record = record.with_last_attempt(ended_at=now(), exit_code=exit_code, why=why)
    whole = tuple(outcome.lora_files(planned)[0])
    record = record.changed(status=status, files=outcome.saved_files(planned, whole), seconds=_seconds(record))
    write_record(planned.folder, record)


def _merge(record: RunRecord, watch: Watch) -> RunRecord:
    return record.changed(losses={**record.losses, **watch.losses})


def _heard(planned: TrainingPlanned, record: RunRecord) -> RunRecord:
    """The record with the losses of a log that was written while nobody watched."""
    attempt = record.attempts[-1]
    log = planned.folder / attempt.log
    if not log.is_file():
        return record
    watch = Watch(planned.name, planned.epochs, planned.save_every, attempt.resumed_from, lambda _: None)
    follow(log, watch, lambda: False, poll_s=0.0)
    return _merge(record, watch)


def _seconds(record: RunRecord) -> float:
    return round(sum(max((a.ended_at or a.started_at) - a.started_at, 0.0) for a in record.attempts), 3)


def _result(planned: TrainingPlanned, record: RunRecord, files: list[Path], *, reused: bool) -> TrainingRun:
    return TrainingRun(
        name=planned.name,
        folder=planned.folder,
        status=record.status,
        lora_files=tuple(files),
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


def _running(planned: TrainingPlanned, record: RunRecord) -> ProcessId | None:
    if not record.attempts or record.attempts[-1].ended_at is not None:
        return None
    return _present(_recorded(record), planned.config)


def _present(identity: ProcessId | None, config: Path) -> ProcessId | None:
    """The living trainer of that configuration; None = there is none.

    A start time is the clock's word: where the clock is set (Linux, WSL2 after sleep) a living process seems to have
    started at another time. And we may have been killed between a start and the note of it. The configuration's path on
    the command line tells in both cases.
    """
    if identity is not None and processes.is_running(identity):
        return identity
    return processes.find(*command.signs(config))


def _recorded(record: RunRecord) -> ProcessId | None:
    last = record.attempts[-1]
    return None if last.pid is None or last.created is None else ProcessId(last.pid, last.created)


def _environment(planned: TrainingPlanned) -> dict[str, str]:
    tokenizers = planned.values.get("tokenizer_cache_dir")
    folder = Path(tokenizers) if isinstance(tokenizers, str) else None
    return command.environment(tokenizers=folder, sdxl=planned.base.family == "sdxl")
