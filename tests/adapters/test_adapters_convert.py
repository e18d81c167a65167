"""Conversion to ONNX: the same scores on every row, or a refusal that leaves no file behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import InputError

pytest.importorskip("duckdb", reason="the ml extra is not installed")
pytest.importorskip("skl2onnx", reason="the ml extra is not installed")
pytest.importorskip("onnxmltools", reason="the ml extra is not installed")
pytest.importorskip("onnxruntime", reason="the ml extra is not installed")
pytest.importorskip("sklearn", reason="the ml extra is not installed")
lgb = pytest.importorskip("lightgbm", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")


@pytest.fixture
def data(dataset: Any) -> Any:
    rng = np.random.default_rng(5)
    rows = []
    for i in range(400):
        a, b, c = float(rng.normal()), int(rng.integers(0, 9)), ["red", "green", "blue"][int(rng.integers(0, 3))]
        rows.append(f"{'' if i % 11 == 0 else repr(a)},{b},{c},{'bad' if a + b + (c == 'red') > 5 else 'good'}")
    return dataset("a,b,c,y\n" + "\n".join(rows) + "\n", label="y", positive="bad")


def columns(data: Any, *names: str) -> list[Any]:
    return [data.column(n) for n in names]


def test_histogram_boosting_with_missing_values(tmp_path: Path, data: Any, predictor: Any) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from assay.adapters.convert import to_onnx

    x = data.encoded(["a", "b"]).matrix
    model = HistGradientBoostingClassifier(max_iter=20).fit(x, np.where(data.target(), "bad", "good"))
    parity = to_onnx(model, columns(data, "a", "b"), data.table(), tmp_path / "m.onnx", threshold=0.4, positive="bad")
    assert (parity.rows, parity.flips, parity.precision) == (1200, 0, "float32")
    assert parity.max_difference <= 1e-5
    got = predictor("m.onnx", data)
    assert (got.features, got.classes, got.threshold) == (("a", "b"), ("bad", "good"), 0.4)
    np.testing.assert_allclose(got.scores(data.table()), model.predict_proba(x)[:, 0], atol=1e-5)
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".onnx"] == ["m.onnx"]


def test_pipelines_take_one_input_per_column(tmp_path: Path, data: Any, predictor: Any) -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    from assay.adapters.convert import to_onnx

    frame = data.table(("b", "c", "a")).to_pandas()
    encoder = ColumnTransformer(
        [("c", OneHotEncoder(handle_unknown="ignore"), ["c"]), ("n", SimpleImputer(), ["a", "b"])]
    )
    model = make_pipeline(encoder, LogisticRegression()).fit(frame, data.target())
    to_onnx(model, columns(data, "a", "b", "c"), data.table(), tmp_path / "m.onnx")
    got = predictor("m.onnx", data)
    assert got.features == ("b", "c", "a")
    np.testing.assert_allclose(got.scores(data.table()), model.predict_proba(frame)[:, 1], atol=1e-5)


@pytest.mark.parametrize("form", ["booster", "file", "wrapper"])
def test_lightgbm_keeps_its_categories(tmp_path: Path, data: Any, predictor: Any, form: str) -> None:
    from assay.adapters.convert import to_onnx

    frame = data.table(("a", "b", "c")).to_pandas()
    frame["c"] = frame["c"].astype("category")
    frame["b"] = frame["b"].astype("category")
    wrapper = lgb.LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1).fit(frame, data.target())
    wrapper.booster_.save_model(tmp_path / "m.txt")
    model = {"booster": wrapper.booster_, "file": tmp_path / "m.txt", "wrapper": wrapper}[form]
    parity = to_onnx(model, columns(data, "a", "b", "c"), data.table(), tmp_path / "m.onnx")
    assert parity.flips == 0
    got = predictor("m.onnx", data)
    np.testing.assert_allclose(got.scores(data.table()), wrapper.predict_proba(frame)[:, 1], atol=1e-5)
    unseen = pa.table({"a": [0.5, 0.5], "b": [77, 3], "c": ["mauve", None]})
    native = predictor("m.txt", data).scores(unseen)
    np.testing.assert_allclose(got.scores(unseen), native, atol=1e-5)


def test_what_float32_cannot_hold_is_converted_wider_or_refused(tmp_path: Path, data: Any) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from assay.adapters.convert import to_onnx

    # Values that differ only beyond float32's 24 bits, with a label that hangs on exactly that difference.
    x = 2.0**30 + np.arange(400, dtype=np.float64)[:, None]
    y = np.arange(400) % 2 == 0
    table = pa.table({"b": x[:, 0]})
    trees = HistGradientBoostingClassifier(max_iter=30, min_samples_leaf=1).fit(x, y)
    path = tmp_path / "m.onnx"
    with pytest.raises(InputError, match=r"refused: the conversion differs by up to .* flips [1-9]\d* of 1200"):
        to_onnx(trees, columns(data, "b"), table, path)
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
    line = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, np.arange(400) > 200)
    assert to_onnx(line, columns(data, "b"), table, path).precision == "float64"


def test_a_refusal_keeps_the_file_that_was_there(tmp_path: Path, data: Any) -> None:
    from sklearn.tree import DecisionTreeClassifier

    from assay.adapters.convert import to_onnx

    path = tmp_path / "m.onnx"
    path.write_bytes(b"before")
    model = DecisionTreeClassifier().fit(data.encoded(["b"]).matrix, data.target())
    with pytest.raises(InputError, match="refused"):
        to_onnx(model, columns(data, "b"), data.table(), path, tolerance=-1.0)
    assert path.read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "t.csv"]


def test_bad_requests_are_one_line(tmp_path: Path, data: Any) -> None:
    from sklearn.linear_model import LinearRegression, LogisticRegression

    from assay.adapters.convert import to_onnx

    model = LogisticRegression().fit(data.encoded(["b"]).matrix, data.target())
    path, wanted = tmp_path / "m.onnx", columns(data, "b")
    (tmp_path / "torn.txt").write_text("tree\nversion=v4\n")
    cases: list[tuple[str, Any]] = [
        ("the sample lacks b", lambda: to_onnx(model, wanted, pa.table({"q": [1]}), path)),
        ("the sample has no rows", lambda: to_onnx(model, wanted, data.table().slice(0, 0), path)),
        ("no predict_proba", lambda: to_onnx(LinearRegression(), wanted, data.table(), path)),
        (r"is none of its 2 classes \(false, true\)", lambda: to_onnx(model, wanted, data.table(), path, positive="x")),
        ("cannot score the sample", lambda: to_onnx(model, columns(data, "b", "a"), data.table(), path)),
        ("not a LightGBM text model", lambda: to_onnx(tmp_path / "torn.txt", wanted, data.table(), path)),
        ("not a LightGBM text model", lambda: to_onnx(tmp_path / "none.txt", wanted, data.table(), path)),
    ]
    for says, call in cases:
        with pytest.raises(InputError, match=says) as error:
            call()
        assert "\n" not in str(error.value)
    assert not path.exists()
