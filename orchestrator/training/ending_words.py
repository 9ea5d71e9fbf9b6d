"""How a training ended, in sentences for the person at the keyboard."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator import processes
from orchestrator.errors import OrchestratorError, StorageError, TrainingFailed, WorkspaceError
from orchestrator.kohya import failure
from orchestrator.kohya.failure import Reason
from orchestrator.kohya.state import FromState
from orchestrator.training import advice, outcome, resume
from orchestrator.training.follow import Watch
from orchestrator.training.guards import Stop
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.proof import Proof
from orchestrator.training.record import RunRecord


def reason(planned: TrainingPlanned, watch: Watch, exit_code: int | None) -> Reason | None:
    """Why the trainer ended, from its last words, with the advice for this training."""
    changes = planned.changes
    tried = ", ".join(f"{key} = {value}" for key, value in changes.items())
    return failure.explain(watch.said, exit_code, advice.memory_advice(remedies(planned, watch), tried=tried))


def first_remedy(planned: TrainingPlanned, watch: Watch) -> dict[str, Any] | None:
    """What the first remedy for full memory that may be tried without asking would change."""
    remedy = advice.automatic(remedies(planned, watch))
    return None if remedy is None else dict(remedy.changes)


def remedies(planned: TrainingPlanned, watch: Watch) -> list[advice.Remedy]:
    """What helps against memory that ran out where `watch` saw the training end, on top of `planned.changes`."""
    values, dataset_values = advice.applied(planned.changes, planned.values, planned.dataset_values)
    so_far = replace(planned, values=values, dataset_values=dataset_values)
    has_state = isinstance(resume.point(planned), FromState)
    return advice.remedies(so_far, watch.phase, planned.packages, has_state=has_state)


def how_it_ended(exit_code: int | None) -> str:
    """The exit code as a sentence's end."""
    return f"the trainer {processes.exit_words(exit_code)}"


def failed(
    planned: TrainingPlanned, record: RunRecord, reason: Reason | None, proof: Proof, exit_code: int | None
) -> OrchestratorError:
    """The error for a training whose files are not what was asked for."""
    ending = how_it_ended(exit_code)
    log = f"Its console log: {planned.folder / record.attempts[-1].log}"
    if planned.final_file in proof.files:
        return unproven(planned, proof, log)
    if reason is None:
        return TrainingFailed(
            f"The training of {planned.name} ended without a finished LoRA file: {proof.why}; {ending}.",
            cause=log,
            fix=f"{goes_on(planned)} Should it fail again, the log tells more.",
        )
    if reason.disk_full:
        return StorageError(
            f"The disk is full: the training of {planned.name} could not save its LoRA file.", fix=reason.fix
        )
    said = f" It said: {' | '.join(reason.lines)}." if reason.lines else ""
    starts = _starts(record)
    return TrainingFailed(
        f"The training of {planned.name} ended without a finished LoRA file: {reason.why}.",
        cause=f"{ending[0].upper()}{ending[1:]}{starts}.{said} {log}",
        fix=reason.fix,
    )


def unproven(planned: TrainingPlanned, proof: Proof, log: str = "") -> TrainingFailed:
    """The error for a training that came to its end and whose files are not what was asked for."""
    if proof.only_lost:
        return TrainingFailed(
            f"The training of {planned.name} is not complete: {proof.why}.",
            cause="It was there once, for later ones are: it was removed or lost. " + log,
            fix=f"Put the file back; or take the run as it is with `orchestrator runs rebuild {planned.name}`.",
        )
    return TrainingFailed(
        f"The training of {planned.name} came to its end, but its LoRA files are not as asked: {proof.why}.",
        cause=log,
        fix=f"{goes_on(planned)} Should it come out the same, the log tells more.",
    )


def stopped_by_guard(planned: TrainingPlanned, stop: Stop, watch: Watch, *, gone: bool) -> OrchestratorError:
    """The error for a training that had to be stopped; `gone` = the trainer is."""
    left = "" if gone else " A process of it did not end; end it by hand."
    what = f"The training of {planned.name} was stopped: {stop.text}.{left}"
    if stop.kind == "disk":
        return StorageError(what, fix=f"Free some space. {goes_on(planned)}")
    if stop.kind == "stalled":
        return TrainingFailed(
            what,
            cause="Nothing more was to be expected; what was saved before is kept.",
            fix=f"{goes_on(planned)} Where long pauses are usual, raise stalled_minutes or set "
            'when_stalled = "wait" in [training.guard].',
        )
    usable = [path.name for path in outcome.lora_files(planned)[0] if not outcome.holds_nan(path)]
    fine = f" The LoRA files before it are fine: {', '.join(usable)}." if usable else ""
    return TrainingFailed(
        what,
        cause="The learning rate is too high, or a value overflowed in fp16; what is learned from there on is garbage."
        + fine,
        fix='Lower unet_lr and text_encoder_lr, or set mixed_precision = "bf16" in [training]; then train again.',
    )


def still_there(planned: TrainingPlanned) -> TrainingFailed:
    """The error for a process of an earlier start that cannot be ended: another trainer beside it would spoil both."""
    return TrainingFailed(
        f"A process of an earlier start of {planned.name} is still there and does not end.",
        cause="It was asked to and then ended by force; a driver or a disk that hangs can hold a process.",
        fix="Look at it in the task manager; restarting the computer ends it for certain. "
        "Then run the same command again.",
    )


def stopped_elsewhere(planned: TrainingPlanned, record: RunRecord) -> TrainingFailed:
    """The error for whoever watched while another command stopped the training."""
    return TrainingFailed(
        f"The training of {planned.name} was ended by another command: {record.attempts[-1].why}.",
        fix=goes_on(planned),
    )


def interrupted(planned: TrainingPlanned, watch: Watch | None, *, gone: bool) -> str:
    """What Ctrl-C is answered with."""
    at = f" in epoch {watch.epoch} of {planned.epochs}" if watch is not None and watch.epoch else ""
    left = "" if gone else " A process of it did not end; end it by hand before you go on."
    return f"The training of {planned.name} was stopped{at}.{left} {goes_on(planned)}"


def folder_gone(planned: TrainingPlanned) -> WorkspaceError:
    """The error for a run's record that vanished while it was trained."""
    return WorkspaceError(
        f"The record of the training in {planned.folder} is gone or was replaced while it ran.",
        fix=f"`orchestrator runs rebuild {planned.name}` makes it again from what lies there.",
    )


def goes_on(planned: TrainingPlanned) -> str:
    """What the same command will do."""
    return resume.sentence(resume.point(planned))


def short(error: OrchestratorError) -> str:
    """The reason of an error for the record: what stands behind the colon of its sentence."""
    return error.what.partition(": ")[2].rstrip(".") or error.what.rstrip(".")


def _starts(record: RunRecord) -> str:
    """How often it was started in vain since it last got on."""
    last = record.attempts[-1].resumed_from
    count = 0
    for attempt in reversed(record.attempts):
        if attempt.resumed_from != last:
            break
        count += 1
    return f", {count} times from the same state" if count > 1 else ""
