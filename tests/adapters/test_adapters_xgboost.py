"""XGBoost models: the same scores as XGBoost, its categories included, and no damaged file ever reaches its parser."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import CouldNotLook

pytest.importorskip("duckdb", reason="the ml extra is not installed")
xgb = pytest.importorskip("xgboost", reason="xgboost is not installed")
pd = pytest.importorskip("pandas", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")

ROWS = 200


def frame(words: bool = True) -> Any:
    rng = np.random.default_rng(1)
    df = pd.DataFrame({"x": rng.normal(size=ROWS), "w": rng.normal(size=ROWS)})
    df.loc[::9, "w"] = np.nan
    if words:
        df["c"] = pd.Categorical(rng.choice(["a", "b", "q", "long"], ROWS))
    return df


def label() -> Any:
    df = frame()
    return (df.x + df.w.fillna(0) + (df.c == "a") > 0.4).astype(int).to_numpy()


def train(path: Path, words: bool = True, target: Any = None, rounds: int = 6, **parameters: Any) -> Any:
    settings = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "seed": 0, **parameters}
    matrix = xgb.DMatrix(frame(words), label() if target is None else target, enable_categorical=True, nthread=1)
    if settings["objective"].startswith("rank"):
        matrix.set_group([20] * (ROWS // 20))
    booster = xgb.train(settings, matrix, rounds)
    booster.save_model(path)
    return booster


def table(words: bool = True) -> Any:
    df = frame(words)
    return pa.table({n: pa.array(df[n].astype(object).where(df[n].notna(), None).tolist()) for n in df})


def own(booster: Any, words: bool = True) -> Any:
    return booster.predict(xgb.DMatrix(frame(words), enable_categorical=True, nthread=1))


def agree(model: Any, rows: Any) -> Any:
    from assay.adapters.ensembles.trees import require_parity

    trees = model.trees()
    assert require_parity(trees, model, rows) < 1e-5
    for j, name in enumerate(trees.columns):
        borders = np.unique(trees.threshold[(trees.feature == j) & (trees.set_of < 0)])
        if not len(borders):
            continue
        short = borders.astype(np.float32)
        values = np.concatenate([borders, *(np.nextafter(short, np.float32(e)) for e in (-np.inf, np.inf)),
                                 *(np.nextafter(borders, e) for e in (-np.inf, np.inf))])  # fmt: skip
        drawn = rows.take(pa.array(np.arange(len(values)) % rows.num_rows))
        near = drawn.set_column(rows.column_names.index(name), name, pa.array(values))
        assert require_parity(trees, model, near) < 1e-5
    return trees


@pytest.mark.parametrize("name", ["m.json", "m.ubj"])
def test_scores_are_xgboosts_own_with_categories(tmp_path: Path, predictor: Any, name: str) -> None:
    booster = train(tmp_path / name)
    model = predictor(name)
    np.testing.assert_allclose(model.scores(table()), own(booster), atol=1e-6)
    assert (model.access, model.threshold, model.features, model.kind) == ("whitebox", 0.5, ("x", "w", "c"), "xgboost")
    trees = agree(model, table())
    assert trees.levels == {"c": ("a", "b", "long", "q")}
    assert trees.categorical == {"c"}


def test_unseen_and_missing_categories_are_missing(tmp_path: Path, predictor: Any) -> None:
    train(tmp_path / "m.json")
    model = predictor("m.json")
    rows = pa.table({"x": [0.1] * 3, "w": [0.2] * 3, "c": ["zebra", None, "a"]})
    got = model.scores(rows)
    assert got[0] == got[1]
    agree(model, rows)


def test_columns_of_infinite_numbers_are_named_where_it_fails(tmp_path: Path, predictor: Any) -> None:
    train(tmp_path / "m.json", words=False)
    model = predictor("m.json")
    x, w = [0.1, float("inf"), 0.2, None], [0.3, float("-inf"), float("inf"), 0.4]
    rows = pa.table({"x": x, "w": [0.3, 0.3, 0.3, 0.4], "other": w})
    with pytest.raises(
        CouldNotLook, match=r"XGBoostError: x holds infinite numbers in 1 row; mend it, or take it out$"
    ):
        model.scores(rows)
    with pytest.raises(CouldNotLook, match=r"XGBoostError: x, w hold infinite numbers in 2 rows; mend them, or"):
        model.scores(pa.table({"x": x, "w": w}))
    with pytest.raises(CouldNotLook, match=r"XGBoostError: w holds numbers beyond float32's range in 1 row; mend"):
        model.scores(pa.table({"x": [0.1, 0.2], "w": [1e39, 0.5]}))


def test_categories_that_xgboost_cuts_off_are_refused(tmp_path: Path, predictor: Any) -> None:
    df = pd.DataFrame({"c": pd.Categorical(["é", "ab"] * 20), "x": np.arange(40.0)})
    xgb.train({}, xgb.DMatrix(df, np.arange(40) % 2, enable_categorical=True), 2).save_model(tmp_path / "m.json")
    with pytest.raises(CouldNotLook, match="letters beyond ASCII"):
        predictor("m.json")


def test_positive_and_threshold(tmp_path: Path, predictor: Any) -> None:
    train(tmp_path / "m.json")
    one, zero = predictor("m.json", threshold=0.2), predictor("m.json", positive=0)
    assert one.threshold == 0.2
    np.testing.assert_allclose(one.scores(table()), 1 - zero.scores(table()), atol=1e-6)
    agree(one, table())
    agree(zero, table())


def test_dart(tmp_path: Path, predictor: Any) -> None:
    booster = train(tmp_path / "m.json", booster="dart", rate_drop=0.5, rounds=10)
    model = predictor("m.json")
    np.testing.assert_allclose(model.scores(table()), own(booster), atol=1e-5)
    assert len(agree(model, table()).roots) == 10


@pytest.mark.parametrize("objective", ["reg:squarederror", "reg:absoluteerror", "rank:pairwise", "binary:logitraw"])
def test_margins(tmp_path: Path, predictor: Any, objective: str) -> None:
    booster = train(tmp_path / "m.json", objective=objective)
    model = predictor("m.json")
    np.testing.assert_allclose(model.scores(table()), own(booster), atol=1e-5)
    assert model.threshold == 0.0
    assert agree(model, table()).link == "identity"


def test_several_classes_score_but_have_no_sum(tmp_path: Path, predictor: Any) -> None:
    booster = train(tmp_path / "m.json", objective="multi:softprob", num_class=3, target=np.arange(ROWS) % 3)
    model = predictor("m.json", positive=2)
    np.testing.assert_allclose(model.scores(table()), own(booster)[:, 2], atol=1e-6)
    assert model.classes == (0, 1, 2)
    with pytest.raises(CouldNotLook, match="tree for each of several classes"):
        model.trees()
    with pytest.raises(CouldNotLook, match="say which one"):
        predictor("m.json")


def test_a_linear_booster_scores_but_has_no_trees(tmp_path: Path, predictor: Any) -> None:
    booster = train(tmp_path / "m.json", words=False, booster="gblinear")
    model = predictor("m.json")
    np.testing.assert_allclose(model.scores(table(False)), own(booster, False), atol=1e-6)
    with pytest.raises(CouldNotLook, match="linear booster"):
        model.trees()


def test_an_objective_that_is_no_sum_is_refused(tmp_path: Path, predictor: Any) -> None:
    train(tmp_path / "m.json", objective="count:poisson")
    with pytest.raises(CouldNotLook, match="objective 'count:poisson'"):
        predictor("m.json").trees()


def test_wrappers_in_pickles(tmp_path: Path, predictor: Any) -> None:
    joblib = pytest.importorskip("joblib")
    from assay.adapters import sandbox_kernel

    if sandbox_kernel.landlock_abi() < 1:
        pytest.skip("this kernel has no Landlock")
    fitted = xgb.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1, early_stopping_rounds=2)
    fitted.fit(frame(False), label(), eval_set=[(frame(False), 1 - label())], verbose=False)
    assert fitted.best_iteration < 19
    joblib.dump(fitted, tmp_path / "m.joblib")
    model = predictor("m.joblib")
    np.testing.assert_array_equal(model.scores(table(False)), fitted.predict_proba(frame(False))[:, 1])
    assert len(agree(model, table(False)).roots) == fitted.best_iteration + 1


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_ubjson_says_what_json_says(tmp_path: Path, booster: str, words: bool) -> None:
    from assay.formats.models.source import Cursor, Source
    from assay.formats.models.ubjson import load
    from assay.formats.reading import Limits

    trained = train(tmp_path / "m.ubj", words, booster=booster)
    trained.save_model(tmp_path / "m.json")
    content = (tmp_path / "m.ubj").read_bytes()
    loaded = load(Cursor(Source(io.BytesIO(content), Limits()), 0, ">"))

    def plain(value: Any) -> Any:
        """Numbers as float32, which UBJSON holds them as; truth values and numbers are one thing in XGBoost's files."""
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return float(np.float32(value)) if isinstance(value, int | float) else value

    assert plain(loaded) == plain(json.loads((tmp_path / "m.json").read_text()))


