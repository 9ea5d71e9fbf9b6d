"""The verdict in random worlds with a known truth: `pytest tests/evaluation --world-seed 7 --worlds 200` plays others.

Each bound leaves room for what chance may do to so few worlds; `run_worlds` prints the figures over many.
"""

from __future__ import annotations

import pytest

from orchestrator.evaluation.observations import BASELINE
from tests.evaluation.playing import race
from tests.evaluation.worlds import CELLS, Outcome, coverage, make_world, wide


@pytest.fixture(scope="module")
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--world-seed"))


@pytest.fixture(scope="module")
def many(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--worlds"))


@pytest.fixture(scope="module")
def outcomes(seed: int, many: int) -> list[Outcome]:
    return [race(make_world(seed, number)) for number in range(many)]


def test_the_cell_to_use_is_within_a_hundredth_of_the_best(outcomes: list[Outcome]) -> None:
    near = sum(outcome.regret <= 0.01 for outcome in outcomes) / len(outcomes)
    assert near >= 0.97 - wide(0.97, len(outcomes))


def test_no_race_takes_more_than_its_budget(outcomes: list[Outcome]) -> None:
    assert max(outcome.pictures for outcome in outcomes) <= 900


def test_a_single_winner_is_named_only_where_there_is_one(outcomes: list[Outcome]) -> None:
    false = sum(outcome.false_single for outcome in outcomes) / len(outcomes)
    assert false <= 0.02 + wide(0.02, len(outcomes))
    spikes = [outcome for outcome in outcomes if outcome.world.kind == "spike"]
    assert any(outcome.single for outcome in spikes) or len(spikes) < 3


def test_two_equal_cells_are_hardly_ever_told_apart(seed: int, many: int) -> None:
    false = [race(make_world(seed + 7_777, number, "ties")).false_single for number in range(many)]
    assert sum(false) / many <= 0.02 + wide(0.02, many)


def test_intervals_hold_the_truth_as_often_as_they_promise(seed: int, many: int) -> None:
    hits, total = (sum(each) for each in zip(*(coverage(seed, number) for number in range(many)), strict=True))
    # Cells of one world share their seeds and so their luck: as if each world were 4 independent intervals.
    assert hits / total >= 0.95 - wide(0.95, 4 * many)


def test_a_world_is_the_same_in_whatever_order_it_is_asked(seed: int) -> None:
    forwards, backwards = make_world(seed, 3), make_world(seed, 3)
    asked = dict.fromkeys((BASELINE, *CELLS), (5, 6, 7))
    one = {(o.cell, o.round, o.seed): o for o in forwards.see(asked)}
    other = {(o.cell, o.round, o.seed): o for o in backwards.see(dict(reversed(asked.items())))}
    assert one == other
    assert make_world(seed + 1, 3).identity != forwards.identity
