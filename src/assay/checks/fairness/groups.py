"""fairness.groups: whether a model treats groups of people alike, decided on intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from assay.adapters.cases import ModelCase, scores_alone
from assay.adapters.predictor_base import listing
from assay.checks.fairness.thresholds import pictures, tables
from assay.checks.fairness.told import WORDS, fewest, finding, measures
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.exhibit import Curve, Intervals, Table
from assay.core.finding import Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.detectors.members import MOST_CROSSED, Crossed, People, groupings
from assay.detectors.parity import RATIOS, TOLD, Answers, Bounds, Judged, judge

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset


@check(
    "fairness.groups",
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.HIGH,
    needs="ml",
    version=7,
    tags=("nist-ai-rmf:MEASURE 2.11", "eu-ai-act:Art.10", "eu-ai-act:Art.15", "owasp-aitg:AITG-APP-10"),
    reads=("data", "holdout"),
    wants=("holdout",),
    libraries=("numpy", "scipy", "pyarrow", "onnxruntime", "lightgbm", "scikit-learn", "duckdb"),
    measures=(
        "fairness.selection_ratio",
        "fairness.unfavourable_ratio",
        "fairness.true_positive_rate_difference",
        "fairness.false_positive_rate_difference",
        "fairness.equalised_odds_difference",
        "fairness.precision_difference",
        "fairness.calibration_gap",
        "fairness.crossed_selection_ratio",
        "fairness.crossed_equalised_odds_difference",
        "fairness.undecided",
        "fairness.unasked",
        "fairness.judged_share",
    ),
)
def groups(
    case: ModelCase,
    *,
    favourable: Literal["passed", "flagged"] = "passed",
    ratio: Annotated[float, Meta(gt=0, lt=1)] = 0.8,
    difference: Annotated[float, Meta(gt=0, lt=1)] = 0.1,
    least: Annotated[int, Meta(ge=20)] = 50,
    least_positives: Annotated[int, Meta(ge=1)] = 10,
    cuts: dict[str, list[float]] | None = None,
    seed: int = 0,
) -> Iterator[Finding | Measure | Curve | Intervals | Table]:
    """Whether the model, at its deployed threshold, treats groups of people alike.

    Why: a model can be right on average and wrong for one group of people, who are then refused, suspected or missed
    more often than others. The law asks for this to be measured, and a figure without its uncertainty accuses fair
    models and clears unfair ones: of 200 rows the four-fifths rule on plain shares fails up to half of those within it.

    How it decides: the columns that the holdout's entry in assay.yaml lists (`protected: [Sex, Age]`) make groups, one
    by one, two by two, and by three where four in five rows are in a group that is large enough. At most 66
    combinations are asked, all pairs (of 12 columns) before any three, three in the order in which the columns are
    named; `unasked` counts the others, and where a pair is among them the check stays open. Numbers are cut into
    quarters of the holdout, or at `cuts: {Age: [25, 65]}`; categories follow their `order`. Groups of fewer than
    `least` independent rows are not judged: small levels of a column are told as one, and no combination of fewer is
    named. Rows that agree in all that the model reads, in the protected columns and in the label are one draw, as are
    the rows of a declared entity (or whichever leaves fewer); a declared weight counts.

    For each column: the ratio of the lowest to the highest rate of the favourable outcome (demographic parity, at
    least `ratio`: the four-fifths rule); the largest difference of true positive rates, of false positive rates (both
    together are equalised odds), of precision, and of the gap between the rate of positives and the mean score
    (calibration, only of scores that are probabilities), each at most `difference`. A rate needs `least_positives`
    independent rows of the class that it is about. What is favourable matters: of 2% and 6% flagged the rates of those
    not flagged have a ratio of .96, of those flagged .33. By default it is `passed`, for most models here flag fraud,
    abuse and risk; say `flagged` where the flag is what people want, such as a loan. The equal opportunity of the
    deserving is then the difference of true positive rates, else that of false positive rates. The ratio of the other
    outcome is measured too; where it is surely below `ratio` that is told as info, for no rule bounds it.

    Each is decided on its interval: beyond the bound as a whole is a finding, within it passes, else it is undecided.
    The intervals of all columns and metrics hold together at 95% (Bonferroni; half of the error for columns, half for
    combinations), and of all pairs of groups (studentized range), so that one fair model in twenty, at most, has any
    finding. A metric that one of the groups is too small for does not pass. Undecided columns leave the check open;
    so does a group that has the different rows that it needs (of columns together twice as many) and counts as too
    small, as copies or weights outweigh them; combinations that are undecided, as most of few rows are, are only
    counted. A finding is medium, and high
    where the whole interval is twice as far off as the bound. Combinations are found only where no column of theirs
    was. The threshold curves show what another operating point would do.

    Columns whose headers name sex, age, race and the like, and that are not declared, are told as info: who is judged
    declares, and could leave out whom the model treats worse. A policy pins the declaration by `contract: {digest}`.

    Whether unequal rates are unjust it cannot say, nor whether labels are; it sees no group that no column tells.

    Fix: look at the threshold curves, at `data.representation` and at the labels of the group; collect rows of it,
    weight them, or drop what stands for the group; then measure again on rows that chose nothing.

    References: 29 CFR 1607.4 (four fifths); Hardt et al. 2016; Kleinberg et al. 2017; Kearns et al. 2018 (subgroups);
    Koopman 1984; Miettinen and Nurminen 1985; Newcombe 1998; Agresti et al. 2008; Berger 1982.
    """
    data = case.untouched("to be judged on")
    columns = case.protected
    if not columns:
        raise NotApplicable(f"no column of {data.name} is declared as protected; add `protected: [COLUMN]` to it")
    people = _people(case, data, columns, least)
    found = _answers(case, data, seed)
    single, crossed = groupings(data, columns, people, cuts or {})
    bounds = Bounds(favourable, ratio, difference, least_positives)
    judged = judge(single, crossed.asked, found, people, bounds)
    alone = [j for j in judged if len(j.grouping.columns) == 1]
    yield from measures(alone, [j for j in judged if len(j.grouping.columns) > 1], crossed, people)
    failed = {(j.grouping.columns, j.metric) for j in judged if j.apart is not None and j.apart.verdict == "fail"}
    for one in judged:
        columns, metric = one.grouping.columns, one.metric
        inner = any(m == metric and set(c) < set(columns) for c, m in failed)
        said = metric == TOLD and (columns, "selection_ratio") in failed
        if (columns, metric) in failed and not inner and not said:
            yield finding(data, one, bounds)
    yield from _unasked(data, columns)
    yield from tables(judged, crossed)
    yield from pictures(judged, found, people, bounds)
    _settle(alone, crossed, found)


def _unasked(data: Dataset, columns: tuple[str, ...]) -> Iterator[Finding]:
    """What is told of columns that are protected by their headers and that nobody declared: who is judged declares."""
    from assay.detectors.headers import PROTECTED, said

    names = [c.name for c in data.columns if c.name not in (*columns, data.label) and said(c.name, PROTECTED)]
    if names:
        them = listing(names)
        yield Finding(
            message=f"{them}: protected by {'its header' if len(names) == 1 else 'their headers'}, and not declared as "
            "such: nothing is said of these groups",
            location=Location(uri=data.subject.uri, column=names[0]),
            key="undeclared",
            severity=Severity.INFO,
            evidence={"columns": names},
            fix=f"add them to `protected:` of {data.name}, or say in the papers why they are none",
        )


def _people(case: ModelCase, data: Dataset, columns: tuple[str, ...], least: int) -> People:
    from assay.adapters.weights import weights_of
    from assay.detectors.rows import draws

    weight = weights_of(data)
    if not weight.any():
        raise CouldNotLook(f"{data.name}: no row, or every row has the weight 0")
    draw = draws(data, tuple(dict.fromkeys((*case.predictor.features, *columns))))
    return People(weight / weight.max(), draw, least)


def _answers(case: ModelCase, data: Dataset, seed: int) -> Answers:
    """The model's scores on every row, and the labels if there are any. Raises CouldNotLook."""
    import numpy as np

    scores = scores_alone(case.predictor, data.table(), seed)
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise CouldNotLook(f"{case.name} gave {bad} scores that are no numbers on {data.name}")
    try:
        return Answers(scores, data.target(), "", case.threshold)
    except CouldNotLook as why:
        return Answers(scores, None, str(why), case.threshold)


