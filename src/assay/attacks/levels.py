"""The values that a category may take: as listed, as the data spell them, and what a change into each costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from assay.adapters.values import canonical_text, same_value
from assay.attacks.relations import short
from assay.core.errors import CouldNotLook
from assay.core.subject import Feature, called
from assay.core.text import visible

MOST_LEVELS = 500
UNLIKE = "{} is stored as {} in one table and holds other things in the other; store both alike"


class Levels(NamedTuple):
    """The values of a column, and the listed value that each stands for: itself where nothing is listed."""

    values: tuple[Any, ...]
    listed: tuple[Any, ...]


def levels_of(name: str, feature: Feature, known: Sequence[Any], own: Sequence[Any], type_: Any) -> Levels:
    """Every listed value as the column holds it, whether or not a row does, and the other spellings of it that rows of
    `known` or `own` (the attacked ones) hold; where nothing is listed all that `known` holds.

    Raises CouldNotLook for a value that the column cannot hold, and for a place of an order that is spelled twice: what
    was left out would never be tried.
    """
    listed = feature.order or feature.categories
    if not listed:
        values = tuple(sorted((p for p in known if p is not None), key=str))
        if len(values) > MOST_LEVELS:
            raise CouldNotLook(f"{name} has {len(values)} categories; list those that count in `categories:`")
        return _held(name, Levels(values, values), type_)
    present = [p for p in dict.fromkeys((*known, *own)) if p is not None]
    if any(_short(p, d) and not same_value(p, d) for d in listed for p in present):
        what = f"{name} is stored as float32, in which the numbers that are listed of it are others"
        raise CouldNotLook(f"{what}; store it as double")
    found: dict[Any, Any] = {}
    for d in listed:
        own_, others = spellings(d, present, listed, type_)
        told = visible(short(name, str(d)), 40)
        if not own_ and not others:
            what = f"{name} lists {told}, which a column stored as {type_} cannot hold"
            raise CouldNotLook(f"{what}; store it otherwise, or take that value out")
        if feature.order and len(own_) + len(others) > 1:  # a place in an order is one value
            what = f"rows of {name} spell {told} in more ways than one, and it has one place in `order:`"
            raise CouldNotLook(f"{what}; store them alike, or list every spelling")
        for value in (*own_, *others):
            found.setdefault(value, d)
    return _held(name, Levels(tuple(found), tuple(found.values())), type_)


def spellings(listed: Any, present: Sequence[Any], every: Sequence[Any], type_: Any) -> tuple[list[Any], list[Any]]:
    """(a listed value as the column would hold it, the other values among `present` that mean it and that none of
    `every` listed one is): words are what is written, of other values any spelling that rows hold will do."""
    own = [p for p in present if _is(listed, p)]
    others = [p for p in present if p not in own and same_value(p, listed) and not any(_is(e, p) for e in every)]
    if not own and (isinstance(listed, str) or not others):
        own = [p for p in (spelled(listed, type_),) if p is not None]
    return own, others


def spelled(level: Any, type_: Any) -> Any:
    """A listed value as a column of an Arrow type would hold it; None where it cannot."""
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    words = pa.types.is_string(type_) or pa.types.is_large_string(type_)
    told = canonical_text(level) if words and not isinstance(level, str) else level
    return told if _holds(type_, told) else None


def price(feature: Feature, listed: Any) -> float:
    """What a change into a listed value costs, inf where it is not possible."""
    for name in called(listed):
        if name in feature.costs:
            told = feature.costs[name]
            return math.inf if told is None else told
    return feature.cost


def _is(listed: Any, present: Any) -> bool:
    """Whether a value of the data is the listed one as it is written."""
    if isinstance(present, str) or isinstance(listed, str):
        return bool(present == (listed if isinstance(listed, str) else canonical_text(listed)))
    return bool(present == listed)


def _held(name: str, levels: Levels, type_: Any) -> Levels:
    """The levels, which may come from a table that stores the column otherwise."""
    if not all(_holds(type_, value) for value in levels.values):
        raise CouldNotLook(UNLIKE.format(name, type_))
    return levels


def _holds(type_: Any, value: Any) -> bool:
    """Whether a column of an Arrow type holds a value as it is."""
    import pyarrow as pa

    try:
        return bool(pa.scalar(value, type_).as_py() == value)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return False


def _short(present: Any, listed: Any) -> bool:
    """Whether a value of the data is a listed number as float32 holds it: 0.10000000149 for 0.1."""
    if not (isinstance(present, float) and isinstance(listed, float)):
        return False
    with np.errstate(over="ignore"):
        return present == float(np.float32(listed))
