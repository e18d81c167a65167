"""XGBoost files as a hostile reader writes them: codes nobody listed, early stopping, and fields its parser trusts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import CouldNotLook

pytest.importorskip("duckdb", reason="the ml extra is not installed")
xgb = pytest.importorskip("xgboost", reason="xgboost is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
pd = pytest.importorskip("pandas", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")

ROWS = 300
NAMES = ["a", "b", "n"]
CODES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 63, 64, 1000, 2**24 - 1, 2**24, 2**31, 1e9, 1e30]
CODES += [-1, -0.0, -0.5, 0.5, 1.5, 3.999, 31.5, -1e9, 16777215.5, float("nan")]


def coded(seed: int) -> tuple[Any, Any]:
    """Codes of two columns (the third is a number), a few missing, and a label that needs them."""
    rng = np.random.default_rng(seed)
    high = int(rng.integers(3, 70))
    a, b = rng.integers(0, high, ROWS), rng.integers(0, 5, ROWS)
    x = np.column_stack([a, b, rng.normal(size=ROWS)]).astype(np.float32)
    y = (((a * 7 + seed) % 5 < 2) | ((b >= 3) & (x[:, 2] > 0))).astype(int)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, y


def train(path: Path, seed: int = 0, rounds: int = 4, **parameters: Any) -> Any:
    x, y = coded(seed)
    matrix = xgb.DMatrix(x, y, feature_types=["c", "c", "q"], feature_names=NAMES, enable_categorical=True, nthread=1)
    settings = {"objective": "binary:logistic", "max_depth": 4, "nthread": 1, "seed": seed, **parameters}
    booster = xgb.train(settings, matrix, rounds)
    booster.save_model(path)
    return booster


def every_code(seed: int = 0) -> Any:
    """Rows (n, 3) with each code in each column of categories, beside what is drawn."""
    rng = np.random.default_rng(seed)
    rows = coded(seed)[0].astype(float)[rng.integers(0, ROWS, 2 * len(CODES))]
    rows[: len(CODES), 0], rows[len(CODES) :, 1] = CODES, CODES
    return rows


def table(rows: Any) -> Any:
    return pa.table({name: pa.array(rows[:, j]) for j, name in enumerate(NAMES)})


def document(path: Path) -> Any:
    return json.loads(path.read_text())


def forest(content: Any) -> Any:
    booster = content["learner"]["gradient_booster"]
    return booster.get("gbtree", booster)["model"]


def relisted(path: Path, seed: int) -> None:
    """List other codes at every split by sets: one high code, or only low ones, or each second one."""
    rng = np.random.default_rng(seed)
    content = document(path)
    for tree in forest(content)["trees"]:
        codes: list[int] = []
        starts, sizes = [], []
        for _ in tree["categories_nodes"]:
            listed = [[int(rng.integers(0, 100))], [0, 1, 2], [*range(0, 64, 2)], [40, 3]][int(rng.integers(4))]
            starts.append(len(codes))
            sizes.append(len(listed))
            codes += listed
        tree |= {"categories": codes, "categories_segments": starts, "categories_sizes": sizes}
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("edited", [False, True], ids=["trained", "edited"])
@pytest.mark.parametrize("onehot", [1, 100], ids=["sets", "one code"])
@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(s, marks=pytest.mark.heavy) for s in (3, 4, 5))])
def test_any_code_goes_where_xgboost_sends_it(
    tmp_path: Path, predictor: Any, seed: int, onehot: int, edited: bool
) -> None:
    from assay.adapters.ensembles.trees import require_parity

    train(tmp_path / "m.json", seed, max_cat_to_onehot=onehot)
    if edited:
        relisted(tmp_path / "m.json", seed)
    booster = xgb.Booster(model_file=tmp_path / "m.json")
    rows = every_code(seed)
    model = predictor("m.json")
    trees = model.trees()
    assert trees.categorical
    assert require_parity(trees, model, table(rows)) < 1e-5
    types = {"feature_types": ["c", "c", "q"], "feature_names": NAMES, "enable_categorical": True, "nthread": 1}
    margins = booster.predict(xgb.DMatrix(rows.astype(np.float32), **types), output_margin=True)
    np.testing.assert_allclose(trees.margins(rows), margins, atol=1e-5)
    # One row at a time XGBoost walks the trees by other code than in blocks.
    alone = [booster.predict(xgb.DMatrix(r[None].astype(np.float32), **types), output_margin=True)[0] for r in rows]
    np.testing.assert_allclose(trees.margins(rows), alone, atol=1e-5)


def test_an_unlisted_code_goes_left_however_high(tmp_path: Path, predictor: Any) -> None:
    """What lies beyond every set was sent right: certificates were written for rows that a new code lets pass."""
    train(tmp_path / "m.json", max_depth=1, rounds=1, max_cat_to_onehot=1)
    content = document(tmp_path / "m.json")
    (tree,) = forest(content)["trees"]
    assert tree["split_type"][0] == 1
    trees = predictor("m.json").trees()
    highest = max(tree["categories"])
    rows = np.zeros((3, 3))
    rows[:, tree["split_indices"][0]] = [tree["categories"][0], highest + 1, highest + 10_000]
    got = trees.margins(rows) - trees.base
    np.testing.assert_allclose(got, [tree["split_conditions"][2], *[tree["split_conditions"][1]] * 2], rtol=1e-6)


def test_sets_too_large_to_hold_are_refused(tmp_path: Path, predictor: Any) -> None:
    train(tmp_path / "m.json", rounds=8)
    content = document(tmp_path / "m.json")
    for tree in forest(content)["trees"]:
        tree["categories"] = [2**24 - 1] * len(tree["categories"])
    (tmp_path / "m.json").write_text(json.dumps(content))
    model = predictor("m.json")
    assert model.scores(table(every_code())).shape == (2 * len(CODES),)
    with pytest.raises(CouldNotLook, match="too large to be held"):
        model.trees()


def test_pruned_nodes_are_not_walked(tmp_path: Path, predictor: Any) -> None:
    from assay.adapters.ensembles.trees import require_parity

    x, y = coded(3)
    settings = {"objective": "binary:logistic", "tree_method": "exact", "max_depth": 6, "gamma": 2.0, "nthread": 1}
    booster = xgb.train(settings, xgb.DMatrix(x, y, feature_names=NAMES, nthread=1), 5)
    booster.save_model(tmp_path / "m.json")
    assert any(int(t["tree_param"]["num_deleted"]) for t in forest(document(tmp_path / "m.json"))["trees"])
    model = predictor("m.json")
    assert require_parity(model.trees(), model, table(coded(4)[0].astype(float))) < 1e-5
    assert model.trees().feature.max() < 3


def stopped(path: Path, **parameters: Any) -> Any:
    """A classifier that stopped long after its best round."""
    x, y = coded(0)
    fitted = xgb.XGBClassifier(n_estimators=30, early_stopping_rounds=6, max_depth=3, n_jobs=1, **parameters)
    fitted.fit(x[:200], y[:200], eval_set=[(x[200:], (y[200:] + 1) % (y.max() + 1))], verbose=False)
    fitted.save_model(path)
    return fitted


@pytest.mark.parametrize("name", ["m.json", "m.ubj"])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"booster": "dart", "rate_drop": 0.3}, {"num_parallel_tree": 3, "subsample": 0.6}],
    ids=["gbtree", "dart", "forest"],
)
def test_early_stopping_answers_as_the_classifier(
    tmp_path: Path, predictor: Any, name: str, parameters: dict[str, Any]
) -> None:
    from assay.adapters.ensembles.trees import require_parity

    fitted = stopped(tmp_path / name, **parameters)
    rounds = fitted.get_booster().num_boosted_rounds()
    assert fitted.best_iteration + 1 < rounds
    served = xgb.XGBClassifier()
    served.load_model(tmp_path / name)
    x = coded(1)[0]
    model = predictor(name, inputs=NAMES)
    np.testing.assert_allclose(model.scores(table(x.astype(float))), served.predict_proba(x)[:, 1], atol=1e-6)
    trees = model.trees()
    assert require_parity(trees, model, table(x.astype(float))) < 1e-5
    assert len(trees.roots) == (fitted.best_iteration + 1) * parameters.get("num_parallel_tree", 1)
    what = f"training stopped early: its first {fitted.best_iteration + 1} rounds answer, as XGBClassifier has it"
    assert model.notes == (f"the file says that {what}; a bare Booster asks all {rounds}",)


def test_early_stopping_of_several_classes(tmp_path: Path, predictor: Any) -> None:
    x = coded(0)[0]
    y = np.nan_to_num(x[:, 1]).astype(int) % 3
    fitted = xgb.XGBClassifier(n_estimators=20, early_stopping_rounds=3, max_depth=2, n_jobs=1)
    fitted.fit(x[:200], y[:200], eval_set=[(x[200:], (y[200:] + 1) % 3)], verbose=False)
    fitted.save_model(tmp_path / "m.json")
    model = predictor("m.json", inputs=NAMES, positive=2)
    np.testing.assert_allclose(model.scores(table(x.astype(float))), fitted.predict_proba(x)[:, 2], atol=1e-6)
    assert "stopped early" in model.notes[0]


def test_rounds_are_counted_where_an_old_file_does_not_tell_them(tmp_path: Path, predictor: Any) -> None:
    fitted = stopped(tmp_path / "m.json", num_parallel_tree=3, subsample=0.6)
    content = document(tmp_path / "m.json")
    del forest(content)["iteration_indptr"]
    (tmp_path / "m.json").write_text(json.dumps(content))
    x = coded(1)[0]
    model = predictor("m.json", inputs=NAMES)
    np.testing.assert_allclose(model.scores(table(x.astype(float))), fitted.predict_proba(x)[:, 1], atol=1e-6)
    assert len(model.trees().roots) == 3 * (fitted.best_iteration + 1)


def test_a_training_that_ran_through_needs_no_note(tmp_path: Path, predictor: Any) -> None:
    stopped(tmp_path / "m.json")
    content = document(tmp_path / "m.json")
    rounds = len(forest(content)["iteration_indptr"]) - 1
    content["learner"]["attributes"]["best_iteration"] = str(rounds - 1)
    (tmp_path / "m.json").write_text(json.dumps(content))
    model = predictor("m.json", inputs=NAMES)
    assert (model.notes, len(model.trees().roots)) == ((), rounds)


@pytest.mark.parametrize("said", ["x", "", "1.0", "1_0", "\u0661", "-1", "-2", "31", "99999999999999999999"])
def test_a_best_round_that_is_not_there_is_refused(tmp_path: Path, predictor: Any, said: str) -> None:
    stopped(tmp_path / "m.json")
    content = document(tmp_path / "m.json")
    content["learner"]["attributes"]["best_iteration"] = said
    (tmp_path / "m.json").write_text(json.dumps(content))
    with pytest.raises(CouldNotLook, match=r"stopped early is not there|no whole number"):
        predictor("m.json", inputs=NAMES)


MODEL = ("learner", "gradient_booster", "model")
TREE = (*MODEL, "trees", 0)
PARAM = ("learner", "learner_model_param")


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        pytest.param((*MODEL, "tree_info", 0), 7, "output that it does not have", id="group beyond"),
        pytest.param((*MODEL, "tree_info", 0), -1, "output that it does not have", id="group below"),
        pytest.param((*MODEL, "tree_info"), [0], "which output", id="short groups"),
        pytest.param((*MODEL, "iteration_indptr", 1), -1, "rounds", id="round below"),
        pytest.param((*MODEL, "iteration_indptr", 4), 2**31, "rounds", id="round beyond"),
        pytest.param((*MODEL, "gbtree_model_param", "num_trees"), "3", "trees that it says", id="count of trees"),
        pytest.param((*MODEL, "gbtree_model_param", "num_parallel_tree"), "0", "absurd", id="no trees a round"),
        pytest.param((*PARAM, "num_target"), "-5", "targets is absurd", id="targets below"),
        pytest.param((*PARAM, "num_target"), "100000000", "targets is absurd", id="targets beyond"),
        pytest.param((*PARAM, "num_class"), "-1", "classes is absurd", id="classes below"),
        pytest.param((*PARAM, "num_feature"), "\u0663", "no whole number", id="digits of another script"),
        pytest.param((*PARAM, "num_feature"), "0_3", "no whole number", id="underscore"),
        pytest.param((*PARAM, "base_score"), "[1E39]", "base score", id="base beyond float32"),
        pytest.param((*PARAM, "base_score"), "[5E-1,5E-1]", "base score", id="bases of other outputs"),
        pytest.param((*TREE, "parents", 1), -1, "not a tree", id="parent below"),
        pytest.param((*TREE, "parents", 1), 100_000_000, "not a tree", id="parent beyond"),
        pytest.param((*TREE, "parents", 0), 7, "not a tree", id="parent of the root"),
        pytest.param((*TREE, "id"), 1, "order", id="trees twice"),
        pytest.param((*TREE, "tree_param", "size_leaf_vector"), "-1", "several values", id="negative leaf"),
        pytest.param((*TREE, "split_type", 0), 7, "kind", id="kind of split"),
        pytest.param((*TREE, "default_left", 0), 7, "nowhere", id="way for missing"),
        pytest.param((*TREE, "split_conditions", 0), 1e39, "no float32", id="threshold beyond float32"),
        pytest.param(
            (*TREE, "split_conditions", 0), 2.0000001192092896, "between two of float32", id="above the middle"
        ),
        pytest.param((*TREE, "split_conditions", 0), 1.000000178813934326, "between two of float32", id="the middle"),
        pytest.param((*TREE, "categories_sizes", 0), 0, "torn", id="empty set"),
        pytest.param(("learner", "gradient_booster", "weight_drop"), [0.0], "only a dart booster", id="weights"),
        pytest.param(
            ("learner", "gradient_booster", "gbtree"), {"model": {}}, "only a dart|no trees", id="decoy trees"
        ),
    ],
)
def test_what_xgboost_trusts_is_refused(
    tmp_path: Path, predictor: Any, path: tuple[Any, ...], value: Any, says: str
) -> None:
    """Each of these ended the process, took gigabytes or gave other scores in XGBoost's own parser."""
    train(tmp_path / "m.json")
    content = document(tmp_path / "m.json")
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    (tmp_path / "m.json").write_text(json.dumps(content))
    with pytest.raises(CouldNotLook, match=says) as refused:
        predictor("m.json")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["split\\u005fconditions", "split_conditions"], ids=["spelled", "twice"])
