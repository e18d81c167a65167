"""data.label-flips: labels that contradict what the rest of the data says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from assay.adapters.tables import Dataset
from assay.adapters.values import listed
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.exhibit import Bars, Histogram, Table
from assay.core.finding import Confidence, Finding, Location, Measure, Severity
from assay.core.finding import Direction as Better
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage
from assay.core.suspects import MAX_SUSPECTS, Suspects

if TYPE_CHECKING:
    from assay.detectors.label_errors import Batch, Direction
    from assay.detectors.label_suspicion import Count, Rates

BATCHES = 40
_CODE = re.compile(r"[A-Za-z]{0,4}[-_]?[0-9]{1,4}([-_/][A-Za-z]?[0-9]{1,4}){0,2}")
SEPARABLE = 0.9
LEAST_TOLD = 10_000  # set on simulated classes of benchmarks/bench_detectors.py: 3 of 60 clean tables of 3,000 alarmed
SHOWN = 8


@check(
    "data.label-flips",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    cost="minutes",
    version=7,
    tags=("atlas:AML.T0020", "owasp-ml-2023:ML02"),
    libraries=("numpy", "scipy", "lightgbm", "duckdb"),
    may_read=("trusted",),
    measures=(
        "data.label_flips.missed_share",
        "data.label_flips.invented_share",
        "data.label_flips.missed_count",
        "data.label_flips.invented_count",
    ),
)
def label_flips(
    data: Dataset,
    *,
    trusted: Dataset | None = None,
    rate: Annotated[float, Meta(ge=0, le=1)] = 0.01,
    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.01,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Finding | Measure | Table | Histogram | Suspects]:
    """Labels that contradict what the rest of the data says.

    Why: whoever can relabel a few hundred rows can teach a model to look away, and no accuracy figure shows it, because
    the same labels are used to measure. Honest mistakes in labelling do the same harm.

    How it decides: trees trained without a row say how likely its label is. Rows are ranked inside their class, so that
    a rare class is not drowned, and each direction (said no, looks like yes; said yes, looks like no) is judged
    apart. How many rows could be mislabelled is bounded by a mixture proportion, as long as flips do not gather in
    one segment. If the data has a time or a source column, it asks whether the suspicious labels come in a batch:
    planted labels usually do, natural ambiguity does not. Each batch is compared with what the others show at the
    same scores and with how much those differ among themselves; a row and its copies count once. A batch unlike the
    rest (family-wise error `alpha`, and at least 5 points more contradicted labels among its clear rows) is a high
    finding; with both a time and a source `alpha` covers both. It says that labels or population differ: a batch of
    other people or machines can look like a batch of flipped labels, and someone has to look. Contradicted labels
    without such a batch, in a share surely above `rate`, are a low finding of low confidence where the classes are
    well separated (out-of-fold ROC area of 0.9 or more and, with those labels set aside, a precision-recall area of
    0.9 or more for both classes), and only a note elsewhere: nobody can tell them from rows that are hard by
    nature, but a person should look at the strongest. It is a note too in tables of fewer than 10,000 rows, copies
    counted once: trees that learned from few rows make the tails of honest scores look mislabelled (see
    docs/benchmarks.md). The interval of the shares is that of what looks mislabelled; how much of it is wrong may
    be anything from none.

    Every row gets a suspicion (`assay data check --suspects`), in one ranking of all rows. Trees grown in four ways
    vote. Where labels are flipped both ways at one rate, the probability of the given label is the best ranking there
    is; where only one class is touched, the other class's rows only stand in the way. Which it is, the floors tell:
    flips of one class keep its contradiction from falling below a floor, however sure the trees are, and leave the
    other class's floor where it was. With fewer than 500 rows of a class, or floors that do not tell, it ranks both
    ways. Flips of 1 or 2% in rows that are hard by nature lift no floor that could be told from hardness.

    It counts too, with an interval. Without rows known to be right the interval begins at 0, unless the classes are as
    far apart as a low finding asks for: how many of the contradicted labels are wrong cannot be told otherwise. With
    `trusted`, rows whose labels are known, it can: at equal scores, what the data contradicts more often than those
    rows do are wrong labels. That count has an interval of profile likelihood, and where its lower end is above `rate`
    of the class the finding is medium. Rows that are the same, or of one entity where one is declared, are one draw on
    either side: the interval is as wide as the draws ask for. Trusted rows must be drawn like the others, at least 200
    draws of them with 20 of each class. Flagged are as many of the strongest rows as are surely wrong, none where that
    may be 0, and in a batch unlike the rest its excess.

    Fix: have the listed rows labelled again by someone who did not label them first; take out an upload that is unlike
    the rest until it is explained. Then train again.

    References: Northcutt et al. 2021 (confident learning); Blanchard et al. 2010 (mixture proportions); Scott et al.
    2013 (class-conditional noise); Natarajan et al. 2013 (learning with noisy labels); OWASP ML02.
    """
    import numpy as np

    from assay.detectors.label_errors import (
        LEAST_CLASS,
        LEAST_ROWS,
        contradiction,
        direction,
        separation,
    )
    from assay.detectors.label_suspicion import committee, leaning, suspicion
    from assay.detectors.out_of_fold import out_of_fold, row_groups
    from assay.detectors.rows import entities_of
    from assay.stats.classifier import roc_area
    from assay.stats.effective import effective_n

    target = data.target()
    if data.rows < LEAST_ROWS or min(int(target.sum()), int((~target).sum())) < LEAST_CLASS:
        raise CouldNotLook(f"{data.rows} rows are too few to learn from: {LEAST_ROWS}, {LEAST_CLASS} of each class")
    encoded = data.encoded()
    entities = entities_of(data)
    probability = out_of_fold(encoded, target, seed, entities=entities, progress=progress)
    directions = [direction(probability, target, is_, seed) for is_ in (False, True)]
    yield from (_share(d, int((target == d.is_).sum()), seed) for d in directions)
    groups = row_groups(encoded.matrix)
    batches = list(_unlike(data, probability, target, groups, alpha))
    yield from batches
    worst = max(directions, key=lambda d: d.low)
    aside = np.concatenate([d.rows for d in directions])
    apart = min(roc_area(probability, target), separation(probability, target, aside))
    told = apart >= SEPARABLE and effective_n(groups) >= LEAST_TOLD
    if trusted is None:
        votes, rates = committee(encoded, target, probability, seed, entities=entities, progress=progress), None
        counts = tuple(_untold(d, int((target == d.is_).sum()), told and d.low > rate) for d in directions)
    else:
        votes, rates = _with_trusted(encoded, target, trusted, entities, seed, progress)
        counts = rates.counts
    yield from (_count(c, int((target == c.is_).sum()), seed, rates is not None) for c in counts)
    if rates is not None:
        yield from _trusted_findings(data, target, counts, rate)
    elif not batches and worst.low > rate:
        yield _share_finding(data, worst, told=told)
    leans = leaning(votes, target)
    yield from _table(target, probability, contradiction(probability, target), worst, leans)
    score = suspicion(votes, target, leans, rates)
    yield _suspects(data, target, score, counts, [b for b in batches if isinstance(b, Finding)])


def _with_trusted(
    encoded: Any, target: Any, trusted: Dataset, entities: Any, seed: int, progress: Progress
) -> tuple[Any, Rates]:
    """(the votes on the data's rows, the noise rates): trusted rows are judged in the same folds as the data's."""
    import numpy as np

    from assay.detectors.label_errors import LEAST_CLASS, LEAST_ROWS
    from assay.detectors.label_suspicion import committee, stacked, trusted_rates
    from assay.detectors.out_of_fold import out_of_fold
    from assay.detectors.rows import entities_of
    from assay.stats.effective import effective_n, whole

    truth, known, whose = trusted.target(), trusted.encoded(like=encoded), entities_of(trusted)
    drawn = _drawn(known, truth, whose)
    sizes = [whole(effective_n(part)) for part in (drawn, drawn[truth], drawn[~truth])]
    if sizes[0] < LEAST_ROWS or min(sizes[1:]) < LEAST_CLASS:
        fewer = f" (worth {sizes[0]} draws, {sizes[1]} and {sizes[2]} of the classes)" if sizes[0] < len(truth) else ""
        why = f"the {len(truth)} trusted rows{fewer} are too few to compare with"
        raise CouldNotLook(f"{why}: {LEAST_ROWS}, {LEAST_CLASS} of each class")
    both, of = stacked(encoded, known, entities, whose)
    said = np.concatenate([target, truth])
    first = out_of_fold(both, said, seed, entities=of, progress=progress)
    votes = committee(both, said, first, seed, entities=of, progress=progress)
    rows = len(target)
    worth = effective_n(_drawn(encoded, target, entities)) / rows, effective_n(drawn) / len(truth)
    return votes[:rows], trusted_rates(votes[:rows], target, votes[rows:], truth, worth)


def _drawn(encoded: Any, target: Any, entities: Any) -> Any:
    """A number per row, the same for rows that are one draw: those of one entity, or those that are the same, label
    included, whichever leaves fewer draws."""
    import numpy as np

    from assay.detectors.out_of_fold import row_groups
    from assay.stats.effective import effective_n

    same = row_groups(np.column_stack([encoded.matrix, target]))
    return same if entities is None else min(same, entities, key=effective_n)


def _share(found: Direction, n: int, seed: int) -> Measure:
    return Measure(
        name=f"data.label_flips.{'missed' if not found.is_ else 'invented'}_share",
        value=found.share, low=found.low, high=found.high, n=n, seed=seed, unit="share",
        direction=Better.LOWER, method="mixture proportion: what looks mislabelled, wrong or hard by nature",
    )  # fmt: skip


def _untold(found: Direction, n: int, told: bool) -> Count:
    """The count that a mixture proportion allows: from none, unless the classes are far enough apart to tell."""
    from assay.detectors.label_suspicion import Count

    return Count(found.is_, found.share * n, found.low * n if told else 0.0, found.high * n)


def _count(count: Count, n: int, seed: int, trusted: bool) -> Measure:
    how = (
        "excess over trusted rows at equal scores"
        if trusted
        else "mixture proportion; from 0 where hard rows explain it"
    )
    return Measure(
        name=f"data.label_flips.{'missed' if not count.is_ else 'invented'}_count",
        value=count.value, low=count.low, high=count.high, n=n, seed=seed, unit="rows",
        direction=Better.LOWER, method=how,
    )  # fmt: skip


def _trusted_findings(data: Dataset, target: Any, counts: tuple[Count, ...], rate: float) -> Iterator[Finding]:
    for count in counts:
        n = int((target == count.is_).sum())
        if count.low > rate * n:
            said = "positive" if count.is_ else "negative"
            yield Finding(
                message=(
                    f"some {count.value:.0f} of the {n} {said} labels are wrong (95%: {count.low:.0f} to "
                    f"{count.high:.0f}): trusted rows with the same scores contradict theirs less"
                ),
                location=Location(uri=data.subject.uri, column=data.label or ""),
                key=f"trusted:{said}",
                severity=Severity.MEDIUM,
                confidence=Confidence.MEDIUM,
                evidence={"said": said, "count": count.value, "low": count.low, "high": count.high},
                fix="have the strongest rows labelled again (`assay data check --suspects` lists them)",
            )


def _suspects(data: Dataset, target: Any, score: Any, counts: tuple[Count, ...], found: list[Finding]) -> Suspects:
    """Every row's suspicion; flagged are as many of each direction as are surely wrong, and a batch's excess."""
    import numpy as np

    reasons = np.full(len(target), "", dtype=object)
    order = np.argsort(-score, kind="stable")
    for count in counts:
        mine = order[target[order] == count.is_][: int(count.low)]
        reasons[mine] = f"among the {'positive' if count.is_ else 'negative'} labels that the rest contradicts most"
    for finding in found:
        column, name = str(finding.evidence["column"]), str(finding.evidence["batch"])
        batches, names = _batches(data, column)
        rows, share = finding.evidence["rows"], finding.evidence["expected"]
        excess = float(finding.evidence["suspicious"]) - float(rows) * float(share)  # type: ignore[arg-type]
        inside = order[batches[order] == names.index(name)][: max(1, round(excess))]
        reasons[inside] = f"contradicted label in a batch of {column} unlike the rest"
    order = order[:MAX_SUSPECTS]
    return Suspects(
        check="data.label-flips",
        rows=tuple(order.tolist()),
        scores=tuple(score[order].tolist()),
        flagged=tuple(bool(reasons[i]) for i in order),
        reasons=tuple(reasons[order].tolist()),
    )


def _unlike(data: Dataset, probability: Any, target: Any, groups: Any, alpha: float) -> Iterator[Finding | Histogram]:
    """The batches of the time and of the source column whose labels are unlike the rest, with a picture of them."""
    from assay.detectors.label_errors import contradiction, unlike_batches

    families = []
    for column in dict.fromkeys(filter(None, (data.time, data.source))):
        batches, names = _batches(data, column)
        if len(names) >= 4:
            families.append((column, batches, names))
    for column, batches, names in families:
        found = unlike_batches(probability, target, batches, names, alpha / len(families), groups)
        yield from (_batch_finding(data, column, b, len(families)) for b in found)
        if found:
            yield _histogram(column, batches, names, contradiction(probability, target))


def _batches(data: Dataset, column: str) -> tuple[Any, tuple[str, ...]]:
    """(batch of each row, names): the values of a column, or equal-count stretches of it where it has many.

    Rows without a value are a batch of their own: nobody is accused of what has no source.
    """
    import numpy as np

    values = data.table((column,)).column(0).combine_chunks()
    missing = values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    present = values.filter(~missing)
    encoded = present.dictionary_encode()
    rows = np.flatnonzero(~missing)
    if len(encoded.dictionary) <= BATCHES:
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(int)
        firsts = [int(rows[np.argmax(codes == i)]) for i in range(len(encoded.dictionary))]
        names = tuple(_named(v, row) for v, row in zip(listed(encoded.dictionary), firsts, strict=True))
    else:
        order = np.argsort(np.array(listed(present), dtype=str) if _is_text(present) else _ordered(present))
        codes = np.empty(len(order), dtype=int)
        codes[order] = np.arange(len(order)) * BATCHES // len(order)
        starts = (int(rows[order[len(order) * b // BATCHES]]) for b in range(BATCHES))
        names = tuple(f"from that of row {row}" for row in starts)
    batches = np.full(data.rows, len(names))
    batches[rows] = codes
    return batches, (*names, "(none)") if missing.any() else names


def _named(value: Any, row: int) -> str:
    """A batch by its value only where that is a short code such as u17 or 2026-W24; else by a row that has it."""
    text = str(value)
    return text if _CODE.fullmatch(text) else f"that of row {row}"


def _counted(name: str) -> str:
    """How rows are counted, where a batch is named by one; a code holds no space."""
    return " (counting from 0)" if " row " in name else ""


def _is_text(values: Any) -> bool:
    return str(values.type) in ("string", "large_string")


def _ordered(values: Any) -> Any:
    return values.to_numpy(zero_copy_only=False).astype("float64", copy=False) if str(values.type) in (
        "int64", "double", "bool",
    ) else values.cast("int64").to_numpy(zero_copy_only=False)  # fmt: skip


def _batch_finding(data: Dataset, column: str, batch: Batch, families: int) -> Finding:
    share, shown = batch.suspicious / batch.rows, f"{batch.name}{_counted(batch.name)}"
    p = min(1.0, batch.p * families)
    return Finding(
        message=(
            f"labels or population of {column} {shown} differ: {share:.0%} of its clear labels contradict the "
            f"rest, {batch.elsewhere:.0%} expected"
        ),
        location=Location(uri=data.subject.uri, column=data.label or ""),
        key=f"{column}={batch.name}",
        confidence=Confidence.HIGH if p < 0.001 else Confidence.MEDIUM,
        evidence={
            "column": column, "batch": batch.name, "rows": batch.rows, "suspicious": batch.suspicious,
            "expected": batch.elsewhere, "p_corrected": p,
        },
        fix=f"find out where {column} {shown} is from and who labelled it; leave it out or label it again",
    )  # fmt: skip


def _share_finding(data: Dataset, worst: Direction, told: bool) -> Finding:
    said, looks = ("negative", "positive") if not worst.is_ else ("positive", "negative")
    return Finding(
        message=(
            f"some {worst.share:.1%} of the {said} labels look {looks} (95%: {worst.low:.1%} to {worst.high:.1%}); "
            "how many of them are wrong cannot be told, some rows are hard by nature"
        ),
        location=Location(uri=data.subject.uri, column=data.label or ""),
        key=f"share:{said}",
        severity=Severity.LOW if told else Severity.INFO,
        confidence=Confidence.LOW,
        evidence={"said": said, "share": worst.share, "low": worst.low, "high": worst.high, "rows": len(worst.rows)},
        fix="have the strongest rows of the table labelled again; declare time or source to see whether they cluster",
    )


_LEANS = {
    "missed": "first what is called negative (flips seem to go from positive to negative)",
    "invented": "first what is called positive (flips seem to go from negative to positive)",
    "both": "both labels together (no direction of flips can be told)",
}


def _table(target: Any, probability: Any, score: Any, worst: Direction, leans: str) -> Iterator[Table]:
    import numpy as np

    other = np.where(target, 1 - probability, probability)
    order = np.argsort(-np.where(target == worst.is_, score, -1), kind="stable")[:SHOWN]
    rows = [i for i in order.tolist() if target[i] == worst.is_ and other[i] >= 0.5]
    if not rows:
        return
    said, looks = ("negative", "positive") if not worst.is_ else ("positive", "negative")
    yield Table(
        name="data.label-flips.rows",
        title=f"The {len(rows)} labels that the rest contradicts most",
        subtitle=f"Rows by number (counting from 0), never their content; {said} by their label, {looks} by the rest",
        columns=("row", "label says", "rest of the data says", "probability"),
        rows=tuple((i, said, looks, round(float(other[i]), 3)) for i in rows),
        bar="probability",
        note="Out-of-fold trees: each row is judged by a model that never saw it. Rows may be hard by nature. "
        f"--suspects ranks {_LEANS[leans]}.",
    )


def _histogram(column: str, batches: Any, names: tuple[str, ...], score: Any) -> Histogram:
    import numpy as np

    counts = np.bincount(batches[score >= 0.95], minlength=len(names))
    return Histogram(
        name=f"data.label-flips.{column}",
        title="They come in a batch",
        subtitle=f"Most contradicted labels (the strongest 5% of each class) by {column}",
        x_label=f"{column}{' (rows counted from 0)' if any(map(_counted, names)) else ''}",
        labels=names,
        series=(Bars(name="suspicious labels", counts=tuple(float(c) for c in counts)),),
    )
