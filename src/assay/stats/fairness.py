"""How far the rates of groups lie apart: the smallest ratio and the largest difference, decided on intervals.

Arrays are per group, shape (g,): `rates` with `draws`, the number of independent rows that each rests on (it need not
be whole; 0 where a group could not be measured). The interval of an extreme over pairs of groups has two unlike ends.
The end that says "at least this far apart" is the largest over all pairs, so its limits hold for all pairs together, by
the studentized range (Tukey and Kramer; Agresti et al. 2008). The end that says "at most this far apart" needs no such
price: that all pairs are near is only said if each pair's own limit says so (intersection-union test, Berger 1982).
The first end is wrong in at most 1 − level of all samples, the second in half as many.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal

import msgspec
import numpy as np

from assay.stats.intervals import LEVEL, wilson_rate, z_for

Array = Any
Verdict = Literal["pass", "fail", "undecided"]
_FAR = 30.0  # in logs: ratios from 1e-13 to 1e13


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """How far groups are apart, with its interval; `least` and `most` are the places of the groups that are farthest,
    `draws` the independent rows of the one that has fewer. `verdict` is against the bound that was asked for."""

    value: float
    low: float
    high: float
    verdict: Verdict
    least: int
    most: int
    draws: float


class Cells:
    """Weighted rows as sums over the draws of each group, made once and asked for many rates.

    `group` int (n,) is each row's group, −1 for none; rows of the same number in `draw` (n,) are one draw; `weight`
    (n,) is at least 0.
    """

    def __init__(self, group: Array, size: int, weight: Array, draw: Array) -> None:
        self.inside, self.size = group >= 0, size
        self.weight = np.asarray(weight, dtype=float)[self.inside]
        pairs, at = np.unique(
            np.asarray(draw, dtype=np.int64)[self.inside] * size + group[self.inside], return_inverse=True
        )
        self.owner, self.at, self.cells = pairs % size, at.ravel(), len(pairs)

    def rates(self, hit: Array, among: Array | None = None) -> tuple[Array, Array]:
        """(mean of `hit` in 0 to 1, draws) of each group over its rows, or those `among` them; 0 draws where none are.

        Draws are Kish's, and never more than the number of rows with the variance of a ratio over draws (Cochran 1977,
        ch. 6), as in `effective_n`, which it equals where all weights are 1.
        """
        mean, kish, spread = self._moments(hit, among)
        return mean, _fewer(mean, kish, spread)

    def draws_around(self, rate: Array, residual: Array) -> Array:
        """How many draws of a binomial with `rate` (g,) have the variance of each group's mean of `residual` (n,).

        Never more than Kish's, so that a lucky sample does not pass for a large one.
        """
        _, kish, spread = self._moments(residual, None)
        return _fewer(rate, kish, spread)

    def _moments(self, values: Array, among: Array | None) -> tuple[Array, Array, Array]:
        """(mean, Kish's size, variance of the mean) of each group."""
        weight = self.weight if among is None else self.weight * among[self.inside]
        mine = np.bincount(self.at, weights=weight, minlength=self.cells)
        sums = np.bincount(self.at, weights=weight * values[self.inside], minlength=self.cells)

        def each(of: Array) -> Array:
            return np.bincount(self.owner, weights=of, minlength=self.size)

        heavy = each(mine)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(heavy > 0, each(sums) / heavy, 0.0)
            kish = np.where(heavy > 0, heavy**2 / each(mine**2), 0.0)
            return mean, kish, each((sums - mean[self.owner] * mine) ** 2) / heavy**2


def _fewer(rate: Array, kish: Array, spread: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        few = rate * (1 - rate) / spread
    return np.where(np.isfinite(few) & (few > 0), np.minimum(few, kish), kish)


@lru_cache(maxsize=256)
def range_quantile(groups: int, level: float = LEVEL) -> float:
    """The normal quantile at which all pairs of `groups` independent estimates hold together at `level`.

    The studentized range with infinite degrees of freedom over the square root of 2: 1.96 for two groups and 95%.
    """
    from scipy.special import ndtr

    z = np.linspace(-9, 9, 4001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        inside = groups * density * (ndtr(z) - ndtr(z - middle * math.sqrt(2))) ** (groups - 1)
        low, high = (middle, high) if float(np.trapezoid(inside, z)) < level else (low, middle)
    return high


def ratio_limits(p1: Array, n1: Array, p2: Array, n2: Array, z: float, above: float) -> tuple[Array, Array]:
    """(low, high) of p1 / p2 of independent rates: the ratios that the score test does not reject, at `z` below the
    estimate and at `above` above it.

    Koopman 1984, with the variance's correction of Miettinen and Nurminen 1985; any shape, element by element. 0 where
    p1 is 0 and infinite where p2 is.
    """
    p1, n1, p2, n2 = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (p1, n1, p2, n2)))

    def test(log_ratio: Array) -> Array:
        ratio = np.exp(log_ratio)
        a, c = (n1 + n2) * ratio, n1 * p1 + n2 * p2
        b = -(n1 * ratio + n1 * p1 + n2 + n2 * p2 * ratio)
        second = (-b - np.sqrt(np.maximum(0.0, b * b - 4 * a * c))) / (2 * a)
        second = np.clip(second, 0.0, np.minimum(1.0, 1.0 / ratio))
        first = second * ratio
        variance = (first * (1 - first) / n1 + ratio**2 * second * (1 - second) / n2) * ((n1 + n2) / (n1 + n2 - 1))
        return (p1 - ratio * p2) / np.sqrt(np.maximum(variance, 1e-300))

    def root(bound: float) -> Array:
        low, high = np.full(p1.shape, -_FAR), np.full(p1.shape, _FAR)
        for _ in range(50):
            middle = (low + high) / 2
            under = test(middle) > bound
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return np.exp((low + high) / 2)

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p1 > 0, root(z), 0.0), np.where(p2 > 0, root(-above), np.inf)


