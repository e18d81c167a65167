"""Which option helps: all measured beside the controls, one picked, and confirmed on rows that picked nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from assay.adapters.predictor_base import BasePredictor
from assay.adapters.tables import Dataset
from assay.attacks.accepted import accepted
from assay.attacks.relations import require_read
from assay.attacks.strike import Asked
from assay.core.errors import CouldNotLook
from assay.core.subject import Access, Norm
from assay.harden.hardening.measured import (
    Held,
    Seen,
    drawn_thresholds,
    figures,
    gain,
    held,
    rate,
    seen,
    split,
    threshold_at,
)
from assay.harden.hardening.options import Way, seed_of, ways
from assay.harden.hardening.result import Gain, Measured, Rate, Verdict
from assay.harden.hardening.workshop import Made, Steps, Workshop
from assay.stats.intervals import z_for

ORIGINAL = "original"
MATTERS = 0.25
"""A gain that nobody would want to miss: where the intervals reach beyond it, "nothing helps" would be a guess."""
FEWER = 150
"""Rows that are attacked to choose."""
TRANSFER = "transfer"
ATTACKS = ("whitebox", "score", "label", TRANSFER)
TRAINED, CHOSEN = 0.4, 0.55
"""The shares of the whole at which all are trained, and one is chosen."""


class Terms(NamedTuple):
    """How candidates are compared: the attack, the share of false alarms, the rows that are attacked, and how much
    clean recall may be lost (`margin`)."""

    norm: Norm
    budget: float
    access: Access
    alarms: float = 0.01
    rows: int = 300
    queries: int = 600
    margin: float = 0.01
    seed: int = 0
    only: tuple[str, ...] = ()


class Compared(Protocol):
    """At how many false alarms candidates are compared, and how much clean recall may be lost."""

    @property
    def alarms(self) -> float:
        """The share of negative rows that may be flagged."""

    @property
    def margin(self) -> float:
        """The clean recall that may be lost."""


class Words(NamedTuple):
    """How a verdict says that an option is `short` of another, is `better` than all, `by` what, or that a control is
    `as_good`; what such words are `given`, and `another` of what tells two looks at one model apart."""

    short: str = "does not surely leave more recall under attack than"
    better: str = "leaves more recall under attack than"
    by: str = ""
    as_good: str = "as good under attack"
    given: str = ""
    another: str = "which attacks are run"


EVASION = Words()


class Candidate(NamedTuple):
    """A way with what it made."""

    way: Way
    made: Made


class Found(NamedTuple):
    """What came of it; `made` is the chosen option, `left_out` what the attack could not try."""

    verdict: Verdict
    reasons: tuple[str, ...]
    chosen: str
    made: Made | None
    picked_on: tuple[Measured, ...]
    confirmed: tuple[Measured, ...]
    gains: tuple[Gain, ...]
    parts: dict[str, int]
    left_out: str = ""


def hardened(shop: Workshop, holdout: Dataset, terms: Terms) -> Found:
    """Make every candidate, choose, and confirm; how far it is `shop.progress` is told.

    Raises UsageError for an option that does not fit, CouldNotLook for too few rows, a model that cannot be attacked as
    asked, and where no option could be made.
    """
    from assay.detectors.rows import draws

    asked = ways(shop, terms.only)
    require_read(shop.contract, shop.model.features, holdout.label)
    target = np.asarray(holdout.target(), dtype=bool)
    group, table = draws(holdout, shop.model.features), holdout.table()
    parts = split(target, group, terms.seed, terms.alarms)
    pieces = [(table.take(rows), target[rows], group[rows]) for rows in parts]
    allowed = accepted(shop.model, shop.whole, shop.contract, shop.whole)
    against = (allowed.contract, shop.whole, shop.kinds, shop.model.features)
    sample = [
        held(*piece, shop.contract, shop.model.features, count, terms.seed)
        for piece, count in ((pieces[1], min(FEWER, terms.rows)), (pieces[2], terms.rows))
    ]
    negative = pieces[0][0].filter(~pieces[0][1])
    refuse_constant(shop.model, pieces[0][0])
    first = Candidate(Way(ORIGINAL, "original", "", "the model as it is", lambda s, _: _never(s)), _of(shop))
    made, failed = _made(shop, asked, terms)
    everything = [first, *made]
    drawn: dict[str, Any] = {}
    for one in everything:
        scores = np.asarray(one.made.predictor.scores(negative), dtype=float)
        one.made.predictor.threshold = threshold_at(scores, terms.alarms)
        drawn[one.way.name] = drawn_thresholds(scores, pieces[0][2][~pieces[0][1]], terms.alarms, terms.seed)
    one_attack = _attacks(terms, (terms.access,))
    picked = _measured(everything, sample[0], against, one_attack, shop.steps("choosing", TRAINED, CHOSEN))
    chosen = choice([m for m, _ in picked], terms.margin, _stands)
    # Controls are attacked as asked, once: whatever more would find makes them worse, and the option better.
    finalists = [c for c in everything if c.way.role == "original" or c.way.name == chosen]
    controls = [c for c in everything if c.way.role == "control"]
    every = _attacks(terms, ATTACKS)
    between = CHOSEN + (1 - CHOSEN) * len(finalists) * len(every) / (len(finalists) * len(every) + len(controls))
    last = _measured(finalists, sample[1], against, every, shop.steps("confirming", CHOSEN, between))
    last += _measured(controls, sample[1], against, one_attack, shop.steps("confirming", between, 1.0))
    gains = _gains(sample[1], last, chosen, drawn)
    verdict, reasons = judged(chosen, [m for m, _ in last], gains, terms)
    if verdict == "nothing helps":
        reasons += _without(sample[1], last, drawn, terms.margin)
    for one in made:
        if one.way.name != chosen:
            one.made.predictor.close()
    counts = {f"{n}_rows": len(r) for n, r in zip(("calibrate", "choose", "confirm"), parts, strict=True)}
    counts |= {"attacked_to_choose": len(sample[0].sample), "attacked_to_confirm": len(sample[1].sample)}
    return Found(
        verdict, reasons, chosen, next(c.made for c in made if c.way.name == chosen),
        (*(m for m, _ in picked), *failed), tuple(m for m, _ in last), gains, counts, allowed.said,
    )  # fmt: skip


def refuse_constant(model: BasePredictor, rows: Any) -> None:
    """Raises CouldNotLook for a model that gives every row one score."""
    if np.ptp(model.scores(rows)) == 0:
        raise CouldNotLook(f"{model.where}: gives every row the same score; there is nothing to harden")


def _of(shop: Workshop) -> Made:
    return Made(shop.model, None, shop.model.kind)


def _never(shop: Workshop) -> Made:
    raise CouldNotLook(f"{shop.subject.uri}: the original is not made")


def _made(shop: Workshop, asked: list[Way], terms: Terms) -> tuple[list[Candidate], list[Measured]]:
    """(what could be made, what could not and why)."""
    made, failed = [], []
    steps = shop.steps("training", 0.0, TRAINED)
    for place, way in enumerate(asked):
        steps(way.name, place, len(asked))
        try:
            made.append(Candidate(way, way.make(shop, seed_of(way, terms.seed))))
        except CouldNotLook as why:
            failed.append(Measured(name=way.name, role=way.role, said=way.said, why=str(why)))
    for role in ("control", "option"):
        if not any(c.way.role == role for c in made):
            whys: dict[str, list[str]] = {}
            for m in failed:
                if m.role == role:
                    whys.setdefault(m.why, []).append(m.name)
            told = "; ".join(f"{why} ({', '.join(names)})" for why, names in whys.items())
            raise CouldNotLook(f"no {role} could be trained: {told}")
    return made, failed


def _attacks(terms: Terms, names: tuple[str, ...]) -> dict[str, Asked]:
    """The attacks by name, that of the asked access first."""
    ordered = dict.fromkeys((terms.access, *names))
    limit, seed = terms.queries, terms.seed
    out = {name: Asked(terms.norm, name, terms.budget, limit, seed) for name in ordered if name != TRANSFER}  # type: ignore[arg-type]
    if TRANSFER in ordered:
        out[TRANSFER] = Asked(terms.norm, "score", terms.budget, limit, seed, method="transfer")
    return out


def _measured(
    candidates: list[Candidate], part: Held, against: Any, attacks: dict[str, Asked], steps: Steps
) -> list[tuple[Measured, Seen | None]]:
    """The figures of every candidate on a part. Raises CouldNotLook where the original has none."""
    out: list[tuple[Measured, Seen | None]] = []
    for place, (way, made) in enumerate(candidates):
        progress = steps(way.name, place, len(candidates))
        told: dict[str, Any] = {"name": way.name, "role": way.role, "said": way.said}
        told["threshold"] = made.predictor.threshold
        try:
            one = seen(made.predictor, part, against, attacks, progress)
        except CouldNotLook as why:
            if way.name == ORIGINAL:
                raise
            out.append((Measured(**told, why=str(why)), None))
            continue
        told |= figures(part, one) | referred(made, part.table, part.target, part.group)
        out.append((Measured(**told), one))
    return out


def referred(made: Made, table: Any, target: Any, group: Any) -> dict[str, Any]:
    """The shares of positive and of negative rows (n,) that a model that abstains flags without deciding them."""
    if made.decided is None:
        return {}
    limit = made.predictor.threshold
    left = (np.asarray(made.predictor.scores(table)) >= limit) & (np.asarray(made.decided.scores(table)) < limit)
    parts = (("referred", target), ("referred_negative", ~target))
    return {name: rate(left[rows], group[rows]) for name, rows in parts}


def _stands(m: Measured) -> float:
    assert m.attacked is not None
    return m.attacked.value


def choice(picked: list[Measured], margin: float, stands: Callable[[Measured], float]) -> str:
    """The option that `stands` best among those whose clean recall is no worse; else the one that loses least.

    Raises CouldNotLook where no option could be measured.
    """
    original = next(m for m in picked if m.name == ORIGINAL)
    options = [m for m in picked if m.role == "option" and not m.why]
    if not options:
        whys = "; ".join(f"{m.name}: {m.why}" for m in picked if m.role == "option")
        raise CouldNotLook(f"no option could be measured ({whys})")

    def worth(m: Measured) -> tuple[bool, float]:
        assert m.clean is not None
        assert original.clean is not None
        keeps = m.clean.value >= original.clean.value - margin
        return keeps, stands(m) if keeps else m.clean.value

    return max(options, key=worth).name


def _gains(
    part: Held, last: list[tuple[Measured, Seen | None]], chosen: str, drawn: dict[str, Any]
) -> tuple[Gain, ...]:
    option = next(one for m, one in last if m.name == chosen)
    if option is None:
        return ()
    others = [(m.name, one) for m, one in last if one is not None and m.name != chosen]
    return tuple(gain(part, option, one, name, (drawn[chosen], drawn[name])) for name, one in others)


def _without(
    part: Held, last: list[tuple[Measured, Seen | None]], drawn: dict[str, Any], margin: float
) -> tuple[str, ...]:
    """The control that surely does most under attack, where it surely does better than the original and does not surely
    lose more clean recall than the margin, one that surely does not before others: no defence, and yet what a reader
    can act on. It is the best of k, so that each is held to 1 - .05/k (Bonferroni)."""
    original = next(one for m, one in last if m.name == ORIGINAL)
    assert original is not None
    controls = [(m, one) for m, one in last if m.role == "control" and one is not None]
    wide = z_for(1 - 0.05 / max(1, len(controls))) / z_for()
    better = []
    for m, one in controls:
        found = gain(part, one, original, ORIGINAL, (drawn[m.name], drawn[ORIGINAL]))
        more, clean = (_stretched(rate, wide) for rate in (found.attacked, found.clean))
        if more.low > 0 and clean.high > -margin:
            better.append((clean.low > -margin, more, clean, m))
    if not better:
        return ()
    kept, more, clean, m = max(better, key=lambda each: (each[0], each[1].low))
    said = f"{m.name} ({m.said}), a control, leaves {_told(more)} more recall under {', '.join(m.attacks)} attack than"
    sure = f"clean recall {_told(clean)}, at {1 - 0.05 / len(controls):.1%} each"
    loss = "" if kept else f"; a loss of more than {margin:g} is not ruled out on so few rows"
    return (f"{said} the original, {sure}{loss}; no attack was in its training",)


def _stretched(rate: Rate, times: float) -> Rate:
    low, high = (rate.value + times * (end - rate.value) for end in (rate.low, rate.high))
    return Rate(rate.value, max(-1.0, low), min(1.0, high), rate.n)


def _told(rate: Rate) -> str:
    return f"{rate.value:+.3f} ({rate.low:+.3f} to {rate.high:+.3f})"


def judged(
    chosen: str, last: list[Measured], gains: tuple[Gain, ...], terms: Compared, words: Words = EVASION
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict and why. It helps only where it surely beats the original and every control that was measured, its
    clean recall is surely no worse, and its threshold keeps the false alarms. What is the original over again counts
    as the original: an option is better than it only where it is so at every look.

    False alarms count against it where the original, whose threshold was set on the same rows, has no such excess.
    A control that surely keeps less clean recall, by more than the margin, is beaten too where it does no better under
    attack: what nobody would ship is no alternative.
    """
    mine, original = (next(m for m in last if m.name == name) for name in (chosen, ORIGINAL))
    if why := _unmeasured(mine, original, last):
        return "cannot tell", (why,)
    assert mine.alarms is not None
    own = looks(last, gains)
    short = [g for g in gains if not _beaten(g, terms.margin, own)]
    clean = next(g.clean for g in gains if g.over == ORIGINAL)
    between = f"{clean.value:+.3f} ({clean.low:+.3f} to {clean.high:+.3f}), at most {terms.margin:g} may be lost"
    if short:
        verdict, why_not = _short(chosen, short, [g for g in gains if g.over in own], original, words)
        if clean.high < -terms.margin:  # a larger holdout will not change that
            return "nothing helps", (*why_not, f"it surely costs clean recall, too: {between}")
        return verdict, why_not
    if clean.high < -terms.margin:
        return "nothing helps", (f"{chosen}, the best, costs clean recall: {between}",)
    if clean.low <= -terms.margin:
        more = "a larger holdout tells more closely, a larger `--margin` allows more"
        return "cannot tell", (f"whether {chosen} keeps the clean recall cannot be told: {between}", more)
    said = f"{mine.alarms.value:.2%} ({mine.alarms.low:.2%} to {mine.alarms.high:.2%})"
    more = f"{chosen} flags {said} of the negative rows, more than {terms.alarms:.2%}"
    over = mine.alarms.low > terms.alarms
    if over and original.alarms is not None and original.alarms.low <= terms.alarms:
        return "cannot tell", (more,)
    dear = [g for g in gains if g.attacked.low <= 0]
    least = min((g for g in gains if g not in dear), key=lambda g: g.attacked.low)
    said = f"{least.attacked.value:+.3f} ({least.attacked.low:+.3f} to {least.attacked.high:+.3f})"
    first = f"{chosen} {words.better} {_everyone(last)}{words.by}, the nearest of which is"
    reasons = [f"{first} {least.over}: {said}; clean recall {between}"]
    for g in dear:
        lost = f"{g.clean.value:.3f} ({g.clean.low:.3f} to {g.clean.high:.3f}) less clean recall"
        reasons.append(f"save {g.over}, which is {words.as_good} at the price of {lost}")
    reasons += [f"not attacked by {name}: {why}" for name, why in mine.unanswered.items() if name in original.attacks]
    reasons += [f"{said}: what is gained is recall without an attack" for said in _idle(original)]
    if over:  # thresholds of all were set on the same rows, so that the comparison stands
        reasons.append(f"{more}, and so does the original: set the threshold on more rows before it is used")
    return "helps", tuple(reasons)


