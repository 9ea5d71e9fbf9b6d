"""Every kind of axis drawn and proven against the sandbox; what its server does not have; the commands; kill -9."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import tomli_w
from PIL import Image

from orchestrator.__main__ import main
from orchestrator.a1111.client import A1111
from orchestrator.a1111.infotext import parse
from orchestrator.errors import InputError
from orchestrator.grid import manifest as manifests
from orchestrator.grid.cells import Grid
from orchestrator.grid.definition import FurtherLora
from orchestrator.grid.order import drawing_order
from orchestrator.grid.render import render_grid
from orchestrator.profile.load import load_profile
from orchestrator.profile.model import GridPlan
from orchestrator.profile.shipped import find_profile
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.native import NativeRenderer
from orchestrator.sandbox import learned
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.checkpoints import save_lora
from orchestrator.training.record import RunRecord, write_record
from orchestrator.workspace import Workspace
from tests.integration.conftest import StartServer
from tests.integration.grid_samples import STARTER, grid_of, tiny

SMALL = tiny(width=64, height=64, steps=1)

PAINTER = "plain"


def drawn(renderer: Renderer, grid: Grid) -> dict[str, dict[str, str]]:
    """The fields of each cell's infotext, by label; every cell must be proven."""
    pictures = {p.key: p for p in renderer.render(drawing_order(grid), as_given=True)}
    found = {}
    for cell in grid.cells:
        assert cell.recipe is not None
        picture: Picture = pictures[cell.recipe.key]
        assert not picture.error, (cell.label, picture.error)
        text = parse(picture.proof["proof"]["infotext"])
        found[cell.label] = {**text.fields, "prompt": text.prompt, "negative": text.negative_prompt}
    return found


def test_plain_settings(renderer: Renderer) -> None:
    grid = grid_of(
        renderer,
        [("steps", "1-2"), ("cfg", "4, 6.5"), ("size", "64x96"), ("clip skip", "1, 2"), ("seed", "5")],
        settings=SMALL,
    )
    cells = drawn(renderer, grid)
    last = cells["steps 2, cfg 6.5, size: 64x96, clip skip 2, seed 5"]
    assert [last[name] for name in ("Steps", "CFG scale", "Size", "Clip skip", "Seed")] == [
        "2",
        "6.5",
        "64x96",
        "2",
        "5",
    ]


def test_samplers_and_schedules_by_name_and_label(renderer: Renderer) -> None:
    grid = grid_of(renderer, [("sampler", "Euler a, DDIM"), ("scheduler", "karras, Beta")], settings=SMALL)
    cells = drawn(renderer, grid)
    assert {(fields["Sampler"], fields["Schedule type"]) for fields in cells.values()} == {
        (sampler, schedule) for sampler in ("Euler a", "DDIM") for schedule in ("Karras", "Beta")
    }


def test_checkpoints_and_vaes_each_loaded_once(renderer: Renderer, sandbox_server: sandbox.RunningServer) -> None:
    grid = grid_of(
        renderer,
        [
            ("checkpoint", "sandbox-v1-5, sandbox-other"),
            ("vae", "sandbox-cool.safetensors, sandbox-warm.safetensors, None"),
            ("epoch", "40"),
        ],
        settings=SMALL,
    )
    cells = drawn(renderer, grid)
    assert len(cells) == 2 * 3 * 2
    assert {(fields["Model"], fields.get("VAE")) for fields in cells.values()} == {
        (model, vae)
        for model in ("sandbox-v1-5", "sandbox-other")
        for vae in ("sandbox-cool.safetensors", "sandbox-warm.safetensors", None)
    }
    assert renderer.server.client.options()["sd_model_checkpoint"].startswith("sandbox-v1-5"), "put back"


def test_options_are_set_for_their_picture_alone(renderer: Renderer) -> None:
    before = renderer.server.client.options()
    grid = grid_of(
        renderer,
        [("option eta_noise_seed_delta", "0, 31337"), ("option emphasis", "Original, No norm")],
        settings=tiny(width=64, height=64, steps=1, sampler="DPM++ SDE"),
    )
    cells = drawn(renderer, grid)
    assert {fields.get("ENSD") for fields in cells.values()} == {None, "31337"}
    assert len({cell.recipe.key for cell in grid.cells if cell.recipe}) == 4
    assert renderer.server.client.options() == before


