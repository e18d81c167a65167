"""Trees behind steps in a real file: scanned, loaded in the sandbox, and read only where what they read is sure."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

for _library in ("duckdb", "joblib", "lightgbm", "sklearn", "xgboost"):
    pytest.importorskip(_library)

import joblib  # noqa: E402
import lightgbm as lgb  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
import xgboost as xgb  # noqa: E402
from pyarrow import ipc, parquet  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.ensemble import (  # noqa: E402
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler  # noqa: E402

from assay.adapters.ensembles.trees import require_parity  # noqa: E402
from assay.adapters.networks.network import DOUBLE, SINGLE  # noqa: E402
from assay.adapters.sandboxed_widths import Widths, widths_of  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402

ROWS = 400


def rows() -> Any:
    """Two counts that are often 0, a category of twelve words, and a label that needs all of them."""
    rng = np.random.default_rng(0)
    out = pd.DataFrame({"x": rng.integers(1, 21, ROWS), "w": rng.integers(1, 21, ROWS)})
    out = out.where(rng.random((ROWS, 2)) > 0.1, 0)
    out["c"] = [f"c{i}" for i in rng.integers(0, 12, ROWS)]
    out["y"] = ((out.x <= 10) * 1.0 + (out.w <= 10) + (out.c == "c3") + rng.normal(0, 0.5, ROWS) > 0.9).astype(int)
    return out


def kept(folder: Path, model: Any, frame: Any, columns: list[str]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        joblib.dump(model.fit(frame[columns], frame.y), folder / "m.joblib")
    return "m.joblib"


def beside(frame: Any, trees: Any, columns: list[str]) -> Any:
    """Each column's own values, 0 and the borders of the trees, each with each."""
    told: list[list[Any]] = []
    for name in columns:
        if name in trees.levels or not pd.api.types.is_numeric_dtype(frame[name]):
            told.append([*frame[name].unique().tolist(), "never seen"])
            continue
        place = trees.columns.index(name) if name in trees.columns else -1
        borders = trees.threshold[(trees.feature == place) & (trees.set_of < 0)] if place >= 0 else np.zeros(0)
        borders = np.unique(borders[np.abs(borders) < 1e30])[:12]
        told.append([0.0, *borders.tolist(), *np.nextafter(borders, np.inf).tolist()])
    return pd.MultiIndex.from_product(told, names=columns).to_frame(index=False)


def as_table(frame: Any) -> Any:
    return pa.Table.from_pandas(frame, preserve_index=False)


def hot(**said: Any) -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore", **said)


SPARSE = {
    "columns": lambda: ColumnTransformer([("c", hot(), ["c"]), ("n", "passthrough", ["x", "w"])]),
    "a union": lambda: ColumnTransformer(
        [("u", FeatureUnion([("a", MinMaxScaler()), ("c", hot())]), ["x"]), ("w", StandardScaler(), ["w"])],
        sparse_threshold=1.0,
    ),
}  # fmt: skip
DENSE = {
    "dense one-hot": lambda: ColumnTransformer(
        [("c", hot(sparse_output=False), ["c"]), ("n", "passthrough", ["x", "w"])]
    ),
    "never sparse": lambda: ColumnTransformer(
        [("c", hot(), ["c"]), ("n", "passthrough", ["x", "w"])], sparse_threshold=0
    ),
    "too dense to be sparse": lambda: ColumnTransformer(
        [("c", hot(), ["c"]), ("n", "passthrough", ["x", "w"])], sparse_threshold=0.1
    ),
}


def once(kinds: dict[str, Any], kind: str) -> list[Any]:
    """All kinds, of which the others are heavy."""
    return [pytest.param(k, marks=() if k == kind else pytest.mark.heavy) for k in kinds]


BOOSTED = {"n_estimators": 4, "max_depth": 2, "n_jobs": 1}


@pytest.mark.parametrize("steps", once(SPARSE, "columns"))
def test_what_xgboost_reads_of_a_sparse_matrix_is_refused(tmp_path: Path, predictor: Any, steps: str) -> None:
    """Every 0 is a missing value to it there: each of 30 rows was certified against changes to 0 that pass."""
    name = kept(tmp_path, make_pipeline(SPARSE[steps](), xgb.XGBClassifier(**BOOSTED)), rows(), ["x", "w", "c"])
    says = (
        r"every 0 for a missing value; .*sparse_output=False.*sparse_threshold=0.*, or attack it with `access: label`"
    )
    model = predictor(name)
    with pytest.raises(CouldNotLook, match=says) as refused:
        model.trees()
    assert "\n" not in str(refused.value)
    asked = rows()[["x", "w", "c"]].assign(x=0)  # by label and score the pipeline itself answers, zeros missing
    real = joblib.load(tmp_path / name).predict_proba(asked)[:, 1]
    assert np.array_equal(model.scores(as_table(asked)), real)


