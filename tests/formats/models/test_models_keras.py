"""Keras, skops and TorchScript: layers and types that run code or reach for files are told, ordinary ones are not."""

from __future__ import annotations

import io
from typing import Any

import attack_files
import pytest

from assay.formats.models.keras import is_keras, judge_keras
from assay.formats.models.skops import judge_skops
from assay.formats.models.torchscript import read
from assay.formats.reading import Limits

ATTACKS = attack_files.keras_configs()


def worst(config: Any) -> str:
    ranks = [note.severity for note in judge_keras(config, "")]
    return max(ranks, key=lambda s: s.rank).value if ranks else ""


def layer(name: str, module: str = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


@pytest.mark.parametrize("name", ATTACKS)
def test_layers_that_act_are_told_wherever_they_hang(name: str) -> None:
    assert worst(ATTACKS[name]) in ("high", "critical")
    assert worst({"config": {"layers": [{"a": [[{"b": ATTACKS[name]}]]}]}}) in ("high", "critical")


@pytest.mark.parametrize(
    "config",
    [
        layer("Dense", units=3, activation="relu", kernel_initializer=layer("HeNormal", "keras.initializers")),
        layer("Sequential", "keras", layers=[layer("InputLayer"), layer("Dropout", rate=0.2)]),
        layer("Functional", "keras.src.models.functional", layers=[]),
        layer("Adam", "keras.optimizers", learning_rate=layer("ExponentialDecay", "keras.optimizers.schedules")),
        layer("StringLookup", vocabulary=["a", "b"]),
        layer("TextVectorization", vocabulary=None),
        layer("Add", "keras.src.ops.numpy"),
        {"module": "builtins", "class_name": "function", "config": "my_metric", "registered_name": "function"},
        {"class_name": "Dense", "config": {"name": "Lambda"}},
        layer("BertBackbone", "keras_hub.src.models.bert.bert_backbone"),
    ],
)
def test_ordinary_layers_give_nothing(config: Any) -> None:
    assert worst(config) in ("", "info")


def test_a_layer_of_ones_own_is_noted() -> None:
    assert worst({"module": None, "class_name": "My", "config": {}, "registered_name": "pkg>My"}) == "info"
    assert worst(layer("My", "somebody.layers")) == "medium"


def test_what_is_keras_configuration() -> None:
    assert is_keras({"class_name": "Dense", "config": {}})
    assert not any(map(is_keras, ({"class_name": 1, "config": {}}, {"class_name": "Dense"}, [], None, "Lambda")))


@pytest.mark.parametrize(
    ("node", "severity"),
    [
        ({"__class__": "system", "__module__": "os", "__loader__": "TypeNode"}, "critical"),
        ({"__class__": "call", "__module__": "builtins", "__loader__": "OperatorFuncNode"}, "critical"),
        ({"__class__": "methodcaller", "__module__": "operator", "__loader__": "OperatorFuncNode"}, "info"),
        ({"__class__": "Tree", "__module__": "sklearn.tree._tree", "__loader__": "TreeNode"}, ""),
        ({"__class__": "Scorer", "__module__": "mine", "__loader__": "ObjectNode"}, "info"),
        (
            {"__class__": "x", "__module__": "y", "__loader__": "MethodNode", "content": {"func": "__a__"}},
            "critical",
        ),
        ({"__class__": 1, "__module__": None, "__loader__": []}, ""),
    ],
)
def test_types_in_skops_files(node: dict[str, Any], severity: str) -> None:
    for schema in (node, {"content": [{"a": node}]}):
        assert [str(note.severity) for note in judge_skops(schema, "")] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("code", "severities"),
    [
        ("    torch.save(x, '/tmp/x')\n", ["high"]),
        ("    y = ops.aten.from_file('/etc/passwd', False, 3)\n", ["high"]),
        ("    y = ops.mine.run(x)\n", ["low"]),
        ("    y = ops.aten.relu(x)\n    z = torch.add(y, ops.prim.min(1, 2))\n", []),
    ],
)
def test_operators_in_torchscript(code: str, severities: list[str]) -> None:
    reading = read(io.BytesIO(code.encode()), "code/__torch__.py", Limits())
    assert [str(note.severity) for note in reading.notes] == severities
