"""Trees read out of models: each answers as its model, at thresholds and one float beside them too, or is refused."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.adapters import sandbox_kernel, sandbox_trees
from assay.core.errors import CouldNotLook
from assay.core.subject import Kind, Subject

pytest.importorskip("sklearn", reason="the ml extra is not installed")
lgb = pytest.importorskip("lightgbm", reason="the ml extra is not installed")
pd = pytest.importorskip("pandas", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")
joblib = pytest.importorskip("joblib", reason="the ml extra is not installed")

from ensembles_tools import CLASSIFIERS, ROWS, Here, agrees, as_table, frame, full  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.ensemble import (  # noqa: E402
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import VarianceThreshold  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.pipeline import FeatureUnion, make_pipeline  # noqa: E402
from sklearn.preprocessing import (  # noqa: E402
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier  # noqa: E402

from assay.adapters.ensembles.trees import Trees, require_parity  # noqa: E402
from assay.adapters.sandboxed import SandboxedPredictor  # noqa: E402

isolated = pytest.mark.skipif(sandbox_kernel.landlock_abi() < 1, reason="this kernel has no Landlock")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they give on rows as few as these."""
    with pytest.importorskip("threadpoolctl").threadpool_limits(1):
        yield


@pytest.fixture
def here(tmp_path: Path) -> Any:
    """A fitted estimator as a predictor whose sandbox is `Here`, with its rows as an Arrow table."""

    def make(estimator: Any, rows: Any, target: Any = None, **options: Any) -> tuple[Any, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(rows, full().y if target is None else target)
        joblib.dump(estimator, tmp_path / "m.joblib")
        if isinstance(rows, np.ndarray):
            options["inputs"] = [f"c{i}" for i in range(rows.shape[1])]
            rows = pd.DataFrame(rows, columns=options["inputs"])
        subject = Subject(name="m", kind=Kind.MODEL, uri="m", options=options)
        return SandboxedPredictor(Here(tmp_path / "m.joblib"), subject), as_table(rows)  # type: ignore[arg-type]

    return make


TAKES_MISSING = ("forest", "extra", "tree", "histograms", "lightgbm")


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_answer_as_their_trees(here: Any, name: str, positive: int) -> None:
    model, table = here(CLASSIFIERS[name](), full()[["a", "b", "m"]], positive=positive)
    trees = agrees(model, table)
    assert trees.columns == ("a", "b", "m")
    assert not trees.levels


@pytest.mark.parametrize("name", TAKES_MISSING)
def test_missing_values_go_where_the_model_sends_them(here: Any, name: str) -> None:
    model, table = here(CLASSIFIERS[name](), frame()[["a", "b", "m"]].to_numpy())
    assert table.column("c2").to_numpy().tolist() != table.column("c0").to_numpy().tolist()
    trees = agrees(model, table)
    assert np.isnan(trees.read(table)).any()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: RandomForestRegressor(5, random_state=0), id="forest"),
        pytest.param(lambda: GradientBoostingRegressor(loss="huber", n_estimators=8), id="boosting"),
        pytest.param(lambda: HistGradientBoostingRegressor(max_iter=8), id="histograms"),
        pytest.param(lambda: lgb.LGBMRegressor(n_estimators=8, verbose=-1, n_jobs=1), id="lightgbm"),
    ],
)
def test_regressors_answer_as_their_trees(here: Any, make: Any) -> None:
    rows = full()
    trees = agrees(*here(make(), rows[["a", "b", "m"]], rows.a * rows.m))
    assert trees.link == "identity"


