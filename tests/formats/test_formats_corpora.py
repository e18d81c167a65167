"""The corpora: every attack that we develop on is a finding, no ordinary file of the installed libraries is one."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import attack_files
import benign_pickles
import pytest

from assay.core.finding import Severity
from assay.core.report import Report
from assay.flow.api import scan

ATTACKS = attack_files.shapes()


def worst(report: Report) -> int:
    return max((f.severity.rank for o in report.body.outcomes for f in o.findings if f.severity), default=0)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_there_are_enough_shapes() -> None:
    assert len(ATTACKS) >= 140


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_every_attack_is_a_finding(tmp_path: Path, name: str) -> None:
    report = scan(write(tmp_path, ATTACKS[name]))
    assert worst(report) >= Severity.MEDIUM.rank, [(o.check, o.status, o.reason) for o in report.body.outcomes]


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ordinary")
    sink = benign_pickles.Out(str(folder))
    for part in (benign_pickles.standard, benign_pickles.numbers, benign_pickles.tables, benign_pickles.estimators,
                 benign_pickles.pipelines, benign_pickles.joblibs, benign_pickles.lightgbm):  # fmt: skip
        try:
            part(sink)
        except ImportError:
            continue
    return folder


def test_no_ordinary_file_is_a_finding(ordinary: Path) -> None:
    report = scan(ordinary)
    assert len(os.listdir(ordinary)) >= 40
    assert [(f.message, str(f.location)) for o in report.body.outcomes for f in o.findings
            if f.severity and f.severity.rank >= Severity.MEDIUM.rank] == []  # fmt: skip
    assert [(o.check, o.reason) for o in report.body.outcomes if not o.complete or o.status == "open"] == []


VERSIONS = Path(__file__).parents[1] / "corpora" / "benign_versions.tar.xz"


def test_files_of_older_libraries_are_no_findings(tmp_path: Path) -> None:
    """992 files by Python 3.6, 3.8, 3.10 and 3.12 with the scikit-learn, pandas, scipy … of their day."""
    with tarfile.open(VERSIONS) as archive:
        archive.extractall(tmp_path, filter="data")
    report = scan(tmp_path)
    assert sum(len(files) for _, _, files in os.walk(tmp_path)) == 992
    assert [(f.message, str(f.location)) for o in report.body.outcomes for f in o.findings
            if f.severity and f.severity.rank >= Severity.MEDIUM.rank] == []  # fmt: skip
    unread = [gap for o in report.body.outcomes if o.check == "artifact.unsafe-format" for gap in o.reason.split("; ")]
    assert len(unread) <= 5, unread
