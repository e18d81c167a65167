"""What a feature contract lets an attacker buy, input by input, so that a price that nobody could pay is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from assay.attacks.attacked import HAIR
from assay.attacks.space import PLACE, Axis
from assay.core.protocols import ArrowTable
from assay.core.subject import Contract, Norm

NUMBER = {True: "standard deviation", False: "scale"}
"""The unit of a number by whether it is priced."""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """One input: which way it may move, the price of one `unit`, and how far the budget goes.

    `unit` is "standard deviation" (of a number in the training data), "scale" (of a number in a norm that has no
    prices), "place" (of an order) or "change"; `distance` is in raw units for a number, else in units, and inf where
    the price sets no bound inside the permitted range.
    """

    name: str
    moves: str = "no"
    unit: str = ""
    price: float | None = None
    distance: float = 0.0


def reaches(
    rows: ArrowTable,
    contract: Contract,
    reference: ArrowTable,
    kinds: Mapping[str, str],
    inputs: tuple[str, ...],
    budget: float,
    norm: Norm = "cost",
) -> tuple[Reach, ...]:
    """What `budget` buys of each input alone, over `rows`. Raises CouldNotLook for one that cannot be priced."""
    found = []
    for name in inputs:
        feature = contract.columns.get(name)
        if feature is None or not feature.mutable:
            found.append(Reach(name=name))
            continue
        axis = Axis(name, feature, rows.column(name).combine_chunks(), reference, kinds[name])
        priced = norm == "cost"
        steps = budget / feature.cost if priced else budget
        one = axis.scale if priced or axis.levels else feature.scale or 1.0
        found.append(
            Reach(
                name=name,
                moves="yes" if feature.direction == "both" or not axis.ordered else f"{feature.direction} only",
                unit=NUMBER[priced] if not axis.levels else "place" if axis.ordered else "change",
                price=axis.price if priced else None,
                distance=_bounded(steps * one, axis) if axis.ordered else float(steps >= 1),
            )
        )
    return tuple(found)


def _bounded(distance: float, axis: Axis) -> float:
    """A distance in whole places of an order or a grid; inf where it crosses the whole range."""
    if axis.levels:
        return float(int(distance)) if distance < len(axis.levels) - 1 else np.inf
    if distance >= axis.high - axis.low:
        return np.inf
    step = axis.grid[1]
    return float(np.floor(distance / step * (1 + HAIR)) * step) if step else distance


def stuck(axes: Sequence[Axis], budget: float, norm: Norm) -> tuple[str, ...]:
    """The inputs of which the least change in any row, one place of a grid or one category, is more than the budget."""
    return tuple(axis.name for axis in axes if _least(axis, norm) > budget * (1 + HAIR))


def _least(axis: Axis, norm: Norm) -> float:
    """The least change of an input, in the norm; 0 of a number that may take any value."""
    origin = axis.origin[:, None]
    codes = axis.codes
    if not axis.levels:
        start, step = axis.grid
        if not step:
            return 0.0
        place = (origin - start) / step
        ends = [np.ceil((axis.low - start) / step - PLACE), np.floor((axis.high - start) / step + PLACE)]
        beside = np.hstack([np.ceil(place - PLACE) - 1, np.floor(place + PLACE) + 1])
        codes = axis.spelled(start + step * np.hstack([beside, np.broadcast_to(ends, beside.shape)]))
    least = float(axis.parts(origin, codes, norm).min(initial=np.inf))
    return float(np.sqrt(least)) if norm == "l2" else least
