"""SARIF 2.1.0, as code-scanning services take it: the 5,000 gravest results, stable fingerprints, open checks told."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from assay.core.dossier import Dossier
from assay.core.finding import Finding, Location, Outcome, Severity, Status
from assay.core.report import CheckInfo
from assay.core.text import visible

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST = 5000

_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "0.0"}


def render_sarif(dossier: Dossier) -> str:
    """The log as JSON text."""
    body = dossier.report.body
    findings = sorted(
        (f for o in body.outcomes for f in o.findings),
        key=lambda f: (-(f.severity or Severity.CRITICAL).rank, f.fingerprint),
    )
    rules = {info.id: index for index, info in enumerate(body.checks)}
    notes = [_open_note(o, rules) for o in body.outcomes if o.status is Status.OPEN or not o.complete]
    if len(findings) > MOST:
        text = f"{len(findings) - MOST} findings of lower severity are left out; the JSON report has all."
        notes.append({"level": "warning", "message": {"text": text}})
    worst: dict[str, Severity] = {}
    for finding in findings:
        grave = finding.severity or Severity.CRITICAL
        worst[finding.check] = max(grave, worst.get(finding.check, grave), key=lambda severity: severity.rank)
    run = {
        "tool": {
            "driver": {
                "name": "Assay",
                "semanticVersion": dossier.report.run.tool.partition("/")[2],
                "rules": [_rule(c, worst.get(c.id)) for c in body.checks],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not any(n["level"] == "error" for n in notes),
                "toolExecutionNotifications": notes,
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [_result(f, rules) for f in findings[:MOST]],
        "properties": {"bodyDigest": body.digest, "release": body.release.digest if body.release else None},
    }
    log: dict[str, Any] = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode() + "\n"


def _rule(info: CheckInfo, worst: Severity | None) -> dict[str, Any]:
    """A check as a rule. Trackers sort by the rule's severity alone: it is that of the gravest finding here."""
    return {
        "id": info.id,
        "name": "".join(part.title() for part in info.id.replace(".", "-").split("-")),
        "shortDescription": {"text": info.summary},
        "fullDescription": {"text": info.summary},
        "help": {"text": info.help},
        "defaultConfiguration": {"level": _LEVELS[info.severity.value]},
        "properties": {
            "tags": list(dict.fromkeys(["security", *info.tags])),
            "security-severity": _SCORES[(worst or info.severity).value],
            "stage": info.stage.value,
            "version": info.version,
        },
    }


def _result(finding: Finding, rules: dict[str, int]) -> dict[str, Any]:
    severity = (finding.severity or Severity.CRITICAL).value
    text = visible(finding.message, 2000)
    text += "" if text.endswith((".", "!", "?")) else "."
    text += f" Fix: {visible(finding.fix, 1000)}" if finding.fix else ""
    return {
        "ruleId": finding.check,
        **({"ruleIndex": rules[finding.check]} if finding.check in rules else {}),
        "level": _LEVELS[severity],
        "message": {"text": text},
        "locations": [_location(finding.location)],
        "partialFingerprints": {"assay/v1": finding.fingerprint},
        "properties": {
            "severity": severity,
            "confidence": finding.confidence.value,
            "subject": finding.subject,
            "tags": list(dict.fromkeys(finding.tags)),
            "evidence": finding.evidence,
        },
    }


def _location(where: Location) -> dict[str, Any]:
    physical: dict[str, Any] = {
        "artifactLocation": {
            "uri": quote(where.uri.replace("\\", "/").encode("utf-8", "backslashreplace"), safe="/-._~!$&'()*+,;=@")
        }
    }
    if where.line is not None:
        physical["region"] = {"startLine": max(1, where.line)}
    elif where.offset is not None:
        physical["region"] = {"byteOffset": where.offset, "byteLength": 0}
    location: dict[str, Any] = {"physicalLocation": physical}
    inside = where.member or where.column
    if inside:
        location["logicalLocations"] = [{"name": visible(inside), "kind": "member"}]
    return location


def _open_note(outcome: Outcome, rules: dict[str, int]) -> dict[str, Any]:
    text = f"{outcome.check} could not be judged on {visible(outcome.subject)}: {visible(outcome.reason)}"
    return {
        "level": "error",
        "message": {"text": text},
        "associatedRule": {"id": outcome.check, "index": rules.get(outcome.check, -1)},
    }