@pytest.mark.parametrize("steps", once(DENSE, "never sparse"))
def test_what_xgboost_reads_of_a_dense_matrix_is_read(tmp_path: Path, predictor: Any, steps: str) -> None:
    name = kept(tmp_path, make_pipeline(DENSE[steps](), xgb.XGBClassifier(**BOOSTED)), rows(), ["x", "w", "c"])
    model = predictor(name)
    trees = model.trees()
    assert require_parity(trees, model, as_table(beside(rows(), trees, ["x", "w", "c"]))) < 1e-5


OTHERS = {
    "lightgbm": lambda: lgb.LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1),
    "forest": lambda: RandomForestClassifier(6, max_depth=4, random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=8),
}


@pytest.mark.parametrize("final", once(OTHERS, "lightgbm"))
def test_a_zero_is_a_zero_to_others_in_a_sparse_matrix(tmp_path: Path, predictor: Any, final: str) -> None:
    name = kept(tmp_path, make_pipeline(SPARSE["columns"](), OTHERS[final]()), rows(), ["x", "w", "c"])
    model = predictor(name)
    trees = model.trees()
    table = as_table(beside(rows(), trees, ["x", "w", "c"]))
    assert require_parity(trees, model, table) < 1e-5
    assert len(np.unique(model.scores(table))) > 4


def scaled(folder: Path, final: Any, **kinds: str) -> str:
    """A pipeline fitted on columns of these types, which computes in float32 where all are narrow."""
    frame = rows().astype(kinds)
    return kept(folder, make_pipeline(StandardScaler(), final), frame, list(kinds))


@pytest.mark.parametrize("kinds", [
    {"x": "float32", "w": "int16"},
    *(pytest.param({"x": kind, "w": "float32"}, marks=pytest.mark.heavy) for kind in ("float16", "float32", "float64")),
], ids=str)  # fmt: skip
def test_steps_that_compute_in_float32_are_refused(
    tmp_path: Path, predictor: Any, dataset: Any, kinds: dict[str, str]
) -> None:
    """They were asked in float64: where a border lies was told for numbers that the model never sees."""
    name = scaled(tmp_path, RandomForestClassifier(4, max_depth=3, random_state=0), **kinds)
    rows().astype(kinds).drop(columns="c").to_parquet(tmp_path / "t.parquet", index=False)
    model = predictor(name, data=dataset(None, "t.parquet", label="y"))
    says = r"compute with .*w in float32, .*; store them as double, .*, or attack it with `access: label`"
    with pytest.raises(CouldNotLook, match=says) as refused:
        model.trees()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kinds", [
    {"x": "int16", "w": "int8"}, pytest.param({"x": "int64", "w": "float64"}, marks=pytest.mark.heavy),
], ids=str)  # fmt: skip
def test_steps_that_compute_in_float64_are_asked(
    tmp_path: Path, predictor: Any, dataset: Any, kinds: dict[str, str]
) -> None:
    name = scaled(tmp_path, RandomForestClassifier(4, max_depth=3, random_state=0), **kinds)
    rows().astype(kinds).drop(columns="c").to_parquet(tmp_path / "t.parquet", index=False)
    data = dataset(None, "t.parquet", label="y")
    model = predictor(name, data=data)
    assert require_parity(model.trees(), model, data.table(("x", "w"))) < 1e-5


def test_float32_that_no_step_computes_with_is_read(tmp_path: Path, predictor: Any, dataset: Any) -> None:
    frame = rows().astype({"x": "float32", "w": "float32"})
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    data = dataset(None, "t.parquet", label="y")
    passed = make_pipeline(DENSE["never sparse"](), RandomForestClassifier(4, max_depth=3, random_state=0))
    (tmp_path / "b").mkdir()
    for name in (
        kept(tmp_path, passed, frame, ["x", "w", "c"]),
        "b/" + kept(tmp_path / "b", HistGradientBoostingClassifier(max_iter=4), frame, ["x", "w"]),
    ):
        model = predictor(name, data=data)
        assert require_parity(model.trees(), model, data.table(model.features)) < 1e-5


@pytest.mark.parametrize("short", [True, pytest.param(False, marks=pytest.mark.heavy)])
def test_a_network_of_float32_data_rounds_as_those(tmp_path: Path, predictor: Any, dataset: Any, short: bool) -> None:
    """Its scaler, and it, compute in float32 on rows as they are stored: that is taken off what is proved."""
    frame = rows().astype({"x": "float32" if short else "float64"})
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    name = kept(tmp_path, make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=9)), frame, ["x", "w"])
    data = dataset(None, "t.parquet", label="y", drop=["c"])
    network = predictor(name, data).network(data.table(("x", "w")))
    assert network.unit == (SINGLE if short else DOUBLE)


