"""Whether an explanation can be believed: deletion, repetition, and models trained on permuted and on true labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.adapters.cases import ModelCase
from assay.core.exhibit import IntervalRow, Intervals
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.protocols import ArrowTable

if TYPE_CHECKING:
    from assay.detectors.importance import Explained

ALIKE = 0.5  # a rank correlation above this is called alike
RANDOM, RETRAINED = 8, 4
ASIDE = 60  # rows that stand-ins are compared on


def deleted(case: ModelCase, sample: ArrowTable, background: ArrowTable, found: Explained, seed: int) -> Any:
    """The deletion test; gives what it could not decide."""
    import numpy as np

    from assay.detectors.importance import deletion
    from assay.stats.classifier import ratio_interval

    count = max(1, round(len(case.predictor.features) / 5))
    first, drawn = deletion(case.predictor, sample, background, found.values, count=count, seed=seed)
    gain = first - drawn
    low, high = ratio_interval(gain, np.ones(len(gain)), seed)
    yield Measure(
        name="explanation.deletion_gain", value=float(gain.mean()), low=low, high=high, n=len(gain), seed=seed,
        unit="score", direction=Direction.HIGHER, method=f"{count} inputs of each row, paired bootstrap",
    )  # fmt: skip
    if high <= 0:
        yield Finding(
            message="without the inputs that the explanation names first the score moves no more than without others "
            f"({first.mean():.3g} and {drawn.mean():.3g})",
            location=Location(uri=case.subject.uri),
            key="deletion",
            evidence={"first": float(first.mean()), "drawn": float(drawn.mean()), "low": low, "high": high},
            fix="do not explain decisions of this model with these values",
        )
        return []
    return [] if low > 0 else [f"{len(gain)} rows do not show that deletion of what it names moves the score more"]


def compared(
    case: ModelCase, sample: ArrowTable, background: ArrowTable, found: Explained, pairs: int, seed: int
) -> Any:  # fmt: skip
    """The explanation beside that of stand-ins trained on permuted labels and on true ones; gives what is undecided."""
    import numpy as np

    from assay.detectors.importance import explain, stand_in
    from assay.stats.shapley import mean_interval, rank_agreement

    train = case.train
    assert train is not None
    repeat = yield from _repeated(case, sample, background, found, pairs, seed)
    if repeat < ALIKE:
        return [f"the values drawn again agree by {repeat:.2f} only: raise `pairs`, now {pairs}"]
    target, encoded = train.target(), train.encoded(case.predictor.features)
    few = sample.slice(0, ASIDE)
    mine = found.values[: few.num_rows]
    ends: dict[str, tuple[float, float, float]] = {}
    for kind, count in (("randomised", RANDOM), ("retrained", RETRAINED)):
        signed, order = [], []
        for number in range(count):
            model = stand_in(encoded, target, seed + 101 * number + 1, permuted=kind == "randomised")
            other = explain(model, few, background, pairs=pairs, seed=seed + number, trees=found.exact).values
            signed.append(rank_agreement(mine, other))
            order.append(rank_agreement(*(np.abs(v).mean(axis=0)[None] for v in (mine, other))))
        for name, values in (("agreement", signed), ("ranking", order)):
            value, low, high = mean_interval(np.asarray(values))
            ends[f"{kind}_{name}"] = value, max(-1.0, low), min(1.0, high)
            yield Measure(
                name=f"explanation.{kind}_{name}", value=value, low=max(-1.0, low), high=min(1.0, high), n=count,
                seed=seed, unit="rank correlation",
                direction=Direction.LOWER if kind == "randomised" else Direction.HIGHER,
                method=f"{count} models, {'permuted' if kind == 'randomised' else 'true'} labels, t",
            )  # fmt: skip
    yield _picture(ends, ALIKE * repeat)
    return (yield from _told(case, ends, ALIKE * repeat))


def _repeated(
    case: ModelCase, sample: ArrowTable, background: ArrowTable, found: Explained, pairs: int, seed: int
) -> Any:  # fmt: skip
    """How well the values agree with themselves, drawn again; gives that, 1 for exact ones."""
    from assay.detectors.importance import explain

    few, value, low, high = sample.slice(0, ASIDE), 1.0, 1.0, 1.0
    rows = few.num_rows
    if not found.exact:
        again = explain(case.predictor, few, background, pairs=pairs, seed=seed + 7919, trees=False)
        value, low, high, rows = _agreement(found.values[:rows], again.values, seed)
    yield Measure(
        name="explanation.repeat_agreement", value=value, low=low, high=high, n=rows, seed=seed,
        unit="rank correlation", direction=Direction.HIGHER,
        method="exact" if found.exact else "drawn again with another seed, bootstrap of the rows",
    )  # fmt: skip
    return value


def _agreement(first: Any, second: Any, seed: int) -> tuple[float, float, float, int]:
    """(mean of the rows' rank correlations, 0 at least; its ends; the rows that have an order in both). Each row's
    values are drawn on their own, so that other rows and other draws are both in a bootstrap of the rows."""
    import numpy as np

    from assay.stats.classifier import ratio_interval
    from assay.stats.shapley import rank_agreement

    known = (np.ptp(first, axis=1) > 0) & (np.ptp(second, axis=1) > 0)
    if known.sum() < 2:  # one row tells nothing of others
        return max(0.0, rank_agreement(first, second)), 0.0, 1.0, int(known.sum())
    each = np.array([rank_agreement(a[None], b[None]) for a, b in zip(first[known], second[known], strict=True)])
    ends = (float(each.mean()), *ratio_interval(each, np.ones(len(each)), seed))
    value, low, high = (max(0.0, end) for end in ends)
    return value, low, high, len(each)


def _told(case: ModelCase, ends: dict[str, tuple[float, float, float]], alike: float) -> Any:
    value, low, high = ends["randomised_agreement"]
    where = Location(uri=case.subject.uri)
    if low > alike:
        yield Finding(
            message="the explanation is much the same for models trained on permuted labels: rank correlation "
            f"{value:.2f} ({low:.2f} to {high:.2f})",
            location=where,
            key="randomised",
            evidence={"value": value, "low": low, "high": high},
            fix="do not explain decisions of this model with these values",
        )
    again, under, over = ends["retrained_agreement"]
    if over < alike:
        yield Finding(
            message="models trained anew on the same labels are explained otherwise: rank correlation "
            f"{again:.2f} ({under:.2f} to {over:.2f})",
            location=where,
            key="retrained",
            severity=Severity.INFO,
            evidence={"value": again, "low": under, "high": over},
            fix="read the explanation as one of this model, not of the data",
        )
    undecided = low <= alike < high
    return [f"{RANDOM} models do not decide whether permuted labels change the explanation"] if undecided else []


def _picture(ends: dict[str, tuple[float, float, float]], alike: float) -> Intervals:
    words = {
        "randomised_agreement": "row by row, permuted labels",
        "retrained_agreement": "row by row, true labels",
        "randomised_ranking": "order, permuted labels",
        "retrained_ranking": "order, true labels",
    }
    value = ends["randomised_agreement"][0]
    return Intervals(
        name="explanation.sanity",
        title=f"Models trained on permuted labels agree with its explanation by {value:.2f}",
        subtitle="Rank correlation with explanations of models trained on the same columns, with 95% intervals",
        unit="rank correlation",
        rows=tuple(
            IntervalRow(label=words[k], value=v, low=low, high=high, measure=f"explanation.{k}")
            for k, (v, low, high) in ends.items()
        ),
        reference=alike,
        verbatim=True,
        note="An explanation that says the same of any model explains none.",
    )
