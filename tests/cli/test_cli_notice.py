"""`assay attack notice`: what a person is told holds on the real model, and nothing is claimed that is not proved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_tools import Done, assay, one_line

lightgbm = pytest.importorskip("lightgbm")
pytest.importorskip("duckdb")

import numpy as np  # noqa: E402

NAMES = ("PastNumberOfClaims", "Deductible", "AmountClaimed", "Age")
PEOPLE = """features:
  PastNumberOfClaims: {integer: true, mutable: false, person: {direction: down, min: 0}}
  Deductible: {min: 300, max: 700, step: 100, person: {cost: 1}}
  AmountClaimed: {min: 0, person: {direction: down}}
  Age: {person: {mutable: false}}
"""


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("claims")
    rng = np.random.default_rng(0)
    n = 1500
    X = np.column_stack(
        [
            rng.integers(0, 8, n),
            rng.choice([300, 400, 500, 700], n),
            rng.gamma(2, 500, n).round(2),
            rng.integers(16, 80, n),
        ]
    ).astype(float)
    y = X[:, 0] * 0.6 + X[:, 2] / 700 - (X[:, 1] - 300) / 200 + rng.normal(0, 0.4, n) > 3.2
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 1, "num_leaves": 7}
    booster = lightgbm.train(settings, lightgbm.Dataset(X, label=y.astype(int), feature_name=list(NAMES)), 30)
    booster.save_model(folder / "m.txt")
    lines = [",".join([*NAMES, "fraud"])]
    lines += [f"{int(a)},{int(b)},{c:.2f},{int(d)},{int(f)}" for (a, b, c, d), f in zip(X, y, strict=True)]
    (folder / "d.csv").write_text("\n".join(lines) + "\n")
    (folder / "people.yaml").write_text(PEOPLE)
    (folder / "flagged").write_text(json.dumps(np.flatnonzero(booster.predict(X) >= 0.5).tolist()))
    return folder


def notice(claims: Path, *words: Any, threat: str = "people.yaml") -> Done:
    base = ("attack", "notice", claims / "m.txt", "--data", claims / "d.csv", "--label", "fraud")
    return assay(*base, *(("--threat", claims / threat) if threat else ()), *words)


def flagged(claims: Path) -> list[int]:
    return json.loads((claims / "flagged").read_text())


def threat(claims: Path, name: str, text: str) -> str:
    (claims / name).write_text(text)
    return name


def test_every_notice_holds_when_anybody_else_asks_the_model(claims: Path) -> None:
    rows = flagged(claims)[:4]
    done = notice(claims, *(w for r in rows for w in ("--row", r)), "-f", "json")
    assert done.code == 0, done
    told = json.loads(done.out)
    data = np.loadtxt(claims / "d.csv", delimiter=",", skiprows=1)
    model = lightgbm.Booster(model_file=str(claims / "m.txt"))
    assert [r["row"] for r in told["rows"]] == rows
    seen = 0
    for one in told["rows"]:
        sets = []
        for way in one["notices"]:
            x = data[one["row"], :4].copy()
            for change in way["changes"]:
                place = NAMES.index(change["column"])
                assert x[place] == change["now"]
                x[place] = change["then"]
            assert model.predict(x[None])[0] < 0.5
            assert x[0] <= data[one["row"], 0]
            assert x[1] in (300, 400, 500, 600, 700)
            assert x[2] <= data[one["row"], 2]
            assert x[3] == data[one["row"], 3], "nobody can change their age"
            sets.append({c["column"] for c in way["changes"]})
            assert way["text"].startswith("With ")
            seen += 1
        assert len(sets) <= 3
        assert [len(s) for s in sets] == sorted(len(s) for s in sets), "sparse first"
        assert not [(a, b) for i, a in enumerate(sets) for b in sets[i + 1 :] if a <= b]
    assert seen >= 4
    assert "no promise" in told["about"][0]
    assert len(told["about"]) == 1


def test_the_text_is_plain_language(claims: Path) -> None:
    done = notice(claims, *(w for r in flagged(claims)[:6] for w in ("--row", r)))
    assert done.code == 0, done
    assert "the decision would differ." in done.out
    assert " past claim" in done.out
    assert "(700 instead of " in done.out or "a higher deductible (" in done.out
    assert "note: A notice describes what the model does" in done.out


def test_a_gap_of_another_person_costs_nobody_the_answer(tmp_path: Path) -> None:
    import pickle

    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = (X.sum(axis=1) > 0.5).astype(int)
    model = linear.LogisticRegression().fit(X, y)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    row = int(np.flatnonzero(model.predict(X))[3])
    lines = ["x0,x1,x2,y", *(f"{a:.6f},{b:.6f},{c:.6f},{d}" for (a, b, c), d in zip(X, y, strict=True))]
    gap = row + 2
    lines[gap + 1] = f",inf,1.0,{y[gap]}"
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "t.yaml").write_text("features: {x0: {person: {}}, x1: {person: {}}, x2: {person: {}}}\n")
    words = ("attack", "notice", tmp_path / "m.pkl", "--data", tmp_path / "d.csv", "--label", "y")
    both = assay(*words, "--threat", tmp_path / "t.yaml", "--row", gap, "--row", row)
    assert both.code == 3
    assert f"row {gap}: could not be told: " in both.out
    flagged = both.out.partition(f"row {row}: flagged")[2]
    assert "the decision would differ" in flagged, both


def test_listed_words_that_the_model_refuses_are_told(tmp_path: Path) -> None:
    import pickle

    pd = pytest.importorskip("pandas")
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"shop": rng.choice(["a", "b"], 200), "x": rng.normal(size=200)})
    y = ((frame["shop"] == "a") + frame["x"] > 0.8).astype(int)
    encoder = make_column_transformer((OneHotEncoder(sparse_output=False), ["shop"]), remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(frame, y)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    frame.assign(y=y).to_csv(tmp_path / "d.csv", index=False)
    (tmp_path / "t.yaml").write_text("features: {shop: {categories: [a, b, c], person: {}}, x: {person: {}}}\n")
    row = int(np.flatnonzero(model.predict(frame))[0])
    words = ("--label", "y", "--threat", tmp_path / "t.yaml", "--row", row, "-f", "json")
    done = assay("attack", "notice", tmp_path / "m.pkl", "--data", tmp_path / "d.csv", *words)
    assert done.code == 0, done
    said = json.loads(done.out)
    assert any("refuses listed values" in a and "1 of shop" in a for a in said["about"]), said["about"]


def test_a_row_that_is_not_flagged_has_nothing_to_alter(claims: Path) -> None:
    row = next(r for r in range(100) if r not in flagged(claims))
    done = notice(claims, "--row", row)
    assert (done.code, "no decision to alter" in done.out) == (0, True)


def test_impossible_is_only_said_with_a_proof(claims: Path) -> None:
    rows = flagged(claims)[:1]
    none = threat(claims, "none.yaml", "features: {Age: {person: {mutable: false}}}\n")
    assert "that is proved" in notice(claims, "--row", rows[0], threat=none).out
    worse = threat(claims, "worse.yaml", "features: {PastNumberOfClaims: {integer: true, person: {direction: up}}}\n")
    told = json.loads(notice(claims, "--row", rows[0], "-f", "json", threat=worse).out)["rows"][0]
    assert told["notices"] == [] or told["proved"] is False
    assert ("proved" in told["text"][0]) or told["notices"]


def test_where_nobody_speaks_of_people_it_says_so(claims: Path) -> None:
    plain = threat(claims, "plain.yaml", "features: {AmountClaimed: {min: 0}, Deductible: {min: 300, max: 700}}\n")
    done = notice(claims, "--row", flagged(claims)[0], threat=plain)
    assert (done.code, "what an attacker could change was taken" in done.out) == (0, True)


@pytest.mark.parametrize(
    ("words", "name", "texts"),
    [
        (("--row", "999999"), "people.yaml", ("has no row 999999", "rows count from 0 to 1499")),
        (("--row", "1"), "", ("--threat is needed",)),
        (("--row", "1"), "absent.yaml", ("absent.yaml",)),
        (("--row", "1"), "empty.yaml", ("says of no column what can be changed",)),
    ],
    ids=["row", "no-threat", "absent", "empty"],
)
def test_what_cannot_be_told_is_one_line(claims: Path, words: Any, name: str, texts: Any) -> None:
    threat(claims, "empty.yaml", "features: {}\n")
    assert one_line(notice(claims, *words, threat=name), *texts, code=2)


def test_a_label_that_is_not_there_is_one_line(claims: Path) -> None:
    done = assay("attack", "notice", claims / "m.txt", "--data", claims / "d.csv", "--label", "frod",
                 "--threat", claims / "people.yaml", "--row", "1")  # fmt: skip
    assert one_line(done, "has no column 'frod'", "did you mean 'fraud'?", code=2)


def test_a_torn_model_is_one_line(claims: Path, tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_bytes(b"tree\nversion=v4\nnum_class=1\n")
    done = assay("attack", "notice", tmp_path / "m.txt", "--data", claims / "d.csv", "--label", "fraud",
                 "--threat", claims / "people.yaml", "--row", "1")  # fmt: skip
    assert one_line(done, code=3)


@pytest.mark.parametrize(("threshold", "said"), [("-5", "flags every row"), ("1.5", "flags no row")])
def test_nobody_is_told_of_a_decision_that_is_none(claims: Path, threshold: str, said: str) -> None:
    assert one_line(notice(claims, "--row", 0, "--threshold", threshold), said, "check --threshold", code=2)
