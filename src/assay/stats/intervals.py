"""Intervals for rates and differences of rates, in pure Python."""

from __future__ import annotations

import math
from statistics import NormalDist

LEVEL = 0.95
Interval = tuple[float, float]


def z_for(level: float = LEVEL) -> float:
    """The two-sided normal quantile: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def wilson(hits: int, n: int, level: float = LEVEL) -> Interval:
    """Wilson score interval of a rate (Wilson 1927). (0, 1) for n = 0; always inside [0, 1] and around hits / n.

    Raises ValueError unless 0 <= hits <= n.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits of {n}")
    if n == 0:
        return 0.0, 1.0
    z, p = z_for(level), hits / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, min(p, (centre - spread) / scale)), min(1.0, max(p, (centre + spread) / scale))


def paired_difference(only_first: int, only_second: int, n: int, level: float = LEVEL) -> Interval:
    """Interval of p1 − p2 for paired rates, from the discordant counts (Agresti and Min 2005, adjusted Wald).

    (−1, 1) for n = 0. Raises ValueError for counts that do not fit.
    """
    if min(only_first, only_second) < 0 or only_first + only_second > n:
        raise ValueError(f"{only_first} and {only_second} discordant of {n}")
    if n == 0:
        return -1.0, 1.0
    b, c, m, z = only_first + 0.5, only_second + 0.5, n + 2.0, z_for(level)
    centre = (b - c) / m
    spread = z * math.sqrt(max(0.0, (b + c) - (b - c) ** 2 / m)) / m
    value = (only_first - only_second) / n
    return max(-1.0, min(value, centre - spread)), min(1.0, max(value, centre + spread))
