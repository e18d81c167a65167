"""Data, models and comparisons that the tests of ensembles share."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from assay.adapters import sandbox_estimator, sandbox_trees
from assay.adapters.ensembles.trees import Trees, require_parity
from assay.adapters.sandbox import Isolation, ModelFacts, NotHeld, _as_stream
from assay.adapters.sandbox_strides import Refused
from assay.core.errors import CouldNotLook

ROWS = 240


@functools.cache
def frame() -> Any:
    """Numbers of several sizes, some missing in `m`, texts and codes, and a 0/1 label that needs them all."""
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"a": rng.normal(size=ROWS), "b": rng.normal(size=ROWS) * 1000, "m": rng.normal(size=ROWS)})
    df["t"] = rng.choice(["x", "y", "z"], ROWS)
    df["k"] = rng.choice([1, 2, 5], ROWS)
    df["y"] = ((df.a + df.b / 1000 + df.m + 2 * (df.t == "x") - 2 * (df.k == 5)) > 0).astype(int)
    df.loc[rng.random(ROWS) < 0.2, "m"] = np.nan
    return df


def full() -> Any:
    return frame().fillna(0.25)


class Here:
    """The sandbox's child, called in this process: the same functions, without the walls."""

    isolation = Isolation(landlock_abi=0, seccomp=False, rlimits=False, namespaces=(), proofs={}, full=False)

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, _: Any = None) -> ModelFacts:
        number = os.open(self.path, os.O_RDONLY)
        try:
            self.model, meta = sandbox_estimator.load(number, [])
        finally:
            os.close(number)
        return msgspec.convert(meta, ModelFacts)

    def scores(self, rows: Any, method: str, positive: int, number: int) -> Any:
        ask = {"method": method, "positive": positive, "trained": number}
        return np.frombuffer(sandbox_estimator.score(self.model, bytes(_as_stream(rows, ask))), "<f8")

    def stream(self, tag: bytes, payload: bytes, _most: int, _doing: str) -> Iterator[bytes]:
        assert tag == b"N"
        try:
            yield from sandbox_trees.nodes(self.model, json.loads(payload))
        except Refused as error:
            raise NotHeld("m", str(error), error.fix) from None

    def derived(self, rows: Any, width: int, number: int = 0) -> Any:
        try:
            reply = sandbox_trees.derived(self.model, bytes(_as_stream(rows, {"trained": number})))
        except Refused as error:
            raise NotHeld("m", str(error), error.fix) from None
        except ValueError as error:
            raise CouldNotLook(f"m: {error}") from None
        return np.frombuffer(reply, "<f8").reshape(rows.num_rows, width)


def as_table(rows: Any) -> Any:
    return pa.Table.from_pandas(rows, preserve_index=False)


def beside(trees: Trees, table: Any, most: int = 40) -> Any:
    """Rows with a value exactly at a threshold, one float64 and one float32 on either side of it."""
    rng = np.random.default_rng(1)
    parts = [table]
    for j, name in enumerate(trees.columns):
        borders = np.unique(trees.threshold[(trees.feature == j) & (trees.set_of < 0)])
        borders = rng.permutation(borders[np.abs(borders) < 1e30])[:most]
        if not len(borders) or not pa.types.is_floating(table.schema.field(name).type):
            continue
        short = borders.astype(np.float32)
        values = [borders, *(np.nextafter(borders, end) for end in (np.inf, -np.inf)), short.astype(float)]
        values += [np.nextafter(short, np.float32(end)).astype(float) for end in (np.inf, -np.inf)]
        drawn = table.take(pa.array(rng.integers(0, table.num_rows, sum(map(len, values)))))
        place = table.column_names.index(name)
        parts.append(drawn.set_column(place, name, pa.array(np.concatenate(values))))
    return pa.concat_tables(parts)


def agrees(model: Any, table: Any) -> Trees:
    """The trees of a model, which answer as it over the rows and at every border."""
    trees: Trees = model.trees()
    near = beside(trees, table)
    assert require_parity(trees, model, table) < 1e-5
    assert require_parity(trees, model, near) < 1e-5
    assert near.num_rows > table.num_rows or not (trees.feature >= 0).any() or trees.levels
    return trees


CLASSIFIERS = {
    "forest": lambda: RandomForestClassifier(6, random_state=0),
    "extra": lambda: ExtraTreesClassifier(6, random_state=0),
    "tree": lambda: DecisionTreeClassifier(random_state=0),
    "extra-tree": lambda: ExtraTreeClassifier(random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=8, random_state=0),
    "exponential": lambda: GradientBoostingClassifier(n_estimators=8, loss="exponential", init="zero"),
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=8),
    "lightgbm": lambda: lgb.LGBMClassifier(n_estimators=8, verbose=-1, n_jobs=1),
}
