"""Training again by a model's own recipe gives the model that the library itself would train."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from assay.adapters import sandbox_kernel
from assay.adapters.refit import class_places, recipe_of, stand_in
from assay.core.errors import CouldNotLook
from assay.core.subject import Kind, Subject

pytest.importorskip("duckdb", reason="the ml extra is not installed")
pytest.importorskip("sklearn", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")
lgb = pytest.importorskip("lightgbm", reason="the ml extra is not installed")

isolated = pytest.mark.skipif(sandbox_kernel.landlock_abi() < 1, reason="this kernel has no Landlock")
PARAMETERS = {"objective": "binary", "num_leaves": 5, "learning_rate": 0.3, "min_data_in_leaf": 7, "verbose": -1}
FIXED = {"deterministic": True, "force_row_wise": True, "num_threads": 1}


def subject(name: str, **options: Any) -> Subject:
    return Subject(name="m", kind=Kind.MODEL, uri=name, options=options)


@pytest.fixture
def data(dataset: Any) -> Any:
    rng = np.random.default_rng(3)
    rows = zip(rng.normal(size=300).tolist(), rng.integers(0, 5, 300).tolist(), strict=True)
    text = "".join(f"{a!r},{b},{'red' if b > 2 else 'blue'},{int(a + b > 2)}\n" for a, b in rows)
    return dataset("a,b,c,y\n" + text, label="y", positive=1)


def matrix(data: Any) -> Any:
    return np.column_stack([data.table((n,)).column(0).to_numpy() for n in ("a", "b")]).astype(float)


@pytest.fixture
def booster(tmp_path: Path, data: Any) -> Any:
    made = lgb.train(
        {**PARAMETERS, **FIXED}, lgb.Dataset(matrix(data), label=data.target(), feature_name=["a", "b"]), 12
    )
    made.save_model(tmp_path / "m.txt")
    return made


def test_a_booster_trained_on_its_rows_again_is_itself(tmp_path: Path, data: Any, booster: Any, predictor: Any) -> None:
    model = predictor("m.txt", data, threshold=0.4)
    recipe = recipe_of(model, subject("m.txt"), tmp_path)
    again = recipe.train(data.table(), class_places(model, subject("m.txt"), data))
    np.testing.assert_allclose(again.scores(data.table()), booster.predict(matrix(data)), atol=1e-12)
    assert (again.features, again.classes, again.threshold, again.queries) == (model.features, (0, 1), 0.4, 300)
    assert model.queries == 0
    other = recipe.train(data.table(), class_places(model, subject("m.txt"), data), changes={"num_leaves": 2})
    assert not np.allclose(other.scores(data.table()), again.scores(data.table()))
    again.close()
    assert model.scores(data.table()).shape == (300,)


def test_a_file_may_not_name_files_machines_or_devices(tmp_path: Path, data: Any, booster: Any, predictor: Any) -> None:
    path = tmp_path / "m.txt"
    text = path.read_text()
    for name, value in (("forcedsplits_filename", "/etc/passwd"), ("machines", "10.0.0.1:1"), ("device_type", "gpu")):
        text = "\n".join(f"[{name}: {value}]" if line.startswith(f"[{name}:") else line for line in text.split("\n"))
    path.write_text(text)
    model = predictor("m.txt", data)
    again = recipe_of(model, subject("m.txt"), tmp_path).train(data.table(), data.target().astype(int))
    np.testing.assert_allclose(again.scores(data.table()), booster.predict(matrix(data)), atol=1e-12)


def test_native_categories_are_trained_as_categories(tmp_path: Path, data: Any, predictor: Any) -> None:
    frame = data.table(("a", "c")).to_pandas()
    frame["c"] = frame["c"].astype("category")
    made = lgb.train({**PARAMETERS, **FIXED, "min_data_per_group": 1}, lgb.Dataset(frame, label=data.target()), 8)
    made.save_model(tmp_path / "c.txt")
    model = predictor("c.txt", data)
    again = recipe_of(model, subject("c.txt"), tmp_path).train(data.table(), data.target().astype(int))
    np.testing.assert_allclose(again.scores(data.table()), made.predict(frame), atol=1e-12)


@isolated
def test_a_pickle_is_cloned_and_trained_inside_its_sandbox(tmp_path: Path, data: Any, predictor: Any) -> None:
    from sklearn.base import clone
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame, label = data.table(("c", "a", "b")).to_pandas(), np.where(data.target(), "bad", "good")
    encoder = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["c"])], remainder="passthrough")
    made = make_pipeline(encoder, RandomForestClassifier(8, random_state=1)).fit(frame, label)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(made))
    about = subject("m.pkl", positive="bad")
    model = predictor("m.pkl", data, positive="bad")
    recipe, places = recipe_of(model, about, tmp_path), class_places(model, about, data)
    half = np.arange(0, 300, 2)
    again = recipe.train(data.table().take(half), places[half], seed=5)
    other = recipe.train(data.table(), places, changes={"max_depth": 1}, seed=5)
    expected = clone(made).set_params(randomforestclassifier__random_state=5)
    np.testing.assert_array_equal(
        again.scores(data.table()), expected.fit(frame.iloc[half], label[half]).predict_proba(frame)[:, 0]
    )
    expected.set_params(randomforestclassifier__max_depth=1).fit(frame, label)
    np.testing.assert_array_equal(other.scores(data.table()), expected.predict_proba(frame)[:, 0])
    np.testing.assert_array_equal(model.scores(data.table()), made.predict_proba(frame)[:, 0])
    again.close()
    with pytest.raises(CouldNotLook, match="failed while predicting: KeyError"):
        again.scores(data.table())
    assert other.scores(data.table()).shape == (300,)


@isolated
def test_what_cannot_be_trained_again_says_so(tmp_path: Path, data: Any, predictor: Any) -> None:
    from sklearn.tree import DecisionTreeClassifier

    made = DecisionTreeClassifier().fit(matrix(data), data.target())
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(made))
    model = predictor("m.pkl", data, inputs=["a", "b"])
    recipe = recipe_of(model, subject("m.pkl"), tmp_path)
    with pytest.raises(CouldNotLook, match="do not hold all classes"):
        recipe.train(data.table(), np.zeros(300, dtype=int))
    with pytest.raises(CouldNotLook, match="failed while training again: ValueError: 0 parameters"):
        recipe.train(data.table(), data.target().astype(int), changes={"no_such": 1})
    model.close()
    with pytest.raises(CouldNotLook, match="sandbox is closed"):
        recipe.train(data.table(), data.target().astype(int))


def test_a_graph_has_no_recipe_but_a_stand_in(tmp_path: Path, data: Any, predictor: Any) -> None:
    onnx = pytest.importorskip("skl2onnx")
    from sklearn.linear_model import LogisticRegression

    made = LogisticRegression().fit(matrix(data), data.target().astype(int))
    graph = onnx.to_onnx(made, matrix(data)[:1].astype(np.float32), options={"zipmap": False})
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    model = predictor("m.onnx", data, inputs=["a", "b"])
    about = subject("m.onnx", inputs=["a", "b"])
    with pytest.raises(CouldNotLook, match="does not say how to train it again"):
        recipe_of(model, about, tmp_path)
    recipe = stand_in(model, about, data)
    again = recipe.train(data.table(), class_places(model, about, data))
    assert not recipe.own
    assert "stand-in" in recipe.said
    assert float(np.mean((again.scores(data.table()) >= 0.5) == data.target())) > 0.9


def test_more_than_two_classes(tmp_path: Path, dataset: Any, predictor: Any) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(300, 2))
    label = np.digitize(x[:, 0], [-0.5, 0.5])
    rows = "".join(f"{a!r},{b!r},{y}\n" for (a, b), y in zip(x.tolist(), label.tolist(), strict=True))
    data = dataset("a,b,y\n" + rows, label="y", positive=2)
    how = {**PARAMETERS, **FIXED, "objective": "multiclass", "num_class": 3}
    made = lgb.train(how, lgb.Dataset(x, label=label, feature_name=["a", "b"]), 4)
    made.save_model(tmp_path / "m.txt")
    model, about = predictor("m.txt", data), subject("m.txt")
    again = recipe_of(model, about, tmp_path).train(data.table(), class_places(model, about, data))
    np.testing.assert_allclose(again.scores(data.table()), made.predict(x)[:, 2], atol=1e-12)
    other = dataset("a,b,y\n1,2,2\n3,4,7\n5,6,1\n", name="o.csv", label="y", positive=2)
    with pytest.raises(CouldNotLook, match=r"1 of its labels are no class of m\.txt"):
        class_places(model, about, other)
