"""What an honest world does to a value: each damage is one column (or two that were swapped) in one way, for any rows.

The kinds are those of tabular error injection (Schelter et al. 2021, JENGA; Hendrycks and Dietterich 2019 for images).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from assay.adapters.encode import numbers
from assay.core.protocols import ArrowTable
from assay.core.subject import Feature

Array = Any
Change = Callable[[ArrowTable, np.random.Generator], ArrowTable]
FAMILIES = ("missing", "unit", "range", "corruption")
FACTORS = (10.0, 100.0, 1000.0, 0.1, 0.01, 0.001)
BEYOND = 10.0  # times the range of the data, outside it
NOISE = 0.1  # of the standard deviation
UNSEEN, UNSEEN_CODE = "never seen before", 1000


class Damage(msgspec.Struct, frozen=True):
    """One way to damage one `column`; `apply(rows, rng)` gives the rows with it, as a new Arrow table."""

    family: str
    kind: str
    column: str
    apply: Change


def damages(
    known: ArrowTable, inputs: tuple[str, ...], kinds: Mapping[str, str], features: Mapping[str, Feature]
) -> tuple[Damage, ...]:
    """Every damage of every input that `known` (rows that the model knows) has, in the order of the inputs.

    `kinds` are those of a dataset's columns. Times are left as they are. What would change nothing by its nature
    (zero where zeros are usual, another case of words without letters) is left out.
    """
    found: list[Damage] = []
    there = [name for name in inputs if name in known.column_names and kinds.get(name) != "time"]
    said = {n: _kind(kinds.get(n, ""), features.get(n)) for n in there}
    for place, name in enumerate(there):
        column = known.column(name).combine_chunks()
        found.append(Damage("missing", "missing", name, _missing(name)))
        if said[name] == "number":
            found += _of_number(name, numbers(column), kinds.get(name) == "integer")
        elif said[name] == "category":
            found += _of_category(name, column)
        found.append(Damage("corruption", "stuck at another row's value", name, _stuck(name, column)))
        alike = [n for n in there[place + 1 :] if said[n] == said[name] and _type(known, n) == _type(known, name)]
        if alike:
            found.append(Damage("corruption", "swapped with the next input", name, _swapped(name, alike[0])))
    return tuple(found)


def _kind(kind: str, feature: Feature | None) -> str:
    if feature is not None and (feature.order or feature.categories):
        return "category"
    return {"integer": "number", "text": "category"}.get(kind, kind)


def _type(table: ArrowTable, name: str) -> Any:
    return table.schema.field(name).type


def _of_number(name: str, values: Array, integer: bool) -> list[Damage]:
    known = values[np.isfinite(values)]
    if not len(known):
        return []
    low, high, spread = float(known.min()), float(known.max()), float(known.std())
    reach = BEYOND * ((high - low) or abs(high) or 1.0)
    made: list[tuple[str, str, Callable[[Array, np.random.Generator], Array]]] = [
        ("unit", f"× {f:g}" if f > 1 else f"÷ {1 / f:g}", lambda v, _, f=f: v * f)  # type: ignore[misc]
        for f in FACTORS
    ]
    made += [
        ("range", "far above the data", lambda v, _: np.full(len(v), high + reach)),
        ("range", "far below the data", lambda v, _: np.full(len(v), low - reach)),
    ]
    if low >= 0 and high > 0:
        made.append(("range", "negative where none is", lambda v, _: -np.abs(v)))
    if not (known == 0).any():
        made.append(("range", "zero where none is", lambda v, _: np.where(np.isnan(v), v, 0.0)))
    if spread > 0:
        made.append(("corruption", "noise", lambda v, rng: _noisy(v, spread, rng, integer)))
        made.append(("corruption", "rounded to one digit", lambda v, _: one_digit(v)))
    return [Damage(family, kind, name, _numeric(name, change)) for family, kind, change in made]


def _of_category(name: str, column: Any) -> list[Damage]:
    import pyarrow as pa

    types = pa.types
    if types.is_string(column.type) or types.is_large_string(column.type):
        words: list[tuple[str, Callable[[str], str]]] = [
            ("a word never seen", lambda _: UNSEEN),
            ("trailing blank", lambda word: word + " "),
        ]
        if any(w and w != w.swapcase() for w in column.unique().to_pylist()):
            words.insert(1, ("other case", str.swapcase))
        return [Damage("corruption", kind, name, _worded(name, change)) for kind, change in words]
    if types.is_boolean(column.type):
        return []
    known = numbers(column)
    known = known[np.isfinite(known)]
    code = float(known.max() if len(known) else 0) + UNSEEN_CODE
    return [Damage("corruption", "a code never seen", name, _numeric(name, lambda v, _: np.full(len(v), code)))]


def one_digit(values: Array) -> Array:
    """Numbers (n,) at one significant digit; 0 and all but 0, infinite and missing ones as they are."""
    usual = np.isfinite(values) & (np.abs(values) > 1e-300)
    power = 10.0 ** np.floor(np.log10(np.abs(np.where(usual, values, 1.0))))
    return np.where(usual, np.round(values / power) * power, values)


def _noisy(values: Array, spread: float, rng: np.random.Generator, integer: bool) -> Array:
    out = values + rng.normal(0.0, NOISE * spread, len(values))
    return np.round(out) if integer else out


def _set(table: ArrowTable, name: str, column: Any) -> ArrowTable:
    return table.set_column(table.schema.get_field_index(name), name, column)


def _missing(name: str) -> Change:
    def apply(table: ArrowTable, rng: np.random.Generator) -> ArrowTable:
        import pyarrow as pa

        return _set(table, name, pa.nulls(table.num_rows, _type(table, name)))

    return apply


def _numeric(name: str, change: Callable[[Array, np.random.Generator], Array]) -> Change:
    """Numbers are written back as whole ones where all are, and as doubles where they are not: as a file would say."""

    def apply(table: ArrowTable, rng: np.random.Generator) -> ArrowTable:
        import pyarrow as pa

        values = numbers(table.column(name))
        with np.errstate(over="ignore"):
            new = change(values, rng)
        there = np.isfinite(new)
        whole = pa.types.is_integer(_type(table, name)) and bool((new[there] == np.round(new[there])).all())
        whole = whole and bool((np.abs(new[there]) < 2**53).all())
        column = pa.array(new, pa.float64(), mask=np.isnan(values) & np.isnan(new))
        return _set(table, name, column.cast(pa.int64()) if whole else column)

    return apply


def _worded(name: str, change: Callable[[str], str]) -> Change:
    def apply(table: ArrowTable, rng: np.random.Generator) -> ArrowTable:
        import pyarrow as pa

        words = [None if w is None else change(w) for w in table.column(name).to_pylist()]
        return _set(table, name, pa.array(words, _type(table, name)))

    return apply


def _stuck(name: str, column: Any) -> Change:
    def apply(table: ArrowTable, rng: np.random.Generator) -> ArrowTable:
        import pyarrow as pa

        drawn = column.take(pa.array(np.full(table.num_rows, rng.integers(len(column)))))
        return _set(table, name, drawn)

    return apply


def _swapped(name: str, other: str) -> Change:
    def apply(table: ArrowTable, rng: np.random.Generator) -> ArrowTable:
        return _set(_set(table, name, table.column(other)), other, table.column(name))

    return apply
