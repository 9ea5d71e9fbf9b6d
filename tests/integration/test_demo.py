"""The story played end to end by one command, stopped, killed, and played again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.profile.shipped import find_profile

pytest.importorskip("mediapipe")
COMMAND = [sys.executable, "-m", "orchestrator", "demo"]


def small_profile(folder: Path) -> Path:
    """The demo's profile with fewer pictures, epochs and cells: the same story in a quarter of a minute."""
    text = find_profile("demo").read_text(encoding="utf-8")
    for wide, narrow in [
        ("count = 10", "count = 4"),
        ("epochs = 80", "epochs = 20"),
        ("seeds = [123456789, 123123123]", "seeds = [123456789]"),
        (r"epochs = \[20, 40, 60, 80\]", "epochs = [10, 20]"),
        (r"weights = \[0.*\]", "weights = [0.6, 1.0]"),
        ("candidates = 16", "candidates = 6"),
        ("keep = 5", "keep = 3"),
    ]:
        text = re.sub(wide, narrow, text)
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


def play(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--folder", str(folder), *more], capture_output=True, text=True, encoding="utf-8", check=False
    )


def drawn(folder: Path) -> int:
    return len(list((folder / ".orchestrator" / "cache" / "pictures").rglob("*.png")))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo as shipped, played from nothing in a folder with an ugly name."""
    folder = tmp_path_factory.mktemp("it's a 'demo' 初音") / "demo"
    done = play(folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_v3_is_seen_to_lock_the_tilt_in_and_v4_is_clean(played: tuple[Path, str]) -> None:
    folder, out = played
    v3 = json.loads((folder / "dataset" / "v3.check.json").read_text(encoding="utf-8"))
    v4 = json.loads((folder / "dataset" / "v4.check.json").read_text(encoding="utf-8"))
    locked = [f for f in v3["findings"] if f["level"] == "locked in"]
    assert any("lean clockwise" in f["what"] and f["group"] == "close-up" for f in locked)
    assert v4["clean"]
    assert [g["count"] for g in v4["groups"]] == [10, 10, 10]
    assert "Nothing will be locked in." in out


def test_the_lora_of_v3_leans_and_that_of_v4_does_not(played: tuple[Path, str]) -> None:
    report = json.loads((played[0] / "reports" / "v4" / "report.json").read_text(encoding="utf-8"))
    mean = {row["version"]: sum(row["rolls"]) / len(row["rolls"]) for row in report["tilt"] if row["kind"] == "lora"}
    assert mean["v3"] > mean["v4"] + 3


def test_the_verdict_finds_the_region_the_simulated_world_has(played: tuple[Path, str]) -> None:
    folder, out = played
    verdict = json.loads((folder / "evaluations" / "v4" / "verdict.json").read_text(encoding="utf-8"))
    best = [(cell["epoch"], cell["weight"]) for cell in verdict["may_be_best"]]
    assert (60, 0.8) in best or (40, 0.8) in best
    assert (20, 0.4) not in best
    assert (80, 1.0) not in best
    assert len(verdict["sentences"]) == 2
    assert all(sentence in out for sentence in verdict["sentences"])
    assert any("another face" in sentence for sentence in verdict["trade_offs"])
    assert any("training pose wins" in sentence for sentence in verdict["trade_offs"])


def test_everything_shown_says_simulated(played: tuple[Path, str]) -> None:
    folder, out = played
    assert "simulated" in out
    assert "imulated" in (folder / "reports" / "v4" / "index.html").read_text(encoding="utf-8")
    for manifest in folder.glob("grids/*/manifest.json"):
        assert json.loads(manifest.read_text(encoding="utf-8"))["simulated"] is True


def test_every_picture_of_the_rounds_can_be_traced(played: tuple[Path, str]) -> None:
    folder = played[0]
    observations = json.loads((folder / "evaluations" / "v4" / "observations.json").read_text(encoding="utf-8"))
    run = json.loads((folder / "runs" / "ai_model_v4" / "run.json").read_text(encoding="utf-8"))
    files = {file["sha256"]: file["epoch"] for file in run["files"]}
    for each in observations["observations"]:
        record = json.loads(Path(each["path"]).with_suffix(".json").read_text(encoding="utf-8"))
        assert record["recipe"]["seed"] == each["seed"] == record["proof"]["seed"]
        loras = record["recipe"]["loras"]
        assert [files[lora["sha256"]] for lora in loras] == ([each["cell"]["epoch"]] if each["cell"]["epoch"] else [])
        assert set(record["proof"]["lora_hashes"]) == {lora["stem"] for lora in loras}


def test_again_everything_comes_from_the_cache(played: tuple[Path, str]) -> None:
    folder, out = played
    before = drawn(folder)
    pages = (folder / "evaluations" / "v4" / "verdict.json").read_bytes()
    again = play(folder)
    assert again.returncode == 0, again.stderr
    assert drawn(folder) == before
    assert (folder / "evaluations" / "v4" / "verdict.json").read_bytes() == pages
    assert again.stdout.splitlines()[-1] == out.splitlines()[-1]
    assert len(list((folder / "runs").iterdir())) == 2


def test_ctrl_c_keeps_what_is_made_and_the_same_command_goes_on(ugly_path: Path) -> None:
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
    kept = {path.name: path.stat().st_mtime_ns for path in (folder / ".orchestrator").rglob("*.png")}
    assert kept
    again = play(folder, *more)
    assert again.returncode == 0, again.stderr
    now = {path.name: path.stat().st_mtime_ns for path in (folder / ".orchestrator").rglob("*.png")}
    assert kept.items() <= now.items()


def test_killed_in_the_training_the_same_command_finishes_it(ugly_path: Path) -> None:
    folder, more = ugly_path / "demo", ("--profile", str(small_profile(ugly_path)))
    environment = {**os.environ, "ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0.05"}
    child = subprocess.Popen([*COMMAND, "--folder", str(folder), *more], stderr=subprocess.DEVNULL, env=environment)
    wait_for(lambda: any((folder / "runs").glob("*/lora/*-000010.safetensors")), child)
    psutil.Process(child.pid).kill()
    child.wait()
    again = play(folder, *more)
    assert again.returncode == 0, again.stderr
    run = json.loads((folder / "runs" / "ai_model_v3" / "run.json").read_text(encoding="utf-8"))
    assert run["status"] == "finished"
    assert [file["epoch"] for file in run["files"]] == [10, 20]


def test_where_all_cells_are_equal_nobody_is_called_the_best(ugly_path: Path) -> None:
    done = play(ugly_path / "demo", "--world", "equal", "--profile", str(small_profile(ugly_path)))
    assert done.returncode == 0, done.stderr
    path = ugly_path / "demo" / "evaluations" / "v4" / "verdict.json"
    verdict = json.loads(path.read_text(encoding="utf-8"))
    assert verdict["outcome"] != "single best"


def wait_for(what: object, child: subprocess.Popen[str] | subprocess.Popen[bytes], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert child.poll() is None, "the demo ended before it could be stopped"
        assert time.monotonic() < until
        time.sleep(0.05)
