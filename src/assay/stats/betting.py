"""Tests that may be looked at for ever: capital that bets against "nothing changed", one p-value at a time.

Under the null the p-values that come in are independent and not too small; the capital is then a supermartingale, and
the chance that it ever reaches 1/α is at most α (Ville 1939; Vovk, Gammerman and Shafer 2005, ch. 7).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

EXPONENTS = (1.0, 0.5, 0.25, 0.1, 0.03)
"""Each better pays κ·p^(κ−1): the first stays out, the last bets on tiny p-values (Shafer and Vovk 2019)."""
JUMP = 0.01
"""The share of its capital that each better hands to all of them before a bet, so that the best one may change."""
_LEAST_P = 1e-300
_LARGEST = 1e280


class Capital(msgspec.Struct, frozen=True):
    """What the betters hold after the bets so far, and the most that there ever was with what is kept back.

    Before bet t = 1, 2, … they are handed 1 / (t(t + 1)) of the capital of 1, so that a change is found however late
    it begins: a mixture over when it does.
    """

    shares: tuple[float, ...] = tuple(0.0 for _ in EXPONENTS)
    highest: float = 1.0
    bets: int = 0

    @property
    def total(self) -> float:
        """All capital, what is kept back included; it began with 1."""
        return sum(self.shares) + 1.0 / (self.bets + 1)

    def after(self, p: float) -> Capital:
        """The capital after betting on one more p-value. Raises ValueError for one outside [0, 1]."""
        if not 0.0 <= p <= 1.0:
            raise ValueError("a p-value is outside [0, 1]")
        t = self.bets + 1
        level = (JUMP * sum(self.shares) + 1.0 / (t * (t + 1))) / len(EXPONENTS)
        odds = math.log(max(p, _LEAST_P))
        shares = tuple(
            min(_LARGEST, ((1 - JUMP) * share + level) * kappa * math.exp((kappa - 1) * odds))
            for kappa, share in zip(EXPONENTS, self.shares, strict=True)
        )
        return Capital(shares, max(self.highest, sum(shares) + 1.0 / (t + 1)), t)


def average(capitals: Sequence[Capital]) -> float:
    """The mean capital of several streams, each of which may depend on the others: itself a fair test of them all."""
    return sum(c.total for c in capitals) / len(capitals) if capitals else 1.0
