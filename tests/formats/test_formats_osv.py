"""OSV databases: every shape is read, damage is told, age comes from the content; versions match as OSV defines it."""

from __future__ import annotations

import json
import os
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import CouldNotLook
from assay.core.finding import Severity
from assay.formats.dependencies.advisories import Judged, judge
from assay.formats.dependencies.cvss import base_score, severity_of
from assay.formats.dependencies.osv import Database, open_database, stale
from assay.formats.dependencies.requirement import Package
from assay.formats.dependencies.versions import Range, affected

NOW = datetime(2026, 6, 30, tzinfo=UTC)
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def record(
    id_: str = "PYSEC-1", name: str = "Some_Pkg", *, events: list[dict[str, str]] | None = None, days: float = 1,
    ecosystem: str = "PyPI", versions: list[str] | None = None, kind: str = "ECOSYSTEM", **more: Any,
) -> dict[str, Any]:  # fmt: skip
    entry: dict[str, Any] = {"package": {"name": name, "ecosystem": ecosystem}}
    if events is not None or versions is None:
        entry["ranges"] = [{"type": kind, "events": events or [{"introduced": "0"}, {"fixed": "2.0"}]}]
    if versions is not None:
        entry["versions"] = versions
    changed = (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.123456Z")
    return {"id": id_, "modified": changed, "affected": [entry], **more}


def write_zip(path: Path, *records: dict[str, Any] | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, item in enumerate(records):
            archive.writestr(f"{number}.json", item if isinstance(item, bytes) else json.dumps(item))
    return path


def opened(path: Path, *names: str) -> Database:
    return open_database(path, names or ("some-pkg",), NOW)


def said_of(tmp_path: Path, version: str, *records: dict[str, Any], ecosystem: str = "pypi") -> Judged:
    database = opened(write_zip(tmp_path / "db.zip", *records))
    return judge(Package(name="some-pkg", version=version, ecosystem=ecosystem), database)


# Reading


@pytest.mark.parametrize("shape", ["zip", "folder", "folder of zips", "one", "list", "answer", "lines"])
def test_every_shape_of_a_database(tmp_path: Path, shape: str) -> None:
    records = [record("PYSEC-1"), record("PYSEC-2", "other"), record("GHSA-3", ecosystem="npm")]
    path = tmp_path / "db"
    if shape == "zip":
        write_zip(path, *records)
    elif shape == "folder of zips":
        (path / "PyPI").mkdir(parents=True)
        write_zip(path / "PyPI" / "all.zip", *records)
    elif shape == "folder":
        (path / "a").mkdir(parents=True)
        for number, item in enumerate(records):
            (path / "a" / f"{number}.json").write_text(json.dumps(item, indent=1))
    elif shape == "one":
        path.write_text(json.dumps(records[0], indent=2))
    elif shape == "list":
        path.write_text(json.dumps(records))
    elif shape == "answer":
        path.write_text(json.dumps({"vulns": records}))
    else:
        path.write_text("\n".join(json.dumps(item) for item in records) + "\n")
    found = opened(path)
    assert found.count == (1 if shape == "one" else 2)
    assert [r.id for r in found.records["some-pkg"]] == ["PYSEC-1"]
    assert "other" not in found.records
    assert not found.unread


def test_a_missing_database_cannot_be_looked_in(tmp_path: Path) -> None:
    with pytest.raises(CouldNotLook, match="cannot be read: no such file"):
        opened(tmp_path / "absent.zip")


def _torn_zip(path: Path) -> None:
    write_zip(path, record())
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"not json", b"PK\x03\x04torn", b'{"id": "x"', b"[" * 100_000])
def test_a_database_that_is_none_cannot_be_looked_in(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "db").write_bytes(content)
    with pytest.raises(CouldNotLook, match="vulnerability database db"):
        opened(tmp_path / "db")


