"""The runs of a workspace: found, compared, gone on with, stopped, put together again."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from orchestrator.errors import OrchestratorError, WorkspaceError
from orchestrator.files import write_bytes
from orchestrator.profile.model import Guard
from orchestrator.training.events import TrainingEvent
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.record import RECORD_NAME, RunRecord, now, read_record, write_record
from orchestrator.training.run import TrainingRun, train
from orchestrator.training.run import stop as stop_run
from orchestrator.training.start_mark import starting
from orchestrator.workspace import Workspace


def list_runs(workspace: Workspace) -> list[RunRecord]:
    """The records of all runs, the newest last. Runs whose record cannot be read are left out: see `damaged`."""
    found = [record for folder in _folders(workspace) if isinstance(record := _read(folder), RunRecord)]
    return sorted(found, key=_asked_at)


def damaged(workspace: Workspace) -> list[OrchestratorError]:
    """What is wrong with the runs that `list_runs` leaves out, one error each, with its cure."""
    return [error for folder in _folders(workspace) if isinstance(error := _read(folder), OrchestratorError)]


def find_run(workspace: Workspace, name: str) -> RunRecord:
    """The record of the run in the folder called `name`. Raises `WorkspaceError` where there is none, or a damaged
    one.
    """
    folder = workspace.run(name)
    found = _read(folder)
    if isinstance(found, OrchestratorError):
        raise found
    if found is not None:
        return found
    names = [each.name for each in _folders(workspace)]
    close = difflib.get_close_matches(name, names, n=1)
    raise WorkspaceError(
        f"There is no run {name!r}." + (f" Did you mean {close[0]!r}?" if close else ""),
        fix=f"There are: {', '.join(names) or 'none'}.",
    )


def resume(
    workspace: Workspace,
    name: str,
    on_event: Callable[[TrainingEvent], None] | None = None,
    *,
    guard: Guard | None = None,
    poll_s: float = 0.2,
) -> TrainingRun:
    """Go on with a run as it was begun, from its own record: what stands in the profile now does not matter, but for
    `guard`, which the record does not have (None = the defaults).

    Raises `TrainingRefused` when dataset, base checkpoint or sd-scripts are not what they were, and what `train`
    raises.
    """
    return train(planned_again(workspace, name, guard=guard), on_event, poll_s=poll_s)


def planned_again(workspace: Workspace, name: str, *, guard: Guard | None = None) -> TrainingPlanned:
    """The run `name` as it was planned, by its record. Raises `TrainingRefused`, `WorkspaceError`."""
    from orchestrator.training.plan import from_record

    record = find_run(workspace, name)
    if not record.values or not record.trainer.get("folder") or not record.base.get("path"):
        raise WorkspaceError(
            f"The run {name} does not say how it was begun; it was put together from its files.",
            fix="Run `orchestrator train` with the profile it was made from.",
        )
    # The Python that runs sd-scripts is known by the command of a start; what was put together anew may lack the last.
    command = next((each.command for each in reversed(record.attempts) if each.command), ())
    if record.attempts:
        record = record.with_last_attempt(command=command)
    return from_record(record, workspace.run(name), guard=guard)


def stop(workspace: Workspace, name: str) -> bool:
    """Stop the trainer of a run, if it runs. False = something of it is still there. Raises `WorkspaceError`."""
    find_run(workspace, name)
    return stop_run(workspace.run(name))


def rebuild(workspace: Workspace, name: str) -> RunRecord:
    """Put the record of a run together again from what lies in its folder, and write it. A record that was there is
    kept beside it as `run.json.before-…`.

    Raises `WorkspaceError` when the folder holds no training.
    """
    from orchestrator.training.rebuild import rebuild as put_together

    folder = workspace.run(name)
    if not folder.is_dir():
        find_run(workspace, name)
    with starting(folder):
        record = put_together(folder)
        before = folder / RECORD_NAME
        if before.exists():
            write_bytes(folder / f"{RECORD_NAME}.before-{now():.0f}", before.read_bytes())
        write_record(folder, record)
    return record


def note_asked(folder: Path) -> None:
    """Remember that the run in `folder` is the one that was asked for last.

    Settings that are changed back find their old run finished: it is the current one again, whatever was trained since.
    """
    record = read_record(folder)
    if record is not None:
        write_record(folder, record.changed(asked_at=now()))


def current_run(workspace: Workspace, name: str) -> RunRecord:
    """The finished run of that name that was asked for last; where none is finished, the last one that ended early and
    kept LoRA files: whoever stops at epoch 60 of 80 has those to look at.

    `v4` stands for its later runs `v4-2` and `v4-3` too, which were made with other settings; a version that is itself
    called `v4-2` is another one, as its LoRA files' name tells. Where no version has that name, the one run in the
    folder of that name is meant. Raises `WorkspaceError` when there is none.
    """
    stem = workspace.run(name).name
    every = list_runs(workspace)
    runs = [r for r in every if _output_name(r) == stem] or [r for r in every if r.name == stem]
    finished = [record for record in runs if record.status == "finished"]
    kept = [record for record in runs if record.status in {"stopped", "failed"} and record.files]
    if not finished and not kept:
        if isinstance(error := _read(workspace.run(name)), OrchestratorError):
            raise error
        state = f" (its last one is {runs[-1].status})" if runs else ""
        raise WorkspaceError(
            f"There is no run {name} with LoRA files to use{state}.", fix="Run `orchestrator train` first."
        )
    return (finished or kept)[-1]


def _folders(workspace: Workspace) -> list[Path]:
    return sorted(p for p in workspace.runs.iterdir() if p.is_dir()) if workspace.runs.is_dir() else []


def _read(folder: Path) -> RunRecord | OrchestratorError | None:
    """The record, what is wrong with it, or None where there never was one."""
    try:
        record = read_record(folder)
    except OrchestratorError as error:
        return error
    if record is None and (folder / RECORD_NAME).exists():
        return WorkspaceError(
            f"{folder / RECORD_NAME} is damaged (it is no JSON).",
            fix=f"`orchestrator runs rebuild {folder.name}` puts it together again from what lies in the folder.",
        )
    return record


def _asked_at(record: RunRecord) -> float:
    return max(record.asked_at, record.attempts[-1].started_at if record.attempts else 0.0)


def _output_name(record: RunRecord) -> str:
    # Of all runs of a version the same; the folder's name may end in the run's number or in the version's own.
    return str(record.values.get("output_name", record.name))
