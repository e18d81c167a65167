"""performance.holdout: how good the model is on rows it has not seen, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.checks.performance.scored import LEAST_POSITIVES, Scored, score_holdout
from assay.core.check import check
from assay.core.exhibit import Curve, IntervalRow, Intervals, Series
from assay.core.finding import Direction, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.stats.intervals import wilson_rate


@check(
    "performance.holdout",
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.INFO,
    needs="ml",
    version=3,
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
    at the deployed threshold. Values are those of all rows. Intervals and `n` rest on how many independent draws
    there are: rows that agree in all inputs of the model and in the label are one draw, and so are the rows of a
    declared entity (n = (Σw)²/Σw², rounded down), so that copied rows narrow nothing. Rates carry Wilson 95%
    intervals, the precision-recall area one from a class-wise bootstrap of `draws` resamples of draws. With fewer
    than 40 positive draws the area has no interval, so that a policy that reads one stays undecided. The
    calibration error is the mean distance between score and share of positives over `bins` equally filled bins,
    their noise taken off; only its upper end is estimated, from the bins' Wilson limits.

    Fix: if a bound is missed, more or cleaner labels help more often than another model; `data.label-flips` and
    `data.target-leakage` say where to look.

    References: Davis and Goadrich 2006 (precision-recall); Boyd et al. 2013 (its interval); Roelofs et al. 2022 (bias
    of calibration error); Zou and Donner 2008 (joining limits).
    """
    from assay.stats.classifier import area_interval, average_precision, bootstrap_draws
    from assay.stats.effective import effective_n, whole

    found = score_holdout(case, seed)
    target, positives = found.target, int(found.target.sum())
    least = whole(effective_n(found.draw[target]))
    hit, flagged = int((found.flagged & target).sum()), int(found.flagged.sum())
    area = float(average_precision(found.scores, found.target))
    low = high = None
    if least >= LEAST_POSITIVES:
        resampled = bootstrap_draws(
            lambda w: average_precision(found.scores, target, w), target, seed, draws, found.draw
        )
        low, high = area_interval(area, resampled, least)
    yield Measure(
        name="performance.pr_auc", value=area, low=low, high=high, n=whole(effective_n(found.draw)), seed=seed,
        direction=Direction.HIGHER,
        method="average precision, class-wise bootstrap on the logit, equal rows as one draw",
    )  # fmt: skip
    yield _rate("performance.recall", found, found.flagged, target, Direction.HIGHER)
    yield _rate("performance.precision", found, target, found.flagged, Direction.HIGHER)
    yield _rate("performance.false_alarm_rate", found, found.flagged, ~target, Direction.LOWER)
    yield _rate("performance.flag_rate", found, found.flagged, target | ~target, Direction.NEITHER)
    yield _curve(case, found, hit, positives, flagged)
    if found.scores.min() >= 0 and found.scores.max() <= 1:
        yield from _calibration(found, bins)


def _rate(name: str, found: Scored, hit: Any, among: Any, direction: Direction) -> Measure:
    """The share of `hit` among the rows `among`, both bool (n,)."""
    from assay.stats.effective import effective_n, whole

    n = whole(effective_n(found.draw[among], hit[among]))
    value = float(hit[among].mean()) if n else None
    low, high = (0.0, 1.0) if value is None else wilson_rate(value, n)
    return Measure(
        name=name, value=value, low=low, high=high, n=n, unit="share", direction=direction,
        method="Wilson, equal rows as one draw",
    )  # fmt: skip


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
    from assay.stats.classifier import calibration, calibration_bound, calibration_error, independent
    from assay.stats.effective import effective_n, whole

    value = calibration_error(found.scores, found.target, bins, found.draw)
    high = calibration_bound(found.scores, found.target, bins, groups=found.draw)
    yield Measure(
        name="performance.calibration_error", value=value, low=0.0, high=max(high, value),
        n=whole(effective_n(found.draw)),
        direction=Direction.LOWER,
        method=f"debiased, {bins} equally filled bins, equal rows as one draw; upper end from Wilson limits",
    )  # fmt: skip
    mean, rate, _, count = calibration(found.scores, found.target, bins)
    rows = []
    alone = independent(found.scores, count, found.draw)
    for m, r, c in zip(mean.tolist(), rate.tolist(), map(whole, alone), strict=True):
        below, above = wilson_rate(r, c)
        rows.append(IntervalRow(label=f"score {m:.3f}", value=r, low=below, high=above, n=c))
    yield Intervals(
        name="performance.calibration",
        title=f"Scores are off by {value:.3f} on average",
        subtitle=f"Share of positives in each of {len(rows)} equally filled bins of the scores, with 95% intervals",
        unit="share positive",
        rows=tuple(rows),
        note="A calibrated score of 0.30 means that 30 in 100 such rows are positive.",
    )
