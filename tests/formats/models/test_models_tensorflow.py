"""TensorFlow graphs and TensorFlow Lite models, good, bad and torn."""

from __future__ import annotations

import json
from typing import Any

import pytest
from models_bytes import (
    alarms,
    msg,
    num,
    onnx_model,
    onnx_node,
    reading,
    said,
    tf_const,
    tf_graph,
    tf_meta,
    tf_node,
    tf_saved,
)

from assay.formats.models import checkpoint, saved_keras, savedmodel, tensorflow_text, tflite
from assay.formats.models.tensorflow_kinds import kind_of
from assay.formats.reading import Reading

SAVER = (
    tf_node("saver_filename", "Placeholder"),
    tf_const("part", "_temp/part"),
    tf_node("join", "StringJoin", ("saver_filename", "part")),
    tf_node("shard", "ShardedFilename", ("join",)),
    tf_node("save", "SaveV2", ("shard",)),
    tf_node("merge", "MergeV2Checkpoints", ("shard", "saver_filename")),
    tf_node("restore", "RestoreV2", ("saver_filename",)),
)
PYTHON = tf_node("f", "PyFunc", ("p",), {"token": msg(2, "pyfunc_0")})


def _read(data: bytes) -> Reading:
    return reading(savedmodel.read, data)


def test_an_ordinary_savedmodel_is_measured_and_alarms_nobody() -> None:
    asset = (tf_const("vocab", "/tmp/build/vocab.txt"), tf_node("t", "InitializeTableFromTextFileV2", ("h", "vocab")))
    log = tf_node("log", "PrintV2", ("p",), {"output_stream": msg(2, "stderr")})
    found = _read(tf_saved(*SAVER, *asset, log, rest=msg(6, msg(1, msg(1, "vocab:0")), msg(2, "vocab.txt"))))
    assert (found.notes, found.gaps) == ((), ())
    assert found.measured["format"] == "tf-savedmodel"
    assert (found.measured["tags"], found.measured["tensorflow"]) == (["serve"], "2.21.0")
    assert "SaveV2" in found.measured["operators"]
    assert found.measured["assets"] == ["vocab.txt"]


@pytest.mark.parametrize("operator", ["PyFunc", "PyFuncStateless", "EagerPyFunc"])
@pytest.mark.parametrize("place", ["graph", "function"])
def test_python_callbacks_are_critical(operator: str, place: str) -> None:
    node = PYTHON.replace(b"\x06PyFunc", bytes((len(operator),)) + operator.encode())
    data = tf_saved(node) if place == "graph" else tf_saved(functions=[[node]])
    assert said(_read(data)) == {f"python:{operator}": "critical"}


def _opens(operator: str, path: str, at: int = 0, through: str = "") -> tuple[bytes, ...]:
    inputs = [*(("p",) * at), "through" if through else "path"]
    middle = (tf_node("through", through, ("path",)),) if through else ()
    return tf_const("path", path), *middle, tf_node("op", operator, inputs)


