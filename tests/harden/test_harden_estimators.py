"""Estimators to skops and ONNX: the same answers, asked of the sandboxed original, or nothing is written."""

from __future__ import annotations

import importlib
import io
import json
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from assay.adapters import sandbox_estimator, sandbox_kernel
from assay.adapters.sandbox import ModelFacts, _as_stream
from assay.core.errors import CouldNotLook, InputError, UsageError, VerificationError
from assay.core.subject import Kind, Subject
from assay.flow.harden import Asked, Rows, harden
from assay.harden.rows import _difference, generated, require_answer

for name in ("duckdb", "sklearn", "skl2onnx", "onnxruntime", "lightgbm", "pandas"):
    pytest.importorskip(name, reason="the ml extra is not installed")
skops_io = pytest.importorskip("skops.io", reason="skops is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")
joblib = pytest.importorskip("joblib", reason="the ml extra is not installed")
pytestmark = pytest.mark.skipif(sandbox_kernel.landlock_abi() < 1, reason="this kernel has no Landlock")

X = np.random.default_rng(0).normal(size=(200, 3))
Y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two columns of numbers, one of texts, and the label."""
    words = np.where(X[:, 2] > 0, "red", "blue")
    rows = [f"{a!r},{b!r},{w},{'bad' if y else 'good'}" for (a, b, _), w, y in zip(X.tolist(), words, Y, strict=True)]
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,y\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """X and Y as a table."""
    path = tmp_path / "n.csv"
    lines = [",".join(map(repr, (*x, int(y)))) for x, y in zip(X.tolist(), Y, strict=True)]
    path.write_text("x0,x1,x2,y\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with a class of its own, which needs no library, so that its sandbox starts at once."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "ours.py").write_text(
        "class Rule:\n    n_features_in_ = 3\n    def predict(self, rows):\n        return rows[:, 0] > 0\n"
    )
    return tmp_path / "code"


def pipeline(table: Path, last: Any = None) -> tuple[Any, Any]:
    """(a pipeline with a text column fitted on the table, the table's inputs)."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.read_csv(table)
    first = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["c"])], remainder="passthrough")
    return make_pipeline(first, LogisticRegression() if last is None else last).fit(
        frame[["a", "b", "c"]], frame["y"]
    ), frame[["a", "b", "c"]]


def saved(tmp_path: Path, model: Any, name: str = "m.joblib") -> Path:
    joblib.dump(model, tmp_path / name)
    return tmp_path / name


def test_a_forest_behind_texts_to_skops(tmp_path: Path, table: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    model, frame = pipeline(table, RandomForestClassifier(2, max_depth=3, random_state=0))
    path = saved(tmp_path, model, "m.joblib.gz")
    done = harden(path, Asked(rows=Rows(path=table, label="y")))
    assert done.result.path == str(tmp_path / "m.skops")
    proof = done.made.proof
    assert (proof.kind, proof.rows, proof.generated, proof.max_difference) == ("answers", 200, False, 0.0)
    assert proof.methods == ("predict_proba", "predict")
    assert done.made.trusted == ("sklearn.tree._tree.Tree",)
    again = skops_io.load(tmp_path / "m.skops", trusted=list(done.made.trusted))
    np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))


def test_a_model_that_answers_no_generated_row_asks_for_real_ones() -> None:
    class Silent:
        def answers(self, rows: Any, method: str) -> Any:
            raise CouldNotLook(f"m.pkl: failed while predicting by {method}")

    facts = ModelFacts(type="Pipeline", methods=("predict",), answers=("predict_proba", "predict"), width=2)
    rows = generated("m.pkl", facts)
    assert (rows.num_rows, rows.num_columns) == (801, 2)
    with pytest.raises(CouldNotLook, match=r"predict_proba; nothing could be compared: give --rows"):
        require_answer(Silent(), facts, rows, "m.pkl")  # type: ignore[arg-type]
    with pytest.raises(CouldNotLook, match=r"how many inputs it takes; give --rows"):
        generated("m.pkl", ModelFacts(type="Pipeline", methods=("predict",)))


def test_what_has_no_predictor_keeps_its_state(tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of libraries' classes, and of one that is allowed and comes from its folder."""
    from sklearn.cluster import DBSCAN
    from sklearn.feature_extraction.text import TfidfVectorizer

    monkeypatch.syspath_prepend(str(code))
    ours = importlib.import_module("ours")
    texts = TfidfVectorizer().fit(["a cat sat", "dogs ran", "a dog"])
    path = saved(tmp_path, {"texts": texts, "groups": DBSCAN().fit(X), "rule": ours.Rule()})
    done = harden(path, Asked(allow=("ours.Rule",), modules=code))
    assert (done.made.proof.kind, done.made.trusted) == ("state", ("ours.Rule",))
    assert done.made.proof.nodes > 50
    again = skops_io.load(tmp_path / "m.skops", trusted=list(done.made.trusted))
    assert (again["texts"].transform(["a cat ran"]) != texts.transform(["a cat ran"])).nnz == 0
    assert type(again["rule"]) is ours.Rule
    sys.modules.pop("ours")


def _of_texts() -> tuple[Any, list[str]]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts = ["a cat sat", "dogs ran far", "a dog barks", "the cat ran"]
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [0, 1, 1, 0]), texts


