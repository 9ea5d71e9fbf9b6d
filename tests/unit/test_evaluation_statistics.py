"""What seeds can show: coverage, the cells that may be best, and how many seeds it takes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.evaluation.statistics import (
    may_be_best,
    mean,
    pareto_front,
    seeds_needed,
    smallest_difference,
    t_interval,
    two_way_residual_sd,
)

# The world the statistics were chosen in: 7 epochs × 4 weights, 4 prompts averaged inside each seed.
CELLS = 28
SEED_SD, SEED_PROMPT_SD, CELL_SEED_SD, PICTURE_SD, PROMPTS = 0.02, 0.05, 0.02, 0.05, 4


def table(draw: random.Random, truth: list[float], seeds: int) -> list[list[float]]:
    """One simulated outcome: seed effects are shared by all cells, because all cells are drawn on the same seeds."""
    shared = [draw.gauss(0, SEED_SD) + draw.gauss(0, SEED_PROMPT_SD / math.sqrt(PROMPTS)) for _ in range(seeds)]
    own = math.hypot(CELL_SEED_SD, PICTURE_SD / math.sqrt(PROMPTS))
    return [[level + seed + draw.gauss(0, own) for seed in shared] for level in truth]


@pytest.mark.parametrize("seeds", [4, 8])
def test_the_t_interval_over_seeds_covers_what_it_promises(seeds: int) -> None:
    draw = random.Random(seeds)
    runs = 2000
    hits = 0
    for _ in range(runs):
        interval = t_interval([draw.gauss(0.5, 0.04) for _ in range(seeds)])
        hits += interval.low is not None and interval.high is not None and interval.low <= 0.5 <= interval.high
    assert hits / runs == pytest.approx(0.95, abs=0.015)


def test_an_interval_over_pictures_would_lie() -> None:
    """Why prompts are averaged inside a seed: 16 pictures of 4 seeds are not 16 independent ones."""
    draw = random.Random(4)
    runs, hits = 800, 0
    for _ in range(runs):
        pictures = [
            0.5 + seed + draw.gauss(0, 0.05) for seed in (draw.gauss(0, 0.03) for _ in range(4)) for _ in range(4)
        ]
        interval = t_interval(pictures)
        hits += interval.low is not None and interval.high is not None and interval.low <= 0.5 <= interval.high
    assert hits / runs < 0.9


def test_one_seed_has_no_interval() -> None:
    interval = t_interval([0.4])
    assert (interval.mean, interval.low, interval.high, interval.seeds) == (0.4, None, None, 1)


@pytest.mark.parametrize("seeds", [4, 8])
def test_where_all_cells_are_equal_no_single_winner_is_declared(seeds: int) -> None:
    draw = random.Random(100 + seeds)
    sizes = [len(may_be_best(table(draw, [0.5] * CELLS, seeds)).members) for _ in range(200)]
    assert min(sizes) > 1
    assert mean(sizes) == pytest.approx(26.5, abs=1.0)


def test_two_exact_ties_both_stay() -> None:
    draw = random.Random(7)
    truth = [0.7, 0.7] + [0.5] * (CELLS - 2)
    both = sum({0, 1} <= set(may_be_best(table(draw, truth, 8)).members) for _ in range(200))
    assert both / 200 >= 0.9
    sizes = [len(may_be_best(table(draw, truth, 16)).members) for _ in range(50)]
    assert mean(sizes) == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize(
    "truth",
    [
        pytest.param(lambda i: 0.6 - 0.004 * (i - 17) ** 2 / 4, id="smooth peak"),
        pytest.param(lambda i: 0.62 if i == 17 else 0.6, id="best by 0.02"),
        pytest.param(lambda i: 0.6 if i < 14 else 0.55, id="half are best"),
    ],
)
@pytest.mark.parametrize("seeds", [4, 8])
def test_the_truly_best_cell_is_in_the_set(truth: Callable[[int], float], seeds: int) -> None:
    draw = random.Random(seeds)
    levels = [truth(i) for i in range(CELLS)]
    best = levels.index(max(levels))
    inside = sum(best in may_be_best(table(draw, levels, seeds)).members for _ in range(300))
    assert inside / 300 >= 0.95


def test_a_clear_best_is_found_alone() -> None:
    draw = random.Random(1)
    best = may_be_best(table(draw, [0.5] * 13 + [0.8] + [0.5] * 14, 8))
    assert best.members == (13,)
    assert best.leader == 13


rows = st.integers(2, 6).flatmap(
    lambda seeds: st.lists(st.lists(st.floats(0, 1), min_size=seeds, max_size=seeds), min_size=2, max_size=8)
)


@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_seeds_and_cells_does_not_matter(data: list[list[float]], shuffle: random.Random) -> None:
    order = list(range(len(data[0])))
    shuffle.shuffle(order)
    cells = list(range(len(data)))
    shuffle.shuffle(cells)
    shuffled = may_be_best([[data[i][j] for j in order] for i in cells])
    assert {cells[i] for i in shuffled.members} == set(may_be_best(data).members)


@given(rows, st.floats(-5, 5), st.lists(st.floats(-1, 1), min_size=6, max_size=6))
def test_what_all_cells_of_a_seed_share_does_not_matter(
    data: list[list[float]], shift: float, by_seed: list[float]
) -> None:
    moved = may_be_best([[v + shift + by_seed[j] for j, v in enumerate(row)] for row in data])
    plain = may_be_best(data)
    assert moved.residual_sd == pytest.approx(plain.residual_sd, abs=1e-9)
    gaps = [abs(plain.means[plain.leader] - m - plain.margin) for m in plain.means]
    if min(gaps) > 1e-9:
        assert moved.members == plain.members


@given(rows)
def test_the_leader_and_its_ties_are_members(data: list[list[float]]) -> None:
    best = may_be_best(data)
    assert best.leader in best.members
    tied = {i for i, m in enumerate(best.means) if m == best.means[best.leader]}
    assert tied <= set(best.members)


def test_identical_cells_without_any_noise_are_ties() -> None:
    assert may_be_best([[0.1, 0.2, 0.3]] * 3).members == (0, 1, 2)
    assert may_be_best([[0.3, 0.2, 0.1], [0.1, 0.2, 0.3]]).members == (0, 1)


def test_one_seed_leaves_every_cell_in_and_one_cell_is_alone() -> None:
    best = may_be_best([[0.1], [0.9], [0.5]])
    assert best.leader == 1
    assert best.members == (0, 1, 2)
    assert math.isinf(best.margin)
    assert may_be_best([[0.1, 0.2]]).members == (0,)


@pytest.mark.parametrize("bad", [[], [[]], [[0.1, 0.2], [0.1]], [[0.1, math.nan], [0.1, 0.2]], [[math.inf], [0.0]]])
def test_a_table_with_holes_is_refused(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"needs|finite"):
        may_be_best(bad)


def test_residuals_are_what_rows_and_columns_leave() -> None:
    assert two_way_residual_sd([[1.0, 2.0, 4.0], [11.0, 12.0, 14.0]]) == pytest.approx(0.0, abs=1e-12)
    assert two_way_residual_sd([[1.0, 0.0], [0.0, 1.0]]) == pytest.approx(1.0)


def test_the_smallest_difference_is_shown_four_times_in_five() -> None:
    """The promise behind the verdict's second sentence, by simulation.

    A cell that much below the best one leaves the set.
    """
    draw = random.Random(3)
    own = math.hypot(CELL_SEED_SD, PICTURE_SD / math.sqrt(PROMPTS))
    gap = smallest_difference(own, 8, CELLS)
    # The others lie far below, so that the leader is the truly best cell.
    truth = [0.9, 0.9 - gap] + [0.2] * (CELLS - 2)
    left = sum(1 not in may_be_best(table(draw, truth, 8)).members for _ in range(400))
    assert left / 400 == pytest.approx(0.8, abs=0.06)


def test_seeds_needed_is_the_first_number_that_suffices() -> None:
    for difference in (0.01, 0.03, 0.2):
        seeds = seeds_needed(difference, 0.03, CELLS)
        assert smallest_difference(0.03, seeds, CELLS) <= difference
        assert seeds == 2 or smallest_difference(0.03, seeds - 1, CELLS) > difference
    assert seeds_needed(0.01, 0.0, CELLS) == 2


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_the_front_holds_exactly_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    on = pareto_front(points)
    assert any(on)
    for point, is_on in zip(points, on, strict=True):
        better = [q for q in points if q != point and q[0] >= point[0] and q[1] >= point[1]]
        assert is_on == (not better)
