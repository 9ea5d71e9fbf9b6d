"""run.json: everything one training was made from and what came out, so that it can be judged and made again."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator import __version__
from orchestrator.errors import WorkspaceError
from orchestrator.files import read_json, write_json
from orchestrator.training.plan import TrainingPlanned

Status = Literal["running", "finished", "failed", "stopped"]
RECORD_NAME = "run.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Attempt(_Part):
    """One start of the trainer. Times are seconds since 1970; `pid` and `created` name the process for ever."""

    command: tuple[str, ...]
    environment: dict[str, str]
    log: str
    resumed_from: int
    started_at: float
    pid: int | None = None
    created: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    #: Why it ended without a finished training; empty otherwise.
    why: str = ""
    #: What it began from: nothing, a state, or (second best) the weights of an epoch alone.
    kind: Literal["new", "state", "weights"] = "new"
    #: Values that differ from the plan's for this attempt (a remedy for full memory).
    changes: dict[str, Any] = {}
    #: Optimizer steps of the whole run it covered, first and last; None where it took none.
    steps: tuple[int, int] | None = None
    #: Median seconds of a step.
    step_s: float | None = None


class SavedFile(_Part):
    """One LoRA file in the run's folder."""

    file: str
    epoch: int
    sha256: str
    size: int


class RunRecord(_Part):
    """The whole record of one run."""

    #: 2 since November 2026; what 1 does not have takes its default.
    format: int = 2
    name: str
    status: Status
    fingerprint: str
    orchestrator: str
    computer: str
    values: dict[str, Any]
    dataset_config: dict[str, Any]
    dataset: dict[str, Any]
    base: dict[str, str]
    trainer: dict[str, str]
    epochs: int
    save_every: int
    seed: int
    attempts: tuple[Attempt, ...] = ()
    files: tuple[SavedFile, ...] = ()
    #: Epoch → mean loss of that epoch.
    losses: dict[int, float] = {}
    final_loss: float | None = None
    #: Loss, learning rate and time of each step, one JSON line each; relative to the run's folder. Empty = none.
    metrics: str = ""
    #: Versions of the packages the trainer ran with.
    packages: dict[str, str] = {}
    #: Pictures sd-scripts drew meanwhile, relative to the run's folder.
    samples: tuple[str, ...] = ()
    #: What the finished files were held against and found to be, one sentence each; empty = not judged yet.
    proof: tuple[str, ...] = ()
    #: Put together again from what lay in the folder: what it does not say is not known.
    rebuilt: bool = False
    #: Working time of all attempts together.
    seconds: float = 0.0
    #: When it was last asked for, trained anew or found finished: the newest of these is the version's current run.
    asked_at: float = 0.0

    def changed(self, **values: Any) -> RunRecord:
        """A copy with other values."""
        return self.model_copy(update=values)

    def with_last_attempt(self, **values: Any) -> RunRecord:
        """A copy whose last attempt has other values."""
        *before, last = self.attempts
        return self.changed(attempts=(*before, last.model_copy(update=values)))


@dataclass(frozen=True)
class Recorded:
    """What a record says of the run in `folder`, for whoever has no plan of it."""

    folder: Path
    record: RunRecord

    @property
    def name(self) -> str:
        """The run's name."""
        return self.record.name

    @property
    def output_folder(self) -> Path:
        """Where LoRA files and states lie."""
        return self.folder / "lora"

    @property
    def output_name(self) -> str:
        """What all LoRA files of the run begin with."""
        return str(self.record.values.get("output_name") or self.record.name)

    @property
    def final_file(self) -> Path:
        """The LoRA file of the last epoch."""
        return self.output_folder / f"{self.output_name}.safetensors"

    @property
    def epochs(self) -> int:
        """How many epochs the run was to have."""
        return self.record.epochs

    @property
    def save_every(self) -> int:
        """A LoRA file was saved after so many epochs each."""
        return self.record.save_every

    @property
    def values(self) -> Mapping[str, Any]:
        """sd-scripts' configuration."""
        return self.record.values


def begin(planned: TrainingPlanned) -> RunRecord:
    """The record of a run that was never started."""
    return RunRecord(
        name=planned.name,
        status="running",
        fingerprint=planned.fingerprint,
        orchestrator=__version__,
        computer=f"{platform.system()} {platform.release()}",
        values=dict(planned.values),
        dataset_config=dict(planned.dataset_values),
        dataset={
            "folder": str(planned.dataset.folder),
            "sha256": planned.dataset.sha256,
            "manifest_sha256": planned.dataset.manifest_sha256,
            "pictures": planned.dataset.pictures,
        },
        base={"path": str(planned.base.path), "sha256": planned.base_sha256, "family": planned.base.family},
        trainer={
            "folder": str(planned.install.root),
            "script": planned.base.script,
            "version": planned.install.version,
            "code_hash": planned.install.code_hash,
        },
        epochs=planned.epochs,
        save_every=planned.save_every,
        seed=planned.seed,
    )


def read_record(folder: Path) -> RunRecord | None:
    """The record in a run's folder, or None when there is none. Raises `WorkspaceError` for one that is damaged."""
    value = read_json(folder / RECORD_NAME)
    if value is None:
        return None
    try:
        return RunRecord.model_validate(value)
    except ValidationError as error:
        raise WorkspaceError(
            f"{folder / RECORD_NAME} is damaged ({error.error_count()} wrong entries).",
            fix=f"`orchestrator runs rebuild {folder.name}` puts it together again from what lies in the folder.",
        ) from error


def write_record(folder: Path, record: RunRecord) -> None:
    """Write the record whole or not at all. Raises `StorageError`."""
    write_json(folder / RECORD_NAME, record.model_dump(mode="json"))


def now() -> float:
    """Seconds since 1970."""
    return time.time()
