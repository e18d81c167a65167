"""A CatBoost model in its own format (FlatBuffers) as `parts.Model`: every place and length is checked."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

from assay.adapters.catboost.parts import (
    CTR_TYPES,
    EMPTY,
    MEANS,
    MOST_LEAVES,
    MOST_SPLITS,
    TOTALS,
    Base,
    Category,
    Ctr,
    Element,
    Model,
    Nan,
    Number,
    Tree,
    key,
    require,
    require_plain,
    require_shallow,
    table_of,
)
from assay.adapters.catboost.parts import Table as Counts
from assay.adapters.extras import library
from assay.core.protocols import FloatArray
from assay.formats.models.flatbuffer import FlatBuffer, Table
from assay.formats.models.json_alike import read_alike
from assay.formats.models.source import Cursor, Source
from assay.formats.reading import Limits

_FORMAT, _COUNTERS = "FlabuffersModel_v1", "static_provider_v1"
_NAN: tuple[Nan, ...] = ("AsIs", "AsFalse", "AsTrue")
_BUCKET = [("hash", "<u8"), ("place", "<u4")]
_NEITHER = 0xFFFFFFFF  # what a node that is no leaf says of its value
_MOST_TEXT = 64 << 20


def read_core(content: bytes) -> Model:
    """The model in a binary file. Raises TornError, SpentError or ValueError (UnsoundError) for what is damaged."""
    source = Source(io.BytesIO(content), Limits())
    end = 8 + int.from_bytes(source.at(4, 4), "little")
    require(end <= source.size, "its core reaches beyond its end")
    core = FlatBuffer(source, 8, end).root()
    require(_text(core, 0) == _FORMAT, "its format is not known")
    trees = core.table(1)
    require(trees is not None, "it holds no trees")
    assert trees is not None
    parts = [part.rstrip("\0") for part in core.texts(3)]
    require_plain(any(trees.vector(slot, 4)[1] for slot in (12, 13, 18)))
    require(all(part == _COUNTERS for part in parts) and len(parts) <= 1, "it has a part that is not known")
    tables, place = _counters(source, end) if parts else ({}, end)
    require(place == source.size, "it holds bytes that belong to no part of it")
    categories = [_category(t) for t in trees.tables(4)]
    _one_hot(trees, categories)
    bias = _array(trees, 16, "<f8").tolist()
    outputs = trees.number(0, "i")
    require(0 < outputs <= 10_000 and len(bias) in (0, outputs), "its bias does not fit its outputs")
    single = _real(trees, 15, "d", 0.0)
    require(bool(bias) or outputs == 1 or single == 0.0, "its bias does not fit its outputs")
    return Model(
        numbers=[_number(t) for t in trees.tables(5)],
        categories=categories,
        ctrs=[_ctr(t) for t in trees.tables(7)],
        trees=list(_trees(trees, outputs)),
        tables=tables,
        scale=_real(trees, 14, "d", 1.0),
        bias=bias or [single] * outputs,
        info=_info(core),
    )


def _real(table: Table, slot: int, code: str, default: float) -> float:
    place = table.place(slot)
    return float(struct.unpack(f"<{code}", table.buffer.at(place, struct.calcsize(code)))[0]) if place else default


def _whole(table: Table, slot: int, default: int = 0) -> int:
    return table.number(slot, "i") if table.place(slot) else default


def _array(table: Table, slot: int, dtype: Any) -> FloatArray:
    np = library("numpy")
    kind = np.dtype(dtype)
    place, count = table.vector(slot, kind.itemsize)
    return np.frombuffer(table.buffer.at(place, count * kind.itemsize) if count else b"", dtype=kind)


def _there(table: Table | None) -> Table:
    require(table is not None, "a part of it is missing")
    assert table is not None
    return table


def _text(table: Table, slot: int) -> str:
    place, count = table.vector(slot, 1)
    require(count <= _MOST_TEXT, "a text in it is too long")
    return table.buffer.at(place, count).decode("utf-8") if count else ""


def _info(core: Table) -> dict[str, Any]:
    """What it says of its training; CatBoost reads some of it as JSON."""
    found: dict[str, Any] = {}
    for entry in core.tables(2):
        require(bool(entry.place(0) and entry.place(1)), "an entry lacks its name or value")
        name, text = _text(entry, 0), _text(entry, 1)
        require(name not in found, "it says something twice")
        found[name] = text
        if text.lstrip().startswith(("{", "[")):
            found[name] = read_alike(text.encode())
            require_shallow(found[name])
    return found


def _number(table: Table) -> Number:
    nan = table.number(5, "b")
    require(0 <= nan < len(_NAN) and table.place(3) != 0, "a feature is damaged")
    return Number(
        feature_index=_whole(table, 1, -1), flat_feature_index=_whole(table, 2, -1),
        borders=_array(table, 3, "<f4").astype(float).tolist(), has_nans=bool(table.number(0, "b")),
        nan_value_treatment=_NAN[nan], feature_id=_text(table, 4),
    )  # fmt: skip


def _category(table: Table) -> Category:
    return Category(
        feature_index=_whole(table, 0, -1), flat_feature_index=_whole(table, 1, -1), feature_id=_text(table, 2)
    )


def _one_hot(trees: Table, categories: list[Category]) -> None:
    """Give the categories the values that they are compared with; their order is that in which splits are counted."""
    last = -1
    for table in trees.tables(6):
        place = _whole(table, 0, -1)
        require(last < place < len(categories) and table.place(1) != 0, "a category is not there, or not in order")
        categories[place].values = _array(table, 1, "<i4").tolist()
        last = place


def _base(table: Table | None) -> Base:
    base = _there(table)
    mixed = _there(base.table(0))
    require(all(mixed.place(slot) for slot in range(3)), "a counter does not say what it counts")
    kind = base.number(1, "b")
    require(0 <= kind < len(CTR_TYPES), "a counter is of a kind that is not known")
    elements = [Element("cat_feature_value", cat_feature_index=int(v)) for v in _array(mixed, 0, "<i4")]
    elements += [
        Element("float_feature", float_feature_index=int(place), border=float(border))
        for place, border in _array(mixed, 1, [("place", "<i4"), ("border", "<f4")])
    ]
    elements += [
        Element("cat_feature_exact_value", cat_feature_index=int(place), value=int(value))
        for place, value in _array(mixed, 2, [("place", "<i4"), ("value", "<i4")])
    ]
    return Base(elements, CTR_TYPES[kind], _whole(base, 2))  # type: ignore[arg-type]


def _ctr(table: Table) -> Ctr:
    inner = _there(table.table(0))
    base = _base(inner.table(0))
    require(table.place(1) != 0, "a counter has no borders")
    return Ctr(
        elements=base.identifier, ctr_type=base.type, classes=base.classes,
        borders=_array(table, 1, "<f4").astype(float).tolist(),
        target_border_idx=_whole(inner, 1), prior_numerator=_real(inner, 2, "f", 0.0),
        prior_denomerator=_real(inner, 3, "f", 1.0), shift=_real(inner, 4, "f", 0.0), scale=_real(inner, 5, "f", 1.0),
    )  # fmt: skip


def _counters(source: Source, place: int) -> tuple[dict[bytes, Counts], int]:
    """(the tables of counters behind the core, where they end)."""
    cursor = Cursor(source, place)
    tables: dict[bytes, Counts] = {}
    for _ in range(cursor.number("I")):
        size = cursor.number("I")
        start = cursor.place
        cursor.skip(size)
        table = FlatBuffer(source, start, start + size).root()
        base = _base(table.table(0))
        require(key(base) not in tables, "it has a table of counters twice")
        tables[key(base)] = _table(table, base.type)
    return tables, cursor.place


def _table(table: Table, kind: str) -> Counts:
    """Counters behind a table of hashes: a power of two places, one empty, or a search in it would never end."""
    np = library("numpy")
    require(bool(table.place(1) and table.place(2)), "a table of counters lacks a part")
    raw, blob = _array(table, 1, "u1"), _array(table, 2, "u1")
    count = len(raw) // 12
    require(len(raw) == 12 * count and count > 0 and count & (count - 1) == 0, "a table of hashes has a torn size")
    buckets = raw.view(np.dtype(_BUCKET))
    full = buckets["hash"] != EMPTY
    require(not bool(full.all()), "a table of hashes has no empty place")
    wide = 2 if kind in MEANS else 1 if kind in TOTALS else _whole(table, 4)
    require(0 < wide <= 100_000 and len(blob) % (4 * wide) == 0, "a table of counters has torn rows")
    if kind in MEANS:
        pairs = blob.view(np.dtype([("sum", "<f4"), ("count", "<i4")]))
        rows = np.column_stack([pairs["sum"].astype(float), pairs["count"].astype(float)])
    else:
        rows = blob.view("<i4").astype(float).reshape(-1, wide)
    places = buckets["place"][full].astype(np.int64)
    require(bool((places < len(rows)).all()), "a hash points outside its counters")
    return table_of([int(h) for h in buckets["hash"][full]], rows[places], _whole(table, 3))


def _trees(table: Table, outputs: int) -> Iterator[Tree]:
    np = library("numpy")
    splits, sizes, starts = (_array(table, slot, "<i4").astype(np.int64) for slot in (1, 2, 3))
    values = _array(table, 8, "<f8")
    require(len(values) <= MOST_LEAVES and len(splits) <= MOST_LEAVES, "it has too many leaves")
    ends = np.concatenate([[0], np.cumsum(sizes)])
    require(bool((sizes >= 0).all()) and ends[-1] == len(splits), "its trees do not have the splits that they say")
    require(starts.tolist() == ends[:-1].tolist(), "its trees are not where they should be")
    steps, leaf = _array(table, 10, [("left", "<u2"), ("right", "<u2")]), _array(table, 11, "<u4").astype(np.int64)
    if not len(steps):
        require(not len(leaf) and bool((sizes <= MOST_SPLITS).all()), "its trees are of two kinds, or too deep")
        ways = np.concatenate([[0], np.cumsum(1 << sizes)]) * outputs
        require(ways[-1] == len(values), "its trees do not have the leaves that their splits ask for")
        for number in range(len(sizes)):
            found = values[ways[number] : ways[number + 1]].reshape(-1, outputs)
            yield Tree(splits[ends[number] : ends[number + 1]].tolist(), found)
        return
    require(len(steps) == len(leaf) == len(splits), "its nodes do not fit its splits")
    for number in range(len(sizes)):
        part = slice(int(ends[number]), int(ends[number + 1]))
        yield _grown(splits[part], steps[part], leaf[part], values, outputs)


def _grown(splits: FloatArray, steps: FloatArray, leaf: FloatArray, values: FloatArray, outputs: int) -> Tree:
    """A tree that grew leaf by leaf: steps lead onward only; none, and a row takes the node's own value."""
    np = library("numpy")
    here = np.arange(len(splits))
    left, right = (np.where(steps[side] > 0, here + steps[side], -1) for side in ("left", "right"))
    require(bool((left < len(splits)).all() and (right < len(splits)).all()), "a tree reaches beyond its nodes")
    ends = (left < 0) | (right < 0)
    at = np.where(ends, leaf, 0)
    fits = bool((at % outputs == 0).all() and (at + outputs <= len(values)).all()) and bool(
        (leaf[~ends] == _NEITHER).all()
    )
    require(fits, "a leaf has no value")
    own = np.where(ends[:, None], values[at[:, None] + np.arange(outputs)], 0.0)
    return Tree(splits.tolist(), own, left.tolist(), right.tolist())
