"""Torch programs as predictors: torch runs them within bounds, they answer as torch's own module does, and their
layers are those that torch computes."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("onnx")
torch = pytest.importorskip("torch", reason="the torch extra is not installed")
pytestmark = pytest.mark.heavy

from torch_tools import graph, layers, members, node, packed  # noqa: E402

from assay.adapters.ensembles.trees import require_parity  # noqa: E402
from assay.adapters.networks.network import DOUBLE, SINGLE  # noqa: E402
from assay.adapters.tables import open_dataset  # noqa: E402
from assay.adapters.torch.predictor import TorchPredictor  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Kind, Subject  # noqa: E402

nn = torch.nn
NAMES = [f"f{j}" for j in range(5)]


def opened(content: bytes, names: list[str] = NAMES, data: Any = None, **options: Any) -> TorchPredictor:
    told = options if data is not None else {"inputs": names, **options}
    return TorchPredictor(content, Subject(name="m", kind=Kind.MODEL, uri="m.pt2", options=told), data)


def saved(module: Any, *, free: bool = True, count: int = 3, **span: int) -> bytes:
    """A module, exported and saved."""
    shapes = ({0: torch.export.Dim("n", **span)},) if free else None
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module.eval(), (torch.randn(count, 5),), dynamic_shapes=shapes)
        torch.export.save(program, file)
    return file.getvalue()


def by_torch(content: bytes, x: Any) -> Any:
    """What torch's own loader and module give: files that were made here a moment ago."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.export.load(io.BytesIO(content)).module()(torch.from_numpy(x)).double().numpy()


