"""A model with what its checks read: opened when first asked for, shared with its champion, closed together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.core.errors import CouldNotLook, InputError
from assay.core.subject import Contract, Kind, Subject

pytest.importorskip("duckdb", reason="the ml extra is not installed")
lgb = pytest.importorskip("lightgbm", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")


@pytest.fixture
def project(tmp_path: Path) -> dict[str, Subject]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    y = (x[:, 0] > 0).astype(int)
    for name in ("train", "test"):
        rows = "".join(f"{a!r},{b!r},{c}\n" for (a, b), c in zip(x.tolist(), y.tolist(), strict=True))
        (tmp_path / f"{name}.csv").write_text("a,b,y\n" + rows)
    for name, rounds in (("new", 5), ("old", 2)):
        data = lgb.Dataset(x, y, feature_name=["a", "b"])
        lgb.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, rounds).save_model(
            tmp_path / f"{name}.txt"
        )
    options: dict[str, Any] = {"label": "y", "positive": 1}
    return {
        "train": Subject(name="train", kind=Kind.DATASET, uri="train.csv", options=options),
        "test": Subject(name="test", kind=Kind.DATASET, uri="test.csv", options=options),
        "old": Subject(name="old", kind=Kind.MODEL, uri="old.txt", options={"threshold": 0.3}),
        "new": Subject(
            name="new",
            kind=Kind.MODEL,
            uri="new.txt",
            options={"threshold": 0.6},
            reads={"data": "train", "holdout": "test", "champion": "old"},
        ),
    }


def test_everything_is_opened_once_and_shared(tmp_path: Path, project: dict[str, Subject]) -> None:
    from assay.adapters.cases import open_model

    with open_model(project["new"], project, tmp_path, Contract()) as case:
        assert case.train is not None
        assert case.holdout is not None
        assert case.champion is not None
        assert (case.threshold, case.champion.threshold) == (0.6, 0.3)
        assert case.champion.train is case.train
        assert case.train.rows == case.holdout.rows == 120
        assert case.champion.champion is None
        scores = case.predictor.scores(case.holdout.table())
        assert not np.array_equal(scores, case.champion.predictor.scores(case.holdout.table()))
        assert case.predictor.queries == 120
        predictor = case.predictor
    with pytest.raises(CouldNotLook, match="closed"):
        predictor.scores(predictor and __import__("pyarrow").table({"a": [1.0], "b": [1.0]}))


def test_notes_are_of_the_models_used_since_they_were_last_taken(tmp_path: Path, project: dict[str, Subject]) -> None:
    from assay.adapters.cases import open_model

    with open_model(project["new"], project, tmp_path, Contract()) as case:
        assert case.take_notes() == ()
        case.predictor.notes = ("loaded in a jar",)
        assert case.champion is not None
        case.champion.predictor.notes = ("loaded in a box",)
        assert case.take_notes() == ("new: loaded in a jar", "old: loaded in a box")
        assert case.take_notes() == ()
        assert case.champion.threshold == 0.3
        assert case.take_notes() == ("old: loaded in a box",)


def test_nothing_is_opened_before_it_is_asked_for(tmp_path: Path, project: dict[str, Subject]) -> None:
    from assay.adapters.cases import open_model

    (tmp_path / "new.txt").unlink()
    (tmp_path / "test.csv").write_text("")
    case = open_model(project["new"], project, tmp_path)
    assert case.train is not None
    with pytest.raises(InputError, match="0 bytes"):
        _ = case.holdout
    with pytest.raises(InputError, match="does not exist"):
        _ = case.predictor
    case.close()
    case.close()


def test_roles_that_lead_nowhere_or_in_circles_are_refused(tmp_path: Path, project: dict[str, Subject]) -> None:
    from assay.adapters.cases import open_model

    lonely = Subject(name="new", kind=Kind.MODEL, uri="new.txt", reads={"data": "nothing", "champion": "new"})
    case = open_model(lonely, project, tmp_path)
    with pytest.raises(CouldNotLook, match="`data: nothing` names no subject"):
        _ = case.train
    with pytest.raises(CouldNotLook, match="or itself"):
        _ = case.champion
    bare = open_model(project["old"], project, tmp_path)
    assert bare.train is bare.holdout is bare.champion is None
    assert bare.predictor.features == ("a", "b")
    assert bare.protected == ()
    with pytest.raises(
        CouldNotLook, match=r"old has no untouched data to explain; add `holdout:` to it in assay\.yaml"
    ):
        bare.untouched("to explain")
    bare.close()


def test_protected_columns_are_those_of_both_tables_that_the_holdout_has(
    tmp_path: Path, project: dict[str, Subject]
) -> None:
    from assay.adapters.cases import open_model

    (tmp_path / "test.csv").write_text("b,y\n1.0,0\n2.0,1\n")
    for name, columns in (("train", ["a", "b"]), ("test", ["y", "b"])):  # the label is no group of people
        options = {**project[name].options, "protected": columns}
        project[name] = msgspec.structs.replace(project[name], options=options)
    with open_model(project["new"], project, tmp_path, Contract()) as case:
        assert case.protected == ("b",)
        assert case.untouched("to explain") is case.holdout