def test_a_column_of_texts_is_given_as_texts() -> None:
    """In this process: what the sandbox's child does with one column of texts."""
    import pyarrow as pa

    model, texts = _of_texts()
    rows = pa.table({"text": texts}).replace_schema_metadata({b"assay": b'{"method": "predict_proba"}'})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    answer = sandbox_estimator.answers(sandbox_estimator.Model(model, {"features": None}), sink.getvalue().to_pybytes())
    assert answer == b"f" + model.predict_proba(texts).astype("<f8").tobytes()


@pytest.mark.heavy
def test_texts_are_rows_too(tmp_path: Path) -> None:
    model, texts = _of_texts()
    path = saved(tmp_path, model)
    (tmp_path / "t.csv").write_text("text,y\n" + "\n".join(f"{t},1" for t in texts) + "\n")
    done = harden(path, Asked(rows=Rows(path=tmp_path / "t.csv", label="y")))
    assert (done.made.proof.kind, done.made.proof.rows) == ("answers", 4)


def test_to_onnx(tmp_path: Path, table: Path) -> None:
    import pyarrow as pa
    from sklearn.ensemble import RandomForestClassifier

    from assay.adapters.predictors import open_predictor

    model, frame = pipeline(table, RandomForestClassifier(2, max_depth=3, random_state=0))
    path = saved(tmp_path, model)
    done = harden(path, Asked(to="onnx", rows=Rows(path=table, label="y"), threshold=0.45, positive="bad"))
    proof = done.made.proof
    assert (proof.kind, proof.rows, proof.flips, proof.threshold) == ("scores", 600, 0, 0.45)
    assert proof.max_difference is not None
    assert proof.max_difference <= 1e-5
    with open_predictor(Subject(name="m", kind=Kind.MODEL, uri="m.onnx"), tmp_path) as got:
        scores = got.scores(pa.Table.from_pandas(frame))
    np.testing.assert_allclose(scores, model.predict_proba(frame)[:, 0], atol=1e-5)


def test_lightgbm_to_onnx(tmp_path: Path, numbers: Path) -> None:
    import lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1).fit(X, Y)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    done = harden(tmp_path / "m.pkl", Asked(to="onnx", rows=Rows(path=numbers, label="y")))
    assert (done.made.proof.kind, done.made.proof.flips) == ("scores", 0)
    assert (tmp_path / "m.onnx").stat().st_size == done.result.size


class _Here:
    """The original in this process, asked as its sandbox is: `far` is added to its scores."""

    far = 0.0

    def __init__(self, model: Any) -> None:
        methods = tuple(m for m in sandbox_estimator.METHODS[:3] if hasattr(model, m))
        kind = type(model)
        self.facts = ModelFacts(
            type=kind.__name__, module=kind.__module__, methods=methods, answers=methods, classes=(0, 1), width=3
        )
        self.model = sandbox_estimator.Model(model, {"features": None, "classes": [0, 1]})

    def stream(self, _: bytes, payload: bytes, *__: Any) -> Any:
        return sandbox_estimator.kept(self.model, json.loads(payload))

    def answers(self, rows: Any, method: str) -> Any:
        found = sandbox_estimator.answers(self.model, bytes(_as_stream(rows, {"method": method})))
        return np.frombuffer(found, "<f8", offset=1)

    def scores(self, rows: Any, method: str, positive: int) -> Any:
        asked = _as_stream(rows, {"method": method, "positive": positive})
        return np.frombuffer(sandbox_estimator.score(self.model, bytes(asked)), "<f8") + self.far


class _Known:
    where, allow = "m.pkl", frozenset({"ours.Rule"})


def test_a_conversion_that_differs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression

    from assay.harden import estimators

    here = _Here(LogisticRegression().fit(X, Y))

    def write() -> Any:
        with (tmp_path / "draft").open("wb") as draft:
            return estimators.write_skops(_Known(), here, here.facts, draft, None)  # type: ignore[arg-type]

    proof = write().proof
    assert (proof.kind, proof.rows, proof.generated, proof.max_difference) == ("answers", 801, True, 0.0)
    assert proof.methods == ("predict_proba", "decision_function", "predict")
    other = skops_io.dumps(LogisticRegression(C=0.01).fit(X, Y))
    monkeypatch.setattr(estimators, "_kept", lambda _, out: out.write(other) and out.flush())
    with pytest.raises(VerificationError, match=r"answers \d+ times otherwise over 801 rows, by up to"):
        write()


