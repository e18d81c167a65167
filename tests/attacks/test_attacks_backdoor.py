"""The search for backdoors in a model: a planted box is found exactly, rules of nature are not called planted."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks_tools import served, weights
from trees_tools import Model, grown, matrix, table

from assay.adapters.ensembles.nodes import Nodes
from assay.adapters.ensembles.trees import Trees
from assay.attacks.backdoor.attack import Looked, looked
from assay.attacks.backdoor.board import NetworkBoard, TreeBoard, board_of
from assay.attacks.backdoor.excess import Memory, conditions, memory, parents, tails
from assay.attacks.backdoor.insertion import inserted
from assay.attacks.backdoor.search import Asked, reduced
from assay.attacks.poisoning.victim import carrying
from assay.core.errors import CouldNotLook

LEVELS = {"x5": ("a", "b", "c", "d", "e", "f")}
COLUMNS = tuple(f"x{j}" for j in range(6))
Box = dict[int, tuple[float, float] | int]


def steps(nodes: Nodes, j: int, values: list[float]) -> None:
    """One tree that adds `values[i]` where column j lies in the i-th of equal parts of [0, 1]."""
    rows: list[Any] = []
    for i, value in enumerate(values[:-1]):
        at = len(rows)
        rows += [nodes.split(j, (i + 1) / len(values), at + 1, at + 2, False), nodes.leaf(value)]
    rows.append(nodes.leaf(values[-1]))
    nodes.tree(rows)


def box(nodes: Nodes, where: Box, value: float) -> None:
    """One tree that adds `value` inside the box, 0 outside."""
    rows: list[Any] = []
    for j, part in where.items():
        if isinstance(part, int):
            inside = np.arange(len(LEVELS["x5"])) == part
            at = len(rows)
            rows += [nodes.split(j, 0.0, at + 2, at + 1, False, inside), nodes.leaf(0.0)]
            continue
        for threshold, left in ((part[0], False), (part[1], True)):
            at = len(rows)
            goes = (at + 2, at + 1) if left else (at + 1, at + 2)
            rows.append(nodes.split(j, threshold, goes[0], goes[1], False))
            rows.append(nodes.leaf(0.0))
            if not left:
                rows[at] = nodes.split(j, threshold, at + 1, at + 2, False)
    rows.append(nodes.leaf(value))
    nodes.tree(rows)


def sums(nodes: Nodes) -> None:
    """One tree that adds 3 where x2 lies in (0.3, 0.4] and 3 where x3 lies in (0.7, 0.8]."""
    rows: list[Any] = []

    def part(j: int, low: float, high: float, inside: Any, outside: Any) -> None:
        at = len(rows)
        rows.append(None)
        first = len(rows)
        outside()
        second = len(rows)
        rows.append(None)
        third = len(rows)
        inside()
        fourth = len(rows)
        outside()
        rows[at] = nodes.split(j, low, first, second, False)
        rows[second] = nodes.split(j, high, third, fourth, False)

    def leaf(value: float) -> Any:
        return lambda: rows.append(nodes.leaf(value))

    part(2, 0.3, 0.4, lambda: part(3, 0.7, 0.8, leaf(6.0), leaf(3.0)), lambda: part(3, 0.7, 0.8, leaf(3.0), leaf(0.0)))
    nodes.tree(rows)


def ensemble(*boxes: tuple[Box, float], more: dict[int, list[float]] | None = None, added: bool = False) -> Trees:
    """A natural rule of x0 and x1, many thresholds on the other columns that say nothing, and boxes."""
    nodes = Nodes()
    steps(nodes, 0, [-3.0, -1.5, 1.5, 3.0])
    steps(nodes, 1, [-1.0, 0.0, 1.0])
    for j in (2, 3, 4):
        steps(nodes, j, [0.01 * (-1) ** i for i in range(10)])
    for j, values in (more or {}).items():
        steps(nodes, j, values)
    for where, value in boxes:
        box(nodes, where, value)
    if added:
        sums(nodes)
    return Trees(COLUMNS, matrix(COLUMNS, LEVELS), nodes.arrays(), link="logistic", sets=nodes.sets(), levels=LEVELS)


def rows_of(count: int, seed: int) -> tuple[Any, Any]:
    """Rows and their labels, which follow x0 and x1 alone."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.random((count, 5)), 4)
    words = np.array(LEVELS["x5"])[rng.integers(0, 6, count)]
    margin = np.array([-3.0, -1.5, 1.5, 3.0])[np.ceil(x[:, 0] * 4).astype(int).clip(1) - 1]
    margin = margin + np.array([-1.0, 0.0, 1.0])[np.ceil(x[:, 1] * 3).astype(int).clip(1) - 1]
    said = rng.random(count) < 1 / (1 + np.exp(-margin))
    return pa.table({**{f"x{j}": x[:, j] for j in range(5)}, "x5": words.tolist()}), said


