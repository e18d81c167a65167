"""performance.holdout: how good the model is on rows it has not seen, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.checks.performance.scored import LEAST_POSITIVES, Scored, score_holdout
from assay.core.check import check
from assay.core.exhibit import Curve, IntervalRow, Intervals, Series
from assay.core.finding import Direction, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.stats.intervals import wilson


@check(
    "performance.holdout",
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.INFO,
    needs="ml",
    version=2,
    tags=("nist-ai-rmf:MEASURE 2.5", "eu-ai-act:Art.15"),
    reads=("data", "holdout"),
    libraries=("numpy", "onnxruntime", "lightgbm", "scikit-learn", "duckdb"),
    measures=(
        "performance.pr_auc",
        "performance.recall",
        "performance.precision",
        "performance.false_alarm_rate",
        "performance.flag_rate",
        "performance.calibration_error",
    ),
)
def holdout(
    case: ModelCase,
    *,
    bins: Annotated[int, Meta(ge=2, le=100)] = 10,
    draws: Annotated[int, Meta(ge=100, le=100_000)] = 1000,
    seed: int = 0,
) -> Iterator[Measure | Curve | Intervals]:
    """How good the model is on untouched rows: precision-recall area, recall and precision, calibration.

    Why: a model that is attacked, drifted or leaked often still shows its old accuracy; and on rare positives accuracy
    hides everything. These are the numbers a release policy reads.

    How it decides: it does not; it measures, and the policy judges. Every holdout row is scored by the deployed model
    at the deployed threshold. Rates carry Wilson 95% intervals, the precision-recall area one from a class-wise
    bootstrap of `draws` resamples. With fewer than 40 positives the area has no interval, so that a policy that reads
    one stays undecided. The calibration error is the mean distance between score and share of positives over `bins`
    equally filled bins, their noise taken off; only its upper end is estimated, from the bins' Wilson limits.

    Fix: if a bound is missed, more or cleaner labels help more often than another model; `data.label-flips` and
    `data.target-leakage` say where to look.

    References: Davis and Goadrich 2006 (precision-recall); Boyd et al. 2013 (its interval); Roelofs et al. 2022 (bias
    of calibration error); Zou and Donner 2008 (joining limits).
    """
    from assay.stats.classifier import area_interval, average_precision, bootstrap_draws

    found = score_holdout(case, seed)
    n, positives = len(found.target), int(found.target.sum())
    hit = int((found.flagged & found.target).sum())
    flagged = int(found.flagged.sum())
    false = flagged - hit
    area = float(average_precision(found.scores, found.target))
    low = high = None
    if positives >= LEAST_POSITIVES:
        resampled = bootstrap_draws(
            lambda w: average_precision(found.scores, found.target, w), found.target, seed, draws
        )
        low, high = area_interval(area, resampled, positives)
    yield Measure(
        name="performance.pr_auc", value=area, low=low, high=high, n=n, seed=seed, direction=Direction.HIGHER,
        method="average precision, class-wise bootstrap on the logit",
    )  # fmt: skip
    yield _rate("performance.recall", hit, positives, Direction.HIGHER)
    yield _rate("performance.precision", hit, flagged, Direction.HIGHER)
    yield _rate("performance.false_alarm_rate", false, n - positives, Direction.LOWER)
    yield _rate("performance.flag_rate", flagged, n, Direction.NEITHER)
    yield _curve(case, found, hit, positives, flagged)
    if found.scores.min() >= 0 and found.scores.max() <= 1:
        yield from _calibration(found, bins)


def _rate(name: str, hits: int, n: int, direction: Direction) -> Measure:
    low, high = wilson(hits, n)
    value = hits / n if n else None
    return Measure(name=name, value=value, low=low, high=high, n=n, unit="share", direction=direction, method="Wilson")


def _curve(case: ModelCase, found: Scored, hit: int, positives: int, flagged: int) -> Curve:
    from assay.stats.classifier import curve

    recall, precision, _ = curve(found.scores, found.target)
    at = hit / positives
    there = f"{hit / flagged:.1%} of what it flags is right" if flagged else "it flags nothing"
    return Curve(
        name="performance.curve",
        title=f"At the threshold {case.threshold:g} it catches {at:.1%}, and {there}",
        subtitle="Precision against recall on the holdout, from strict to lenient thresholds",
        x_label="recall: share of positives that are caught",
        y_label="precision: share of flags that are right",
        series=(Series(name="this model", x=tuple(recall.tolist()), y=tuple(precision.tolist())),),
        mark=at,
        mark_label=f"threshold {case.threshold:g}",
        measure="performance.recall",
        note=f"{len(found.target)} holdout rows, {positives} positive.",
    )


def _calibration(found: Scored, bins: int) -> Iterator[Measure | Intervals]:
    from assay.stats.classifier import calibration, calibration_bound, calibration_error

    value = calibration_error(found.scores, found.target, bins)
    high = calibration_bound(found.scores, found.target, bins)
    yield Measure(
        name="performance.calibration_error", value=value, low=0.0, high=max(high, value), n=len(found.target),
        direction=Direction.LOWER, method=f"debiased, {bins} equally filled bins; upper end from Wilson limits",
    )  # fmt: skip
    mean, rate, _, count = calibration(found.scores, found.target, bins)
    rows = []
    for m, r, c in zip(mean, rate, count, strict=True):
        below, above = wilson(round(float(r) * int(c)), int(c))
        rows.append(IntervalRow(label=f"score {m:.3f}", value=float(r), low=below, high=above, n=int(c)))
    yield Intervals(
        name="performance.calibration",
        title=f"Scores are off by {value:.3f} on average",
        subtitle="Share of positives in each tenth of the scores, with 95% intervals",
        unit="share positive",
        rows=tuple(rows),
        note="A calibrated score of 0.30 means that 30 in 100 such rows are positive.",
    )
