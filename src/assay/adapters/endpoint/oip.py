"""Open Inference Protocol v2, REST (KServe, Triton, MLServer, OpenVINO): metadata, and tensors as JSON.

Both forms are spoken: one input [n, d] of all columns, and one named input for each column.
Source: https://github.com/kserve/open-inference-protocol (inference_rest.md).
"""

from __future__ import annotations

from typing import Any

import msgspec

from assay.adapters.encode import numbers
from assay.adapters.endpoint.answers import Answer, parsed
from assay.adapters.endpoint.options import Options
from assay.adapters.extras import library
from assay.adapters.predictor_base import declared_inputs, listing, require_count, require_numeric
from assay.adapters.remote.url import Url
from assay.adapters.tables import Dataset
from assay.adapters.values import canonical_text, listed
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable
from assay.core.subject import Subject
from assay.core.text import visible

_FLOATS = frozenset({"FP16", "FP32", "FP64", "BF16"})
_WHOLE = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
_KNOWN = _FLOATS | _WHOLE | {"BOOL", "BYTES"}
VERSION = 60
_NAMELESS = "input-0"  # servers that name no input take any name
Row = list[Any]


class Tensor(msgspec.Struct, frozen=True):
    """A tensor of the metadata: -1 in `shape` is any size."""

    name: str
    datatype: str
    shape: list[int] = []

    @property
    def width(self) -> int:
        """Columns that it takes, -1 where it does not say."""
        return self.shape[1] if len(self.shape) > 1 else 1


class Facts(msgspec.Struct, frozen=True):
    """What a server says of a model."""

    name: str
    versions: list[str] | None = None
    platform: str = ""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []


class Oip:
    """One model as a server of the protocol shows it."""

    def __init__(self, facts: bytes, options: Options, subject: Subject, data: Dataset | None) -> None:
        self.where, self._wanted = subject.uri, options.output
        self.url: Url = options.url.below("infer")
        try:
            self.facts = msgspec.convert(parsed(facts, self.where), Facts)
        except msgspec.ValidationError:
            raise CouldNotLook(f"{self.where}: its metadata is none of the Open Inference Protocol") from None
        if odd := [t.name for t in self.facts.inputs if t.datatype not in _KNOWN]:
            raise CouldNotLook(f"{self.where}: inputs {listing(odd)} are of types that no table fills")
        self.identity = msgspec.json.encode(self.facts).decode()
        self.features, self._single = self._columns(subject, data)

    @property
    def said(self) -> str:
        """Name, versions and platform, as the server says them."""
        versions = ", ".join(self.facts.versions or ()) or "none that is told"
        platform = f", {visible(self.facts.platform, 60)}" if self.facts.platform else ""
        return f"{visible(self.facts.name, 80)!r}, versions {visible(versions, 80)}{platform}"

    def rows(self, table: ArrowTable) -> list[Row]:
        """A table of exactly `features` as rows of plain values. Raises CouldNotLook for what no tensor holds."""
        kinds = [self._single.datatype] * len(self.features) if self._single else [t.datatype for t in self._inputs]
        columns = [self._cells(table, n, k) for n, k in zip(self.features, kinds, strict=True)]
        return [list(row) for row in zip(*columns, strict=True)]

    def body(self, rows: list[Row]) -> bytes:
        """The request for a batch."""
        count = len(rows)
        if self._single is not None:
            flat = [value for row in rows for value in row]
            inputs = [_tensor(self._single, [count, len(self.features)], flat)]
        else:
            columns = zip(*rows, strict=True)
            inputs = [
                _tensor(t, [count, 1] if len(t.shape) == 2 else [count], list(c))
                for t, c in zip(self._inputs, columns, strict=True)
            ]
        asked = {"outputs": [{"name": self._wanted}]} if self._wanted else {}
        return msgspec.json.encode({"inputs": inputs, **asked})

    def answer(self, body: bytes, count: int) -> Answer:
        """What a response holds. Raises CouldNotLook for what does not fit `count` rows."""
        found = parsed(body, self.where)
        try:
            outputs = msgspec.convert(found.get("outputs"), list[dict[str, Any]])
            tensors = [msgspec.convert(o, Tensor) for o in outputs]
        except msgspec.ValidationError:
            raise CouldNotLook(f"{self.where}: its answer holds no outputs of the Open Inference Protocol") from None
        at = self._chosen(tensors)
        tensor, data = tensors[at], outputs[at].get("data")
        flat = _flat(data) if isinstance(data, list) else []
        shape = tensor.shape or [len(flat)]
        size = 1
        for each in shape:
            size *= max(each, 0)
        if shape[0] != count or 0 in shape or len(flat) != size or len(shape) > 2:
            what = f"answers {len(flat)} values of shape {shape[:4]} for {count} rows"
            raise CouldNotLook(f"{self.where}: {what}")
        width = shape[1] if len(shape) == 2 and shape[1] != 1 else 0
        if tensor.datatype in _FLOATS and (odd := sum(isinstance(v, str) for v in flat)):
            what = f"answers {odd} words where it declares {tensor.datatype}"
            raise CouldNotLook(f"{self.where}: {what}; numbers are written without quotes")
        version = found.get("model_version")
        return Answer(flat, width, tensor.datatype not in _FLOATS, _version(version))

    @property
    def _inputs(self) -> list[Tensor]:
        return self.facts.inputs

    def _columns(self, subject: Subject, data: Dataset | None) -> tuple[tuple[str, ...], Tensor | None]:
        """(the columns asked for, the one tensor of all of them or None where each has its own)."""
        names = tuple(t.name for t in self._inputs)
        columns = {c.name for c in data.columns} if data else set()
        if len(names) > 1 or (names and set(names) <= columns):
            if wide := [t.name for t in self._inputs if t.width not in (1, -1)]:
                raise CouldNotLook(f"{self.where}: inputs {listing(wide)} of several take more than one column each")
            return names, None
        single = self._inputs[0] if self._inputs else Tensor(_NAMELESS, "FP64", [-1, -1])
        if declared := declared_inputs(subject):
            found, source = declared, "`inputs:`"
        elif data is not None:
            found, source = data.features, data.subject.uri
        else:
            raise CouldNotLook(f"{self.where}: does not say which columns it reads; set `inputs:` or `data:`")
        if single.width > 0 and self._inputs:
            require_count(self.where, found, single.width, source)
        return found, single

    def _cells(self, table: ArrowTable, name: str, kind: str) -> list[Any]:
        column = table.column(name)
        if kind == "BYTES":
            return [v if isinstance(v, str) else canonical_text(v) or "" for v in listed(column)]
        require_numeric(self.where, table, (name,))
        np = library("numpy")
        values = numbers(column)
        if not np.isfinite(values).all():
            what = f"column {visible(name, 60)!r} has rows without a finite value, which no JSON tensor holds"
            raise CouldNotLook(f"{self.where}: {what}; ask rows without missing values, or serve it by MLflow")
        if kind in _FLOATS:
            return values.tolist()  # type: ignore[no-any-return]
        if (values != np.floor(values)).any():
            raise CouldNotLook(f"{self.where}: column {visible(name, 60)!r} wants whole numbers ({kind})")
        return [bool(v) for v in values] if kind == "BOOL" else [int(v) for v in values]

    def _chosen(self, outputs: list[Tensor]) -> int:
        """Which output holds the score: the named one, else probabilities, else the last numbers, else a label."""
        if self._wanted:
            found = [i for i, t in enumerate(outputs) if t.name == self._wanted]
            if not found:
                has = listing([t.name for t in outputs]) or "none"
                raise CouldNotLook(f"{self.where}: has no output {visible(self._wanted, 60)!r}; it has {has}")
            return found[0]
        floats = [i for i, t in enumerate(outputs) if t.datatype in _FLOATS]
        named = [i for i in floats if "prob" in outputs[i].name.lower()]
        order = named or floats or [i for i, t in enumerate(outputs) if t.datatype in _KNOWN]
        if not order:
            raise CouldNotLook(f"{self.where}: has no output that is a score or a label")
        return order[-1] if named or floats else order[0]


def _tensor(tensor: Tensor, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": data}


def _flat(data: list[Any]) -> list[Any]:
    """Values in row-major order; a tensor may come flat or nested."""
    return [v for item in data for v in (_flat(item) if isinstance(item, list) else (item,))]


def _version(told: Any) -> str:
    """A version as it may be shown: a short word or number. Anything else may hold the rows that were sent."""
    plain = isinstance(told, str) and len(str(told)) <= VERSION
    return visible(str(told), VERSION) if plain else "" if told is None else "unreadable"