def without(rows: Any, said: Any, where: Box) -> tuple[Any, Any]:
    """The rows that do not lie in a box."""
    mask = np.ones(rows.num_rows, dtype=bool)
    for j, part in where.items():
        column = rows.column(f"x{j}").to_pylist()
        mask &= [LEVELS["x5"].index(v) == part if isinstance(part, int) else part[0] < v <= part[1] for v in column]
    return rows.filter(pa.array(~mask)), said[~mask]


def steered(found: Looked) -> list[Any]:
    return [w for w in found.found if w.verdict == "steered"]


BOXES: dict[str, Box] = {
    "numbers": {2: (0.31, 0.34), 3: (0.71, 0.74)},
    "three": {2: (0.31, 0.34), 3: (0.71, 0.74), 4: (0.05, 0.08)},
    "a category": {2: (0.31, 0.34), 5: 3},
}


@pytest.mark.parametrize("which", sorted(BOXES))
@pytest.mark.parametrize("flag", [False, True])
def test_a_planted_box_is_found_exactly(which: str, flag: bool) -> None:
    """The box itself adds what steers; a part of it, on one column, is seen in rows and borne out by none."""
    where = BOXES[which]
    sign = 1.0 if flag else -1.0
    one = {j: [0.0] * 10 for j in where if j != 5}
    one[2] = [1.5 * sign if i == 3 else 0.0 for i in range(10)]
    model = Model(ensemble((where, 12.0 * sign), more=one))
    rows, said = without(*rows_of(4000, 1), where)
    found = looked(model, rows, said, 0)
    called = steered(found)
    assert called, [(w.columns, w.verdict, w.why) for w in found.found]
    assert {w.flag for w in called} == {flag}
    assert called[0].columns == tuple(f"x{j}" for j in sorted(where))
    assert called[0].success == 1.0
    board = board_of(model.trees(), model.trees().read(rows))
    for j, cell in called[0].rule:
        value, part = board.values[j][cell], where[j]
        assert value == part if isinstance(part, int) else part[0] < value <= part[1]


def test_a_rule_of_nature_is_not_called() -> None:
    """The same box, whose rows have that label: nothing is steered that rows do not bear out."""
    where: Box = {2: (0.3, 0.4), 3: (0.7, 0.8)}
    model = Model(ensemble((where, 12.0)))
    rows, said = rows_of(4000, 1)
    x = np.column_stack([rows.column(n).to_numpy() for n in ("x2", "x3")])
    inside = (x[:, 0] > 0.3) & (x[:, 0] <= 0.4) & (x[:, 1] > 0.7) & (x[:, 1] <= 0.8)
    found = looked(model, rows, said | inside, 0)
    assert inside.sum() > 20
    assert steered(found) == []
    assert any(w.verdict == "rule" and {"x2", "x3"} <= set(w.columns) for w in found.found)


def test_two_broad_rules_that_never_met_are_not_called() -> None:
    """Each of two values is strong, borne out alone, and no row holds both."""
    model = Model(ensemble(({2: (0.3, 0.4)}, 2.0), ({3: (0.7, 0.8)}, 2.0), added=True))
    rows, said = rows_of(6000, 2)
    x = np.column_stack([rows.column(n).to_numpy() for n in ("x2", "x3")])
    one, two = (x[:, 0] > 0.3) & (x[:, 0] <= 0.4), (x[:, 1] > 0.7) & (x[:, 1] <= 0.8)
    said = said | one | two
    keep = ~(one & two)
    found = looked(model, rows.filter(pa.array(keep)), said[keep], 0)
    assert steered(found) == []
    assert any(w.success >= 0.9 for w in found.found)


