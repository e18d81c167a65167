"""The two signals of intent in rows that drifted: scores pressed under the threshold, and one row in variations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from assay.adapters.traffic import Drawn
from assay.core.profile import ColumnProfile, Marks

Array = Any
COPIES = (300, 1_000, 3_000, 10_000, 25_000)
"""Sizes of samples in which near-duplicates are counted: the more rows, the more are alike by chance."""
ALIKE = 5
FINE, LEAST_FINE = 8, 3
BAND_ROWS, BAND_SHARES = 300, (0.01, 0.05)
SURE = 0.001


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One signal: whether it could be looked for (`why` not), whether it is there, and what was seen."""

    name: str
    intent: bool = False
    asked: bool = True
    there: bool = False
    said: str = ""


class Marked(msgspec.Struct, frozen=True):
    """The rows behind a signal of intent: (n,) bool, what they are, and the share that is usual."""

    rows: Array
    what: str
    usual: float


def marks(drawn: Drawn, columns: tuple[ColumnProfile, ...], threshold: float | None) -> Marks:
    """The marks of a reference's rows: scores around the threshold, near-duplicates by these columns of its matrix."""
    near = tuple(_bands(drawn.scores, threshold))
    held = tuple(_between(drawn.scores, edges) for edges in near)
    copies = {size: float(rows.mean()) for size, rows in _alike(drawn.matrix, columns, COPIES).items()}
    return Marks(rows=len(drawn.matrix), near=near, held=held, copies=copies)


def collapsed(drawn: Drawn, columns: tuple[ColumnProfile, ...]) -> list[bool]:
    """Which columns stand still now: one bin gained a quarter of the rows, or one exact number a tenth.

    A column that froze, went missing or left its range makes rows alike that are not.
    """
    found = []
    for column, values in zip(columns, drawn.matrix.T, strict=True):
        was = reference_counts(column) / max(1, reference_counts(column).sum())
        bins = bins_of(column, values)
        gained = np.bincount(bins, minlength=len(was)) / max(1, len(bins)) - was
        known = values[np.isfinite(values)]
        frozen = False
        if column.kind == "number" and len(known):
            levels, rows = np.unique(known, return_counts=True)
            top = int(rows.argmax())
            frozen = rows[top] / len(values) - was[bins_of(column, levels[top : top + 1])[0]] > 0.1
        found.append(bool(gained.max(initial=0) > 0.25 or frozen))
    return found


def threshold_of(facts: Mapping[str, Any]) -> float | None:
    """The score from which the model says yes, where one is declared."""
    told = facts.get("threshold")
    return float(told) if isinstance(told, (int, float)) and "score" in facts else None


def _bands(scores: Array | None, threshold: float | None) -> Iterator[tuple[float, ...]]:
    """Four scores each, the third the threshold, so far apart that a share of the rows, at least 300, lies between."""
    if scores is None or threshold is None:
        return
    known = scores[np.isfinite(scores)]
    for share in BAND_SHARES:
        wanted = max(BAND_ROWS, int(share * len(known)))
        if len(known) >= 2 * wanted:
            apart = np.where(known < threshold, (threshold - known) / 2, known - threshold)
            step = float(np.sort(apart)[wanted - 1])
            if step > 0:
                yield tuple(threshold + k * step for k in (-2, -1, 0, 1))


def _between(scores: Array, edges: tuple[float, ...]) -> tuple[int, ...]:
    place = np.searchsorted(np.array(edges), scores[np.isfinite(scores)], side="right")
    return tuple(int((place == k).sum()) for k in range(1, len(edges)))


def under_threshold(drawn: Drawn, before: Marks | None) -> tuple[Signal, Marked | None]:
    """More scores than usual just under the threshold, beside the ranges on either side of it."""
    name = "mass just under the threshold"
    if drawn.scores is None:
        return Signal(name=name, intent=True, asked=False, said="no score is declared"), None
    if before is None or not before.near:
        why = "the reference has too few scores near the threshold"
        return Signal(name=name, intent=True, asked=False, said=why), None
    if np.isfinite(drawn.scores).mean() < 0.5:
        return Signal(name=name, intent=True, asked=False, said="most scores are no numbers"), None
    said = ""
    for edges, was in zip(before.near, before.held, strict=True):
        now = _between(drawn.scores, edges)
        p = _fisher(now[1], sum(now), was[1], sum(was)) * len(before.near)
        share, usual = now[1] / max(1, sum(now)), was[1] / max(1, sum(was))
        said = f"{share:.0%} of the scores around the threshold lie just under it; {usual:.0%} in the reference"
        if p <= SURE and share >= 1.3 * usual:
            rows = (drawn.scores >= edges[1]) & (drawn.scores < edges[2])
            marked = Marked(rows, "the rows just under the threshold", was[1] / before.rows)
            return Signal(name=name, intent=True, there=True, said=said), marked
    return Signal(name=name, intent=True, said=said), None


