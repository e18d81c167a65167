"""ONNX models through onnxruntime on the CPU: one tensor of all features, or one input per column."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from assay.adapters.again import LOCAL
from assay.adapters.encode import numbers
from assay.adapters.extras import library
from assay.adapters.onnx_facts import require_self_contained
from assay.adapters.predictor_base import (
    BasePredictor,
    batches,
    declared_inputs,
    listing,
    positive_index,
    require_columns,
    require_count,
    require_numeric,
    threshold_of,
    too_large,
)
from assay.adapters.tables import Dataset
from assay.adapters.values import canonical_text, listed, same_value
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.subject import Subject
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.adapters.ensembles.trees import Trees
    from assay.adapters.networks.network import Network

_FLOATS = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}
_INTEGERS = {"tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(int8)": "int8", "tensor(bool)": "bool"}
_KNOWN = {**_FLOATS, **_INTEGERS, "tensor(string)": "str"}
_FAILED_NODE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : Non-zero status code returned while running (\w+) node"
)
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|[-+]?\d[\d.]*([eE][-+]?\d+)?")


class OnnxPredictor(BasePredictor):
    """A classifier in ONNX. Reads `metadata_props` features, classes, positive and threshold where they are written."""

    kind = "onnx"
    rate = LOCAL  # a graph may count the rows that it is asked

    def __init__(self, content: bytes, subject: Subject, data: Dataset | None = None) -> None:
        super().__init__(subject.uri)
        require_self_contained(content, subject.uri)
        self._content = content
        self._session = _session(content, subject.uri)
        self._inputs = self._session.get_inputs()
        for item in self._inputs:
            if item.type not in _KNOWN:
                raise CouldNotLook(
                    f"{self.where}: input {visible(item.name, 40)!r} is a {item.type}, which no table fills"
                )
        meta = _metadata(self._session)
        self.features = self._feature_names(meta, subject, data)
        require_columns(self.where, self.features, data)
        self._output, self._form = _choose_output(self._session, self.where)

        def find_positive(classes: tuple[Any, ...]) -> int:
            return positive_index(subject, data, classes)

        self._find_positive: Callable[[tuple[Any, ...]], int] = find_positive
        self._positive_value = _positive_value(subject, data, meta)
        self._positive = -1
        self._learn_classes(meta, subject)
        default = meta.get("threshold", 0.5)
        if isinstance(default, bool) or not isinstance(default, int | float):
            default = 0.5
        self.threshold = threshold_of(subject, float(default))
        self.access = "label" if self._form == "label" else "score"
        if data is not None:
            table = data.table(self.features)
            require_numeric(self.where, table, self._numeric())
            self._feeds(table.slice(0, 1))

    def close(self) -> None:
        """Let go of the session."""
        self._session = None

    def trees(self) -> Trees:
        """The trees of the graph, in the columns of its inputs. Raises CouldNotLook where any of it cannot be read."""
        from assay.adapters.ensembles.onnx_trees import onnx_trees, zipped

        if self._form == "label":
            raise CouldNotLook(f"{self.where}: answers labels only; attack it with `access: label`")
        graph = library("onnx").ModelProto.FromString(self._content).graph
        target = self._session.get_outputs()[self._output].name
        if self._positive < 0 and (classes := zipped(graph, target)):
            self.classes = classes
            self._positive = self._find_positive(classes)
        kinds = [_KNOWN[item.type] for item in self._inputs]
        kinds = kinds if len(kinds) == len(self.features) else kinds * len(self.features)
        return onnx_trees(
            graph, target, max(self._positive, 0), self.features, tuple(kinds), self._inside(), self.where
        )

    def network(self, rows: ArrowTable) -> Network:
        """The small network that the graph is; `rows` are any that it reads. Raises CouldNotLook."""
        from assay.adapters.networks.onnx_network import Asked, onnx_network, parsed

        if self._form == "maps" and self._positive < 0:
            self._run(rows.select(list(self.features)).slice(0, 1))  # its answer tells the classes
        positive = self.classes[self._positive] if self._form == "maps" else None
        asked = Asked(self._output, self._form, max(self._positive, 0), positive)
        return onnx_network(parsed(self._content, self.where), self.where, self.features, asked)

    def _inside(self) -> Callable[[str, ArrowTable], Any]:
        """What tensors inside the graph hold for rows."""
        sessions: dict[str, Any] = {}

        def ask(tensor: str, rows: ArrowTable) -> Any:
            feeds = self._feeds(rows)
            if tensor in feeds:
                return feeds[tensor]
            if tensor not in sessions:
                model = library("onnx").ModelProto.FromString(self._content)
                del model.graph.output[:]
                model.graph.output.add().name = tensor
                sessions[tensor] = _session(model.SerializeToString(), self.where)
            try:
                return sessions[tensor].run([tensor], {i.name: feeds[i.name] for i in sessions[tensor].get_inputs()})[0]
            except Exception as error:  # onnxruntime's errors share no base class but Exception
                raise CouldNotLook(f"{self.where}: failed to predict: {_failure(error)}") from None

        return ask

    def _feature_names(self, meta: dict[str, Any], subject: Subject, data: Dataset | None) -> tuple[str, ...]:
        """Input names if they are columns, else metadata, else `inputs:`, else the dataset's features in file order."""
        names = tuple(item.name for item in self._inputs)
        columns = {c.name for c in data.columns} if data else set()
        if len(names) > 1 or set(names) <= columns:
            if wide := [i.name for i in self._inputs if _width(i) not in (1, None)]:
                raise CouldNotLook(f"{self.where}: inputs {listing(wide)} of several take more than one column each")
            return names
        width = _width(self._inputs[0])
        written = meta.get("features")
        if isinstance(written, list) and written and all(isinstance(w, str) for w in written):
            found, source = tuple(written), "its metadata"
        elif declared := declared_inputs(subject):
            found, source = declared, "`inputs:`"
        elif data is not None:
            found, source = data.features, data.subject.uri
        else:
            what = "does not say which columns it reads, and no data is named"
            raise CouldNotLook(f"{self.where}: {what}; set `inputs:` or `data:`")
        if width is not None:
            require_count(self.where, found, width, source)
        return found

    def _learn_classes(self, meta: dict[str, Any], subject: Subject) -> None:
        """The classes from the metadata, else 0..k-1 by the output's width; maps say theirs when they answer."""
        written = meta.get("classes")
        if isinstance(written, list) and len(written) >= 2:
            self.classes = tuple(written)
        elif self._form == "tensor":
            shape = self._session.get_outputs()[self._output].shape
            count = shape[1] if len(shape) == 2 and isinstance(shape[1], int) else 2
            self.classes = tuple(range(max(count, 2)))
        else:
            return
        own = meta.get("positive")
        if own in self.classes and "positive" not in subject.options:
            self._positive = self.classes.index(own)
        else:
            self._positive = self._find_positive(self.classes)

    def _score(self, rows: ArrowTable) -> FloatArray:
        np = library("numpy")
        return np.concatenate([self._run(batch) for batch in batches(rows)])

    def _run(self, rows: ArrowTable) -> FloatArray:
        np = library("numpy")
        if self._session is None:
            raise CouldNotLook(f"{self.where}: is closed")
        name = self._session.get_outputs()[self._output].name
        try:
            answer = self._session.run([name], self._feeds(rows))[0]
        except CouldNotLook:
            raise
        except Exception as error:  # onnxruntime's errors share no base class but Exception
            raise CouldNotLook(f"{self.where}: failed to predict: {_failure(error)}{too_large(rows)}") from None
        if self._form == "maps":
            return self._from_maps(answer)
        values = np.asarray(answer)
        if self._form == "label":
            return self._from_labels(values.reshape(len(values), -1)[:, 0])
        if values.ndim == 1 or values.shape[1] == 1:
            return values.reshape(-1).astype(np.float64)
        if values.ndim != 2 or values.shape[1] <= self._positive:
            what = f"its scores have shape {values.shape}, its classes are {len(self.classes)}"
            raise CouldNotLook(f"{self.where}: {what}")
        return values[:, self._positive].astype(np.float64)

    def _from_maps(self, answer: list[dict[Any, float]]) -> FloatArray:
        np = library("numpy")
        if self._positive < 0:
            self.classes = tuple(answer[0])
            self._positive = self._find_positive(self.classes)
        key = self.classes[self._positive]
        try:
            return np.array([row[key] for row in answer], dtype=np.float64)
        except KeyError:
            raise CouldNotLook(f"{self.where}: an answer of its lacks the positive class") from None

    def _from_labels(self, labels: Any) -> FloatArray:
        np = library("numpy")
        if self._positive_value is None:
            raise CouldNotLook(f"{self.where}: answers labels only; say which one is `positive:`")
        values, inverse = np.unique(labels, return_inverse=True)
        hit = np.array([same_value(v, self._positive_value) for v in values.tolist()], dtype=np.float64)
        return hit[inverse.reshape(-1)]

    def _numeric(self) -> tuple[str, ...]:
        """The columns that are fed as numbers."""
        if len(self._inputs) == 1:
            return () if self._inputs[0].type == "tensor(string)" else self.features
        return tuple(item.name for item in self._inputs if item.type != "tensor(string)")

    def _feeds(self, rows: ArrowTable) -> dict[str, Any]:
        np = library("numpy")
        require_numeric(self.where, rows, self._numeric())
        if len(self._inputs) == 1 and tuple(i.name for i in self._inputs) != self.features:
            only = self._inputs[0]
            if only.type == "tensor(string)":
                return {only.name: np.column_stack([_words(rows.column(n)) for n in self.features])}
            matrix = np.column_stack([numbers(rows.column(n)) for n in self.features])
            return {only.name: self._cast(matrix, only.type, only.name)}
        feeds = {}
        for item in self._inputs:
            column = rows.column(item.name)
            if item.type == "tensor(string)":
                values: Any = _words(column)
            else:
                values = self._cast(numbers(column), item.type, item.name)
            feeds[item.name] = values.reshape(-1, 1) if len(item.shape) == 2 else values
        return feeds

    def _cast(self, values: FloatArray, kind: str, name: str) -> Any:
        np = library("numpy")
        if kind in _INTEGERS and not np.isfinite(values).all():
            raise CouldNotLook(f"{self.where}: input {visible(name, 40)!r} wants integers, but values are missing")
        whole = _INTEGERS.get(kind, "bool")
        if kind == "tensor(bool)" and ((values != 0) & (values != 1)).any():
            what = f"input {visible(name, 40)!r} wants truth values, but a value is neither 0 nor 1"
            raise CouldNotLook(f"{self.where}: {what}")
        if whole != "bool" and ((values < np.iinfo(whole).min) | (values >= -float(np.iinfo(whole).min))).any():
            raise CouldNotLook(f"{self.where}: input {visible(name, 40)!r} wants {kind}, but a value is larger")
        # A value beyond float32's range becomes infinite there, as it does where the model is served.
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(values, dtype=_KNOWN[kind])


