"""XGBoost and CatBoost models in their own formats, good, bad and torn."""

from __future__ import annotations

import json
import struct

import pytest
from models_bytes import XGBOOST, reading, ubj

from assay.formats.models import boosters, catboost
from assay.formats.reading import Reading

JSON = json.dumps(XGBOOST, separators=(",", ":")).encode()
UBJ = ubj(XGBOOST)


@pytest.mark.parametrize(("data", "encoding"), [(JSON, "json"), (UBJ, "ubjson")])
def test_an_xgboost_model_is_measured_alike_in_both_formats(data: bytes, encoding: str) -> None:
    assert boosters.looks_like(data, "m")
    found = reading(boosters.read, data)
    assert (found.notes, found.gaps) == ((), ())
    expected = {
        "encoding": encoding,
        "version": "3.2.0",
        "booster": "gbtree",
        "objective": "binary:logistic",
        "trees": 0,
    }
    assert found.measured == {
        "format": "xgboost",
        **expected,
        "inputs": ["a", "b"],
        "metadata": {"num_feature": "2"},
    }


@pytest.mark.parametrize(
    "data",
    [
        JSON[:-1],
        JSON[:40],
        UBJ[:-1],
        UBJ[:40],
        UBJ + b"more",
        JSON + b"more",
        b'{"learner":{"gradient_booster":{}}}',
        b'{"learner":' + b"[" * 100_000,
        b"{L" + bytes(7) + b"\x07learner" + b"{L" + bytes(7) + b"\x01a" * 50,
        UBJ.replace(b"[#L" + bytes(7) + b"\x02", b"[#L" + b"\x80" + bytes(7)),
        UBJ.replace(b"[#L" + bytes(7) + b"\x02", b"[#L" + b"\x7f" + bytes(7)),
        b"binf" + bytes(200),
        b"bs64\tYmluZg==",
    ],
)
def test_a_damaged_or_old_xgboost_model_is_a_gap(data: bytes) -> None:
    assert reading(boosters.read, data).gaps


def test_typed_lists_of_numbers_are_passed_over() -> None:
    numbers = bytes(400_000)
    model = XGBOOST | {"learner": XGBOOST["learner"] | {"numbers": numbers}}  # type: ignore[operator]
    found = reading(boosters.read, ubj(model), max_opcodes=200, max_bytes=200_000)
    assert (found.notes, found.gaps) == ((), ())


def test_what_looks_like_a_booster() -> None:
    assert boosters.looks_like_lightgbm(b"tree\nversion=v4\nnum_class=1\n")
    for other in (b'{"a": 1}', b'{"version": [1], "x": 2}', b"tree\nis a plant", b"\x80\x04K\x01.", b"{L", bytes(20)):
        assert not boosters.looks_like(other, "m")
        assert not boosters.looks_like_lightgbm(other)
        assert not catboost.looks_like(other, "m")


def _core(parts: tuple[str, ...] = ()) -> bytes:
    flatbuffers = pytest.importorskip("flatbuffers")
    b = flatbuffers.Builder(64)
    names = [b.CreateString(part) for part in parts]
    b.StartVector(4, len(names), 4)
    for name in reversed(names):
        b.PrependUOffsetTRelative(name)
    listed = b.EndVector()
    key, value, version = b.CreateString("params"), b.CreateString("{}"), b.CreateString("FlabuffersModel_v1")
    b.StartObject(2)
    b.PrependUOffsetTRelativeSlot(0, key, 0)
    b.PrependUOffsetTRelativeSlot(1, value, 0)
    entry = b.EndObject()
    b.StartVector(4, 1, 4)
    b.PrependUOffsetTRelative(entry)
    entries = b.EndVector()
    b.StartVector(8, 4, 8)
    for leaf in (1.0, 2.0, 3.0, 4.0):
        b.PrependFloat64(leaf)
    leaves = b.EndVector()
    b.StartVector(4, 2, 4)
    b.PrependInt32(1)
    b.PrependInt32(1)
    sizes = b.EndVector()
    b.StartObject(14)
    b.PrependInt32Slot(0, 1, 0)
    b.PrependUOffsetTRelativeSlot(2, sizes, 0)
    b.PrependUOffsetTRelativeSlot(8, leaves, 0)
    trees = b.EndObject()
    b.StartObject(4)
    b.PrependUOffsetTRelativeSlot(0, version, 0)
    b.PrependUOffsetTRelativeSlot(1, trees, 0)
    b.PrependUOffsetTRelativeSlot(2, entries, 0)
    b.PrependUOffsetTRelativeSlot(3, listed, 0)
    b.Finish(b.EndObject())
    core = bytes(b.Output())
    return b"CBM1" + struct.pack("<I", len(core)) + core


def _catboost(data: bytes) -> Reading:
    return reading(catboost.read, data)


def test_a_catboost_model_is_measured() -> None:
    data = _core()
    assert catboost.looks_like(data, "m")
    found = _catboost(data)
    assert (found.notes, found.gaps) == ((), ())
    assert (found.measured["trees"], found.measured["parameters"]) == (2, 4)
    assert found.measured["metadata"] == {"params": "{}"}
    tables = struct.pack("<I", 2) + 2 * (struct.pack("<I", 5) + bytes(5))
    assert _catboost(_core(("static_provider_v1",)) + tables).gaps == ()
    assert _catboost(_core(("text_process_v2",)) + b"dictionary").gaps == ()


def test_a_damaged_catboost_model_is_a_gap() -> None:
    data = _core()
    tables = struct.pack("<I", 2) + 2 * (struct.pack("<I", 5) + bytes(5))
    for bad in (
        data[:-4],
        data + b"more",
        data[:8] + bytes(len(data) - 8),
        _core(("static_provider_v1",)) + tables[:-1],
        _core(("static_provider_v1",)) + tables + b"more",
        _core(("unheard_of",)) + b"x",
        b'{"features_info":{}',
        b'{"features_info":{}}',
    ):
        assert _catboost(bad).gaps


def test_a_catboost_model_in_json_is_measured() -> None:
    data = b'{"features_info": {"float_features": [{}, {}]}, "oblivious_trees": [{}, {}, {}], "model_info": {"k": "v"}}'
    assert catboost.looks_like(data, "m.json")
    found = _catboost(data)
    assert found.gaps == ()
    assert (found.measured["trees"], found.measured["features"], found.measured["metadata"]) == (3, 2, {"k": "v"})
