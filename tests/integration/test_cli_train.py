"""The commands around a training, with the simulated trainer as a real child process."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import toml

import orchestrator
from orchestrator import pipeline
from orchestrator.__main__ import main
from orchestrator.a1111.client import A1111
from orchestrator.kohya import install as kohya_install
from orchestrator.kohya import toml_file
from orchestrator.profile.load import load_profile, parse_profile
from orchestrator.sandbox.server import RunningServer
from orchestrator.training.record import read_record
from orchestrator.workspace import Workspace
from tests.integration import training_night

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
PRESET = Path(__file__).parents[1] / "golden" / "gui_presets" / "old_sd15.json"
NAME = "ai_model_v1"
KOHYA = ("--kohya", str(SANDBOX), "--kohya-python", sys.executable)
#: Nothing listens there: a training does not need A1111.
NOBODY = ("--url", "http://127.0.0.1:9")
PATIENCE_S = 60.0

PROFILE = """
[subject]
name = "ai_model"
version = "v1"
[base]
path = {base}
[dataset]
resolution = 64
[training]
epochs = 4
save_every = 2
dim = 4
alpha = 2
optimizer = "AdamW"
"""


@pytest.fixture
def workspace(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    training_night.make(ugly_path)
    write_profile(ugly_path)
    monkeypatch.chdir(ugly_path)
    return Workspace(ugly_path)


def write_profile(root: Path, more: str = "", base: str = "") -> None:
    text = PROFILE.format(base=json.dumps(base or str(root / "base.safetensors"), ensure_ascii=False))
    (root / "lora.toml").write_text(text + more, encoding="utf-8")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return code, captured.out, captured.err


def train(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    return run(capsys, "train", *KOHYA, *NOBODY, *arguments)


def seen(root: Path) -> list[tuple[str, int]]:
    files = (path for path in root.rglob("*") if path.is_file() and ".orchestrator" not in path.parts)
    return sorted((str(path), path.stat().st_mtime_ns) for path in files)


def test_a_dry_run_shows_everything_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], workspace: Workspace
) -> None:
    before = seen(workspace.root)
    code, out, err = train(capsys, "--dry-run")
    assert code == 0, err
    assert seen(workspace.root) == before
    assert not workspace.runs.exists()
    config, dataset = out.partition("# config.toml")[2].split("# dataset.toml")
    assert 'output_name = "ai_model_v1"' in config
    assert "max_train_epochs = 4" in config
    assert dataset.count("image_dir") == 2
    # 2 pictures × 2 and 2 × 1, one at a time.
    assert "4 epochs, 6 steps each, 24 in all" in out
    assert "MB needed" in out
    assert "begins    anew" in out
    (row,) = [line for line in out.splitlines() if line.startswith("close-up")]
    assert row.split() == ["close-up", "2", "2", "4", "64×64"]
    assert "Worth a look" in err  # so few steps


def test_what_a_dry_run_shows_is_what_is_written(capsys: pytest.CaptureFixture[str], workspace: Workspace) -> None:
    _, out, _ = train(capsys, "--dry-run")
    shown = out.partition("# config.toml\n")[2].partition("\n\n# dataset.toml")[0]
    assert train(capsys)[0] == 0
    config = workspace.run(NAME) / "config.toml"
    assert toml.loads(shown) == toml_file.read(config)
    assert config.read_text(encoding="utf-8").partition("\n")[2].rstrip() == shown.rstrip()  # below the seal
    _, again, _ = train(capsys, "--dry-run")
    assert "begins    not at all" in again


def test_a_training_is_proven_shown_published_and_found_finished(
    capsys: pytest.CaptureFixture[str], workspace: Workspace, tmp_path: Path
) -> None:
    code, out, err = train(capsys)
    assert code == 0, err
    assert f"{NAME}: 2 LoRA files in" in out
    assert "whole and free of NaN" in out
    code, out, _ = train(capsys)
    assert (code, "(finished before)" in out) == (0, True)

    _, out, _ = run(capsys, "runs", "show", NAME)
    assert "the beginning" in out
    assert "1-24" in out
    assert "whole and free of NaN" in out
    code, out, _ = run(capsys, "runs", "resume", NAME, *NOBODY)
    assert (code, "(finished before)" in out) == (0, True)
    _, out, _ = run(capsys, "runs", "stop", NAME)
    assert "is not being trained (it is finished)" in out

    there = tmp_path / "Lora"
    there.mkdir()
    code, out, err = run(capsys, "lora", "publish", 2, "my model", "--to", there, "--weight", "0.8")
    assert code == 0, err
    assert "<lora:my model:0.8>" in out
    chosen = workspace.run(NAME) / "lora" / f"{NAME}-000002.safetensors"
    assert (there / "my model.safetensors").read_bytes() == chosen.read_bytes()
    card = json.loads((there / "my model.json").read_text(encoding="utf-8"))
    assert (card["activation text"], card["preferred weight"], card["sd version"]) == ("ai_model_v1", 0.8, "SD1")
    code, _, err = run(capsys, "lora", "publish", 4, "my model", "--to", there)
    assert code == 3
    assert "another file already" in err
    code, _, err = run(capsys, "lora", "publish", 3, "other", "--to", there)
    assert (code, "There are: 2, 4" in err) == (3, True)


def test_everything_is_refused_at_once_and_nothing_is_started(
    capsys: pytest.CaptureFixture[str], workspace: Workspace
) -> None:
    write_profile(workspace.root, "[training.extra]\nnetwork_dimm = 8\n", base="runwayml/stable-diffusion-v1-5")
    picture = next(workspace.dataset("v1").rglob("*.png"))
    picture.write_text("no picture", encoding="utf-8")
    code, _, err = train(capsys)
    assert code == 3
    for what in ("network_dimm", "runwayml/stable-diffusion-v1-5", picture.name):
        assert what in err
    assert not list(workspace.root.rglob("console-*.log"))


def test_a_run_is_stopped_and_gone_on_with_from_elsewhere(
    capsys: pytest.CaptureFixture[str], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_night.slow(monkeypatch, 0.1)
    command = [sys.executable, "-m", "orchestrator", "train", *KOHYA, *NOBODY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as ours:
        state = workspace.run(NAME) / "lora" / f"{NAME}-000002-state" / "random_states_0.pkl"
        deadline = time.monotonic() + PATIENCE_S
        while not state.exists():
            assert time.monotonic() < deadline
            assert ours.poll() is None
            time.sleep(0.02)
        training_night.slow(monkeypatch, 10.0)  # epoch 3 is not to be over before it is stopped
        code, out, err = run(capsys, "runs", "stop", NAME)
        assert code == 0, err
        assert f"orchestrator runs resume {NAME}" in out
        ours.communicate(timeout=PATIENCE_S)
    record = read_record(workspace.run(NAME))
    assert record is not None
    assert record.status == "stopped"
    # What was made before is in the record although nobody but the log saw it.
    assert [file.epoch for file in record.files] == [2]
    assert record.attempts[-1].steps is not None and record.attempts[-1].steps[1] >= 12
    assert record.losses.keys() == {1, 2}

    # The profile may have moved on meanwhile.
    write_profile(workspace.root, "[training.extra]\nnoise_offset = 0.1\n")
    training_night.slow(monkeypatch, 0)
    code, out, err = run(capsys, "runs", "resume", NAME, *NOBODY)
    assert code == 0, err
    assert "goes on after epoch 2" in err
    assert "2 LoRA files" in out
    record = read_record(workspace.run(NAME))
    assert record is not None
    assert [attempt.kind for attempt in record.attempts] == ["new", "state"]
    _, out, _ = run(capsys, "runs", "show", NAME)
    assert "state of epoch 2" in out

    train(capsys)
    _, out, _ = run(capsys, "runs", "compare", NAME, f"{NAME}-2")
    (row,) = [line.split() for line in out.splitlines() if line.startswith("noise_offset")]
    assert row == ["noise_offset", "-", "0.1"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal to send to one process")
def test_ctrl_c_is_answered_with_where_it_goes_on(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    training_night.slow(monkeypatch, 0.5)
    command = [sys.executable, "-m", "orchestrator", "train", *KOHYA, *NOBODY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as ours:
        log = workspace.run(NAME) / "console-1.log"
        training_night.wait_for(lambda: "steps:" in log.read_text(encoding="utf-8"), "a first step")
        ours.send_signal(signal.SIGINT)
        said, _ = ours.communicate(timeout=PATIENCE_S)
    assert ours.returncode == 130
    assert said.rstrip().endswith("The same command goes on from epoch 1.")


def test_a_damaged_record_is_named_and_rebuilt(capsys: pytest.CaptureFixture[str], workspace: Workspace) -> None:
    assert train(capsys)[0] == 0
    (workspace.run(NAME) / "run.json").write_text("{", encoding="utf-8")
    code, out, err = run(capsys, "runs", "list")
    assert code == 0
    assert NAME not in out
    assert f"orchestrator runs rebuild {NAME}" in err
    assert run(capsys, "runs", "show", NAME)[0] == 3
    code, out, _ = run(capsys, "runs", "rebuild", NAME)
    assert code == 0
    assert f"{NAME}: finished, 2 LoRA files, 1 start." in out
    _, out, _ = run(capsys, "runs", "list")
    assert NAME in out
    assert "(finished before)" in train(capsys)[1]


def test_a_preset_of_the_gui_is_trained_with_the_profiles_pictures(
    capsys: pytest.CaptureFixture[str], workspace: Workspace
) -> None:
    code, out, err = train(capsys, "--from", PRESET, "--dry-run")
    assert code == 0, err
    assert "dropped: train_data_dir" in err or "dropped: output_dir" in err
    assert "ambiguous: max_grad_norm" in err
    for line in ('lr_scheduler = "cosine_with_restarts"', "min_snr_gamma = 5.0", '"conv_dim=8"', "clip_skip = 2"):
        assert line in out
    assert "12 epochs" in out
    assert str(workspace.root / "base.safetensors") in out


def test_a_preset_becomes_a_profile_that_trains_the_same(
    capsys: pytest.CaptureFixture[str], workspace: Workspace
) -> None:
    _, direct, _ = train(capsys, "--from", PRESET, "--dry-run")
    code, text, err = run(capsys, "train", *KOHYA, "--from", PRESET, "--as-profile")
    assert code == 0, err
    assert "ambiguous: subject.trigger" in err
    made = parse_profile(text, "made")
    assert (made.subject.name, made.subject.version) == ("girl", "v1")
    ours = load_profile(workspace.profile)
    base = str(ours.base.path)
    text = text.replace('name = "girl"', 'name = "ai_model"').replace(
        '"D:/sd/models/v1-5.safetensors"', json.dumps(base)
    )
    workspace.profile.write_text(text, encoding="utf-8")
    _, through, _ = train(capsys, "--dry-run")
    assert through.partition("# config.toml")[2] == direct.partition("# config.toml")[2]


def test_a_profile_from_a_lora_file_trains_the_same(capsys: pytest.CaptureFixture[str], workspace: Workspace) -> None:
    assert train(capsys)[0] == 0
    file = workspace.run(NAME) / "lora" / f"{NAME}.safetensors"
    code, text, err = run(capsys, "lora", "show", file, "--as-profile")
    assert code == 0
    assert "save_every" in err
    made = parse_profile(text, "made")
    assert (made.training.epochs, made.training.dim, made.dataset.resolution) == (4, 4, 64)
    assert run(capsys, "lora", "show", file, "--as-profile", "--json")[0] == 2
    assert run(capsys, "train", "--as-profile")[0] == 2


def test_the_card_is_freed_and_taken_again_beside_the_training(
    workspace: Workspace, sandbox_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    class Listening(A1111):
        def post(self, route: str, *args: object, **named: object) -> object:  # type: ignore[override]
            asked.append((route, threading.current_thread().name))
            return super().post(route, *args, **named)  # type: ignore[arg-type]

    install = kohya_install.find(SANDBOX, python=sys.executable)
    profile = load_profile(workspace.profile)
    base = workspace.root / "base.safetensors"
    with Listening(sandbox_server.url) as client:
        first = pipeline.train_version(profile, workspace, install, base, a1111=lambda: client)
        assert not first.reused
        assert [route.rpartition("/")[2] for route, _ in asked] == ["unload-checkpoint", "reload-checkpoint"]
        assert asked[0][1] != threading.current_thread().name
        again = pipeline.train_version(profile, workspace, install, base, a1111=lambda: client)
        assert again.reused
        assert len(asked) == 2


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_the_examples_of_the_page_are_profiles(number: int) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "train-overnight.md"
    blocks = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    parse_profile(blocks[number], page.name)


def test_every_command_on_the_pages_is_one() -> None:
    import click

    from orchestrator.cli import cli

    pages = [*(Path(__file__).parents[2] / "docs" / "how-to").glob("*.md")]
    found = [
        shlex.split(line.partition("   ")[0].partition(" > ")[0])[1:]
        for page in pages
        for line in page.read_text(encoding="utf-8").splitlines()
        if re.match(r"orchestrator (train|runs|lora) ", line)
    ]
    assert len(found) >= 10
    for words in found:
        command: click.Command | None = cli
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None
        command.make_parser(click.Context(command)).parse_args(words)