def test_one_class_of_several_in_a_forest(here: Any) -> None:
    rows = full()
    model, table = here(RandomForestClassifier(5, random_state=0), rows[["a", "b"]], np.arange(ROWS) % 3, positive=2)
    assert agrees(model, table).link == "identity"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda: AdaBoostClassifier(n_estimators=3), "ends in a AdaBoostClassifier", id="ada"),
        pytest.param(lambda: HistGradientBoostingRegressor(max_iter=3, loss="poisson"), "loss poisson", id="poisson"),
        pytest.param(
            lambda: GradientBoostingClassifier(n_estimators=3, init=DecisionTreeClassifier(max_depth=1)),
            "starts from a DecisionTreeClassifier", id="init",
        ),
        pytest.param(lambda: make_pipeline(PCA(2), CLASSIFIERS["forest"]()), r"step 'pca' \(PCA\)", id="pca"),
        pytest.param(
            lambda: make_pipeline(PolynomialFeatures(), CLASSIFIERS["forest"]()), "PolynomialFeatures", id="polynomial"
        ),
        pytest.param(
            lambda: make_pipeline(FunctionTransformer(np.square), CLASSIFIERS["forest"]()), "FunctionTransf", id="f"
        ),
        pytest.param(
            lambda: make_pipeline(SimpleImputer(missing_values=0), CLASSIFIERS["forest"]()), "value of the data", id="0"
        ),
        pytest.param(
            lambda: make_pipeline(StandardScaler(), OneHotEncoder(handle_unknown="ignore"), CLASSIFIERS["forest"]()),
            "changed before", id="encoder behind",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_exactly_is_refused_by_name(here: Any, make: Any, says: str) -> None:
    model, _ = here(make(), full()[["a", "b", "m"]])
    with pytest.raises(CouldNotLook, match=says) as refused:
        model.trees()
    assert "\n" not in str(refused.value)


def test_several_classes_of_boosting_are_refused(here: Any) -> None:
    for make in (GradientBoostingClassifier(n_estimators=2), HistGradientBoostingClassifier(max_iter=2)):
        model, _ = here(make, full()[["a", "b"]], np.arange(ROWS) % 3, positive=2)
        with pytest.raises(CouldNotLook, match="several classes"):
            model.trees()


def before(scaler: Any, encoder: Any = None, **more: Any) -> Any:
    """Steps as companies write them: imputed and scaled numbers, encoded categories, the rest as it is."""
    return ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(strategy="median"), scaler), ["m", "b"]),
            ("c", encoder or OneHotEncoder(handle_unknown="ignore"), ["t", "k"]),
        ],
        remainder="passthrough",
        **more,
    )


PIPELINES = {
    "standard": lambda f: make_pipeline(before(StandardScaler()), f),
    "min-max": lambda f: make_pipeline(before(MinMaxScaler()), f),
    "max-abs": lambda f: make_pipeline(before(MaxAbsScaler()), f),
    "robust, ordinal": lambda f: make_pipeline(
        before(RobustScaler(), OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)), f
    ),
    "dense, dropped, rare": lambda f: make_pipeline(
        before(StandardScaler(), OneHotEncoder(drop="first", min_frequency=90, handle_unknown="infrequent_if_exist"),
               sparse_threshold=0), f,
    ),
    "nested, selected": lambda f: make_pipeline(
        make_pipeline(before(StandardScaler(with_mean=False)), VarianceThreshold(0.05)), FunctionTransformer(), f
    ),
    "bins": lambda f: make_pipeline(before(KBinsDiscretizer(4, encode="ordinal", strategy="uniform")), f),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "final"),
    [*((name, "forest") for name in PIPELINES), *(("standard", f) for f in ("boosting", "histograms", "lightgbm"))],
)
def test_pipelines_are_told_in_the_columns_of_the_data(here: Any, name: str, final: str) -> None:
    model, table = here(PIPELINES[name](CLASSIFIERS[final]()), frame()[["a", "b", "m", "t", "k"]])
    trees = agrees(model, table)
    assert set(trees.columns) <= {"a", "b", "m", "t", "k"}
    assert trees.levels
    assert set(trees.levels) <= {"t", "k"}
    odd = table.slice(0, 30)
    for column, values in (("t", ["never seen"] * 30), ("k", [77] * 30)):
        seen = odd.set_column(odd.column_names.index(column), column, pa.array(values))
        try:
            model.scores(seen)
        except ValueError:  # an encoder that refuses what it does not know
            continue
        assert require_parity(trees, model, seen) < 1e-5


def test_an_imputer_before_an_encoder_and_indicators_of_missing(here: Any) -> None:
    rows = frame()[["a", "m", "t"]].copy()
    rows.loc[::7, "t"] = None
    union = FeatureUnion(
        [("f", SimpleImputer(add_indicator=True)), ("s", make_pipeline(SimpleImputer(), StandardScaler()))]
    )
    steps = ColumnTransformer(
        [
            (
                "t",
                make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
                ["t"],
            ),
            ("n", union, ["m", "a"]),
        ]
    )
    model, table = here(make_pipeline(steps, CLASSIFIERS["forest"]()), rows)
    trees = agrees(model, table)
    assert trees.levels == {"t": ("x", "y", "z")}
    assert table.column("t").null_count