def test_no_damage_reaches_xgboost(tmp_path: Path, predictor: Any) -> None:
    """Bytes changed and cut: each file is refused in one line or scores."""
    from assay.adapters.xgboost_model import sound

    rng = random.Random(3)
    refused = 0
    for name in ("m.json", "m.ubj"):
        train(tmp_path / name, rounds=2)
        whole = (tmp_path / name).read_bytes()
        for turn in range(150):
            damaged = bytearray(whole[: rng.randrange(1, len(whole))] if turn % 3 == 0 else whole)
            for _ in range(1 + turn % 4):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            try:
                sound(bytes(damaged), name)
            except CouldNotLook as error:
                refused += 1
                assert "\n" not in str(error)  # noqa: PT017
    assert refused > 100


def changed(content: dict[str, Any], path: tuple[Any, ...], value: Any) -> bytes:
    place: Any = content
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(content).encode()


FIRST = ("learner", "gradient_booster", "model", "trees", 0)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        pytest.param((*FIRST, "left_children", 0), 0, "not a tree", id="cycle"),
        pytest.param((*FIRST, "left_children", 0), 1 << 20, "not a tree", id="child out of range"),
        pytest.param((*FIRST, "left_children", 0), -7, "not a tree", id="negative child"),
        pytest.param((*FIRST, "split_indices", 0), 99, "feature that it does not have", id="feature out of range"),
        pytest.param((*FIRST, "split_conditions", 0), float("nan"), "torn|no number", id="nan threshold"),
        pytest.param((*FIRST, "split_conditions"), None, "missing", id="missing array"),
        pytest.param((*FIRST, "split_conditions"), [1.0], "other lengths", id="short array"),
        pytest.param((*FIRST, "tree_param", "num_nodes"), "4000000000", "nodes that it says", id="giant count"),
        pytest.param((*FIRST, "categories"), [1 << 30], "torn|absurd", id="giant category"),
        pytest.param((*FIRST, "categories_segments"), [1 << 40], "do not fit|torn", id="segment out of range"),
        pytest.param(("learner", "learner_model_param", "num_feature"), "99999999999", "absurd", id="giant width"),
        pytest.param(("learner", "learner_model_param", "base_score"), "[nan]", "torn|no number", id="nan base"),
        pytest.param(("learner", "gradient_booster", "model", "trees"), [], "no trees", id="no trees"),
        pytest.param(("learner", "gradient_booster", "name"), "gbwhat", "not known", id="booster"),
        pytest.param(("learner", "objective"), None, "missing", id="no objective"),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, predictor: Any, path: tuple[Any, ...], value: Any, says: str
) -> None:
    train(tmp_path / "m.json", rounds=2)
    content = json.loads((tmp_path / "m.json").read_text())
    (tmp_path / "m.json").write_bytes(changed(content, path, value))
    with pytest.raises(CouldNotLook, match=says) as refused:
        predictor("m.json")
    assert "\n" not in str(refused.value)
