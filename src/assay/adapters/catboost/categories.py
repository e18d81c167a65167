"""Categories as CatBoost tells them apart: how values are spelled and hashed, and what its counters say of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from assay.adapters.catboost.parts import MEANS, TOTALS, Ctr, Model, Table
from assay.adapters.extras import library

_MASK = (1 << 64) - 1
_K0, _K1, _K2, _K3 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F, 0xC949D7C7509E6557
_MIX = 0x9DDFEA08EB382D69
_CELL = 0x4906BA494954CB65
_MISSING = (
    "nan", "NaN", "None", "<NA>", "", "NULL", "null", "NA", "N/A", "NaT", "none", "missing", "Missing", "MISSING",
    "unknown", "Unknown", "UNKNOWN", "__missing__", "?", "-1", "-1.0", "-999", "-9999", "other", "Other", "OTHER",
)  # fmt: skip
_WIDEST = 12  # digits that whole numbers may be filled up to


def city_hash(text: bytes) -> int:
    """CityHash64 1.0 (Google; the first version, which CatBoost keeps)."""
    n = len(text)
    if n > 64:
        return _long(text)
    if n > 32:
        return _middle(text)
    if n > 16:
        a, b = _word(text, 0) * _K1 & _MASK, _word(text, 8)
        c, d = _word(text, n - 8) * _K2 & _MASK, _word(text, n - 16) * _K0 & _MASK
        return _joined(_turn(a - b, 43) + _turn(c, 30) + d, a + _turn(b ^ _K3, 20) - c + n)
    if n > 8:
        a, b = _word(text, 0), _word(text, n - 8)
        return _joined(a, _turn(b + n, n)) ^ b
    if n >= 4:
        return _joined(n + (_word(text, 0, 4) << 3), _word(text, n - 4, 4))
    if n:
        y, z = text[0] + (text[n >> 1] << 8), n + (text[n - 1] << 2)
        return _shift((y * _K2 ^ z * _K3) & _MASK) * _K2 & _MASK
    return _K2


def _word(text: bytes, at: int, width: int = 8) -> int:
    return int.from_bytes(text[at : at + width], "little")


def _turn(value: int, by: int) -> int:
    value &= _MASK
    return (value >> by | value << (64 - by)) & _MASK


def _shift(value: int) -> int:
    return value ^ value >> 47


def _joined(low: int, high: int) -> int:
    low, high = low & _MASK, high & _MASK
    a = _shift((low ^ high) * _MIX & _MASK)
    return _shift((high ^ a) * _MIX & _MASK) * _MIX & _MASK


def _middle(text: bytes) -> int:
    n = len(text)

    def half(z: int, a: int, first: int) -> tuple[int, int]:
        b, c = _turn(a + z, 52), _turn(a, 37)
        a += _word(text, first + 8)
        c += _turn(a, 7)
        a += _word(text, first + 16)
        return (a + z) & _MASK, (b + _turn(a, 31) + c) & _MASK

    v = half(_word(text, 24), _word(text, 0) + (n + _word(text, n - 16)) * _K0, 0)
    w = half(_word(text, n - 8), _word(text, 16) + _word(text, n - 32), n - 32)
    r = _shift(((v[0] + w[1]) * _K2 + (w[0] + v[1]) * _K0) & _MASK)
    return _shift((r * _K0 + v[1]) & _MASK) * _K2 & _MASK


def _weak(text: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = (_word(text, at + 8 * i) for i in range(4))
    a = (a + w) & _MASK
    b, c = _turn(b + a + z, 21), a
    a = (a + x + y) & _MASK
    return (a + z) & _MASK, (b + _turn(a, 44) + c) & _MASK


def _long(text: bytes) -> int:
    n = len(text)
    x, y, z = _word(text, 0), _word(text, n - 16) ^ _K1, _word(text, n - 56) ^ _K0
    v, w = _weak(text, n - 64, n, y), _weak(text, n - 32, n * _K1 & _MASK, _K0)
    z = (z + _shift(v[1]) * _K1) & _MASK
    x, y = _turn(z + x, 39) * _K1 & _MASK, _turn(y, 33) * _K1 & _MASK
    for at in range(0, (n - 1) & ~63, 64):
        x = _turn(x + y + v[0] + _word(text, at + 16), 37) * _K1 & _MASK
        y = _turn(y + v[1] + _word(text, at + 48), 42) * _K1 & _MASK
        x, y, z = x ^ w[1], y ^ v[0], _turn(z ^ w[0], 33)
        v, w = _weak(text, at, v[1] * _K1 & _MASK, (x + w[0]) & _MASK), _weak(text, at + 32, (z + w[1]) & _MASK, y)
        z, x = x, z
    return _joined(_joined(v[0], w[0]) + _shift(y) * _K1 + z, _joined(v[1], w[1]) + x)


def category_hash(word: str) -> int:
    """The number by which CatBoost knows a category: 32 bits, signed."""
    low = city_hash(word.encode("utf-8", "surrogatepass")) & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low


def known_hashes(model: Model, place: int) -> set[int]:
    """The categories of a feature that the model can tell from one never seen."""
    found = set(model.categories[place].values or ())
    back = pow(
        _CELL * _CELL, -1, 1 << 64
    )  # a cell's hash is its category's times this square: odd, so it has a way back
    for ctr in model.ctrs:
        if ctr.alone == place:
            for cell in model.table(ctr).places:
                value = cell * back & _MASK
                low = value & 0xFFFFFFFF
                found.add(low - (1 << 32) if low >= 1 << 31 else low)
    return found


def counted(model: Model, ctr: Ctr, categories: Iterable[int | None]) -> Any:
    """What a counter of one category gives for each, float32 (k,); None is a category never seen."""
    return mixed(model, ctr, [tuple(categories)])


def mixed(model: Model, ctr: Ctr, axes: list[tuple[int | None, ...]]) -> Any:
    """What a counter gives for all values of all its elements together, float32 (k, l, ...).

    An axis holds the categories of an element, None for one never seen, or (0, 1) for one that asks yes or no.
    """
    np = library("numpy")
    table = model.table(ctr)
    cells, seen = np.zeros(1, dtype=np.uint64), np.ones(1, dtype=bool)
    times = np.uint64(_CELL)
    for axis in axes:
        own = np.array([0 if v is None else v & _MASK for v in axis], dtype=np.uint64)
        cells = (times * (cells[:, None] + times * own)).ravel()
        seen = (seen[:, None] & np.array([v is not None for v in axis])).ravel()
    hashes = np.array(list(table.places), dtype=np.uint64)
    order = np.argsort(hashes)
    at = np.minimum(np.searchsorted(hashes[order], cells), max(len(hashes) - 1, 0))
    rows = np.full(len(cells), -1)
    if len(hashes):
        found = seen & (hashes[order][at] == cells)
        rows[found] = np.array(list(table.places.values()))[order][at[found]]
    return _given(ctr, table, rows).reshape([len(axis) for axis in axes])


def _given(ctr: Ctr, table: Table, rows: Any) -> Any:
    """What a counter makes of rows of its table, -1 for none."""
    np = library("numpy")
    held = np.vstack([table.rows, np.zeros(table.rows.shape[1])])  # the last one is of what has no row
    found = held[rows]
    if ctr.ctr_type in MEANS:
        good, total = found[:, 0], found[:, 1]
    elif ctr.ctr_type in TOTALS:
        good, total = found[:, 0], np.full(len(found), float(table.denominator))
    elif ctr.ctr_type == "Buckets":
        good, total = found[:, ctr.target_border_idx], found.sum(axis=1)
    else:
        above = 1 if found.shape[1] == 2 else ctr.target_border_idx + 1
        good, total = found[:, above:].sum(axis=1), found.sum(axis=1)
    f = np.float32
    with np.errstate(all="ignore"):
        share = (good.astype(f) + f(ctr.prior_numerator)) / (total.astype(f) + f(ctr.prior_denomerator))
        return (share + f(ctr.shift)) * f(ctr.scale)


Spell = Callable[[Any], str]


def spellings(value: Any) -> tuple[Spell, ...]:
    """The ways in which values like this one may have been spelled in training, the likeliest first."""
    if isinstance(value, bool):
        return (lambda v: str(int(v)), str, lambda v: str(v).lower(), lambda v: str(v).upper())
    if isinstance(value, int):
        return (str, lambda v: f"{v}.0", *(lambda v, w=w: f"{v:0{w}d}" for w in range(2, _WIDEST + 1)))
    if isinstance(value, datetime):
        return (str, lambda v: str(v.date()), *(lambda v, e=e: v.isoformat() + e for e in ("", "Z", "+00:00")))
    if isinstance(value, float):
        return (str, lambda v: str(int(v)) if math.isfinite(v) and v == int(v) else str(v))
    return (str,)


def spelled_as(values: list[Any], known: set[int], told: dict[Any, set[str]]) -> Spell:
    """How the values of a column are spelled: the way that makes most of them categories that the model knows; `told`
    are the words of the file for each. Raises ValueError where it has several for one that the model tells apart."""
    ways = spellings(values[0]) if values else (str,)
    hits = [sum(category_hash(way(v)) in known for v in values) for way in ways]
    best = ways[hits.index(max(hits))]
    there = {v: [w for w in sorted(words) if category_hash(w) in known] for v, words in told.items()}
    if sum(map(bool, there.values())) <= max(hits) and all(len(words) < 2 for words in there.values()):
        return best
    if any(len(words) > 1 for words in told.values()):
        raise ValueError("several spellings")
    mine = {v: next(iter(words)) for v, words in told.items()}
    return lambda v: mine.get(v) or best(v)


def words_of(column: Any, spelled: Any) -> dict[Any, set[str]]:
    """The words (n,) of a file for each value of the column (n,) that was read from it, missing ones left out."""
    np = library("numpy")
    both = [c.combine_chunks().dictionary_encode() for c in (column, spelled)]
    values, words = (c.dictionary.to_pylist() for c in both)
    at = [c.indices.fill_null(-1).to_numpy(zero_copy_only=False) for c in both]
    found: dict[Any, set[str]] = {}
    for i, j in np.unique(np.column_stack(at), axis=0).tolist():
        if i >= 0 and j >= 0 and values[i] == values[i]:
            found.setdefault(values[i], set()).add(words[j])
    return found


def tells_all(model: Model, place: int) -> bool:
    """Whether the model knows every category of a feature that it was trained on: its counters list them."""
    return any(ctr.alone == place for ctr in model.ctrs)


def is_mixed(model: Model, place: int) -> bool:
    """Whether a counter counts a feature together with others."""
    return any(
        ctr.alone < 0 and element.combination_element == "cat_feature_value" and element.cat_feature_index == place
        for ctr in model.ctrs for element in ctr.elements
    )  # fmt: skip


def missing_as(known: set[int], there: set[str]) -> str:
    """How a missing category was spelled in training: CatBoost takes none, so somebody wrote a word for it, and none
    that is `there` as a value."""
    return next((word for word in _MISSING if category_hash(word) in known and word not in there), _MISSING[0])
