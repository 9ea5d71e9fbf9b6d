"""Traps that let a wrong picture through, or kept a right one from being drawn."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.a1111.client import A1111
from orchestrator.errors import InputError
from orchestrator.files import sha256_file
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.host import Keeper
from orchestrator.render.patience import Patience
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import Server, connect
from orchestrator.sandbox.server import RunningServer
from tests.integration.conftest import StartServer

STARTER = "ai_model_v2-000040"
SOON = Patience(pause_s=0.02, away_s=3.0, look_s=0.1, settle_s=0.1)


def make(server: Server, **changes: object) -> Recipe:
    return Recipe(
        prompt="a woman, close-up", width=64, height=64, steps=2, seed=1, vae=server.vae, vae_hash=server.vae_hash,
        checkpoint=server.checkpoint, checkpoint_hash=server.checkpoint_hash, server_version=server.version,
        settings_hash=server.settings_hash,
    ).evolve(**changes)  # fmt: skip


def drawn_at(running: RunningServer) -> list[dict[str, Any]]:
    lines = (running.home / "drawn.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if "close-up" in entry["prompt"]]


@pytest.fixture
def renderer_at(ugly_path: Path) -> Callable[..., Renderer]:
    def at(client: A1111, name: str = "cache", **how: Any) -> Renderer:
        return Renderer(connect(client), PictureCache(ugly_path / name), patience=SOON, **how)

    return at


def test_one_of_the_first_pictures_cut_off_is_found_by_those_that_follow(
    start_server: StartServer, renderer_at: Callable[..., Renderer]
) -> None:
    slow, quick = start_server(gpu_seconds_per_picture=1.5), start_server()
    with A1111(slow.url) as client, A1111(quick.url) as other, A1111(slow.url) as somebody:
        renderer = renderer_at(client)
        wanted = [make(renderer.server, seed=seed, steps=20) for seed in range(6)]
        expected = [p.path.read_bytes() for p in renderer_at(other, "clean").render(wanted)]

        def press() -> None:
            # The first picture, with the second waiting behind it: the flag is gone before anybody looks.
            while not 0.1 < somebody.progress().progress < 0.3:
                time.sleep(0.01)
            somebody.interrupt()

        pressing = threading.Thread(target=press)
        pressing.start()
        pictures = renderer.render(wanted)
        pressing.join(60)
    assert [picture.error for picture in pictures] == [""] * 6
    assert [picture.path.read_bytes() for picture in pictures] == expected


def test_a_vae_that_somebody_switched_on_meanwhile_is_noticed(
    start_server: StartServer, renderer_at: Callable[..., Renderer]
) -> None:
    with A1111(start_server().url) as client:
        renderer = renderer_at(client)
        client.set_options({"sd_vae": client.vaes()[0].model_name})
        (picture,) = renderer.render([make(renderer.server)])
    assert "VAE: asked , used" in picture.error


def test_another_vae_than_asked_is_noticed_on_forge(
    start_server: StartServer, renderer_at: Callable[..., Renderer]
) -> None:
    with A1111(start_server(dialect="forge").url) as client:
        one, other = [vae.model_name for vae in client.vaes()][:2]
        server, pretending = connect(client, vae=one), connect(client, vae=other)
        assert server.vae_hash != pretending.vae_hash
        # Asked for one, and held against the hash of the other.
        (picture,) = renderer_at(client).render([make(pretending, vae=one)])
    assert picture.refused


def test_settings_that_change_pixels_are_in_the_key_and_noticed_when_they_change(
    start_server: StartServer, renderer_at: Callable[..., Renderer]
) -> None:
    with A1111(start_server().url) as client:
        renderer = renderer_at(client)
        before = make(renderer.server)
        client.set_options({"randn_source": "CPU"})
        (picture,) = renderer.render([before])
        assert "RNG: asked GPU, used CPU" in picture.error
        again = renderer_at(client)
        assert make(again.server).key != before.key
        (picture,) = again.render([make(again.server)])
        assert not picture.error


def test_one_cell_that_becomes_nan_does_not_end_a_drawing_on_two_servers(
    start_server: StartServer, renderer_at: Callable[..., Renderer]
) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    broken = {
        f"{layer}.lora_down.weight": np.full((4, 320), np.nan, np.float16),
        f"{layer}.lora_up.weight": np.ones((320, 4), np.float16),
        f"{layer}.alpha": np.array(4.0, np.float16),
    }
    one, two = start_server(), start_server()
    for running in (one, two):
        save_file(broken, running.home / "models" / "Lora" / "exploded.safetensors", {"sshs_model_hash": "b2" * 32})
    with A1111(one.url) as a, A1111(two.url) as b:
        a.refresh_loras()
        b.refresh_loras()
        renderer = renderer_at(a, others=(connect(b),))
        bad = LoraUse("exploded", "c" * 64, "b2" * 6, 1.0)
        recipes = [make(renderer.server, loras=(bad,)), *(make(renderer.server, seed=seed) for seed in range(2, 6))]
        pictures = renderer.render(recipes)
        assert [bool(picture.error) for picture in pictures] == [True, False, False, False, False]
        assert "NansException" in pictures[0].error
        assert "NansException" in renderer.render(recipes[:1])[0].error, "alone it is no reason to end either"


def test_a_server_that_cannot_be_restarted_goes_on(
    start_server: StartServer, renderer_at: Callable[..., Renderer]
) -> None:
    said: list[str] = []
    with A1111(start_server().url) as client:
        keeper = Keeper(client.restart)  # there is no --api-server-stop
        renderer = renderer_at(client, keepers={client.url: keeper}, restart_every=3, say=said.append)
        pictures = renderer.render([make(renderer.server, seed=seed) for seed in range(8)])
    assert [picture.error for picture in pictures] == [""] * 8
    assert sum("api-server-stop" in sentence for sentence in said) == 1


def test_an_answer_that_is_no_json_is_not_asked_for_for_ever(
    start_server: StartServer, renderer_at: Callable[..., Renderer]
) -> None:
    running = start_server()
    with A1111(running.url) as client:
        renderer = renderer_at(client)
        real = httpx.HTTPTransport()

        def garbled(request: httpx.Request) -> httpx.Response:
            answer = real.handle_request(request)
            answer.read()
            drawing = request.url.path.endswith("txt2img")
            return httpx.Response(200, content=b"<html>") if drawing else answer

        with A1111(running.url, transport=httpx.MockTransport(garbled)) as through:
            (picture,) = replace(renderer, server=replace(renderer.server, client=through)).render(
                [make(renderer.server)]
            )
        real.close()
    assert "is no JSON" in picture.error
    assert len(drawn_at(running)) == SOON.lost + 1


def test_a_dead_server_does_not_hold_up_what_the_others_have_finished(
    start_server: StartServer, renderer_at: Callable[..., Renderer]
) -> None:
    one, two = start_server(gpu_seconds_per_picture=0.02), start_server(gpu_seconds_per_picture=0.02)
    with A1111(one.url) as a, A1111(two.url) as b:
        renderer = replace(renderer_at(a, others=(connect(b),)), patience=replace(SOON, away_s=3600.0))
        stopped = threading.Event()

        def stop(picture: Picture) -> None:
            if not stopped.is_set():
                stopped.set()
                two.stop()

        # Waiting an hour for the dead one would be the test's end.
        pictures = renderer.render([make(renderer.server, seed=seed) for seed in range(20)], stop)
    assert [picture.error for picture in pictures] == [""] * 20


def test_what_is_varied_must_be_what_was_planned(
    start_server: StartServer, renderer_at: Callable[..., Renderer], ugly_path: Path
) -> None:
    with A1111(start_server().url) as client:
        renderer = renderer_at(client)
        (source,) = renderer.render([make(renderer.server)])
        mine = ugly_path / "mine.png"
        mine.write_bytes(source.path.read_bytes())
        varied = make(renderer.server, init_sha256=sha256_file(mine), init_path=mine, denoising_strength=0.3)
        mine.write_bytes(mine.read_bytes() + b"retouched")
        (picture,) = renderer.render([varied])
    assert "changed since this was planned" in picture.error


def test_a_schedule_that_a_server_would_drop_in_silence_is_refused(
    start_server: StartServer, renderer_at: Callable[..., Renderer]
) -> None:
    with A1111(start_server(dialect="classic").url) as client:
        renderer = renderer_at(client)
        sampler, scheduler = renderer.server.sampler("Euler", "Karras")
        with pytest.raises(InputError, match="no 'Euler' with the schedule 'Karras'"):
            renderer.render([make(renderer.server, sampler=sampler, scheduler=scheduler)])
    with A1111(start_server(dialect="reforge").url) as client:
        renderer = renderer_at(client)
        turbo = next(name for name in renderer.server.samplers if name.endswith("Turbo"))
        with pytest.raises(InputError, match=r"takes .* for a schedule"):
            renderer.render([make(renderer.server, sampler=turbo)])


def test_impossible_requests_are_refused_before_anything_is_drawn(
    start_server: StartServer, renderer_at: Callable[..., Renderer]
) -> None:
    running = start_server()
    with A1111(running.url) as client:
        renderer = renderer_at(client)
        for wrong in ({"steps": 0}, {"width": 100_000, "height": 100_000}, {"seed": 2**63}, {"width": 0}):
            with pytest.raises(InputError):
                renderer.render([make(renderer.server, seed=9), make(renderer.server, **wrong)])
    assert drawn_at(running) == []


def test_an_address_of_a_library_user_is_completed_or_refused() -> None:
    assert A1111("127.0.0.1:7860").url == "http://127.0.0.1:7860"
    with pytest.raises(InputError, match="user and password apart"):
        A1111("http://me:secret@127.0.0.1:7860")
