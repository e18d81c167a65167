"""robustness.evasion: how many of the caught rows slip past after permitted changes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.adapters.predictor_base import listing
from assay.adapters.tables import Dataset
from assay.core.adversaries import Adversaries
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.exhibit import Curve, Table, Waterfall
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.protocols import ArrowTable, Progress, silent
from assay.core.share import WHOLE, Piece, Share
from assay.core.subject import Access, Attacker, Contract, Kind, Norm, Stage, budget_of
from assay.core.text import visible
from assay.stats.intervals import wilson

if TYPE_CHECKING:
    from assay.adapters.predictor_base import BasePredictor
    from assay.attacks.attacked import Attacked
    from assay.attacks.left import Left
    from assay.attacks.space import Space
    from assay.attacks.strike import Asked

LEAST = 10
FEW, ROUNDED, HAIR = 30, 4, 1e-7  # scores that tell whether a model rounds, to how many decimals, but for float32
MOST_EXCLUDED = 0.05
ID = "robustness.evasion"
_FORBIDDEN = (
    "the contract lets an attacker change no input of the model: none of {} caught rows is evaded, and nothing was "
    "attacked"
)
Method = Literal["search", "transfer"]


@check(
    ID,
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.INFO,
    needs="ml",
    cost="minutes",
    version=18,
    tags=("owasp-ml-2023:ML01", "atlas:AML.T0043", "eu-ai-act:Art.15"),
    reads=("data", "holdout"),
    libraries=("numpy", "pyarrow", "onnxruntime", "lightgbm", "scikit-learn"),
    measures=(
        "robustness.evasion.recall_under_attack",
        "robustness.evasion.recall_unattacked",
        "robustness.evasion.recall_certified",
        "robustness.evasion.evaded_share",
        "robustness.evasion.unknown_share",
        "robustness.evasion.distance",
        "robustness.evasion.queries",
        "robustness.evasion.excluded_share",
        "robustness.evasion.affordable_share",
    ),
    parts="rows",
)
def evasion(
    case: ModelCase,
    *,
    cost: Annotated[float, Meta(gt=0)] | None = None,
    budget: Annotated[float, Meta(gt=0)] | None = None,
    norm: Norm | None = None,
    access: Access | None = None,
    rows: Annotated[int, Meta(ge=10)] = 300,
    queries: Annotated[int, Meta(ge=10)] | None = None,
    method: Method = "search",
    seed: int = 0,
    progress: Progress = silent,
    share: Share = WHOLE,
) -> Iterator[Finding | Measure | Table | Curve | Waterfall | Adversaries | Piece]:
    """How many of the caught rows slip past the model after changes that an attacker can really make.

    Why: a fraud, abuse or intrusion model has an opponent. If moving one date or filing one more form turns a
    caught case into a passed one, its recall on yesterday's cases says nothing about tomorrow's.

    How it decides: it does not; the policy reads the lower bound of the recall that is left. For a sample of positive
    holdout rows that the model flags it looks for the nearest change within `features:` and `constraints:` (immutable
    columns stay, directions, ranges, steps and orders hold): the cheapest by the contract's prices (`norm: cost`), or
    by the largest change (`linf`), the Euclidean length (`l2`) or the sum (`l1`) in the features' own units, divided by
    `scale:` where one is declared (a category counts 1 a change, or 1 a place where it is ordered; columns of a
    `one_hot:` group are moved as the category that they tell). `attacker:` says what is seen and spent; parameters go
    before.

    With `access: whitebox` the model itself is read. Of an ensemble of trees (XGBoost, LightGBM, CatBoost,
    scikit-learn, ONNX) the space between thresholds is a finite set of cells: descents come near, branch and bound
    improves or proves, so that each row is evaded within the budget, certified (nothing within it passes, by proof over
    every permitted value) or unknown. Before that the trees must score as the model does; holes planted in them must be
    found (where no relation binds), and what is proved of a sample of rows is held against single changes of the real
    model. Changes that only together keep a relation are looked for among the cells' nearest values alone, and prove
    nothing beyond them. Certificates hold for values that a float32 can hold.

    Linear models are attacked in closed form or by a mixed-integer program, small networks (ONNX, scikit-learn) by an
    ensemble of gradient attacks (nearest points of the tangent plane, APGD in shrinking balls, from drawn starts too)
    with CROWN's bounds below and, where few ReLUs can switch within the budget, a mixed-integer program a row; where
    borrowed values succeed and gradients fail, the model masks them and the check says so.

    With labels or scores it asks only for those: for the cheapest change by a search over candidates, told below, and,
    where it passes its sanity test with three in four of the queries, in rows that spend those or slip past nowhere
    within the budget by copies with the rest (where not, a search and copies alone are two attackers with all queries
    each, and the stronger is told; an endpoint is asked by the search alone); in the other norms by mutants of the
    nearest success inside a shrinking ball, chosen by a copy that is learned from all answers so far. With `method:
    transfer` copies of the model (a boosted ensemble, a small network) are trained on its answers within the same
    limit, attacked white-box, and what passes the real model is kept: what an attacker does who may ask little, or
    only rows of his own; its sanity test is the same but for the planted holes, which copies do not know, so that
    what it does not find says less.
    Of rows with equal inputs one is asked, with the weight of all; they count as one draw, so that copies narrow no
    interval: n is the effective number of rows. The result is an upper bound of the true recall under attack: a better
    attack can only lower it. Candidates of a number are its whole grid where that has fewer than 100 places; else steps
    of 0.05 to 5 standard deviations and quantiles, alone and combined, and, alone, steps from there down to a millionth
    (each a quarter of the last, none below the smallest difference in the training data) and the row's three nearest
    other numbers. Changes finer than that, or between those steps, are not looked for; nor are moves of three and more
    inputs that only together keep a relation, beyond what borrowed values and combinations in order of cost reach.

    Before anyone believes it the attack must pass its sanity test: the same row gets the same answer; a row made equal
    to one that passes, passes; holes planted in the model are found, one change away (a fine one too), two that a
    relation ties together or several at once at no more than their cost, and pairs that lie anywhere at no more than
    1.5 times it; with scores, where they are asked, it does no worse than with labels; no row is missed that passes
    with permitted values of a passing one; and every success is asked again of the real model. Where no hole could be
    planted (in the white-box searches and in those by a distance), the method of the figure says why.

    A contract can be written so that nothing is ever evaded. So it also says what the contract leaves out.
    `excluded_share` are the positive rows that break `constraints:` as they are; above 5% the check stays open.
    `affordable_share` says: of the moves that caught rows would need to slip past if everything were allowed, this
    share the contract permits and the budget pays for (in every norm; of a model behind an address by price only, as it
    takes queries of its own). Each caught row takes every input of a row that passes, four times; then its own values
    are put back, in random order, as long as it still passes (inputs that relations tie together first all together),
    and numbers go back toward its own as far as it passes. What cannot be put back is needed; of that the cheapest
    permitted moves count until the budget is spent, tied inputs only where the relation holds. A column that changes no
    decision is never needed, a move that only harms the attacker is not either, and a frozen one is needed but not
    permitted. The 95% interval is the wider of a bootstrap over the rows and Wilson's for as many rows; below 10 rows
    or 30 changes there is no figure. A table shows how often each input is needed, and at what price. Whether what is
    declared immutable really is, it cannot say.

    Fix: make what an attacker can change count for less (monotone constraints, coarser bins), add features that are
    hard to change, lower the threshold (more false alarms: bound `performance.false_alarm_rate` too), or train on such
    rows; then measure again.

    References: Carlini et al. 2019; Zimmermann et al. 2022; Cartella et al. 2021 (tabular attacks in fraud); Papernot
    et al. 2017 (transfer from copies).
    """
    from assay.attacks.accepted import accepted
    from assay.attacks.attacked import adversaries
    from assay.attacks.left import Left, curve, measures
    from assay.attacks.one_hot import Fold
    from assay.attacks.pieces import joined, packed, shares, unpacked
    from assay.attacks.relations import require_read
    from assay.attacks.sanity import refuse_access
    from assay.attacks.space import Space
    from assay.attacks.strike import struck

    asked = _asked(case.contract.attacker, cost, budget, norm, access, queries, seed, progress, method)
    refuse_access(case.predictor, asked.access)
    data, known = _data(case)
    fold = Fold(case.contract, known)
    model = fold.model(case.predictor)
    require_read(case.contract, case.predictor.features, data.label)
    target, possible = data.target(), _possible(case, data)
    yield from _excluded(int((target & ~possible).sum()), int(target.sum()))
    places, flags, weight, passing = _drawn(case, data.table(), target & possible, rows, seed)
    sample = data.table().take(places)
    caught, passing = fold.table(sample.filter(flags)), fold.told(passing)
    allowed = accepted(model, caught, fold.contract, fold.table(known))
    against = allowed.contract, fold.table(known), fold.kinds({c.name: c.kind for c in data.columns}), model.features
    if share.part is None and _says(case, asked) and caught.num_rows and passing.num_rows:
        yield from _affordable(model, caught, passing, against, asked)
    if not any(case.contract.columns[name].mutable for name in case.predictor.features):
        yield adversaries(ID, asked.norm, asked.budget, places, flags, sample, None)
        raise CouldNotLook(_FORBIDDEN.format(caught.num_rows))
    _enough(caught.num_rows, sample.num_rows, passing.num_rows, case.threshold)
    parts = shares(rows, caught.num_rows)
    if share.part is not None:
        for part in parts[share.part : share.part + 1]:
            yield packed(struck(model, caught.take(part), passing, against, asked)[1])
        return
    made = [unpacked(piece) for piece in share.done[: len(parts)]]
    found = joined(made or _struck(model, caught, parts, passing, against, asked))
    space = Space(caught, *against)
    left = Left(weight, flags, found)
    yield from measures(left, asked.norm, asked.budget, asked.access, seed)
    yield from _note(case, left, asked)
    yield from allowed.findings(case.subject.uri)
    yield curve(left, asked.norm, asked.budget, asked.access, asked.queries)
    yield from _row(model, space, found, asked)
    found = msgspec.structs.replace(found, table=fold.unfolded(found.table))
    yield adversaries(ID, asked.norm, asked.budget, places, flags, sample, found)
    yield from _stuck(case, space, asked)


def _says(case: ModelCase, asked: Asked) -> bool:
    """Whether somebody has said what may change, and what of that is needed can be asked: not of a model behind an
    address beyond its queries, but by the price, which is what a policy bounds as a rule."""
    return not case.contract.free and (asked.norm == "cost" or case.predictor.kind != "endpoint")


def _affordable(
    model: BasePredictor, caught: ArrowTable, passing: ArrowTable,
    against: tuple[Contract, ArrowTable, dict[str, str], tuple[str, ...]], asked: Asked,
) -> Iterator[Any]:  # fmt: skip
    """What the contract leaves of the moves that would be needed if everything were allowed."""
    from assay.attacks.left import told
    from assay.attacks.needs import needs
    from assay.attacks.reach import reaches
    from assay.attacks.shown import affordable

    needed = needs(model, caught, passing, *against[:3], asked.budget, asked.seed, asked.norm)
    spent = told(asked.budget, asked.norm)
    spent = f"of {spent}" if math.isfinite(asked.budget) else spent
    yield from affordable(reaches(caught, *against, asked.budget, asked.norm), needed, spent, asked.seed)


def _asked(
    attacker: Attacker, cost: float | None, budget: float | None, norm: Norm | None, access: Access | None,
    queries: int | None, seed: int, progress: Progress, method: Method,
) -> Asked:  # fmt: skip
    """What the parameters say, and where they are silent the threat model. Raises CouldNotLook where they disagree."""
    from assay.attacks.strike import Asked

    given = {"norm": norm, "access": access, "queries": queries, "cost": cost, "budget": budget}
    if what := attacker.contradicts(given):
        raise CouldNotLook(f"{what}: take it out, or set `norm` (`attacker:` sets it where `checks:` does not)")
    asked: dict[str, Any] = attacker.answers(given)
    far = asked[budget_of(asked["norm"])]
    return Asked(asked["norm"], asked["access"], far, asked["queries"], seed, progress, method)


def _struck(
    model: BasePredictor, caught: ArrowTable, parts: list[Any], passing: ArrowTable, against: Any, asked: Asked
) -> Iterator[Attacked]:
    """The attack on every part, one after the other."""
    from assay.attacks.strike import struck

    ended = 0

    def step(done: float, total: float, what: str = "") -> None:
        asked.progress(ended + done / (total or 1.0), len(parts), what)

    for ended, part in enumerate(parts):  # noqa: B007 - `step` reads it
        yield struck(model, caught.take(part), passing, against, asked._replace(progress=step))[1]


def _data(case: ModelCase) -> tuple[Dataset, ArrowTable]:
    """(holdout, what the model was trained on or the holdout itself); every input must be declared."""
    data = case.untouched("to attack with")
    undeclared = [n for n in case.predictor.features if n not in case.contract.columns]
    if undeclared:
        named = ", ".join(undeclared[:5])
        fix = (
            "say of each input whether an attacker can change it (`assay attack init` drafts it; lines that it left as "
            "comments are yours to take in)"
        )
        raise CouldNotLook(f"`features:` says nothing of {named}: {fix}")
    return data, (case.train or data).table()


def _possible(case: ModelCase, data: Dataset) -> Any:
    from assay.attacks.relations import attackable

    return attackable(case.contract, data.table())


def _excluded(out: int, positives: int) -> Iterator[Measure]:
    """The positive rows that no attack can start from; raises CouldNotLook where they are more than a few."""
    low, high = wilson(out, positives)
    yield Measure(
        name="robustness.evasion.excluded_share", value=out / positives, low=low, high=high, n=positives,
        unit="share", direction=Direction.LOWER,
        method="positive holdout rows that break `constraints:` as they are, Wilson",
    )  # fmt: skip
    if out > MOST_EXCLUDED * positives:
        what = f"{out} of {positives} positive rows break `constraints:` as they are and could not be attacked"
        raise CouldNotLook(f"{what}, at most {MOST_EXCLUDED:.0%} may: mend the rows, or the relations")


def _drawn(case: ModelCase, table: ArrowTable, usable: Any, rows: int, seed: int) -> tuple[Any, Any, Any, ArrowTable]:
    """(numbers of positive rows of which no two have equal inputs, whether the model flags each, how many rows each
    stands for, rows that the model lets pass), drawn at random."""
    import numpy as np

    from assay.attacks.relations import telling
    from assay.detectors.rows import same_rows
    from assay.stats.effective import drawn

    rng = np.random.default_rng(seed)
    order = np.random.default_rng([seed, 1]).permutation(table.num_rows)  # its place must not tell what a row is
    scores = np.asarray(case.predictor.scores(table.take(order)))
    if len(scores) > 1 and scores.min() == scores.max():
        what = f"the model answers {scores[0]:.9g} to each of {len(scores)} rows"
        raise CouldNotLook(f"{what}: it is constant here, and there is nothing to attack; look at what serves it")
    _rounded(case.predictor, scores)
    flagged = np.empty(table.num_rows, dtype=bool)
    flagged[order] = scores >= case.predictor.threshold
    mine = rng.permutation(table.num_rows)
    mine = mine[np.asarray(usable)[mine]]  # who is left out changes nobody else's place
    same = same_rows(table.take(mine).select(telling(case.contract, case.predictor.features)))
    places, count = drawn(same, rows)
    ordered = np.argsort(mine[places])
    sample = mine[places][ordered]
    passing = rng.permutation(np.flatnonzero(~flagged))[:500]
    return sample, flagged[sample], count[ordered], table.take(passing)


def _rounded(model: BasePredictor, scores: Any) -> None:
    """Note of a model whose scores come in steps, rounded or as shares of votes; a remote one says so itself."""
    import numpy as np

    if model.kind == "endpoint" or model.access == "label" or len(scores) < FEW:
        return
    for digits in range(ROUNDED + 1):
        wide = np.ptp(scores) >= 10.0**-digits * (1 - HAIR)
        if wide and np.allclose(scores, np.round(scores, digits), rtol=HAIR, atol=HAIR):
            note = f"its scores come in steps of {10.0**-digits:g}, which hides small moves from attacks by score"
            model.notes += () if note in model.notes else (note,)
            return


def _enough(caught: int, sample: int, passing: int, threshold: float) -> None:
    if caught < LEAST:
        what = (
            f"the model flags {caught} of {sample} positive rows of different inputs at its threshold {threshold:.9g}"
        )
        more = "attack more rows (`--rows`, or `rows:` of the policy or assay.yaml; a larger holdout if these are all),"
        more = f"{more} or" if caught else "none of them scores so high:"
        raise CouldNotLook(f"{what}: at least {LEAST} are needed; {more} lower the threshold")
    if passing < LEAST:
        what = f"the model lets {passing} rows pass at its threshold {threshold:.9g}"
        raise CouldNotLook(f"{what}: at least {LEAST} are needed to attack toward; raise the threshold")


def _stuck(case: ModelCase, space: Space, asked: Asked) -> Iterator[Finding]:
    """Inputs that the budget pays no change of, as a note: nobody shall take them for what holds. Raises CouldNotLook
    where it pays none of any."""
    from assay.attacks.left import told
    from assay.attacks.reach import stuck

    still = stuck(space.axes, asked.budget, asked.norm)
    some = listing([visible(name, 60) for name in still])
    what = f"a budget of {told(asked.budget, asked.norm)} pays for no change of {some}: one place or category of each "
    what += "is more (columns of whole numbers move by whole numbers)"
    if len(still) == len(space.axes):
        raise CouldNotLook(f"what is left says nothing of the model: {what}")
    if still:
        yield Finding(
            message=what, location=Location(uri=case.subject.uri), key="still", severity=Severity.INFO,
            evidence={"inputs": list(still)},
            fix="where an attacker can send fractions of them, store them as such; `scale:` and `cost:` of `features:` "
            "say how much one place is",
        )  # fmt: skip


def _note(case: ModelCase, left: Left, asked: Asked) -> Iterator[Finding]:
    """What was evaded, as a note: whether it is too much the policy says, but nobody shall read that nothing was."""
    from assay.attacks.left import told

    evaded = sum(v == "evaded" for v in left.found.verdicts(asked.budget))
    if not evaded:
        return
    before, after = left.rate(left.flags, left.all)[0], left.after(asked.budget)[0]
    equal = " (equal ones asked once, and counted in shares)" if (left.weight > 1).any() else ""
    what = f"{evaded} of {left.caught} caught rows{equal} slip past, budget {told(asked.budget, asked.norm)}"
    yield Finding(
        message=f"{what}: of {before:.1%} recall {after:.1%} is left ({asked.access} access)",
        location=Location(uri=case.subject.uri),
        key="evaded",
        severity=Severity.INFO,
        evidence={"evaded": evaded, "caught": left.caught, "before": before, "after": after},
        fix="say in the policy how much must be left: measure robustness.evasion.recall_under_attack; `assay harden` "
        "tries what may help",
    )


def _row(model: BasePredictor, space: Space, found: Attacked, asked: Asked) -> Iterator[Waterfall]:
    """The row within the budget that took most changes."""
    import numpy as np

    from assay.attacks.shown import waterfall

    inside = np.flatnonzero(found.within(asked.budget))
    if not len(inside):
        return
    own, new = space.rows, found.table
    changes = np.zeros(space.size, dtype=int)
    for axis in space.axes:
        pairs = zip(own.column(axis.name).to_pylist(), new.column(axis.name).to_pylist(), strict=True)
        changes += np.array([a != b for a, b in pairs])
    row = int(inside[np.argmax(changes[inside])])
    far = f"{found.distance[row]:.3g}"
    told = f"at a cost of {far}" if asked.norm == "cost" else f"by a change of {far} in {asked.norm}"
    title = f"How one caught case slips past {told}"
    yield waterfall(model, space, new, row, name="robustness.evasion.row", title=title)
