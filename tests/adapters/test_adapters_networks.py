"""Small networks as data: parity with what serves them, exact gradients, and graphs that are refused by name."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from sklearn.compose import make_column_transformer  # noqa: E402
from sklearn.ensemble import VotingClassifier  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import (  # noqa: E402
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from assay.adapters.convert_sklearn import sklearn_to_onnx  # noqa: E402
from assay.adapters.ensembles.trees import require_parity  # noqa: E402
from assay.adapters.networks.activations import bent, between, slope  # noqa: E402
from assay.adapters.networks.network import Inputs, Layer, Network  # noqa: E402
from assay.adapters.networks.onnx_network import parsed  # noqa: E402
from assay.adapters.networks.sklearn_network import estimator_network  # noqa: E402
from assay.adapters.onnx_predictor import OnnxPredictor  # noqa: E402
from assay.adapters.sandbox import Sandbox  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Kind, Subject  # noqa: E402

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(200, 4)) * [1, 10, 0.1, 1000]
TARGET = (NUMBERS[:, 0] + NUMBERS[:, 1] / 10 > 0).astype(int)
NAMES = ["a", "b", "c", "d"]
KINDS = ["relu", "leaky", "elu", "tanh", "logistic", "gelu", "gelu tanh", "silu", "softplus", "clip", "identity"]


def mlp(**how: Any) -> MLPClassifier:
    return MLPClassifier((6, 4), max_iter=15, random_state=0, **how)


def served(graph: Any, features: list[str], classes: int = 2, **options: Any) -> OnnxPredictor:
    told = {"features": features, "classes": list(range(classes)), "positive": 1}
    for key, value in told.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    return OnnxPredictor(graph.SerializeToString(), Subject(name="m", kind=Kind.MODEL, uri="m.onnx", options=options))


def fitted(model: Any, x: Any, y: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(x, y)


PLAIN = {
    "relu": make_pipeline(StandardScaler(), mlp()),
    "tanh": make_pipeline(MinMaxScaler(), mlp(activation="tanh")),
    "logistic": make_pipeline(StandardScaler(), mlp(activation="logistic")),
    "identity": mlp(activation="identity"),
    "logistic regression": LogisticRegression(),
    "sgd log": SGDClassifier(loss="log_loss", random_state=0),
    "sgd hinge": SGDClassifier(random_state=0),
    "sgd huber": SGDClassifier(loss="modified_huber", random_state=0),
    "ridge": RidgeClassifier(),
    "imputed": make_pipeline(StandardScaler(), SimpleImputer(), LogisticRegression()),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_converted_estimator_scores_as_it_is_read(name: str) -> None:
    x = NUMBERS.copy()
    if name == "imputed":
        x[::5, 1] = np.nan
    graph = sklearn_to_onnx(fitted(PLAIN[name], x, TARGET), NAMES, set(), "float32")
    rows = pa.table(dict(zip(NAMES, x.T, strict=True)))
    model = served(graph, NAMES)
    network = model.network(rows)
    assert require_parity(network, model, rows) < 1e-5
    assert network.linear == ("regression" in name or name in ("identity", "sgd log", "sgd hinge", "sgd huber", "ridge",
                                                                "imputed"))  # fmt: skip
    margins = network.margins(network.read(rows))
    assert np.array_equal(margins >= network.least(0.3), network.scores(margins) >= 0.3)


@pytest.mark.parametrize("model", [mlp(), LogisticRegression()], ids=["network", "linear"])
def test_several_classes_are_the_log_odds_of_one(model: Any) -> None:
    three = TARGET + (NUMBERS[:, 2] > 0)
    graph = sklearn_to_onnx(fitted(model, NUMBERS, three), NAMES, set(), "float32")
    rows = pa.table(dict(zip(NAMES, NUMBERS.T, strict=True)))
    predictor = served(graph, NAMES, 3)
    network = predictor.network(rows)
    assert network.positive == 1
    assert require_parity(network, predictor, rows) < 1e-5
    checked(network, network.lifted(network.read(rows))[:20])


@pytest.mark.parametrize("encoder", [OneHotEncoder(handle_unknown="ignore"), OrdinalEncoder()], ids=["onehot", "ranks"])
@pytest.mark.parametrize("kind", ["words", "whole"])
def test_levels_are_read_as_inputs_of_their_own(encoder: Any, kind: str) -> None:
    pd = pytest.importorskip("pandas")
    if kind == "whole" and isinstance(encoder, OrdinalEncoder):
        pytest.skip("ranks of whole numbers are compared, not looked up")
    levels = np.array(["p", "q", "r"] if kind == "words" else [2, 5, 9])
    frame = pd.DataFrame(NUMBERS, columns=NAMES).assign(w=levels[np.arange(200) % 3])
    model = make_pipeline(make_column_transformer((StandardScaler(), NAMES), (encoder, ["w"])), mlp())
    graph = sklearn_to_onnx(fitted(model, frame, TARGET), [*NAMES, "w"], {"w"} if kind == "words" else set(), "float32")
    if isinstance(encoder, OneHotEncoder):
        frame.loc[3, "w"] = "other" if kind == "words" else 77
    rows = pa.Table.from_pandas(frame)
    predictor = served(graph, [*NAMES, "w"])
    network = predictor.network(rows)
    assert require_parity(network, predictor, rows) < 1e-5
    assert ("w" in network.levels) == (kind == "words")


def checked(network: Any, x: Any) -> None:
    """Gradients against finite differences."""
    _, exact = network.sloped(x)
    size = np.maximum(np.abs(x), 1e-3) * 1e-6
    for j in range(x.shape[1]):
        up, down = x.copy(), x.copy()
        up[:, j] += size[:, j]
        down[:, j] -= size[:, j]
        found = (network.forward(up) - network.forward(down)) / (2 * size[:, j])
        close = np.isclose(found, exact[:, j], rtol=1e-3, atol=1e-5)
        assert close.mean() > 0.9, j  # a difference may straddle a kink


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_what_differences_say(kind: Any) -> None:
    rng = np.random.default_rng(1)
    layers = (Layer(rng.normal(size=(4, 7)), rng.normal(size=7), kind, 0.6), Layer(rng.normal(size=(7, 1)), np.ones(1)))
    inputs = Inputs(np.arange(4), np.full(4, np.nan), np.full(4, np.nan))
    network = Network(tuple(NAMES), lambda rows: rows, inputs, layers)
    checked(network, rng.normal(size=(50, 4)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wide", [0.0, 1e-9, 0.3, 4.0, 200.0])
def test_every_activation_lies_between_its_lines(kind: Any, wide: float) -> None:
    rng = np.random.default_rng(2)
    low = rng.normal(size=200) * 3
    high = low + wide * rng.random(200)
    a, b, c, d = between(low, high, kind, 0.6)
    for t in np.linspace(0, 1, 101):
        x = low + t * (high - low)
        y = bent(x, kind, 0.6)
        assert (a * x + b <= y + 1e-15).all()
        assert (c * x + d >= y - 1e-15).all()
    assert np.isfinite(slope(low, kind, 0.6)).all()


def gates(kind: str) -> Any:
    """What exporters write for GELU and SiLU."""
    steps = {
        "gelu": [("Div", ["z", "root"], "h"), ("Erf", ["h"], "e"), ("Add", ["e", "one"], "g"), ("Mul", ["z", "g"], "m"),
                 ("Mul", ["m", "half"], "a")],
        "silu": [("Sigmoid", ["z"], "s"), ("Mul", ["z", "s"], "a")],
        "product": [("Mul", ["z", "z"], "a")],
        "residual": [("Relu", ["z"], "r"), ("Add", ["r", "z"], "a")],
    }[kind]  # fmt: skip
    rng = np.random.default_rng(3)
    values = {"w": rng.normal(size=(4, 5)) / [[1], [10], [0.1], [1000]], "b": rng.normal(size=5),
              "v": rng.normal(size=(5, 1)), "root": 2**0.5, "one": 1.0, "half": 0.5}  # fmt: skip
    nodes = [helper.make_node("Gemm", ["X", "w", "b"], ["z"])]
    nodes += [helper.make_node(op, inputs, [out]) for op, inputs, out in steps]
    nodes += [helper.make_node("MatMul", ["a", "v"], ["y"]), helper.make_node("Sigmoid", ["y"], ["score"])]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in values.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("kind", ["gelu", "silu"])
def test_gates_are_recognised(kind: str) -> None:
    rows = pa.table(dict(zip(NAMES, NUMBERS.T, strict=True)))
    predictor = served(gates(kind), NAMES)
    network = predictor.network(rows)
    assert [layer.activation for layer in network.layers] == [kind, "identity"]
    assert require_parity(network, predictor, rows) < 1e-5


@pytest.mark.parametrize("kind", ["product", "residual"])
def test_what_is_no_plain_network_is_refused(kind: str) -> None:
    rows = pa.table(dict(zip(NAMES, NUMBERS.T, strict=True)))
    with pytest.raises(CouldNotLook, match=r"m\.onnx: its graph"):
        served(gates(kind), NAMES).network(rows)


def test_a_row_divided_by_its_length_is_refused() -> None:
    model = fitted(make_pipeline(Normalizer(), LogisticRegression()), NUMBERS, TARGET)
    rows = pa.table(dict(zip(NAMES, NUMBERS.T, strict=True)))
    with pytest.raises(CouldNotLook, match="divided by its own length"):
        served(sklearn_to_onnx(model, NAMES, set(), "float32"), NAMES).network(rows)


def test_torn_bytes_are_refused() -> None:
    whole = gates("gelu").SerializeToString()
    with pytest.raises(CouldNotLook, match="torn"):
        parsed(whole[: len(whole) // 2], "m.onnx")


@pytest.mark.parametrize(("link", "threshold", "least"), [
    ("logistic", 0.5, 0.0), ("logistic", 0.0, -np.inf), ("logistic", 1.0, np.inf), ("identity", 2.5, 2.5),
    ("clip", 0.25, 0.25), ("clip", 0.0, -np.inf), ("clip", 1.5, np.inf),
])  # fmt: skip
def test_a_threshold_is_a_margin(link: Any, threshold: float, least: float) -> None:
    inputs = Inputs(np.arange(1), np.full(1, np.nan), np.full(1, np.nan))
    network = Network(("a",), lambda rows: rows, inputs, (Layer(np.ones((1, 1)), np.zeros(1)),), link=link, ends=(0, 1))
    assert network.least(threshold) == pytest.approx(least)


def read_in_the_sandbox(folder: Path, model: Any) -> Network:
    """The network of a pickled estimator of NAMES."""
    (folder / "m.pkl").write_bytes(pickle.dumps(model))
    with (folder / "m.pkl").open("rb") as file:
        sandbox = Sandbox(file, "m.pkl", weak=True)
        try:
            sandbox.load()
            return estimator_network(sandbox, "m.pkl", tuple(NAMES), frozenset(), 1)
        finally:
            sandbox.close()


@pytest.mark.parametrize("name", ["relu", "logistic regression"])
def test_a_pickled_estimator_is_converted_inside_the_sandbox(tmp_path: Path, name: str) -> None:
    model = fitted(PLAIN[name], NUMBERS, TARGET)
    network = read_in_the_sandbox(tmp_path, model)
    rows = pa.table(dict(zip(NAMES, NUMBERS.T, strict=True)))
    mine = network.scores(network.margins(network.read(rows)))
    assert np.abs(mine - model.predict_proba(NUMBERS)[:, 1]).max() < 1e-5
    assert not network.single


def test_what_the_converters_refuse_is_told_in_our_words(tmp_path: Path) -> None:
    several = VotingClassifier([("one", LogisticRegression()), ("two", LogisticRegression())], voting="soft")
    with pytest.raises(CouldNotLook) as refused:
        read_in_the_sandbox(tmp_path, several.fit(NUMBERS, TARGET))
    assert str(refused.value) == (
        "m.pkl: is no small network or linear model that can be converted to ONNX; "
        "attack it with `access: score` or `access: label`"
    )
