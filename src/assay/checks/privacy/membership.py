"""privacy.membership: whether the model's answers tell who was in its training data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.checks.privacy.played import Played, played
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.exhibit import Curve, IntervalRow, Intervals, Series
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage

if TYPE_CHECKING:
    from assay.attacks.membership.verdict import Found

POINTS = 60
WORDS = {"rmia": "RMIA", "lira": "LiRA", "loss": "loss threshold"}
PLACES, NEEDED = ("tpr_at_1pct_fpr", "tpr_at_01pct_fpr"), (1000, 10_000)
FIX = (
    "train with larger leaves, shallower or fewer trees, or stronger regularisation, round what the model answers, or "
    "train with differential privacy; then measure again"
)


@check(
    "privacy.membership",
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.MEDIUM,
    needs="ml",
    cost="minutes",
    version=2,
    tags=("owasp-ml-2023:ML04", "nist-aml:NISTAML.033", "eu-ai-act:Art.10"),
    reads=("data", "holdout"),
    wants=("holdout",),
    libraries=("numpy", "scipy", "pyarrow", "onnxruntime", "lightgbm", "scikit-learn"),
    measures=(
        "privacy.membership.rmia_tpr_at_1pct_fpr",
        "privacy.membership.rmia_tpr_at_01pct_fpr",
        "privacy.membership.rmia_auc",
        "privacy.membership.lira_tpr_at_1pct_fpr",
        "privacy.membership.lira_tpr_at_01pct_fpr",
        "privacy.membership.lira_auc",
        "privacy.membership.loss_tpr_at_1pct_fpr",
        "privacy.membership.loss_tpr_at_01pct_fpr",
        "privacy.membership.loss_auc",
        "privacy.membership.null_auc",
    ),
)
def membership(
    case: ModelCase,
    *,
    references: Annotated[int, Meta(ge=2, le=256, multiple_of=2)] = 4,
    rows: Annotated[int, Meta(ge=100)] = 20_000,
    factor: Annotated[float, Meta(gt=1)] = 2.0,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Finding | Measure | Curve | Intervals]:
    """Whether the model's answers tell who was in its training data.

    Why: that somebody is among the patients, debtors or suspects that a model was trained on is personal data. Where
    it can be read off the answers, publishing the model publishes it, and an attacker needs no more than to ask.

    How it decides: a finding where the lower bound of RMIA's true positive rate at 1% or at 0.1% false positives
    exceeds that rate by `factor`, and what its placebo reaches. Members are rows of `data`, others rows of `holdout`,
    up to `rows` of each. Rows that share all inputs with any other row of both tables are left out on both sides (a
    twin answers for them), as are rows of an entity that is in both.

    Reference models are trained by the model's own recipe (a clone of the scikit-learn estimator inside its sandbox,
    the parameters that a LightGBM file lists; else LightGBM's defaults stand in, and the measures say so) on halves of
    `data`, two and two complementary, never on the holdout. Every row is compared with as many references that did
    not see it. This attacker thus holds other training rows, more than who only knows the population: an upper view.
    RMIA (offline) is Pr(x | model) / Pr(x), its `a` chosen on the references in the model's place; LiRA (offline) is
    asked from 16 references on; the loss threshold is the baseline that needs none.

    A holdout from other months or branches fakes all of this. So the same attack is run on each reference with
    training rows that it did not see in the members' place: there is nothing to find but a difference between the
    tables. `null_auc` is the area that RMIA has there (with two references: the loss threshold). Where it lies beyond
    .49 to .51 at 99%, the attack's figures are withheld, and the check stays open.

    Rates rest on at least 10 expected false positives: 1,000 holdout rows for 1%, 10,000 for 0.1%; else they have no
    value. Their intervals hold what the threshold and the members may be off; the area's is DeLong's. All are for this
    one model and these references: other draws of references differ. A low rate is no proof: attacks get better.

    Fix: larger leaves, shallower trees, stronger regularisation or differential privacy; round or hide scores; then
    measure again.

    References: Zarifzadeh, Liu and Shokri 2024 (RMIA); Carlini et al. 2022 (LiRA; rates at few false positives);
    Yeom et al. 2018 (loss); DeLong et al. 1988.
    """
    from assay.attacks.membership import scores
    from assay.attacks.membership.verdict import found

    play = played(case, references=references, rows=rows, seed=seed, progress=progress)
    a = scores.tuned(play.game)
    attacks = [found("rmia", play.game, lambda game: scores.rmia(game, a))]
    if references >= scores.LIRA_FROM:
        attacks.append(found("lira", play.game, scores.lira))
    attacks.append(found("loss", play.game, scores.loss, references=False))
    first = attacks[0]
    null = first.null or attacks[-1].null
    how = f"{references} {play.said}, a={a:g}"
    for attack in attacks:
        yield from _measures(attack, play, how, seed)
    if null is not None:
        yield _measure("null_auc", null, play, "the attack on references, with rows that they never saw", seed)
    yield _nulls(attacks, play)
    yield _curve(attacks, play, how)
    placebo = first if first.null is not None else attacks[-1]
    if placebo.off:
        raise CouldNotLook(_apart(case, placebo))
    yield from _finding(case, first, play, factor)
    if first.rates[0] is None:
        others = int((~play.game.member).sum())
        raise CouldNotLook(f"{others} holdout rows carry no rate at 1% false positives: 1000 are needed")


def _apart(case: ModelCase, attack: Found) -> str:
    assert attack.null is not None
    said = f"{attack.null.value:.3f} ({attack.null.low:.3f} to {attack.null.high:.3f})"
    what = f"the attack tells the holdout from training rows that its model never saw, area {said}"
    return f"{case.name}: {what}: the tables differ; name a holdout drawn at random from the same rows"


def _measures(attack: Found, play: Played, how: str, seed: int) -> Iterator[Measure]:
    others = int((~play.game.member).sum())
    how = f"{WORDS[attack.name]}, {how}" if attack.name != "loss" else WORDS["loss"]
    asked = [
        (place, rate, f"no value: {others} holdout rows, {needed} needed")
        for place, rate, needed in zip(PLACES, attack.rates, NEEDED, strict=True)
    ]
    for name, rate, why in [*asked, ("auc", attack.area, "")]:
        if attack.off:
            rate, why = None, "no value: the placebo tells the tables apart"
        yield _measure(f"{attack.name}_{name}", rate, play, why if rate is None else how, seed)


def _measure(name: str, rate: tuple[float, float, float] | None, play: Played, how: str, seed: int) -> Measure:
    """A rate is one of members, an area one of members and others."""
    value, low, high = rate or (None, None, None)
    member = play.game.member
    return Measure(
        name=f"privacy.membership.{name}", value=value, low=low, high=high, seed=seed,
        n=len(member) if name.endswith("auc") else int(member.sum()),
        unit="share", direction=Direction.NEITHER if name == "null_auc" else Direction.LOWER, method=how,
    )  # fmt: skip


def _finding(case: ModelCase, attack: Found, play: Played, factor: float) -> Iterator[Finding]:
    from assay.attacks.membership.verdict import FPRS

    for fpr, rate, null in zip(FPRS, attack.rates, attack.null_rates, strict=True):
        if rate is None or rate.low <= max(factor * fpr, null.high if null is not None else 0.0):
            continue
        m = int(play.game.member.sum())
        yield Finding(
            message=(
                f"{rate.value:.1%} of {m} training rows can be told from rows that the model never saw, at {fpr:.1%} "
                f"false positives ({rate.value / fpr:.0f} times chance)"
            ),
            location=Location(uri=case.subject.uri),
            key="membership",
            evidence={"fpr": fpr, "tpr": rate.value, "low": rate.low, "high": rate.high, "auc": attack.area.value},
            fix=FIX,
        )
        return


def _nulls(attacks: list[Found], play: Played) -> Intervals:
    from assay.attacks.membership.roc import area
    from assay.attacks.membership.scores import outside

    game = play.game
    shown = [("references alone", area(outside(game), game.member), "")]
    shown += [
        (f"{WORDS[a.name]}, placebo", a.null, "privacy.membership.null_auc" if a.name == "rmia" else "")
        for a in attacks
        if a.null is not None
    ]
    shown += [(WORDS[a.name], a.area, f"privacy.membership.{a.name}_auc") for a in attacks if not a.off]
    return Intervals(
        name="privacy.membership.areas",
        title="The placebo must find nothing" if not attacks[0].off else "The placebo finds a difference of the tables",
        subtitle="Area under the ROC curve, members against others, with 95% intervals",
        unit="area",
        rows=tuple(
            IntervalRow(label=label, value=r.value, low=r.low, high=r.high, n=len(game.member), measure=measure)
            for label, r, measure in shown
            if r is not None
        ),
        reference=0.5,
        note=(
            "Placebo: the attack on a reference model, with training rows that it never saw in the members' place. "
            f"Left out, as another row has their inputs or both tables their entity: {play.left_out[0]} training and "
            f"{play.left_out[1]} holdout rows."
        ),
    )


def _curve(attacks: list[Found], play: Played, how: str) -> Curve:
    import numpy as np

    from assay.attacks.membership.roc import LEAST_FALSE, roc, tpr_at

    member = play.game.member
    others = int((~member).sum())
    at = np.geomspace(LEAST_FALSE / others, 1.0, POINTS)
    grid = tuple(float(x) for x in at)
    lines = []
    for attack in [a for a in attacks if not a.off]:
        main = attack.name == "rmia"
        known = [b for x in grid if main and (b := tpr_at(attack.score, member, x)) is not None]
        lines.append(
            Series(
                name=WORDS[attack.name], x=grid, role="data" if main else "other",
                y=tuple(float(y) for y in np.interp(at, *roc(attack.score, member))),
                low=tuple(b.low for b in known), high=tuple(b.high for b in known),
            )
        )  # fmt: skip
    lines.append(Series(name="chance", x=grid, y=grid, role="other"))
    return Curve(
        name="privacy.membership.roc",
        title="How many members are found, and how many others are called so",
        subtitle=f"{int(member.sum())} training and {others} holdout rows; {how}",
        x_label="false positive rate",
        y_label="true positive rate",
        x_scale="log",
        y_scale="log",
        series=tuple(lines),
        mark=0.01 if others * 0.01 >= LEAST_FALSE else None,
        mark_label="1%" if others * 0.01 >= LEAST_FALSE else "",
        measure="privacy.membership.rmia_tpr_at_1pct_fpr",
        note="From 10 expected false positives on: further left the rows carry no rate.",
    )
