"""What a served network loses by rounding: no certificate above what it then does, and none lost where it is little."""

from __future__ import annotations

import json
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("onnxruntime")
pytest.importorskip("scipy.optimize")

import onnx  # noqa: E402
from networks_tools import names, space_of, weights  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from assay.adapters.networks.activations import bent  # noqa: E402
from assay.adapters.onnx_predictor import OnnxPredictor  # noqa: E402
from assay.attacks.gradient.attack import _refuse_between, attack_gradient  # noqa: E402
from assay.attacks.gradient.bounds import intervals  # noqa: E402
from assay.attacks.gradient.exact import settled  # noqa: E402
from assay.attacks.gradient.moves import Moves  # noqa: E402
from assay.attacks.gradient.rounding import rounding  # noqa: E402
from assay.attacks.space import Space  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature, Kind, Subject  # noqa: E402

SINGLE, DOUBLE = np.float32, np.float64


def graph(steps: list[tuple[str, Any]], count: int, kind: Any = SINGLE, threshold: float = 0.5) -> OnnxPredictor:
    """A model of steps: an operator with its constants, or an activation with None."""
    nodes, held, last = [], [], "x"
    for i, (op, constants) in enumerate(steps):
        given = [numpy_helper.from_array(np.asarray(v, kind), f"c{i}_{k}") for k, v in enumerate(constants or ())]
        held += given
        nodes.append(helper.make_node(op, [last, *(g.name for g in given)], [f"t{i}"]))
        last = f"t{i}"
    nodes.append(helper.make_node("Sigmoid", [last], ["score"]))
    code = TensorProto.FLOAT if kind is SINGLE else TensorProto.DOUBLE
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", code, [None, count])],
        [helper.make_tensor_value_info("score", code, [None, 1])], held,
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in {"features": list(names(count)), "classes": [0, 1], "positive": 1}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    subject = Subject(name="m", kind=Kind.MODEL, uri="m.onnx", options={"threshold": threshold})
    return OnnxPredictor(model.SerializeToString(), subject)


SIZE = 2.0**26
"""A number beside which float32 tells apart steps of 8 alone."""
EYE = np.eye(2)
END = ("Gemm", ([[0.02], [0.02]], [-0.02 * 316]))
SWALLOWED = {
    "gemm": [("Gemm", (EYE, [SIZE] * 2)), ("Gemm", (EYE, [-SIZE] * 2)), END],
    "add": [("Add", ([SIZE] * 2,)), ("Sub", ([SIZE] * 2,)), END],
    "scaled": [
        ("Mul", ([0.5] * 2,)),
        ("Add", ([SIZE / 2] * 2,)),
        ("Add", ([-SIZE / 2] * 2,)),
        ("Div", ([0.5] * 2,)),
        END,
    ],
    "hidden": [("Gemm", (EYE, [SIZE] * 2)), ("Gemm", (EYE, [-SIZE] * 2)), ("Relu", None), END],
    "behind": [("Gemm", (EYE, [8.0] * 2)), ("Relu", None), ("Add", ([SIZE] * 2,)), ("Sub", ([SIZE + 8.0] * 2,)), END],
}


def coarse(steps: list[tuple[str, Any]], kind: Any = SINGLE, rows: int = 12) -> tuple[OnnxPredictor, Space, Any]:
    """A model, flagged rows 6 from its border, which pass by 4.25 where both numbers are rounded to multiples of 8, and
    rows that pass."""
    model = graph(steps, 2, kind)
    values = np.array([(8.0 * a, 8.0 * b) for a in range(40) for b in range(40)])
    near = values[np.argsort(np.abs(values.sum(axis=1) - 328), kind="stable")]
    table = pa.table(dict(zip(names(2), near.T, strict=True)))
    flagged = model.flagged(table)
    contract = Contract(features={n: Feature() for n in names(2)})
    kinds = dict.fromkeys(names(2), "number")
    space = Space(table.filter(pa.array(flagged)).slice(0, rows), contract, table, kinds, names(2))
    return model, space, table.filter(pa.array(~flagged)).slice(0, 50)


def least(model: OnnxPredictor, space: Space) -> Any:
    """The least move (n,), of all on a grid of a quarter, after which the served model passes a row."""
    rows = np.column_stack([space.rows.column(n).to_numpy() for n in names(2)])
    steps = np.arange(-12, 12.25, 0.25)
    shift = np.array([(a, b) for a in steps for b in steps])
    out = np.full(len(rows), np.inf)
    for i, row in enumerate(rows):
        moved = row + shift
        passes = ~model.flagged(pa.table(dict(zip(names(2), moved.T, strict=True))))
        out[i] = np.abs(shift[passes]).max(axis=1).min(initial=np.inf)
    return out


