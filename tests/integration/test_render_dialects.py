"""Forge, reForge and classic: what differs from A1111, and what would go wrong without knowing it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.a1111.client import A1111
from orchestrator.errors import InputError
from orchestrator.files import sha256_file
from orchestrator.render.cache import PictureCache
from orchestrator.render.canary import is_applied
from orchestrator.render.engine import Renderer
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import Server, connect
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.sandbox.server import RunningServer
from tests.integration.conftest import StartServer

DIALECTS = {"a1111": "A1111", "forge": "Forge", "reforge": "reForge", "classic": "classic"}
FORKS = ("forge", "reforge", "classic")
STARTER = "ai_model_v2-000040"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], RunningServer]]:
    """A server of a dialect as it comes, one for all tests that leave it so."""
    running: dict[str, RunningServer] = {}

    def server(dialect: str) -> RunningServer:
        if dialect not in running:
            home = tmp_path_factory.mktemp("home") / f"{dialect} 'ui' 初音"
            home.mkdir()
            running[dialect] = sandbox.start(home, settings=Settings(dialect=dialect))  # type: ignore[arg-type]
        return running[dialect]

    yield server
    for each in running.values():
        each.kill()


@pytest.fixture(params=DIALECTS)
def spoken(
    request: pytest.FixtureRequest, plain: Callable[[str], RunningServer]
) -> Iterator[tuple[str, RunningServer, A1111]]:
    """A server of each dialect."""
    running = plain(request.param)
    with A1111(running.url) as client:
        yield request.param, running, client


def make(server: Server, **changes: object) -> Recipe:
    sampler, scheduler = server.sampler("DPM++ 2M", "Karras")
    return Recipe(
        prompt="a woman, close-up", negative_prompt="bad hands", width=64, height=64, steps=2, seed=1,
        sampler=sampler, scheduler=scheduler, vae=server.vae, vae_hash=server.vae_hash,
        checkpoint=server.checkpoint, checkpoint_hash=server.checkpoint_hash, server_version=server.version,
    ).evolve(**changes)  # fmt: skip


def use(client: A1111, stem: str = STARTER, weight: float = 1.0) -> LoraUse:
    entry = next(e for e in client.loras() if e.name == stem)
    return LoraUse(stem, sha256_file(Path(entry.path)), str(entry.metadata.get("sshs_model_hash", ""))[:12], weight)


def test_pictures_are_drawn_and_proven(spoken: tuple[str, RunningServer, A1111], ugly_path: Path) -> None:
    dialect, _, client = spoken
    server = connect(client)
    assert server.dialect.name == DIALECTS[dialect]
    assert server.version.startswith(DIALECTS[dialect] + " ")
    renderer = Renderer(server, PictureCache(ugly_path / "cache"))
    recipes = [
        make(server, seed=seed, loras=(use(client, weight=seed / 4),), clip_skip=1 + seed % 2) for seed in (1, 2, 3)
    ]
    assert [picture.error for picture in renderer.render([make(server), *recipes])] == [""] * 4
    assert client.txt2img({"prompt": "a", "steps": 1, "width": 64, "height": 64}).info.clip_skip == 1


def test_the_same_recipe_has_another_key_on_each_fork(plain: Callable[[str], RunningServer]) -> None:
    keys = set()
    for dialect in DIALECTS:
        with A1111(plain(dialect).url) as client:
            keys.add(make(connect(client)).evolve(sampler="Euler", scheduler="Automatic").key)
    assert len(keys) == len(DIALECTS)


def test_the_vae_is_asked_for_in_each_dialect_s_own_way(
    spoken: tuple[str, RunningServer, A1111], ugly_path: Path
) -> None:
    _, _, client = spoken
    names = [vae.model_name for vae in client.vaes()]
    assert names
    with pytest.raises(InputError, match="no VAE 'nope'"):
        connect(client, vae="nope")
    server = connect(client, vae=names[0])
    plain = connect(client)
    renderer = Renderer(server, PictureCache(ugly_path / "cache"))
    with_vae, without = make(server), make(plain)
    assert with_vae.key != without.key
    one, other = renderer.render([with_vae])[0], Renderer(plain, renderer.cache).render([without])[0]
    assert (one.error, other.error) == ("", "")
    assert one.path.read_bytes() != other.path.read_bytes()


def test_names_of_before_schedules_were_a_field_are_translated(plain: Callable[[str], RunningServer]) -> None:
    with A1111(plain("classic").url) as client:
        server = connect(client)
        assert server.sampler("DPM++ 2M", "Karras") == ("DPM++ 2M Karras", "")
        assert server.sampler("DPM++ 2M Karras", "Automatic")[0] == "DPM++ 2M Karras"
    with A1111(plain("forge").url) as client:
        assert connect(client).sampler("DPM++ 2M Karras", "Automatic") == ("DPM++ 2M", "Karras")


@pytest.mark.parametrize("dialect", FORKS)
def test_a_black_picture_with_a_200_is_refused(
    plain: Callable[[str], RunningServer], start_server: StartServer, ugly_path: Path, dialect: str
) -> None:
    with A1111(plain(dialect).url) as client:
        server = connect(client)
    with A1111(start_server(dialect=dialect, faults="nan").url) as broken:
        (picture,) = Renderer(replace(server, client=broken), PictureCache(ugly_path / "cache")).render([make(server)])
    assert picture.refused
    assert "flat colour" in picture.error


def test_a_listed_lora_that_does_not_fit_is_found_out_by_the_canary(start_server: StartServer, ugly_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    running = start_server(dialect="reforge")
    # The right keys with the wrong sizes: reForge lists the hash and leaves the LoRA out.
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    tensors = {
        f"{layer}.lora_down.weight": np.ones((4, 64), np.float16),
        f"{layer}.lora_up.weight": np.ones((64, 4), np.float16),
        f"{layer}.alpha": np.array(4.0, np.float16),
    }
    save_file(tensors, running.home / "models" / "Lora" / "wrong-sizes.safetensors", {"sshs_model_hash": "a1" * 32})
    with A1111(running.url) as client:
        client.refresh_loras()
        server = connect(client)
        good, bad = use(client), use(client, "wrong-sizes")
        assert is_applied(server, good) is True
        assert is_applied(server, bad) is False
        renderer = Renderer(server, PictureCache(ugly_path / "cache"))
        pictures = renderer.render([make(server, loras=(good,)), make(server, loras=(bad,)), make(server)])
        assert [bool(picture.error) for picture in pictures] == [False, True, False]
        assert "lists the LoRA wrong-sizes and does not apply it" in pictures[1].error


@pytest.mark.parametrize("dialect", ["forge", "reforge"])
def test_a_lora_file_replaced_under_its_name_is_refused_until_the_server_is_started_anew(
    start_server: StartServer, ugly_path: Path, dialect: str
) -> None:
    running = start_server(dialect=dialect)
    folder = running.home / "models" / "Lora"
    changing = folder / "mine.safetensors"
    shutil.copyfile(folder / f"{STARTER}.safetensors", changing)
    cache = PictureCache(ugly_path / "cache")
    with A1111(running.url) as client:
        client.refresh_loras()
        server = connect(client, memory=cache.folder)
        (first,) = Renderer(server, cache).render([make(server, loras=(use(client, "mine"),))])
        assert not first.error
        beside = ugly_path / "new.safetensors"
        beside.write_bytes(changing.read_bytes() + b"\0")
        beside.replace(changing)
        server = connect(client, memory=cache.folder)
        with pytest.raises(InputError, match="still draws with what was in these LoRA files before: mine"):
            Renderer(server, cache).render([make(server, loras=(use(client, "mine"),), seed=2)])


def test_one_missing_lora_is_refused_before_it_drops_the_others(
    spoken: tuple[str, RunningServer, A1111], ugly_path: Path
) -> None:
    _, _, client = spoken
    server = connect(client)
    both = (use(client), LoraUse("not-there", "0" * 64, "", 1.0))
    with pytest.raises(InputError, match="no LoRA 'not-there'"):
        Renderer(server, PictureCache(ugly_path / "cache")).render([make(server, loras=both)])


def test_an_extension_is_passed_through_and_its_maps_are_no_pictures(
    spoken: tuple[str, RunningServer, A1111], ugly_path: Path
) -> None:
    _, _, client = spoken
    server = connect(client)
    names = {name.casefold(): name for name in client.scripts().txt2img}
    if "adetailer" not in names:
        pytest.skip("this server has no ADetailer")
    asked = make(server, alwayson_scripts='{"ADetailer": {"args": [true, {"ad_model": "face_yolov8n.pt"}]}}')
    (picture,) = Renderer(server, PictureCache(ugly_path / "cache")).render([asked])
    assert not picture.error
    assert "ADetailer model" in picture.proof["proof"]["infotext"]