def numbers(count: int = 200, *, vast: bool = True) -> tuple[Any, Any]:
    """Usual, and vast rows: (matrix, table). In between float32 itself cancels, and parity is rightly refused."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(count, 5)) * scale for scale in ((1, 10, 1e30) if vast else (1, 10))]
    x = np.vstack(parts).astype(np.float32)
    return x, pa.table({name: x[:, j] for j, name in enumerate(NAMES)})


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.randn(5))
        self.register_buffer("spread", torch.rand(5) + 0.5)

    def forward(self, x: Any) -> Any:
        return (x - self.mean) / self.spread


class Calls(nn.Module):
    """A function of the input and some modules."""

    def __init__(self, function: Any, *modules: Any) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(modules)

    def forward(self, x: Any) -> Any:
        return self.function(x, *self.parts)


def deep(activation: Any) -> Any:
    torch.manual_seed(3)
    norm = nn.BatchNorm1d(8)
    with torch.no_grad():
        for value in (norm.running_mean, norm.weight, norm.bias):
            value.normal_()
        norm.running_var.uniform_(0.3, 2)
    return nn.Sequential(
        Scale(), nn.Linear(5, 8), norm, activation, nn.Dropout(0.2), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 1),
        nn.Sigmoid(),
    )  # fmt: skip


ACTIVATIONS = {
    "relu": nn.ReLU(), "relu in place": nn.ReLU(inplace=True), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid(),
    "elu": nn.ELU(0.7), "selu": nn.SELU(), "celu": nn.CELU(0.6), "gelu": nn.GELU(), "gelu tanh": nn.GELU("tanh"),
    "silu": nn.SiLU(), "leaky": nn.LeakyReLU(0.05), "hardtanh": nn.Hardtanh(-0.5, 0.7), "relu6": nn.ReLU6(),
    "softplus": nn.Softplus(2.0), "prelu": nn.PReLU(), "hardsigmoid": nn.Hardsigmoid(),
}  # fmt: skip
ENDS = {
    "logit": (lambda x, a, b: a(x), True),
    "flat": (lambda x, a, b: a(x).squeeze(1), True),
    "two": (lambda x, a, b: b(x), True), "log softmax": (lambda x, a, b: torch.log_softmax(b(x), 1), True),
    "softmax": (lambda x, a, b: torch.softmax(b(x), 1), False),
    "one of": (lambda x, a, b: b(x).softmax(-1)[:, 1], False),
    "rest": (lambda x, a, b: 1 - torch.sigmoid(a(x)), False), "clip": (lambda x, a, b: a(x).clamp(0, 1), False),
    "view": (lambda x, a, b: a(x.view(x.shape[0], -1)).view(-1), True),
    "doubled": (lambda x, a, b: a(x) + 2 * a(x), True),
    "constant": (lambda x, a, b: a(x * torch.tensor([1.0, 2, 3, 4, 5])), True),
}  # fmt: skip


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_a_network_answers_as_torch_and_is_read_out(kind: str) -> None:
    content, (x, table) = saved(deep(ACTIVATIONS[kind])), numbers()
    with opened(content) as model:
        scores = model.scores(table)
        assert np.array_equal(scores, by_torch(content, x).reshape(-1))
        assert (model.threshold, model.access, model.classes, model.notes) == (0.5, "score", (0, 1), ())
        read = model.network(table)
        assert require_parity(read, model, table) <= 1e-5
        assert [len(layer.bias) for layer in read.layers] == [8, 4, 1]


@pytest.mark.parametrize("kind", ENDS)
def test_ends_are_read_as_what_they_are(kind: str) -> None:
    torch.manual_seed(4)
    function, logits = ENDS[kind]
    content, (x, table) = (
        saved(Calls(function, nn.Linear(5, 5 if kind == "doubled" else 1), nn.Linear(5, 2))),
        numbers(),
    )
    if kind == "doubled":
        content = saved(Calls(lambda x, a, b: b(x + a(x)), nn.Linear(5, 5), nn.Linear(5, 1)))
    model, raw = opened(content), by_torch(content, x)
    raw = raw.reshape(len(x), -1)
    scores = model.scores(table)
    assert bool(model.notes) is logits
    if not logits:
        assert np.array_equal(scores, raw[:, -1])
    else:
        margin = raw[:, 0] if raw.shape[1] == 1 else raw[:, 1] - raw[:, 0]
        assert np.allclose(scores, 1 / (1 + np.exp(-np.clip(margin, -700, 700))), atol=1e-12)
        assert np.array_equal(model.flagged(table), margin >= 0)
    assert require_parity(model.network(table), model, table) <= 1e-5


@pytest.mark.parametrize("where", ["first", "last", "softmax", "nowhere"])
def test_a_program_of_doubles_is_as_coarse_as_its_coarsest_step(where: str) -> None:
    """A score that is a float32 in the end, or was one on the way, is rounded as one."""
    torch.manual_seed(5)
    ways = {
        "first": lambda x, a: torch.sigmoid(a(x.float().double())),
        "last": lambda x, a: torch.sigmoid(a(x)).float(),
        "softmax": lambda x, a: torch.softmax(torch.cat([-a(x), a(x)], 1), 1, dtype=torch.float32),
        "nowhere": lambda x, a: torch.sigmoid(a(x)),
    }
    module = Calls(ways[where], nn.Linear(5, 1)).double().eval()
    given = torch.zeros(3, 5, dtype=torch.float64)
    program = torch.export.export(module, (given,), dynamic_shapes=({0: torch.export.Dim("n")},))
    with io.BytesIO() as file:
        torch.export.save(program, file)
        content = file.getvalue()
    table = numbers(20, vast=False)[1]
    model = opened(content)
    network = model.network(table)
    assert network.unit == (DOUBLE if where == "nowhere" else SINGLE)
    assert require_parity(network, model, table) <= 1e-5


def test_a_larger_program_is_run_but_not_read() -> None:
    torch.manual_seed(6)
    attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    content = saved(nn.Sequential(nn.Unflatten(1, (5, 1)), nn.Linear(1, 8), attention, nn.Flatten(1), nn.Linear(40, 1)))
    x, table = numbers(20, vast=False)
    model, raw = opened(content), by_torch(content, x).reshape(-1)
    assert np.allclose(model.scores(table), 1 / (1 + np.exp(-raw)), atol=1e-12)
    with pytest.raises(CouldNotLook, match=r"cannot be followed as a small network; attack it with `access: score`"):
        model.network(table)


@pytest.mark.parametrize(("free", "count", "span", "note"), [
    (False, 3, {}, "3 rows at once"), (False, 1, {}, "1 rows at once"), (True, 4, {"min": 3, "max": 7}, ""),
], ids=["three", "one", "ranged"])  # fmt: skip
def test_programs_of_some_rows_at_once_are_run_in_such_batches(free: bool, count: int, span: Any, note: str) -> None:
    module = deep(nn.ReLU())
    whole, part = opened(saved(module)), opened(saved(module, free=free, count=count, **span))
    _, table = numbers(10)
    assert np.allclose(whole.scores(table), part.scores(table), atol=1e-6)
    assert note in " ".join(part.notes)
    assert len(part.scores(table.slice(0, 1))) == 1
    assert len(part.scores(table.slice(0, 0))) == 0


@pytest.mark.parametrize("end", [nn.Sigmoid(), nn.Identity()], ids=["probability", "logit"])
def test_one_number_is_the_second_class_s_and_the_first_has_the_rest(end: Any) -> None:
    content = saved(Calls(lambda x, a, e: e(a(x)), nn.Linear(5, 1), end))
    _, table = numbers(50, vast=False)
    second, first = opened(content), opened(content, positive=0)
    assert first.scores(table) == pytest.approx(1 - second.scores(table), abs=1e-12)
    require_parity(first.network(table), first, table)


@pytest.mark.parametrize(
    "mixes", [lambda x, a: torch.softmax(a(x), 0), lambda x, a: torch.sigmoid(a(x).flip(0))], ids=["softmax", "flip"]
)
def test_a_program_that_mixes_rows_is_refused(tmp_path: Path, mixes: Any) -> None:
    from pyarrow import csv

    _, table = numbers(40, vast=False)
    csv.write_csv(table.slice(0, 40).append_column("label", pa.array([0, 1] * 20)), tmp_path / "d.csv")
    facts = {"label": "label", "positive": 1}
    data = open_dataset(Subject(name="d", kind=Kind.DATASET, uri="d.csv", options=facts), tmp_path, None)
    with pytest.raises(CouldNotLook, match="rows otherwise alone than among others"):
        opened(saved(Calls(mixes, nn.Linear(5, 1))), data=data)
    data.close()


def test_columns_are_the_data_s_in_order_and_counted(tmp_path: Path) -> None:
    _, table = numbers(40)
    from pyarrow import csv

    csv.write_csv(table.slice(0, 40).append_column("label", pa.array([0, 1] * 20)), tmp_path / "d.csv")
    facts = {"label": "label", "positive": 1}
    data = open_dataset(Subject(name="d", kind=Kind.DATASET, uri="d.csv", options=facts), tmp_path, None)
    model = opened(saved(deep(nn.ReLU())), data=data)
    assert model.features == tuple(NAMES)
    assert np.array_equal(model.scores(data.table()), opened(saved(deep(nn.ReLU()))).scores(table.slice(0, 40)))
    assert opened(saved(deep(nn.ReLU())), data=data, threshold=0.2).threshold == 0.2
    with pytest.raises(CouldNotLook, match="the model takes 5 inputs, `inputs:` has 4"):
        opened(saved(deep(nn.ReLU())), NAMES[:4])
    torch.manual_seed(1)
    with pytest.raises(CouldNotLook, match=r"numbers from 0 to 1 for 40 rows.*end it in a sigmoid"):
        opened(saved(Calls(lambda x, a: torch.erf(a(x)).square(), nn.Linear(5, 1))), data=data)
    data.close()


def test_training_mode_and_changing_weights_are_refused() -> None:
    module = deep(nn.ReLU()).train()
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(module, (torch.randn(3, 5),)), file)
    with pytest.raises(CouldNotLook, match=r"model\.eval\(\)"):
        opened(file.getvalue())


NODES, WEIGHTS = layers()
INTS = {"as_ints": [1 << 30, 1 << 30]}
HOSTILE = {
    "another library": (node("quantized.relu6.default", "o", qx="h"), "not run here"),
    "a file": (node("aten.from_file.default", "o", filename={"as_string": "/etc/passwd"}), "not run here"),
    "random": (node("aten.bernoulli.default", "o", self="h"), "not run here"),
    "gigantic": (node("aten.full.default", "o", size=INTS, fill_value={"as_float": 1.0}), "makes a tensor of"),
    "expanded": (node("aten.expand.default", "o", self="b2", size=INTS), "makes a tensor of more than"),
    "repeated": (node("aten.repeat.default", "o", self="h", repeats=INTS), "RuntimeError in repeat"),
    "parts": (node("aten.chunk.default", "o", self="h", chunks={"as_int": 1 << 30}), "ValueError in chunk"),
    "type": (node("aten.relu.default", "o", self="h", dtype={"as_int": 1 << 62}), "ValueError"),
    "plain numbers": (node("aten.remainder.int", "o", a={"as_int": 3}, b={"as_int": 0}), "on no tensor"),
    "out of it": (node("aten.index_select.default", "o", self="h", dim={"as_int": 9}, index="b1"), "in index_select"),
    "own weights": (node("aten.add_.Tensor", "o", self="w2", other={"as_float": 1.0}), "changes its own weights"),
    "written elsewhere": (node("aten.relu.out", "o", self="h", out="w1"), "not run here"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_operators_that_are_not_run_end_in_one_line(kind: str) -> None:
    one, words = HOSTILE[kind]
    last = node("aten.sum.default", "s", self="o")
    nodes = [*NODES[:1], one, last, *NODES[1:3], node("aten.add.Tensor", "e", self="z", other="s")]
    if kind == "own weights":
        nodes = [*NODES[:1], one, *NODES[1:]]
    with pytest.raises(CouldNotLook, match=words) as refused:
        opened(packed(members(graph(nodes, WEIGHTS), WEIGHTS)), ["a", "b", "c"]).scores(
            pa.table({name: [1.0] for name in "abc"})
        )
    assert "\n" not in str(refused.value)


def test_a_call_that_nothing_reads_is_refused_too() -> None:
    call = {"target": "torch.os.system", "inputs": [{"name": "", "arg": {"as_string": "true"}}], "outputs": []}
    with pytest.raises(CouldNotLook, match=r"holds torch\.os\.system, which is not run here"):
        opened(packed(members(graph([call, *NODES], WEIGHTS), WEIGHTS)), ["a", "b", "c"])


def test_a_program_made_by_hand_runs_and_its_pickle_does_not() -> None:
    table = pa.table({name: [0.5, -1.0, 2.0] for name in "abc"})
    model = opened(packed(members(graph(NODES, WEIGHTS), WEIGHTS)), ["a", "b", "c"])
    x = np.repeat(np.array([[0.5], [-1.0], [2.0]]), 3, axis=1)
    z = np.maximum(x @ WEIGHTS["w1"].T + WEIGHTS["b1"], 0) @ WEIGHTS["w2"].T + WEIGHTS["b2"]
    assert np.allclose(model.scores(table), 1 / (1 + np.exp(-z[:, 0])), atol=1e-6)