def test_a_torn_zip_and_an_empty_one_cannot_be_looked_in(tmp_path: Path) -> None:
    _torn_zip(tmp_path / "torn.zip")
    with pytest.raises(CouldNotLook):
        opened(tmp_path / "torn.zip")
    with pytest.raises(CouldNotLook, match="holds no record on PyPI"):
        opened(write_zip(tmp_path / "empty.zip"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(CouldNotLook, match="holds no record on PyPI"):
        opened(tmp_path / "folder")


def test_records_of_another_ecosystem_only_are_no_database_of_this_one(tmp_path: Path) -> None:
    with pytest.raises(CouldNotLook, match="holds no record on PyPI"):
        opened(write_zip(tmp_path / "db.zip", record(ecosystem="npm")))


def test_a_torn_record_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    found = opened(write_zip(tmp_path / "db.zip", record(), b'{"id": "PYSEC-9", "modif', b'{"id": 1}'))
    assert found.count == 1
    assert found.unread == ("1.json", "2.json")


def test_a_record_with_a_damaged_body_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "db.zip", record("PYSEC-1"), record("PYSEC-2"))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at = archive.infolist()[0].header_offset
    data[at + 40] ^= 0xFF
    path.write_bytes(data)
    assert opened(path).unread == ("0.json",)


def test_the_age_is_of_the_content_not_of_the_file(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "db.zip", record(days=30), record("PYSEC-2", "other", days=20))
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    found = opened(path)
    assert found.age(NOW) == timedelta(days=20, microseconds=-123456)
    assert stale(found, NOW, timedelta(days=21)) == ""
    assert "days old (newest record 2026-06-10); at most 14 are accepted" in stale(found, NOW, timedelta(days=14))


def test_a_date_ahead_of_now_does_not_renew_a_database(tmp_path: Path) -> None:
    found = opened(write_zip(tmp_path / "db.zip", record(days=40), record("PYSEC-2", days=-4000)))
    assert found.age(NOW) > timedelta(days=39)
    with pytest.raises(CouldNotLook, match="dated in the future"):
        opened(write_zip(tmp_path / "ahead.zip", record(days=-4000)))


def test_a_date_without_a_zone_is_an_unreadable_record(tmp_path: Path) -> None:
    found = opened(write_zip(tmp_path / "db.zip", record(), {**record("PYSEC-2"), "modified": "2026-01-01T00:00:00"}))
    assert found.unread == ("1.json",)


# Versions

V = st.builds(
    lambda a, b, c, s: f"{a}.{b}.{c}{s}",
    st.integers(0, 3), st.integers(0, 3), st.integers(0, 2), st.sampled_from(["", "a1", "rc1", ".post1", ".dev2"]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("version", "events", "hit"),
    [
        ("1.9", [{"introduced": "0"}, {"fixed": "2.0"}], True),
        ("2.0", [{"introduced": "0"}, {"fixed": "2.0"}], False),
        ("2.0rc1", [{"introduced": "0"}, {"fixed": "2.0"}], True),
        ("2.0.post1", [{"introduced": "0"}, {"fixed": "2.0"}], False),
        ("1!0.1", [{"introduced": "0"}, {"fixed": "2.0"}], False),
        ("1.0", [{"introduced": "1.0"}, {"last_affected": "1.0"}], True),
        ("1.0.1", [{"introduced": "1.0"}, {"last_affected": "1.0"}], False),
        ("1.0.1", [{"last_affected": "1.0"}, {"introduced": "1.0"}], False),
        ("2.1.0+cu118", [{"introduced": "2.0"}, {"last_affected": "2.1.0"}], True),
        ("2.5", [{"introduced": "1"}, {"fixed": "2"}, {"introduced": "2.4"}, {"fixed": "2.6"}], True),
        ("2.2", [{"fixed": "2.6"}, {"introduced": "2.4"}, {"fixed": "2"}, {"introduced": "1"}], False),
        ("0.0.dev0", [{"introduced": "0"}], True),
    ],
)
def test_ranges(version: str, events: list[dict[str, str]], hit: bool) -> None:
    assert affected(version, (Range("ECOSYSTEM", tuple(events)),), ()) is hit


@pytest.mark.parametrize(
    ("version", "ranges", "listed", "told"),
    [
        ("1.0", (), ("1.0.0",), True),
        ("1.1", (), ("1.0",), False),
        ("1.1", (), (), None),
        ("1.1", (Range("GIT", ({"introduced": "0"},)),), (), None),
        ("1.1", (Range("GIT", ({"introduced": "0"},)),), ("1.0",), False),
        ("1.1", (Range("ECOSYSTEM", ({"introduced": "0"}, {"fixed": "not one"})),), (), None),
        ("1.1", (Range("ECOSYSTEM", ({"fixed": "1.0"},)),), (), None),
        ("2004d", (Range("ECOSYSTEM", ({"introduced": "0"},)),), (), None),
        ("2004d", (), ("2004d",), True),
    ],
)
def test_what_cannot_be_told_is_neither_yes_nor_no(
    version: str, ranges: tuple[Range, ...], listed: tuple[str, ...], told: bool | None
) -> None:
    assert affected(version, ranges, listed) is told


@settings(max_examples=300, deadline=None)
@given(V, V, V)
def test_one_interval_is_what_packaging_says(version: str, low: str, high: str) -> None:
    version_ = pytest.importorskip("packaging.version").Version
    own, a, b = version_(version), version_(low), version_(high)
    events = ({"introduced": low}, {"fixed": high})
    if a < b:
        assert affected(version, (Range("ECOSYSTEM", events),), ()) is (a <= own < b)
    last = ({"introduced": low}, {"last_affected": high})
    if a <= b:
        assert affected(version, (Range("ECOSYSTEM", last),), ()) is (a <= own <= b)


@settings(max_examples=200, deadline=None)
@given(V, st.lists(V, min_size=2, max_size=6, unique=True), st.randoms())
def test_the_order_of_events_says_nothing(version: str, points: list[str], random: Any) -> None:
    version_ = pytest.importorskip("packaging.version").Version
    points = sorted({version_(p): p for p in points}.values(), key=version_)
    events = [{"introduced" if n % 2 == 0 else "fixed": p} for n, p in enumerate(points)]
    expected = sum(version_(p) <= version_(version) for p in points) % 2 == 1
    random.shuffle(events)
    assert affected(version, (Range("ECOSYSTEM", tuple(events)),), ()) is expected


# Severity

SCORES = {
    CRITICAL: 9.8,
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H": 10.0,
    "CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N": 6.1,
    "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:H": 5.9,
    "CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N": 6.4,
    "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H/E:P": 7.8,
    "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N": 3.1,
    "CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N": 0.0,
}


@pytest.mark.parametrize(("vector", "score"), SCORES.items())
def test_base_scores_that_first_publishes(vector: str, score: float) -> None:
    assert base_score(vector) == score


@pytest.mark.parametrize(
    "vector",
    ["", "7.5", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "CVSS:3.1/AV:N",
     f"{CRITICAL}/AV:L", "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"],
)  # fmt: skip
def test_no_score_is_made_up(vector: str) -> None:
    assert base_score(vector) is None


def test_the_scale() -> None:
    assert [severity_of(s).value for s in (0, 0.1, 3.9, 4.0, 6.9, 7.0, 8.9, 9.0, 10)] == [
        "info", "low", "low", "medium", "medium", "high", "high", "critical", "critical",
    ]  # fmt: skip


# Advisories


def test_aliases_are_one_vulnerability(tmp_path: Path) -> None:
    found = said_of(
        tmp_path, "1.0",
        record("PYSEC-1", aliases=["CVE-1"]),
        record("GHSA-1", aliases=["CVE-1"], severity=[{"type": "CVSS_V3", "score": CRITICAL}], summary="bad\x1b[31m"),
        record("GHSA-2", events=[{"introduced": "0"}, {"fixed": "1.5"}], database_specific={"severity": "LOW"}),
    )  # fmt: skip
    first, second = found.advisories
    assert (first.id, first.aliases, first.severity, first.score) == (
        "CVE-1", ("GHSA-1", "PYSEC-1"), Severity.CRITICAL, 9.8,
    )  # fmt: skip
    assert first.summary == "bad\\x1b[31m"
    assert (second.id, second.severity, second.fixed) == ("GHSA-2", Severity.LOW, ("1.5",))
    assert not found.gaps


def test_aliases_join_over_a_third_record(tmp_path: Path) -> None:
    found = said_of(
        tmp_path, "1.0", record("A-1", aliases=["X-1"]), record("B-1", aliases=["Y-1"]),
        record("C-1", aliases=["X-1", "Y-1"]),
    )  # fmt: skip
    assert len(found.advisories) == 1


@pytest.mark.parametrize(
    ("more", "severity", "rated"),
    [
        ({"database_specific": {"severity": "MODERATE"}}, Severity.MEDIUM, True),
        ({"severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"}], "database_specific": {"severity": "HIGH"}},
         Severity.HIGH, True),
        ({}, Severity.MEDIUM, False),
        ({"database_specific": {"severity": 5}}, Severity.MEDIUM, False),
        ({"severity": None, "aliases": None, "database_specific": None}, Severity.MEDIUM, False),
    ],
)  # fmt: skip
def test_severity_where_there_is_no_score(
    tmp_path: Path, more: dict[str, Any], severity: Severity, rated: bool
) -> None:
    (found,) = said_of(tmp_path, "1.0", record(**more)).advisories
    assert (found.severity, found.rated) == (severity, rated)


