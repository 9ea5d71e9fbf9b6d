"""`orchestrator pictures make|vary|ramp|sheet|pick` as a person types them, on the simulated server."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.__main__ import main
from orchestrator.a1111.client import A1111
from orchestrator.errors import ServerError
from orchestrator.files import picture_files, read_json, sha256_file
from orchestrator.render.engine import Renderer
from orchestrator.sandbox.server import RunningServer
from orchestrator.workspace import Workspace
from tests.integration.conftest import StartServer
from tests.integration.faces import require_faces

pytestmark = pytest.mark.usefixtures("measuring_kept")

PROFILE = """
[subject]
name = "ai_model"
version = "v3"

[generation]
width = 256
height = 256
steps = 4

[[pictures]]
name = "close-up"
prompt = "ai_model_v2, close-up"
count = 3
loras = [{ name = "ai_model_v2-000040", weight = 1.0 }]

[[pictures]]
name = "varied"
source = "close-up"
prompt = "ai_model_v2, close-up"
changes = ["smile", "red sweater"]
seeds_each = 2

[[pictures]]
name = "best"
picked = true

[[pictures]]
name = "best varied"
source = "best"
prompt = "{trigger}"

[[dataset.groups]]
name = "best"
sets = ["best"]
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    workspace = Workspace(ugly_path / "ws")
    workspace.root.mkdir()
    workspace.profile.write_text(PROFILE, encoding="utf-8")
    return workspace


