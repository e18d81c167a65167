"""The network of a pickled scikit-learn estimator: converted to ONNX inside the sandbox, and read as that."""

from __future__ import annotations

import io
import json
from typing import Any

from assay.adapters.convert_sklearn import REFUSED
from assay.adapters.networks.network import Network
from assay.adapters.networks.onnx_network import Asked, onnx_network, parsed
from assay.adapters.predictor_base import listing
from assay.adapters.sandbox import Sandbox
from assay.core.errors import CouldNotLook, InputError
from assay.core.finding import Severity
from assay.formats.artifact import examine

MOST = 1 << 28
PRECISIONS = ("float64", "float32")


def estimator_network(
    sandbox: Sandbox, where: str, features: tuple[str, ...], words: frozenset[str], positive: int, number: int = 0
) -> Network:
    """The network of the estimator that `sandbox` holds; `words` are its text columns, `positive` the class's place,
    `number` that of one trained again.

    Raises CouldNotLook where it cannot be converted, or is no small network.
    """
    failure: Exception = CouldNotLook(f"{where}: could not be converted to ONNX")
    for precision in PRECISIONS:
        ask = {"as": "onnx", "names": list(features), "words": sorted(words), "precision": precision, "trained": number}
        try:
            *blocks, _ = sandbox.stream(b"K", json.dumps(ask).encode(), MOST, "converting")
            graph = _sound(b"".join(blocks), where)
            output = len(graph.graph.output) - 1
            network = onnx_network(graph, where, features, Asked(output, "tensor", positive, None))
        except (CouldNotLook, InputError) as error:
            failure = error
            continue
        network.single = False  # the estimator itself computes in double; `unit` stays that of the weights as written
        network.cut = None  # and finds levels by equality: of whole numbers the graph alone cuts others down
        return network
    if REFUSED in str(failure):  # what the converters say of their own code helps nobody here
        what = "is no small network or linear model that can be converted to ONNX"
        raise CouldNotLook(f"{where}: {what}; attack it with `access: score` or `access: label`") from None
    raise CouldNotLook(f"{where}: could not be read as a network, converted to ONNX: {failure}") from None


def _sound(content: bytes, where: str) -> Any:
    """The child's graph, looked at before it is parsed."""
    facts = examine(io.BytesIO(content), name="result.onnx")
    reasons = [gap.reason for gap in facts.gaps] + [n.message for n in facts.notes if n.severity is not Severity.INFO]
    if facts.format.name != "onnx" or reasons:
        raise CouldNotLook(f"{where}: its conversion to ONNX was refused: {listing(reasons)}")
    return parsed(content, where)
