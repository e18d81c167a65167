"""Rows that two tables share, against how often such rows repeat by nature, and how often chance makes twins."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.core.finding import Severity
from assay.detectors.rows import codes, grouped, times_copied
from assay.stats.intervals import wilson

Array = Any
# Rows that repeat by nature share up to 7% (spambase); copying the rarer class for balance shares 15% and more.
REPEATED = 0.1
# Of the rows that honest splits of coarse tables share, chance (`likely`) explains .6 to .75 (Adult .72).
CERTAIN, EXPLAINED = 1 / 3, 1 / 2
SPECIFIC, LIKELY = 3, 5
ENRICHED = 4  # copies drawn from doubled rows make 2; rows that come again by nature 7 to 37 (spambase 10, Adult 9)
BARE = 0.1
# Round figures; 8 blocks and nine in ten were set with 40 draws of small surveys at hand, not on data kept apart.
BLOCKS = 8
ALMOST_ALL = 0.9


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
    `specific` says that rows are too specific for chance even if columns depend on each other: see `_specific`. `least`
    is `most` without what only the second table's repeats explain: a first table that lost its repeats looks so, and a
    leak whose rows were copied inside the second.
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
    specific: bool
    least: float
    first: int | None


def overlap(first: Any, second: Any, label: str = "") -> Overlap:
    """Compare two Arrow tables with the same columns, of at least one row each; null equals null.

    Floats are compared at 6 significant digits, so that a jitter hides nothing. A column of numbers in one table and of
    words in the other (one bad cell is enough) is compared as text, numbers written alike. `label` names a column that
    is left out of the comparison and then asked about the shared rows.

    `most` comes from repeats inside each table, each distinct row counted once. For a table that is split at random,
    the share of the drawn rows that are in the rest bounds what a fresh holdout would share, because that share is
    concave in the size of the rest and 0 at 0 (with a draw of one row it is the coverage of Good and Turing: 1 −
    rows that occur once / rows). The first table gives one bound, the second another. The lesser holds (copies made
    inside one table raise that table's only), but never less than the second's own estimate where the shared rows
    are those that the second repeats (or nearly all are shared, when nobody can tell): a holdout that is merely
    more concentrated repeats its rows more. Copies of the whole of a table are taken for one (`times_copied`), so
    that copying either side k times moves nothing; nor do copies that fall on all rows of the second alike, because
    they do not fall on the shared ones.
    """
    names = [n for n in first.column_names if n != label]
    size = first.num_rows
    columns = [codes(first.column(n), second.column(n)) for n in names]
    group = grouped(columns)
    count = _once(np.bincount(group[:size], minlength=group.max() + 1))
    held = _once(np.bincount(group[size:], minlength=len(count)))
    both = (count > 0) & (held > 0)
    rows, shared = int((held > 0).sum()), int(both.sum())
    places = np.flatnonzero(both[group[size:]])
    mine = repeats(count[count > 0], int(count.sum()), int(held.sum()))
    theirs = repeats(held[held > 0], int(count.sum()), int(held.sum()))
    other = None
    if label:
        labelled = grouped([group, codes(first.column(label), second.column(label))])
        agrees = np.isin(labelled[size:], labelled[:size])
        other = shared - len(np.unique(group[size:][agrees]))
    low, high = wilson(shared, rows)
    chance, likely = _chance(columns, group, size)
    least, enriched = min(mine[1], theirs[1]), _enriched(count, both)
    told = shared < ALMOST_ALL * rows  # else there are no other rows to be enriched against
    most = least if told and not _enriched(held, both) else max(least, theirs[0])
    bare = max(mine[0], theirs[0]) * rows < BARE * shared
    return Overlap(
        rows=rows, shared=shared, other_label=other, most=most, chance=chance, likely=likely,
        repeated=0 < mine[0] <= 2 * high and low <= mine[1] and enriched, bare=bare,
        specific=not bare or _specific(columns, group, size, shared / rows),
        least=least if told and not enriched else most,
        first=int(places[0]) if len(places) else None,
    )  # fmt: skip


def chance_twins(table: Any) -> float:
    """The share of distinct rows of an Arrow table that would have a twin by chance in their three rarest values.

    Columns are taken as independent. About .6 for a table of one column of distinct values, where nothing can be said.
    """
    columns = [codes(table.column(n), table.column(n)) for n in table.column_names]
    group = grouped(columns)
    return _chance(columns, group, table.num_rows)[0] / (int(group.max()) + 1)


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


def _once(count: Array) -> Array:
    """How often each row occurs, copies of the whole table taken for one."""
    return -(-count // times_copied(count[count > 0]))


def _specific(columns: list[Array], group: Array, size: int, shared: float) -> bool:
    """Whether rows are too specific to agree by chance, however much the columns depend on each other.

    So it is where a column of the first table is almost all different, or where few rows (fewer than a tenth of the
    `shared` share) become the same as another row of that table once an eighth of the columns (at least one) is left
    out, whichever eighth: coarse answers that go together have many such neighbours, measured values none.
    """
    rows = np.unique(group[:size], return_index=True)[1]
    parts = [np.unique(code[rows], return_inverse=True)[1].ravel() for code in columns]
    if any(part.max() + 1 >= ALMOST_ALL * len(rows) for part in parts) and len(rows) > 1:
        return True
    if len(columns) < 2:
        return False
    rng = np.random.default_rng(0)
    keys = [rng.integers(0, 2**63, int(part.max()) + 1, dtype=np.uint64)[part] for part in parts]
    total = np.sum(keys, axis=0, dtype=np.uint64)
    near = np.zeros(len(rows), dtype=bool)
    for block in np.array_split(np.arange(len(keys)), min(BLOCKS, len(keys))):
        rest = total - np.sum([keys[i] for i in block], axis=0, dtype=np.uint64)
        _, inverse, times = np.unique(rest, return_inverse=True, return_counts=True)
        near |= times[inverse.ravel()] > 1
    return bool(near.mean() < BARE * shared)


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


def beyond(found: Overlap, tolerance: float) -> bool:
    """Whether more is shared than repeats inside the two tables explain."""
    return wilson(found.shared, found.rows)[0] > found.most + tolerance


def judge(found: Overlap, tolerance: float = 0.002) -> Severity | None:
    """How bad what two tables share is: high, medium, or None where nature or chance explain it."""
    low, _ = wilson(found.shared, found.rows)
    if beyond(found, tolerance):
        if not found.repeated and found.specific and found.likely < CERTAIN * found.shared:
            return Severity.HIGH
        return Severity.MEDIUM if found.likely < EXPLAINED * found.shared else None
    if low > found.least + tolerance:
        return Severity.MEDIUM if found.likely < EXPLAINED * found.shared else None
    return Severity.MEDIUM if low > REPEATED + found.chance / found.rows / REPEATED else None