def looks(last: list[Measured], gains: tuple[Gain, ...]) -> tuple[str, ...]:
    """The names of all that is the original itself: attacked or copied a second time, or trained again by a recipe that
    draws nothing. It has the original's threshold, and the option keeps exactly as much of its clean recall."""
    limit = {m.name: m.threshold for m in last}
    first = next((g.clean for g in gains if g.over == ORIGINAL), None)
    return tuple(g.over for g in gains if g.clean == first and limit[g.over] == limit[ORIGINAL])


def _short(
    chosen: str, short: list[Gain], own: list[Gain], original: Measured, words: Words
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict where the option does not surely beat what is in `short`; `own` is what it gains over the original,
    for each look at that."""
    first = f"{chosen}, the best, {words.short} {', '.join(_between(g) for g in short)}"
    idle = [f"nothing to harden against: {said}" for said in _idle(original)]
    one = [_one_model(own, words)] if len({_side(g) for g in own}) > 1 else []
    if all(g.attacked.high > MATTERS for g in short):
        more = "a larger holdout tells more closely"
        return "cannot tell", (f"{first}: what is left open is more than {MATTERS:g}", more, *idle, *one)
    if not idle and all(g.attacked.high > 0 for g in short):
        first += "; the intervals reach above 0: a larger holdout would tell more closely"
    names = [g.over for g in own]
    better = [
        f"{g.over} does surely better than {chosen}{words.given}, and is no more than a control"
        for g in short
        if _side(g) < 0 and g.over not in names
    ]
    if len(own) > 1 and all(_side(g) < 0 for g in own):
        better.append(f"the original does surely better than {chosen}{words.given}, at every look: {', '.join(names)}")
    return "nothing helps", (*idle, first, *better, *one)


def _idle(original: Measured) -> tuple[str, ...]:
    """That the attacks took nothing of the original's recall, if so: there is nothing then that hardening saves."""
    before, after = original.before, original.attacked
    if before is None or after is None or before.value == 0 or after.value < before.value:
        return ()
    said = f"recall {after.value:.3f} under attack as before, n={before.n:,}"
    return (f"the attack took nothing from the original within the budget ({said})",)


def _one_model(own: list[Gain], words: Words) -> str:
    """That looks at one model come out on different sides of the option, so that neither side is sure."""
    said = ", ".join(_between(g) for g in own)
    return f"of one model, the original, it gains {said}: {words.another} decides, so that neither is sure"


def _everyone(last: list[Measured]) -> str:
    """What an option that helps is better than: no more than what was measured."""
    controls = [m for m in last if m.role == "control"]
    measured = [m for m in controls if not m.why]
    if len(measured) == 1:
        return f"the original and the one control there is, {measured[0].name} ({measured[0].said})"
    every = "every control" if len(measured) == len(controls) else "every control that could be measured"
    return f"the original and {every}"


def _between(g: Gain) -> str:
    return f"{g.over} ({g.attacked.low:+.3f} to {g.attacked.high:+.3f})"


def _side(g: Gain) -> int:
    """1 where the option surely does better than the other, -1 where surely worse, else 0."""
    return int(g.attacked.low > 0) - int(g.attacked.high < 0)


def _unmeasured(mine: Measured, original: Measured, last: list[Measured]) -> str:
    """Why the option cannot be compared, "" where it can: what was not looked at with the strongest attack that looked
    at the original is not called better."""
    if mine.why or mine.alarms is None:
        return f"{mine.name} could not be measured again: {mine.why}"
    controls = [m for m in last if m.role == "control"]
    if all(m.why for m in controls):
        return f"no control could be measured: {controls[0].why if controls else 'there is none'}"
    strongest = next((name for name in ATTACKS if name in original.attacks), "")
    why = mine.unanswered.get(strongest, "")
    return f"{mine.name} could not be attacked as the original was, by {strongest}: {why}" if why else ""


def _beaten(g: Gain, margin: float, own: tuple[str, ...]) -> bool:
    dear = g.over not in own and g.clean.low > margin and g.attacked.value >= 0
    return g.attacked.low > 0 or dear
