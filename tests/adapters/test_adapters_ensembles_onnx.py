"""Trees read out of ONNX graphs: each answers as onnxruntime does, in every mode and behind any step, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import CouldNotLook

pytest.importorskip("duckdb", reason="the ml extra is not installed")
pytest.importorskip("sklearn", reason="the ml extra is not installed")
lgb = pytest.importorskip("lightgbm", reason="the ml extra is not installed")
pd = pytest.importorskip("pandas", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")
onnx = pytest.importorskip("onnx", reason="the ml extra is not installed")
pytest.importorskip("onnxruntime", reason="the ml extra is not installed")

from ensembles_tools import CLASSIFIERS, ROWS, agrees, as_table, frame, full  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler  # noqa: E402

from assay.adapters.ensembles.onnx_trees import _exact  # noqa: E402
from assay.adapters.ensembles.trees import require_parity  # noqa: E402


def graph_of(estimator: Any, words: tuple[str, ...] = (), columns: tuple[str, ...] = ("a", "b", "m")) -> Any:
    pytest.importorskip("skl2onnx")
    from assay.adapters.convert_sklearn import sklearn_to_onnx

    rows = full()[list(columns)]
    estimator.fit(rows if words else rows.to_numpy(), full().y)
    return sklearn_to_onnx(estimator, list(columns), set(words), "float32")


def opened(proto: Any, tmp_path: Path, predictor: Any, columns: Any = ("a", "b", "m"), **options: Any) -> Any:
    (tmp_path / "m.onnx").write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    return predictor("m.onnx", inputs=list(columns), **options)


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("name", ["forest", "extra", "tree", "boosting", "histograms"])
def test_onnx_of_scikit_learn(tmp_path: Path, predictor: Any, name: str, positive: int) -> None:
    model = opened(graph_of(CLASSIFIERS[name]()), tmp_path, predictor, positive=positive)
    assert agrees(model, as_table(full()[["a", "b", "m"]])).single


@given(st.integers(3, 40), st.sampled_from([0.5, 0.02, 0.0625, 1.0]), st.integers(0, 1000))
def test_what_is_said_to_add_up_in_any_order_does(count: int, unit: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    leaves = (rng.integers(-50, 50, count) * np.float32(unit)).astype(np.float32)
    base = float(np.float32(rng.integers(0, 3) * unit))
    sums = {
        float(np.cumsum(np.append(rng.permutation(leaves), np.float32(base)), dtype=np.float32)[-1]) for _ in range(20)
    }
    assert len(sums) == 1 or not _exact(leaves.astype(float), [base], count)
    assert unit == 0.02 or _exact(leaves.astype(float), [base], count)


@pytest.mark.parametrize(("trees", "known"), [(1, True), (2, True), (3, False), (50, False)])
def test_threads_decide_in_which_order_more_than_two_trees_are_added(
    tmp_path: Path, predictor: Any, trees: int, known: bool
) -> None:
    """Shares of 1 / n, which float32 rounds: with more than 50 rows at once threads add parts of them."""
    model = opened(graph_of(RandomForestClassifier(trees, max_depth=3, random_state=0)), tmp_path, predictor)
    assert model.trees().unordered != known


def stumps(kind: str, leaves: Any, *after: Any, **said: Any) -> Any:
    """An ensemble of stumps over one column, with `leaves` (trees, 2, k) and `after` it the nodes that make y."""
    helper, floats, n = onnx.helper, onnx.TensorProto.FLOAT, len(leaves)
    what = "class" if kind == "TreeEnsembleClassifier" else "target"
    nodes = [(t, i) for t in range(n) for i in range(3)]
    ends = [(t, i, k) for t in range(n) for i in (1, 2) for k in range(leaves.shape[2])]
    given = {
        "nodes_treeids": [t for t, _ in nodes], "nodes_nodeids": [i for _, i in nodes],
        "nodes_featureids": [0] * 3 * n, "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"] * n,
        "nodes_values": [1.0, 0.0, 0.0] * n, "nodes_truenodeids": [1, 0, 0] * n, "nodes_falsenodeids": [2, 0, 0] * n,
        f"{what}_treeids": [t for t, _, _ in ends], f"{what}_nodeids": [i for _, i, _ in ends],
        f"{what}_ids": [k for _, _, k in ends], f"{what}_weights": [float(leaves[t, i - 1, k]) for t, i, k in ends],
    }  # fmt: skip
    outputs = ["label", "s"] if what == "class" else ["s"]
    trees = helper.make_node(kind, ["X"], outputs, domain="ai.onnx.ml", **given, **said)
    last = "y" if after else "s"
    x, y = (helper.make_tensor_value_info(name, floats, [None, None]) for name in ("X", last))
    tenth = onnx.numpy_helper.from_array(np.array([0.1], np.float32), "c")
    graph = helper.make_graph([trees, *after], "g", [x], [y], [tenth])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("rounds", [True, False])
@pytest.mark.parametrize("kind", ["softmax", "divided"])
def test_what_the_operator_adds_says_whether_it_is_rounded_not_what_is_made_of_it(
    tmp_path: Path, predictor: Any, kind: str, rounds: bool
) -> None:
    """The difference of two classes, and what is divided by .1, may be short numbers where the sums behind are not."""
    rng = np.random.default_rng(0)
    if kind == "softmax":
        one = rng.normal(size=(40, 2)).astype(np.float32) if rounds else rng.integers(-9, 9, (40, 2)) / 8
        leaves = np.stack([one, one.astype(float) + rng.integers(-1, 2, (40, 2)) / 8], axis=2)
        said = {"classlabels_int64s": [0, 1], "post_transform": "SOFTMAX"}
        model = opened(stumps("TreeEnsembleClassifier", leaves, **said), tmp_path, predictor, ("a",))
    else:
        unit = np.float32(0.1) if rounds else 0.125
        leaves = (rng.choice([1.0, -1.0, 3.0], (40, 2, 1)) * unit * 2.0 ** rng.integers(0, 22, (40, 2, 1))).round(9)
        leaves = leaves if rounds else rng.integers(-9, 9, (40, 2, 1)) / 8
        after = onnx.helper.make_node("Div", ["s", "c"], ["y"])
        model = opened(stumps("TreeEnsembleRegressor", leaves, after, n_targets=1), tmp_path, predictor, ("a",))
    assert model.trees().unordered == rounds


def test_onnx_with_double_inputs_compares_doubles(tmp_path: Path, predictor: Any) -> None:
    # A forest whose scores are declared as floats: onnxruntime refuses the other form.
    proto = graph_of(CLASSIFIERS["forest"]())
    proto.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    model = opened(proto, tmp_path, predictor)
    trees = agrees(model, as_table(full()[["a", "b", "m"]]))
    assert not trees.single


def test_a_truth_value_is_split_in_its_middle(tmp_path: Path, predictor: Any) -> None:
    """onnxruntime takes 0 and 1 alone, and is asked for nothing between."""
    proto = graph_of(CLASSIFIERS["forest"](), columns=("a", "b"))
    made = [onnx.helper.make_node("Cast", ["a"], ["as number"], to=1),
            onnx.helper.make_node("Concat", ["as number", "b"], [proto.graph.input[0].name], axis=1)]  # fmt: skip
    nodes = [*made, *proto.graph.node]
    del proto.graph.node[:], proto.graph.input[:]
    proto.graph.node.extend(nodes)
    kinds = {"a": onnx.TensorProto.BOOL, "b": onnx.TensorProto.FLOAT}
    proto.graph.input.extend(onnx.helper.make_tensor_value_info(n, k, [None, 1]) for n, k in kinds.items())
    model = opened(proto, tmp_path, predictor, ("a", "b"))
    rows = pa.table({"a": np.tile([0.0, 1.0], 50), "b": np.linspace(-3, 3, 100)})
    trees = model.trees()
    assert require_parity(trees, model, rows) < 1e-5
    asked = trees.threshold[trees.feature == trees.columns.index("a")]
    assert 0.5 in asked
    assert set(asked[(asked > 0) & (asked < 1)].tolist()) == {0.5}


@pytest.mark.parametrize("zipmap", [True, False])
def test_onnx_of_lightgbm(tmp_path: Path, predictor: Any, zipmap: bool) -> None:
    tools = pytest.importorskip("onnxmltools")
    from onnxmltools.convert.common.data_types import FloatTensorType

    rows = frame()[["a", "b", "m"]]
    fitted = CLASSIFIERS["lightgbm"]().fit(rows.to_numpy(), full().y)
    kind = FloatTensorType([None, 3])
    proto = tools.convert_lightgbm(fitted, initial_types=[("X", kind)], zipmap=zipmap, target_opset=15)
    for positive in (0, 1):
        assert agrees(opened(proto, tmp_path, predictor, positive=positive), as_table(rows)).link == "logistic"


def test_onnx_of_lightgbm_with_its_categories(tmp_path: Path, predictor: Any) -> None:
    pytest.importorskip("onnxmltools")
    from assay.adapters.convert_lightgbm import booster_to_onnx

    rows = frame()[["a", "t", "k"]].copy()
    coded = rows.astype({"t": "category", "k": "category"})
    wide = lgb.LGBMClassifier(n_estimators=8, verbose=-1, n_jobs=1, min_data_per_group=5, cat_smooth=1)
    booster = wide.fit(coded, full().y).booster_
    table = pa.table({n: pa.array(rows[n].tolist()) for n in rows})
    model = opened(booster_to_onnx(booster, ("a", "t", "k"), table).build(), tmp_path, predictor, ("a", "t", "k"))
    trees = agrees(model, table)
    assert trees.categorical == {"t", "k"}
    odd = table.set_column(1, "t", pa.array(["never", None] * (ROWS // 2))).set_column(2, "k", pa.array([9] * ROWS))
    assert require_parity(trees, model, odd) < 1e-5


def test_onnx_of_xgboost(tmp_path: Path, predictor: Any) -> None:
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    tools = pytest.importorskip("onnxmltools")
    from onnxmltools.convert.common.data_types import FloatTensorType

    rows = frame()[["a", "b", "m"]]
    for maker, target in ((xgboost.XGBClassifier, full().y), (xgboost.XGBRegressor, full().a)):
        fitted = maker(n_estimators=6, max_depth=3, n_jobs=1).fit(rows.to_numpy(), target)
        proto = tools.convert_xgboost(fitted, initial_types=[("X", FloatTensorType([None, 3]))], target_opset=15)
        assert len(agrees(opened(proto, tmp_path, predictor), as_table(rows)).roots) == 6


@pytest.mark.parametrize("encoder", ["one-hot", "ordinal"])
def test_onnx_pipelines_are_told_in_their_inputs(tmp_path: Path, predictor: Any, encoder: str) -> None:
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    coder = OneHotEncoder(handle_unknown="ignore") if encoder == "one-hot" else ordinal
    numbers = ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["m"])
    steps = ColumnTransformer([numbers, ("s", MinMaxScaler(), ["b"]), ("c", coder, ["t"])], remainder="passthrough")
    columns = ("a", "b", "m", "t")
    proto = graph_of(make_pipeline(steps, CLASSIFIERS["boosting"]()), ("t",), columns)
    model, table = opened(proto, tmp_path, predictor, columns), as_table(frame()[list(columns)])
    trees = agrees(model, table)
    assert set(trees.levels) == {"t"}
    odd = table.set_column(3, "t", pa.array(["never", None] * (ROWS // 2)))
    assert require_parity(trees, model, odd) < 1e-5


def test_onnx_that_mixes_columns_is_refused_by_operator(tmp_path: Path, predictor: Any) -> None:
    mixed = graph_of(make_pipeline(StandardScaler(), PCA(2), CLASSIFIERS["forest"]()))
    with pytest.raises(CouldNotLook, match="its MatMul before the trees"):
        opened(mixed, tmp_path, predictor).trees()
    two = graph_of(CLASSIFIERS["forest"]())
    two.graph.node.add().CopyFrom(two.graph.node[0])
    del two.graph.node[1].output[:]
    two.graph.node[1].output.extend(["l2", "p2"])
    two.graph.node[1].name = "again"
    with pytest.raises(CouldNotLook, match="holds 2 ensembles"):
        opened(two, tmp_path, predictor).trees()


MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
TREE = {
    "nodes_treeids": [0] * 5, "nodes_nodeids": [0, 1, 2, 3, 4], "nodes_featureids": [0, 1, 0, 0, 0],
    "nodes_truenodeids": [1, 3, 0, 0, 0], "nodes_falsenodeids": [2, 4, 0, 0, 0], "nodes_values": [1.0, 2.0, 0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
    "nodes_missing_value_tracks_true": [0, 0, 0, 0, 0], "target_treeids": [0, 0, 0], "target_nodeids": [2, 3, 4],
    "target_ids": [0, 0, 0], "target_weights": [0.25, 0.5, 2.0], "n_targets": 1,
}  # fmt: skip


def regressor(**changes: Any) -> bytes:
    """A TreeEnsembleRegressor of one tree over two columns."""
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    said = {k: v for k, v in {**TREE, **changes}.items() if v is not None}
    node = helper.make_node("TreeEnsembleRegressor", ["X"], ["s"], domain="ai.onnx.ml", **said)
    x, s = (helper.make_tensor_value_info(n, floats, [None, w]) for n, w in (("X", 2), ("s", 1)))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph([node], "g", [x], [s])
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


@pytest.mark.parametrize("tracks", [0, 1])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_onnx_sends_values_as_onnxruntime_does(
    tmp_path: Path, predictor: Any, mode: str, tracks: int
) -> None:
    proto = regressor(
        nodes_modes=[mode, mode, "LEAF", "LEAF", "LEAF"], nodes_missing_value_tracks_true=[tracks, 1 - tracks, 0, 0, 0],
        base_values=[0.125], post_transform="LOGISTIC", aggregate_function="AVERAGE",
    )  # fmt: skip
    model = opened(proto, tmp_path, predictor, ("a", "b"))
    values = [np.nan, 0.0, 3.0]
    for border in (1.0, 2.0):
        values += [border, *(float(np.nextafter(border, e)) for e in (-9, 9))]
        values += [float(np.nextafter(np.float32(border), np.float32(e))) for e in (-9, 9)]
    grid = np.array([(x, y) for x in values for y in values])
    table = pa.table({"a": grid[:, 0], "b": grid[:, 1]})
    assert require_parity(model.trees(), model, table) < 1e-5


def newer(kind: Any, modes: list[int], members: Any = None, **changes: Any) -> bytes:
    """A TreeEnsemble (version 5) of the same tree, leaves apart from nodes."""
    helper = onnx.helper
    code = onnx.TensorProto.DOUBLE if kind == np.float64 else onnx.TensorProto.FLOAT

    def held(name: str, values: list[float], as_type: int = code) -> Any:
        return helper.make_tensor(name, as_type, [len(values)], values)

    said = {
        "nodes_featureids": [0, 1], "nodes_modes": held("m", modes, onnx.TensorProto.UINT8),
        "nodes_splits": held("s", [1.0, 2.0]), "nodes_truenodeids": [1, 1], "nodes_trueleafs": [0, 1],
        "nodes_falsenodeids": [0, 2], "nodes_falseleafs": [1, 1], "leaf_targetids": [0, 0, 0],
        "leaf_weights": held("w", [0.25, 0.5, 2.0]), "tree_roots": [0], "n_targets": 1, "aggregate_function": 1,
        "post_transform": 0, **({"membership_values": held("v", members)} if members else {}), **changes,
    }  # fmt: skip
    node = helper.make_node("TreeEnsemble", ["X"], ["s"], domain="ai.onnx.ml", **said)
    x, s = (helper.make_tensor_value_info(n, code, [None, w]) for n, w in (("X", 2), ("s", 1)))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 5)]
    graph = helper.make_graph([node], "g", [x], [s])
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("mode", range(4))
def test_the_newer_operator(tmp_path: Path, predictor: Any, mode: int, kind: str) -> None:
    model = opened(newer(np.dtype(kind).type, [mode, mode]), tmp_path, predictor, ("a", "b"))
    values = [0.0, 1.0, 2.0, 3.0, *(float(np.nextafter(np.float32(v), np.float32(e))) for v in (1, 2) for e in (-9, 9))]
    grid = np.array([(x, y) for x in values for y in values])
    trees = agrees(model, pa.table({"a": grid[:, 0], "b": grid[:, 1]}))
    assert trees.single == (kind == "float32")


TWO = {
    # Their nodes lie mixed, and the second root comes first.
    "nodes_featureids": [1, 0, 1], "nodes_truenodeids": [0, 2, 2], "nodes_trueleafs": [1, 0, 1],
    "nodes_falsenodeids": [1, 2, 3], "nodes_falseleafs": [1, 1, 1], "leaf_targetids": [0] * 4, "tree_roots": [1, 0],
}  # fmt: skip


@pytest.mark.parametrize("aggregate", [0, 1], ids=["average", "sum"])
def test_leaves_of_several_newer_trees_belong_to_their_trees(tmp_path: Path, predictor: Any, aggregate: int) -> None:
    """All were taken for the last tree's, and rows were certified that pass."""
    from assay.attacks.trees.leaves import Leaves

    held = {
        name: onnx.helper.make_tensor(name, kind, [len(values)], values)
        for name, kind, values in (
            ("nodes_modes", onnx.TensorProto.UINT8, [0, 0, 0]),
            ("nodes_splits", onnx.TensorProto.FLOAT, [0.5, 1.0, 2.0]),
            ("leaf_weights", onnx.TensorProto.FLOAT, [0.25, 4.0, 0.5, 2.0]),
        )
    }
    proto = newer(np.float32, [], **TWO, **held, aggregate_function=aggregate)
    model = opened(proto, tmp_path, predictor, ("a", "b"))
    values = [0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5]
    trees = agrees(model, pa.table({"a": [x for x in values for _ in values], "b": values * len(values)}))
    found = Leaves(trees)
    assert trees.roots.tolist() == [0, 5]
    assert found.tree.tolist() == [0, 0, 0, 1, 1]
    share = 1 if aggregate else 0.5
    assert sorted(found.value[:3]) == [0.5 * share, 0.5 * share, 2 * share]
    assert sorted(found.value[3:]) == [0.25 * share, 4 * share]


