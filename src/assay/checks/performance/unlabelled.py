"""performance.unlabelled: what a model's own scores let one expect of it on rows that nobody has labelled yet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from assay.adapters.traffic import Traffic
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage

NAMES = ("recall", "precision", "accuracy")


@check(
    "performance.unlabelled",
    on=Kind.TRAFFIC,
    stage=Stage.LIVE,
    severity=Severity.MEDIUM,
    needs="ml",
    version=2,
    tags=("nist-ai-rmf:MEASURE 4.3",),
    libraries=("numpy", "scipy", "duckdb"),
    cacheable=False,
    measures=tuple(f"performance.unlabelled.{name}" for name in NAMES),
)
def unlabelled(
    traffic: Traffic, *, drop: Annotated[float, Meta(ge=0, le=1)] = 0.05, seed: int = 0
) -> Iterator[Finding | Measure]:
    """What a model's own scores let one expect of it on rows that nobody has labelled yet.

    Why: labels come weeks late. Until then the scores are all there is, and they say something: in the reference each
    range of scores came with a known share of positives.

    How it decides: the reference's labelled rows give the share of positives in each of up to 21 ranges of scores, the
    threshold an edge of one. The new rows' scores, range by range, then give the recall, precision and accuracy to be
    expected, with a 95% interval that carries the uncertainty of those shares and of the labels themselves. **This
    holds only while the same score means the same chance of a positive**, which no table without labels can show: where
    what a positive is has changed, every figure here is wrong, and `performance.late-labels` is what tells. Rows whose
    scores the reference hardly has (fewer than 10 labelled rows in that range) leave the question open where they are
    more than one in ten, and so does a reference without a positive label, or with all scores on one side of the
    threshold. Precision or recall whose upper end lies more than `drop` below the reference's own is a medium finding
    of medium confidence.

    Fix: get labels for some of the new rows, drawn at random, and look again with `--labels`.

    References: Guillory et al. 2021; Garg et al. 2022; NannyML's CBPE.
    """
    from assay.detectors.scored import doubt, expected, unsupported

    reference = traffic.reference.scored
    if reference is None:
        raise NotApplicable("the reference has no labels with scores (--label and --score)")
    if not sum(reference.rows):
        raise CouldNotLook("no row of the reference has both a score and a label")
    facts = traffic.reference.facts
    why = doubt(reference, str(facts.get("label", "")), str(facts.get("positive", "1")))
    if why:
        raise CouldNotLook(why)
    rows = traffic.score_counts
    if not sum(rows):
        raise CouldNotLook(f"{traffic.name} has no row with a score")
    now, before = expected(reference, rows, seed), expected(reference, reference.rows, seed)
    untold = [name for name in NAMES if math.isnan(getattr(now, name)[0])]
    for name in [n for n in NAMES if n not in untold]:
        value, low, high = getattr(now, name)
        yield Measure(
            name=f"performance.unlabelled.{name}", value=value, low=low, high=high, n=sum(rows), seed=seed,
            direction=Direction.HIGHER, method="expected, if the same score still means the same",
        )  # fmt: skip
    for name in ("recall", "precision"):
        was, (value, _, high) = getattr(before, name)[0], getattr(now, name)
        if high < was - drop:
            yield Finding(
                message=f"{name} is expected to have fallen to {value:.3f}, from {was:.3f} in the reference",
                location=Location(uri=traffic.subject.uri, column=str(traffic.reference.facts.get("score", ""))),
                key=name,
                confidence=Confidence.MEDIUM,
                evidence={"expected": value, "high": high, "reference": was},
                fix="label a random sample of the new rows and look again with --labels",
            )
    thin = unsupported(reference, rows)
    if thin > 0.1:
        raise CouldNotLook(
            f"{thin:.0%} of the rows have scores that the reference hardly has: nothing is known of them"
        )
    if untold:
        why = f"no row of {traffic.name} is one that the model would flag, or that could be positive"
        raise CouldNotLook(f"{' and '.join(untold)} cannot be expected: {why}")
