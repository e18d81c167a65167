"""What a table shows of its own contract: ranges, steps, categories, missing values, uniqueness, roles of columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from assay.adapters.encode import numbers
from assay.adapters.tables import ident
from assay.adapters.values import listed
from assay.core.protocols import Progress, silent
from assay.detectors.headers import PROTECTED, ROLES, said
from assay.detectors.personal_data import personal_data
from assay.detectors.relations import LEAST_ROWS, MOST_COLUMNS, Relation, relations, usable

if TYPE_CHECKING:
    from assay.adapters.tables import Column, Dataset

Array = Any
MOST_CATEGORIES, SMALL_SET, COMMON = 50, 12, 20
LEAST_UNIQUE = 50
ALL_CATEGORIES = 4_000
FAR = 10  # spreads of the middle half beyond which a largest value is told as far off


class Drafted(msgspec.Struct, frozen=True, kw_only=True):
    """A column: the facts that `features:` may say of it, in order, and why, in words that name no value."""

    name: str
    facts: dict[str, Any]
    notes: tuple[str, ...]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What was drafted: facts of the subject by role, with why; features; relations; columns that never repeat."""

    roles: dict[str, str]
    why: dict[str, str]
    protected: tuple[str, ...]
    positive: Any
    features: tuple[Drafted, ...]
    relations: tuple[Relation, ...]
    unique: tuple[str, ...]
    constant: tuple[str, ...]
    personal: dict[str, str]
    related: tuple[int, int]
    """Among how many columns relations were looked for, and how many could have some."""


def draft(data: Dataset, seed: int = 0, progress: Progress = silent) -> Draft:
    """The contract that the table keeps in every row. Facts are of these rows; the world may hold more."""
    held = personal_data(data, progress)
    personal = {h.column: h.kind for h in reversed(held.held)}
    unique = _unique(data)
    roles, why = _roles(data, unique, personal)
    taken = set(roles.values())
    protected = tuple(c.name for c in data.columns if said(c.name, PROTECTED) and c.name not in taken)
    features, listed_so_far = [], 0
    for name, values in data.each(c.name for c in data.columns if c.name not in taken):
        drafted, count = _column(data, data.column(name), values, personal.get(name, ""), listed_so_far)
        features.append(drafted)
        listed_so_far += count
    inputs = tuple(f.name for f in features)
    times = tuple(c.name for c in data.columns if c.kind == "time" and c.name in taken)
    able = usable(data, (*inputs, *times))
    return Draft(
        roles=roles, why=why, protected=protected, positive=_positive(data), features=tuple(features),
        relations=relations(data, able, seed), unique=unique, constant=_constant(data, taken), personal=personal,
        related=(min(len(able), MOST_COLUMNS) if data.rows >= LEAST_ROWS else len(able), len(able)),
    )  # fmt: skip


def _unique(data: Dataset) -> tuple[str, ...]:
    """Columns of which no value comes twice."""
    able = [
        c.name for c in data.columns
        if c.kind != "number" and data.rows - c.nulls >= LEAST_UNIQUE and c.name != data.label
    ]  # fmt: skip
    repeated = data.counted([f"count({ident(n)}) - count(DISTINCT {ident(n)})" for n in able])
    return tuple(name for name, times in zip(able, repeated, strict=True) if not times)


def _constant(data: Dataset, taken: set[str]) -> tuple[str, ...]:
    """Columns that hold one value in every row, or none."""
    able = [
        c.name for c in data.columns
        if c.name not in taken and c.distinct <= 10 and not (c.nulls and c.nulls < data.rows)
    ]  # fmt: skip
    distinct = data.counted([f"count(DISTINCT {ident(n)})" for n in able])
    return tuple(name for name, many in zip(able, distinct, strict=True) if many < 2)


