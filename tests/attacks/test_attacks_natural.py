"""Damage, refusals and slow rows: exact where the answer is known, planted slowness is found, no value leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow")

from assay.attacks.latency.clock import compared  # noqa: E402
from assay.attacks.latency.moves import moves  # noqa: E402
from assay.attacks.latency.sponge import sponge  # noqa: E402
from assay.attacks.natural.asked import ALONE, ask, ask_many  # noqa: E402
from assay.attacks.natural.damage import UNSEEN, damages, one_digit  # noqa: E402
from assay.attacks.natural.measured import Half, Harmed, halves, share, worst  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature  # noqa: E402

KINDS = {"x": "number", "k": "integer", "w": "category", "b": "boolean", "t": "time"}


class Model:
    """Scores by a function of the columns; refuses a batch that holds a row for which `refuses` is true."""

    features, classes, threshold, access, queries = ("x", "k", "w"), (0, 1), 0.5, "score", 0

    def __init__(self, score: Callable[[Any], Any], refuses: Callable[[Any], Any] | None = None) -> None:
        self._score, self._refuses, self.calls, self.dead = score, refuses, 0, False

    def scores(self, rows: Any) -> Any:
        self.calls += 1
        if self.dead or (self._refuses is not None and np.asarray(self._refuses(rows)).any()):
            raise CouldNotLook("refused")
        return np.asarray(self._score(rows), dtype=float)

    def flagged(self, rows: Any) -> Any:
        return self.scores(rows) >= self.threshold


def column(rows: Any, name: str) -> Any:
    return np.array([np.nan if v is None else v for v in rows.column(name).to_pylist()], dtype=float)


def rows_of(count: int = 200) -> Any:
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "x": rng.uniform(0, 10, count),
            "k": rng.integers(1, 9, count),
            "w": np.array(["Red", "blue", "7"])[rng.integers(0, 3, count)],
            "b": rng.random(count) < 0.5,
        }
    )


def half(model: Model, table: Any, target: Any = None) -> Half:
    n = table.num_rows
    target = np.arange(n) % 2 == 0 if target is None else target
    return Half(table, target, np.ones(n), model.flagged(table))


def the(kind: str, name: str, table: Any, **features: Feature) -> Any:
    (found,) = [d for d in damages(table, ("x", "k", "w", "b"), KINDS, features) if (d.kind, d.column) == (kind, name)]
    return found


@pytest.mark.parametrize(
    ("kind", "flips"),
    [
        ("× 10", lambda x: (x >= 0.5) & (x < 5)),
        ("× 100", lambda x: (x >= 0.05) & (x < 5)),
        ("÷ 10", lambda x: (x >= 5) & (x < 50)),
        ("missing", lambda x: x >= 5),
        ("negative where none is", lambda x: x >= 5),
        ("far above the data", lambda x: x < 5),
    ],
    ids=["x10", "x100", "tenth", "missing", "negative", "above"],
)
def test_the_share_of_changed_decisions_is_the_known_one(kind: str, flips: Callable[[Any], Any]) -> None:
    table = rows_of()
    x = column(table, "x")
    model = Model(lambda rows: np.nan_to_num(column(rows, "x"), nan=-1) >= 5)
    told = half(model, table, x >= 5)
    (harm,) = Harmed(model, 0).harms([the(kind, "x", table)], [0], told)  # type: ignore[arg-type]
    assert harm.changed.value == pytest.approx(flips(x).mean())
    assert harm.changed.n == 200
    assert harm.recall.value == pytest.approx(1 - flips(x)[x >= 5].mean())
    assert harm.false_alarms.value == pytest.approx(flips(x)[x < 5].mean())
    assert harm.refused.value == 0


def test_each_kind_of_column_is_damaged_in_its_own_ways() -> None:
    table = rows_of()
    found = damages(table, ("x", "k", "w", "b", "t"), KINDS, {"k": Feature(categories=(1, 2))})
    ways = {name: [d.kind for d in found if d.column == name] for name in "xkwbt"}
    assert ways["t"] == []
    assert ways["b"] == ["missing", "stuck at another row's value"]
    assert ways["k"] == ["missing", "a code never seen", "stuck at another row's value"]
    assert ways["w"][:4] == ["missing", "a word never seen", "other case", "trailing blank"]
    assert ways["x"].count("missing") == 1
    assert len(ways["x"]) == 14
    rng = np.random.default_rng(0)
    new = the("a word never seen", "w", table).apply(table, rng)
    assert set(new.column("w").to_pylist()) == {UNSEEN}
    assert set(the("other case", "w", table).apply(table, rng).column("w").to_pylist()) == {"rED", "BLUE", "7"}
    assert new.drop_columns(["w"]).equals(table.drop_columns(["w"])), "nothing else is touched"


def test_neighbours_of_one_type_are_swapped_and_whole_numbers_stay_whole() -> None:
    table = pa.table({"a": [1, 2, 3], "b": [10, 20, 30], "c": [0.5, 1.5, 2.5]})
    kinds = {"a": "integer", "b": "integer", "c": "number"}
    found = {(d.kind, d.column): d for d in damages(table, ("a", "b", "c"), kinds, {})}
    rng = np.random.default_rng(0)
    new = found["swapped with the next input", "a"].apply(table, rng)
    assert (new.column("a").to_pylist(), new.column("b").to_pylist()) == ([10, 20, 30], [1, 2, 3])
    assert ("swapped with the next input", "b") not in found
    assert found["× 10", "a"].apply(table, rng).column("a").type == pa.int64()
    assert found["÷ 10", "a"].apply(table, rng).column("a").to_pylist() == pytest.approx([0.1, 0.2, 0.3])


@given(st.lists(st.floats(-1e200, 1e200), min_size=1, max_size=20))
def test_one_digit_is_within_half_a_digit(values: list[float]) -> None:
    x = np.array(values)
    out = one_digit(x)
    assert (np.abs(out - x) <= 0.5001 * np.abs(x) + 1e-300).all()
    assert np.allclose(one_digit(out), out, rtol=1e-9, atol=0)


@given(st.sets(st.integers(0, 63)), st.integers(2, 200))
def test_what_is_told_apart_is_told_right(bad: set[int], calls: int) -> None:
    table = pa.table({"x": np.arange(64.0)})
    model = Model(lambda rows: column(rows, "x") >= 32, lambda rows: np.isin(column(rows, "x"), list(bad)))
    found = ask(model, table, calls)  # type: ignore[arg-type]
    truth = np.isin(np.arange(64), list(bad))
    assert not (found.answered & found.refused).any()
    assert not (found.answered & truth).any()
    assert not (found.refused & ~truth).any()
    assert (found.flagged[found.answered] == (np.arange(64) >= 32)[found.answered]).all()
    assert model.calls <= calls + ALONE + 1
    if calls >= 150 and not truth[:ALONE].all():
        assert (found.answered | found.refused).all()


def test_tables_asked_together_get_the_answers_that_they_get_alone() -> None:
    table = rows_of(3000)
    parts = [table.slice(i * 500, 500) for i in range(6)]
    parts[1] = the("÷ 10", "k", table).apply(parts[1], np.random.default_rng(0))  # whole numbers beside fractions
    bad = float(column(parts[5], "x")[7])
    model = Model(lambda rows: (column(rows, "x") > 5) & (column(rows, "k") > 2), lambda rows: column(rows, "x") == bad)
    found = ask_many(model, parts)  # type: ignore[arg-type]
    assert found == [None] * 6, "4000 rows at once, one of them refused"
    model._refuses = None
    for part, answers in zip(parts, ask_many(model, parts), strict=True):  # type: ignore[arg-type]
        assert answers is not None
        assert answers.answered.all()
        assert (answers.flagged == model.flagged(part)).all()


def test_where_all_are_refused_a_few_are_asked_and_the_rest_is_not_claimed() -> None:
    model = Model(lambda rows: column(rows, "x"), lambda rows: rows.column("x").is_null())
    found = ask(model, pa.table({"x": pa.nulls(500, pa.float64())}))  # type: ignore[arg-type]
    assert (found.refused.sum(), found.answered.sum(), model.calls) == (ALONE, 0, ALONE + 1)


def test_a_model_that_is_dead_after_a_row_is_not_called_robust() -> None:
    table = rows_of(40)
    model = Model(lambda rows: column(rows, "x") >= 5)
    told = half(model, table)

    def dies(rows: Any) -> Any:
        model.dead = model.dead or bool(rows.column("x").null_count)
        return [model.dead]

    model._refuses = dies
    with pytest.raises(CouldNotLook, match="answers no row any more"):
        Harmed(model, 0).harms([the("missing", "x", table)], [0], told)  # type: ignore[arg-type]


def test_a_model_that_looks_at_neighbours_is_told() -> None:
    """Damaged rows that are asked together get the answer of before."""
    table = rows_of()
    model = Model(lambda rows: np.full(rows.num_rows, rows.num_rows > 1))
    told = Half(table, np.ones(200, dtype=bool), np.ones(200), np.ones(200, dtype=bool))
    with pytest.raises(CouldNotLook, match="a row alone gets another answer than among others"):
        Harmed(model, 0).harms([the("missing", "x", table)], [0], told)  # type: ignore[arg-type]


def test_copied_rows_narrow_nothing_and_no_row_is_in_both_halves() -> None:
    table = rows_of(300)
    model = Model(lambda rows: column(rows, "x") >= 5)
    target = column(table, "x") >= 6
    ids = table.append_column("id", pa.array(np.arange(300)))
    model.features = ("x", "id")  # type: ignore[assignment]
    first, second, refused, _ = halves(model, ids, target, np.arange(300), (60, 600), 0)  # type: ignore[arg-type]
    a, b = (set(h.rows.column("id").to_pylist()) for h in (first, second))
    assert not a & b
    assert refused == 0
    copied = pa.concat_tables([ids] * 5)
    again = halves(model, copied, np.tile(target, 5), np.tile(np.arange(300), 5), (60, 600), 0)  # type: ignore[arg-type]
    assert again[1].rows.num_rows == second.rows.num_rows
    everyone = np.ones(second.rows.num_rows, dtype=bool)
    plain, five = (share(everyone, everyone, h.weight) for h in (second, again[1]))
    assert (plain.n, plain.low) == (five.n, pytest.approx(five.low))


@pytest.mark.parametrize("most", [80, 4000], ids=["some", "all"])
def test_rows_of_many_copies_count_once_and_lie_in_both_halves(most: int) -> None:
    """Half of the rows are 100 patterns of ten; whoever takes the first of a shuffled table gets those first, and gave
    each the weight of ten on top."""
    x = np.concatenate([np.repeat(np.linspace(0, 1, 100), 10), np.linspace(2, 3, 1000)])
    table, draw = pa.table({"x": x}), np.concatenate([np.repeat(np.arange(100), 10), np.arange(100, 1100)])
    model = Model(lambda rows: column(rows, "x") >= 0)
    shares = []
    for seed in range(12):
        parts = halves(model, table, np.ones(2000, dtype=bool), draw, (most, most), seed)[:2]  # type: ignore[arg-type]
        shares.append([float(p.weight[column(p.rows, "x") <= 1].sum() / p.weight.sum()) for p in parts])
    assert np.mean(shares, axis=0) == pytest.approx([0.5, 0.5], abs=0.08)


def test_the_weights_give_back_the_whole_table() -> None:
    table = rows_of(4000)
    model = Model(lambda rows: column(rows, "x") >= 5)
    target = column(table, "x") >= 9  # a tenth
    _, report, _, _ = halves(model, table, target, np.arange(4000), (100, 400), 0)  # type: ignore[arg-type]
    assert report.target.mean() == pytest.approx(0.5)
    flagged = share(report.before, np.ones(400, dtype=bool), report.weight)
    assert flagged.low <= 0.5 <= flagged.high
    assert float((report.weight * report.target).sum() / report.weight.sum()) == pytest.approx(target.mean(), rel=1e-9)


def test_the_worst_is_chosen_on_other_rows_so_that_pure_chance_is_not_inflated() -> None:
    """Forty inputs flip decisions at random, equally often: the worst of them is no worse than any on other rows."""
    rng = np.random.default_rng(1)
    names = [f"c{i}" for i in range(40)]
    table = pa.table({n: rng.random(900) for n in names})

    def score(rows: Any) -> Any:
        bits = np.array([column(rows, n) for n in names])
        hole = np.isnan(bits).any(axis=0)
        mixed = (np.nan_to_num(bits, nan=0.5).sum(axis=0) * 1e6) % 1 < 0.3
        return np.where(hole, mixed, False)

    model = Model(score)
    model.features = tuple(names)  # type: ignore[assignment]
    target = rng.random(900) < 0.5
    first, second, _, _ = halves(model, table, target, np.arange(900), (100, 600), 0)  # type: ignore[arg-type]
    all_ = [d for d in damages(table, tuple(names), dict.fromkeys(names, "number"), {}) if d.kind == "missing"]
    found = worst(Harmed(model, 0), all_, first, second)  # type: ignore[arg-type]
    assert found.changed is not None
    seen = [h.changed.value for h in Harmed(model, 0).harms(all_, range(40), first)]  # type: ignore[arg-type]
    assert max(v for v in seen if v is not None) > 0.36, "on the same rows it would look worse"
    changed = found.changed.changed
    assert changed.low is not None
    assert changed.high is not None
    assert changed.low <= 0.3 <= changed.high


# --- slow rows, by a clock that only the model moves ----------------------------------------------------------------


class Slow(Model):
    """A model whose time is a function of the row, on a clock of its own."""

    def __init__(self, cost: Callable[[dict[str, Any]], float], refuses: Callable[[Any], Any] | None = None) -> None:
        super().__init__(lambda rows: np.zeros(rows.num_rows), refuses)
        self._cost, self.now = cost, 0.0

    def scores(self, rows: Any) -> Any:
        self.now += sum(self._cost(row) for row in rows.to_pylist()) / 1000
        return super().scores(rows)

    def clock(self) -> float:
        return self.now


def search(model: Slow, contract: Contract | None = None, seed: int = 0) -> Any:
    table = rows_of(60)
    offered = moves(table, ("x", "k", "w"), KINDS, contract or Contract())
    return sponge(model, table.slice(0, 8), offered, seconds=1e9, seed=seed, clock=model.clock)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("slow", "inputs"),
    [
        (lambda r: r["x"] is None, ("x",)),
        (lambda r: r["x"] is not None and 0 < abs(r["x"]) < 1e-200, ("x",)),
        (lambda r: r["w"] is not None and len(r["w"]) > 1000, ("w",)),
        (lambda r: r["x"] is None and r["k"] is not None and r["k"] > 1e20, ("x", "k")),
        (lambda r: r["w"] == "" and r["x"] is not None and r["x"] < -1e100, ("x", "w")),
    ],
    ids=["null", "denormal", "word", "null-and-huge", "empty-and-huge"],
)
def test_planted_slowness_is_found(slow: Callable[[Any], bool], inputs: tuple[str, ...], seed: int) -> None:
    model = Slow(lambda row: 50.0 if slow(row) else 1.0)
    found = search(model, seed=seed)
    assert set(found.changed) == set(inputs), "and only what makes it slow is named"
    told = compared(model, found.row, rows_of(20), 30, 0, model.clock)  # type: ignore[arg-type]
    assert (told.row, told.usual, told.ratio) == pytest.approx((50, 1, 50))
    assert told.row_interval == pytest.approx((50, 50))


def test_where_nothing_is_slow_nothing_is() -> None:
    model = Slow(lambda row: 1.0)
    found = search(model)
    told = compared(model, found.row, rows_of(20), 30, 0, model.clock)  # type: ignore[arg-type]
    assert told.ratio == pytest.approx(1)


def test_what_the_contract_forbids_is_not_tried() -> None:
    asked: list[dict[str, Any]] = []
    contract = Contract(
        features={
            "x": Feature(min=0, max=5, nullable=False),
            "k": Feature(mutable=False),
            "w": Feature(categories=("Red", "blue")),
        },
        constraints=("x < 4",),
    )
    own = {(r["x"], r["k"], r["w"]) for r in rows_of(60).to_pylist()}
    search(Slow(lambda row: asked.append(row) or 1.0), contract)  # type: ignore[func-returns-value]
    new = [r for r in asked if (r["x"], r["k"], r["w"]) not in own]
    assert new
    assert {r["w"] for r in new} <= {"Red", "blue", "7", None}
    for row in new:
        assert row["x"] is not None
        assert 0 <= row["x"] < 4
        assert row["k"] in range(1, 9)


def test_refused_values_are_left_out_of_mixtures_and_a_dead_model_is_told() -> None:
    model = Slow(lambda row: 30.0 if row["k"] == 0 and row["w"] == "" else 1.0, lambda rows: rows.column("x").is_null())
    found = search(model)
    assert found.breaks == ("x",)
    assert 0 < found.refused < found.tried / 10
    assert set(found.changed) == {"k", "w"}
    dying = Slow(lambda row: 1.0)

    def dies(rows: Any) -> Any:
        dying.dead = dying.dead or bool(rows.column("x").null_count)
        return [dying.dead]

    dying._refuses = dies
    assert "x" in search(dying).dead
