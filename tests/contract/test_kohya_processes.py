"""Starting and ending: what arrives when on the console, and what dies with what."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator import processes
from tests.contract.kohya_subject import Kohya, names

#: Long enough that nothing ends before it is ended.
_ENDLESS = {"max_train_epochs": 100_000, "save_every_n_epochs": 1, "save_last_n_epochs": 3}
_STEP = {"ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0.05"}
_WAIT_S = 600
_LAUNCHER = (
    "-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", "1", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no",
)  # fmt: skip


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + _WAIT_S
    while not what():
        assert time.monotonic() < end, "waited for nothing"
        time.sleep(0.05)


@pytest.fixture
def start(kohya: Kohya, tmp_path: Path) -> Iterator[Callable[..., processes.Child]]:
    """Start a run without an end, by our own means; whatever is left of it is ended after the test."""
    begun: list[processes.Child] = []

    def starting(*before: str, **environment: str) -> processes.Child:
        kohya.needs_a_model()
        config = kohya.config(tmp_path, **_ENDLESS)
        argv = [str(kohya.install.python), *before, str(kohya.install.script), "--config_file", str(config)]
        child = processes.start(
            argv, folder=kohya.install.root, environment=kohya.environment(**_STEP, **environment),
            log=tmp_path / "console.log",
        )  # fmt: skip
        begun.append(child)
        return child

    yield starting
    for process in psutil.process_iter(["cmdline"]):
        if str(tmp_path / "config.toml") in (process.info["cmdline"] or []):
            process.kill()
    for child in begun:
        child.popen.wait()


def log(folder: Path) -> str:
    return (folder / "console.log").read_text(encoding="utf-8", errors="replace")


def test_epochs_arrive_at_once_only_when_unbuffered(
    kohya: Kohya, tmp_path: Path, start: Callable[..., processes.Child]
) -> None:
    """Trap: off a terminal stdout waits for a full block; a kill loses epochs and saved files. We set
    PYTHONUNBUFFERED.
    """
    child = start()
    until(lambda: "contract-000002.safetensors" in names(tmp_path))
    assert "epoch 2/" not in log(tmp_path)
    processes.stop_tree(child.identity, grace_s=0)
    child.popen.wait()
    assert "epoch 2/" not in log(tmp_path)
    again = start(PYTHONUNBUFFERED="1")
    until(lambda: "\nepoch 2/" in log(tmp_path))
    processes.stop_tree(again.identity, grace_s=0)


def test_a_stopped_trainer_dies_at_once_and_saves_nothing_more(
    kohya: Kohya, tmp_path: Path, start: Callable[..., processes.Child]
) -> None:
    child = start(PYTHONUNBUFFERED="1")
    until(lambda: "steps:" in log(tmp_path))
    child.popen.terminate()
    code = child.popen.wait(timeout=10)
    assert code == (1 if sys.platform == "win32" else -15)
    assert "contract.safetensors" not in names(tmp_path)
    assert "Traceback" not in log(tmp_path)


def test_a_launchers_failure_is_one_whatever_the_trainers_was(kohya: Kohya, tmp_path: Path) -> None:
    """Trap: two tracebacks, of which the first tells; the trainer's code stands only in the text of the second."""
    config = kohya.config(tmp_path, resolution=512)
    done = kohya.run([*_LAUNCHER, str(kohya.install.script), "--config_file", str(config)])
    assert done.code == 1
    assert done.err.count("Traceback (most recent call last):") == 2
    assert re.search(r"CalledProcessError: Command .* returned non-zero exit status 1", done.err)
    assert "were not passed to `accelerate launch`" not in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_launcher_ended_alone_leaves_an_orphan_and_our_stop_does_not(
    kohya: Kohya, tmp_path: Path, start: Callable[..., processes.Child]
) -> None:
    """Trap: the trainer goes on and saves. So the whole tree is ended, never the first process alone."""
    child = start(*_LAUNCHER, PYTHONUNBUFFERED="1")
    until(lambda: "contract-000001.safetensors" in names(tmp_path))
    (trainer,) = (one for one in psutil.Process(child.identity.pid).children(recursive=True) if _trains(one))
    os.kill(child.identity.pid, 15)
    child.popen.wait(timeout=10)
    before = names(tmp_path)
    until(lambda: names(tmp_path) != before)
    assert trainer.is_running()
    trainer.kill()
    until(lambda: not trainer.is_running() or trainer.status() == psutil.STATUS_ZOMBIE)
    whole = start(*_LAUNCHER, PYTHONUNBUFFERED="1")
    until(lambda: "steps:" in log(tmp_path))
    family = [psutil.Process(whole.identity.pid), *psutil.Process(whole.identity.pid).children(recursive=True)]
    assert processes.stop_tree(whole.identity)
    whole.popen.wait(timeout=10)
    assert [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


def _trains(process: psutil.Process) -> bool:
    return any(part.endswith("train_network.py") for part in process.cmdline())


def test_a_console_without_japanese_ends_the_run(kohya: Kohya, tmp_path: Path) -> None:
    """Trap: a Windows pipe has the code page of the system. We say UTF-8 in the environment."""
    kohya.needs_a_model()
    done = kohya.train(tmp_path, environment={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, max_train_epochs=1)
    assert done.code == 1
    assert "UnicodeEncodeError" in done.last_words


def test_a_japanese_console_speaks_its_own_bytes(kohya: Kohya, tmp_path: Path) -> None:
    kohya.needs_a_model()
    config = kohya.config(tmp_path, max_train_epochs=1)
    done = subprocess.run(
        [str(kohya.install.python), str(kohya.install.script), "--config_file", str(config)],
        cwd=kohya.install.root, env=kohya.environment(PYTHONUTF8="0", PYTHONIOENCODING="cp932"),
        capture_output=True, timeout=_WAIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-1000:]
    assert "学習開始".encode("cp932") in done.stdout
    assert b"|##########| 1/1" in done.stderr
