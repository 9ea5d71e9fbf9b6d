"""The story played end to end by one command, and played again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.demo_runs import drawn, play
from tests.integration.faces import require_faces

require_faces()


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
    assert "[ok] ready: nothing will be locked in" in out


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
