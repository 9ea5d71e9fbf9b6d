"""How well the rule of `orchestrator.dataset.foretell` foretells: random worlds are drawn, learned by the simulated
LoRA, drawn again by it at late epochs and usual weights, and measured through their pictures.

Prints the slope and the residual that `CARRIED` and `_RESIDUAL_DEG` are taken from, and how many of the expectations
held. `--seed` shifts the worlds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from orchestrator.dataset import foretell
from orchestrator.dataset.view import views
from orchestrator.sandbox.imagine import Request, paint
from orchestrator.sandbox.learned import learn
from orchestrator.vision import measure
from orchestrator.vision.workers import kept
from tests.dataset_worlds import TRIGGER, draw_world, world

#: (epoch of 8, weight) of the grid's pictures, and its seeds.
CELLS = ((4, 0.8), (6, 0.8), (8, 0.8), (6, 1.0), (8, 1.0))
SEEDS = (123456789, 123123123)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--worlds", type=int, default=12)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    points: list[tuple[float, float]] = []
    held: dict[str, list[bool]] = {}
    with kept():
        for seed in range(asked.seed, asked.seed + asked.worlds):
            made = world(seed, uniform=seed % 4 == 1)
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                pictures = draw_world(made, folder)
                found = measure([one.path for one in pictures], folder / "cache")
                told = foretell.foretell(views(pictures, found, made.groups))
                lessons = {
                    epoch: learn([(one.path, one.caption) for one in pictures], epoch=epoch, epochs=8)
                    for epoch in {epoch for epoch, _ in CELLS}
                }
                drawn: list[tuple[Path, foretell.Asked]] = []
                for framing in made.portraits:
                    prompt = f"{TRIGGER}, {framing}, looking at camera"
                    for epoch, weight in CELLS:
                        for chance in SEEDS:
                            path = folder / f"{len(drawn)}.png"
                            request = Request(
                                prompt, seed=chance + seed, width=384, height=384, loras=((lessons[epoch], weight),)
                            )
                            paint(request).save(path)
                            drawn.append((path, foretell.Asked(prompt, epoch / 8, weight, chance + seed)))
                seen = measure([path for path, _ in drawn], folder / "cache")
                grid = [(one, measured) for (_, one), measured in zip(drawn, seen, strict=True)]
                for one in foretell.compare(told, grid):
                    if one.held is not None and one.seen is not None:
                        held.setdefault(one.foretold.what, []).append(one.held)
                        print(
                            f"world {seed:3}  {one.foretold.what:15} {one.foretold.framing:11} expected "
                            f"{one.foretold.value:6.2f} ({one.foretold.low:.2f} to {one.foretold.high:.2f})  "
                            f"seen {one.seen:6.2f}  {'held' if one.held else 'MISSED'}"
                        )
                        if one.foretold.what == "roll":
                            points.append((one.foretold.value / foretell.CARRIED, one.seen))
    slope = sum(x * y for x, y in points) / sum(x * x for x, _ in points)
    residual = statistics.fmean((y - slope * x) ** 2 for x, y in points) ** 0.5
    print(f"\nroll: slope {slope:.2f}, residual {residual:.1f}° over {len(points)} groups with {len(SEEDS)} seeds each")
    for what, answers in held.items():
        print(f"{what:15}  {sum(answers)} of {len(answers)} expectations held")


if __name__ == "__main__":
    main()
