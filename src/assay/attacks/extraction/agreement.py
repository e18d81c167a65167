"""How well a copy agrees with its victim, with intervals; what a constant answer reaches beside it.

Decisions are bool (n,), scores float64 (n,). A table of agreement holds the rows that both flag, only the copy, only
the victim, and neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from assay.stats.classifier import roc_area
from assay.stats.effective import effective_n, whole
from assay.stats.intervals import z_for

Array = Any
DRAWS = 1000
AREA_DRAWS = 100
MEASURES = ("f1", "mcc", "fidelity")


class Value(msgspec.Struct, frozen=True):
    """A measure with its 95% interval and the (effective) rows it rests on; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0


class Cells(NamedTuple):
    """Counts of rows (or resampled ones, arrays): flagged by both, by the copy only, by the victim only, by neither."""

    both: Any
    copy_only: Any
    victim_only: Any
    neither: Any


def cells(victim: Array, copy: Array) -> Cells:
    """The table of agreement of decisions (n,)."""
    both = int((victim & copy).sum())
    return Cells(both, int(copy.sum()) - both, int(victim.sum()) - both, int((~victim & ~copy).sum()))


def f1_of(c: Cells) -> Any:
    """2·both / (2·both + only one): of flags, how many are shared; 0 where nobody flags."""
    below = 2 * c.both + c.copy_only + c.victim_only
    return np.where(below > 0, 2 * c.both / np.where(below > 0, below, 1), 0.0)


def mcc_of(c: Cells) -> Any:
    """Matthews' correlation of the two decisions (1975), 0 where one of them is constant."""
    a, b, d, e = (np.asarray(x, dtype=float) for x in c)
    below = np.sqrt((a + b) * (a + d) * (e + b) * (e + d))
    return np.where(below > 0, (a * e - b * d) / np.where(below > 0, below, 1.0), 0.0)


def fidelity_of(c: Cells) -> Any:
    """The share of rows with the same decision."""
    return (c.both + c.neither) / (c.both + c.copy_only + c.victim_only + c.neither)


def mcc(victim: Array, copy: Array) -> float:
    """Matthews' correlation of decisions (n,)."""
    return float(mcc_of(cells(victim, copy)))


class Constant(msgspec.Struct, frozen=True):
    """What the best constant answer reaches without a single query; its MCC is 0."""

    f1: float
    fidelity: float
    name: str


def constant(victim: Array) -> Constant:
    """The baseline on decisions (n,): F1 of always flagging, fidelity of the majority (which often is never flagging,
    with an F1 of 0; the better constant is taken for each)."""
    share = float(victim.mean())
    always = 2 * share / (1 + share)
    return Constant(always, max(share, 1 - share), "always flagged" if share > 0.5 else "never flagged")


def agreement(victim: Array, copies: Sequence[Array], groups: Array, seed: int) -> dict[str, Value]:
    """F1, MCC and fidelity of the copies of several runs: their mean, and where one run on fresh rows would lie.

    Each draw takes a run at random and then a Bayesian bootstrap of its table of agreement (Rubin 1981), half a row
    added to each cell (Jeffreys), so that perfect agreement has an interval too. Rows of one number in `groups` are one
    draw (`effective_n`).
    """
    rng = np.random.default_rng([seed, 11])
    tables = [cells(victim, copy) for copy in copies]
    shares = [_scaled(victim, copy, groups) for copy in copies]
    counts = np.array([np.array(t) * s for t, s in zip(tables, shares, strict=True)])
    picked = counts[rng.integers(0, len(counts), DRAWS)]
    gamma = rng.standard_gamma(picked + 0.5)
    drawn = Cells(*gamma.T)
    out = {}
    for name, of in zip(MEASURES, (f1_of, mcc_of, fidelity_of), strict=True):
        value = float(np.mean([of(t) for t in tables]))
        low, high = np.quantile(of(drawn), [0.025, 0.975])
        n = whole(float(np.mean(shares)) * len(victim))
        out[name] = Value(value, min(float(low), value), max(float(high), value), n)
    return out


def _scaled(victim: Array, copy: Array, groups: Array) -> float:
    """How many independent rows a row is worth."""
    return effective_n(groups, victim == copy) / len(victim)


def ranks(victim: Array, copies: Sequence[Array], groups: Array, seed: int) -> Value:
    """Spearman's rank correlation of scores, the mean over runs; the interval mixes the runs' own (Fisher's z with the
    variance of Bonett and Wright 2000). None where a side has one score only."""
    from scipy.stats import spearmanr

    n = effective_n(groups)
    if n < 10 or np.ptp(victim) == 0:
        return Value(None, n=whole(n))
    found = [0.0 if np.ptp(copy) == 0 else float(spearmanr(victim, copy).statistic) for copy in copies]
    rng = np.random.default_rng([seed, 13])
    near = np.clip(rng.choice(found, DRAWS), -0.999999, 0.999999)
    drawn = np.tanh(np.arctanh(near) + rng.normal(size=DRAWS) * np.sqrt((1 + near**2 / 2) / (n - 3)))
    value = float(np.mean(found))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Value(value, min(float(low), value), max(float(high), value), whole(n))


def area_ratio(victim: Array, copies: Sequence[Array], target: Array | None, groups: Array, seed: int) -> Value:
    """AUC of the copies on true labels / AUC of the victim on the same rows, the mean over runs; the spread of a
    bootstrap over draws and runs. None without labels or with one class only."""
    if target is None or not 0 < target.sum() < len(target):
        return Value(None)
    base = roc_area(victim, target)
    value = float(np.mean([roc_area(copy, target) for copy in copies]) / base) if base > 0 else None
    if value is None:
        return Value(None)
    weights = _weights(groups, seed)
    rng = np.random.default_rng([seed, 19])
    places = _places(victim, target, weights)
    each = np.array([_places(copy, target, weights) for copy in copies])
    drawn = each[rng.integers(0, len(copies), len(weights)), np.arange(len(weights))]
    fine = (places > 0) & np.isfinite(places) & np.isfinite(drawn)
    if fine.sum() < AREA_DRAWS // 2:
        return Value(value, 0.0, math.inf, 0)
    reach = z_for() * float(np.std(drawn[fine] / places[fine]))
    return Value(value, max(0.0, value - reach), value + reach, whole(effective_n(groups)))


def _weights(groups: Array, seed: int) -> Array:
    """Multinomial weights (b, n); rows of one group are drawn together."""
    _, inverse = np.unique(groups, return_inverse=True)
    size = int(inverse.max()) + 1
    rng = np.random.default_rng([seed, 17])
    return rng.multinomial(size, np.full(size, 1 / size), size=AREA_DRAWS)[:, inverse.ravel()].astype(float)


def _places(scores: Array, target: Array, weights: Array) -> Array:
    """Areas under the ROC curve of resamples (b, n), ties counted half; NaN where a resample has one class only."""
    order = np.argsort(scores, kind="stable")
    ordered, hit = scores[order], target[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    w = weights[:, order]
    good = np.diff(np.cumsum(w * hit, axis=1)[:, last], axis=1, prepend=0.0)
    bad = np.cumsum(w * ~hit, axis=1)[:, last]
    below = bad - np.diff(bad, axis=1, prepend=0.0) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (good * below).sum(axis=1) / (good.sum(axis=1) * bad[:, -1])
