"""Estimators to skops and ONNX: the same answers, asked of the sandboxed original, or nothing is written."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.adapters import sandbox_kernel
from assay.core.errors import CouldNotLook, InputError, UsageError, VerificationError
from assay.core.subject import Kind, Subject
from assay.flow.harden import Asked, Rows, harden
from assay.harden.rows import _difference

for name in ("duckdb", "sklearn", "skl2onnx", "onnxruntime", "lightgbm", "pandas"):
    pytest.importorskip(name, reason="the ml extra is not installed")
skops_io = pytest.importorskip("skops.io", reason="skops is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")
joblib = pytest.importorskip("joblib", reason="the ml extra is not installed")
pytestmark = pytest.mark.skipif(sandbox_kernel.landlock_abi() < 1, reason="this kernel has no Landlock")

X = np.random.default_rng(0).normal(size=(200, 3))
Y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two columns of numbers, one of texts, and the label."""
    words = np.where(X[:, 2] > 0, "red", "blue")
    rows = [f"{a!r},{b!r},{w},{'bad' if y else 'good'}" for (a, b, _), w, y in zip(X.tolist(), words, Y, strict=True)]
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,y\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """X and Y as a table."""
    path = tmp_path / "n.csv"
    lines = [",".join(map(repr, (*x, int(y)))) for x, y in zip(X.tolist(), Y, strict=True)]
    path.write_text("x0,x1,x2,y\n" + "\n".join(lines) + "\n")
    return path


