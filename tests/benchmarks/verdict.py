"""How long the verdict's statistics take, and how many pictures a second are scored; each beside its limit."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.weighing import judge
from orchestrator.profile.model import VerdictPlan
from orchestrator.sandbox.person import person_of
from orchestrator.sandbox.portrait import Portrait, draw
from orchestrator.vision import measure

CELLS = [CellId(epoch, weight) for epoch in range(10, 80, 10) for weight in (0.4, 0.6, 0.8, 1.0)]
SEEDS, ROUNDS = 48, 6
STATISTICS_LIMIT_S = 1.0
SCORED_LIMIT = 10.0
#: A third of what a race of the default budget draws.
PICTURES = 300


def main() -> None:
    statistics()
    scoring()


def statistics() -> None:
    """28 cells × 48 seeds × 6 rounds, from observations to the sentences."""
    import random

    number = random.Random(1)
    found = [
        Observation(
            cell,
            f"round {name}",
            seed,
            identity=min(1.0, max(0.0, number.gauss(0.6 + 0.002 * (cell.epoch or 0), 0.08))),
            obedience=min(1.0, max(0.0, number.gauss(0.7, 0.1))),
            obeys=True,
            roll_deg=number.gauss(0, 6),
            face_found=True,
            sharpness=2.0,
            metrics={f"{metric}": number.random() for metric in _names()},
        )
        for cell in (BASELINE, *CELLS)
        for name in range(ROUNDS)
        for seed in range(SEEDS)
    ]
    started = time.perf_counter()
    verdict = judge(found, VerdictPlan())
    seconds = time.perf_counter() - started
    print(f"statistics of {len(CELLS)} cells × {SEEDS} seeds × {ROUNDS} rounds: {seconds:.2f} s, {verdict.outcome}")
    print(f"    {seconds / STATISTICS_LIMIT_S:.0%} of the limit of {STATISTICS_LIMIT_S:g} s")


def scoring() -> None:
    """Measuring simulated portraits nobody has measured before, faces and persons, with the processes' start."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{index}.png" for index in range(PICTURES)]
        for index, path in enumerate(paths):
            draw(Portrait(person=person_of(index % 5), roll_deg=index % 9 - 4.0, noise_seed=index), 512, 512).save(path)
        started = time.perf_counter()
        found = measure(paths, folder / "cache")
        seconds = time.perf_counter() - started
    faces = sum(seen.face is not None for seen in found)
    print(f"scored {PICTURES / seconds:.1f} pictures/s ({faces} faces in {PICTURES}, start of processes included)")
    print(f"    {PICTURES / seconds / SCORED_LIMIT:.1f} × the least of {SCORED_LIMIT:g} pictures/s")


def _names() -> list[str]:
    from orchestrator.evaluation.metrics import METRICS

    return [metric.name for metric in METRICS]


if __name__ == "__main__":
    main()
