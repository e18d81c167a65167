"""Rows that are nearly the same: few columns differ, numbers agree within rounding, texts share their shingles.

Pairs are found without comparing all: in each pass rows are sorted by a hash of some columns, drawn at random, and each
is compared with the next few of its hash. The time is linear in the rows but for the sort.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import numpy as np

from assay.adapters.values import listed
from assay.core.protocols import Progress, silent
from assay.detectors.rows import codes, grouped

Array = Any
PASSES, WINDOW = 16, 4
BINS = 16
ROUNDING = 0.005  # relative: two numbers that agree to some two and a half digits
SCALE = 0.01  # of the column's spread: what a jitter moves
CONTINUOUS = 50  # distinct values from which a column of numbers is compared by distance
SPECIFIC, CHANCE = 5, 0.05
HASHES, SHINGLE, LONGEST = 64, 5, 4_000
ALONE = 10
HEARTS = 8
SPIKE = 0.05  # the share of rows from which on to hold a column's commonest value says nothing
LOOSE = 4.0  # around one row numbers may be so many tolerances apart: jitter moves both of two copies
LEVELS = 4  # beyond 1: how far the histogram of nearest neighbours reaches, in steps of `step` columns
_PRIME = (1 << 61) - 1


class Near(msgspec.Struct, frozen=True, kw_only=True):
    """What was found among `rows` distinct rows of the first table, and `others` distinct rows of the second.

    `near` has a row (of the second table, if there is one, else of the first) that is nearly the same as one of the
    first but not the same, `twin` that one, in the numbering of the tables. `differ` says in how many columns each near
    row differs; `alone` whether no more rows were found a step further out than near it. `levels[k]` is how many
    distinct rows of the first have their nearest neighbour in the first in level k: 0 is near (of rows alone), each
    further level `step` more columns differ. `natural` is the share of rows that are near another of their own table,
    the greater of the two. `balls` are around rows of the first where most near pairs were found, each outside those
    before it, the largest first. `columns` is how many columns were compared.
    """

    rows: int
    others: int
    near: Array
    twin: Array
    differ: Array
    alone: Array
    levels: tuple[int, ...]
    natural: tuple[int, int]
    balls: tuple[Ball, ...]
    columns: int
    step: int


class Ball(msgspec.Struct, frozen=True):
    """The distinct rows around one row of the first table, `heart`: `rows`, it among them, are near it or agree with it
    in every column, whichever crowd stands further apart.

    `differ` says in how many columns each does; `beyond` is how many more there are up to a step further out. Numbers
    are compared loosely here. What the rows share with the heart is no chance.
    """

    heart: int
    rows: Array
    differ: Array
    beyond: int


class _Column(msgspec.Struct, frozen=True):
    """A column over all rows: values to compare, what they are hashed by, how rare each row's value is (log2 share).

    `usual` marks the rows that hold the commonest value.
    """

    values: Array
    tolerance: Array | None
    bins: Array
    log_share: Array
    bits: float
    usual: Array
    text: bool = False


def near_duplicates(first: Any, second: Any = None, *, seed: int = 0, progress: Progress = silent) -> Near:
    """Nearly equal rows of an Arrow table, or of two with the same columns (rows of the second near one of the first).

    Rows that are the same count once, and those of the second that are in the first not at all: they are the matter of
    other checks. A pair is near where at most one column in ten differs (one at least) and the five rarest values that
    it shares would hardly meet by chance in so many rows.
    """
    rng = np.random.default_rng(seed)
    names = first.column_names
    size = first.num_rows
    other = first.slice(0, 0) if second is None else second
    same = [codes(first.column(n), other.column(n)) for n in names]
    group = grouped(same)
    _, kept = np.unique(group, return_index=True)  # the first of each: a row of the second only if the first lacks it
    kept.sort()
    columns = [
        c for n, code in zip(names, same, strict=True) if (c := _column(first.column(n), other.column(n), code, kept))
    ]
    step = max(1, len(columns) // 10)
    pairs = _pairs(columns, len(kept), step, rng, progress)
    return _told(kept, size, pairs, columns, step)


def excess(levels: tuple[int, ...]) -> tuple[float, float]:
    """(near rows beyond what the further levels lead to expect, the lower 95% end of how many times as many there are).

    By nature the histogram of nearest neighbours falls off smoothly toward 0 (it is close to log-concave there), so
    that level 0 holds about (level 1)² / level 2; copies that were changed a little fill level 0 alone. Where the
    further levels are too empty to extrapolate, level 0 counts as an excess from ten times both of them together on.
    """
    zero, one, two = (count + 0.5 for count in levels[:3])
    expected = one * one / two
    spread = float(np.sqrt(1 / zero + 4 / one + 1 / two))
    times = float(zero / expected * np.exp(-1.96 * spread))
    if levels[0] >= ALONE * (levels[1] + levels[2] + 1):
        return float(levels[0] - levels[1]), max(times, float(ALONE))
    return float(max(0.0, levels[0] - expected)), times


def _told(kept: Array, size: int, pairs: tuple[Array, Array, Array], columns: list[_Column], step: int) -> Near:
    left, right, differ = pairs
    mine = kept < size
    n = len(kept)
    both = np.concatenate([left, right]), np.concatenate([right, left]), np.concatenate([differ, differ])
    asks, answers, far = (a[mine[both[1]]] for a in both)  # neighbours are those of the first table
    nearest, twin = np.full(n, np.iinfo(np.int32).max), np.full(n, -1)
    order = np.argsort(-far, kind="stable")
    nearest[asks[order]], twin[asks[order]] = far[order], answers[order]
    level = np.where(twin >= 0, np.maximum(0, (nearest - 1) // step), LEVELS + 1)
    asked = ~mine if (~mine).any() else mine
    close = (level == 0) & asked
    own = mine[both[0]] == mine[both[1]]
    degrees = [np.bincount(asks[(far > k * step) & (far <= (k + 1) * step)], minlength=n) for k in (0, 1)]
    alone = degrees[0] >= degrees[1]
    crowded = np.zeros(n, dtype=bool)
    crowded[both[0][own & (both[2] <= step)]] = True
    sides = [(int((crowded & side).sum()), int(side.sum())) for side in (mine, ~mine)]
    return Near(
        rows=int(mine.sum()),
        others=int((~mine).sum()),
        near=np.where(kept[close] < size, kept[close], kept[close] - size),
        twin=kept[twin[close]],
        differ=nearest[close],
        alone=alone[close],
        levels=tuple(int(((level == k) & mine & (alone | (k > 0))).sum()) for k in range(LEVELS + 1)),
        natural=max(sides, key=lambda s: s[0] / max(1, s[1])),
        balls=_balls(columns, kept, (left, right, differ), int(mine.sum()), step),
        columns=len(columns),
        step=step,
    )


def _balls(
    columns: list[_Column], kept: Array, pairs: tuple[Array, Array, Array], mine: int, step: int
) -> tuple[Ball, ...]:
    """Balls around rows of the first table, which are the first `mine`: in each of the largest groups that near pairs
    join, and wherever else most of them were found, around the row of which most were."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left, right, differ = pairs
    own = (differ <= step) & (right < mine)  # left < right
    left, right = left[own], right[own]
    if not len(left):
        return ()
    degree = np.bincount(left, minlength=mine) + np.bincount(right, minlength=mine)
    group = connected_components(coo_array((np.ones(len(left)), (left, right)), shape=(mine, mine)), directed=False)[1]
    largest = np.argsort(-np.bincount(group), kind="stable")[:HEARTS]
    found: list[Ball] = []
    for among in [group == g for g in largest] + [degree > 0] * HEARTS:
        heart = int(np.argmax(np.where(among, degree, 0)))
        if degree[heart] > 1:
            ball, near = _ball(columns, kept, heart, mine, step)
            degree[near] = degree[heart] = 0
            found.append(ball)
    return tuple(sorted(found, key=lambda b: -len(b.rows)))


