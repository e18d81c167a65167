"""artifact.model-code: code and files that a model's own graph or layers ask for"""

from __future__ import annotations

from collections.abc import Iterator

from assay.checks.noted import report
from assay.core.artifact import Artifact
from assay.core.check import check
from assay.core.finding import Finding, Severity
from assay.core.subject import Kind, Stage
from assay.formats.reading import Topic


@check(
    "artifact.model-code",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.CRITICAL,
    cost="instant",
    tags=("owasp-ml-2023:ML06", "atlas:AML.T0011.000", "atlas:AML.T0018.002"),
)
def model_code(artifact: Artifact) -> Iterator[Finding]:
    """Code that a model's own graph or layers run, and files that they reach for.

    Why: a format that holds no pickle can still hold a program. A Keras Lambda layer carries Python bytecode, a
    TensorFlow graph can read and write files, an ONNX model can name operators that live in somebody's library or
    weights in a file outside its folder. It runs when the model is loaded or at the first prediction.

    How it decides: the file is read by our own parsers to its last structure, without the library it was made for and
    without its tensors: every operator of ONNX, TensorFlow and TensorFlow Lite graphs, every layer of a Keras
    configuration (in HDF5 too), every external file that is named, and the sizes and places of all tensors in
    safetensors and GGUF. Operators and layers that run code or touch files are findings; those that no written list
    knows are noted. A file that contradicts itself or breaks off is open.

    Fix: ask for the model without such layers, as plain ONNX or safetensors, and load nothing in an unsafe mode.

    References: TensorFlow's SECURITY.md; Keras safe_mode; ONNX IR specification; MITRE ATLAS AML.T0018.002.
    """
    yield from report(artifact, Topic.MODEL_CODE, "no file in it is of a model format that this check reads")
