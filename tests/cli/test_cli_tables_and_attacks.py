"""`assay data check` and `assay attack` on files that no manifest names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli_tools import assay, one_line, outcomes

pytest.importorskip("lightgbm")
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def threat(robust: Path, tmp_path: Path) -> Path:
    """The features of the project's manifest, as a threat file."""
    text = (robust / "assay.yaml").read_text("utf-8")
    path = tmp_path / "threat.yaml"
    path.write_text(text[text.index("features:") : text.index("checks:")], "utf-8")
    return path


def test_a_poisoned_table_against_the_training_data(compromised: Path) -> None:
    done = assay(
        "data", "check", compromised / "data/holdout.csv", "--holdout-of", compromised / "data/train.csv",
        "--label", "is_fraud", "--drop", "upload", "--drop", "payment_id",
        "--skip", "data.label-flips", "--skip", "data.injected-rows", "-f", "json",
    )  # fmt: skip
    found = outcomes(done)
    assert done.code == 1
    assert {s for _, s in found} == {"holdout.csv"}
    assert found["data.split-leakage", "holdout.csv"]["status"] == "fail"
    assert found["data.target-leakage", "holdout.csv"]["findings"][0]["location"]["column"] == "chargeback_days"


def test_two_tables_of_one_name(robust: Path, tmp_path: Path) -> None:
    for name, source in (("a", "train"), ("b", "holdout")):
        (tmp_path / name).mkdir()
        shutil.copy(robust / f"data/{source}.csv", tmp_path / name / "t.csv")
    done = assay(
        "data", "check", tmp_path / "b/t.csv", "--holdout-of", tmp_path / "a/t.csv", "--only", "data.split-leakage"
    )
    assert done.code == 0
    assert "n=2000" in done.out


def test_rows_against_a_threat_file(robust: Path, threat: Path) -> None:
    table = ("data", "check", robust / "data/train.csv", "--only", "data.schema", "--threat", threat)
    assert assay(*table).code == 0
    threat.write_text(threat.read_text("utf-8").replace("max: 5000", "max: 50"), "utf-8")
    done = assay(*table)
    assert done.code == 1
    assert "amount is above 50 in" in done.out


@pytest.mark.parametrize("name", ["model.txt", "data"])
def test_an_attack_on_a_model_file_whatever_its_name(robust: Path, threat: Path, tmp_path: Path, name: str) -> None:
    model = tmp_path / name
    shutil.copy(robust / "models/model.txt", model)
    done = assay(
        "attack", model, "--data", robust / "data/holdout.csv", "--train", robust / "data/train.csv",
        "--label", "is_fraud", "--threat", threat, "--threshold", "0.2", "--rows", "20", "-f", "json",
    )  # fmt: skip
    told = {check: outcome for (check, _), outcome in outcomes(done).items()}
    assert told["data.schema"]["status"] == "pass", "the rows keep the rules that they are attacked under"
    outcome = told["robustness.evasion"]
    assert (done.code, outcome["status"], outcome["reason"]) == (0, "pass", "")
    measures = {m["name"].rpartition(".")[2]: m["value"] for m in outcome["measures"]}
    assert 0 <= measures["recall_under_attack"] <= measures["recall_unattacked"] <= 1


def test_what_an_attack_needs_is_asked_for(robust: Path, threat: Path) -> None:
    model, data = robust / "models/model.txt", robust / "data/holdout.csv"
    assert one_line(assay("attack", model), "--data is needed", code=2)
    assert one_line(assay("attack", model, "--data", data), "--label is needed", code=2)
    assert one_line(assay("attack", model, "--data", data, "--label", "is_fraud"), "--threat", "--norm", code=2)
    wrong = ("attack", model, "--data", data, "--label", "is_fraud", "--threat")
    whole = assay(*wrong, robust / "assay.yaml")
    assert whole.code == 0, "a manifest says what an attacker can change"
    assert "recall_under_attack" in whole.out
    assert one_line(assay(*wrong, robust / "gone.yaml"), "gone.yaml", code=2)
    assert one_line(assay("attack", robust / "gone.txt", *wrong[2:], threat), "gone.txt", code=2)


def test_a_projects_budget_is_set_in_its_manifest(robust: Path) -> None:
    assert one_line(assay("attack", robust, "--cost", "9"), "--cost is for a model file", "assay.yaml", code=2)


def test_a_model_that_carries_code_is_open_not_attacked(robust: Path, threat: Path, evil: Path) -> None:
    done = assay("attack", evil, "--data", robust / "data/holdout.csv", "--label", "is_fraud", "--threat", threat)
    assert done.code == 3
    assert "refused to load" in done.out


def test_suspects_are_never_written_over_what_is_read(tmp_path: Path) -> None:
    pq, csv = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.csv")
    plain, packed = tmp_path / "rows.csv", tmp_path / "rows.parquet"
    plain.write_text("a,y\n" + "".join(f"{i % 7},{i % 2}\n" for i in range(60)))
    pq.write_table(csv.read_csv(plain), packed)
    asked = ("--label", "y", "--only", "data.duplicates", "--suspects")
    for table, out, more in (
        (plain, plain, ()), (packed, packed, ()), (plain, packed, ("--trusted", packed)), (plain, tmp_path, ()),
    ):  # fmt: skip
        before = [p.read_bytes() for p in (plain, packed)]
        one_line(assay("data", "check", table, *asked, out, *more), str(out), code=2)
        assert [p.read_bytes() for p in (plain, packed)] == before
    assert assay("data", "check", plain, *asked, tmp_path / "new.parquet").code in (0, 1)


def test_a_label_that_no_column_has_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,default\n" + "1,0\n2,1\n" * 20)
    assert one_line(
        assay("data", "check", tmp_path / "rows.csv", "--label", "defalt"), "did you mean 'default'", code=2
    )


def test_a_table_of_a_database_is_named_where_it_holds_several(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    held = tmp_path / "held.duckdb"
    with duckdb.connect(str(held)) as connection:
        connection.execute("CREATE TABLE one AS SELECT range AS x, range % 2 AS y FROM range(50)")
        connection.execute("CREATE TABLE two AS SELECT 1 AS z")
    asked = ("data", "check", held, "--only", "data.duplicates")
    done = assay(*asked)
    assert (done.code, "which table? it holds one, two" in done.out) == (3, True)
    done = assay(*asked, "--table", "one")
    assert (done.code, "n=50" in done.out) == (0, True)
    one_line(assay("data", "infer", held), "name one with --table", code=2)
    assert 'table: "one"' in assay("data", "infer", held, "--table", "one").out
    with duckdb.connect(str(held)) as connection:
        connection.execute("DROP TABLE two")
    one_line(assay("harden", held, "--label", "y"), "export it to Parquet", code=2)
