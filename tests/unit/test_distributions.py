"""Quantiles against published tables, and rates with their intervals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.distributions import dunnett_quantile, t_cdf, t_quantile, wilson


# Fisher & Yates' table, as every textbook prints it.
@pytest.mark.parametrize(
    ("probability", "df", "expected"),
    [
        (0.975, 1, 12.706),
        (0.975, 3, 3.182),
        (0.975, 7, 2.365),
        (0.975, 15, 2.131),
        (0.975, 120, 1.980),
        (0.95, 2, 2.920),
        (0.95, 30, 1.697),
        (0.995, 5, 4.032),
        (0.9995, 3, 12.924),
        (0.8, 10, 0.879),
        (0.975, 1e7, 1.960),
    ],
)
def test_t_quantiles_are_those_of_the_tables(probability: float, df: float, expected: float) -> None:
    assert t_quantile(probability, df) == pytest.approx(expected, abs=6e-4)


@given(st.floats(0.001, 0.999), st.floats(1, 500))
def test_the_quantile_undoes_the_distribution(probability: float, df: float) -> None:
    assert t_cdf(t_quantile(probability, df), df) == pytest.approx(probability, abs=1e-9)


def test_one_degree_of_freedom_is_the_cauchy_distribution() -> None:
    for t in (-3.0, -0.5, 0.0, 1.0, 20.0):
        assert t_cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-12)


@pytest.mark.parametrize(("probability", "df"), [(0.0, 5), (1.0, 5), (0.9, 0), (0.9, -1)])
def test_no_quantile_of_nonsense(probability: float, df: float) -> None:
    with pytest.raises(ValueError, match=r"needed|positive"):
        t_quantile(probability, df)


# Dunnett (1955), table 1a: one-sided, 95 %, by number of treatments and degrees of freedom.
@pytest.mark.parametrize(
    ("comparisons", "df", "expected"),
    [(2, 5, 2.44), (4, 20, 2.30), (9, 20, 2.60), (3, 10, 2.34), (9, 60, 2.48), (5, 10, 2.56), (1, 10, 1.81)],
)
def test_dunnett_quantiles_are_those_of_the_table(comparisons: int, df: int, expected: float) -> None:
    assert dunnett_quantile(0.95, comparisons, df) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize("df", [2, 7, 60])
def test_one_comparison_is_a_t_test(df: int) -> None:
    assert dunnett_quantile(0.95, 1, df) == pytest.approx(t_quantile(0.95, df), abs=2e-3)


def test_dunnett_for_27_comparisons_agrees_with_simulation() -> None:
    import numpy

    draw = numpy.random.default_rng(20261122)
    z = draw.standard_normal((60_000, 28))
    scale = numpy.sqrt(draw.chisquare(189, 60_000) / 189)
    largest = (z[:, 1:].max(axis=1) - z[:, 0]) / (numpy.sqrt(2) * scale)
    assert dunnett_quantile(0.95, 27, 189) == pytest.approx(float(numpy.quantile(largest, 0.95)), abs=0.02)


def test_more_comparisons_and_fewer_degrees_of_freedom_ask_for_more() -> None:
    assert dunnett_quantile(0.95, 27, 189) > dunnett_quantile(0.95, 9, 189) > dunnett_quantile(0.95, 9, 1e5)


def test_wilson_gives_the_textbook_interval() -> None:
    # Newcombe (1998), 81 of 263 and 0 of 20, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    # The article: 4 of 6 heads were straight.
    low, high = wilson(4, 6)
    assert low < 0.31
    assert high > 0.90


@given(st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_holds_the_rate_and_mirrors(counts: tuple[int, int], confidence: float) -> None:
    successes, trials = counts
    low, high = wilson(successes, trials, confidence)
    assert 0.0 <= low <= high <= 1.0
    if trials:
        assert low <= successes / trials <= high
    mirrored = wilson(trials - successes, trials, confidence)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def test_a_rate_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match="no rate"):
        wilson(3, 2)