@pytest.mark.parametrize("form", ["parquet", pytest.param("feather", marks=pytest.mark.heavy)])
def test_a_network_of_numbers_of_16_bits_is_refused(tmp_path: Path, predictor: Any, dataset: Any, form: str) -> None:
    table = as_table(rows()[["w", "y"]]).append_column("x", pa.array(rows().x.to_numpy().astype(np.float16)))
    if form == "parquet":
        parquet.write_table(table, tmp_path / "t.parquet")
    else:
        with ipc.new_file(str(tmp_path / "t.arrow"), table.schema) as out:
            out.write_table(table)
    data = dataset(None, "t.parquet" if form == "parquet" else "t.arrow", label="y")
    name = kept(tmp_path, make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=9)), rows(), ["x", "w"])
    with pytest.raises(CouldNotLook, match="x is stored as numbers of 16 bits"):
        predictor(name, data).network(data.table(("x", "w")))


@pytest.mark.parametrize("form", ["parquet", "file", "stream", "csv"])
def test_how_wide_numbers_are_is_told_by_the_file(tmp_path: Path, dataset: Any, form: str) -> None:
    told = {"h": pa.float16(), "f": pa.float32(), "d": pa.float64(), "i": pa.int16(), "j": pa.int64(), "b": pa.bool_()}
    table = pa.table({name: pa.array([1.0, 0.0]).cast(kind) for name, kind in told.items()})
    path = tmp_path / "t.x"
    if form == "parquet":
        parquet.write_table(table, path)
    elif form == "csv":
        table.drop_columns(["h"]).to_pandas().to_csv(path, index=False)
    else:
        with (ipc.new_file if form == "file" else ipc.new_stream)(path, table.schema) as writer:
            writer.write_table(table)
    expected = Widths() if form == "csv" else Widths(frozenset({"h", "f"}), frozenset({"i", "b"}), frozenset({"h"}))
    assert widths_of(dataset(None, "t.x")) == expected


@pytest.mark.parametrize("coded", [False, pytest.param(True, marks=pytest.mark.heavy)], ids=["words", "codes"])
def test_native_categories_of_a_file_are_read_as_it_answers(tmp_path: Path, predictor: Any, coded: bool) -> None:
    """Every level, one never seen, and none, beside every border of the number: joblib, the scan and the sandbox."""
    frame = rows()
    frame["a"] = frame.x + frame.w / 100.0
    frame["c"] = frame.c.str[1:].astype(float if coded else str)
    frame.loc[::17, "c"] = np.nan if coded else None
    forest = HistGradientBoostingClassifier(max_iter=12, categorical_features=["c"], early_stopping=False)
    told = frame.c.isin([3, 5, 8] if coded else ["3", "5", "8"]) * 1.0 + (frame.x > 10) + (frame.w > 15)
    frame["y"] = (told + np.random.default_rng(1).normal(0, 0.3, ROWS) > 1).astype(int)
    model = predictor(kept(tmp_path, forest, frame, ["a", "c"]))
    trees = model.trees()
    assert set(trees.levels) == {"c"}
    assert trees.categorical == {"c"}
    borders = trees.threshold[(trees.feature == trees.columns.index("a")) & (trees.set_of < 0)]
    numbers = np.unique([*borders, *np.nextafter(borders, np.inf), -1e9, 1e9]).tolist()
    levels = [*trees.levels["c"], None, *([1.5, 99.0, -1.0] if coded else ["never seen", ""])]
    pairs = [(a, c) for a in [*numbers, None] for c in levels]
    table = pa.table({
        "a": pa.array([a for a, _ in pairs], pa.float64()),
        "c": pa.array([c for _, c in pairs], pa.float64() if coded else pa.string()),
    })  # fmt: skip
    assert require_parity(trees, model, table) < 1e-9
    assert len(np.unique(model.scores(table))) > 10


def test_categories_that_are_coded_before_native_ones_are_read_as_it_answers(tmp_path: Path, predictor: Any) -> None:
    """The pipeline that people write: an ordinal encoder, and trees that are told which of its columns are codes."""
    frame = rows()
    frame["a"] = frame.x + frame.w / 100.0
    frame["c"] = frame.c.str[1:].astype(str)
    coder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    steps = ColumnTransformer([("c", coder, ["c"]), ("n", "passthrough", ["a"])])
    forest = HistGradientBoostingClassifier(max_iter=12, categorical_features=[0], early_stopping=False)
    told = frame.c.isin(["3", "5", "8"]) * 1.0 + (frame.x > 10)
    frame["y"] = (told + np.random.default_rng(1).normal(0, 0.3, ROWS) > 1).astype(int)
    model = predictor(kept(tmp_path, Pipeline([("pre", steps), ("m", forest)]), frame, ["a", "c"]))
    trees = model.trees()
    borders = trees.threshold[trees.set_of < 0]
    numbers = np.unique([*borders[np.isfinite(borders)], -1e9, 1e9]).tolist()
    pairs = [(a, c) for a in numbers for c in [*sorted(set(frame.c)), "never seen", ""]]
    table = pa.table({"a": [a for a, _ in pairs], "c": [c for _, c in pairs]})
    assert require_parity(trees, model, table) < 1e-9
    assert len(np.unique(model.scores(table))) > 10
