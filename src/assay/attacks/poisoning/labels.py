"""Flipped labels: spread over all rows, or taken from one class, in one segment where that is told."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.adapters.values import listed, same_value
from assay.attacks.poisoning.planted import Poisoned, Source, from_rows, label_row, value_at
from assay.core.errors import CouldNotLook
from assay.core.finding import Scalar

Array = Any


def drawn(among: Array, many: int, seed: int) -> Array:
    """`many` of the rows `among`, evenly; the same for the same seed."""
    return np.random.default_rng([seed, 17]).choice(among, many, replace=False)


def flips(source: Source, rate: float, seed: int) -> Poisoned:
    """The labels of `rate` of the rows, drawn evenly, become the other class's.

    Biggio et al. 2011 (support vector machines under adversarial label noise).
    """
    return _flipped("flips", source, drawn(np.arange(source.rows), source.count(rate), seed), None)


def targeted_flips(
    source: Source, rate: float, seed: int, *, target: bool | None = None, segment: tuple[str, Scalar] | None = None
) -> Poisoned:
    """Rows of one class only, `rate` of all rows, get the label `target` (by default the rarer class loses them).

    With `segment` (a column and its value) only rows that hold it. Raises CouldNotLook where there are not as many.
    Paudice et al. 2018 (label sanitization against label flipping poisoning).
    """
    truth = source.target()
    wanted = bool(2 * truth.sum() > len(truth)) if target is None else target
    among = truth != wanted
    if segment is not None:
        name, value = segment
        among &= np.array([same_value(v, value) for v in listed(source.table.column(name))], dtype=bool)
    held = np.flatnonzero(among)
    return _flipped("targeted-flips", source, drawn(held, source.count(rate, held), seed), wanted)


def _flipped(attack: str, source: Source, rows: Array, wanted: bool | None) -> Poisoned:
    truth = source.target()
    rows = np.sort(rows)
    if len(rows) == source.rows:
        raise CouldNotLook("flipping every row only renames the classes")
    donors = np.where(truth[rows], label_row(truth, False), label_row(truth, True))
    table = from_rows(source.table, rows, {source.label: donors})
    aimed = None if wanted is None else value_at(source, source.label, label_row(truth, wanted))
    victims = "everyone" if wanted is None else "other-class"
    return Poisoned(attack=attack, table=table, rows=rows, added=False, target=aimed, victims=victims)  # type: ignore[arg-type]
