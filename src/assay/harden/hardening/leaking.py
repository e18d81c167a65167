"""Hardening against membership inference: milder recipes and coarser answers, attacked by who knows them.

Every candidate is attacked with references that its own recipe made, answered through its own output. Training rows are
cut in two as the holdout is: one part chooses, and the other, against references of its own, confirms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from assay.adapters.predictor_base import BasePredictor
from assay.adapters.refit import Recipe, class_places
from assay.adapters.tables import Dataset
from assay.attacks.extraction.schema import Schema
from assay.attacks.membership.game import Game, Rows, play
from assay.attacks.membership.roc import area, mean_area, tpr_at
from assay.attacks.membership.scores import loss, rmia, tuned
from assay.attacks.membership.verdict import found
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable
from assay.core.protocols import FloatArray as Array
from assay.harden.hardening.chosen import ORIGINAL, Found, Words, choice, judged, looks
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
from assay.harden.hardening.measured import SHARES, threshold_at
from assay.harden.hardening.outputs import WHOLE, Output, Shown, limit_of, rounded
from assay.harden.hardening.regular import LEAK_WAYS, Course, LeakWay, base, course, leak_ways, moved
from assay.harden.hardening.result import Gain, Measured, Rate, Verdict
from assay.harden.hardening.workshop import Made, Workshop

MOST = 4000
"""Rows of either table that are judged on a part."""
TAIL = 0.01
KNOWN, TRAINED, CHOSEN = 0.1, 0.4, 0.7
"""The shares of the whole at which the model itself is attacked, all are trained, and one is chosen."""
STEPS = ((0.1, 0.1),) * 4 + ((0.5, 0.3),) * 4
"""How far the copies of a row lie that are asked too: of the spread of numbers, and the share of levels drawn anew."""
WORDS = Words(
    short="does not surely leak less, with these references, than",
    better="leaks less than",
    by=", measured by the area of the attack with these references",
    as_good="no leakier",
    given=" with these references",
    another="which references are drawn, which no interval holds,",
)
FIRST = LeakWay(ORIGINAL, "original", "any", "the model as it is")


class Duel(NamedTuple):
    """The judged rows of a part: training rows and holdout rows as the game wants them, the part of the holdout that
    they are from, these rows and copies of them (all rows, then all of the first copies), and the negative rows that
    set thresholds."""

    train: Rows
    other: Rows
    part: Part
    near: ArrowTable
    negative: ArrowTable
    seed: int


class Told(NamedTuple):
    """What is known of one model and its k references: the game by whole scores, whether each row is `positive` (n,),
    the scores of the copies of each row, itself first, by the target, `own` (c, n), and by the references, `refs`
    (k, c, n), and the thresholds of all of them (1 + k,)."""

    game: Game
    positive: Array
    own: Array
    refs: Array
    limits: Array


class Leak(NamedTuple):
    """What each attack makes of the judged rows, (n,) each; rather a member where it is higher."""

    scores: dict[str, Array]
    member: Array


def less_leaking(shop: Workshop, holdout: Dataset, terms: Terms) -> Found:
    """Make every candidate, choose, and confirm; how far it is `shop.progress` is told. Raises UsageError for an option
    that does not fit, CouldNotLook for too few rows, tables that differ (the attack finds a model's holdout where there
    is nothing to find), and where no option could be made."""
    asked = leak_ways(shop, terms.only)
    parts = pieces(shop, holdout, terms)
    duels = _duels(shop, holdout, parts, terms)
    first = set_up(ORIGINAL, "original", FIRST.said, Made(shop.model, None, shop.model.kind), parts[0], terms)
    ring = _Ring(shop, terms)
    shop.steps("attacking", 0.0, KNOWN)(ORIGINAL, 0, 1)
    sizes = counts(parts) | {"references": terms.references, "choose_members": len(duels[0].train.judged)}
    sizes |= {"confirm_members": len(duels[1].train.judged)}
    leak = ring.leak(first, FIRST, duels[1])
    _refuse_different(shop, ring.told(FIRST, first, duels[1]).game)
    known = max((area(s, leak.member) for s in leak.scores.values()), key=lambda r: r.value)
    if known.low <= 0.5:
        said = f"area {known.value:.3f} ({known.low:.3f} to {known.high:.3f}) for the original, one half is chance"
        reason = f"nothing to harden: no attack surely tells training rows from others ({said})"
        alone = _measured(first, leak, duels[1], _strongest(leak))
        return Found("nothing helps", (reason,), "", None, (), (alone,), (), sizes)
    made, failed = _made(shop, asked, parts[0], terms)
    return _settled([(FIRST, first), *made], failed, ring, duels, terms, sizes)


def _settled(
    ways: list[tuple[LeakWay, Candidate]], failed: list[Measured], ring: _Ring, duels: tuple[Duel, Duel], terms: Terms,
    sizes: dict[str, int],
) -> Found:  # fmt: skip
    """Measured on one part, the best and all controls again on the other: these by the attack that was strongest on
    the first part, the best by whatever is strongest now."""
    everyone = [c for _, c in ways]
    picked, attack = [], {}
    steps = ring.shop.steps("choosing", TRAINED, CHOSEN)
    for place, (way, one) in enumerate(ways):
        steps(one.name, place, len(ways))
        try:
            leak = ring.leak(one, way, duels[0])
        except CouldNotLook as why:
            picked.append(unmeasured(one.name, one.role, one.said, why))
            continue
        attack[one.name] = _strongest(leak)
        picked.append(_measured(one, leak, duels[0], attack[one.name]))
    chosen = choice(picked, terms.margin, _silent)
    last, leaks = [], {}
    steps = ring.shop.steps("confirming", CHOSEN, 1.0)
    again = [each for each in ways if (each[1].role != "option" or each[1].name == chosen) and each[1].name in attack]
    for place, (way, one) in enumerate(again):
        steps(one.name, place, len(again))
        try:
            leaks[one.name] = ring.leak(one, way, duels[1])
        except CouldNotLook as why:
            last.append(unmeasured(one.name, one.role, one.said, why))
            continue
        if one.name == chosen:  # it answers for the worst of all; the others for what was strongest before
            attack[chosen] = _strongest(leaks[chosen])
        last.append(_measured(one, leaks[one.name], duels[1], attack[one.name]))
    option = next(c for c in everyone if c.name == chosen)
    gains = tuple(
        Gain(
            over=c.name,
            attacked=less((leaks[c.name], attack[c.name]), (leaks[chosen], attack[chosen])),
            clean=clean_kept(option, c, duels[1].part),
        )
        for c in everyone
        if c.name in leaks and c.name != chosen and chosen in leaks
    )
    verdict, reasons = judged(chosen, last, gains, terms, WORDS)
    verdict, reasons = _tails(verdict, reasons, chosen, last, gains)
    closed(everyone, chosen)
    return Found(verdict, reasons, chosen, option.made, (*picked, *failed), tuple(last), gains, sizes)


def less(other: tuple[Leak, str], option: tuple[Leak, str]) -> Rate:
    """How much smaller the area of an option's attack is than another's, on the same rows, by DeLong's interval.

    Each candidate's `str` names its attack. The mean of one area and of the other's rest holds both, rows paired.
    """
    scores = [other[0].scores[other[1]], -option[0].scores[option[1]]]
    member = other[0].member
    value, low, high = (2 * v - 1 for v in mean_area(scores, [member] * 2, [np.arange(len(member))] * 2))
    return Rate(value, low, high, len(member))


def _tails(
    verdict: Verdict, reasons: tuple[str, ...], chosen: str, last: list[Measured], gains: tuple[Gain, ...]
) -> tuple[Verdict, tuple[str, ...]]:
    """What is found at few false positives is told where its interval lies apart from the original's, at any look at
    that; an area that falls while more members are found is no help."""
    tail = {m.name: m.tail for m in last if m.tail is not None}
    mine = tail.get(chosen)
    own = [(name, tail[name]) for name in looks(last, gains) if name in tail]
    if mine is None or not own:
        return verdict, reasons
    more, fewer = [n for n, t in own if mine.low > t.high], [n for n, t in own if mine.high < t.low]
    if not more and not fewer:
        return verdict, reasons
    them = ", ".join(f"{_share(t)} of {name}'s" for name, t in own)
    said = f"at {TAIL:.0%} false positives {_share(mine)} of its members are found, {them}: "
    told = [f"{word} than of {' and '.join(n)}" for word, n in (("more", more), ("fewer", fewer)) if n]
    sure = len(own) in (len(more), len(fewer))
    said += f"{'surely ' * sure}{', '.join(told)}{WORDS.given}{'' if sure else ' only, so that it is not sure'}"
    if verdict == "helps" and more:
        return "nothing helps", (f"{chosen} lowers the area, but {said}",)
    return verdict, (*reasons, f"{chosen}: {said}")


def _share(rate: Rate) -> str:
    return f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})"


def _silent(m: Measured) -> float:
    assert m.leak is not None
    return -m.leak.value


def _strongest(leak: Leak) -> str:
    return max(leak.scores, key=lambda name: area(leak.scores[name], leak.member).value)


def _measured(one: Candidate, leak: Leak, duel: Duel, attack: str) -> Measured:
    """The figures of a candidate; its leak is what the attack finds that was strongest where it was chosen."""
    n = len(leak.member)
    each = {name: Rate(*area(score, leak.member), n) for name, score in leak.scores.items()}
    tail = tpr_at(leak.scores[attack], leak.member, TAIL)
    told = clean_figures(one, duel.part)
    members = int(leak.member.sum())  # the share found rests on them alone
    return Measured(**told, leak=each[attack], tail=None if tail is None else Rate(*tail, members), attacks=each)


def _made(
    shop: Workshop, asked: list[LeakWay], part: Part, terms: Terms
) -> tuple[list[tuple[LeakWay, Candidate]], list[Measured]]:
    """(what could be made, what could not and why). Raises CouldNotLook where no option could."""
    made, failed = [], []
    steps = shop.steps("training", KNOWN, TRAINED)
    for place, way in enumerate(asked):
        steps(way.name, place, len(asked))
        try:
            if way.kept:
                one = Made(shop.model if way.output == WHOLE else Shown(shop.model, way.output), None, shop.model.kind)
            else:
                seed = int(np.random.default_rng([terms.seed, 35, LEAK_WAYS.index(way)]).integers(1 << 31))
                one = course(shop, way).made(shop.rows, shop.places, seed)
            made.append((way, set_up(way.name, way.role, way.said, one, part, terms)))
        except CouldNotLook as why:
            failed.append(unmeasured(way.name, way.role, way.said, why))
    if not any(w.role == "option" for w, _ in made):
        whys = "; ".join(f"{m.name}: {m.why}" for m in failed if m.role == "option")
        raise CouldNotLook(f"no option could be made ({whys})")
    return made, failed


class _Ring:
    """Plays the games; what is told of the model itself and its references is asked once for all its outputs."""

    def __init__(self, shop: Workshop, terms: Terms) -> None:
        self.shop, self.terms = shop, terms
        self.held: dict[int, Told] = {}

    def leak(self, one: Candidate, way: LeakWay, duel: Duel) -> Leak:
        """What attackers who know the way make of a part. Raises CouldNotLook."""
        told = self.told(way, one, duel)
        return Leak(attacks_on(told, way.output), told.game.member)

    def told(self, way: LeakWay, one: Candidate, duel: Duel) -> Told:
        """The game of a candidate on a part."""
        shared = way.kept and way.role != "control"
        key = duel.seed if shared else -1
        if key in self.held:
            return self.held[key]
        place = -1 if shared else LEAK_WAYS.index(way)
        seed = int(np.random.default_rng([duel.seed, 36, place + 1]).integers(1 << 31))
        recipe = Course(base(self.shop)) if way.kept else course(self.shop, way)
        noted = _Noted(recipe, duel, self.terms.alarms)
        model = self.shop.model if way.kept else one.model
        progress, count = self.shop.progress, self.terms.references
        game = play(model, noted, duel.train, duel.other, references=count, seed=seed, progress=progress)
        positive = np.concatenate([side.positive[side.judged] for side in (duel.train, duel.other)])
        own = np.asarray(model.scores(duel.near)).reshape(-1, len(positive))
        refs = np.stack(noted.near).reshape(len(noted.near), *own.shape)
        told = Told(game, positive, own, refs, np.array([limit_of(model), *noted.limits]))
        if shared:
            self.held[key] = told
        return told


class _Noted(Recipe):
    """A recipe that writes down how each of its models scores the copies of the judged rows, and its threshold at the
    false alarms that every candidate is compared at."""

    def __init__(self, inner: Recipe, duel: Duel, alarms: float) -> None:
        self.inner, self.duel, self.alarms = inner, duel, alarms
        self.near: list[Array] = []
        self.limits: list[float] = []

    def train(
        self, rows: ArrowTable, places: Array, *, changes: Mapping[str, Any] | None = None, seed: int = 0
    ) -> BasePredictor:
        """See `Recipe.train`."""
        made = self.inner.train(rows, places, changes=changes, seed=seed)
        self.limits.append(threshold_at(np.asarray(made.scores(self.duel.negative), dtype=float), self.alarms))
        self.near.append(np.asarray(made.scores(self.duel.near)))
        return made


def attacks_on(told: Told, output: Output) -> dict[str, Array]:
    """What each attack makes of the judged rows (n,) where a model answers through an output.

    Who knows the output puts references behind the same one, or compares rounded answers with references' whole ones.
    Copies near a row are asked too, for the mean of how sure the model is of its label: where rows were moved in
    training, or decisions alone are told, a row by itself says less than they do (Choquette-Choo et al. 2021).
    """
    game, positive = told.game, told.positive
    if output.label:
        own, refs = told.own >= told.limits[0], told.refs >= told.limits[1:, None, None]
        sure = (own == positive).astype(float), (refs == positive).astype(float)
        game = msgspec.structs.replace(game, target=sure[0][0], refs=sure[1][:, 0])
    else:
        game = msgspec.structs.replace(game, target=rounded(game.target, output.decimals))
        sure = tuple(_sure(rounded(each, output.decimals), positive) for each in (told.own, told.refs))
    out = {"loss": loss(game)}
    if output.decimals is not None:
        out["rmia-whole"] = rmia(game, tuned(game))
        game = msgspec.structs.replace(game, refs=rounded(game.refs, output.decimals))
    near = msgspec.structs.replace(game, target=sure[0].mean(axis=0), refs=sure[1].mean(axis=1))
    return {"rmia": rmia(game, tuned(game)), **out, "near": rmia(near, tuned(near))}


def _sure(scores: Array, positive: Array) -> Array:
    """How sure scores (..., n) are of rows' own labels; margins through the logistic function."""
    if scores.min() < 0 or scores.max() > 1:
        return 1 / (1 + np.exp(-np.clip(np.where(positive, scores, -scores), -500, 500)))
    return np.where(positive, scores, 1 - scores)