def test_a_malicious_package_is_critical(tmp_path: Path) -> None:
    (found,) = said_of(tmp_path, "1.0", record("MAL-2026-1", versions=["1.0"])).advisories
    assert found.severity is Severity.CRITICAL


def test_a_package_malicious_in_every_version_is_told_without_one(tmp_path: Path) -> None:
    every = record("MAL-1", events=[{"introduced": "0"}])
    some = record("MAL-2", versions=["1.0"])
    database = opened(write_zip(tmp_path / "db.zip", every, some, record("GHSA-1", events=[{"introduced": "0"}])))
    found = judge(Package(name="some-pkg", problem="has no fixed version (any)"), database)
    assert [(a.id, a.version, a.severity) for a in found.advisories] == [("MAL-1", "", Severity.CRITICAL)]
    assert found.gaps == ("some-pkg has no fixed version (any)",)


def test_the_same_name_in_another_ecosystem_is_another_package(tmp_path: Path) -> None:
    both = record("GHSA-1")
    both["affected"] += record(ecosystem="npm", events=[{"introduced": "0"}])["affected"]
    assert said_of(tmp_path, "2.5", both) == Judged()
    assert said_of(tmp_path, "1.5", both).advisories


def test_withdrawn_records_count_for_nothing(tmp_path: Path) -> None:
    assert said_of(tmp_path, "1.0", record(withdrawn="2026-01-01T00:00:00Z")) == Judged()


def test_a_mended_version_is_clean(tmp_path: Path) -> None:
    assert said_of(tmp_path, "2.0", record()) == Judged()


def test_a_record_that_cannot_be_compared_is_a_gap(tmp_path: Path) -> None:
    found = said_of(tmp_path, "1.0", record(kind="GIT"))
    assert found.gaps == ("whether PYSEC-1 concerns some-pkg 1.0 cannot be told",)


def test_what_conda_ships_and_the_database_does_not_name_is_a_gap(tmp_path: Path) -> None:
    database = opened(write_zip(tmp_path / "db.zip", record()), "openssl", "some-pkg")
    assert judge(Package(name="openssl", version="3.1", ecosystem="conda"), database).gaps
    assert judge(Package(name="some-pkg", version="1.0", ecosystem="conda"), database).advisories
    assert judge(Package(name="fine", version="3.1"), database) == Judged()
