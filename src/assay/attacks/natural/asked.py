"""What a model says of damaged rows, where it may refuse some: a refusal is told apart from an answer, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from assay.adapters.again import UnsteadyError
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor

Array = Any
ALONE, CALLS = 10, 80
TOGETHER = 4000
"""Rows of one call: a model that takes milliseconds a call is asked of many tables at once."""


class Answers(msgspec.Struct, frozen=True):
    """Per row (n,): whether it was `answered`, `refused`, or neither (not asked alone within the limit); `flagged`
    where answered."""

    answered: Array
    refused: Array
    flagged: Array


def ask_many(model: Predictor, tables: Sequence[ArrowTable]) -> list[Answers | None]:
    """The answers of several tables of the same columns, asked together up to 4000 rows at a time; None for those that
    were asked beside a row that is refused, and are to be asked alone."""
    import pyarrow as pa

    found: list[Answers | None] = []
    start = 0
    while start < len(tables):
        end, rows = start + 1, tables[start].num_rows
        while end < len(tables) and rows + tables[end].num_rows <= TOGETHER:
            rows, end = rows + tables[end].num_rows, end + 1
        try:
            flagged = model.flagged(pa.concat_tables(tables[start:end], promote_options="permissive"))
        except UnsteadyError:
            raise
        except CouldNotLook:
            found += [None] * (end - start)
        else:
            ends = np.cumsum([t.num_rows for t in tables[start:end]])
            found += [Answers(np.ones(len(p), dtype=bool), np.zeros(len(p), dtype=bool), p) for p in
                      np.split(np.asarray(flagged, dtype=bool), ends[:-1])]  # fmt: skip
        start = end
    return found


def ask(model: Predictor, rows: ArrowTable, calls: int = CALLS) -> Answers:
    """The model's decision on each row. Rows come in a drawn order.

    A batch that is refused is asked row by row at first: where the first 10 are all refused, nothing is known of the
    rest. Else the rest is halved until every row is told apart or `calls` calls are spent; since rows are resolved in
    their drawn order, those that were are a sample of all.
    """
    count = rows.num_rows
    answered, refused = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    flagged = np.zeros(count, dtype=bool)
    left = [calls]

    def asked(start: int, size: int) -> bool:
        left[0] -= 1
        try:
            flagged[start : start + size] = model.flagged(rows.slice(start, size))
        except UnsteadyError:
            raise
        except CouldNotLook:
            return False
        answered[start : start + size] = True
        return True

    if asked(0, count):
        return Answers(answered, refused, flagged)
    first = min(ALONE, count)
    for row in range(first):
        refused[row] = not asked(row, 1)
    if refused[:first].all():
        return Answers(answered, refused, flagged)
    waiting = [(first, count - first)] if count > first else []
    while waiting and left[0] > 0:
        start, size = waiting.pop()
        if asked(start, size):
            continue
        if size == 1:
            refused[start] = True
        else:
            half = size // 2
            waiting += [(start + half, size - half), (start, half)]
    return Answers(answered, refused, flagged)
