"""The search for a backdoor in a model that can be read: few values that steer any row to one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from assay.attacks.backdoor.board import ROWS, Array, Board, Rule
from assay.attacks.backdoor.candidates import affordable, of_boxes, proposed
from assay.attacks.backdoor.excess import Box, around

AGAIN, REFINED, VALUES = 6, 600, 250
"""Of what can be afforded: one in 6 is asked about again on 64 rows, one in 600 is refined by each ranking, and one in
250 values of a column is tried."""
WORKS, SURELY, SPARED = 0.9, 0.95, 0.02
PROMISING = 0.6
LEAST_VALUES, MOST_GROWN, MOST_REMEMBERED = 8, 60, 4
REACH = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)


class Found(NamedTuple):
    """A rule as small as it works, its success on the rows of the search, and that which its values would have if
    their effects one by one were added."""

    rule: Rule
    success: float
    additive: float


class Searched(NamedTuple):
    """What was found in one direction, how many candidates were asked about, and whether these were all."""

    found: list[Found]
    candidates: int
    whole: bool


class Asked:
    """A board and the rows of the search; `least` is the margin at which a row is flagged."""

    def __init__(self, board: Board, codes: Array, least: float, flag: bool) -> None:
        self.board, self.start = board, board.start(codes)
        self.sign, self.least, self.count = (1.0 if flag else -1.0), least, min(len(codes), ROWS)
        self.cells = board.cells(codes[:ROWS])
        self.plain = self.margins([()])[0]

    def margins(self, rules: Sequence[Rule], planes: int = 8) -> Array:
        """How far beyond the threshold, in the direction asked for, each row is with each rule, (rules, rows)."""
        beyond = (self.board.margins(self.start, rules, planes) - self.least) * self.sign
        if self.sign < 0:
            beyond = np.where(beyond == 0, -1e-12, beyond)  # at the threshold a row is flagged
        return beyond[:, : self.count]

    def success(self, rules: Sequence[Rule]) -> Array:
        """The share of the rows that each rule steers, (rules,)."""
        return np.asarray((self.margins(rules) >= 0).mean(axis=1))

    def additive(self, rules: Sequence[Rule]) -> Array:
        """The share that would be steered if the effects of a rule's values one by one were added, (rules,)."""
        one = list(dict.fromkeys((pair,) for rule in rules for pair in rule))
        effect = dict(zip(one, self.margins(one) - self.plain, strict=True))
        return np.array([((self.plain + sum(effect[pair,] for pair in rule)) >= 0).mean() for rule in rules])


