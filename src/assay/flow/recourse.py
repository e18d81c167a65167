"""Write to a person what they could change so that a model's decision would differ: one row of a file at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from assay.adapters.cases import ModelCase, open_model
from assay.adapters.predictor_base import BasePredictor
from assay.attacks.recourse.words import ATTACKERS, NO_PROMISE, sentence, sentences
from assay.config.manifest import DEFAULT_THRESHOLD, load_threat
from assay.core.errors import CouldNotLook, InputError, UsageError
from assay.core.finding import Json
from assay.core.protocols import ArrowTable, Progress, silent
from assay.core.subject import Contract, Kind, Subject
from assay.core.text import visible

PASSING = 300


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which model, the file whose rows are explained, and what people can change (a threat file, or assay.yaml)."""

    model: Path
    data: Path
    label: str
    rows: tuple[int, ...]
    threat: Path
    threshold: float | None = None
    positive: str = "1"
    train: Path | None = None
    drop: tuple[str, ...] = ()


class OneChange(msgspec.Struct, frozen=True, kw_only=True):
    """A column, its value as it is and as it would have to be."""

    column: str
    now: Any
    then: Any


class OneNotice(msgspec.Struct, frozen=True, kw_only=True):
    """One way: the sentence, its changes, its cost by the contract."""

    text: str
    changes: tuple[OneChange, ...]
    cost: float


