"""privacy.dp-accounting: whether a declared differential-privacy guarantee holds up."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.checks.privacy.played import played
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage

EPSILON, PROVED = "privacy.dp_accounting.epsilon", "privacy.dp_accounting.audited_epsilon"
WORDS = {
    "dpsgd": "Rényi accounting of the sampled Gaussian",
    "gaussian": "the exact Gaussian mechanism",
    "laplace": "the Laplace mechanism, steps added up",
}


@check(
    "privacy.dp-accounting",
    on=Kind.MODEL,
    stage=Stage.TRAINING,
    severity=Severity.HIGH,
    needs="ml",
    cost="minutes",
    tags=("owasp-ml-2023:ML04", "nist-aml:NISTAML.033", "eu-ai-act:Art.10"),
    reads=("data", "holdout"),
    libraries=("numpy", "scipy", "pyarrow", "onnxruntime", "lightgbm", "scikit-learn"),
    measures=(EPSILON, PROVED),
)
def dp_accounting(
    case: ModelCase,
    *,
    mechanism: Literal["dpsgd", "gaussian", "laplace"] = "dpsgd",
    noise_multiplier: Annotated[float, Meta(gt=0)] | None = None,
    sample_rate: Annotated[float, Meta(gt=0, le=1)] = 1.0,
    steps: Annotated[int, Meta(ge=1, le=100_000_000)] = 1,
    delta: Annotated[float, Meta(gt=0, lt=1)] = 1e-5,
    declared_epsilon: Annotated[float, Meta(gt=0)] | None = None,
    references: Annotated[int, Meta(ge=4, le=256, multiple_of=2)] = 4,
    rows: Annotated[int, Meta(ge=100)] = 20_000,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Finding | Measure]:
    """Whether a declared differential-privacy guarantee holds up.

    Why: "trained with epsilon 2" is a claim that a contract or an impact assessment rests on. A wrong sampling rate, a
    step count from another run or noise that was never switched on voids it, and nothing in the model's accuracy tells.

    How it decides: where training declares nothing, it does not apply. From `mechanism`, `noise_multiplier` (noise over
    sensitivity: standard deviation, for laplace the scale), `sample_rate` (Poisson sampling), `steps` and `delta` it
    computes epsilon, for neighbours that differ by one row: for `dpsgd` an upper bound by Rényi accounting over whole
    orders, for `gaussian` the exact value (on all rows), for `laplace` the sum of the steps. A medium finding where
    `declared_epsilon` is below what can be proved so, by more than 1%; tighter accountants prove up to some tenths
    less, so a small gap may be the bound's.

    Then the model is asked. With `data` and `holdout` RMIA is run as in `privacy.membership`. A mechanism with that
    epsilon lets no test have TPR > exp(epsilon) FPR + delta; the threshold is chosen on one half of the rows, and on
    the other the exact limits of both rates give a lower bound of epsilon that holds at 95%. Where it exceeds the
    declared epsilon the guarantee is contradicted: a high finding. Rows of one model count as independent, which a
    single run makes only nearly true; and a low bound never proves privacy. Where the placebo tells the tables apart,
    no bound is given.

    Fix: train again with the noise that the guarantee needs, or declare the epsilon that was reached.

    References: Abadi et al. 2016; Mironov, Talwar and Zhang 2019; Balle and Wang 2018; Canonne, Kamath and Steinke
    2020; Jagielski, Ullman and Oprea 2020.
    """
    if noise_multiplier is None and declared_epsilon is None:
        raise NotApplicable(f"{case.name} declares no differential privacy (noise_multiplier or declared_epsilon)")
    if noise_multiplier is not None:
        if mechanism == "gaussian" and sample_rate < 1:
            raise CouldNotLook("the mechanism `gaussian` is on all rows: with a sample_rate below 1 declare `dpsgd`")
        epsilon = _accounted(mechanism, noise_multiplier, sample_rate, steps, delta)
        yield _measure(EPSILON, epsilon, Direction.LOWER, f"{WORDS[mechanism]}, delta {delta:g}", None, seed)
        if declared_epsilon is not None and epsilon > 1.01 * declared_epsilon:
            yield _unproved(case, declared_epsilon, epsilon, delta)
    yield from _audit(
        case, declared_epsilon, 0.0 if mechanism == "laplace" else delta, references, rows, seed, progress
    )


def _accounted(mechanism: str, noise: float, sample_rate: float, steps: int, delta: float) -> float:
    from assay.attacks.membership import accounting

    epsilon = math.nan
    with contextlib.suppress(OverflowError, ZeroDivisionError, ValueError):
        if mechanism == "laplace":
            epsilon = accounting.epsilon_laplace(sample_rate, noise, steps)
        elif mechanism == "gaussian":
            epsilon = accounting.epsilon_gaussian(noise, steps, delta)
        else:
            epsilon = accounting.epsilon_dpsgd(sample_rate, noise, steps, delta)
    if not math.isfinite(epsilon):
        raise CouldNotLook(f"a noise of {noise:g} over {steps} steps gives no finite epsilon")
    return epsilon


def _unproved(case: ModelCase, declared: float, epsilon: float, delta: float) -> Finding:
    return Finding(
        message=f"epsilon {declared:g} is declared, what training declares proves no less than {epsilon:.3g}",
        location=Location(uri=case.subject.uri),
        key="accounting",
        severity=Severity.MEDIUM,
        evidence={"declared": declared, "accounted": epsilon, "delta": delta},
        fix="declare the epsilon that the noise, the sampling rate and the steps give, or train with more noise",
    )


def _audit(
    case: ModelCase, declared: float | None, delta: float, references: int, rows: int, seed: int, progress: Progress
) -> Iterator[Finding | Measure]:
    """What the model's own answers prove of epsilon."""
    from assay.attacks.membership.accounting import audited
    from assay.attacks.membership.verdict import attacks_of

    play = played(case, references=references, rows=rows, seed=seed, progress=progress)
    attack = next(attacks_of(play.game))
    if attack.off:
        raise CouldNotLook(
            "the attack tells the holdout from training rows that its model never saw: the tables differ"
        )
    bound, true, false, n = audited(attack.score, play.game.member, delta, seed)
    how = f"RMIA, {references} {play.said}; exact limits on half of the rows"
    yield _measure(PROVED, bound, Direction.LOWER, how, n, seed)
    if declared is not None and bound > declared:
        most = min(1.0, math.exp(min(declared, 700.0)) * false + delta)
        yield Finding(
            message=(
                f"the model's answers contradict epsilon {declared:g}: at 95% it is at least {bound:.2f} "
                f"(TPR {true:.3f} at FPR {false:.4f}; epsilon {declared:g} allows {most:.4f})"
            ),
            location=Location(uri=case.subject.uri),
            key="audit",
            confidence=Confidence.MEDIUM,
            evidence={"declared": declared, "at_least": bound, "tpr": true, "fpr": false, "rows": n},
            fix="find out why training was not private (noise, clipping, other steps on the same rows), train again",
        )


def _measure(name: str, value: float, way: Direction, how: str, n: int | None, seed: int) -> Measure:
    """An epsilon: a bound, so the interval is open above for what an attack proves and closed for what is computed."""
    low, high = (value, None) if name == PROVED else (None, value)
    return Measure(
        name=name, value=value, low=low, high=high, n=n, seed=seed, unit="epsilon", direction=way, method=how
    )  # fmt: skip
