"""Drift between two profiles: every column tested, the family of all tests held at one level."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.core.drift import ColumnDrift, Drift
from assay.core.profile import ColumnProfile, Profile
from assay.stats.homogeneity import Homogeneity, homogeneity
from assay.stats.multiple import holm

COMMON = 20
"""Rows that must share a new value before it is named: what few rows have may be somebody's own."""


def drift(
    reference: Profile,
    current: Profile,
    *,
    alpha: float = 0.05,
    least_effect: float = 0.001,
    roles: dict[str, str] | None = None,
    tests: int = 0,
    seed: int = 0,
) -> Drift:
    """Compare the columns of two tables that were counted in the same bins.

    A column drifted where its p-value, adjusted over all of them (and `tests` others that belong to the same family),
    is at most `alpha`, and its effect at least `least_effect`. Missing values and values that cannot be read are bins
    of their own, so that one test covers them. A column that is gone, or holds another kind of values, is flagged
    without a test: that is seen, not inferred.
    """
    compared = [c for c in reference.columns if current.column(c.name) is not None]
    pairs = [(c, now) for c in compared if (now := current.column(c.name)) is not None]
    family = len(pairs) + tests
    least_p = alpha / max(1, family)
    said = [
        homogeneity(*counts(before, now), ordered=_ordered(before), resolution=least_p, seed=seed + place)
        for place, (before, now) in enumerate(pairs)
    ]
    adjusted = holm([h.p for h in said] + [1.0] * tests)[: len(said)]
    roles = roles or {}
    columns = [
        _column(
            before,
            now,
            h,
            q,
            alpha,
            least_effect,
            current.changed.get(before.name, ""),
            roles.get(before.name, "input"),
        )
        for (before, now), h, q in zip(pairs, said, adjusted, strict=True)
    ]
    for name in current.missing:
        kept = reference.column(name)
        kind = kept.kind if kept is not None else ""
        columns.append(ColumnDrift(name=name, kind=kind, seen="missing", flagged=True, reason="the column is gone"))
    columns += [ColumnDrift(name=n, kind="", seen="added", reason="the reference lacks it") for n in current.added]
    return Drift(
        columns=tuple(columns),
        alpha=alpha,
        least_effect=least_effect,
        reference_rows=reference.rows,
        current_rows=current.rows,
    )


def counts(before: ColumnProfile, now: ColumnProfile) -> tuple[Any, Any]:
    """Two int arrays of one shape: the column's bins, then what is missing, no number, unreadable, new by name, other.

    Raises ValueError where the bins differ.
    """
    if (before.kind, before.edges, before.labels) != (now.kind, now.edges, now.labels):
        raise ValueError(f"column {before.name!r} was counted in other bins")
    named = sorted({*before.new, *now.new})
    pair = [
        [
            *side.counts, side.nulls, side.nans, side.unread,
            *(side.new.get(name, 0) for name in named), side.other - sum(side.new.values()),
        ]
        for side in (before, now)
    ]  # fmt: skip
    return np.array(pair[0], dtype=np.int64), np.array(pair[1], dtype=np.int64)


def _ordered(column: ColumnProfile) -> int:
    return len(column.counts) if column.kind in ("number", "time") else 0


def _column(
    before: ColumnProfile,
    now: ColumnProfile,
    said: Homogeneity,
    adjusted: float,
    alpha: float,
    least: float,
    changed: str,
    role: str,
) -> ColumnDrift:
    sure = adjusted <= alpha and said.psi >= least
    return ColumnDrift(
        name=before.name,
        kind=before.kind,
        seen="changed" if changed else "compared",
        role=role,
        effect=said.psi,
        low=said.psi_low,
        high=said.psi_high,
        p=said.p,
        p_adjusted=adjusted,
        flagged=sure or bool(changed),
        missing_before=_missing(before),
        missing_now=_missing(now),
        new={value: rows for value, rows in now.new.items() if rows >= COMMON},
        reason=changed or _reason(before, now) if sure or changed else "",
    )


def _missing(column: ColumnProfile) -> float:
    return (column.nulls + column.nans) / column.rows if column.rows else 0.0


def _reason(before: ColumnProfile, now: ColumnProfile) -> str:
    """In a few words, what moved most: missing values, new values, up, down, or between bins."""
    gone, here = _missing(before), _missing(now)
    fresh = now.other / now.rows if now.rows else 0.0
    moved = _mean_place(now) - _mean_place(before) if before.kind in ("number", "time") else 0.0
    if abs(here - gone) >= max(fresh, abs(moved), 0.005):
        return f"{'more' if here > gone else 'fewer'} values are missing ({gone:.1%} before, {here:.1%} now)"
    if fresh >= max(abs(moved), 0.005):
        return f"{fresh:.1%} of the values were never seen in the reference"
    if abs(moved) >= 0.005:
        where = "higher" if moved > 0 else "lower"
        return f"values are {where} (by {abs(moved):.1%} of the reference's ranks on average)"
    return "values are spread otherwise"


def _mean_place(column: ColumnProfile) -> float:
    """The mean place of the values among the bins, from 0 to 1."""
    held = np.array(column.counts, dtype=float)
    if len(held) < 2 or not held.sum():
        return 0.0
    return float((held * (np.arange(len(held)) / (len(held) - 1))).sum() / held.sum())
