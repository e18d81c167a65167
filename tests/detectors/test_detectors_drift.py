"""Drift between profiles: every kind of change is flagged, its size told, and nothing else rings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

from assay.adapters.profiles import count, reference_profile  # noqa: E402
from assay.adapters.relation import relation_of  # noqa: E402
from assay.core.drift import Drift  # noqa: E402
from assay.detectors.drift import drift  # noqa: E402


def compared(before: dict[str, Any], now: dict[str, Any], **options: Any) -> Drift:
    with relation_of(pa.table(before), "before") as relation:
        reference = reference_profile(relation)
    with relation_of(pa.table(now), "now") as relation:
        return drift(reference, count(relation, reference), **options)


def columns(n: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "normal": rng.normal(size=n), "skewed": rng.lognormal(size=n), "counts": rng.poisson(3, n),
        "words": rng.choice(list("abcdef"), n, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01]),
        "tail": [f"w{v}" for v in rng.zipf(1.6, n).clip(max=150)], "ids": [f"{v}" for v in rng.integers(0, 10**9, n)],
    }  # fmt: skip


CHANGES = {
    "moved": ("normal", lambda v, rng: v + 0.3),
    "wider": ("normal", lambda v, rng: v * 1.4),
    "scaled": ("skewed", lambda v, rng: v * 1.5),
    "other values": ("words", lambda v, rng: np.where(v == "a", "b", v)),
    "new values": ("words", lambda v, rng: np.where(rng.random(len(v)) < 0.1, "new", v)),
    "missing": ("normal", lambda v, rng: pa.array(v, mask=rng.random(len(v)) < 0.1)),
    "one value": ("counts", lambda v, rng: np.where(rng.random(len(v)) < 0.15, 3, v)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_flagged_in_its_column_alone(change: str) -> None:
    name, changed = CHANGES[change]
    now = columns(3000, 2)
    now[name] = changed(now[name], np.random.default_rng(3))
    found = compared(columns(5000, 1), now)
    assert [c.name for c in found.flagged] == [name]
    (column,) = found.flagged
    assert column.low <= column.effect <= column.high
    assert column.effect > 0.005
    assert column.reason


@pytest.mark.parametrize(
    ("n", "seeds", "most"), [(60, 30, 5), *(pytest.param(n, 60, 8, marks=pytest.mark.heavy) for n in (60, 300, 2000))]
)
def test_nothing_rings_where_nothing_changed(n: int, seeds: int, most: int) -> None:
    """1 in 20 is expected at a family-wise level of .05; more than `most` come by chance once in 250 or less."""
    rings = sum(bool(compared(columns(1500, 2 * seed), columns(n, 2 * seed + 1)).flagged) for seed in range(seeds))
    assert rings <= most


def test_what_is_seen_needs_no_test() -> None:
    found = compared({"a": [1.0, 2.0] * 50, "b": [1, 2] * 50}, {"a": ["x", "y"] * 50, "c": [1] * 100})
    assert {c.name: c.seen for c in found.columns} == {"a": "changed", "b": "missing", "c": "added"}
    assert {c.name for c in found.flagged} == {"a", "b"}


def test_a_sure_but_tiny_difference_is_no_finding_below_the_least_effect() -> None:
    rng = np.random.default_rng(0)
    before, now = {"x": rng.normal(size=200_000)}, {"x": rng.normal(0.03, 1, 200_000)}
    assert not compared(before, now, least_effect=0.01).flagged
    assert compared(before, now, least_effect=0.0).flagged


def test_rare_new_values_are_not_named() -> None:
    found = compared({"w": ["a", "b"] * 500}, {"w": ["a"] * 500 + ["Jane Doe"] + ["mass"] * 100})
    (column,) = found.columns
    assert column.new == {"mass": 100}


def test_the_same_question_has_the_same_answer() -> None:
    assert compared(columns(500, 1), columns(400, 2), seed=4) == compared(columns(500, 1), columns(400, 2), seed=4)


@pytest.mark.parametrize(
    ("was", "now"),
    [([1.5], [999999.0]), ([0, 1], [0, 100]), ([0, 1], [-50, 1]), ([1], [0]), ([1, 2], [1, 9]), ([True], [False])],
)
def test_values_beyond_the_few_that_a_column_had_are_drift(was: list[float], now: list[float]) -> None:
    def rows(values: list[float]) -> dict[str, Any]:
        return {"x": [values[i % len(values)] for i in range(1000)]}

    assert [c.name for c in compared(rows(was), rows(now)).flagged] == ["x"]
    assert compared(rows(was), rows(was)).flagged == ()
