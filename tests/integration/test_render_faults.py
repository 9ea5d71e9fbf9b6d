"""Faults of a night, each alone and all at once: in the end every picture is there, proven, none drawn for nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.a1111.client import A1111
from orchestrator.errors import OrchestratorError, ServerUnreachable
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.patience import Patience
from orchestrator.render.proof import infotext_differences
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import connect
from orchestrator.sandbox.server import RunningServer
from tests.integration.conftest import StartServer

STARTER = "ai_model_v2-000040"
SOON = Patience(tries=4, lost=6, pause_s=0.02, away_s=20, look_s=0.1, settle_s=0.2)

Open = Callable[..., tuple[Renderer, RunningServer]]


@pytest.fixture
def open_renderer(start_server: StartServer, ugly_path: Path) -> Any:
    """Opens a renderer on a server with faults; its patience is short and its looks are frequent."""
    opened: list[A1111] = []

    def make(patience: Patience = SOON, **settings: object) -> tuple[Renderer, RunningServer]:
        running = start_server(**settings)
        client = A1111(running.url)
        client.connection.look_every_s = 1.0  # an answer may take that long to arrive on a busy machine
        opened.append(client)
        cache = PictureCache(ugly_path / f"cache {len(opened)}")
        return Renderer(connect(client), cache, patience=patience), running

    yield make
    for client in opened:
        client.close()


def recipes(renderer: Renderer, count: int, **changes: object) -> list[Recipe]:
    server = renderer.server
    entry = next(e for e in server.client.loras() if e.name == STARTER)
    shown = str(entry.metadata["sshs_model_hash"])[:12]
    plain = Recipe(
        prompt="a woman, close-up", width=64, height=64, steps=2,
        checkpoint=server.checkpoint, checkpoint_hash=server.checkpoint_hash, server_version=server.version,
    )  # fmt: skip
    return [
        plain.evolve(seed=seed, loras=(LoraUse(STARTER, "f" * 64, shown, 0.1 + seed % 7 / 10),), **changes)
        for seed in range(count)
    ]


def ledger(running: RunningServer) -> list[dict[str, Any]]:
    """What the server really drew, without the probes."""
    lines = (running.home / "drawn.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if "close-up" in entry["prompt"]]


def check_whole(pictures: list[Picture], wanted: list[Recipe]) -> None:
    assert [picture.recipe for picture in pictures] == wanted
    assert [picture.error for picture in pictures] == [""] * len(wanted)
    for picture in pictures:
        proof = picture.proof
        assert infotext_differences(picture.recipe, proof["proof"]["infotext"]) == []
        assert picture.path.read_bytes().startswith(b"\x89PNG")


def drawn_for_nothing(running: RunningServer) -> list[tuple[int, int]]:
    """Seeds that were drawn again although an answer without fault had been sent."""
    good = Counter(entry["seed"] for entry in ledger(running) if entry["answered"] and entry["fault"] in {None, "slow"})
    return [(seed, times) for seed, times in good.items() if times > 1]


@pytest.mark.parametrize(
    "fault",
    ["proxy", "drop", "hang", "restart", "oom", "500", "nan", "disk-full", "black", "wrong-lora", "unknown-checkpoint",
     "reset", "mute", "truncated", "slow"],
)  # fmt: skip
def test_each_fault_is_survived(open_renderer: Open, fault: str) -> None:
    # Every request meets it the first time, none the second.
    share = "=0.5" if fault in {"restart", "hang", "mute"} else ""
    renderer, running = open_renderer(
        faults=f"{fault}{share}x1", slow_seconds=0.2, restart_seconds=0.3, gpu_seconds_per_picture=0.02
    )
    wanted = recipes(renderer, 6)
    check_whole(renderer.render(wanted), wanted)
    assert any(entry["fault"] == fault for entry in ledger(running)), "the fault struck"
    assert drawn_for_nothing(running) == []


def test_two_hundred_pictures_through_a_storm(open_renderer: Open) -> None:
    kinds = {
        "drop": 0.03, "reset": 0.03, "hang": 0.01, "slow": 0.03, "500": 0.03, "oom": 0.03, "nan": 0.03, "restart": 0.01,
        "wrong-lora": 0.03, "unknown-checkpoint": 0.03, "truncated": 0.03, "disk-full": 0.03, "black": 0.03,
        "mute": 0.01, "proxy": 0.02,
    }  # fmt: skip
    renderer, running = open_renderer(
        faults=",".join(f"{kind}={share}" for kind, share in kinds.items()),
        fault_seed=20261125, slow_seconds=0.1, restart_seconds=0.3, gpu_seconds_per_picture=0.01, painter="plain",
    )  # fmt: skip
    wanted = recipes(renderer, 200)
    check_whole(renderer.render(wanted), wanted)
    struck = Counter(entry["fault"] for entry in ledger(running))
    assert sum(count for fault, count in struck.items() if fault) > 30
    assert drawn_for_nothing(running) == []
    assert renderer.missing(wanted) == 0
    before = len(ledger(running))
    check_whole(renderer.render(wanted), wanted)
    assert len(ledger(running)) == before, "a second render draws nothing"


def test_the_picture_of_an_interrupted_request_is_drawn_again(open_renderer: Open) -> None:
    renderer, running = open_renderer(gpu_seconds_per_picture=0.6)
    wanted = recipes(renderer, 10, steps=20)
    clean, _ = open_renderer()
    expected = [picture.path.read_bytes() for picture in clean.render(wanted)]
    enough, arrived = threading.Event(), 0

    def press() -> None:
        """Somebody presses Interrupt while a picture is less than half done."""
        with A1111(running.url) as somebody:
            enough.wait(30)
            while not 0.05 < somebody.progress().progress < 0.4:
                time.sleep(0.01)
            somebody.interrupt()

    def count(picture: Picture) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 7:
            enough.set()

    pressing = threading.Thread(target=press)
    pressing.start()
    pictures = renderer.render(wanted, count)
    pressing.join(60)
    check_whole(pictures, wanted)
    assert [picture.path.read_bytes() for picture in pictures] == expected
    assert len(ledger(running)) > len(wanted), "the half-denoised one was drawn again"


def test_a_cell_that_always_fails_is_listed_and_the_rest_goes_on(open_renderer: Open) -> None:
    renderer, running = open_renderer()
    good = recipes(renderer, 8)
    bad = replace(good[3], clip_skip=99)
    wanted = [*good[:3], bad, *good[4:]]
    pictures = renderer.render(wanted)
    assert [bool(picture.error) for picture in pictures] == [picture is bad for picture in wanted]
    assert "IndexError" in pictures[3].error
    assert sum(entry["seed"] == 3 for entry in ledger(running)) == SOON.tries, "tried a bounded number of times"


def test_a_server_that_ends_whenever_one_cell_is_drawn_does_not_take_the_night_with_it(
    open_renderer: Open, start_server: StartServer
) -> None:
    renderer, _ = open_renderer(patience=replace(SOON, lost=2))
    wanted = recipes(renderer, 1)
    with A1111(start_server(faults="restart", restart_seconds=0.2).url) as ends_each_time:
        (only,) = replace(renderer, server=replace(renderer.server, client=ends_each_time)).render(wanted)
    assert "no answer came in 3 tries" in only.error


def test_after_a_restart_nothing_is_asked_while_the_port_has_just_opened(open_renderer: Open) -> None:
    said: list[str] = []
    renderer, running = open_renderer(faults="restart=0.4x1", restart_seconds=0.5, startup_seconds=0.3)
    renderer = replace(renderer, patience=replace(SOON, settle_s=1.0), say=said.append)
    wanted = recipes(renderer, 5)
    check_whole(renderer.render(wanted), wanted)
    assert running.running()
    assert any("does not answer any more" in sentence for sentence in said)
    assert any("is back" in sentence for sentence in said)


def test_a_server_that_stays_away_is_not_waited_for_for_ever(open_renderer: Open) -> None:
    renderer, running = open_renderer(patience=replace(SOON, away_s=0.5), gpu_seconds_per_picture=0.05)
    wanted = recipes(renderer, 30)

    def stop(picture: Picture) -> None:
        running.stop()

    with pytest.raises(ServerUnreachable):
        renderer.render(wanted, stop)
    assert renderer.missing(wanted) < 30


_CHILD = """
import sys
from pathlib import Path
from orchestrator.a1111.client import A1111
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Renderer
from orchestrator.render.recipe import Recipe
from orchestrator.render.server import connect
client = A1111(sys.argv[1])
server = connect(client)
plain = Recipe(prompt="a woman, close-up", width=64, height=64, steps=2, checkpoint=server.checkpoint,
    checkpoint_hash=server.checkpoint_hash, server_version=server.version)
