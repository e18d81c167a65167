"""Operators that no list knows, and Keras layers that call TensorFlow's API by name."""

from __future__ import annotations

import io
from typing import Any

import pytest
from models_bytes import msg, num, onnx_model, onnx_node, reading, said, tf_const, tf_graph, tf_meta, tf_node, tf_saved

from assay.formats.artifact import examine
from assay.formats.models import onnx, savedmodel, tensorflow_text
from assay.formats.models.keras import judge_keras
from assay.formats.models.keras_symbols import judge_symbol
from assay.formats.models.recognise import recognise, recognise_text

WRITE = tf_node("w", "WriteFile", ("p", "p"))


def _layer(kind: str, config: dict[str, Any], **more: Any) -> dict[str, str]:
    notes = judge_keras({"class_name": kind, "config": config, **more}, "")
    return {note.key: note.severity.value for note in notes}


@pytest.mark.parametrize(
    ("symbol", "severity"),
    [
        ("io.write_file", "critical"), ("raw_ops.WriteFile", "critical"), ("compat.v1.write_file", "critical"),
        ("py_function", "critical"), ("numpy_function", "critical"), ("compat.v1.py_func", "critical"),
        ("raw_ops.EagerPyFunc", "critical"), ("load_library", "critical"), ("load_op_library", "critical"),
        ("io.gfile.remove", "critical"), ("compat.v1.gfile.Open", "critical"), ("keras.utils.get_file", "critical"),
        ("saved_model.load", "critical"), ("data.TFRecordDataset", "high"), ("io.read_file", "high"),
        ("raw_ops.ReadFile", "high"), ("raw_ops.RpcCall", "high"), ("raw_ops.Abort", "high"),
        ("__internal__.tracking.Loader", "high"), ("keras.models.load_model", "critical"), ("own.thing", "medium"),
        ("raw_ops.NobodyKnows", "medium"), ("config.set_visible_devices", "medium"),
        ("math.add", "info"), ("nn.relu", "info"), ("concat", "info"), ("__operators__.add", "info"),
        ("compat.v1.transpose", "info"), ("raw_ops.AddV2", "info"), ("image.resize", "info"), ("reshape", "info"),
        ("strings.regex_replace", "info"), ("io.decode_raw", "info"), ("debugging.assert_equal", "info"),
    ],
)  # fmt: skip
def test_a_layer_that_calls_a_symbol_is_as_bad_as_the_symbol(symbol: str, severity: str) -> None:
    assert judge_symbol(symbol)[0].value == severity
    assert list(_layer("TFOpLambda", {"name": "l", "function": symbol}).values()) == [severity]
    assert list(_layer("SlicingOpLambda", {"function": f"tf.{symbol}"}).values()) == [severity]


def test_methods_of_classes_and_operators_carried_by_a_layer() -> None:
    assert _layer("ClassMethod", {"cls_symbol": "RaggedTensor", "method_name": "from_row_splits"}) == {
        "ClassMethod": "info"
    }
    assert "critical" in _layer("ClassMethod", {"cls_symbol": "io.gfile.GFile", "method_name": "write"}).values()
    assert "high" in _layer("ClassMethod", {"cls_symbol": "RaggedTensor", "method_name": "__reduce__"}).values()
    assert _layer("InstanceMethod", {"attr_name": "with_values"}) == {"InstanceMethod": "info"}
    assert "high" in _layer("InstanceProperty", {"attr_name": "__class__"}).values()
    for node in (
        '{"name": "x", "op": "WriteFile"}',
        'name: "x" op: "WriteFile"',
        {"op": "WriteFile"},
        "\n\x01x\x12\x09WriteFile",
    ):
        assert list(_layer("TensorFlowOpLayer", {"node_def": node}).values()) == ["critical"]
    assert list(_layer("TensorFlowOpLayer", {"node_def": '{"op": "AddV2"}'}).values()) == ["info"]
    assert list(_layer("TensorFlowOpLayer", {"node_def": "?"}).values()) == ["medium"]
    printed = _layer("TFOpLambda", {"function": "print"}, inbound_nodes=[[{"output_stream": "file:///tmp/x"}]])
    assert list(printed.values()) == ["critical"]
    assert _layer("TFOpLambda", {"function": "print"}, inbound_nodes=[]) == {"TFOpLambda": "info"}


def test_a_function_of_tensorflow_named_by_its_module() -> None:
    at = {"module": "tensorflow.python.ops.gen_io_ops", "class_name": "function", "config": "write_file"}
    assert "critical" in [note.severity.value for note in judge_keras(at, "")]


