"""Everything bad is found before the trainer is started, and said at once."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from safetensors.numpy import save_file

import orchestrator
from orchestrator import processes
from orchestrator.errors import Problem, TrainingRefused
from orchestrator.kohya import command, config_file, install, tokenizers, toml_file
from orchestrator.kohya.install import KohyaInstall
from orchestrator.profile.model import Profile
from orchestrator.training import preflight_run_folder as run_folder
from orchestrator.training import record as records
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.preflight import Ready, preflight
from orchestrator.training.record import Attempt, SavedFile
from orchestrator.workspace import Workspace

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
TRAINING: dict[str, Any] = {"optimizer": "AdamW", "epochs": 4, "save_every": 2, "dim": 4}
Check = Callable[..., Ready]


@pytest.fixture
def kohya() -> KohyaInstall:
    return install.find(SANDBOX, python=sys.executable)


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    workspace = Workspace(ugly_path)
    folder = workspace.dataset("v1") / "3_face"
    folder.mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text("ai_model_v1, face", encoding="utf-8")
    save_file({"cond_stage_model.transformer.x": np.zeros(4, np.float16)}, ugly_path / "base.safetensors")
    return workspace


@pytest.fixture
def check(workspace: Workspace, kohya: KohyaInstall) -> Check:
    def run(base: str | Path = "", **training: Any) -> Ready:
        profile = Profile.model_validate({"dataset": {"resolution": 64}, "training": {**TRAINING, **training}})
        return preflight(profile, kohya, workspace, checkpoint=Path(base or workspace.root / "base.safetensors"))

    return run


def refused(check: Check, **asked: Any) -> tuple[Problem, ...]:
    with pytest.raises(TrainingRefused) as caught:
        check(**asked)
    for problem in caught.value.problems:
        assert str(problem) in str(caught.value)
    return caught.value.problems


def begun(planned: TrainingPlanned, **changed: Any) -> None:
    """The run's folder as an attempt leaves it that was stopped: record, both configurations, a console log."""
    attempt = Attempt(command=(), environment={}, log="console-1.log", resumed_from=0, started_at=1.0, ended_at=2.0)
    record = records.begin(planned).changed(**{"status": "stopped", "attempts": (attempt,), **changed})
    config_file.write(planned.config, planned.values)
    toml_file.write(planned.dataset_config, planned.dataset_values)
    records.write_record(planned.folder, record)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def one(problems: tuple[Problem, ...], *words: str) -> Problem:
    """The one problem that says all of these."""
    (found,) = [problem for problem in problems if all(word in str(problem) for word in words)]
    return found


