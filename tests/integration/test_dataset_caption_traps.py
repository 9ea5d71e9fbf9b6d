"""Every way in which sd-scripts reads another caption than a person wrote: the check names it.

The simulated trainer is the judge. It is given the folder as it lies there, and shows the trap; then it is given what
we build of the folder, and reads exactly the captions we say.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import orchestrator
from orchestrator.dataset import CheckResult, about_folders, build, check, collect
from orchestrator.errors import DatasetError
from orchestrator.kohya import config_file, dataset_config, install, toml_file, weights
from orchestrator.profile.model import Profile
from orchestrator.training.plan import TrainingPlanned, plan
from orchestrator.vision import measuring
from orchestrator.workspace import Workspace

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
GROUP = "close-up"
MEANT = "ai_model_v1, mine"


def profile() -> Profile:
    group = {"name": GROUP, "folders": ["mine"], "caption": "{trigger}, close-up"}
    training = {"optimizer": "AdamW", "epochs": 1, "save_every": 1, "dim": 4, "save_state": False}
    return Profile.model_validate(
        {"subject": {"name": "ai_model"}, "dataset": {"groups": [group], "resolution": 64}, "training": training}
    )


@pytest.fixture(autouse=True)
def no_vision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captions need no face."""
    monkeypatch.setattr(measuring.backend, "installed", lambda: None)


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    """One picture with a good caption; the trap's is the other."""
    space = Workspace(ugly_path)
    save_file({"cond_stage_model.transformer.x": np.zeros(4, np.float16)}, ugly_path / "base.safetensors")
    (ugly_path / "mine").mkdir()
    paint(ugly_path / "mine" / "good.png", 60)
    (ugly_path / "mine" / "good.txt").write_text("ai_model_v1, good", encoding="utf-8")
    return space


def paint(path: Path, shade: int = 120) -> None:
    Image.new("RGB", (64, 64), (shade, 0, 0)).save(path)


def looked_at(workspace: Workspace) -> CheckResult:
    asked = profile()
    pictures = collect(asked, workspace)
    measured = measuring.measure([one.path for one in pictures], workspace.cache)
    return check(
        pictures, measured, asked.dataset.limits, asked.dataset.groups, trigger=asked.trigger,
        beside=about_folders.look(pictures),
    )  # fmt: skip


def planned(workspace: Workspace) -> TrainingPlanned:
    kohya = install.find(SANDBOX, python=sys.executable)
    return plan(profile(), kohya, workspace, checkpoint=workspace.root / "base.safetensors")


def train(ready: TrainingPlanned, dataset_values: dict[str, Any], values: dict[str, Any]) -> Counter[str] | None:
    """The words the trainer says it has read; None when it stopped."""
    config_file.write(ready.config, values)
    toml_file.write(ready.dataset_config, dataset_values)
    command = [sys.executable, str(SANDBOX / "train_network.py"), "--config_file", str(ready.config)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=60)
    if done.returncode != 0:
        return None
    (dataset,) = json.loads(weights.read_header(ready.final_file).metadata["ss_datasets"])
    (words,) = dataset["tag_frequency"].values()
    return Counter(words)


def as_it_lies(workspace: Workspace, ready: TrainingPlanned) -> Counter[str] | None:
    """What the trainer reads of the user's own folder, told to read .txt, which most people know."""
    subset = dataset_config.Subset(workspace.root / "mine", 1, "ai_model_v1")
    return train(ready, dataset_config.values([subset], resolution=64, batch_size=1), dict(ready.values))


def words_of(*captions: str) -> Counter[str]:
    return Counter(word.strip().lower() for caption in captions for word in caption.split(","))


def _mark(folder: Path) -> None:
    (folder / "trap.txt").write_bytes(f"\ufeff{MEANT}".encode())


def _second_line(folder: Path) -> None:
    (folder / "trap.txt").write_text("ai_model_v1\nmine", encoding="utf-8")


def _blank_first_line(folder: Path) -> None:
    (folder / "trap.txt").write_text(f"\n{MEANT}", encoding="utf-8")


def _another_ending(folder: Path) -> None:
    (folder / "trap.caption").write_text(MEANT, encoding="utf-8")


def _capitals(folder: Path) -> None:
    (folder / "trap.TXT").write_text(MEANT, encoding="utf-8")


