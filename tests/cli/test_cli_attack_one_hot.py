"""One-hot columns from the draft of a threat model to attacked rows and notices, and what is refused of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_tools import assay, one_line, report

lightgbm = pytest.importorskip("lightgbm")
pytest.importorskip("duckdb")

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

pytestmark = pytest.mark.usefixtures("here")
HOUSING = ("housing_rent", "housing_own", "housing_with_parents", "housing_boat")
NAMES = ("amount", *HOUSING, "age")


@pytest.fixture(scope="module")
def loans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows whose housing is told by columns of truth values, of which the last is never true, and a booster."""
    folder = tmp_path_factory.mktemp("loans")
    rng = np.random.default_rng(1)
    housing, amount, age = rng.integers(0, 3, 1500), rng.gamma(2, 50, 1500).round(), rng.integers(20, 70, 1500)
    X = np.column_stack([amount, *(housing == k for k in range(4)), age]).astype(float)
    y = (amount / 60 - 2.0 * (housing == 1) + rng.normal(0, 0.5, 1500) > 1).astype(int)
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(X[:800], y[:800], feature_name=list(NAMES)), 30)
    booster.save_model(folder / "model.txt")
    columns = {n: pa.array(X[:, j]) if n in ("amount", "age") else pa.array(X[:, j] == 1) for j, n in enumerate(NAMES)}
    table = pa.table({**columns, "late": pa.array(y)})
    pq.write_table(table.slice(0, 800), folder / "train.parquet")
    pq.write_table(table.slice(800), folder / "rows.parquet")
    done = assay("attack", "init", folder / "train.parquet", "--label", "late", "-o", folder / "threat.yaml")
    assert done.code == 0, done
    return folder


def attack(loans: Path, *words: Any) -> Any:
    base = ("attack", loans / "model.txt", "--data", loans / "rows.parquet", "--label", "late", "--rows", "40")
    return assay(*base, "--threat", loans / "threat.yaml", *words)


def test_a_draft_says_one_category_where_columns_tell_one(loans: Path) -> None:
    text = (loans / "threat.yaml").read_text()
    named = ", ".join(f'"{n}"' for n in HOUSING)
    assert f'  "housing": {{one_hot: [{named}]}}' in text
    assert text.count("housing_own") == 1
    assert "constraints:" not in text


@pytest.mark.parametrize("access", ["whitebox", "label"])
def test_rows_come_back_with_one_of_the_columns_set(loans: Path, tmp_path: Path, access: str) -> None:
    out = tmp_path / "out.parquet"
    done = attack(loans, "--norm", "cost", "--access", access, "--examples", out, "-f", "json", "--only",
                  "robustness.evasion")  # fmt: skip
    assert done.code == 0, done
    table = pq.read_table(out).filter(pa.compute.field("status") == "evaded")
    assert table.num_rows >= 10
    own = pq.read_table(loans / "rows.parquet").take(table.column("row"))
    assert table.select(NAMES).schema.equals(own.select(NAMES).schema)
    after, before = (np.column_stack([t.column(n).to_numpy() for n in NAMES]).astype(float) for t in (table, own))
    assert (after[:, 1:5].sum(axis=1) == 1).all()
    assert (after[:, 1:5] != before[:, 1:5]).any(), "the model falls for another housing"
    booster = lightgbm.Booster(model_file=str(loans / "model.txt"))
    assert (booster.predict(before) >= 0.5).all()
    assert (booster.predict(after) < 0.5).all()
    names = {x["label"] for o in report(done)["body"]["outcomes"] for e in o["exhibits"] for x in e.get("steps", ())}
    assert names <= {"amount", "housing", "age"}


def test_a_person_is_told_of_the_category(loans: Path) -> None:
    words = ("--data", loans / "rows.parquet", "--label", "late", "--threat", loans / "threat.yaml")
    rows = [x for n in range(12) for x in ("--row", n)]
    done = assay("attack", "notice", loans / "model.txt", *words, *rows)
    assert done.code == 0, done
    assert "another housing (own instead of " in done.out
    assert "housing_" not in done.out