def test_native_categories_of_histograms(here: Any) -> None:
    rows = frame()[["a", "m", "t", "k"]]
    estimator = HistGradientBoostingClassifier(max_iter=8, categorical_features=["t", "k"], min_samples_leaf=5)
    model, table = here(estimator, rows)
    trees = agrees(model, table)
    assert trees.categorical == {"t", "k"}
    for column, value in (("t", "never"), ("k", 99)):
        odd = table.slice(0, 20)
        odd = odd.set_column(odd.column_names.index(column), column, pa.array([value] * 20))
        assert require_parity(trees, model, odd) < 1e-5
        gone = odd.set_column(odd.column_names.index(column), column, pa.nulls(20, odd.column(column).type))
        assert require_parity(trees, model, gone) < 1e-5


def test_a_column_read_as_number_and_as_category_is_refused(here: Any) -> None:
    steps = ColumnTransformer([("n", StandardScaler(), ["k"]), ("c", OneHotEncoder(), ["k"])])
    model, _ = here(make_pipeline(steps, CLASSIFIERS["extra"]()), full()[["k"]])
    with pytest.raises(CouldNotLook, match="reads k as a number and as a category"):
        model.trees()


@isolated
def test_the_child_answers_behind_its_walls(tmp_path: Path, predictor: Any) -> None:
    rows = frame()[["a", "b", "m", "t", "k"]]
    model = PIPELINES["standard"](CLASSIFIERS["boosting"]()).fit(rows, full().y)
    joblib.dump(model, tmp_path / "m.joblib")
    opened, table = predictor("m.joblib"), as_table(rows)
    assert opened.isolation.full
    assert "k" in agrees(opened, table).levels
    mixed = make_pipeline(PCA(2), CLASSIFIERS["forest"]()).fit(full()[["a", "b"]], full().y)
    joblib.dump(mixed, tmp_path / "p.joblib")
    with pytest.raises(CouldNotLook, match="step 'pca'"):
        predictor("p.joblib").trees()
    again = opened.trained_again(table, pa.array(full().y.to_numpy()), seed=1)
    assert require_parity(again.trees(), again, table) < 1e-5


