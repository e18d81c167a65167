"""Dossiers for the renderers' tests: a plain one, a hostile one, and a very long one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from assay.core.decision import Decision, PolicyRef, RuleTrace, Verdict
from assay.core.dossier import Dossier
from assay.core.finding import Finding, Location, Measure, Outcome, Severity, Status
from assay.core.release import Material, Release, Role, Terms
from assay.core.report import Body, CheckInfo, Report, Run, SystemInfo
from assay.core.subject import Kind, Stage, Subject

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOSTILE = "\x1b[2J\r\n\u202eevil\u200b<script>alert(1)</script>\"'&\x00\ud800 ../../etc"


def info(check: str = "artifact.pickle-code", severity: Severity = Severity.CRITICAL) -> CheckInfo:
    return CheckInfo(
        id=check, version=1, kind=Kind.ARTIFACT, stage=Stage.PACKAGE, severity=severity, tags=("owasp-ml-2023:ML06",),
        summary="Code that runs when a file is loaded.", help="Code that runs when a file is loaded.\n\nWhy: …",
    )  # fmt: skip


def finding(mark: str = "0" * 32, severity: Severity | None = Severity.CRITICAL, **changes: Any) -> Finding:
    given: dict[str, Any] = {
        "message": "calls os.system while loading", "location": Location(uri="models/claims.pkl", offset=28),
        "fix": "convert it: assay harden models/claims.pkl", "tags": ("owasp-ml-2023:ML06", "atlas:AML.T0011.000"),
        "check": "artifact.pickle-code", "subject": "model", "evidence": {"global": "os.system"}, **changes,
    }  # fmt: skip
    return Finding(severity=severity, fingerprint=mark, **given)


def outcome(check: str = "artifact.pickle-code", status: Status = Status.PASS, **changes: Any) -> Outcome:
    given: dict[str, Any] = {"version": 1, "subject": "model", "subject_digest": "sha256:" + "1" * 64, **changes}
    return Outcome(check=check, status=status, **given)


def dossier(*outcomes: Outcome, decision: Decision | None = None, **body: Any) -> Dossier:
    release = Release(
        system="claims", materials=(Material(name="model", role=Role.MODEL, uri="m.pkl", digest="sha256:" + "1" * 64),),
        threshold={"model": 0.31}, terms=Terms(),
    )  # fmt: skip
    checks = tuple(info(c) for c in sorted({o.check for o in outcomes}))
    given = {
        "system": SystemInfo(name="claims"), "release": release, "outcomes": outcomes, "checks": checks,
        "subjects": (Subject(name="model", kind=Kind.MODEL, uri="m.pkl", digest="sha256:" + "1" * 64),), **body,
    }  # fmt: skip
    run = Run(started=NOW - timedelta(hours=1), seconds=4.2, tool="assay/0.1.0", python="3.11", platform="Linux x86_64")
    return Dossier(report=Report(body=Body(**given), run=run), decision=decision)


def plain() -> Dossier:
    """One finding, one open check, one measure, one that passed, and a decision."""
    recall = Measure(name="performance.recall", value=0.7, low=0.65, high=0.75, n=1000)
    nothing = Measure(name="performance.calibration_error", value=None)
    return dossier(
        outcome(status=Status.FAIL, findings=(finding(),)),
        outcome("performance.holdout", measures=(recall, nothing)),
        outcome("robustness.evasion", Status.OPEN, complete=False, reason="lightgbm is not installed"),
        outcome("artifact.unsafe-format", Status.NOT_APPLICABLE),
        decision=decided(),
    )


def decided(verdict: Verdict = Verdict.DENY, **changes: Any) -> Decision:
    trace = (
        RuleTrace(line=0, rule="evidence agrees", asks="evidence", verdict=Verdict.ALLOW, saw="4 outcomes in 1 bundle"),
        RuleTrace(
            line=4, rule="findings: {severity: critical}", asks="findings", verdict=verdict, saw="1 unwaived",
            reason="1 finding, at most 0 allowed", fix="mend it",
            decided_by=("artifact.pickle-code",), covers=("artifact.pickle-code",),
        ),
    )  # fmt: skip
    policy = PolicyRef(name="release", version=3, digest="sha256:" + "9a2e" * 16)
    given: dict[str, Any] = {"mode": "enforce", "at": NOW, "trace": trace, **changes}
    return Decision(verdict=verdict, release="sha256:" + "4f1c" * 16, policy=policy, **given)


def hostile(text: str = HOSTILE) -> Dossier:
    """Every text that came from an untrusted file or bundle is hostile, even check ids and tags."""
    bad = finding(
        text, message=text, fix=text, tags=(text, text), check=text, subject=text,
        location=Location(uri=text, member=text, column=text), evidence={"x": text},
    )  # fmt: skip
    number = Measure(name=text, value=0.5, versus=text)
    open_ = outcome(text, Status.OPEN, subject=text, reason=text, complete=False)
    trace = (
        RuleTrace(line=1, rule=text, asks="outcome", verdict=Verdict.DENY, saw=text, reason=text, fix=text, check=text),
    )
    said = outcome(text, Status.FAIL, findings=(bad,), measures=(number,))
    return dossier(said, open_, decision=decided(trace=trace), checks=())
