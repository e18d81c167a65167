"""Power by dose: which rates to plant at, what is known of the power there, and from which rate on it is enough."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from assay.stats.intervals import exact

POWER = 0.8
LEVEL = 0.95


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen at one rate (a share of the clean rows).

    `found` of `asked` plantings raised an alarm that the clean table does not, by a check that names planted rows, if
    it names rows at all; `elsewhere` raised one by checks that name others alone. `caught` of `planted` rows were
    flagged, with `flagged` in all; `top` of them were among as many of the strongest rows of the check that answers
    first.
    `effects` are (clean, poisoned) success; `targets` the labels that were planted towards, where the attack wants one.
    """

    rate: float
    asked: int
    found: int
    elsewhere: int = 0
    planted: int = 0
    caught: int = 0
    flagged: int = 0
    top: int = 0
    effects: tuple[tuple[float, float], ...] = ()
    targets: tuple[str, ...] = ()

    @property
    def power(self) -> float:
        """The share of the plantings that were found."""
        return self.found / self.asked

    def bounds(self, level: float = LEVEL) -> tuple[float, float]:
        """Clopper and Pearson's interval of the power (1934)."""
        return exact(self.found, self.asked, level)


class Dose(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest rate planted with a power of 0.8 (`value`, None if none had it), and what is sure of it together at
    95%: it is above `above` (0 where nothing is ruled out) and at most `below` (None where nothing is sure)."""

    value: float | None
    above: float
    below: float | None
    asked_to: float


def search(ladder: tuple[float, ...], ask: Callable[[float], Rung | None], every: bool) -> tuple[Rung, ...]:
    """Ask at the rates that settle where the power rises to 0.8, by bisection, or at `every` one; sorted by rate.

    `ask` gives None where a rate cannot be planted; then no higher one is tried.
    """
    rungs: list[Rung] = []
    if every:
        for rate in ladder:
            rung = ask(rate)
            if rung is None:
                break
            rungs.append(rung)
        return tuple(rungs)
    low, high = -1, len(ladder)
    while high - low > 1:
        middle = (low + high) // 2
        rung = ask(ladder[middle])
        if rung is None:
            high = middle
            continue
        rungs.append(rung)
        if rung.power >= POWER:
            high = middle
        else:
            low = middle
    return tuple(sorted(rungs, key=lambda r: r.rate))


def isotonic(rungs: tuple[Rung, ...]) -> tuple[float, ...]:
    """The power at each rung, made to rise with the rate: pooled adjacent violators (Ayer et al. 1955)."""
    blocks: list[list[float]] = []  # hits, asked, rungs
    for rung in rungs:
        blocks.append([rung.found, rung.asked, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    return tuple(hits / asked for hits, asked, many in blocks for _ in range(int(many)))


def dose_of(rungs: tuple[Rung, ...]) -> Dose:
    """The detectable dose. Each rung's interval is at 1 - 0.05 / (number of rungs), so that all hold together: rungs
    are planted with seeds of their own. Nearly so where bisection chose the rates by what was found before."""
    level = 1 - (1 - LEVEL) / len(rungs)
    bounds = [r.bounds(level) for r in rungs]
    value = next((r.rate for r, p in zip(rungs, isotonic(rungs), strict=True) if p >= POWER - 1e-9), None)
    above = max((r.rate for r, b in zip(rungs, bounds, strict=True) if b[1] < POWER), default=0.0)
    below = min((r.rate for r, b in zip(rungs, bounds, strict=True) if b[0] >= POWER), default=None)
    return Dose(value=value, above=above, below=below, asked_to=rungs[-1].rate)


def by_chance(hits: int, drawn: int, planted: int, rows: int) -> float:
    """How likely `hits` or more of `planted` rows are among `drawn` of `rows` that know nothing of them."""

    def ways(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    span = range(max(hits, drawn + planted - rows), min(drawn, planted) + 1)
    total = ways(rows, drawn)
    return min(1.0, math.fsum(math.exp(ways(planted, k) + ways(rows - planted, drawn - k) - total) for k in span))
