"""A Release: any change to what ships is another one, and the change is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from assay.core.release import Material, Release, Role, Terms, differences
from assay.core.subject import Contract, Feature

MODEL = Material(name="model", role=Role.MODEL, uri="m.onnx", digest="sha256:" + "1" * 64)
PREP = Material(
    name="model.preprocessing", role=Role.PREPROCESSING, uri="p", digest="sha256:" + "2" * 64, files={"a": "3" * 64}
)
TRAIN = Material(name="train", role=Role.TRAINING_DATA, uri="t.csv", digest="sha256:" + "4" * 64)
BASE = Release(
    system="claims", materials=(MODEL, PREP, TRAIN), threshold={"model": 0.31}, terms=Terms(),
    code="abc", declared={"risk": "high"},
)  # fmt: skip
OTHER = "sha256:" + "9" * 64

CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"threshold": {"model": 0.32}}, "threshold of model 0.31 → 0.32"),
    ({"threshold": {"model": 0.31000000000000005}}, "threshold of model 0.31 → 0.31000000000000005"),
    ({"threshold": {}}, "threshold of model 0.31 → none"),
    ({"terms": Terms(contract=Contract(features={"age": Feature()}))}, "feature contract of age changed"),
    (
        {"terms": Terms(contract=Contract(features={f"f{i}": Feature() for i in range(7)}))},
        "feature contract of f0, f1, f2, f3, f4 and 2 more changed",
    ),
    ({"terms": Terms(contract=Contract(constraints=("a <= b",)))}, "constraints changed"),
    ({"terms": Terms(model={"positive": 0})}, "facts about the model changed"),
    ({"terms": Terms(reads={"holdout": {"label": "y"}})}, "facts about its holdout changed"),
    ({"code": "abd"}, "training code changed"),
    ({"declared": {"risk": "low"}}, "declared facts changed"),
    ({"declared": {}}, "declared facts changed"),
    ({"system": "other"}, "system claims → other"),
    ({"materials": (replace(MODEL, digest=OTHER), PREP, TRAIN)}, "model model changed (m.onnx)"),
    ({"materials": (replace(MODEL, uri="n.onnx"), PREP, TRAIN)}, "model model changed (n.onnx)"),
    ({"materials": (replace(MODEL, role=Role.GUARD_RULES), PREP, TRAIN)}, "model model changed (m.onnx)"),
    ({"materials": (MODEL, replace(PREP, digest=OTHER), TRAIN)}, "preprocessing model.preprocessing changed (p)"),
    ({"materials": (MODEL, PREP, replace(TRAIN, digest=OTHER))}, "training-data train changed (t.csv)"),
    ({"materials": (MODEL, PREP)}, "train was removed"),
    ({"materials": (MODEL, PREP, TRAIN, replace(TRAIN, name="more"))}, "more was added"),
    ({"materials": (MODEL, replace(PREP, files={"a": "8" * 64}), TRAIN)}, "other facts changed"),
    ({"materials": (MODEL, TRAIN, PREP)}, "other facts changed"),
    ({"schema": "assay/2"}, "other facts changed"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=[s for _, s in CHANGES])
def test_a_change_is_another_release_and_is_named(change: dict[str, Any], said: str) -> None:
    new = replace(BASE, **change)
    assert new.digest != BASE.digest
    assert differences(BASE, new) == (said,)


def test_nothing_changed_is_the_same_release() -> None:
    assert replace(BASE).digest == BASE.digest
    assert differences(BASE, replace(BASE)) == ()
    assert BASE.digest.startswith("sha256:")


def test_several_changes_are_all_named() -> None:
    new = replace(BASE, threshold={"model": 0.5}, code="x", materials=(replace(MODEL, digest=OTHER), TRAIN))
    assert len(differences(BASE, new)) == 4


THRESHOLDS = st.dictionaries(st.sampled_from("ab"), st.floats(0, 1), max_size=2)
DECLARED = st.dictionaries(
    st.sampled_from("ab"), st.none() | st.booleans() | st.integers(0, 2) | st.text(max_size=2), max_size=2
)
FACTS = st.dictionaries(st.sampled_from("ab"), st.sampled_from([0, 1, True, 1.0, "1", None]), max_size=2)
TERMS = st.builds(
    Terms, model=FACTS, reads=st.dictionaries(st.sampled_from("ab"), FACTS, max_size=2),
    contract=st.builds(Contract, constraints=st.sampled_from([(), ("a > 1",)])),
)  # fmt: skip
RELEASES = st.builds(
    Release, system=st.sampled_from(["a", "b"]), threshold=THRESHOLDS, terms=TERMS,
    declared=DECLARED, code=st.sampled_from(["", "c"]),
    materials=st.lists(st.sampled_from([MODEL, PREP, TRAIN]), max_size=3).map(tuple),
)  # fmt: skip


@given(RELEASES, RELEASES)
def test_a_difference_is_named_exactly_where_the_digests_differ(old: Release, new: Release) -> None:
    assert bool(differences(old, new)) is (old.digest != new.digest)


def test_a_threshold_that_is_no_number_has_no_digest() -> None:
    with pytest.raises(ValueError, match="canonically"):
        _ = replace(BASE, threshold={"model": float("nan")}).digest


def test_shipped_files_are_those_of_model_preprocessing_and_guard_rules() -> None:
    assert BASE.shipped() == {"m.onnx": "1" * 64, "p/a": "3" * 64}
    assert BASE.material("train") == TRAIN
    assert BASE.material("none") is None
