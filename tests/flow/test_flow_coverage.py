"""Coverage: every entry of a framework is evidenced, declared, missing or outside, and never better than it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from assay.core.dossier import Entry
from assay.core.finding import Outcome, Status
from assay.core.release import Material, Release, Role, Terms
from assay.core.report import Body, Report, Run, SystemInfo
from assay.core.subject import Contract, Feature
from assay.flow.coverage import SHOWN, coverage_of
from assay.taxonomy.frameworks import crosswalk, frameworks

RUN = Run(started=datetime(2026, 11, 21, tzinfo=UTC), seconds=1, tool="assay/0", python="3", platform="x")
BARE = SystemInfo(name="claims")
NOTHING = Terms()
FULL = SystemInfo(name="claims", owner="risk@example.com", purpose="flags claims", risk="high")


def report(*outcomes: Outcome, system: SystemInfo = BARE, terms: Terms = NOTHING, code: str = "") -> Report:
    model = Material(name="model", role=Role.MODEL, uri="m.onnx", digest="sha256:" + "1" * 64)
    release = Release(system="claims", materials=(model,), threshold={"model": 0.5}, terms=terms, code=code)
    return Report(body=Body(system=system, release=release, outcomes=outcomes), run=RUN)


def said(check: str, status: Status = Status.PASS, **changes: object) -> Outcome:
    given = {"version": 1, "subject": "model", "subject_digest": "sha256:1", **changes}
    return Outcome(check=check, status=status, **given)  # type: ignore[arg-type]


def entries(given: Report) -> dict[str, Entry]:
    """Every entry by its tag."""
    found = coverage_of(given, None)
    return {f"{p}:{e.id}": e for p, c in zip(SHOWN, found, strict=True) for e in c.entries}


def states(given: Report, source: str) -> set[str]:
    known = entries(given)
    return {known[t].state for t in crosswalk(source) if t in known}


def test_every_entry_of_every_shown_framework_is_there() -> None:
    known = {f.prefix: f for f in frameworks()}
    for prefix, one in zip(SHOWN, coverage_of(report(), None), strict=True):
        assert [(e.id, e.name) for e in one.entries] == list(known[prefix].entries)


@pytest.mark.parametrize(
    ("outcome", "evidenced"),
    [
        (said("robustness.evasion"), True),
        (said("robustness.evasion", Status.FAIL), True),
        (said("robustness.evasion", Status.OPEN), False),
        (said("robustness.evasion", complete=False), False),
        (said("robustness.evasion", Status.NOT_APPLICABLE), False),
    ],
)
def test_only_a_check_that_looked_is_evidence(outcome: Outcome, evidenced: bool) -> None:
    found = states(report(outcome), "robustness.evasion")
    assert found == {"evidenced"} if evidenced else "evidenced" not in found


def test_what_nothing_speaks_of_is_outside_and_has_no_checks() -> None:
    known = entries(report(said("robustness.evasion")))
    assert known["eu-ai-act:Art.73"].state == "outside"
    assert known["eu-ai-act:Art.73"].checks == ()


@pytest.mark.parametrize(
    ("given", "source"),
    [
        (report(system=FULL), "manifest.system"),
        (report(terms=Terms(contract=Contract(features={"age": Feature()}))), "manifest.features"),
        (report(code="8d1f02c77e"), "manifest.training"),
    ],
)
def test_what_the_manifest_says_is_declared_not_evidenced(given: Report, source: str) -> None:
    assert states(given, source) == {"declared"}
    assert states(report(), source) <= {"missing"}


def test_evidence_outranks_a_declaration() -> None:
    declared = Terms(contract=Contract(features={"age": Feature()}))
    shared = set(crosswalk("manifest.system")) & set(crosswalk("data.schema"))
    known = entries(report(said("data.schema"), system=FULL, terms=declared))
    assert {known[t].state for t in shared if t in known} <= {"evidenced"}
