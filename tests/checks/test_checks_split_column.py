"""data.split-column: rows and entities in two parts of one table, and the order of the parts in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("duckdb")

from assay.core.finding import Outcome
from assay.core.subject import Contract, Kind, Subject
from assay.engine.plan import Settings
from assay.flow.examine import examine_loose

Rows = list[list[Any]]


def rows(n: int = 600, seed: int = 0) -> Rows:
    """part, who, when, three numbers, y: a fifth of the rows is the test part, the last in time."""
    rng = np.random.default_rng(seed)
    made = zip(*(rng.normal(size=n).round(5) for _ in range(3)), rng.integers(0, 2, n), strict=True)
    return [
        ["test" if i >= n * 0.8 else "train", f"p{i // 2}", i, *map(float, v[:3]), int(v[3])]
        for i, v in enumerate(made)
    ]


def asked(folder: Path, table: Rows, **facts: Any) -> Outcome:
    text = "part,who,when,a,b,c,y\n" + "".join(",".join(map(str, row)) + "\n" for row in table)
    (folder / "t.csv").write_text(text)
    told = {"label": "y", "positive": 1, "split": "part", "entity": "who", "time": "when", **facts}
    subject = Subject(name="t", kind=Kind.DATASET, uri=str(folder / "t.csv"), options=told)
    settings = Settings(jobs=1, only=("data.split-column",))
    (outcome,) = examine_loose({"t": subject}, [(Kind.DATASET, "t")], Contract(), settings).body.outcomes
    return outcome


def test_parts_that_share_nothing_pass(tmp_path: Path) -> None:
    outcome = asked(tmp_path, rows())
    assert (str(outcome.status), outcome.findings) == ("pass", ())
    assert {m.name: m.value for m in outcome.measures} == {
        "data.split_column.shared": 0,
        "data.split_column.entities": 0,
    }


def test_rows_in_two_parts_are_a_finding(tmp_path: Path) -> None:
    table = rows()
    for i in range(60):
        table[-1 - i][3:] = table[i][3:]
    outcome = asked(tmp_path, table)
    assert [f.key for f in outcome.findings] == ["rows:test"]
    assert outcome.findings[0].evidence["shared"] == 60


def test_an_entity_in_two_parts_is_a_high_finding(tmp_path: Path) -> None:
    table = rows()
    for i in range(10):
        table[-1 - i][1] = f"p{i}"
    outcome = asked(tmp_path, table)
    (found,) = outcome.findings
    assert (found.key, str(found.severity), found.evidence["shared"]) == ("entity", "high", 10)


def test_a_training_part_from_after_the_test_is_noted(tmp_path: Path) -> None:
    table = [[p, w, -t, *rest] for p, w, t, *rest in rows()]
    (found,) = asked(tmp_path, table).findings
    assert (found.key, str(found.severity)) == ("order:test", "info")


@pytest.mark.parametrize("part", ["only", ""])
def test_one_part_or_none_is_open(tmp_path: Path, part: str) -> None:
    outcome = asked(tmp_path, [[part, *rest] for _, *rest in rows()])
    assert (str(outcome.status), "parts" in outcome.reason) == ("open", True)


def test_a_tiny_part_is_said_not_to_have_been_looked_at(tmp_path: Path) -> None:
    table = rows()
    table[0][:2] = ["odd'one", "alone"]
    outcome = asked(tmp_path, table)
    assert (str(outcome.status), outcome.complete, "1 parts" in outcome.reason) == ("open", False, True)


def test_no_split_is_not_asked(tmp_path: Path) -> None:
    assert str(asked(tmp_path, rows(), split="").status) == "not-applicable"
