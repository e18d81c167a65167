"""theft.extraction: how good a copy of the model an attacker makes of its answers, and at what price."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.checks.theft import told
from assay.checks.theft.judged import halves, transfers
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.exhibit import Curve, Table
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage
from assay.stats.intervals import wilson, wilson_rate

if TYPE_CHECKING:
    from assay.attacks.extraction.agreement import Value
    from assay.attacks.extraction.curves import Curves

POINTS = 7
FEW = 1_000
NAME = told.NAME


@check(
    "theft.extraction",
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.HIGH,
    needs="ml",
    cost="minutes",
    version=9,
    tags=("owasp-ml-2023:ML05", "atlas:AML.T0024.002", "nist-aml:NISTAML.031", "eu-ai-act:Art.15"),
    reads=("holdout",),
    wants=("holdout",),
    may_read=("data",),
    libraries=("numpy", "pyarrow", "scipy", "scikit-learn", "lightgbm", "onnxruntime"),
    measures=(
        "theft.extraction.f1",
        "theft.extraction.f1_baseline",
        "theft.extraction.mcc",
        "theft.extraction.fidelity",
        "theft.extraction.fidelity_baseline",
        "theft.extraction.auc_ratio",
        "theft.extraction.rank_correlation",
        "theft.extraction.transfer_evasion",
        "theft.extraction.queries_needed",
        "theft.extraction.price",
    ),
)
def extraction(
    case: ModelCase,
    *,
    queries: Annotated[int, Meta(ge=100, le=1_000_000)] = 20_000,
    runs: Annotated[int, Meta(ge=1, le=20)] = 2,
    rows: Annotated[int, Meta(ge=100)] = 4_000,
    good: Annotated[float, Meta(gt=0, lt=1)] = 0.8,
    price: Annotated[float, Meta(ge=0)] | None = None,
    worth: Annotated[float, Meta(gt=0)] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Finding | Measure | Table | Curve]:
    """How good a copy of the model somebody makes who can only ask it, and how many questions that takes.

    Why: who can ask a model can train another one on its answers. The copy saves the thief the data and the work, tells
    a competitor how cases are decided, and lets a fraudster search at home, unseen, for what slips past.

    How it decides: half of the holdout (rows that are equal stay together) is the attacker's knowledge, the other half
    judges, on real rows of which none was asked (those asked by chance are left out, unless too few were left). Three
    attackers ask up to `queries` rows, `runs` times with other questions: `random` knows only ranges and levels;
    `marginal` draws each column by itself from its half; `active` starts so, and then spends half its questions where
    its copy is unsure (uncertainty sampling among fresh rows and changed copies of asked ones). Each trains a copy at
    seven numbers of queries: boosted trees (on the logit of scores, or on decisions), a linear model or a small
    network, whichever agrees best in cross-validation on its own answers (chosen in the first run), its decision moved
    so that it flags as often as the victim does on answers that it was not trained on. Beside them a solver asks one
    question for each weight of a linear model; whether the model is linear is told by the error on fresh rows (at most
    1% of the spread of scores).

    Agreement at the deployed threshold is F1 and Matthews' correlation (MCC) of the two decisions. The share of equal
    decisions (fidelity) is only given beside that of the best constant answer, which needs no query: 95.5% means
    nothing where "never flagged" reaches 93.9%. F1 has that baseline too (always flagging), MCC has 0. Further: the
    copy's AUC on true labels over the model's (none without labels), the rank correlation of scores, and transfer: of
    evasions found on the copy alone under `features:`, the share that evades the model, each shown to it once (not
    asked where `features:` does not cover every input). The measures are those of the best attacker at any number of
    queries, chosen on the judging rows: an upper choice, as a defender should want. Values are means over runs;
    intervals say where one run on fresh rows would lie (a Bayesian bootstrap of the table of agreement with half a row
    in each cell, runs mixed, equal rows as one draw).

    `queries_needed` is the fewest of a copy that is surely good (below); where every copy is surely not, the most that
    was asked, which is too few; where the rows are too few to tell, no number. `price` is what those cost.

    There is a finding where a copy has an MCC whose lower bound is at least `good` (0.8: "almost perfect" agreement
    by the convention of Landis and Koch 1977 for chance-corrected agreement; not tuned on any model); where intervals
    reach to both sides of it and none lies above, the check is open. Severity is by
    cost: medium up to 1,000 queries, low above; with `price` (for a query) and `worth` (what the model cost to make,
    same unit) high below 1% of its worth, medium below 10%, low below 100%, else info. A copy below the bar is no proof
    that there is none: a better attacker, or one with real rows, does better. A model that answers at random, a
    constant one, or one that flags fewer than 10 judged rows (or passes fewer) is not judged.

    Fix: give decisions instead of scores or round them (the table says what that buys, often little), limit and price
    queries per client, watch for clients whose rows look drawn, and decide on what a thief cannot ask about.

    References: Tramèr et al. 2016 (equation solving); Lewis and Gale 1994 (uncertainty sampling); Orekondy et al. 2019
    (Knockoff Nets); Jagielski et al. 2020 (fidelity and accuracy); Landis and Koch 1977.
    """
    from assay.attacks.extraction.curves import curves
    from assay.attacks.extraction.defences import defences
    from assay.attacks.extraction.pools import ATTACKERS
    from assay.attacks.extraction.steal import sizes_up_to

    schema, judged = halves(case, rows, seed)
    sizes = sizes_up_to(queries, POINTS)
    steps = _Steps(progress, len(ATTACKERS) * runs + 8)
    found = curves(case.predictor, schema, judged, ATTACKERS, sizes, runs, seed, told=steps)
    moved = transfers(case, schema, found, seed, steps)
    asked: dict[str, Any] = case.contract.attacker.answers({"price": price})
    price = asked["price"]
    yield from _measures(found, moved, price, good, seed)
    yield from told.curves(found, good)
    yield told.points(found, moved, price)
    yield told.defences(defences(case.predictor, schema, judged, found, sizes, seed, steps))
    yield from _findings(case, found, good, price, worth)


class _Steps:
    """Tells progress, one step for each word."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self, what: str) -> None:
        self.progress(min(self.done, self.total), self.total, what)
        self.done += 1


