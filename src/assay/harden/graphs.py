"""An estimator as ONNX: converted inside the sandbox, compared outside with what the sandboxed original scores."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from assay.adapters.convert import Attempt, ParityError, agreed, recombined
from assay.adapters.convert_lightgbm import booster_to_onnx
from assay.adapters.extras import library
from assay.adapters.sandbox import ModelFacts, Sandbox
from assay.adapters.sandboxed import as_numbers
from assay.adapters.tables import Column, Dataset
from assay.core.errors import InputError, VerificationError
from assay.core.finding import Scalar, Severity
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.text import visible
from assay.formats.artifact import examine
from assay.harden.result import Made, Proof
from assay.harden.source import Source

MOST_GRAPH = (2 << 30) - 1  # protobuf's own bound
_BATCH = 65_536


def write_onnx(
    source: Source,
    sandbox: Sandbox,
    facts: ModelFacts,
    out: BinaryIO,
    data: Dataset,
    names: tuple[str, ...],
    *,
    threshold: float = 0.5,
    positive: Scalar = None,
) -> Made:
    """Write the classifier that `sandbox` holds to the draft `out`; its scores agree on the columns `names` of
    `data`, and on rows recombined.

    Raises VerificationError where no conversion agrees (within 1e-5, and no decision flips at `threshold`), InputError
    where nothing can be compared, CouldNotLook.
    """
    columns = tuple(data.column(name) for name in names)
    sample = recombined(data.table(tuple(c.name for c in columns)))
    attempts: Iterable[Attempt]
    if facts.module.partition(".")[0] == "lightgbm":
        attempts = _lightgbm(sandbox, facts, columns, sample)
    else:
        attempts = _sklearn(sandbox, facts, columns, sample)
    try:
        graph, parity = agreed(attempts, columns, sample, source.where, threshold=threshold, positive=positive)
    except ParityError as error:
        raise VerificationError(error.what, where=source.where, fix=error.fix) from None
    _refuse_odd(graph, source.where)
    out.write(graph)
    out.flush()
    return Made(
        proof=Proof(
            kind="scores",
            rows=parity.rows,
            max_difference=parity.max_difference,
            flips=parity.flips,
            threshold=threshold,
            precision=parity.precision,
        )
    )


def _score(sandbox: Sandbox, facts: ModelFacts, method: str, rows: ArrowTable, place: int) -> FloatArray:
    """The original's scores of the class at `place`, shape (n,)."""
    rows = rows if facts.features is not None else as_numbers(rows)
    starts = range(0, rows.num_rows, _BATCH)
    return library("numpy").concatenate([sandbox.scores(rows.slice(s, _BATCH), method, place) for s in starts])


def _sklearn(sandbox: Sandbox, facts: ModelFacts, columns: tuple[Column, ...], sample: ArrowTable) -> Iterator[Attempt]:
    types = library("pyarrow").types
    if "predict_proba" not in facts.methods or facts.classes is None:
        raise InputError(f"a {visible(facts.type, 60)} has no predict_proba", fix="--to skops keeps any estimator")
    names = [c.name for c in columns]
    words = [name for name in names if types.is_string(sample.schema.field(name).type)]
    for precision in ("float32", "float64"):
        ask = {"as": "onnx", "names": names, "words": words, "precision": precision}
        yield Attempt(
            build=functools.partial(_graph, sandbox, ask),
            score=functools.partial(_score, sandbox, facts, "predict_proba"),
            classes=facts.classes,
            precision=precision,
        )


def _lightgbm(sandbox: Sandbox, facts: ModelFacts, columns: tuple[Column, ...], sample: ArrowTable) -> list[Attempt]:
    """The booster comes out of the sandbox as LightGBM's own text, which holds no code."""
    lightgbm = library("lightgbm")
    text = _whole(sandbox, {"as": "booster"})
    try:
        booster = lightgbm.Booster(model_str=text.decode())
    except (ValueError, lightgbm.basic.LightGBMError):
        raise InputError("holds a booster that LightGBM does not read back", fix="ship the original") from None
    classes = facts.classes or tuple(range(max(2, booster.num_model_per_iteration())))
    made = booster_to_onnx(booster, tuple(c.name for c in columns), sample)
    method = "predict_proba" if "predict_proba" in facts.methods else "predict"
    score = functools.partial(_score, sandbox, facts, method)
    return [Attempt(build=made.build, score=score, classes=classes, precision="float32")]


def _graph(sandbox: Sandbox, ask: dict[str, Any]) -> Any:
    """The child's graph as a ModelProto, scanned before it is parsed."""
    data = _whole(sandbox, ask)
    _refuse_odd(data, "the converted model")
    return library("onnx").load_model_from_string(data)


def _whole(sandbox: Sandbox, ask: dict[str, Any]) -> bytes:
    blocks = list(sandbox.stream(b"K", json.dumps(ask).encode(), MOST_GRAPH, "converting"))
    return b"".join(blocks[:-1])


def _refuse_odd(graph: bytes, where: str) -> None:
    """Refuse a graph in which our own reader sees files outside, unknown operators and the like."""
    facts = examine(io.BytesIO(graph), name="result.onnx")
    reasons = [gap.reason for gap in facts.gaps]
    reasons += [note.message for note in facts.notes if note.severity is not Severity.INFO]
    if facts.format.name != "onnx" or reasons:
        raise VerificationError(f"refused: the result {visible('; '.join(reasons[:3]), 300)}", where=where)
