"""performance.versus-champion: the paired difference between this model and the one in use, on the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.checks.performance.scored import LEAST_POSITIVES, Scored, score_holdout
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.exhibit import IntervalRow, Intervals
from assay.core.finding import Direction, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.stats.intervals import paired_difference


@check(
    "performance.versus-champion",
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.INFO,
    needs="ml",
    tags=("nist-ai-rmf:MEASURE 2.5", "eu-ai-act:Art.15"),
    reads=("data", "holdout", "champion"),
    libraries=("numpy", "onnxruntime", "lightgbm", "scikit-learn", "duckdb"),
)
def versus_champion(
    case: ModelCase, *, draws: Annotated[int, Meta(ge=100, le=100_000)] = 1000, seed: int = 0
) -> Iterator[Measure | Intervals]:
    """Whether the model is better or worse than the one in use, row by row on the same holdout.

    Why: two separate scores say little; most of their spread is the rows, which both models share. The paired
    difference removes it, so that a small but real loss is seen before customers see it.

    How it decides: it does not; a policy reads the interval (`versus: champion`). Both models score the same rows,
    each at its own threshold. Differences of recall and false alarms use the discordant rows (Agresti and Min), of
    precision and precision-recall area a class-wise bootstrap on the same resamples.

    Fix: if recall fell, compare which rows the champion caught and this model does not.

    References: Agresti and Min 2005 (paired proportions).
    """
    import numpy as np

    champion = case.champion
    if champion is None:
        raise NotApplicable(f"{case.name} declares no champion")
    new = score_holdout(case)
    data = case.holdout
    assert data is not None
    scores = np.asarray(champion.predictor.scores(data.table()), dtype=float)
    if not np.isfinite(scores).all():
        raise CouldNotLook(f"the champion {champion.name} gave scores that are no numbers")
    old = Scored(scores, scores >= champion.threshold, new.target)
    measures = [
        _paired("performance.recall", new, old, new.target, Direction.HIGHER),
        _paired("performance.false_alarm_rate", new, old, ~new.target, Direction.LOWER),
        *_resampled(new, old, draws, seed),
    ]
    yield from measures
    yield Intervals(
        name="performance.difference",
        title=_title(measures[0]),
        subtitle="This model minus the champion on the same rows, with 95% intervals",
        unit="difference",
        rows=tuple(
            IntervalRow(
                label=m.name.partition(".")[2].replace("_", " "), value=m.value, low=m.low, high=m.high, n=m.n,
                measure=m.name, better="lower" if m.direction is Direction.LOWER else "higher",
            )
            for m in measures
            if m.value is not None and m.low is not None and m.high is not None
        ),
        reference=0.0,
        note=f"{len(new.target)} holdout rows, {int(new.target.sum())} positive; champion: {champion.name}.",
    )  # fmt: skip


def _title(recall: Measure) -> str:
    if recall.low is not None and recall.low > 0:
        return "It catches more than the champion"
    if recall.high is not None and recall.high < 0:
        return "It catches less than the champion"
    return "It catches neither clearly more nor clearly less than the champion"


def _paired(name: str, new: Scored, old: Scored, where: Any, direction: Direction) -> Measure:
    first = int((new.flagged & ~old.flagged & where).sum())
    second = int((old.flagged & ~new.flagged & where).sum())
    n = int(where.sum())
    low, high = paired_difference(first, second, n)
    return Measure(
        name=name, versus="champion", value=(first - second) / n if n else None, low=low, high=high, n=n,
        direction=direction, method="paired, Agresti-Min",
    )  # fmt: skip


def _resampled(new: Scored, old: Scored, draws: int, seed: int) -> Iterator[Measure]:
    import numpy as np

    from assay.stats.classifier import average_precision, bootstrap_interval

    n, target = len(new.target), new.target
    enough = int(target.sum()) >= LEAST_POSITIVES

    def area(weights: Any | None) -> Any:
        return np.asarray(
            average_precision(new.scores, target, weights) - average_precision(old.scores, target, weights)
        )

    def precision(weights: Any | None) -> Any:
        w = np.ones(n) if weights is None else weights
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = [(w * (s.flagged & target)).sum(-1) / (w * s.flagged).sum(-1) for s in (new, old)]
        return np.asarray(parts[0] - parts[1])

    for name, statistic in (("performance.pr_auc", area), ("performance.precision", precision)):
        value = float(statistic(None))
        low = high = None
        if enough and np.isfinite(value):
            low, high = bootstrap_interval(statistic, target, seed, draws)
        yield Measure(
            name=name, versus="champion", value=value if np.isfinite(value) else None,
            low=low if low is not None and np.isfinite(low) else None,
            high=high if high is not None and np.isfinite(high) else None,
            n=n, seed=seed, direction=Direction.HIGHER, method="paired class-wise bootstrap",
        )  # fmt: skip