def test_json_that_is_two_models_is_refused(tmp_path: Path, predictor: Any, key: str) -> None:
    """XGBoost compares keys as they are written: it took the trees, and what was judged were the decoy's."""
    train(tmp_path / "m.json")
    text = (tmp_path / "m.json").read_text()
    assert '"split_conditions":' in text
    decoy = f'"{key}":[0.5],"split_conditions":'
    (tmp_path / "m.json").write_text(text.replace('"split_conditions":', decoy))
    with pytest.raises(CouldNotLook, match=r"twice|by their numbers.*in two ways"):
        predictor("m.json")


def test_ubjson_with_a_key_twice_is_refused(tmp_path: Path, predictor: Any) -> None:
    train(tmp_path / "m.ubj")
    content = (tmp_path / "m.ubj").read_bytes()
    mark = b"L" + len("split_conditions").to_bytes(8, "big") + b"split_conditions"
    assert mark in content
    (tmp_path / "m.ubj").write_bytes(content.replace(mark, mark + b"Z" + mark))
    with pytest.raises(CouldNotLook, match="gives a key twice"):
        predictor("m.ubj")


def test_a_decimal_whose_double_is_the_middle_of_two_float32_is_refused(tmp_path: Path, predictor: Any) -> None:
    train(tmp_path / "m.json")
    content = document(tmp_path / "m.json")
    forest(content)["trees"][0]["split_conditions"][0] = 123456.5
    text = json.dumps(content).replace("123456.5", "967498269e-19")
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(CouldNotLook, match="between two of float32"):
        predictor("m.json")


