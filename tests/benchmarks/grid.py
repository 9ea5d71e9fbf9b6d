"""Pictures per second through the renderer against the simulated card's own limit (its GPU time per picture, nothing
else).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from orchestrator.a1111.client import A1111
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Renderer
from orchestrator.render.recipe import Recipe
from orchestrator.render.server import connect
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings


def rate(url: str, folder: Path, pictures: int, in_flight: int) -> float:
    with A1111(url) as client:
        server = connect(client)
        renderer = Renderer(server, PictureCache(folder), in_flight=in_flight)
        recipes = [
            Recipe(
                prompt="a woman, upper body",
                seed=seed,
                checkpoint=server.checkpoint,
                checkpoint_hash=server.checkpoint_hash,
            )
            for seed in range(pictures)
        ]
        started = time.perf_counter()
        drawn = renderer.render(recipes)
        assert not any(p.error or p.cached for p in drawn)
        return pictures / (time.perf_counter() - started)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pictures", type=int, default=80)
    arguments.add_argument("--gpu-seconds", type=float, default=0.25)
    asked = arguments.parse_args()
    limit = 1 / asked.gpu_seconds
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        home.mkdir()
        settings = Settings(gpu_seconds_per_picture=asked.gpu_seconds)
        with sandbox.start(home, settings=settings) as running:
            for in_flight in (1, 2):
                got = rate(running.url, Path(name) / f"cache{in_flight}", asked.pictures, in_flight)
                print(f"{in_flight} in flight: {got:.3f} pictures/s   limit {limit:.3f}   {got / limit:.1%} of it")


if __name__ == "__main__":
    main()
