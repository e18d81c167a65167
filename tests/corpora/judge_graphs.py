"""Attack shapes: TensorFlow and ONNX graphs that touch files, call Python or need somebody's library."""

from __future__ import annotations

from judge_kit import Folder, evil, field, stored
from judge_stored_attacks import PACKED

BAD = evil(2)


def node(kind: str, *inputs: str, called: str = "n", **attributes: bytes) -> bytes:
    """A TensorFlow NodeDef."""
    out = field(1, called) + field(2, kind) + b"".join(field(3, i) for i in inputs)
    return out + b"".join(field(5, field(1, k) + field(2, v)) for k, v in attributes.items())


def graph(*nodes: bytes, functions: bytes = b"") -> bytes:
    """A GraphDef."""
    out = b"".join(field(1, n) for n in nodes)
    return out + (field(2, field(1, functions)) if functions else b"")


def saved_model(graph_def: bytes) -> bytes:
    """A SavedModel with one meta graph tagged `serve`."""
    return field(1, 1) + field(2, field(1, field(4, "serve")) + field(2, graph_def))


def tensorflow() -> dict[str, Folder]:
    """Graphs with operators that touch files or call Python."""
    path = node("Const", called="path", value=field(8, field(1, 7) + field(8, "/tmp/assay-test")))
    inner = field(1, field(1, "f")) + field(3, node("WriteFile", "path", "path"))
    graphs = {
        f"op-{kind.lower()}": graph(path, node(kind, "path", "path", called="bad"))
        for kind in (
            "ReadFile",
            "WriteFile",
            "PyFunc",
            "EagerPyFunc",
            "PyFuncStateless",
            "MatchingFiles",
            "ImmutableConst",
            "DebugIdentityV2",
            "RpcCall",
            "LoadDataset",
            "SaveDatasetV2",
            "CSVDataset",
            "LMDBDataset",
            "AssayTestCustomOp",
            "MergeV2Checkpoints",
        )
    }
    made = {shape: {"saved_model.pb": saved_model(g)} for shape, g in graphs.items()}
    files = stored(PACKED)
    frozen = graphs["op-writefile"]
    printed = node("PrintV2", "path", called="bad", output_stream=field(2, "file:///tmp/assay-test"))
    return made | {
        "op-print-to-file": {"saved_model.pb": saved_model(graph(path, printed))},
        "op-in-function": {"saved_model.pb": saved_model(graph(path, functions=inner))},
        "frozen-graph": {"frozen_inference_graph.pb": frozen},
        "meta-graph": {"model.ckpt.meta": field(1, field(4, "train")) + field(2, frozen)},
        "text-graph": {
            "saved_model.pbtxt": b'saved_model_schema_version: 1\nmeta_graphs { graph_def { node { name: "n" '
            b'op: "WriteFile" input: "p" input: "q" } } }\n'
        },
        "renamed-graph": {"saved_model.bin": saved_model(frozen)},
        "real-write-file": {"saved_model.pb": files["saved_model_write.pb"]},
        "real-numpy-function": {"saved_model.pb": files["saved_model_py.pb"]},
        "keras-metadata-lambda": {
            "saved_model.pb": saved_model(graph(path)),
            "keras_metadata.pb": field(
                1,
                field(2, 1)
                + field(3, "root.layer-0")
                + field(4, "_tf_keras_layer")
                + field(
                    5,
                    '{"class_name": "Lambda", "config": '
                    '{"function": {"class_name": "__tuple__", "items": ["4wEAAAA", null, null]}}}',
                ),
            ),
        },
        "assets-library": {"saved_model.pb": saved_model(graph(path)), "assets.extra/op.so": b"\x7fELF" + b"\0" * 60},
        "tflite-flex-read-file": {"model.tflite": files["flex-readfile.tflite"]},
        "tflite-custom-python": {"model.tflite": files.get("custom-py.tflite", files["flex-readfile.tflite"])},
    }


