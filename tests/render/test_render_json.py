"""JSON: the report as it is, described by its own schema, the same bytes for the same report."""

from __future__ import annotations

import json

import msgspec
import pytest
from render_dossier import HOSTILE, dossier, hostile, outcome, plain

from assay.core.exhibit import Curve, Series
from assay.core.finding import Measure, Status
from assay.render.structured import JsonReport, render_json

jsonschema = pytest.importorskip("jsonschema")
SCHEMA = msgspec.json.schema(JsonReport)


def exhibited() -> object:
    line = Series(name="s", x=(0.0, 1.0), y=(0.0, 1.0), low=(0.0, 0.5), high=(0.5, 1.0))
    drawn = Curve(name="c", title="t", subtitle="s", x_label="x", y_label="y", series=(line,))
    return dossier(outcome(exhibits=(drawn,), parameters={"a": [1, {"b": None}]}))


@pytest.mark.parametrize("given", [plain(), dossier(outcome()), exhibited()], ids=["plain", "small", "exhibits"])
def test_it_is_what_its_schema_describes(given: object) -> None:
    text = render_json(given)  # type: ignore[arg-type]
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert [error.message for error in validator.iter_errors(json.loads(text))] == []


def test_the_schema_refuses_what_is_no_report() -> None:
    value = json.loads(render_json(plain()))
    value["body"]["outcomes"][0]["status"] = "great"
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(value)


def test_it_reads_back_as_the_same_report() -> None:
    saved = msgspec.json.decode(render_json(plain()), type=JsonReport)
    assert saved.body == plain().report.body
    assert saved.decision == plain().decision
    assert saved.body.digest == plain().report.body.digest


def test_the_same_report_is_the_same_bytes() -> None:
    one = dossier(outcome(parameters={"a": 1, "b": 2}, reads={"x": "1", "y": "2"}))
    two = dossier(outcome(parameters={"b": 2, "a": 1}, reads={"y": "2", "x": "1"}))
    assert render_json(one) == render_json(two)


def test_a_number_that_is_none_is_null() -> None:
    text = render_json(dossier(outcome(measures=(Measure(name="m", value=float("nan"), low=float("-inf")),))))
    (measure,) = json.loads(text)["body"]["outcomes"][0]["measures"]
    assert measure["value"] is None
    assert "NaN" not in text
    assert "Infinity" not in text


def test_control_characters_are_escaped() -> None:
    (said,) = hostile(HOSTILE.replace("\ud800", "")).report.body.outcomes[0].findings
    text = render_json(dossier(outcome(status=Status.FAIL, findings=(said,))))
    assert not [c for c in text if c < " " and c != "\n"]
    assert json.loads(text)["body"]["outcomes"][0]["findings"][0]["message"] == said.message