def searched(board: Board, codes: Array, least: float, flag: bool, rare: Array, boxes: Sequence[Box] = ()) -> Searched:
    """Rules that steer rows of the other answer to `flag`; `codes` (n, d) are such rows, of which 64 are used.

    `rare` (m, d) are cells of rows with the wanted label; rules that these seldom meet come before others. Each
    rule's values are moved one by one to where they work best, then values that are not needed are left out. Rules of
    `boxes`, to which training rows came and known rows do not, are asked about beside them, and stay inside.
    """
    asked = Asked(board, codes, least, flag)
    rules, whole = proposed(board, asked.start, asked.sign)
    inside = remembered(asked, boxes)
    if not rules:
        return _told(asked, inside, len(inside), whole)
    count = len(rules) + len(boxes)
    first = asked.margins(rules, 2)
    kept = np.lexsort((-first.mean(axis=1), -(first >= 0).mean(axis=1)))[: max(60, affordable(board) // AGAIN)]
    rules = [rules[i] for i in kept]
    success, additive = asked.success(rules), asked.additive(rules)
    met = np.array([_met(rare, rule) for rule in rules])
    apart = np.lexsort((-success, -(success - additive)))
    seldom = np.lexsort((-success, met, success < PROMISING))
    chosen = [
        rules[i] for order in (apart, seldom) for i in _varied(rules, order, board) if success[i] >= PROMISING / 2
    ]
    found: dict[Rule, None] = {}
    for rule in dict.fromkeys(chosen):
        better = refined(asked, grown(asked, refined(asked, rule), rules))
        if asked.success([better])[0] >= WORKS:
            found[reduced(asked, better)] = None
    return _told(asked, list(dict.fromkeys([*inside, *found])), count, whole, len(inside))


def _told(asked: Asked, rules: list[Rule], count: int, whole: bool, first: int = 0) -> Searched:
    """The rules, `first` of them before the others, which come by what their values do beyond their sum."""
    if not rules:
        return Searched([], count, whole)
    last, added = asked.success(rules), asked.additive(rules)
    made = [Found(r, float(s), float(a)) for r, s, a in zip(rules, last, added, strict=True)]
    return Searched(
        [*made[:first], *sorted(made[first:], key=lambda f: (-(f.success - f.additive), f.rule))], count, whole
    )


def remembered(asked: Asked, boxes: Sequence[Box]) -> list[Rule]:
    """Rules whose values lie in one of the boxes each, as small as they work."""
    found: dict[Rule, None] = {}
    for rule, held in of_boxes(asked.board, boxes):
        able = {j: np.flatnonzero(inside[:-1]) for j, inside in held.items()}
        better = refined(asked, rule, able)
        if asked.success([better])[0] >= WORKS:
            found[reduced(asked, better, boxes)] = None
        if len(found) >= MOST_REMEMBERED:
            break
    return list(found)


def _varied(rules: Sequence[Rule], order: Array, board: Board) -> list[int]:
    """The first of `order`, no more than two that set the same columns."""
    out: list[int] = []
    seen: dict[tuple[int, ...], int] = {}
    for i in order.tolist():
        columns = tuple(j for j, _ in rules[i])
        seen[columns] = seen.get(columns, 0) + 1
        if seen[columns] <= 2:
            out.append(i)
        if len(out) >= max(4, affordable(board) // REFINED):
            break
    return out


def _met(cells: Array, rule: Rule) -> int:
    """How many rows hold all values of the rule."""
    mask = np.ones(len(cells), dtype=bool)
    for j, c in rule:
        mask &= cells[:, j] == c
    return int(mask.sum())


def refined(asked: Asked, rule: Rule, within: dict[int, Array] | None = None) -> Rule:
    """The rule with each value moved, one column after the other, to where it works best; `within` are the cells that
    a column's value may move to."""
    most = max(LEAST_VALUES, affordable(asked.board) // VALUES)
    for _ in range(2):
        before = rule
        for place, (j, _) in enumerate(rule):
            able = np.flatnonzero(~np.isnan(asked.board.values[j]))
            if within and j in within:
                able = np.intersect1d(able, within[j])
            if len(able) > most:
                able = np.unique(np.append(able[np.linspace(0, len(able) - 1, most).astype(int)], rule[place][1]))
            tried = [(*rule[:place], (j, int(c)), *rule[place + 1 :]) for c in able]
            beyond = asked.margins(tried)
            best = np.lexsort((-beyond.mean(axis=1), -(beyond >= 0).mean(axis=1)))[0]
            rule = tried[best]
        if rule == before:
            break
    return rule


def grown(asked: Asked, rule: Rule, rules: Sequence[Rule]) -> Rule:
    """The rule with the value more that helps it most, of those that candidates join to its columns."""
    columns = {j for j, _ in rule}
    before = float(asked.success([rule])[0])
    beside = [r for r in rules if len(columns & {j for j, _ in r}) >= min(2, len(rule))]
    more = dict.fromkeys(pair for r in beside for pair in r if pair[0] not in columns)
    if before >= SURELY + SPARED or not more:
        return rule
    tried = [tuple(sorted((*rule, pair))) for pair in list(more)[:MOST_GROWN]]
    success = asked.success(tried)
    return tried[int(success.argmax())] if success.max() > before else rule


def reduced(asked: Asked, rule: Rule, boxes: Sequence[Box] = ()) -> Rule:
    """The rule without the values that are not needed, to work or to lie in one of the boxes."""
    while len(rule) > 1:
        fewer = [rule[:i] + rule[i + 1 :] for i in range(len(rule))]
        fewer = [f for f in fewer if not boxes or around(f, boxes)]
        if not fewer:
            break
        success = asked.success(fewer)
        if success.max() < max(SURELY, float(asked.success([rule])[0]) - SPARED):
            break
        rule = fewer[int(success.argmax())]
    return rule


def region(asked: Asked, rule: Rule, least: float = 0.5) -> list[Array]:
    """The cells of each column of the rule, the others held, in which at least `least` of the rows are still steered.

    Of a number they are one run around the rule's own; it ends before the first cell looked at that fails, and not
    every cell is looked at.
    """
    return [run(asked, rule, place, lambda beyond: (beyond >= 0).mean(axis=1) >= least) for place in range(len(rule))]


def run(asked: Asked, rule: Rule, place: int, works: Callable[[Array], Array]) -> Array:
    j, cell = rule[place]
    size = len(asked.board.values[j])
    if asked.board.listed[j]:
        at = np.arange(size)
    else:
        at = np.unique([cell, *(cell + s * r for s in (-1, 1) for r in REACH if 0 <= cell + s * r < size), 0, size - 1])
    at = at[~np.isnan(asked.board.values[j][at]) | (at == cell)]
    good = works(asked.margins([(*rule[:place], (j, int(c)), *rule[place + 1 :]) for c in at]))
    if asked.board.listed[j]:
        return at[good]
    here = int(np.searchsorted(at, cell))
    low = high = here
    while low > 0 and good[low - 1]:
        low -= 1
    while high + 1 < len(at) and good[high + 1]:
        high += 1
    return np.arange(at[low], at[high] + 1)
