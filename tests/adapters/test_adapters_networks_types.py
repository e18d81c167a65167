"""What a graph computes in: whole numbers that are cut, numbers that are float32 on the way, what lines hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from assay.adapters.networks.activations import between  # noqa: E402
from assay.adapters.networks.network import DOUBLE, SINGLE  # noqa: E402
from assay.adapters.networks.onnx_network import Asked, onnx_network  # noqa: E402
from assay.adapters.onnx_predictor import OnnxPredictor  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Kind, Subject  # noqa: E402

F, D, I = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64  # noqa: E741
TYPES = {F: np.float32, D: np.float64, I: np.int64}
ONES = [[1.0], [1.0]]
ML = {"Normalizer", "ArrayFeatureExtractor", "OneHotEncoder", "LabelEncoder", "Scaler", "LinearClassifier", "Imputer"}


def proto(steps: list[Any], kind: int = F, width: int = 2, out: int | None = None) -> Any:
    """A graph of steps, each (operator, constants, attributes) of the one before, but for names of earlier ones."""
    nodes, held, last, now = [], [], "x", kind
    for i, (op, constants, *told) in enumerate(steps):
        given = []
        for k, one in enumerate(constants):
            if isinstance(one, str):
                given.append(one)
                continue
            array = one if isinstance(one, np.ndarray) else np.asarray(one, TYPES[now])
            held.append(numpy_helper.from_array(array, f"c{i}_{k}"))
            given.append(f"c{i}_{k}")
        facts = told[0] if told else {}
        ml = op in ML
        inputs = given if any(isinstance(c, str) for c in constants) else [last, *given]
        nodes.append(helper.make_node(op, inputs, [f"t{i}"], domain="ai.onnx.ml" if ml else "", **facts))
        last, now = f"t{i}", facts.get("to", F if ml and op != "ArrayFeatureExtractor" else now)
    ends = [helper.make_tensor_value_info(last, out or now, [None, None])]
    made = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, [None, width])], ends, held)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=9)


def read(model: Any, width: int = 2) -> Any:
    return onnx_network(model, "m", tuple(f"x{i}" for i in range(width)), Asked(0, "tensor", 0, None))


def apart(model: Any, rows: Any) -> float:
    """How far the network's scores of rows lie from onnxruntime's, at most."""
    entry = model.metadata_props.add()
    entry.key, entry.value = "features", json.dumps([f"x{i}" for i in range(rows.shape[1])])
    served = OnnxPredictor(model.SerializeToString(), Subject(name="m", kind=Kind.MODEL, uri="m.onnx"))
    table = pa.table({f"x{i}": column for i, column in enumerate(rows.T)})
    network = served.network(table)
    return float(np.abs(network.scores(network.margins(network.read(table))) - served.scores(table)).max())


END = [("MatMul", [ONES]), ("Sigmoid", [])]
COUNTS = {
    "Div": ("Div", [[100, 100]]), "Mul": ("Mul", [[3, 3]]), "Add": ("Add", [[2**62, 1]]), "Sub": ("Sub", [[2, 2]]),
    "Neg": ("Neg", []), "MatMul": ("MatMul", [[[1, 2], [3, 4]]]), "Clip": ("Clip", [[0], [9]]),
}  # fmt: skip


@pytest.mark.parametrize("op", COUNTS)
def test_what_computes_with_whole_numbers_is_refused(op: str) -> None:
    """onnxruntime cuts their quotients down, and their sums wrap."""
    with pytest.raises(CouldNotLook, match=f"{op} on whole numbers"):
        read(proto([COUNTS[op], ("Cast", [], {"to": F}), *END], I))


@pytest.mark.parametrize("first", ["Cast", "Scaler", "moved"])
def test_whole_numbers_that_become_floats_first_are_read(first: str) -> None:
    steps = {
        "Cast": [("Cast", [], {"to": F}), ("Div", [[100.0, 7.0]])],
        "Scaler": [("Scaler", [], {"offset": [1.0, 2.0], "scale": [0.1, 0.2]})],
        "moved": [("ArrayFeatureExtractor", [np.array([1, 0])]), ("Cast", [], {"to": F}), ("Sub", [[3.0, 1.0]])],
    }[first]
    assert apart(proto([*steps, *END], I), np.array([[1.0, 2.0], [150.0, -3.0], [-7.0, 99.0]])) < 1e-6


@pytest.mark.parametrize("op", ["ArrayFeatureExtractor", "Gather"])
def test_what_was_cut_to_whole_numbers_stays_so(op: str) -> None:
    place = {"axis": 1} if op == "Gather" else {}
    steps = [("Cast", [], {"to": I}), (op, [np.array([0, 1])], place), ("Cast", [], {"to": F}), *END]
    with pytest.raises(CouldNotLook, match="a cast to whole"):
        read(proto(steps))
    steps = [("Cast", [], {"to": I}), (op, [np.array([1])], place),
             ("OneHotEncoder", [], {"cats_int64s": [1, 2], "zeros": 1}), ("Reshape", [np.array([-1, 2])]),
             ("MatMul", [np.array([[1.0], [-3.0]], np.float32)]), ("Sigmoid", [])]  # fmt: skip
    assert apart(proto(steps), np.array([[0.0, 1.7], [0.0, 2.2], [0.0, 3.0], [1.0, 0.4]])) < 1e-6


def test_constants_are_cast_as_the_graph_says() -> None:
    made = proto([("Cast", ["c"], {"to": I}), ("Cast", ["t0"], {"to": F}), ("Mul", ["x", "t1"]), *END])
    made.graph.initializer.append(numpy_helper.from_array(np.array([2.7, -1.5], np.float32), "c"))
    assert read(made).layers[0].weight.ravel().tolist() == [2.0, -1.0]


PAIR = [("MatMul", [[[-1.0, 1.0], [-0.5, 0.5]]]), ("Sigmoid", [])]
HOT = ("OneHotEncoder", [], {"cats_int64s": [1, 2], "zeros": 1})
FLAT = ("Reshape", [np.array([-1, 2])])
COLUMN = np.array([[1.0], [2.0]], np.float32)
UNITS = {
    "double": ([("MatMul", [ONES]), ("Sigmoid", [])], DOUBLE),
    "normalizer": ([*PAIR, ("Normalizer", [], {"norm": "L1"})], SINGLE),
    "declared": ([("MatMul", [ONES]), ("Sigmoid", [])], SINGLE),
    "scaler": ([("Scaler", [], {"offset": [0.0] * 2, "scale": [1.0] * 2}), ("Cast", [], {"to": D}), *END], SINGLE),
    "cast and back": ([("Cast", [], {"to": F}), ("Cast", [], {"to": D}), *END], SINGLE),
    "hot": ([HOT, FLAT, ("Cast", [], {"to": D}), *END], DOUBLE),
    "hot in float": ([HOT, FLAT, ("MatMul", [COLUMN]), ("Cast", [], {"to": D}), ("Sigmoid", [])], SINGLE),
    "gelu tanh": ([("Gelu", [], {"approximate": "tanh"}), *END], SINGLE),
    "gelu": ([("Gelu", []), *END], DOUBLE),
    "leaky": ([("LeakyRelu", [], {"alpha": 0.3}), *END], SINGLE),
}


@pytest.mark.parametrize("name", UNITS)
def test_a_double_graph_is_as_coarse_as_its_coarsest_step(name: str) -> None:
    steps, unit = UNITS[name]
    if name == "normalizer":
        made = proto([("MatMul", [ONES]), ("Sigmoid", []), ("Sub", ["one", "t1"]), ("Concat", ["t2", "t1"],
                      {"axis": 1}), ("Normalizer", [], {"norm": "L1"})], D)  # fmt: skip
        made.graph.initializer.append(numpy_helper.from_array(np.array([1.0]), "one"))
    else:
        made = proto(steps, D, width=1 if "hot" in name else 2, out=F if name == "declared" else None)
    assert read(made, 1 if "hot" in name else 2).unit == unit


def test_a_row_is_divided_by_its_own_length_only_where_that_is_1() -> None:
    """t and 1 - t of a tanh sum to 1, but their sizes do not."""
    made = proto([("MatMul", [ONES]), ("Tanh", []), ("Sub", ["one", "t1"]), ("Concat", ["t2", "t1"], {"axis": 1}),
                  ("Normalizer", [], {"norm": "L1"})])  # fmt: skip
    made.graph.initializer.append(numpy_helper.from_array(np.array([1.0], np.float32), "one"))
    with pytest.raises(CouldNotLook, match="its own length"):
        read(made)


ODD = {
    "elu": ([("Elu", [], {"alpha": -2.0}), *END], "elu with a factor of -2"),
    "erf": ([("Div", [[1.4142, 1.4142135]]), ("Erf", []), ("Add", [[1.0]]), ("Mul", ["x", "t2"]), *END], "product"),
    "half erf": ([("Erf", []), ("Div", [[2.0] * 2]), ("Add", [[1.0]]), ("Mul", ["x", "t2"]), *END], "text among"),
    "softmax": ([("Softmax", [], {"axis": 0})], "softmax over rows"),
    "clip": ([("Clip", [np.float32([2.0]), np.float32([1.0])]), *END], "clip to nothing"),
    "twice": ([("OneHotEncoder", [], {"cats_int64s": [1, 1], "zeros": 1}), FLAT, *END], "cannot be followed"),
    "nan": ([("LabelEncoder", [], {"keys_floats": [1.0, float("nan")], "values_floats": [1.0, 2.0]}),
             ("Sigmoid", [])], "cannot be followed"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_is_only_almost_known_is_refused(name: str) -> None:
    steps, says = ODD[name]
    with pytest.raises(CouldNotLook, match=says):
        read(proto(steps, width=1 if name in ("twice", "nan") else 2), 1 if name in ("twice", "nan") else 2)


def test_no_lines_are_given_that_do_not_hold() -> None:
    low, high = np.array([-3.0]), np.array([1.0])
    for kind, alpha in (("elu", -2.0), ("elu", 0.0), ("leaky", np.inf)):
        with pytest.raises(ValueError, match="no lines"):
            between(low, high, kind, alpha)


def test_a_hard_sigmoid_is_a_step_and_a_clip() -> None:
    rows = np.linspace(-4, 4, 40).reshape(-1, 2)
    assert apart(proto([("HardSigmoid", []), ("MatMul", [[[1.0], [-2.0]]]), ("Sigmoid", [])]), rows) < 1e-6
    assert apart(proto([("MatMul", [ONES]), ("HardSigmoid", [], {"alpha": 0.3, "beta": 0.4})]), rows) < 1e-6


def test_a_label_that_is_not_listed_is_0_where_nothing_is_said() -> None:
    told = {"keys_floats": [1.0, 2.0], "values_floats": [3.0, 4.0]}
    assert apart(proto([("LabelEncoder", [], told), ("Sigmoid", [])], width=1), np.array([[1.0], [2.0], [5.0]])) < 1e-6


class Converts:
    """A sandbox that converts one estimator."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def stream(self, kind: bytes, ask: bytes, most: int, what: str) -> list[bytes]:
        from assay.adapters.convert_sklearn import sklearn_to_onnx

        told = json.loads(ask)
        graph = sklearn_to_onnx(self.model, told["names"], set(told["words"]), told["precision"])
        return [graph.SerializeToString(), b"its digest"]