@pytest.fixture
def run(
    workspace: Workspace,
    sandbox_server: RunningServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs `orchestrator pictures …` in the workspace; gives exit code, answer and what was said beside it."""
    monkeypatch.setenv("ORCHESTRATOR_A1111_URL", sandbox_server.url)
    monkeypatch.chdir(workspace.root)

    def command(*arguments: object) -> tuple[int, str, str]:
        code = main(["pictures", *map(str, arguments)])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return code, captured.out, captured.err

    return command


def entries(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_json(workspace.picture_set(name) / "manifest.json")["pictures"]
    return found


#: What is drawn with and without each LoRA file before it is trusted.
CANARY = "portrait of a person"


def drawn_by(server: RunningServer, run: Run, *arguments: object) -> tuple[int, str, str, int]:
    """As `run`, and how many pictures the server really drew for it. Tiny ones only make it load or
    forget, or try a LoRA once.
    """
    before = counted(server)
    code, out, err = run(*arguments)
    return code, out, err, counted(server) - before


def counted(server: RunningServer) -> int:
    ledger = Path(server.home) / "drawn.jsonl"
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.is_file() else []
    return sum(entry["steps"] > 1 and CANARY not in entry["prompt"] for entry in map(json.loads, lines))


def test_make_says_the_price_and_answers_in_json(run: Run, workspace: Workspace) -> None:
    code, out, err = run("make", "close-up", "varied", "--json")
    assert code == 0
    assert "2 sets to make: 15 pictures\n" in err, "the time is not said before any was measured"
    made = json.loads(out)
    assert [(one["set"], len(one["pictures"]), one["drawn"]) for one in made] == [
        ("close-up", 3, 3),
        ("varied", 12, 12),
    ]
    varied = entries(workspace, "varied")
    assert {(e["source"], e["change"], e["seed"]) for e in varied} == {
        (f"close-up/{n:04d}.png", change, seed)
        for n in (1, 2, 3)
        for change in ("smile", "red sweater")
        for seed in (1, 2)
    }
    assert all(e["recipe"]["prompt"].endswith(e["change"]) for e in varied)
    workspace.profile.write_text(PROFILE.replace("count = 3", "count = 5"), encoding="utf-8")
    _, _, err = run("make", "close-up")
    assert "1 set to make: 5 pictures, 3 of them already made, ~" in err
    _, _, err = run("make", "close-up")
    assert "to make" not in err


def test_batches_masks_and_extensions_reach_the_server(run: Run, workspace: Workspace) -> None:
    mask = Image.new("L", (256, 256), 0)
    mask.paste(255, (0, 0, 256, 128))
    mask.save(workspace.root / "upper half.png")
    text = PROFILE.replace("count = 3", "count = 5\nbatch_size = 2").replace(
        "seeds_each = 2", 'seeds_each = 2\nmask = "upper half.png"\nmask_blur = 0\ndenoising_strength = 0.9'
    )
    workspace.profile.write_text(text, encoding="utf-8")
    assert run("make", "close-up", "varied")[0] == 0
    recipes = [entry["recipe"] for entry in entries(workspace, "close-up")]
    assert [(r["batch_size"], r["batch_position"], r["seed"]) for r in recipes] == [
        (2, 0, 1), (2, 1, 2), (2, 0, 3), (2, 1, 4), (1, 0, 5),
    ]  # fmt: skip
    assert len({e["sha256"] for e in entries(workspace, "close-up")}) == 5
    recipe = entries(workspace, "varied")[0]["recipe"]
    assert recipe["mask_sha256"] == sha256_file(workspace.root / "upper half.png")
    Image.new("L", (256, 256), 0).save(workspace.root / "upper half.png")
    code, _, err = run("make", "varied")
    assert code == 3
    assert "all black" in err
    plain = entries(workspace, "close-up")[4]["sha256"]
    detailed = 'count = 5\nalwayson_scripts = { ADetailer = { args = [true, { ad_model = "face_yolov8n.pt" }] } }'
    workspace.profile.write_text(PROFILE.replace("count = 3", detailed), encoding="utf-8")
    assert run("make", "close-up")[0] == 0
    entry = entries(workspace, "close-up")[4]
    assert json.loads(entry["recipe"]["alwayson_scripts"])["ADetailer"]["args"][1] == {"ad_model": "face_yolov8n.pt"}
    assert entry["sha256"] != plain, "the extension has drawn on it"
    workspace.profile.write_text(
        PROFILE.replace("count = 3", detailed.replace("ADetailer", "NoSuchScript")), encoding="utf-8"
    )
    code, _, err = run("make", "close-up")
    assert code in (3, 5)
    assert "NoSuchScript" in err


def test_a_picture_that_fails_is_said_and_tried_again(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("ramp", "--prompt", "(smile:0.5..1.5)", "--count", 2, "--seeds", 3, "--first-seed", 1, "--json")
    drawing = A1111.txt2img

    def fails(self: A1111, payload: dict[str, Any], **more: Any) -> Any:
        if payload["seed"] == 2 and ":0.5)" in payload["prompt"]:
            raise ServerError("/sdapi/v1/txt2img", 500, "NansException", "NaN in the Unet")
        return drawing(self, payload, **more)

    monkeypatch.setattr(A1111, "txt2img", fails)
    code, out, err = run(*command)
    assert code == 5
    assert "1 picture failed; the same command tries it again." in err
    result = json.loads(out)
    assert [shot["file"] for shot in result["shots"] if "NaN" in shot["error"]] == ["0002.png"]
    assert [(setting["drawn"], setting["failed"]) for setting in result["settings"]] == [(2, 1), (3, 0)]
    folder = workspace.picture_set("ramp smile")
    assert [path.name for path in picture_files(folder)] == ["0001.png", "0003.png", "0004.png", "0005.png", "0006.png"]
    with Image.open(result["sheet"]) as sheet:
        assert (251, 233, 231) in {colour for _, colour in sheet.convert("RGB").getcolors(1 << 24) or ()}
    monkeypatch.setattr(A1111, "txt2img", drawing)
    code, out, _ = run(*command)
    assert code == 0
    assert len(picture_files(folder)) == 6


def test_a_weight_ramp_from_the_prompt_to_the_sheet(
    run: Run, workspace: Workspace, sandbox_server: RunningServer
) -> None:
    command = (
        "ramp", "--prompt", "<lora:ai_model_v2-000040:0.3..0.9>, ai_model_v2, upper body, (hand raised:1…1.4)",
        "--count", 2, "--seeds", 3, "--expects", "hand raised",
    )  # fmt: skip
    code, out, err, drawn = drawn_by(sandbox_server, run, *command)
    assert code == 0
    assert "4 settings × 3 seeds = 12 pictures" in err
    assert drawn == 12
    assert "ai_model_v2-000040 0.9, hand raised 1.4" in out
    assert out.count(" of 3 ") == 4
    found = entries(workspace, "ramp ai_model_v2-000040 hand raised")
    assert [entry["file"] for entry in found] == [f"{n:04d}.png" for n in range(1, 13)]
    first = found[0]["seed"]
    assert [entry["seed"] for entry in found] == [first, first + 1, first + 2] * 4, "every setting has the same seeds"
    assert {entry["recipe"]["loras"][0]["weight"] for entry in found} == {0.3, 0.9}
    assert not any("<lora" in entry["recipe"]["prompt"] for entry in found)
    # The same command keeps to its seeds; and with the seeds it says, another ramp gets the same pictures.
    code, again, _, drawn = drawn_by(sandbox_server, run, *command)
    assert (code, again, drawn) == (0, out, 0)
    _, out, _, drawn = drawn_by(sandbox_server, run, *command, "--first-seed", first, "--name", "other", "--json")
    assert drawn == 0
    result = json.loads(out)
    assert Path(result["sheet"]).is_file()
    for setting in result["settings"]:
        hits = setting["hits"]
        assert hits["measured"] == 3
        assert hits["low"] <= hits["hits"] / 3 == hits["rate"] <= hits["high"]
    assert [e["sha256"] for e in entries(workspace, "other")] == [e["sha256"] for e in found]


def test_without_a_judge_no_hit_is_claimed(
    run: Run, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_A1111_URL", start_server(tagger="none").url)
    arguments = ("ramp", "--prompt", "(smile:0.5..1.5)", "--count", 2, "--seeds", 1, "--name", "judgeless")
    code, out, _ = run(*arguments, "--expects", "smile", "--json")
    result = json.loads(out)
    assert code == 0
    if "not measured" in " ".join(result["notes"]):
        assert all(setting["hits"]["rate"] is None for setting in result["settings"])
        assert all(setting["hits"]["low"] is None for setting in result["settings"])
    code, out, _ = run(*arguments, "--json")
    assert all(setting["hits"] is None for setting in json.loads(out)["settings"])


def test_a_denoise_ramp_marks_where_the_person_is_lost(run: Run, workspace: Workspace) -> None:
    require_faces()
    workspace.profile.write_text(PROFILE.replace("= 256", "= 512"), encoding="utf-8")
    assert run("make", "close-up")[0] == 0
    arguments = ("ramp", "--source", "close-up", "--prompt", "{trigger}, close-up", "--denoise", "0.1…0.9")
    code, out, _ = run(*arguments, "--count", 3, "--seeds", 1, "--first-seed", 5, "--json")
    assert code == 0
    result = json.loads(out)
    assert result["sources"] == ["close-up/0001.png", "close-up/0002.png", "close-up/0003.png"]
    by_denoise = {0.1: set(), 0.5: set(), 0.9: set()}
    for shot in result["shots"]:
        by_denoise[result["settings"][shot["setting"]]["denoise"]].add(shot["person"]["state"])
    assert by_denoise[0.1] == {"held"}
    assert by_denoise[0.9] == {"lost"}
    assert all(loss["holds_up_to"] < loss["lost_from"] for loss in result["losses"])
    assert all(entry["recipe"]["prompt"] == "ai_model_v3, close-up" for entry in entries(workspace, "ramp denoise"))
    # Redrawn from what is kept.
    sheet = Path(result["sheet"])
    sheet.unlink()
    assert run("sheet", "ramp denoise")[0] == 0
    assert sheet.is_file()


def test_ctrl_c_keeps_what_is_there_and_the_same_command_goes_on(
    run: Run, workspace: Workspace, sandbox_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("ramp", "--prompt", "(smile:0.5..1.5)", "--count", 2, "--seeds", 4)
    whole = Renderer.render

    def interrupted(self: Renderer, recipes: Any, on_picture: Any = None) -> Any:
        whole(self, recipes[:3], on_picture)
        raise KeyboardInterrupt

    monkeypatch.setattr(Renderer, "render", interrupted)
    code, _, _, drawn = drawn_by(sandbox_server, run, *command)
    assert (code, drawn) == (130, 3)
    monkeypatch.undo()
    monkeypatch.setenv("ORCHESTRATOR_A1111_URL", sandbox_server.url)
    monkeypatch.chdir(workspace.root)
    code, _, err, drawn = drawn_by(sandbox_server, run, *command)
    assert (code, drawn) == (0, 5)
    assert "8 pictures, 3 of them already made" in err


def test_variations_of_files_of_any_shape(run: Run, workspace: Workspace, ugly_path: Path) -> None:
    assert run("make", "close-up")[0] == 0
    folder = ugly_path / "mine 写真"
    folder.mkdir()
    with Image.open(workspace.picture_set("close-up") / "0001.png") as image:
        image.convert("RGB").resize((300, 600)).save(folder / "tall.jpg")
    command = ("vary", folder, "close-up", "--prompt", "<lora:ai_model_v2-000040:0.8> ai_model_v2", "--change", "smile")
    code, out, err = run(*command, "--change", "hat", "--seeds", 2, "--denoise", 0.3, "--into", "mine varied")
    assert code == 0
    assert "4 pictures × 2 changes × 2 seeds = 16 pictures" in err
    found = entries(workspace, "mine varied")
    assert len(found) == 16
    tall = [entry for entry in found if entry["source"].endswith("tall.jpg")]
    assert len(tall) == 4
    assert {(e["recipe"]["width"], e["recipe"]["height"]) for e in tall} == {(184, 360)}, "not squeezed into a square"
    assert {e["source_sha256"] for e in tall} == {sha256_file(folder / "tall.jpg")}
    assert {e["recipe"]["loras"][0]["weight"] for e in found} == {0.8}
    # A set of the profile brings its own prompt, and its name is never taken for the new set.
    code, out, _ = run("vary", "close-up", "--change", "smile", "--json")
    assert code == 0
    assert json.loads(out)["set"] == "close-up varied"
    assert entries(workspace, "close-up varied")[0]["recipe"]["prompt"] == "ai_model_v2, close-up, smile"


def test_picks_are_varied_and_trained_on(run: Run, workspace: Workspace) -> None:
    code, _, err = run("make")
    assert code == 3
    assert "Nothing was picked" in err
    assert '--into "best"' in err
    code, out, _ = run("pick", "varied", "3", "7-9", "--into", "best")
    assert code == 0
    assert "0003.png -> " in out
    code, out, _ = run("pick", "varied", "3", "--into", "best", "--json")
    assert json.loads(out) == {
        "folder": str(workspace.picture_set("best")),
        "added": [],
        "there": [{"from": "0003.png", "file": "0001.png"}],
    }
    assert run("make")[0] == 0
    assert [entry["source"] for entry in entries(workspace, "best varied")] == [
        f"best/{n:04d}.png" for n in (1, 2, 3, 4)
    ]
    assert run("sheet", "best", "--columns", 2)[0] == 0
    assert len(picture_files(workspace.picture_set("best"))) == 4
    assert main(["dataset", "build"]) == 0
    built = read_json(workspace.dataset("v3") / "manifest.json")
    assert "varied/0003.png" in json.dumps(built)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("ramp", "--prompt", "a, looking up:1.1..2"), 3, "does not stand at the end of a bracket"),
        (("ramp", "--prompt", "<lora:ai_model_v2:1> a"), 3, "Name the file: ai_model_v2-000040"),
        (("ramp", "--prompt", "<lora:ai_modl_v2-000040:1> a"), 3, "did you mean 'ai_model_v2-000040'?"),
        (("ramp", "--prompt", "(a:1..2)", "--name", "close-up"), 3, "is a picture set of the profile"),
        (("ramp", "--prompt", "(a:0..40)", "--step", "0.1"), 3, "401 settings × 8 seeds = 3,208 pictures"),
        (("ramp", "--prompt", "(a:1..2)", "--denoise", "0.2..0.4"), 2, "--denoise needs a --source"),
        (("ramp", "--prompt", "a", "--source", "lora.toml"), 3, "lora.toml"),
        (("ramp", "--prompt", "a", "--source", "nowhere"), 3, "is no picture set that is made"),
        (("vary", "nowhere", "--prompt", "a"), 3, "is no picture set that is made"),
        (("pick", "close-up", "1", "--into", "varied"), 3, "is a picture set that the profile draws"),
        (("pick", "close-up", "1", "--into", "best"), 3, "has no pictures"),
        (("sheet", "close-up"), 3, "There are no pictures"),
    ],
)
def test_what_cannot_be_is_said(run: Run, arguments: tuple[str, ...], code: int, says: str) -> None:
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert says in err


def test_another_ramp_does_not_take_the_place_of_one(run: Run, workspace: Workspace) -> None:
    for prompt, name in (("(smile:1..2)", "ramp smile"), ("a, (smile:1..2)", "ramp smile 2")):
        assert run("ramp", "--prompt", prompt, "--count", 2, "--seeds", 1)[0] == 0
        assert len(entries(workspace, name)) == 2
    code, _, err = run("ramp", "--prompt", "b, (smile:1..2)", "--count", 2, "--seeds", 1, "--name", "ramp smile")
    assert code == 3
    assert "holds another ramp" in err


def test_outside_a_workspace(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (("ramp", "--prompt", "a"), ("vary", "a.png"), ("sheet", "a"), ("pick", "a", "1", "--into", "b")):
        code, _, err = run(*arguments)
        assert code == 3
        assert "is not a workspace" in err


def test_the_expectations_of_the_command_are_the_profiles() -> None:
    import typing

    from orchestrator.cli.pictures_draw import EXPECTATIONS
    from orchestrator.profile.model import Expectation

    assert typing.get_args(Expectation) == EXPECTATIONS


def test_the_commands_of_the_how_to_run_as_they_stand(run: Run, workspace: Workspace) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "make-pictures.md").read_text(encoding="utf-8")
    (sets,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    head = PROFILE[: PROFILE.index("[[pictures]]")]
    workspace.profile.write_text(head + sets, encoding="utf-8")
    commands = [line for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    assert len(commands) == 6
    for line in commands:
        program, _, *arguments = shlex.split(line)
        code, _, err = run(*arguments)
        assert (program, code) == ("orchestrator", 0), err
    assert len(picture_files(workspace.picture_set("looking up"))) == 4
    assert len(picture_files(workspace.picture_set("ramp ai_model_v2-000040 looking up"))) == 3 * 3 * 8
