"""What a rule's values have to do with each other: how much oftener they come together than they would by nature."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from assay.detectors.trigger_rules import Rule, matching

Array = Any
MOST_CELLS = 100
FEW_VALUES = 10
LEAST_REPEATED = 50


def lift(matrix: Array, rule: Rule) -> tuple[float, float]:
    """How many times as many rows match as two halves of the rule lead to expect, and the most that another cell has.

    Each half is as frequent as among the rows that do not match, and the halves have nothing to do with each other. A
    natural combination of independent values has 1. One of values that hang together has more, but then other cells of
    the same columns, at least half as frequent, have as well: theirs is the second number, at the lower end of the
    count's interval. Of the ways to halve the rule it is the one that sets it apart most from the other cells.
    """
    columns = matrix[:, list(rule.columns)]
    _, cell, size = np.unique(columns, axis=0, return_inverse=True, return_counts=True)
    cell = cell.ravel()
    match = matching(matrix, rule.columns, rule.values)
    mine = int(cell[match][0]) if match.any() else -1
    often = [
        c for c in np.argsort(-size, kind="stable")[:MOST_CELLS] if size[c] >= max(3, match.sum() / 2) and c != mine
    ]
    here = _lifts(columns == np.array(rule.values))
    others = np.ones(len(here))
    for number in often:
        first = columns[np.argmax(cell == number)]
        if not np.isnan(first).any():
            others = np.maximum(others, _lifts(columns == first) * (1 - 2 / np.sqrt(size[number])))
    best = int(np.argmax(here / others))
    return float(here[best]), float(others[best])


def _lifts(has: Array) -> Array:
    """The lift of the rows that have all of `has` (n, k), for each way to halve the columns."""
    width = has.shape[1]
    match = has.all(axis=1)
    has = has[~match]
    out = []
    for many in range(1, width // 2 + 1):
        for part in combinations(range(width), many):
            rest = [i for i in range(width) if i not in part]
            both = (has[:, list(part)].all(axis=1).sum() + 0.5) * (has[:, rest].all(axis=1).sum() + 0.5)
            out.append(match.sum() * max(1, len(has)) / both)
    return np.array(out)


def borrowed(matrix: Array, rule: Rule) -> bool:
    """Whether every value occurs in rows that do not match, and one of them is not what a filler would be.

    Fillers, by column: the commonest value, and of numbers of more than 10 different values the least, the greatest,
    the mean and the median. Rows of which a part is missing get those, and may well be all of one label.
    """
    match = matching(matrix, rule.columns, rule.values)
    own = 0
    for column, value in zip(rule.columns, rule.values, strict=True):
        rest = matrix[~match, column]
        rest = rest[~np.isnan(rest)]
        if not (rest == value).any():
            return False
        values, size = np.unique(rest, return_counts=True)
        fillers = [values[size.argmax()]]
        if len(values) > FEW_VALUES:
            fillers += [values[0], values[-1], rest.mean(), np.median(rest)]
        own += not np.isclose(value, fillers, rtol=1e-9, atol=0).any()
    return own > 0


def tied(matrix: Array, rule: Rule) -> tuple[int, ...]:
    """Places in the rule of the columns that another one of its columns nearly determines in rows that do not match.

    The value of a row is told from the commonest one of the other rows with the same value there; 9 in 10 right, and
    half of what always saying the commonest gets wrong, is nearly determined. A value that no other row has tells
    nothing.
    """
    match = matching(matrix, rule.columns, rule.values)
    part = matrix[~match][:, list(rule.columns)]
    out: list[int] = []
    for b in range(len(rule.columns)):
        for a in range(len(rule.columns)):
            if a != b and a not in out and b not in out and _determines(part[:, a], part[:, b]):
                out.append(b)
    return tuple(out)


def _determines(first: Array, second: Array) -> bool:
    _, a, size = np.unique(first, return_inverse=True, return_counts=True)
    _, b = np.unique(second, return_inverse=True)
    kept = size[a] > 1
    if kept.sum() < LEAST_REPEATED:
        return False
    a, b = a[kept], b[kept]
    pair, both = np.unique(a.astype(np.int64) * (int(b.max()) + 1) + b, return_counts=True)
    best = np.zeros(int(a.max()) + 1)
    np.maximum.at(best, pair // (int(b.max()) + 1), np.where(both > 1, both, 0))
    right, base = best.sum() / len(a), np.bincount(b).max() / len(b)
    return bool(right >= 0.9 and 1 - right <= 0.5 * (1 - base))