def test_words_styles_and_negative_prompts(renderer: Renderer, sandbox_server: sandbox.RunningServer) -> None:
    (sandbox_server.home / "styles.csv").write_text(
        'name,prompt,negative_prompt\nfilm,film grain,blur\n"frame, old","old photo of {prompt}",\n', "utf-8"
    )
    grid = grid_of(
        renderer,
        [
            ("replace", "smile, frown"),
            ("prompt weight red hair", "1, 1.3"),
            ("styles", ["none", "film + frame, old"]),
            ("negative prompt", ["bad", ""]),
        ],
        prompt="{trigger}, smile, red hair",
        settings=SMALL,
    )
    cells = drawn(renderer, grid)
    styled = cells["smile: frown, weight of red hair 1.3, styles: film + frame, old, negative prompt: bad"]
    assert styled["prompt"] == "old photo of ai_model_v2, frown, (red hair:1.3), film grain"
    assert styled["negative"] == "bad, blur"
    assert all("smile" not in fields["prompt"] for label, fields in cells.items() if "smile: frown" in label)


def test_denoise_from_a_picture(renderer: Renderer, ugly_path: Path) -> None:
    Image.effect_noise((64, 64), 60).convert("RGB").save(ugly_path / "start.png")
    grid = grid_of(renderer, [("denoise", "0.2-0.8 [3]")], init="start.png", root=ugly_path, settings=SMALL)
    cells = drawn(renderer, grid)
    assert {fields["Denoising strength"] for fields in cells.values()} == {"0.2", "0.5", "0.8"}


def test_several_loras_and_a_baseline_without_any(renderer: Renderer) -> None:
    loras = renderer.server.client.loras()
    folder = Path(next(entry.path for entry in loras if entry.name == STARTER)).parent
    values = learned.tensors(learned.starter(10, "m", epoch=10), 8, 4.0, 10)
    save_lora(folder / "other.safetensors", values, {"ss_output_name": "other"}, "fp16")
    renderer.server.client.refresh_loras()
    grid = grid_of(
        renderer,
        [("lora", f"{STARTER}, {STARTER} + other:0.5"), ("weight", "0.4, 1")],
        settings=SMALL,
    )
    cells = drawn(renderer, grid)
    assert "Lora hashes" not in cells["no LoRA"]
    assert cells["no LoRA"]["prompt"] == "close-up"
    both = cells[f"lora: {STARTER} + other:0.5, weight 0.4"]
    assert both["prompt"].startswith(f"<lora:{STARTER}:0.4> <lora:other:0.5> ai_model_v2")


def test_the_native_plot_draws_what_it_can_and_the_rest_one_by_one(renderer: Renderer, ugly_path: Path) -> None:
    grid = grid_of(renderer, [("weight", "0.4, 1"), ("steps", "1-2"), ("seed", "5, 6")], settings=SMALL)
    result = render_grid(grid, NativeRenderer(renderer), ugly_path / "grid", title="t", simulated=True)
    assert (result.failed, result.total) == (0, 4 + 8)
    plotted = [renderer.cache.proof(cell.recipe.key)["proof"].get("drawn_by") for cell in grid.cells if cell.recipe]
    assert plotted.count("x/y/z plot") == 8


