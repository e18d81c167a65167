"""MLflow's scoring server: POST /invocations with `dataframe_split`, answered by {"predictions": …}.

Predictions are numbers, labels, lists (one number a class), or records; which field of a record is the score says
`output:`. The server says nothing of the model: neither its name nor its version.
Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/ (forms of requests and answers).
"""

from __future__ import annotations

from typing import Any

import msgspec

from assay.adapters.encode import numbers
from assay.adapters.endpoint.answers import Answer, parsed
from assay.adapters.endpoint.options import Options
from assay.adapters.extras import library
from assay.adapters.predictor_base import declared_inputs
from assay.adapters.tables import Dataset
from assay.adapters.values import listed, same_value
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable
from assay.core.subject import Subject
from assay.core.text import visible

Row = list[Any]


class Mlflow:
    """One model behind MLflow's scoring server."""

    identity = ""
    said = "MLflow scoring: it tells neither name nor version"

    def __init__(self, options: Options, subject: Subject, data: Dataset | None, positive: Any) -> None:
        self.where, self.url, self._wanted, self._positive = subject.uri, options.url, options.output, positive
        found = declared_inputs(subject) or (data.features if data is not None else ())
        if not found:
            raise CouldNotLook(f"{self.where}: does not say which columns it reads; set `inputs:` or `data:`")
        self.features = found

    def rows(self, table: ArrowTable) -> list[Row]:
        """A table of exactly `features` as rows of plain values; missing ones are null."""
        types = library("pyarrow").types
        columns = []
        for name in self.features:
            column = table.column(name)
            kind = column.type
            plain = types.is_floating(kind) or types.is_decimal(kind)
            values = numbers(column).tolist() if plain else listed(column)
            columns.append([None if v != v or v in (float("inf"), -float("inf")) else v for v in values])
        return [list(row) for row in zip(*columns, strict=True)]

    def body(self, rows: list[Row]) -> bytes:
        """The request for a batch."""
        return msgspec.json.encode({"dataframe_split": {"columns": list(self.features), "data": rows}})

    def answer(self, body: bytes, count: int) -> Answer:
        """What a response holds. Raises CouldNotLook for what does not fit `count` rows."""
        found = parsed(body, self.where).get("predictions")
        if isinstance(found, dict):
            found = found[self._field(list(found))]
        if not isinstance(found, list):
            raise CouldNotLook(f"{self.where}: its answer holds no list of predictions")
        if len(found) != count:
            raise CouldNotLook(f"{self.where}: answers {len(found)} predictions for {count} rows")
        if found and all(isinstance(v, dict) for v in found):
            field = self._field(list(found[0]))
            found = [v.get(field) for v in found]
        if not any(isinstance(v, list) for v in found):
            return Answer(found)
        widths = {len(v) if isinstance(v, list) else -1 for v in found}
        if len(widths) != 1 or 0 in widths:
            raise CouldNotLook(f"{self.where}: answers lists of several lengths, or lists and values")
        width = widths.pop()
        return Answer([v for row in found for v in row], 0 if width == 1 else width)

    def _field(self, names: list[str]) -> str:
        """The field of a record that is the score or the label."""
        if self._wanted:
            if self._wanted not in names:
                raise CouldNotLook(f"{self.where}: has no field {visible(self._wanted, 60)!r} among its {len(names)}")
            return self._wanted
        likely = [n for n in names if "prob" in n.lower() or "score" in n.lower()]
        for found in (names, [n for n in names if same_value(n, self._positive)], likely):
            if len(found) == 1:
                return found[0]
        raise CouldNotLook(f"{self.where}: answers {len(names)} fields; say which is the score by `output:`")