@functools.cache
def held(name: str) -> tuple[Any, Trees]:
    """(the estimator, its trees) of a pipeline or a plain model, for properties."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        columns = ["a", "b", "m", "t", "k"] if name in PIPELINES else ["a", "b"]
        make = PIPELINES[name](CLASSIFIERS["forest"]()) if name in PIPELINES else CLASSIFIERS[name]()
        rows = frame()[columns] if name in PIPELINES else full()[columns]
        joblib.dump(make.fit(rows, full().y), Path(folder) / "m")
        subject = Subject(name="m", kind=Kind.MODEL, uri="m", options={})
        model = SandboxedPredictor(Here(Path(folder) / "m"), subject)  # type: ignore[arg-type]
    return model, model.trees()


@pytest.mark.parametrize(
    "name", ["standard", pytest.param("robust, ordinal", marks=pytest.mark.heavy), "forest", "histograms"]
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.data())
def test_any_value_within_float32_goes_the_same_way(name: str, drawn: Any) -> None:
    model, trees = held(name)
    borders = trees.threshold[(trees.feature >= 0) & (trees.set_of < 0) & (np.abs(trees.threshold) < 1e30)]
    value = st.floats(-1e30, 1e30) | st.sampled_from(sorted(set(borders.tolist())))
    steps = st.integers(-3, 3)

    def number() -> float:
        found, step = drawn.draw(value), drawn.draw(steps)
        for _ in range(abs(step)):
            found = float(np.nextafter(found, np.inf * step))
        return found

    row: dict[str, list[Any]] = {"a": [number()], "b": [number()]}
    if name in PIPELINES:
        row |= {"m": [drawn.draw(st.none() | st.just(number()))]}
        row |= {
            "t": [drawn.draw(st.sampled_from(["x", "y", "z", "w", ""]))],
            "k": [drawn.draw(st.sampled_from([1, 2, 5, 3]))],
        }
    types = {"a": pa.float64(), "b": pa.float64(), "m": pa.float64(), "t": pa.string(), "k": pa.int64()}
    table = pa.table({n: pa.array(v, types[n]) for n, v in row.items()})
    assert require_parity(trees, model, table) < 1e-5


def test_a_child_that_lies_is_refused(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = here(CLASSIFIERS["tree"](), full()[["a", "b"]])
    whole = b"".join(list(sandbox_trees.nodes(model._sandbox.model, {"positive": 1}))[:-1])
    size = int.from_bytes(whole[:8], "little")
    head, body = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    table = np.frombuffer(body[: head["nodes"] * 64], "<f8").reshape(-1, 8)

    def answered(changed: dict[str, Any], nodes: Any = table) -> str:
        words = json.dumps({**head, **changed}).encode()
        content = len(words).to_bytes(8, "little") + words + nodes.tobytes() + body[head["nodes"] * 64 :]
        monkeypatch.setattr(model._sandbox, "stream", lambda *_: iter([content, b"digest"]))
        with pytest.raises(CouldNotLook) as refused:
            model.trees()
        assert "\n" not in str(refused.value)
        return str(refused.value)

    def torn(column: int, value: float) -> Any:
        changed = table.copy()
        changed[0, column] = value
        return changed

    assert "garbage" in answered({"kind": "pickle"})
    assert "other trees than it told" in answered({"nodes": 1 << 40})
    assert "other trees than it told" in answered({"sets": [-1, 5]})
    assert "columns that it does not have" in answered({"columns": [[9, None]]})
    for column, value in ((2, 0.0), (3, 1e6), (0, 50.0), (2, float("nan")), (1, float("nan")), (5, 3.0)):
        assert "torn or damaged" in answered({}, torn(column, value))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_counts_are_the_training_rows_that_fall_there(here: Any, name: str) -> None:
    rows = full()[["a", "b", "m"]]
    model, table = here(CLASSIFIERS[name](), rows)
    trees = model.trees()
    came = trees.came(trees.read(table))
    assert trees.counts is not None
    leaf = trees.feature < 0
    assert came[trees.roots].tolist() == [ROWS] * len(trees.roots)
    assert came[leaf].sum() == ROWS * len(trees.roots)
    if name == "forest":  # each tree is grown on a draw of the rows, of which a row may be there twice
        assert (trees.counts <= came).all()
        assert (trees.counts[trees.roots] < ROWS).all()
    else:
        assert trees.counts.tolist() == came.tolist()


@pytest.mark.parametrize("final", ["forest", "histograms", "lightgbm"])
def test_counts_are_kept_behind_steps(here: Any, final: str) -> None:
    model, table = here(make_pipeline(StandardScaler(), CLASSIFIERS[final]()), full()[["a", "b", "m"]])
    trees = model.trees()
    came = trees.came(trees.read(table))
    assert trees.counts is not None
    assert (trees.counts <= came).all() if final == "forest" else (trees.counts == came).all()


def test_counts_that_do_not_add_up_are_none_and_trees_that_are_added_have_none() -> None:
    leaf = {"feature": [-1], "threshold": [0.0], "left": [-1], "right": [-1], "missing_left": [0], "set_of": [-1]}
    nodes = {
        "feature": [0, -1, -1], "threshold": [0.5, 0, 0], "left": [1, -1, -1], "right": [2, -1, -1],
        "missing_left": [0, 0, 0], "value": [0, 1, 2], "roots": [0],
    }  # fmt: skip

    def made(counts: Any) -> Trees:
        told = {k: np.array(v) for k, v in nodes.items()} | ({} if counts is None else {"counts": np.array(counts)})
        return Trees(("a",), lambda rows: rows, told)

    assert made(None).counts is None
    assert made([5.0, 3.0, 3.0]).counts is None
    assert made([5.0, np.nan, 3.0]).counts is None
    assert made([0.0, 0.0, 0.0]).counts is None
    whole = made([5.0, 3.0, 2.0])
    assert whole.counts is not None
    assert whole.counts.tolist() == [5.0, 3.0, 2.0]
    assert whole.came(np.array([[0.1], [0.9], [np.nan]])).tolist() == [3.0, 1.0, 2.0]
    more = whole.grown({k: np.array(v) for k, v in {**leaf, "value": [1.0], "roots": [0]}.items()}, whole.sets)
    assert more.counts is not None
    assert np.array_equal(more.counts, [5.0, 3.0, 2.0, np.nan], equal_nan=True)
