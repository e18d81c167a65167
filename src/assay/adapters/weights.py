"""How much each row of a table counts, as its declared column of weights says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.adapters.encode import numbers
from assay.core.errors import InputError

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset


def weights_of(data: Dataset) -> Any:
    """How much each row counts, shape (rows,), float64: the declared weights, 1 where there is none.

    Raises InputError where they are no numbers, or not all finite and at least 0.
    """
    if not data.weight:
        return np.ones(data.rows)
    where = data.subject.uri or str(data.path)  # a frame lies in a temporary folder
    column = data.table((data.weight,)).column(0)
    if str(column.type) not in ("int64", "double", "bool"):
        raise InputError(f"its weights in {data.weight!r} are no numbers", where=where, fix="mend the column")
    weights = numbers(column)
    if not (np.isnan(weights) | (np.isfinite(weights) & (weights >= 0))).all():
        what = f"its weights in {data.weight!r} are not all finite and at least 0"
        raise InputError(what, where=where, fix="mend the column")
    return np.where(np.isnan(weights), 1.0, weights)
