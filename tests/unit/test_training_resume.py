"""Where a training goes on: the newest state that can be trusted, else a LoRA file, else the beginning."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import orchestrator
from orchestrator.kohya import install as kohya_install
from orchestrator.kohya.state import FILES, FROM_START, FromState, FromWeights
from orchestrator.profile.model import Launch
from orchestrator.training import resume
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.run import Restarts
from tests.unit.training_files import lora, planned, saved_state

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"


def _plan(folder: Path, **changed: Any) -> TrainingPlanned:
    return planned(folder, install=kohya_install.find(SANDBOX, python=sys.executable), epochs=12, **changed)


def test_nothing_there_begins_at_the_beginning(tmp_path: Path) -> None:
    assert resume.point(_plan(tmp_path)) == FROM_START
    assert resume.sentence(FROM_START) == "The same command goes on from epoch 1."


def test_the_newest_state_of_numbers_wins(ugly_path: Path) -> None:
    plan_ = _plan(ugly_path)
    for epoch in (2, 4, 6, 8):
        lora(plan_, epoch)
    saved_state(plan_, 2)
    path = saved_state(plan_, 4)
    saved_state(plan_, 6, nan=True)
    saved_state(plan_, 8, files=FILES[:3])
    assert resume.point(plan_) == FromState(path, 4)
    assert resume.sentence(resume.point(plan_)) == "The same command goes on from epoch 5."
    (path / "model.safetensors").write_bytes(b"cut off")
    assert resume.point(plan_).epoch == 2


@pytest.mark.parametrize("gone", ["removed", "cut"])
def test_a_lost_file_is_gone_back_for_where_a_state_before_it_is_there(tmp_path: Path, gone: str) -> None:
    """After a power cut the file may be empty and the state behind it whole."""
    plan_ = _plan(tmp_path)
    for epoch in (2, 4):
        lora(plan_, epoch)
    saved_state(plan_, 2)
    saved_state(plan_, 4)
    lost = plan_.output_folder / "m-000004.safetensors"
    lost.unlink() if gone == "removed" else lost.write_bytes(b"")
    assert resume.point(plan_).epoch == 2
    (plan_.output_folder / "m-000002.safetensors").unlink()  # for this one no state is early enough
    assert resume.point(plan_).epoch == 4


def test_without_states_the_newest_file_of_numbers_is_second_best(tmp_path: Path) -> None:
    plan_ = _plan(tmp_path, can_resume=False, values={"save_state": False})
    for epoch in (2, 4):
        path = lora(plan_, epoch)
    lora(plan_, 6, nan=True)
    lora(plan_, 12)  # a final file that was not accepted is nothing to go on from
    assert resume.point(plan_) == FromWeights(path, 4)


def test_before_the_second_save_a_real_beginning_is_better(tmp_path: Path) -> None:
    """The first state was cut off by a kill: two epochs again cost less than a run without its optimizer's memory."""
    plan_ = _plan(tmp_path)
    lora(plan_, 2)
    saved_state(plan_, 2, files=FILES[:2])
    assert resume.point(plan_) == FROM_START
    path = lora(plan_, 4)
    assert resume.point(plan_) == FromWeights(path, 4)


def test_a_release_without_initial_epoch_never_begins_later(tmp_path: Path) -> None:
    """It would count from 1 and overwrite the first files."""
    root = tmp_path / "old"
    shutil.copytree(SANDBOX, root)
    script = root / "train_network.py"
    script.write_text(script.read_text(encoding="utf-8").replace('"--initial_epoch"', '"--first"'), encoding="utf-8")
    old = kohya_install.find(root, python=sys.executable)
    plan_ = planned(tmp_path, install=old, epochs=12, can_resume=False)
    lora(plan_, 4)
    assert resume.point(plan_) == FROM_START


def test_several_cards_go_on_from_what_their_main_process_saved(tmp_path: Path) -> None:
    """Only that one saves, so there is no random_states_1.pkl."""
    plan_ = _plan(tmp_path, launch=Launch(gpus=(0, 1)))
    for epoch in (2, 4):
        lora(plan_, epoch)
        saved_state(plan_, epoch)
    assert resume.point(plan_).epoch == 4


def test_a_crash_is_tried_again_as_long_as_something_new_is_saved() -> None:
    restarts = Restarts(allowed=2, epoch=0)
    assert [restarts.may(epoch) for epoch in (2, 4, 6, 6, 6)] == [True, True, True, True, True]
    assert not restarts.may(6)
    assert restarts.may(8) and [restarts.may(8) for _ in range(3)] == [True, True, False]
    never = Restarts(allowed=0, epoch=0)
    assert not never.may(2) and not never.may(4)
