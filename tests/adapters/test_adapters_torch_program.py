"""Archives of torch programs: read without torch and without pickles; what is torn, hostile or another kind is refused
in one line; and the network that a program is."""

from __future__ import annotations

import io
import json
import random
import sys
import zipfile
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("onnx")

from torch_tools import graph, layers, members, meta, node, packed, tensor  # noqa: E402

from assay.adapters.torch.network import torch_network  # noqa: E402
from assay.adapters.torch.predictor import TorchPredictor  # noqa: E402
from assay.adapters.torch.program import Program, read_program  # noqa: E402
from assay.core.errors import CouldNotLook, MissingExtra  # noqa: E402
from assay.core.subject import Kind, Subject  # noqa: E402

NODES, WEIGHTS = layers()
CONFIG, MODEL = "m/data/weights/model_weights_config.json", "m/models/model.json"


def made(**changed: Any) -> dict[str, bytes]:
    return members(graph(NODES, WEIGHTS), WEIGHTS) | {name: part for name, part in changed.items() if part is not None}


def rewritten(path: tuple[Any, ...], value: Any, *, member: str = MODEL) -> bytes:
    """The archive with one place of a JSON file changed."""
    parts = made()
    told = json.loads(parts[member])
    at = told
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return packed(parts | {member: json.dumps(told).encode()})


def network(
    nodes: list[dict[str, Any]], weights: dict[str, Any], *, place: int = 1, count: int = 1, **told: Any
) -> Any:
    program = read_program(packed(members(graph(nodes, weights), weights)), "m.pt2")
    return torch_network(program, list(program.steps), weights, "m.pt2", ("a", "b", "c"), place, count=count, **told)


def rows(count: int = 50) -> Any:
    x = np.random.default_rng(1).normal(size=(count, 3)).astype(np.float32)
    return x.astype(np.float64), pa.table({name: x[:, j] for j, name in enumerate("abc")})


def test_a_sound_archive_is_read_and_its_pickle_is_not() -> None:
    program = read_program(packed(made()), "m.pt2")
    assert isinstance(program, Program)
    assert [s.target.split(".")[-2] for s in program.steps] == ["linear", "relu", "linear", "sigmoid"]
    assert (program.entry, program.output, program.width, program.batch, program.least) == ("x", "p", 3, None, 1)
    held = program.weights["w1"]
    assert held.sizes == (4, 3)
    assert np.frombuffer(program.members[held.member], "<f4").reshape(4, 3).tolist() == WEIGHTS["w1"].tolist()
    assert program.members["data/sample_inputs/model.pt"] == b""