def test_numbers_as_xgboost_writes_them_are_plain() -> None:
    """The shortest decimals of some large float32 lie in the middle of two, and are read as the even one by all."""
    from assay.adapters.xgboost_model import _digits, _halfway

    assert _halfway(96385420.0)
    assert len(_digits(b"9.638542E7")) == 7
    assert len(_digits(b"9.6385420000000001E7")) == 17
    assert not any(map(_halfway, (0.0, -0.5, 3.4028234663852886e38, 0.1, 1e-50, 16777216.0, 1.2345678)))


def test_children_apart_are_refused(tmp_path: Path, predictor: Any) -> None:
    """XGBoost takes the node after the left child for the right one: turned children end the process on one row."""
    train(tmp_path / "m.json")
    content = document(tmp_path / "m.json")
    tree = forest(content)["trees"][0]
    tree["left_children"][0], tree["right_children"][0] = tree["right_children"][0], tree["left_children"][0]
    (tmp_path / "m.json").write_text(json.dumps(content))
    with pytest.raises(CouldNotLook, match="side by side"):
        predictor("m.json")


@pytest.mark.parametrize("what", ["no set", "out of order"])
def test_sets_that_xgboost_would_pass_over_are_refused(tmp_path: Path, predictor: Any, what: str) -> None:
    train(tmp_path / "m.json")
    content = document(tmp_path / "m.json")
    tree = next(t for t in forest(content)["trees"] if len(t["categories_nodes"]) > 1)
    for name in ("categories_nodes", "categories_segments", "categories_sizes"):
        tree[name] = tree[name][1:] if what == "no set" else tree[name][::-1]
    (tmp_path / "m.json").write_text(json.dumps(content))
    with pytest.raises(CouldNotLook, match=r"without its categories|out of order"):
        predictor("m.json")