def _session(content: bytes, where: str) -> Any:
    ort = library("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # sums in another order would make a score depend on the machine
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Weights in other files are refused before; were one overlooked, it would be sought where no file can be.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return ort.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class but Exception
        text = str(error)
        what = "cannot be loaded"
        if "not a registered function/op" in text or "unregistered" in text.lower() or "No Op registered" in text:
            what = "uses operators that onnxruntime does not have (a custom domain?)"
        elif "Protobuf parsing failed" in text or "INVALID_PROTOBUF" in text:
            what = "is torn or not an ONNX model"
        raise CouldNotLook(f"{where}: {what}: {visible(_without_values(text), 160)}") from None


def _failure(error: Exception) -> str:
    """An error of a run by its type and the operator that failed: onnxruntime's words hold values of the rows."""
    at = _FAILED_NODE.match(str(error))
    return f"{type(error).__name__} in {visible(at[1], 40)}" if at else type(error).__name__


def _without_values(text: str) -> str:
    """An error of loading without what is quoted, listed or a number: constants of a model can be its training rows."""
    return _VALUES.sub("…", text.removeprefix("[ONNXRuntimeError] : "))


def _metadata(session: Any) -> dict[str, Any]:
    """`metadata_props` whose values are JSON; others are left out."""
    out: dict[str, Any] = {}
    for key, value in session.get_modelmeta().custom_metadata_map.items():
        try:
            out[key] = json.loads(value)
        except (ValueError, RecursionError):
            continue
    return out


def _positive_value(subject: Subject, data: Dataset | None, meta: dict[str, Any]) -> Any:
    for value in (subject.options.get("positive"), meta.get("positive"), data.positive if data else None):
        if value is not None:
            return value
    return 1


def _width(item: Any) -> int | None:
    """How many columns an input takes: 1 for a vector, None when the graph leaves it open."""
    if len(item.shape) < 2:
        return 1
    return item.shape[1] if isinstance(item.shape[1], int) else None


def _choose_output(session: Any, where: str) -> tuple[int, str]:
    """(which output holds the scores, its form: tensor, maps or label)."""
    outputs = session.get_outputs()
    named = [i for i, o in enumerate(outputs) if o.type in _FLOATS and "prob" in o.name.lower()]
    floats = named or [i for i, o in enumerate(outputs) if o.type in _FLOATS]
    if floats:
        return floats[-1], "tensor"
    for index, item in enumerate(outputs):
        if item.type.startswith("seq(map("):
            return index, "maps"
    for index, item in enumerate(outputs):
        if item.type in _INTEGERS or item.type == "tensor(string)":
            return index, "label"
    raise CouldNotLook(f"{where}: has no output that is a score or a label")


def _words(column: Any) -> Any:
    """A column as an object array of strings, "" for missing, shape (n,); numbers in their plain spelling."""
    np = library("numpy")
    encoded = column.combine_chunks().dictionary_encode()
    values = listed(encoded.dictionary)
    words = np.array([v if isinstance(v, str) else canonical_text(v) or "" for v in values] + [""], dtype=object)
    return words[encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)]
