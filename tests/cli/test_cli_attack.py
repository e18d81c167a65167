"""`assay attack`: the rows it writes, threat models and their drafts, and what it refuses in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_tools import Done, assay, one_line, report

lightgbm = pytest.importorskip("lightgbm")
pytest.importorskip("duckdb")

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from pyarrow import csv  # noqa: E402

NAMES = ("amount", "hour", "claims", "shop")
OWN = ["row", "status", "distance", "lower_bound", "queries", "valid"]
here = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows and a booster that was trained on others of their kind."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    X = np.column_stack(
        [rng.gamma(2, 50, 1200).round(2), rng.integers(0, 24, 1200), rng.integers(0, 6, 1200), rng.integers(0, 4, 1200)]
    ).astype(float)
    y = (X[:, 0] / 60 + X[:, 2] - (X[:, 1] > 8) + rng.normal(0, 0.7, 1200) > 4).astype(int)
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(X[:600], y[:600], feature_name=list(NAMES)), 30)
    booster.save_model(folder / "model.txt")
    data = {name: pa.array(X[600:, j]) for j, name in enumerate(NAMES)}
    pq.write_table(pa.table({**data, "fraud": pa.array(y[600:])}), folder / "rows.parquet")
    return folder


def attack(shop: Path, *words: Any) -> Done:
    base = ("attack", shop / "model.txt", "--data", shop / "rows.parquet", "--label", "fraud", "--rows", "30")
    return assay(*base, *words)


def measures(done: Done) -> dict[str, Any]:
    found = report(done)["body"]["outcomes"]
    return {m["name"].rpartition(".")[2]: m for o in found for m in o["measures"]}


def threat(shop: Path, name: str, text: str) -> Path:
    path = shop / name
    path.write_text(text)
    return path


def test_the_rows_it_writes_pass_when_anybody_else_asks_the_model(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    done = attack(shop, "--norm", "linf", "--access", "whitebox", "--examples", out, "-f", "json")
    assert done.code == 0, done
    rows, table = pq.read_table(shop / "rows.parquet"), pq.read_table(out)
    assert table.column_names == [*OWN, *NAMES, "fraud"]
    own = rows.take(table.column("row"))
    before, after = (np.column_stack([t.column(n) for n in NAMES]).astype(float) for t in (own, table))
    model = lightgbm.Booster(model_file=str(shop / "model.txt"))
    status = np.array(table.column("status").to_pylist())
    assert set(own.column("fraud").to_pylist()) == {1}
    assert (model.predict(before)[status == "misclassified"] < 0.5).all()
    evaded = status == "evaded"
    assert evaded.any()
    assert np.array(table.column("valid").to_pylist())[evaded].all()
    assert (model.predict(before)[evaded] >= 0.5).all()
    assert (model.predict(after)[evaded] < 0.5).all()
    assert (model.predict(after.astype(np.float32))[evaded] < 0.5).all(), "a loader of float32 reads the same"
    distance = np.array(table.column("distance").to_pylist())
    assert np.abs(after - before).max(axis=1)[evaded] == pytest.approx(distance[evaded], rel=1e-6)
    assert (np.array(table.column("lower_bound").to_pylist())[evaded] <= distance[evaded] * (1 + 1e-9)).all()
    told = measures(done)
    assert told["evaded_share"]["n"] == evaded.sum() == told["distance"]["n"]
    assert told["distance"]["value"] == pytest.approx(distance[evaded].mean())


def test_any_number_of_workers_writes_the_same_rows(shop: Path, tmp_path: Path) -> None:
    written = []
    for jobs in ("1", "3"):
        out = tmp_path / f"{jobs}.parquet"
        done = attack(shop, "--rows", "200", "--norm", "linf", "--access", "whitebox",
                      "--only", "robustness.evasion", "-j", jobs, "--examples", out, "-f", "json")  # fmt: skip
        assert done.code == 0, done
        assert measures(done)["evaded_share"]["n"] >= 100  # so that there are two parts
        written.append((pq.read_table(out), report(done)["body"]))
    assert written[0] == written[1]


@here
def test_a_threat_that_forbids_every_change_evades_nothing(shop: Path, tmp_path: Path) -> None:
    nothing = threat(shop, "none.yaml", "features:\n" + "".join(f"  {n}: {{mutable: false}}\n" for n in NAMES))
    for access in ("label", "whitebox"):
        out = tmp_path / f"{access}.parquet"
        done = attack(shop, "--threat", nothing, "--access", access, "--examples", out, "-f", "json")
        assert done.code == 3, "nothing was attacked: the gate must not take that for robust"
        status = pq.read_table(out).column("status").to_pylist()
        assert set(status) <= {"certified", "misclassified"}
        assert "certified" in status


@here
@pytest.mark.parametrize(("access", "status"), [("whitebox", "certified"), ("label", "unknown")])
def test_a_threat_that_only_allows_what_helps_nobody_evades_nothing_at_any_distance(
    shop: Path, tmp_path: Path, access: str, status: str
) -> None:
    worse = threat(
        shop, "worse.yaml", "features:\n  claims: {direction: up, min: 0, max: 5}\n"
        + "".join(f"  {n}: {{mutable: false}}\n" for n in NAMES if n != "claims"),
    )  # fmt: skip
    out = tmp_path / "out.parquet"
    words = ("--norm", "linf", "--access", access, "--only", "robustness.evasion", "--examples", out, "-f", "json")
    done = attack(shop, "--threat", worse, *words)
    told = measures(done)
    assert told["recall_under_attack"]["value"] == told["recall_unattacked"]["value"] > 0.5
    assert told["evaded_share"]["value"] == 0
    assert set(pq.read_table(out).column("status").to_pylist()) <= {status, "misclassified"}
    assert not [f for o in report(done)["body"]["outcomes"] for f in o["findings"]], "nothing slipped past"


@here
def test_a_budget_is_evaded_or_certified_and_the_rules_hold(shop: Path, tmp_path: Path) -> None:
    rules = threat(
        shop, "rules.yaml",
        "features:\n  amount: {min: 0, max: 600, step: 5, direction: down, cost: 2}\n"
        "  hour: {min: 0, max: 23, integer: true}\n"
        "  claims: {order: [0, 1, 2, 3, 4, 5], direction: up}\n  shop: {categories: [0, 1, 2, 3], costs: {'2': null}}\n"
        "attacker: {access: whitebox, norm: cost, budget: 1.5}\n",
    )  # fmt: skip
    out = tmp_path / "out.parquet"
    done = attack(shop, "--threat", rules, "--examples", out, "-f", "json", "--only", "robustness.evasion")
    assert done.code == 0, done
    table = pq.read_table(out)
    status = np.array(table.column("status").to_pylist())
    assert set(status) <= {"evaded", "certified", "misclassified"}, "small trees leave nothing unknown"
    assert {"evaded", "certified"} <= set(status)
    own = pq.read_table(shop / "rows.parquet").take(table.column("row"))
    there = np.flatnonzero(status == "evaded")
    before, after = ({n: np.array(t.column(n).to_pylist(), dtype=float)[there] for n in NAMES} for t in (own, table))
    assert (after["amount"] <= before["amount"]).all()
    moved = after["amount"] != before["amount"]
    assert (after["amount"][moved] % 5 == 0).all()
    assert (after["claims"] >= before["claims"]).all()
    assert not ((after["shop"] == 2) & (before["shop"] != 2)).any(), "nobody can change into 2"
    told = measures(done)
    assert told["recall_certified"]["value"] <= told["recall_under_attack"]["value"]
    assert told["unknown_share"]["value"] == 0


@here
def test_a_draft_can_be_attacked_under_at_once(shop: Path) -> None:
    draft = shop / "draft.yaml"
    done = assay("attack", "init", shop / "rows.parquet", "--label", "fraud", "-o", draft)
    assert done.code == 0, done
    text = draft.read_text()
    assert '"amount": {min: 0' in text
    assert "scale:" in text, "amounts and hours are not on one scale"
    assert one_line(assay("attack", "init", shop / "rows.parquet", "-o", draft), "is there already", code=2)
    assert attack(shop, "--threat", draft, "-f", "json").code == 0
    broken = threat(shop, "broken.yaml", text.replace("max: 5,", "max: 3,"))
    done = attack(shop, "--threat", broken)
    assert done.code == 1
    assert "claims is above 3" in done.out, "rows that break the rules they are under are shown"


@here
def test_what_nobody_changes_is_drafted_without_a_range(shop: Path, tmp_path: Path) -> None:
    table = pq.read_table(shop / "rows.parquet")
    table = table.append_column("gender", pa.array([float(i % 2) for i in range(table.num_rows)]))
    pq.write_table(table, tmp_path / "people.parquet")
    done = assay("attack", "init", tmp_path / "people.parquet", "--label", "fraud")
    (line,) = [x for x in done.out.splitlines() if '"gender"' in x]
    assert "mutable: false" in line
    assert "min" not in line, "rows beyond what was seen would break a rule that no attack needs"


@here
def test_a_column_of_the_name_of_ours_keeps_its_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(900, 3))
    y = (X.sum(axis=1) > 0.5).astype(int)
    names = ["status", "row", "assay_row"]
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 1}
    lightgbm.train(settings, lightgbm.Dataset(X[:500], y[:500], feature_name=names), 10).save_model(tmp_path / "m.txt")
    data = {name: pa.array(X[500:, j]) for j, name in enumerate(names)}
    pq.write_table(pa.table({**data, "y": pa.array(y[500:])}), tmp_path / "d.parquet")
    out = tmp_path / "o.parquet"
    words = ("--norm", "linf", "--access", "whitebox", "--rows", "20", "--examples", out)
    done = assay("attack", tmp_path / "m.txt", "--data", tmp_path / "d.parquet", "--label", "y", *words)
    assert done.code == 0, done
    found = pq.read_table(out)
    assert found.column_names == [
        "assay_assay_row", "assay_status", "distance", "lower_bound", "queries", "valid", *names, "y"
    ]  # fmt: skip
    assert set(found["assay_status"].to_pylist()) <= {"evaded", "certified", "unknown", "misclassified"}


@here
def test_an_open_attack_keeps_its_report_where_no_rows_can_be_written(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "never.parquet"
    done = attack(shop, "--norm", "linf", "--threshold", "0.999999", "--examples", out)
    assert done.code == 3
    assert "could not be judged" in done.out
    assert done.err.startswith("assay: ")
    assert "has no rows to hold" in done.err
    assert not out.exists()


@here
def test_what_slips_past_is_not_counted_as_passed(shop: Path) -> None:
    done = attack(shop, "--norm", "linf", "--access", "whitebox")
    assert done.code == 0, done
    assert " 0 passed · 1 noted · " in done.out.splitlines()[-1]


@here
@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (("--norm", "cost"), ("what a change costs", "--threat")),
        (("--norm", "linf", "--cost", "2"), ("--cost is the budget of --norm cost",)),
        (("--threat", "t.yaml", "--budget", "2"), ("not for --norm cost", "use --cost", "`budget:` of `attacker:`")),
        (("--norm", "max"), ("max",)),
    ],
    ids=["no threat", "another budget", "a budget where prices count", "no norm"],
)
def test_what_does_not_go_together_is_one_line(shop: Path, words: tuple[str, ...], texts: tuple[str, ...]) -> None:
    threat(Path.cwd(), "t.yaml", "features: {amount: {}, hour: {}, claims: {}, shop: {}}\n")
    done = attack(shop, *words)
    assert done.code == 2
    assert all(text in done.err for text in texts), done.err
    assert "Traceback" not in done.err


@here
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("features: {amount: {cost: -1}}", "not positive"),
        ("features: {shop: {categories: [a], costs: {a: 0}}}", "not a positive number"),
        ("features: {shop: {categories: [a], costs: {b: 1}}}", "does not list"),
        ("features: {shop: {order: [a, b], costs: {a: 1}}}", "does not list"),
        ("features: {}\nattacker: {queries: 0}", "not a positive number"),
        ("features: {}\nattacker: {access: god}", "attacker"),
    ],
)
def test_a_threat_that_makes_no_sense_is_one_line(shop: Path, text: str, says: str) -> None:
    path = threat(shop, "wrong.yaml", text)
    assert one_line(attack(shop, "--threat", path), "wrong.yaml", says, code=2)


@here
def test_a_project_has_one_threshold_that_of_its_model(tmp_path: Path) -> None:
    (tmp_path / "assay.yaml").write_text("system: {name: s}\nattacker: {threshold: 0.3}\n")
    assert one_line(assay("run", tmp_path), "attacker.threshold", "threshold:", code=2)


@here
@pytest.mark.heavy
def test_the_price_of_a_query_is_the_threat_models(shop: Path) -> None:
    from assay.engine.plan import Settings
    from assay.flow.attack import Attack, attack_model

    what = Attack(
        model=shop / "model.txt",
        data=shop / "rows.parquet",
        label="fraud",
        threat=threat(shop, "priced.yaml", "features: {}\nattacker: {price: 0.5}\n"),
    )
    few: dict[str, Any] = {"queries": 400, "runs": 1, "good": 0.3}
    settings = Settings(only=("theft.extraction",), parameters={"theft.extraction": few}, seed=1)
    (outcome,) = attack_model(what, settings).body.outcomes
    told = {m.name.rpartition(".")[2]: m.value for m in outcome.measures}
    assert told["queries_needed"]
    assert told["price"] == 0.5 * told["queries_needed"]


@here
def test_a_label_that_is_not_there_is_a_slip_of_the_command(shop: Path) -> None:
    done = attack(shop, "--label", "fraudd", "--norm", "linf", "--access", "whitebox")
    assert "did you mean 'fraud'" in one_line(done, "rows.parquet", "no label column", code=2)
    done = attack(shop, "--label", "zzzzzz", "--norm", "linf", "--access", "whitebox")
    assert one_line(done, "its columns are amount, hour, claims, shop, fraud", code=2)


@here
@pytest.mark.parametrize("over", ["model.txt", "rows.parquet", "t.yaml", "/dev/full"])
def test_rows_are_never_written_over_what_is_read_or_onto_a_device(shop: Path, over: str) -> None:
    chosen = threat(shop, "t.yaml", "features: {amount: {}, hour: {}, claims: {}, shop: {}}\n")
    path = shop / over
    before = path.read_bytes() if path.is_file() else b""
    done = attack(shop, "--threat", chosen, "--norm", "linf", "--examples", path)
    said = "would be written over" if before else "is no regular file"
    assert one_line(done, said, code=2)
    assert (path.read_bytes() if before else b"") == before
    assert path.is_file() or path.is_char_device()


@here
def test_rows_are_written_as_the_suffix_says(shop: Path, tmp_path: Path) -> None:
    words = ("--norm", "linf", "--access", "whitebox", "--only", "robustness.evasion", "--examples")
    for name in ("o.parquet", "o.CSV"):
        assert attack(shop, *words, tmp_path / name).code == 0
    first, second = pq.read_table(tmp_path / "o.parquet"), csv.read_csv(tmp_path / "o.CSV")
    assert second.column_names == first.column_names
    for name in first.column_names:
        assert second[name].to_pylist() == first[name].to_pylist(), name
    assert attack(shop, *words, tmp_path / "o.CSV").code == 0, "what an earlier run wrote is replaced"
    assert one_line(attack(shop, *words, tmp_path / "o.txt"), "does not say whether Parquet or CSV", code=2)
    for name, held in (("other.csv", b"row,status\n"), ("old.csv", b"PAR1")):
        (tmp_path / name).write_bytes(held)
        assert one_line(attack(shop, *words, tmp_path / name), "is something else", code=2)
        assert (tmp_path / name).read_bytes() == held


@here
def test_a_draft_without_a_label_says_that_it_takes_the_label_for_an_input(shop: Path) -> None:
    assert assay("attack", "init", shop / "rows.parquet", "--label", "fraud").err == ""
    done = assay("attack", "init", shop / "rows.parquet")
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert "no --label is named" in done.err
    assert '"fraud": {' in done.out


@here
def test_options_may_come_before_the_model(shop: Path) -> None:
    words = ("--norm", "linf", "--access", "whitebox", "--rows", "30", "--data", shop / "rows.parquet")
    first = assay("attack", *words, "--label", "fraud", shop / "model.txt", "-f", "json")
    assert report(first)["body"] == report(attack(shop, *words, "-f", "json"))["body"]
    assert assay("attack", "--help").out.startswith("Usage: assay attack [OPTIONS] MODEL")


def test_usage_is_told_as_it_is_typed() -> None:
    for words in (("model.txt", "--dta"), ("--dta", "model.txt"), ("model", "model.txt", "--dta")):
        done = assay("attack", *words)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Usage: assay attack [OPTIONS] MODEL\nTry 'assay attack --help' for help.\n"), done
    assert assay("attack", "init").err.startswith("Usage: assay attack init [OPTIONS] TABLE\n")


@here
def test_a_label_of_numbers_and_words_is_told_without_a_threat_too(shop: Path, tmp_path: Path) -> None:
    table = pq.read_table(shop / "rows.parquet")
    labels = [str(value) for value in table.column("fraud").to_pylist()]
    words = ("--norm", "linf", "--access", "whitebox", "-f", "json", "--data", tmp_path / "rows.csv")
    for last, told in (("0", []), ("secret", ["fraud holds 1 word among 599 numbers"])):
        csv.write_csv(table.set_column(4, "fraud", pa.array([*labels[:-1], last])), tmp_path / "rows.csv")
        found = report(attack(shop, *words))["body"]["outcomes"]
        schema = [f["message"] for o in found for f in o["findings"] if o["check"] == "data.schema"]
        assert schema == told
        assert ["data.schema"] * len(told) == [o["check"] for o in found if o["check"] != "robustness.evasion"]


@here
def test_a_report_that_could_not_be_written_is_said_before_the_attack(shop: Path) -> None:
    done = attack(shop, "--norm", "linf", "-f", "html", "-o", shop / "nowhere" / "p.html")
    assert one_line(done, "its folder is not there", code=2)


@here
def test_where_nothing_that_was_asked_applies_it_is_no_pass(shop: Path) -> None:
    done = attack(shop, "--norm", "linf", "--only", "fairness.*")
    assert done.code == 3, done


@here
def test_what_is_better_for_a_person_can_be_said(shop: Path) -> None:
    told = [attack(shop, "--norm", "linf", "--only", "fairness.groups", "--protected", "claims", "-f", "json", *more)
            for more in ((), ("--favourable", "flagged"))]  # fmt: skip
    (first,), (second,) = (report(done)["body"]["outcomes"] for done in told)
    assert first["parameters"].get("favourable", "passed") == "passed"
    assert second["parameters"]["favourable"] == "flagged"
