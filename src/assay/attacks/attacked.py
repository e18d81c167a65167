"""What an attack made of the rows that the model flags: how far each went, how near it cannot, and the changed rows."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.attacks.space import Array, Space
from assay.core.adversaries import Adversaries, Verdict
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor
from assay.core.subject import Norm

RELATIONS = "relations bind what may change"
"""Why holes are not planted where a change of one input asks for one of another."""
HAIR = 1e-9
"""Of a budget: by how much rounding may tell a distance that is exactly the budget as longer (.45 - .3 is not .15)."""


class Attacked(msgspec.Struct, frozen=True):
    """Per row (k,): `distance` in the norm's units, inf where nothing was found; `bound`, below which nothing passes;
    `queries` asked of the model. `table` (k rows) are the changed rows, the row as it was where nothing was found.
    `unplanted` says why the sanity test planted no hole, "" where it did."""

    distance: Array
    bound: Array
    queries: Array
    table: ArrowTable
    unplanted: str = ""

    def within(self, budget: float) -> Array:
        """Whether each row slips past within the budget (k,), bool: without a limit, where anything was found."""
        return within(self.distance, budget)

    def verdicts(self, budget: float) -> tuple[Verdict, ...]:
        """Evaded within the budget, certified that nothing is, or unknown, for each row."""
        evaded, certified = self.within(budget), (self.bound >= budget) & (self.bound > 0)
        return tuple("evaded" if e else "certified" if c else "unknown" for e, c in zip(evaded, certified, strict=True))


def within(distance: Array, budget: float) -> Array:
    """Whether each distance, inf where nothing was found, is within a budget, inf for one without limit."""
    return np.isfinite(distance) & (distance <= budget * (1 + HAIR))


def confirmed(predictor: Predictor, space: Space, found: Attacked, norm: Norm) -> Attacked:
    """Ask the real model again for every success, at its threshold, with its relations; its distance by its values.

    A success that does not hold is an error of ours: CouldNotLook, not a quieter number.
    """
    rows = np.flatnonzero(np.isfinite(found.distance))
    if not len(rows):
        return found
    table = found.table.take(rows)
    holds = ~predictor.flagged(table) & space.valid(table) & (found.distance[rows] > 0)
    holds &= np.isclose(space.price(rows, table, norm), found.distance[rows], rtol=1e-6, atol=1e-9)
    if not holds.all():
        wrong = int((~holds).sum())
        raise CouldNotLook(f"the sanity test failed: {wrong} of {len(rows)} examples do not hold on the real model")
    beaten = int((found.distance[rows] < found.bound[rows] * (1 - 1e-5)).sum())
    if beaten:
        raise CouldNotLook(f"the sanity test failed: {beaten} examples lie below what was proved to be their bound")
    return found


def adversaries(
    check: str, norm: Norm, budget: float, rows: Array, flags: Array, sample: ArrowTable, found: Attacked | None
) -> Adversaries:
    """All sampled rows (n,): those that the model flags (`flags`, bool) with what became of them; `rows` are their
    numbers. Without `found` the contract lets nothing change, so that every one is certified.
    """
    import pyarrow as pa

    caught = np.flatnonzero(flags)
    verdicts: list[Verdict] = ["misclassified"] * len(rows)
    distance, bound = np.zeros(len(rows)), np.zeros(len(rows))
    queries, valid = np.ones(len(rows), dtype=int), np.zeros(len(rows), dtype=bool)
    told: Any = ["certified"] * len(caught)
    distance[caught], bound[caught] = np.inf, np.inf
    table = sample
    if found is not None:
        told = found.verdicts(budget)
        distance[caught], bound[caught], queries[caught] = found.distance, found.bound, found.queries
        table = _replaced(sample, caught, found.table)
    for place, verdict in zip(caught.tolist(), told, strict=True):
        verdicts[place] = verdict
    valid[caught] = np.isfinite(distance[caught])
    none = pa.array(~np.isfinite(distance))
    columns = {n: pa.compute.if_else(none, pa.scalar(None, table.schema.field(n).type), table.column(n)) for n in
               table.column_names}  # fmt: skip
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.table(columns).schema) as writer:
        writer.write_table(pa.table(columns))
    return Adversaries(
        check=check, norm=norm, budget=None if np.isinf(budget) else float(budget), rows=tuple(rows.tolist()),
        verdicts=tuple(verdicts), distances=tuple(distance.tolist()), bounds=tuple(bound.tolist()),
        queries=tuple(queries.tolist()), valid=tuple(valid.tolist()), table=sink.getvalue().to_pybytes(),
    )  # fmt: skip


def _replaced(sample: ArrowTable, places: Array, changed: ArrowTable) -> ArrowTable:
    """The sample with the rows at `places` (k,) as in `changed` (k rows), which may lack columns."""
    import pyarrow as pa

    index = np.arange(sample.num_rows)
    index[places] = sample.num_rows + np.arange(len(places))
    take = pa.array(index)
    columns = {}
    for name in sample.column_names:
        column = sample.column(name)
        if name in changed.column_names:
            both = pa.chunked_array([*column.chunks, *changed.column(name).cast(column.type).chunks])
            column = both.take(take)
        columns[name] = column
    return pa.table(columns)
