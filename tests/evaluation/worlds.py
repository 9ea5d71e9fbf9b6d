"""Random worlds with a known truth: what every cell is really worth, and pictures that scatter around it.

A world is made from (seed, number) alone, and a picture from the world, its cell, its round and its seed: whatever
order pictures are asked for, they are the same. How much pictures scatter is drawn for each world.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.profile.model import VerdictPlan

EPOCHS = (10, 20, 30, 40, 50, 60, 70)
WEIGHTS = (0.4, 0.6, 0.8, 1.0)
CELLS = tuple(CellId(epoch, weight) for epoch, weight in itertools.product(EPOCHS, WEIGHTS))
ROUNDS = ("hand raised", "arms crossed", "hand on hip", "looking up")
KINDS = ("story", "peak", "ridge", "spike", "ties", "rough", "plateau", "equal")
#: Only what these worlds have: identity and obedience.
PLAN = VerdictPlan(identity=0.5, obedience=0.5, upright=0.0)


#: One value for each of `CELLS`.
Truth = NDArray[np.float64]


@dataclass
class World:
    """`identity` and `obedience`: the truth by cell. The scatters are standard deviations of one picture's identity and
    obedience: of its seed, of its cell on that seed, and its own.
    """

    kind: str
    number: int
    identity: Mapping[CellId, float]
    obedience: Mapping[CellId, float]
    of_seed: float
    of_cell: float
    of_picture: float
    rounds: tuple[str, ...] = ROUNDS[:3]
    _drawn: dict[tuple[CellId, int], list[Observation]] = field(default_factory=dict, repr=False)

    def utility(self, cell: CellId) -> float:
        """The truth."""
        return PLAN.identity * self.identity[cell] + PLAN.obedience * self.obedience[cell]

    @property
    def best(self) -> float:
        """The highest utility there is."""
        return max(map(self.utility, self.identity))

    def tied(self) -> int:
        """How many cells are exactly the best."""
        return sum(self.utility(cell) > self.best - 1e-9 for cell in self.identity)

    def see(self, asked: Mapping[CellId, Sequence[int]]) -> list[Observation]:
        """The observations of those cells on those seeds."""
        return [o for cell, seeds in asked.items() for seed in seeds for o in self._on(cell, seed)]

    def _on(self, cell: CellId, seed: int) -> list[Observation]:
        if (cell, seed) not in self._drawn:
            place = 0 if cell.is_baseline else 1 + (cell.epoch or 0) * 100 + round(cell.weight * 10)
            shared = np.random.default_rng((self.number, seed)).normal(0, self.of_seed, 2)
            draw = np.random.default_rng((self.number, seed, place))
            own = shared + draw.normal(0, self.of_cell, 2)
            noise = draw.normal(0, self.of_picture, (len(self.rounds), 2))
            identity = 0.0 if cell.is_baseline else self.identity[cell]
            obedience = 0.75 if cell.is_baseline else self.obedience[cell]
            self._drawn[cell, seed] = [
                Observation(
                    cell,
                    name,
                    seed,
                    identity=float(identity + own[0] + by[0]),
                    obedience=float(obedience + own[1] + by[1]),
                    obeys=True,
                    roll_deg=0.0,
                    face_found=True,
                    sharpness=2.0,
                )
                for name, by in zip(self.rounds, noise, strict=True)
            ]
        return self._drawn[cell, seed]


def make_world(seed: int, number: int, kind: str = "") -> World:
    """World `number` of a family; the kinds take turns. Utilities stay clear of 0 and 1, so nothing is cut off."""
    draw = np.random.default_rng((seed, number))
    kind = kind or KINDS[number % len(KINDS)]
    if kind == "story":
        identity, obedience = _story(draw)
        return _scattered(seed, number, kind, identity, obedience, draw)
    utility = _utilities(kind, draw)
    # Identity rises with the LoRA's strength and obedience falls, whatever they come to together.
    slant = draw.uniform(0.0, 0.12)
    strength = np.array([(cell.epoch or 0) / 70 * cell.weight - 0.5 for cell in CELLS])
    return _scattered(seed, number, kind, utility + slant * strength, utility - slant * strength, draw)


def _story(draw: np.random.Generator) -> tuple[Truth, Truth]:
    """Identity and obedience of the story: a low weight obeys but is another face, a high epoch keeps the face but its
    training pose wins; the best lies somewhere between.
    """
    strength = np.array([(cell.epoch or 0) / 70 * cell.weight for cell in CELLS])
    learned = draw.uniform(0.35, 0.6)
    identity = 0.1 + 0.8 * np.minimum(1.0, strength / learned)
    obedience = 0.92 - draw.uniform(0.6, 1.0) * np.maximum(0.0, strength - draw.uniform(0.25, 0.5))
    return identity, obedience


def _scattered(
    seed: int, number: int, kind: str, identity: Truth, obedience: Truth, draw: np.random.Generator
) -> World:
    return World(
        kind,
        seed * 100_003 + number,
        dict(zip(CELLS, identity.tolist(), strict=True)),
        dict(zip(CELLS, obedience.tolist(), strict=True)),
        of_seed=draw.uniform(0.01, 0.05),
        of_cell=draw.uniform(0.005, 0.025),
        # Of identity and obedience alike and independent, so that utility's is 0.7 of it: 0.03 to 0.06.
        of_picture=draw.uniform(0.042, 0.085),
        rounds=ROUNDS[: int(draw.integers(3, 5))],
    )


def _utilities(kind: str, draw: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    epoch = np.repeat(np.linspace(0, 1, len(EPOCHS)), len(WEIGHTS))
    weight = np.tile(np.linspace(0, 1, len(WEIGHTS)), len(EPOCHS))
    flat = np.full(len(CELLS), 0.6)
    if kind == "equal":
        return flat
    if kind == "plateau":
        # A corner of equals, the rest below.
        return flat - draw.uniform(0.03, 0.15) * ((epoch < draw.uniform(0.2, 0.7)) | (weight < draw.uniform(0.1, 0.6)))
    if kind == "rough":
        return flat + draw.normal(0, draw.uniform(0.03, 0.08), len(CELLS))
    if kind == "spike":
        flat[draw.integers(len(CELLS))] += draw.uniform(0.02, 0.15)
        return flat
    if kind == "ties":
        low = flat - draw.uniform(0.03, 0.25, len(CELLS))
        low[draw.choice(len(CELLS), 2, replace=False)] = 0.6
        return low
    top, wide = draw.uniform(0.15, 0.9, 2), draw.uniform(0.2, 0.6)
    if kind == "ridge":
        # Strong enough is what counts, by epoch or by weight.
        return 0.4 + draw.uniform(0.1, 0.3) * np.exp(-((epoch + weight - 2 * top[0]) ** 2) / (2 * wide**2))
    far = (epoch - top[0]) ** 2 + (weight - top[1]) ** 2
    return 0.4 + draw.uniform(0.1, 0.35) * np.exp(-far / (2 * wide**2))


@dataclass(frozen=True)
class Outcome:
    """What a verdict on a world came to."""

    world: World
    #: How far the recommended cell, and the leader, lie below the best one.
    regret: float
    leader_regret: float
    single: bool
    pictures: int

    @property
    def false_single(self) -> bool:
        """A single winner was named where there is none, or another one."""
        return self.single and (self.world.tied() > 1 or self.regret > 1e-9)


def coverage(seed: int, number: int, seeds: int = 8) -> tuple[int, int]:
    """(intervals that hold the truth, intervals) of all cells' identity and obedience over `seeds` seeds."""
    from orchestrator.evaluation.weighing import judge

    world = make_world(seed, number)
    verdict = judge(world.see(dict.fromkeys((*CELLS, BASELINE), range(seeds))), PLAN)
    hits = total = 0
    for result in verdict.cells:
        for interval, truth in ((result.identity, world.identity), (result.obedience, world.obedience)):
            if interval is None or interval.low is None or interval.high is None:
                raise AssertionError("every cell has intervals here")
            hits += interval.low <= truth[result.cell] <= interval.high
            total += 1
    return hits, total


def wide(rate: float, of: int) -> float:
    """Three standard deviations of a rate: what chance alone may take from it in one run of a test."""
    return 3 * math.sqrt(rate * (1 - rate) / max(1, of))