def _refuse_different(shop: Workshop, game: Game) -> None:
    """Raises CouldNotLook where the attack tells the holdout from training rows that its model never saw."""
    a = tuned(game)
    attack = found("rmia", game, lambda g: rmia(g, a))
    if attack.off:
        assert attack.null is not None
        said = f"area {attack.null.value:.3f} ({attack.null.low:.3f} to {attack.null.high:.3f})"
        what = f"the attack tells the holdout from training rows that its model never saw, {said}: the tables differ"
        raise CouldNotLook(f"{shop.subject.uri}: {what}; name a holdout drawn at random from the same rows")


def _duels(shop: Workshop, holdout: Dataset, parts: tuple[Part, Part, Part], terms: Terms) -> tuple[Duel, Duel]:
    """The judged rows of the two parts: of both tables those whose inputs no other row has; training rows are cut in
    two at random, as the parts are to each other."""
    train, names = shop.train, list(shop.model.features)
    alone, drawn = _alone(train, holdout, names)
    count = train.rows
    rng = np.random.default_rng([terms.seed, 37])
    mine = rng.permutation(np.flatnonzero(alone[:count]))
    cut = round(len(mine) * SHARES[1] / (SHARES[1] + SHARES[2]))
    table, hold = shop.rows, holdout.table(names)
    places = class_places(shop.model, shop.subject, holdout)
    whole = np.asarray(holdout.target(), dtype=bool)
    schema = Schema(table, shop.model.features, shop.kinds)
    negative = parts[0].table.filter(~parts[0].target)
    duels = []
    for place, (part, own) in enumerate(((parts[1], mine[:cut]), (parts[2], mine[cut:]))):
        theirs = rng.permutation(part.rows[alone[count:][part.rows]])
        sides = (
            Rows(table, shop.places, shop.target, np.sort(own[:MOST]), drawn[:count]),
            Rows(hold, places, whole, np.sort(theirs[:MOST]), drawn[count:]),
        )
        copies = _copies(schema, sides, rng)
        duels.append(
            Duel(*sides, part, copies, negative, int(np.random.default_rng([terms.seed, 38, place]).integers(1 << 31)))
        )
    return duels[0], duels[1]


