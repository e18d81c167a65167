"""The file that a hardened model becomes, read again and asked before it counts."""

from __future__ import annotations

import io

import numpy as np

from assay.adapters.onnx_predictor import OnnxPredictor
from assay.adapters.sandboxed import SandboxedPredictor
from assay.core.errors import CouldNotLook, VerificationError
from assay.core.finding import Severity
from assay.core.protocols import ArrowTable
from assay.core.subject import Kind, Subject
from assay.core.text import visible
from assay.formats.artifact import examine
from assay.harden.hardening.graph import with_facts
from assay.harden.hardening.outputs import Shown, shown_graph
from assay.harden.hardening.workshop import Made

PRECISIONS = ("float64", "float32")


def written(made: Made, rows: ArrowTable, positive: int) -> tuple[bytes, str]:
    """(the file, its format) of a candidate at its threshold, which decides every row of `rows` as the candidate does.

    ONNX holds the threshold in its metadata; LightGBM's text has no place for it. Raises CouldNotLook where no format
    decides every row the same, VerificationError where our own scan finds what should not be in it.
    """
    model = made.predictor
    if made.content is not None and made.format == "lightgbm":
        return made.content, "lightgbm"
    facts = {"threshold": model.threshold}
    if made.content is not None:
        return _looked_at(with_facts(made.content, facts)), "onnx"
    if not isinstance(model, SandboxedPredictor):
        raise CouldNotLook(f"{model.where}: cannot be written")
    facts |= {"classes": list(model.classes), "positive": model.classes[positive], "features": list(model.features)}  # type: ignore[dict-item]
    expected, why = np.asarray(model.flagged(rows)), ""
    for precision in PRECISIONS:
        try:
            content = _looked_at(with_facts(model.converted(rows, precision), facts))
            with OnnxPredictor(content, Subject(name="result", kind=Kind.MODEL, uri="the result")) as again:
                flips = int((np.asarray(again.flagged(rows)) != expected).sum())
        except CouldNotLook as error:
            why = str(error)
            continue
        if not flips:
            return content, "onnx"
        why = f"{flips} of {len(expected)} decisions differ in ONNX ({precision})"
    raise CouldNotLook(f"it helps, but it could not be written as ONNX: {why}")


def written_shown(model: Shown, content: bytes, rows: ArrowTable, positive: int) -> tuple[bytes, str] | None:
    """(the file, its format) of a model that tells less, `content` being the model's own; None for formats in whose
    files that has no place (LightGBM text, XGBoost, CatBoost, pickles). Raises CouldNotLook, VerificationError."""
    if not isinstance(model.inner, OnnxPredictor):
        return None
    return _looked_at(shown_graph(content, model, positive, rows)), "onnx"


def _looked_at(content: bytes) -> bytes:
    found = examine(io.BytesIO(content), name="result.onnx")
    reasons = [gap.reason for gap in found.gaps] + [n.message for n in found.notes if n.severity is not Severity.INFO]
    if found.format.name != "onnx" or reasons:
        raise VerificationError(f"refused: {visible('; '.join(reasons[:3]), 300)}", where="the result")
    return content
