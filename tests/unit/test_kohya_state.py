"""Which state folders a training goes on from, and with which command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.kohya import command, state
from orchestrator.kohya.install import KohyaInstall
from tests.unit.training_files import archive


def _state(folder: Path, name: str, *, epoch: int | None = None, files: tuple[str, ...] = state.FILES) -> Path:
    path = folder / name
    path.mkdir(parents=True)
    for file in files:
        text = json.dumps({"current_epoch": epoch, "current_step": 4}).encode()
        (path / file).write_bytes(text if file == "train_state.json" else archive())
    return path


def test_the_newest_complete_state_wins(ugly_path: Path) -> None:
    for epoch in (10, 20, 30):
        _state(ugly_path, f"m-{epoch:06d}-state")
    found = state.newest_resumable(ugly_path, "m", 80)
    assert found is not None and found.epoch == 30 and found.path == ugly_path / "m-000030-state"


@pytest.mark.parametrize("written", range(len(state.FILES)))
def test_a_state_killed_while_it_was_written_is_passed_over(tmp_path: Path, written: int) -> None:
    """Cut after each file of the observed order: only the last one makes it complete."""
    _state(tmp_path, "m-000010-state")
    _state(tmp_path, "m-000020-state", files=state.FILES[:written])
    found = state.newest_resumable(tmp_path, "m", 80)
    assert found is not None and found.epoch == 10


def test_the_epoch_comes_from_the_folders_name(tmp_path: Path) -> None:
    """After a resume the written step, and in old files the epoch, are counted anew."""
    _state(tmp_path, "m-000050-state", epoch=2)
    found = state.newest_resumable(tmp_path, "m", 80)
    assert found is not None and found.epoch == 50


def test_a_finished_state_without_its_lora_file_goes_back_to_the_one_before(tmp_path: Path) -> None:
    """The last state is written before the final LoRA file, and sd-scripts refuses to go on from it."""
    _state(tmp_path, "m-000070-state")
    _state(tmp_path, "m-state", epoch=80)
    found = state.newest_resumable(tmp_path, "m", 80)
    assert found is not None and found.epoch == 70
    longer = state.newest_resumable(tmp_path, "m", 100)
    assert longer is not None and longer.epoch == 80


def test_only_the_runs_own_states_count(tmp_path: Path) -> None:
    _state(tmp_path, "other-000010-state")
    _state(tmp_path, "m-x-000010-state")
    _state(tmp_path, "m-step00000010-state")
    (tmp_path / "m-000020-state").write_text("a file", encoding="utf-8")
    assert state.states(tmp_path, "m") == []
    assert state.newest_resumable(tmp_path / "missing", "m", 80) is None


def test_a_last_state_that_tells_no_epoch_is_not_used(tmp_path: Path) -> None:
    path = _state(tmp_path, "m-state", epoch=5)
    for text in ("", "[]", '{"current_epoch": "5"}', '{"current_epoch": true}'):
        (path / "train_state.json").write_text(text, encoding="utf-8")
        assert state.newest_resumable(tmp_path, "m", 80) is None


def test_going_on_always_says_the_epoch(tmp_path: Path) -> None:
    """Without --initial_epoch a second resume trains epochs twice."""
    install = KohyaInstall(tmp_path / "sd", tmp_path / "python", "", "")
    config = tmp_path / "config.toml"
    assert command.argv(install, config, script="train_network.py") == [
        str(tmp_path / "python"), str(tmp_path / "sd" / "train_network.py"), "--config_file", str(config),
    ]  # fmt: skip
    found = state.FromState(tmp_path / "m-000040-state", 40)
    assert command.argv(install, config, script="train_network.py", point=found)[4:] == [
        "--resume", str(tmp_path / "m-000040-state"), "--initial_epoch", "41",
    ]  # fmt: skip
    weights = state.FromWeights(tmp_path / "m-000040.safetensors", 40)
    assert command.argv(install, config, script="train_network.py", point=weights)[4:] == [
        "--network_weights", str(tmp_path / "m-000040.safetensors"), "--initial_epoch", "41",
    ]  # fmt: skip


def test_accelerate_is_started_as_a_module_and_only_where_it_is_needed(tmp_path: Path) -> None:
    install = KohyaInstall(tmp_path / "sd", tmp_path / "python", "", "")
    config = tmp_path / "config.toml"
    script = str(tmp_path / "sd" / "train_network.py")

    def argv(**how: Any) -> list[str]:
        return command.argv(install, config, script="train_network.py", mixed_precision="bf16", **how)

    assert argv(gpus=(1,)) == argv() == [str(tmp_path / "python"), script, "--config_file", str(config)]
    one = argv(accelerate=True, cpu_threads=3)
    assert one[:4] == [str(tmp_path / "python"), "-m", "accelerate.commands.accelerate_cli", "launch"]
    assert one[4:-3] == [
        "--num_processes", "1", "--num_machines", "1", "--mixed_precision", "bf16", "--dynamo_backend", "no",
        "--num_cpu_threads_per_process", "3",
    ]  # fmt: skip
    assert one[-3:] == [script, "--config_file", str(config)]
    several = argv(gpus=(0, 2))
    assert several[several.index("--num_processes") + 1] == "2" and "--multi_gpu" in several
    assert several[several.index("--gpu_ids") + 1] == "0,2"
    for line in (one, several, argv()):
        assert set(command.signs(config)) <= set(line)


def test_one_card_and_its_threads_are_named_in_the_environment() -> None:
    assert command.environment({}, gpus=(1,), cpu_threads=2)["CUDA_VISIBLE_DEVICES"] == "1"
    several = command.environment({"CUDA_VISIBLE_DEVICES": "3,4"}, gpus=(0, 1), cpu_threads=2)
    assert (several["CUDA_VISIBLE_DEVICES"], several["OMP_NUM_THREADS"]) == ("3,4", "2")


@pytest.mark.parametrize("lost", state.FILES[1:])
def test_a_state_killed_while_it_was_removed_is_passed_over(tmp_path: Path, lost: str) -> None:
    """sd-scripts keeps the newest two; files of a folder are removed in any order."""
    _state(tmp_path, "m-000010-state")
    (_state(tmp_path, "m-000020-state") / lost).unlink()
    found = state.newest_resumable(tmp_path, "m", 80)
    assert found is not None and found.epoch == 10


@pytest.mark.parametrize("zeros", state.FILES[2:])
def test_a_state_of_zeros_after_a_power_cut_is_passed_over(tmp_path: Path, zeros: str) -> None:
    _state(tmp_path, "m-000010-state")
    path = _state(tmp_path, "m-000020-state") / zeros
    path.write_bytes(bytes(path.stat().st_size))
    found = state.newest_resumable(tmp_path, "m", 80)
    assert found is not None and found.epoch == 10


def test_the_environment_makes_the_console_readable_and_hides_our_python() -> None:
    base = {"PATH": "x", "PYTHONPATH": "ours", "PYTHONHOME": "ours", "VIRTUAL_ENV": "ours", "HF_HOME": "/nowhere"}
    values = command.environment(base)
    assert {k: values[k] for k in ("PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONIOENCODING", "COLUMNS")} == {
        "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8", "COLUMNS": "1000",
    }  # fmt: skip
    assert values["PATH"] == "x"
    assert not {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "HF_HUB_OFFLINE"} & values.keys()


def test_the_hub_is_left_alone_once_the_tokenizer_is_here(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--openai--clip-vit-large-patch14" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "vocab.json").write_text("{}", encoding="utf-8")
    base = {"HF_HOME": str(tmp_path)}
    assert command.environment(base)["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in command.environment(base, sdxl=True)
    assert command.environment({**base, "HF_HUB_OFFLINE": "0"})["HF_HUB_OFFLINE"] == "0"
    (tmp_path / "openai_clip-vit-large-patch14").mkdir()
    assert command.environment({"HF_HOME": "/nowhere"}, tokenizers=tmp_path)["HF_HUB_OFFLINE"] == "1"


def test_no_secret_is_recorded() -> None:
    values = {"HF_TOKEN": "hf_secret", "WANDB_API_KEY": "secret", "CUDA_VISIBLE_DEVICES": "0", **command.ENVIRONMENT}
    recorded = command.recorded_environment(values)
    assert "secret" not in str(recorded)
    assert recorded["CUDA_VISIBLE_DEVICES"] == "0"


def test_the_trainer_is_not_told_our_passwords() -> None:
    base = {"ORCHESTRATOR_A1111_PASSWORD": "s3cret", "ORCHESTRATOR_KOHYA_PASSWORD": "s3cret", "PASSWORD": "theirs"}
    values = command.environment({**base, "ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0.1"})
    assert "s3cret" not in values.values()
    assert "s3cret" not in command.recorded_environment(base).values()
    assert (values["PASSWORD"], values["ORCHESTRATOR_SANDBOX_STEP_SECONDS"]) == ("theirs", "0.1")
