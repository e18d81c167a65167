"""Rules that may be triggers: a few exact values that together carry one label where coarse trees expect the other."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

Array = Any
LEAST_ROWS = 200
LEAST_MATCHING, LEAST_SHARE, MOST_SHARE = 10, 0.001, 0.08
PURE = 0.75
MOST_COLUMNS, MOST_WIDE, MOST_VALUES, MOST_ITEMS = 64, 400, 200, 4000
PAIRS, SINGLES, LONGEST, MOST_RULES, SAME = 80, 20, 4, 16, 0.7
ROWS_ASKED = 120
SURPRISE = 4.0  # in standard deviations; what chance reaches in a few thousand pairs
CLOSED, COMMON, KEPT = 0.88, 0.7, 0.25
_COARSE: dict[str, Any] = {
    "objective": "binary", "learning_rate": 0.1, "max_depth": 2, "num_leaves": 4, "lambda_l2": 5.0, "verbose": -1,
    "deterministic": True, "force_row_wise": True, "num_threads": 1, "cat_smooth": 50.0, "feature_fraction": 0.6,
}  # fmt: skip


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Exact values of a few columns: positions `columns` in the matrix, their `values`, the label `is_` of the rows.

    `rows` match, all but a few with that label; `surprise` is by how many standard deviations they carry it more often
    than coarse trees expect.
    """

    columns: tuple[int, ...]
    values: tuple[float, ...]
    is_: bool
    rows: Array
    surprise: float


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """Values that enough rows have: `of` (n, columns) the item of a cell or -1; each item's place in `of`, column in
    the matrix, and value."""

    of: Array
    place: Array
    column: Array
    value: Array


def matching(matrix: Array, columns: tuple[int, ...], values: tuple[float, ...]) -> Array:
    """Which rows of a matrix (n, d) have all the values; shape (n,), bool."""
    return np.logical_and.reduce([matrix[:, c] == v for c, v in zip(columns, values, strict=True)])


def least(rows: int) -> int:
    """How many rows a rule must match in a table of `rows`."""
    return max(LEAST_MATCHING, round(LEAST_SHARE * rows))


def expected(matrix: Array, coded: list[int], target: Array, seed: int) -> Array:
    """P(positive) by trees whose leaves hold 3% of the rows each, out of fold; shape (n,).

    So coarse that a hundredth of the rows, however alike, cannot have a leaf of their own.
    """
    import lightgbm as lgb

    fold_of = np.random.default_rng([seed, 3]).permutation(len(target)) % 3
    out = np.zeros(len(target))
    grown = {**_COARSE, "min_data_in_leaf": max(20, round(0.03 * len(target))), "seed": seed % 2**31}
    for fold in range(3):
        learn = fold_of != fold
        data = lgb.Dataset(
            matrix[learn], label=target[learn].astype(float), categorical_feature=coded,
            params={"verbose": -1, "max_bin": 31},
        )  # fmt: skip
        out[~learn] = lgb.train(grown, data, num_boost_round=80).predict(matrix[~learn], num_threads=1)
    return np.clip(out, 0.01, 0.99)


def widest(matrix: Array, residual: Array, most: int) -> Array:
    """Positions of the columns, at most `most`, one of whose values surprises most in the label; sorted."""
    if matrix.shape[1] <= most:
        return np.arange(matrix.shape[1])
    few = least(len(matrix))
    best = np.zeros(matrix.shape[1])
    for place in range(matrix.shape[1]):
        _, code, size = np.unique(matrix[:, place], return_inverse=True, return_counts=True)
        total = np.bincount(code, weights=residual)
        best[place] = np.where(size >= few, np.abs(total) / np.sqrt(size), 0.0).max(initial=0.0)
    return np.sort(np.argsort(-best, kind="stable")[:most])