def _measures(
    found: Curves, moved: dict[tuple[str, int], Any], price: float | None, good: float, seed: int
) -> Iterator[Measure]:
    best, base = found.best(), found.baseline
    by = f"{best.attacker}, {best.queries:,} queries, {best.learner}"

    def given(name: str, value: Value, method: str) -> Measure:
        return Measure(
            name=f"{NAME}.{name}", value=value.value, low=value.low, high=value.high, n=value.n, seed=seed,
            direction=Direction.LOWER, method=f"{by}: {method}",
        )  # fmt: skip

    n = len(found.judged.flagged)
    yield given("f1", best.f1, "of decisions, Bayesian bootstrap, runs mixed")
    yield given("mcc", best.mcc, "of decisions, Bayesian bootstrap, runs mixed")
    yield given("fidelity", best.fidelity, f"equal decisions, beside {base.fidelity:.3f} for {base.name}")
    share = base.f1 / (2 - base.f1)  # of rows that are flagged: F1 of always flagging is 2 p / (1 + p)
    ends = [2 * p / (1 + p) for p in wilson_rate(share, n)]
    for name, value, sure, how in (
        ("f1_baseline", base.f1, ends, "always flagged, no query, Wilson"),
        ("fidelity_baseline", base.fidelity, wilson_rate(base.fidelity, n), f"{base.name}, no query, Wilson"),
    ):
        yield Measure(name=f"{NAME}.{name}", value=value, low=sure[0], high=sure[1], n=n, method=how)
    yield given("auc_ratio", best.area, "AUC on true labels over the model's, bootstrap over rows, runs mixed")
    yield given("rank_correlation", best.rank, "Spearman, Bonett and Wright, runs mixed")
    went = moved[best.attacker, best.queries]
    asked = not isinstance(went, str) and went.found > 0
    low, high = wilson(went.evaded, went.found) if asked else (None, None)
    yield Measure(
        name=f"{NAME}.transfer_evasion", value=went.evaded / went.found if asked else None, low=low, high=high,
        n=went.found if asked else 0, seed=seed, unit="share", direction=Direction.LOWER,
        method=f"{by}: evasions of the copy that evade the model, Wilson" if asked else f"not asked: {told.why(went)}",
    )  # fmt: skip
    first, resisted = found.first_good(good), found.resisted(good)
    how = f"fewest for a copy whose MCC has its lower end at {good:g} or more, of {len(found.points)} that were made"
    if first is None:
        how += "; none was surely that good, " + ("all surely not: it takes more" if resisted else "some may be")
    needed = resisted if first is None else first.queries
    yield Measure(
        name=f"{NAME}.queries_needed", value=None if needed is None else float(needed), seed=seed,
        direction=Direction.HIGHER, n=n, method=how,
    )  # fmt: skip
    yield Measure(
        name=f"{NAME}.price", value=None if price is None or needed is None else float(price * needed),
        direction=Direction.HIGHER,
        method="queries needed × `price`" if price is not None else "`price` is not declared",
    )  # fmt: skip


def _findings(
    case: ModelCase, found: Curves, good: float, price: float | None, worth: float | None
) -> Iterator[Finding]:
    first = found.first_good(good)
    if first is None and found.resisted(good) is None:
        near = max(found.points, key=lambda point: point.mcc.high or 0.0).mcc
        ends = f" [{near.low:.2f}, {near.high:.2f}]" if near.low is not None and near.high is not None else ""
        sure = "no MCC" if near.value is None else f"an MCC of {near.value:.2f}{ends}"
        what = f"whether a copy is good cannot be told: one has {sure}, good is {good:g}"
        raise CouldNotLook(f"{what}; judge on more rows")
    if first is None or not found.stolen():
        return
    money = None if price is None else price * first.queries
    paid = "" if money is None else f" for {money:,.2f}"
    how = "solve its weights" if first.learner == "weights" else "copy it"
    best = found.best()
    more = f"; with {best.queries:,} the best has {best.mcc.value:.2f}" if best.queries > first.queries else ""
    yield Finding(
        message=(
            f"{first.queries:,} queries{paid} {how}: F1 agreement {first.f1.value:.2f} where a constant answer has "
            f"{found.baseline.f1:.2f}, MCC {first.mcc.value:.2f} (from {first.mcc.low:.2f}), the smallest of "
            f"{len(found.points)} copies that is that good{more}"
        ),
        location=Location(uri=case.subject.uri),
        key="solved" if first.learner == "weights" else "copied",
        severity=severity_of(first.queries, money, worth),
        confidence=Confidence.HIGH,
        evidence={"attacker": first.attacker, "queries": first.queries, "copy": first.learner},
        fix="limit and price queries for each client, tell decisions instead of scores, watch for drawn rows",
    )


def severity_of(queries: int, money: float | None, worth: float | None) -> Severity:
    """How severe a good copy is: by its cost as a share of what the model is worth, else by the queries it took."""
    if money is None or worth is None:
        return Severity.MEDIUM if queries <= FEW else Severity.LOW
    steps = ((0.01, Severity.HIGH), (0.1, Severity.MEDIUM), (1.0, Severity.LOW))
    return next((s for share, s in steps if money < share * worth), Severity.INFO)
