"""The demo stopped and killed, and a world in which nothing is best."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.integration.demo_runs import COMMAND, drawn, play, small_profile


def test_stopped_by_ctrl_c_and_killed_in_the_training_the_same_command_finishes_it(ugly_path: Path) -> None:
    folder, more = ugly_path / "demo", ("--profile", str(small_profile(ugly_path)))
    group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if sys.platform == "win32" else {}
    child = subprocess.Popen(
        [*COMMAND, "--folder", str(folder), *more], stderr=subprocess.PIPE, text=True, encoding="utf-8", **group
    )
    wait_for(lambda: drawn(folder) >= 5, child)
    child.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Stopped. Everything made so far is kept" in err
    assert "Traceback" not in err
    kept = pictures(folder)
    assert kept
    environment = {**os.environ, "ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0.05"}
    child = subprocess.Popen([*COMMAND, "--folder", str(folder), *more], stderr=subprocess.DEVNULL, env=environment)
    wait_for(lambda: any((folder / "runs").glob("*/lora/*-000010.safetensors")), child)
    psutil.Process(child.pid).kill()
    child.wait()
    kept_too = pictures(folder)
    assert kept.items() <= kept_too.items(), "what was there at Ctrl-C was not drawn again"
    again = play(folder, *more)
    assert again.returncode == 0, again.stderr
    assert kept_too.items() <= pictures(folder).items(), "nor what was there when it was killed"
    run = json.loads((folder / "runs" / "ai_model_v3" / "run.json").read_text(encoding="utf-8"))
    assert run["status"] == "finished"
    assert [file["epoch"] for file in run["files"]] == [10, 20]


def test_where_all_cells_are_equal_nobody_is_called_the_best(ugly_path: Path) -> None:
    done = play(ugly_path / "demo", "--world", "equal", "--profile", str(small_profile(ugly_path, keep=3)))
    assert done.returncode == 0, done.stderr
    path = ugly_path / "demo" / "evaluations" / "v4" / "verdict.json"
    verdict = json.loads(path.read_text(encoding="utf-8"))
    assert verdict["outcome"] != "single best"


def pictures(folder: Path) -> dict[str, int]:
    """Every picture in the workspace's memory, and when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / ".orchestrator").rglob("*.png")}


def wait_for(what: object, child: subprocess.Popen[str] | subprocess.Popen[bytes], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert child.poll() is None, "the demo ended before it could be stopped"
        assert time.monotonic() < until
        time.sleep(0.05)
