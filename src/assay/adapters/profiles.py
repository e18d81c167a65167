"""A table's profile by one look at its bytes: bins that the reference fixes, and whole numbers in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from assay.adapters.duck import ident, literal
from assay.adapters.extras import library
from assay.adapters.relation import Relation, number, spelled
from assay.core.profile import BUCKETS, ColumnProfile, Profile
from assay.core.protocols import Progress, silent

BINS = 20
HEAD = 10_000
"""Rows at the start that the first bins are drawn from; where they turn out lopsided, all rows are asked."""
LABELS = 200
"""Different values up to which a column of text is listed; beyond it is counted in buckets."""
NEW = 200
"""Values that the reference does not have, named at most."""
ROWS_A_LABEL = 5
"""Rows that a value must have on average for a column's values to be listed; else they are ids, counted in buckets."""
COLUMNS, TEXT_COLUMNS = 8, 512
"""Columns that one query counts: more cost memory, fewer cost time. A CSV is read whole by every query."""
_LOPSIDED, _UNFORESEEN = 3.0, 2.0
_WHOLE = frozenset(
    ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
)


class _Column(msgspec.Struct, frozen=True):
    """How a column is asked: its profile (bins), the value in SQL, and whether that can be a NaN."""

    profile: ColumnProfile
    value: str
    nan: bool


def reference_profile(relation: Relation, *, skip: Iterable[str] = (), progress: Progress = silent) -> Profile:
    """The profile of a reference: draws the bins, and counts. Raises InputError or CouldNotLook.

    Numbers and times get up to 20 bins of about as many rows each, text one bin a value up to 200 values.
    """
    names = [n for n in relation.types if n not in set(skip)]
    kinds = _kinds(relation, names)
    head = _head(relation, kinds)
    drawn = {name: _drawn(name, kinds[name], head[name]) for name in names}
    counted = count(relation, Profile(rows=0, columns=tuple(drawn.values())), progress=progress)
    again = {c.name: _relisted(relation, c) for c in counted.columns if c.kind == "category" and c.other}
    again |= _recut(relation, [c for c in counted.columns if _lopsided(c, head[c.name])])
    if not again:
        return counted
    mended = count(relation, Profile(rows=0, columns=tuple(again.values())), progress=progress)
    columns = tuple(mended.column(c.name) or c for c in counted.columns)
    return replace(counted, columns=columns)


def count(relation: Relation, reference: Profile, *, progress: Progress = silent) -> Profile:
    """The rows of a table in the bins of a reference. Raises InputError or CouldNotLook.

    Columns that it lacks are `missing`, those that hold another kind of values are counted as far as they can be read.
    """
    present = [c for c in reference.columns if c.name in relation.types]
    known = {c.name for c in reference.columns}
    asked = [_asked(c, relation) for c in present]
    rows, counted, done = 0, {}, 0
    for batch in _batches(asked, relation):
        progress(done, len(asked), "columns counted")
        rows, found = _counted(relation, batch)
        counted.update({c.name: c for c in found})
        done += len(batch)
    if not asked:
        rows = int(relation.one(["count(*)"])[0])
    progress(len(asked), len(asked), "columns counted")
    return Profile(
        rows=rows,
        columns=tuple(counted[c.name] for c in present),
        missing=tuple(c.name for c in reference.columns if c.name not in relation.types),
        added=tuple(n for n in relation.types if n not in known),
        changed=_changed(relation, present, [counted[c.name] for c in present]),
    )


