"""What a Keras layer does that calls TensorFlow's public API by name: TFOpLambda, ClassMethod and their kin.

Such a layer's configuration names a symbol ("math.add", "io.write_file", "raw_ops.PyFunc"), which Keras fetches from
TensorFlow and calls with arguments from the same configuration (tf_keras, layers/core/tf_op_layer.py). Only names that
compute are let pass: a name of no known namespace is reported too.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.models.tensorflow_names import NAMES
from assay.formats.models.tensorflow_operators import PYTHON, READS, WRITES, wanted

Said = tuple[Severity, str, str]
"""How bad, the note's key, and what the layer does."""

LAYERS = frozenset(
    ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty", "TensorFlowOpLayer")
)
_PREFIX = re.compile(
    r"\A(?:(?:tensorflow|tf|_api|compat|python|ops|v1|v2|src|contrib|core|framework|keras_api|lib|(?!raw_)\w+_ops)\.)+"
)
# Namespaces whose functions compute and do nothing else.
_COMPUTES = re.compile(
    r"(?:math|nn|linalg|signal|strings|image|sparse|ragged|random|bitwise|quantization|sets|audio|dtypes|rnn_cell|lookup"
    r"|experimental\.numpy|__operators__|keras\.(?:backend|activations|losses|metrics|ops|layers|initializers|constraints"
    r"|regularizers|random)|distributions|_sparse|manip|spectral|autodiff|initializers|losses|metrics|layers|sysconfig"
    r"|debugging\.(?:assert_\w+|check_numerics|is_numeric_tensor|Assert)|io\.(?:decode|encode|parse|serialize|deserialize"
    r"|is_jpeg|extract_jpeg)\w*|compat\.(?:as_\w+|path_to_str|forward_compat\w*)|train\.(?:exponential_decay|\w+_decay)"
    r"|experimental\.(?:Optional|numpy)|types)(?:\.[A-Za-z_]\w*)*"
)
# Python functions of TensorFlow that act at once, when the layer is restored.
_CALLS_PYTHON = frozenset(("py_function", "numpy_function", "py_func", "eager_py_func", "py_function_common"))
_LOADS_CODE = frozenset(
    (
        *("load_library", "load_op_library", "load_file_system_library", "load_pluggable_device_library", "load_model"),
        *("register_filesystem_plugin", "func_load", "from_config", "model_from_json", "model_from_config", "run"),
        *("deserialize_keras_object", "enable_unsafe_deserialization", "load_delegate"),
    )
)
_ACTS = re.compile(
    r"(?:io\.gfile|gfile|compat\.v1\.gfile|saved_model|summary|profiler|train|data|io|distribute|app|test|lite|mlir|tpu|flags"
    r"|autograph|debugging|config|keras\.(?:utils|models|saving|callbacks|datasets|experimental|wrappers|preprocessing)"
    r"|experimental\.(?:dlpack|tensorrt|dtensor)|estimator|graph_util|logging|resource_loader|user_ops|xla|queue|feature_column"
    r"|__internal__|python_io|tools|mixed_precision|nest|version|errors|types)\."
)
_REACHES_FILES = re.compile(
    r"(?:\w+\.)*gfile\.|saved_model\.|summary\.|profiler\.|(?:io|python_io)\.(?:TFRecord|write|read|match|tf_record|\w*[gG]file)"
    r"|data\.(?:\w+\.)*(?:TFRecord|TextLine|FixedLength|Csv|Sql|make_csv|save|load|snapshot|service)"
    r"|keras\.utils\.(?:get_file|\w+_from_directory)|keras\.preprocessing\.|keras\.datasets\.|train\.(?:Checkpoint|Saver|load|list"
    r"|latest|update|get_checkpoint|write_graph|import_meta_graph|export_meta_graph|SummaryWriter|Session|Server)"
    r"|debugging\.(?:experimental|enable_dump|disable_dump)|graph_util\.|lite\.|app\.|distribute\.|test\.|autograph\."
)
_NODE_OPERATOR = re.compile(r"""["']?op["']?\s*:\s*["']([A-Za-z_][\w>]*)["']|\x12[\x01-\x7f]([A-Z][A-Za-z0-9_>]*)""")
_TENSORS = re.compile(
    r"(?:\w+\.)?(?:RaggedTensor|SparseTensor|TensorShape|Tensor|TensorArray|Variable|IndexedSlices|DType)(?:\.\w+)?"
)
_MOST_CALL = 1 << 16
_HERE = "when the model is restored or used"


