"""Drift that is looked at again and again: each look is tested against all rows before it, and the capital bets on.

Under the null the rows come in any order alike, so that the p-value of each look, given all rows up to it, is
independent of those before (the argument of conformal test martingales: Vovk, Gammerman and Shafer 2005, ch. 8). The
capital that bets on them reaches 1/α with a chance of at most α, however often one looks.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from assay.core.drift import ColumnDrift
from assay.core.profile import ColumnProfile, Profile
from assay.core.vigil import MAX_LOOKS, Stake, Vigil
from assay.detectors.drift import counts, drift
from assay.stats.betting import Capital, average
from assay.stats.homogeneity import p_value

MOST_NEW = 200
"""New values of a column that are told apart in the state."""


class Judged(msgspec.Struct, frozen=True):
    """One look: the vigil after it, its number, whether the table had been counted before, what this table shows of
    each column, and the look at which each column that rang became an alarm."""

    after: Vigil
    number: int
    again: bool
    columns: tuple[ColumnDrift, ...]
    alarms: dict[str, int]


def begin(reference: Profile, digest: str, alpha: float) -> Vigil:
    """A vigil before its first look."""
    return Vigil(reference=digest, alpha=alpha, pool=replace(reference, missing=(), added=(), changed={}))


def look(vigil: Vigil, current: Profile, digest: str, *, moved: Collection[str] | None = None, seed: int = 0) -> Vigil:
    """The vigil after one more table, counted in the reference's bins; a table seen before changes nothing.

    A column rings where its capital reaches columns / α, the vigil where the mean of all reaches 1 / α: both together
    ring falsely with a chance of at most α, ever. Columns that the table lacks are left out of this look. What rang is
    an alarm from the first look on at which the column is one of `moved` (None: all), those that moved far enough to
    count; all columns together where the one is that holds most.
    """
    if digest in vigil.looks:
        return vigil
    looks = (*vigil.looks, digest)[-MAX_LOOKS:]
    number = vigil.look_of(digest)
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
        told = held.alarm if held is not None else 0
        if rang and not told and (moved is None or before.name in moved):
            told = number
        stakes[before.name] = Stake(capital.shares, capital.highest, capital.bets, rang, told)
        pooled.append(_bounded(before.plus(now)))
    rang = vigil.rang or (number if mean_capital(stakes, family) >= 1 / vigil.alpha else 0)
    told = vigil.alarm
    if rang and stakes and not told and (moved is None or richest(stakes) in moved):
        told = number
    pool = replace(vigil.pool, rows=vigil.pool.rows + current.rows, columns=tuple(pooled))
    return replace(vigil, pool=pool, looks=looks, stakes=stakes, rang=rang, told=told)


def judge(
    vigil: Vigil,
    reference: Profile,
    current: Profile,
    digest: str,
    *,
    least_effect: float = 0.001,
    roles: dict[str, str] | None = None,
    seed: int = 0,
) -> Judged:
    """One more look, with what the current table by itself shows of every column beside the reference.

    `flagged` of a column says that it rang and that this table shows it: because it became an alarm at this look, or
    because one that did so earlier is there still (by a test of this table alone). The p-values of that test are left
    out: they hold for one look only.
    """
    known = drift(
        reference, current, alpha=vigil.alpha, least_effect=least_effect, roles=roles, seed=seed,
        explain={c.name for c in reference.columns},
    )  # fmt: skip
    moved = {c.name for c in known.columns if c.seen in ("missing", "changed") or c.effect >= least_effect}
    after, number = look(vigil, current, digest, moved=moved, seed=seed), vigil.look_of(digest)
    alarms = {name: stake.alarm for name, stake in after.stakes.items() if stake.alarm}
    columns = []
    for column in known.columns:
        at = alarms.get(column.name, 0)
        seen = column.seen in ("missing", "changed") and column.flagged
        flagged = seen or at == number or bool(at and column.flagged)
        reason = column.reason if flagged or column.seen != "compared" else ""
        columns.append(replace(column, p=None, p_adjusted=None, flagged=flagged, reason=reason))
    return Judged(after, number, digest in vigil.looks, tuple(columns), alarms)


def richest(stakes: dict[str, Stake]) -> str:
    """The column whose capital was the largest ever."""
    return max(sorted(stakes), key=lambda name: stakes[name].highest)


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
