"""What is asked of every column: how far its groups are apart in each metric, and whether that is within the bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from assay.detectors.members import Grouping, People

if TYPE_CHECKING:
    from assay.stats.fairness import Apart, Cells

Array = Any
Favourable = Literal["passed", "flagged"]
RATIOS = ("selection_ratio", "unfavourable_ratio")
DIFFERENCES = (
    "true_positive_rate_difference",
    "false_positive_rate_difference",
    "precision_difference",
    "calibration_gap",
)
METRICS = (*RATIOS, *DIFFERENCES)
TOLD = "unfavourable_ratio"  # measured beside the rest; no bound of a rule applies to it
ERROR = 0.05


class Answers(msgspec.Struct, frozen=True):
    """Scores float64 (n,), the truth bool (n,) or None with the reason why it is not known, the deployed threshold."""

    scores: Array
    target: Array | None
    unlabelled: str
    threshold: float

    @property
    def probabilities(self) -> bool:
        """Whether the scores can be read as probabilities."""
        return bool(self.scores.min() >= 0 and self.scores.max() <= 1)


class Bounds(msgspec.Struct, frozen=True):
    """What is asked: ratios of at least `ratio`, differences of at most `difference`; a rate of fewer than `least`
    rows of the class that it is about is no rate."""

    favourable: Favourable
    ratio: float
    difference: float
    least: int

    def of(self, metric: str) -> float:
        """The bound of one metric."""
        return self.ratio if metric in RATIOS else self.difference


class Rates(msgspec.Struct, frozen=True):
    """Each group's rate and the draws that it rests on, (g,) each; `shift` (g,) is to be taken off the rate."""

    value: Array
    draws: Array
    shift: Array | None = None


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one grouping: the groups' rates, and how far apart they are; None where it could not be asked."""

    grouping: Grouping
    metric: str
    rates: Rates | None
    apart: Apart | None
    level: float

    @property
    def open(self) -> bool:
        """Whether it is neither surely within the bound nor surely beyond it."""
        return self.apart is None or self.apart.verdict == "undecided"


def judge(
    single: Sequence[Grouping], crossed: Sequence[Grouping], found: Answers, people: People, bounds: Bounds
) -> list[Judged]:
    """Every metric of every grouping. All intervals hold together: half of the error is for columns, half for
    combinations (all for columns where there are none), shared evenly among what is asked."""
    judged: list[Judged] = []
    for part in (single, crossed):
        error = ERROR if not crossed else ERROR / 2
        level = 1 - error / max(1, len(part) * len(METRICS))
        for grouping in part:
            judged += _one(grouping, found, people, bounds, level)
    return judged


def _one(grouping: Grouping, found: Answers, people: People, bounds: Bounds, level: float) -> list[Judged]:
    from assay.stats.fairness import Cells

    if len(grouping.names) < 2:
        return [Judged(grouping=grouping, metric=m, rates=None, apart=None, level=level) for m in METRICS]
    cells = Cells(grouping.code, len(grouping.names), people.weight, people.draw)
    judged = []
    for metric in METRICS:
        rates = rates_of(metric, cells, found, found.threshold, bounds)
        apart = None if rates is None else apart_of(metric, rates, bounds, level)
        judged.append(Judged(grouping=grouping, metric=metric, rates=rates, apart=apart, level=level))
    return judged


def rates_of(metric: str, cells: Cells, found: Answers, threshold: float, bounds: Bounds) -> Rates | None:
    """Each group's rate at a threshold; None where the metric needs labels, or probabilities, that are not there."""
    import numpy as np

    flagged = found.scores >= threshold
    if metric in RATIOS:
        wanted = flagged if (bounds.favourable == "flagged") == (metric == "selection_ratio") else ~flagged
        return Rates(*cells.rates(wanted))
    target = found.target
    if target is None:
        return None
    if metric == "calibration_gap":
        if not found.probabilities:
            return None
        rate, _ = cells.rates(target)
        return Rates(rate, cells.draws_around(rate, target - found.scores), cells.rates(found.scores)[0])
    hit, among = {
        "true_positive_rate_difference": (flagged, target),
        "false_positive_rate_difference": (flagged, ~target),
        "precision_difference": (target, flagged),
    }[metric]
    value, draws = cells.rates(hit, among)
    size = cells.rates(np.zeros(len(hit)), among)[1]
    return Rates(value, np.where(size >= bounds.least, draws, 0.0))


def apart_of(metric: str, rates: Rates, bounds: Bounds, level: float) -> Apart | None:
    """How far the groups are apart."""
    from assay.stats.fairness import largest_difference, smallest_ratio

    if metric in RATIOS:
        return smallest_ratio(rates.value, rates.draws, bound=bounds.ratio, level=level)
    return largest_difference(rates.value, rates.draws, bound=bounds.difference, level=level, shift=rates.shift)
