"""Models to ONNX, refused unless the conversion scores given and recombined rows alike and flips no decision."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from assay.adapters.convert_lightgbm import booster_of, booster_to_onnx
from assay.adapters.convert_sklearn import sklearn_to_onnx
from assay.adapters.encode import numbers
from assay.adapters.extras import library
from assay.adapters.onnx_predictor import OnnxPredictor
from assay.adapters.predictor_base import class_words, listing
from assay.adapters.tables import Column
from assay.adapters.values import same_value
from assay.core.errors import CouldNotLook, InputError
from assay.core.files import write_whole
from assay.core.finding import Json
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.subject import Kind, Subject
from assay.core.text import visible

PROBES = 2000


class ParityError(InputError):
    """No conversion answers as the original does."""


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How close a conversion is: `rows` compared (given and recombined), greatest difference of a score, and decisions
    that differ.

    `precision` is the float type that the graph's numeric inputs have.
    """

    rows: int
    max_difference: float
    flips: int
    precision: str = "float32"


def to_onnx(
    model: Any,
    columns: Sequence[Column],
    sample: ArrowTable,
    path: Path,
    *,
    threshold: float = 0.5,
    positive: Any = None,
    tolerance: float = 1e-5,
) -> Parity:
    """Write a fitted scikit-learn classifier, or a LightGBM booster (object or text file), as ONNX to `path`.

    `columns` are the inputs in the model's order; with text among them, or for a model fitted on a DataFrame with text,
    the graph takes one input per column, else one tensor. Both models score all of `sample`, and rows recombined from
    its values and from those between them, where a tree's cuts lie; where float32 inputs miss `tolerance` (greatest
    |difference|) or flip a decision at `threshold`, float64 inputs are tried. The file says its features, classes,
    positive class and threshold in `metadata_props`.

    Raises InputError, and leaves no file, when no conversion agrees or the model cannot be converted.
    """
    columns = _ordered(model, columns)
    where = str(path)
    missing = [c.name for c in columns if c.name not in sample.column_names]
    if missing or not sample.num_rows:
        what = f"the sample lacks {listing(missing)}" if missing else "the sample has no rows"
        raise InputError(f"cannot be compared: {what}", where=where, fix="give rows with the model's columns")
    sample = recombined(sample.select([c.name for c in columns]))
    attempts = _lightgbm_attempts(model, columns, sample) or _sklearn_attempts(model, columns, sample)
    graph, parity = agreed(
        attempts, columns, sample, where, threshold=threshold, positive=positive, tolerance=tolerance
    )
    write_whole(path, graph)
    return parity


def agreed(
    attempts: Iterable[Attempt],
    columns: Sequence[Column],
    sample: ArrowTable,
    where: str,
    *,
    threshold: float,
    positive: Any,
    tolerance: float = 1e-5,
) -> tuple[bytes, Parity]:
    """The first attempt whose graph scores every row of `sample` (see `recombined`) as the original does.

    Raises ParityError where there is none, InputError where nothing can be compared.
    """
    best: Parity | None = None
    failure = ""
    for attempt in attempts:
        place = _place(attempt.classes, positive, where)
        meta: dict[str, Json] = {
            "features": [c.name for c in columns],
            "classes": list(attempt.classes),
            "positive": attempt.classes[place],
            "threshold": threshold,
        }
        expected = _scored(attempt, sample, place, where)
        try:
            graph = _with_metadata(attempt.build(), meta)
            parity = _compare(graph, sample, expected, threshold, attempt.precision)
        except (CouldNotLook, InputError) as error:
            failure = failure or str(error)
            continue
        if parity.max_difference <= tolerance and parity.flips == 0:
            return graph, parity
        best = parity if best is None or parity.max_difference < best.max_difference else best
    if best is None:
        raise ParityError(f"refused: {failure}", where=where, fix="ship the original")
    what = f"the conversion differs by up to {best.max_difference:.2g} and flips {best.flips} of {best.rows} decisions"
    raise ParityError(f"refused: {what}", where=where, fix="ship the original, or train on float32 inputs")


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One way to convert: `build` gives a ModelProto, `score(sample, place)` the original's scores."""

    build: Callable[[], Any]
    score: Callable[[ArrowTable, int], FloatArray]
    classes: tuple[Any, ...]
    precision: str


