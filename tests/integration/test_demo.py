"""The story played end to end by one command, and played again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
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


def test_the_race_is_told_and_keeps_to_its_budget(played: tuple[Path, str]) -> None:
    verdict = json.loads((played[0] / "evaluations" / "v4" / "verdict.json").read_text(encoding="utf-8"))
    race = verdict["race"]
    assert race["pictures"] <= race["budget"] == 340
    assert race["looks"][0]["cells"] == 16
    assert (verdict["outcome"] == "single best") == race["confirmed"]
    (winner,) = [cell for cell in verdict["cells"] if cell["cell"] == verdict["recommended"]]
    measured = {figure["metric"]: figure for figure in winner["figures"]}
    assert {"identity", "copying", "diversity", "face missing", "two faces", "collapse", "sharpness"} <= set(measured)
    assert measured["collapse"]["mean"] == measured["two faces"]["mean"] == 0.0


def test_votes_are_given_over_http_and_told_by_the_command(played: tuple[Path, str]) -> None:
    folder = played[0]
    command = [sys.executable, "-m", "orchestrator", "vote", "-w", str(folder), "--votes", "12", "--no-browser"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    assert child.stderr is not None
    url = urlsplit(child.stderr.readline().split()[2])
    headers = {"X-Token": parse_qs(url.query)["token"][0]}
    with httpx.Client(base_url=f"http://{url.netloc}", headers=headers, timeout=20) as browser:
        state = browser.get("/state").json()
        assert (state["number"], state["of"]) == (0, 12)
        for number in range(5):
            state = browser.post("/vote", json={"number": number, "answer": "left" if number % 2 else "tie"}).json()
        assert state["number"] == 5
        browser.post("/enough")
    out, _ = child.communicate(timeout=30)
    assert child.returncode == 0
    assert out.startswith("You prefer epoch ")
    assert "metric" not in out, "five votes say nothing of a metric"
    told = subprocess.run(
        [*command[:-3], "--result", "--json"], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert json.loads(told.stdout)["votes"] == 5


def test_the_winner_is_published_with_its_card(played: tuple[Path, str], tmp_path: Path) -> None:
    folder = played[0]
    verdict = json.loads((folder / "evaluations" / "v4" / "verdict.json").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "orchestrator", "publish", "clean_name", "-w", str(folder), "--to", str(tmp_path)]
    for there in ("", " (there already)"):
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
        assert f"clean_name.safetensors{there}\n" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        "clean_name.safetensors", "clean_name.json", "clean_name.preview.png",
    }  # fmt: skip
    assert (
        json.loads((tmp_path / "clean_name.json").read_text(encoding="utf-8"))["preferred weight"]
        == (verdict["recommended"]["weight"])
    )
    given = folder / "published" / "clean_name"
    card = (given / "README.md").read_text(encoding="utf-8")
    assert "*Simulated:" in card
    assert verdict["sentences"][0] in card
    assert "Trigger word**: `ai_model_v4`" in card
    assert len(list((given / "samples").glob("*.png"))) == 6
    site = json.loads((given / "civitai.json").read_text(encoding="utf-8"))
    assert all("hand" in image["meta"]["prompt"] or "arms" in image["meta"]["prompt"] for image in site["images"])


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
