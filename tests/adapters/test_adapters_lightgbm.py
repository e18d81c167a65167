"""LightGBM text models: the same scores as LightGBM, categories included, and no damaged file ever reaches it."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import CouldNotLook

pytest.importorskip("duckdb", reason="the ml extra is not installed")
lgb = pytest.importorskip("lightgbm", reason="the ml extra is not installed")
pd = pytest.importorskip("pandas", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
pytest.importorskip("pyarrow.parquet", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")


def frame(rows: int = 300) -> Any:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "x": rng.normal(size=rows),
            "c": pd.Categorical(rng.choice(["a", "b", "q"], rows)),
            "d": pd.Categorical(rng.choice([10, 20, 30], rows)),
        }
    )


def train(path: Path, **parameters: Any) -> Any:
    df = frame()
    y = (df.x + (df.c == "a") + (df.d == 20) > 0.7).astype(int)
    settings = {"objective": "binary", "verbose": -1, "min_data_in_leaf": 5, "num_threads": 1, **parameters}
    if settings.get("num_class"):
        y = np.arange(len(df)) % settings["num_class"]
    booster = lgb.train(settings, lgb.Dataset(df, y), 8)
    booster.save_model(path)
    return booster


@pytest.fixture
def data(dataset: Any) -> Any:
    df = frame()
    return dataset(
        "x,c,d,y\n" + "".join(f"{r.x!r},{r.c},{r.d},{i % 2}\n" for i, r in enumerate(df.itertuples())), label="y"
    )


def test_scores_are_lightgbms_own(tmp_path: Path, data: Any, predictor: Any) -> None:
    booster = train(tmp_path / "m.txt")
    model = predictor("m.txt", data)
    np.testing.assert_array_equal(model.scores(data.table()), booster.predict(frame()))
    assert (model.access, model.threshold, model.features, model.kind) == ("whitebox", 0.5, ("x", "c", "d"), "lightgbm")


def test_unseen_and_missing_categories_are_missing(tmp_path: Path, data: Any, predictor: Any) -> None:
    booster = train(tmp_path / "m.txt")
    rows = pa.table({"x": [0.1, 0.1, 0.1], "c": ["zebra", None, "a"], "d": pa.array([99, None, 20])})
    df = pd.DataFrame(
        {
            "x": [0.1] * 3,
            "c": pd.Categorical([None, None, "a"], categories=["a", "b", "q"]),
            "d": pd.Categorical([None, None, 20], categories=[10, 20, 30]),
        }
    )
    got = predictor("m.txt", data).scores(rows)
    np.testing.assert_array_equal(got, booster.predict(df))
    assert got[0] == got[1] != got[2]


def test_classes_and_margins(tmp_path: Path, data: Any, predictor: Any) -> None:
    several = train(tmp_path / "three.txt", objective="multiclass", num_class=3)
    model = predictor("three.txt", data, positive=2)
    np.testing.assert_array_equal(model.scores(data.table()), several.predict(frame())[:, 2])
    with pytest.raises(CouldNotLook, match="say which one"):
        predictor("three.txt", data)
    negative = predictor("three.txt", data, positive=0)
    assert negative.classes == (0, 1, 2)
    train(tmp_path / "two.txt")
    assert predictor("two.txt", data, positive=0).scores(data.table())[0] == pytest.approx(
        1 - predictor("two.txt", data).scores(data.table())[0]
    )
    train(tmp_path / "regression.txt", objective="regression")
    assert predictor("regression.txt", data).threshold == 0.0


def test_columns_that_do_not_fit_are_named(tmp_path: Path, data: Any, dataset: Any, predictor: Any) -> None:
    train(tmp_path / "m.txt")
    other = dataset("x,kind,d\n1,a,10\n2,b,20\n", name="o.csv")
    with pytest.raises(CouldNotLook, match=r"reads c, which o.csv lacks; the data has kind instead"):
        predictor("m.txt", other)
    assert predictor("m.txt", other, inputs=["x", "kind", "d"]).scores(other.table()).shape == (2,)
    with pytest.raises(CouldNotLook, match="takes 3 inputs, `inputs:` has 1"):
        predictor("m.txt", other, inputs=["x"])
    booster = lgb.train(
        {"verbose": -1, "objective": "binary"}, lgb.Dataset(np.random.rand(50, 3), np.arange(50) % 2), 2
    )
    booster.save_model(tmp_path / "plain.txt")
    with pytest.raises(CouldNotLook, match=r"wants numbers, but c holds? text"):
        predictor("plain.txt", data)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (pa.array([5, 6, 2**64 - 1, 2**64 - 2], pa.uint64()), "x holds numbers of more digits than a double keeps"),
        ([[1], [2], [3, 4], [5]], "x holds no plain numbers"),
        ([{"a": 1}] * 4, "x holds no plain numbers"),
        (["12", "9007199254740993", "word", "[]"], "x holds text"),
        (["1", "2", "3", "4"], "x holds text"),
    ],
    ids=["beyond", "lists", "structs", "words", "digits"],
)
def test_what_a_column_holds_that_is_no_number_is_told(
    tmp_path: Path, dataset: Any, predictor: Any, values: Any, says: str
) -> None:
    matrix = lgb.Dataset(np.random.default_rng(0).random((50, 2)), np.arange(50) % 2, feature_name=["x", "z"])
    lgb.train({"verbose": -1, "objective": "binary"}, matrix, 2).save_model(tmp_path / "m.txt")
    pa.parquet.write_table(pa.table({"x": values, "z": [0.5, 1.5, 2.5, 3.5]}), tmp_path / "t.parquet")
    with pytest.raises(CouldNotLook, match=f"m.txt: the model wants numbers, but {says}$"):
        predictor("m.txt", dataset(None, name="t.parquet"))


def test_what_lightgbm_says_is_not_passed_on(
    tmp_path: Path, data: Any, predictor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    train(tmp_path / "m.txt")
    model = predictor("m.txt", data)

    def fail(*_: object, **__: object) -> None:
        raise lightgbm.basic.LightGBMError("cannot read zaphod 4111111")

    monkeypatch.setattr(lightgbm.Booster, "predict", fail)
    monkeypatch.setattr(lightgbm.Booster, "model_from_string", fail)
    with pytest.raises(CouldNotLook, match=r"failed to predict: LightGBMError$"):
        model.scores(data.table())
    with pytest.raises(CouldNotLook, match=r"cannot load it: LightGBMError$"):
        predictor("m.txt", data)


def test_no_damage_reaches_lightgbm(tmp_path: Path, data: Any) -> None:
    """Any of these files would crash the process in LightGBM's own parser; each is refused or scores."""
    from assay.adapters.lightgbm_predictor import LightgbmPredictor

    train(tmp_path / "m.txt")
    whole = (tmp_path / "m.txt").read_bytes()
    rng = random.Random(7)
    trees_end = whole.index(b"end of trees")
    rows, refused = data.table().slice(0, 3), 0
    for turn in range(240):
        damaged = bytearray(whole)
        if turn % 3 == 0:
            damaged = damaged[: rng.randrange(len(whole))]
        for _ in range(turn % 3):
            damaged[rng.randrange(min(trees_end, len(damaged)))] = rng.choice(b"0123456789-. =\nx")
        try:
            assert LightgbmPredictor(bytes(damaged), data.subject).scores(rows).shape == (3,)
        except CouldNotLook as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017
    assert refused > 120


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"left_child=[1-9] ", b"left_child=0 ", "not a tree"),
        (b"split_feature=0", b"split_feature=7", "split_feature points outside"),
        (b"num_tree_per_iteration=1", b"num_tree_per_iteration=2", "do not fit its classes"),
        (b"num_class=1", b"num_class=9", "do not fit its classes"),
        (b"max_feature_idx=2", b"max_feature_idx=5", "do not fit its features"),
        (b"objective=binary sigmoid:1", b"objective=multiclass num_class:3", "does not fit its classes"),
        (b"cat_boundaries=0 1", b"cat_boundaries=0 9", "cat_threshold has|do not rise"),
        (b"pandas_categorical", b"pandas_xategorical", "cut off"),
        (rb"\[categorical_feature: 1,2\]", b"[categorical_feature: 1,8]", "points outside"),
        (b"num_leaves=", b"num_leaves=9", "not"),
        (b"\nfeature_infos", b"\nzz=1\rTree=0\nfeature_infos", "lines that end in two ways"),
        (b"objective=binary", b"=objective=binary", "a line is no field"),
        (b"pandas_categorical:", b"pandas_categorical:null\npandas_categorical:", "listed twice"),
        (rb"(pandas_categorical:.*\n)", rb"\1more\n", "not its last line"),
        (rb"pandas_categorical:", rb"\tpandas_categorical:", "cut off"),
        (rb'\["a", "b", "q"\]', rb'["a", "b", "b"]', "lists a category twice"),
        (rb'\["a", "b", "q"\]', rb'["a", NaN, "q"]', "one that is none"),
        (rb"\[categorical_feature: 1,2\]", b"[categorical_feature: 0,2]", "split a column by categories"),
        (b"end of trees", b"end of treez", "do not end"),
        (b"tree\n", b"tree\n\xff", "not UTF-8"),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, data: Any, predictor: Any, old: bytes, new: bytes, says: str
) -> None:
    train(tmp_path / "m.txt")
    whole = (tmp_path / "m.txt").read_bytes()
    damaged = re.sub(old, new, whole, count=1)
    assert damaged != whole
    (tmp_path / "m.txt").write_bytes(damaged)
    with pytest.raises(CouldNotLook, match=says):
        predictor("m.txt", data)


