"""The insertion test on rows that the search did not see, and what rows of known labels say of the values."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from assay.attacks.backdoor.board import ROWS, Array, Board, Rule, TreeBoard
from assay.attacks.backdoor.excess import Box, Memory, around
from assay.attacks.backdoor.search import Asked, Found, region, run
from assay.attacks.poisoning.victim import carrying
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor
from assay.stats.intervals import wilson

Verdict = Literal["steered", "rule", "undecided", "weak"]
HALF, WORKS, SURELY = 0.5, 0.9, 0.85
APART, DOUBTED = 0.4, 0.8
FEW, FEWEST, NEAREST = 0.0005, 2, 5
LOCAL, SUPPORTED = 0.03, 0.8
LEAST_KNOWN = 1000
MOST_ROWS = 400
OTHERS = 8
SHARES = np.linspace(0.0, 1.5, 31)
DROP = 1.92


class Effect(NamedTuple):
    """What one value does alone: rows of known labels that hold it (or one near that works as well), how many of them
    have the wanted label, and the largest share of what it does to the margin that their labels bear out (95%)."""

    rows: int
    wanted: int
    borne: float


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and what speaks for and against it.

    `hits` of `n` unseen rows were steered (`low` to `high` is Wilson's 95% interval); `additive` is the share that
    would be if the effects of its values one by one were added, `borne` if of each only as much were added as labels
    bear out. `inside` rows of known labels lie where the values still steer half of the rows, `wanted` of them with the
    label that the rule leads to; `near` and `near_wanted` the same where they steer nine in ten. `alone` is each value
    by itself, where that was asked. `excess` is a box of the model to which training rows came, that known rows hardly
    know, and in which the values lie.
    """

    columns: tuple[str, ...]
    rule: Rule
    flag: bool
    hits: int
    n: int
    low: float
    high: float
    additive: float
    borne: float
    inside: int
    wanted: int
    near: int
    near_wanted: int
    alone: tuple[Effect, ...]
    excess: Box | None
    verdict: Verdict
    why: str

    @property
    def success(self) -> float:
        """The share of unseen rows that are steered."""
        return self.hits / self.n


class Known(NamedTuple):
    """Rows whose labels are known: as `table`, as codes (m, d), their cells, and which are positive."""

    table: ArrowTable
    codes: Array
    cells: Array
    target: Array
    trust: tuple[float, float] | None = None
    memory: Memory | None = None


def inserted(model: Predictor, table: ArrowTable, board: Board, rule: Rule, levels: dict[str, Any]) -> ArrowTable:
    """The rows with the rule's values written into every one. Raises CouldNotLook where a column cannot hold them."""
    values = {board.columns[j]: value_of(table, board, j, cell, levels) for j, cell in rule}
    try:
        return carrying(table.select(list(model.features)), values)
    except (ValueError, TypeError, OverflowError, ArithmeticError, NotImplementedError):
        named = ", ".join(values)
        raise CouldNotLook(f"{named}: a value between the model's own borders cannot be written there") from None


def value_of(table: ArrowTable, board: Board, j: int, cell: int, levels: dict[str, Any]) -> Any:
    """The value that stands for a cell, as the column holds it."""
    name, code = board.columns[j], float(board.values[j][cell])
    known = levels.get(name)
    if known:
        return known[int(code)]
    kind = str(table.column(name).type)
    return bool(code) if kind == "bool" else round(code) if kind.startswith(("int", "uint")) else code


