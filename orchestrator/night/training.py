"""A training as a job: gone on with where it stopped, adopted where it runs, left off at a saved epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator import pipeline
from orchestrator.errors import TrainingFailed
from orchestrator.gpu import Holder
from orchestrator.installs import find_kohya
from orchestrator.jobs.control import WORDS, Control, Interrupted, Why
from orchestrator.jobs.model import Job
from orchestrator.kohya import command
from orchestrator.night import estimates
from orchestrator.night.card import NightCard
from orchestrator.night.frozen import Frozen
from orchestrator.training.events import Note, Progress, Restarted, Saved, Stalled, Started, TrainingEvent
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.preflight import preflight
from orchestrator.training.preflight_run_folder import needs_no_start
from orchestrator.training.record import read_record
from orchestrator.training.run import TrainingRun, is_finished
from orchestrator.training.run import stop as stop_trainer


def train(
    job: Job, frozen: Frozen, control: Control, card: NightCard, *, before_start: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Train, or find the training finished. Everything that speaks against it is found before A1111 is disturbed.

    `before_start` is called where a trainer has to be started: one that runs already is adopted without it.

    Raises `Interrupted` when it was stopped at a saved epoch, `CardBusy`, and what the pipeline raises.
    """
    install = find_kohya(frozen.settings)
    checkpoint = Path(frozen.options["checkpoint"])
    ready = preflight(frozen.profile, install, frozen.workspace, checkpoint=checkpoint)
    planned = ready.planned
    if is_finished(planned):
        return _result(pipeline.train_ready(ready), [])
    if before_start is not None and not needs_no_start(planned):
        before_start()
    began = time.time()
    holder = Holder(card.ledger, job.id, job.title, command.signs(planned.config))
    card.for_training(frozen.settings, holder, planned.launch.gpus)
    control.check()
    listener = _Listener(planned, control, card, holder)
    try:
        run = pipeline.train_ready(ready, on_event=listener.hear)
    except TrainingFailed:
        if listener.stopped:
            raise Interrupted(WORDS[listener.stopped]) from None
        raise
    finally:
        if holder.trainer() is None:
            card.training_ended()
    record = read_record(run.folder)
    timings = estimates.step_timings(record, began) if record is not None else []
    return _result(run, [(one.kind, one.units, one.seconds) for one in timings])


def _result(run: TrainingRun, timings: list[tuple[str, int, float]]) -> dict[str, Any]:
    return {
        "run": run.name,
        "folder": str(run.folder),
        "files": len(run.lora_files),
        "loss": run.final_loss,
        "timings": timings,
    }


@dataclass
class _Listener:
    """Passes on what the training tells, and stops it at the first good place once that was asked for."""

    planned: TrainingPlanned
    control: Control
    card: NightCard
    holder: Holder
    #: Why the trainer was stopped; empty = it was not.
    stopped: Why = ""
    _saved_at: int | None = None
    _step: int = 0

    def hear(self, event: TrainingEvent) -> None:
        """Take in one event."""
        if isinstance(event, Progress):
            self._progress(event)
        elif isinstance(event, Saved):
            self._saved_at = self._step
        elif isinstance(event, Started):
            self.card.use(replace(self.holder, pid=event.pid))
            how = "found running" if event.adopted else f"goes on after epoch {event.resumed_from}"
            self.control.say(how if event.adopted or event.resumed_from else "begins")
        elif isinstance(event, Stalled):
            self.control.say(f"nothing has happened for {event.minutes:.0f} min: {event.diagnosis}", "stalled")
        elif isinstance(event, Restarted):
            changed = ", ".join(f"{key} = {value}" for key, value in event.changes.items())
            self.control.say(f"{event.why.rstrip('.')}; started again{f' with {changed}' if changed else ''}")
        elif isinstance(event, Note):
            self.control.say(event.text)

    def _progress(self, event: Progress) -> None:
        loss = "" if event.loss is None else f", loss {event.loss:.4f}"
        detail = f"epoch {event.epoch} of {event.epochs}{loss}"
        self.control.report("train", event.step, event.steps, event.seconds_left, detail)
        # The state is written after the LoRA file, and whole when the next step is taken.
        saved = self._saved_at is not None and event.step > self._saved_at
        self._step = event.step
        if self.control.why and saved and event.step < event.steps and not self.stopped:
            self.stopped = self.control.why
            stop_trainer(self.planned.folder)
        if saved:
            self._saved_at = None
