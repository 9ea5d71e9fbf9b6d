"""`grid regenerate | compare | show | open` and `render --from` as a person types them, on the simulated server."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from orchestrator.__main__ import main
from orchestrator.a1111.client import A1111
from orchestrator.grid import manifest as manifests
from orchestrator.grid.embedded import from_sheet
from orchestrator.sandbox.server import RunningServer
from orchestrator.workspace import Workspace
from tests.integration.grid_runs import PROFILE, finish_run, make_lora, make_workspace

Run = Callable[..., tuple[int, str, str]]
GOLDEN = Path(__file__).parents[1] / "golden" / "a1111_sheets"


@pytest.fixture(scope="module")
def drawn_home(sandbox_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose grid is drawn; tests work in copies."""
    root = tmp_path_factory.mktemp("drawn") / "ws"
    workspace = make_workspace(root)
    finish_run(workspace)
    assert main(["grid", "render", "-w", str(root), "--url", sandbox_server.url]) == 0
    return root


@pytest.fixture
def workspace(drawn_home: Path, ugly_path: Path) -> Workspace:
    shutil.copytree(drawn_home, ugly_path / "ws")
    return Workspace(ugly_path / "ws")


@pytest.fixture
def elsewhere(ugly_path: Path) -> Workspace:
    """A workspace of somebody else, without the run."""
    return make_workspace(ugly_path / "elsewhere", PROFILE.replace("ai_model", "theirs"))