def sample(
    relation: Relation,
    columns: tuple[ColumnProfile, ...],
    rows: int,
    of: int,
    seed: int,
    extra: Mapping[str, str] | None = None,
) -> tuple[Any, dict[str, Any]]:
    """About `rows` rows of `of`, each drawn by itself with a seed: a float64 matrix (n, columns), and `extra`
    expressions in SQL as arrays. All rows where there are no more than that.

    Numbers and times are as they are, text is the place of its value among the reference's from 1 (0 for another one;
    or its bucket), NaN where there is none.
    """
    np = library("numpy")
    extra = extra or {}
    parts = []
    for i, column in enumerate(columns):
        kind = "text" if column.kind in ("category", "hashed") else column.kind
        value, _ = expressions(column.name, kind, relation)
        if column.kind == "hashed":
            value = f"('0x' || substr(md5({value}), 1, 2))::INT % {BUCKETS}"
        elif column.kind == "category":
            labels = ", ".join(map(literal, column.labels))
            place = f"coalesce(list_position([{labels}]::VARCHAR[], {value}), 0)" if labels else "0"
            value = f"CASE WHEN {value} IS NOT NULL THEN {place} END"
        parts.append(f"({value})::DOUBLE AS c{i}")
    parts += [f"{value} AS x{i}" for i, value in enumerate(extra.values())]
    if not parts:
        return np.zeros((0, 0)), {}
    drawn = f" USING SAMPLE {100 * rows / of:.9f}% (bernoulli, {seed % 2**31})" if of > rows else ""
    found = relation.arrays(parts, f"rows{drawn}")
    held = [found[f"c{i}"] for i in range(len(columns))]
    filled = [c.filled(np.nan) if hasattr(c, "filled") else c for c in held]
    rows_drawn = len(next(iter(found.values())))
    matrix = np.column_stack(filled).astype(float) if filled else np.zeros((rows_drawn, 0))
    return matrix, {name: found[f"x{i}"] for i, name in enumerate(extra)}


def _kinds(relation: Relation, names: list[str]) -> dict[str, str]:
    """number, time or text for each column: by its type, of a CSV by what all its values spell."""
    kinds = {n: _kind_of(relation.types[n]) for n in names}
    if relation.text:
        for start in range(0, len(names), TEXT_COLUMNS):
            for name, facts in spelled(relation, names[start : start + TEXT_COLUMNS]).items():
                if facts.present and facts.numbers == facts.present:
                    kinds[name] = "number"
                elif facts.present and facts.times == facts.present:
                    kinds[name] = "time"
    return kinds


def is_number(sql_type: str) -> bool:
    """Whether a column of this type holds numbers."""
    return sql_type in _WHOLE or sql_type in ("FLOAT", "DOUBLE") or sql_type.startswith("DECIMAL")


def _kind_of(sql_type: str) -> str:
    if is_number(sql_type):
        return "number"
    if sql_type == "DATE" or sql_type.startswith("TIMESTAMP"):
        return "time"
    return "text"


def expressions(name: str, kind: str, relation: Relation) -> tuple[str, bool]:
    """(the value in SQL as the kind of the reference, whether it can be a NaN)."""
    c, sql_type = ident(name), relation.types[name]
    own = _kind_of(sql_type)
    if kind == "number":
        if own == "number":
            return f"{c}::DOUBLE", sql_type in ("FLOAT", "DOUBLE")
        if sql_type == "BOOLEAN":
            return f"{c}::INTEGER::DOUBLE", False
        if own == "time":
            return "NULL::DOUBLE", False
        return number(f"{c}::VARCHAR"), True
    if kind == "time":
        if own == "time":
            return f"epoch_us({c}::TIMESTAMP)::DOUBLE", False
        return ("NULL::DOUBLE" if own == "number" else f"epoch_us(TRY_CAST({c}::VARCHAR AS TIMESTAMP))::DOUBLE"), False
    if sql_type in ("FLOAT", "DOUBLE"):  # 1.0 is written 1 where the reference had text or whole numbers
        return f"CASE WHEN {c} = trunc({c}) AND abs({c}) < 1e15 THEN {c}::BIGINT::VARCHAR ELSE {c}::VARCHAR END", False
    return f"{c}::VARCHAR", False


def _head(relation: Relation, kinds: dict[str, str]) -> dict[str, Any]:
    """The first rows of every column, nulls left out, as arrays."""
    np = library("numpy")
    found: dict[str, Any] = {}
    names = list(kinds)
    for start in range(0, len(names), TEXT_COLUMNS):
        batch = names[start : start + TEXT_COLUMNS]
        parts = [f"{expressions(n, kinds[n], relation)[0]} AS c{i}" for i, n in enumerate(batch)]
        arrays = relation.arrays(parts, f"rows LIMIT {HEAD}")
        for i, name in enumerate(batch):
            values = arrays[f"c{i}"]
            found[name] = values.compressed() if isinstance(values, np.ma.MaskedArray) else values
    return found


