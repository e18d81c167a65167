"""Listed values that a model refuses are no moves; those that it takes are, whoever has seen them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay.adapters.predictor_base import BasePredictor
from assay.attacks.accepted import accepted
from assay.core.errors import CouldNotLook
from assay.core.subject import Contract, Feature


class Strict(BasePredictor):
    """It knows the words of training and no other."""

    features = ("word", "count")

    def __init__(self, knows: tuple[str, ...]) -> None:
        super().__init__("m")
        self.knows = knows

    def _score(self, rows: Any) -> Any:
        if not set(rows.column("word").to_pylist()) <= set(self.knows):
            raise CouldNotLook("found unknown categories")
        return np.ones(rows.num_rows)


ROWS = pa.table({"word": ["a", "b", "a"], "count": [1, 2, 3]})


@pytest.mark.parametrize(("knows", "left"), [("ab", ("a", "b")), ("abc", ("a", "b", "c"))])
def test_what_it_refuses_is_left_out(knows: str, left: tuple[str, ...]) -> None:
    told = Feature(categories=("a", "b", "c"), costs={"c": 2.0})
    contract = Contract(features={"word": told, "count": Feature()})
    found, refused = accepted(Strict(tuple(knows)), ROWS, contract, ROWS)
    assert refused == ({} if "c" in left else {"word": 1})
    assert found.features["word"].categories == left
    assert ("c" in found.features["word"].costs) == ("c" in left)
    assert found.features["count"] == Feature()


def test_an_order_keeps_its_rest_and_what_no_row_holds_can_be_written() -> None:
    contract = Contract(features={"word": Feature(order=("a", "x", "b")), "count": Feature(categories=(1, 7))})
    found = accepted(Strict(("a", "b")), ROWS, contract, ROWS).contract.features
    assert found["word"].order == ("a", "b")
    assert found["count"].categories == (1, 7), "7 can be written though no row holds it"


def test_a_model_that_answers_nothing_refuses_no_value() -> None:
    """A served model that is away for a moment: the row as it was is refused too, and nothing is concluded."""
    contract = Contract(features={"word": Feature(categories=("a", "b", "c"))})
    with pytest.raises(CouldNotLook, match="unknown categories"):
        accepted(Strict(()), ROWS, contract, ROWS)


def test_what_was_left_out_is_a_note() -> None:
    contract = Contract(features={"word": Feature(categories=("a", "b", "c", "d"))})
    left = accepted(Strict(("a", "b")), ROWS, contract, ROWS)
    (note,) = left.findings("m.onnx")
    assert note.message.endswith("they are no moves: 2 of word")
    assert list(accepted(Strict(tuple("abcd")), ROWS, contract, ROWS).findings("m.onnx")) == []


def test_what_is_known_or_cannot_be_moved_is_not_asked() -> None:
    model = Strict(())
    features = {"word": Feature(categories=("a", "b")), "count": Feature(categories=(9,), mutable=False)}
    contract = Contract(features=features)
    assert accepted(model, ROWS, contract, ROWS) == (contract, {})
    assert model.queries == 0
    assert accepted(model, ROWS.slice(0, 0), contract, ROWS) == (contract, {})
