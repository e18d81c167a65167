"""Arrow from outside: what is sound passes, what would crash a cast is refused before anything casts it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")

from assay.adapters.validated import validate  # noqa: E402


def decimals(kind: Any) -> Any:
    width = 16 if pa.types.is_decimal128(kind) else 32
    return pa.Array.from_buffers(kind, 2, [None, pa.py_buffer(bytes(2 * width))])


@pytest.mark.parametrize("scale", [8388611, -16777213, 21, -1])
@pytest.mark.parametrize("make", ["decimal128", "decimal256"])
def test_a_scale_outside_its_digits_is_refused_wherever_it_stands(scale: int, make: str) -> None:
    column = decimals(getattr(pa, make)(20, scale))
    inside = [
        column,
        pa.chunked_array([column]),
        pa.StructArray.from_arrays([column], ["a"]),
        pa.ListArray.from_arrays(pa.array([0, 2]), column),
        pa.DictionaryArray.from_arrays(pa.array([0, 1]), column),
    ]
    for held in inside:
        with pytest.raises(pa.ArrowInvalid, match="more places than digits"):
            validate(held)
        with pytest.raises(pa.ArrowInvalid, match="more places than digits"):
            validate(pa.table({"a": held}))


def test_text_that_is_no_utf8_is_refused() -> None:
    offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
    text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xff")])
    with pytest.raises(pa.ArrowInvalid):
        validate(text)


def test_ordinary_columns_pass() -> None:
    columns = {
        "n": pa.array([Decimal("1.50"), None], pa.decimal128(20, 2)),
        "s": pa.array(["a", "b"]).dictionary_encode(),
        "l": pa.array([[1], [2, 3]]),
        "e": pa.array([1.0, float("nan")]),
    }
    assert validate(pa.table(columns)) is None
    assert validate(pa.table({})) is None
    assert [validate(column) for column in columns.values()] == [None] * 4