def judge_layer(item: dict[str, Any], kind: str, inner: Any) -> list[Said]:
    """What a layer of LAYERS calls; `item` is the layer's whole configuration, `inner` what it is configured with."""
    if not isinstance(inner, dict):
        return []
    if kind == "TensorFlowOpLayer":
        return _of_node(inner.get("node_def"))
    if kind in ("InstanceMethod", "InstanceProperty"):
        name = inner.get("attr_name")
        if isinstance(name, str) and name.startswith("_"):
            return [(Severity.HIGH, f"{kind}:{visible(name, 40)}", f"fetches the inner name {visible(name, 40)}")]
        return [(Severity.INFO, kind, "fetches an attribute of a tensor by its name")]
    symbol = inner.get("function") if kind != "ClassMethod" else f"{inner.get('cls_symbol')}.{inner.get('method_name')}"
    if not isinstance(symbol, str):
        return [(Severity.INFO, kind, "calls a TensorFlow operator")]
    severity, what = judge_symbol(symbol)
    last = symbol.rpartition(".")[2]
    if last in ("print", "Print", "print_v2") and _writes_file(item):
        severity, what = Severity.CRITICAL, "writes a file"
    if severity is Severity.INFO:
        return [(severity, kind, "calls a TensorFlow operator by its name")]
    shown = visible(symbol, 80)
    return [(severity, f"{kind}:{shown}", f"calls TensorFlow's {shown}, which {what} {_HERE}")]


def judge_symbol(symbol: str) -> tuple[Severity, str]:
    """How bad a symbol of TensorFlow's API is to call, and what it does, in words that go on after "which"."""
    name = _PREFIX.sub("", symbol, count=1) or symbol
    parts = name.split(".")
    last = parts[-1]
    operator = last if parts[0] == "raw_ops" or last in NAMES else _camel(last)
    if last in _CALLS_PYTHON or operator in PYTHON:
        return Severity.CRITICAL, "calls back a Python function"
    if any(part in _LOADS_CODE for part in parts):
        return Severity.CRITICAL, "loads code from a file or a configuration"
    if any(part.startswith("__") and part != "__operators__" for part in parts):
        return Severity.HIGH, "reaches for what TensorFlow keeps inside"
    if operator in WRITES and last not in ("print", "save"):
        return Severity.CRITICAL, "writes a file"
    if operator in READS:
        return Severity.HIGH, "reads a file"
    if wanted(operator):
        return Severity.HIGH, "reaches native code, files or the network"
    if _REACHES_FILES.match(name) or last in ("get_file", "extract_archive"):
        return Severity.CRITICAL, "reaches files or the network"
    if parts[0] == "raw_ops":
        return (Severity.INFO, "computes") if last in NAMES else (Severity.MEDIUM, "no list of operators knows")
    if _COMPUTES.fullmatch(name) or (len(parts) == 1 and re.fullmatch(r"[a-z_]\w*|Assert", name)):
        return Severity.INFO, "computes"
    if _TENSORS.fullmatch(name):
        return Severity.INFO, "computes"
    return Severity.MEDIUM, "does more than compute" if _ACTS.match(name) else "no list knows"


def _of_node(node: Any) -> list[Said]:
    """A layer that carries an operator itself: a NodeDef as JSON, as text or in binary form."""
    if isinstance(node, dict):
        operators = [node["op"]] if isinstance(node.get("op"), str) else []
    else:
        text = str(node)[:_MOST_CALL]
        operators = [first or second for first, second in _NODE_OPERATOR.findall(text)]
    if not operators:
        return [(Severity.MEDIUM, "TensorFlowOpLayer", "carries a TensorFlow operator that cannot be told")]
    said: list[Said] = []
    for operator in sorted(set(operators)):
        severity, what = judge_symbol(f"raw_ops.{operator}")
        shown = visible(operator, 60)
        if severity is Severity.INFO:
            said.append((severity, "TensorFlowOpLayer", "carries a TensorFlow operator"))
        else:
            said.append((severity, f"TensorFlowOpLayer:{shown}", f"carries the operator {shown}, which {what} {_HERE}"))
    return said


def _writes_file(item: dict[str, Any]) -> bool:
    """Whether a call's arguments hold an output stream that is a file."""
    return b"file://" in msgspec.json.encode(item)


def _camel(name: str) -> str:
    """The operator that a function is generated from: write_file is WriteFile."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