@pytest.mark.parametrize(
    ("nodes", "severity"),
    [
        (_opens("WriteFile", "/tmp/x"), "critical"),
        (_opens("WriteFile", "/tmp/x", through="Identity"), "critical"),
        (_opens("ReadFile", "/etc/passwd"), "critical"),
        (_opens("ReadFile", "../../secret", through="StringJoin"), "critical"),
        (_opens("SaveV2", "/home/u/.ssh/x"), "critical"),
        (_opens("MergeV2Checkpoints", "/home/u/x", 1), "critical"),
        (_opens("TextLineDataset", "/etc/hosts"), "high"),
        (_opens("TextLineDataset", "gs://bucket/x"), "high"),
        (_opens("SqlDataset", "/var/db.sqlite", 1), "high"),
        ((tf_node("op", "ReadFile", ("p",)),), "high"),
        ((tf_node("op", "PrintV2", ("p",), {"output_stream": msg(2, "file:///tmp/x")}),), "critical"),
        ((tf_node("op", "ImmutableConst", (), {"memory_region_name": msg(2, "/dev/mem/x")}),), "critical"),
        ((tf_node("op", "DebugIdentityV3", ("p",), {"debug_urls": msg(1, msg(2, "grpc://h:1"))}),), "critical"),
        ((tf_node("op", "RpcClient", ("p",)),), "high"),
        ((tf_node("op", "DataServiceDatasetV4", ("p",)),), "high"),
        ((tf_node("op", "XlaCustomCallV2", (), {"call_target_name": msg(2, "xla_python_cpu_callback")}),), "critical"),
        ((tf_node("op", "XlaCustomCallV2", (), {"call_target_name": msg(2, "cu_solver")}),), "medium"),
    ],
)
def test_operators_that_open_files_or_the_network(nodes: tuple[bytes, ...], severity: str) -> None:
    assert severity in said(_read(tf_saved(*nodes))).values()
    assert severity in said(_read(tf_saved(functions=[nodes]))).values()


def test_a_path_that_reaches_an_operator_through_a_function_is_reported() -> None:
    found = _read(tf_saved(tf_const("path", "/etc/hosts"), functions=[[tf_node("op", "TextLineDataset", ("arg",))]]))
    assert said(found)["reads-outside:TextLineDataset"] == "high"


def test_a_training_graph_may_name_the_trainers_files() -> None:
    graph = tf_graph(tf_node("p", "Placeholder"), *_opens("TFRecordDataset", "/data/train.tfrecord"), *SAVER)
    found = _read(tf_meta(graph))
    assert (found.measured["format"], alarms(found)) == ("tf-metagraph", [])


def test_a_frozen_graph_is_read_too() -> None:
    found = _read(tf_graph(tf_node("p", "Placeholder"), PYTHON))
    assert (found.measured["format"], alarms(found)) == ("tf-graph", ["python:PyFunc"])


def test_an_asset_that_leads_outside_is_critical() -> None:
    found = _read(tf_saved(*SAVER, rest=msg(6, msg(2, "../../../etc/passwd"))))
    assert said(found) == {"asset:../../../etc/passwd": "critical"}


def _keras(class_name: str, config: dict[str, Any]) -> bytes:
    text = json.dumps({"class_name": class_name, "config": config})
    return msg(1, num(2, 1), msg(3, "root.layer"), msg(4, "_tf_keras_layer"), msg(5, text), msg(6, num(1, 2)))


LAMBDA = {"function": {"class_name": "__tuple__", "items": ["4wEAAAA=", None, None]}, "function_type": "lambda"}


def test_keras_configurations_in_a_savedmodel_are_judged() -> None:
    good = _keras("Dense", {"name": "dense", "units": 3, "activation": "relu"})
    assert saved_keras.looks_like(good, "keras_metadata.pb")
    assert alarms(reading(saved_keras.read, good)) == []
    assert "critical" in said(reading(saved_keras.read, good + _keras("Lambda", LAMBDA))).values()
    user = msg(4, msg(1, "_tf_keras_layer"), msg(3, json.dumps({"class_name": "Lambda", "config": LAMBDA})))
    assert "critical" in said(_read(tf_saved(rest=msg(7, msg(1, user))))).values()
    assert reading(saved_keras.read, good[:-5]).gaps


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_savedmodel_is_a_gap_and_keeps_what_came_before(cut: int) -> None:
    found = _read(tf_saved(PYTHON, *SAVER)[:-cut])
    assert found.gaps[0].startswith("is torn")
    assert said(_read(tf_saved(functions=[[PYTHON], [PYTHON]])[:-3])) == {"python:PyFunc": "critical"}


def test_nothing_in_it_is_a_gap() -> None:
    assert "no node" in _read(num(1, 1)).gaps[0]