SCRIPT = {"m/data.pkl": b"\x80\x02.", "m/code/__torch__.py": b"pass", "m/version": b"3"}
OTHERS = {
    "torchscript": (packed(SCRIPT, zipfile.ZIP_DEFLATED), "is TorchScript"),
    "module": (packed({"m/data.pkl": b"\x80\x02.", "m/version": b"3"}), "is a pickle of torch.save"),
    "legacy pickle": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P.", "is a pickle of torch.save"),
    "a zip": (packed({"a.txt": b"hello"}), "is no program of torch.export.save"),
    "empty": (b"PK\x05\x06" + b"\0" * 18, "is no program of torch.export.save"),
    "older": (packed({"m/serialized_exported_program.json": b"{}"}), "is no program of torch.export.save"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_torch_files_are_told_what_to_do(kind: str) -> None:
    content, words = OTHERS[kind]
    with pytest.raises(CouldNotLook, match=words) as refused:
        read_program(content, "m.pt")
    assert "torch.export.save(torch.export.export(" in str(refused.value)
    assert "ONNX" in str(refused.value)
    assert "\n" not in str(refused.value)


def doubled() -> bytes:
    file = io.BytesIO(packed(made()))
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(MODEL, b"{}")
    return file.getvalue()


W1 = ("config", "w1", "tensor_meta")
FIRST = ("graph_module", "graph", "nodes", 0, "inputs", 0, "arg")
DEEP = b'{"graph_module": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
HOSTILE: dict[str, tuple[Any, str]] = {
    "compressed": (lambda: packed(made(), zipfile.ZIP_DEFLATED), "compressed"),
    "bomb": (lambda: packed(made() | {"m/byteorder": b"\0" * 10_000_000}, zipfile.ZIP_DEFLATED), "compressed"),
    "twice": (doubled, "m.pt2: is torn, or not as torch writes it"),
    "nested JSON": (lambda: packed(made() | {MODEL: DEEP}), "torn"),
    "no JSON": (lambda: packed(made() | {MODEL: b"\xff"}), "torn"),
    "two programs": (lambda: packed(made() | {"m/models/other.json": b"{}"}), "holds 2 programs"),
    "compiled code": (lambda: packed(made() | {"m/data/aotinductor/model/a.so": b"\x7fELF"}), "compiled code"),
    "big-endian": (lambda: packed(made() | {"m/byteorder": b"big"}), "little-endian"),
    "weight as pickle": (lambda: rewritten(("config", "w1", "use_pickle"), True, member=CONFIG), "as a pickle"),
    "custom object": (lambda: rewritten(("config", "w1", "path_name"), "custom_obj_0", member=CONFIG), "as a pickle"),
    "path outside": (lambda: rewritten(("config", "w1", "path_name"), "../../x", member=CONFIG), "as a pickle"),
    "absent weight": (lambda: rewritten(("config", "w1", "path_name"), "weight_9", member=CONFIG), "is not there"),
    "gigantic": (lambda: rewritten(W1, meta((1 << 40, 1 << 20)), member=CONFIG), "torn"),
    "beyond its end": (
        lambda: rewritten((*W1, "storage_offset"), {"as_int": 5}, member=CONFIG), "torn"
    ),
    "negative": (lambda: rewritten((*W1, "sizes", 0), {"as_int": -4}, member=CONFIG), "plain"),
    "another schema": (lambda: rewritten(("schema_version", "major"), 7), "format 7.20"),
    "a loop": (lambda: rewritten(FIRST, tensor("p")), "before it is"),
    "given twice": (lambda: rewritten((*FIRST[:3], 1, "outputs", 0), tensor("h")), "given twice"),
    "a formula": (
        lambda: rewritten(
            ("graph_module", "graph", "tensor_values", "x", "sizes", 0),
            {"as_expr": {"expr_str": "__import__('os').system('true')"}},
        ),
        "formula",
    ),
    "vast batch": (
        lambda: rewritten(
            ("graph_module", "graph", "tensor_values", "x", "sizes", 0), {"as_int": 1 << 40}
        ),
        "no fewer than 1,099,511,627,776 rows",
    ),
    "a subgraph": (
        lambda: rewritten(FIRST, {"as_graph": {"name": "g"}}),
        "gives torch.ops.aten.linear.default a graph",
    ),
    "two inputs": (
        lambda: rewritten(("graph_module", "signature", "input_specs", 0), {"user_input": {"arg": tensor("w1")}}),
        "takes 2 tensors",
    ),
    "token": (lambda: rewritten(("graph_module", "signature", "input_specs", 0), {"token": {}}), "takes a token"),
    "changes a buffer": (
        lambda: rewritten(("graph_module", "signature", "output_specs", 0), {"buffer_mutation": {}}), "model.eval"
    ),
    "long text": (
        lambda: rewritten(("graph_module", "graph", "nodes", 1, "inputs", 0, "arg"), {"as_string": "x" * 5000}),
        "contradicts itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused_in_one_line(kind: str) -> None:
    make, words = HOSTILE[kind]
    content = make()
    with pytest.raises(CouldNotLook, match=words) as refused:
        read_program(content, "m.pt2")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("seed", range(6))
def test_torn_bytes_never_end_in_anything_but_a_refusal(seed: int) -> None:
    draw, whole = random.Random(seed), packed(made())
    sound = read_program(whole, "m.pt2")
    refused = 0
    for _ in range(60):
        content = bytearray(whole)
        if draw.random() < 0.5:
            del content[draw.randrange(len(content)) :]
        else:
            for _ in range(draw.choice([1, 4, 32])):
                content[draw.randrange(len(content))] = draw.randrange(256)
        try:
            again = read_program(bytes(content), "m.pt2")
        except CouldNotLook:
            refused += 1
            continue
        assert len(again.steps) == len(sound.steps)
    assert refused > 30


def test_without_torch_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    subject = Subject(name="m", kind=Kind.MODEL, uri="m.pt2", options={"inputs": list("abc")})
    with pytest.raises(MissingExtra, match=r"assay\[torch\]"):
        TorchPredictor(packed(made()), subject)
    with pytest.raises(CouldNotLook, match="the model takes 3 inputs, `inputs:` has 2"):
        TorchPredictor(packed(made()), Subject(name="m", kind=Kind.MODEL, uri="m.pt2", options={"inputs": ["a", "b"]}))


def test_the_layers_are_those_of_the_program() -> None:
    x, table = rows()
    found = network(NODES, WEIGHTS, logits=False)
    hidden = np.maximum(x @ WEIGHTS["w1"].T.astype(float) + WEIGHTS["b1"], 0)
    expected = 1 / (1 + np.exp(-(hidden @ WEIGHTS["w2"][0].astype(float) + WEIGHTS["b2"][0])))
    assert np.allclose(found.scores(found.margins(found.read(table))), expected, atol=1e-12)
    assert (found.link, found.single, [layer.activation for layer in found.layers]) == (
        "logistic", True, ["relu", "identity"],
    )  # fmt: skip


def test_logits_get_a_sigmoid_or_a_softmax() -> None:
    x, table = rows()
    one = network(NODES[:3], WEIGHTS, logits=True)
    whole = network(NODES, WEIGHTS, logits=False)
    assert np.array_equal(one.margins(one.read(table)), whole.margins(whole.read(table)))
    weights = {"w": np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)}
    for end in ([], [node("aten.log_softmax.int", "l", self="z", dim={"as_int": 1})]):
        nodes = [node("aten.linear.default", "z", input="x", weight="w"), *end]
        three = network(nodes, weights, place=2, count=3, logits=True)
        parts = np.exp(x)
        scores = three.scores(three.margins(three.read(table)))
        assert np.allclose(scores, parts[:, 2] / parts.sum(axis=1), atol=1e-12)


NUMBER = {"as_float": 2.0}
REFUSED = {
    "mish": (node("aten.mish.default", "o", self="z"), "aten.mish"),
    "product": (node("aten.mul.Tensor", "o", self="z", other="z"), "a product of inputs"),
    "rows": (node("aten.softmax.int", "o", self="z", dim={"as_int": 0}), "a softmax over rows"),
    "layer norm": (node("aten.layer_norm.default", "o", input="z"), "aten.layer_norm"),
    "rounding": (
        node("aten.div.Tensor_mode", "o", self="z", other=NUMBER, rounding_mode={"as_string": "floor"}), "rounds",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_small_network_is_refused_by_name(kind: str) -> None:
    last, words = REFUSED[kind]
    with pytest.raises(CouldNotLook, match=words) as refused:
        network([*NODES[:3], last], WEIGHTS, logits=True)
    assert "attack it with `access: score` or `access: label`" in str(refused.value)
