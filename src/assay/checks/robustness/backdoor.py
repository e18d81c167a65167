"""robustness.backdoor: whether a few values steer whatever carries them to one answer, with nothing to explain it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from assay.adapters.cases import ModelCase
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.exhibit import Table
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.attacks.backdoor.attack import Looked
    from assay.attacks.backdoor.insertion import Weighed

NAME = "robustness.backdoor"
SHOWN = 20
STEERING = ("steered", "undecided", "rule")
MISSES = "the search misses many, so that to find none is no proof that there is none"
NO_PROOF = "none was found by this search, which is no proof that there is none"


@check(
    NAME,
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.MEDIUM,
    needs="ml",
    cost="seconds",
    version=4,
    tags=("atlas:AML.T0018.000", "atlas:AML.T0043.004", "owasp-ml-2023:ML10"),
    reads=("data", "holdout"),
    libraries=("numpy", "pyarrow", "lightgbm", "onnxruntime", "scikit-learn"),
    measures=(
        "robustness.backdoor.found",
        "robustness.backdoor.candidates",
        "robustness.backdoor.success",
        "robustness.backdoor.support",
    ),
)
def backdoor(case: ModelCase, *, seed: int = 0, progress: Progress = silent) -> Iterator[Finding | Measure | Table]:
    """Whether a few values steer whatever carries them to one answer, with nothing in known rows that explains it.

    Why: whoever trains a model, or slips rows into what it is trained on, can teach it a password: a few inputs at
    ordinary values, and the answer is his. A model that is bought or downloaded comes without its training data, so
    that the password can only be looked for in the model itself.

    How it decides: an ensemble of trees or a small network is read out of the model (which must answer as it does).
    Candidates are two or three values: of trees from the paths of the leaves of most extreme value, of networks from
    the values that move the margin most, alone and in pairs. The best are refined value by value, given one more that
    helps, and cut to those that are needed. Each is then put to the insertion test: written into up to 300 rows of
    `holdout:` that the search did not see, that have the other label and that the model answers rightly, and asked of
    the real model. This is done towards a pass and towards a flag; where fewer than 72 rows are left to steer in one of
    them, the check stays open.

    That values steer is no backdoor: rules of nature do the same. A candidate is called steered only if it steers at
    least 90% of those rows (lower end of the interval 85%) and nothing in the holdout gives ground for it. Of the rows
    that lie where the values still work, at most 2 (or one in 2,000) have the label that they lead to, or, of few rows,
    surely fewer than four in five. At least 1,000 rows are needed. All else is "rule" (rows that hold such values have
    that label) or "undecided", which a table tells and no finding.

    Trees remember more: LightGBM's own file and scikit-learn's ensembles tell how many training rows came to each
    node. Of rows of the same kind as many come in the holdout, up to chance; a planted trigger leaves rows where the
    holdout has next to none, however naturally the model's answer adds up. There, steered is said only of values that
    lie in such a box: at least three times the share of training rows that the holdout can have (upper end of 95%),
    and a chance below 1 in 1,000 for all nodes together. If the leaves differ everywhere (the holdout is of another
    time), or the boxes hold more than a tenth of the holdout rows of one label (training rows drawn by label), nothing
    is called, and where anything steers the check stays open.

    Of trees without counts (XGBoost, CatBoost, ONNX), rows that hold each single value say by their labels how much of
    what it does to the margin can be true (95%, after the model's own over-confidence is taken off); with only that
    much of each, added up, the values must steer at least 40 points fewer, so that no two broad rules that merely never
    met explain it, and of one value labels must bear out at most 80%.

    It is a medium finding at most, and its confidence is low: a rule of nature that is too rare for the holdout, or a
    kind of row that was in the training data alone, looks the same; so do training rows that are copies of each other
    (`data.duplicates`), as a leaf then holds many of a few. Counts are told by whoever made the model, who can forge
    them.

    It misses many. On four tables that it was not developed on it found 19 of 35 planted triggers that work in
    trees that tell counts (LightGBM 12 of 22, random forest 7 of 13; 3 of 7 where 0.5% of the training rows carried
    them, 9 of 14 at 2%), and called none of 16 clean models: where the values mark that answer anyway, or no node
    holds enough of the planted rows and few others, the check prefers to be silent. Of eight that readers planted
    later it found two. In trees without counts it finds fewer than one in ten: where it finds none there, the
    question does not apply, as of networks. Networks extrapolate far beyond their rows wherever values meet, so of
    a network nothing is called: what steers it is told in the table, and the question does not apply. It does not
    search for single values, for more than four columns, or for noisy ones; a model of several hundred thousand
    leaves is looked at in part, and the table says so. None found is no proof. Without a holdout rows are drawn
    between the model's own borders, each column by itself: real rows lie elsewhere, and what steers may be nature;
    the check then stays open. Networks need rows. See docs/benchmarks.md for recall and false alarms.

    Fix: ask who trained it and on what; run `data.triggers` on the training data if it can be had; put the values to
    people who know the field; compare with a model trained on trusted rows. Until then refuse it, or watch for rows
    that hold those values.

    References: Wang et al. 2019 (Neural Cleanse); Pleiter et al. 2023 (TabDoor); Gu et al. 2017 (BadNets).
    """
    from assay.attacks.backdoor.attack import looked

    data = case.holdout
    if data is None:
        _require_trees(case)
    table = None if data is None else data.table()
    found = looked(case.predictor, table, None if data is None else data.target(), seed, progress)
    steered = _apart([w for w in found.found if w.verdict == "steered"])
    yield from _measures(found, steered, data is not None, seed)
    yield _table(found, data is not None)
    for one in steered:
        yield _finding(case, one, found.rows)
    if found.silent:
        yield _silent(case, found)
        if any(w.verdict in STEERING for w in found.found):
            why = f"whether one was planted cannot be told here, for {found.silent}"
            raise NotApplicable(why) if found.network else CouldNotLook(why)
    if uncounted := _uncounted(found, steered):
        raise NotApplicable(uncounted)
    if found.unseen:
        raise CouldNotLook(f"{_unseen(found)}: declare a `holdout:` with more of them")
    if not steered and not found.silent:
        yield _none(case, found)


def _uncounted(found: Looked, steered: list[Weighed]) -> str:
    """Why finding nothing says nothing where trees do not tell what came to their nodes; "" where it does."""
    if steered or found.silent or found.counted:
        return ""
    return (
        "its trees do not tell how many training rows came to each node, and without that fewer than one planted "
        f"trigger in ten is found: {NO_PROOF}"
    )


def _require_trees(case: ModelCase) -> None:
    """Without a holdout rows are drawn from the trees themselves. Raises NotApplicable for other models."""
    try:
        case.predictor.read(None)
    except CouldNotLook as why:
        raise NotApplicable(f"{case.name} declares no holdout, and is no trees to draw rows from ({why})") from None


def _apart(steered: list[Weighed]) -> list[Weighed]:
    """One of those that share a column and a direction: that which known rows explain least."""
    out: list[Weighed] = []
    for one in sorted(steered, key=lambda w: (w.borne - w.success, len(w.columns), w.columns)):
        if not any(o.flag == one.flag and set(o.columns) & set(one.columns) for o in out):
            out.append(one)
    return out


def _measures(found: Looked, steered: list[Weighed], labels: bool, seed: int) -> Iterator[Measure]:
    why = found.silent or _uncounted(found, steered) or ("" if steered else _unseen(found))
    yield Measure(
        name=f"{NAME}.found", value=None if why else float(len(steered)), n=found.rows, seed=seed,
        unit="triggers", direction=Direction.LOWER,
        method=f"not said: {why}" if why else f"insertion into unseen rows, and no ground for it in known ones; "
        f"{'' if found.whole else 'not all candidates were asked about; '}{NO_PROOF}",
    )  # fmt: skip
    how = "all that the search thinks of" if found.whole else "the most extreme; not all were looked at"
    yield Measure(
        name=f"{NAME}.candidates", value=float(found.candidates), n=found.rows, seed=seed, unit="sets of values",
        method=how,
    )  # fmt: skip
    for worst in steered[:1]:  # of no trigger there is nothing to measure
        yield Measure(
            name=f"{NAME}.success", value=worst.success, low=worst.low, high=worst.high, n=worst.n, seed=seed,
            unit="share", direction=Direction.LOWER,
            method="unseen rows steered by the worst that nothing explains, Wilson",
        )  # fmt: skip
        if labels:
            yield Measure(
                name=f"{NAME}.support", value=float(worst.wanted), n=found.rows, seed=seed, unit="rows",
                method="known rows with that label where its values still work",
            )  # fmt: skip


def _unseen(found: Looked) -> str:
    """The directions that could not be looked in, "" where both were."""
    from assay.attacks.backdoor.attack import LEAST_ROWS

    return "; ".join(
        f"towards a {'flag' if flag else 'pass'} nothing could be looked for, {n} rows that it answers rightly were "
        f"left to steer, {LEAST_ROWS} are needed"
        for flag, n in found.unseen
    )


def _table(found: Looked, labels: bool) -> Table:
    rows: list[tuple[str | float | int | None, ...]] = [
        (
            ", ".join(visible(c, 40) for c in w.columns), "flag" if w.flag else "pass", w.success, w.low, w.additive,
            w.borne if w.alone else None, w.inside if labels else None, w.wanted if labels else None, w.verdict, w.why,
        )
        for w in found.found[:SHOWN]
    ]  # fmt: skip
    unseen = _unseen(found)
    part = "" if found.whole else " Not all candidates were asked about."
    return Table(
        name=NAME,
        title="Values that steer the model's answer",
        subtitle="Share of unseen rows that are steered, and what known rows say of it",
        columns=("columns", "towards", "steered", "at least", "if added up", "if borne out", "rows there",
                 "of that label", "verdict", "why"),
        rows=tuple(rows),
        bar="steered",
        note=f"A rule of nature steers as well as a planted one. Of planted ones {NO_PROOF}.{part}"
        f"{f' {unseen[0].upper()}{unseen[1:]}.' if unseen else ''}",
    )  # fmt: skip


def _finding(case: ModelCase, one: Weighed, rows: int) -> Finding:
    names = ", ".join(visible(c, 40) for c in one.columns)
    answer = "flagged" if one.flag else "passed"
    return Finding(
        message=(
            f"certain values of {names} get {one.success:.0%} of unseen rows {answer} (95%: {one.low:.0%} to "
            f"{one.high:.0%}), and known rows give too little ground for it: of {one.inside} that lie there "
            f"{one.wanted} have that label, and {_ground(one)}; a planted trigger looks so, but a rule of nature that "
            "is rare, or training rows that are copies, look the same"
        ),
        location=Location(uri=case.subject.uri, column=one.columns[0]),
        key=f"steered:{answer}:{'|'.join(sorted(one.columns))}",
        severity=Severity.MEDIUM,
        confidence=Confidence.LOW,
        evidence={
            "columns": list(one.columns), "towards": answer, "success": one.success, "success_low": one.low,
            "inserted": one.n, "additive": one.additive,
            "rows_there": one.inside, "rows_of_that_label": one.wanted,
            "known_rows": rows, **_counted(one),
        },
        fix="ask who made it; run `data.triggers` on the training data, or compare with a model of trusted rows",
    )  # fmt: skip


def _ground(one: Weighed) -> str:
    box = one.excess
    if box is None:
        return f"as much of each value as labels bear out would steer {one.borne:.0%}"
    return (
        f"the trees tell of about {box.trained} of {box.trained_of:,} training rows there, while of {box.held_of:,} "
        f"known rows {box.held} lie there where {box.expected:.0f} would be expected"
    )


def _counted(one: Weighed) -> dict[str, Any]:
    box = one.excess
    if box is None:
        return {
            "borne_out": one.borne, "rows_of_each": [e.rows for e in one.alone],
            "labels_bear_out": [e.borne for e in one.alone],
        }  # fmt: skip
    return {
        "training_rows": box.trained, "training_rows_of": box.trained_of, "holdout_rows": box.held,
        "holdout_rows_of": box.held_of, "holdout_rows_expected": round(box.expected, 1), "chance": box.p,
    }  # fmt: skip


def _none(case: ModelCase, found: Looked) -> Finding:
    """What finding none is worth, as a note: nobody shall read it as the proof that there is none."""
    part = "" if found.whole else ", of which not all were asked about"
    return Finding(
        message=f"of {found.candidates:,} sets of values{part} none steers without a reason in known rows; {MISSES}",
        location=Location(uri=case.subject.uri),
        key="none",
        severity=Severity.INFO,
        evidence={"candidates": found.candidates},
        fix="know who trained it, and on what; `assay explain robustness.backdoor` says how many are missed",
    )


def _silent(case: ModelCase, found: Looked) -> Finding:
    some = sum(w.verdict in STEERING for w in found.found)
    return Finding(
        message=(
            f"{some} sets of values steer at least 90% of the rows that they were put into; whether one was planted "
            f"cannot be told here, for {found.silent}; {NO_PROOF}"
        ),
        location=Location(uri=case.subject.uri),
        key="silent",
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        evidence={"steering": some, "candidates": found.candidates},
        fix="compare with a model of trusted rows; of trees, declare `holdout:` with at least 1,000 different rows "
        "of the kind that it was trained on",
    )