@pytest.mark.parametrize("encoder", ["one hot", "ordinal"])
def test_a_pickled_encoder_takes_a_number_between_levels_for_none(encoder: str) -> None:
    """Its graph cuts 2.5 down to the level 2; the estimator does not."""
    pytest.importorskip("sklearn")
    pytest.importorskip("skl2onnx")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    from assay.adapters.networks.sklearn_network import estimator_network

    x = np.repeat(np.arange(4), 10)[:, None]
    first = OneHotEncoder(handle_unknown="ignore") if encoder == "one hot" else OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1
    )  # fmt: skip
    model = make_pipeline(first, LogisticRegression()).fit(x, x[:, 0] > 1)
    network = estimator_network(Converts(model), "m.pkl", ("k",), frozenset(), 1)  # type: ignore[arg-type]
    asked = np.array([0.0, 1.0, 2.0, 2.5, 3.0, 0.5])
    mine = network.scores(network.margins(network.read(pa.table({"k": asked}))))
    assert mine == pytest.approx(model.predict_proba(asked[:, None])[:, 1], abs=1e-6)


def test_a_pickled_pipeline_is_read_whatever_its_columns_are_called() -> None:
    """Converters spell `a-b` as `a_b`; the columns were then taken for one tensor of all."""
    pytest.importorskip("sklearn")
    pytest.importorskip("skl2onnx")
    pd = pytest.importorskip("pandas")
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    from assay.adapters.networks.sklearn_network import estimator_network

    rng = np.random.default_rng(4)
    names = ("y-ear", "mar_Married-civ", "a b", "w-w")
    frame = pd.DataFrame(rng.normal(size=(80, 3)) * [1, 5, 20], columns=names[:3])
    frame = frame.assign(**{"w-w": rng.choice(["p", "q"], 80)})[[names[3], *names[:3]]]
    steps = make_column_transformer(
        (StandardScaler(), list(names[:3])), (OneHotEncoder(handle_unknown="ignore"), ["w-w"])
    )
    model = make_pipeline(steps, LogisticRegression()).fit(frame, frame["y-ear"] - frame["a b"] / 10 > 0)
    told = Converts(model)
    network = estimator_network(told, "m.pkl", tuple(frame), frozenset({"w-w"}), 1)  # type: ignore[arg-type]
    mine = network.scores(network.margins(network.read(pa.Table.from_pandas(frame))))
    assert mine == pytest.approx(model.predict_proba(frame)[:, 1], abs=1e-6)
