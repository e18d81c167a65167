"""Steps before (and behind) the trees of an ONNX graph: what does not plainly rise with a column is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from assay.adapters.ensembles.trees import require_parity  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402

FLOAT, DOUBLE, HALF, INT8, INT32, INT64, BOOL = (
    getattr(TensorProto, n) for n in ("FLOAT", "DOUBLE", "FLOAT16", "INT8", "INT32", "INT64", "BOOL")
)
HELD = {
    "two": np.float32(2), "three": np.float32(3), "ten": np.float32(10), "zero": np.float32(0), "less": np.float32(-2),
    "nan": np.float32(np.nan), "inf": np.float32(np.inf), "low": np.float32(-100), "high": np.float32(100),
    "wide": np.float32(356), "most": np.float32(2**31), "rows": np.array([[2.0], [3.0]], np.float32),
    "each": np.array([2.0, 3.0], np.float32), "whole": np.array([[2, 3]], np.int64), "huge": np.float32(1e30),
    "swap": np.array([2, -1], np.int64), "flat": np.array([-1, 2], np.int64), "first": np.array(0, np.int64),
    "split": np.array([-1, 1], np.int64), "swallow": np.float32(2**27),
    "front": np.array([0], np.int64), "kept": np.array([1, 2], np.int64),
}  # fmt: skip


def node(kind: str, inputs: list[str], output: str, **said: Any) -> Any:
    ml = kind in ("Scaler", "FeatureVectorizer", "OneHotEncoder", "Imputer")
    return helper.make_node(kind, inputs, [output], domain="ai.onnx.ml" if ml else "", **said)


def ensemble(given: str = "z", made: str = "s") -> Any:
    """One tree over two columns: 2 where both are above 1, else less."""
    return helper.make_node(
        "TreeEnsembleRegressor", [given], [made], domain="ai.onnx.ml", n_targets=1, nodes_treeids=[0] * 5,
        nodes_nodeids=[0, 1, 2, 3, 4], nodes_featureids=[0, 1, 0, 0, 0], nodes_values=[1.0, 1.0, 0, 0, 0],
        nodes_modes=["BRANCH_GT", "BRANCH_GT", "LEAF", "LEAF", "LEAF"], nodes_truenodeids=[1, 3, 0, 0, 0],
        nodes_falsenodeids=[2, 4, 0, 0, 0], target_treeids=[0] * 3, target_nodeids=[2, 3, 4], target_ids=[0] * 3,
        target_weights=[0.25, 2.0, 0.5],
    )  # fmt: skip


def opened(predictor: Any, tmp_path: Path, nodes: list[Any], kind: int = FLOAT, functions: tuple[Any, ...] = ()) -> Any:
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, [None, 2])],
        [helper.make_tensor_value_info("s", FLOAT, [None, 1])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in HELD.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("mine", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    return predictor("m.onnx", inputs=["a", "b"])


def cast(*types: int) -> list[Any]:
    names = ["x", *(f"c{i}" for i in range(len(types) - 1)), "z"]
    return [node("Cast", [names[i]], names[i + 1], to=to) for i, to in enumerate(types)]


def clipped(low: str, high: str, *types: int) -> list[Any]:
    names = ["k", *(f"c{i}" for i in range(len(types) - 1)), "z"]
    casts = [node("Cast", [names[i]], names[i + 1], to=to) for i, to in enumerate(types)]
    return [node("Clip", ["x", low, high], "k"), *casts]


BENT = {
    "a constant over a column": [node("Div", ["ten", "x"], "z")],
    "times 0": [node("Mul", ["x", "huge"], "y"), node("Mul", ["y", "zero"], "z")],
    "over 0": [node("Div", ["x", "zero"], "z")],
    "times NaN": [node("Mul", ["x", "nan"], "z")],
    "plus infinity": [node("Add", ["x", "inf"], "z")],
    "times infinity": [node("Mul", ["x", "inf"], "z")],
    "a number a row": [node("Mul", ["x", "rows"], "z")],
    "scaled by 0": [node("Scaler", ["x"], "z", offset=[0.0, 0.0], scale=[1.0, 0.0])],
    "scaled by NaN": [node("Scaler", ["x"], "z", offset=[0.0, 0.0], scale=[1.0, float("nan")])],
    "a clip upside down": [node("Clip", ["x", "high", "low"], "z")],
    "a clip without a number": [node("Clip", ["x", "nan", "high"], "z")],
    "absolute": [node("Abs", ["x"], "z")],
    "squared": [node("Pow", ["x", "two"], "z")],
    "a root": [node("Sqrt", ["x"], "z")],
    "a rest": [node("Mod", ["x", "ten"], "z", fmod=1)],
    "a sine": [node("Sin", ["x"], "z")],
    "wrapped": clipped("low", "wide", INT32, INT8, FLOAT),
    "whole": cast(INT32, FLOAT),
    "whole of 64 bits": cast(INT64, FLOAT),
    "one above the most": clipped("low", "most", INT32, FLOAT),
    "truth": cast(BOOL, FLOAT),
    "rows mixed": [node("Reshape", ["x", "swap"], "y"), node("Reshape", ["y", "flat"], "z")],
    "rows of one": [node("Reshape", ["x", "split"], "y"), node("Reshape", ["y", "flat"], "z")],
    "one axis": [node("Gather", ["x", "first"], "g", axis=1), node("Concat", ["g", "g"], "y", axis=-1),
                 node("Reshape", ["y", "flat"], "z")],
    "a part of a vector": [node("FeatureVectorizer", ["x", "x"], "z", inputdimensions=[1, 1])],
}  # fmt: skip


@pytest.mark.parametrize("name", BENT)
def test_what_does_not_plainly_rise_is_refused_in_one_line(tmp_path: Path, predictor: Any, name: str) -> None:
    model = opened(predictor, tmp_path, [*BENT[name], ensemble()])
    with pytest.raises(CouldNotLook, match=r"m\.onnx: its \w+ before the trees") as refused:
        model.trees()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("step", [
    [node("Sub", ["ten", "x"], "z")], [node("Mul", ["x", "less"], "z")], [node("Div", ["x", "less"], "z")],
], ids=["a constant less a column", "times less than 0", "over less than 0"])  # fmt: skip
def test_what_falls_is_refused(tmp_path: Path, predictor: Any, step: list[Any]) -> None:
    with pytest.raises(CouldNotLook, match="falls as a number rises"):
        opened(predictor, tmp_path, [*step, ensemble()]).trees()


RISES = {
    "sum and product": [node("Mul", ["x", "each"], "y"), node("Sub", ["y", "ten"], "z")],
    "overflow": [node("Mul", ["x", "huge"], "y"), node("Sub", ["y", "ten"], "z")],
    "quotient": [node("Div", ["x", "three"], "z")],
    "half": cast(HALF, FLOAT),
    "double": cast(DOUBLE, FLOAT),
    "clipped to whole": clipped("low", "high", INT32, INT8, FLOAT),
    "never below": clipped("low", "wide", FLOAT),
    "floor": [node("Floor", ["x"], "z")],
    "scaled": [node("Scaler", ["x"], "z", offset=[1.0, 2.0], scale=[0.5, 2.0])],
    "reshaped": [node("Reshape", ["x", "flat"], "z")],
}


def grid() -> Any:
    values = [
        -3e38,
        -1e9,
        -130.0,
        -0.5,
        0.0,
        0.5,
        1.0,
        1.5,
        1.99,
        2.0,
        2.5,
        3.0,
        5.0,
        5.5,
        6.0,
        150.0,
        357.0,
        7e4,
        3e38,
    ]
    borders = [
        v
        for b in (1.0, 2.0, 3.0, 5.5, 11.0 / 3)
        for v in (np.float32(b), *np.nextafter(np.float32(b), np.float32([-9, 9])))
    ]
    values += [float(v) for v in borders]
    pairs = np.array([(a, b) for a in values for b in values])
    return pa.table({"a": pairs[:, 0], "b": pairs[:, 1]})


@pytest.mark.parametrize("name", RISES)
def test_what_rises_is_read_as_onnxruntime_answers(tmp_path: Path, predictor: Any, name: str) -> None:
    model = opened(predictor, tmp_path, [*RISES[name], ensemble()])
    assert require_parity(model.trees(), model, grid()) < 1e-5


def test_whole_inputs_may_be_cast_to_what_holds_them(tmp_path: Path, predictor: Any) -> None:
    model = opened(predictor, tmp_path, [*cast(INT64, FLOAT), ensemble()], INT32)
    whole = pa.table({"a": [-5, 0, 1, 2, 2**31 - 1], "b": [2, 2, 2, 1, 3]})
    assert require_parity(model.trees(), model, whole) < 1e-5
    with pytest.raises(CouldNotLook, match="its Cast before the trees"):
        opened(predictor, tmp_path, [*cast(INT32, FLOAT), ensemble()], INT64).trees()
    summed = [node("Mul", ["x", "whole"], "y"), node("Cast", ["y"], "z", to=FLOAT), ensemble()]
    with pytest.raises(CouldNotLook, match="its Mul before the trees"):  # whole numbers wrap around
        opened(predictor, tmp_path, summed, INT64).trees()


@pytest.mark.parametrize("through", ["cast", "as it is"])
def test_levels_are_told_of_what_is_cut_down_to_whole_numbers(tmp_path: Path, predictor: Any, through: str) -> None:
    """1.5 is the level 1 to onnxruntime, not an unknown one."""
    start = [node("Cast", ["x"], "c", to=INT64)] if through == "cast" else [node("Identity", ["x"], "c")]
    hot = node("OneHotEncoder", ["c"], "h", cats_int64s=[0, 1, 2], zeros=1)
    six = [node("Reshape", ["h", "six"], "z")]
    nodes = [*start, hot, *six, ensemble()]
    HELD["six"] = np.array([-1, 6], np.int64)
    nodes[-1].attribute.remove(next(a for a in nodes[-1].attribute if a.name == "nodes_values"))
    nodes[-1].attribute.remove(next(a for a in nodes[-1].attribute if a.name == "nodes_featureids"))
    nodes[-1].attribute.extend([
        helper.make_attribute("nodes_values", [0.5, 0.5, 0.0, 0.0, 0.0]),
        helper.make_attribute("nodes_featureids", [1, 5, 0, 0, 0]),
    ])  # fmt: skip
    model = opened(predictor, tmp_path, nodes)
    values = [0.0, 0.9, 1.0, 1.5, 1.999, 2.0, 2.5, 3.0, -0.5, -1.0, 99.5]
    pairs = np.array([(a, b) for a in values for b in values])
    table = pa.table({"a": pairs[:, 0], "b": pairs[:, 1]})
    assert require_parity(model.trees(), model, table) < 1e-5
    assert len(np.unique(model.scores(table))) == 3


def test_a_function_by_the_name_of_an_operator_is_none(tmp_path: Path, predictor: Any) -> None:
    body = [helper.make_node("Neg", ["p"], ["q"])]
    turned = helper.make_function("mine", "Identity", ["p"], ["q"], body, [helper.make_opsetid("", 17)])
    before = helper.make_node("Identity", ["x"], ["z"], domain="mine")
    with pytest.raises(CouldNotLook, match="its Identity before the trees"):
        opened(predictor, tmp_path, [before, ensemble()], functions=(turned,)).trees()
    after = helper.make_node("Identity", ["t"], ["s"], domain="mine")
    with pytest.raises(CouldNotLook, match="its answer is made of the trees"):
        opened(predictor, tmp_path, [ensemble("x", "t"), after], functions=(turned,)).trees()


def test_a_sum_that_swallows_what_the_trees_say_is_refused(tmp_path: Path, predictor: Any) -> None:
    nodes = [ensemble("x", "t"), node("Add", ["t", "swallow"], "u"), node("Sub", ["u", "swallow"], "s")]
    with pytest.raises(CouldNotLook, match="rounding swallows"):
        opened(predictor, tmp_path, nodes).trees()
    plain = [ensemble("x", "t"), node("Add", ["t", "two"], "u"), node("Sub", ["u", "three"], "s")]
    model = opened(predictor, tmp_path, plain)
    assert require_parity(model.trees(), model, grid()) < 1e-5


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE], ids=["float", "double"])
@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "behind a step"])
def test_leaves_are_added_in_float32_whatever_goes_in(predictor: Any, tmp_path: Path, kind: int, scaled: bool) -> None:
    """40 votes of 80 score .49999979 there, and pass at .5: a proof to the last float64 was false."""
    steps = [node("Cast", ["x"], "f", to=FLOAT)] if kind == DOUBLE and scaled else []
    given = steps[-1].output[0] if steps else "x"
    if scaled:
        steps.append(node("Mul", [given, "two"], "z"))
    made = opened(predictor, tmp_path, [*steps, ensemble("z" if scaled else given)], kind)
    trees = made.trees()
    votes = float(np.abs(trees.value).max())
    assert trees.short
    assert trees.rounding(0.5, surely=True) >= trees.rounding(0.5) > 2.0**-24 * votes


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_levels_that_are_left_out_are_read_along_their_own_axis_only(predictor: Any, tmp_path: Path, axis: int) -> None:
    """What skl2onnx writes for OneHotEncoder(drop="first")."""
    steps = [
        node("Gather", ["x", "front"], "k", axis=1),
        node("OneHotEncoder", ["k"], "hot", cats_int64s=[0, 1, 2], zeros=1),
        node("Gather", ["hot", "kept"], "some", axis=axis), node("Reshape", ["some", "flat"], "z"), ensemble(),
    ]  # fmt: skip
    if axis == 1:
        with pytest.raises(CouldNotLook, match="its Gather before the trees"):
            opened(predictor, tmp_path, steps).trees()
        return
    made = opened(predictor, tmp_path, steps)
    trees = made.trees()
    rows = pa.table({"a": [0.0, 1.0, 2.0, 7.0], "b": [0.0] * 4})
    assert require_parity(trees, made, rows) < 1e-6
