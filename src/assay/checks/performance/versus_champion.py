"""performance.versus-champion: the paired difference between this model and the one in use, on the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from assay.adapters.cases import ModelCase, scores_alone
from assay.checks.performance.scored import LEAST_FLAGGED, LEAST_POSITIVES, Scored, score_holdout
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.exhibit import IntervalRow, Intervals
from assay.core.finding import Direction, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.stats.intervals import Counts, overlapping_difference, paired_difference


@check(
    "performance.versus-champion",
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.INFO,
    needs="ml",
    version=3,
    tags=("nist-ai-rmf:MEASURE 2.5", "eu-ai-act:Art.15"),
    reads=("data", "holdout", "champion"),
    libraries=("numpy", "onnxruntime", "lightgbm", "scikit-learn", "duckdb"),
    measures=(
        "performance.recall versus champion",
        "performance.false_alarm_rate versus champion",
        "performance.pr_auc versus champion",
        "performance.precision versus champion",
    ),
)
def versus_champion(
    case: ModelCase, *, draws: Annotated[int, Meta(ge=100, le=100_000)] = 1000, seed: int = 0
) -> Iterator[Measure | Intervals]:
    """Whether the model is better or worse than the one in use, row by row on the same holdout.

    Why: two separate scores say little; most of their spread is the rows, which both models share. The paired
    difference removes it, so that a small but real loss is seen before customers see it.

    How it decides: it does not; a policy reads the interval (`versus: champion`). Both models score the same rows, each
    at its own threshold. Rows that agree in all that either model reads and in the label are one draw, and so are
    the rows of a declared entity: values are those of all rows, intervals and `n` rest on the draws. Differences of
    recall and false alarms use the rows on which the models differ (Tango's score interval, corrected for
    continuity). The difference of precision joins the Wilson limits of both by the rows that both flag, and has no
    interval where either flags fewer than 5 draws. That of the precision-recall area joins both areas' intervals by
    their correlation over the same resamples, and has none with fewer than 40 positive draws.

    Fix: if recall fell, compare which rows the champion caught and this model does not.

    References: Tango 1998 (paired proportions); Zou and Donner 2008 (joining limits).
    """
    import numpy as np

    from assay.detectors.rows import draws as draws_of

    champion = case.champion
    if champion is None:
        raise NotApplicable(f"{case.name} declares no champion")
    new = score_holdout(case, seed)
    data = case.holdout
    assert data is not None
    scores = scores_alone(champion.predictor, data.table(), seed)
    if not np.isfinite(scores).all():
        raise CouldNotLook(f"the champion {champion.name} gave scores that are no numbers")
    both = dict.fromkeys([*case.predictor.features, *champion.predictor.features])
    new = msgspec.structs.replace(new, draw=draws_of(data, tuple(both)))
    old = Scored(scores, scores >= champion.threshold, new.target, new.draw)
    if old.flagged.all() or not old.flagged.any():
        which = "every row" if old.flagged.all() else "no row"
        raise CouldNotLook(f"the champion {champion.name} flags {which} at {champion.threshold:g}: it is no standard")
    measures = [
        _paired("performance.recall", new, old, new.target, Direction.HIGHER),
        _paired("performance.false_alarm_rate", new, old, ~new.target, Direction.LOWER),
        _area(new, old, draws, seed),
        _precision(new, old),
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
    alone = min(_alone(new, where & side.flagged & ~other.flagged, where) for side, other in ((new, old), (old, new)))
    low, high = paired_difference(first * alone / n, second * alone / n, alone) if n else (-1.0, 1.0)
    return Measure(
        name=name, versus="champion", value=(first - second) / n if n else None, low=low, high=high, n=alone,
        unit="share", direction=direction, method="paired, Tango score, equal rows as one draw",
    )  # fmt: skip


def _alone(found: Scored, hit: Any, among: Any) -> int:
    """How many independent draws the share of `hit` among the rows `among` rests on."""
    from assay.stats.effective import effective_n, whole

    return whole(effective_n(found.draw[among], hit[among]))


def _area(new: Scored, old: Scored, draws: int, seed: int) -> Measure:
    import numpy as np

    from assay.stats.classifier import area_difference, average_precision, bootstrap_draws
    from assay.stats.effective import effective_n, whole

    target = new.target
    areas = float(average_precision(new.scores, target)), float(average_precision(old.scores, target))
    low = high = None
    least = whole(effective_n(new.draw[target]))
    if least >= LEAST_POSITIVES:
        resampled = bootstrap_draws(
            lambda w: np.stack([average_precision(s.scores, target, w) for s in (new, old)], axis=1),
            target, seed, draws, new.draw,
        )  # fmt: skip
        low, high = area_difference(areas, resampled, least)
    return Measure(
        name="performance.pr_auc", versus="champion", value=areas[0] - areas[1], low=low, high=high,
        n=whole(effective_n(new.draw)), seed=seed, direction=Direction.HIGHER,
        method="paired class-wise bootstrap on the logit, equal rows as one draw",
    )  # fmt: skip


def _precision(new: Scored, old: Scored) -> Measure:
    from assay.stats.effective import effective_n, whole

    a, b, hit = new.flagged, old.flagged, new.target
    sets = (a & b & hit, a & b & ~hit, a & ~b & hit, a & ~b & ~hit, b & ~a & hit, b & ~a & ~hit)
    share = _alone(new, hit, a | b) / max(1, int((a | b).sum()))
    counts = Counts(*(share * int(s.sum()) for s in sets))
    first, second = int(a.sum()), int(b.sum())
    value = low = high = None
    if min(first, second):
        value = int((a & hit).sum()) / first - int((b & hit).sum()) / second
    if min(whole(effective_n(new.draw[side])) for side in (a, b)) >= LEAST_FLAGGED:
        low, high = overlapping_difference(counts)
    return Measure(
        name="performance.precision", versus="champion", value=value, low=low, high=high,
        n=whole(effective_n(new.draw)), unit="share", direction=Direction.HIGHER,
        method="paired, Wilson limits joined, equal rows as one draw",
    )  # fmt: skip