def _roles(data: Dataset, unique: tuple[str, ...], personal: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Which column has which role, by its header and its values together; the first candidate each."""
    roles, why = ({"label": data.label}, {}) if data.label else ({}, {})
    for column in data.columns:
        said_of = said(column.name, ROLES)
        distinct, name = max(1, column.distinct), column.name
        if name in roles.values() or (column.nulls and said_of not in ("time", "label_delay")):
            continue
        fits = {
            "id": name in unique,
            "entity": 2 <= distinct < 0.9 * data.rows and name not in unique,
            "time": column.kind == "time",
            "source": 2 <= distinct <= data.rows / COMMON,
            "annotator": 2 <= distinct <= data.rows / COMMON,
            "weight": column.kind in ("number", "integer"),
            "split": 2 <= distinct <= 10,
            "label_delay": column.kind in ("number", "integer", "time"),
        }.get(said_of, False)
        if fits and said_of not in roles:
            roles[said_of], why[said_of] = name, "by its header and its values"
        elif fits and said_of == "id" and "entity" not in roles:
            continue
    if "id" not in roles:
        for column in data.columns:
            whole = column.kind in ("integer", "text", "category")
            if column.name in unique and whole and not column.nulls and column.name not in personal:
                roles["id"], why["id"] = column.name, "it never repeats"
                break
    times = [c.name for c in data.columns if c.kind == "time" and c.name not in roles.values()]
    if "time" not in roles and times:
        roles["time"], why["time"] = times[0], "the first column of times"
    return roles, why


def _positive(data: Dataset) -> Any:
    """The positive class: 1 where it is one of two, else the rarer of two; None where there are not two."""
    if not data.label:
        return None
    name = ident(data.label)
    table = data.sql(
        f"SELECT {name}, count(*) AS n FROM data WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY n, 1 LIMIT 3"  # noqa: S608
    )
    values = listed(table.column(0))
    if len(values) != 2:
        return None
    return next((v for v in values if v in (1, True) and not isinstance(v, str)), values[0])


def _column(data: Dataset, column: Column, held: Any, personal: str, listed_so_far: int) -> tuple[Drafted, int]:
    facts: dict[str, Any] = {}
    notes: list[str] = []
    count = 0
    if column.kind in ("number", "integer"):
        facts, notes = _range(held)
    elif column.kind in ("category", "boolean") and not personal:
        values, rare = _categories(held)
        if values and listed_so_far + len(values) <= ALL_CATEGORIES:
            facts["categories"] = values
            count = len(values)
            if rare:
                notes.append(f"{rare} of the values in fewer than {COMMON} rows: is the set complete?")
        else:
            facts["type"] = "category"
            notes.append(f"some {column.distinct} values, not listed")
    elif column.kind == "text" or personal:
        facts["type"] = "category"
        notes.append("free text or names: values are not listed")
    if not column.nulls and data.rows >= COMMON:
        facts["nullable"] = False
    elif column.nulls:
        notes.append(f"missing in {column.nulls} rows")
    meaning = said(column.name, PROTECTED)
    if meaning:
        facts["mutable"] = False
        notes.insert(0, f"protected ({meaning}): taken as not to be changed")
    if personal:
        notes.insert(0, f"PERSONAL DATA ({personal}): drop it, or say why it is here")
    return Drafted(name=column.name, facts=facts, notes=tuple(notes)), count


def _range(held: Any) -> tuple[dict[str, Any], list[str]]:
    values = numbers(held)
    values = values[np.isfinite(values)]
    if not len(values):
        return {"type": "number"}, ["no finite number in it"]
    low, high = float(values.min()), float(values.max())
    if max(abs(low), abs(high)) >= 2**53:
        return {"type": "category"}, ["numbers too large to be exact: taken for names of something"]
    step = _step(values)
    facts: dict[str, Any] = {}
    bottom, top = outward(low, high, step)
    facts["min"], facts["max"] = bottom, top
    if step is not None and float(step).is_integer():
        facts["integer"] = True
    if step is not None and step != 1:
        facts["step"] = step
    notes = []
    first, third, far = (float(np.quantile(values, q)) for q in (0.25, 0.75, 0.999))
    reach = FAR * max(third - first, abs(third) * 0.01, 1e-9)
    if high > max(far, third + reach) or low < first - reach:
        notes.append("a few values lie far from the rest: look at them before you accept the range")
    return facts, notes


def _step(values: Array) -> float | None:
    """The grid on which all values lie: a whole number, a decimal place or a half or quarter of one; None for none."""
    distinct = np.unique(values)
    for unit in (1.0, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001, 0.0001):
        scaled = distinct / unit
        if np.abs(scaled).max() < 1e9 and (np.abs(scaled - np.round(scaled)) < 1e-7).all():
            whole = np.round(scaled).astype(np.int64)
            common = int(np.gcd.reduce(np.abs(whole))) if unit == 1.0 and len(distinct) >= 3 else 1
            return unit * max(1, common)
    return None


def outward(low: float, high: float, step: float | None) -> tuple[float, float]:
    """The range rounded outward to a round number (about a twentieth of it), on the grid, not across 0."""
    width = high - low
    unit = 10 ** math.floor(math.log10(width)) / 10 if width > 0 else (step or 1.0)
    unit = max(unit, step or 0.0)
    if step is not None:
        unit = step * max(1, round(unit / step))
    bottom, top = math.floor(low / unit + 1e-9) * unit, math.ceil(high / unit - 1e-9) * unit
    bottom, top = float(f"{bottom:.12g}"), float(f"{top:.12g}")
    if low >= 0 > bottom:
        bottom = 0.0
    if high <= 0 < top:
        top = 0.0
    return min(bottom, low), max(top, high)


def _categories(held: Any) -> tuple[list[Any], int]:
    """The values, sorted, where they may be listed: at most 50, each in 20 rows or few in all; how many are rare."""
    counted = held.cast("string").combine_chunks().drop_null().value_counts()
    found = zip(listed(counted.field("values")), listed(counted.field("counts")), strict=True)
    pairs = sorted(found, key=lambda pair: pair[0].encode())[: MOST_CATEGORIES + 1]
    values, counts = [v for v, _ in pairs], [n for _, n in pairs]
    rare = sum(n < COMMON for n in counts)
    closed = len(values) <= SMALL_SET and sum(counts) >= COMMON * len(values)
    if len(values) > MOST_CATEGORIES or (rare and not closed) or any(len(str(v)) > 200 for v in values):
        return [], rare
    return values, rare
