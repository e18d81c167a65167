"""Hardening against theft: answers that tell less, against who makes a copy of them with a limited number of questions.

An attacker knows the columns of the rows that set thresholds, asks rows drawn from them column by column, evenly or
where a copy is unsure, and solves equations beside. What copies are worth is judged on real rows of the other parts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from assay.adapters.tables import Dataset
from assay.attacks.extraction.agreement import Cells, agreement, mcc, mcc_of
from assay.attacks.extraction.curves import Judged, curves
from assay.attacks.extraction.schema import Schema, native
from assay.attacks.extraction.victim import FULL, View
from assay.attacks.extraction.victim import LABEL as DECISION
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray as Array
from assay.core.protocols import Progress
from assay.core.subject import Contract
from assay.harden.hardening.chosen import ORIGINAL, Found, Words, choice, judged
from assay.harden.hardening.compared import (
    Candidate,
    Part,
    Terms,
    clean_figures,
    clean_kept,
    closed,
    counts,
    pieces,
    set_up,
    unmeasured,
)
from assay.harden.hardening.options import COPIES
from assay.harden.hardening.outputs import LABEL, ONE, TWO, Output, Shown, graded, limit_of
from assay.harden.hardening.result import Gain, Measured, Rate
from assay.harden.hardening.workshop import Made, Workshop
from assay.stats.intervals import t_for, z_for

OUTPUTS = (TWO, ONE, LABEL)
ATTACKERS = ("marginal", "active")
AGAIN, AGAIN_SAID = "copied-again", "the model as it is, copied with other questions"
TO_CHOOSE = 2
"""Copies that are made of each candidate to choose; they are others than those that confirm."""
DRAWS = 400
CHOSEN = 0.3
"""The share of the whole at which one is chosen."""
WORDS = Words(
    short="is not surely harder to copy than",
    better="is harder to copy than",
    by=", measured by the MCC of the copies",
    as_good="as hard to copy",
    another="which questions are asked",
)


class Copies(NamedTuple):
    """What a model decides on the judged rows (n,), and its copies by attacker, once for each run."""

    flagged: Array
    said: dict[str, list[Array]]


def less_copied(shop: Workshop, holdout: Dataset, contract: Contract, terms: Terms) -> Found:
    """Ask, copy, choose and confirm; how far it is `shop.progress` is told. Raises CouldNotLook for too few rows and
    where no option could be measured."""
    parts = pieces(shop, holdout, terms)
    schema = Schema(parts[0].table, shop.model.features, shop.kinds, contract, native(shop.model))
    everyone, failed = _made(shop, parts[0], terms)
    thief = _Thief(schema, terms)
    picked, attack = [], {}
    steps = shop.steps("choosing", 0.0, CHOSEN)
    for place, one in enumerate(everyone):
        progress = steps(one.name, place, len(everyone))
        try:
            found = thief.copies(one, parts[1], range(TO_CHOOSE), progress)
        except CouldNotLook as why:
            picked.append(unmeasured(one.name, one.role, one.said, why))
            continue
        attack[one.name] = max(found.said, key=lambda name: _mean(found, name))
        picked.append(_measured(one, found, parts[1], attack[one.name], terms.seed))
    chosen = choice(picked, terms.margin, _silent)
    last, again = [], {}
    steps = shop.steps("confirming", CHOSEN, 1.0)
    asked = [c for c in everyone if (c.role != "option" or c.name == chosen) and c.name in attack]
    for place, one in enumerate(asked):
        progress = steps(one.name, place, len(asked))
        try:
            runs = range(TO_CHOOSE, TO_CHOOSE + terms.runs)
            again[one.name] = thief.copies(one, parts[2], runs, progress)
        except CouldNotLook as why:
            last.append(unmeasured(one.name, one.role, one.said, why))
            continue
        # The option answers for the best of all copies; of the others, equations may have been solved once only.
        if one.name == chosen or attack[one.name] not in again[one.name].said:
            attack[one.name] = max(again[one.name].said, key=lambda name: _mean(again[one.name], name))
        last.append(_measured(one, again[one.name], parts[2], attack[one.name], terms.seed))
    option = next(c for c in everyone if c.name == chosen)
    gains = tuple(
        Gain(
            over=c.name,
            attacked=less(
                _by(again[c.name], attack[c.name]), _by(again[chosen], attack[chosen]), parts[2].group, terms.seed
            ),
            clean=clean_kept(option, c, parts[2]),
        )
        for c in everyone
        if c.name in again and c.name != chosen and chosen in again
    )
    verdict, reasons = judged(chosen, last, gains, terms, WORDS)
    closed(everyone, chosen)
    sizes = counts(parts) | {"queries": terms.queries, "copies": terms.runs}
    return Found(verdict, reasons, chosen, option.made, (*picked, *failed), tuple(last), gains, sizes)


def less(other: tuple[Array, list[Array]], option: tuple[Array, list[Array]], group: Array, seed: int) -> Rate:
    """How much smaller the MCC of an option's copies is than of another's, on the same rows (n,), each told as what the
    model decides and what its copies do.

    The interval holds other rows (a Bayesian bootstrap of the draws in `group`, of the mean over copies) and other
    copies (Student's t over them), as independent sources of error.
    """
    rng = np.random.default_rng([seed, 39])
    inverse = np.unique(group, return_inverse=True)[1].ravel()
    weight = rng.standard_exponential((DRAWS, int(inverse.max()) + 1))
    sides = []
    for flagged, said in (other, option):
        drawn = np.mean([mcc_of(_weighted(flagged, one, inverse, weight)) for one in said], axis=0)
        each = np.array([mcc(flagged, one) for one in said])
        sides.append((drawn, each))
    rows = float(np.std(sides[0][0] - sides[1][0]))
    spread = float(np.sqrt(sum(each.var(ddof=1) / len(each) for _, each in sides))) if len(sides[0][1]) > 1 else 1.0
    degrees = min(len(each) for _, each in sides) - 1
    far = float(np.hypot(z_for() * rows, t_for(max(degrees, 1)) * spread))
    value = float(sides[0][1].mean() - sides[1][1].mean())
    return Rate(value, value - far, value + far, int(inverse.max()) + 1)


def _weighted(flagged: Array, said: Array, inverse: Array, weight: Array) -> Any:
    """The table of agreement under every draw of weights (b, groups)."""
    parts = (flagged & said, ~flagged & said, flagged & ~said, ~flagged & ~said)
    size = weight.shape[1]
    return Cells(*(weight @ np.bincount(inverse, weights=part.astype(float), minlength=size) for part in parts))


class _Thief:
    """Makes copies of candidates."""

    def __init__(self, schema: Schema, terms: Terms) -> None:
        self.schema, self.terms = schema, terms

    def copies(self, one: Candidate, part: Part, runs: range, progress: Progress) -> Copies:
        """The copies of a candidate, judged on a part. Raises CouldNotLook where decisions are too rare to judge by."""
        model = one.model
        flagged = graded(model, part.table) >= limit_of(model)
        target = np.asarray(part.target)
        held = Judged(part.table, self.schema.encoded(part.table), flagged, None, target, part.group)
        if not held.told_apart():
            raise CouldNotLook(f"flags {int(flagged.sum())} of {len(flagged)} rows: copies cannot be judged by that")
        said: dict[str, list[Array]] = {}
        again = 7919 if one.name == AGAIN else 0
        for run in runs:
            progress(run - runs.start, len(runs))
            seed = int(np.random.default_rng([self.terms.seed, 40, run + again]).integers(1 << 31))
            found = curves(model, self.schema, held, ATTACKERS, (self.terms.queries,), 1, seed, _view(model))  # type: ignore[arg-type]
            for point in found.points:
                if point.queries <= self.terms.queries:
                    said.setdefault(point.attacker, []).append(np.asarray(point.margin(held.rows)) >= 0)
        return Copies(flagged, {name: each for name, each in said.items() if len(each) == len(runs)})


def _view(model: Any) -> View:
    output: Output | None = model.output if isinstance(model, Shown) else None
    if output is None:
        return FULL
    return DECISION if output.label else View(output.said, True, output.decimals)


def _made(shop: Workshop, part: Part, terms: Terms) -> tuple[list[Candidate], list[Measured]]:
    """(candidates with their thresholds, what could not be made and why). Raises CouldNotLook without an option."""
    made: list[Candidate] = []
    failed: list[Measured] = []
    own = Made(shop.model, None, shop.model.kind)
    rows, places = shop.with_copies(COPIES)
    asked: list[tuple[str, Any, str, Any]] = [
        (ORIGINAL, "original", "the model as it is", lambda: own),
        (AGAIN, "control", AGAIN_SAID, lambda: own),
    ]
    if shop.own is not None:
        seeds = [int(np.random.default_rng([terms.seed, 41, at]).integers(1 << 31)) for at in range(2)]
        asked += [
            ("retrained", "control", "trained again as it was, another seed", lambda: shop.refitted(seed=seeds[0])),
            ("oversampled", "control", f"positive rows {COPIES} times",
             lambda: shop.refitted(seed=seeds[1], rows=rows, places=places)),
        ]  # fmt: skip
    for output in OUTPUTS:
        if not terms.only or output.name in terms.only:
            asked.append(
                (output.name, "option", output.said, lambda o=output: own._replace(predictor=Shown(shop.model, o)))
            )
    for name, role, said, make in asked:
        try:
            made.append(set_up(name, role, said, make(), part, terms))
        except CouldNotLook as why:
            failed.append(unmeasured(name, role, said, why))
    if not any(c.role == "option" for c in made):
        whys = "; ".join(f"{m.name}: {m.why}" for m in failed if m.role == "option")
        raise CouldNotLook(f"no option could be made ({whys})")
    return made, failed


def _by(found: Copies, attacker: str) -> tuple[Array, list[Array]]:
    return found.flagged, found.said[attacker]


def _mean(found: Copies, attacker: str) -> float:
    return float(np.mean([mcc(found.flagged, one) for one in found.said[attacker]]))


def _silent(m: Measured) -> float:
    assert m.copied is not None
    return -m.copied.value


def _measured(one: Candidate, found: Copies, part: Part, attack: str, seed: int) -> Measured:
    """The figures of a candidate: agreement of the copies of each attacker, and of the one that did best to choose."""
    each = {}
    for name, said in found.said.items():
        value = agreement(found.flagged, said, part.group, seed)["mcc"]
        assert value.value is not None
        assert value.low is not None
        assert value.high is not None
        each[name] = Rate(value.value, value.low, value.high, value.n)
    return Measured(**clean_figures(one, part), copied=each[attack], attacks=each)