def _ball(columns: list[_Column], kept: Array, heart: int, mine: int, step: int) -> tuple[Ball, Array]:
    """The ball around a distinct row (by its place among them), and the places of all that are near it."""
    others = np.arange(mine)
    apart = np.stack([_apart(column, np.full(mine, heart), others, LOOSE) for column in columns])
    differ = apart.sum(axis=0)
    outside = apart[:, differ > step]
    held = (outside == 0).mean(axis=1) if outside.shape[1] else np.zeros(len(columns))  # copies do not make it common
    nothing = np.array([column.usual[heart] for column in columns]) & (held > SPIKE)
    weight = np.where(nothing, 0.0, np.log2(np.maximum(held, 1 / mine)))
    shared = np.sort(np.where(apart == 0, weight[:, None], 0.0), axis=0)[:SPECIFIC].sum(axis=0)
    told = shared + np.log2(max(2, mine)) < np.log2(CHANCE)
    near = np.flatnonzero((differ <= step) & told)
    same = np.flatnonzero((differ == 0) & told)
    beyond, around = (int(((differ > at) & (differ <= at + step)).sum()) for at in (step, 0))
    if len(same) * beyond > len(near) * around:  # of the two the one that stands further apart
        return Ball(int(kept[heart]), kept[same], differ[same], around), near
    return Ball(int(kept[heart]), kept[near], differ[near], beyond), near


