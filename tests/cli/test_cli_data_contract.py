"""`assay data infer`, `data manifest` and `data check --threat DRAFT`: drafted, enforced, and nothing overwritten."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import pytest
from cli_tools import assay, one_line, outcomes

from assay.config.manifest import load_project

pytest.importorskip("lightgbm")
pytestmark = pytest.mark.usefixtures("here")


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def orders(rows: int = 400) -> dict[str, list[Any]]:
    rng = random.Random(5)
    net = [rng.randrange(100, 900) * 10 for _ in range(rows)]
    tax = [rng.randrange(1, 90) * 10 for _ in range(rows)]
    return {
        "order": [f"o-{i:05d}" for i in range(rows)],
        "net": net,
        "tax": tax,
        "gross": [a + b for a, b in zip(net, tax, strict=True)],
        "gender": [rng.choice("fm") for _ in range(rows)],
        "e mail: 'x' #": [f"p{i}@mail.example.org" for i in range(rows)],
        "plan": [rng.choice(["a", "b", "no", "1"]) for _ in range(rows)],
        "fraud": [int(rng.random() < 0.2) for _ in range(rows)],
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "orders.csv", orders())


def test_a_draft_loads_and_its_own_table_keeps_it(file: Path, tmp_path: Path) -> None:
    done = assay("data", "infer", file, "--label", "fraud", "-o", tmp_path / "assay.yaml")
    assert done.code == 0, done.err
    project = load_project(tmp_path)
    subject = project.subjects["data"]
    assert (subject.options["id"], list(subject.options["protected"])) == ("order", ["gender"])  # type: ignore[arg-type]
    assert "gross == net + tax" in project.contract.constraints
    assert project.contract.features["gender"].mutable is False
    text = (tmp_path / "assay.yaml").read_text("utf-8")
    assert "PERSONAL DATA (mail addresses)" in text
    assert "mail.example.org" not in text, "values of people's columns are not listed"
    checked = assay("data", "check", file, "--threat", tmp_path / "assay.yaml", "--only", "data.schema", "-f", "json")
    (outcome,) = outcomes(checked).values()
    assert (checked.code, outcome["status"], outcome["parameters"]["unique"][0]) == (0, "pass", "order")


def test_violations_of_a_draft_name_their_rows(file: Path, tmp_path: Path) -> None:
    draft = tmp_path / "assay.yaml"
    assert assay("data", "infer", file, "--label", "fraud", "-o", draft).code == 0
    broken = orders()
    broken["net"][7] = 15
    broken["plan"][9] = broken["plan"][11] = "z"
    broken["order"][3] = broken["order"][2]
    broken["gender"][5] = None
    write(file, broken)
    done = assay("data", "check", file, "--threat", draft, "--only", "data.schema", "-f", "json")
    (outcome,) = outcomes(done).values()
    assert done.code == 1
    told = {f["message"]: f["location"].get("row") for f in outcome["findings"]}
    assert told == {
        "net is below 1000 in 1 row": 7,
        "net is not on the step 10 in 1 row": 7,
        "plan is none of the listed values in 2 rows (rows 9, 11)": 9,
        "order should be unique and repeats a value in 1 row": 3,
        "gender is missing in 1 row": 5,
        "1 row breaks the constraint 'gross == net + tax'": 7,
    }


def test_nothing_is_overwritten(file: Path, tmp_path: Path) -> None:
    there = tmp_path / "assay.yaml"
    there.write_text("mine")
    assert one_line(assay("data", "infer", file, "-o", there), "is there already", code=2)
    assert one_line(assay("data", "manifest", file, "-o", there), "is there already", code=2)
    assert there.read_text() == "mine"
    shown = assay("data", "infer", file, cwd=tmp_path)
    assert (shown.code, "features:" in shown.out) == (0, True)


def test_a_manifest_written_is_a_manifest_kept(file: Path, tmp_path: Path) -> None:
    paper = tmp_path / "data.provenance.yaml"
    words = (
        "--source",
        "us",
        "--licence",
        "CC0: 'x' #",
        "--consent",
        "none",
        "--collected",
        "2024-01-01",
        "2024-02-01",
    )
    assert assay("data", "manifest", file, *words, "--collected-by", "me", "-o", paper).code == 0
    check = ("data", "check", file, "--provenance", paper, "--only", "data.provenance", "-f", "json")
    done = assay(*check)
    assert (done.code, next(iter(outcomes(done).values()))["status"]) == (0, "pass")
    with file.open("a") as stream:
        stream.write("o-9,1,2,3,f,x,a,0\n")
    (outcome,) = outcomes(assay(*check)).values()
    assert [f["severity"] for f in outcome["findings"]] == ["critical"]


@pytest.mark.parametrize("days", [("2024-13-01", "2024-01-01"), ("2024-02-01", "2024-01-01"), ("x", "y")])
def test_days_that_are_none(file: Path, tmp_path: Path, days: tuple[str, str]) -> None:
    paper = tmp_path / "p.yaml"
    assert one_line(assay("data", "manifest", file, "--collected", *days, "-o", paper), "--collected", code=2)
    assert not paper.exists()


def test_files_elsewhere_are_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    done = assay("data", "manifest", file, "-o", tmp_path / "inner/p.yaml")
    assert one_line(done, "does not lie below", code=2)
    assert one_line(assay("data", "manifest", tmp_path / "gone.csv", "-o", tmp_path / "p.yaml"), "gone.csv", code=2)


BAD = {
    "empty": b"",
    "header": b"a,b\n",
    "one row": b"a,b\n1,x\n",
    "nulls": b"a,b\n,\n,\n,\n",
    "one class": b"a,y\n" + b"1,1\n" * 50,
    "mixed": b"a,y\n" + b"1,0\nword,1\n" * 40,
    "infinite": b"a,y\n" + b"inf,0\n1.5,1\n-inf,0\n" * 40,
    "duplicate names": b"a,a\n1,2\n",
    "ragged": b"a,b\n1,2\n3\n4,5,6\n",
    "binary": bytes(range(256)) * 20,
    "latin": "größe,y\n1,0\n2,1\n".encode("latin-1"),
    "odd names": b'"a: b","<<","`c`","- d","#e"\n' + b"1,2,3,4,5\n2,3,4,5,6\n" * 60,
    "wide": b",".join(b"c%d" % i for i in range(120)) + b"\n" + (b",".join([b"1"] * 120) + b"\n") * 30,
    "zones": b"t,y\n2024-01-01T00:00:00Z,1\n2024-01-01T00:00:00+02:00,0\n",
    "huge": b"a,y\n" + b"".join(b"v%d,%d\n" % (i, i % 2) for i in range(30_000)),
}


@pytest.mark.parametrize("kind", sorted(BAD))
def test_bad_tables_give_a_draft_or_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(BAD[kind])
    done = assay("data", "infer", path, "-o", tmp_path / "assay.yaml")
    if done.code:
        assert one_line(done, "bad.csv", code=2)
        return
    load_project(tmp_path)
    if kind not in ("mixed", "infinite", "odd names", "huge"):  # a worker starts for each: not for all
        return
    checked = assay("data", "check", path, "--threat", tmp_path / "assay.yaml", "--only", "data.schema", "-f", "json")
    (outcome,) = outcomes(checked).values()
    found = [f["message"] for f in outcome["findings"] if f["severity"] == "high" and "infinite" not in f["message"]]
    assert found == [] or kind == "infinite", found
