"""On which rows the model before and after is measured: rows that no check looked at and nothing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from assay.adapters.weights import weights_of
from assay.core.canonical import digest_of
from assay.core.errors import CouldNotLook, InputError
from assay.core.protocols import Progress
from assay.harden.apart import LEAST_CLASS, LEAST_ROWS, also_measured, set_aside
from assay.harden.before_after import Training, compared, learned, verdict
from assay.harden.patch import Change
from assay.harden.sanitised import Measured

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset

Array = Any
_NONE = np.empty(0, dtype=int)
CAUTION = (
    "these rows were set aside before anything was looked at, so they may hold poison too: the figures say how well "
    "the model agrees with their labels, wrong ones too"
)


class Untouched(msgspec.Struct, frozen=True, kw_only=True):
    """Rows to measure on: `rows` of `table`, chosen by `rule`. `aside` are those of the sanitised table itself,
    `trusted` those of the trusted one, which checks must not see. `why` says why there are none."""

    on: Literal["holdout", "trusted", "aside", "nothing"]
    table: Any = None
    rows: Array = _NONE
    rule: str = ""
    aside: Array = _NONE
    trusted: Array = _NONE
    why: str = ""


def chosen(
    data: Dataset, holdout: Dataset | None, trusted: Dataset | None, share: float, seed: int, *, split_trusted: bool
) -> Untouched:
    """The holdout if there is one; else half of the trusted rows, where both halves are enough; else a part set aside.

    Raises CouldNotLook where a holdout is given and its labels cannot be used, InputError where it is the table itself.
    """
    if not data.label:
        return Untouched(on="nothing", why="no --label is given, so no model can be measured")
    if holdout is not None:
        if holdout.digest == data.digest:
            raise InputError("is the table itself", where=str(holdout.path), fix="name rows that are not in it")
        target = holdout.target()
        if len(target) < LEAST_ROWS or min(int(target.sum()), int((~target).sum())) < LEAST_CLASS:
            why = f"the holdout has {len(target)} rows, {int(target.sum())} of them positive: too few to tell"
            return Untouched(on="nothing", why=why)
        return Untouched(on="holdout", table=holdout, rows=np.arange(holdout.rows), rule="all of --holdout")
    try:
        if trusted is not None and split_trusted:
            half, rule = set_aside(trusted, trusted.target(), 0.5, seed)
            rest = np.setdiff1d(np.arange(trusted.rows), half)
            if len(half) and _enough(trusted.target()[rest]):
                said = f"half of --trusted, kept from the checks: {rule}"
                return Untouched(on="trusted", table=trusted, rows=half, rule=said, trusted=half)
        if share > 0:
            rows, rule = set_aside(data, data.target(), share, seed)
            if len(rows):
                return Untouched(on="aside", table=data, rows=rows, rule=rule, aside=rows)
            return Untouched(on="nothing", why=f"{rule}; give --holdout FILE")
    except CouldNotLook as why:
        return Untouched(on="nothing", why=str(why))
    return Untouched(on="nothing", why="no row was set aside: give --holdout FILE to measure on")


def _enough(target: Array) -> bool:
    """Whether checks can still use these trusted rows: data.label-flips asks for 200, 20 of each class."""
    return len(target) >= 200 and min(int(target.sum()), int((~target).sum())) >= 20


def measure(
    data: Dataset, untouched: Untouched, changes: tuple[Change, ...], down_to: float, seed: int, progress: Progress
) -> Measured:
    """The same learner before and after, on the untouched rows. Raises CouldNotLook where nothing can be learned."""
    encoded = data.encoded()
    target, weight = data.target(), weights_of(data)
    same = also_measured(data, untouched.table, untouched.rows)
    beside = np.zeros(data.rows, dtype=bool)
    beside[untouched.aside] = True
    learn = ~same & ~beside
    after_target, after_weight, kept = target.copy(), weight.copy(), learn.copy()
    for change in changes:
        if change.action == "remove":
            kept[change.row] = False
        elif change.action == "relabel":
            after_target[change.row] = not target[change.row]
        else:
            after_weight[change.row] *= down_to
    table = untouched.table
    asked = table.encoded(like=encoded).matrix[untouched.rows]
    truth = table.target()[untouched.rows]
    before, after = (
        learned(encoded, Training(np.flatnonzero(rows), t[rows], w[rows]), asked, seed, progress)
        for rows, t, w in ((learn, target, weight), (kept, after_target, after_weight))
    )
    figures = compared(before, after, truth, seed)
    return Measured(
        on=untouched.on,  # type: ignore[arg-type]
        rows=len(truth),
        positives=int(truth.sum()),
        rule=untouched.rule,
        digest=table.digest if untouched.on == "holdout" else digest_of([int(r) for r in untouched.rows]),
        left_out=int((same & ~beside).sum()),
        learned_before=int(learn.sum()),
        learned_after=int(kept.sum()),
        figures=figures,
        verdict=verdict(figures),
        caution=CAUTION if untouched.on == "aside" else "",
    )
