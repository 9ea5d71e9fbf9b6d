"""How well the rule of `orchestrator.dataset.foretell` foretells: random worlds are drawn, learned by the simulated
LoRA, drawn again by it at late epochs and usual weights, and measured through their pictures.

The first half of the worlds is what the figures of the rule are taken from (printed as FITTED); the second half, which
no figure was taken from, says how many of the expectations held (HELD OUT). `--seed` shifts the worlds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.dataset import foretell, sameness
from orchestrator.dataset.foretell import Asked, Compared, Foretold
from orchestrator.dataset.view import views
from orchestrator.distributions import wilson
from orchestrator.sandbox.imagine import Request, paint
from orchestrator.sandbox.learned import learn
from orchestrator.vision import measure
from orchestrator.vision.model import Measurement
from orchestrator.vision.workers import kept
from tests.dataset_worlds import TRIGGER, draw_world, world

#: (epoch of 8, weight) of the grid's pictures.
CELLS = ((4, 0.8), (6, 0.8), (8, 0.8), (6, 1.0), (8, 1.0))
#: Grids of so many seeds are looked at; the larger one holds the smaller one's pictures.
SEEDS = (2, 6)


@dataclass(frozen=True)
class Played:
    """A world after its training: what was foretold, and the pictures of a grid of `max(SEEDS)` seeds."""

    seed: int
    foretold: tuple[Foretold, ...]
    #: What the pictures themselves show, by kind and framing: the mean lean, the share of the one background.
    shown: dict[tuple[str, str], float]
    grid: tuple[tuple[Asked, Measurement], ...]

    def compared(self, seeds: int) -> list[Compared]:
        first = sorted({asked.seed for asked, _ in self.grid})[:seeds]
        return foretell.compare(self.foretold, [one for one in self.grid if one[0].seed in first])


def play(seed: int) -> Played:
    """One world: every second one is tilted, the others share their background and clothes, more or less."""
    chance = random.Random(f"sharing {seed}")
    made = world(seed, shared=chance.uniform(0.65, 1.0) if seed % 2 else 0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = draw_world(made, folder)
        found = measure([one.path for one in pictures], folder / "cache")
        told = foretell.foretell(views(pictures, found, made.groups))
        lessons = {
            epoch: learn([(one.path, one.caption) for one in pictures], epoch=epoch, epochs=8)
            for epoch in {epoch for epoch, _ in CELLS}
        }
        drawn: list[tuple[Path, Asked]] = []
        for framing in made.portraits:
            prompt = f"{TRIGGER}, {framing}, looking at camera"
            for epoch, weight in CELLS:
                for number in range(max(SEEDS)):
                    drawn_with = 1000 * seed + number
                    path = folder / f"{len(drawn)}.png"
                    request = Request(prompt, seed=drawn_with, width=384, height=384, loras=((lessons[epoch], weight),))
                    paint(request).save(path)
                    drawn.append((path, Asked(prompt, epoch / 8, weight, drawn_with)))
        seen = measure([path for path, _ in drawn], folder / "cache")
    grid = tuple((one, measured) for (_, one), measured in zip(drawn, seen, strict=True))
    return Played(seed, tuple(told), _shown(told, found), grid)


def _shown(told: Sequence[Foretold], found: Sequence[Measurement]) -> dict[tuple[str, str], float]:
    shown = {("roll", one.framing): one.value / foretell.CARRIED for one in told if one.what == "roll"}
    for what, cluster in (("background", sameness.backgrounds(found)), ("outfit", sameness.outfits(found))):
        shown[what, ""] = len(cluster.largest) / cluster.looked if cluster.looked else 0.0
    return shown


def fitted(worlds: Sequence[Played]) -> str:
    """The figures of the rule as these worlds have them: what is seen against what the pictures show, and what is left
    of it, for grids of few seeds and of more.
    """
    lines = []
    for seeds in SEEDS:
        points = _points(worlds, "roll", seeds)
        slope = sum(x * y for x, y in points) / sum(x * x for x, _ in points)
        lines.append(
            f"roll, {seeds} seeds: carried {slope:.2f}, residual {_left([y - slope * x for x, y in points]):.1f}° over "
            f"{len(points)}"
        )
        for what in foretell.SCENES:
            points = _points(worlds, what, seeds)
            if len(points) < 3:
                continue
            fit = statistics.linear_regression([1 - x for x, _ in points], [y for _, y in points])
            rest = [y - fit.intercept - fit.slope * (1 - x) for x, y in points]
            lines.append(
                f"{what}, {seeds} seeds: carried {fit.intercept:.2f}, lost {-fit.slope:.2f}, residual "
                f"{_left(rest):.2f} over {len(points)}"
            )
    return "\n".join(lines)


def _points(worlds: Sequence[Played], what: str, seeds: int) -> list[tuple[float, float]]:
    """(what the pictures show, what the grid shows): degrees, or shares."""
    return [
        (played.shown[what, one.foretold.framing], one.seen)
        for played in worlds
        for one in played.compared(seeds)
        if one.foretold.what == what and one.seen is not None
    ]


def _left(residuals: Sequence[float]) -> float:
    return statistics.fmean(one * one for one in residuals) ** 0.5


def held(worlds: Sequence[Played]) -> str:
    """How many of the expectations held, by kind and number of seeds, with the interval of the true rate."""
    lines = []
    kinds = dict.fromkeys(one.what for played in worlds for one in played.foretold)
    for what in kinds:
        for seeds in SEEDS:
            answers = [
                one.held
                for played in worlds
                for one in played.compared(seeds)
                if one.foretold.what == what and one.held is not None
            ]
            if not answers:
                continue
            low, high = wilson(sum(answers), len(answers), 0.95)
            lines.append(
                f"{what:15} {seeds} seeds: {sum(answers)} of {len(answers)} held "
                f"({sum(answers) / len(answers):.0%}; 95 % sure: {low:.0%} to {high:.0%})"
            )
    return "\n".join(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--worlds", type=int, default=40, help="in each half")
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    with kept():
        halves = [
            [play(seed) for seed in range(first, first + asked.worlds)]
            for first in (asked.seed, asked.seed + asked.worlds)
        ]
    print(f"FITTED on worlds {asked.seed} to {asked.seed + asked.worlds - 1}")
    print(fitted(halves[0]))
    print(f"\nHELD OUT: worlds {asked.seed + asked.worlds} to {asked.seed + 2 * asked.worlds - 1}")
    print(held(halves[1]))


if __name__ == "__main__":
    main()