def test_what_looks_like_a_graph() -> None:
    assert kind_of(tf_saved(), "x") == "tf-savedmodel"
    assert kind_of(tf_meta(tf_graph(*SAVER)), "x") == "tf-metagraph"
    assert kind_of(tf_graph(*SAVER), "x") == "tf-graph"
    assert kind_of(b"plain text", "saved_model.pb") == "tf-savedmodel"
    for other in (
        b"\x80\x04K\x01.",
        b'\n"""\nA docstring of just that length."""\n',
        onnx_model(onnx_node("Relu")),
        bytes(9),
    ):
        assert kind_of(other, "x") == ""


@pytest.mark.parametrize("spelt", ['op: "PyFunc"', "op:'PyFunc'", 'op : "Py" # a\n  "Func"', r'op: "Py\106unc"'])
def test_a_graph_in_text_is_never_clean(spelt: str) -> None:
    data = f'saved_model_schema_version: 1\nmeta_graphs {{ graph_def {{ node {{ name: "op" {spelt} }} }} }}'.encode()
    assert tensorflow_text.looks_like(data, "saved_model.pbtxt")
    found = reading(tensorflow_text.read, data, "saved_model.pbtxt")
    assert said(found) == {"python:PyFunc": "critical"}
    assert "text form" in found.gaps[0]


def test_a_checkpoints_index_and_a_fingerprint_are_data() -> None:
    magic = (0xDB4775248B80FB57).to_bytes(8, "little")
    index = b"\0\0" + bytes(60) + (b"\x05\x10\x20\x08" + bytes(36)) + magic
    assert checkpoint.looks_like(index, "variables.index")
    assert reading(checkpoint.read, index, "variables.index").gaps == ()
    assert reading(checkpoint.read, index[:-1], "variables.index").gaps
    print_ = num(1, 2**63 + 1) + num(2, 5)
    assert checkpoint.looks_like(print_, "fingerprint.pb")
    assert reading(checkpoint.read, print_, "fingerprint.pb").gaps == ()
    assert not checkpoint.looks_like(print_, "other.pb")


def _lite(operators: list[tuple[int, str]], *, string: bytes = b"", offset: int = 0, options: bytes = b"") -> bytes:
    """A TensorFlow Lite model: one graph, one tensor, and these operators as (built-in number, custom name)."""
    flatbuffers = pytest.importorskip("flatbuffers")
    b = flatbuffers.Builder(64)

    def vector(items: list[int]) -> int:
        b.StartVector(4, len(items), 4)
        for item in reversed(items):
            b.PrependUOffsetTRelative(item)
        return int(b.EndVector())

    def table(count: int, **slots: tuple[str, Any]) -> int:
        b.StartObject(count)
        for slot, (kind, value) in slots.items():
            getattr(b, f"Prepend{kind}Slot")(int(slot[1:]), value, 0)
        return int(b.EndObject())

    names = [b.CreateString(name) if name else 0 for _, name in operators]
    codes = [
        table(
            4, s0=("Int8", min(code, 127)), s3=("Int32", code), **({"s1": ("UOffsetTRelative", name)} if name else {})
        )
        for (code, _), name in zip(operators, names, strict=True)
    ]
    data, extra = b.CreateByteVector(string or bytes(16)), b.CreateByteVector(options)
    buffers = [table(1), table(3, s0=("UOffsetTRelative", data), s1=("Uint64", offset), s2=("Uint64", 8))]
    kind = 5 if string else 0
    tensor = table(4, s1=("Int8", kind), s2=("Uint32", 1), s3=("UOffsetTRelative", b.CreateString("t")))
    used = [table(6, s0=("Uint32", i), s5=("UOffsetTRelative", extra)) for i in range(len(operators))]
    lists = vector([tensor]), vector(used)
    graph = table(5, s0=("UOffsetTRelative", lists[0]), s3=("UOffsetTRelative", lists[1]))
    lists = vector(codes), vector([graph]), vector(buffers)
    root = table(
        5, s0=("Uint32", 3), **{f"s{s}": ("UOffsetTRelative", v) for s, v in zip((1, 2, 4), lists, strict=True)}
    )
    b.Finish(root, file_identifier=b"TFL3")
    return bytes(b.Output())


