"""Models in skops, which `assay harden` writes: asked as they answer, and refused where a type is not known."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from assay.adapters import sandbox_kernel
from assay.core.errors import CouldNotLook

for _library in ("duckdb", "sklearn", "skops"):
    pytest.importorskip(_library, reason="the ml extra is not installed")

import numpy as np  # noqa: E402
import skops.io  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

pytestmark = pytest.mark.skipif(sandbox_kernel.landlock_abi() < 1, reason="this kernel has no Landlock")


@pytest.fixture
def data(dataset: Any) -> Any:
    rng = np.random.default_rng(3)
    rows = "".join(
        f"{a!r},{b},{int(a + b > 2)}\n" for a, b in zip(rng.normal(size=200).tolist(), range(200), strict=True)
    )
    return dataset("a,b,y\n" + rows, label="y", positive=1)


def fitted(data: Any, model: Any) -> tuple[Any, Any]:
    frame = data.table(("a", "b")).to_pandas()
    return model.fit(frame, data.target()), frame


@pytest.mark.parametrize(
    "model",
    [make_pipeline(StandardScaler(), LogisticRegression()), RandomForestClassifier(5, random_state=0)],
    ids=["pipeline", "forest"],
)
def test_it_scores_as_it_does_natively_and_its_trees_are_read(
    tmp_path: Path, data: Any, predictor: Any, model: Any
) -> None:
    model, frame = fitted(data, model)
    skops.io.dump(model, tmp_path / "m.skops")
    got = predictor("m.skops", data)
    np.testing.assert_array_equal(got.scores(data.table()), model.predict_proba(frame)[:, 1])
    assert (got.kind, got.isolation.full, got.features) == ("sandboxed", True, ("a", "b"))
    if isinstance(model, RandomForestClassifier):
        assert len(got.trees().roots) == 5


def edited(path: Path, out: Path, change: Any, more: dict[str, bytes] | None = None) -> None:
    """The file with its schema changed, and more members in it."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, json.dumps(change(json.loads(content))) if name == "schema.json" else content)
        for name, content in (more or {}).items():
            new.writestr(name, content)


def passed_off(schema: Any) -> Any:
    schema["content"]["content"]["steps"] = {
        "__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "__id__": 99,
        "content": {"module_path": "os", "function": "system"},
    }  # fmt: skip
    return schema


def stranger(schema: Any) -> Any:
    schema["__module__"], schema["__class__"] = "made.up", "Estimator"
    return schema


class Runs:
    def __reduce__(self) -> Any:
        return __import__("os").system, ("true",)


def test_what_is_not_known_as_safe_is_not_loaded(tmp_path: Path, data: Any, predictor: Any) -> None:
    model, _ = fitted(data, make_pipeline(StandardScaler(), LogisticRegression()))
    skops.io.dump(model, tmp_path / "m.skops")
    whole = (tmp_path / "m.skops").read_bytes()
    edited(tmp_path / "m.skops", tmp_path / "system.skops", passed_off)
    edited(tmp_path / "m.skops", tmp_path / "stranger.skops", stranger)
    edited(tmp_path / "m.skops", tmp_path / "inside.skops", lambda s: s, {"x.pkl": pickle.dumps(Runs())})
    (tmp_path / "torn.skops").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.skops").write_bytes(b"")
    (tmp_path / "text.skops").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "other.skops", "w") as other:
        other.writestr("a.txt", "no schema")
    (tmp_path / "pickle.skops").write_bytes(pickle.dumps(Runs()))
    for name, says in {
        "system": "refused to load: .*os.system",
        "stranger": "refused to load: it needs made.up.Estimator, not known to be safe; `allow:`",
        "inside": "refused to load: .*system",
        "torn": "refused to load",
        "empty": "empty",
        "text": "refused to load",
        "other": "refused to load: it is no skops file",
        "pickle": "refused to load",
    }.items():
        with pytest.raises(Exception, match=says) as told:
            predictor(f"{name}.skops", data)
        assert isinstance(told.value, CouldNotLook) or name == "empty", (name, told.value)
        assert "\n" not in str(told.value)
    with pytest.raises(CouldNotLook, match="allow_until 2020-01-01 has passed"):
        predictor("stranger.skops", data, allow=["made.up.Estimator"], allow_until="2020-01-01")