def stump(path: Path, spelled: str, field: str = "threshold") -> None:
    """A model of one split of `Column_0`, `field` of its tree as spelled."""
    x = np.arange(100.0).reshape(-1, 1)
    settings = {"objective": "regression", "num_leaves": 2, "verbose": -1, "num_threads": 1}
    head, _, rest = lgb.train(settings, lgb.Dataset(x, x[:, 0] > 50), 1).model_to_string().partition("\nTree=0")
    trees, _, tail = rest.partition("end of trees")
    tree = re.sub(f"\n{field}=.*", lambda _: f"\n{field}={spelled}", "Tree=0" + trees, count=1)
    head = re.sub("tree_sizes=.*", f"tree_sizes={len(tree.encode())}", head)
    path.write_text(f"{head}\n{tree}end of trees{tail}", encoding="utf-8")


@pytest.mark.parametrize("kind", [12, 13, 14, 15])
def test_a_kind_of_missing_that_lightgbm_does_not_know_is_refused(tmp_path: Path, predictor: Any, kind: int) -> None:
    """LightGBM takes NaN for 0 there and the reader followed the default: rows that pass were certified."""
    stump(tmp_path / "m.txt", str(kind), "decision_type")
    with pytest.raises(CouldNotLook, match="decision_type"):
        predictor("m.txt")