def test_a_linear_booster_needs_all_its_weights(tmp_path: Path, predictor: Any) -> None:
    x, y = coded(0)
    matrix = xgb.DMatrix(np.nan_to_num(x), y, feature_names=NAMES, nthread=1)
    xgb.train({"booster": "gblinear", "nthread": 1}, matrix, 2).save_model(tmp_path / "m.json")
    assert predictor("m.json").scores(table(np.zeros((2, 3)))).shape == (2,)
    content = document(tmp_path / "m.json")
    content["learner"]["gradient_booster"]["model"]["weights"] = [0.5]
    (tmp_path / "m.json").write_text(json.dumps(content))
    with pytest.raises(CouldNotLook, match="weights do not fit its features"):
        predictor("m.json")


def test_truth_values_of_old_files_are_read(tmp_path: Path, predictor: Any) -> None:
    booster = train(tmp_path / "m.json")
    content = document(tmp_path / "m.json")
    for tree in forest(content)["trees"]:
        tree["default_left"] = [bool(v) for v in tree["default_left"]]
    (tmp_path / "m.json").write_text(json.dumps(content))
    rows = every_code()
    types = {"feature_types": ["c", "c", "q"], "feature_names": NAMES, "enable_categorical": True, "nthread": 1}
    own = booster.predict(xgb.DMatrix(rows.astype(np.float32), **types))
    model = predictor("m.json")
    np.testing.assert_allclose(model.scores(table(rows)), own, atol=1e-6)
    np.testing.assert_allclose(model.trees().scores(model.trees().margins(rows)), own, atol=1e-5)