def _copies(schema: Schema, sides: tuple[Rows, Rows], rng: np.random.Generator) -> ArrowTable:
    """The judged rows of both sides, then their copies, once for each of STEPS."""
    import pyarrow as pa

    rows = pa.concat_tables([side.table.take(side.judged) for side in sides], promote_options="permissive")
    return pa.concat_tables([rows, *(moved(schema, rows, far, share, rng).cast(rows.schema) for far, share in STEPS)])


def _alone(train: Dataset, holdout: Dataset, names: list[str]) -> tuple[Array, Array]:
    """Of the rows of both tables (m + n,), whether no other has the same inputs and its entity is not in both, and
    which are drawn together: of an entity where one is declared, else of equal inputs."""
    from assay.detectors.rows import codes, entities_of, grouped

    tables = train.table(names), holdout.table(names)
    inputs = grouped([codes(*(table.column(name) for table in tables)) for name in names])
    alone = np.bincount(inputs)[inputs] == 1
    own = entities_of(train)
    if own is None:
        return alone, inputs
    if holdout.entity and train.entity:
        both = codes(train.table([train.entity]).column(0), holdout.table([holdout.entity]).column(0))
        alone &= ~np.isin(both, np.intersect1d(both[: train.rows], both[train.rows :]))
    return alone, np.concatenate([own, np.arange(holdout.rows) + int(own.max()) + 1])
