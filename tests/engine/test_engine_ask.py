"""Asking one check: every way to end has its status, and nothing yielded is lost."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from engine_checks import CUSTOMER

from assay.core.finding import Outcome, Status
from assay.core.subject import Kind, Subject
from assay.engine.inline import InlineExecutor
from assay.engine.task import Task


def task_for(check: str, folder: Path, **more: object) -> Task:
    subject = Subject(name="thing", kind=Kind.ARTIFACT, uri="thing", digest="sha256:" + "1" * 64)
    return Task(check=f"test.{check}", subject="thing", root=str(folder), subjects={"thing": subject}, **more)


def asked(check: str, folder: Path) -> Outcome:
    (_, outcome, _), *rest = InlineExecutor().run([msgspec.json.encode(task_for(check, folder))])
    assert not rest
    return outcome


@pytest.mark.parametrize(
    ("check", "status", "complete", "findings"),
    [
        ("clean", Status.PASS, True, 0),
        ("fails", Status.FAIL, True, 2),
        ("notes", Status.PASS, True, 1),
        ("blind", Status.OPEN, False, 0),
        ("half", Status.FAIL, False, 1),
        ("elsewhere", Status.NOT_APPLICABLE, True, 0),
        ("broken", Status.OPEN, False, 1),
        ("graver", Status.OPEN, False, 0),
        ("unlisted", Status.OPEN, False, 0),
    ],
)
def test_each_way_to_end(check: str, status: Status, complete: bool, findings: int, tmp_path: Path) -> None:
    outcome = asked(check, tmp_path)
    assert (outcome.status, outcome.complete, len(outcome.findings)) == (status, complete, findings)


def test_the_engine_fills_what_the_check_left_out(tmp_path: Path) -> None:
    first, second = asked("fails", tmp_path).findings
    assert (first.check, first.subject, first.severity.value) == ("test.fails", "thing", "high")
    assert second.severity.value == "low"
    assert first.fingerprint != second.fingerprint
    assert first.fingerprint == asked("fails", tmp_path).findings[0].fingerprint


def test_a_broken_check_says_where_and_never_what(tmp_path: Path) -> None:
    reason = asked("broken", tmp_path).reason
    assert "KeyError" in reason
    assert "Jane" not in reason
    assert CUSTOMER not in reason


def test_an_outcome_names_all_it_read(tmp_path: Path) -> None:
    outcome = asked("clean", tmp_path)
    assert outcome.reads == {"thing": "sha256:" + "1" * 64}
    assert outcome.tool.startswith("assay/")
