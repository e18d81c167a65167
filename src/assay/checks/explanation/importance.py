"""explanation.importance: which inputs the model's scores rest on, and whether the explanation can be believed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.checks.explanation.believed import compared, deleted
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.exhibit import IntervalRow, Intervals
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.protocols import ArrowTable, Predictor
from assay.core.subject import Kind, Stage
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset
    from assay.detectors.importance import Explained

LEAST = 30
SHOWN = 15
TOP, TOP_SHARE = 5, 0.05
PROXY = 0.5
BACKGROUND = 500
OFF = 1e-3  # of the spread of the scores


@check(
    "explanation.importance",
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.MEDIUM,
    needs="ml",
    version=2,
    cost="minutes",
    tags=("nist-ai-rmf:MEASURE 2.9", "nist-ai-rmf:MEASURE 2.8", "eu-ai-act:Art.13", "owasp-aisvs:C7.4"),
    reads=("data", "holdout"),
    wants=("holdout",),
    libraries=("numpy", "scipy", "pyarrow", "onnxruntime", "lightgbm", "scikit-learn", "duckdb"),
    measures=(
        "explanation.efficiency_error",
        "explanation.protected_share",
        "explanation.deletion_gain",
        "explanation.repeat_agreement",
        "explanation.randomised_agreement",
        "explanation.retrained_agreement",
        "explanation.randomised_ranking",
        "explanation.retrained_ranking",
    ),
)
def importance(
    case: ModelCase,
    *,
    rows: Annotated[int, Meta(ge=LEAST, le=5000)] = 100,
    pairs: Annotated[int, Meta(ge=2, le=1000)] = 32,
    seed: int = 0,
) -> Iterator[Finding | Measure | Intervals]:
    """Which inputs the model's scores rest on, and whether that explanation can be believed.

    Why: who is refused may ask why, and who reviews a model must know what it looks at: a column that stands for a
    person's sex, or that is known only afterwards. An explanation that would say the same of any model is worse than
    none, for it is believed.

    How it decides: Shapley values of up to `rows` holdout rows with different inputs: what each input adds to a row's
    score beside the average one. Of LightGBM, XGBoost and CatBoost they are exact (TreeSHAP, in log-odds, given the
    trees' own cover); of any other model they are means over `pairs` drawn orders of the inputs, each with its reverse,
    that replace the inputs of a training row one by one, with their standard errors (in the score; rows that never
    occur are asked, too). The importance of an input is the mean of the absolute values; its interval is a bootstrap
    over the rows, its lower end less what drawing alone can add. Values that do not add up to the score
    (`efficiency_error`, in standard deviations of the score) leave the check open.

    Three tests of the explanation. Randomised labels (Adebayo et al. 2018): the same explanation of 8 small LightGBM
    models, trained on the same columns with permuted labels, must differ. Agreement is Spearman's correlation of the
    signed values across inputs, mean over 60 rows; its 95% interval is over the models. Wholly above 0.5 is a finding.
    4 models trained on resampled true labels show what agreement to expect; wholly below 0.5 is told as info: the
    explanation is this model's own, and says less about the data. Drawn values agree less with anything, the more they
    are noise: `repeat_agreement` is how well they agree with themselves, drawn again; both bounds are 0.5 times that,
    and below 0.5 the check stays open. `_ranking` compares the order of the importances instead. Deletion: replacing
    the fifth of inputs with the largest values of each row by those of 16 training rows must move the score more than
    replacing as many drawn ones; `deletion_gain` is how much more, on the score. An interval at or below 0 is a
    finding, one around 0 leaves the check open.

    A protected column among the five inputs that matter most (with 5% of the importance or more) is a low finding; one
    that tells the group of a protected column (Cramér's V of 0.5 or more over tenths, its bias corrected) is info.

    It says what the model uses, not what causes the outcome. Inputs that stand for each other share importance in a
    way that no method settles, and a model can be built to hide what it uses from drawn rows (Slack et al. 2020).

    Fix: drop a column that must not count, and what stands for it; explain with another method where a test fails.

    References: Lundberg et al. 2020; Štrumbelj and Kononenko 2014; Mitchell et al. 2022; Janzing et al. 2020; Adebayo
    et al. 2018; Hooker et al. 2019; Bergsma 2013.
    """
    data = case.untouched("to explain")
    if case.train is None:
        raise CouldNotLook(f"{case.name} names no training data, which stands for the average; add `data:` to it")
    if len(case.predictor.features) < 2:
        raise NotApplicable("the model has one input: all its scores rest on it")
    sample = _sample(data, case.predictor, rows, seed)
    background = _background(case.train, case.predictor, seed)
    found = _explained(case, sample, background, pairs, seed)
    yield from _added_up(found)
    yield from _ranked(case, found, seed)
    yield from _people(data, case, found)
    open_ = [*(yield from deleted(case, sample, background, found, seed))]
    open_ += yield from compared(case, sample, background, found, pairs, seed)
    if open_:
        raise CouldNotLook("; ".join(open_))


def _sample(data: Dataset, model: Predictor, rows: int, seed: int) -> ArrowTable:
    """Holdout rows of which no two have equal inputs, in a drawn order."""
    import numpy as np

    from assay.detectors.rows import same_rows

    table = data.table(tuple(model.features))
    _, first = np.unique(same_rows(table), return_index=True)
    if len(first) < LEAST:
        raise CouldNotLook(f"{data.name} has {len(first)} rows with different inputs; at least {LEAST} are needed")
    return table.take(np.random.default_rng(seed).permutation(first)[:rows])


def _background(train: Dataset, model: Predictor, seed: int) -> ArrowTable:
    import numpy as np

    if not train.rows:
        raise CouldNotLook(f"{train.name} has no rows")
    return train.table(tuple(model.features)).take(
        np.random.default_rng([seed, 1]).permutation(train.rows)[:BACKGROUND]
    )


def _explained(case: ModelCase, sample: ArrowTable, background: ArrowTable, pairs: int, seed: int) -> Explained:
    import numpy as np

    from assay.detectors.importance import explain, tree_values

    scores = np.asarray(case.predictor.scores(sample))
    if not np.isfinite(scores).all():
        raise CouldNotLook(f"{case.name} gave scores that are no numbers")
    if scores.std() <= 1e-12:
        raise CouldNotLook(f"{case.name} gives every row the same score: there is nothing to explain")
    found = tree_values(case.predictor, sample)
    return found or explain(case.predictor, sample, background, pairs=pairs, seed=seed, trees=False)


def _added_up(found: Explained) -> Iterator[Measure]:
    """How far the values are from adding up to the scores; raises CouldNotLook where they do not."""
    import numpy as np

    from assay.stats.shapley import mean_interval

    off = (found.values.sum(axis=1) - found.total) / max(1e-12, float(found.total.std()))
    value, low, high = mean_interval(off)
    if found.exact:
        value = low = high = float(np.abs(off).max())
    yield Measure(
        name="explanation.efficiency_error", value=value, low=low, high=high, n=len(off), unit="standard deviations",
        direction=Direction.NEITHER, method="largest of all rows" if found.exact else "mean of the rows, t",
    )  # fmt: skip
    if (value > OFF) if found.exact else (abs(value) > 0.5 and not low <= 0 <= high):
        raise CouldNotLook("the values do not add up to the scores, so they explain something else")


def _ranked(case: ModelCase, found: Explained, seed: int) -> Iterator[Measure | Intervals]:
    """The most important inputs, and the share of the protected ones."""
    import numpy as np

    from assay.stats.classifier import ratio_interval

    size, ones = np.abs(found.values), np.ones(len(found.values))
    features = case.predictor.features
    noise = found.errors.mean(axis=0) * np.sqrt(2 / np.pi)  # the mean of an absolute error: zero looks as large
    rows = []
    for place in np.argsort(-size.mean(axis=0), kind="stable")[:SHOWN].tolist():
        low, high = ratio_interval(size[:, place], ones, seed)
        low = max(0.0, low - float(noise[place]))
        value = float(size[:, place].mean())
        rows.append(IntervalRow(label=visible(features[place], 60), value=value, low=low, high=high, n=len(ones)))
    yield Intervals(
        name="explanation.importance",
        title=f"Its scores rest most on {rows[0].label}",
        subtitle="How much each input moves a row's score on average, with 95% intervals",
        unit=f"mean absolute Shapley value, {found.unit}",
        rows=tuple(rows),
        verbatim=True,
        note=("Exact, from the trees." if found.exact else "Drawn by permutations, from the scores alone.")
        + (f" Not shown: {len(features) - SHOWN} inputs more." if len(features) > SHOWN else ""),
    )
    protected = [p for p, name in enumerate(features) if name in case.protected]
    if case.protected:
        part, whole = size[:, protected].sum(axis=1), size.sum(axis=1)
        low, high = ratio_interval(part, whole, seed)
        yield Measure(
            name="explanation.protected_share", value=float(part.sum() / whole.sum()), low=low, high=high, n=len(ones),
            seed=seed, unit="share", direction=Direction.LOWER, method="of all absolute Shapley values, bootstrap",
        )  # fmt: skip


def _people(data: Dataset, case: ModelCase, found: Explained) -> Iterator[Finding]:
    """Protected columns among the most important inputs, and inputs that stand for one."""
    import numpy as np

    from assay.detectors.groups import codes
    from assay.detectors.importance import association, tenths

    protected = case.protected
    if not protected:
        return
    share = np.abs(found.values).mean(axis=0) / np.abs(found.values).mean(axis=0).sum()
    top = [p for p in np.argsort(-share, kind="stable")[:TOP].tolist() if share[p] >= TOP_SHARE]
    encoded = data.encoded([case.predictor.features[p] for p in top])
    for rank, place in enumerate(top, 1):
        name = case.predictor.features[place]
        at = Location(uri=case.subject.uri, column=name)
        if name in protected:
            yield Finding(
                message=f"{visible(name, 60)} is protected, and number {rank} of the inputs that move the score "
                f"({share[place]:.0%} of all importance)",
                location=at, key="protected", severity=Severity.LOW,
                evidence={"rank": rank, "share": float(share[place])},
                fix="drop it, or write down why the decision may rest on it",
            )  # fmt: skip
            continue
        column = encoded.matrix[:, top.index(place)]
        own = tenths(column) if rank - 1 not in encoded.categorical else np.nan_to_num(column, nan=-1).astype(int)
        for other in protected:
            found_v = association(own, codes(data, other, data)[0])
            if found_v >= PROXY:
                yield Finding(
                    message=f"{visible(name, 60)}, number {rank} of the inputs that move the score, tells "
                    f"{visible(other, 60)} (Cramér's V {found_v:.2f})",
                    location=at, key=f"proxy:{other}", severity=Severity.INFO,
                    evidence={"rank": rank, "share": float(share[place]), "association": found_v, "protected": other},
                    fix="see in `fairness.groups` what it does to the groups",
                )  # fmt: skip
