"""Resuming: the epoch must be said each time, because the steps in a state count from the last start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.kohya import console
from tests.contract.kohya_subject import EPOCHS, Ended, Kohya, metadata, names
from tests.contract.subject import Observe


@pytest.fixture
def begun(kohya: Kohya, tmp_path: Path) -> Path:
    """A folder with the states after epochs 2 and 4 of 5, as a run killed after them leaves it."""
    out = tmp_path / "out"
    shutil.copytree(kohya.whole_run[0] / "out", out)
    (out / "contract.safetensors").unlink()
    return tmp_path


def resume(kohya: Kohya, folder: Path, state: str, *flags: str, **changes: object) -> Ended:
    settings = {"save_every_n_epochs": 1, "save_state": True, "lr_scheduler": "cosine", **changes}
    return kohya.train(
        folder, "--resume", str(folder / "out" / state), *flags, environment={"PYTHONUNBUFFERED": "1"}, **settings
    )


def epochs(ended: Ended) -> list[int]:
    return [event.epoch for event in ended.events if isinstance(event, console.EpochStarted)]


def test_a_second_resume_is_right_when_the_epoch_is_said(kohya: Kohya, begun: Path, observe: Observe) -> None:
    """Trap: the first resume would do without; the state it writes counts steps from 0, so that the second one would
    begin too early and overwrite good files. We always say the epoch.
    """
    first = resume(kohya, begun, "contract-000002-state", "--initial_epoch", "3", max_train_epochs=4)
    assert first.code == 0, first.err[-1500:]
    assert epochs(first) == [3, 4]
    assert metadata(begun / "out" / "contract-000003.safetensors")["ss_epoch"] == "3"
    assert metadata(begun / "out" / "contract.safetensors")["ss_steps"] == "2", "counted from the resume"
    state = json.loads((begun / "out" / "contract-000003-state" / "train_state.json").read_text(encoding="utf-8"))
    assert state["current_epoch"] == 3
    observe(f"the state after epoch 3, resumed from 2, says step {state['current_step']} (right would be 3)")
    second = resume(kohya, begun, "contract-000003-state", "--initial_epoch", "4", max_train_epochs=5)
    assert second.code == 0, second.err[-1500:]
    assert epochs(second) == [4, 5]
    assert metadata(begun / "out" / "contract.safetensors")["ss_epoch"] == "5"


def test_the_bar_counts_from_nothing_to_the_remainder(kohya: Kohya, begun: Path) -> None:
    """Trap: a finished resume ends at 1/5. The supervisor adds what lies before."""
    done = resume(kohya, begun, "contract-000004-state", "--initial_epoch", "5")
    assert done.code == 0, done.err[-1500:]
    steps = [event for event in done.events if isinstance(event, console.Step)]
    assert (steps[0].step, steps[-1].step, steps[-1].total) == (0, 1, EPOCHS)
    assert "contract.safetensors" in names(begun)


def test_a_finished_state_cannot_be_resumed(kohya: Kohya, begun: Path) -> None:
    """Trap: the last state is written before the last file; after a kill between them the one before must do."""
    done = resume(kohya, begun, "contract-state", "--initial_epoch", str(EPOCHS + 1))
    assert done.code == 1
    assert "max_train_steps should be greater than initial step" in done.err


def test_states_that_are_broken_absent_or_anothers(kohya: Kohya, begun: Path) -> None:
    absent = resume(kohya, begun, "nothing", "--initial_epoch", "3")
    assert absent.code == 1
    assert "folder does not exist" in absent.last_words
    other = resume(kohya, begun, "contract-000002-state", "--initial_epoch", "3", network_dim=4)
    assert other.code == 1
    assert "size mismatch" in other.err
    optimizer = begun / "out" / "contract-000002-state" / "optimizer.bin"
    optimizer.write_bytes(optimizer.read_bytes()[: optimizer.stat().st_size // 2])
    broken = resume(kohya, begun, "contract-000002-state", "--initial_epoch", "3")
    assert broken.code == 1
    assert "PytorchStreamReader failed reading zip archive" in broken.err


def test_weights_alone_go_on_with_the_numbers_only(kohya: Kohya, begun: Path) -> None:
    """Second best: epoch numbers continue, optimizer and schedule begin anew."""
    weights = str(begun / "out" / "contract-000002.safetensors")
    done = kohya.train(
        begun, "--network_weights", weights, "--initial_epoch", "3", environment={"PYTHONUNBUFFERED": "1"},
        save_every_n_epochs=1, max_train_epochs=4,
    )  # fmt: skip
    assert done.code == 0, done.err[-1500:]
    assert epochs(done) == [3, 4]
    assert metadata(begun / "out" / "contract-000003.safetensors")["ss_epoch"] == "3"
