"""Which run is the current one of a version."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceError
from orchestrator.training.record import RunRecord, write_record
from orchestrator.training.runs import current_run, damaged, find_run, list_runs, resume
from orchestrator.workspace import Workspace


def _run(
    workspace: Workspace, name: str, output_name: str, asked_at: float, status: str = "finished", files: int = 0
) -> None:
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
            "files": [{"file": f"{name}-000001.safetensors", "epoch": 1, "sha256": "", "size": 1}] * files,
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


def test_a_run_that_was_stopped_is_used_as_far_as_it_came(ugly_path: Path) -> None:
    workspace = Workspace(ugly_path)
    _run(workspace, "ai_model_v4", "ai_model_v4", 1, "stopped", files=1)
    _run(workspace, "ai_model_v4-2", "ai_model_v4", 2, "running", files=1)
    assert current_run(workspace, "ai_model_v4").name == "ai_model_v4"
    _run(workspace, "ai_model_v4-3", "ai_model_v4", 0)
    assert current_run(workspace, "ai_model_v4").name == "ai_model_v4-3", "finished comes first"


def test_one_damaged_record_hides_no_other_run(ugly_path: Path) -> None:
    workspace = Workspace(ugly_path)
    _run(workspace, "ai_model_v1", "ai_model_v1", 1)
    for name, text in (("ai_model_v2", "{ no json"), ("ai_model_v3", '{"name": "ai_model_v3"}')):
        workspace.run(name).mkdir(parents=True)
        (workspace.run(name) / "run.json").write_text(text, encoding="utf-8")
    (workspace.runs / "empty").mkdir()
    assert [run.name for run in list_runs(workspace)] == ["ai_model_v1"]
    wrong = damaged(workspace)
    assert [name in str(error) for name, error in zip(("v2", "v3"), wrong, strict=True)] == [True, True]
    assert "runs rebuild ai_model_v2" in wrong[0].fix
    with pytest.raises(WorkspaceError, match="damaged"):
        current_run(workspace, "ai_model_v2")


def test_a_run_that_is_not_there_is_said_with_those_that_are(ugly_path: Path) -> None:
    workspace = Workspace(ugly_path)
    with pytest.raises(WorkspaceError, match="no run") as none:
        find_run(workspace, "v1")
    assert none.value.fix == "There are: none."
    _run(workspace, "ai_model_v1", "ai_model_v1", 1)
    with pytest.raises(WorkspaceError, match="Did you mean 'ai_model_v1'"):
        find_run(workspace, "ai_modle_v1")
    assert find_run(workspace, "ai_model_v1").name == "ai_model_v1"


def test_a_run_of_another_time_cannot_be_gone_on_with_blindly(ugly_path: Path) -> None:
    workspace = Workspace(ugly_path)
    _run(workspace, "ai_model_v1", "ai_model_v1", 1)
    with pytest.raises(WorkspaceError, match="does not say how it was begun"):
        resume(workspace, "ai_model_v1")