def _drawn(name: str, kind: str, head: Any) -> ColumnProfile:
    """Bins for a column from its first values."""
    np = library("numpy")
    if kind == "text":
        labels = sorted({str(v) for v in np.asarray(head, dtype=object) if v is not None})
        if len(labels) > LABELS or len(labels) * ROWS_A_LABEL > len(head) > ROWS_A_LABEL:
            return ColumnProfile(name=name, kind="hashed")
        return ColumnProfile(name=name, kind="category", labels=tuple(labels))
    values = np.asarray(head, dtype=float)
    return ColumnProfile(name=name, kind="number" if kind == "number" else "time", edges=_edges(values))


def _edges(values: Any) -> tuple[float, ...]:
    """Up to 19 values that cut the rest into parts of about as many; of few different values each, and one just below
    the least: what lies beyond them is a bin of its own on either side, for a flag that was 0 or 1 and is 100 moved."""
    np = library("numpy")
    values = values[np.isfinite(values)]
    if not len(values):
        return ()
    distinct = np.unique(values)
    if len(distinct) <= BINS:
        least = float(distinct[0])
        below = min(
            float(np.nextafter(least, -np.inf)), least - float(np.finfo(float).tiny)
        )  # no engine flushes it to 0
        return (below, *(float(v) for v in distinct))
    cuts = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    return tuple(float(v) for v in np.unique(cuts) if v < distinct[-1])


def _relisted(relation: Relation, counted: ColumnProfile) -> ColumnProfile:
    """The labels of a column of text by all its rows, or buckets where there are too many."""
    value = expressions(counted.name, "text", relation)[0]
    query = f"SELECT DISTINCT {value} AS v FROM rows WHERE v IS NOT NULL LIMIT {LABELS + 1}"  # noqa: S608
    labels = sorted(str(r[0]) for r in relation.all(query))
    if len(labels) > LABELS:
        return ColumnProfile(name=counted.name, kind="hashed")
    return ColumnProfile(name=counted.name, kind="category", labels=tuple(labels))


def _lopsided(counted: ColumnProfile, head: Any) -> bool:
    """Whether a bin holds far more of all rows than of the first ones, that the bins were drawn from."""
    np = library("numpy")
    held = sum(counted.counts)
    if counted.kind not in ("number", "time") or not held:
        return False
    share = np.array(counted.counts) / held
    place = int(share.argmax())
    first = np.searchsorted(np.array(counted.edges), np.asarray(head, dtype=float)) == place
    foreseen = float(first.mean()) if len(first) else 0.0
    return bool(share[place] * BINS > _LOPSIDED and share[place] > _UNFORESEEN * foreseen)


def _recut(relation: Relation, lopsided: list[ColumnProfile]) -> dict[str, ColumnProfile]:
    """Edges by all rows: approximate quantiles (Dunning and Ertl 2019)."""
    np = library("numpy")
    found: dict[str, ColumnProfile] = {}
    levels = ", ".join(f"{i / BINS:.3f}" for i in range(1, BINS))
    size = TEXT_COLUMNS if relation.text else COLUMNS
    for start in range(0, len(lopsided), size):
        batch, parts = lopsided[start : start + size], []
        for column in batch:
            value, nan = expressions(column.name, column.kind, relation)
            kept = f"FILTER (NOT isnan({value}))" if nan else ""
            parts += [f"approx_quantile({value}, [{levels}]) {kept}", f"max({value}) {kept}"]
        values = relation.one(parts)
        for i, column in enumerate(batch):
            cuts, most = np.array(values[2 * i], dtype=float), values[2 * i + 1]
            edges = tuple(float(v) for v in np.unique(cuts) if np.isfinite(v) and v < most)
            found[column.name] = ColumnProfile(name=column.name, kind=column.kind, edges=edges)
    return found


def _asked(column: ColumnProfile, relation: Relation) -> _Column:
    kind = "text" if column.kind in ("category", "hashed") else column.kind
    value, nan = expressions(column.name, kind, relation)
    return _Column(column.emptied(), value, nan)


