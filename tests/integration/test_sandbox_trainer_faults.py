"""Faults of the simulated trainer happen where they were asked for, once, and leave what a real one leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import toml
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from orchestrator.sandbox import training_faults
from orchestrator.sandbox.training_faults import DONE, FAULTS, parse
from orchestrator.sandbox.training_memory import VRAM_MB

from .test_sandbox_trainer_run import ROOT, Outcome, Trainer, make_trainer


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return make_trainer(tmp_path)


def train(trainer: Trainer, faults: str, *flags: str, **changes: object) -> Outcome:
    """A run of 6 epochs with 8 steps each that saves everything after every second epoch."""
    whole = {"save_every_n_epochs": 2, "save_state": True, **changes}
    return trainer.train(*flags, environment={FAULTS: faults}, **whole)


@pytest.mark.parametrize(
    "text", ["stall", "boom@step:2", "oom@save:2", "nan@latents", "die@step", "die@state:2:other.bin", "stall:x@step:1"]
)
def test_a_fault_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ORCHESTRATOR_SANDBOX_TRAINER_FAULTS|could not convert"):
        parse(f"deaf, {text}")


def test_several_faults_are_read() -> None:
    read = parse("die:SIGTERM@step:5,disk@save:2, deaf,die@state:4")
    assert [(fault.kind, fault.argument, fault.point) for fault in read] == [
        ("die", "SIGTERM", "step:5"),
        ("disk", "", "save:2"),
        ("deaf", "", ""),
        ("die", "", "state:4:optimizer.bin"),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_death_happens_once_in_a_run_folder(trainer: Trainer) -> None:
    faults = "die:SIGSEGV@step:20"
    died = train(trainer, faults)
    assert died.code == -signal.SIGSEGV
    assert "19/48" in died.err
    assert "20/48" not in died.err
    assert (trainer.home / DONE).read_text(encoding="utf-8") == faults + "\n"
    state = trainer.out / "ai_model_v1-000002-state"
    resumed = train(trainer, faults, "--resume", str(state), "--initial_epoch", "3")
    assert resumed.code == 0, resumed.err[-600:]
    assert "32/48" in resumed.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_steps_are_those_of_the_whole_run_and_a_fault_named_twice_comes_twice(trainer: Trainer) -> None:
    assert train(trainer, "").code == 0
    resume = ("--resume", str(trainer.out / "ai_model_v1-000004-state"), "--initial_epoch", "5")
    faults = "die@step:40,die@step:40"
    for _ in range(2):
        died = train(trainer, faults, *resume)
        assert died.code == -signal.SIGKILL
        assert "7/48" in died.err
        assert "8/48" not in died.err
    assert train(trainer, faults, *resume).code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("fault", "left", "short"),
    [
        ("die@save:2", {"ai_model_v1-000002.safetensors"}, "ai_model_v1-000002.safetensors"),
        ("die@save:6", None, "ai_model_v1.safetensors"),
        ("die@state:2:random_states_0.pkl", None, "ai_model_v1-000002-state/random_states_0.pkl"),
        ("die@state:2", None, "ai_model_v1-000002-state/optimizer.bin"),
    ],
)
def test_a_death_while_saving_leaves_half_a_file(
    trainer: Trainer, fault: str, left: set[str] | None, short: str
) -> None:
    assert train(trainer, fault).code == -signal.SIGKILL
    half = (trainer.out / short).stat().st_size
    if left is not None:
        assert trainer.files() == left
    if short.endswith(".safetensors"):
        with pytest.raises(SafetensorError), safe_open(trainer.out / short, framework="np"):
            pass
    assert train(trainer, fault).code == 0
    assert 0 < half < (trainer.out / short).stat().st_size


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_death_between_the_last_state_and_the_last_file(trainer: Trainer) -> None:
    assert train(trainer, "die@final").code == -signal.SIGKILL
    assert (trainer.out / "ai_model_v1-state" / "random_states_0.pkl").is_file()
    assert "ai_model_v1.safetensors" not in trainer.files()


@pytest.mark.parametrize(
    ("fault", "last", "before"),
    [
        ("oom@step:5", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate", "4/48"),
        ("oom@latents", "torch.OutOfMemoryError: CUDA out of memory.", "caching latents..."),
        ("disk@save:2", "IoError(Os { code: 28", "saving checkpoint"),
        ("disk@state:2", "RuntimeError: [enforce fail at inline_container.cc", "saving state at epoch 2"),
        ("disk@state:2:model.safetensors", "IoError(Os { code: 28", "saving state at epoch 2"),
    ],
)
def test_a_full_card_and_a_full_disk_speak_the_real_words(trainer: Trainer, fault: str, last: str, before: str) -> None:
    done = train(trainer, fault)
    assert done.code == 1
    assert last in done.err.splitlines()[-1]
    assert before in done.out + done.err
    assert train(trainer, fault).code == 0


def test_the_loss_turns_to_nan_once_and_a_resume_gets_past_it(trainer: Trainer) -> None:
    assert train(trainer, "nan@step:20").code == 0
    good, bad = (load_file(trainer.out / f"ai_model_v1-{epoch}.safetensors") for epoch in ("000002", "000004"))
    assert all(np.isfinite(value).all() for value in good.values())
    assert not any(np.isfinite(value).any() for value in bad.values())
    state = str(trainer.out / "ai_model_v1-000002-state")
    again = train(trainer, "nan@step:20", "--resume", state, "--initial_epoch", "3")
    assert "avr_loss=nan" not in again.err
    assert all(np.isfinite(value).all() for value in load_file(trainer.out / "ai_model_v1.safetensors").values())


def test_nan_in_one_file_while_the_loss_is_fine(trainer: Trainer) -> None:
    done = train(trainer, "nan@save:4")
    assert "avr_loss=nan" not in done.err
    wrong = [
        path.name
        for path in sorted(trainer.out.glob("*.safetensors"))
        if not all(np.isfinite(value).all() for value in load_file(path).values())
    ]
    assert wrong == ["ai_model_v1-000004.safetensors"]


def started(trainer: Trainer, faults: str) -> psutil.Popen:
    """A trainer whose console goes to `console.log`, when its bar is there."""
    config, log = trainer.home / "config.toml", trainer.home / "console.log"
    config.write_text(toml.dumps(trainer.settings(save_every_n_epochs=1)), encoding="utf-8")
    environment = {**os.environ, "PYTHONUTF8": "1", FAULTS: faults, "ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0.02"}
    with log.open("wb") as stream:
        child = psutil.Popen(
            [sys.executable, str(ROOT / "train_network.py"), "--config_file", str(config)],
            stdout=stream, stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip
    until = time.monotonic() + 30
    while b"steps:" not in log.read_bytes() and time.monotonic() < until:
        time.sleep(0.02)
    return child


def test_a_stall_goes_on_for_ever_or_as_long_as_was_asked(trainer: Trainer) -> None:
    child = started(trainer, "stall@step:12")
    try:
        until = time.monotonic() + 30
        while b" 11/48" not in (trainer.home / "console.log").read_bytes() and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.2)
        assert child.poll() is None
        assert b" 12/48" not in (trainer.home / "console.log").read_bytes()
    finally:
        child.kill()
        child.wait()
    assert train(trainer, "stall:0.1@save:2").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_deaf_trainer_hears_only_a_kill(trainer: Trainer) -> None:
    child = started(trainer, "deaf,stall@step:3")
    child.terminate()
    with pytest.raises(psutil.TimeoutExpired):
        child.wait(timeout=0.4)
    child.kill()
    assert child.wait() == -signal.SIGKILL


def test_a_slow_save_leaves_half_a_file_for_a_while(trainer: Trainer) -> None:
    child = started(trainer, "slow-save:30")
    file = trainer.out / "ai_model_v1-000001.safetensors"
    try:
        until = time.monotonic() + 30
        while not (file.is_file() and file.stat().st_size) and time.monotonic() < until:
            time.sleep(0.02)
        with pytest.raises(SafetensorError), safe_open(file, framework="np"):
            pass
    finally:
        child.kill()
        child.wait()


# ── a card of a size ─────────────────────────────────────────────────────────────────────────────────────────────────

#: What a run asks for → the smallest card of those sold that takes it.
NEEDS = {
    6: {"gradient_checkpointing": True, "optimizer_type": "AdamW8bit"},
    8: {"optimizer_type": "AdamW8bit"},
    12: {"train_batch_size": 2, "optimizer_type": "AdamW8bit"},
}


@pytest.mark.parametrize("gigabytes", NEEDS)
def test_a_card_takes_what_fits_it(trainer: Trainer, gigabytes: int) -> None:
    def ends(card_mb: int) -> Outcome:
        settings = {"resolution": "512", "network_dim": 32, "max_train_epochs": 1, **NEEDS[gigabytes]}
        return trainer.train(environment={VRAM_MB: str(card_mb)}, **settings)

    smaller = max([size for size in (4, *NEEDS) if size < gigabytes]) * 1024
    full = ends(smaller if gigabytes > 6 else 3500)
    assert full.code == 1
    assert "torch.OutOfMemoryError: CUDA out of memory" in full.err.splitlines()[-1]
    assert "steps:   0%" in full.err
    assert ends(gigabytes * 1024).code == 0


def test_encoding_many_pictures_at_once_fills_a_card_before_the_first_step(trainer: Trainer) -> None:
    settings = {"resolution": "512", "vae_batch_size": 8, "gradient_checkpointing": True, "max_train_epochs": 1}
    full = trainer.train(environment={VRAM_MB: "6144"}, **settings)
    assert "torch.OutOfMemoryError" in full.err.splitlines()[-1]
    assert "steps:" not in full.err
    assert trainer.train(environment={VRAM_MB: "6144"}, **{**settings, "vae_batch_size": 1}).code == 0


def test_nothing_is_struck_without_being_asked(tmp_path: Path) -> None:
    nothing = training_faults.Faults((), tmp_path / DONE)
    nothing.strike("step:1")
    assert not nothing.turns_to_nan("step:1")
    assert not (tmp_path / DONE).exists()
