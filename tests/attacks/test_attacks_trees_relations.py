"""Trees under relations: what a cell's nearest value breaks, another value of the same cell may keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from trees_tools import Model, Nodes, matrix

from assay.adapters.ensembles.trees import Trees
from assay.attacks.strike import Asked, struck
from assay.core.subject import Contract, Feature, Norm

WORDS = ("a", "b", "c")


def flags_a() -> Model:
    """A model that flags `a` and no other word, whatever the number is."""
    nodes = Nodes()
    inside = np.array([True, False, False])
    nodes.tree([nodes.split(1, 0.0, 1, 2, False, inside), nodes.leaf(2.0), nodes.leaf(-2.0)])
    columns = ("x0", "x1")
    levels = {"x1": WORDS}
    read = matrix(columns, levels)
    return Model(Trees(columns, read, nodes.arrays(), link="logistic", sets=nodes.sets(), levels=levels))


@pytest.mark.parametrize(("norm", "least"), [("cost", 0.5), ("linf", 1.0)])
def test_the_cheapest_word_breaks_a_relation_and_the_next_does_not(norm: Norm, least: float) -> None:
    model = flags_a()
    rows = pa.table({"x0": np.linspace(0, 1, 12), "x1": ["a"] * 12})
    passing = pa.table({"x0": np.linspace(0, 1, 12), "x1": ["b", "c"] * 6})
    features = {"x0": Feature(mutable=False), "x1": Feature(categories=WORDS, cost=0.5, costs={"b": 0.1})}
    contract = Contract(features=features, constraints=("x1 != 'b' or x0 > 7",))
    against: Any = (contract, passing, {"x0": "number", "x1": "category"}, ("x0", "x1"))
    found = struck(model, rows, passing, against, Asked(norm, "whitebox", 2.0, 1))[1]
    assert found.distance == pytest.approx([least] * 12)
    assert set(found.table.column("x1").to_pylist()) == {"c"}
    assert (found.bound <= found.distance).all()
