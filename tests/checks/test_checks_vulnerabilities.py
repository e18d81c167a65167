"""supply.vulnerabilities: vulnerable packages are findings; a database that cannot answer is never "nothing found"."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from checks_tools import Bench, finding, said

from assay.core.exhibit import Table
from assay.core.finding import Outcome, Severity, Status
from assay.engine.registry import load

CHECK = "supply.vulnerabilities"
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def record(id_: str, name: str, *, days: float = 1, **more: Any) -> dict[str, Any]:
    changed = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]
    affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}]
    return {"id": id_, "modified": changed, "affected": affected, **more}


def database(folder: Path, *records: dict[str, Any] | bytes, name: str = "osv.zip") -> str:
    with zipfile.ZipFile(folder / name, "w") as archive:
        for number, item in enumerate(records):
            archive.writestr(f"{number}.json", item if isinstance(item, bytes) else json.dumps(item))
    return name


def ask(bench: Bench, text: str, **parameters: Any) -> Outcome:
    (bench.folder / "m").mkdir(exist_ok=True)
    (bench.folder / "m" / "requirements.txt").write_text(text)
    return bench.ask(CHECK, bench.artifact("m"), **parameters)


def test_a_vulnerable_package_fails_with_what_is_known_of_it(bench: Bench) -> None:
    known = record("GHSA-1", "Jinja2", aliases=["CVE-2026-1"], severity=[{"type": "CVSS_V3", "score": CRITICAL}])
    outcome = ask(bench, "jinja2==1.5\n", database=database(bench.folder, known))
    assert (outcome.status, outcome.complete) == (Status.FAIL, True)
    found = finding(outcome, "asks for jinja2 1.5, which is known to be vulnerable (CVE-2026-1")
    assert found.severity is Severity.CRITICAL
    assert (found.location.uri, found.location.line) == ("m/requirements.txt", 1)
    assert found.evidence["ids"] == ["CVE-2026-1", "GHSA-1"]
    assert found.evidence["cvss"] == 9.8
    assert found.fix == "take jinja2 2.0 or later"


def test_a_mended_package_passes_and_says_of_what_and_when(bench: Bench) -> None:
    outcome = ask(bench, "jinja2==2.0\nnumpy==1.26.4\n", database=database(bench.folder, record("GHSA-1", "jinja2")))
    assert (outcome.status, outcome.complete, outcome.findings) == (Status.PASS, True, ())
    (table,) = outcome.exhibits
    assert isinstance(table, Table)
    day = datetime.now(UTC) - timedelta(days=1)
    assert table.rows == (("osv.zip", f"{day:%Y-%m-%d}", 1, 2),)


def test_without_a_database_it_is_not_asked(bench: Bench) -> None:
    outcome = ask(bench, "jinja2==1.5\n")
    assert outcome.status is Status.NOT_APPLICABLE
    assert "no vulnerability database was named" in outcome.reason


def test_without_any_list_it_is_not_asked_either(bench: Bench) -> None:
    (bench.folder / "a.txt").write_text("x")
    outcome = bench.ask(CHECK, bench.artifact("a.txt"), database=database(bench.folder, record("GHSA-1", "x")))
    assert (outcome.status, outcome.reason) == (Status.NOT_APPLICABLE, "no list of packages in it")


@pytest.mark.parametrize("how", ["missing", "torn", "empty", "stale", "ahead"])
def test_a_database_that_cannot_answer_is_open(bench: Bench, how: str) -> None:
    name = "osv.zip"
    if how == "torn":
        (bench.folder / name).write_bytes(b"PK\x03\x04")
    elif how != "missing":
        days = {"stale": 30.0, "ahead": -90.0}.get(how, 1.0)
        database(bench.folder, *([] if how == "empty" else [record("GHSA-1", "other", days=days)]))
    outcome = ask(bench, "jinja2==2.5\n", database=name)
    assert outcome.status is Status.OPEN
    assert "vulnerability database osv.zip" in outcome.reason


def test_a_stale_database_still_tells_what_it_knows(bench: Bench) -> None:
    name = database(bench.folder, record("GHSA-1", "jinja2", days=30))
    outcome = ask(bench, "jinja2==1.5\n", database=name)
    assert (outcome.status, outcome.complete) == (Status.FAIL, False)
    assert "30 days old" in outcome.reason
    assert ask(bench, "jinja2==2.5\n", database=name, max_age_days=31.0).status is Status.PASS


def test_a_package_without_a_version_is_open_and_named(bench: Bench) -> None:
    outcome = ask(bench, "jinja2==2.5\nrequests>=2\n", database=database(bench.folder, record("GHSA-1", "jinja2")))
    assert outcome.status is Status.OPEN
    assert outcome.reason == "m/requirements.txt: requests has no fixed version (>=2)"


def test_a_torn_record_is_open(bench: Bench) -> None:
    name = database(bench.folder, record("GHSA-1", "jinja2"), b'{"id": "GHSA-2", "modi')
    outcome = ask(bench, "jinja2==2.5\n", database=name)
    assert outcome.status is Status.OPEN
    assert outcome.reason == "1 records of osv.zip cannot be read (1.json)"


def test_a_torn_list_is_open(bench: Bench) -> None:
    (bench.folder / "uv.lock").write_text("[[package]\n")
    outcome = bench.ask(CHECK, bench.artifact("uv.lock"), database=database(bench.folder, record("GHSA-1", "x")))
    assert outcome.status is Status.OPEN
    assert "uv.lock" in outcome.reason


def test_a_malicious_package_is_critical(bench: Bench) -> None:
    outcome = ask(bench, "evil==1.0\n", database=database(bench.folder, record("MAL-1", "evil")))
    assert said(outcome) == [("critical", "asks for evil 1.0, which is known to be malicious (MAL-1)")]


def test_the_database_lies_relative_to_the_project_for_nested_subjects(bench: Bench) -> None:
    (bench.folder / "a" / "b").mkdir(parents=True)
    (bench.folder / "a" / "b" / "requirements.txt").write_text("jinja2==1.0\n")
    outcome = bench.ask(CHECK, bench.artifact("a/b"), database=database(bench.folder, record("GHSA-1", "jinja2")))
    assert outcome.status is Status.FAIL


def test_what_reads_the_clock_is_never_remembered() -> None:
    assert load(CHECK).spec.cacheable is False