class RowNotice(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of one row (counted from 0), `proved` where it is that nothing would alter the decision.

    `error` says why nothing could be told; where the model refused the row it has no `score`, and is not `flagged`.
    """

    row: int
    flagged: bool
    score: float | None
    threshold: float
    proved: bool = False
    text: tuple[str, ...] = ()
    notices: tuple[OneNotice, ...] = ()
    error: str = ""


class Notices(msgspec.Struct, frozen=True, kw_only=True):
    """All rows that were asked for, and what holds of every notice."""

    schema: str = "assay/1"
    model: str
    rows: tuple[RowNotice, ...]
    about: tuple[str, ...]


def write_notices(what: Asked, *, seed: int = 0, root: Path | None = None, progress: Progress = silent) -> Notices:
    """The notices of every row of `what.rows`; one of which nothing can be told (the model refuses it, or the search
    fails its sanity test) says why. Raises UsageError, InputError, and CouldNotLook where the model answers nothing."""
    contract = load_threat(what.threat)
    if not contract.features:
        raise UsageError("says of no column what can be changed", where=str(what.threat), fix="add `features:` to it")
    with _case(what, contract, root or Path.cwd()) as case:
        told, refused = _told(case, what, contract.of_person(), seed, progress)
    about = (NO_PROMISE,) if contract.speaks_of_people else (NO_PROMISE, ATTACKERS)
    about = (*about, f"{refused}.") if refused else about
    return Notices(model=str(what.model), rows=told, about=about)


def _case(what: Asked, contract: Contract, root: Path) -> ModelCase:
    facts: dict[str, Json] = {"label": what.label, "positive": what.positive}
    facts |= {"drop": list(what.drop)} if what.drop else {}
    declared = contract.attacker.threshold if contract.attacker.threshold is not None else DEFAULT_THRESHOLD
    options: dict[str, Json] = {"threshold": declared if what.threshold is None else what.threshold}
    subjects = {"data": Subject(name="data", kind=Kind.DATASET, uri=str(what.data), options=facts)}
    reads = {"holdout": "data"}
    if what.train is not None:
        subjects["train"] = Subject(name="train", kind=Kind.DATASET, uri=str(what.train), options=facts)
        reads["data"] = "train"
    model = Subject(name="(model)", kind=Kind.MODEL, uri=str(what.model), options=options, reads=reads)
    return open_model(model, {**subjects, model.name: model}, root, contract)


def _told(
    case: ModelCase, what: Asked, contract: Contract, seed: int, progress: Progress
) -> tuple[tuple[RowNotice, ...], str]:
    """(what is told of every row, which listed values the model refuses)."""
    import numpy as np

    from assay.attacks.accepted import accepted
    from assay.attacks.one_hot import Fold
    from assay.attacks.recourse.actions import Known

    data = case.holdout
    assert data is not None  # it was named
    data.column(what.label)  # a label that is not there would make the label an input
    table, model = data.table(), case.predictor
    if wrong := [row for row in what.rows if not 0 <= row < table.num_rows]:
        fix = f"rows count from 0 to {table.num_rows - 1}"
        raise UsageError(f"has no row {wrong[0]}", where=str(what.data), fix=fix)
    scores, refused = _scores(model, table, np.unique(what.rows))
    flagged, asked = scores >= model.threshold, ~np.isnan(scores)
    if flagged[asked].all() or not flagged.any():
        every = "no row" if not flagged.any() else "every row"
        said = f"the model flags {every} of {int(asked.sum())} at the threshold {model.threshold:g}"
        raise UsageError(said, where=str(what.data), fix="check --threshold: nobody is told of a decision that is none")
    order = np.random.default_rng(seed).permutation(np.flatnonzero(asked & ~flagged))
    kinds = {c.name: c.kind for c in data.columns}
    fold = Fold(contract, table)
    rows_known = fold.table((case.train or data).table())
    passing = fold.told(table.take(order[:PASSING]))
    possible = accepted(fold.model(model), passing, fold.contract, rows_known)
    known = Known(possible.contract, rows_known, fold.kinds(kinds), passing)
    out = []
    for done, row in enumerate(dict.fromkeys(what.rows)):
        score = None if row in refused else float(scores[row])
        one: dict[str, Any] = {
            "row": row,
            "score": score,
            "threshold": float(model.threshold),
            "flagged": bool(flagged[row]),
        }
        try:
            if row in refused:
                raise CouldNotLook(refused[row])
            out.append(_row(fold.model(model), fold.table(table.slice(row, 1)), known, one, seed))
        except CouldNotLook as why:
            out.append(RowNotice(error=visible(str(why), 600), **one))
        progress(done + 1, len(what.rows), "rows")
    return tuple(out), possible.said


def _scores(model: BasePredictor, table: ArrowTable, rows: Any) -> tuple[Any, dict[int, str]]:
    """The score of every row (n,), and why the model refused some of `rows`. Where it refuses any, rows that hold a
    missing or infinite number are asked one by one if they are `rows`, and are NaN else: another person's gap must not
    cost this one the answer."""
    import numpy as np

    from assay.adapters.encode import encode

    try:
        return model.scores(table), {}
    except (InputError, CouldNotLook):
        whole = np.isfinite(encode(table.select(list(model.features)), (), {}).matrix).all(axis=1)
        if whole.all():
            raise
    scores, refused = np.full(table.num_rows, np.nan), dict[int, str]()
    scores[whole] = model.scores(table.filter(whole))
    for row in rows[~whole[rows]].tolist():
        try:
            scores[row] = model.scores(table.slice(row, 1))[0]
        except (InputError, CouldNotLook) as why:
            refused[row] = str(why)
    return scores, refused


def _row(model: BasePredictor, row: ArrowTable, known: Any, one: dict[str, Any], seed: int) -> RowNotice:
    from assay.attacks.recourse.notices import notices

    if not one["flagged"]:
        return RowNotice(text=("It is not flagged: there is no decision to alter.",), **one)
    told = notices(model, row, known, seed)
    made = tuple(
        OneNotice(
            text=sentence(notice), cost=notice.cost,
            changes=tuple(OneChange(column=c.column, now=c.old, then=c.new) for c in notice.changes),
        )
        for notice in told.notices
    )  # fmt: skip
    return RowNotice(proved=told.proved, text=tuple(sentences(told)), notices=made, **one)
