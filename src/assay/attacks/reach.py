"""What a feature contract lets an attacker buy, input by input, so that a price that nobody could pay is seen."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from assay.attacks.space import Array, Axis, Space
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable
from assay.core.subject import Contract


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """One input: which way it may move, the price of one `unit`, and how far the budget goes.

    `unit` is "standard deviation" (of a number in the training data), "place" (of an order) or "change"; `distance` is
    in raw units for a number, else in units, and inf where the price sets no bound inside the permitted range.
    `bought`: at least half of the rows can be moved within the budget to a permitted candidate that by itself keeps
    every relation, for a number one that lies a standard deviation or more away.
    """

    name: str
    moves: str = "no"
    unit: str = ""
    price: float | None = None
    distance: float = 0.0
    bought: bool = False


def reaches(
    rows: ArrowTable,
    contract: Contract,
    reference: ArrowTable,
    kinds: Mapping[str, str],
    inputs: tuple[str, ...],
    budget: float,
) -> tuple[Reach, ...]:
    """What `budget` buys of each input, over `rows`. Raises CouldNotLook for one that cannot be priced."""
    found = []
    can = _permitted(rows, contract, reference, kinds, inputs)
    for name in inputs:
        feature = contract.features.get(name)
        if feature is None or not feature.mutable:
            found.append(Reach(name=name))
            continue
        axis = Axis(name, feature, rows.column(name).combine_chunks(), reference, kinds[name])
        far = np.ones(axis.cost.shape, dtype=bool)
        if not axis.levels:
            far = np.abs(axis.codes - axis.origin[:, None]) >= axis.unit * (1 - 1e-9)
        bought = ((axis.cost <= budget) & far & can.get(name, np.zeros((1, 1), dtype=bool))).any(axis=1)
        steps = budget / feature.cost
        found.append(
            Reach(
                name=name,
                moves="yes" if feature.direction == "both" or not axis.ordered else f"{feature.direction} only",
                unit="standard deviation" if not axis.levels else "place" if axis.ordered else "change",
                price=axis.price,
                distance=_bounded(steps * axis.scale, axis) if axis.ordered else float(steps >= 1),
                bought=bool(len(bought)) and bool(bought.mean() >= 0.5),
            )
        )
    return tuple(found)


def _permitted(
    rows: ArrowTable, contract: Contract, reference: ArrowTable, kinds: Mapping[str, str], inputs: tuple[str, ...]
) -> dict[str, Array]:
    """By input, which of its candidates (n, k) are allowed and keep every relation when nothing else is moved."""
    try:
        space = Space(rows, contract, reference, kinds, inputs)
    except CouldNotLook:  # nothing can be changed, or an axis says why not when it is asked
        return {}
    possible = space.possible()
    return {axis.name: possible[:, j, : axis.cost.shape[1]] for j, axis in enumerate(space.axes)}


def _bounded(distance: float, axis: Axis) -> float:
    """A distance in whole places of an order; inf where it crosses the whole range."""
    if axis.levels:
        return float(int(distance)) if distance < len(axis.levels) - 1 else np.inf
    return distance if distance < axis.high - axis.low else np.inf
