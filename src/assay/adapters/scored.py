"""Scores with their labels, counted in bins: from one table, or from a table and labels that came later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from assay.adapters.duck import ident, literal
from assay.adapters.extras import library
from assay.adapters.relation import Relation
from assay.core.errors import InputError
from assay.core.finding import Json
from assay.core.profile import Scored
from assay.core.text import visible

DEFAULT_THRESHOLD = 0.5
BINS = 20


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """Labels that came later, joined by key: rows of all scores and of those labelled, positives, all per bin.

    `unknown` labels belong to no row of the table, `twice` keys have labels that contradict each other and are left
    out, `unlabelled` rows have none. `hint` says how the keys differ where no label belongs to any row.
    """

    edges: tuple[float, ...]
    threshold: float
    all_rows: tuple[int, ...]
    rows: tuple[int, ...]
    positives: tuple[int, ...]
    unknown: int
    twice: int
    unlabelled: int
    hint: str = ""


def scored(relation: Relation, facts: Mapping[str, Json]) -> Scored | None:
    """How a reference's scores went with its labels; None where it has not both. Raises InputError."""
    label, score = facts.get("label"), facts.get("score")
    if not label or not score:
        return None
    value, threshold = _score(relation, str(score)), _threshold(facts)
    np = library("numpy")
    sample = relation.arrays([f"{value} AS s"], "rows LIMIT 50000")["s"]
    sample = np.asarray(sample.compressed() if hasattr(sample, "compressed") else sample, dtype=float)
    sample = sample[np.isfinite(sample)]
    cuts = np.quantile(sample, np.arange(1, BINS) / BINS) if len(sample) else np.array([])
    edges = tuple(sorted({threshold, *(float(c) for c in cuts)}))
    known = f"{value} IS NOT NULL AND NOT isnan({value}) AND {ident(str(label))} IS NOT NULL"
    rows = _counts(relation, value, edges, known)
    positives = _counts(relation, value, edges, f"{known} AND {positive(str(label), facts)}")
    return Scored(edges=edges, rows=rows, positives=positives, threshold=threshold)


def score_counts(relation: Relation, score: str, edges: tuple[float, ...]) -> tuple[int, ...]:
    """Rows of a table per bin of score."""
    value = _score(relation, score)
    return _counts(relation, value, edges, f"{value} IS NOT NULL AND NOT isnan({value})")


def late(relation: Relation, labels: Relation, key: str, facts: Mapping[str, Json], bins: Scored) -> Late:
    """Join labels to the rows of `relation` by `key`; a key may come again with the same label. Raises InputError for a
    column that either lacks."""
    label = str(facts["label"])
    for table, name in ((relation, key), (labels, key)):
        if name not in table.types:
            what = f"has no column {visible(name, 60)!r} (--key)"
            raise InputError(what, where=table.where, fix="name the column that both tables share with --key")
    if label not in labels.types:
        what = f"has no column {visible(label, 60)!r}: the labels themselves are missing"
        fix = f"call the column of the labels {visible(label, 60)}, as the reference does (--label)"
        raise InputError(what, where=labels.where, fix=fix)
    k, mark = ident(key), positive(label, facts)
    told = labels.arrow(
        f"SELECT {k}::VARCHAR AS k, {mark} AS y FROM rows "  # noqa: S608 - quoted by ident()
        f"WHERE {k} IS NOT NULL AND {ident(label)} IS NOT NULL"
    )
    relation.register("labels", told)
    value = _score(relation, str(facts["score"]))
    one = "(SELECT k, any_value(y) AS y FROM labels GROUP BY k HAVING min(y) = max(y))"
    known = f"{value} IS NOT NULL AND NOT isnan({value})"
    bin_ = " + ".join(f"({value} >= {edge!r})::INT" for edge in bins.edges) or "0"
    query = (
        f"SELECT b, count(*), count(y), coalesce(sum(y::INT), 0) FROM (SELECT {bin_} AS b, l.y FROM rows r "  # noqa: S608
        f"LEFT JOIN {one} l ON r.{k}::VARCHAR = l.k WHERE {known}) GROUP BY b"
    )
    counted = {int(b): (int(n), int(m), int(p)) for b, n, m, p in relation.all(query)}
    per = [counted.get(i, (0, 0, 0)) for i in range(len(bins.edges) + 1)]
    unknown, twice = relation.all(
        f"SELECT (SELECT count(*) FROM {one} l ANTI JOIN rows r ON r.{k}::VARCHAR = l.k), "  # noqa: S608
        "(SELECT count(*) FROM (SELECT k FROM labels GROUP BY k HAVING min(y) < max(y)))"
    )[0]
    hint = "" if any(m for _, m, _ in per) else _hint(relation, labels, key)
    return Late(
        edges=bins.edges, threshold=bins.threshold, all_rows=tuple(n for n, _, _ in per),
        rows=tuple(m for _, m, _ in per), positives=tuple(p for _, _, p in per), unknown=int(unknown),
        twice=int(twice), unlabelled=sum(n - m for n, m, _ in per),
        hint=hint,
    )  # fmt: skip


