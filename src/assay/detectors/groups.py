"""How groups of people are represented in a table: how many rows and positives each has, beside a reference."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from assay.adapters.encode import numbers
from assay.adapters.values import canonical_text, listed
from assay.stats.intervals import wilson_rate, z_for

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset

Array = Any
COMMON = 20
"""Rows that must share a value before it is named: what few have may be somebody's own."""
MOST_VALUES = 30
CUTS = 4
OTHER, MISSING = "(other values)", "(missing)"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group of rows: the columns and what they say, its rows, its positives (None without a label), the share of all
    rows and the rate of positives with their 95% intervals, and whether it is large enough to be judged."""

    columns: tuple[str, ...]
    name: str
    rows: int
    positives: int | None
    share: tuple[float, float, float]
    rate: tuple[float, float, float] | None
    judged: bool


class Gap(msgspec.Struct, frozen=True):
    """A group whose share differs from the reference's: the ratio of the two, with its simultaneous 95% interval."""

    group: Group
    reference: float
    ratio: float
    low: float
    high: float


def groups(
    data: Dataset,
    columns: tuple[str, ...],
    target: Array | None,
    *,
    least: int,
    least_positives: int,
    weight: Array,
    draws: float,
    like: Dataset | None = None,
) -> tuple[Group, ...]:
    """The groups that `columns` make one by one, and two by two. Shares and rates count each row with its `weight`
    (rows,); `draws` is how many independent rows the table is worth (see `draws_of`).

    Numbers are cut, and rare values told from common ones, as in the table `like` where one is given.
    """
    coded = {name: codes(data, name, like or data) for name in columns}
    found = []
    for chosen in [(n,) for n in columns] + list(combinations(columns, 2)):
        names: list[str] = [""]
        code = np.zeros(data.rows, dtype=np.int64)
        for name in chosen:
            own, labels = coded[name]
            code = code * len(labels) + own
            names = [f"{a} & {b}" if a else b for a in names for b in labels]
        rows = np.bincount(code, minlength=len(names))
        heavy = np.bincount(code, weights=weight, minlength=len(names))
        positive = np.zeros(data.rows, dtype=bool) if target is None else target
        hits = np.bincount(code[positive], minlength=len(names))
        heavy_hits = np.bincount(code[positive], weights=weight[positive], minlength=len(names))
        for place in np.flatnonzero(rows).tolist():
            n = draws * rows[place] / data.rows
            share = float(heavy[place] / weight.sum())
            rate, enough = None, n >= least
            if target is not None:
                known = float(heavy_hits[place] / heavy[place]) if heavy[place] else 0.0
                rate = (known, *wilson_rate(known, max(1.0, n))) if heavy[place] else None
                few = min(hits[place], rows[place] - hits[place])
                enough = enough and bool(few * draws / data.rows >= least_positives)
            found.append(
                Group(
                    columns=chosen, name=names[place], rows=int(rows[place]), rate=rate, judged=bool(enough),
                    positives=None if target is None else int(hits[place]),
                    share=(share, *wilson_rate(share, max(1.0, draws))),
                )
            )  # fmt: skip
    return tuple(found)


def draws_of(weight: Array, entities: Array | None) -> float:
    """How many independent rows a weighted table is worth, the rows of one entity being one draw: (Σw)² / Σw² over
    the entities (Kish 1965, ch. 11)."""
    parts = weight if entities is None else np.bincount(np.unique(entities, return_inverse=True)[1], weights=weight)
    return float(parts.sum() ** 2 / (parts**2).sum())


def codes(data: Dataset, name: str, like: Dataset) -> tuple[Array, list[str]]:
    """(a number per row, the groups' names): categories that enough rows share, numbers by quarters."""
    column, model = (table.table((name,)).column(0).combine_chunks() for table in (data, like))
    kinds = {table.column(name).kind for table in (data, like)}
    if kinds <= {"number", "integer", "time"} and len(model.unique()) > MOST_VALUES:
        values, known = numbers(column), numbers(model)
        known = known[np.isfinite(known)]
        cuts = np.unique(np.quantile(known, np.linspace(0, 1, CUTS + 1)[1:-1])) if len(known) else np.zeros(0)
        code = np.where(np.isnan(values), len(cuts) + 1, np.searchsorted(cuts, values, side="right"))
        shown = [f"{cut:g}" for cut in cuts] if "time" not in kinds else [f"cut {i}" for i, _ in enumerate(cuts, 1)]
        inside = [f"{a} to {b}" for a, b in pairwise(shown)]
        names = [f"below {shown[0]}", *inside, f"{shown[-1]} and more"] if shown else ["all"]
        return code.astype(np.int64), [*names, MISSING]
    common = _common(model)
    encoded = column.dictionary_encode()
    known_as = [common.get(canonical_text(v) or "", len(common)) for v in listed(encoded.dictionary)]
    index = encoded.indices.fill_null(len(known_as)).to_numpy(zero_copy_only=False)
    place = np.array([*known_as, len(common) + 1], dtype=np.int64)
    return place[index], [*(text[:40] for text in common), OTHER, MISSING]


def _common(column: Any) -> dict[str, int]:
    """The values that enough rows have, as text, numbered from the most common on."""
    encoded = column.dictionary_encode()
    values = [canonical_text(v) for v in listed(encoded.dictionary)]
    counts = np.bincount(encoded.indices.drop_null().to_numpy(zero_copy_only=False), minlength=len(values))
    order = [i for i in np.argsort(-counts, kind="stable")[:MOST_VALUES].tolist() if counts[i] >= COMMON]
    return {text: place for place, text in enumerate(values[i] or "" for i in order)}


def gaps(mine: tuple[Group, ...], theirs: tuple[Group, ...], draws: float, other_draws: float) -> tuple[Gap, ...]:
    """Each single-column group's share over the reference's share of the same group, smallest upper end first.

    The intervals are those of a ratio of two rates on the log scale (Katz et al. 1978), half a draw added, and hold
    together (Bonferroni over the groups). `draws` and `other_draws` are how many rows the tables are worth.
    """
    known: dict[tuple[tuple[str, ...], str], Group] = {(g.columns, g.name): g for g in theirs if len(g.columns) == 1}
    pairs = [(g, known[g.columns, g.name]) for g in mine if (g.columns, g.name) in known]
    absent = [(g.columns, g.name) for g in mine]
    gone = [g for key, g in known.items() if key not in absent]
    z = z_for(1 - 0.05 / max(1, len(pairs) + len(gone)))
    none = (0.0, *wilson_rate(0.0, max(1.0, draws)))
    found = []
    for group, reference in [
        *pairs,
        *((msgspec.structs.replace(g, rows=0, positives=None, share=none), g) for g in gone),
    ]:
        a, n = group.share[0] * draws + 0.5, draws + 1
        b, m = reference.share[0] * other_draws + 0.5, other_draws + 1
        ratio = (a / n) / (b / m)
        spread = z * math.sqrt(max(0.0, 1 / a - 1 / n + 1 / b - 1 / m))
        found.append(Gap(group, reference.share[0], ratio, ratio * math.exp(-spread), ratio * math.exp(spread)))
    return tuple(sorted(found, key=lambda g: g.high))