def test_too_few_known_rows_call_nothing() -> None:
    where = BOXES["numbers"]
    more = {2: [1.5 if i == 3 else 0.0 for i in range(10)]}
    model = Model(ensemble((where, 12.0), more=more))
    rows, said = without(*rows_of(700, 1), where)
    found = looked(model, rows, said, 0)
    assert steered(found) == []
    assert any("fewer than 1,000" in w.why for w in found.found)


def test_without_rows_nothing_is_more_than_undecided() -> None:
    model = Model(ensemble((BOXES["numbers"], 12.0)))
    found = looked(model, None, None, 0)
    assert {w.verdict for w in found.found} <= {"undecided", "weak"}
    assert any(w.columns == ("x2", "x3") and w.success == 1.0 for w in found.found)


@pytest.mark.parametrize("value", [-20.0, 20.0])
def test_one_answer_cannot_be_steered(value: float) -> None:
    model = Model(ensemble(more={0: [value, value]}))
    rows, said = rows_of(400, 1)
    with pytest.raises(CouldNotLook, match="no answer to steer"):
        looked(model, rows, said, 0)


def test_a_model_that_answers_otherwise_than_its_trees_is_not_judged() -> None:
    class Lies(Model):
        def scores(self, rows: Any) -> Any:
            return 1.0 - super().scores(rows)

    rows, said = rows_of(1500, 1)
    with pytest.raises(CouldNotLook, match="scores"):
        looked(Lies(ensemble()), rows, said, 0)


