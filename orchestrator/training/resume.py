"""Where a training goes on: the newest state that can be trusted, else a LoRA file, else the beginning."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.errors import InputError
from orchestrator.kohya import arguments, state, weights
from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.state import FromStart, FromState, FromWeights, ResumePoint, State
from orchestrator.training import outcome
from orchestrator.training.plan import TrainingPlanned


def point(planned: TrainingPlanned) -> ResumePoint:
    """Where the training of `planned` goes on now. Reads the weights of what it goes on from.

    A state counts when it is complete and holds only numbers. When a LoRA file before it is gone and an older state is
    there, that one is taken, so that the file is made again. Without any state the newest LoRA file is the second best;
    but a training that saves states and has not come to its second save begins anew instead, which costs little and is
    the real thing.
    """
    found = _trusted_states(planned)
    if found:
        whole = {outcome.epoch_of(planned, path) for path in outcome.lora_files(planned)[0]}
        gap = next((epoch for epoch in outcome.expected_epochs(planned) if epoch not in whole), None)
        before = [each for each in found if gap is None or each.epoch < gap]
        return (before or found)[0]
    newest = _newest_file(planned)
    if newest is None or (planned.can_resume and newest.epoch <= planned.save_every) or not _can_begin_later(planned):
        return FromStart()
    return newest


def sentence(where: ResumePoint) -> str:
    """The same in words, as the promise of what the same command will do."""
    return f"The same command goes on from epoch {where.epoch + 1}."


def _trusted_states(planned: TrainingPlanned) -> list[FromState]:
    """Those that can be gone on from, the newest first."""
    if not planned.can_resume:
        return []
    found: list[FromState] = []
    below = planned.epochs
    while one := state.newest_resumable(planned.output_folder, planned.output_name, below):
        below = one.epoch or 0
        if _holds_numbers(one):
            found.append(FromState(one.path, below))
    return found


def _holds_numbers(one: State) -> bool:
    try:
        return not weights.not_finite(one.path / "model.safetensors")
    except InputError:
        return False  # cut off: the one before it is the next candidate


def _newest_file(planned: TrainingPlanned) -> FromWeights | None:
    for path in reversed(outcome.lora_files(planned)[0]):
        if path != planned.final_file and not outcome.holds_nan(path):
            return FromWeights(path, outcome.epoch_of(planned, path))
    return None


def _can_begin_later(planned: TrainingPlanned) -> bool:
    """Releases up to v0.9 know no initial_epoch: they would count from 1 and overwrite the first files."""
    return {"initial_epoch", "network_weights"} <= _accepted(planned).keys()


def _accepted(planned: TrainingPlanned) -> Mapping[str, Argument]:
    return arguments.read(planned.install, planned.base.script, planned.cache)
