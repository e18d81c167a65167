"""privacy.memorisation: which training records the model knows by heart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.checks.privacy.played import Played, played
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.exhibit import IntervalRow, Intervals
from assay.core.finding import Direction, Finding, Json, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage

if TYPE_CHECKING:
    from assay.attacks.membership.memory import Excess

SHARE, LABELS = "privacy.memorisation.memorised_share", "privacy.memorisation.label_share"
REPEATED = "privacy.memorisation.repeated_share"
RATE = 0.01
NAMED = 20
FIX = (
    "take out what should not be learned (copies, records that nobody else resembles), train with larger leaves or "
    "stronger regularisation, or with differential privacy; then measure again"
)


@check(
    "privacy.memorisation",
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.MEDIUM,
    needs="ml",
    cost="minutes",
    version=2,
    tags=("owasp-ml-2023:ML03", "nist-aml:NISTAML.037", "nist-aml:NISTAML.038", "eu-ai-act:Art.10"),
    reads=("data", "holdout"),
    wants=("holdout",),
    libraries=("numpy", "scipy", "pyarrow", "onnxruntime", "lightgbm", "scikit-learn"),
    measures=(SHARE, LABELS, REPEATED),
)
def memorisation(
    case: ModelCase,
    *,
    references: Annotated[int, Meta(ge=4, le=256, multiple_of=2)] = 4,
    rows: Annotated[int, Meta(ge=100)] = 20_000,
    least: Annotated[float, Meta(ge=0, le=1)] = 0.01,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Finding | Measure | Intervals]:
    """Which training records the model knows by heart.

    Why: a model that is sure of a record only because it saw that very record has stored it. Odd and rare people are
    the first to be stored, and a record that was copied into the data several times is stored deepest.

    How it decides: a row's gap is the model's certainty of its label minus the mean certainty of reference models,
    trained the same way on halves of the data, that did not see it (counterfactual memorisation). Gaps of holdout rows,
    which no model saw, show what chance and the references' fewer rows make of it. `memorised_share` is the share of
    training rows with a gap of .25 or more minus that of holdout rows; `label_share` the share whose label the model
    gets right where the references get it wrong, minus the same; both only for rows without a twin in either table,
    with joined Wilson limits. A finding where the lower bound of either exceeds `least`.

    Single records are named (by row number, never by value) where their gap is beyond the holdout's: p-values by rank
    among the holdout's gaps, at most 1% of the named expected to be wrong (Benjamini and Hochberg), once for rows that
    are alone and once for sets of equal rows (`repeated_share` of these are memorised, Wilson). Copies of one record
    always fall into the same half, so that "did not see it" means none of them.

    Where the same is found on references, with training rows that they did not see in the members' place (an area of
    the gaps surely beyond .49 to .51, or a share surely beyond 1%), the tables differ, the holdout is no standard, and
    the check stays open.

    Fix: remove copies and records that should not be learned, larger leaves, stronger regularisation, differential
    privacy.

    References: Feldman and Zhang 2020; Bates et al. 2023 (p-values by rank).
    """
    import numpy as np

    from assay.attacks.membership import memory

    play = played(case, references=references, rows=rows, seed=seed, progress=progress, repeated=True)
    game = play.game
    gaps = memory.gap(game)
    single = play.copies == 1
    if min((single & game.member).sum(), (~game.member).sum()) < 2:
        raise CouldNotLook(f"{case.name}: every training row has a twin, so none is a record of its own")
    alone = game.only(single)
    if memory.differs(alone):
        what = "the tables differ where no model could know it; name a holdout drawn at random from the same rows"
        raise CouldNotLook(f"{case.name}: {what}")
    memorised, labels = memory.memorised(alone), memory.label_only(alone)
    yield _measure(SHARE, memorised, f"{references} {play.said}; gap of .25 beyond the holdout's", seed)
    yield _measure(LABELS, labels, "label known to the model alone, beyond the holdout's", seed)
    yield _bands(memory.bands(alone), memorised, labels, play)
    null = gaps[~game.member]
    lone, sets = np.flatnonzero(single & game.member), np.flatnonzero(~single)
    if len(sets):
        yield from _repeated(case, play, sets, memory.established(gaps[sets], null, RATE), seed)
    named = lone[memory.established(gaps[lone], null, RATE)]
    if max(memorised.rate.low, labels.rate.low) > least or len(named):
        yield _finding(case, memorised, labels, game.row[named])


def _measure(name: str, excess: Excess, how: str, seed: int) -> Measure:
    value, low, high = excess.rate
    return Measure(
        name=name, value=value, low=low, high=high, n=excess.members, seed=seed, unit="share",
        direction=Direction.LOWER, method=how,
    )  # fmt: skip


def _finding(case: ModelCase, memorised: Excess, labels: Excess, named: Any) -> Finding:
    value, low, high = memorised.rate
    rows: list[Json] = [int(r) for r in named[:NAMED]]
    return Finding(
        message=(
            f"{max(0.0, value):.1%} ({low:.1%} to {high:.1%}) of {memorised.members} training rows are known by heart, "
            f"{max(0.0, labels.rate.value):.1%} ({labels.rate.low:.1%} to {labels.rate.high:.1%}) with a label that "
            "other rows do not support; "
            + (f"{len(named)} are named, at most {RATE:.0%} of them wrongly" if len(named) else "no row can be named")
        ),
        location=Location(uri=case.subject.uri),
        key="memorised",
        evidence={"low": low, "label_low": labels.rate.low, "named": len(named), "rows": rows},
        fix=FIX,
    )


def _repeated(case: ModelCase, play: Played, sets: Any, surely: Any, seed: int) -> Iterator[Finding | Measure]:
    """Records that occur several times in the training data."""
    from assay.stats.intervals import wilson

    low, high = wilson(len(surely), len(sets))
    yield Measure(
        name=REPEATED, value=len(surely) / len(sets), low=low, high=high, n=len(sets), seed=seed, unit="share",
        direction=Direction.LOWER, method="sets of equal training rows surely known by heart, Wilson",
    )  # fmt: skip
    if len(surely):
        rows: list[Json] = [int(r) for r in play.game.row[sets[surely]][:NAMED]]
        yield Finding(
            message=(
                f"{len(surely)} of {len(sets)} records that occur several times ({low:.0%} to {high:.0%}) are surely "
                "known by heart"
            ),
            location=Location(uri=case.subject.uri),
            key="repeated",
            evidence={"rows": rows, "copies": [int(c) for c in play.copies[sets[surely]][:NAMED]]},
            fix="keep one copy of each record, or none of those that should not be learned; then measure again",
        )


def _bands(bands: list[tuple[float, float, Excess]], memorised: Excess, labels: Excess, play: Played) -> Intervals:
    shown = [("all rows", memorised, SHARE), ("label known to it alone", labels, LABELS)]
    shown += [(f"others {low:.0%} to {high:.0%} sure", e, "") for low, high, e in bands]
    return Intervals(
        name="privacy.memorisation.shares",
        title="Which training rows the model knows by heart",
        subtitle="Share of training rows minus share of holdout rows, with 95% intervals",
        unit="difference",
        rows=tuple(
            IntervalRow(
                label=label, value=e.rate.value, low=e.rate.low, high=e.rate.high, n=e.members, measure=measure,
                better="lower",
            )
            for label, e, measure in shown
        ),
        reference=0.0,
        note=f"Known by heart: .25 surer than references that did not see the row. {play.said.capitalize()}.",
    )  # fmt: skip