@pytest.mark.parametrize(
    "root", ["keras.src", "tf_keras.src", "tensorflow.keras", "keras.api", "tensorflow.python.keras"]
)
def test_gadgets_of_keras_are_found_under_every_root(root: str) -> None:
    at = {"module": f"{root}.utils.file_utils", "class_name": "function", "config": "makedirs", "registered_name": None}
    assert "critical" in [note.severity.value for note in judge_keras(at, "")]


def test_an_operator_that_tensorflow_does_not_register_is_noted() -> None:
    def notes(*nodes: bytes, **more: Any) -> dict[str, str]:
        return said(reading(savedmodel.read, tf_saved(*nodes, **more), "saved_model.pb"))

    assert notes(tf_node("a", "SomebodysOp")) == {"unknown-operators": "low"}
    assert notes(tf_node("a", "Addons>Resampler"), tf_node("b", "SentencepieceOp")) == {"foreign-operators": "info"}
    assert notes(tf_node("a", "MatMul"), tf_node("b", "_FusedMatMul"), tf_node("c", "f0"), functions=[[]]) == {}
    assert notes(tf_node("a", "Abort")) == {"stops:Abort": "medium"}
    torn = tf_saved(tf_node("a", "SomebodysOp"))[:-4]
    assert reading(savedmodel.read, torn, "saved_model.pb").gaps


def test_an_operator_that_is_unknown_in_text_form_is_noted() -> None:
    text = b'node { name: "a" op: "SomebodysOp" } library { function { signature { name: "f" } node_def { op: "f" } } }'
    assert said(reading(tensorflow_text.read, text, "graph.pbtxt")) == {"unknown-operators": "low"}


def test_a_reader_whose_queue_names_a_file_outside_is_noted() -> None:
    found = reading(
        savedmodel.read, tf_saved(tf_const("p", "/etc/passwd"), tf_node("r", "WholeFileReaderV2")), "saved_model.pb"
    )
    assert said(found)["reads-outside:WholeFileReaderV2"] == "high"


def test_an_operator_that_onnx_does_not_define_is_noted() -> None:
    assert said(reading(onnx.read, onnx_model(onnx_node("SystemCommand")))) == {"unknown-operators": "low"}
    assert said(reading(onnx.read, onnx_model(onnx_node("Linear", "ai.onnx.ml")))) == {"unknown-operators": "low"}
    assert said(reading(onnx.read, onnx_model(onnx_node("Attention"), onnx_node("SimplifiedLayerNormalization")))) == {}


def test_graphs_are_recognised_in_any_order_of_fields() -> None:
    graph = tf_graph(tf_const("p", "/tmp/x"), WRITE)
    bare_info = msg(1, msg(4, "train"))
    for data, name in (
        (bare_info + msg(2, graph), "model.ckpt.meta"), (msg(2, graph) + bare_info, "model.ckpt.meta"),
        (num(1, 1) + msg(2, bare_info + msg(2, graph)), "saved_model.bin"),
        (msg(2, bare_info + msg(2, graph)) + num(1, 1), "saved_model.pb"),
        (msg(4, num(1, 5)) + graph, "frozen.pb"), (tf_meta(graph), "x.meta"),
    ):  # fmt: skip
        assert recognise(data[:4096], name) == "tf-graph", name
        facts = examine(io.BytesIO(data), name=name)
        assert any(note.severity.value == "critical" for note in facts.notes), name


def test_a_graph_whose_every_byte_looks_like_text_is_recognised_by_its_name() -> None:
    """Every tag and length of an ONNX model can be a printable sign, and the beginning of a GraphDef too."""
    node = b'"' + bytes((32,)) + b"S" * 32
    model = b":" + bytes((len(node) + 2,)) + b"\n" + bytes((len(node),)) + node
    assert model.decode("ascii").replace("\n", "").isprintable()
    assert [recognise_text(model, name) for name in ("model.onnx", "notes.md")] == ["onnx", ""]
    facts = examine(io.BytesIO(model), name="notes.md")
    assert facts.format.name == "text"


@pytest.mark.parametrize("name", ["graph.pb", "model.meta", "model.onnx", "notes.pb"])
def test_text_under_a_graphs_name_is_no_graph(name: str) -> None:
    for text in (
        b"node {\n}\n",
        b"\n\n# title\n\nwords\n",
        b"hello, world\n",
        b'{"a": 1}\n',
        b": a list\n: of words\n",
    ):
        assert recognise_text(text, name) == ""
