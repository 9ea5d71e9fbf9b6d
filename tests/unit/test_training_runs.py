"""Which run is the current one of a version."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceError
from orchestrator.training.record import RunRecord, write_record
from orchestrator.training.runs import current_run
from orchestrator.workspace import Workspace


def _run(workspace: Workspace, name: str, output_name: str, asked_at: float, status: str = "finished") -> None:
    record = RunRecord.model_validate(
        {
            "name": name,
            "status": status,
            "fingerprint": name,
            "orchestrator": "0",
            "computer": "",
            "values": {"output_name": output_name},
            "dataset_config": {},
            "dataset": {},
            "base": {},
            "trainer": {},
            "epochs": 1,
            "save_every": 1,
            "seed": 1,
            "asked_at": asked_at,
        }
    )
    write_record(workspace.run(name), record)


def test_a_version_called_v4_2_is_no_later_run_of_v4(ugly_path: Path) -> None:
    workspace = Workspace(ugly_path)
    _run(workspace, "ai_model_v4", "ai_model_v4", 1)
    _run(workspace, "ai_model_v4-3", "ai_model_v4", 2)
    _run(workspace, "ai_model_v4-2", "ai_model_v4-2", 3)
    assert current_run(workspace, "ai_model_v4").name == "ai_model_v4-3"
    assert current_run(workspace, "ai_model_v4-2").name == "ai_model_v4-2"


def test_a_version_whose_folder_was_taken_is_found_under_its_number(ugly_path: Path) -> None:
    workspace = Workspace(ugly_path)
    _run(workspace, "ai_model_v4-2", "ai_model_v4", 5)
    _run(workspace, "ai_model_v4-2-2", "ai_model_v4-2", 3)
    assert current_run(workspace, "ai_model_v4").name == "ai_model_v4-2"
    assert current_run(workspace, "ai_model_v4-2").name == "ai_model_v4-2-2"


def test_a_single_run_can_be_named_by_its_folder(ugly_path: Path) -> None:
    workspace = Workspace(ugly_path)
    _run(workspace, "ai_model_v4-2", "ai_model_v4", 5)
    _run(workspace, "ai_model_v5", "ai_model_v5", 6, "stopped")
    assert current_run(workspace, "ai_model_v4-2").name == "ai_model_v4-2"
    with pytest.raises(WorkspaceError, match="its last one is stopped"):
        current_run(workspace, "ai_model_v5")
