"""Follow a training's console log while it grows, and turn it into progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.kohya import console
from orchestrator.training.events import Note, Progress, Saved, TrainingEvent

#: Warnings that say nothing to the person at the keyboard: they come in every run.
_USUAL = (
    "no regularization images",
    "epoch is incremented",
    "initial_epoch",
    "Could not load random states",
    "cache_latents_to_disk",
    "bucket_no_upscale is set",
)


@dataclass
class Watch:
    """What was seen of one attempt. `resumed_from` epochs were done before it; the bar counts only what this attempt
    does.
    """

    name: str
    epochs: int
    save_every: int
    resumed_from: int
    on_event: Callable[[TrainingEvent], None]
    step: int = 0
    steps: int = 0
    epoch: int = 0
    loss: float | None = None
    losses: dict[int, float] = field(default_factory=dict)
    #: Everything but the steps, for the search of a reason.
    said: list[console.Event] = field(default_factory=list)
    went_nan: bool = False
    _notes: set[str] = field(default_factory=set)

    def take(self, events: Iterable[console.Event]) -> None:
        """Take in what the console said."""
        for event in events:
            if isinstance(event, console.Step):
                self._step(event)
                continue
            self.said.append(event)
            if isinstance(event, console.EpochStarted):
                self._end_epoch()
                self.epoch = event.epoch
            elif isinstance(event, console.CheckpointSaved):
                self.on_event(Saved(_name_of(event.path), self.epoch))
            elif isinstance(event, console.LossIsNaN):
                self.went_nan = True
            elif isinstance(event, console.Warned):
                self._note(event)

    def close(self) -> None:
        """The attempt is over: keep the loss of the epoch it ended in, if that was whole."""
        if self.steps and self.step and self.step % max(self.steps // self.epochs, 1) == 0:
            self._end_epoch()

    def _step(self, event: console.Step) -> None:
        per_epoch = event.total / self.epochs
        done = min(event.total, round(self.resumed_from * per_epoch) + event.step)
        # Each step is printed twice, first with the loss of the one before it.
        again = done == self.step and event.loss == self.loss
        self.step, self.steps, self.loss = done, event.total, event.loss
        if again and event.step:
            return
        left = None if event.seconds_per_step is None else (event.total - done) * event.seconds_per_step
        self.on_event(Progress(self.epoch or self.resumed_from + 1, self.epochs, done, event.total, event.loss, left))

    def _end_epoch(self) -> None:
        if self.epoch and self.loss is not None:
            self.losses[self.epoch] = self.loss

    def _note(self, event: console.Warned) -> None:
        text = event.text.split(" / ")[0].strip()
        if text and text not in self._notes and not any(usual in text for usual in _USUAL):
            self._notes.add(text)
            self.on_event(Note(text))


def follow(log: Path, watch: Watch, running: Callable[[], bool], *, poll_s: float) -> None:
    """Read `log` from its beginning until the trainer has ended or its loss is no number any more."""
    parser = console.Parser()
    position = 0
    while True:
        # Asked before reading: what was written before the end is then read for certain.
        alive = running()
        with log.open("rb") as stream:
            stream.seek(position)
            while data := stream.read(1 << 16):
                position += len(data)
                watch.take(parser.feed(data))
        if watch.went_nan or not alive:
            break
        time.sleep(poll_s)
    watch.take(parser.close())
    watch.close()


def _name_of(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]
