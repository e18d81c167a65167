"""Trees whose splits hold against the worst move over them: against every split tried, and as the graph written."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
pytest.importorskip("onnx", reason="the ml extra is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the ml extra is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from assay.adapters.ensembles.trees import require_parity  # noqa: E402
from assay.adapters.onnx_predictor import OnnxPredictor  # noqa: E402
from assay.core.subject import Kind, Subject  # noqa: E402
from assay.harden.hardening import splits  # noqa: E402
from assay.harden.hardening.graph import trees_to_onnx  # noqa: E402
from assay.harden.hardening.splits import LAMBDA, LEAST, RATE, Grown, grown  # noqa: E402
from assay.harden.hardening.workshop import blank  # noqa: E402


def drawn(seed: int, far: float, count: int = 120, columns: int = 3, gaps: float = 0.0) -> tuple[Any, Any, Any, Any]:
    """(rows on a grid of eighths, their classes, the least and the most that positive ones can be moved to); a share
    `gaps` of the values is missing, more of the positive rows' than of the others'."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 9, (count, columns)) / 8
    y = x[:, 0] + 0.3 * rng.normal(size=count) > 0.5
    y[:LEAST], y[LEAST : 2 * LEAST] = True, False
    x[rng.random(x.shape) < np.where(y[:, None], 2 * gaps, gaps)] = np.nan
    low, high = np.where(y[:, None], x - far, x), np.where(y[:, None], x + far, x)
    return x, y, np.clip(low, 0, 1), np.clip(high, 0, 1)


def stump(x: Any, y: Any, low: Any, high: Any) -> float:
    """The most that any split gains against a row that moves to the lower side, by trying all of them."""
    score = y.mean()
    slope, bend = score - y, np.full(len(y), score * (1 - score))

    def worth(rows: Any) -> Any:
        return slope[rows].sum() ** 2 / (bend[rows].sum() + LAMBDA), -slope[rows].sum() / (bend[rows].sum() + LAMBDA)

    best = 0.0
    for j in range(x.shape[1]):
        held = np.unique(x[~np.isnan(x[:, j]), j])
        for cut in [*(held[1:] + held[:-1]) / 2, *held[-1:]]:
            for where, left_is_low in ((low, True), (high, False)):
                left = np.where(y, where[:, j] <= cut, x[:, j] <= cut)
                if min(left.sum(), (~left).sum()) < LEAST:
                    continue
                (a, value), (b, other) = worth(left), worth(~left)
                if (value <= other) == left_is_low:
                    best = max(best, a + b - worth(np.ones(len(y), dtype=bool))[0])
    return best


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), far=st.sampled_from([0.0, 0.125, 0.3]), gaps=st.sampled_from([0.0, 0.3]))
def test_the_first_split_gains_as_much_as_the_best_of_all(seed: int, far: float, gaps: float) -> None:
    x, y, low, high = drawn(seed, far, gaps=gaps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "DEPTH", 1)
        made = grown(x, y, np.ones(len(y)), low, high, rounds=1)
    best = stump(x, y, low, high)
    if made.feature[0] < 0:
        assert best <= 1e-6
        return
    j, cut = int(made.feature[0]), float(made.threshold[0])
    left, right = made.value[made.left[0]], made.value[made.right[0]]
    where = low if left <= right else high
    goes = np.where(y, where[:, j] <= cut, x[:, j] <= cut)
    slope, bend = y.mean() - y, y.mean() * (1 - y.mean())
    gain = sum(slope[rows].sum() ** 2 / (bend * rows.sum() + LAMBDA) for rows in (goes, ~goes))
    gain -= slope.sum() ** 2 / (bend * len(y) + LAMBDA)
    assert gain == pytest.approx(best, rel=1e-9)
    assert left == pytest.approx(-RATE * slope[goes].sum() / (bend * goes.sum() + LAMBDA))


def test_a_column_that_can_be_stepped_over_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    y = rng.random(600) < 0.4
    near = 0.5 + 0.02 * np.where(y, 1, -1)
    far = np.where(rng.random(600) < 0.9, y, ~y) + rng.normal(0, 0.05, 600)
    x = np.column_stack([near, far])
    reach = np.where(y[:, None], 0.1, 0.0)
    held = grown(x, y, np.ones(600), x - reach, x + reach, rounds=30)
    assert set(held.feature.tolist()) == {-1, 1}
    plain = grown(x, y, np.ones(600), x, x, rounds=30)
    assert 0 in set(plain.feature.tolist()), "without an attacker the near column says everything"
    worst = np.minimum(held.margins(x - reach), held.margins(x + reach))[y] > 0
    assert worst.mean() > 0.85
    assert (plain.margins(x - reach)[y] > 0).mean() < 0.05


def test_the_same_rows_give_the_same_trees_and_their_order_none_other() -> None:
    x, y, low, high = drawn(3, 0.125)
    one, again = (grown(x, y, np.ones(len(y)), low, high, rounds=5) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    turn = np.random.default_rng(0).permutation(len(y))
    other = grown(x[turn], y[turn], np.ones(len(y)), low[turn], high[turn], rounds=5)
    assert other.margins(x) == pytest.approx(one.margins(x))


@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize("positive", [1, 0])
def test_the_graph_scores_as_the_trees_do_and_is_read_as_trees(positive: int, gaps: float) -> None:
    x, y, low, high = drawn(5, 0.125, gaps=gaps)
    table = pa.table({f"x{j}": x[:, j] for j in range(3)})
    made = grown(x, y, np.ones(len(y)), low, high, rounds=20)
    model = served(made, table, positive)
    assert model.scores(table) == pytest.approx(1 / (1 + np.exp(-made.margins(x))), abs=1e-6)
    assert require_parity(model.trees(), model, table) < 1e-6
    session = onnxruntime.InferenceSession(trees_to_onnx(made, blank(table), (0, 1), positive))
    (both,) = session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)})
    assert both.sum(axis=1) == pytest.approx(1.0), "the column of the other class is what is left of 1"


def test_words_and_truth_values_are_read_by_the_graph_itself() -> None:
    rng = np.random.default_rng(2)
    table = pa.table({
        "word": rng.choice(["a", "b", "c"], 300), "yes": rng.random(300) < 0.5, "number": rng.normal(size=300),
    })  # fmt: skip
    inputs = blank(table)
    x = inputs.lifted(inputs.read(table))
    y = (x[:, 0] == 1) | (x[:, -1] > 1)
    made = grown(x, y, np.ones(300), x, x, rounds=10)
    model = served(made, table, 1)
    assert model.scores(table) == pytest.approx(1 / (1 + np.exp(-made.margins(x))), abs=1e-6)
    assert set(model.trees().columns) <= {"word", "yes", "number"}


def served(made: Grown, table: Any, positive: int) -> OnnxPredictor:
    subject = Subject(name="m", kind=Kind.MODEL, uri="m.onnx")
    return OnnxPredictor(trees_to_onnx(made, blank(table), (0, 1), positive), subject)


def test_what_only_a_gap_tells_is_learned() -> None:
    rng = np.random.default_rng(4)
    y = rng.random(400) < 0.3
    x = rng.normal(size=(400, 2))
    x[y, 1] = np.nan
    made = grown(x, y, np.ones(400), x, x, rounds=20)
    assert ((made.margins(x) > 0) == y).all()