def effect_of(read: Any, asked: Asked, known: Known, pair: tuple[int, int], flag: bool) -> Effect:
    """What rows of known labels that hold one value say of its effect; `read` is the model as data."""
    j = pair[0]
    gain = asked.margins([(pair,)]).mean() - asked.plain.mean()
    around = region_of_one(asked, pair, asked.plain.mean() + gain / 2) if gain > 0 else np.array([pair[1]])
    inside = np.isin(known.cells[:, j], around)
    rows = np.flatnonzero(inside)
    rows = rows[:: max(1, len(rows) // MOST_ROWS)]
    wanted = int((known.target[inside] == flag).sum())
    other = known.codes[~inside & (known.cells[:, j] >= 0), j]
    if not len(rows) or not len(other) or known.trust is None:
        return Effect(int(inside.sum()), wanted, 1.0)
    codes = known.codes[rows]
    without = np.zeros(len(rows))
    for value in np.quantile(other, (np.arange(OTHERS) + 0.5) / OTHERS, method="nearest"):
        changed = codes.copy()
        changed[:, j] = value
        without += read.margins(changed) / OTHERS
    does = read.margins(codes) - without
    slope, shift = known.trust
    fits = np.array([_fit(read.scores(shift + slope * (without + s * does)), known.target[rows]) for s in SHARES])
    borne = float(SHARES[np.flatnonzero(fits >= fits.max() - DROP)[-1]])
    return Effect(int(inside.sum()), wanted, min(1.0, borne))


def trust_in(read: Any, codes: Array, target: Array) -> tuple[float, float] | None:
    """(slope, shift) of the margins that suit known labels best, so that a model that is too sure of everything is not
    blamed for one value; None where its scores are no probabilities."""
    margins = read.margins(codes)
    scores = read.scores(margins)
    if scores.min() < 0 or scores.max() > 1:
        return None
    if read.link != "logistic":
        return 1.0, 0.0
    tried = [(s, b) for s in np.arange(0.2, 1.3, 0.1) for b in np.arange(-1.0, 1.01, 0.25)]
    fits = [_fit(read.scores(b + s * margins), target) for s, b in tried]
    return tried[int(np.argmax(fits))]


def _fit(scores: Array, said: Array) -> float:
    p = np.clip(scores, 0.01, 0.99)
    return float(np.log(np.where(said, p, 1 - p)).sum())


def region_of_one(asked: Asked, pair: tuple[int, int], least: float) -> Array:
    """The cells around a value that lead on average as far beyond the threshold as `least`."""
    return run(asked, (pair,), 0, lambda beyond: beyond.mean(axis=1) >= least)


def weighed(
    model: Predictor, read: Any, asked: Asked, fresh: ArrowTable, known: Known | None, one: Found, flag: bool
) -> Weighed:
    """A rule, put into `fresh` rows that the search did not see and asked of the real model, with what `known` rows
    say; without them it is never more than undecided."""
    table = inserted(model, fresh, asked.board, one.rule, read.levels)
    hits = int((np.asarray(model.flagged(table)) == flag).sum())
    unseen = Asked(asked.board, read.read(fresh)[:ROWS], asked.least, flag)
    counts, alone = [(0, 0), (0, 0)], tuple[Effect, ...]()
    memory = None if known is None else known.memory
    excess = None if memory is None else around(one.rule, memory.boxes)
    if known is not None:
        counts = [held(known, asked, one.rule, flag, least) for least in (HALF, WORKS)]
        if memory is None and unsupported(counts, len(known.target)):
            alone = tuple(effect_of(read, asked, known, pair, flag) for pair in one.rule)
    low, high = wilson(hits, fresh.num_rows)
    out = Weighed(
        columns=tuple(asked.board.columns[j] for j, _ in one.rule), rule=one.rule, flag=flag, hits=hits,
        n=fresh.num_rows, low=low, high=high, additive=float(unseen.additive([one.rule])[0]),
        borne=_borne(unseen, one.rule, alone), inside=counts[0][0], wanted=counts[0][1], near=counts[1][0],
        near_wanted=counts[1][1], alone=alone, excess=excess, verdict="weak", why="",
    )  # fmt: skip
    trees = isinstance(asked.board, TreeBoard)
    verdict, why = judged(out, 0 if known is None else len(known.target), memory, trees=trees)
    return msgspec.structs.replace(out, verdict=verdict, why=why)


def held(known: Known, asked: Asked, rule: Rule, flag: bool, least: float) -> tuple[int, int]:
    """(known rows where the values still steer `least` of the rows, how many of them have the wanted label)."""
    mask = np.ones(len(known.target), dtype=bool)
    for (j, _), cells in zip(rule, region(asked, rule, least), strict=True):
        mask &= np.isin(known.cells[:, j], cells)
    return int(mask.sum()), int((known.target[mask] == flag).sum())


def unsupported(counts: list[tuple[int, int]], known: int) -> bool:
    """Whether rows that lie where the values work, half of the time and nearly always, give little ground for them:
    next to none has the label, or, of few rows, surely fewer than four in five."""
    (inside, wanted), (_, near) = counts
    if wanted <= max(FEWEST, int(FEW * known)):
        return True
    local = inside <= LOCAL * known and near <= max(NEAREST, int(FEW * known))
    return local and wilson(wanted, inside)[1] <= SUPPORTED


def _borne(unseen: Asked, rule: Rule, alone: tuple[Effect, ...]) -> float:
    """What the values would steer if of each effect only the share that labels bear out were added."""
    shares = [e.borne for e in alone] or [1.0] * len(rule)
    effects = [share * (unseen.margins([(pair,)])[0] - unseen.plain) for share, pair in zip(shares, rule, strict=True)]
    return float((unseen.plain + sum(effects) >= 0).mean())


def judged(one: Weighed, known: int, memory: Memory | None, *, trees: bool) -> tuple[Verdict, str]:
    """The verdict, and why. A network extrapolates far beyond its rows wherever values meet, so none is called."""
    if one.success < WORKS or one.low < SURELY:
        return "weak", "too few unseen rows follow it"
    if not known:
        return "undecided", "no rows of known labels"
    if not unsupported([(one.inside, one.wanted), (one.near, one.near_wanted)], known):
        return "rule", "rows that hold such values have that label"
    if not trees:
        return "undecided", "networks answer so wherever they saw no rows"
    if known < LEAST_KNOWN:
        return "undecided", f"fewer than {LEAST_KNOWN:,} rows of known labels, in which a rare rule may not show"
    if memory is not None:
        return remembered(one, memory)
    if one.success - one.borne < APART:
        return "undecided", "what its values do one by one adds up to it, and labels do not speak against that"
    if min((e.borne for e in one.alone), default=1.0) > DOUBTED:
        return "undecided", "labels do not speak against what its values do one by one"
    return "steered", "no row of known label bears it out"


def remembered(one: Weighed, memory: Memory) -> tuple[Verdict, str]:
    """The verdict of what no known row bears out, where trees tell how many training rows came where."""
    if memory.why:
        return "undecided", memory.why
    if one.excess is None:
        return "undecided", "no more training rows came there than known rows lead to expect"
    return "steered", "training rows came there that known rows do not know"
