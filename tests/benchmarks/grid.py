"""Pictures per second through the renderer against the simulated card's own limit (its GPU time per picture, nothing
else), beside a plain client that sends one request after the other, and beside what the server can do at all: three
requests always with it, whose answers nobody looks at.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests

from orchestrator.a1111.client import A1111
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Renderer
from orchestrator.render.payload import payload
from orchestrator.render.recipe import Recipe
from orchestrator.render.server import Server, connect
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings

LIMIT_SHARE = 0.97
#: GPU seconds per 512×512 picture → how many pictures a round takes.
ROUNDS = {0.05: 200, 0.25: 60, 2.0: 12}


def recipes(server: Server, count: int) -> list[Recipe]:
    return [
        Recipe(
            prompt="a woman, upper body", seed=seed, checkpoint=server.checkpoint,
            checkpoint_hash=server.checkpoint_hash, server_version=server.version,
        )
        for seed in range(count)
    ]  # fmt: skip


def ours(server: Server, folder: Path, wanted: list[Recipe]) -> float:
    """Pictures per second through the renderer: proven, written, with what was known of the server."""
    renderer = Renderer(server, PictureCache(folder))
    renderer.render(wanted[:2])
    started = time.perf_counter()
    drawn = renderer.render(wanted[2:])
    seconds = time.perf_counter() - started
    assert not any(picture.error or picture.cached for picture in drawn)
    return len(drawn) / seconds


def plain(server: Server, folder: Path, wanted: list[Recipe]) -> float:
    """Pictures per second of a loop of `requests.post`, decoded and written, as most scripts do it."""
    folder.mkdir(parents=True)
    url = f"{server.client.url}/sdapi/v1/txt2img"
    with requests.Session() as session:
        started = time.perf_counter()
        for recipe in wanted:
            answer = session.post(url, json=payload(recipe, server), timeout=60).json()
            (folder / f"{recipe.seed}.png").write_bytes(base64.b64decode(answer["images"][0]))
    return len(wanted) / (time.perf_counter() - started)


def flood(server: Server, wanted: list[Recipe]) -> float:
    """Pictures per second of three connections that send the next request as soon as an answer was read."""
    bodies = [json.dumps(payload(recipe, server)).encode() for recipe in wanted]
    place = urlsplit(server.client.url)
    lock = threading.Lock()

    def work() -> None:
        connection = http.client.HTTPConnection(place.hostname or "", place.port)
        while True:
            with lock:
                body = bodies.pop() if bodies else None
            if body is None:
                connection.close()
                return
            connection.request("POST", "/sdapi/v1/txt2img", body, {"Content-Type": "application/json"})
            connection.getresponse().read()

    threads = [threading.Thread(target=work) for _ in range(3)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(wanted) / (time.perf_counter() - started)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    asked = arguments.parse_args()
    for gpu_seconds, count in ROUNDS.items():
        limit = 1 / gpu_seconds
        shares: dict[str, list[float]] = {"ours": [], "one after the other": [], "the server at most": []}
        with tempfile.TemporaryDirectory() as name:
            home = Path(name) / "home"
            home.mkdir()
            settings = Settings(gpu_seconds_per_picture=gpu_seconds, painter="plain")
            with sandbox.start(home, settings=settings) as running, A1111(running.url) as client:
                server = connect(client)
                for turn in range(asked.rounds):
                    # In turn, so that a machine that changes its speed changes it for both.
                    shares["ours"].append(ours(server, Path(name) / f"ours {turn}", recipes(server, count + 2)) / limit)
                    rate = plain(server, Path(name) / f"plain {turn}", recipes(server, count))
                    shares["one after the other"].append(rate / limit)
                    shares["the server at most"].append(flood(server, recipes(server, count)) / limit)
        most = statistics.median(shares["the server at most"])
        for what, found in shares.items():
            middle = statistics.median(found)
            print(
                f"{gpu_seconds * 1000:5.0f} ms a picture  {what:20}  {middle * limit:7.3f} pictures/s   "
                f"{middle:6.1%} of the card's limit  ({min(found):.1%} … {max(found):.1%})   "
                f"{middle / most:6.1%} of what the server does at most"
                + (f"   wanted {LIMIT_SHARE:.0%}" if what == "ours" else "")
            )


if __name__ == "__main__":
    main()
