"""Trees of CatBoost models: written out as single nodes they answer as CatBoost does, or are refused."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import CouldNotLook
from assay.core.subject import Kind, Subject

pytest.importorskip("duckdb", reason="the ml extra is not installed")
pytest.importorskip("catboost", reason="catboost is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")

from catboost_tools import WORDS, agrees, beside, frame, label, odd, table, train  # noqa: E402

from assay.adapters.catboost import trees as catboost_trees  # noqa: E402
from assay.adapters.ensembles.trees import require_parity  # noqa: E402

GROWN = ["SymmetricTree", "Depthwise", "Lossguide"]
BINARY = ["Borders", "Buckets", "BinarizedTargetMeanValue", "Counter"]
NUMBER = ["Borders:TargetBorderCount=3", "Buckets:TargetBorderCount=4"]


@pytest.fixture
def data(dataset: Any) -> Any:
    text = frame().assign(y=label(), c=frame().c.replace("nan", None)).to_csv(index=False)
    return dataset(text, label="y")


@pytest.mark.parametrize("nan", ["Min", "Max"])
@pytest.mark.parametrize("grow", GROWN)
@pytest.mark.parametrize("name", ["m.cbm", "m.json"])
def test_they_answer_as_catboost_at_every_border(
    tmp_path: Path, predictor: Any, data: Any, name: str, grow: str, nan: str
) -> None:
    train(tmp_path / name, grow_policy=grow, nan_mode=nan, depth=4)
    trees = agrees(predictor(name, data), table())
    assert trees.columns == ("x", "w", "c", "d")
    assert trees.levels["d"] == (10, 20, 30)
    assert trees.single
    assert not trees.strict
    assert trees.categorical


@pytest.mark.parametrize("positive", [0, 1])
def test_either_class_can_be_the_positive_one(tmp_path: Path, predictor: Any, positive: int) -> None:
    train(tmp_path / "m.cbm")
    assert agrees(predictor("m.cbm", positive=positive), table()).link == "logistic"


@pytest.mark.parametrize("loss", ["RMSE", "MAE", "Quantile:alpha=0.7"])
def test_regressions(tmp_path: Path, predictor: Any, loss: str) -> None:
    train(tmp_path / "m.cbm", target=frame().x * 3 + 7, loss_function=loss)
    assert agrees(predictor("m.cbm"), table()).link == "identity"


def test_a_scale_and_a_bias(tmp_path: Path, predictor: Any) -> None:
    model = train(tmp_path / "m.cbm")
    model.set_scale_and_bias(-0.4, 0.3)
    for name in ("m.cbm", "m.json"):
        model.save_model(str(tmp_path / name), format=name[2:])
        assert agrees(predictor(name), table()).base == pytest.approx(0.3)


@pytest.mark.parametrize("grow", GROWN)
@pytest.mark.parametrize("kind", [*BINARY, *NUMBER])
def test_counters_of_one_category_are_sets_of_its_values(
    tmp_path: Path, predictor: Any, data: Any, kind: str, grow: str
) -> None:
    how = {"loss_function": "RMSE", "target": frame().x + (frame().d == 20) * 3} if kind in NUMBER else {}
    train(tmp_path / "m.cbm", simple_ctr=[kind], grow_policy=grow, one_hot_max_size=2, depth=4, **how)
    trees = agrees(predictor("m.cbm", data), table())
    assert trees.categorical <= {"c", "d"}
    assert len(trees.sets)


def test_counters_by_several_cuts_of_the_target(tmp_path: Path, predictor: Any, data: Any) -> None:
    """CatBoost's own JSON mixes these up; its binary files do not."""
    ctrs = ["Borders:TargetBorderCount=1", "Borders:TargetBorderCount=3"]
    target = frame().x + (frame().d == 20) * 3
    train(tmp_path / "m.cbm", target=target, loss_function="RMSE", one_hot_max_size=2, iterations=30, simple_ctr=ctrs)
    model = predictor("m.cbm", data)
    assert len({ctr.classes for ctr in model._model.ctrs}) == 2
    agrees(model, table())


def test_categories_compared_one_by_one(tmp_path: Path, predictor: Any, data: Any) -> None:
    train(tmp_path / "m.cbm", one_hot_max_size=50)
    model = predictor("m.cbm", data)
    assert not model._model.ctrs
    assert agrees(model, table()).categorical == {"c", "d"}


def test_a_category_that_the_data_lacks_is_known_all_the_same(tmp_path: Path, predictor: Any, dataset: Any) -> None:
    train(tmp_path / "m.cbm", one_hot_max_size=2)
    rows = "".join(f"{i / 5 - 1},{i},a,20,{i % 2}\n" for i in range(10))
    model = predictor("m.cbm", dataset("x,w,c,d,y\n" + rows, label="y"))
    trees = model.trees()
    assert trees.levels == {"c": ("a",), "d": (20,)}
    assert require_parity(trees, model, table()) < 1e-9
    assert require_parity(trees, model, odd(table())) < 1e-9


def both(path: Path, **parameters: Any) -> None:
    """Train on a label that only two categories together tell."""
    target = (frame().c.isin(["1", "3", "5", "bb"]) ^ (frame().d == 20)).astype(int)
    train(path, **{"target": target, "max_ctr_complexity": 3, "iterations": 30, "depth": 4, **parameters})


