"""What `assay init` takes for a model (by its suffix, or its first bytes), and what its draft says to do next."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.flow.draft import draft_manifest, look_around

HEADS = {
    "xgboost": b'{"learner":{"attributes":{}',
    "catboost": b'{"ctr_data":{},"features_info":{}',
    "settings": b'{"name": "service", "learning": 1}',
    "torn": b'{"lea',
    "empty": b"",
}


@pytest.mark.parametrize("kind", HEADS, ids=list(HEADS))
def test_json_is_a_model_where_its_first_bytes_say_so(tmp_path: Path, kind: str) -> None:
    (tmp_path / "m.json").write_bytes(HEADS[kind])
    assert look_around(tmp_path).models == (("m.json",) if kind in ("xgboost", "catboost") else ())


def test_texts_of_lightgbm_are_models_and_other_texts_are_not(tmp_path: Path) -> None:
    (tmp_path / "trees.txt").write_bytes(b"tree\nversion=v4\n")
    (tmp_path / "notes.txt").write_bytes(b"tree of life\n")
    (tmp_path / "m.cbm").write_bytes(b"CBM1")
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    assert look_around(tmp_path).models == ("m.cbm", "trees.txt")


def test_a_project_says_how_its_columns_are_drafted(tmp_path: Path) -> None:
    (tmp_path / "claims 1.csv").write_text("age,y\n1,0\n2,1\n", "utf-8")
    text = draft_manifest(tmp_path, look_around(tmp_path), "y")
    assert "# `assay attack init 'claims 1.csv' --label y` drafts it from the rows" in text
    assert "attack init" not in draft_manifest(tmp_path, look_around(tmp_path), None), "what it needs is not known"


@pytest.mark.parametrize(
    ("names", "train", "holdout"),
    [
        (("hold", "train"), "train", "hold"),
        (("phish_hold", "phish_train"), "phish_train", "phish_hold"),
        (("a_dev", "b"), "b", "a_dev"),
        (("household", "x_test"), "household", "x_test"),
        (("archive", "train2", "unseen"), "train2", "unseen"),
        (("Xtest", "Xtrain"), "Xtrain", "Xtest"),
        (("KDDTest+", "KDDTrain+"), "KDDTrain+", "KDDTest+"),
        (("dataTest", "scores"), "scores", "dataTest"),
        (("accounts", "constraints", "mytest"), "accounts", "mytest"),
        (("latest", "testimonials", "x_valid"), "latest", "x_valid"),
        (("test/a", "train/a"), "train/a", "test/a"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_rows_that_were_kept_back_are_not_drafted_as_training_rows(
    tmp_path: Path, names: tuple[str, ...], train: str, holdout: str
) -> None:
    for name in names:
        (tmp_path / f"{name}.csv").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.csv").write_text("a,y\n1,0\n2,1\n", "utf-8")
    text = draft_manifest(tmp_path, look_around(tmp_path), "y")
    assert f"train: {{dataset: {train}.csv" in text.replace('"', "")
    assert f"holdout: {{dataset: {holdout}.csv" in text.replace('"', "")
    for name in set(names) - {train, holdout}:
        assert f"# also found: {name}.csv" in text, "no table is left out without a word"
