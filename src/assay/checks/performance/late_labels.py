"""performance.late-labels: how good the model was, once labels came, and whether its scores still mean the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from assay.adapters.traffic import Traffic
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.detectors.scored import Meaning, Rates

NAMES = ("recall", "precision", "accuracy")
LEAST_LABELS = 30


@check(
    "performance.late-labels",
    on=Kind.TRAFFIC,
    stage=Stage.LIVE,
    severity=Severity.HIGH,
    needs="ml",
    version=2,
    tags=("nist-ai-rmf:MEASURE 4.3",),
    libraries=("numpy", "scipy", "duckdb"),
    cacheable=False,
    measures=(*(f"performance.late_labels.{name}" for name in NAMES), "performance.late_labels.labelled"),
)
def late_labels(
    traffic: Traffic,
    *,
    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.01,
    drop: Annotated[float, Meta(ge=0, le=1)] = 0.05,
    seed: int = 0,
) -> Iterator[Finding | Measure]:
    """How good the model was, once labels came, and whether its scores still mean what they meant.

    Why: labels come late, and rather for some rows than for others: a claim that was paid is never looked at again. A
    plain average over the labelled rows then flatters the model, or slanders it.

    How it decides: labels are joined to the rows by their key; a label that comes twice counts once; keys whose labels
    contradict each other, and labels of no row, are left out and counted. Recall, precision and accuracy are those of
    **all** rows: each range of scores counts as much as it has rows, whatever share of them is labelled, so that labels
    that depend on the score bend nothing. That they depend on something else that goes with the truth cannot be seen:
    the share labelled above and below the threshold is told, and where they differ the figures lean on that assumption.
    Whether the same score still means the same chance of a positive is tested against the reference, over all ranges
    together and range by range (level `alpha`): if not, a high finding, and what `performance.unlabelled` expects no
    longer holds; with 100 labels a change of .7 logits is found in one of four cases, with 400 almost always. So is
    recall or precision whose upper end lies more than `drop` below the reference's. Fewer than 30 labels, none of them
    positive, or a reference without a positive label or with all scores on one side of the threshold leave the question
    open.

    Fix: train and judge the model anew on rows that hold the new labels; label a random sample where they came by
    selection.

    References: Mantel and Haenszel 1959; Horvitz and Thompson 1952 (post-stratification).
    """
    from assay.detectors.scored import doubt, expected, observed, same_meaning

    found, reference = traffic.late, traffic.reference.scored
    if traffic.has_labels and reference is None:
        why = "labels came, and the reference has no score with a label to compare with: give --label and --score"
        raise CouldNotLook(f"{why} (a saved reference is drawn again with both)")
    if found is None or reference is None:
        raise NotApplicable("no labels came (--labels and --key, with --label and --score of the reference)")
    facts = traffic.reference.facts
    why = doubt(reference, str(facts.get("label", "")), str(facts.get("positive", "1")))
    if why:
        raise CouldNotLook(why)
    labelled, rows, first = sum(found.rows), sum(found.all_rows), reference.flagged()
    if not rows:
        raise CouldNotLook(f"{traffic.name} has no row with a score")
    shares = [sum(part) / max(1, sum(of)) for part, of in (
        (found.rows[first:], found.all_rows[first:]), (found.rows[:first], found.all_rows[:first]))]  # fmt: skip
    yield Measure(
        name="performance.late_labels.labelled", value=labelled / rows, n=rows, unit="share",
        direction=Direction.NEITHER,
        method=f"{shares[0]:.0%} of the flagged rows, {shares[1]:.0%} of the others; {found.unknown} labels of no row, "
        f"{found.twice} keys with contradicting labels left out",
    )  # fmt: skip
    if labelled < LEAST_LABELS:
        hint = f"; {found.hint}" if found.hint else ""
        raise CouldNotLook(f"{labelled} of {rows} rows have a label; at least {LEAST_LABELS} are needed{hint}")
    now = observed(found.rows, found.positives, found.all_rows, first, seed)
    before = expected(reference, reference.rows, seed)
    untold = [name for name in NAMES if math.isnan(getattr(now, name)[0])]
    for name in [n for n in NAMES if n not in untold]:
        value, low, high = getattr(now, name)
        yield Measure(
            name=f"performance.late_labels.{name}", value=value, low=low, high=high, n=labelled, seed=seed,
            direction=Direction.HIGHER, method="of all rows, by range of scores",
        )  # fmt: skip
    meaning = same_meaning(reference, found.rows, found.positives)
    yield from _findings(traffic, now, before, meaning, labelled, alpha, drop)
    if not sum(found.positives):
        value = visible(str(facts.get("positive", "1")), 40)
        why = "if they are written otherwise there, write them as in the reference"
        raise CouldNotLook(f"none of the {labelled} labels is the positive value {value!r}: recall is unknown; {why}")
    if not meaning.ranges:
        why = f"the {labelled} labels and the reference's have too few positives, or too few others, in common scores"
        raise CouldNotLook(f"whether the same score still means the same could not be tested: {why}")
    if untold:
        raise CouldNotLook(
            f"{' and '.join(untold)} cannot be told: {traffic.name} has no row on the threshold or above"
        )


def _findings(
    traffic: Traffic, now: Rates, before: Rates, meaning: Meaning, labelled: int, alpha: float, drop: float
) -> Iterator[Finding]:
    """That scores changed their meaning, and that recall or precision surely fell."""
    where = Location(uri=traffic.subject.uri, column=str(traffic.reference.facts.get("score", "")))
    if meaning.p < alpha:
        yield Finding(
            message="the same score no longer means the same chance of a positive label",
            location=where,
            key="meaning",
            evidence={"p": meaning.p, "ranges": meaning.ranges, "labelled": labelled},
            fix="train and judge the model anew; do not trust what is expected without labels",
        )
    for name in ("recall", "precision"):
        was, (value, _, high) = getattr(before, name)[0], getattr(now, name)
        if high < was - drop:
            yield Finding(
                message=f"{name} fell to {value:.3f}, from {was:.3f} in the reference",
                location=where,
                key=name,
                evidence={"observed": value, "high": high, "reference": was, "labelled": labelled},
                fix="train and judge the model anew on rows that hold the new labels",
            )
