"""Grids drawn by the webui's own X/Y/Z plot: the same pictures as by single requests, failures told cell by cell."""

from __future__ import annotations

import _thread
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tomli_w
from PIL import Image

from orchestrator.__main__ import main
from orchestrator.a1111.client import A1111
from orchestrator.a1111.models import Generated
from orchestrator.a1111.pictures import encode
from orchestrator.a1111.xyz import Axis, read_script, script_args, take_apart
from orchestrator.errors import InputError, ProofError, ServerError, ToolError
from orchestrator.grid import manifest as manifests
from orchestrator.grid.cells import Grid
from orchestrator.grid.definition import Subject
from orchestrator.grid.render import render_grid
from orchestrator.lora.catalog import catalog
from orchestrator.lora.deploy import Deployed, deploy, find_lora_folder
from orchestrator.profile.load import load_profile
from orchestrator.profile.model import GridPlan
from orchestrator.profile.shipped import find_profile
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.native import NativeRenderer
from orchestrator.render.server import connect
from orchestrator.sandbox import learned
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.sandbox.checkpoints import save_lora
from orchestrator.training.record import RunRecord, write_record
from orchestrator.workspace import Workspace
from tests.integration.conftest import StartServer
from tests.integration.grid_samples import grid_of, tiny

DIALECTS = ("a1111", "forge", "reforge", "classic")
EPOCHS, WEIGHTS, SEEDS = (10, 20, 30), (0.4, 0.8, 1.0), (7, 2**63 - 1)
AXES = (("epoch", EPOCHS), ("weight", WEIGHTS), ("seed", SEEDS))


def trained(folder: Path) -> None:
    """The LoRA files of a run, each of another person, so that a cell in the wrong place shows."""
    folder.mkdir(parents=True, exist_ok=True)
    for epoch in EPOCHS:
        values = learned.tensors(learned.starter(epoch, "m", epoch=epoch), 8, 4.0, epoch)
        metadata = {"ss_epoch": str(epoch), "ss_output_name": "m", "ss_session_id": "1"}
        save_lora(folder / f"m-{epoch:06d}.safetensors", values, metadata, "fp16")


def deployed(client: A1111, folder: Path) -> list[Deployed]:
    trained(folder)
    return deploy(catalog(folder), find_lora_folder(client), client)


def make_grid(renderer: Renderer, folder: Path) -> Grid:
    return grid_of(
        renderer,
        AXES,
        deployed(renderer.server.client, folder),
        prompt="m, close-up",
        subject=Subject("m", "v1", "m"),
        settings=tiny(sampler="Euler a", scheduler="Automatic"),
        exclude=("epoch <= 10 and weight <= 0.4",),
    )


def pixels(picture: Picture) -> bytes:
    assert not picture.error
    with Image.open(picture.path) as image:
        return image.convert("RGB").tobytes()


def by_plot(picture: Picture) -> bool:
    return picture.proof["proof"].get("drawn_by") == "x/y/z plot"


@pytest.fixture(params=DIALECTS)
def of_each_dialect(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Renderer]:
    """A renderer on a server of each fork."""
    with sandbox.start(tmp_path, settings=Settings(dialect=request.param)) as running, A1111(running.url) as client:
        yield Renderer(connect(client), PictureCache(tmp_path / "single"))


def test_a_grid_is_the_same_by_plot_and_by_single_requests(of_each_dialect: Renderer, ugly_path: Path) -> None:
    single = of_each_dialect
    native = dataclasses.replace(single, cache=PictureCache(ugly_path / "native"))
    grid = make_grid(single, ugly_path / "run")
    arrived: list[Picture] = []
    plotted = NativeRenderer(native).render(grid.recipes, arrived.append)
    assert [picture.error for picture in plotted] == [""] * (2 + 3 * 3 * 2 - 2)
    assert len(arrived) == len(plotted)
    assert [by_plot(picture) for picture in plotted] == [bool(recipe.loras) for recipe in grid.recipes]
    assert len({pixels(picture) for picture in plotted}) == len(plotted)
    for one, other in zip(plotted, single.render(grid.recipes), strict=True):
        assert pixels(one) == pixels(other)
        assert one.proof["proof"]["infotext"] == other.proof["proof"]["infotext"]
        assert one.proof["recipe"] == other.proof["recipe"]
    assert all(picture.cached for picture in NativeRenderer(native).render(grid.recipes))


def test_only_what_is_missing_is_drawn_and_nothing_left_out(renderer: Renderer, ugly_path: Path) -> None:
    grid = make_grid(renderer, ugly_path / "run")
    wanted = [recipe for recipe in grid.recipes if recipe.loras]
    there = renderer.render(wanted[:1])
    asked: list[str] = []
    for picture in NativeRenderer(renderer).render(wanted):
        assert not picture.error
        asked += [picture.key] * (not picture.cached)
    assert len(asked) == len(set(asked)) == len(wanted) - 1
    assert there[0].key not in asked
    kept = {path.stem for path in renderer.cache.folder.rglob("*.png")}
    assert kept == {recipe.key for recipe in wanted}, "no picture of a left-out cell"


