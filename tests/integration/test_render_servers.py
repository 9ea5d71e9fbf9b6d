"""Several servers and what is known of each: shared work, remembered facts, settings left as they were."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.a1111.client import A1111
from orchestrator.errors import InstallError, ServerUnreachable
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.host import Keeper
from orchestrator.render.patience import Patience
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import Server, connect
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.sandbox.server import RunningServer
from tests.integration.conftest import StartServer

STARTER = "ai_model_v2-000040"
SOON = Patience(pause_s=0.02, away_s=1.0, look_s=0.1, settle_s=0.1)


def plain(server: Server, **changes: object) -> Recipe:
    return Recipe(
        prompt="a woman, close-up", width=64, height=64, steps=2, seed=1,
        checkpoint=server.checkpoint, checkpoint_hash=server.checkpoint_hash, server_version=server.version,
    ).evolve(**changes)  # fmt: skip


def starter(client: A1111, weight: float) -> LoraUse:
    entry = next(e for e in client.loras() if e.name == STARTER)
    return LoraUse(STARTER, "f" * 64, str(entry.metadata["sshs_model_hash"])[:12], weight)


def drawn_at(running: RunningServer) -> list[dict[str, Any]]:
    path = running.home / "drawn.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


@pytest.fixture
def three(start_server: StartServer) -> Iterator[list[tuple[RunningServer, A1111]]]:
    """Three servers of the same kind, each with a card that takes 30 ms a picture."""
    running = [start_server(gpu_seconds_per_picture=0.03, painter="plain") for _ in range(3)]
    clients = [A1111(each.url) for each in running]
    yield list(zip(running, clients, strict=True))
    for client in clients:
        client.close()


def test_servers_that_draw_alike_share_the_work(three: list[tuple[RunningServer, A1111]], ugly_path: Path) -> None:
    first, *others = [connect(client) for _, client in three]
    said: list[str] = []
    renderer = Renderer(first, PictureCache(ugly_path / "cache"), others=tuple(others), say=said.append)
    weights = [starter(three[0][1], weight / 10) for weight in range(1, 7)]
    recipes = [plain(first, loras=(use,), seed=seed) for use in weights for seed in range(8)]
    pictures = renderer.render(recipes)
    assert [picture.error for picture in pictures] == [""] * len(recipes)
    shares = Counter(picture.proof["proof"]["server"] for picture in pictures)
    assert set(shares) == {client.url for _, client in three}
    assert said == []


def test_a_server_that_draws_other_pixels_takes_no_part(start_server: StartServer, tmp_path: Path) -> None:
    home = tmp_path / "other world"
    home.mkdir()
    one = start_server()
    with sandbox.start(home, world="equal", settings=Settings()) as two, A1111(one.url) as a, A1111(two.url) as b:
        first, second = connect(a), connect(b)
        b.set_options({"sd_model_checkpoint": "sandbox-other.safetensors"})
        said: list[str] = []
        # Its checkpoint is another one; that it claims the same must not help it.
        pretending = replace(second, checkpoint_hash=first.checkpoint_hash, checkpoint=second.checkpoint)
        for other, why in ((second, "its checkpoint is"), (pretending, "other pixels")):
            said.clear()
            before = len(drawn_at(two))
            renderer = Renderer(first, PictureCache(tmp_path / why), others=(other,), say=said.append)
            pictures = renderer.render([plain(first, seed=seed, checkpoint="") for seed in range(6)])
            assert [picture.error for picture in pictures] == [""] * 6
            assert {picture.proof["proof"]["server"] for picture in pictures} == {a.url}
            assert any(why in sentence for sentence in said), said
            assert len(drawn_at(two)) <= before + 1, "at most the probe"


def test_a_dead_server_s_work_moves_on(three: list[tuple[RunningServer, A1111]], ugly_path: Path) -> None:
    first, *others = [connect(client) for _, client in three]
    said: list[str] = []
    renderer = Renderer(first, PictureCache(ugly_path / "cache"), others=tuple(others), patience=SOON, say=said.append)
    recipes = [plain(first, seed=seed, prompt=f"a woman, {seed % 3}") for seed in range(60)]
    arrived = 0

    def stop_the_second(picture: Picture) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 15:
            three[1][0].stop()

    pictures = renderer.render(recipes, stop_the_second)
    assert [picture.error for picture in pictures] == [""] * len(recipes)
    assert any(three[1][1].url in sentence and "does not answer" in sentence for sentence in said)


def test_pictures_made_from_pictures_stay_on_one_server_and_come_out_the_same(
    three: list[tuple[RunningServer, A1111]], ugly_path: Path
) -> None:
    from orchestrator.files import sha256_file

    first, *others = [connect(client) for _, client in three]
    renderer = Renderer(first, PictureCache(ugly_path / "cache"), others=tuple(others))
    (source,) = renderer.render([plain(first)])
    recipes = [
        plain(first, seed=seed, init_sha256=sha256_file(source.path), init_path=source.path, denoising_strength=0.4)
        for seed in range(4)
    ]
    pictures = renderer.render(recipes)
    assert {picture.proof["proof"]["server"] for picture in pictures} == {first.client.url}
    assert all("seed 0" in picture.proof["proof"]["after"] for picture in pictures)
    # What the server drew before leaves traces in an img2img picture; drawn again after something else, it is the same.
    first.client.txt2img({"prompt": "something else", "seed": 4711, "steps": 1, "width": 64, "height": 64})
    again = Renderer(first, PictureCache(ugly_path / "again")).render([recipes[2]])
    assert again[0].path.read_bytes() == pictures[2].path.read_bytes()


def test_what_is_complete_needs_no_drawing_at_all(start_server: StartServer, ugly_path: Path) -> None:
    running = start_server()
    memory = ugly_path / "cache"

    def render(client: A1111, count: int) -> list[Picture]:
        server = connect(client, memory=memory)
        return Renderer(server, PictureCache(memory)).render([plain(server, seed=seed) for seed in range(count)])

    with A1111(running.url) as client:
        render(client, 3)
    before = len(drawn_at(running))
    with A1111(running.url) as client:
        assert all(picture.cached for picture in render(client, 3))
        assert len(drawn_at(running)) == before
        client.set_options({"CLIP_stop_at_last_layers": 3})
        render(client, 3)
        assert len(drawn_at(running)) == before + 1, "another option: it is looked at again"
        assert not any(picture.error for picture in render(client, 5))


def test_a_server_that_became_another_one_is_noticed_before_anything_is_mixed(
    start_server: StartServer, ugly_path: Path
) -> None:
    running = start_server()
    memory = ugly_path / "cache"
    with A1111(running.url) as client:
        connect(client, memory=memory)
        known = json.loads((memory / "servers.json").read_text(encoding="utf-8"))
        for facts in known[client.url].values():
            facts["version"] = "A1111 v1.9.4"
        (memory / "servers.json").write_text(json.dumps(known), encoding="utf-8")
        server = connect(client, memory=memory)
        assert server.version == "A1111 v1.9.4"
        with pytest.raises(InstallError, match=r"has changed: it was A1111 v1\.9\.4 .* it is A1111 v1\.10\.1"):
            Renderer(server, PictureCache(memory)).render([plain(server)])
        assert connect(client, memory=memory).version == "A1111 v1.10.1"


def test_the_webui_s_settings_are_as_they_were_even_on_a_fresh_install(
    start_server: StartServer, ugly_path: Path
) -> None:
    running = start_server()
    with A1111(running.url) as client:
        server = connect(client)
        before = client.options()
        renderer = Renderer(server, PictureCache(ugly_path / "cache"))
        (skipped,) = renderer.render([plain(server, clip_skip=2)])
        assert not skipped.error
        assert client.options()["CLIP_stop_at_last_layers"] == before["CLIP_stop_at_last_layers"]
        other = connect(client, "sandbox-other")
        (elsewhere,) = Renderer(other, PictureCache(ugly_path / "cache")).render([plain(other)])
        assert not elsewhere.error
        assert client.options()["sd_model_checkpoint"] == before["sd_model_checkpoint"]
        # Who draws next without asking for anything gets what the webui is set to.
        assert client.txt2img({"prompt": "a", "steps": 1, "width": 64, "height": 64}).info.clip_skip == 1


def test_a_batch_is_one_request_whose_pictures_are_proven_one_by_one(
    start_server: StartServer, ugly_path: Path
) -> None:
    running = start_server()
    with A1111(running.url) as client:
        server = connect(client)
        renderer = Renderer(server, PictureCache(ugly_path / "cache"))
        batch = [plain(server, seed=50 + k, batch_size=4, batch_position=k) for k in range(4)]
        before = len(drawn_at(running))
        pictures = renderer.render(batch)
        assert [picture.error for picture in pictures] == [""] * 4
        assert len(drawn_at(running)) == before + 1
        assert [f"Seed: {50 + k}," in picture.proof["proof"]["infotext"] for k, picture in enumerate(pictures)]
        (alone,) = renderer.render([plain(server, seed=51)])
        assert alone.path.read_bytes() != pictures[1].path.read_bytes(), "other pixels, another key"
        pictures[2].path.unlink()
        again = renderer.render(batch)
        assert [picture.cached for picture in again] == [True, True, False, True]


def test_a_server_that_leaks_is_restarted_every_so_many_pictures(start_server: StartServer, ugly_path: Path) -> None:
    running = start_server()
    restarts: list[int] = []
    with A1111(running.url) as client:
        server = connect(client)
        keeper = Keeper(lambda: restarts.append(len(drawn_at(running))))
        renderer = Renderer(server, PictureCache(ugly_path / "cache"), keepers={client.url: keeper}, restart_every=5)
        start = len(drawn_at(running))
        renderer.render([plain(server, seed=seed) for seed in range(12)])
    assert [count - start for count in restarts] == [5, 10], "nothing was in flight at that moment"


def test_a_server_of_ours_that_is_gone_is_started_again(start_server: StartServer, ugly_path: Path) -> None:
    running = start_server(gpu_seconds_per_picture=0.02)
    revived: list[RunningServer] = []

    def revive() -> None:
        if not revived:
            port = int(running.url.rsplit(":", 1)[1])
            revived.append(sandbox.start(running.home, port=port))

    try:
        with A1111(running.url) as client:
            server = connect(client)
            keeper = Keeper(lambda: None, revive)
            renderer = Renderer(server, PictureCache(ugly_path / "cache"), keepers={client.url: keeper}, patience=SOON)
            recipes = [plain(server, seed=seed) for seed in range(20)]
            pictures = renderer.render(recipes, lambda picture: running.stop() if picture.recipe.seed == 3 else None)
            assert [picture.error for picture in pictures] == [""] * 20
            assert len(revived) == 1
    finally:
        for each in revived:
            each.stop()


def test_all_servers_gone_ends_the_drawing(three: list[tuple[RunningServer, A1111]], ugly_path: Path) -> None:
    first, *others = [connect(client) for _, client in three]
    renderer = Renderer(first, PictureCache(ugly_path / "cache"), others=tuple(others), patience=SOON)

    def stop_all(picture: Picture) -> None:
        for running, _ in three:
            running.stop()

    with pytest.raises(ServerUnreachable):
        renderer.render([plain(first, seed=seed) for seed in range(60)], stop_all)
