"""What is looked after while a training runs: does it get on, is there room for the next save, are its files numbers.

`guards.py` judges; here is gathered what it judges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator import processes
from orchestrator.errors import OrchestratorError
from orchestrator.kohya import weights
from orchestrator.processes import Activity, ProcessId
from orchestrator.training import guards, outcome, samples, space
from orchestrator.training.attempt import present
from orchestrator.training.events import Sampled, Stalled, TrainingEvent
from orchestrator.training.follow import Watch
from orchestrator.training.guards import Facts, Stop
from orchestrator.training.plan import TrainingPlanned

#: How often the folder and the disk are looked at; a save takes seconds.
_FOLDER_S = 5.0
#: Over so long a time it is seen whether a silent process computes.
_CPU_S = 1.0


@dataclass
class Looker:
    """Looks after one attempt; `look` is what `follow` asks for. What was in the folder before is not looked at."""

    planned: TrainingPlanned
    identity: ProcessId
    tell: Callable[[TrainingEvent], None]
    _folder_at: float | None = None
    _seen: set[tuple[str, int, int]] = field(default_factory=set)
    _drawn: set[Path] = field(default_factory=set)
    _quiet: tuple[float, Activity | None] | None = None
    _told: bool = False

    def __post_init__(self) -> None:
        self._seen = set(_marks(self.planned))
        self._drawn = {sample.file for sample in samples.drawn(self.planned.output_folder)}

    def look(self, watch: Watch, now: float) -> Stop | None:
        """Why the training must be stopped, None as long as nothing speaks against it."""
        if stop := self._stalled(watch, now):
            return stop
        if self._folder_at is not None and now - self._folder_at < _FOLDER_S:
            return None
        self._folder_at = now
        for sample in samples.drawn(self.planned.output_folder):
            if sample.file not in self._drawn:
                self._drawn.add(sample.file)
                self.tell(Sampled(sample.file.name, sample.epoch))
        return self._broken_file() or self._full_disk()

    def _stalled(self, watch: Watch, now: float) -> Stop | None:
        guard = self.planned.guard
        stop = guards.stalled(watch.pace, watch.phase, watch.quiet_s(now), now, guard)
        if stop is None:
            self._quiet, self._told = None, False
            return None
        if self._told:
            return None
        if self._quiet is None:
            self._quiet = (now, self._activity())
            return None
        began, before = self._quiet
        if now - began < _CPU_S:
            return None
        diagnosis = guards.diagnose(_facts(before, self._activity(), now - began), watch.phase)
        self._told = True
        idle_s = max(watch.quiet_s(now), now - (watch.pace.step_at or now))
        self.tell(Stalled(idle_s / 60, diagnosis))
        return Stop("stalled", f"{stop.text}. {diagnosis.rstrip('.')}") if guard.when_stalled == "stop" else None

    def _activity(self) -> Activity | None:
        found = present(self.identity, self.planned.config)
        return None if found is None else processes.activity(found)

    def _broken_file(self) -> Stop | None:
        for mark, path in _marks(self.planned).items():
            if mark in self._seen:
                continue
            try:
                if not weights.is_complete(path):
                    continue  # being written
                bad = weights.not_finite(path)
            except OrchestratorError:
                continue
            self._seen.add(mark)
            if bad:
                return Stop("nan file", f"the LoRA file {path.name} holds NaN in {len(bad)} tensors")
        return None

    def _full_disk(self) -> Stop | None:
        try:
            return guards.low_disk(space.free(self.planned.output_folder), next_save_bytes(self.planned))
        except OSError:
            return None  # a network drive that is away for a moment; the trainer says so itself if it stays away


def next_save_bytes(planned: TrainingPlanned) -> int:
    """What the next save takes: as much as the largest of each kind so far, or as planned while there is none."""
    folder = planned.output_folder
    files = [size for _, size, _ in _marks(planned)]
    states = [space.used(path) for path in folder.glob("*-state")] if folder.is_dir() else []
    if files and (states or not planned.values.get("save_state")):
        return max(files) + max(states, default=0)
    return planned.bytes_needed // len(outcome.expected_epochs(planned))


def _marks(planned: TrainingPlanned) -> dict[tuple[str, int, int], Path]:
    found = {}
    folder = planned.output_folder
    for path in folder.glob("*.safetensors") if folder.is_dir() else ():
        try:
            facts = path.stat()
        except OSError:
            continue
        found[path.name, facts.st_size, facts.st_mtime_ns] = path
    return found


def _facts(before: Activity | None, after: Activity | None, seconds: float) -> Facts:
    if after is None:
        return Facts(0, "", None)
    cpu = None if before is None else max(after.cpu_s - before.cpu_s, 0.0) / seconds
    return Facts(after.children + 1, after.status, cpu)