def test_a_grid_s_folder_is_the_same(renderer: Renderer, ugly_path: Path) -> None:
    grid, folder = make_grid(renderer, ugly_path / "run"), ugly_path / "grid"
    result = render_grid(grid, NativeRenderer(renderer), folder, title="t", simulated=True)
    assert (result.failed, result.left_out, result.total) == (0, 2, 18)
    before = [sheet.stat().st_mtime_ns for sheet in result.sheets]
    again = render_grid(grid, renderer, folder, title="t", simulated=True)
    assert again.cached == 18
    assert [sheet.stat().st_mtime_ns for sheet in again.sheets] == before


def broken(folder: Path, epoch: int) -> None:
    """Cut off the LoRA file of an epoch in A1111's folder, which leaves it out without a word."""
    (path,) = folder.glob(f"m-{epoch:06d}-*.safetensors")
    path.write_bytes(path.read_bytes()[:100])


def test_bad_cells_are_told_and_the_others_kept(start_server: StartServer, ugly_path: Path) -> None:
    with A1111(start_server().url) as client:
        renderer = Renderer(connect(client), PictureCache(ugly_path / "cache"))
        grid, folder = make_grid(renderer, ugly_path / "run"), find_lora_folder(client)
        broken(folder, 20)
        pictures = NativeRenderer(renderer).render(grid.recipes)
        bad = [p for p in pictures if p.error]
        assert {p.recipe.loras[0].stem[:8] for p in bad} == {"m-000020"}
        assert len(bad) == 6
        assert all(p.refused and "m-000020" in p.error and not p.path.exists() for p in bad)
        assert sum(by_plot(p) for p in pictures if not p.error) == 10


def test_when_all_cells_of_the_first_plot_are_refused_the_night_is_not_wasted(
    start_server: StartServer, ugly_path: Path
) -> None:
    with A1111(start_server().url) as client:
        renderer = Renderer(connect(client), PictureCache(ugly_path / "cache"))
        grid, folder = make_grid(renderer, ugly_path / "run"), find_lora_folder(client)
        for epoch in EPOCHS:
            broken(folder, epoch)
        with pytest.raises(ProofError, match="all 12 cells of a plot are refused"):
            NativeRenderer(renderer).render([recipe for recipe in grid.recipes if recipe.loras])


def test_names_are_looked_up_before_anything_is_drawn(renderer: Renderer, ugly_path: Path) -> None:
    grid = make_grid(renderer, ugly_path / "run")
    wrong = [recipe.evolve(sampler="euler a") for recipe in grid.recipes]
    with pytest.raises(InputError, match="no sampler 'euler a'"):
        NativeRenderer(renderer).render(wrong)
    assert not list(renderer.cache.folder.rglob("*.png"))


def test_a_plot_that_fails_as_a_whole_fails_alone(start_server: StartServer, ugly_path: Path) -> None:
    with A1111(start_server(size_cap=256).url) as client:
        renderer = Renderer(connect(client), PictureCache(ugly_path / "cache"))
        recipes = make_grid(renderer, ugly_path / "run").recipes
        large = [r.evolve(width=320) for r in recipes if r.loras]
        pictures = NativeRenderer(renderer).render([*recipes, *large])
        assert not any(picture.error for picture in pictures[:18])
        assert all("drew no cell" in picture.error for picture in pictures[18:])
        with pytest.raises(ToolError, match="drew no cell"):
            NativeRenderer(renderer).render(large)


def when_at(client: A1111, job: str, act: Callable[[], object]) -> threading.Thread:
    """Do something as soon as the server is at that cell."""

    def watch() -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until and not client.progress().state.job.startswith(job):
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def slow(start_server: StartServer, folder: Path) -> Renderer:
    server = connect(A1111(start_server(gpu_seconds_per_picture=0.2).url))
    return Renderer(server, PictureCache(folder / "cache"))


def test_an_interrupted_plot_keeps_its_whole_cells_only(start_server: StartServer, ugly_path: Path) -> None:
    renderer = slow(start_server, ugly_path)
    client = renderer.server.client
    recipes = [r for r in make_grid(renderer, ugly_path / "run").recipes if r.loras and r.loras[0].weight > 0.4]
    watcher = when_at(client, "3 out of 12", client.interrupt)
    pictures = NativeRenderer(renderer).render(recipes)
    watcher.join()
    assert [bool(picture.error) for picture in pictures] == [False] * 2 + [True] * 10
    assert "half done" in pictures[2].error
    assert all("interrupted" in picture.error for picture in pictures[3:])
    whole = NativeRenderer(renderer).render(recipes)
    assert [picture.cached for picture in whole] == [True] * 2 + [False] * 10
    with client:
        other = dataclasses.replace(renderer, cache=PictureCache(ugly_path / "single"))
        assert [pixels(p) for p in whole[:4]] == [pixels(p) for p in other.render(recipes[:4])]


