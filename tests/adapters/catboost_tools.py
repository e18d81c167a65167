"""Rows, small CatBoost models and comparisons that their tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd
import pyarrow as pa

from assay.adapters.ensembles.trees import Trees, require_parity

ROWS = 240
WORDS = ["a", "bb", "é long category name of more than sixteen bytes", "x" * 70, *map(str, range(12))]


def frame(words: bool = True) -> Any:
    """Numbers, some missing in `w`; texts in `c`, one of them the word `nan`; codes in `d`."""
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"x": rng.normal(size=ROWS), "w": rng.normal(size=ROWS)})
    df.loc[::9, "w"] = np.nan
    if words:
        df["c"] = rng.choice(WORDS, ROWS)
        df.loc[::11, "c"] = "nan"
        df["d"] = rng.choice([10, 20, 30], ROWS)
    return df


def label(words: bool = True) -> Any:
    df = frame()
    more = (df.c.str.len() < 2) * 1.0 + (df.d == 20) * 1.5 if words else 0.0
    return (df.x + df.w.fillna(0) + more > 0.8).astype(int).to_numpy()


def train(path: Path, words: bool = True, target: Any = None, **parameters: Any) -> Any:
    """A small model of `frame`, saved at a path whose suffix is its format."""
    settings = {
        "iterations": 12, "depth": 3, "loss_function": "Logloss", "thread_count": 1, "random_seed": 0, "verbose": 0,
        "allow_writing_files": False, "max_ctr_complexity": 1, **parameters,
    }  # fmt: skip
    model = catboost.CatBoost(settings)
    model.fit(frame(words), label(words) if target is None else target, cat_features=["c", "d"] if words else None)
    model.save_model(str(path), format=path.suffix[1:])
    return model


def of_words(path: Path, words: list[str], telling: str, **parameters: Any) -> tuple[Any, str]:
    """(what a model says of rows with one of `words` each, of which one is `telling`; the rows as CSV)."""
    rng = np.random.default_rng(1)
    df = pd.DataFrame({"x": rng.normal(size=300), "c": rng.choice(words, 300)})
    target = (df.x + 2 * (df.c == telling) > 1).astype(int)
    settings = {"iterations": 20, "loss_function": "Logloss", "thread_count": 1, "verbose": 0, **parameters}
    model = catboost.CatBoost({**settings, "allow_writing_files": False}).fit(df, target, cat_features=["c"])
    model.save_model(str(path))
    lines = [f"{a!r},{b},{y}" for a, b, y in zip(df.x.tolist(), df.c, target, strict=True)]
    return model.predict(df, prediction_type="Probability")[:, 1], "\n".join(["x,c,y", *lines, ""])


def table(words: bool = True) -> Any:
    """The same rows as a table: what was written as `nan` is missing."""
    df = frame(words)
    return pa.table({n: pa.array([None if v != v or v == "nan" else v for v in df[n].tolist()]) for n in df})


def own(model: Any, words: bool = True, kind: str = "Probability", place: int = 1) -> Any:
    """What CatBoost says of the rows."""
    found = model.predict(frame(words), prediction_type=kind)
    return found[:, place] if found.ndim == 2 else found


def beside(trees: Trees, rows: Any) -> Any:
    """Rows with values at borders, one float on either side of them, and at the ends of all numbers."""
    parts = [rows]
    for j, name in enumerate(trees.columns):
        if name in trees.levels:
            continue
        borders = np.unique(trees.threshold[(trees.feature == j) & (trees.set_of < 0)])
        short = borders.astype(np.float32)
        short = short[np.abs(short) < 1e30]  # what is missing has a border of its own, at the end of all numbers
        values = [borders, *(np.nextafter(borders, e) for e in (-np.inf, np.inf)),
                  *(np.nextafter(short, np.float32(e)) for e in (-np.inf, np.inf)),
                  np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0, -0.0])]  # fmt: skip
        found = np.concatenate(values).astype(float)
        drawn = rows.take(pa.array(np.arange(len(found)) % rows.num_rows))
        parts.append(drawn.set_column(rows.column_names.index(name), name, pa.array(found)))
    return pa.concat_tables(parts)


def odd(rows: Any) -> Any:
    """The same rows with categories that are missing, unknown to the data, or to the model, too."""
    count = rows.num_rows
    for name, values in (("c", ["a", "never", "x" * 70, None, "", "7"]), ("d", [10, 77, None, 30])):
        if name in rows.column_names:
            cells = pa.array([values[i % len(values)] for i in range(count)])
            rows = rows.set_column(rows.column_names.index(name), name, cells)
    return rows


def agrees(model: Any, rows: Any) -> Trees:
    """The trees of a model, which answer as it does."""
    trees: Trees = model.trees()
    for some in (rows, beside(trees, rows), odd(rows)):
        assert require_parity(trees, model, some) < 1e-9
    return trees
