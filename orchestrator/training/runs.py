"""The runs of a workspace."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import WorkspaceError
from orchestrator.training.record import RunRecord, now, read_record, write_record
from orchestrator.workspace import Workspace


def list_runs(workspace: Workspace) -> list[RunRecord]:
    """The records of all runs, the newest last."""
    folders = sorted(workspace.runs.iterdir()) if workspace.runs.is_dir() else []
    found = [record for folder in folders if folder.is_dir() and (record := read_record(folder)) is not None]
    return sorted(found, key=_asked_at)


def note_asked(folder: Path) -> None:
    """Remember that the run in `folder` is the one that was asked for last.

    Settings that are changed back find their old run finished: it is the current one again, whatever was trained since.
    """
    record = read_record(folder)
    if record is not None:
        write_record(folder, record.changed(asked_at=now()))


def current_run(workspace: Workspace, name: str) -> RunRecord:
    """The finished run of that name that was asked for last.

    `v4` stands for its later runs `v4-2` and `v4-3` too, which were made with other settings; a version that is itself
    called `v4-2` is another one, as its LoRA files' name tells. Where no version has that name, the one run in the
    folder of that name is meant. Raises `WorkspaceError` when there is none.
    """
    stem = workspace.run(name).name
    every = list_runs(workspace)
    runs = [r for r in every if _output_name(r) == stem] or [r for r in every if r.name == stem]
    finished = [record for record in runs if record.status == "finished"]
    if not finished:
        state = f" (its last one is {runs[-1].status})" if runs else ""
        raise WorkspaceError(f"There is no finished run {name}{state}.", fix="Run `orchestrator train` first.")
    return finished[-1]


def _asked_at(record: RunRecord) -> float:
    return max(record.asked_at, record.attempts[-1].started_at if record.attempts else 0.0)


def _output_name(record: RunRecord) -> str:
    # Of all runs of a version the same; the folder's name may end in the run's number or in the version's own.
    return str(record.values.get("output_name", record.name))