def test_ctrl_c_stops_our_plot_and_keeps_what_it_drew(start_server: StartServer, ugly_path: Path) -> None:
    renderer = slow(start_server, ugly_path)
    client = renderer.server.client
    recipes = [r for r in make_grid(renderer, ugly_path / "run").recipes if r.loras and r.loras[0].weight > 0.4]
    arrived: list[Picture] = []
    with client:
        watcher = when_at(client, "3 out of 12", _thread.interrupt_main)
        with pytest.raises(KeyboardInterrupt):
            NativeRenderer(renderer).render(recipes, arrived.append)
        watcher.join()
        assert not client.progress().state.job_count, "the server does not go on with it"
        assert 2 <= 12 - renderer.missing(recipes) < 12
        assert sum(not picture.error for picture in arrived) == 12 - renderer.missing(recipes)


def plot(client: A1111, axes: list[Axis], **more: object) -> Generated:
    script = read_script(client.script_info())
    body = {"prompt": "m, close-up", "seed": 5, "steps": 2, "width": 128, "height": 128, "sampler_name": "Euler"}
    return client.txt2img(body | {"script_name": script.name, "script_args": script_args(script, axes)} | more)


def test_an_error_inside_a_cell_is_that_cell_s(client: A1111) -> None:
    axes = [Axis("Steps", ("2", "0", "3")), Axis("CFG Scale", ("5", "7.5"))]
    cells = take_apart(plot(client, axes), axes)
    assert [bool(cell.error) for cell in cells] == [False, True, False] * 2
    assert "Steps: 3" in cells[2].infotext
    assert "CFG scale: 7.5" in cells[3].infotext


def test_axes_with_a_menu_take_their_values_too(client: A1111) -> None:
    axes = [Axis("Sampler", ("Euler", "DPM++ 2M")), Axis("Schedule type", ("Automatic", "Karras"))]
    cells = take_apart(plot(client, axes), axes)
    assert [cell.infotext.partition("Sampler: ")[2].partition(",")[0] for cell in cells] == ["Euler", "DPM++ 2M"] * 2


def test_img2img_is_plotted_by_its_own_numbers(client: A1111) -> None:
    script = read_script(client.script_info(), img2img=True)
    axes = [Axis("Denoising", ("0.3", "0.7")), Axis("Seed", ("1", "2"))]
    first = plot(client, [Axis("Seed", ("1",))]).pictures[0]
    body = {"prompt": "m, close-up", "steps": 2, "width": 128, "height": 128, "sampler_name": "Euler", "seed": 5}
    body |= {"script_name": script.name, "script_args": script_args(script, axes)}
    answer = client.img2img(body | {"init_images": [encode(first)]})
    cells = take_apart(answer, axes)
    assert [cell.seed for cell in cells] == [1, 1, 2, 2]
    assert all("Denoising strength: 0.7" in cells[k].infotext for k in (1, 3))


def test_an_unknown_name_on_an_axis_is_the_server_s_own_error(client: A1111) -> None:
    with pytest.raises(ServerError, match="Unknown sampler"):
        plot(client, [Axis("Sampler", ("nope",))])


def workspace_with_a_run(folder: Path) -> Workspace:
    """A workspace after the training."""
    workspace = Workspace(folder)
    profile = load_profile(find_profile("demo"))
    grid = GridPlan(
        name="face", prompt="{trigger}, close-up", seeds=SEEDS, weights=WEIGHTS,
        exclude=("epoch <= 10 and weight <= 0.4",),
    )  # fmt: skip
    profile = profile.model_copy(update={"grids": (grid,)})
    workspace.profile.write_text(tomli_w.dumps(profile.model_dump(mode="json", exclude_defaults=True)), "utf-8")
    run = workspace.run(profile.run_name)
    trained(run / "lora")
    record = RunRecord(
        name=run.name, status="finished", fingerprint="", orchestrator="", computer="", values={}, dataset_config={},
        dataset={}, base={}, trainer={}, epochs=30, save_every=10, seed=1,
    )  # fmt: skip
    write_record(run, record)
    return workspace


def test_the_command(
    sandbox_server: sandbox.RunningServer, ugly_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = workspace_with_a_run(ugly_path)
    command = ["grid", "render", "--url", sandbox_server.url, "-w", str(ugly_path)]
    assert main([*command, "--native"]) == 0
    assert "18 pictures" in capsys.readouterr().out
    cache = PictureCache(workspace.cache)
    proofs = [cache.proof(path.stem)["proof"] for path in cache.folder.rglob("pictures/*/*.png")]
    assert [proof.get("drawn_by") for proof in proofs].count("x/y/z plot") == 16
    assert main(command) == 0
    assert manifests.read(workspace.grid("v4 face")).count("ready") == 18
