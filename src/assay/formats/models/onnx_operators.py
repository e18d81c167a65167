"""Which ONNX operators a runtime brings along, and which need code that is not in the model."""

from __future__ import annotations

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.models.facts import Facts
from assay.formats.models.onnx_names import NAMES

# TensorProto.DataType: the name and bits of an element; 0 bits where an element has no fixed size.
TYPES: dict[int, tuple[str, int]] = {
    0: ("undefined", 0),
    1: ("float32", 32),
    2: ("uint8", 8),
    3: ("int8", 8),
    4: ("uint16", 16),
    5: ("int16", 16),
    6: ("int32", 32),
    7: ("int64", 64),
    8: ("string", 0),
    9: ("bool", 8),
    10: ("float16", 16),
    11: ("float64", 64),
    12: ("uint32", 32),
    13: ("uint64", 64),
    14: ("complex64", 64),
    15: ("complex128", 128),
    16: ("bfloat16", 16),
    **{17 + i: (name, 8) for i, name in enumerate(("f8e4m3fn", "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz"))},
    21: ("uint4", 4),
    22: ("int4", 4),
    23: ("f4e2m1", 4),
    24: ("f8e8m0", 8),
    25: ("uint2", 2),
    26: ("int2", 2),
    27: ("f6e2m3", 0),
    28: ("f6e3m2", 0),
}
# Domains whose operators a published runtime implements itself (onnxruntime: ContribOperators.md and its internals).
STANDARD = frozenset(
    {
        *("", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training", "ai.onnx.training"),
        *("com.microsoft", "com.microsoft.nchwc", "com.microsoft.experimental", "com.microsoft.dml"),
        *("com.ms.internal.nhwc", "com.ms.internal"),
    }
)
# Published native extensions; what they call is fixed by them and not by the model.
_EXTENSIONS = frozenset({"ai.onnx.contrib", "com.microsoft.extensions"})
_PYTHON = frozenset({"PythonOp", "PythonOpGrad", "PyOp", "PyCustomOp", "ATen", "ATenGrad", "ATenOp"})
_NETWORK = frozenset(
    {
        *("AzureAudioToText", "AzureTextToText", "AzureTritonInvoker", "OpenAIAudioToText"),
        *("AzureOpenAIAudioToText", "AzureOpenAIChat"),
    }
)


def judge_operators(facts: Facts, used: set[tuple[str, str]], defined: set[tuple[str, str]]) -> None:
    """Note the operators, as (domain, name), that are neither a runtime's own nor functions of the model.

    A function of the model gives its operator a meaning from within: that covers its own name only, not its domain.
    """
    foreign: dict[str, list[str]] = {}
    unknown: list[str] = []
    for domain, operator in sorted(used - defined):
        name = f"{domain}.{operator}" if domain else operator
        if operator in _PYTHON and domain != "ai.onnx.ml":
            facts.note(
                Severity.HIGH,
                f"python-operator:{operator}",
                f"holds an operator '{visible(name, 80)}', which calls code of the Python process by its name",
                fix="export the model without Python operators",
            )
        elif operator in _NETWORK and domain not in ("", "ai.onnx"):
            facts.note(
                Severity.HIGH,
                f"network-operator:{operator}",
                f"holds an operator '{visible(name, 80)}', which sends its inputs to a server that the model names",
                fix="call the server from your own code, where its address is reviewed",
            )
        elif domain not in STANDARD:
            foreign.setdefault(domain, []).append(operator)
        elif domain in NAMES and operator not in NAMES[domain]:
            unknown.append(name)
    if unknown and not facts.is_torn:
        facts.note(
            Severity.LOW,
            "unknown-operators",
            f"needs operators that ONNX does not define ({', '.join(visible(name, 60) for name in unknown[:3])})",
            evidence={"operators": [visible(name, 80) for name in unknown[:20]]},
            fix="name and review the library that implements these, or export it without them",
        )
    for domain, operators in foreign.items():
        shown = ", ".join(visible(f"{domain}.{operator}", 60) for operator in operators[:3])
        more = f" and {len(operators) - 3} more" if operators[3:] else ""
        facts.note(
            Severity.INFO if domain in _EXTENSIONS else Severity.MEDIUM,
            f"foreign-operator:{domain}",
            f"needs operators that no runtime brings along ({shown}{more}): to run it, native code must be loaded",
            evidence={"domain": visible(domain, 120), "operators": [visible(o, 80) for o in operators[:20]]},
            fix="export it with standard operators, or name and review the library that implements these",
        )
