"""The recall that an attack leaves: its measures with intervals, and the curve against what an attacker may spend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np

from assay.attacks.attacked import Attacked
from assay.attacks.space import Array
from assay.core.exhibit import Curve, Series
from assay.core.finding import Direction, Measure
from assay.core.subject import Norm
from assay.stats.classifier import ratio_interval
from assay.stats.effective import effective_n, whole
from assay.stats.intervals import wilson_rate

NAME = "robustness.evasion.recall_under_attack"
POINTS = 120
BEFORE = 2e-6
"""How far before a step, which is more than what a proof leaves for rounding."""
Kind = Literal["at-most", "at-least"]
UNITS: dict[Norm, str] = {
    "cost": "cost units of the feature contract",
    "linf": "largest change of a feature (L-infinity)",
    "l2": "Euclidean length of the change (L2)",
    "l1": "sum of the changes (L1)",
}


class Left:
    """What is left of recall: `weight` (n,) rows that each sampled row stands for, and those that the model `flags`."""

    def __init__(self, weight: Array, flags: Array, found: Attacked) -> None:
        self.weight, self.flags, self.found = weight, flags, found
        self.all, self.caught = np.ones(len(weight), dtype=bool), int(self.flags.sum())

    def rate(self, hit: Array, among: Array) -> tuple[float, float, float, int]:
        """(rate, low, high, effective rows) of `hit` (n,) among the sampled rows `among` (n,): Wilson."""
        weight, hit = self.weight[among], hit[among]
        value = float((weight * hit).sum() / weight.sum())
        n = float(effective_n(np.repeat(np.arange(len(weight)), weight), np.repeat(hit, weight)))
        return value, *wilson_rate(value, n), whole(n)

    def evaded(self, budget: float) -> Array:
        """The caught rows (n,) that slip past within `budget`, bool."""
        gone = np.zeros(len(self.flags), dtype=bool)
        gone[self.flags] = self.found.within(budget)
        return gone

    def after(self, budget: float) -> tuple[float, float, float, int]:
        """The recall that is left after what costs up to `budget`."""
        return self.rate(self.flags & ~self.evaded(budget), self.all)

    def proved(self, budget: float) -> tuple[float, float, float, int]:
        """The recall that no attack within `budget` can take, whatever it does."""
        held = self.flags & ~self.evaded(budget)
        held[self.flags] &= self.found.bound >= budget if budget else True
        return self.rate(held, self.all)


def measures(left: Left, norm: Norm, budget: float, access: str, seed: int) -> Iterator[Measure]:
    """What is left of recall, what was evaded and proved, how far it had to go, and what was asked."""

    def share(
        name: str, rate: tuple[float, float, float, int], method: str, direction: Direction = Direction.HIGHER
    ) -> Measure:
        value, low, high, n = rate
        return Measure(
            name=f"robustness.evasion.{name}", value=value, low=low, high=high, n=n, seed=seed, unit="share",
            direction=direction, method=method,
        )  # fmt: skip

    spent = f"budget {told(budget, norm)}"
    less = f"; the sanity test planted no hole, as {why}" if (why := left.found.unplanted) else ""
    yield share("recall_under_attack", left.after(budget), f"at most: {spent}, Wilson, equal rows as one draw{less}")
    yield share("recall_unattacked", left.rate(left.flags, left.all), "the same rows before the attack, Wilson")
    evaded = left.rate(left.evaded(budget), left.flags)
    yield share("evaded_share", evaded, f"caught rows that slip past, at least: {spent}, Wilson", Direction.LOWER)
    if access == "whitebox":
        if math.isfinite(budget):
            yield share("recall_certified", left.proved(budget), f"at least, by proof: {spent}, Wilson")
        verdicts = np.array(left.found.verdicts(budget))
        unknown = np.zeros(len(left.flags), dtype=bool)
        unknown[left.flags] = verdicts == "unknown"
        method = f"caught rows neither evaded nor proved safe: {spent}, Wilson"
        yield share("unknown_share", left.rate(unknown, left.flags), method, Direction.LOWER)
    there = np.isfinite(left.found.distance)
    if there.sum() > 1:
        far = left.found.distance[there]
        low, high = ratio_interval(far, np.ones(len(far)), seed)
        yield Measure(
            name="robustness.evasion.distance", value=float(far.mean()), low=low, high=high, n=len(far), seed=seed,
            unit=norm, direction=Direction.HIGHER,
            method="mean over the caught rows that slip past at some distance, each once and at most; bootstrap",
        )  # fmt: skip
    asked = np.asarray(left.found.queries, dtype=float)
    low, high = ratio_interval(asked, np.ones(left.caught), seed)
    yield Measure(
        name="robustness.evasion.queries", value=float(asked.mean()), low=low, high=high, n=left.caught, seed=seed,
        unit="a row", method="mean over the attacked rows, bootstrap",
    )  # fmt: skip


def told(budget: float, norm: Norm) -> str:
    """A budget in words."""
    if math.isinf(budget):
        return "without limit"
    return f"{budget:g}" if norm == "cost" else f"{budget:g} in {norm}"


def curve(left: Left, norm: Norm, budget: float, access: str, queries: int) -> Curve:
    """Recall against what an attacker may spend: at most, by the best attack found, and at least, by proof."""
    found = left.found.distance[np.isfinite(left.found.distance)]
    limited = math.isfinite(budget)
    reach = 2 * budget if limited else float(found.max()) if len(found) else 1.0
    named = [0.0, budget if limited else reach]
    x = np.unique(np.clip(np.concatenate([named, found]), 0, reach))
    if len(x) > POINTS:
        x = np.unique(np.concatenate([np.quantile(x, np.linspace(0, 1, POINTS - 1)), named]))
    x = np.unique(np.concatenate([x, x * (1 - BEFORE)]))  # it falls in steps: no slope shall lie below what is proved
    now, low = left.after(budget)[:2]
    before = left.rate(left.flags, left.all)[0]
    series = [_line("best attack found", "at-most", x, [left.after(float(b)) for b in x])]
    whitebox = access == "whitebox"
    if whitebox:
        series.append(_line("proved", "at-least", x, [left.proved(float(b)) for b in x]))
    asked = "" if whitebox else f", up to {queries} queries a row"
    return Curve(
        name="robustness.evasion.curve",
        title=(
            f"Of {before:.1%} of the positives caught, a budget {'of ' if limited else ''}{told(budget, norm)} leaves "
            f"{now:.1%} of this sample (95%: from {low:.1%})" + ("" if whitebox else ", or less to a better attack")
        ),
        subtitle="Share of positive holdout rows still flagged, against what the attacker may spend; 95% band",
        x_label=f"budget ({UNITS[norm]})",
        y_label="recall under attack" + ("" if whitebox else ", at most"),
        series=tuple(series),
        mark=budget if limited else None,
        mark_label="declared budget" if limited else "",
        measure=NAME,
        note=f"{len(left.all)} positive rows, no two alike, {left.caught} flagged; {access} access{asked}.",
    )


def _line(name: str, kind: Kind, x: Array, rates: list[tuple[float, float, float, int]]) -> Series:
    value, low, high = (tuple(float(rate[i]) for rate in rates) for i in range(3))
    return Series(name=name, x=tuple(float(v) for v in x), y=value, low=low, high=high, kind=kind)