def test_a_tensorflow_lite_model_is_measured() -> None:
    data = _lite([(0, ""), (126, "")])
    assert tflite.looks_like(data, "m.tflite")
    found = reading(tflite.read, data)
    assert (found.notes, found.gaps) == ((), ())
    assert found.measured["operators"] == ["ADD", "BATCH_MATMUL"]
    assert (found.measured["version"], found.measured["dtypes"]) == (3, {"float32": 1})


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("Evil", "medium"),
        ("TFLite_Detection_PostProcess", "info"),
        ("FlexEagerPyFunc", "critical"),
        ("FlexRpcClient", "high"),
    ],
)
def test_operators_of_tensorflow_lite_that_need_code(name: str, severity: str) -> None:
    assert list(said(reading(tflite.read, _lite([(32, name)]))).values()) == [severity]


def test_ordinary_operators_of_full_tensorflow_are_silent() -> None:
    assert reading(tflite.read, _lite([(32, "FlexErf")])).notes == ()


def test_paths_in_a_tensorflow_lite_model_are_seen() -> None:
    text = b"/etc/passwd"
    string = (1).to_bytes(4, "little") + (12).to_bytes(4, "little") + (12 + len(text)).to_bytes(4, "little") + text
    assert said(reading(tflite.read, _lite([(32, "FlexReadFile")], string=string)))["reads-outside:ReadFile"] == "high"
    printed = reading(tflite.read, _lite([(32, "FlexPrintV2")], options=b"\0\0file:///tmp/x\0"))
    assert said(printed) == {"writes-outside:PrintV2": "critical"}


def test_a_torn_tensorflow_lite_model_is_a_gap() -> None:
    data = _lite([(0, "")])
    assert reading(tflite.read, data[: len(data) // 2]).gaps
    assert "reaches beyond" in reading(tflite.read, _lite([(0, "")], offset=10_000)).gaps[0]


def test_lists_that_share_tables_do_not_multiply() -> None:
    """2,000 graphs that are all one graph of 2,000 tensors that are all one tensor: 50 KB must not cost millions."""
    flatbuffers = pytest.importorskip("flatbuffers")
    b = flatbuffers.Builder(64)

    def many(item: int) -> int:
        b.StartVector(4, 4000, 4)
        for _ in range(4000):
            b.PrependUOffsetTRelative(item)
        return int(b.EndVector())

    b.StartObject(3)
    buffers = b.EndObject()
    b.StartVector(4, 1, 4)
    b.PrependUOffsetTRelative(buffers)
    listed = b.EndVector()
    b.StartObject(3)
    tensors = many(b.EndObject())
    b.StartObject(5)
    b.PrependUOffsetTRelativeSlot(0, tensors, 0)
    graphs = many(b.EndObject())
    b.StartObject(5)
    b.PrependUOffsetTRelativeSlot(2, graphs, 0)
    b.PrependUOffsetTRelativeSlot(4, listed, 0)
    b.Finish(b.EndObject(), file_identifier=b"TFL3")
    found = reading(tflite.read, bytes(b.Output()), max_opcodes=100_000)
    assert "more tables than it has room for" in found.gaps[0]


def test_many_small_notes_do_not_hide_a_grave_one() -> None:
    custom = [tf_node(f"c{i}", "XlaCustomCallV2", (), {"call_target_name": msg(2, "x")}) for i in range(3)]
    assets = b"".join(msg(6, msg(2, f"../{i}")) for i in range(500))
    found = _read(tf_saved(*custom, PYTHON, rest=assets))
    assert len(found.notes) == 200
    assert any("200 things" in gap for gap in found.gaps)
    assert "critical" in said(found).values()