def test_linear_trees_are_called_so(tmp_path: Path, predictor: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    settings = {"objective": "regression", "linear_tree": True, "verbose": -1, "num_threads": 1}
    lgb.train(settings, lgb.Dataset(x, x[:, 0] * x[:, 1]), 2).save_model(tmp_path / "m.txt")
    with pytest.raises(CouldNotLook, match="linear trees, which are not supported"):
        predictor("m.txt")


ODD = [
    "6_0",
    "\u0666",
    "\uff16",
    "+6",
    "6.",
    ".5",
    "6e",
    "0x10",
    "nan",
    "inf",
    "-inf",
    "infinity",
    "1e400",
    "6\t",
    "6d",
    "",
]


@pytest.mark.parametrize("spelled", ODD, ids=ascii)
def test_numbers_that_lightgbm_reads_otherwise_are_refused(tmp_path: Path, predictor: Any, spelled: str) -> None:
    """Of `6_0` LightGBM takes the 6 and Python 60: certificates were written for another model."""
    for field in ("threshold", "shrinkage"):
        if (field, spelled) == ("threshold", "inf"):
            continue  # where missing values alone go the other way
        stump(tmp_path / "m.txt", spelled, field)
        with pytest.raises(CouldNotLook, match=r"no number|beyond all numbers|has 0 values") as refused:
            predictor("m.txt")
        assert "\n" not in str(refused.value)
    stump(tmp_path / "m.txt", f"0.5 {spelled}", "leaf_value")
    with pytest.raises(CouldNotLook, match="leaf_value has"):
        predictor("m.txt")


@pytest.mark.parametrize(
    "said", ["sigmoid:1_0", "sigmoid:\u0661", "sigmoid:1.5.2", "sigmoid:1e999", "sigmoid:"], ids=ascii
)
def test_an_objective_with_odd_numbers_is_refused(tmp_path: Path, data: Any, predictor: Any, said: str) -> None:
    train(tmp_path / "m.txt")
    whole = (tmp_path / "m.txt").read_text()
    (tmp_path / "m.txt").write_text(whole.replace("sigmoid:1", said), encoding="utf-8")
    with pytest.raises(CouldNotLook, match="objective"):
        predictor("m.txt", data)


def test_numbers_as_lightgbm_spells_them_are_read_alike(tmp_path: Path, predictor: Any) -> None:
    """The border lies at the very float that Python reads, whatever the number of digits."""
    rng = random.Random(1)
    spelled = [f"{rng.uniform(-1, 1) * 10 ** rng.randint(-30, 30):.17g}" for _ in range(25)]
    spelled += [f"{rng.uniform(-100, 100):.{rng.randint(0, 40)}f}" for _ in range(10)]
    spelled += ["1e+300", "-0", "1.0000000180025095e-35", "1E5", "7", "-1e-300", "0.1000000000000000055511151231257827"]
    for text in spelled:
        stump(tmp_path / "m.txt", text)
        model = predictor("m.txt", inputs=["x"])
        at = float(text)
        x = [at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), at + 1, at - 1, 0.0, 1e-30, -1e-30]
        trees = model.trees()
        rows = pa.table({"x": pa.array(x)})
        np.testing.assert_allclose(trees.margins(trees.read(rows)), model.scores(rows), rtol=1e-12, err_msg=text)


