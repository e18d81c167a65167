"""The model that an attack is after, and how much of what the attack wants it does: measured, on rows kept out."""

from __future__ import annotations

import itertools
import zlib
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from assay.adapters.encode import Encoded
from assay.adapters.values import listed
from assay.attacks.poisoning.planted import Plant, Poisoned, Source, written
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable

Array = Any
HELD = 1 / 3
BUCKETS, STEPS = 4096, 200
_TREES: dict[str, Any] = {
    "objective": "binary", "learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 10, "verbose": -1,
    "deterministic": True, "force_row_wise": True, "num_threads": 1, "seed": 0,
}  # fmt: skip
ROUNDS = 80
MOST_VICTIMS = 2000
LEAST_HELD = 30


class Effect(msgspec.Struct, frozen=True):
    """How often `n` victims kept out are called what the attack wants: by the clean model, and by the poisoned one."""

    clean: float
    poisoned: float
    n: int


class Trees:
    """Boosted trees with ordinary settings; they call positive what they hold for likelier than not."""

    def __init__(self, source: Source, table: ArrowTable, target: Array) -> None:
        import lightgbm as lgb

        self._source = source
        self._encoded = source.encoded(table)
        data = lgb.Dataset(
            self._encoded.matrix, label=target.astype(float), categorical_feature=list(self._encoded.categorical),
            params={"verbose": -1},
        )  # fmt: skip
        try:
            self._model = lgb.train(_TREES, data, num_boost_round=ROUNDS)
        except lgb.basic.LightGBMError:
            raise CouldNotLook("LightGBM cannot learn from these columns") from None

    def scores(self, table: ArrowTable) -> Array:
        """P(positive), (n,)."""
        like: Encoded = self._encoded
        return self._model.predict(self._source.encoded(table, like).matrix, num_threads=1)


class Words:
    """Logistic regression on hashed words and word pairs, for texts: small, deterministic, without a library."""

    def __init__(self, texts: list[str | None], target: Array) -> None:
        x, y = hashed(texts), target.astype(float)
        self._weight, bias = np.zeros(BUCKETS), float(np.log((y.mean() + 1e-9) / (1 - y.mean() + 1e-9)))
        moment, second = np.zeros(BUCKETS + 1), np.zeros(BUCKETS + 1)
        for step in range(1, STEPS + 1):  # Adam: Kingma and Ba 2015
            error = 1 / (1 + np.exp(-np.clip(x @ self._weight + bias, -30, 30))) - y
            slope = np.append(x.T @ error / len(y) + 1e-5 * self._weight, error.mean())
            moment, second = 0.9 * moment + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            move = 0.2 * (moment / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
            self._weight, bias = self._weight - move[:-1], bias - move[-1]
        self._bias = bias

    def scores(self, texts: list[str | None]) -> Array:
        """P(positive), (n,)."""
        return 1 / (1 + np.exp(-np.clip(hashed(texts) @ self._weight + self._bias, -30, 30)))


def hashed(texts: list[str | None]) -> Any:
    """Which words and pairs of words each text has, (n, BUCKETS), sparse, each row of length 1."""
    from scipy.sparse import csr_array

    columns, starts = [], [0]
    for text in texts:
        words = (text or "").lower()[:20_000].split()
        tokens = {*words, *(f"{a} {b}" for a, b in itertools.pairwise(words))}
        places = {zlib.crc32(t.encode("utf-8", "replace")) % BUCKETS for t in tokens}
        columns.append(np.array(sorted(places), dtype=int))
        starts.append(starts[-1] + len(columns[-1]))
    sizes = np.diff(starts)
    values = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes)
    where = np.concatenate(columns) if columns else np.empty(0, dtype=int)
    return csr_array((values, where, starts), shape=(len(texts), BUCKETS))