def test_an_onnx_that_differs_is_refused(tmp_path: Path, numbers: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    from assay.adapters.tables import open_dataset
    from assay.harden.graphs import write_onnx

    here = _Here(LogisticRegression().fit(X, Y))
    data = open_dataset(Subject(name="n", kind=Kind.DATASET, uri=str(numbers), options={"label": "y"}), Path())
    names = ("x0", "x1", "x2")
    with (tmp_path / "draft").open("wb") as draft:
        made = write_onnx(_Known(), here, here.facts, draft, data, names)  # type: ignore[arg-type]
        assert (made.proof.kind, made.proof.flips) == ("scores", 0)
        size, here.far = draft.tell(), 0.01
        with pytest.raises(VerificationError, match=r"refused: the conversion differs by up to 0\.01 and flips \d+ of"):
            write_onnx(_Known(), here, here.facts, draft, data, names)  # type: ignore[arg-type]
        assert draft.tell() == size
    data.close()


def test_a_result_that_names_code_is_refused(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    from assay.harden.estimators import _scanned

    honest = skops_io.dumps(LogisticRegression().fit(X, Y))

    def scanned(old: str, new: str) -> None:
        with (tmp_path / "draft").open("wb") as draft:
            with zipfile.ZipFile(io.BytesIO(honest)) as source, zipfile.ZipFile(draft, "w") as target:
                for item in source.namelist():
                    data = source.read(item)
                    assert item != "schema.json" or old.encode() in data
                    target.writestr(item, data.replace(old.encode(), new.encode()) if item == "schema.json" else data)
            draft.flush()
            _scanned(_Known(), draft)  # type: ignore[arg-type]

    module = "sklearn.linear_model._logistic"
    scanned(module, module)
    with pytest.raises(VerificationError, match="refused: the result has its loader import os"):
        scanned(module, "os")
    (tmp_path / "draft").write_bytes(b"no zip")
    with (tmp_path / "draft").open("rb") as draft, pytest.raises(VerificationError, match="is no skops file"):
        _scanned(_Known(), draft)  # type: ignore[arg-type]


def test_types_that_no_list_knows_are_refused() -> None:
    from assay.harden.estimators import _trusted

    fine = ("sklearn.tree._tree.Tree", "ours.Rule")
    assert _trusted(_Known(), fine) == fine  # type: ignore[arg-type]
    for name in ("strangers.Rule", "os.system", "system", ""):
        with pytest.raises(VerificationError, match="which is not known to be safe"):
            _trusted(_Known(), (name,))  # type: ignore[arg-type]


def test_bad_requests(tmp_path: Path, numbers: Path, code: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    rule = tmp_path / "m.pkl"
    rule.write_bytes(b"\x80\x02cours\nRule\n)\x81.")
    path = saved(tmp_path, LogisticRegression().fit(X, Y))
    rows = Rows(path=numbers, label="y")
    ours = {"allow": ("ours.Rule",), "modules": code}
    cases: list[tuple[Path, Asked, type[Exception], str]] = [
        (path, Asked(to="onnx"), UsageError, "needs --rows"),
        (path, Asked(to="safetensors", rows=rows), UsageError, "--rows is for estimators"),
        (path, Asked(tensors_only=True), UsageError, "--tensors-only is for"),
        (path, Asked(to="safetensors"), InputError, r"is a sklearn\.linear_model\._logistic\.LogisticRegression"),
        (rule, Asked(rows=Rows(path=numbers), **ours), InputError, r"takes 3 inputs, .* has 4 .*--label and --drop"),
        (rule, Asked(rows=Rows(path=numbers, label="q"), **ours), InputError, "no column 'q'"),
        (rule, Asked(to="onnx", rows=rows, **ours), InputError, "no predict_proba"),
        (rule, Asked(to="skops"), VerificationError, r"ours\.Rule at byte 2 is unknown"),
    ]
    for place, asked, kind, says in cases:
        with pytest.raises(kind, match=says) as error:
            harden(place, asked)
        assert "\n" not in str(error.value)
    assert {p.suffix for p in tmp_path.iterdir() if p.is_file()} == {".joblib", ".csv", ".pkl"}


def test_how_answers_differ() -> None:
    same = np.array([1.0, np.nan, -0.0])
    assert _difference(same, same.copy(), 3) == (0.0, 0)
    assert _difference(np.array([0.0, 1.0]), np.array([0.0, 1.5]), 2) == (0.5, 1)
    assert _difference(np.array([np.nan, 1.0]), np.array([2.0, 1.0]), 2) == (float("inf"), 1)
    assert _difference(np.zeros(4), np.zeros(2), 2) == (float("inf"), 2)
    assert _difference(["a", "b"], ["a", "c"], 2) == (float("inf"), 1)
    assert _difference(["a"], np.zeros(1), 1) == (float("inf"), 1)