@pytest.mark.parametrize("budget", [5.0, np.inf])
@pytest.mark.parametrize("name", SWALLOWED)
def test_no_row_passes_below_its_bound_where_a_sum_swallows_moves(name: str, budget: float) -> None:
    model, space, passing = coarse(SWALLOWED[name])
    real = least(model, space)
    found = attack_gradient(model, space, passing, "linf", budget)
    assert (real <= 5.0).any()
    assert (found.bound <= real).all(), (found.bound, real)
    assert not (np.array(found.verdicts(5.0)) == "certified")[real <= 5.0].any()


@pytest.mark.parametrize("name", SWALLOWED)
def test_in_double_the_same_steps_lose_nothing(name: str) -> None:
    model, space, passing = coarse(SWALLOWED[name], DOUBLE)
    found = attack_gradient(model, space, passing, "linf", np.inf)
    rows = np.column_stack([space.rows.column(n).to_numpy() for n in names(2)])
    exact = (rows.sum(axis=1) - 316) / 2
    near = (exact > 0) & (exact < 40)
    assert near.any()
    assert found.bound[near] == pytest.approx(exact[near], rel=0.01, abs=1e-3)


def test_programs_prove_nothing_that_rounding_undoes() -> None:
    model, space, _ = coarse(SWALLOWED["hidden"])
    moves = Moves(model.network(space.rows), space, "linf")
    proved = settled(moves.network, moves, np.arange(space.size), 0.0, 5.0)[0]
    assert not (proved & (least(model, space) <= 5.0)).any()


def test_what_cancels_out_still_counts() -> None:
    """A column whose weight is 0 in the end, but which was huge on the way."""
    first = np.array([[1.0, 1e9, 1e9], [1.0, 0.0, 0.0]])
    steps = [("MatMul", (first,)), ("MatMul", (np.array([[1.0], [1.0], [-1.0]]),))]
    model = graph(steps, 2)
    table = pa.table({"x0": [100.0, 40.0], "x1": [3.0, 2.0]})
    network = model.network(table)
    assert len(network.inputs.column) == 2
    steep = network.layers[0].noisy()[0]
    assert steep[0, 0] > 1e9


def served(net: list[Any], act: str, kind: Any) -> OnnxPredictor:
    steps: list[tuple[str, Any]] = []
    for i, layer in enumerate(net):
        steps += [("Gemm", layer), *([(act, None)] if i < len(net) - 1 else [])]
    return graph(steps, len(net[0][0]), kind)


@pytest.mark.parametrize("act", ["Relu", "Tanh", "Softplus", "Elu", "Sigmoid"])
def test_rounding_of_a_served_network_is_never_more_than_is_told(act: str) -> None:
    for seed in range(4):
        net = weights(seed, (6, 12, 9, 1))
        model = served(net, act, SINGLE)
        space, _ = space_of(model, seed, {n: Feature(min=-3.0, max=3.0) for n in names(6)}, rows=20)
        network = model.network(space.rows)
        moves = Moves(network, space, "linf")
        ids, radius = np.arange(space.size), np.full(space.size, 1.0)
        told = rounding(network, moves, ids, radius, intervals(network, moves, ids, radius))
        rng = np.random.default_rng(seed)
        worst = np.zeros(space.size)
        for _ in range(50):
            x = (moves.lifted + rng.uniform(-1, 1, moves.lifted.shape)).clip(-3, 3).astype(SINGLE).astype(float)
            score = model.scores(pa.table(dict(zip(names(6), x.T, strict=True)))).astype(float)
            score = score.clip(1e-3, 1 - 1e-3)
            real, mine = np.log(score / (1 - score)), network.forward(x)
            inside = np.abs(mine) < 3
            worst = np.maximum(worst, np.where(inside, np.abs(real - mine), 0.0))
        own = 16 * network.unit / (0.04 * 0.96)  # the sigmoid's, which the slack covers
        assert (worst <= told + own).all(), (worst.max(), told.min())
        assert (told < 5e-4).all(), told


@pytest.mark.parametrize("norm", ["linf", pytest.param("l2", marks=pytest.mark.heavy)])
def test_an_ordinary_network_of_float32_keeps_its_bounds(norm: Any) -> None:
    net = weights(7, (8, 16, 1))
    features = {n: Feature(min=-3.0, max=3.0) for n in names(8)}
    told = []
    for kind in (SINGLE, DOUBLE):
        model = served(net, "Relu", kind)
        space, passing = space_of(model, 7, features, rows=6)
        told.append(attack_gradient(model, space, passing, norm, np.inf))
        budget = float(np.median(told[-1].distance))
        verdicts = attack_gradient(model, space, passing, norm, budget).verdicts(budget)
        assert np.mean([v != "unknown" for v in verdicts]) >= 0.9, verdicts
    assert told[0].bound == pytest.approx(told[1].bound, rel=0.02, abs=1e-3)


