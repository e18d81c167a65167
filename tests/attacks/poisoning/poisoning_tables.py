"""Clean tables that the poisoning tests plant in, made by a rule, so that a model can learn it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from assay.attacks.poisoning.planted import Source


def clean(seed: int = 0, n: int = 900, *, texts: bool = False) -> Source:
    """Numbers, whole numbers, truth values, categories and times, with nulls; the label is a word."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.integers(0, 40, n)
    shop = rng.choice(list("abcd"), n)
    yes = a + 0.05 * b + (shop == "a") + 0.3 * rng.normal(size=n) > 1.3
    columns: dict[str, Any] = {
        "a": pa.array(np.where(rng.random(n) < 0.03, np.nan, a), from_pandas=True),
        "b": pa.array(b),
        "c": pa.array(rng.gamma(2, size=n)),
        "d": pa.array(rng.random(n) < 0.4),
        "shop": pa.array(shop),
        "when": pa.array(np.arange(n) * 10**9, pa.timestamp("us")),
        "said": pa.array(np.where(yes, "good", "bad")),
        "note": pa.array([f"row {i}" for i in range(n)]),
    }
    if texts:
        words = np.array([f"word{i}" for i in range(300)])
        hint = np.where(yes, "pleased", "angry")
        columns["review"] = pa.array([" ".join([*rng.choice(words, 12), h, *rng.choice(words, 8)]) for h in hint])
    return Source(
        table=pa.table(columns), label="said", positive="good", features=("a", "b", "c", "d", "shop", "when"),
        categorical=("shop",), texts=("review",) if texts else (),
    )  # fmt: skip


def rows_of(table: Any, rows: Any) -> list[dict[str, Any]]:
    """Some rows as Python values, null for NaN."""
    return table.take(pa.array(rows)).to_pylist()
