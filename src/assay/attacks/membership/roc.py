"""How well scores tell members from others where it counts: at few false alarms, with intervals, and when to refuse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from assay.stats.intervals import LEVEL, wilson_rate, z_for

Array = Any
LEAST_FALSE = 10


class Rate(NamedTuple):
    """A value with its 95% interval."""

    value: float
    low: float
    high: float


def area(score: Array, member: Array) -> Rate:
    """The area under the ROC curve with DeLong's interval (DeLong et al. 1988); ties count half.

    Where no pair is out of order the spread is 0: there Wilson's interval of the smaller side's rows is taken in.
    """
    return mean_area([score], [member], [np.arange(len(member))])


def mean_area(scores: Sequence[Array], members: Sequence[Array], rows: Sequence[Array]) -> Rate:
    """The mean of several areas, with DeLong's interval for scores that share rows; `rows` says which each is of.

    A row's part in the mean is the sum of its parts in the areas, so that a row that is in several counts once.
    """
    size = max(int(r.max()) for r in rows) + 1
    part, side = np.zeros(size), np.full(size, -1)
    for score, member, row in zip(scores, members, rows, strict=True):
        above, below = _placements(score, member)
        part[row[member]] += above / (len(above) * len(scores))
        part[row[~member]] += below / (len(below) * len(scores))
        side[row] = member
    m, n = int((side == 1).sum()), int((side == 0).sum())
    value = float(part[side == 1].sum())
    reach = z_for() * math.sqrt(part[side == 1].var(ddof=1) * m + part[side == 0].var(ddof=1) * n)
    low, high = value - reach, value + reach
    if min(value, 1 - value) * min(m, n) < 5:
        floor, roof = wilson_rate(value, min(m, n))
        low, high = min(low, floor), max(high, roof)
    return Rate(value, max(0.0, low), min(1.0, high))


def _placements(score: Array, member: Array) -> tuple[Array, Array]:
    """(share of others below each member (m,), share of members above each other (n,)), ties half (Sun and Xu 2014)."""
    from scipy.stats import rankdata

    inside, outside = score[member], score[~member]
    m, n = len(inside), len(outside)
    ranks = rankdata(np.concatenate([inside, outside]))
    return (ranks[:m] - rankdata(inside)) / n, 1 - (ranks[m:] - rankdata(outside)) / m


def tpr_at(score: Array, member: Array, fpr: float) -> Rate | None:
    """The share of members found where `fpr` of the others are called so; None below 10 expected false positives.

    Between two thresholds, as where scores are tied, members are found as a draw between the two finds them. The
    interval joins Wilson's over the members with what the threshold may be off: the rates at the thresholds whose
    exact interval of the false positives just lies below, and just above, `fpr` (by the method of variance
    estimates recovery). n of both sides counts.
    """
    m, n = int(member.sum()), int((~member).sum())
    if n * fpr < LEAST_FALSE * (1 - 1e-9):
        return None
    from scipy.stats import binom

    false, true = roc(score, member)
    # The most false positives whose exact interval lies below `fpr`, and the fewest whose lies above.
    below, above = binom.ppf((1 - LEVEL) / 2, n, fpr) - 1, binom.isf((1 - LEVEL) / 2, n, fpr) + 1
    value, strict, lenient = (float(np.interp(at, false, true)) for at in (fpr, max(0, below) / n, min(n, above) / n))
    floor, roof = wilson_rate(value, m)
    low = value - math.hypot(value - floor, value - strict)
    high = value + math.hypot(roof - value, lenient - value)
    return Rate(value, max(0.0, low), min(1.0, high))


def roc(score: Array, member: Array) -> tuple[Array, Array]:
    """(false positive rate, true positive rate) at every threshold, from (0, 0) to (1, 1)."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    true, false = np.cumsum(member[order])[last], np.cumsum(~member[order])[last]
    return np.append(0.0, false / max(1, false[-1])), np.append(0.0, true / max(1, true[-1]))
