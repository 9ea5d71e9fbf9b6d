"""The few distribution functions the statistics need, computed exactly; scipy is no dependency for three quantiles.

Checked in the tests against published tables and against simulation.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300
_ACCURATE = 1e-15


def t_cdf(t: float, df: float) -> float:
    """P(T ≤ t) of Student's t with `df` > 0 degrees of freedom.

    Half the regularised incomplete beta function at df/(df+t²) (DLMF 8.17; Abramowitz & Stegun 26.7.1).
    """
    if df <= 0:
        raise ValueError(f"degrees of freedom must be positive, not {df}")
    tail = 0.5 * _incomplete_beta(df / 2, 0.5, df / (df + t * t))
    return 1.0 - tail if t > 0 else tail


@lru_cache(maxsize=4096)
def t_quantile(probability: float, df: float) -> float:
    """The t with P(T ≤ t) = `probability` (strictly between 0 and 1), by bisection of `t_cdf` to 1e-12."""
    if not 0.0 < probability < 1.0:
        raise ValueError(f"a probability strictly between 0 and 1 is needed, not {probability}")
    if probability < 0.5:
        return -t_quantile(1.0 - probability, df)
    low, high = 0.0, 1.0
    while t_cdf(high, df) < probability:
        low, high = high, high * 2.0
    while high - low > 1e-12 * max(1.0, high):
        middle = (low + high) / 2.0
        if t_cdf(middle, df) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


@lru_cache(maxsize=1024)
def dunnett_quantile(confidence: float, comparisons: int, df: float) -> float:
    """The one-sided Dunnett critical value: how far the largest of `comparisons` differences gets by chance.

    The q with P(max over i of (Z_i - Z_0) / (√2 · s) ≤ q) = `confidence`, Z standard normal, s² an independent
    χ²/`df`. The double integral (Dunnett 1955) is evaluated by the trapezoidal rule over Z_0 and Simpson's rule over
    s. For 27 comparisons and many degrees of freedom it is 2.73; for one comparison it is the t quantile.
    """
    if comparisons < 1:
        raise ValueError(f"at least one comparison is needed, not {comparisons}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence strictly between 0 and 1 is needed, not {confidence}")
    scales = _chi_weights(df)

    def excess(q: float) -> float:
        return _largest_below(q, comparisons, scales) - confidence

    low, high = -4.0, 4.0
    at_low, at_high = excess(low), excess(high)
    while at_high < 0:
        low, at_low, high = high, at_high, high * 2.0
        at_high = excess(high)
    # Illinois' false position: a tenth of the evaluations that halving needs.
    kept = 0
    q = high
    while high - low > 1e-7:
        q = (low * at_high - high * at_low) / (at_high - at_low)
        at_q = excess(q)
        if abs(at_q) < 1e-9:
            break
        if at_q < 0:
            low, at_low = q, at_q
            at_high, kept = (at_high / 2.0 if kept < 0 else at_high), -1
        else:
            high, at_high = q, at_q
            at_low, kept = (at_low / 2.0 if kept > 0 else at_low), 1
    return q


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a rate (Wilson 1927).

    Sound for few trials and for rates of 0 and 1. (0, 1) when nothing was tried.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no rate")
    if trials == 0:
        return 0.0, 1.0
    z = _NORMAL.inv_cdf(0.5 + confidence / 2.0)
    rate = successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    # At 0 and 1 the bound is exactly 0 or 1; rounding must not push it beyond the rate itself.
    return max(0.0, min(centre - half, rate)), min(1.0, max(centre + half, rate))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22) evaluated with
    Lentz's method.
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # The fraction converges fast only on one side of the mean; the other side follows from the symmetry I_x(a,b) = 1 -
    # I_{1-x}(b,a).
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log_front) * _beta_fraction(a, b, x) / a
    return 1.0 - math.exp(log_front) * _beta_fraction(b, a, 1.0 - x) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    c = 1.0
    d = 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1.0))
    fraction = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _not_zero(1.0 + even * d)
        c = _not_zero(1.0 + even / c)
        fraction *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _not_zero(1.0 + odd * d)
        c = _not_zero(1.0 + odd / c)
        change = d * c
        fraction *= change
        if abs(change - 1.0) < _ACCURATE:
            break
    return fraction


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _chi_weights(df: float) -> tuple[tuple[float, float], ...]:
    """Points and weights of the density of s = √(χ²/df), scaled to sum to 1."""
    spread = 1.0 / math.sqrt(2.0 * df)
    # Where the density is nothing at both ends the plain trapezoidal rule converges faster than any power of the step.
    intervals, inner = (80, (4, 2)) if df < 40 else (24, (1, 1))
    low, high = max(1e-9, 1.0 - 7.0 * spread), 1.0 + 7.0 * spread
    points = [low + (high - low) * i / intervals for i in range(intervals + 1)]
    logs = [(df - 1.0) * math.log(s) - df * (s * s - 1.0) / 2.0 for s in points]
    rule = [1 if i in (0, intervals) else inner[0] if i % 2 else inner[1] for i in range(intervals + 1)]
    densities = [weight * math.exp(log) for weight, log in zip(rule, logs, strict=True)]
    total = math.fsum(densities)
    return tuple((s, density / total) for s, density in zip(points, densities, strict=True) if density > total * 1e-12)


_STEP = 0.15
_NODES = tuple((z, _STEP * _NORMAL.pdf(z)) for z in (_STEP * i for i in range(-44, 45)))


def _largest_below(q: float, comparisons: int, scales: tuple[tuple[float, float], ...]) -> float:
    root_half = math.sqrt(0.5)
    total = 0.0
    for s, scale_weight in scales:
        # Φ(z + √2·q·s) = erfc(-(z/√2 + q·s)) / 2
        shift = q * s
        inner = 0.0
        for z, weight in _NODES:
            inner += weight * (0.5 * math.erfc(-(z * root_half + shift))) ** comparisons
        total += scale_weight * inner
    return total
