"""Drawing through the cache, against a server that behaves as A1111 does, silent failures included."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.a1111.client import A1111
from orchestrator.a1111.models import Checkpoint
from orchestrator.errors import InputError, InstallError, ProofError, ServerUnreachable, StorageError, ToolError
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.patience import Patience
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import connect
from tests.integration.conftest import StartServer

STARTER = "ai_model_v2-000040"

PAINTER = "plain"


def recipe(renderer: Renderer, **changes: object) -> Recipe:
    server = renderer.server
    plain = Recipe(
        prompt="a woman, close-up", width=128, height=128, steps=4, seed=7,
        checkpoint=server.checkpoint, checkpoint_hash=server.checkpoint_hash, server_version=server.version,
    )  # fmt: skip
    return plain.evolve(**changes)


def starter(client: A1111, weight: float = 1.0) -> LoraUse:
    entry = next(e for e in client.loras() if e.name == STARTER)
    shown = str(entry.metadata["sshs_model_hash"])
    return LoraUse(STARTER, "f" * 64, shown[:12], weight)


def test_a_picture_is_drawn_once_and_proven(renderer: Renderer, client: A1111) -> None:
    wanted = recipe(renderer, loras=(starter(client),))
    (drawn,) = renderer.render([wanted])
    assert not drawn.error
    assert not drawn.cached
    assert drawn.proof["proof"]["lora_hashes"] == {STARTER: wanted.loras[0].shown_hash}
    assert drawn.proof["simulated"] is True
    assert drawn.path.read_bytes().startswith(b"\x89PNG")
    assert b"Lora hashes" in drawn.path.read_bytes()
    (again,) = renderer.render([wanted])
    assert again.cached
    assert again.path.read_bytes() == drawn.path.read_bytes()


def test_equal_recipes_are_drawn_once_and_the_order_is_the_caller_s(renderer: Renderer) -> None:
    a, b = recipe(renderer, seed=1), recipe(renderer, seed=2)
    seen: list[Picture] = []
    pictures = renderer.render([b, a, b, a], seen.append)
    assert [p.recipe.seed for p in pictures] == [2, 1, 2, 1]
    assert len(seen) == 2


def test_names_are_looked_up_before_anything_is_drawn(renderer: Renderer, client: A1111) -> None:
    wrong = [
        recipe(renderer, sampler="dpm++ 2m"),
        recipe(renderer, scheduler="Karas"),
        recipe(renderer, loras=(replace(starter(client), stem="ai_model_v2-000041"),)),
        recipe(renderer, prompt="<lora:x:1> a"),
    ]
    with pytest.raises(InputError) as caught:
        renderer.render(wrong)
    text = str(caught.value)
    assert "no sampler 'dpm++ 2m'. Did you mean 'DPM++ 2M'?" in text
    assert "no scheduler 'Karas'. Did you mean 'Karras'?" in text
    assert f"no LoRA 'ai_model_v2-000041'. Did you mean '{STARTER}'?" in text
    assert "<lora:…> tag" in text
    assert not (renderer.cache.folder / "pictures").exists()


def test_a_lora_that_is_another_file_than_thought_is_refused_and_not_kept(renderer: Renderer, client: A1111) -> None:
    good, other = recipe(renderer, seed=5), replace(starter(client), shown_hash="0" * 12)
    pictures = renderer.render([good, recipe(renderer, seed=6, loras=(other,))])
    assert [bool(p.error) for p in pictures] == [False, True]
    assert f"LoRA {STARTER}: asked 000000000000, used" in pictures[1].error
    assert pictures[1].refused
    assert not pictures[1].path.exists()


def test_when_the_first_pictures_are_all_refused_the_night_is_not_wasted(renderer: Renderer, client: A1111) -> None:
    other = replace(starter(client), shown_hash="0" * 12)
    with pytest.raises(ProofError, match=r"the first \d pictures are all refused"):
        renderer.render([recipe(renderer, seed=s, loras=(other,)) for s in range(30)])


def test_a_changed_checkpoint_shows_in_the_proof(renderer: Renderer, client: A1111) -> None:
    (drawn,) = renderer.render([recipe(renderer, checkpoint_hash="0123456789")])
    assert "checkpoint: asked 0123456789, used" in drawn.error


def test_an_unknown_checkpoint_is_refused_with_the_names_there_are(client: A1111) -> None:
    with pytest.raises(InputError, match="sandbox-v1-5"):
        connect(client, "sandbox-v1-6")


def test_another_checkpoint_is_loaded_and_named_by_its_hash(client: A1111, renderer: Renderer) -> None:
    other = connect(client, "sandbox-other")
    assert other.checkpoint.startswith("sandbox-other")
    assert other.checkpoint_hash != renderer.server.checkpoint_hash
    assert Path(other.checkpoint_path).is_file()
    connect(client, "sandbox-v1-5")


def test_a_lora_in_every_picture_would_poison_the_baseline(client: A1111) -> None:
    client.set_options({"sd_lora": STARTER})
    try:
        with pytest.raises(InputError, match="adds the LoRA"):
            connect(client)
    finally:
        client.set_options({"sd_lora": "None"})


def test_variations_start_from_the_picture_s_content(renderer: Renderer, client: A1111, ugly_path: Path) -> None:
    from orchestrator.files import sha256_file

    (first,) = renderer.render([recipe(renderer)])
    varied = recipe(
        renderer, init_sha256=sha256_file(first.path), init_path=first.path, denoising_strength=0.4, prompt="smile"
    )
    (drawn,) = renderer.render([varied])
    assert not drawn.error
    gone = varied.evolve(init_path=ugly_path / "gone.png", seed=8)
    (missing,) = renderer.render([gone])
    assert "gone.png" in missing.error


def test_two_are_in_flight_and_no_more(start_server: StartServer, ugly_path: Path) -> None:
    running = start_server(gpu_seconds_per_picture=0.05)
    with A1111(running.url) as client:
        renderer = Renderer(connect(client), PictureCache(ugly_path / "cache"))
        lock, now, most = threading.Lock(), 0, 0
        draw = client.connection.draw

        def counted(route: str, body: Mapping[str, Any]) -> Any:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            try:
                return draw(route, body)
            finally:
                with lock:
                    now -= 1

        client.connection.draw = counted  # type: ignore[method-assign]
        renderer.render([recipe(renderer, seed=s) for s in range(8)])
    assert most == 2


def test_a_full_disk_stops_with_a_sentence_and_keeps_what_is_there(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    (kept,) = renderer.render([recipe(renderer, seed=1)])
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(StorageError, match="disk is full"):
        renderer.render([recipe(renderer, seed=s) for s in (2, 3)])
    monkeypatch.undo()
    assert renderer.cache.has(kept.key)
    assert not list(renderer.cache.folder.rglob("*.tmp"))


def test_a_server_that_dies_midway_keeps_what_arrived(start_server: StartServer, ugly_path: Path) -> None:
    running = start_server(gpu_seconds_per_picture=0.05)
    with A1111(running.url) as client:
        renderer = Renderer(
            connect(client), PictureCache(ugly_path / "cache"), patience=Patience(away_s=0.5, look_s=0.1)
        )
        arrived: list[Picture] = []

        def count(picture: Picture) -> None:
            arrived.append(picture)
            if len(arrived) == 3:
                running.stop()

        recipes = [recipe(renderer, seed=s) for s in range(40)]
        with pytest.raises(ServerUnreachable):
            renderer.render(recipes, count)
        assert 37 - 6 <= renderer.missing(recipes) <= 37


def test_nobody_there(ugly_path: Path) -> None:
    with A1111("http://127.0.0.1:9") as client, pytest.raises(ServerUnreachable, match="No A1111 at") as caught:
        connect(client)
    assert "--api" in str(caught.value)


def test_credentials_are_asked_for_and_used(start_server: StartServer) -> None:
    running = start_server(api_auth="me:secret")
    with A1111(running.url) as client, pytest.raises(InstallError, match="asks for a user and password"):
        connect(client)
    with A1111(running.url, username="me", password="secret") as client:
        assert connect(client).version


def test_another_program_at_the_address() -> None:
    def hello(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="<html>hello</html>")

    with A1111(transport=httpx.MockTransport(hello)) as client, pytest.raises(ServerUnreachable, match="not A1111"):
        client.options()


def test_a_picture_the_server_fails_on_does_not_stop_the_others(renderer: Renderer) -> None:
    pictures = renderer.render(
        [recipe(renderer, seed=1), recipe(renderer, seed=2, clip_skip=99), recipe(renderer, seed=3)]
    )
    assert [bool(p.error) for p in pictures] == [False, True, False]
    with pytest.raises(ToolError, match=r"The first \d pictures all failed"):
        renderer.render([recipe(renderer, seed=s, clip_skip=99) for s in range(10, 20)])


def test_cells_that_always_fail_do_not_stop_a_later_run_of_the_others(renderer: Renderer) -> None:
    good, bad = [recipe(renderer, seed=s) for s in range(3)], [recipe(renderer, seed=s, clip_skip=99) for s in range(6)]
    renderer.render(good)
    pictures = renderer.render([*good, *bad])
    assert [bool(p.error) for p in pictures] == [False] * 3 + [True] * 6


def test_a_schedule_left_to_the_sampler_is_proven(renderer: Renderer) -> None:
    chosen = [recipe(renderer, scheduler="Automatic", sampler=name) for name in ("DPM++ 2M", "Euler a")]
    assert [p.error for p in renderer.render(chosen)] == ["", ""]


def test_an_unknown_vae_is_refused(client: A1111) -> None:
    with pytest.raises(InputError, match="no VAE 'nope'"):
        connect(client, vae="nope")


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [("lora_add_hashes_to_infotext", False, "does not write the hashes"), ("samples_format", "jpg", "loses detail")],
)
def test_options_that_would_spoil_every_picture_are_refused(
    client: A1111, option: str, value: object, says: str
) -> None:
    before = client.options()[option]
    client.set_options({option: value})
    try:
        with pytest.raises(InputError, match=says):
            connect(client)
    finally:
        client.set_options({option: before})


def test_the_user_s_settings_are_as_they_were(renderer: Renderer, client: A1111) -> None:
    before = client.options()
    renderer.render([recipe(renderer, seed=31, clip_skip=2)])
    assert client.options() == before


def test_a_hash_sign_would_cut_the_prompt_off(renderer: Renderer) -> None:
    with pytest.raises(InputError, match="holds a #"):
        renderer.render([recipe(renderer, negative_prompt="bad # hands")])


def test_a_checkpoint_is_known_by_its_title_before_and_after_it_was_hashed() -> None:
    entry = Checkpoint(
        title="sub/m.safetensors [0123456789]", model_name="sub_m", hash="0123456789", filename="/x/m.safetensors"
    )
    assert all(
        entry.answers_to(name) for name in ("sub/m.safetensors", entry.title, "sub_m", "m.safetensors", "0123456789")
    )
    assert not entry.answers_to("")
