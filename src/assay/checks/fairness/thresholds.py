"""Pictures of how groups fare: their rates, every metric beside its bound, and what other thresholds would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from assay.checks.fairness.told import WORDS
from assay.core.exhibit import Curve, IntervalRow, Intervals, Series, Table
from assay.core.text import visible
from assay.detectors.members import Crossed, People
from assay.detectors.parity import DIFFERENCES, RATIOS, TOLD, Answers, Bounds, Judged, Rates, apart_of, rates_of

if TYPE_CHECKING:
    from assay.stats.fairness import Apart

POINTS = 40
MOST_LINES = 3
MOST_COLUMNS = 4
SHOWN = 24
VERDICTS = ("fail", "undecided", "pass")
SHORT = {
    "selection_ratio": "favourable",
    "unfavourable_ratio": "unfavourable",
    "true_positive_rate_difference": "true positives",
    "false_positive_rate_difference": "false positives",
    "precision_difference": "precision",
    "calibration_gap": "calibration",
}


def pictures(judged: Sequence[Judged], found: Answers, people: People, bounds: Bounds) -> Iterator[Curve | Intervals]:
    """The intervals of groups and metrics, and the threshold curves."""
    from assay.stats.effective import whole

    yield from _rates(judged, bounds)
    for metrics, key, unit, bound in (
        (RATIOS, "ratios", "ratio of the lowest to the highest rate", bounds.ratio),
        (DIFFERENCES, "differences", "largest difference between two groups", bounds.difference),
    ):
        known = [(j, j.apart) for j in judged if j.metric in metrics and j.apart is not None]
        # Where there are too many, those that are surely beyond the bound first, then what is not decided.
        first = sorted(range(len(known)), key=lambda place: VERDICTS.index(known[place][1].verdict))[: 4 * SHOWN]
        rows = tuple(
            IntervalRow(
                label=f"{j.grouping.title}: {SHORT[j.metric]}", value=apart.value, low=apart.low, high=apart.high,
                n=whole(apart.draws), better="higher" if metrics is RATIOS else "lower",
            )
            for j, apart in (known[place] for place in sorted(first))
        )  # fmt: skip
        if rows:
            yield Intervals(
                name=f"fairness.{key}",
                title=_title(metrics, key, known, bounds),
                subtitle="Intervals that hold together at 95%; the line is the bound",
                unit=unit,
                rows=rows,
                reference=bound,
                verbatim=True,
                note=f"Not shown: {len(known) - len(rows)} more." if len(known) > len(rows) else "",
            )
    yield from _curves(judged, found, people, bounds)


def _title(metrics: Sequence[str], key: str, known: Sequence[tuple[Judged, Apart]], bounds: Bounds) -> str:
    """How many are surely beyond the bound; those that no rule bounds are drawn too, so that they are counted too."""
    if metrics is not RATIOS:
        failed = [apart.verdict == "fail" for _, apart in known]
        return f"{sum(failed)} of {len(failed)} {key} are surely above {bounds.difference:g}"
    said = []
    for words, told in (("of favourable rates", False), ("of unfavourable ones, which no rule bounds", True)):
        failed = [apart.verdict == "fail" for j, apart in known if (j.metric == TOLD) is told]
        said += [f"{sum(failed)} of {len(failed)} {key} {words}"] if failed else []
    return f"Surely below {bounds.ratio:g}: {', '.join(said)}"


def _rates(judged: Sequence[Judged], bounds: Bounds) -> Iterator[Intervals]:
    """Each group's favourable rate, of the columns that are farthest apart."""
    from assay.stats.effective import whole
    from assay.stats.intervals import wilson_rate

    asked = [
        j for j in judged if j.metric == "selection_ratio" and j.apart is not None and len(j.grouping.columns) == 1
    ]
    said = "not flagged" if bounds.favourable == "passed" else "flagged"
    for place, one in enumerate(sorted(asked, key=lambda j: j.apart.value if j.apart else 1.0)[:MOST_COLUMNS]):
        assert one.rates is not None
        rows = []
        for name, value, draws in zip(one.grouping.names, one.rates.value.tolist(), one.rates.draws, strict=True):
            low, high = wilson_rate(value, float(draws), one.level)
            rows.append(IntervalRow(label=name, value=value, low=low, high=high, n=whole(draws), better="higher"))
        highest = max(r.value for r in rows)
        yield Intervals(
            name=f"fairness.rates.{place}",
            title=f"{one.grouping.title}: how often each group is {said}",
            subtitle=f"Wilson intervals at {one.level:.2%}; the line is {bounds.ratio:g} of the highest rate",
            unit=f"share of its rows that are {said}",
            rows=tuple(rows[:SHOWN]),
            reference=bounds.ratio * highest,
            verbatim=True,
        )


