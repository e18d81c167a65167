"""The white-box attack on CatBoost's trees against oracles: every cell tried on CatBoost itself, and Veritas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("duckdb", reason="the ml extra is not installed")
catboost = pytest.importorskip("catboost", reason="catboost is not installed")

from trees_tools import brute, space  # noqa: E402

from assay.adapters.predictors import open_predictor  # noqa: E402
from assay.adapters.tables import open_dataset  # noqa: E402
from assay.attacks.space import Norm  # noqa: E402
from assay.attacks.trees.attack import attack_trees  # noqa: E402
from assay.attacks.trees.whitebox import Whitebox  # noqa: E402
from assay.core.subject import Kind, Subject  # noqa: E402

GROWN = ["SymmetricTree", "Depthwise"]


@pytest.fixture
def fitted(tmp_path: Path) -> Iterator[Any]:
    """Train a model on a table (its last column is the label) and open it with that table."""
    opened: list[Any] = []

    def make(rows: Any, **parameters: Any) -> tuple[Any, Any]:
        frame = rows.to_pandas()
        target = frame.pop(frame.columns[-1])
        settings = {"verbose": 0, "thread_count": 1, "random_seed": 0, "allow_writing_files": False, **parameters}
        words = [name for name in frame if frame[name].dtype.kind not in "if"]
        model = catboost.CatBoostClassifier(**settings).fit(frame, target, cat_features=words or None)
        model.save_model(str(tmp_path / "m.cbm"))
        rows.to_pandas().to_csv(tmp_path / "t.csv", index=False)
        about = Subject(name="t", kind=Kind.DATASET, uri="t.csv", options={"label": rows.column_names[-1]})
        data = open_dataset(about, tmp_path, None)
        opened.append(data)
        found = open_predictor(Subject(name="m", kind=Kind.MODEL, uri="m.cbm", options={}), tmp_path, data=data)
        opened.append(found)
        return found, model

    yield make
    for item in opened:
        item.close()


def drawn(seed: int, rows: int = 200) -> Any:
    """Two numbers of a coarse grid and a category, and a label that needs them all."""
    rng = np.random.default_rng(seed)
    x, z = (np.round(rng.random(rows), 2).astype(np.float32).astype(float) for _ in range(2))
    c = rng.choice(list("abcde"), rows)
    y = (x + z * z + 0.5 * np.isin(c, ["a", "d"]) + 0.1 * rng.normal(size=rows) > 1.0).astype(int)
    return pa.table({"x": x, "z": z, "c": c, "y": y})


@pytest.mark.parametrize("norm", ["l1", *(pytest.param(n, marks=pytest.mark.heavy) for n in ("linf", "l2"))])
@pytest.mark.parametrize("grow", GROWN)
@pytest.mark.parametrize("one_hot", [2, 10], ids=["counters", "one by one"])
def test_it_is_as_near_as_the_nearest_of_all_cells(fitted: Any, norm: Norm, grow: str, one_hot: int) -> None:
    looked = 0
    for seed in range(3):
        model, own = fitted(drawn(seed), iterations=5, depth=3, grow_policy=grow, one_hot_max_size=one_hot)
        rows = drawn(seed + 100, 60).drop_columns(["y"])
        rows = rows.filter(pa.array(model.flagged(rows))).slice(0, 4)
        trees = model.trees()
        where = space(trees, rows) if not trees.levels else _space(model, rows)
        found = Whitebox(trees, where, norm, 0.5, model).run(search=1e7)
        there = np.flatnonzero(np.isfinite(found.distance))
        changed = where.moved(there, found.codes[there])
        assert (own.predict_proba(changed.to_pandas())[:, 1] < 0.5).all()
        for row in range(rows.num_rows):
            exact = brute(model, where, row, norm)
            assert found.distance[row] == pytest.approx(exact, rel=1e-5, abs=3e-7)
            assert found.bound[row] <= exact * (1 + 1e-9)
            looked += 1
    assert looked >= 8


def paired(seed: int, rows: int = 240) -> Any:
    """A number and two categories that only together tell the label."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.random(rows), 2).astype(np.float32).astype(float)
    c, d = rng.choice(list("abcde"), rows), rng.choice(list("uvw"), rows)
    y = (np.isin(c, ["a", "d"]) ^ (d == "u") ^ (x > 0.9)).astype(int)
    return pa.table({"x": x, "c": c, "d": d, "y": y})