def test_rows_that_tell_two_categories_are_shown_and_left_out(loans: Path, tmp_path: Path) -> None:
    table = pq.read_table(loans / "rows.parquet")
    both = table.column("housing_own").to_pylist()
    late = table.column("late").to_pylist()
    hit = next(i for i, v in enumerate(late) if v and not both[i])
    both[hit] = True
    torn = table.set_column(table.column_names.index("housing_own"), "housing_own", pa.array(both))
    pq.write_table(torn, tmp_path / "torn.parquet")
    only = ("--only", "data.schema", "--only", "robustness.evasion")
    done = attack(loans, "--data", tmp_path / "torn.parquet", "--access", "whitebox", *only, "-f", "json")
    outcomes = {o["check"]: o for o in report(done)["body"]["outcomes"]}
    (finding,) = [f for f in outcomes["data.schema"]["findings"] if "constraint" in f["message"]]
    assert "1 row breaks the constraint" in finding["message"]
    assert "one of its 4 columns is 1" in finding["message"]
    assert finding["location"]["row"] == hit
    measures = {m["name"]: m["value"] for m in outcomes["robustness.evasion"]["measures"]}
    assert measures["robustness.evasion.excluded_share"] == pytest.approx(1 / sum(late))


def test_a_group_that_does_not_fit_the_rows_is_one_line(loans: Path, tmp_path: Path) -> None:
    text = (loans / "threat.yaml").read_text()
    (tmp_path / "gone.yaml").write_text(text.replace('"housing_boat"', '"housing_tent"'))
    done = attack(loans, "--threat", tmp_path / "gone.yaml", "--only", "robustness.evasion", "-f", "json")
    assert done.code == 3
    (outcome,) = report(done)["body"]["outcomes"]
    assert "housing_boat" in outcome["reason"]
    (tmp_path / "twice.yaml").write_text(text.replace("features:\n", "features:\n  housing_own: {mutable: false}\n"))
    assert one_line(attack(loans, "--threat", tmp_path / "twice.yaml"), "a column of the one-hot group housing", code=2)


def test_a_draft_says_what_may_be_a_group_and_whom_it_is_about(loans: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    sex, kind, claim = rng.integers(0, 2, 300), rng.integers(0, 3, 300), rng.integers(0, 3, 300)
    flags = {"Sex_Male": sex == 0, "Sex_Female": sex == 1, "kind_b": kind == 1, "kind_c": kind == 2}
    flags |= {f"Address_Change_{w}": claim == k for k, w in enumerate(("no", "1 year", "2 to 3 years"))}
    table = pa.table({**{n: pa.array(v) for n, v in flags.items()}, "amount": rng.normal(size=300), "late": sex})
    pq.write_table(table, tmp_path / "t.parquet")
    lines = assay("attack", "init", tmp_path / "t.parquet", "--label", "late").out.splitlines()
    (told,) = [x for x in lines if x.startswith('  "Sex"')]
    assert "mutable: false, one_hot:" in told, "a protected attribute in columns is one all the same"
    assert any(x.startswith('  "Address_Change": {one_hot:') for x in lines)
    (hint,) = [x for x in lines if "never 1 together" in x]
    assert '"kind": {one_hot: ["kind_b", "kind_c"], all_zero: "kind other"}' in hint
    assert hint.strip().startswith("#")
    flags |= {f"Address_Change_4 to {k} years": (claim == 2) & (amount == k) for k, amount in ((8, claim), (9, claim))}
    wide = pa.table({**{n: pa.array(v) for n, v in flags.items()}, "late": sex})
    pq.write_table(wide, tmp_path / "wide.parquet")
    drafted = assay("attack", "init", tmp_path / "wide.parquet", "--label", "late").out.splitlines()
    assert any(x.startswith('  "Address_Change": {one_hot:') for x in drafted)
    assert [x for x in drafted if "never 1 together" in x and "Address" in x] == [], "no hint of what is in a group"
    (alone,) = [
        x for x in assay("attack", "init", _without(tmp_path, "Sex_Female"), "--label", "late").out.splitlines()
        if '"Sex_Male"' in x
    ]  # fmt: skip
    assert "mutable: false" in alone


def _without(folder: Path, column: str) -> Path:
    pq.write_table(pq.read_table(folder / "t.parquet").drop_columns([column]), folder / "fewer.parquet")
    return folder / "fewer.parquet"


def test_torn_rows_are_shown_with_training_rows_too(loans: Path, tmp_path: Path) -> None:
    table = pq.read_table(loans / "rows.parquet")
    place = table.column_names.index("housing_boat")
    pq.write_table(
        table.set_column(place, "housing_boat", pa.array([True] * table.num_rows)), tmp_path / "torn.parquet"
    )
    done = attack(loans, "--data", tmp_path / "torn.parquet", "--train", loans / "train.parquet",
                  "--only", "data.schema", "-f", "json")  # fmt: skip
    found = [f for o in report(done)["body"]["outcomes"] if o["check"] == "data.schema" for f in o["findings"]]
    assert [f["location"]["uri"] for f in found if "constraint" in f["message"]] == [str(tmp_path / "torn.parquet")]