def _curves(judged: Sequence[Judged], found: Answers, people: People, bounds: Bounds) -> Iterator[Curve]:
    for metric, label in (
        ("selection_ratio", "ratio of the lowest to the highest favourable rate"),
        ("true_positive_rate_difference", "largest difference of true positive rates"),
    ):
        asked = [j for j in judged if j.metric == metric and j.apart is not None and len(j.grouping.columns) == 1]
        asked.sort(key=lambda j: (j.apart.value if j.apart else 0.0) * (1 if metric in RATIOS else -1))
        lines = tuple(_line(one, found, people, bounds) for one in asked[:MOST_LINES])
        if lines:
            yield Curve(
                name=f"fairness.thresholds.{metric}",
                title=f"What another threshold would do to the {WORDS[metric]}",
                subtitle=f"Intervals at {asked[0].level:.2%} at each threshold; the bound is {bounds.of(metric):g}",
                x_label="threshold on the score",
                y_label=label,
                series=lines,
                mark=found.threshold,
                mark_label=f"deployed {found.threshold:g}",
                measure=f"fairness.{metric}",
                note="Chosen on these rows, a threshold looks fairer than it will be: measure it again on others.",
            )


def _line(one: Judged, found: Answers, people: People, bounds: Bounds) -> Series:
    import numpy as np

    from assay.stats.fairness import Cells

    cells = Cells(one.grouping.code, len(one.grouping.names), people.weight, people.draw)
    # Not the ends: where all or none are flagged there is nothing to compare.
    at = np.quantile(found.scores, np.linspace(0.01, 0.99, POINTS), method="inverted_cdf")
    points = []
    for threshold in sorted({*at.tolist(), float(found.threshold)}):
        rates = rates_of(one.metric, cells, found, threshold, bounds)
        apart = None if rates is None else apart_of(one.metric, rates, bounds, one.level)
        if apart is not None:
            points.append((threshold, apart.value, apart.low, apart.high))
    x, y, low, high = (tuple(float(p[i]) for p in points) for i in range(4))
    return Series(name=one.grouping.title, x=x, y=y, low=low, high=high)


def tables(judged: Sequence[Judged], crossed: Crossed) -> Iterator[Table]:
    """Every group with its rates, and who was left out."""
    from assay.stats.effective import whole

    by_group: dict[int, list[Judged]] = {}
    for one in judged:
        by_group.setdefault(id(one.grouping), []).append(one)
    rows: list[tuple[str | float | int | None, ...]] = []
    out: list[str] = []
    for asked in by_group.values():
        grouping = asked[0].grouping
        if grouping.left_out or grouping.share < 1:
            how = f"{grouping.share:.0%} of the rows are judged" if grouping.share < 1 else "judged as one group"
            out.append(f"{grouping.title} ({grouping.left_out}; {how})")
        rates = {j.metric: j.rates for j in asked}
        for place, name in enumerate(grouping.names if rates["selection_ratio"] is not None else ()):
            cells: list[float | None] = []
            for metric in ("selection_ratio", *DIFFERENCES):
                rate = rates[metric]
                cells.append(_shown(rate, place) if rate is not None and rate.draws[place] > 0 else None)
            draws = rates["selection_ratio"]
            rows.append((grouping.title, name, whole(draws.draws[place]) if draws is not None else 0, *cells))
    if rows:
        shown = rows[:60]
        more = f"{len(rows) - len(shown)} more groups are not shown. " if len(rows) > len(shown) else ""
        few = f"Groups too small to be judged alone, in: {visible('; '.join(out), 600)}. " if out else ""
        left = f"{crossed.unasked} combinations of columns were not asked: {len(crossed.asked)} are the most that are."
        yield Table(
            name="fairness.members",
            title="What the model does to each group",
            subtitle="At the deployed threshold; empty where a group has too few rows of the class",
            columns=(
                "by", "group", "independent rows", "favourable rate", "true positive rate", "false positive rate",
                "precision", "rate less mean score",
            ),
            rows=tuple(shown),
            note=(more + few + (left if crossed.unasked else "")).strip(),
        )  # fmt: skip


def _shown(rates: Rates, place: int) -> float:
    value = float(rates.value[place])
    return round(value if rates.shift is None else value - float(rates.shift[place]), 4)
