"""data.annotators: people whose labels stand out, and how far people agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from assay.adapters.tables import Dataset, ident
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage

if TYPE_CHECKING:
    from assay.detectors.annotators import Annotators, Odd


@check(
    "data.annotators",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    cost="minutes",
    tags=("atlas:AML.T0020", "owasp-ml-2023:ML02", "nist-ai-rmf:MEASURE 2.5"),
    libraries=("numpy", "scipy", "lightgbm", "duckdb"),
    measures=("data.annotators.alpha",),
)
def annotators(
    data: Dataset,
    *,
    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.01,
    agreement: Annotated[float, Meta(ge=0, le=1)] = 0.667,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Finding | Measure]:
    """People whose labels stand out, and how far people agree.

    Why: one account among fifty that labels against the others, always the same or faster than one can read poisons a
    table as surely as an intruder, and an average of agreement hides it.

    How it decides: it needs a column of who labelled (`annotator:`) and a label. Trees trained without a row say how
    likely its label is; an annotator whose clear rows contradict the others' labels at the same scores, more than
    annotators honestly differ, is a high finding (the test of `data.label-flips`, annotators for batches). One who gave
    a single label to 30 rows and more, where others give both to rows of the same scores, is a medium finding, and so
    is one whose labels come in less than a third of the others' median time, where a column says how long each took
    (`label_delay:`). Each of the three is held at a family-wise error of `alpha` over the annotators. Where things are
    labelled more than once (rows of one `id`, else of one `entity`), Krippendorff's alpha says how far people agree
    beyond chance, with a bootstrap interval over the things; surely below `agreement` is a medium finding of low
    confidence. People are named by the first row that they labelled, never by their name.

    It says that labels differ, not who is right: one who labels other cases than the rest may stand out too, and one
    expert among beginners will. Annotators of fewer than 30 rows are not judged. Rows of one entity may differ for
    good reasons, so that alpha over entities is a lower bound.

    Fix: have rows of the annotator labelled again by others before training; take them out until then.

    References: Krippendorff 2011 (alpha); Dawid and Skene 1979; Northcutt et al. 2021; OWASP ML02.
    """
    from assay.detectors.annotators import agreement as agreed
    from assay.detectors.annotators import annotators_of, constant, hasty

    if not data.annotator:
        raise NotApplicable("no column is declared that says who labelled (`annotator:`)")
    target = data.target()
    who = annotators_of(data.table((data.annotator,)).column(0))
    things, role = _things(data)
    if things is not None:
        found = agreed(things, who_of(data), data.table((data.label,)).column(0), seed)
        if found is not None:
            yield Measure(
                name="data.annotators.alpha", value=found.alpha, low=found.low, high=found.high, n=found.items,
                seed=seed, direction=Direction.HIGHER,
                method=f"Krippendorff, nominal, by {role}; bootstrap over things",
            )  # fmt: skip
            if found.high < agreement:
                yield Finding(
                    message=f"people agree little on {found.items} things that several labelled: "
                    f"alpha {found.alpha:.2f} ({found.low:.2f} to {found.high:.2f})",
                    location=Location(uri=data.subject.uri, column=data.label),
                    key="agreement",
                    severity=Severity.MEDIUM,
                    confidence=Confidence.LOW,
                    evidence={"alpha": found.alpha, "low": found.low, "high": found.high, "things": found.items},
                    fix="write the labelling guide again, and settle the cases on which people differ",
                )
    if data.label_delay and data.column(data.label_delay).kind in ("number", "integer"):
        for odd in hasty(who, data.table((data.label_delay,)).column(0), alpha):
            yield _finding(data, who, odd, "hasty", "labels in a median time of {0:g}, the others in {1:g}")
    probability = _scores(data, target, seed, progress)
    yield from _contradicting(data, who, target, probability, alpha)
    for odd in constant(who, target, probability, alpha):
        yield _finding(data, who, odd, "constant", "gave one label only; others call {1:.0%} of such rows positive")


def who_of(data: Dataset) -> Any:
    """A number for each person, those of few rows too; -1 for nobody; shape (rows,)."""
    encoded = data.table((data.annotator,)).column(0).combine_chunks().dictionary_encode()
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype("int64")


def _things(data: Dataset) -> tuple[Any, str]:
    """A number for the thing that each row is about, and the role of the column that says so; None if none repeats."""
    from assay.detectors.rows import same_rows

    for role, column in (("id", data.id), ("entity", data.entity)):
        if column:
            name = ident(column)
            repeated = data.sql(f"SELECT count({name}) - count(DISTINCT {name}) FROM data").column(0)[0].as_py()  # noqa: S608
            if repeated:
                return same_rows(data.table((column,))), role
    return None, ""


def _scores(data: Dataset, target: Any, seed: int, progress: Progress) -> Any:
    from assay.detectors.label_errors import LEAST_CLASS, LEAST_ROWS
    from assay.detectors.out_of_fold import out_of_fold
    from assay.detectors.rows import entities_of, same_rows

    if data.rows < LEAST_ROWS or min(int(target.sum()), int((~target).sum())) < LEAST_CLASS:
        raise CouldNotLook(f"{data.rows} rows are too few to learn from: {LEAST_ROWS}, {LEAST_CLASS} of each class")
    entities = same_rows(data.table((data.id,))) if data.id else entities_of(data)
    return out_of_fold(data.encoded(), target, seed, entities=entities, progress=progress)


def _contradicting(data: Dataset, who: Annotators, target: Any, probability: Any, alpha: float) -> Iterator[Finding]:
    from assay.detectors.label_errors import unlike_batches

    if len(who.names) - 2 < 4:
        return
    told: set[str] = set()  # one finding each, by the direction that is surer
    for batch in unlike_batches(probability, target, who.codes, who.names, alpha):
        if batch.name.startswith("(") or batch.name in told:
            continue
        told.add(batch.name)
        yield Finding(
            message=f"the labels of the annotator {batch.name} (from 0) contradict the others': "
            f"{batch.suspicious / batch.rows:.0%} of {batch.rows} clear ones, {batch.elsewhere:.0%} expected",
            location=Location(uri=data.subject.uri, column=data.annotator, row=_row(batch.name)),
            key=f"contradicts:{batch.name}",
            severity=Severity.HIGH,
            confidence=Confidence.MEDIUM,
            evidence={"rows": batch.rows, "suspicious": batch.suspicious, "p_corrected": batch.p},
            fix="have these rows labelled again by others; leave them out of training until then",
        )


def _finding(data: Dataset, who: Annotators, odd: Odd, key: str, words: str) -> Finding:
    name = who.names[odd.who]
    return Finding(
        message=f"the annotator {name} (from 0) {words.format(odd.here, odd.elsewhere)} ({odd.rows} labels)",
        location=Location(uri=data.subject.uri, column=data.annotator, row=_row(name)),
        key=f"{key}:{name}",
        severity=Severity.MEDIUM,
        confidence=Confidence.MEDIUM,
        evidence={"rows": odd.rows, "here": odd.here, "elsewhere": odd.elsewhere, "p_adjusted": odd.p},
        fix="ask how these labels came about; have a sample labelled again by others",
    )


def _row(name: str) -> int | None:
    last = name.rpartition(" ")[2]
    return int(last) if last.isdigit() else None
