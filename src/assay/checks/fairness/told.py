"""What `fairness.groups` measures and finds, from what was judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.detectors.members import MOST_CROSSED, Crossed, Grouping, People
from assay.detectors.parity import METRICS, RATIOS, TOLD, Bounds, Judged

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset

ODDS = ("true_positive_rate_difference", "false_positive_rate_difference")
WORDS = {
    "selection_ratio": "ratio of favourable rates",
    "unfavourable_ratio": "ratio of unfavourable rates",
    "true_positive_rate_difference": "true positive rate difference",
    "false_positive_rate_difference": "false positive rate difference",
    "precision_difference": "precision difference",
    "calibration_gap": "calibration gap",
}


def measures(
    alone: Sequence[Judged], together: Sequence[Judged], crossed: Crossed, people: People
) -> Iterator[Measure]:
    """The worst column of each metric, and the worst combination: all intervals hold together, so theirs do."""
    for metric in METRICS:
        yield _worst(f"fairness.{metric}", [j for j in alone if j.metric == metric])
    yield _worst("fairness.equalised_odds_difference", [j for j in alone if j.metric in ODDS])
    for name, metrics in (("selection_ratio", RATIOS[:1]), ("equalised_odds_difference", ODDS)):
        yield _worst(f"fairness.crossed_{name}", [j for j in together if j.metric in metrics], missed=crossed.pairs > 0)
    asked = [j for j in (*alone, *together) if j.metric != TOLD]
    yield Measure(
        name="fairness.undecided", value=float(sum(j.open for j in asked)), n=len(asked), direction=Direction.LOWER,
        unit="questions", method="metrics of columns and of combinations that their interval does not decide",
    )  # fmt: skip
    yield Measure(
        name="fairness.unasked", value=float(crossed.unasked), direction=Direction.LOWER, unit="combinations",
        method=f"beyond the {MOST_CROSSED} that are asked: {crossed.pairs} pairs of columns, {crossed.triples} threes",
    )  # fmt: skip
    yield _judged_share({j.grouping.columns: j.grouping for j in alone}, people)


def _judged_share(by_column: Mapping[tuple[str, ...], Grouping], people: People) -> Measure:
    """The share of the rows that are judged, of the worst column: the groups are taken as they came out large enough,
    and the ends are the worst of all columns, whose intervals hold together."""
    import numpy as np

    from assay.stats.effective import whole
    from assay.stats.fairness import Cells
    from assay.stats.intervals import LEVEL, wilson_rate

    told = []
    for one in by_column.values():
        everyone = Cells(np.zeros(len(one.code), dtype=np.int64), 1, people.weight, people.draw)
        draws = float(everyone.rates((one.code >= 0).astype(float))[1][0])
        told.append((one.share, draws, *wilson_rate(one.share, draws, 1 - (1 - LEVEL) / len(by_column))))
    value, draws, _, _ = min(told)
    return Measure(
        name="fairness.judged_share", value=value, low=min(t[2] for t in told), high=min(t[3] for t in told),
        n=whole(draws), unit="share", direction=Direction.HIGHER,
        method="rows in a group that is large enough, of the worst column; Wilson; n: independent rows of the holdout",
    )  # fmt: skip


def _worst(name: str, judged: Sequence[Judged], *, missed: bool = False) -> Measure:
    from assay.stats.effective import whole

    rising = name.endswith("ratio")
    direction = Direction.HIGHER if rising else Direction.LOWER
    known = [(j.apart, j) for j in judged if j.apart is not None]
    if not known:
        return Measure(name=name, value=None, unit="ratio" if rising else "share", direction=direction)
    pick: Any = min if rising else max
    worst, one = pick(known, key=lambda pair: pair[0].value)
    low, high = pick(a.low for a, _ in known), pick(a.high for a, _ in known)
    over = list(dict.fromkeys(j.grouping.title for j in judged))
    if missed or len(known) < len(judged):  # what could not be asked, or was not, may be as far off as may be
        low, high = (0.0, high) if rising else (low, 1.0)
    return Measure(
        name=name, value=worst.value, low=low, high=high, n=whole(worst.draws), direction=direction,
        unit="ratio" if rising else "share",
        method=f"{_whose(one.grouping.title, over)}; {'score' if rising else 'joined Wilson'} limits, "
        "holding together; n: smaller group",
    )  # fmt: skip


def _whose(worst: str, over: Sequence[str]) -> str:
    """Whose the figures are: of several columns the worst value, and the worst ends of the interval of any of them."""
    if len(over) == 1:
        return worst
    more = f" and {len(over) - 2} more" if len(over) > 3 else ""
    return f"worst over {', '.join(over[: 2 if more else 3])}{more}, each end too; value: {worst}"


def fewest(grouping: Grouping, judged: Sequence[Judged]) -> str:
    """` (fewest: 41 independent rows, of group Other)`: how large the smallest of a column's groups is."""
    from assay.stats.effective import whole

    draws = _draws(grouping, judged)
    if draws is None:
        return " (no two groups that are large enough)"
    return f" (fewest: {whole(draws.min()):,} independent rows, of group {grouping.names[int(draws.argmin())]})"


def _draws(grouping: Grouping, judged: Sequence[Judged]) -> Any:
    """The independent rows of each group, (g,); None where there are not two."""
    asked = (j.rates for j in judged if j.grouping is grouping and j.metric == METRICS[0])
    return next((rates.draws for rates in asked if rates is not None), None)


def finding(data: Dataset, one: Judged, bounds: Bounds) -> Finding:
    """What is said of groups that are surely too far apart: medium, high where twice as far as the bound."""
    from assay.stats.effective import whole

    apart, names = one.apart, one.grouping.names
    assert apart is not None
    least, most = names[apart.least], names[apart.most]
    if one.metric in RATIOS:
        good = bounds.favourable if one.metric != TOLD else ("flagged" if bounds.favourable == "passed" else "passed")
        said = "is flagged" if good == "flagged" else "goes unflagged"
        what = f"{least} {said} {apart.value:.2f} times as often as {most}"
        asked = f"at least {bounds.ratio:g}"
        grave = apart.high < 1 - 2 * (1 - bounds.ratio)
    else:
        what = f"{WORDS[one.metric]} of {apart.value:.2f} between {most} and {least}"
        asked = f"at most {bounds.difference:g}"
        grave = apart.low > 2 * bounds.difference
    severity = Severity.INFO if one.metric == TOLD else Severity.HIGH if grave else Severity.MEDIUM
    rule = "no rule bounds it" if one.metric == TOLD else f"{asked} is asked"
    whose = "" if len(names) == 2 else " for the two farthest apart, whichever they are"
    return Finding(
        message=f"{one.grouping.title}: {what} ({apart.low:.2f} to {apart.high:.2f}{whose}; {rule})",
        location=Location(uri=data.subject.uri, column=" & ".join(one.grouping.columns)),
        key=one.metric,
        severity=severity,
        evidence={
            "metric": one.metric, "value": apart.value, "low": apart.low, "high": apart.high, "lowest": least,
            "highest": most, "rows": whole(apart.draws), "bound": bounds.of(one.metric),
        },
        fix="look at the threshold curves, and at the rows and labels of the group; then measure on other rows",
    )  # fmt: skip
