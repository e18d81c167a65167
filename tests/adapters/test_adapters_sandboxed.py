"""Pickled scikit-learn models: scanned, loaded in the sandbox, and scored exactly as scikit-learn scores them."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assay.adapters import sandbox_kernel
from assay.core.errors import CouldNotLook, InputError
from assay.core.subject import Kind, Subject

pytest.importorskip("duckdb", reason="the ml extra is not installed")
pytest.importorskip("sklearn", reason="the ml extra is not installed")
pd = pytest.importorskip("pandas", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")
joblib = pytest.importorskip("joblib", reason="the ml extra is not installed")

isolated = pytest.mark.skipif(sandbox_kernel.landlock_abi() < 1, reason="this kernel has no Landlock")


class Stranger:
    """Not known to any scan."""


@pytest.fixture
def data(dataset: Any) -> Any:
    rng = np.random.default_rng(3)
    pairs = [(a, i % 5) for i, a in enumerate(rng.normal(size=200).tolist())]
    rows = "".join(f"{a!r},{b},{'red' if b > 2 else 'blue'},{int(a + b > 2)}\n" for a, b in pairs)
    return dataset("a,b,c,y\n" + rows, label="y", positive=1)


def numeric(data: Any) -> Any:
    return np.column_stack([data.table(("a",)).column(0).to_numpy(), data.table(("b",)).column(0).to_numpy()])


@isolated
@pytest.mark.parametrize(
    ("suffix", "compress"), [("pkl", None), pytest.param("joblib", 0, marks=pytest.mark.heavy), ("joblib", 3)]
)
def test_matrix_models_score_as_they_do_natively(
    tmp_path: Path, data: Any, predictor: Any, suffix: str, compress: Any
) -> None:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(numeric(data), data.target())
    path = tmp_path / f"m.{suffix}"
    if compress is None:
        path.write_bytes(pickle.dumps(model))
    else:
        joblib.dump(model, path, compress=compress)
    got = predictor(path.name, data, inputs=["a", "b"], threshold=0.4)
    expected = model.predict_proba(numeric(data))[:, 1]
    np.testing.assert_array_equal(got.scores(data.table()), expected)
    assert got.isolation.full
    assert got.classes == (False, True)
    assert (got.access, got.threshold, got.queries, got.kind) == ("score", 0.4, 200, "sandboxed")
    np.testing.assert_array_equal(got.flagged(data.table()), expected >= 0.4)


@isolated
def test_models_fitted_on_frames_get_frames(tmp_path: Path, data: Any, predictor: Any) -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = data.table(("c", "a", "b")).to_pandas()
    encoder = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["c"])], remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(frame, np.where(data.target(), "bad", "good"))
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    got = predictor("m.pkl", data, positive="bad")
    assert got.features == ("c", "a", "b")
    assert got.classes == ("bad", "good")
    np.testing.assert_array_equal(got.scores(data.table()), model.predict_proba(frame)[:, 0])
    with pytest.raises(CouldNotLook, match=r"none of its 2 classes \(text\)"):
        predictor("m.pkl", data, positive="worse")


PANDAS = ["words", "numbers", "codes", "numbers as words"]


@isolated
@pytest.mark.parametrize(
    ("library", "kind"),
    [
        pytest.param(a, k, marks=pytest.mark.heavy if a == "xgboost" and k.startswith("numbers") else ())
        for a in ("lightgbm", "xgboost")
        for k in PANDAS
    ],
)
def test_boosters_that_know_categories_of_pandas_score_as_natively_or_say_so(
    tmp_path: Path, dataset: Any, predictor: Any, library: str, kind: str
) -> None:
    made = pytest.importorskip(library)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300).round(3), "k": rng.integers(3, 8, 300)})
    if kind == "words":
        frame["k"] = frame.k.map(lambda n: f"w{n}")
    y = ((frame.a + (frame.k.astype(str).str[-1] == "5")) > 0.4).astype(int)
    held = dataset(frame.assign(y=y).to_csv(index=False), label="y", positive=1)
    known, codes = frame, {}
    if kind == "codes":
        codes = {"feature_types": ["q", "c"]} if library == "xgboost" else {}
    else:
        known = frame.assign(k=(frame.k.astype(str) if kind == "numbers as words" else frame.k).astype("category"))
    model = (
        made.LGBMClassifier(n_estimators=8, verbose=-1, n_jobs=1).fit(
            known, y, categorical_feature=["k"] if kind == "codes" else "auto"
        )
        if library == "lightgbm"
        else made.XGBClassifier(n_estimators=8, enable_categorical=True, n_jobs=1, **codes).fit(known, y)
    )
    joblib.dump(model, tmp_path / "m.joblib")
    got, expected = predictor("m.joblib", held), model.predict_proba(known)[:, 1]
    for rows in (slice(0, 300), slice(4, 7), slice(9, 10)):
        asked = held.table().slice(rows.start, rows.stop - rows.start)
        if kind == "numbers as words" or (library, kind) == ("lightgbm", "numbers"):
            with pytest.raises(CouldNotLook, match="failed while predicting"):
                got.scores(asked)
        else:
            np.testing.assert_allclose(got.scores(asked), expected[rows], rtol=1e-6)


@isolated
def test_margins_and_regressors(tmp_path: Path, data: Any, predictor: Any) -> None:
    from sklearn.linear_model import LinearRegression
    from sklearn.svm import LinearSVC

    x, y = numeric(data), data.target().astype(int)
    margin = LinearSVC().fit(x, y)
    (tmp_path / "svc.pkl").write_bytes(pickle.dumps(margin))
    got = predictor("svc.pkl", data, inputs=["a", "b"])
    np.testing.assert_array_equal(got.scores(data.table()), margin.decision_function(x))
    assert got.threshold == 0.0
    regressor = LinearRegression().fit(x, y)
    (tmp_path / "r.pkl").write_bytes(pickle.dumps(regressor))
    got = predictor("r.pkl", data, inputs=["a", "b"])
    np.testing.assert_array_equal(got.scores(data.table()), regressor.predict(x))
    assert got.access == "score"


@isolated
def test_inputs_that_do_not_fit_are_named(tmp_path: Path, data: Any, dataset: Any, predictor: Any) -> None:
    from sklearn.tree import DecisionTreeClassifier

    frame = data.table(("a", "b")).to_pandas()
    (tmp_path / "named.pkl").write_bytes(pickle.dumps(DecisionTreeClassifier().fit(frame, data.target())))
    # A class that needs no library, so that its sandbox starts at once.
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "ours.py").write_text(
        "class Rule:\n    n_features_in_ = 2\n    def predict(self, x):\n        return (x[:, 0] > 0).astype(int)\n"
    )
    (tmp_path / "bare.pkl").write_bytes(b"\x80\x02cours\nRule\n)\x81.")
    until = (datetime.now(UTC).date() + timedelta(days=2)).isoformat()
    ours = {"modules": "code", "allow": ["ours.Rule"], "allow_until": until}
    other = dataset("a,income\n1,2\n3,4\n", name="o.csv")
    with pytest.raises(CouldNotLook, match=r"reads b, which o\.csv lacks; the data has income instead"):
        predictor("named.pkl", other)
    with pytest.raises(CouldNotLook, match=r"takes 2 inputs, t\.csv has 3 \(a, b, c\)"):
        predictor("bare.pkl", data, **ours)
    with pytest.raises(CouldNotLook, match="wants numbers, but c holds text"):
        predictor("bare.pkl", data, inputs=["a", "c"], **ours).scores(data.table())
    with pytest.raises(CouldNotLook, match="does not say which columns"):
        predictor("bare.pkl", **ours)
    (tmp_path / "dict.pkl").write_bytes(pickle.dumps({"model": 1}))
    with pytest.raises(CouldNotLook, match="holds a dict, which cannot predict"):
        predictor("dict.pkl", data)
    single = DecisionTreeClassifier().fit(numeric(data), np.zeros(200))
    (tmp_path / "single.pkl").write_bytes(pickle.dumps(single))
    with pytest.raises(CouldNotLook, match=r"knows 1 class \(0.0\) only"):
        predictor("single.pkl", data, inputs=["a", "b"])


@isolated
def test_messages_of_a_failed_prediction_hold_no_values(tmp_path: Path, data: Any, predictor: Any) -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = data.table(("c",)).to_pandas()
    model = make_pipeline(ColumnTransformer([("c", OneHotEncoder(), ["c"])]), LogisticRegression())
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model.fit(frame, data.target())))
    got = predictor("m.pkl", data)
    with pytest.raises(CouldNotLook, match="failed while predicting: ValueError") as error:
        got.scores(pa.table({"c": ["Smith, Jane"]}))
    assert "Smith" not in str(error.value)
    assert got.scores(data.table()).shape == (200,)


def test_a_pickle_with_code_is_refused_and_never_run(tmp_path: Path, data: Any, predictor: Any) -> None:
    marker = tmp_path / "ran"
    payload = f"cos\nsystem\n(S'touch {marker}'\ntR.".encode()
    for name in ("m.pkl", "m.joblib", "m.sav"):
        (tmp_path / name).write_bytes(payload)
        with pytest.raises(CouldNotLook, match=r"refused to load: .*system") as error:
            predictor(name, data)
        assert "\n" not in str(error.value)
    (tmp_path / "torn.pkl").write_bytes(pickle.dumps({"a": [1.5] * 100})[:-40])
    with pytest.raises(CouldNotLook, match="refused to load"):
        predictor("torn.pkl", data)
    (tmp_path / "words.pkl").write_bytes(b"hello, these are words")
    with pytest.raises(CouldNotLook, match="refused to load"):
        predictor("words.pkl", data)
    assert not marker.exists()


@isolated
def test_allowed_names_count_until_they_expire(tmp_path: Path, data: Any, predictor: Any) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "ours.py").write_text(
        "class Rule:\n    classes_ = [0, 1]\n    n_features_in_ = 1\n"
        "    def predict(self, x):\n        return (x[:, 0] > 0).astype(int)\n"
    )
    (tmp_path / "m.pkl").write_bytes(b"\x80\x02cours\nRule\n)\x81.")
    tomorrow = (datetime.now(UTC).date() + timedelta(days=2)).isoformat()
    with pytest.raises(CouldNotLook, match=r"refused to load: ours\.Rule"):
        predictor("m.pkl", data, inputs=["a"], modules="code")
    got = predictor("m.pkl", data, inputs=["a"], modules="code", allow=["ours.Rule"], allow_until=tomorrow)
    assert got.access == "label"
    np.testing.assert_array_equal(got.scores(data.table()), (data.table(("a",)).column(0).to_numpy() > 0).astype(float))
    with pytest.raises(CouldNotLook, match=r"refused to load: ours.Rule.*allow_until 2020-01-01 has passed"):
        predictor("m.pkl", data, inputs=["a"], modules="code", allow=["ours.Rule"], allow_until="2020-01-01")
    with pytest.raises(CouldNotLook, match="`allow` needs `allow_until:`"):
        predictor("m.pkl", data, inputs=["a"], allow=["ours.Rule"])
    with pytest.raises(CouldNotLook, match="No module named"):
        predictor("m.pkl", data, inputs=["a"], allow=["ours.Rule"], allow_until=tomorrow)
    with pytest.raises(CouldNotLook, match="not a folder"):
        predictor("m.pkl", data, modules="none", allow=["ours.Rule"], allow_until=tomorrow)


def test_the_last_day_of_an_allowance_still_counts() -> None:
    from assay.formats.allowed import allowed

    subject = Subject(name="m", kind=Kind.MODEL, uri="m.pkl", options={"allow": ["a.B"], "allow_until": "2030-05-01"})
    assert allowed(subject, date(2030, 5, 1)) == (frozenset({"a.B"}), ())
    names, notes = allowed(subject, date(2030, 5, 2))
    assert names == frozenset()
    assert "has passed" in notes[0]


def test_a_file_changed_since_planning_is_refused(tmp_path: Path) -> None:
    from assay.adapters.predictors import open_predictor

    for name, content in (("m.pkl", pickle.dumps(1)), ("m.onnx", b"\x08\x08"), ("m.txt", b"tree\nx")):
        (tmp_path / name).write_bytes(content)
        subject = Subject(name="m", kind=Kind.MODEL, uri=name, digest="sha256:" + "0" * 64)
        with pytest.raises(InputError, match="changed since"):
            open_predictor(subject, tmp_path)


@isolated
def test_weak_isolation_is_recorded(tmp_path: Path, data: Any) -> None:
    from sklearn.tree import DecisionTreeClassifier

    from assay.adapters.sandboxed import start

    (tmp_path / "m.pkl").write_bytes(pickle.dumps(DecisionTreeClassifier().fit(numeric(data), data.target())))
    subject = Subject(name="m", kind=Kind.MODEL, uri="m.pkl", options={"inputs": ["a", "b"]})
    with (tmp_path / "m.pkl").open("rb") as model:
        with pytest.raises(CouldNotLook, match="lacks landlock"):
            start(model, subject, tmp_path, data=data, without=frozenset({"landlock"}))
        got = start(model, subject, tmp_path, data=data, without=frozenset({"landlock"}), weak=True)
    assert not got.isolation.full
    assert got.notes[0].startswith("loaded in a weak sandbox, which lacks landlock")
    got.close()


@isolated
@pytest.mark.parametrize("weak", [False, pytest.param(True, marks=pytest.mark.heavy)])
def test_an_outcome_says_in_what_sandbox_its_model_was_loaded(tmp_path: Path, data: Any, weak: bool) -> None:
    from sklearn.tree import DecisionTreeClassifier

    from assay.core.finding import Outcome, Status
    from assay.core.protocols import silent
    from assay.engine.ask import ask, outcome_of
    from assay.engine.registry import load
    from assay.engine.task import Task

    (tmp_path / "m.pkl").write_bytes(pickle.dumps(DecisionTreeClassifier().fit(numeric(data), data.target())))
    reads = {"data": "t", "holdout": "h"}
    model = Subject(name="m", kind=Kind.MODEL, uri="m.pkl", options={"inputs": ["a", "b"]}, reads=reads)
    holdout = Subject(name="h", kind=Kind.DATASET, uri="h.csv", options=data.subject.options)
    rows = (tmp_path / "t.csv").read_text().splitlines()
    (tmp_path / "h.csv").write_text("\n".join(rows[:120]) + "\n")
    subjects = {"m": model, "t": data.subject, "h": holdout}

    def outcome(check_id: str, handles: Any) -> Outcome:
        task = Task(check=check_id, subject="m", root=str(tmp_path), subjects=subjects, weak_sandbox=weak)
        items: list[Any] = []
        return outcome_of(task, load(check_id), items, ask(task, load(check_id), items.append, silent, handles))

    handles: Any = {}
    first, again = (outcome("performance.holdout", handles) for _ in range(2))
    assert first.status is Status.PASS, first.reason
    (note,) = first.notes
    assert note.startswith("m: loaded in a full sandbox: Landlock ")
    assert again.notes == first.notes
    assert outcome("performance.versus-champion", handles).notes == ()  # it has no champion, so it loads nothing
    for handle in handles.values():
        handle.close()