def smallest_ratio(rates: Array, draws: Array, *, bound: float, level: float = LEVEL) -> Apart | None:
    """The smallest ratio of two groups' rates, at most 1, and whether it is at least `bound`; None below two groups.

    A group of 0 draws that is there all the same could be as far off as may be: then nothing passes.
    """
    known = np.flatnonzero(draws > 0)
    if len(known) < 2:
        return None
    first, second = (known[i] for i in _pairs(len(known)))
    lows, highs = ratio_limits(
        rates[first], draws[first], rates[second], draws[second], z_for(level), range_quantile(len(known), level)
    )
    least, most = int(known[np.argmin(rates[known])]), int(known[np.argmax(rates[known])])
    value = float(rates[least] / rates[most]) if rates[most] > 0 else 1.0
    low = min(value, float(lows.min())) if len(known) == len(rates) else 0.0
    high = max(value, min(1.0, float(highs.min())))
    verdict: Verdict = "fail" if high < bound else "pass" if low >= bound else "undecided"
    return Apart(
        value=value, low=low, high=high, verdict=verdict, least=least, most=most,
        draws=float(min(draws[least], draws[most])),
    )  # fmt: skip


def largest_difference(
    rates: Array, draws: Array, *, bound: float, level: float = LEVEL, shift: Array | None = None
) -> Apart | None:
    """The largest difference of two groups' rates, and whether it is at most `bound`; None below two groups.

    Wilson's limits of each rate joined by the method of variance estimates recovery (Newcombe 1998). `shift` (g,) is
    taken off the rates: then it is the difference of rate − shift, such as the mean score. A group of 0 draws that is
    there all the same could be as far off as may be: then nothing passes.
    """
    known = np.flatnonzero(draws > 0)
    if len(known) < 2:
        return None
    moved = rates if shift is None else rates - shift
    value = moved[known]
    far = []
    for z in (z_for(level), range_quantile(len(known), level)):
        own = math.erf(z / math.sqrt(2))
        limits = np.array([wilson_rate(float(rates[g]), float(draws[g]), own) for g in known])
        below, above = rates[known] - limits[:, 0], limits[:, 1] - rates[known]
        far.append((below, above))
    i, j = _pairs(len(known))
    apart = value[i] - value[j]
    (below, above), (under, over) = far
    high = float((apart + np.sqrt(above[i] ** 2 + below[j] ** 2)).max())
    low = float((apart - np.sqrt(under[i] ** 2 + over[j] ** 2)).max())
    largest = float(value.max() - value.min())
    low, high = max(0.0, min(low, largest)), max(largest, min(1.0, high)) if len(known) == len(rates) else 1.0
    least, most = int(known[np.argmin(value)]), int(known[np.argmax(value)])
    verdict: Verdict = "fail" if low > bound else "pass" if high <= bound else "undecided"
    return Apart(
        value=largest, low=low, high=high, verdict=verdict, least=least, most=most,
        draws=float(min(draws[least], draws[most])),
    )  # fmt: skip


def _pairs(size: int) -> tuple[Array, Array]:
    """All ordered pairs of different places."""
    first, second = np.divmod(np.arange(size * size), size)
    return first[first != second], second[first != second]
