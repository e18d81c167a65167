"""Simple relations between columns that hold in every row and would not by chance: a <= b, a == b, a == b + c, sums."""

from __future__ import annotations

import keyword
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from assay.attacks.relations import plain
from assay.config.constraints import Constraint

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset

Array = Any
LEAST_ROWS = 100
SAMPLE = 2_000
BROKEN = 0.05  # of shuffled rows that must break a relation, or it says nothing
BUSY = 0.05  # of rows in which each term of a sum must differ from 0
MOST, MOST_COLUMNS, MOST_TERMS = 12, 200, 12


class Relation(msgspec.Struct, frozen=True):
    """A relation as `constraints:` writes it, and the share of rows that break it once columns are shuffled apart."""

    text: str
    broken: float


def usable(data: Dataset, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the columns that a relation can hold between: numbers and times that a constraint can name."""
    kinds = {c.name: c.kind for c in data.columns}
    able = ("number", "integer", "time")
    return tuple(n for n in columns if kinds[n] in able and "`" not in n and n == n.strip())


def relations(data: Dataset, columns: tuple[str, ...], seed: int = 0) -> tuple[Relation, ...]:
    """The strongest relations among these columns, the first 200 that are usable, tested on all rows; rows with a
    missing value say nothing."""
    kinds = {c.name: c.kind for c in data.columns}
    chosen = usable(data, columns)[:MOST_COLUMNS]
    if data.rows < LEAST_ROWS or len(chosen) < 2:
        return ()
    table = data.table(chosen)
    values = {n: plain(table.column(n)) for n in chosen}
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(data.rows, min(SAMPLE, data.rows), replace=False))
    found = _sums({n: v for n, v in values.items() if kinds[n] != "time"}, drawn)
    found += _orders({n: v for n, v in values.items() if kinds[n] == "time"}, drawn, rng)
    found += _orders({n: v for n, v in values.items() if kinds[n] != "time"}, drawn, rng)
    kept: list[Relation] = []
    for text in found:
        broken = _broken(Constraint(text), values, drawn, rng)
        if broken >= BROKEN and _holds(Constraint(text), values):
            kept.append(Relation(text, broken))
    return tuple(_short(kept))


def name(column: str) -> str:
    """A column's name as a constraint writes it."""
    plain_name = column.isidentifier() and column.isascii() and not keyword.iskeyword(column)
    return column if plain_name else f"`{column}`"


def _known(constraint: Constraint, values: dict[str, Array]) -> Array:
    missing = [
        np.isnat(v) if v.dtype.kind == "M" else np.isnan(v.astype(float))
        for v in (values[c] for c in constraint.columns)
    ]
    return ~np.logical_or.reduce(missing)


def _holds(constraint: Constraint, values: dict[str, Array]) -> bool:
    known = _known(constraint, values)
    return bool(known.sum() >= LEAST_ROWS and np.asarray(constraint(values), dtype=bool)[known].all())


def _broken(constraint: Constraint, values: dict[str, Array], drawn: Array, rng: Any) -> float:
    """The share of rows that break the relation where each column's values are shuffled by themselves."""
    apart = {c: values[c][drawn][rng.permutation(len(drawn))] for c in constraint.columns}
    known = _known(constraint, apart)
    holds = np.asarray(constraint(apart), dtype=bool)[known]
    return float(1 - holds.mean()) if len(holds) else 0.0


def _orders(values: dict[str, Array], drawn: Array, rng: Any) -> list[str]:
    """`a <= b` for pairs that keep it in a sample, those that would break most often first; nothing that follows."""
    names = list(values)
    sample = {n: v[drawn] for n, v in values.items()}
    shuffled = {n: v[rng.permutation(len(v))] for n, v in sample.items()}
    scored = []
    for a in names:
        for b in names:
            if a == b:
                continue
            with np.errstate(invalid="ignore"):
                if (sample[a] > sample[b]).any() or not (sample[a] < sample[b]).any():
                    continue
                score = float((shuffled[a] > shuffled[b]).mean())
            if score >= BROKEN:
                scored.append((score, a, b))
    kept = {(a, b) for _, a, b in scored}
    direct = [(s, a, b) for s, a, b in scored if not any((a, c) in kept and (c, b) in kept for c in names)]
    return [f"{name(a)} <= {name(b)}" for _, a, b in sorted(direct, reverse=True)[: 4 * MOST]]


def _sums(values: dict[str, Array], drawn: Array) -> list[str]:
    """`a == b`, `a == b + c` and `a == b + … + k` (columns side by side), found by their values in a few rows."""
    names = [n for n, v in values.items() if _busy(v[drawn])]
    known = (
        drawn[np.logical_and.reduce([np.isfinite(values[n][drawn].astype(float)) for n in names])] if names else drawn
    )
    if len(known) < 30 or len(names) < 2:
        return []
    some = known[np.argsort(-sum(np.abs(values[n][known].astype(float)) > 0 for n in names), kind="stable")[:12]]
    vectors = {n: values[n][some].astype(float) for n in names}
    of: dict[bytes, list[str]] = {}
    for n in names:
        of.setdefault(_key(vectors[n]), []).append(n)
    found = [f"{name(a)} == {name(b)}" for same in of.values() for a, b in pairwise(same)]
    for i, b in enumerate(names):
        for c in names[i + 1 :]:
            found += [
                f"{name(a)} == {name(b)} + {name(c)}"
                for a in of.get(_key(vectors[b] + vectors[c]), [])
                if a not in (b, c)
            ]
    for i in range(len(names)):
        total = vectors[names[i]]
        for j in range(i + 1, min(len(names), i + MOST_TERMS)):
            total = total + vectors[names[j]]
            terms = names[i : j + 1]
            if len(terms) > 2:
                joined = " + ".join(map(name, terms))
                found += [f"{name(a)} == {joined}" for a in of.get(_key(total), []) if a not in terms]
    return found[: 4 * MOST]


def _busy(values: Array) -> bool:
    values = values.astype(float)
    known = values[np.isfinite(values)]
    return len(known) > 0 and float((known != 0).mean()) >= BUSY and len(np.unique(known)) > 2


def _key(vector: Array) -> bytes:
    return bytes(np.round(vector, 6).tobytes())


def _short(found: list[Relation]) -> list[Relation]:
    """Equalities first, then orders that no equality says already; at most `MOST`."""
    equal = [r for r in found if "==" in r.text]
    twins = {frozenset(Constraint(r.text).columns) for r in equal}
    orders = [r for r in found if "==" not in r.text and frozenset(Constraint(r.text).columns) not in twins]
    return [*equal[:MOST], *sorted(orders, key=lambda r: -r.broken)][:MOST]
