"""Drift that is looked at again and again: each look is tested against all rows before it, and the capital bets on.

Under the null the rows come in any order alike, so that the p-value of each look, given all rows up to it, is
independent of those before (the argument of conformal test martingales: Vovk, Gammerman and Shafer 2005, ch. 8). The
capital that bets on them reaches 1/α with a chance of at most α, however often one looks.
"""

from __future__ import annotations

from msgspec.structs import replace

from assay.core.profile import ColumnProfile, Profile
from assay.core.vigil import MAX_LOOKS, Stake, Vigil
from assay.detectors.drift import counts
from assay.stats.betting import Capital, average
from assay.stats.homogeneity import p_value

MOST_NEW = 200
"""New values of a column that are told apart in the state."""


def begin(reference: Profile, digest: str, alpha: float) -> Vigil:
    """A vigil before its first look."""
    return Vigil(reference=digest, alpha=alpha, pool=replace(reference, missing=(), added=(), changed={}))


def look(vigil: Vigil, current: Profile, digest: str, *, seed: int = 0) -> Vigil:
    """The vigil after one more table, counted in the reference's bins; a table seen before changes nothing.

    A column rings where its capital reaches columns / α, the vigil where the mean of all reaches 1 / α: both together
    ring falsely with a chance of at most α, ever. Columns that the table lacks are left out of this look.
    """
    if digest in vigil.looks:
        return vigil
    looks = (*vigil.looks, digest)[-MAX_LOOKS:]
    number = max((s.bets for s in vigil.stakes.values()), default=0) + 1
    family = len(vigil.pool.columns)
    stakes, pooled = dict(vigil.stakes), []
    for place, before in enumerate(vigil.pool.columns):
        now = current.column(before.name)
        if now is None or not now.rows:
            pooled.append(before)
            continue
        ordered = len(before.counts) if before.kind in ("number", "time") else 0
        p, _ = p_value(*counts(before, now), ordered=ordered, resolution=1e-3, seed=seed + number * family + place)
        held = stakes.get(before.name)
        capital = Capital(held.shares, held.highest, held.bets) if held is not None else Capital()
        capital = capital.after(p)
        rang = held.rang if held is not None else 0
        if not rang and capital.total >= family / vigil.alpha:
            rang = number
        stakes[before.name] = Stake(capital.shares, capital.highest, capital.bets, rang)
        pooled.append(_bounded(before.plus(now)))
    rang = vigil.rang or (number if mean_capital(stakes, family) >= 1 / vigil.alpha else 0)
    pool = replace(vigil.pool, rows=vigil.pool.rows + current.rows, columns=tuple(pooled))
    return replace(vigil, pool=pool, looks=looks, stakes=stakes, rang=rang)


def _bounded(column: ColumnProfile) -> ColumnProfile:
    """The column with the commonest of its new values named; the others stay counted together."""
    if len(column.new) <= MOST_NEW:
        return column
    kept = sorted(column.new, key=lambda value: (-column.new[value], value))[:MOST_NEW]
    return replace(column, new={value: column.new[value] for value in kept})


def mean_capital(stakes: dict[str, Stake], family: int) -> float:
    """The mean capital over all columns; one without a bet holds what it began with."""
    held = [Capital(s.shares, s.highest, s.bets) for s in stakes.values()]
    return average([*held, *[Capital()] * (family - len(held))])
