"""The dataset check stands before every training: what will be locked in is said, what cannot be trained is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import orchestrator
from orchestrator.__main__ import main
from orchestrator.sandbox.imagine import Request, paint
from orchestrator.sandbox.learned import starter
from orchestrator.sandbox.server import RunningServer
from orchestrator.workspace import Workspace
from tests.integration import training_night
from tests.integration.faces import require_faces

require_faces()

pytestmark = pytest.mark.usefixtures("measuring_kept")

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
PROFILE = """
[subject]
name = "ai_model"
version = "v1"
[base]
path = {base}
[dataset]
resolution = 64
[training]
epochs = 1
save_every = 1
dim = 4
alpha = 2
optimizer = "AdamW"
[[dataset.groups]]
name = "close-up"
caption = "{{trigger}}, close-up"
folders = ["mine"]
"""
LEAN = "[x] locked in, close-up: 4 of 4 heads lean clockwise"


@pytest.fixture
def workspace(ugly_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox_server: RunningServer) -> Workspace:
    """Four close-ups that lean, and nothing built yet."""
    training_night.make(ugly_path)
    space = Workspace(ugly_path)
    shutil.rmtree(space.dataset("v1"))
    base = json.dumps(str(ugly_path / "base.safetensors"), ensure_ascii=False)
    (ugly_path / "lora.toml").write_text(PROFILE.format(base=base), encoding="utf-8")
    (ugly_path / "mine").mkdir()
    lora = starter(7, "ai_model_v0")
    for number in range(4):
        request = Request("ai_model_v0, close-up", seed=number, width=256, height=256, loras=((lora, 1.0),))
        paint(request).save(ugly_path / "mine" / f"{number:04d}.png")
    for name, value in {
        "ORCHESTRATOR_A1111_URL": sandbox_server.url,
        "ORCHESTRATOR_KOHYA_FOLDER": str(SANDBOX),
        "ORCHESTRATOR_KOHYA_PYTHON": sys.executable,
        "ORCHESTRATOR_LEDGER": str(ugly_path / "ledger.sqlite"),
        "XDG_STATE_HOME": str(ugly_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ugly_path)
    return space


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(list(words))
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return code, captured.err + captured.out


def test_train_says_what_will_be_locked_in_before_it_begins(
    capsys: pytest.CaptureFixture[str], workspace: Workspace
) -> None:
    assert run(capsys, "dataset", "build")[0] == 0
    code, said = run(capsys, "train")
    assert code == 0
    assert LEAN in said and "Dataset check: [x] will lock" in said
    assert said.index(LEAN) < said.index("train: 0 of"), "before the card is touched"
    assert "orchestrator dataset check" in said[said.index("will lock") :], "and the way on"
    # The finished training is found again: nothing begins, and nothing is said.
    assert LEAN not in run(capsys, "train")[1]


def test_a_dataset_made_by_hand_is_checked_too(capsys: pytest.CaptureFixture[str], workspace: Workspace) -> None:
    folder = workspace.dataset("v1") / "2_close-up"
    shutil.copytree(workspace.root / "mine", folder)
    for picture in folder.glob("*.png"):
        picture.with_suffix(".txt").write_text("ai_model_v1, close-up", encoding="utf-8")
    code, said = run(capsys, "train")
    assert code == 0 and said.index(LEAN) < said.index("train: 0 of")


def test_the_groups_are_those_that_were_built(capsys: pytest.CaptureFixture[str], workspace: Workspace) -> None:
    assert run(capsys, "dataset", "build")[0] == 0
    profile = workspace.root / "lora.toml"
    profile.write_text(profile.read_text(encoding="utf-8").replace('name = "close-up"', 'name = "other"'), "utf-8")
    assert LEAN in run(capsys, "train")[1], "though the profile's group has another name by now"


def test_what_cannot_be_trained_is_refused_with_everything_that_stops_it(
    capsys: pytest.CaptureFixture[str], workspace: Workspace
) -> None:
    (workspace.root / "mine" / "0000.txt").write_bytes("初音".encode("cp932"))
    (workspace.root / "mine" / "0001.txt").write_bytes(b"")
    (workspace.root / "mine" / "text.png").write_text("no picture", encoding="utf-8")
    code, said = run(capsys, "run")
    assert code == 3
    refusal = said[said.index("This dataset cannot be trained on") :]
    assert "3 things stop it" in refusal
    for words in ("0000.png", "cp932", "0001.png", "text.png", "orchestrator dataset check --page"):
        assert words in refusal
    assert not workspace.runs.exists() and not workspace.dataset("v1").exists()


def test_a_built_dataset_that_was_spoilt_is_refused_by_train(
    capsys: pytest.CaptureFixture[str], workspace: Workspace
) -> None:
    assert run(capsys, "dataset", "build")[0] == 0
    (workspace.dataset("v1") / "1_close-up" / "0002.txt").write_bytes(b"")
    (workspace.dataset("v1") / "1_close-up" / "0003.png").write_bytes(b"no picture")
    code, said = run(capsys, "train")
    assert code == 3 and "0002.png: its caption is empty" in said and "0003.png" in said
    assert not list(workspace.runs.glob("*/lora/*")) if workspace.runs.exists() else True


def test_a_queued_training_says_it_in_the_job_s_log(capsys: pytest.CaptureFixture[str], workspace: Workspace) -> None:
    assert run(capsys, "dataset", "build")[0] == 0
    assert run(capsys, "queue", "add", "train")[0] == 0
    code, said = run(capsys, "queue", "work", "--until-empty")
    assert code == 0, said
    assert "locked in, close-up: 4 of 4 heads lean clockwise" in run(capsys, "queue", "log", "1")[1]


def test_the_run_remembers_its_dataset_and_it_is_rebuilt_from_there(
    capsys: pytest.CaptureFixture[str], workspace: Workspace
) -> None:
    assert run(capsys, "dataset", "build")[0] == 0
    folder = workspace.dataset("v1")
    before = {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.suffix in {".png", ".txt"}
    }
    assert run(capsys, "train")[0] == 0
    shutil.rmtree(folder)
    code, shown = run(capsys, "dataset", "show", "v1")
    assert code == 0 and shown.count("1_close-up/") == 4
    assert run(capsys, "dataset", "rebuild", "v1")[0] == 0
    assert {path: (folder / path).read_bytes() for path in before} == before
