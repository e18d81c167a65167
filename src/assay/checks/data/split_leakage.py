"""data.split-leakage: rows or entities of the training data in the data that should judge the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from assay.adapters.tables import Dataset, ident
from assay.adapters.values import listed
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.finding import Confidence, Direction, Finding, Json, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible
from assay.stats.intervals import wilson

if TYPE_CHECKING:
    from assay.detectors.overlap import Overlap

NAMED = 4


@check(
    "data.split-leakage",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    tags=("nist-ai-rmf:MEASURE 2.5",),
    reads=("holdout_of",),
    version=5,
    libraries=("duckdb", "numpy", "pyarrow"),
    measures=("data.split_leakage", "data.split_leakage.tolerated"),
)
def split_leakage(
    data: Dataset, *, holdout_of: Dataset, tolerance: Annotated[float, Meta(ge=0, le=1)] = 0.002
) -> Iterator[Finding | Measure]:
    """Rows or entities of the training data in the data that should judge the model.

    Why: a model remembers. If the rows it is judged on were in its training data, every figure is flattered, and the
    release gate reads flattered figures.

    How it decides: each distinct holdout row is looked up in the training data by its features, numbers with a fraction
    at 6 significant digits, so that neither a jitter nor another label hides a copy; the finding says how many
    shared rows carry another label. Rows also repeat by nature, so the shared share is compared with how often rows
    repeat inside the training data and inside the holdout: the lesser of the two (copies made inside one side only
    raise that side), but not less than the holdout's own estimate where the shared rows are those it repeats (a
    holdout of fewer kinds of rows repeats them more). Each distinct row counts once and copies of a whole side are
    taken for one, so that copying every row of either side changes nothing. Columns that look like an undeclared id
    (whole numbers or text, at least 99% of them different in one of the two) could hide every copy: rows are then
    compared with and without them, the worse answer counts, and the outcome names them. It is a high finding when
    the lower end of the 95% interval of the shared share lies more than `tolerance` above the upper end of that, or
    when declared ids or entities are in both.

    Counts are not certain everywhere. Repeats may have been removed from one side, or from both, after an honest split:
    then nothing inside that side shows how often its rows repeat. So it is a medium finding of low confidence where
    the training data repeat their own rows about as often as the holdout shares them, and the same rows, or where
    chance explains more than a third of the shared rows (how many would agree in their five rarest values if
    columns were independent), and none where chance explains more than half. It is a medium finding too where only
    the holdout repeats the shared rows, and where neither side repeats rows and rows are not specific: no column of
    the holdout is almost all different, and more than a tenth as many rows as are shared equal another row of their
    own side once an eighth of the columns is left out (coarse answers that go together do). Where both sides repeat
    rows, counts cannot tell copies that were made before the split from rows that repeat by nature: a medium
    finding of low confidence when more than a tenth of the distinct holdout rows are shared and chance (here of the
    three rarest values) explains less than a tenth of them.

    It does not see copies that were changed beyond the sixth digit, and it sees few where rows repeat much by nature,
    or where somebody copied rows of both sides unevenly.
    Where neither side repeats rows of its own (repeats explain less than a tenth of what is shared), the high finding
    has medium confidence: rows of many specific values that repeat by nature, each side rid of its repeats after the
    split, look the same, and only whoever made the split can say. `data.split_leakage.tolerated` is the shared share up
    to which repeats and `tolerance` explain what is seen; the lower end of `data.split_leakage` is compared with it.

    Fix: split again by entity or by time, so that nothing of a training row is in the holdout; make copies for balance
    after the split and in the training data only. Then measure again.

    References: Kapoor and Narayanan 2023 (leakage and the reproducibility crisis); Good 1953 (coverage of a sample).
    """
    from assay.detectors.overlap import judge, overlap
    from assay.detectors.rows import undeclared_ids

    common = [c for c in data.features if c in holdout_of.features]
    if not common or not data.rows or not holdout_of.rows:
        raise CouldNotLook(f"{data.name} and {holdout_of.name} share no feature, or one has no rows")
    label = data.label if data.label and data.label == holdout_of.label else ""
    columns = [*common, *([label] if label else [])]
    found, aside = overlap(holdout_of.table(columns), data.table(columns), label), ""
    judged = judge(found, tolerance)
    seen = {n for side in (data, holdout_of) for n in undeclared_ids(side.table(common))}
    if seen and len(seen) < len(common):
        rest = [c for c in columns if c not in seen]
        bare = overlap(holdout_of.table(rest), data.table(rest), label)
        without = judge(bare, tolerance)
        if (without.rank if without else -1) >= (judged.rank if judged else -1):
            ids = ", ".join(visible(n, 40) for n in sorted(seen)[:NAMED]) + (", …" if len(seen) > NAMED else "")
            found, judged, aside = bare, without, f"; left out as undeclared ids: {ids}"
    yield from _measures(found, tolerance, aside)
    if judged is Severity.HIGH:
        yield _leaked(data, holdout_of, found, aside)
    elif judged is not None:
        yield _repeated(data, holdout_of, found, _doubt(holdout_of, found, tolerance), aside)
    for role, mine, theirs in (("id", data.id, holdout_of.id), ("entity", data.entity, holdout_of.entity)):
        if mine and theirs:
            yield from _same(data, holdout_of, role, mine, theirs)


def _measures(found: Overlap, tolerance: float, aside: str) -> Iterator[Measure]:
    low, high = wilson(found.shared, found.rows)
    yield Measure(
        name="data.split_leakage", value=found.shared / found.rows, low=low, high=high, n=found.rows,
        unit="share", direction=Direction.LOWER, method=f"distinct rows also in training, Wilson{aside}",
    )  # fmt: skip
    tolerated = min(1.0, found.most + tolerance)
    yield Measure(
        name="data.split_leakage.tolerated", value=tolerated, n=found.rows, unit="share",
        method=f"a bound: the 95% upper end of what repeats inside the two explain, and {tolerance:g} more",
    )  # fmt: skip


def _leaked(data: Dataset, other: Dataset, found: Overlap, aside: str) -> Finding:
    bare = "; neither side repeats rows: if both were rid of repeats after the split, rows may come again by nature"
    return Finding(
        message=(
            f"{found.shared} of {found.rows} distinct holdout rows ({found.shared / found.rows:.1%}) are also in "
            f"{other.name}{_relabelled(found)}, where repeats inside the two explain at most {found.most:.1%}"
            f"{bare if found.bare else ''}{aside}"
        ),
        location=Location(uri=data.subject.uri, row=found.first),
        key="rows",
        confidence=Confidence.MEDIUM if found.bare else Confidence.HIGH,
        evidence=_evidence(found),
        fix="take the shared rows out of one side, or split again by entity or time",
    )


def _doubt(other: Dataset, found: Overlap, tolerance: float) -> str:
    from assay.detectors.overlap import CERTAIN, beyond

    if not beyond(found, tolerance):
        only = wilson(found.shared, found.rows)[0] > found.least + tolerance
        return "which only the holdout repeats" if only else "too specific for chance, and both sides repeat rows"
    if found.repeated:
        return f"about as often as rows repeat inside {other.name}"
    if not found.specific and found.likely < CERTAIN * found.shared:
        return "neither side repeats rows, and rows are too alike to rule chance out"
    return f"of which chance explains some {found.likely:.0f}"


def _repeated(data: Dataset, other: Dataset, found: Overlap, why: str, aside: str) -> Finding:
    return Finding(
        message=(
            f"{found.shared} of {found.rows} distinct holdout rows ({found.shared / found.rows:.1%}) are also in "
            f"{other.name}{_relabelled(found)}, {why}: "
            f"copies were made before the split, or such rows repeat by nature{aside}"
        ),
        location=Location(uri=data.subject.uri, row=found.first),
        key="repeats",
        severity=Severity.MEDIUM,
        confidence=Confidence.LOW,
        evidence=_evidence(found),
        fix="split before rows are copied for balance; where rows repeat by nature, split by what they have in common",
    )


def _relabelled(found: Overlap) -> str:
    return f", {found.other_label} of them only under another label" if found.other_label else ""


def _evidence(found: Overlap) -> dict[str, Json]:
    return {
        "shared": found.shared, "rows": found.rows, "other_label": found.other_label, "expected_share": found.most,
        "chance_twins": round(found.chance, 3), "likely_twins": round(found.likely, 3), "repeated": found.repeated,
        "bare": found.bare, "specific": found.specific,
    }  # fmt: skip


def _same(data: Dataset, other: Dataset, role: str, mine: str, theirs: str) -> Iterator[Finding]:
    here = set(listed(data.sql(f"SELECT DISTINCT {ident(mine)} FROM data").column(0))) - {None}  # noqa: S608
    there = set(listed(other.sql(f"SELECT DISTINCT {ident(theirs)} FROM data").column(0)))  # noqa: S608
    shared = len(here & there)
    if shared:
        yield Finding(
            message=f"{shared} of {len(here)} values of the {role} {mine} are also in {other.name}",
            location=Location(uri=data.subject.uri, column=mine),
            key=role,
            evidence={"shared": shared, "values": len(here)},
            fix=f"split by {mine}, so that each is on one side only",
        )