def test_a_score_close_to_1_is_rounded_too() -> None:
    """Beside a threshold of 0.9999 one step of float32 is a margin of 0.0006, so that rows pass before the border."""
    weight = np.array([1.0, -0.5, 0.25, 0.75])
    model = graph([("Gemm", (weight[:, None], [9.0]))], 4, threshold=0.9999)
    features = {n: Feature(min=-9.0, max=9.0) for n in names(4)}
    space, passing = space_of(model, 3, features, rows=40)
    found = attack_gradient(model, space, passing, "linf", np.inf)
    origin = np.column_stack([space.rows.column(n).to_numpy() for n in names(4)])
    need = (origin @ weight + 9.0 - np.log(0.9999 / 0.0001)) / np.abs(weight).sum()
    for row, exact, bound in zip(origin, need, found.bound, strict=True):
        far = exact + np.linspace(-2e-3, 1e-3, 3001)
        moved = row - far[:, None] * np.sign(weight)
        passes = ~model.flagged(pa.table(dict(zip(names(4), moved.T, strict=True))))
        assert bound <= far[passes].min(), (bound, far[passes].min())
        assert bound >= exact - 5e-3


def test_numbers_that_leave_float32_certify_nothing() -> None:
    steps = [("Mul", ([1e33] * 2,)), ("Mul", ([1e-33] * 2,)), END]
    model, space, passing = coarse(steps)
    wide = {n: Feature(min=-1e9, max=1e9) for n in names(2)}
    kinds = dict.fromkeys(names(2), "number")
    space = Space(space.rows, Contract(features=wide), space.rows, kinds, names(2))
    found = attack_gradient(model, space, passing, "linf", np.inf)
    assert (found.bound == 0).all()


def lost_at(model: OnnxPredictor, rows: Any) -> tuple[Any, Any]:
    """(how far the served margins lie from the network's, what `rounding` says of each), rows as they are."""
    count = rows.shape[1]
    table = pa.table(dict(zip(names(count), rows.T, strict=True)))
    network = model.network(table)
    kinds = dict.fromkeys(names(count), "number")
    moves = Moves(
        network,
        Space(table, Contract(features={n: Feature() for n in names(count)}), table, kinds, names(count)),
        "linf",
    )
    sums, x = [], network.lifted(network.read(table))
    for layer in network.layers[:-1]:
        z = x @ layer.weight + layer.bias
        sums.append((z, z))
        x = bent(z, layer.activation, layer.alpha)
    lost = rounding(network, moves, np.arange(len(rows)), np.zeros(len(rows)), sums)
    return np.abs(network.margins(network.read(table)) - model.scores(table)), lost


def bare(steps: list[tuple[Any, ...]], count: int, kind: Any = SINGLE) -> OnnxPredictor:
    """A model whose score is what its last step gives."""
    proto = onnx.ModelProto.FromString(graph([(s[0], s[1]) for s in steps], count, kind)._content)
    del proto.graph.node[-1]
    proto.graph.node[-1].output[0] = "score"
    for node, step in zip(proto.graph.node, steps, strict=True):
        node.attribute.extend(helper.make_attribute(k, v) for k, v in (step[2] if len(step) > 2 else {}).items())
    return OnnxPredictor(proto.SerializeToString(), Subject(name="m", kind=Kind.MODEL, uri="m.onnx"))


@pytest.mark.parametrize("op", ["Elu", "LeakyRelu"])
def test_an_activation_with_a_large_factor_loses_as_much_more(op: str) -> None:
    model = bare([("Gemm", (np.eye(1), [0.0])), (op, None, {"alpha": 100.0}), ("Gemm", (np.eye(1), [0.0]))], 1)
    rows = -np.linspace(1, 90, 4001).astype(SINGLE).astype(float)[:, None]
    wrong, lost = lost_at(model, rows)
    once = 8 * 2.0**-24 * (1 + np.abs(rows[:, 0]))
    assert (wrong <= lost).all()
    assert (lost >= 100 * once).all()


@pytest.mark.parametrize("kind", [SINGLE, DOUBLE], ids=["float", "double"])
def test_a_norm_far_from_zero_is_within_its_bound(kind: Any) -> None:
    rng = np.random.default_rng(5)
    mean, spread = np.array([3.0, -20.0, 4e-4]) * (1e5 if kind is SINGLE else 1), np.array([0.5, 1e-4, 30.0])
    norm = ("BatchNormalization", (rng.normal(1, 0.3, 3), rng.normal(size=3), mean, spread))
    model = bare([norm, ("Gemm", ([[1.0], [-2.0], [0.3]], [0.1]))], 3, kind)
    rows = (mean + np.sqrt(spread) * rng.normal(size=(300, 3))).astype(kind).astype(float)
    wrong, lost = lost_at(model, rows)
    assert (wrong <= lost).all(), (wrong / lost).max()
    assert lost.max() < (1e3 if kind is SINGLE else 1e-9)


