"""What an attack finds, beside what it "finds" where nothing can be found: the placebo that a true signal must beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from assay.attacks.membership import scores as scored
from assay.attacks.membership.game import Game
from assay.attacks.membership.roc import LEAST_FALSE, Rate, area, mean_area, tpr_at

Array = Any
FPRS = (0.01, 0.001)
OFF = 0.01
"""How far from one half a placebo's area may surely lie before the two tables count as different."""
SURE = 1.3
"""How much wider than at 95% the placebo's interval is taken for that: at 99%, and references share rows, which
DeLong's interval knows nothing of (200 games of equal tables: spread 1.02 to 1.12 of what it says)."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One attack: its `score` (n,), `area` and rates at `FPRS` (None where the rows carry none), and the placebo's.

    `a` is what RMIA was tuned to.
    """

    name: str
    score: Array
    area: Rate
    rates: tuple[Rate | None, ...]
    null: Rate | None
    null_rates: tuple[Rate | None, ...]
    a: float | None = None

    @property
    def off(self) -> bool:
        """Whether the placebo tells the tables apart, so that nothing can be said of memory."""
        if self.null is None:
            return False
        value, low, high = self.null
        return value - SURE * (value - low) > 0.5 + OFF or value + SURE * (high - value) < 0.5 - OFF


def needed(fpr: float) -> int:
    """How many rows that are no members a rate at `fpr` takes."""
    return math.ceil(LEAST_FALSE / fpr * (1 - 1e-9))


def attacks_of(game: Game) -> Iterator[Found]:
    """RMIA, tuned on the references; LiRA, of enough of them; the loss, which needs none. Each when it is asked for."""
    a = scored.tuned(game)
    yield replace(found("rmia", game, lambda one: scored.rmia(one, a)), a=a)
    if len(game.refs) >= scored.LIRA_FROM:
        yield found("lira", game, scored.lira)
    yield found("loss", game, scored.loss, references=False)


def found(name: str, game: Game, attack: Callable[[Game], Array], *, references: bool = True) -> Found:
    """Run an attack and its placebos: the same attack on each reference, with training rows that it never saw in the
    members' place. An attack that needs `references` has no placebo with two."""
    score = attack(game)
    plays = [(game.placebo(k), np.flatnonzero(~game.seen[k])) for k in range(len(game.refs))]
    plays = [(p, rows) for p, rows in plays if len(p.refs) or not references]
    scores, members = [attack(p) for p, _ in plays], [p.member for p, _ in plays]
    return Found(
        name=name,
        score=score,
        area=area(score, game.member),
        rates=tuple(tpr_at(score, game.member, fpr) for fpr in FPRS),
        null=mean_area(scores, members, [rows for _, rows in plays]) if plays else None,
        null_rates=tuple(mean([tpr_at(s, m, fpr) for s, m in zip(scores, members, strict=True)]) for fpr in FPRS),
    )


def mean(rates: Sequence[Rate | None]) -> Rate | None:
    """The mean of rates that share rows: its interval is no narrower than theirs, as if they were one."""
    known = [r for r in rates if r is not None]
    return Rate(*(float(v) for v in np.mean(known, axis=0))) if known else None
