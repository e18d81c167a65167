"""Intervals for rates and differences of rates, in pure Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

LEVEL = 0.95
Interval = tuple[float, float]


def z_for(level: float = LEVEL) -> float:
    """The two-sided normal quantile: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def t_for(degrees: int, level: float = LEVEL) -> float:
    """The two-sided quantile of Student's t: 12.7 for 0.95 and one degree of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + level / 2))


def wilson(hits: int, n: int, level: float = LEVEL) -> Interval:
    """Wilson score interval of a rate (Wilson 1927). (0, 1) for n = 0; always inside [0, 1] and around hits / n.

    Raises ValueError unless 0 <= hits <= n.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits of {n}")
    return wilson_rate(hits / n, n, level) if n else (0.0, 1.0)


def wilson_rate(p: float, n: float, level: float = LEVEL) -> Interval:
    """Wilson's interval around a rate `p` of `n` > 0 that need not be a whole number of hits, such as an area.

    `n` may be an effective number of rows.
    """
    z = z_for(level)
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, min(p, (centre - spread) / scale)), min(1.0, max(p, (centre + spread) / scale))


def exact(hits: int, n: int, level: float = LEVEL) -> Interval:
    """Clopper and Pearson's interval of a rate (1934): binomial tails of (1 - level) / 2 on both sides.

    (0, 1) for n = 0. Agrees with scipy's beta quantiles to 1e-9 up to n of a million. Raises ValueError unless
    0 <= hits <= n.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits of {n}")
    tail = (1 - level) / 2
    low = _root(lambda p: _beta(p, hits, n - hits + 1) < tail) if hits else 0.0
    high = _root(lambda p: _beta(1 - p, n - hits, hits + 1) > tail) if hits < n else 1.0
    return low, high


def _root(below: Callable[[float], bool]) -> float:
    """Where a condition that holds from 0 on stops holding."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2


def _beta(x: float, a: int, b: int) -> float:
    """The regularised incomplete beta function I_x(a, b), 0 < x < 1: P(Binomial(a + b - 1, x) >= a)."""
    if x > (a + 1) / (a + b + 2):  # the fraction converges quickly on the other side
        return 1 - _beta(1 - x, b, a)
    logs = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(logs) / (a * _fraction(x, a, b))


def _fraction(x: float, a: int, b: int) -> float:
    """The continued fraction of the incomplete beta function (DLMF 8.17.22), from its front to its end (Lentz 1976)."""
    tiny = 1e-300
    value, c, d = 1.0, 1.0, 0.0
    for step in range(1, 20_000):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        c = 1 + term / c or tiny
        d = 1 / (1 + term * d or tiny)
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def paired_difference(
    only_first: float, only_second: float, n: float, level: float = LEVEL, correction: float = 0.25
) -> Interval:
    """Interval of p1 − p2 for paired rates, from the discordant counts (Tango 1998, score interval).

    The differences that the score test does not reject, its nuisance rate at its constrained maximum likelihood. The
    difference of the counts moves in steps of 1, and `correction` of a step is taken off the test: without it coverage
    falls to .93 where only a handful of rows are discordant and all in one direction; with a quarter it is .945 or more
    over rates of 0 to .1 and n of 20 to 2000 (with a half .95, and intervals wider by a tenth). The quarter was chosen
    on that grid, part of which benchmarks/bench_detectors.py reports, so its coverage there is no held-out figure.
    Counts may be scaled to an effective number of rows. (−1, 1) for n = 0.
    Raises ValueError for counts that do not fit.
    """
    if min(only_first, only_second) < 0 or only_first + only_second > n + 1e-9:
        raise ValueError(f"{only_first} and {only_second} discordant of {n}")
    if n == 0:
        return -1.0, 1.0
    z = z_for(level)
    high = _tango_high(only_first, only_second, n, z, correction)
    return -_tango_high(only_second, only_first, n, z, correction), high


def _tango_high(b: float, c: float, n: float, z: float, correction: float) -> float:
    """The largest difference that is not rejected: the statistic falls as the difference grows, so it is bisected."""

    def rejected(difference: float) -> bool:
        linear = -b - c + (2 * n - b + c) * difference
        root = math.sqrt(max(0.0, linear * linear + 8 * n * c * difference * (1 - difference)))
        rare = (root - linear) / (4 * n)  # the rate of "only second", given the difference
        variance = n * (2 * rare + difference * (1 - difference))
        return b - c - n * difference + correction < -z * math.sqrt(max(0.0, variance))

    low, high = (b - c) / n, 1.0
    if not rejected(high):
        return high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rejected(middle) else (middle, high)
    return high


class Counts(NamedTuple):
    """Of the rows that two classifiers flag: how many were hits and misses, by who flagged them.

    Numbers that are not whole are effective ones.
    """

    both_hits: float
    both_misses: float
    first_hits: float
    first_misses: float
    second_hits: float
    second_misses: float


def overlapping_difference(counts: Counts, level: float = LEVEL) -> Interval:
    """Interval of hits1/flagged1 − hits2/flagged2 where the two sets of flagged rows overlap (two precisions).

    Wilson's limits of each rate, joined by the method of variance estimates recovery with the correlation that the
    shared rows make (Zou and Donner 2008; Newcombe 1998 for the pairing). The correlation is taken at rates with half a
    hit and half a miss added, so that it is defined at 0 and 1. Covers .94 or more for five and more flagged rows on
    each side (the worst of 12 cells of benchmarks/bench_detectors.py). (−1, 1) where either flagged nothing. Raises
    ValueError for a negative count.
    """
    if min(counts) < 0:
        raise ValueError(f"negative count in {counts}")
    both = counts.both_hits + counts.both_misses
    n1 = both + counts.first_hits + counts.first_misses
    n2 = both + counts.second_hits + counts.second_misses
    if not n1 or not n2:
        return -1.0, 1.0
    k1, k2 = counts.both_hits + counts.first_hits, counts.both_hits + counts.second_hits
    q1, q2 = (k1 + 0.5) / (n1 + 1), (k2 + 0.5) / (n2 + 1)
    covariance = (counts.both_hits * (1 - q1) * (1 - q2) + counts.both_misses * q1 * q2) / (n1 * n2)
    rho = min(both / math.sqrt(n1 * n2), covariance / math.sqrt(q1 * (1 - q1) / n1 * q2 * (1 - q2) / n2))
    return recovered((k1 / n1, k2 / n2), [wilson_rate(k1 / n1, n1, level), wilson_rate(k2 / n2, n2, level)], rho)


def recovered(values: tuple[float, float], intervals: Sequence[Interval], rho: float) -> Interval:
    """Interval of values[0] − values[1], both in [0, 1], from each one's own interval and their correlation.

    The method of variance estimates recovery (Zou and Donner 2008). A negative correlation counts as none.
    """
    (p1, p2), ((l1, u1), (l2, u2)), rho = values, intervals, max(0.0, min(1.0, rho))

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a + b * b - 2 * rho * a * b))

    return max(-1.0, p1 - p2 - reach(p1 - l1, u2 - p2)), min(1.0, p1 - p2 + reach(u1 - p1, p2 - l2))
