"""Rows that were copied or come in clusters: how many independent ones a figure rests on, and how to draw of them."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def effective_n(groups: Array, hit: Array | None = None) -> float:
    """How many independent rows there are, where rows of the same number in `groups` (n,) are one draw; 0 for none.

    (Σw)² / Σw² over the groups, w being how many rows each has (Kish 1965, ch. 11): n where no row repeats, and the
    same for a table and for each of its rows copied k times. With `hit` (bool, (n,)) it is for the rate of `hit`: never
    more than the number of rows that has the variance of a ratio over groups (Cochran 1977, ch. 6), so that copies of
    a few of the hits do not pass for many.
    """
    if not len(groups):
        return 0.0
    _, inverse = np.unique(groups, return_inverse=True)
    weight = np.bincount(inverse.ravel()).astype(float)
    kish = float(weight.sum() ** 2 / (weight**2).sum())
    if hit is None:
        return kish
    rate = float(np.mean(hit))
    spread = float(((np.bincount(inverse.ravel(), weights=hit) - rate * weight) ** 2).sum())
    return min(kish, float(rate * (1 - rate) * weight.sum() ** 2 / spread)) if spread > 0 else kish


def whole(rows: float) -> int:
    """An effective number of rows, rounded down to what is reported; sums of squares may fall short by a rounding."""
    return int(rows + 1e-6)


def drawn(groups: Array, most: int) -> tuple[Array, Array]:
    """(places of the first rows of up to `most` groups, how many rows each stands for), of rows in a drawn order by
    the numbers of their groups (n,).

    Drawing ends where one group more would begin, and each stands for its rows that were drawn until then: a plain
    sample of rows, of which equal ones are asked about once. All rows of a group would count it twice over, since one
    of many rows is also met sooner.
    """
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    met = np.sort(first)
    end = int(met[most]) if len(met) > most else len(groups)
    group = inverse.ravel()
    places = met[:most]
    return places, np.bincount(group[:end], minlength=len(first))[group[places]]
