"""What an evasion attack shows: the prices that the contract sets, and one row that slips past, change by change."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from assay.attacks.needs import Needs
from assay.attacks.reach import NUMBER, Reach
from assay.attacks.space import Space
from assay.core.exhibit import Step, Table, Waterfall
from assay.core.finding import Direction, Measure
from assay.core.protocols import ArrowTable, Predictor
from assay.core.text import visible
from assay.stats.classifier import ratio_interval
from assay.stats.intervals import wilson_rate

MOST_STEPS, SHOWN = 40, 40
LEAST, LEAST_CHANGES = 10, 30


def affordable(inputs: tuple[Reach, ...], found: Needs, spent: str, seed: int) -> Iterator[Measure | Table]:
    """How much of what caught rows need to slip past is permitted and paid for, and the table with the prices."""
    whole, rows = found.needed.sum(axis=1), int((found.changes > 0).sum())
    value = low = high = None
    if rows >= LEAST and found.changes.sum() >= LEAST_CHANGES:
        part = found.permitted.sum(axis=1)
        value = float(part.sum() / whole.sum())
        ends = (*ratio_interval(part, whole, seed), *wilson_rate(value, rows))  # a few rows resample too much alike
        low, high = float(min(ends)), float(max(ends))
    yield Measure(
        name="robustness.evasion.affordable_share", value=value, low=low, high=high, n=rows, seed=seed,
        unit="share", direction=Direction.HIGHER,
        method=f"needed moves that the contract permits and a budget {spent} pays for, bootstrap, Wilson",
    )  # fmt: skip
    needed, permitted = found.needed.sum(axis=0), found.permitted.sum(axis=0)
    order = sorted(range(len(inputs)), key=lambda i: (-needed[i], inputs[i].moves == "no"))
    rest = [inputs[i] for i in order[SHOWN:]]
    note = (
        "Needed: of all moves that caught rows need to slip past if everything were allowed, the share on this input. "
        "Within reach: the share of these that the contract permits and the budget pays for, the cheapest first."
    )
    if rest:
        note += f" Not shown: {len(rest)} inputs more, {sum(r.moves != 'no' for r in rest)} of which may change."
    yield Table(
        name="robustness.evasion.contract",
        title="What an attacker may change",
        subtitle=f"Each input of the model, as the feature contract has it, for a budget {spent}",
        columns=("input", "may change", "price", "the budget reaches", "needed", "within reach"),
        rows=tuple(
            (
                visible(inputs[i].name, 60), inputs[i].moves, _price(inputs[i]), _distance(inputs[i]),
                _share(needed[i], whole.sum()) if needed[i] else "never",
                _share(permitted[i], needed[i]) if needed[i] else "",
            )
            for i in order[:SHOWN]
        ),
        note=note,
    )  # fmt: skip


def _share(part: float, whole: float) -> str:
    share = float(part) / float(whole)
    return "under 0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def _price(reach: Reach) -> str:
    return "" if reach.price is None else f"{reach.price:.3g} a {reach.unit}"


def _distance(reach: Reach) -> str:
    if reach.unit in NUMBER.values():
        far = f"{reach.distance:,.0f}" if reach.distance >= 1000 else f"{reach.distance:.3g}"
        return "its whole range" if math.isinf(reach.distance) else far
    if math.isinf(reach.distance):
        return "every place"
    if reach.unit == "place":
        return f"{reach.distance:.0f} place{'' if reach.distance == 1 else 's'}"
    return "any other level" if reach.distance else "nothing"


def waterfall(predictor: Predictor, space: Space, changed: ArrowTable, row: int, *, name: str, title: str) -> Waterfall:
    """How `row` of the space becomes that row of `changed`: the score after each change, the largest drop first.

    Told as changes; the row's own values stay out of evidence.
    """
    own = space.rows.slice(row, 1)
    new = changed.slice(row, 1)
    start = float(predictor.scores(own)[0])
    left = [a for a in space.axes if own.column(a.name).to_pylist() != new.column(a.name).to_pylist()][:MOST_STEPS]
    steps, table = [], own
    while left:
        tried = [_with(table, new, axis.name) for axis in left]
        scores = [float(predictor.scores(t)[0]) for t in tried]
        best = int(np.argmin(scores))
        axis, table = left.pop(best), tried[best]
        before, after = (axis.place(t.column(axis.name).to_pylist())[0] for t in (own, new))
        steps.append(Step(label=axis.name, change=axis.change(float(before), float(after)), value=scores[best]))
    return Waterfall(
        name=name,
        title=title,
        subtitle="Its score after each change; to the left of the threshold it is not flagged",
        x_label="score",
        start_label="as it is",
        start=start,
        steps=tuple(steps),
        mark=predictor.threshold,
        mark_label=f"flagged from {predictor.threshold:g}",
        note="Told as changes; the row's own values stay out of evidence.",
    )


def _with(table: ArrowTable, new: ArrowTable, name: str) -> ArrowTable:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place), new.column(name))
