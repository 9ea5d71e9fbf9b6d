"""Follow a training's console log while it grows, and turn it into progress."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from orchestrator.files import storage_error
from orchestrator.kohya import console
from orchestrator.training.events import Note, Progress, Saved, TrainingEvent
from orchestrator.training.guards import SLEPT_S, Pace, PhaseName, Stop

#: Warnings that say nothing to the person at the keyboard: they come in every run, or in every one that goes on.
_USUAL = (
    "no regularization images",
    "epoch is incremented",
    "initial_epoch",
    "initial_step is specified",
    "Could not load random states",
    "cache_latents_to_disk",
    "bucket_no_upscale is set",
    # An install that was unpacked and not cloned says so at every save.
    "Failed to get git commit hash",
)
#: Of what is said (steps and epochs apart), the beginning and the end are kept: what a reason is found in.
_FIRST_SAID = 100
_LAST_SAID = 400
#: So many different warnings are told; the log has the rest.
_MOST_NOTES = 50


@dataclass
class Watch:
    """What was seen of one attempt. `resumed_from` epochs were done before it; the bar counts only what this attempt
    does. However long a training talks, this stays small.
    """

    name: str
    epochs: int
    save_every: int
    resumed_from: int
    on_event: Callable[[TrainingEvent], None]
    #: Of the whole run; `first_step` is where this attempt began (None = it took no step).
    step: int = 0
    steps: int = 0
    first_step: int | None = None
    epoch: int = 0
    loss: float | None = None
    losses: dict[int, float] = field(default_factory=dict)
    #: Epoch and step of the first loss that was no number; None = all were.
    nan_at: tuple[int, int] | None = None
    phase: PhaseName = "start"
    pace: Pace = field(default_factory=Pace)
    _first: list[console.Event] = field(default_factory=list)
    _last: deque[console.Event] = field(default_factory=lambda: deque(maxlen=_LAST_SAID))
    _notes: set[str] = field(default_factory=set)
    _looked_at: float | None = None
    _heard_at: float | None = None

    @property
    def said(self) -> list[console.Event]:
        """Everything that was said but steps and epochs, for the search of a reason; of very much the beginning and the
        end.
        """
        return [*self._first, *self._last]

    def take(self, events: Iterable[console.Event], now: float | None = None) -> None:
        """Take in what the console said. `now` is given only for what is being said now: what was written before
        somebody watched tells nothing about the pace.
        """
        for event in events:
            if isinstance(event, console.Step):
                self._step(event, now)
            elif isinstance(event, console.EpochStarted):
                self._end_epoch()
                self.epoch = event.epoch
            elif isinstance(event, console.Phase):
                self.phase = event.name
            elif isinstance(event, console.Sampling):
                self.phase = "sampling"
            elif isinstance(event, console.CheckpointSaved):
                self.phase = "saving"
                self.on_event(Saved(_name_of(event.path), self.epoch))
            elif not (isinstance(event, console.LossIsNaN) and self.nan_at):
                self._keep(event)

    def look(self, now: float) -> None:
        """Somebody looks at `now`. After a long time without, nothing of it is held against the trainer: the machine
        slept.
        """
        if self._looked_at is None or now - self._looked_at > SLEPT_S:
            self._heard_at = now
            self.pace.slept(now)
        self._looked_at = now

    def hear(self, now: float) -> None:
        """The console said something at `now`, whatever it was."""
        self._heard_at = now

    def quiet_s(self, now: float) -> float:
        """For how long the console has said nothing at all."""
        return 0.0 if self._heard_at is None else now - self._heard_at

    @property
    def covered(self) -> tuple[int, int] | None:
        """The steps of the whole run this attempt took, first and last; None = it took none."""
        return None if self.first_step is None or self.step <= self.first_step else (self.first_step + 1, self.step)

    def close(self) -> None:
        """The attempt is over: keep the loss of the epoch it ended in, if that was whole."""
        # By the count of the epoch, not by the step alone: an epoch may have begun and not taken its first step.
        if self.epoch and self.step and self.step >= round(self.epoch * self.steps / self.epochs):
            self._end_epoch()

    def _step(self, event: console.Step, now: float | None) -> None:
        per_epoch = event.total / self.epochs
        before = round(self.resumed_from * per_epoch)
        done = min(event.total, before + event.step)
        # Each step is printed twice, first with the loss of the one before it.
        again = done == self.step and event.loss == self.loss
        self.step, self.steps, self.loss = done, event.total, event.loss
        self.first_step = before if self.first_step is None else self.first_step
        self.phase = "steps"
        self.pace.told_s = event.seconds_per_step
        if now is not None and event.step:
            self.pace.step(now, done)
        if again and event.step:
            return
        left = self.pace.left_s(event.total - done)
        number = self.epoch or self.resumed_from + 1
        self.on_event(Progress(number, self.epochs, done, event.total, event.loss, left, self.pace.median_s))

    def _end_epoch(self) -> None:
        if self.epoch and self.loss is not None:
            self.losses[self.epoch] = self.loss

    def _keep(self, event: console.Event) -> None:
        if len(self._first) < _FIRST_SAID:
            self._first.append(event)
        else:
            self._last.append(event)
        if isinstance(event, console.LossIsNaN):
            self.nan_at = (self.epoch or self.resumed_from + 1, self.step)
        elif isinstance(event, console.LatentsNaN):
            self._note("A picture became NaN in the VAE and is trained as zeros: set no_half_vae = true.")
        elif isinstance(event, console.Warned):
            text = event.text.split(" / ")[0].strip()
            if text and not any(usual in text for usual in _USUAL):
                self._note(text)

    def _note(self, text: str) -> None:
        if text in self._notes or len(self._notes) >= _MOST_NOTES:
            return
        self._notes.add(text)
        last = len(self._notes) == _MOST_NOTES
        self.on_event(Note("There are more warnings; the console log has them all." if last else text))


def follow(
    log: Path,
    watch: Watch,
    running: Callable[[], bool],
    *,
    poll_s: float,
    look: Callable[[Watch, float], Stop | None] | None = None,
) -> Stop | None:
    """Read `log` from its beginning until the trainer has ended, its loss is no number any more, or `look` says stop.

    `look` is asked after each reading with the time of a steady clock (seconds), as long as the trainer runs. Returns
    why it is to be stopped (a NaN loss is told also when it has ended); None = it ended by itself. A log that is not
    there (yet) says nothing. Raises `StorageError` when it cannot be read.
    """
    parser = console.Parser(every_step=False)
    stream: BinaryIO | None = None
    live = False
    stop: Stop | None = None
    try:
        while True:
            # Asked before reading: what was written before the end is then read for certain.
            alive = running()
            now = time.monotonic()
            watch.look(now)
            stream = stream or _opened(log)
            while stream is not None and (data := stream.read(1 << 16)):
                watch.hear(now)
                watch.take(parser.feed(data), now if live else None)
            live = True
            if watch.nan_at:
                epoch, step = watch.nan_at
                stop = Stop("nan", f"the loss became NaN in epoch {epoch} (step {step} of {watch.steps})")
            elif alive and look is not None:
                stop = look(watch, now)
            if stop is not None or not alive:
                break
            time.sleep(poll_s)
    except OSError as error:
        raise storage_error(error, log) from error
    finally:
        if stream is not None:
            stream.close()
    watch.take(parser.close())
    watch.close()
    return stop


def _opened(log: Path) -> BinaryIO | None:
    try:
        return log.open("rb")
    except FileNotFoundError:
        return None


def _name_of(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]