def pipeline(table: Path, last: Any = None) -> tuple[Any, Any]:
    """(a pipeline with a text column fitted on the table, the table's inputs)."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.read_csv(table)
    first = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["c"])], remainder="passthrough")
    return make_pipeline(first, LogisticRegression() if last is None else last).fit(
        frame[["a", "b", "c"]], frame["y"]
    ), frame[["a", "b", "c"]]


def saved(tmp_path: Path, model: Any, name: str = "m.joblib") -> Path:
    joblib.dump(model, tmp_path / name)
    return tmp_path / name


def test_a_forest_behind_texts_to_skops(tmp_path: Path, table: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    model, frame = pipeline(table, RandomForestClassifier(5, random_state=0))
    path = saved(tmp_path, model, "m.joblib.gz")
    with pytest.raises(CouldNotLook, match="give --rows"):
        harden(path)
    assert not (tmp_path / "m.skops").exists()
    done = harden(path, Asked(rows=Rows(path=table, label="y")))
    assert done.result.path == str(tmp_path / "m.skops")
    proof = done.made.proof
    assert (proof.kind, proof.rows, proof.generated, proof.max_difference) == ("answers", 200, False, 0.0)
    assert proof.methods == ("predict_proba", "predict")
    assert done.made.trusted == ("sklearn.tree._tree.Tree",)
    again = skops_io.load(tmp_path / "m.skops", trusted=list(done.made.trusted))
    np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))


def test_what_has_no_predictor_keeps_its_state(tmp_path: Path) -> None:
    from sklearn.cluster import DBSCAN
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = TfidfVectorizer().fit(["a cat sat", "dogs ran", "a dog"])
    done = harden(saved(tmp_path, {"texts": texts, "groups": DBSCAN().fit(X)}))
    assert done.made.proof.kind == "state"
    assert done.made.proof.nodes > 50
    again = skops_io.load(tmp_path / "m.skops", trusted=list(done.made.trusted))
    assert (again["texts"].transform(["a cat ran"]) != texts.transform(["a cat ran"])).nnz == 0


def test_texts_are_rows_too(tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts = ["a cat sat", "dogs ran far", "a dog barks", "the cat ran"]
    path = saved(tmp_path, make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [0, 1, 1, 0]))
    (tmp_path / "t.csv").write_text("text,y\n" + "\n".join(f"{t},1" for t in texts) + "\n")
    done = harden(path, Asked(rows=Rows(path=tmp_path / "t.csv", label="y")))
    assert (done.made.proof.kind, done.made.proof.rows) == ("answers", 4)


def test_to_onnx(tmp_path: Path, table: Path) -> None:
    import pyarrow as pa
    from sklearn.ensemble import RandomForestClassifier

    from assay.adapters.predictors import open_predictor

    model, frame = pipeline(table, RandomForestClassifier(5, random_state=0))
    path = saved(tmp_path, model)
    done = harden(path, Asked(to="onnx", rows=Rows(path=table, label="y"), threshold=0.45, positive="bad"))
    proof = done.made.proof
    assert (proof.kind, proof.rows, proof.flips, proof.threshold) == ("scores", 600, 0, 0.45)
    assert proof.max_difference is not None
    assert proof.max_difference <= 1e-5
    with open_predictor(Subject(name="m", kind=Kind.MODEL, uri="m.onnx"), tmp_path) as got:
        scores = got.scores(pa.Table.from_pandas(frame))
    np.testing.assert_allclose(scores, model.predict_proba(frame)[:, 0], atol=1e-5)


def test_lightgbm_to_onnx(tmp_path: Path, numbers: Path) -> None:
    import lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1).fit(X, Y)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    done = harden(tmp_path / "m.pkl", Asked(to="onnx", rows=Rows(path=numbers, label="y")))
    assert (done.made.proof.kind, done.made.proof.flips) == ("scores", 0)
    assert (tmp_path / "m.onnx").stat().st_size == done.result.size


def test_a_conversion_that_differs_is_refused(tmp_path: Path, numbers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression

    from assay.harden import estimators, graphs

    path = saved(tmp_path, LogisticRegression().fit(X, Y))
    other = skops_io.dumps(LogisticRegression(C=0.01).fit(X, Y))

    def instead(_: Any, out: Any) -> None:
        out.write(other)
        out.flush()

    monkeypatch.setattr(estimators, "_kept", instead)
    with pytest.raises(VerificationError, match=r"answers \d+ times otherwise over 801 rows, by up to"):
        harden(path)
    original = graphs._score
    monkeypatch.setattr(graphs, "_score", lambda *a: original(*a) + 0.01)
    with pytest.raises(VerificationError, match=r"refused: the conversion differs by up to 0\.01 and flips \d+ of"):
        harden(path, Asked(to="onnx", rows=Rows(path=numbers, label="y")))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.joblib", "n.csv"]


def test_a_result_that_names_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression

    from assay.harden import estimators

    path = saved(tmp_path, LogisticRegression().fit(X, Y))
    honest = skops_io.dumps(LogisticRegression().fit(X, Y))

    def swapped(old: str, new: str) -> Callable[[Any, Any], None]:
        made = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(honest)) as source, zipfile.ZipFile(made, "w") as target:
            for item in source.namelist():
                data = source.read(item)
                assert item != "schema.json" or old.encode() in data
                target.writestr(item, data.replace(old.encode(), new.encode()) if item == "schema.json" else data)

        def write(_: Any, out: Any) -> None:
            out.write(made.getvalue())
            out.flush()

        return write

    monkeypatch.setattr(estimators, "_kept", swapped("sklearn.linear_model._logistic", "os"))
    with pytest.raises(VerificationError, match=r"refused: the result has its loader import os|needs os"):
        harden(path)
    monkeypatch.setattr(estimators, "_kept", lambda _, out: out.write(b"no zip") and out.flush())
    with pytest.raises(VerificationError, match="is no skops file"):
        harden(path)


def test_types_that_no_list_knows_are_refused() -> None:
    from assay.harden.estimators import _trusted

    class Known:
        where, allow = "m.pkl", frozenset({"ours.Rule"})

    fine = ("sklearn.tree._tree.Tree", "ours.Rule")
    assert _trusted(Known(), fine) == fine  # type: ignore[arg-type]
    for name in ("strangers.Rule", "os.system", "system", ""):
        with pytest.raises(VerificationError, match="which is not known to be safe"):
            _trusted(Known(), (name,))  # type: ignore[arg-type]


def test_bad_requests(tmp_path: Path, numbers: Path) -> None:
    from sklearn.linear_model import LinearRegression, LogisticRegression

    regressor = saved(tmp_path, LinearRegression().fit(X, Y), "r.joblib")
    path = saved(tmp_path, LogisticRegression().fit(X, Y))
    rows = Rows(path=numbers, label="y")
    cases: list[tuple[Path, Asked, type[Exception], str]] = [
        (path, Asked(to="onnx"), UsageError, "needs --rows"),
        (path, Asked(to="safetensors", rows=rows), UsageError, "--rows is for estimators"),
        (path, Asked(tensors_only=True), UsageError, "--tensors-only is for"),
        (path, Asked(to="safetensors"), InputError, r"is a sklearn\.linear_model\._logistic\.LogisticRegression"),
        (path, Asked(rows=Rows(path=numbers)), InputError, r"takes 3 inputs, .* has 4 .*--label and --drop"),
        (path, Asked(rows=Rows(path=numbers, label="q")), InputError, "no column 'q'"),
        (regressor, Asked(to="onnx", rows=rows), InputError, "no predict_proba"),
    ]
    for place, asked, kind, says in cases:
        with pytest.raises(kind, match=says) as error:
            harden(place, asked)
        assert "\n" not in str(error.value)
    assert {p.suffix for p in tmp_path.iterdir()} == {".joblib", ".csv"}


def test_an_allowed_class_comes_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "ours.py").write_text(
        "class Rule:\n    n_features_in_ = 2\n    def predict(self, rows):\n        return rows[:, 0] > 0\n"
    )
    (tmp_path / "m.pkl").write_bytes(b"\x80\x02cours\nRule\n)\x81.")
    with pytest.raises(VerificationError, match=r"ours\.Rule at byte 2 is unknown"):
        harden(tmp_path / "m.pkl")
    done = harden(tmp_path / "m.pkl", Asked(allow=("ours.Rule",), modules=tmp_path / "code"))
    assert (done.made.trusted, done.made.proof.methods) == (("ours.Rule",), ("predict",))
    assert (done.made.proof.rows, done.made.proof.generated) == (801, True)


def test_how_answers_differ() -> None:
    same = np.array([1.0, np.nan, -0.0])
    assert _difference(same, same.copy(), 3) == (0.0, 0)
    assert _difference(np.array([0.0, 1.0]), np.array([0.0, 1.5]), 2) == (0.5, 1)
    assert _difference(np.array([np.nan, 1.0]), np.array([2.0, 1.0]), 2) == (float("inf"), 1)
    assert _difference(np.zeros(4), np.zeros(2), 2) == (float("inf"), 2)
    assert _difference(["a", "b"], ["a", "c"], 2) == (float("inf"), 1)
    assert _difference(["a"], np.zeros(1), 1) == (float("inf"), 1)