def test_a_split_of_missing_values_from_all_numbers_is_read(tmp_path: Path, predictor: Any) -> None:
    """LightGBM writes `inf` for its border; such models, of any table with gaps, were once called damaged."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2))
    x[rng.random(600) < 0.3, 1] = np.nan
    settings = {"objective": "binary", "num_leaves": 6, "verbose": -1, "num_threads": 1}
    booster = lgb.train(settings, lgb.Dataset(x, np.isnan(x[:, 1]) | (x[:, 0] > 1)), 5)
    booster.save_model(tmp_path / "m.txt")
    assert re.search(r"\nthreshold=(.* )?inf", (tmp_path / "m.txt").read_text())
    model, rows = predictor("m.txt", inputs=["a", "b"]), pa.table({"a": x[:, 0], "b": x[:, 1]})
    np.testing.assert_allclose(model.scores(rows), booster.predict(x), rtol=1e-12)
    trees = model.trees()
    np.testing.assert_allclose(trees.scores(trees.margins(trees.read(rows))), booster.predict(x), rtol=1e-12)


def test_gains_beyond_all_numbers_are_natural(tmp_path: Path, predictor: Any) -> None:
    """LightGBM writes `inf` for the gain of a split where labels are huge; no answer rests on it."""
    stump(tmp_path / "m.txt", "inf", "split_gain")
    assert predictor("m.txt", inputs=["x"]).scores(pa.table({"x": [1.0, 90.0]})).shape == (2,)


def test_the_trees_are_those_that_lightgbm_holds(
    tmp_path: Path, data: Any, predictor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever we read of the file: a row in a corner where two readers differ was certified."""
    from assay.adapters.ensembles.trees import require_parity

    train(tmp_path / "m.txt")
    model = predictor("m.txt", data)
    before = len(model.trees().feature)
    monkeypatch.setattr(model, "_booster", train(tmp_path / "other.txt", num_leaves=3))
    trees = model.trees()
    assert len(trees.feature) < before
    assert require_parity(trees, model, data.table()) < 1e-9


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", "\x1c"])
def test_a_list_of_categories_behind_a_blank_is_not_passed_over(tmp_path: Path, predictor: Any, blank: str) -> None:
    """LightGBM strips the line and codes whole numbers by the list: rows were scored as if there were none."""
    stump(tmp_path / "m.txt", "0.5")
    text = (tmp_path / "m.txt").read_text(encoding="utf-8")
    assert "pandas_categorical:null" in text
    (tmp_path / "m.txt").write_text(text.replace("pandas_categorical:null", f"{blank}pandas_categorical:[[0,9]]"))
    with pytest.raises(CouldNotLook, match="blank before it"):
        predictor("m.txt")


def test_a_tree_that_does_not_end_is_refused(tmp_path: Path, predictor: Any) -> None:
    """LightGBM read on into the next tree, and aborted the process."""
    train(tmp_path / "m.txt")
    head, *trees = (tmp_path / "m.txt").read_text().split("\nTree=")
    last, end, tail = trees[-1].partition("end of trees")
    parts = [f"Tree={t}\n" for t in (*trees[:-1], last.removesuffix("\n"))]
    parts[0] = parts[0].rstrip("\n") + "\n"
    sizes = " ".join(str(len(p)) for p in parts)
    head = re.sub("tree_sizes=.*", f"tree_sizes={sizes}", head)
    (tmp_path / "m.txt").write_text(f"{head}\n{''.join(parts)}{end}{tail}")
    with pytest.raises(CouldNotLook, match="tree 0 does not end with an empty line"):
        predictor("m.txt")


def test_categories_that_the_model_does_not_know_are_noted(tmp_path: Path, dataset: Any, predictor: Any) -> None:
    train(tmp_path / "m.txt")
    data = dataset("x,c,d,y\n0.1,a,10,1\n0.2,zebra,10,0\n0.3,owl,20,1\n0.4,,30,0\n", label="y")
    what = "2 of 3 categories of c are unknown to the model, which takes them for missing"
    assert predictor("m.txt", data).notes == (what,)


def test_what_is_missing_is_no_unknown_category() -> None:
    from assay.adapters.predictor_base import unknown_levels

    table = pa.table({"f": [1.0, None, float("nan"), 2.0], "w": pa.array(["a", None, "b", "b"]).dictionary_encode()})
    assert unknown_levels(table, {"f": (1.0, 2.0), "w": ("a", "b")}) == ()
    (note,) = unknown_levels(table, {"f": (1.0,), "w": ("a", "b")})
    assert note.startswith("1 of 2 categories of f are unknown")