def _batches(asked: list[_Column], relation: Relation) -> Iterator[list[_Column]]:
    """The columns that one query counts. Numbers and text apart: together DuckDB keeps every row in memory."""
    if relation.text:
        groups = [asked]
    else:
        ordered = [c for c in asked if c.profile.kind in ("number", "time")]
        groups = [ordered, [c for c in asked if c.profile.kind not in ("number", "time")]]
    size = TEXT_COLUMNS if relation.text else COLUMNS
    for group in groups:
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _counted(relation: Relation, batch: list[_Column]) -> tuple[int, list[ColumnProfile]]:
    """The rows of all, and each column's counts. Its value is written once: long expressions are slow to plan."""
    parts = ["count(*)"]
    for i, column in enumerate(batch):
        parts += [_bins(column.profile, f"v{i}"), f"count(t{i})", f"count(v{i})"]
        parts.append(f"count_if(isnan(v{i}))" if column.nan else "0")
    values = [f"{c.value} AS v{i}, {ident(c.profile.name)} AS t{i}" for i, c in enumerate(batch)]
    rows, *found = relation.one(parts, f"(SELECT {', '.join(values)} FROM rows)")  # noqa: S608 - quoted by ident()
    columns = []
    for i, column in enumerate(batch):
        held, there, read, nans = found[4 * i : 4 * i + 4]
        if nans:  # where histogram() puts a NaN is nowhere written down
            value = f"CASE WHEN isnan({column.value}) THEN NULL ELSE {column.value} END"
            held = relation.one([_bins(column.profile, value)])[0]
        columns.append(_filled(relation, column, held or {}, int(rows), int(there), int(read), int(nans or 0)))
    return int(rows), columns


def _bins(profile: ColumnProfile, value: str) -> str:
    """How often which bin of a profile occurs, as a map."""
    if profile.kind == "hashed":
        return f"histogram(substr(md5({value}), 1, 2))"
    if profile.kind == "category":
        labels = ", ".join(map(literal, profile.labels))
        return f"histogram(TRY_CAST({value} AS ENUM ({labels})))" if labels else "NULL"  # a look-up; IN compares all
    return f"histogram({value}, [{', '.join(map(repr, profile.edges))}]::DOUBLE[])"


def _filled(
    relation: Relation, column: _Column, held: dict[Any, int], rows: int, there: int, read: int, nans: int
) -> ColumnProfile:
    profile = column.profile
    other = 0
    if profile.kind == "hashed":
        counts = [0] * BUCKETS
        for key, number in held.items():
            counts[int(key, 16) % BUCKETS] += int(number)
    elif profile.kind == "category":
        counts = [int(held.get(label, 0)) for label in profile.labels]
        other = read - sum(counts)
    else:
        counts = [int(held.get(edge, 0)) for edge in profile.edges]
        counts.append(read - nans - sum(counts))
    new = _new(relation, column) if other else {}
    return replace(
        profile, counts=tuple(counts), other=other, nulls=rows - there, nans=nans, unread=there - read, new=new
    )


def _new(relation: Relation, column: _Column) -> dict[str, int]:
    """The commonest values that the reference does not have."""
    labels = ", ".join(map(literal, column.profile.labels))
    unknown = f"v NOT IN ({labels})" if labels else "true"
    query = (
        f"SELECT v, count(*) AS n FROM (SELECT {column.value} AS v FROM rows) "  # noqa: S608 - quoted by literal()
        f"WHERE v IS NOT NULL AND {unknown} GROUP BY v ORDER BY n DESC, v LIMIT {NEW}"
    )
    return {str(value)[:200]: int(number) for value, number in relation.all(query)}


def _changed(relation: Relation, present: list[ColumnProfile], counted: list[ColumnProfile]) -> dict[str, str]:
    """Columns that hold another kind of values than in the reference."""
    found: dict[str, str] = {}
    for column, now in zip(present, counted, strict=True):
        sql_type, kind = relation.types[column.name], column.kind
        own = _kind_of(sql_type)
        if kind in ("number", "time") and own != kind and not relation.text and sql_type != "BOOLEAN":
            found[column.name] = f"{own} where the reference has {'numbers' if kind == 'number' else 'times'}"
        elif now.unread:
            found[column.name] = f"{now.unread} values are no {kind}"
    return found
