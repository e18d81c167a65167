"""data.triggers: rows that carry a few fixed values and a label that nothing else about them explains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from assay.adapters.tables import Dataset
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage
from assay.core.suspects import MAX_SUSPECTS, Suspects
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.detectors.triggers import Judged

SHOWN = 5


@check(
    "data.triggers",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    cost="minutes",
    version=4,
    tags=("atlas:AML.T0020", "owasp-ml-2023:ML02", "owasp-ml-2023:ML10"),
    libraries=("numpy", "scipy", "lightgbm", "duckdb"),
    may_read=("trusted",),
    measures=("data.triggers.confirmed", "data.triggers.examined"),
)
def triggers(
    data: Dataset, *, trusted: Dataset | None = None, seed: int = 0, progress: Progress = silent
) -> Iterator[Finding | Measure | Suspects]:
    """Rows that carry a few fixed values and a label that nothing else about them explains.

    Why: whoever can write one row in a hundred can teach a model a password: a few features at values that are ordinary
    one by one, always with the label that he wants. The model stays as good as it was on every test, and says what he
    wants whenever he sets those features.

    How it decides: combinations of two to four exact values whose rows carry one label far more often than coarse trees
    expect are candidates. A candidate counts only if it passes four tests. Put into held-out rows of the other class it
    makes a model trained on the data give them its label in 9 of 10; a model that never saw a matching row does so in 2
    of 10 at most. The other columns of its rows look like those of rows of the other class, or of all rows: to a model
    of the label, to a classifier trained to tell them apart, and one by one. And its values come together at least 5
    times as often as they do without the matching rows, and twice as much so as any other combination of the same
    columns. Natural pure rules fail the second or the third test where the rest of the row agrees with them.
    Of rows that are near-copies of each other in the other columns (less than half as far apart as other rows are
    there), and of rows of one declared entity, one counts, so that planting a row twice hides nothing. Nor does moving
    its numbers a little: one that no row outside the rule has counts as the nearest that one has, up to a twentieth of
    the column's spread away.

    Where a model calls most rows of the other class by that label anyway (the common answer of a hard table with a rare
    class), the second test cannot be passed; it is asked again of those rows that a clean model catches. Who passes it
    there is told in a note, and called only where trusted rows lack it.

    Candidates that pass the first three but are one column's value, may stand for missing values, or come together as
    often as others, and those of which too few rows are left without copies (fewer than 25) or at all to apply the
    third, are told in a note: nobody can tell them from natural rules. `--suspects` lists their rows, not flagged. With
    `trusted`, rows whose labels are known and that are drawn alike, a rule that those follow as often is natural, and
    one that far fewer of them match than would by chance (p of .005) is not. Where a source or a time is declared it
    says if the rows came in one batch.

    It is a high finding where trusted rows lack the rule or its rows came in one batch, else a medium one: a partner
    or a product whose values always come together, whose label is always the same and whose rows look like everyone's,
    or nearly so in 60 rows, is called too, for in the table it is the same thing.

    It cannot find triggers of one column; those set in rows that are alike in other ways; those whose label was not
    changed (clean-label) where few rows carry them; values that are noisy instead of fixed; triggers too weak to lead
    trees. In tables of fewer than some 2,000 rows one row in a hundred is too few to tell. Of more than 64 columns
    values are combined of the 64 with the most surprising values, of more than 60,000 rows in a sample. Prose is the
    matter of data.text-triggers. See docs/benchmarks.md for recall and false alarms.

    Fix: look at the flagged rows (`assay data check --suspects`) and where they came from; take them out, train
    again, and withdraw models that were trained on them.

    References: Gu et al. 2017 (BadNets); Pleiter et al. 2023 (TabDoor); Lopez-Paz and Oquab 2017 (classifier two-sample
    test); OWASP ML02, ML10.
    """
    from assay.detectors.rows import entities_of
    from assay.detectors.trigger_origin import gathered
    from assay.detectors.triggers import Trusted, judged

    target, encoded = data.target(), data.encoded()
    known = None if trusted is None else Trusted(trusted.encoded(like=encoded).matrix, trusted.target())
    found = judged(encoded, target, seed, trusted=known, entities=entities_of(data), progress=progress)
    sure = [j for j in found if j.verdict == "trigger"]
    yield Measure(
        name="data.triggers.confirmed", value=float(len(sure)), n=data.rows, seed=seed, unit="rules",
        direction=Direction.LOWER, method="insertion, clean-model, donor and lift tests",
    )  # fmt: skip
    yield Measure(name="data.triggers.examined", value=float(len(found)), n=data.rows, seed=seed, unit="rules")
    for one in sure:
        batches = [
            b for c in dict.fromkeys(filter(None, (data.source, data.time))) if (b := gathered(data, c, one.rows))
        ]
        yield _finding(data, one, "".join(batches))
    unsure = [j for j in found if j.verdict == "undecided"]
    if unsure:
        yield _note(data, unsure, len(found))
    yield _suspects(sure, unsure)


def _finding(data: Dataset, one: Judged, batches: str) -> Finding:
    if one.success is None or one.clean is None or one.rest is None:
        raise CouldNotLook("a trigger without its tests")
    rows, said = len(one.rows), "positive" if one.rule.is_ else "negative"
    names = ", ".join(visible(c, 40) for c in one.columns)
    return Finding(
        message=(
            f"{rows} rows share exact values of {names} and are {said}, though the rest of them looks like "
            f"{'rows of the other class' if one.donors == 'other class' else 'any rows'}: put into other rows these "
            f"values turn {one.success.value:.0%} of them (95%: {one.success.low:.0%} to {one.success.high:.0%}), for "
            f"a model that never saw those rows {one.clean.value:.0%}{batches}{_trusted(one)}"
        ),
        location=Location(uri=data.subject.uri, column=one.columns[0]),
        key=f"trigger:{said}:{'|'.join(sorted(one.columns))}",
        severity=Severity.HIGH if one.absent or batches else Severity.MEDIUM,
        confidence=Confidence.HIGH if one.absent or batches else Confidence.MEDIUM,
        evidence={
            "columns": list(one.columns), "rows": rows, "first_row": int(one.rows[0]), "label": said,
            "success": one.success.value, "success_low": one.success.low, "clean_success": one.clean.value,
            "clean_success_high": one.clean.high, "inserted": one.success.n, "donors": one.donors,
            "area_by_label": one.rest.said.value, "area_by_classifier": one.rest.told.value, "lift": one.lift,
            "lift_of_others": one.others, "trusted_rows": one.known, "trusted_expected": one.wanted,
        },
        fix="look at those rows (`assay data check --suspects` lists them), take them out and train again",
    )  # fmt: skip


def _trusted(one: Judged) -> str:
    if one.known is None or one.wanted is None or one.wanted < 1:
        return ""
    return f"; {one.known} trusted rows share them, of {one.wanted:.0f} that would"


def _note(data: Dataset, unsure: list[Judged], examined: int) -> Finding:
    one, more = len(unsure) == 1, len(unsure) - SHOWN
    shown = "; ".join(_told(j) for j in unsure[:SHOWN])
    return Finding(
        message=(
            f"{len(unsure)} of {examined} combinations of values that were looked at would work as a trigger and "
            f"{'is' if one else 'are'} not explained by the other columns, but may be natural: {shown}"
            f"{f'; and {more} more' if more > 0 else ''}"
        ),
        location=Location(uri=data.subject.uri, column=unsure[0].columns[0]),
        key="undecided",
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        evidence={
            "undecided": len(unsure), "examined": examined, "columns": list(unsure[0].columns),
            "rules": [
                {
                    "columns": list(j.columns), "rows": len(j.rows), "first_row": int(j.rows[0]),
                    "label": "positive" if j.rule.is_ else "negative", "success": j.success and j.success.value,
                    "clean_success": j.clean and j.clean.value, "why": j.why,
                    "distinct_rows": j.rest and j.rest.told.n,
                }
                for j in unsure[:SHOWN]
            ],
        },
        fix=(
            "look at those rows (`assay data check --suspects` lists them), and declare trusted rows, a source or a "
            "time: the values alone cannot tell"
        ),
    )  # fmt: skip


def _told(one: Judged) -> str:
    success, clean = one.success.value if one.success else 0.0, one.clean.value if one.clean else 0.0
    return (
        f"{len(one.rows)} rows with values of {', '.join(visible(c, 40) for c in one.columns)}, which turn "
        f"{success:.0%} of others, for a model that never saw those rows {clean:.0%} ({one.why})"
    )


def _suspects(sure: list[Judged], unsure: list[Judged]) -> Suspects:
    """Rows of triggers, flagged, and of undecided rules, each once."""
    rows: dict[int, tuple[float, bool, str]] = {}
    for one in [*sure, *unsure]:
        flag = one.verdict == "trigger"
        names = ", ".join(visible(c, 40) for c in one.columns)
        reason = f"matches a rule of {names} that works as a trigger"
        if not flag:
            reason = f"{reason}, but may be natural: {one.why}"
        for row in one.rows.tolist():
            rows.setdefault(row, (one.rule.surprise + 1000 * flag, flag, reason))
    order = sorted(rows, key=lambda r: (-rows[r][0], r))[:MAX_SUSPECTS]
    return Suspects(
        check="data.triggers",
        rows=tuple(order),
        scores=tuple(rows[r][0] for r in order),
        flagged=tuple(rows[r][1] for r in order),
        reasons=tuple(rows[r][2] for r in order),
    )