def _apart(column: _Column, left: Array, right: Array, loose: float = 1.0) -> Array:
    """By how many columns a pair of rows differs in this one: 0 or 1, of texts up to 9."""
    if column.text:
        alike = (column.values[left] == column.values[right]).mean(axis=1)
        return np.where(alike >= 0.95, 0, np.ceil((1 - alike) * 10 - 1).clip(1)).astype(np.int32)
    if column.tolerance is not None:
        far = np.abs(column.values[left] - column.values[right])
        return (far > loose * column.tolerance[left]).astype(np.int32)
    return (column.values[left] != column.values[right]).astype(np.int32)


def _column(first: Any, second: Any, same: Array, kept: Array) -> _Column | None:
    """A column ready to be compared; None where all rows agree."""
    import pyarrow as pa

    code = np.unique(same[kept], return_inverse=True)[1].ravel().astype(np.int32)
    distinct = int(code.max()) + 1 if len(code) else 0
    if distinct < 2:
        return None
    if first.type == pa.string() and distinct > len(kept) / 2 and _long(first):
        return _text([*listed(first), *listed(second)], kept)
    number = first.type in (pa.float64(), pa.int64()) and second.type in (pa.float64(), pa.int64())
    if number and distinct >= CONTINUOUS:
        return _number(first, second, kept)
    share = np.bincount(code) / len(code)
    bits = float(-np.log2((share**2).sum()))
    return _Column(code, None, code.astype(np.uint64), np.log2(share)[code], bits, code == np.argmax(share))


def _long(column: Any) -> bool:
    import pyarrow.compute as pc

    return float(pc.mean(pc.utf8_length(column)).as_py() or 0) >= 4 * SHINGLE


def _number(first: Any, second: Any, kept: Array) -> _Column:
    """Numbers: equal where they differ by a rounding, or by a jitter of a hundredth of the column's spread."""
    from assay.adapters.encode import numbers

    values = np.concatenate([numbers(first), numbers(second)])[kept]
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [0.25, 0.75]) if len(known) else (0.0, 0.0)
    tolerance = np.maximum(ROUNDING * np.abs(values), SCALE * (high - low))
    values = np.where(np.isfinite(values), values, np.where(np.isnan(values), -1e300, np.sign(values) * 1e301))
    ordered = np.sort(values)
    bins = np.searchsorted(np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])), values, side="right")
    below = np.searchsorted(ordered, values - tolerance, side="left")
    above = np.searchsorted(ordered, values + tolerance, side="right")
    share = np.bincount(bins) / len(bins)
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    usual = place.ravel() == np.argmax(times)
    rarity = np.log2(np.maximum(1, above - below) / len(values))
    return _Column(values, tolerance, bins.astype(np.uint64), rarity, float(-np.log2((share**2).sum())), usual)


