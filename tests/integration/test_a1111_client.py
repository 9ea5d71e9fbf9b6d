"""Every route that people script, on the simulated server in each of its dialects."""

from __future__ import annotations

import io
import json
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from orchestrator import A1111, Img2Img, Txt2Img, Upscale, UpscaleMany
from orchestrator.errors import InputError, InstallError, PictureError, ServerError
from orchestrator.sandbox.server import RunningServer
from tests.contract.subject import Wire
from tests.integration.conftest import StartServer

SMALL = {"steps": 1, "width": 64, "height": 64, "seed": 5}
DIALECTS = {"a1111": "A1111", "forge": "Forge", "reforge": "reForge", "classic": "classic"}


@pytest.fixture(scope="module", params=DIALECTS)
def fork(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The name and address of a server in each dialect, behind a password with a colon in it."""
    from orchestrator.sandbox import server
    from orchestrator.sandbox.a1111.settings import Settings

    home = tmp_path_factory.mktemp(request.param)
    with server.start(home, settings=Settings(dialect=request.param, api_auth="me:pass:word")) as running:
        yield DIALECTS[request.param], running.url


@pytest.fixture
def recording() -> Wire:
    return Wire()


@pytest.fixture
def server(fork: tuple[str, str], recording: Wire) -> Iterator[A1111]:
    with A1111(fork[1], username="me", password="pass:word", transport=recording) as client:
        yield client


def size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def test_the_fork_is_recognised(server: A1111, fork: tuple[str, str]) -> None:
    assert server.dialect().name == fork[0]
    assert server.simulated


def test_drawing(server: A1111, recording: Wire) -> None:
    drawn = server.txt2img(Txt2Img(prompt="a woman", **SMALL))
    again = server.txt2img({"prompt": "a woman", **SMALL, "force_task_id": "mine"})
    assert again.pictures == drawn.pictures
    assert size(drawn.pictures[0]) == (64, 64)
    assert (drawn.info.seed, drawn.info.steps) == (5, 1)
    assert "Seed: 5" in str(drawn.infotexts[0])
    tasks = [body["force_task_id"] for body in recording.bodies]
    assert tasks[1] == "mine"
    assert tasks[0].startswith("task(")
    state = server.task("mine")
    assert state is not None
    assert state.completed


def test_every_request_has_a_task_of_its_own(server: A1111, recording: Wire) -> None:
    request = Txt2Img(prompt="a woman", **SMALL)
    server.txt2img(request)
    server.txt2img(request)
    assert len({body["force_task_id"] for body in recording.bodies}) == 2


def test_the_second_pass_has_the_cfg_of_the_first(server: A1111, recording: Wire) -> None:
    # Left out, a fork would draw it with CFG 1.
    wanted = {**SMALL, "prompt": "a woman", "enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "cfg_scale": 5.5}
    server.txt2img(wanted)
    server.txt2img({**wanted, "hr_cfg": 2})
    sent = [body.get("hr_cfg") for body in recording.bodies]
    assert sent == [5.5 if server.dialect().has_hr_cfg else None, 2]


def test_several_pictures_come_without_their_grid(server: A1111) -> None:
    drawn = server.txt2img({"prompt": "a woman", **SMALL, "batch_size": 2, "save_images": True})
    assert len(drawn.images) == 3
    assert len(drawn.pictures) == len(drawn.infotexts) == 2
    assert drawn.grids == drawn.images[:1]
    assert drawn.extras == []
    assert ["Seed: 5" in str(drawn.infotexts[0]), "Seed: 6" in str(drawn.infotexts[1])] == [True, True]


def test_from_pictures(server: A1111, ugly_path: Path) -> None:
    first = server.txt2img({"prompt": "a woman", **SMALL, "width": 128, "height": 96}).pictures[0]
    file = ugly_path / "first.png"
    file.write_bytes(first)
    varied = server.img2img(Img2Img(prompt="a woman, night", init_images=[file], steps=2, seed=1))
    assert size(varied.pictures[0]) == (128, 96)
    assert varied.info.denoising_strength == 0.75
    enlarged = server.upscale(Upscale(image=file, upscaler_1="Lanczos", upscaling_resize=2))
    assert size(enlarged.image) == (256, 192)
    assert "Lanczos" in enlarged.html_info
    both = server.upscale_many(
        UpscaleMany(imageList=[{"data": first, "name": "a"}, {"data": file}], upscaler_1="Nearest", upscaling_resize=3)
    )
    assert [size(data) for data in both.images] == [(384, 288)] * 2
    read = server.png_info(file)
    assert read.infotext.prompt == "a woman"
    assert read.infotext.fields["Seed"] == "5"


def test_nothing_is_sent_when_something_is_wrong(server: A1111, recording: Wire, ugly_path: Path) -> None:
    notes = ugly_path / "notes.txt"
    notes.write_text("notes", encoding="utf-8")
    for request in ({"widht": 64}, {"width": 0, "height": 100_000}, {"seed": 2**63}):
        with pytest.raises(InputError, match="Nothing was sent"):
            server.txt2img(request)
    for call in (lambda: server.img2img({"init_images": [notes]}), lambda: server.png_info(notes)):
        with pytest.raises(PictureError, match="not a picture"):
            call()
    assert recording.bodies == []


def test_a_prompt_of_50_kb_is_drawn(server: A1111) -> None:
    prompt = "a woman, " + "初音ミク " * 4_000
    assert server.txt2img({"prompt": prompt, **SMALL}).info.prompt == prompt


def test_lists(server: A1111, fork: tuple[str, str]) -> None:
    assert any(sampler.name.startswith("Euler") for sampler in server.samplers())
    assert bool(server.schedulers()) == (fork[0] != "classic")
    assert server.models()[0].title
    assert bool(server.modules()) == (fork[0] == "Forge" and bool(server.vaes()))
    assert [vae.filename for vae in server.vaes()] == [vae.filename for vae in server.vaes()]
    assert isinstance(server.loras(), list)
    assert isinstance(server.embeddings().loaded, dict)
    assert "x/y/z plot" in server.scripts().txt2img
    assert any(script.name == "x/y/z plot" and script.args[0].choices for script in server.script_info())
    assert "Lanczos" in [upscaler.name for upscaler in server.upscalers()]
    assert server.face_restorers()[0].name
    assert server.prompt_styles() == []
    assert server.memory().ram.total > 0
    assert server.get("/sdapi/v1/latent-upscale-modes")


def test_folders_are_read_again(server: A1111) -> None:
    server.refresh_checkpoints()
    server.refresh_loras()
    server.refresh_vae()
    server.refresh_embeddings()
    server.unload_checkpoint()
    server.reload_checkpoint()


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("CLIP_stop_at_last_layers", "2", 1),
        ("sd_model_checkpoint", 5, None),
        ("save_images_add_number", "yes", True),
        ("save_images_add_number", 1, True),
    ],
)
def test_an_option_of_another_type_is_refused(server: A1111, name: str, wrong: Any, right: Any) -> None:
    before = server.options()
    if before[name] is not None:
        with pytest.raises(InputError, match=f"{name}: .* is .*; now it is"):
            server.set_options({name: wrong})
    assert server.options() == before
    if right is not None:
        server.set_options({name: right})
        assert server.options()[name] == right
        server.set_options({name: before[name]})


def test_spoiled_options_can_be_mended(server: A1111) -> None:
    before = server.options()["CLIP_stop_at_last_layers"]
    server.post("/sdapi/v1/options", {"CLIP_stop_at_last_layers": "many"})
    with pytest.raises(ServerError):
        server.options()
    server.set_options({"CLIP_stop_at_last_layers": before})
    assert server.options()["CLIP_stop_at_last_layers"] == before


def test_no_password_among_the_flags(server: A1111, fork: tuple[str, str]) -> None:
    try:
        flags = server.cmd_flags()
    except ServerError as error:
        # Forge started with --port fails, and shows all of them in its error.
        assert fork[0] == "Forge"
        assert "pass:word" not in str(error) + "".join(traceback.format_exception(error)) + repr(error.__context__)
    else:
        assert fork[0] != "Forge"
        assert flags["api_auth"] == "***"
        assert "pass:word" not in repr(flags)


def test_restarting_says_what_is_missing(server: A1111) -> None:
    with pytest.raises(InstallError, match="api-server-stop"):
        server.restart()


def test_a_refused_field_is_told_and_not_echoed(server: A1111) -> None:
    with pytest.raises(ServerError, match="width: ") as caught:
        server.post("/sdapi/v1/txt2img", {"width": "a picture " * 50})
    assert caught.value.status == 422
    assert "a picture" not in str(caught.value)


def test_credentials(fork: tuple[str, str]) -> None:
    for password in ("pass", "word"):
        with A1111(fork[1], username="me", password=password) as client, pytest.raises(InstallError, match="password"):
            client.options()
    with A1111(fork[1]) as client, pytest.raises(InstallError, match="password"):
        client.progress()


@pytest.mark.parametrize(
    ("username", "password", "why"),
    [("a:b", "c", "colon"), ("me", "naïve", "ASCII"), ("mé", "c", "ASCII"), ("", "c", "no user name")],
)
def test_credentials_that_a1111_cannot_take(username: str, password: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        A1111(username=username, password=password)
    assert "naïve" not in str(caught.value)


def test_only_ones_own_request_is_interrupted(start_server: StartServer) -> None:
    with A1111(start_server(gpu_seconds_per_step=0.02).url) as server:
        server.txt2img(SMALL)
        answers: list[Any] = []

        def draw() -> None:
            answers.append(server.txt2img({**SMALL, "steps": 150, "force_task_id": "mine"}))

        thread = threading.Thread(target=draw)
        thread.start()
        until = time.monotonic() + 10
        while not (state := server.task("mine")) or not state.active:
            assert time.monotonic() < until
        assert not server.interrupt_task("somebody else's")
        assert server.interrupt_task("mine")
        thread.join()
        assert server.progress().state.interrupted
        assert answers[0].pictures
        assert not server.interrupt_task("mine")


def test_a_tagger_in_both_shapes(start_server: StartServer) -> None:
    found = []
    for shape in ("flat", "nested"):
        with A1111(start_server(tagger=shape).url) as server:
            data = server.txt2img(SMALL).pictures[0]
            assert server.tagger_models()
            found.append(server.tags(data, server.tagger_models()[0], 0.35))
    assert all(0 <= value <= 1 for tags in found for value in tags.values())
    assert found[0].keys() & found[1].keys()


def test_no_tagger_and_no_captions(start_server: StartServer) -> None:
    with A1111(start_server(tagger="none").url) as server:
        assert server.tagger_models() == []
        data = server.txt2img(SMALL).pictures[0]
        assert server.interrogate(data)
        with pytest.raises(ServerError, match="gave no caption"):
            server.interrogate(data, "clip")


def test_an_extension_s_pictures_come_after_ours(sandbox_server: RunningServer) -> None:
    """As Forge answers with ControlNet: a map more than infotexts and seeds."""

    class WithMap(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            answer = json.loads(response.read())
            answer["images"].append(answer["images"][0])
            return httpx.Response(200, json=answer)

    with A1111(sandbox_server.url, transport=WithMap()) as server:
        drawn = server.txt2img({**SMALL, "n_iter": 2})
    assert (len(drawn.images), len(drawn.pictures), len(drawn.infotexts), len(drawn.extras)) == (3, 2, 2, 1)