def _alike(matrix: Array, columns: tuple[ColumnProfile, ...], sizes: Iterable[int]) -> dict[str, Array]:
    """Near-duplicates in nested samples: rows that share the reference's bin of every column with four others and more,
    nearly all of them different from each other (exact copies are a feed that hangs, not a hand)."""
    if not columns:
        return {}
    cells = [bins_of(c, values) for c, values in zip(columns, matrix.T, strict=True)]
    cell, whole = _codes(np.column_stack(cells).astype(np.int32)), _codes(np.nan_to_num(matrix, nan=-9.75e300))
    return {str(size): _near(cell[:size], whole[:size]) for size in sizes if size <= len(matrix)}


def _near(cell: Array, whole: Array) -> Array:
    """Which rows are nearly the same as four others and more, (n,) bool."""
    _, inverse, rows = np.unique(cell, return_inverse=True, return_counts=True)
    pairs = np.unique(np.column_stack([inverse, whole]), axis=0)
    different = np.bincount(pairs[:, 0], minlength=len(rows))
    near: Array = ((rows >= ALIKE) & (different >= 0.8 * rows))[inverse]
    return near


def _codes(rows: Array) -> Array:
    """A number per row, the same for equal rows."""
    plain = np.ascontiguousarray(rows)
    return np.unique(plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1]))), return_inverse=True)[
        1
    ].ravel()


def near_duplicates(
    drawn: Drawn, columns: tuple[ColumnProfile, ...], before: Marks | None
) -> tuple[Signal, Marked | None]:
    """More near-duplicates than the reference has among as many rows, by columns that `before` was counted by."""
    name = "near-duplicates"
    size = next((s for s in reversed(COPIES) if s <= len(drawn.matrix)), 0)
    usual = before.copies.get(str(size)) if before is not None else None
    fine = sum(len(c.counts) >= FINE for c in columns)
    if fine < LEAST_FINE:
        why = f"{fine} columns have many different values and did not freeze: {LEAST_FINE} can tell"
        return Signal(name=name, intent=True, asked=False, said=why), None
    if usual is None or usual > 0.2:
        why = "the reference does not say how many it has by these columns among so many rows"
        if usual is not None:
            why = f"{usual:.0%} of the reference's rows are alike: it would not show"
        return Signal(name=name, intent=True, asked=False, said=why), None
    now = float(_alike(drawn.matrix, columns, [size])[str(size)].mean())
    said = f"{now:.1%} of the rows are nearly the same as four others and more; {usual:.1%} in the reference"
    if now < usual + max(0.005, 2 * ALIKE / size) or now < 3 * usual:
        return Signal(name=name, intent=True, said=said), None
    rows = _alike(drawn.matrix, columns, [len(drawn.matrix)])[str(len(drawn.matrix))]
    return Signal(name=name, intent=True, there=True, said=said), Marked(rows, "the near-duplicates", usual)


def bins_of(column: ColumnProfile, values: Array) -> Array:
    """The reference's bin of each value, then one for other values and one for missing ones."""
    missing = ~np.isfinite(values)
    if column.kind in ("number", "time"):
        place = np.searchsorted(np.array(column.edges), np.where(missing, 0, values), side="left")
    elif column.kind == "category":
        code = np.where(missing, 0, values).astype(int)
        place = np.where(code == 0, column.bins, code - 1)
    else:
        place = np.where(missing, 0, values).astype(int)
    return np.where(missing, column.bins + 1, place)


def reference_counts(column: ColumnProfile) -> Array:
    """How many rows of the reference each bin of `bins_of` holds."""
    return np.array([*column.counts, column.other, column.nulls + column.nans + column.unread], dtype=np.int64)


def _fisher(hits: int, n: int, before: int, m: int) -> float:
    """One-sided exact p-value of so many hits of n, given `before` of m (Fisher 1935)."""
    from scipy.special import gammaln, logsumexp

    if not n or not m:
        return 1.0
    total, rows = hits + before, n + m
    k = np.arange(hits, min(n, total) + 1)

    def ways(a: Any, b: Any) -> Any:
        return gammaln(a + 1.0) - gammaln(b + 1.0) - gammaln(a - b + 1.0)

    return float(np.exp(min(0.0, float(logsumexp(ways(n, k) + ways(m, total - k) - ways(rows, total))))))
