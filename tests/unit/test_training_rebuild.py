"""A record put together from what lies in the folder says what the folder says, and nothing more."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceError
from orchestrator.files import sha256_file
from orchestrator.kohya import config_file, toml_file
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.rebuild import rebuild
from orchestrator.training.record import RunRecord, read_record, write_record
from tests.unit.training_files import BEGAN, attempt, lora, planned, record

#: A run of 12 epochs as the real sd-scripts told it.
GOLDEN = Path(__file__).parents[1] / "golden" / "kohya_console.log"
FIRST = """
epoch 1/6
\rsteps:   0%|          | 0/36 [00:00<?, ?it/s]\rsteps:  17%|#6        | 6/36 [00:06<00:30,  1.00s/it, avr_loss=0.5]
epoch 2/6
\rsteps:  33%|###3      | 12/36 [00:12<00:24,  1.00s/it, avr_loss=0.4]
"""
SECOND = """
epoch 3/6
\rsteps:   0%|          | 0/36 [00:00<?, ?it/s]\rsteps:  17%|#6        | 6/36 [00:06<00:30,  1.00s/it, avr_loss=0.3]
epoch 4/6
\rsteps:  33%|###3      | 12/36 [00:12<00:24,  1.00s/it, avr_loss=0.2]
"""


def _folder(path: Path, *, final: bool = True) -> TrainingPlanned:
    """A run that was begun, crashed, and went on after epoch 2."""
    plan_ = planned(path / "ai_model_v1")
    plan_.folder.mkdir()
    config_file.write(plan_.config, plan_.values)
    toml_file.write(plan_.dataset_config, plan_.dataset_values)
    for number, text in enumerate((FIRST, SECOND), start=1):
        log = plan_.folder / f"console-{number}.log"
        log.write_bytes(text.encode())
        os.utime(log, (BEGAN + 100 * number, BEGAN + 100 * number))
    for epoch in (2, 4, 6) if final else (2, 4):
        lora(plan_, epoch, ss_training_started_at=BEGAN + (10 if epoch == 2 else 110))
    return plan_


def test_all_that_the_folder_tells_is_in_the_record(ugly_path: Path) -> None:
    plan_ = _folder(ugly_path)
    found = rebuild(plan_.folder)
    assert (found.name, found.status, found.rebuilt, found.format) == ("ai_model_v1", "finished", True, 2)
    assert found.values == dict(plan_.values) and found.dataset_config == dict(plan_.dataset_values)
    assert (found.epochs, found.save_every, found.seed) == (6, 2, 42)
    assert [(f.file, f.epoch) for f in found.files] == [
        ("m-000002.safetensors", 2), ("m-000004.safetensors", 4), ("m.safetensors", 6),
    ]  # fmt: skip
    assert found.files[2].sha256 == sha256_file(plan_.final_file)
    assert found.losses == {1: 0.5, 2: 0.4, 3: 0.3, 4: 0.2} and found.final_loss == 0.2
    assert [(a.log, a.resumed_from, a.steps, a.kind) for a in found.attempts] == [
        ("console-1.log", 0, (1, 12), "new"), ("console-2.log", 2, (13, 24), "state"),
    ]  # fmt: skip
    assert [(a.started_at - BEGAN, (a.ended_at or 0) - BEGAN) for a in found.attempts] == [(10, 100), (110, 200)]
    assert found.seconds == 180.0


def test_what_nothing_tells_is_not_guessed(tmp_path: Path) -> None:
    found = rebuild(_folder(tmp_path).folder)
    assert found.fingerprint == "" and found.base["sha256"] == "" and found.trainer["code_hash"] == ""
    assert found.attempts[0].command == () and found.attempts[0].exit_code is None and found.proof == ()


def test_an_unfinished_run_is_stopped_and_keeps_its_reasons(tmp_path: Path) -> None:
    plan_ = _folder(tmp_path, final=False)
    assert rebuild(plan_.folder).status == "stopped"
    lora(plan_, 6, nan=True)
    assert rebuild(plan_.folder).status == "stopped"
    with (plan_.folder / "console-2.log").open("a", encoding="utf-8") as log:
        log.write("\nTraceback (most recent call last):\ntorch.OutOfMemoryError: CUDA out of memory.\n")
    assert "ran out of memory" in rebuild(plan_.folder).attempts[1].why


def test_what_a_damaged_record_still_says_is_kept(tmp_path: Path) -> None:
    plan_ = _folder(tmp_path)
    old = record(plan_, attempt(1, exit_code=-9, why="killed"), attempt(2, resumed_from=2, kind="state"))
    raw = json.loads(old.model_dump_json())
    raw |= {"status": "sleeping", "losses": "none", "seed": [], "files": 3, "packages": {"torch": "2.1"}}
    raw["attempts"][1]["started_at"] = "yesterday"
    (plan_.folder / "run.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(WorkspaceError):
        read_record(plan_.folder)
    found = rebuild(plan_.folder)
    assert found.fingerprint == "f" * 64 and found.base["sha256"] == "b" * 64 and found.packages == {"torch": "2.1"}
    assert (found.attempts[0].exit_code, found.attempts[0].command) == (-9, ("python", "train_network.py"))
    assert found.attempts[1].command == () and found.attempts[1].resumed_from == 2
    write_record(plan_.folder, found)
    assert rebuild(plan_.folder) == found  # a whole one gives itself


def test_a_lost_record_is_known_by_the_copy_of_its_beginning(tmp_path: Path) -> None:
    plan_ = _folder(tmp_path)
    begun = plan_.folder / "begun.json"
    begun.write_text(record(plan_).model_dump_json(), encoding="utf-8")
    found = rebuild(plan_.folder)
    assert found.fingerprint == plan_.fingerprint and found.dataset["sha256"] == "d" * 64
    assert found.attempts[0].command and len(found.attempts) == 2


def test_a_folder_of_files_alone_is_read_from_their_metadata(tmp_path: Path) -> None:
    plan_ = planned(tmp_path / "m")
    for epoch in (2, 4, 6):
        lora(plan_, epoch)
    found = rebuild(plan_.folder)
    assert (found.status, found.epochs, found.seed, found.attempts) == ("finished", 6, 42, ())
    assert found.trainer["version"] == "48d368fa"


def test_a_real_log_of_sd_scripts_alone_is_enough(tmp_path: Path) -> None:
    shutil.copy(GOLDEN, tmp_path / "console-1.log")
    config_file.write(tmp_path / "config.toml", {"max_train_epochs": 12, "output_name": "ai_model_v1"})
    found = rebuild(tmp_path)
    assert found.status == "stopped" and found.epochs == 12
    assert found.attempts[0].steps == (1, 48)


def test_broken_configurations_and_foreign_files_do_no_harm(tmp_path: Path) -> None:
    plan_ = _folder(tmp_path)
    plan_.config.write_text("network_dim = = 3", encoding="utf-8")
    plan_.dataset_config.write_bytes(b"\xff\xfe")
    (plan_.folder / "run.json").write_text("[]", encoding="utf-8")
    (plan_.folder / "begun.json").write_text("3", encoding="utf-8")
    (plan_.folder / "console-x.log").write_text("", encoding="utf-8")
    found = rebuild(plan_.folder)
    assert isinstance(found, RunRecord) and found.values == {} and found.losses


def test_a_folder_without_a_training_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(WorkspaceError, match="holds no training"):
        rebuild(tmp_path)
