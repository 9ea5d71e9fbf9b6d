"""Four servers against one: pictures per second of the same grid, LoRA files and all."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from orchestrator.a1111.client import A1111
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Renderer
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import Server, connect
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings

WANTED = 3.8
STARTER = "ai_model_v2-000040"


def recipes(server: Server, files: int, seeds: int) -> list[Recipe]:
    return [
        Recipe(
            prompt="a woman, upper body", seed=seed, loras=(use,), checkpoint=server.checkpoint,
            checkpoint_hash=server.checkpoint_hash, server_version=server.version,
        )
        for use in (_use(f"copy-{k}", k, weight) for k in range(files) for weight in (0.6, 1.0))
        for seed in range(seeds)
    ]  # fmt: skip


def _use(stem: str, number: int, weight: float) -> LoraUse:
    # Copies of one file: told apart by a content of their own, as files of different epochs are.
    return LoraUse(stem, f"{number:064d}", "", weight)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--gpu-seconds", type=float, default=0.5)
    arguments.add_argument("--seeds", type=int, default=20)
    arguments.add_argument("--rounds", type=int, default=3)
    asked = arguments.parse_args()
    # By steps, as on a real card: the tiny pictures by which a LoRA file is tried take next to nothing.
    settings = Settings(gpu_seconds_per_step=asked.gpu_seconds / 28, painter="plain")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        clients = []
        for number in range(4):
            home = Path(name) / f"home {number}"
            home.mkdir()
            running = stack.enter_context(sandbox.start(home, settings=settings))
            folder = home / "models" / "Lora"
            for k in range(8):
                shutil.copyfile(folder / f"{STARTER}.safetensors", folder / f"copy-{k}.safetensors")
            clients.append(stack.enter_context(A1111(running.url)))
            clients[-1].refresh_loras()
        servers = [connect(client) for client in clients]
        ratios = []
        for turn in range(asked.rounds):
            rates = []
            for count in (1, 4):
                cache = PictureCache(Path(name) / f"cache {turn} {count}")
                renderer = Renderer(servers[0], cache, others=tuple(servers[1:count]))
                wanted = recipes(servers[0], 8, asked.seeds)
                started = time.perf_counter()
                assert not any(picture.error for picture in renderer.render(wanted))
                rates.append(len(wanted) / (time.perf_counter() - started))
            ratios.append(rates[1] / rates[0])
            print(f"one {rates[0]:.3f} pictures/s   four {rates[1]:.3f} pictures/s   {ratios[-1]:.2f} ×")
        print(f"four servers draw {statistics.median(ratios):.2f} × what one draws   wanted {WANTED} ×")


if __name__ == "__main__":
    main()