def test_the_newer_operator_with_membership(tmp_path: Path, predictor: Any) -> None:
    model = opened(newer(np.float32, [6, 0], [1.0, 4.0, float("nan")]), tmp_path, predictor, ("a", "b"))
    values = [0.0, 1.0, 1.5, 2.0, 4.0, 5.0, -1.0, float("nan")]
    grid = np.array([(x, y) for x in values for y in values])
    table = pa.table({"a": grid[:, 0], "b": grid[:, 1]})
    assert require_parity(model.trees(), model, table) < 1e-5
    assert model.trees().categorical == {"a"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"nodes_truenodeids": [0, 1]}, "torn", id="cycle"),
        pytest.param({"nodes_truenodeids": [9, 1]}, "torn", id="child out of range"),
        pytest.param({"nodes_falsenodeids": [0, 7]}, "torn", id="leaf out of range"),
        pytest.param({"leaf_targetids": [0, 0, 4]}, "torn", id="target"),
        pytest.param({"tree_roots": [5]}, "torn", id="root"),
        pytest.param({"nodes_featureids": [0]}, "torn", id="short"),
        pytest.param({"aggregate_function": 3}, "aggregate_function: MAX", id="max"),
    ],
)
def test_torn_newer_trees_are_one_clear_line(changes: dict[str, Any], says: str) -> None:
    from assay.adapters.ensembles.onnx_trees import onnx_trees

    graph = onnx.ModelProto.FromString(newer(np.float32, [0, 0], **changes)).graph
    with pytest.raises(CouldNotLook, match=says):
        onnx_trees(graph, "s", 0, ("a", "b"), ("float32", "float32"), lambda _, rows: None, "m.onnx")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"nodes_truenodeids": [1, 0, 0, 0, 0]}, "torn|child", id="cycle"),
        pytest.param({"nodes_falsenodeids": [1, 4, 0, 0, 0]}, "torn|child", id="shared child"),
        pytest.param({"nodes_truenodeids": [1, 99, 0, 0, 0]}, "torn|child", id="child out of range"),
        pytest.param({"nodes_featureids": [7, 1, 0, 0, 0]}, "torn|column", id="column out of range"),
        pytest.param({"nodes_featureids": [-1, 1, 0, 0, 0]}, "torn|column", id="negative column"),
        pytest.param({"nodes_values": [float("nan"), 2.0, 0, 0, 0]}, "threshold that is no number", id="nan threshold"),
        pytest.param({"target_weights": [float("nan"), 0.5, 2.0]}, "leaf has a value", id="nan leaf"),
        pytest.param({"nodes_values": None}, "torn", id="missing array"),
        pytest.param({"nodes_values": [1.0]}, "torn", id="short array"),
        pytest.param({"n_targets": 1 << 40}, "torn|absurd", id="giant count"),
        pytest.param({"target_ids": [0, 0, 5]}, "torn", id="target out of range"),
        pytest.param({"nodes_nodeids": [0, 1, 1, 3, 4]}, "torn", id="number twice"),
        pytest.param({"nodes_modes": ["BRANCH_WHAT", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"]}, "torn", id="mode"),
        pytest.param({"aggregate_function": "MAX"}, "aggregate_function: MAX", id="max"),
        pytest.param({"post_transform": "PROBIT"}, "post_transform: PROBIT", id="probit"),
        pytest.param(
            {"nodes_modes": ["BRANCH_EQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"], "nodes_featureids": [0] * 5},
            "equality and for size", id="mixed",
        ),
        pytest.param(
            {"nodes_modes": ["BRANCH_EQ", "BRANCH_EQ", "LEAF", "LEAF", "LEAF"], "nodes_values": [1.5, -2.0, 0, 0, 0]},
            "no code", id="equality with a fraction",
        ),
    ],
)  # fmt: skip
def test_torn_onnx_trees_are_one_clear_line(changes: dict[str, Any], says: str) -> None:
    """Told from the graph alone: what onnxruntime makes of such a file is its own affair."""
    from assay.adapters.ensembles.onnx_trees import onnx_trees

    graph = onnx.ModelProto.FromString(regressor(**changes)).graph
    with pytest.raises(CouldNotLook, match=says) as refused:
        onnx_trees(graph, "s", 0, ("a", "b"), ("float32", "float32"), lambda _, rows: None, "m.onnx")
    assert "\n" not in str(refused.value)
