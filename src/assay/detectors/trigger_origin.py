"""Whether rows came in one batch of a source or of a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core.text import visible
from assay.detectors.rows import same_rows

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset

Array = Any
STRETCHES = 20
SURE = 1e-6
MOST = 1000


def gathered(data: Dataset, column: str, rows: Array) -> str:
    """In words that at least half of `rows` are of one batch of a column that holds far fewer of all rows; else "".

    Batches are the values of the column, of more than 1,000 different ones or of a time 20 stretches of equal count. A
    batch is named by one of its rows. It must be surer than 1 in a million by Chernoff's bound, batches counted.
    """
    batch = _batches(data, column)
    size = np.bincount(batch)
    mine = np.bincount(batch[rows], minlength=len(size))
    top = int(mine.argmax())
    share, base = mine[top] / len(rows), size[top] / len(batch)
    if share < 0.5 or share <= 2 * base:
        return ""
    apart = share * math.log(share / base) + (0.0 if share == 1 else (1 - share) * math.log((1 - share) / (1 - base)))
    if len(size) * math.exp(-len(rows) * apart) > SURE:
        return ""
    first = int(np.flatnonzero(batch == top)[0])
    where = f"in the {visible(column, 40)} of row {first} (counting from 0)"
    return f"; {share:.0%} of them are {where}, which holds {base:.1%} of all rows"


def _batches(data: Dataset, column: str) -> Array:
    import pyarrow.compute as pc

    table = data.table((column,))
    groups = same_rows(table)
    if int(groups.max()) < MOST and column != data.time:
        return groups
    order = pc.sort_indices(table.column(0)).to_numpy()
    batch = np.empty(len(order), dtype=int)
    batch[order] = np.arange(len(order)) * STRETCHES // len(order)
    return batch