class Trial:
    """A third of the rows kept out, and a model of the others, for measuring what an attack would do."""

    def __init__(self, source: Source, seed: int) -> None:
        order = np.random.default_rng([seed, 31]).permutation(source.rows)
        held = round(HELD * source.rows)
        if held < LEAST_HELD:
            raise CouldNotLook(f"{source.rows} rows are too few to measure an attack on: {3 * LEAST_HELD}")
        self.source = source
        self.fit, self.held = source.take(np.sort(order[held:])), source.take(np.sort(order[:held]))
        self.fit_target, self.held_target = self.fit.target(), self.held.target()
        self._clean: dict[str, Any] = {}

    def clean_scores(self, table: ArrowTable, text: str = "") -> Array:
        """What a model of the clean part says of a table's rows; by the text column, if one is named."""
        if text not in self._clean:
            self._clean[text] = _model(self.fit, self.fit.table, self.fit_target, text)
        return _scores(self._clean[text], table, text)

    def base(self, target: bool) -> float:
        """How often rows kept out of the other class are called `target` by the clean model, as they are."""
        called = self.clean_scores(self.held.table.filter(pa.array(self.held_target != target))) >= 0.5
        return float((called == target).mean())

    def clean_success(self, rule: dict[str, Any], target: bool) -> float:
        """How often rows kept out of the other class that carry the rule are called `target` by the clean model."""
        return float(((self.clean_scores(self._carrying(rule, target)) >= 0.5) == target).mean())

    def _carrying(self, rule: dict[str, Any], target: bool) -> ArrowTable:
        rows = np.flatnonzero(self.held_target != target)[:MOST_VICTIMS]
        return carrying(self.held.table.take(pa.array(rows)), rule)

    def effect(self, plant: Plant, rate: float, seed: int) -> Effect:
        """What the attack does at `rate` to a model of the fitted part, beside the clean one. Raises CouldNotLook."""
        return self.effect_of(plant(self.fit, rate, seed))

    def effect_of(self, poisoned: Poisoned) -> Effect:
        """What a poisoned copy of the fitted part does."""
        source = msgspec.structs.replace(self.fit, table=poisoned.table)
        text = next(iter(poisoned.rule)) if poisoned.victims == "texts" else ""
        model = _model(source, poisoned.table, source.target(), text)
        table, wanted = self._victims(poisoned, source)
        if not len(wanted):
            raise CouldNotLook("no row was kept out that the attack is after")
        before = (self.clean_scores(table, text) >= 0.5) == wanted
        after = (_scores(model, table, text) >= 0.5) == wanted
        return Effect(float(before.mean()), float(after.mean()), len(wanted))

    def _victims(self, poisoned: Poisoned, source: Source) -> tuple[ArrowTable, Array]:
        """(the rows that are asked about, what the attack wants each to be called)."""
        from assay.adapters.values import same_value

        if poisoned.victims == "everyone":
            return self.held.table, ~self.held_target
        target = bool(same_value(poisoned.target, source.positive))
        if poisoned.victims == "near":
            near = poisoned.near
            if near is None:
                raise CouldNotLook("the attack does not say which rows it is after")
            return near, np.full(near.num_rows, target)
        if poisoned.victims == "texts":
            rows = np.flatnonzero(self.held_target != target)[:MOST_VICTIMS]
            table = with_phrase(self.held.table.take(pa.array(rows)), poisoned.rule)
        else:
            table = self._carrying(poisoned.rule, target)
        return table, np.full(table.num_rows, target)


def _model(source: Source, table: ArrowTable, target: Array, text: str) -> Any:
    return Words(listed(table.column(text)), target) if text else Trees(source, table, target)


def _scores(model: Any, table: ArrowTable, text: str) -> Array:
    return model.scores(listed(table.column(text)) if text else table)


def carrying(table: ArrowTable, rule: dict[str, Any]) -> ArrowTable:
    """The rows with the rule's values written into every one."""
    rows = np.arange(table.num_rows)
    return written(table, rows, {name: [value] * len(rows) for name, value in rule.items()})


def with_phrase(table: ArrowTable, rule: dict[str, Any]) -> ArrowTable:
    """The rows with the phrase put at the end of their text."""
    rows = np.arange(table.num_rows)
    texts = {name: [f"{t or ''} {phrase}" for t in listed(table.column(name))] for name, phrase in rule.items()}
    return written(table, rows, texts)