print("ready", flush=True)
try:
    Renderer(server, PictureCache(Path(sys.argv[2]))).render([plain.evolve(seed=s) for s in range(100)])
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent to a console there, not to a process")
def test_ctrl_c_interrupts_our_request_and_not_another_client_s(start_server: StartServer, tmp_path: Path) -> None:
    running = start_server(gpu_seconds_per_picture=3.0)
    child = subprocess.Popen([sys.executable, "-c", _CHILD, running.url, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with A1111(running.url) as other:
        child.stdout.readline()
        while not other.progress().state.job:
            time.sleep(0.02)
        # Somebody else's picture waits behind ours.
        theirs: list[Any] = []
        request = {"prompt": "their close-up", "seed": 5, "steps": 2, "width": 64, "height": 64}
        waiting = threading.Thread(target=lambda: theirs.append(other.txt2img(request)))
        waiting.start()
        time.sleep(0.3)
        os.kill(child.pid, signal.SIGINT)
        assert child.wait(60) == 130  # ours, theirs, and the one of ours behind it take 3 s each
        waiting.join(60)
        assert not other.progress().state.interrupted, "theirs was not cut off"
        child.stdout.close()
    entries = [json.loads(line) for line in (running.home / "drawn.jsonl").read_text(encoding="utf-8").splitlines()]
    mine = [entry for entry in entries if entry["prompt"] == "a woman, close-up"]
    assert 1 <= len(mine) <= 2, "nothing was asked after Ctrl-C"
    assert not list((tmp_path / "pictures").rglob("*.png")), "a half-denoised picture is not kept"


def test_a_lost_server_tells_its_reason() -> None:
    with pytest.raises(OrchestratorError, match="No A1111 at"):
        connect(A1111("http://127.0.0.1:9"))
