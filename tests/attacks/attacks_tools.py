"""Small models, tables and spaces that the attacks' tests share, and brute force as their oracle."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa

from assay.attacks.attacked import Attacked, confirmed
from assay.attacks.priced.search import Evaded
from assay.attacks.relations import satisfied
from assay.attacks.space import KEEP, Space
from assay.config.constraints import Constraint
from assay.core.subject import Contract, Feature

KINDS = {"amount": "integer", "hour": "integer", "shop": "category", "claims": "category", "age": "integer"}
FEATURES = {
    "amount": Feature(min=0, max=10, integer=True, direction="down", scale=2),
    "hour": Feature(min=0, max=6, step=2, scale=2),
    "shop": Feature(categories=("a", "b", "c"), cost=1.5),
    "claims": Feature(order=("none", "1", "many"), direction="up", cost=0.7),
    "age": Feature(mutable=False),
}


class Linear:
    """A model that flags a weighted sum; `column` order is irrelevant to it."""

    features = ("amount", "hour", "shop", "claims", "age")
    classes = (0, 1)
    threshold = 0.0
    access = "score"

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.w = rng.normal(size=3)
        self.shop = dict(zip("abc", rng.normal(size=3) * 2, strict=True))
        self.claims = dict(zip(("none", "1", "many"), rng.normal(size=3) * 2, strict=True))
        self.queries = 0

    def scores(self, rows: Any) -> Any:
        self.queries += rows.num_rows
        columns = rows.to_pydict()
        numbers = np.column_stack([columns["amount"], columns["hour"], columns["age"]]).astype(float)
        words = [self.shop[s] + self.claims[c] for s, c in zip(columns["shop"], columns["claims"], strict=True)]
        return (numbers - [5, 3, 40]) @ (self.w * [1, 1, 0.05]) + np.array(words)

    def flagged(self, rows: Any) -> Any:
        return self.scores(rows) >= self.threshold

    def close(self) -> None:
        return


def table(seed: int, n: int = 400) -> Any:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "amount": rng.integers(0, 11, n),
            "hour": rng.integers(0, 4, n) * 2,
            "shop": rng.choice(list("abc"), n),
            "claims": rng.choice(["none", "1", "many"], n),
            "age": rng.integers(20, 60, n),
        }
    )


def brute(model: Linear, space: Space, row: int) -> float:
    """The cheapest evasion by trying everything."""
    options = [[KEEP, *np.flatnonzero(np.isfinite(a.cost[row])).tolist()] for a in space.axes]
    choices = np.array(list(itertools.product(*options)), dtype=np.int16)
    ids = np.full(len(choices), row)
    built = space.build(ids, choices)
    cost = np.where(~model.flagged(built) & space.valid(built), space.cost(ids, choices), np.inf)
    return float(cost.min())


def held(model: Any, space: Space, found: Evaded) -> Evaded:
    """What a search found, its successes asked of the model again. Raises CouldNotLook where one does not hold."""
    table = space.build(np.arange(space.size), found.choice)
    confirmed(model, space, Attacked(found.cost, np.zeros(space.size), found.queries, table), "cost")
    return found


def spaces(seed: int, constraints: tuple[str, ...] = ()) -> tuple[Linear, Space, Any]:
    model, rows = Linear(seed), table(seed)
    flagged = model.flagged(rows)
    contract = Contract(features=FEATURES, constraints=constraints)
    chosen = rows.filter(pa.array(flagged)).slice(0, 25)
    return model, Space(chosen, contract, rows, KINDS, model.features), rows.filter(pa.array(~flagged))


class Flags:
    """A model that flags what a rule on the columns (a dict of arrays) says; it gives scores 0.9 and 0.1."""

    classes = (0, 1)
    threshold = 0.5
    access = "label"

    def __init__(self, features: tuple[str, ...], rule: Any) -> None:
        self.features, self.rule, self.queries = features, rule, 0

    def scores(self, rows: Any) -> Any:
        self.queries += rows.num_rows
        columns = {n: np.array(rows.column(n).to_pylist()) for n in self.features}
        return np.where(self.rule(columns), 0.9, 0.1)

    def flagged(self, rows: Any) -> Any:
        return self.scores(rows) >= self.threshold

    def close(self) -> None:
        return


def _column(rng: Any, kind: int, n: int) -> tuple[Any, dict[str, Any], str]:
    """(values, what the contract says of them, kind): a number, integers, steps, categories or an order."""
    levels = tuple("abcdefg"[: int(rng.integers(2, 7))])
    if kind == 0:
        return rng.normal(size=n), {}, "number"
    if kind == 1:
        return rng.integers(0, int(rng.choice([3, 12, 500])), n), {"integer": True}, "integer"
    if kind == 2:
        return rng.integers(0, 9, n) * 2, {"min": 0, "max": 16, "step": 2}, "integer"
    return rng.choice(levels, n), {"categories" if kind == 3 else "order": levels}, "category"


def mixed(seed: int) -> tuple[Flags, Space, Any]:
    """2 to 16 features of every kind, with directions, prices and in six of ten spaces a relation, drawn at random."""
    rng, n = np.random.default_rng([seed, 77]), 400
    columns, features, kinds = {}, {}, {}
    for name in (f"f{i}" for i in range(int(rng.integers(2, 17)))):
        columns[name], facts, kinds[name] = _column(rng, int(rng.integers(5)), n)
        way = "both" if "categories" in facts else str(rng.choice(["both", "both", "up", "down"]))
        features[name] = Feature(**facts, direction=way, cost=float(rng.choice([0.5, 1, 1, 2])))
    names, numbers = tuple(columns), [name for name, kind in kinds.items() if kind != "category"]
    relations: tuple[str, ...] = ()
    if len(numbers) > 1 and rng.random() < 0.6:
        a, b = rng.choice(numbers, 2, replace=False)
        middle = [float(np.median(columns[x])) for x in (a, b)]
        room = sum(middle) + float(np.std(columns[a]) + np.std(columns[b]))
        relations = (str(rng.choice([f"{a} <= {middle[0]} or {b} >= {middle[1]}", f"{a} + {b} <= {room}"])),)
    weight = {
        x: {v: rng.normal() * 2 for v in sorted(set(columns[x].tolist()))}
        if kinds[x] == "category"
        else rng.normal() / (np.std(columns[x]) or 1)
        for x in names
    }

    def total(c: dict[str, Any]) -> Any:
        words = [[weight[x][v] for v in c[x]] if kinds[x] == "category" else weight[x] * c[x] for x in names]
        return np.sum(words, axis=0)

    cut = np.quantile(total(columns), 0.7)
    model = Flags(names, lambda c: total(c) > cut)
    rows = pa.table(columns)
    rows = rows.filter(pa.array(satisfied(map(Constraint, relations), rows)))
    flagged = model.flagged(rows)
    contract = Contract(features=features, constraints=relations)
    space = Space(rows.filter(pa.array(flagged)).slice(0, 24), contract, rows, kinds, names)
    return model, space, rows.filter(pa.array(~flagged))