def _text(texts: list[Any], kept: Array) -> _Column:
    """Texts by MinHash (Broder 1997): the share of equal hashes estimates the share of shingles in common."""
    rng = np.random.default_rng(7)  # fixed: two texts are alike or not whatever the seed
    a, b = (rng.integers(1, 1 << 31, HASHES, dtype=np.uint64) for _ in range(2))
    values = np.empty((len(kept), HASHES), dtype=np.uint32)
    for place, row in enumerate(kept):
        text = " ".join(str(texts[row] or "").lower().split())[:LONGEST].encode()
        parts = {zlib.crc32(text[i : i + SHINGLE]) for i in range(max(1, len(text) - SHINGLE + 1))}
        hashed = np.fromiter(parts, dtype=np.uint64, count=len(parts))
        values[place] = ((hashed[:, None] * a + b) % _PRIME & 0xFFFFFFFF).min(axis=0)
    rare = np.full(len(kept), -np.log2(max(2, len(kept))))
    bits = float(np.log2(max(2, len(kept))))
    usual = np.zeros(len(kept), dtype=bool)
    return _Column(values, None, np.zeros(len(kept), dtype=np.uint64), 2 * rare, bits, usual, True)


def _pairs(columns: list[_Column], rows: int, step: int, rng: Any, progress: Progress) -> tuple[Array, Array, Array]:
    """(left, right, how many columns differ) of the pairs found up to the last level, each once; left < right."""
    most = step * (LEVELS + 1)
    found = []
    for number in range(PASSES if columns and rows > 1 else 0):
        progress(number, PASSES, "near-duplicate rows")
        key = _key(columns, rows, rng, 1.3 if number % 2 else 0.9)
        order = np.lexsort((rng.random(rows), key))
        for shift in range(1, WINDOW + 1):
            left, right = order[:-shift], order[shift:]
            alike = key[left] == key[right]
            found.append(_compared(columns, left[alike], right[alike], most, rows))
    if not found:
        return (np.zeros(0, dtype=np.int64),) * 3
    left, right, differ = (np.concatenate(part) for part in zip(*found, strict=True))
    left, right = np.minimum(left, right), np.maximum(left, right)
    _, once = np.unique(left.astype(np.int64) * rows + right, return_index=True)
    return left[once], right[once], differ[once]


def _key(columns: list[_Column], rows: int, rng: Any, margin: float) -> Array:
    """A hash of columns drawn at random, as many as make groups of a few rows if columns were independent."""
    needed, key = margin * np.log2(max(2, rows)), np.zeros(rows, dtype=np.uint64)
    told = [c for c in columns if c.bits >= 0.05] or columns
    most = max(1, int(0.7 * len(columns)))
    for place in rng.permutation(len(told))[:most]:
        column = told[place]
        if column.text:  # four hashes that agree: likely from half of the shingles in common on
            bins = column.values[:, rng.choice(HASHES, 4, replace=False)].astype(np.uint64)
            bins = (bins * np.array([1, 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], dtype=np.uint64)).sum(axis=1)
        else:
            bins = column.bins
        factor = np.uint64(rng.integers(1, 1 << 62) * 2 + 1)
        key = (key ^ (bins + np.uint64(place + 1))) * factor
        key ^= key >> np.uint64(29)
        needed -= column.bits
        if needed <= 0:
            break
    return key


def _compared(columns: list[_Column], left: Array, right: Array, most: int, rows: int) -> tuple[Array, Array, Array]:
    """The pairs in which at most `most` columns differ and whose shared values are no chance."""
    differ = np.zeros(len(left), dtype=np.int32)
    rarest = np.zeros((SPECIFIC + 1, len(left)))
    for column in columns:
        if not len(left):
            break
        apart = _apart(column, left, right)
        differ += apart
        rarest[SPECIFIC] = np.where(apart == 0, column.log_share[left], 0.0)
        if column.text:
            rarest[SPECIFIC] = np.where(apart <= most, column.log_share[left], 0.0)
        rarest.sort(axis=0)
        kept = differ <= most
        if kept.mean() < 0.7:
            left, right, differ, rarest = left[kept], right[kept], differ[kept], rarest[:, kept]
    kept = (differ <= most) & (rarest[:SPECIFIC].sum(axis=0) + np.log2(max(2, rows)) < np.log2(CHANCE))
    return left[kept], right[kept], differ[kept]