def test_everything_the_server_does_not_have_is_named_at_once(renderer: Renderer) -> None:
    with pytest.raises(InputError) as caught:
        grid_of(
            renderer,
            [
                ("sampler", "Euler A"), ("scheduler", "Carras"), ("checkpoint", "sandbox-v1-6"),
                ("vae", "sandbox-cold"), ("styles", "flim"), ("option eta_dim", "0"), ("option sd_vae", "x"),
                ("option s_noise", "much"), ("lora", "ai_model_v2"),
            ],
            loras=(FurtherLora("gone"),),
            init="nowhere.png",
        )  # fmt: skip
    said = str(caught.value)
    for part in (
        "Did you mean 'Euler a'", "Did you mean 'Karras'", "Did you mean 'sandbox-v1-5'", "no VAE 'sandbox-cold'",
        "no style 'flim'", "Did you mean 'eta_ddim'", "an axis of its own, 'vae'", "'much' is not of the option's kind",
        "is not a LoRA file but the name inside", "no LoRA file 'gone'", "nowhere.png",
    ):  # fmt: skip
        assert part.casefold() in said.casefold(), part


# --- the commands -----------------------------------------------------------------------------------------------------


def workspace_with_a_run(folder: Path, **grid: Any) -> Workspace:
    """A workspace after the training of three epochs; pictures are 64×64 of one step."""
    workspace = Workspace(folder)
    profile = load_profile(find_profile("demo"))
    plan = GridPlan(**{"name": "face", "prompt": "{trigger}, close-up", **grid})
    generation = profile.generation.model_copy(update={"width": 64, "height": 64, "steps": 1})
    profile = profile.model_copy(update={"grids": (plan,), "generation": generation})
    workspace.profile.parent.mkdir(parents=True, exist_ok=True)
    workspace.profile.write_text(tomli_w.dumps(profile.model_dump(mode="json", exclude_defaults=True)), "utf-8")
    run = workspace.run(profile.run_name)
    (run / "lora").mkdir(parents=True)
    for epoch in (10, 20, 30):
        values = learned.tensors(learned.starter(epoch, "m", epoch=epoch), 8, 4.0, epoch)
        metadata = {"ss_epoch": str(epoch), "ss_output_name": "m", "ss_session_id": "1"}
        save_lora(run / "lora" / f"m-{epoch:06d}.safetensors", values, metadata, "fp16")
    record = RunRecord(
        name=run.name, status="finished", fingerprint="", orchestrator="", computer="", values={}, dataset_config={},
        dataset={}, base={}, trainer={}, epochs=30, save_every=10, seed=1,
    )  # fmt: skip
    write_record(run, record)
    return workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return workspace_with_a_run(tmp_path_factory.mktemp("grids") / "it's 初音", weights=(0.4, 1.0), seeds=(1,))


def run(workspace: Workspace, server: sandbox.RunningServer, *arguments: str) -> int:
    return main(["grid", "render", *arguments, "-w", str(workspace.root), "--url", server.url])


