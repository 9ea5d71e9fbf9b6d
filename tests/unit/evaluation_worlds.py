"""Small worlds with a known truth, for the tests of the verdict."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from orchestrator.evaluation.observations import BASELINE, CellId, Observation

EPOCHS = (10, 20, 30, 40, 50, 60, 70)
WEIGHTS = (0.4, 0.6, 0.8, 1.0)
ROUNDS = ("hand raised", "arms crossed", "hand on hip")

#: identity, obedience (0…1), mean roll, roll spread (degrees) of a cell; the baseline is asked too
Truth = Callable[[CellId], tuple[float, float, float, float]]


def strength(cell: CellId) -> float:
    return 0.0 if cell.epoch is None else cell.epoch / 70 * cell.weight


def story(cell: CellId) -> tuple[float, float, float, float]:
    """Low weight obeys but is another face, a high epoch keeps the face but its pose wins, the strongest cells lean."""
    x = strength(cell)
    locked = x > 0.9
    return min(0.92, 0.05 + 1.6 * x), 0.95 - 0.9 * max(0.0, x - 0.35), 14.0 if locked else 0.0, 1.0 if locked else 6.0


def equal(cell: CellId) -> tuple[float, float, float, float]:
    """Epoch and weight change nothing."""
    return (0.0, 0.9, 0.0, 6.0) if cell.is_baseline else (0.7, 0.7, 0.0, 6.0)


def spike(cell: CellId) -> tuple[float, float, float, float]:
    """One cell is clearly best."""
    if cell.is_baseline:
        return 0.0, 0.9, 0.0, 6.0
    return (0.9, 0.85, 0.0, 6.0) if cell == CellId(50, 0.8) else (0.5, 0.7, 0.0, 6.0)


def observe_world(
    truth: Truth,
    *,
    seeds: int = 8,
    number: int = 1,
    cells: Sequence[CellId] | None = None,
    never_obeys: int | None = None,
) -> list[Observation]:
    """Observations of a world: seeds differ, all cells share their seeds, every picture has noise of its own."""
    draw = random.Random(number)
    by_seed = {1000 + i: draw.gauss(0, 0.03) for i in range(seeds)}
    listed = cells or [CellId(epoch, weight) for epoch in EPOCHS for weight in WEIGHTS]
    found = []
    for cell in (BASELINE, *listed):
        identity, obedience, roll, spread = truth(cell)
        for name in ROUNDS:
            for seed, effect in by_seed.items():
                obeyed = 0.02 if seed == never_obeys else _clip(obedience + effect + draw.gauss(0, 0.06))
                likeness = _clip(identity + effect / 2 + draw.gauss(0, 0.04))
                found.append(
                    Observation(
                        cell,
                        name,
                        seed,
                        key=f"{cell.label} {name} {seed}",
                        identity_distance=0.6 * (1 - likeness),
                        identity=likeness,
                        roll_deg=draw.gauss(roll, spread),
                        obedience=obeyed,
                        obeys=obeyed >= 0.35,
                        face_found=True,
                        sharpness=2.0,
                    )
                )
    return found


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value)) if math.isfinite(value) else value
