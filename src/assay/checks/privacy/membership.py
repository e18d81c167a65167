"""privacy.membership: whether the model's answers tell who was in its training data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.checks.privacy.pictures import WORDS, curve, nulls
from assay.checks.privacy.played import Played, played
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.exhibit import Curve, Intervals
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage

if TYPE_CHECKING:
    from assay.attacks.membership.roc import Rate
    from assay.attacks.membership.verdict import Found

PLACES = ("tpr_at_1pct_fpr", "tpr_at_01pct_fpr")
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
    version=4,
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

    How it decides: a finding where the lower bound of an attack's true positive rate at 1% or at 0.1% false positives
    exceeds that rate by `factor`, and what its placebo reaches; the attacks are RMIA, LiRA and the loss, and the one
    that surely tells most is named. Open where there is none and an upper bound at 1% still exceeds it: as a rule that
    takes some 3,000 rows of each. Members are rows of `data`, others rows of `holdout`, up to `rows` of each. Rows that
    share all inputs with any other row of both tables are left out on both sides (a twin answers for them), as are rows
    of an entity that is in both.

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
    from assay.attacks.membership.verdict import FPRS, attacks_of, needed

    play = played(case, references=references, rows=rows, seed=seed, progress=progress)
    attacks = tuple(attacks_of(play.game))
    first = attacks[0]
    null = first.null or attacks[-1].null
    how = f"{references} {play.said}, a={first.a:g}"
    for attack in attacks:
        yield from _measures(attack, play, how, seed)
    if null is not None:
        yield _measure("null_auc", null, play, "the attack on references, with rows that they never saw", seed)
    yield nulls(attacks, play)
    yield curve(attacks, play, how)
    placebo = first if first.null is not None else attacks[-1]
    if placebo.off:
        raise CouldNotLook(_apart(case, placebo))
    found = tuple(_finding(case, attacks, play, factor))
    yield from found
    if first.rates[0] is None:
        others = int((~play.game.member).sum())
        raise CouldNotLook(f"{others} holdout rows carry no rate at 1% false positives: {needed(FPRS[0])} are needed")
    if not found and (why := _unsure(attacks, factor)):
        raise CouldNotLook(why)


def _unsure(attacks: tuple[Found, ...], factor: float) -> str:
    """What keeps a model without a finding from passing: a rate at 1% that may lie above the limit all the same."""
    from assay.attacks.membership.verdict import FPRS

    rates = [(attack.rates[0], attack.name) for attack in attacks if attack.rates[0] is not None]
    rate, name = max(rates, key=lambda pair: pair[0].high)
    if rate.high <= factor * FPRS[0]:
        return ""
    told = f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%}) at {FPRS[0]:.1%} false positives, by {WORDS[name]}"
    return f"{told}: whether that is above {factor * FPRS[0]:.1%} these rows cannot tell; more of both tables may"


def _apart(case: ModelCase, attack: Found) -> str:
    assert attack.null is not None
    said = f"{attack.null.value:.3f} ({attack.null.low:.3f} to {attack.null.high:.3f})"
    what = f"the attack tells the holdout from training rows that its model never saw, area {said}"
    return f"{case.name}: {what}: the tables differ; name a holdout drawn at random from the same rows"


def _measures(attack: Found, play: Played, how: str, seed: int) -> Iterator[Measure]:
    from assay.attacks.membership.verdict import FPRS, needed

    others = int((~play.game.member).sum())
    how = f"{WORDS[attack.name]}, {how}" if attack.name != "loss" else WORDS["loss"]
    asked = [
        (place, rate, f"no value: {others} holdout rows, {needed(fpr)} needed")
        for place, rate, fpr in zip(PLACES, attack.rates, FPRS, strict=True)
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


def _finding(case: ModelCase, attacks: tuple[Found, ...], play: Played, factor: float) -> Iterator[Finding]:
    """What the attack tells that surely tells most: at 1% false positives, or where none does, at 0.1%."""
    from assay.attacks.membership.verdict import FPRS

    m = int(play.game.member.sum())
    for at, fpr in enumerate(FPRS):
        sure = [(rate, attack) for attack in attacks if (rate := _told(attack, at, factor * fpr)) is not None]
        if not sure:
            continue
        rate, attack = max(sure, key=lambda pair: pair[0].low)
        by = "" if attack.name == attacks[0].name else f", by {WORDS[attack.name]}"
        yield Finding(
            message=(
                f"{rate.value:.1%} of {m} training rows can be told from rows that the model never saw, at {fpr:.1%} "
                f"false positives ({rate.value / fpr:.0f} times chance){by}"
            ),
            location=Location(uri=case.subject.uri),
            key="membership",
            evidence={
                "attack": attack.name, "fpr": fpr, "tpr": rate.value, "low": rate.low, "high": rate.high,
                "auc": attack.area.value,
            },
            fix=FIX,
        )  # fmt: skip
        return


def _told(attack: Found, at: int, least: float) -> Rate | None:
    """The attack's rate at a place of `FPRS` where it surely lies above `least` and what the placebo reaches."""
    rate, null = attack.rates[at], attack.null_rates[at]
    if attack.off or rate is None:
        return None
    return rate if rate.low > max(least, null.high if null is not None else 0.0) else None
