"""Races and plain designs played in worlds with a known truth."""

from __future__ import annotations

from orchestrator.evaluation.observations import BASELINE
from orchestrator.evaluation.racing import run_race
from orchestrator.evaluation.weighing import judge
from orchestrator.profile.model import Racing
from tests.evaluation.worlds import CELLS, PLAN, Outcome, World

SEEDS = tuple(range(1000, 1024))
FRESH = tuple(range(5000, 5016))


def race(world: World, rules: Racing | None = None) -> Outcome:
    """The race by the profile's defaults, on 24 seeds with 16 fresh ones."""
    verdict = run_race(CELLS, SEEDS, FRESH, len(world.rounds), rules or Racing(), PLAN, world.see)
    if verdict.recommended is None or verdict.leader is None or verdict.race is None:
        raise AssertionError(verdict.text)
    return Outcome(
        world,
        world.best - world.utility(verdict.recommended),
        world.best - world.utility(verdict.leader),
        verdict.outcome == "single best",
        verdict.race.pictures,
    )


def plain(world: World, seeds: int) -> Outcome:
    """Every cell on every one of `seeds` seeds, judged once."""
    verdict = judge(world.see(dict.fromkeys((*CELLS, BASELINE), SEEDS[:seeds])), PLAN)
    if verdict.recommended is None or verdict.leader is None:
        raise AssertionError(verdict.text)
    return Outcome(
        world,
        world.best - world.utility(verdict.recommended),
        world.best - world.utility(verdict.leader),
        verdict.outcome == "single best",
        (len(CELLS) + 1) * len(world.rounds) * seeds,
    )
