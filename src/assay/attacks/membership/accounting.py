"""What a differential-privacy guarantee amounts to: epsilon of what training declares, and what an attack disproves.

Neighbouring data sets differ by one row added or removed. Noise is given as a multiple of the sensitivity.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

from assay.stats.intervals import exact

Array = Any
ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 384, 512, 1024)
LEVEL = 0.95
_CDF = NormalDist().cdf


def rdp_gaussian(sample_rate: float, noise: float, order: int) -> float:
    """Rényi divergence of whole `order` >= 2 of one step of the Gaussian mechanism on a Poisson sample.

    Mironov, Talwar and Zhang 2019, section 3.3 (tight in both directions); order / (2 noise²) for a rate of 1.
    """
    if sample_rate == 1:
        return order / (2 * noise**2)
    terms = [
        math.log(math.comb(order, k)) + (order - k) * math.log1p(-sample_rate) + k * math.log(sample_rate)
        + (k * k - k) / (2 * noise**2)
        for k in range(order + 1)
    ]  # fmt: skip
    top = max(terms)
    return max(0.0, (top + math.log(math.fsum(math.exp(t - top) for t in terms))) / (order - 1))


def epsilon_of_rdp(divergence: float, order: int, delta: float) -> float:
    """Epsilon at `delta` of a Rényi divergence of `order` (Canonne, Kamath and Steinke 2020, proposition 12)."""
    return divergence + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)


def epsilon_dpsgd(sample_rate: float, noise: float, steps: int, delta: float) -> float:
    """An upper bound of epsilon for `steps` of the sampled Gaussian mechanism, over whole orders up to 1024."""
    found = (epsilon_of_rdp(steps * rdp_gaussian(sample_rate, noise, o), o, delta) for o in ORDERS)
    return max(0.0, min(found))


def delta_gaussian(epsilon: float, noise: float) -> float:
    """The exact delta of the Gaussian mechanism (Balle and Wang 2018, theorem 8)."""
    half, far = 1 / (2 * noise), epsilon * noise
    return _CDF(half - far) - math.exp(epsilon + _log_cdf(-half - far))


def epsilon_gaussian(noise: float, steps: int, delta: float) -> float:
    """The exact epsilon of `steps` of the Gaussian mechanism on all rows: one with noise / sqrt(steps)."""
    noise = noise / math.sqrt(steps)
    low, high = 0.0, 1.0
    if delta_gaussian(low, noise) <= delta:
        return 0.0
    while delta_gaussian(high, noise) > delta:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_gaussian(middle, noise) > delta else (low, middle)
    return high


def epsilon_laplace(sample_rate: float, noise: float, steps: int) -> float:
    """Epsilon, with delta 0, of `steps` of the Laplace mechanism on a Poisson sample: they add up.

    One step is log(1 + rate (exp(1 / noise) - 1)) (amplification by sampling: Balle, Barthe and Gaboardi 2018).
    """
    one = 1 / noise
    return steps * (one if sample_rate == 1 else _log1p_expm1(sample_rate, one))


def audited(score: Array, member: Array, delta: float, seed: int) -> tuple[float, float, float, int]:
    """(lower bound of epsilon, true positive rate, false positive rate, rows of each side) that an attack proves.

    A mechanism with (epsilon, delta) lets no test have TPR > exp(epsilon) FPR + delta, nor the same of the two misses.
    On a random half of the rows the threshold and the direction are chosen that prove the most; on the other half the
    rates' exact 97.5% limits are put in (Jagielski, Ullman and Oprea 2020). Rows count as independent draws.
    """
    import numpy as np

    rng = np.random.default_rng([seed, 17])
    side = np.empty(len(score), dtype=bool)
    for part in (np.flatnonzero(member), np.flatnonzero(~member)):
        side[rng.permutation(part)] = np.arange(len(part)) % 2 == 0
    tried = np.unique(
        np.quantile(score[side], np.concatenate([np.linspace(0, 1, 51)[1:], 1 - np.geomspace(1e-4, 0.02, 20)]))
    )
    rules = [(t, sign) for t in tried.tolist() for sign in (1, -1)]
    best = max(rules, key=lambda rule: _proved(*_hits(score[side], member[side], *rule), delta))
    true, m, false, n = _hits(score[~side], member[~side], *best)
    return _proved(true, m, false, n, delta), true / m, false / n, min(m, n)


def _hits(score: Array, member: Array, threshold: float, sign: int) -> tuple[int, int, int, int]:
    """(hits, rows, false hits, rows) of "member at or above" (+1), or of "other below" (-1)."""
    above = score >= threshold
    hit, at = (above, member) if sign > 0 else (~above, ~member)
    return int((hit & at).sum()), int(at.sum()), int((hit & ~at).sum()), int((~at).sum())


def _proved(true: int, m: int, false: int, n: int, delta: float) -> float:
    """log((TPR's lower - delta) / FPR's upper) at exact limits that hold together at 95%; 0 where nothing is proved."""
    low, high = exact(true, m, LEVEL)[0], exact(false, n, LEVEL)[1]
    return max(0.0, math.log((low - delta) / high)) if low > delta else 0.0


def _log_cdf(x: float) -> float:
    """log of the normal distribution function, far into the lower tail too."""
    if x > -30:
        return math.log(0.5 * math.erfc(-x / math.sqrt(2)))
    return -x * x / 2 - math.log(-x * math.sqrt(2 * math.pi)) + math.log1p(-1 / (x * x))


def _log1p_expm1(rate: float, one: float) -> float:
    """log(1 + rate (exp(one) - 1)) without overflow."""
    return math.log1p(rate * math.expm1(one)) if one < 700 else math.log(rate) + one