def test_a_dry_run_says_the_price_and_draws_and_copies_nothing(
    workspace: Workspace, sandbox_server: sandbox.RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with A1111(sandbox_server.url) as client:
        before = {entry.name for entry in client.loras()}
        assert run(workspace, sandbox_server, "--dry-run") == 0
        said = capsys.readouterr().out
        assert "face: 7 cells, 0 of 7 pictures already made, 7 to draw, 3 LoRA loads, time not known here yet" in said
        assert [line.split() for line in said.splitlines() if line.startswith("  epoch")] == [
            ["epoch", "down", "3", "10,", "20,", "30"]
        ]
        assert "baseline: 1 cell without LoRA" in said
        client.refresh_loras()
        assert {entry.name for entry in client.loras()} == before
    assert not (workspace.root / "grids").exists()


def test_the_price_falls_as_pictures_are_made(
    workspace: Workspace, sandbox_server: sandbox.RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(workspace, sandbox_server, "face") == 0
    assert "7 of 7 pictures" in capsys.readouterr().out
    ask = ("more", "--axis", "epoch=10-30 (+10)", "--axis", "weight=0.4, 0.7", "--axis", "seed=1")
    assert run(workspace, sandbox_server, *ask, "--prompt", "{trigger}, close-up", "--dry-run", "--json") == 0
    (price,) = json.loads(capsys.readouterr().out)
    assert (price["cells"], price["cached"], price["to_draw"], price["loads"]["loras"]) == (7, 4, 3, 3)
    assert 0 < price["seconds"] < 60, "from the pictures just made"


def test_a_new_grid_from_the_command_line(
    workspace: Workspace, sandbox_server: sandbox.RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (
        "sampling", "--axis", "steps=1-3 (+1)", "--axis", "cfg=4,6", "--prompt", "{trigger}, upper body",
        "--x", "cfg", "--y", "steps", "--exclude", "steps == 3 and cfg == 4", "--json",
    )  # fmt: skip
    assert run(workspace, sandbox_server, *asked) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["cells"], result["left_out"], result["failed"]) == (5, 1, 0)
    manifest = manifests.read(workspace.grid("v4 sampling"))
    assert (manifest.axes[manifest.x].name, manifest.axes[manifest.y].name, manifest.baseline) == (
        "cfg",
        "steps",
        False,
    )
    assert main(["grid", "list", "-w", str(workspace.root), "--json"]) == 0
    listed = {each["grid"]: each for each in json.loads(capsys.readouterr().out)}
    assert listed["v4 sampling"]["axes"] == {"steps": ["1", "2", "3"], "cfg": ["4", "6"], "seed": ["123456789"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("new", "--axis", "seed=1-4000", "--axis", "steps=1-3", "--prompt", "a"), "12,000 cells"),
        (("new", "--axis", "seed=1-100000", "--axis", "steps=1-100", "--prompt", "a"), "10,000,000 cells"),
        (("new", "--axis", "stepz=1-3", "--prompt", "a"), "did you mean 'steps'"),
        (("new", "--axis", "steps", "--prompt", "a"), "KIND=VALUES"),
        (("face", "--axis", "steps=1-3", "--prompt", "a"), "has a grid 'face' already"),
        (("new", "--axis", "epoch=40", "--prompt", "a"), "no LoRA file of epoch 40; there are 10, 20, 30"),
    ],
)
def test_what_was_not_meant_is_asked_back(
    workspace: Workspace,
    sandbox_server: sandbox.RunningServer,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    assert run(workspace, sandbox_server, *arguments) == 3
    assert said in capsys.readouterr().err
    assert not workspace.grid("v4 new").exists()


def test_a_profile_whose_grid_cannot_be_read_is_told_with_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = workspace_with_a_run(tmp_path, axes={"steps": "0", "stil": "a"}, exclude=("epoc < 3",))
    assert main(["grid", "render", "-w", str(workspace.root), "--url", "http://127.0.0.1:9"]) == 3
    said = capsys.readouterr().err
    for part in ("3 problems", "grids.face: there is no kind of axis 'stil'", "axis steps: 0 is not", "'epoc < 3'"):
        assert part in said, part


def test_kill_9_during_300_cells_loses_only_what_was_in_flight(
    start_server: StartServer, ugly_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = start_server(painter="plain")
    folder = ugly_path / "work"
    workspace = workspace_with_a_run(folder, weights=(0.4, 0.7, 1.0), seeds=tuple(range(30)))
    command = ["grid", "render", "-w", str(folder), "--url", running.url]
    child = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 120
    while len(kept := list((workspace.cache / "pictures").rglob("*.png"))) < 80:
        assert child.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.02)
    psutil.Process(child.pid).kill()
    child.wait()
    there = {path.stem for path in (workspace.cache / "pictures").rglob("*.png")}
    assert len(kept) <= len(there) < 300
    page = (workspace.grid("v4 face") / "index.html").read_text(encoding="utf-8")
    assert page, "the viewer was there from the beginning"
    before = asked(running)
    assert main(command) == 0
    drawn_again = asked(running) - before
    manifest = manifests.read(workspace.grid("v4 face"))
    assert manifest.count("ready") == len(manifest.cells) == 30 + 3 * 3 * 30
    assert sum(entry.cached for entry in manifest.cells) == len(there)
    # The rest, the canary at the end, and the tiny picture that tells what the server is.
    assert 0 <= drawn_again - (300 - len(there)) <= 4


def asked(running: sandbox.RunningServer) -> int:
    return len((running.home / "drawn.jsonl").read_text(encoding="utf-8").splitlines())