@pytest.mark.parametrize("kind", [*BINARY[:3], "Counter"])
@pytest.mark.parametrize("one_hot", [2, 3])
@pytest.mark.parametrize("name", ["m.cbm", "m.json"])
def test_counters_of_several_columns_are_splits_of_one_after_the_other(
    tmp_path: Path, predictor: Any, data: Any, kind: str, one_hot: int, name: str
) -> None:
    both(tmp_path / name, combinations_ctr=[kind], simple_ctr=["Borders"], one_hot_max_size=one_hot)
    model = predictor(name, data)
    trees = model.trees()
    assert any(ctr.alone < 0 for ctr in model._model.ctrs) or kind == "Counter"
    for rows in (table(), beside(trees, table())):
        assert require_parity(trees, model, rows) < 1e-9


def test_splits_that_mix_too_much_are_refused(
    tmp_path: Path, predictor: Any, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    both(tmp_path / "m.cbm")
    model = predictor("m.cbm", data)
    assert model.scores(data.table()).shape == (data.rows,)
    says = r"mixes several categories in one split; attack it with `access: score` or `access: label`"
    for limit in ("_MOST_MIXED", "_MOST_STEPS"):
        with monkeypatch.context() as tight:
            tight.setattr(catboost_trees, limit, 3)
            with pytest.raises(CouldNotLook, match=says):
                model.trees()


def test_a_category_of_which_nothing_can_be_told_is_refused(tmp_path: Path, predictor: Any, data: Any) -> None:
    """Counters of several columns do not say which categories of one they know."""
    both(tmp_path / "m.cbm")
    model = predictor("m.cbm", data)
    with pytest.raises(CouldNotLook, match="rows hold a category that the data lacks"):
        model.trees().read(odd(table()))


def test_an_objective_that_is_no_sum_is_refused(tmp_path: Path, predictor: Any) -> None:
    train(tmp_path / "m.cbm", loss_function="Focal:focal_alpha=0.5;focal_gamma=1.0")
    with pytest.raises(CouldNotLook, match="its objective 'Focal' is not one"):
        predictor("m.cbm").trees()


def test_trees_that_are_too_many_are_refused(tmp_path: Path, predictor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "m.cbm")
    monkeypatch.setattr(catboost_trees, "MOST_NODES", 20)
    with pytest.raises(CouldNotLook, match="more than 20 nodes when they are written out"):
        predictor("m.cbm").trees()


def test_branches_that_no_row_reaches_are_left_out(tmp_path: Path, predictor: Any) -> None:
    """Ten borders of one number are eleven leaves, not 1,024."""
    train(tmp_path / "m.cbm", words=False, depth=10, iterations=1, target=np.sin(frame().x * 5), loss_function="RMSE",
          ignored_features=[1])  # fmt: skip
    model = predictor("m.cbm")
    splits = model._model.trees[0].splits
    trees = agrees(model, table(False))
    assert len(splits) > 3
    assert (trees.feature < 0).sum() <= len(set(splits)) + 1


@functools.cache
def held(grow: str, nan: str) -> tuple[Any, Any]:
    """(the predictor, its trees) for properties."""
    from assay.adapters.catboost.predictor import CatboostPredictor

    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder) / "m.cbm", grow_policy=grow, nan_mode=nan, depth=5)
        content = (Path(folder) / "m.cbm").read_bytes()
    model = CatboostPredictor(content, Subject(name="m", kind=Kind.MODEL, uri="m", options={}))
    return model, model.trees()


@pytest.mark.parametrize(("grow", "nan"), [("SymmetricTree", "Min"), ("SymmetricTree", "Max"), ("Lossguide", "Max")])
@settings(max_examples=60, deadline=None)
@given(drawn=st.data())
def test_any_row_goes_the_same_way(grow: str, nan: str, drawn: Any) -> None:
    model, trees = held(grow, nan)
    borders = trees.threshold[(trees.feature >= 0) & (trees.set_of < 0)]
    value = st.floats(allow_nan=True) | st.sampled_from(sorted(set(borders.tolist())))
    row: dict[str, Any] = {}
    for name in ("x", "w"):
        found, step = drawn.draw(value), drawn.draw(st.integers(-2, 2))
        for _ in range(abs(step) if abs(found) < 1e30 else 0):
            found = float(np.nextafter(np.float32(found), np.float32(np.inf * step)))
        row[name] = pa.array([None if found != found else found], pa.float64())
    row["c"] = pa.array([drawn.draw(st.none() | st.sampled_from(WORDS) | st.text(max_size=90))], pa.string())
    row["d"] = pa.array([drawn.draw(st.none() | st.sampled_from([10, 20, 30]) | st.integers(-99, 99))], pa.int64())
    assert require_parity(trees, model, pa.table(row)) < 1e-9


def test_the_trees_are_those_that_catboost_holds(
    tmp_path: Path, predictor: Any, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever we read of the file: a row in a corner where two readers differ was certified."""
    train(tmp_path / "m.cbm")
    model = predictor("m.cbm", data)
    monkeypatch.setattr(model, "_booster", train(tmp_path / "other.cbm", iterations=3))
    assert len(agrees(model, table()).roots) == 3