@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_it_is_exact_where_counters_mix_two_categories(fitted: Any, norm: Norm) -> None:
    looked = mixed = 0
    for seed in range(4):
        model, own = fitted(paired(seed), iterations=12, depth=3, max_ctr_complexity=2, one_hot_max_size=2)
        mixed += sum(ctr.alone < 0 for ctr in model._model.ctrs)
        rows = paired(seed + 50, 60).drop_columns(["y"])
        rows = rows.filter(pa.array(model.flagged(rows))).slice(0, 6)
        where = _space(model, rows, paired(99))
        found = Whitebox(model.trees(), where, norm, 0.5, model).run(search=1e7)
        there = np.flatnonzero(np.isfinite(found.distance))
        changed = where.moved(there, found.codes[there]).to_pandas()
        assert (own.predict_proba(changed)[:, 1] < 0.5).all()
        for row in range(rows.num_rows):
            exact = brute(model, where, row, norm)
            assert found.distance[row] == pytest.approx(exact, rel=1e-5, abs=3e-7)
            assert found.bound[row] <= exact * (1 + 1e-9)
            looked += 1
    assert looked >= 12
    assert mixed >= 4


def _space(model: Any, rows: Any, whole: Any = None) -> Any:
    from assay.attacks.space import Space
    from assay.core.subject import Contract, Feature

    trees = model.trees()
    kinds = {name: "category" if name in trees.levels else "number" for name in trees.columns}
    contract = Contract(features={name: Feature() for name in trees.columns}, free=True)
    return Space(rows, contract, (drawn(99) if whole is None else whole).drop_columns(["y"]), kinds, trees.columns)


def test_every_row_of_the_whole_attack_passes_catboost_itself(fitted: Any) -> None:
    model, own = fitted(drawn(1), iterations=10, depth=4)
    rows = drawn(7, 80).drop_columns(["y"])
    flags = model.flagged(rows)
    caught, passing = rows.filter(pa.array(flags)).slice(0, 10), rows.filter(pa.array(~flags))
    found = attack_trees(model, _space(model, caught), passing, "linf", 0.3)
    verdicts = np.array(found.verdicts(0.3))
    assert {"evaded", "certified"} <= set(verdicts.tolist())
    assert (verdicts == "unknown").mean() <= 0.1
    changed = found.table.filter(pa.array(np.isfinite(found.distance))).to_pandas()
    assert (own.predict_proba(changed[["x", "z", "c"]])[:, 1] < 0.5).all()


def ensemble(veritas: Any, trees: Any) -> Any:
    """Our trees as Veritas's: a value below the next single after a border goes left."""
    out = veritas.AddTree(1, veritas.AddTreeType.REGR)
    out.set_base_score(0, trees.base)
    for root in trees.roots.tolist():
        tree, pending = out.add_tree(), [(root, 0)]
        while pending:
            here, there = pending.pop()
            if trees.feature[here] < 0:
                tree.set_leaf_value(there, 0, float(trees.value[here]))
                continue
            above = float(np.nextafter(np.float32(trees.threshold[here]), np.float32(np.inf)))
            tree.split(there, int(trees.feature[here]), above)
            pending += [(int(trees.left[here]), tree.left(there)), (int(trees.right[here]), tree.right(there))]
    return out


def test_veritas_finds_nothing_nearer(fitted: Any) -> None:
    veritas = pytest.importorskip("veritas", reason="dtai-veritas is not installed")
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    X = ((X - X.min(0)) / (X.max(0) - X.min(0))).astype(np.float32).astype(float)
    names = [f"x{j}" for j in range(X.shape[1])]
    whole = pa.table({**{n: X[:, j] for j, n in enumerate(names)}, "y": y})
    model, own = fitted(whole, iterations=30, depth=4)
    trees = model.trees()
    picked = np.flatnonzero(own.predict(X) == 1)[:8]
    where = space(trees, whole.take(pa.array(picked)).drop_columns(["y"]))
    found = Whitebox(trees, where, "linf", 0.5, model).run(search=1e7)
    theirs = ensemble(veritas, trees)
    assert np.allclose(theirs.eval(X[picked].astype(np.float32)).ravel(), trees.margins(X[picked]), atol=1e-5)
    for row, mine in zip(picked.tolist(), found.distance, strict=True):
        search = veritas.VeritasRobustnessSearch(
            X[row].astype(np.float32), 0.6, theirs, None, max_time=10, silent=True, num_steps=30
        )
        assert mine <= search.search()[2] * 1.002
    changed = where.moved(np.arange(len(picked)), found.codes)
    assert (own.predict_proba(changed.to_pandas())[:, 1] < 0.5).all()