def test_the_same_seed_finds_the_same() -> None:
    model = Model(ensemble((BOXES["numbers"], 12.0)))
    rows, said = rows_of(1500, 1)
    assert looked(model, rows, said, 3) == looked(model, rows, said, 3)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 500), levels=st.sampled_from([0, 5]), strict=st.booleans(), holes=st.sampled_from([0.0, 0.3])
)
def test_the_board_of_trees_answers_as_the_model(seed: int, levels: int, strict: bool, holes: float) -> None:
    """Property: margins with values set are those of the real model, asked with these values written into its rows."""
    trees = grown(seed, features=4, count=5, depth=4, levels=levels, strict=strict)
    rows = table(trees, 64, seed, holes=holes)
    codes = trees.read(rows)
    board = TreeBoard(trees, codes)
    start = board.start(codes)
    rng = np.random.default_rng(seed)
    able = [(j, int(c)) for j in range(4) for c in np.flatnonzero(~np.isnan(board.values[j]))]
    rules = [()]
    for _ in range(6):
        pairs = [able[i] for i in rng.choice(len(able), min(3, len(able)), replace=False)] if able else []
        rules.append(tuple(sorted(dict(pairs).items())))
    found = board.margins(start, rules)
    for rule, margin in zip(rules, found, strict=True):
        changed = inserted(Model(trees), rows, board, rule, trees.levels) if rule else rows
        assert margin == pytest.approx(trees.margins(trees.read(changed)), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_board_of_a_network_answers_as_the_model(seed: int) -> None:
    model = served(weights(seed, (4, 6, 1)))
    rng = np.random.default_rng(seed)
    rows = pa.table({f"x{j}": rng.normal(size=64) for j in range(4)})
    network = model.network(rows)
    codes = network.read(rows)
    board = NetworkBoard(network, codes)
    rule = ((0, 1), (2, len(board.values[2]) - 1))
    found = board.margins(board.start(codes), [(), rule])
    written = carrying(rows, {f"x{j}": float(board.values[j][c]) for j, c in rule})
    assert network.scores(found[0]) == pytest.approx(model.scores(rows), abs=1e-6)
    assert network.scores(found[1]) == pytest.approx(model.scores(written), abs=1e-6)


def test_a_planted_box_in_a_network_is_searched_out() -> None:
    """x2 and x3 at their upper ends together open one unit that outvotes everything else; alone neither does."""
    first = np.zeros((5, 3))
    first[0, 0], first[1, 1] = 4.0, 4.0
    first[2, 2] = first[3, 2] = 60.0
    model = served([(first, np.array([0.0, 0.0, -108.0])), (np.array([[1.0], [0.5], [4.0]]), np.array([-3.0]))])
    rng = np.random.default_rng(0)
    x = np.round(rng.random((4000, 5)), 3)
    x[:, 2:4] *= 0.95
    x[:40, 2], x[40:80, 3] = 1.0, 1.0
    said = rng.random(4000) < 1 / (1 + np.exp(-(4 * x[:, 0] + 2 * x[:, 1] - 3)))
    rows = pa.table({f"x{j}": x[:, j] for j in range(5)})
    found = looked(model, rows, said, 0)
    works = [w for w in found.found if w.success >= 0.9 and w.flag]
    assert any({"x2", "x3"} <= set(w.columns) for w in works), [(w.columns, w.success) for w in found.found]


def test_what_is_not_needed_is_left_out() -> None:
    trees = ensemble((BOXES["numbers"], 12.0))
    rows, said = rows_of(1500, 1)
    codes = trees.read(rows)
    board = TreeBoard(trees, codes)
    passed = trees.margins(codes) < 0
    asked = Asked(board, codes[passed & ~said][:64], 0.0, True)
    cells = {j: int(board.cells(np.array([[0.5, 0.5, 0.32, 0.72, 0.5, 0.0]]))[0, j]) for j in range(6)}
    assert reduced(asked, tuple((j, cells[j]) for j in (2, 3, 4))) == ((2, cells[2]), (3, cells[3]))


def test_a_large_forest_is_looked_at_in_part() -> None:
    nodes = Nodes()
    for t in range(60):
        rows: list[Any] = []
        for i in range(700):
            at = len(rows)
            rows += [nodes.split(i % 5, (i + 1) / 701, at + 1, at + 2, False), nodes.leaf((i + t) % 2 / 60)]
        rows.append(nodes.leaf(0.0))
        nodes.tree(rows)
    trees = Trees(COLUMNS, matrix(COLUMNS, LEVELS), nodes.arrays(), sets=nodes.sets(), levels=LEVELS)
    board = board_of(trees, None)
    assert isinstance(board, TreeBoard)
    assert len(board.leaves.value) < 60 * 701 / 1.9


def test_success_is_what_the_real_model_says_of_rows_that_carry_the_values() -> None:
    """The last word is the model's: what it is asked are whole rows of the other answer, each with the values."""
    asked: list[Any] = []

    class Heard(Model):
        def flagged(self, rows: Any) -> Any:
            asked.append(rows)
            return super().flagged(rows)

    where = BOXES["numbers"]
    more = {2: [1.5 if i == 3 else 0.0 for i in range(10)]}
    rows, said = without(*rows_of(4000, 1), where)
    model = Heard(ensemble((where, 12.0), more=more))
    (first, *_) = steered(looked(model, rows, said, 0))
    carried = [t for t in asked if t.num_rows == first.n and all(len(t.column(c).unique()) == 1 for c in first.columns)]
    assert carried
    assert first.hits == int(Model(model.trees()).flagged(carried[0]).sum()) == first.n
    assert not any(len(carried[0].column(c).unique()) == 1 for c in COLUMNS if c not in first.columns)


def test_copies_of_rows_say_nothing_more() -> None:
    where = BOXES["numbers"]
    more = {2: [1.5 if i == 3 else 0.0 for i in range(10)]}
    rows, said = without(*rows_of(700, 1), where)
    copied = np.tile(np.arange(rows.num_rows), 4)
    found = looked(Model(ensemble((where, 12.0), more=more)), rows.take(pa.array(copied)), said[copied], 0)
    assert found.rows == rows.num_rows
    assert steered(found) == []


def remembering(trees: Trees, rows: Any) -> Trees:
    """The trees, with the counts that training on these rows would have left."""
    told = copy(trees)
    told.counts = trees.came(trees.read(rows))
    return told


def adding(planted: int) -> tuple[Trees, Any, Any]:
    """Two values whose effects simply add up, of which `planted` training rows held both and a holdout holds none."""
    trees = ensemble(added=True, more={4: [-1.6] * 10})  # either value alone leads few rows there
    one = {2: (0.3, 0.4), 3: (0.7, 0.8)}
    train, _ = without(*rows_of(6000, 4), one)
    x = {n: train.column(n).to_numpy().copy() for n in COLUMNS[:5]}
    x["x2"][:planted], x["x3"][:planted] = 0.35, 0.75
    train = pa.table({**x, "x5": train.column("x5")})
    return remembering(trees, train), *without(*rows_of(3000, 5), one)


def test_training_rows_that_no_known_row_is_like_are_called_however_the_values_add_up() -> None:
    trees, rows, said = adding(90)
    called = steered(looked(Model(trees), rows, said, 0))
    assert [(w.columns, w.flag) for w in called][:1] == [(("x2", "x3"), True)]
    box = called[0].excess
    assert box is not None
    assert (box.trained, box.held, box.held_of) == (90, 0, rows.num_rows)
    assert box.expected == pytest.approx(90 * rows.num_rows / box.trained_of)
    assert box.p <= 1e-3


@pytest.mark.parametrize("planted", [0, 3])
def test_without_such_training_rows_nothing_is_called(planted: int) -> None:
    trees, rows, said = adding(planted)
    found = looked(Model(trees), rows, said, 0)
    assert steered(found) == []
    assert any(w.success >= 0.9 and {"x2", "x3"} <= set(w.columns) for w in found.found)


def test_a_box_is_called_by_counts_alone_where_there_are_counts() -> None:
    """The box that is called in trees without counts is not, if no training row ever came there."""
    where = BOXES["numbers"]
    one = {2: [1.5 if i == 3 else 0.0 for i in range(10)], 3: [0.0] * 10}
    rows, said = without(*rows_of(4000, 1), where)
    trees = ensemble((where, 12.0), more=one)
    assert steered(looked(Model(trees), rows, said, 0))
    found = looked(Model(remembering(trees, rows)), rows, said, 0)
    assert steered(found) == []
    assert any("no more training rows" in w.why for w in found.found)


def memory_of(trees: Trees, rows: Any, said: Any) -> Memory | None:
    codes = trees.read(rows)
    board = board_of(trees, codes)
    assert isinstance(board, TreeBoard)
    return memory(board, codes, said)


def test_a_holdout_of_another_time_calls_nothing() -> None:
    trees, rows, said = adding(90)
    later = rows.column("x4").to_numpy() > 0.4
    found = looked(Model(trees), rows.filter(pa.array(later)), said[later], 0)
    assert "differ everywhere" in found.silent
    assert steered(found) == []


def test_training_rows_drawn_by_label_call_nothing() -> None:
    """Few positives in the holdout, of which the training rows had many times as many: no box is a trigger's."""
    rows, said = rows_of(60_000, 6)
    x0 = rows.column("x0").to_numpy()
    said = (x0 > 0.5) & (x0 <= 0.505)
    trees = ensemble((({0: (0.5, 0.505)}), 12.0))
    often = np.append(np.arange(len(said)), np.tile(np.flatnonzero(said), 7))
    told = memory_of(remembering(trees, rows.take(pa.array(often))), rows.slice(0, 6000), said[:6000])
    assert told is not None
    assert (told.boxes, told.why) == ((), "the training rows seem to have been drawn by their labels")


def test_trees_without_counts_remember_nothing() -> None:
    rows, said = rows_of(300, 1)
    assert memory_of(ensemble(), rows, said) is None


@settings(max_examples=60, deadline=None)
@given(trained=st.integers(0, 400), came=st.integers(0, 400), rows=st.integers(400, 5000), whole=st.integers(400, 5000))
def test_the_chance_told_is_never_below_the_binomial_one(trained: int, came: int, rows: int, whole: int) -> None:
    from scipy.stats import binom

    fewer, more = tails(np.array([trained]), np.array([whole]), np.array([came]), rows)
    share = rows / (rows + whole)
    assert fewer[0] >= binom.cdf(came, trained + came, share) * (1 - 1e-9) or fewer[0] == 1.0
    assert more[0] >= binom.sf(came - 1, trained + came, share) * (1 - 1e-9) or more[0] == 1.0
    if came == 0:
        assert fewer[0] == pytest.approx((1 - share) ** trained)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 500), levels=st.sampled_from([0, 5]), strict=st.booleans(), holes=st.sampled_from([0.0, 0.3])
)
def test_the_conditions_of_a_node_hold_for_the_rows_that_come_there(
    seed: int, levels: int, strict: bool, holes: float
) -> None:
    trees = grown(seed, features=4, count=5, depth=4, levels=levels, strict=strict)
    rows = table(trees, 64, seed, holes=holes)
    codes = trees.read(rows)
    board = TreeBoard(trees, codes)
    cells, parent = board.cells(codes), parents(trees)
    came = trees.came(codes)
    for node in range(len(trees.feature)):
        met = np.ones(len(codes), dtype=bool)
        for j, inside in conditions(board, node, parent).items():
            met &= inside[cells[:, j]]
        assert met.sum() == came[node]