def _hint(relation: Relation, labels: Relation, key: str) -> str:
    """How the keys of two tables differ that have none in common, without telling one."""
    k = ident(key)
    types = ["text" if table.types[key] == "VARCHAR" else table.types[key] for table in (relation, labels)]
    asked = {
        "as numbers they agree: one table writes 7 where the other writes 7.0 or 007": "TRY_CAST(trim({}) AS DOUBLE)",
        "without case and spaces they agree": "lower(trim({}))",
    }
    for said, how in asked.items():
        ours, theirs = how.format(f"{k}::VARCHAR"), how.format("k")
        matched = relation.all(
            f"SELECT count(*) FROM (SELECT {ours} AS v FROM rows WHERE v IS NOT NULL) a "  # noqa: S608
            f"SEMI JOIN (SELECT {theirs} AS v FROM labels) b ON a.v = b.v"
        )[0][0]
        if matched:
            return f"the keys are written otherwise ({types[0]} in the table, {types[1]} with the labels): {said}"
    if types[0] != types[1] and not (relation.text or labels.text):
        return f"the keys are of different types: {types[0]} in the table, {types[1]} with the labels"
    return "no key of the labels is in the table"


def positive(label: str, facts: Mapping[str, Json]) -> str:
    """What is true in SQL of a row with the positive label: the same value, however it is written."""
    told = facts.get("positive", 1)
    text = str(told).strip().lower()
    spelled = {text}
    if text in ("1", "1.0", "true", "yes"):
        spelled = {"1", "1.0", "true", "yes"}
    return f"lower(trim({ident(label)}::VARCHAR)) IN ({', '.join(map(literal, sorted(spelled)))})"


def _threshold(facts: Mapping[str, Json]) -> float:
    told = facts.get("threshold", DEFAULT_THRESHOLD)
    return float(told) if isinstance(told, (int, float)) else DEFAULT_THRESHOLD


def _score(relation: Relation, name: str) -> str:
    if name not in relation.types:
        raise InputError(f"has no column {visible(name, 60)!r} (score)", where=relation.where, fix="check the name")
    return f"TRY_CAST({ident(name)} AS DOUBLE)"


def _counts(relation: Relation, value: str, edges: tuple[float, ...], kept: str) -> tuple[int, ...]:
    """Rows below the first edge, from each edge on and below the next, and from the last on."""
    parts = [f"count_if({value} >= {edge!r})" for edge in edges]
    found: tuple[Any, ...] = relation.one(["count(*)", *parts], f"rows WHERE {kept}")
    above = [int(v or 0) for v in found]
    return tuple(a - b for a, b in zip(above, [*above[1:], 0], strict=True))