def _shortened(folder: Path) -> None:
    (folder / "trap.png").rename(folder / "a_b_c_d_e.png")
    (folder / "a.txt").write_text("ai_model_v1, somebody else", encoding="utf-8")


def _no_trigger(folder: Path) -> None:
    (folder / "trap.txt").write_text("ai_model_v10, mine", encoding="utf-8")


def _long(folder: Path) -> None:
    (folder / "trap.txt").write_text(", ".join([MEANT, *(f"word{n}" for n in range(50))]), encoding="utf-8")


@pytest.mark.parametrize(
    ("set_trap", "kind", "read_by_the_trainer", "trained_by_us"),
    [
        (_mark, "caption mended", "\ufeffai_model_v1, mine", MEANT),
        (_second_line, "caption mended", "ai_model_v1", MEANT),
        (_blank_first_line, "caption mended", "", MEANT),
        (_another_ending, "caption not read", "ai_model_v1", "ai_model_v1, close-up"),
        pytest.param(
            _capitals, "caption not read", "ai_model_v1", "ai_model_v1, close-up",
            marks=pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="the file system reads both"),
        ),
        (_shortened, "caption not read", "ai_model_v1, somebody else", "ai_model_v1, close-up"),
        (_no_trigger, "trigger", "ai_model_v10, mine", "ai_model_v10, mine"),
        (_long, "long caption", None, None),
    ],
)  # fmt: skip
def test_a_trap_is_named_and_what_is_built_is_read_as_we_say(
    workspace: Workspace,
    set_trap: Callable[[Path], None],
    kind: str,
    read_by_the_trainer: str | None,
    trained_by_us: str | None,
) -> None:
    folder = workspace.root / "mine"
    paint(folder / "trap.png")
    set_trap(folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    (found,) = [one for one in looked_at(workspace).findings if one.kind == kind]
    assert found.fix and len(found.pictures) == 1

    pictures = collect(profile(), workspace)
    build(profile(), workspace, pictures)
    ready = planned(workspace)
    assert train(ready, dict(ready.dataset_values), dict(ready.values)) == words_of(*(one.caption for one in pictures))
    trapped = next(one for one in pictures if "good" not in one.path.name)
    if trained_by_us is not None and read_by_the_trainer is not None:
        assert trapped.caption == trained_by_us
        read = as_it_lies(workspace, ready)
        assert read == words_of("ai_model_v1, good", *filter(None, [read_by_the_trainer]))
    assert {path: path.read_bytes() for path in before} == before


def _cp932(folder: Path) -> None:
    (folder / "trap.txt").write_bytes("初音ミク".encode("cp932"))


def _utf16(folder: Path) -> None:
    (folder / "trap.txt").write_bytes(MEANT.encode("utf-16"))


def _empty(folder: Path) -> None:
    (folder / "trap.txt").write_bytes(b"")


@pytest.mark.parametrize(("set_trap", "words"), [(_cp932, "cp932"), (_utf16, "utf-16"), (_empty, "empty")])
def test_what_ends_the_trainer_stops_us_before(
    workspace: Workspace, set_trap: Callable[[Path], None], words: str
) -> None:
    build(profile(), workspace, collect(profile(), workspace))
    ready = planned(workspace)
    folder = workspace.root / "mine"
    paint(folder / "trap.png")
    set_trap(folder)
    result = looked_at(workspace)
    (found,) = [one for one in result.findings if one.kind == "caption"]
    assert (found.level, result.verdict) == ("blocker", "cannot train") and words in found.what
    with pytest.raises(DatasetError, match=r"trap\.txt is"):
        build(profile(), workspace, collect(profile(), workspace))
    assert as_it_lies(workspace, ready) is None


def test_a_caption_in_another_encoding_is_converted_by_the_import_the_check_names(workspace: Workspace) -> None:
    from orchestrator.dataset import importing

    folder = workspace.root / "photos"
    folder.mkdir()
    paint(folder / "trap.png")
    _cp932(folder)
    plan_ = importing.plan_import(profile(), workspace, [folder], group=GROUP, caption_encoding="cp932")
    (done,) = importing.carry_out(workspace, plan_).files
    assert done.with_suffix(".txt").read_text(encoding="utf-8") == "初音ミク\n"