def test_the_trees_are_those_that_xgboost_holds(
    tmp_path: Path, predictor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever we read of the file: a row in a corner where two readers differ was certified."""
    from assay.adapters.ensembles.trees import require_parity

    stopped(tmp_path / "m.json")
    model = predictor("m.json", inputs=NAMES)
    before = len(model.trees().roots)
    monkeypatch.setattr(model, "_booster", stopped(tmp_path / "other.json", num_parallel_tree=3).get_booster())
    trees = model.trees()
    assert len(trees.roots) != before
    rows = table(coded(1)[0].astype(float))
    best = model.booster.best_iteration + 1
    asked = model.booster.predict(xgb.DMatrix(coded(1)[0]), iteration_range=(0, best))
    np.testing.assert_allclose(trees.scores(trees.margins(trees.read(rows))), asked, atol=1e-5)
    assert require_parity(trees, predictor("other.json", inputs=NAMES), rows) < 1e-5


KEYED = b"L\x00\x00\x00\x00\x00\x00\x00\x10gradient_booster{"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (KEYED, b"i\x10gradient_booster{"),
        (KEYED, KEYED[:-1] + b"N{"),
        (KEYED, KEYED + b"#L\x00\x00\x00\x00\x00\x00\x00\x02"),
        (b"[$", b"[N$"),
        (KEYED, b"L\x80" + KEYED[2:]),
    ],
    ids=["short length", "nothing between", "counted object", "nothing before a kind", "negative length"],
)
def test_ubjson_that_xgboost_does_not_write_is_refused(tmp_path: Path, predictor: Any, old: bytes, new: bytes) -> None:
    stopped(tmp_path / "m.ubj")
    whole = (tmp_path / "m.ubj").read_bytes()
    assert old in whole
    (tmp_path / "m.ubj").write_bytes(whole.replace(old, new, 1))
    with pytest.raises(CouldNotLook, match="torn or damaged"):
        predictor("m.ubj", inputs=NAMES)


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("sorted_idx",), [1, 0, 2], "order of its categories"),
        (("sorted_idx",), [], "order of its categories"),
        (("feature_segments",), [0, 0, 2], "order of its categories"),
        (("enc", 1, "values"), [97, 97, 99], "twice"),
        (("enc", 1, "values"), [97, 98], "end where they should"),
        (("enc", 1, "offsets"), [0, 1, 1, 3], "end where they should|twice|order"),
        (("enc", 1, "offsets"), [0, 2, 1, 3], "end where they should"),
        (("enc",), [{"offsets": [0, 1], "values": [97]}], "fit its features"),
    ],
    ids=["order", "no order", "segments", "twice", "cut", "empty", "falling", "fewer"],
)
def test_categories_that_xgboost_looks_up_otherwise_are_refused(
    tmp_path: Path, predictor: Any, place: tuple[Any, ...], value: Any, says: str
) -> None:
    """XGBoost finds a category of a frame by an order of its own: another one scored other words."""
    rng = np.random.default_rng(3)
    words = pd.Categorical.from_codes(rng.integers(0, 3, 300), ["a", "b", "c"])
    df = pd.DataFrame({"x": rng.normal(size=300), "k": words})
    data = xgb.DMatrix(df, (df.x + (words == "b") > 0.4).astype(int), enable_categorical=True, nthread=1)
    xgb.train({"objective": "binary:logistic", "nthread": 1}, data, 3).save_model(tmp_path / "m.json")
    content = document(tmp_path / "m.json")
    assert predictor("m.json").scores(pa.table({"x": df.x, "k": df.k.astype(str)})).shape == (300,)
    at: Any = forest(content)["cats"]
    assert at["sorted_idx"] == [0, 1, 2]
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    (tmp_path / "m.json").write_text(json.dumps(content))
    with pytest.raises(CouldNotLook, match=says):
        predictor("m.json")


def test_half_a_letter_is_refused_in_a_line(tmp_path: Path, predictor: Any) -> None:
    stopped(tmp_path / "m.json")
    content = document(tmp_path / "m.json")
    content["learner"]["attributes"]["a"] = "\ud800"
    (tmp_path / "m.json").write_text(json.dumps(content))
    with pytest.raises(CouldNotLook, match="another kind"):
        predictor("m.json", inputs=NAMES)
