"""Rows that two tables share, against how often such rows repeat by nature, and how often chance makes twins."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.stats.intervals import wilson

Array = Any
DIGITS = 6
SPECIFIC, LIKELY = 3, 5
ENRICHED = 4  # copies drawn from doubled rows make 2; rows that come again by nature 7 to 37 (spambase 10, Adult 9)
BARE = 0.1
HALF = 0.4629583  # numbers of few decimals lie on 0.5 exactly, where a jitter would tip them over


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """Distinct rows of a second table (the holdout) that are also in a first one (training), and what nature explains.

    `rows` distinct rows of the second table, `shared` of them also in the first, `other_label` of those only under
    another label there (None where no label is compared). `most` is an upper bound of the share that is shared without
    a leak. `chance` is how many rows would agree by chance in their three rarest values with a row of the first table,
    `likely` how many in their five rarest: the first rather too many, the second nearer to what coarse tables share.
    `repeated` says that the first table repeats its own rows about as often as the second shares them (at most that
    often, at least half), and that the shared rows are those it repeats: so honest splits look whose second table lost
    its repeats, whatever `most` says. `bare` says that repeats inside either table explain less than a tenth of what is
    shared: so a leak between tables of unique rows looks, and so does an honest split of a table whose rows come again
    if both sides were freed of their repeats afterwards. Nothing in the tables tells the two apart: the shared rows'
    values are no commoner than others' (on spambase a shared row has the commoner values in 52 of 100 pairs).
    `first` is the first shared row (0-based) of the second table, or None.
    """

    rows: int
    shared: int
    other_label: int | None
    most: float
    chance: float
    likely: float
    repeated: bool
    bare: bool
    first: int | None


def overlap(first: Any, second: Any, label: str = "") -> Overlap:
    """Compare two Arrow tables with the same columns, of at least one row each; null equals null.

    Floats are compared at 6 significant digits, so that a jitter hides nothing. A column of numbers in one table and of
    words in the other (one bad cell is enough) is compared as text, numbers written alike. `label` names a column that
    is left out of the comparison and then asked about the shared rows.

    `most` comes from repeats inside each table, each distinct row counted once. For a table that is split
    at random, the share of the drawn rows that are in the rest bounds what a fresh holdout would share, because that
    share is concave in the size of the rest and 0 at 0 (with a draw of one row it is the coverage of Good and Turing:
    1 − rows that occur once / rows). The first table gives one bound, the second another. The lesser holds (copies made
    inside one table raise that table's only), but never less than the second's own estimate: a holdout that is merely
    more concentrated repeats its rows more.
    """
    names = [n for n in first.column_names if n != label]
    size = first.num_rows
    codes = [_codes(first.column(n), second.column(n)) for n in names]
    group = _grouped(codes)
    count = np.bincount(group[:size], minlength=group.max() + 1)
    held = np.bincount(group[size:], minlength=len(count))
    both = (count > 0) & (held > 0)
    rows, shared = int((held > 0).sum()), int(both.sum())
    places = np.flatnonzero(both[group[size:]])
    mine = repeats(count[count > 0], size, len(group) - size)
    theirs = repeats(held[held > 0], size, len(group) - size)
    other = None
    if label:
        labelled = _grouped([group, _codes(first.column(label), second.column(label))])
        agrees = np.isin(labelled[size:], labelled[:size])
        other = shared - len(np.unique(group[size:][agrees]))
    low, high = wilson(shared, rows)
    chance, likely = _chance(codes, group, size)
    return Overlap(
        rows=rows, shared=shared, other_label=other, most=max(min(mine[1], theirs[1]), theirs[0]),
        chance=chance, likely=likely, repeated=0 < mine[0] <= 2 * high and low <= mine[1] and _enriched(count, both),
        bare=max(mine[0], theirs[0]) * rows < BARE * shared, first=int(places[0]) if len(places) else None,
    )  # fmt: skip


def chance_twins(table: Any) -> float:
    """The share of distinct rows of an Arrow table that would have a twin by chance in their three rarest values.

    Columns are taken as independent. About .6 for a table of one column of distinct values, where nothing can be said.
    """
    codes = [_codes(table.column(n), table.column(n)) for n in table.column_names]
    group = _grouped(codes)
    return _chance(codes, group, table.num_rows)[0] / (int(group.max()) + 1)


def repeats(counts: Array, seen: int, drawn: int) -> tuple[float, float]:
    """(estimate, upper 95% bound) of the share of distinct rows, of `drawn` new ones, that are among `seen` others.

    `counts` is how often each distinct row of a table occurs. Of several sizes of draw the one with the least bound is
    taken. (1, 1) for a table of one row, which says nothing.
    """
    times, of = np.unique(counts, return_counts=True)
    n, repeated = int(counts.sum()), int((counts > 1).sum())
    if n < 2:
        return 1.0, 1.0
    share = 1.0
    for draw in np.unique(np.geomspace(1, max(1, min(drawn, n // 2)), 12).astype(int)):
        part = draw / n
        nowhere, only = (1 - part) ** times, part**times
        inside = float((of * (1 - nowhere - only)).sum() / (of * (1 - nowhere)).sum())
        share = min(share, inside * max(1.0, seen / (n - draw)))
    once = n - int((counts == 1).sum())
    high = wilson(once, n)[1] * max(1.0, seen / (n - 1))
    if repeated:
        high = min(high, share * wilson(repeated, len(counts))[1] * len(counts) / repeated)
    return max(0.0, float(share)), float(min(1.0, max(high, share)))


def _enriched(count: Array, shared: Array) -> bool:
    """The odds of being repeated in the first table are 4 times as high for the shared rows as for all of them.

    What comes again by nature comes again on both sides; rows copied across are a draw from all rows.
    """
    often, all_often = (count[shared] > 1), (count[count > 0] > 1)
    odds, base = often.sum() * (~all_often).sum(), (~often).sum() * all_often.sum()
    return bool(odds > ENRICHED * base)


def _chance(codes: list[Array], group: Array, size: int) -> tuple[float, float]:
    """Distinct rows of the second table that would agree by chance with one of the first: in 3 and in 5 rarest values.

    Values are taken as independent, with their shares among the *distinct* rows of the first table, and only the
    rarest of each row count: columns that follow from others (as one-hot columns do) would make every row look unique.
    """
    train = np.unique(group[:size], return_index=True)[1]
    hold = size + np.unique(group[size:], return_index=True)[1]
    rarest = np.zeros((LIKELY + 1, len(hold)))
    for code in codes:
        count = np.bincount(code[train], minlength=code.max() + 1)
        with np.errstate(divide="ignore"):
            rarest[LIKELY] = np.log(count / len(train))[code[hold]]
        rarest.sort(axis=0)
    three, five = (
        max(0.0, float(-np.expm1(-len(train) * np.exp(rarest[:n].sum(axis=0))).sum())) for n in (SPECIFIC, LIKELY)
    )
    return three, five


def _grouped(codes: list[Array]) -> Array:
    """A number from 0 per row, the same for rows that agree in every code; exact, by hashing."""
    import pyarrow as pa

    group = codes[0].astype(np.int64)
    for code in codes[1:]:
        joined = pa.array(group * (int(code.max()) + 1) + code).dictionary_encode()
        group = joined.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return group


def _codes(first: Any, second: Any) -> Array:
    """A number from 0 per value, over the rows of both columns: the same where the values are."""
    import pyarrow as pa

    types = {first.type, second.type}
    numeric = {pa.int64(), pa.float64(), pa.bool_()}
    if types <= numeric and pa.float64() in types:
        values = pa.chunked_array([_digits(_floats(first)), _digits(_floats(second))])
    elif len(types) == 1:
        values = pa.chunked_array([*first.chunks, *second.chunks], type=first.type)
    elif types <= numeric:
        values = pa.chunked_array([_floats(first), _floats(second)])
    else:
        values = pa.chunked_array([*_words(first).chunks, *_words(second).chunks], type=pa.string())
    encoded = values.dictionary_encode(null_encoding="encode")
    return np.concatenate([c.indices.to_numpy(zero_copy_only=False) for c in encoded.chunks])


def _floats(column: Any) -> Array:
    import pyarrow as pa

    column = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64, copy=False)


def _digits(values: Array) -> Array:
    """An int64 per float, the same for floats that round to the same 6 significant digits; NaN equals NaN."""
    usual = np.isfinite(values) & (np.abs(values) > 1e-300)
    x = np.where(usual, values, 1.0)
    power = np.floor(np.log10(np.abs(x)))
    digits = np.floor(np.abs(x) / 10.0 ** (power - DIGITS + 1) + HALF).astype(np.int64)
    full = digits >= 10**DIGITS  # 9.999999 rounds to 10.0000
    digits = np.where(full, 10 ** (DIGITS - 1), digits) * np.sign(x).astype(np.int64)
    key = digits * 1024 + (power + full).astype(np.int64) + 400
    special = np.where(np.isnan(values), 1, np.where(values > 1, 2, np.where(values < -1, 3, 0)))
    return np.where(usual, key, special)


def _words(column: Any) -> Any:
    """The column as text, with numbers written alike; only its distinct values are spelled out."""
    import pyarrow as pa

    parts = [chunk.dictionary_encode() for chunk in column.chunks]
    spelled = [pa.array([_word(v) for v in part.dictionary.to_pylist()], pa.string()) for part in parts]
    return pa.chunked_array([s.take(p.indices) for s, p in zip(spelled, parts, strict=True)], type=pa.string())


def _word(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return repr(float(f"{float(value):.{DIGITS - 1}e}"))
    except (TypeError, ValueError):
        return str(value)