def test_what_vanishes_below_float32_and_is_blown_up_again_counts() -> None:
    steps = [("Mul", ([by] * 2,)) for by in (1e-30, 1e-12, 1e38)] + [("Gemm", ([[1e4], [1e4]], [0.0]))]
    wrong, lost = lost_at(bare(steps, 2), np.random.default_rng(1).normal(size=(50, 2)).astype(SINGLE).astype(float))
    assert wrong.max() > 1e-6
    assert (wrong <= lost).all()
    faint = [("Gemm", ([[1e-42], [0.0]], [0.0])), ("Mul", ([1e38],))]  # a weight that may itself count as zero
    rows = np.array([[2.0, 5.0], [-3.0, 1.0]])
    assert (lost_at(bare(faint, 2), rows)[1] >= 1e-42 * 1e38 * np.abs(rows[:, 0])).all()


def test_numbers_of_16_bits_are_refused() -> None:
    model = graph([("Gemm", ([[1.0], [1.0]], [0.0]))], 2)
    proto = __import__("onnx").ModelProto.FromString(model._content)
    nodes = [helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
             helper.make_node("Cast", ["h"], ["f"], to=TensorProto.FLOAT)]  # fmt: skip
    kept = list(proto.graph.node)
    kept[0].input[0] = "f"
    del proto.graph.node[:]
    proto.graph.node.extend([*nodes, *kept])
    odd = OnnxPredictor(proto.SerializeToString(), Subject(name="m", kind=Kind.MODEL, uri="m.onnx"))
    with pytest.raises(CouldNotLook, match="cast to"):
        odd.network(pa.table({"x0": [1.0], "x1": [1.0]}))


@pytest.mark.parametrize("through", ["cast", "as it is"])
def test_a_level_of_a_network_is_what_it_cuts_a_number_down_to(through: str) -> None:
    """1.5 is the level 1 to onnxruntime, not an unknown one."""
    nodes = [helper.make_node("Cast", ["x"], ["c"], to=TensorProto.INT64 if through == "cast" else TensorProto.FLOAT)]
    nodes.append(helper.make_node("OneHotEncoder", ["c"], ["h"], domain="ai.onnx.ml", cats_int64s=[1, 2], zeros=1))
    nodes += [helper.make_node("Reshape", ["h", "s"], ["r"]), helper.make_node("MatMul", ["r", "w"], ["m"]),
              helper.make_node("Sigmoid", ["m"], ["score"])]  # fmt: skip
    held = [numpy_helper.from_array(np.array([-1, 2], np.int64), "s"),
            numpy_helper.from_array(np.array([[1.0], [-3.0]], np.float32), "w")]  # fmt: skip
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])], held,
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    content = helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()
    model = OnnxPredictor(content, Subject(name="m", kind=Kind.MODEL, uri="m.onnx", options={"inputs": ["x0"]}))
    rows = pa.table({"x0": [0.5, 1.0, 1.5, 1.99, 2.0, 2.7, 3.0, -0.5]})
    network = model.network(rows)
    assert network.scores(network.margins(network.read(rows))) == pytest.approx(model.scores(rows), abs=1e-6)


def test_numbers_that_a_graph_cuts_to_whole_ones_must_be_whole() -> None:
    """The read-out does not cut: every row was certified where .001 less of two columns passed."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), helper.make_node("MatMul", ["f", "w"], ["t"]),
        helper.make_node("Sigmoid", ["t"], ["score"]),
    ]  # fmt: skip
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.INT64, [None, 2])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.array([[0.5], [0.25]], np.float32), "w")],
    )  # fmt: skip
    proto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    subject = Subject(name="m", kind=Kind.MODEL, uri="m.onnx", options={"inputs": ["x0", "x1"]})
    model = OnnxPredictor(proto.SerializeToString(), subject)
    rows = pa.table({n: [1.0, 2.0, 3.0, 30.0] for n in ("x0", "x1")})
    network = model.network(rows)
    assert network.whole == {"x0", "x1"}
    kinds = dict.fromkeys(network.columns, "number")
    told = [({"integer": True}, True), ({"step": 2.0, "min": 1.0}, True), ({}, False), ({"step": 0.5}, False)]
    for facts, fits in told:
        contract = Contract(features={n: Feature(**facts) for n in network.columns})  # type: ignore[arg-type]
        moves = Moves(network, Space(rows.slice(2, 2), contract, rows, kinds, network.columns), "linf")
        if fits:
            _refuse_between(network, moves)
            continue
        with pytest.raises(CouldNotLook, match="takes whole numbers of x0 and cuts others down"):
            _refuse_between(network, moves)