def recombined(sample: ArrowTable) -> ArrowTable:
    """The sample and up to PROBES rows more, twice: columns shuffled apart, and numbers halfway to the next one."""
    np, pa = library("numpy"), library("pyarrow")
    rng = np.random.default_rng(0)
    count = min(PROBES, sample.num_rows)
    shuffled, between = {}, {}
    for name in sample.column_names:
        column = sample.column(name).combine_chunks()
        drawn = column.take(pa.array(rng.permutation(sample.num_rows)[:count]))
        shuffled[name] = between[name] = drawn
        if pa.types.is_floating(column.type):
            values = np.unique(column.to_numpy(zero_copy_only=False))
            values = values[np.isfinite(values)]
            if len(values) > 1:
                middle = (values[:-1] + values[1:]) / 2
                between[name] = pa.array(rng.choice(middle, count), column.type)
    parts = [sample, *(pa.table(part, schema=sample.schema) for part in (shuffled, between))]
    return pa.concat_tables(parts)


def _scored(attempt: Attempt, sample: ArrowTable, place: int, where: str) -> FloatArray:
    try:
        return attempt.score(sample, place)
    except Exception as error:  # an estimator raises whatever its author chose
        first = str(error).partition("\n")[0]
        raise InputError(f"the original cannot score the sample: {visible(first, 160)}", where=where) from None


def _ordered(model: Any, columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns in the order that the estimator was fitted on, where it says so. Raises InputError."""
    names = getattr(model, "feature_names_in_", None)
    by_name = {c.name: c for c in columns}
    if names is None or not set(map(str, names)) & set(by_name):
        return tuple(columns)
    missing = [str(n) for n in names if str(n) not in by_name]
    if missing:
        raise InputError(f"the model reads {listing(missing)}, which `columns` lacks", fix="give all its columns")
    return tuple(by_name[str(n)] for n in names)


def _place(classes: tuple[Any, ...], positive: Any, where: str) -> int:
    if positive is None:
        if len(classes) == 2:
            return 1
        raise InputError(f"has {len(classes)} classes", where=where, fix="say which one is positive")
    for index, value in enumerate(classes):
        if same_value(value, positive):
            return index
    raise InputError(f"`positive` is none of its {class_words(classes)}", where=where, fix="name one of them")


def _lightgbm_attempts(model: Any, columns: tuple[Column, ...], sample: ArrowTable) -> list[Attempt]:
    booster = booster_of(model)
    if booster is None:
        return []
    classes = getattr(model, "classes_", None)
    labels = tuple(_plain(c) for c in classes) if classes is not None else (0, 1)
    if booster.num_model_per_iteration() > 1 and classes is None:
        labels = tuple(range(booster.num_model_per_iteration()))
    source = booster_to_onnx(booster, tuple(c.name for c in columns), sample)
    return [Attempt(build=source.build, score=source.score, classes=labels, precision="float32")]


def _sklearn_attempts(model: Any, columns: tuple[Column, ...], sample: ArrowTable) -> Iterator[Attempt]:
    np, pa = library("numpy"), library("pyarrow")
    if not hasattr(model, "predict_proba"):
        raise InputError(f"a {type(model).__name__} has no predict_proba", fix="give a fitted classifier")
    classes = tuple(_plain(c) for c in model.classes_)
    words = {c.name for c in columns if pa.types.is_string(sample.schema.field(c.name).type)}
    names = [c.name for c in columns]

    def score(rows: ArrowTable, place: int) -> FloatArray:
        if hasattr(model, "feature_names_in_") or words:
            frame = rows.to_pandas()
            answer = model.predict_proba(frame)
        else:
            answer = model.predict_proba(np.column_stack([numbers(rows.column(n)) for n in names]))
        return np.asarray(answer)[:, place].astype(np.float64)

    for precision in ("float32", "float64"):
        build = functools.partial(sklearn_to_onnx, model, names, words, precision)
        yield Attempt(build=build, score=score, classes=classes, precision=precision)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _with_metadata(proto: Any, meta: dict[str, Json]) -> bytes:
    for key, value in meta.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    return bytes(proto.SerializeToString())


def _compare(graph: bytes, sample: ArrowTable, expected: FloatArray, threshold: float, precision: str) -> Parity:
    """Score the graph as it will be scored in use: through the same predictor."""
    np = library("numpy")
    subject = Subject(name="draft", kind=Kind.MODEL, uri="the converted model")
    with OnnxPredictor(graph, subject) as predictor:
        got = predictor.scores(sample)
    return Parity(
        rows=len(got),
        max_difference=float(np.abs(got - expected).max()),
        flips=int(((got >= threshold) != (expected >= threshold)).sum()),
        precision=precision,
    )
