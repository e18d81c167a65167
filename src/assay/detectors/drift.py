"""Drift between two profiles: every column tested, the family of all tests held at one level."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from assay.core.drift import ColumnDrift, Drift
from assay.core.profile import ColumnProfile, Profile
from assay.core.text import visible
from assay.stats.homogeneity import Homogeneity, homogeneity
from assay.stats.multiple import holm

COMMON = 20
"""Rows that must share a new value before it is named: what few rows have may be somebody's own."""


MOST_UNNAMED = 20_000
MANY, BEYOND = 15, 0.95
LEAST_ROWS = 30
"""Rows on either side below which nothing found is nothing known."""


def drift(
    reference: Profile,
    current: Profile,
    *,
    alpha: float = 0.05,
    least_effect: float = 0.001,
    roles: dict[str, str] | None = None,
    tests: int = 0,
    explain: Collection[str] = (),
    seed: int = 0,
) -> Drift:
    """Compare the columns of two tables that were counted in the same bins.

    A column drifted where its p-value, adjusted over all of them (and `tests` others that belong to the same family),
    is at most `alpha`, and its effect at least `least_effect`. Missing values and values that cannot be read are bins
    of their own, so that one test covers them. A column that is gone, or holds another kind of values, is flagged
    without a test: that is seen, not inferred. The columns of `explain` get their reason whether they drifted or not.
    """
    held = {c.name: c for c in current.columns}
    pairs = [(c, held[c.name]) for c in reference.columns if c.name in held]
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
            "" if _missing(now) == 1 else current.changed.get(before.name, ""),
            roles.get(before.name, "input"),
            before.name in explain,
        )
        for (before, now), h, q in zip(pairs, said, adjusted, strict=True)
    ]
    for name in current.missing:
        kept = reference.column(name)
        kind = kept.kind if kept is not None else ""
        role = roles.get(name, "input")
        late = role == "label"  # labels come later
        why = "no labels yet" if late else "the column is gone"
        columns.append(ColumnDrift(name=name, kind=kind, seen="missing", role=role, flagged=not late, reason=why))
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

    New values that were not named are no more frequent than the least of those that were: they are given as so many
    values of that count, for as one value together they would be a change that nobody saw. Raises ValueError where the
    bins differ.
    """
    if (before.kind, before.edges, before.labels) != (now.kind, now.edges, now.labels):
        raise ValueError(f"column {before.name!r} was counted in other bins")
    named = sorted({*before.new, *now.new})
    pair = [
        [
            *side.counts, side.nulls, side.nans, side.unread,
            *(side.new.get(name, 0) for name in named),
        ]
        for side in (before, now)
    ]  # fmt: skip
    rests = [_rest(side) for side in (before, now)]
    first = np.concatenate([pair[0], rests[0], np.zeros(len(rests[1]))])
    second = np.concatenate([pair[1], np.zeros(len(rests[0])), rests[1]])
    return first.astype(np.int64), second.astype(np.int64)


def _rest(side: ColumnProfile) -> Any:
    """New values that were not named, as so many values of the least count that was."""
    left = side.other - sum(side.new.values())
    each = max(min(side.new.values(), default=1), -(-left // MOST_UNNAMED), 1)
    return np.append(np.full(left // each, each), left % each) if left > 0 else np.zeros(0)


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
    explained: bool,
) -> ColumnDrift:
    sure = adjusted <= alpha and said.effect >= least
    return ColumnDrift(
        name=before.name,
        kind=before.kind,
        seen="changed" if changed else "compared",
        role=role,
        effect=said.effect,
        low=said.low,
        high=said.high,
        p=said.p,
        p_adjusted=adjusted,
        flagged=sure or bool(changed),
        missing_before=_missing(before),
        missing_now=_missing(now),
        new={value: rows for value, rows in now.new.items() if rows >= COMMON},
        reason=changed or (_reason(before, now) if sure or explained else ""),
    )


def names_rows(before: ColumnProfile, now: ColumnProfile) -> bool:
    """Whether a column looks like a row number or a time: many different whole numbers, or times, of which hardly any
    lies where the reference's do."""
    if before.kind not in ("number", "time") or len(before.edges) < MANY or not sum(now.counts):
        return False
    if before.kind == "number" and not all(edge.is_integer() for edge in before.edges):
        return False
    return max(now.counts[0], now.counts[-1]) >= BEYOND * sum(now.counts)


def _missing(column: ColumnProfile) -> float:
    return (column.nulls + column.nans) / column.rows if column.rows else 0.0


def _reason(before: ColumnProfile, now: ColumnProfile) -> str:
    """In a few words, what moved most: missing values, new values, up, down, or between bins."""
    gone, here = _missing(before), _missing(now)
    fresh = now.other / now.rows if now.rows else 0.0
    moved = _mean_place(now) - _mean_place(before) if before.kind in ("number", "time") else 0.0
    if here == 1 > gone:
        return f"all values are missing ({gone:.1%} before)"
    if abs(here - gone) >= max(fresh, abs(moved), 0.005):
        return f"{'more' if here > gone else 'fewer'} values are missing ({gone:.1%} before, {here:.1%} now)"
    if fresh >= max(abs(moved), 0.005):
        return f"{fresh:.1%} of the values were never seen in the reference"
    if before.kind == "category":
        return _mover(before, now)
    if abs(moved) >= 0.005:
        where = "higher" if moved > 0 else "lower"
        return f"values are {where} (by {abs(moved):.1%} of the reference's ranks on average)"
    return "values are spread otherwise"


def _mover(before: ColumnProfile, now: ColumnProfile) -> str:
    """The value whose share changed most, by name where enough rows have it."""
    shares = [(a / max(1, before.rows), b / max(1, now.rows)) for a, b in zip(before.counts, now.counts, strict=True)]
    place = max(range(len(shares)), key=lambda i: abs(shares[i][1] - shares[i][0]), default=None)
    if place is None:
        return "values are spread otherwise"
    known = before.counts[place] >= COMMON
    name = repr(visible(before.labels[place], 40)) if known else "a rare value"
    return f"{name} went from {shares[place][0]:.1%} to {shares[place][1]:.1%} of the rows"


def _mean_place(column: ColumnProfile) -> float:
    """The mean place of the values among the bins, from 0 to 1."""
    held = np.array(column.counts, dtype=float)
    if len(held) < 2 or not held.sum():
        return 0.0
    return float((held * (np.arange(len(held)) / (len(held) - 1))).sum() / held.sum())