@pytest.fixture
def run(sandbox_server: RunningServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `orchestrator grid … -w WORKSPACE`; gives exit code, answer and what was said beside it."""
    monkeypatch.setenv("ORCHESTRATOR_A1111_URL", sandbox_server.url)

    def command(workspace: Workspace, *arguments: object) -> tuple[int, str, str]:
        code = main(["grid", *map(str, arguments), "-w", str(workspace.root)])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return code, captured.out, captured.err

    return command


def drawn(server: RunningServer) -> list[tuple[str, int]]:
    """(prompt, seed) of every cell with a LoRA that the server really drew, in order."""
    lines = (server.home / "drawn.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line) for line in lines]
    # Not counted: what a LoRA file is tried with before it is trusted.
    cells = [one for one in asked if "<lora:" in one["prompt"] and "portrait of a person" not in one["prompt"]]
    return [(one["prompt"], one["seed"]) for one in cells]


def sheet(workspace: Workspace, name: str = "v4 face", seed: int = 1) -> Path:
    return workspace.grid(name) / f"sheet-seed-{seed}.png"


def test_an_unchanged_grid_asks_for_no_picture(run: Run, workspace: Workspace, sandbox_server: RunningServer) -> None:
    before = (sandbox_server.home / "drawn.jsonl").read_bytes()
    for what in ("face", "v4 face", workspace.grid("v4 face") / "manifest.json", sheet(workspace)):
        for how in ([], ["--exact"]):
            code, out, _ = run(workspace, "regenerate", what, *how)
            assert (code, "nothing changed, all 10 pictures are here" in out) == (0, True)
    assert (sandbox_server.home / "drawn.jsonl").read_bytes() == before
    assert not (workspace.grid("v4 face") / "before").exists()


def test_one_epoch_trained_again_draws_exactly_its_row(
    run: Run, workspace: Workspace, sandbox_server: RunningServer
) -> None:
    make_lora(workspace.run("ai_model_v4") / "lora" / "ai_model_v4-000040.safetensors", "ai_model_v4", 40, person=99)
    before = drawn(sandbox_server)
    code, out, _ = run(workspace, "regenerate", "face", "--dry-run")
    assert code == 0
    assert "4 of 10 pictures changed" in out
    assert "4 cells (epoch 40): LoRA retrained (ai_model_v4-000040): was " in out
    assert drawn(sandbox_server) == before
    old = manifests.read(workspace.grid("v4 face"))
    code, out, _ = run(workspace, "regenerate", "face", "--side-by-side")
    new = drawn(sandbox_server)[len(before) :]
    assert (code, len(new), len(set(new))) == (0, 4, 4)
    assert all("ai_model_v4-000040-" in prompt for prompt, _ in new)
    now = manifests.read(workspace.grid("v4 face"))
    assert [o.key == n.key for o, n in zip(old.cells, now.cells, strict=True)] == [e.at[0] != 1 for e in now.cells]
    # What it looked like is kept, and drawn beside what it looks like.
    (kept,) = (workspace.grid("v4 face") / "before").iterdir()
    assert manifests.read(kept).cells == old.cells
    assert (kept / old.cells[-1].picture).read_bytes() != (
        workspace.grid("v4 face") / now.cells[-1].picture
    ).read_bytes()
    with Image.open(workspace.grid("v4 face") / "side-by-side-seed-2.png") as image:
        assert image.width > 4 * 128
        assert image.height < 3 * 128, "one row changed"
    # The grid of before is asked for exactly: every picture is still in the cache.
    code, out, _ = run(workspace, "regenerate", kept, "--exact", "--dry-run")
    assert (code, "nothing changed" in out) == (0, True)
    code, out, _ = run(workspace, "compare", kept, "v4 face", "--json")
    assert code == 0
    pairs = json.loads(out)["pairs"]
    assert [pair["difference_percent"] > 0 for pair in pairs] == ["epoch 40" in pair["cell"] for pair in pairs]


def test_a_changed_profile_is_named_as_the_reason(run: Run, workspace: Workspace) -> None:
    text = workspace.profile.read_text(encoding="utf-8")
    changed = text.replace("seeds = [1, 2]", "seeds = [1, 3]").replace("close-up", "close-up, smile")
    workspace.profile.write_text(changed, encoding="utf-8")
    code, out, _ = run(workspace, "regenerate", "face", "--dry-run")
    assert code == 0
    assert "prompt other: was ai_model_v4, close-up, is ai_model_v4, close-up, smile" in out
    assert "(seed 3): new in the grid" in out
    assert "5 no longer in the grid" in out
    # Exactly, what lora.toml says now does not matter.
    assert "nothing changed" in run(workspace, "regenerate", "face", "--exact", "--dry-run")[1]


def test_pictures_deleted_from_the_cache_are_drawn_again(
    run: Run, workspace: Workspace, sandbox_server: RunningServer
) -> None:
    manifest = manifests.read(workspace.grid("v4 face"))
    for entry in manifest.cells[2:4]:
        (workspace.cache / "pictures" / entry.key[:2] / f"{entry.key}.png").unlink()
    before = len(drawn(sandbox_server))
    code, out, _ = run(workspace, "regenerate", "face", "--exact")
    assert code == 0
    assert "2 cells (epoch 20, weight 0.4): its picture is not here" in out
    assert len(drawn(sandbox_server)) == before + 2


def test_a_sheet_alone_is_enough_on_another_machine(
    run: Run, workspace: Workspace, elsewhere: Workspace, sandbox_server: RunningServer, ugly_path: Path
) -> None:
    sent = ugly_path / "sent by a friend.png"
    shutil.copyfile(sheet(workspace), sent)
    folder = sandbox_server.home / "models" / "Lora"
    (here,) = folder.glob("ai_model_v4-000020-*")
    here.rename(folder / "called otherwise.safetensors")
    try:
        code, out, _ = run(elsewhere, "regenerate", sent, "--exact", "--side-by-side", "--json")
        told = json.loads(out)
        assert (code, told["failed"], told["unchanged"], len(told["changed"])) == (0, 0, 0, 10)
        # The pictures of before come out of the sheet, and are the same.
        assert [Path(path).name for path in told["side_by_side"]] == ["side-by-side-seed-1.png"]
        now = manifests.read(elsewhere.grid("face"))
        old = manifests.read(workspace.grid("v4 face"))
        assert [entry.key for entry in now.cells] == [entry.key for entry in old.cells]
        for entry, other in zip(now.cells, old.cells, strict=True):
            pictures = (elsewhere.grid("face") / entry.picture, workspace.grid("v4 face") / other.picture)
            with Image.open(pictures[0]) as one, Image.open(pictures[1]) as two:
                assert one.tobytes() == two.tobytes()
        stems = {use["stem"] for entry in now.cells for use in (now.recipe_of(entry) or {})["loras"]}
        assert "called otherwise" in stems
        # What came out carries the grid again.
        carried = from_sheet(elsewhere.grid("face") / "sheet-seed-2.png")
        assert carried == replace(now, shared={k: v for k, v in now.shared.items() if not k.endswith("_path")})
        # The same question: there is no run here, so the files are those of the recipes.
        assert "nothing changed" in run(elsewhere, "regenerate", sent)[1]
    finally:
        (folder / "called otherwise.safetensors").rename(here)


def test_a_lora_file_deleted_since_leaves_its_cells_out_and_says_how_to_get_them(
    run: Run, workspace: Workspace, elsewhere: Workspace, sandbox_server: RunningServer
) -> None:
    (here,) = (sandbox_server.home / "models" / "Lora").glob("ai_model_v4-000020-*")
    away = here.with_suffix(".away")
    here.rename(away)
    try:
        for how in ([], ["--exact"]):
            code, out, err = run(elsewhere, "regenerate", sheet(workspace), *how)
            assert code == 5
            assert "4 cells (epoch 20)" in out
            assert "LoRA missing: ai_model_v4-000020-" in out
            assert "copy the file into models/Lora, under any name" in out
            assert "6 of 10 pictures, 4 failed" in out
            assert "4 pictures failed" in err
    finally:
        away.rename(here)
    code, out, _ = run(elsewhere, "regenerate", sheet(workspace))
    assert (code, "10 of 10 pictures" in out) == (0, True)


def test_another_checkpoint_is_never_taken_for_the_one_that_is_missing(
    run: Run, workspace: Workspace, elsewhere: Workspace, ugly_path: Path
) -> None:
    sent = ugly_path / "manifest.json"
    text = (workspace.grid("v4 face") / "manifest.json").read_text(encoding="utf-8")
    values = json.loads(text)
    values["shared"] |= {"checkpoint_hash": "0123456789", "checkpoint": "theirs.safetensors [0123456789]"}
    values["definition"]["settings"]["checkpoint"] = "theirs"
    sent.write_text(json.dumps(values), encoding="utf-8")
    code, out, _ = run(elsewhere, "regenerate", sent, "--exact", "--dry-run")
    assert code == 0
    assert "checkpoint missing: theirs.safetensors [0123456789] is not in the webui" in out
    code, out, err = run(elsewhere, "regenerate", sent, "--dry-run")
    assert code == 0
    assert "checkpoint other: was theirs.safetensors [0123456789], is " in out
    assert "The checkpoint theirs [0123456789] is not here: the pictures are drawn with" in err


def test_another_version_of_the_server_is_named(run: Run, workspace: Workspace, elsewhere: Workspace) -> None:
    path = workspace.grid("v4 face") / "manifest.json"
    text = path.read_text(encoding="utf-8").replace(
        '"server_version":"A1111 v1.10.1"', '"server_version":"A1111 v1.9.4"'
    )
    path.write_text(text, encoding="utf-8")
    for how in ([], ["--exact"]):
        code, out, _ = run(elsewhere, "regenerate", path, "--dry-run", *how)
        assert code == 0
        assert "10 cells: A1111 version other: was A1111 v1.9.4, is A1111 v1.10.1" in out


def test_a_strangers_recipe_gets_no_extensions_and_no_paths(
    run: Run, workspace: Workspace, elsewhere: Workspace, ugly_path: Path
) -> None:
    sent = ugly_path / "manifest.json"
    values = json.loads((workspace.grid("v4 face") / "manifest.json").read_text(encoding="utf-8"))
    values["shared"] |= {"alwayson_scripts": '{"run": {"args": ["rm"]}}'}
    sent.write_text(json.dumps(values), encoding="utf-8")
    assert "sends work to extensions" in run(elsewhere, "regenerate", sent, "--exact", "--dry-run")[1]
    values["shared"] |= {"alwayson_scripts": "", "options": '{"outdir_samples": "/tmp/x"}'}
    sent.write_text(json.dumps(values), encoding="utf-8")
    told = run(elsewhere, "regenerate", sent, "--exact", "--dry-run")[1]
    assert "sets the webui's option 'outdir_samples', which a file from elsewhere may not" in told
    values["shared"] |= {"options": ""}
    values["definition"]["axes"][2]["values"] = "1-90000"
    sent.write_text(json.dumps(values), encoding="utf-8")
    code, _, err = run(elsewhere, "regenerate", sent, "--dry-run")
    assert (code, "asks for " in err, "with --exact" in err) == (3, True, True)


def test_a_sheet_of_a1111s_own_plot(
    run: Run, elsewhere: Workspace, drawn_home: Path, sandbox_server: RunningServer, ugly_path: Path
) -> None:
    text = (GOLDEN / "replaced-by-seed.txt").read_text(encoding="utf-8")
    with A1111(sandbox_server.url) as client:
        by_name = {entry.name: entry for entry in client.loras()}
    shown = str(by_name["ai_model_v2-000040"].metadata["sshs_model_hash"])[:12]
    other = next(name for name in by_name if name.startswith("ai_model_v4-000020-"))
    # The names and hashes of the server the tests have; the rest is as a running 1.10.1 wrote it.
    text = text.replace("ai_model_v1-000010: 67c16c315401", f"ai_model_v1-000010: {shown}")
    text = text.replace(",ai_model_v1-000020,ai_model_v1-000030", f",{other}")
    sent = picture(ugly_path / "xyz_grid-0001-1.png", text)
    code, _, err = run(elsewhere, "regenerate", sent)
    assert code == 0, err
    assert "The LoRA ai_model_v1-000010 is called ai_model_v2-000040 here." in err
    assert "The checkpoint tinysd15_a [f3d717ddd8] is not here" in err
    made = manifests.read(elsewhere.grid("xyz_grid-0001-1"))
    assert [(axis.kind, axis.values) for axis in made.axes][:2] == [
        ("lora", ("ai_model_v2-000040", other)), ("seed", ("1", "2")),
    ]  # fmt: skip
    assert made.summary == "4 of 4 pictures"
    assert {(made.recipe_of(entry) or {})["prompt"] for entry in made.cells} == {"photo of ai_model woman"}
    assert run(elsewhere, "regenerate", sent, "--exact")[0] == 3


def test_a_picture_of_a1111s_drawn_again_along_axes(
    run: Run, elsewhere: Workspace, ugly_path: Path, sandbox_server: RunningServer
) -> None:
    with A1111(sandbox_server.url) as client:
        body = {"prompt": "ai_model_v2, close-up <lora:ai_model_v2-000040:0.8>", "seed": 5, "width": 128, "height": 128}
        answer = client.txt2img({**body, "steps": 2, "sampler_name": "Euler", "cfg_scale": 6, "scheduler": "Karras"})
    sent = ugly_path / "00012-5.png"
    sent.write_bytes(answer.pictures[0])
    axes = ["--axis", "weight=0.4, 0.8", "--axis", "seed=5-6"]
    code, _, err = run(elsewhere, "render", "again", "--from", sent, *axes)
    assert code == 0, err
    made = manifests.read(elsewhere.grid("v4 again"))
    assert made.summary == "6 of 6 pictures"
    (same,) = [entry for entry in made.cells if entry.label == "weight 0.8, seed 5, lora: ai_model_v2-000040"]
    with Image.open(sent) as one, Image.open(elsewhere.grid("v4 again") / same.picture) as two:
        assert one.tobytes() == two.tobytes(), "the picture itself is one of the cells"
    assert run(elsewhere, "render", "again", "--from", elsewhere.grid("v4 again") / "sheet.png", "--dry-run")[0] == 3


def test_the_commands_of_the_how_to_run_as_they_stand(
    run: Run, ugly_path: Path, sandbox_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "compare-grids.md").read_text(encoding="utf-8")
    (grids,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    profile = PROFILE[: PROFILE.index("[[grids]]")] + grids
    for version, person in (("v3", 5), ("v4", 7)):
        workspace = make_workspace(ugly_path / "ws", profile.replace('"v4"', f'"{version}"'))
        finish_run(workspace, f"ai_model_{version}", person=person)
        assert run(workspace, "render", "face")[0] == 0
    monkeypatch.chdir(workspace.root)
    monkeypatch.setattr("orchestrator.cli.grid_compare._has_display", lambda: False)
    shutil.copyfile(workspace.grid("v4 face") / "sheet-seed-123456789.png", "sheet-from-a-friend.png")
    with A1111(sandbox_server.url) as client:
        entry = next(entry for entry in client.loras() if entry.name == "ai_model_v2-000040")
        body = {"prompt": f"close-up <lora:{entry.name}:1>", "seed": 5, "width": 128, "height": 128, "steps": 2}
        answer = client.txt2img(body)
    Path("00012-5.png").write_bytes(answer.pictures[0])
    plot = 'Script: X/Y/Z plot, X Type: Prompt S/R, X Values: "1>,0.5>", Y Type: Steps, Y Values: "2,3", Version'
    picture(Path("xyz_grid-0001-5.png"), (answer.infotexts[0] or "").replace("Version", plot))
    commands = [line for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    assert len(commands) > 10
    for line in commands:
        program, group, *arguments = shlex.split(line)
        if "regenerate face --dry-run" in line:
            files = workspace.run("ai_model_v4") / "lora"
            make_lora(files / "ai_model_v4-000040.safetensors", "ai_model_v4", 40, person=99)
        code, out, err = run(workspace, *arguments)
        assert (program, group, code) == ("orchestrator", "grid", 0), f"{line}\n{err}"
        if "--side-by-side" in line and "--exact" not in line:
            assert "6 cells (epoch 40): LoRA retrained" in out
            assert "side by side: " in out


def picture(path: Path, text: str) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", text.strip())
    Image.new("RGB", (64, 64)).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: Image.new("RGB", (8, 8)).save(path), "carries no grid: neither one of ours nor A1111's text"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0"), "it is cut off"),
        (lambda path: path.write_bytes(b"GIF89a"), "not a picture in a format we know"),
        (lambda path: path.write_text("hello", encoding="utf-8"), "not a picture in a format we know"),
    ],
)
def test_a_file_without_a_grid_is_one_sentence_with_its_cure(
    run: Run, workspace: Workspace, ugly_path: Path, make: Callable[[Path], Any], words: str
) -> None:
    make(ugly_path / "x.png")
    for command in ("regenerate", "show"):
        code, out, err = run(workspace, command, ugly_path / "x.png")
        assert (code, out) == (3, "")
        assert words in err
        assert "Do:" in err


def test_a_name_nothing_has(run: Run, workspace: Workspace) -> None:
    code, _, err = run(workspace, "regenerate", "v4 fase")
    assert code == 3
    assert "There is no grid and no file 'v4 fase'" in err
    assert "Did you mean 'v4 face'?" in err


def test_a_manifest_of_a_newer_orchestrator(run: Run, workspace: Workspace) -> None:
    path = workspace.grid("v4 face") / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"format":3', '"format":9'), encoding="utf-8")
    code, _, err = run(workspace, "regenerate", "face")
    assert code == 3
    assert "a newer orchestrator wrote it (format 9)" in err
    assert "Update orchestrator" in err


def test_show_says_how_a_cell_was_drawn(run: Run, workspace: Workspace) -> None:
    code, out, _ = run(workspace, "show", "face")
    assert (code, "v4 face: 10 of 10 pictures (simulated)" in out, "20, 40" in out) == (0, True, True)
    for what in ("face", sheet(workspace)):
        code, out, _ = run(workspace, "show", what, "--cell", "epoch=40,weight=1.0,seed=2", "--json")
        told = json.loads(out)
        assert (code, told["recipe"]["seed"], told["recipe"]["loras"][0]["weight"]) == (0, 2, 1.0)
        assert Path(told["picture"]).is_file()
    assert run(workspace, "show", "face", "--cell", "epoch=50")[0] == 3
    assert "face" in run(workspace, "show")[1]


def test_open_prints_the_path_where_there_is_no_display(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    monkeypatch.setattr("orchestrator.cli.grid_compare._has_display", lambda: False)
    code, out, err = run(workspace, "open", "face")
    assert (code, Path(out.strip()).is_file(), opened) == (0, True, [])
    assert "no browser" in err
    monkeypatch.setattr("orchestrator.cli.grid_compare._has_display", lambda: True)
    assert run(workspace, "open", "face")[0] == 0
    assert opened == [(workspace.grid("v4 face") / "index.html").resolve().as_uri()]