def _settle(alone: Sequence[Judged], crossed: Crossed, found: Answers) -> None:
    """Raise CouldNotLook where a column was not decided in a metric that could have been asked, or a pair not asked."""
    asked = [j for j in alone if j.metric != TOLD and (j.metric != "calibration_gap" or found.probabilities)]
    undecided: dict[str, list[str]] = {}
    for one in asked:
        if one.open and (found.target is not None or one.metric in RATIOS):
            undecided.setdefault(f"{one.grouping.title}{fewest(one.grouping, alone)}", []).append(WORDS[one.metric])
    parts = [f"{column}: {', '.join(words)}" for column, words in undecided.items()]
    reasons = [found.unlabelled] if found.target is None else []
    if parts:
        reasons.append(f"the intervals reach to both sides of what is asked: {'; '.join(parts)}")
    single = {one.grouping.columns: one.grouping for one in alone}.values()
    if shrunk := [f"{g.title}: {', '.join(g.shrunk[:6])}" for g in (*single, *crossed.shrunk) if g.shrunk]:
        reasons.append(
            f"groups have the different rows that one needs, and count as fewer, as some weigh much more than others "
            f"(`weight:`, copies): bring more rows, or a lower `least` ({'; '.join(shrunk[:6])})"
        )
    if crossed.pairs:
        reasons.append(
            f"{crossed.unasked} combinations of protected columns were not asked, {crossed.pairs} of them pairs: at "
            f"most {MOST_CROSSED} are, so name fewer protected columns"
        )
    if reasons:
        raise CouldNotLook("; ".join(reasons))
