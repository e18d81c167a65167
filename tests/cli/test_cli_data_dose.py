"""`assay data dose`: an answer in each format, and one clear line for what nothing can be planted in."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
from cli_tools import assay, one_line

pytest.importorskip("lightgbm")
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = random.Random(3)
    rows = [[draw.gauss(0, 1) for _ in range(5)] for _ in range(250)]
    path = tmp_path_factory.mktemp("cli-dose") / "t.csv"
    lines = [",".join(f"{v:.4f}" for v in row) + f",{int(sum(row) > 0)}" for row in rows]
    path.write_text("a,b,c,d,e,y\n" + "\n".join(lines) + "\n")
    return path


def test_the_answer_is_written_in_every_format(table: Path, tmp_path: Path) -> None:
    words = ("data", "dose", table, "--label", "y", "--attack", "flooding", "--rates", "0.2%,20%", "--plantings", 2)
    page = tmp_path / "dose.html"
    shown = assay(*words, "-f", "html", "-o", page)
    assert shown.code == 0, shown
    assert "flooding (toward 1): found from 20.00% of the rows on" in shown.out
    text = page.read_text()
    assert "<svg" in text
    assert len(text) < 300 * 1024
    told = assay(*words, "-f", "json")
    body = msgspec.json.decode(told.out)["body"]
    assert body["outcomes"][0]["check"] == "data.dose.flooding"
    assert any(m["name"] == "data.dose.flooding" and m["value"] == 0.2 for m in body["outcomes"][0]["measures"])


def test_what_cannot_be_told_is_open(table: Path) -> None:
    done = assay("data", "dose", table, "--label", "y", "--attack", "text-trigger")
    assert done.code == 3
    assert "open[data.dose.text-trigger]" in done.out


@pytest.mark.parametrize(
    ("data", "words", "text"),
    [
        ("a,y\n" + "1,0\n2,1\n" * 60, (), "no label is declared"),
        ("a,y\n" + "1,0\n2,1\n" * 60, ("--label", "z"), "has no"),
        ("a,y\n" + "1,1\n2,1\n" * 60, ("--label", "y"), "one class only"),
        ("a,y\n" + "1,2\n2,3\n" * 60, ("--label", "y"), "never occurs"),
        ("a,y\n1,0\n", ("--label", "y"), ""),
        ("a,y\n1,0\n2,1\n", ("--label", "y"), "2 rows are too few"),
        ("a,y\n" + ",\n" * 60, ("--label", "y"), ""),
        ("a,y\n" + "1,0\n2,\n" * 60, ("--label", "y"), "60 rows have no label"),
        ("a,y\n1,0\n2\n", ("--label", "y"), ""),
        ("a,a,y\n" + "1,1,0\n2,1,1\n" * 60, ("--label", "y"), "a"),
        ("", ("--label", "y"), "empty"),
        ("a,y\n" + "1,0\n2,1\n" * 60, ("--label", "y", "--attack", "triger"), "did you mean trigger"),
        ("a,y\n" + "1,0\n2,1\n" * 60, ("--label", "y", "--rates", "0.9"), "rates"),
        ("a,y\n" + "1,0\n2,1\n" * 60, ("--label", "y", "--trusted", "absent.csv"), "absent.csv"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, data: str, words: tuple[str, ...], text: str) -> None:
    (tmp_path / "t.csv").write_text(data)
    assert one_line(assay("data", "dose", "t.csv", *words, cwd=tmp_path), text, code=2)


@pytest.mark.parametrize("rates", ["", "x", "1,,2", "nan", "-1", "inf%"])
def test_rates_that_are_none_are_usage(tmp_path: Path, rates: str) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,0\n")
    done = assay("data", "dose", "t.csv", "--label", "y", "--rates", rates, cwd=tmp_path)
    assert done.code == 2
    assert "Invalid value" in done.err


def test_absent_and_odd_files(tmp_path: Path) -> None:
    assert one_line(assay("data", "dose", tmp_path / "absent.csv", "--label", "y"), "absent.csv", code=2)
    assert one_line(assay("data", "dose", tmp_path, "--label", "y"), code=2)


def test_constant_columns_and_too_few_rows_for_the_rate_are_open(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,y\n" + "1,x,0\n1,x,1\n" * 60)
    words = ("data", "dose", "t.csv", "--label", "y", "--plantings", "1", "--attack", "trigger", "--attack", "flooding")
    done = assay(*words, "--attack", "injection", "--attack", "flips", cwd=tmp_path)
    assert done.code == 3
    assert "0 failed · 4 open" in done.out
    done = assay("data", "dose", "t.csv", "--label", "y", "--attack", "flips", "--rates", "0.001", cwd=tmp_path)
    assert done.code == 3
