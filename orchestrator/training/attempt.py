"""One start of the trainer: everything before it, the start itself, and the living process found again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import processes
from orchestrator.dataset.on_disk import MANIFEST, RUN_COPY
from orchestrator.files import write_bytes, write_json
from orchestrator.kohya import command, config_file, toml_file
from orchestrator.kohya.state import FromState, FromWeights
from orchestrator.processes import Child, ProcessId
from orchestrator.training import advice, latents, outcome, resume, samples, space
from orchestrator.training.events import Note, TrainingEvent
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.record import Attempt, RunRecord, now, write_record

#: The record as it was at the first start: what a run was made from, should its `run.json` be lost.
BEGUN_NAME = "begun.json"


@dataclass(frozen=True)
class Held:
    """A trainer that runs, with the record of its run; `child` only where we started it ourselves."""

    record: RunRecord
    identity: ProcessId
    child: Child | None

    @property
    def attempt(self) -> Attempt:
        """The attempt it makes."""
        return self.record.attempts[-1]


def launch(
    planned: TrainingPlanned, record: RunRecord, changes: Mapping[str, Any], tell: Callable[[TrainingEvent], None]
) -> Held:
    """Start the trainer with a clean folder, fresh configurations and `changes` laid over the plan's values.

    The record is written before the start and after it: whoever comes after our death in between finds the trainer by
    its command line. Call it while `starting` is held. Raises `StorageError`, `InstallError`, `InputError`.
    """
    record = _prepare(planned, record, changes, tell)
    child = processes.start(
        record.attempts[-1].command,
        folder=planned.install.root,
        environment=environment(planned),
        log=planned.folder / record.attempts[-1].log,
    )
    record = record.with_last_attempt(pid=child.identity.pid, created=child.identity.created)
    write_record(planned.folder, record)
    return Held(record, child.identity, child)


def running(planned: TrainingPlanned, record: RunRecord) -> ProcessId | None:
    """The trainer of the record's last attempt, if it lives."""
    if not record.attempts or record.attempts[-1].ended_at is not None:
        return None
    return present(recorded(record), planned.config)


def present(identity: ProcessId | None, config: Path) -> ProcessId | None:
    """The living trainer of that configuration; None = there is none.

    A start time is the clock's word: where the clock is set (Linux, WSL2 after sleep) a living process seems to have
    started at another time. And we may have been killed between a start and the note of it, or a launcher may have left
    its trainer behind. The configuration's path on the command line tells in all these cases.
    """
    if identity is not None and processes.is_running(identity):
        return identity
    return processes.find(*command.signs(config))


def recorded(record: RunRecord) -> ProcessId | None:
    """The process the record's last attempt names."""
    last = record.attempts[-1] if record.attempts else None
    return None if last is None or last.pid is None or last.created is None else ProcessId(last.pid, last.created)


def stop_all(identity: ProcessId | None, config: Path) -> bool:
    """End the trainer, its launcher and whatever else was started with that configuration. False = something of it is
    still there.
    """
    found = processes.find_all(*command.signs(config))
    return processes.stop_trees([*([] if identity is None else [identity]), *found])


def environment(planned: TrainingPlanned) -> dict[str, str]:
    """The trainer's whole environment."""
    tokenizers = planned.values.get("tokenizer_cache_dir")
    return command.environment(
        tokenizers=Path(tokenizers) if isinstance(tokenizers, str) else None,
        sdxl=planned.base.family != "sd1",
        gpus=planned.launch.gpus,
        cpu_threads=planned.launch.cpu_threads,
    )


def _prepare(
    planned: TrainingPlanned, record: RunRecord, changes: Mapping[str, Any], tell: Callable[[TrainingEvent], None]
) -> RunRecord:
    """Everything before the start: a clean folder, the configs, where to go on, and the record with a new attempt."""
    outcome.clear_unusable(planned)
    space.require(planned.folder, max(planned.bytes_needed - space.used(planned.output_folder), 0))
    if stale := latents.forget_stale(planned.dataset, latents.key(planned), planned.cache):
        tell(Note(f"{stale} cached latents of another size, picture or checkpoint were removed."))
    point = resume.point(planned)
    if isinstance(point, FromWeights):
        tell(
            Note(
                f"There is no state: the training goes on from the LoRA file of epoch {point.epoch} alone. "
                "That is second best, for the optimizer and the learning rates begin anew."
            )
        )
    values, dataset_values = advice.applied(changes, planned.values, planned.dataset_values)
    samples.write(planned.folder, planned.samples)
    config_file.write(planned.config, values)
    toml_file.write(planned.dataset_config, dataset_values)
    _keep_manifest(planned)
    attempt = Attempt(
        command=tuple(
            command.argv(
                planned.install,
                planned.config,
                script=planned.base.script,
                point=point,
                accelerate=planned.launch.accelerate,
                gpus=planned.launch.gpus,
                cpu_threads=planned.launch.cpu_threads,
                mixed_precision=str(values.get("mixed_precision", "no")),
            )
        ),
        environment=command.recorded_environment(environment(planned)),
        log=_next_log(planned.folder, len(record.attempts) + 1),
        resumed_from=point.epoch,
        started_at=now(),
        kind="state" if isinstance(point, FromState) else "weights" if isinstance(point, FromWeights) else "new",
        changes=dict(changes),
    )
    record = record.changed(
        status="running", attempts=(*record.attempts, attempt), packages=dict(planned.packages), proof=()
    )
    write_record(planned.folder, record)
    if not (planned.folder / BEGUN_NAME).exists():
        write_json(planned.folder / BEGUN_NAME, record.model_dump(mode="json"))
    return record


def _keep_manifest(planned: TrainingPlanned) -> None:
    """The run remembers what it was trained on, also when the dataset's folder is thrown away."""
    manifest, copy = planned.dataset.folder / MANIFEST, planned.folder / RUN_COPY
    if manifest.is_file() and not (copy.is_file() and copy.read_bytes() == manifest.read_bytes()):
        write_bytes(copy, manifest.read_bytes())


def _next_log(folder: Path, number: int) -> str:
    """A name for the console log that nothing has: after a record was put together anew, logs may be there already."""
    while (folder / f"console-{number}.log").exists():
        number += 1
    return f"console-{number}.log"