def items_of(matrix: Array, columns: Array) -> Items:
    """The values of `columns` that enough rows have, the most frequent ones of each column; NaN is no value."""
    few = least(len(matrix))
    of = np.full((len(matrix), len(columns)), -1, dtype=np.int64)
    column: list[Array] = []
    place_of: list[Array] = []
    value: list[Array] = []
    start = 0
    most = max(10, min(MOST_VALUES, MOST_ITEMS // max(1, len(columns))))
    for place, at in enumerate(columns):
        values, code, size = np.unique(matrix[:, at], return_inverse=True, return_counts=True)
        size = np.where(np.isnan(values) | (size > 0.98 * len(matrix)), 0, size)
        kept = np.argsort(-size, kind="stable")[:most]
        kept = kept[size[kept] >= few]
        number = np.full(len(values), -1)
        number[kept] = start + np.arange(len(kept))
        of[:, place] = number[code.ravel()]
        place_of.append(np.full(len(kept), place))
        column.append(np.full(len(kept), at))
        value.append(values[kept])
        start += len(kept)
    return Items(
        of=of, place=np.concatenate(place_of).astype(int), column=np.concatenate(column).astype(int),
        value=np.concatenate(value),
    )  # fmt: skip


def rules(matrix: Array, target: Array, probability: Array, columns: Array) -> list[Rule]:
    """Candidate rules of both labels, the most surprising first, at most 16 of each.

    `probability` is what coarse trees expect. Every pair of items is counted exactly, by one sparse product; the most
    surprising pairs, and those of the rows that contradict the coarse trees most, are lengthened by the item that makes
    them more surprising, to four items, and completed by what nearly all their rows share.
    """
    items = items_of(matrix, columns)
    if len(items.value) < 2:
        return []
    found: list[Rule] = []
    variance = probability * (1 - probability)
    for is_ in (True, False):
        residual = np.where(is_, target - probability, probability - target)
        starts = _starts(items, residual, probability, target == is_)
        grown = {_grown(items, start, residual, variance, target == is_) for start in starts}
        found += _distinct(matrix, items, grown, target, is_, residual, variance)
    return sorted(found, key=lambda r: -r.surprise)


def _starts(items: Items, residual: Array, probability: Array, said: Array) -> list[tuple[int, ...]]:
    """The items and pairs to begin with."""
    from scipy.sparse import csr_array, triu

    n = len(items.of)
    known = items.of >= 0
    indptr = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
    one = csr_array((np.ones(int(known.sum())), items.of[known], indptr), shape=(n, len(items.value)))
    variance = probability * (1 - probability)
    count = triu(one.T @ one).tocoo()
    total = triu(one.T @ (one * residual[:, None]).tocsr()).tocsr()
    spread = triu(one.T @ (one * variance[:, None]).tocsr()).tocsr()
    keep = count.data >= least(n)
    first, second = count.row[keep], count.col[keep]
    surprise = np.asarray(total[first, second]).ravel() / np.sqrt(np.asarray(spread[first, second]).ravel() + 1e-9)
    order = np.argsort(-surprise, kind="stable")
    order = order[surprise[order] >= SURPRISE]
    single = first[order] == second[order]
    chosen = [*order[single][:SINGLES].tolist(), *order[~single][:PAIRS].tolist()]
    starts = {tuple(dict.fromkeys((int(first[i]), int(second[i])))) for i in chosen}
    table = csr_array((surprise[order], (first[order], second[order])), shape=count.shape)
    asked = np.flatnonzero(said)[np.argsort(-residual[said], kind="stable")]
    asked = asked[np.linspace(0, max(0, min(len(asked), n // 10) - 1), min(ROWS_ASKED, len(asked))).astype(int)]
    for row in np.unique(asked):
        mine = np.sort(items.of[row][known[row]])
        part = table[mine][:, mine].tocoo()
        for at in np.argsort(-part.data, kind="stable")[:2]:
            starts.add(tuple(dict.fromkeys((int(mine[part.row[at]]), int(mine[part.col[at]])))))
    return sorted(starts)


def _grown(items: Items, start: tuple[int, ...], residual: Array, variance: Array, said: Array) -> tuple[int, ...]:
    """A start lengthened by one item at a time while that makes it more surprising.

    Then it is shortened while that adds rows of the label, three for each other one: surprise alone would pick those
    rows of a trigger that were least expected to have it.
    """
    few = least(len(residual))
    chosen = list(start)
    rows = _held(items, chosen)
    score = residual[rows].sum() / np.sqrt(variance[rows].sum() + 1e-9)
    while len(chosen) < LONGEST:
        part = items.of[rows]
        known = part >= 0
        flat, repeat = part[known], known.sum(axis=1)
        many = np.bincount(flat, minlength=len(items.value))
        total = np.bincount(flat, weights=np.repeat(residual[rows], repeat), minlength=len(items.value))
        spread = np.bincount(flat, weights=np.repeat(variance[rows], repeat), minlength=len(items.value))
        better = np.where((many >= few) & (many < len(rows)), total / np.sqrt(spread + 1e-9), -np.inf)
        best = int(better.argmax())
        if better[best] <= score * 1.02:
            break
        chosen.append(best)
        score = better[best]
        rows = rows[(part == best).any(axis=1)]
    gained = _gain(said, rows)
    while len(chosen) > 1:
        shorter = [[i for i in chosen if i != out] for out in chosen]
        parts = [_held(items, some) for some in shorter]
        gains = [
            _gain(said, r) if residual[r].sum() / np.sqrt(variance[r].sum() + 1e-9) >= KEPT * score else -np.inf
            for r in parts
        ]
        best = int(np.argmax(gains))
        if gains[best] < gained:
            break
        chosen, gained = shorter[best], gains[best]
    return tuple(sorted(chosen))


def _gain(said: Array, rows: Array) -> float:
    return float((said[rows] - PURE).sum())


def _held(items: Items, chosen: list[int]) -> Array:
    """The numbers of the rows that have all of the items."""
    return np.flatnonzero(np.logical_and.reduce([items.of[:, items.place[i]] == i for i in chosen]))


def _distinct(
    matrix: Array, items: Items, grown: set[tuple[int, ...]], target: Array, is_: bool, residual: Array, variance: Array
) -> list[Rule]:
    """Rules of `grown` that are nearly pure and small, one for each set of rows, the most surprising first."""
    few = least(len(matrix))
    most = max(few * 3, MOST_SHARE * len(matrix))
    found = []
    for chosen in sorted(grown):
        rows = _held(items, list(chosen))
        if few <= len(rows) <= most and (target[rows] == is_).mean() >= PURE:
            found.append((float(residual[rows].sum() / np.sqrt(variance[rows].sum() + 1e-9)), chosen, rows))
    kept: list[tuple[float, tuple[int, ...], Array]] = []
    for one in sorted(found, key=lambda f: (-f[0], f[1])):
        if all(len(np.intersect1d(one[2], k[2])) < SAME * max(len(one[2]), len(k[2])) for k in kept):
            kept.append(one)
        if len(kept) == MOST_RULES:
            break
    return [_completed(items, chosen, rows, is_, surprise) for surprise, chosen, rows in kept]


def _completed(items: Items, chosen: tuple[int, ...], rows: Array, is_: bool, surprise: float) -> Rule:
    """The rule restated by the values that nearly all its rows share and other rows have seldom, four at most.

    Of items that single out the same rows the search takes any one; those that an attacker set are shared by all.
    """
    for _ in range(2):
        rest = np.ones(len(items.of), dtype=bool)
        rest[rows] = False
        inside = np.bincount(items.of[rows][items.of[rows] >= 0], minlength=len(items.value)) / len(rows)
        part = items.of[rest]
        outside = np.bincount(part[part >= 0], minlength=len(items.value)) / max(1, len(part))
        shared = np.flatnonzero((inside >= CLOSED) & (outside < COMMON))
        order = shared[np.argsort(outside[shared] / inside[shared], kind="stable")][:LONGEST]
        again = _held(items, order.tolist()) if len(order) >= 2 else rows[:0]
        if len(again) < CLOSED * len(rows) or len(again) < least(len(items.of)):
            break
        chosen, rows = tuple(order.tolist()), again
    at = list(chosen)
    return Rule(
        columns=tuple(items.column[at].tolist()), values=tuple(items.value[at].tolist()), is_=is_, rows=rows,
        surprise=surprise,
    )  # fmt: skip