@contextlib.contextmanager
def _full_disk(output: Path) -> Iterator[None]:
    """No file may grow any more: what a full disk and a used-up quota say."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def _read_only_disk(output: Path) -> Iterator[None]:
    """The output folder lies where not even root may make a file."""
    output.symlink_to("/sys/kernel", target_is_directory=True)
    yield


@pytest.mark.skipif(sys.platform != "linux", reason="a full and a read-only disk are made by means of Linux")
@pytest.mark.parametrize(("disk", "said"), [(_full_disk, "the disk is full"), (_read_only_disk, "may not be written")])
def test_all_seven_are_found_at_once_and_nothing_is_started(
    check: Check, workspace: Workspace, disk: Callable[[Path], Any], said: str
) -> None:
    before = {child.pid for child in psutil.Process().children()}  # of other tests of this process
    planned = check().planned
    begun(planned)
    edit(planned.config, "unet_lr = 0.0001", "unet_lr = 0.0009")
    folder = workspace.dataset("v1") / "3_face"
    (folder / "0000.png").write_bytes(b"this is no picture")
    (folder / "0001.txt").write_bytes("ai_model_v1, 初音ミク".encode("cp932"))
    Image.new("RGB", (64, 64)).save(folder / "0002.jpg")
    with disk(planned.output_folder):
        problems = refused(check, base="stabilityai/stable-diffusion-2-1", extra={"network_dimm": 4})
    one(problems, "training.extra.network_dimm", "network_dim")
    one(problems, "3_face/0000.png", "not a picture")
    one(problems, "3_face/0001.png", "cp932", "UTF-8")
    one(problems, "0002.jpg and 0002.png", "share one caption")
    one(problems, "stabilityai/stable-diffusion-2-1", "hub")
    one(problems, said)
    one(problems, "config.toml", "edited by hand", "unet_lr (0.0001 → 0.0009)")
    assert len(problems) == 7, problems
    assert all(problem.what and problem.fix for problem in problems)
    # Nothing was begun: no log, no trainer, and the folder as it was found.
    assert not list(workspace.root.rglob("console-*.log"))
    assert processes.find(*command.signs(planned.config)) is None
    assert {child.pid for child in psutil.Process().children()} <= before
    assert "unet_lr = 0.0009" in planned.config.read_text(encoding="utf-8")


def test_a_sound_training_is_ready_and_nothing_but_caches_was_written(check: Check, workspace: Workspace) -> None:
    before = set(workspace.root.rglob("*"))
    ready = check()
    assert ready.planned.dataset.pictures == 3 and ready.planned.values["network_dim"] == 4
    new = set(workspace.root.rglob("*")) - before
    assert new and all(path.is_relative_to(workspace.cache) or path in workspace.cache.parents for path in new)
    assert not ready.planned.folder.exists()


def test_doubts_stop_nothing(check: Check, workspace: Workspace) -> None:
    (workspace.dataset("v1") / "3_face" / "0000.txt").write_text("one\ntwo", encoding="utf-8")
    assert one(check().doubts, "only the first line").place == "3_face/0000.png"


def test_everything_is_checked_that_can_be_without_a_dataset(check: Check, workspace: Workspace) -> None:
    workspace.dataset("v1").rename(workspace.root / "elsewhere")
    problems = refused(check, epochs=2, save_every=4)
    assert one(problems, "there is no dataset").fix and one(problems, "training.save_every")


def test_a_disk_too_small_for_all_files_is_said_before_the_start(check: Check) -> None:
    problem = one(refused(check, epochs=100_000, save_every=1, dim=1024), "will need about")
    assert "TB" in problem.what and "save_every" in problem.fix


def test_a_disk_too_small_is_found_even_beside_a_broken_dataset(check: Check, workspace: Workspace) -> None:
    (workspace.dataset("v1") / "3_face" / "0000.txt").unlink()
    problems = refused(check, epochs=100_000, save_every=1, dim=1024)
    assert len(problems) == 2 and one(problems, "will need about")


def test_a_file_where_the_runs_should_be(check: Check, workspace: Workspace) -> None:
    workspace.runs.write_text("", encoding="utf-8")
    assert refused(check)


EDITED: list[tuple[str, str, str, str]] = [
    ("config.toml", "seed = 42", "seed = 43", "seed (42 → 43)"),
    ("config.toml", "seed = 42\n", "", "seed (42 → nothing)"),
    ("config.toml", "seed = 42", "seed = 42\nfoo = 1", "foo (nothing → 1)"),
    ("config.toml", "output_name", "output_naam", "output_naam"),
    ("config.toml", "seed = 42", "seed = = 42", "could not read"),
    ("dataset.toml", "num_repeats = 3", "num_repeats = 5", "datasets[0].subsets[0].num_repeats"),
    ("dataset.toml", "3_face", "4_face", "datasets[0].subsets[0].image_dir"),
]


@pytest.mark.parametrize(("name", "old", "new", "said"), EDITED, ids=[row[3] for row in EDITED])
def test_what_was_edited_in_a_runs_folder_is_told_by_key(
    check: Check, name: str, old: str, new: str, said: str
) -> None:
    planned = check().planned
    begun(planned)
    assert check().planned == planned
    edit(planned.folder / name, old, new)
    problem = one(refused(check), said)
    assert problem.place == f"runs/{planned.folder.name}/{name}" and "delete" in problem.fix
    (planned.folder / name).unlink()
    assert check().planned == planned  # the cure works


def test_an_edit_that_changes_no_value_is_none(check: Check) -> None:
    planned = check().planned
    begun(planned)
    edit(planned.config, "seed = 42", "# mine\nseed   =   42")
    assert check().planned == planned


def test_folders_of_releases_without_seals_are_held_against_their_record(check: Check) -> None:
    planned = check().planned
    begun(planned)
    text = planned.config.read_text(encoding="utf-8").partition("\n")[2]
    # As it was written by another release, in a workspace that was moved since.
    text = text.replace(str(planned.output_folder), "/where it was/lora")
    planned.config.write_text(text, encoding="utf-8")
    assert toml_file.edited(planned.config) is None and check().planned == planned
    planned.config.write_text(text.replace("seed = 42", "seed = 43"), encoding="utf-8")
    assert one(refused(check), "edited by hand", "seed (42 → 43)")


def test_a_remedy_of_the_last_attempt_is_no_edit(check: Check) -> None:
    planned = check().planned
    begun(planned)
    record = records.read_record(planned.folder)
    assert record is not None
    changes = {"gradient_checkpointing": True}
    records.write_record(planned.folder, record.with_last_attempt(changes=changes))
    config_file.write(planned.config, {**planned.values, **changes})
    assert check().planned == planned


@pytest.mark.parametrize(
    ("damage", "said"), [("{", "no JSON"), ("[]", "damaged"), ('{"name": 1}', "damaged"), (None, "is gone")]
)
def test_a_record_that_nobody_can_read_is_no_reason_to_train_beside_it(
    check: Check, damage: str | None, said: str
) -> None:
    planned = check().planned
    begun(planned)
    (planned.folder / "console-1.log").write_bytes(b"epoch 1/4")
    if damage is None:
        (planned.folder / "run.json").unlink()
    else:
        (planned.folder / "run.json").write_text(damage, encoding="utf-8")
    problem = one(refused(check), said)
    assert problem.place == f"runs/{planned.folder.name}/run.json" and "rebuild" in problem.fix


def test_a_file_where_the_run_s_folder_should_be_is_told_once(check: Check, workspace: Workspace) -> None:
    workspace.runs.mkdir()
    place = check().planned.folder
    place.write_text("", encoding="utf-8")
    for asked in ({}, {"extra": {"network_dimm": 4}}):
        one(refused(check, **asked), str(place), "is a file where a folder is needed")


def test_a_tokenizer_that_nobody_may_fetch(
    check: Check, kohya: KohyaInstall, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers, "needed", lambda *_: ("openai/clip-vit-large-patch14",))
    monkeypatch.setenv("HF_HUB_CACHE", str(workspace.root / "hub"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    one(check().doubts, "openai/clip-vit-large-patch14", "be online")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    one(refused(check), "openai/clip-vit-large-patch14", "HF_HUB_OFFLINE")
    kept = workspace.root / "tokenizers"
    (kept / "openai_clip-vit-large-patch14").mkdir(parents=True)
    assert check(extra={"tokenizer_cache_dir": str(kept)}).planned


def test_what_a_preset_says_is_not_looked_for_in_the_profile(workspace: Workspace, kohya: KohyaInstall) -> None:
    workspace.profile.write_text('[training]\noptimizer = "AdamW"\nunet_lr = 1e-4\n', encoding="utf-8")
    base = workspace.root / "base.safetensors"

    def asked(**training: Any) -> Ready:
        profile = Profile.model_validate({"dataset": {"resolution": 64}, "training": {**TRAINING, **training}})
        return preflight(profile, kohya, workspace, checkpoint=base, preset="mine.json")

    with pytest.raises(TrainingRefused) as caught:
        asked(optimizer="AdamZ")
    assert [problem.place for problem in caught.value.problems] == ["mine.json: training.optimizer"]
    one(asked(unet_lr=0.01).doubts, "mine.json: training.unet_lr")


def test_a_start_that_was_killed_before_its_record_is_no_damage(check: Check) -> None:
    planned = check().planned
    begun(planned)
    (planned.folder / "run.json").unlink()
    assert check().planned.fingerprint == planned.fingerprint


def _lora(planned: TrainingPlanned, name: str, value: float) -> SavedFile:
    from orchestrator.files import sha256_file

    path = planned.output_folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"x": np.full(8, value, np.float16)}, path)
    return SavedFile(file=name, epoch=2, sha256=sha256_file(path), size=path.stat().st_size)


def test_a_file_that_somebody_put_there_is_not_overwritten(check: Check) -> None:
    planned = check().planned
    begun(planned, files=(_lora(planned, "ai_model_v1-000002.safetensors", 1.0),))
    assert check().planned == planned
    _lora(planned, "ai_model_v1-000002.safetensors", 2.0)
    assert "move it elsewhere" in one(refused(check), "not the file this training made").fix
    path = planned.output_folder / "ai_model_v1-000002.safetensors"
    path.write_bytes(path.read_bytes()[:-4])  # cut off: the training makes it again
    assert check().planned == planned


def test_a_file_that_is_gone_is_a_doubt(check: Check) -> None:
    planned = check().planned
    begun(planned, files=(_lora(planned, "ai_model_v1-000002.safetensors", 1.0),))
    (planned.output_folder / "ai_model_v1-000002.safetensors").unlink()
    assert one(check().doubts, "is gone")


def test_a_finished_training_is_ready_whatever_became_of_its_configuration(check: Check) -> None:
    planned = check().planned
    begun(planned, status="finished", files=(_lora(planned, planned.final_file.name, 1.0),))
    edit(planned.config, "seed = 42", "seed = 43")
    assert check().planned == planned
    planned.final_file.unlink()  # it will be made again, and so the edit counts
    assert one(refused(check), "edited by hand")


def test_a_training_that_runs_is_adopted_whatever_became_of_its_configuration(
    check: Check, tmp_path_factory: pytest.TempPathFactory
) -> None:
    planned = check().planned
    me = psutil.Process()
    running = Attempt(
        command=(), environment={}, log="console-1.log", resumed_from=0, started_at=1.0, pid=me.pid,
        created=me.create_time(),
    )  # fmt: skip
    begun(planned, status="running", attempts=(running,))
    edit(planned.config, "seed = 42", "seed = 43")
    assert check().planned == planned
    record = records.read_record(planned.folder)
    assert record is not None
    records.write_record(planned.folder, record.with_last_attempt(created=me.create_time() - 1e6))
    assert one(refused(check), "edited by hand")


@pytest.mark.parametrize(("cached", "kind"), [(True, "problem"), (False, "doubt")])
def test_another_training_at_this_moment(check: Check, cached: bool, kind: str) -> None:
    me = psutil.Process()
    other = check(seed=7, extra={"cache_latents_to_disk": cached}).planned
    running = Attempt(
        command=(), environment={}, log="console-1.log", resumed_from=0, started_at=1.0, pid=me.pid,
        created=me.create_time(),
    )  # fmt: skip
    begun(other, status="running", attempts=(running,))
    if kind == "problem":
        assert one(refused(check), "is being trained", "same pictures").fix
    else:
        assert one(check().doubts, "is being trained")


def test_only_the_folders_of_this_run_are_looked_at(workspace: Workspace) -> None:
    for name in ("ai_model_v1", "ai_model_v1-2", "ai_model_v10", "ai_model_v1-4"):
        workspace.run(name).mkdir(parents=True)
    assert [folder.name for folder in run_folder.folders(workspace, "ai_model_v1")] == ["ai_model_v1", "ai_model_v1-2"]


@pytest.mark.skipif(sys.platform != "linux", reason="only there is a name any bytes")
def test_a_name_that_sd_scripts_could_not_be_told_is_refused(check: Check, workspace: Workspace) -> None:
    folder = workspace.dataset("v1") / "3_face"
    folder.rename(folder.with_name(os.fsdecode(b"3_fa\xffce")))
    assert one(refused(check), "dataset.toml", "could not read").fix


@pytest.mark.skipif(sys.platform != "linux", reason="a full disk is made by means of Linux")
def test_pictures_on_a_disk_that_takes_no_cache(check: Check, workspace: Workspace) -> None:
    with _full_disk(workspace.root):
        (output,) = refused(check)
        both = refused(check, extra={"cache_latents_to_disk": True})
    assert output in both and one(both, str(workspace.dataset("v1") / "3_face"), "the disk is full")


def test_the_second_look_reads_no_picture(check: Check, workspace: Workspace) -> None:
    then = 1_700_000_000
    for path in workspace.dataset("v1").rglob("*.png"):
        os.utime(path, (then, then))
    check()
    kept = json.loads((workspace.cache / "pictures.json").read_text(encoding="utf-8"))
    (entries,) = kept.values()
    assert len(entries) == 3
    for facts in entries.values():
        facts["problem"] = "remembered"
    (workspace.cache / "pictures.json").write_text(json.dumps(kept), encoding="utf-8")
    assert one(refused(check), "remembered")


def test_an_epoch_trained_once_more_by_a_start_that_was_killed_is_no_stranger(check: Check) -> None:
    planned = check().planned
    old = _lora(planned, "ai_model_v1-000002.safetensors", 1.0)
    killed = Attempt(command=(), environment={}, log="", resumed_from=1, started_at=time.time())
    begun(planned, files=(old,), attempts=(killed,))
    _lora(planned, "ai_model_v1-000002.safetensors", 2.0)
    assert check().planned == planned
    begun(planned, files=(old,), attempts=(killed.model_copy(update={"resumed_from": 2}),))
    assert "move it elsewhere" in one(refused(check), "not the file this training made").fix