def onnx_model(*nodes: bytes, domains: tuple[str, ...] = ("",), initializer: bytes = b"", more: bytes = b"") -> bytes:
    """An ONNX ModelProto."""
    made = b"".join(field(1, n) for n in nodes) + field(2, "g") + (field(5, initializer) if initializer else b"")
    kind = field(2, field(1, field(1, 1) + field(2, b"")))
    made += field(11, field(1, "x") + kind) + field(12, field(1, "y") + kind)
    imports = b"".join(field(8, field(1, d) + field(2, 17)) for d in domains)
    return field(1, 8) + field(2, "judge") + field(7, made) + imports + more


def onnx_node(kind: str, domain: str = "", *attributes: bytes) -> bytes:
    """A NodeProto from x to y."""
    return field(1, "x") + field(2, "y") + field(4, kind) + b"".join(field(5, a) for a in attributes) + field(7, domain)


def external(location: str) -> bytes:
    """A TensorProto whose data lies elsewhere."""
    where = field(1, "location") + field(2, location)
    size = field(1, "length") + field(2, "16")
    return field(1, 4) + field(2, 1) + field(8, "w") + field(13, where) + field(13, size) + field(14, 1)


def onnx() -> dict[str, Folder]:
    """ONNX with files outside the folder, and operators from somebody's library."""
    plain = onnx_node("Identity")
    locations = {
        "climbs": "../../../etc/passwd",
        "absolute": "/etc/passwd",
        "climbs-inside": "weights/../../passwd",
        "backslash": "..\\..\\windows\\win.ini",
        "drive": "C:\\windows\\win.ini",
        "home": "~/.ssh/id_rsa",
        "url": "http://127.0.0.1:9/weights",
        "unc": "\\\\127.0.0.1\\share\\w",
        "nul": "weights\0/../../x",
        "proc": "/proc/self/environ",
    }
    made = {f"external-{k}": onnx_model(plain, initializer=external(v)) for k, v in locations.items()}
    branch = field(1, onnx_node("PyOp", "ai.onnx.contrib")) + field(2, "then")
    branched = onnx_node("If", "", field(1, "then_branch") + field(6, branch) + field(20, 5))
    held = onnx_node("Constant", "", field(1, "value") + field(5, external("../../etc/passwd")) + field(20, 4))
    function = field(1, "F") + field(7, onnx_node("PyOp", "ai.onnx.contrib")) + field(10, "local")
    hidden = field(1, branch.replace(b"PyOp", b"Relu")) + field(2, field(5, external("/etc/passwd")))
    made |= {
        "python-operator": onnx_model(onnx_node("PythonOp", "com.microsoft"), domains=("", "com.microsoft")),
        "contrib-python": onnx_model(onnx_node("PyOp", "ai.onnx.contrib"), domains=("", "ai.onnx.contrib")),
        "custom-domain": onnx_model(onnx_node("Shell", "assay.test"), domains=("", "assay.test")),
        "custom-in-branch": onnx_model(branched, domains=("", "ai.onnx.contrib")),
        "custom-in-function": onnx_model(onnx_node("F", "local"), domains=("", "local"), more=field(25, function)),
        "unknown-operator": onnx_model(onnx_node("SystemCommand")),
        "external-in-attribute": onnx_model(held),
        "external-in-training": onnx_model(plain, more=field(20, hidden)),
        "second-graph": onnx_model(plain) + field(7, field(1, onnx_node("PyOp", "ai.onnx.contrib"))),
        "pickle-behind": onnx_model(plain) + BAD,
        "pickle-in-metadata": onnx_model(plain, more=field(14, field(1, "weights") + field(2, BAD))),
    }
    return {shape: {"model.onnx": data} for shape, data in made.items()}


def shapes() -> dict[str, Folder]:
    """All of them, by class."""
    groups = {"tensorflow": tensorflow(), "onnx": onnx()}
    return {f"{kind}--{k}": v for kind, found in groups.items() for k, v in found.items()}
