"""Our statistics beside scipy's, and beside brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from orchestrator.distributions import dunnett_quantile, t_cdf, t_quantile, wilson
from orchestrator.evaluation.statistics import may_be_best, t_interval, two_way_residual_sd


@pytest.fixture(scope="module")
def stats() -> Any:
    """scipy's statistics, loaded when the first test asks: every process that collects the tests would wait for it."""
    return pytest.importorskip("scipy.stats", reason="scipy is not installed")


@pytest.mark.parametrize("df", [1, 2, 3.5, 7, 23, 189, 5000])
@pytest.mark.parametrize("probability", [0.001, 0.05, 0.5, 0.8, 0.975, 0.9999])
def test_student(stats: Any, df: float, probability: float) -> None:
    expected = stats.t.ppf(probability, df)
    assert t_quantile(probability, df) == pytest.approx(expected, rel=1e-8, abs=1e-9)
    assert t_cdf(expected, df) == pytest.approx(probability, rel=1e-8)


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (0, 24), (1, 24), (7, 16), (23, 24), (24, 24), (300, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson(stats: Any, successes: int, trials: int, confidence: float) -> None:
    interval = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert wilson(successes, trials, confidence) == pytest.approx((interval.low, interval.high), abs=1e-9)


@pytest.mark.parametrize("seeds", [2, 4, 8, 24])
def test_intervals_over_seeds(stats: Any, seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(0.6, 0.1, seeds)
    interval = t_interval(values.tolist())
    low, high = stats.t.interval(0.95, seeds - 1, loc=values.mean(), scale=stats.sem(values))
    assert (interval.mean, interval.low, interval.high) == pytest.approx((values.mean(), low, high))


@pytest.mark.parametrize(("comparisons", "df"), [(1, 7), (2, 14), (9, 60), (27, 81), (27, 189)])
def test_dunnett_against_the_multivariate_t(stats: Any, comparisons: int, df: int) -> None:
    """All differences share the one they are compared with: correlations of one half."""
    correlation = np.full((comparisons, comparisons), 0.5) + 0.5 * np.eye(comparisons)
    ours = dunnett_quantile(0.95, comparisons, df)
    reached = stats.multivariate_t.cdf(
        np.full(comparisons, ours), shape=correlation, df=df, random_state=np.random.default_rng(1), maxpts=200_000
    )
    assert reached == pytest.approx(0.95, abs=0.002)


@pytest.mark.parametrize(("comparisons", "df"), [(2, 14), (27, 81)])
def test_dunnett_by_brute_force(comparisons: int, df: int) -> None:
    draw = np.random.default_rng(7)
    normal = draw.standard_normal((200_000, comparisons + 1))
    scale = np.sqrt(draw.chisquare(df, 200_000) / df)
    largest = (normal[:, 1:].max(axis=1) - normal[:, 0]) / (np.sqrt(2) * scale)
    assert (largest <= dunnett_quantile(0.985, comparisons, df)).mean() == pytest.approx(0.985, abs=0.001)


def test_the_residual_is_that_of_the_two_way_table() -> None:
    table = np.random.default_rng(3).normal(0.5, 0.1, (28, 8))
    rest = table - table.mean(1, keepdims=True) - table.mean(0, keepdims=True) + table.mean()
    assert two_way_residual_sd(table.tolist()) == pytest.approx(np.sqrt((rest**2).sum() / (27 * 7)))


def test_the_set_holds_the_best_as_often_as_it_promises() -> None:
    draw = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        truth = draw.normal(0.6, 0.01, 12)
        table = truth[:, None] + draw.normal(0, 0.03, 8)[None, :] + draw.normal(0, 0.03, (12, 8))
        held += int(truth.argmax()) in may_be_best(table.tolist()).members
    assert held / 400 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)
