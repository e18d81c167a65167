"""Small models, tables and spaces that the attacks' tests share, and brute force as their oracle."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa

from assay.attacks.space import KEEP, Space
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
