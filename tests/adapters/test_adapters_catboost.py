"""CatBoost models: the same scores as CatBoost, its categories included, and no damaged file ever reaches it."""

from __future__ import annotations

import json
import random
import struct
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.core.errors import CouldNotLook, MissingExtra

pytest.importorskip("duckdb", reason="the ml extra is not installed")
pytest.importorskip("catboost", reason="catboost is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")

import catboost  # noqa: E402
from catboost_tools import ROWS, WORDS, frame, label, of_words, own, table, train  # noqa: E402

FORMS = ["m.cbm", "m.json"]


@pytest.fixture
def data(dataset: Any) -> Any:
    text = frame().assign(y=label(), c=frame().c.replace("nan", None)).to_csv(index=False)
    return dataset(text, label="y")


@pytest.mark.parametrize("grow", ["SymmetricTree", "Depthwise", "Lossguide"])
@pytest.mark.parametrize("name", FORMS)
def test_scores_are_catboosts_own(tmp_path: Path, predictor: Any, data: Any, name: str, grow: str) -> None:
    booster = train(tmp_path / name, grow_policy=grow)
    model = predictor(name, data)
    np.testing.assert_allclose(model.scores(data.table()), own(booster), atol=0 if name == "m.cbm" else 1e-12)
    assert (model.kind, model.access, model.threshold, model.classes) == ("catboost", "whitebox", 0.5, (0, 1))
    assert model.features == ("x", "w", "c", "d")
    assert any("missing values of c are given as the category 'nan'" in note for note in model.notes)


def test_numbers_alone(tmp_path: Path, predictor: Any) -> None:
    booster = train(tmp_path / "m.cbm", words=False)
    np.testing.assert_array_equal(predictor("m.cbm").scores(table(False)), own(booster, False))


def test_classes_and_thresholds(tmp_path: Path, predictor: Any) -> None:
    booster = catboost.CatBoostClassifier(iterations=5, verbose=0, thread_count=1, allow_writing_files=False)
    booster.fit(frame(), np.where(label() == 1, "bad", "good"), cat_features=["c", "d"])
    booster.set_probability_threshold(0.3)
    booster.save_model(str(tmp_path / "m.cbm"))
    good, bad = predictor("m.cbm"), predictor("m.cbm", positive="bad", threshold=0.2)
    assert good.classes == ("bad", "good")
    assert (good.threshold, bad.threshold, predictor("m.cbm", positive="bad").threshold) == (0.3, 0.2, 0.7)
    np.testing.assert_allclose(good.scores(table()), 1 - bad.scores(table()), atol=1e-12)
    train(tmp_path / "b.cbm", target=label() == 1)
    assert predictor("b.cbm", positive=True).classes == (False, True)
    with pytest.raises(CouldNotLook, match="none of its 2 classes"):
        predictor("m.cbm", positive="ugly")


@pytest.mark.parametrize("name", FORMS)
def test_several_classes_score_but_have_no_sum(tmp_path: Path, predictor: Any, name: str) -> None:
    booster = train(tmp_path / name, target=np.arange(ROWS) % 3, loss_function="MultiClass")
    model = predictor(name, positive=2)
    np.testing.assert_allclose(model.scores(table()), own(booster, place=2), atol=1e-12)
    assert model.classes == (0, 1, 2)
    with pytest.raises(CouldNotLook, match=r"tree for each of several classes; attack it with `access: label`"):
        model.trees()
    with pytest.raises(CouldNotLook, match="say which one"):
        predictor(name)


@pytest.mark.parametrize("name", FORMS)
def test_a_regression_is_its_own_value(tmp_path: Path, predictor: Any, name: str) -> None:
    booster = train(tmp_path / name, target=frame().x * 3 + 7, loss_function="RMSE")
    model = predictor(name)
    np.testing.assert_allclose(model.scores(table()), own(booster, kind="RawFormulaVal"), atol=1e-12)
    assert model.threshold == 0.0


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("name", FORMS)
def test_contributions_come_to_the_margin(tmp_path: Path, predictor: Any, name: str, positive: int) -> None:
    booster = train(tmp_path / name)
    values, total = predictor(name, positive=positive).contributions(table())
    margin = own(booster, kind="RawFormulaVal") * (1 if positive else -1)
    assert values.shape == (ROWS, 4)
    assert np.ptp(margin - total) < 1e-6  # all but what every row begins with
    np.testing.assert_allclose(values.sum(axis=1), total, atol=1e-6)
    train(tmp_path / "3.cbm", target=np.arange(ROWS) % 3, loss_function="MultiClass")
    assert predictor("3.cbm", positive=2).contributions(table()) is None


def test_several_numbers_are_refused(tmp_path: Path, predictor: Any) -> None:
    train(tmp_path / "m.cbm", target=frame()[["x", "d"]].to_numpy(), loss_function="MultiRMSE")
    with pytest.raises(CouldNotLook, match="gives 2 numbers for each row, which are no classes"):
        predictor("m.cbm")


def test_texts_are_refused(tmp_path: Path, predictor: Any) -> None:
    df = frame()[["x"]].assign(t=["some words here", "other words there"] * (ROWS // 2))
    model = catboost.CatBoostClassifier(iterations=2, verbose=0, thread_count=1, allow_writing_files=False)
    model.fit(df, np.arange(ROWS) % 2, text_features=["t"])
    model.save_model(str(tmp_path / "m.cbm"))
    with pytest.raises(CouldNotLook, match="reads texts or embeddings, which are not supported"):
        predictor("m.cbm")


def test_columns_without_names_are_taken_in_order(tmp_path: Path, predictor: Any, dataset: Any) -> None:
    model = catboost.CatBoostClassifier(iterations=3, verbose=0, thread_count=1, allow_writing_files=False)
    rows = np.random.default_rng(0).random((60, 2))
    model.fit(rows, np.arange(60) % 2).save_model(str(tmp_path / "m.cbm"))
    held = dataset("p,q,y\n" + "".join(f"{a},{b},{i % 2}\n" for i, (a, b) in enumerate(rows)), label="y")
    opened = predictor("m.cbm", held)
    assert opened.features == ("p", "q")
    np.testing.assert_array_equal(opened.scores(held.table()), model.predict_proba(rows)[:, 1])
    swapped = predictor("m.cbm", held, inputs=["q", "p"])
    np.testing.assert_array_equal(swapped.scores(held.table()), model.predict_proba(rows[:, ::-1])[:, 1])
    with pytest.raises(CouldNotLook, match="takes 2 inputs, `inputs:` has 1"):
        predictor("m.cbm", held, inputs=["q"])


def test_columns_that_do_not_fit_are_named(tmp_path: Path, predictor: Any, dataset: Any) -> None:
    train(tmp_path / "m.cbm")
    with pytest.raises(CouldNotLook, match=r"reads c, which o.csv lacks; the data has kind instead"):
        predictor("m.cbm", dataset("x,w,kind,d\n1,1,a,10\n2,2,b,20\n", name="o.csv"))
    with pytest.raises(CouldNotLook, match="wants numbers, but x holds text"):
        predictor("m.cbm", dataset("x,w,c,d\nu,1,a,10\nv,2,b,20\n", name="t.csv"))


@pytest.mark.parametrize("spelled", [str, lambda v: f"{v}.0"], ids=["whole", "with a point"])
def test_codes_are_spelled_as_in_training(tmp_path: Path, predictor: Any, data: Any, spelled: Any) -> None:
    """pandas turns whole numbers of a column with gaps into floats, so that words have a point in training."""
    df = frame().assign(d=[spelled(v) for v in frame().d])
    model = catboost.CatBoost({"iterations": 8, "verbose": 0, "loss_function": "Logloss", "thread_count": 1,
                               "allow_writing_files": False, "max_ctr_complexity": 1})  # fmt: skip
    model.fit(df, label(), cat_features=["c", "d"])
    model.save_model(str(tmp_path / "m.cbm"))
    opened = predictor("m.cbm", data)
    expected = model.predict(df, prediction_type="Probability")[:, 1]
    np.testing.assert_array_equal(opened.scores(data.table()), expected)
    assert not any("unknown to the model" in note for note in opened.notes)


WRITTEN = {
    "post codes": ["01234", "90210", "00501", "1"], "dates": ["2020-01-01", "2021-05-05", "2019-12-31"],
    "times": ["2020-01-01T10:00:00Z", "2021-05-05T11:30:05Z"], "shouted": ["TRUE", "FALSE"],
    "fractions": ["2020-01-01 10:00:00.5", "2020-02-03 11:00:01.25"],
}  # fmt: skip


@pytest.mark.parametrize("one_hot", [2, 10], ids=["counters", "one-hot"])
@pytest.mark.parametrize("words", WRITTEN.values(), ids=list(WRITTEN))
def test_what_a_csv_writes_and_reads_as_something_else_is_told_as_it_is_written(
    tmp_path: Path, predictor: Any, dataset: Any, words: list[str], one_hot: int
) -> None:
    """A post code of 01234 is the number 1234 to whoever types a table, and another category to the model."""
    expected, rows = of_words(tmp_path / "m.cbm", words, words[0], one_hot_max_size=one_hot)
    data = dataset(rows, label="y")
    opened = predictor("m.cbm", data)
    np.testing.assert_allclose(opened.scores(data.table()), expected, atol=1e-12)
    assert opened.notes == ()


def test_one_number_that_is_spelled_in_two_ways_is_refused(tmp_path: Path, predictor: Any, dataset: Any) -> None:
    _, rows = of_words(tmp_path / "m.cbm", ["1", "01", "7"], "01")
    with pytest.raises(CouldNotLook, match=r"in several ways.*Parquet"):
        predictor("m.cbm", dataset(rows, label="y"))


@pytest.mark.parametrize(("word", "known"), [("Unknown", True), ("-1", True), ("what?", False)])
def test_the_word_for_a_missing_category_is_one_that_the_model_knows(
    tmp_path: Path, predictor: Any, dataset: Any, word: str, known: bool
) -> None:
    expected, rows = of_words(tmp_path / "m.cbm", ["a", "b", word], word)
    data = dataset(rows.replace(f",{word},", ",,"), label="y")
    opened = predictor("m.cbm", data)
    (note,) = opened.notes
    assert ("which the model does not know" in note) != known
    if known:
        np.testing.assert_allclose(opened.scores(data.table()), expected, atol=1e-12)


def test_categories_that_the_model_cannot_know_are_said(tmp_path: Path, predictor: Any, dataset: Any) -> None:
    train(tmp_path / "m.cbm", target=frame().c.isin(WORDS[:8]).astype(int))
    rows = "".join(f"{i},{i},{'zebra' if i % 2 else 'yak'},{10 * (i % 3 + 1)},{i % 2}\n" for i in range(12))
    opened = predictor("m.cbm", dataset("x,w,c,d,y\n" + rows, label="y"))
    assert any(note.startswith("2 of 2 categories of c are unknown to the model") for note in opened.notes)


def test_words_are_hashed_as_catboost_does(tmp_path: Path) -> None:
    from assay.adapters.catboost.categories import category_hash

    rng = random.Random(0)
    words = sorted({"".join(rng.choices("abcdefgé中0129 ", k=n)) for n in range(140) for _ in range(2)})
    pool = catboost.Pool(np.array([[w] for w in words], dtype=object), np.arange(len(words)) % 2, cat_features=[0])
    model = catboost.CatBoostClassifier(iterations=1, verbose=0, thread_count=1, allow_writing_files=False).fit(pool)
    model.save_model(str(tmp_path / "m.json"), format="json", pool=pool)
    told = json.loads((tmp_path / "m.json").read_text())["features_info"]["cat_features_hash"]
    assert len(told) > 200
    for entry in told:
        assert category_hash(entry["value"]) & 0xFFFFFFFF == entry["hash"] & 0xFFFFFFFF, len(entry["value"])


def test_what_catboost_says_is_not_passed_on(tmp_path: Path, predictor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "m.cbm")
    model = predictor("m.cbm")

    def fail(*_: object, **__: object) -> None:
        raise catboost.CatBoostError("cannot read zaphod 4111111")

    monkeypatch.setattr(catboost.CatBoost, "predict", fail)
    monkeypatch.setattr(catboost.CatBoost, "load_model", fail)
    with pytest.raises(CouldNotLook, match=r"failed to predict: CatBoostError$"):
        model.scores(table())
    with pytest.raises(CouldNotLook, match=r"cannot load it: CatBoostError$"):
        predictor("m.cbm")
    model.close()
    with pytest.raises(CouldNotLook, match="is closed"):
        model.scores(table())


def test_without_the_library_the_pip_line_is_said(
    tmp_path: Path, predictor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "m.cbm")
    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(MissingExtra, match=r"pip install 'assay\[catboost\]'"):
        predictor("m.cbm")


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    from assay.adapters.catboost.model import sound

    for grow in ("SymmetricTree", "Lossguide"):
        model = train(tmp_path / "m.cbm", grow_policy=grow)
        model.save_model(str(tmp_path / "m.json"), format="json")
        one, other = (sound((tmp_path / name).read_bytes(), name)[0] for name in FORMS)
        assert one.numbers == other.numbers
        assert one.categories == other.categories
        assert [msgspec.structs.replace(ctr, classes=0) for ctr in one.ctrs] == other.ctrs
        assert one.ctrs
        for ctr, again in zip(one.ctrs, other.ctrs, strict=True):
            tables = one.table(ctr), other.table(again)
            rows = [[(h, *t.rows[t.places[h]]) for h in sorted(t.places)] for t in tables]
            assert rows[0] == rows[1]
            assert tables[0].denominator == tables[1].denominator
        assert (one.scale, one.bias, len(one.trees)) == (other.scale, other.bias, len(other.trees))


def damaged(whole: bytes, rng: random.Random, turn: int) -> bytes:
    """Bits flipped, numbers of 2 and 4 bytes replaced, parts copied over others, the end cut off."""
    if turn % 4 == 0:
        return whole[: rng.randrange(len(whole))]
    out = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at, width = rng.randrange(len(out)), rng.choice([1, 2, 4, 4])
        number = rng.choice([0, 1, 2, 7, 255, 256, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, rng.getrandbits(32)])
        if turn % 4 == 1:
            out[at] ^= 1 << rng.randrange(8)
        elif turn % 4 == 2:
            at -= at % width
            out[at : at + width] = (number & ((1 << 8 * width) - 1)).to_bytes(width, "little")
        else:
            begin = rng.randrange(len(out))
            out[at : at + 24] = out[begin : begin + 24]
    return bytes(out)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("grow", ["SymmetricTree", "Lossguide"])
def test_no_damage_reaches_catboost(tmp_path: Path, predictor: Any, name: str, grow: str) -> None:
    """Some of these files crash the process where CatBoost reads them; each is refused in one line, or scores."""
    train(tmp_path / name, iterations=4, grow_policy=grow)
    whole, rng, refused = (tmp_path / name).read_bytes(), random.Random(5), 0
    rows = table().slice(0, 5)
    for turn in range(150):
        (tmp_path / name).write_bytes(damaged(whole, rng, turn))
        try:
            assert predictor(name).scores(rows).shape == (5,)
        except CouldNotLook as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017
    assert refused > 75


def changed(content: dict[str, Any], path: tuple[Any, ...], value: Any) -> bytes:
    place: Any = content
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(content).encode()


TREE, INFO = ("oblivious_trees", 0), ("features_info",)
NESTED: Any = [[]]
for _ in range(300):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        pytest.param((*TREE, "splits", 0, "split_index"), 99_999, "split that it does not have", id="split"),
        pytest.param((*TREE, "splits", 0, "split_index"), -1, "split that it does not have", id="negative split"),
        pytest.param((*TREE, "leaf_values"), [1.0] * 7, "leaves that its splits ask for", id="leaves"),
        pytest.param((*TREE, "leaf_values", 0), 1e999, "is no number|field", id="infinite leaf"),
        pytest.param((*TREE, "splits"), [{"split_index": 0}] * 40, "too deep", id="depth"),
        pytest.param(("oblivious_trees",), [], "no trees", id="no trees"),
        pytest.param((*INFO, "float_features", 0, "flat_feature_index"), 1 << 40, "not in order", id="column"),
        pytest.param((*INFO, "categorical_features", 1, "flat_feature_index"), 9, "columns out", id="column left out"),
        pytest.param((*INFO, "float_features", 0, "feature_index"), 5, "not counted in order", id="feature"),
        pytest.param((*INFO, "float_features", 0, "borders"), [2.0, 1.0], "do not rise", id="borders"),
        pytest.param((*INFO, "float_features", 0, "nan_value_treatment"), "Other", "another kind", id="nan"),
        pytest.param((*INFO, "ctrs", 0, "elements", 0, "cat_feature_index"), 77, "not there", id="counted"),
        pytest.param((*INFO, "ctrs", 0, "target_border_idx"), 9, "class that is not there", id="class"),
        pytest.param((*INFO, "ctrs", 0, "elements"), [], "counts nothing", id="counts nothing"),
        pytest.param(("ctr_data",), {}, "lacks a table of counters", id="no counters"),
        pytest.param(("scale_and_bias",), [1, [0, 0]], "leaves that its splits ask for", id="bias"),
        pytest.param(("scale_and_bias",), [1, []], "leaves that", id="no outputs"),
        pytest.param(("scale_and_bias",), [1, [2**53 + 1]], "CatBoost reads as 0", id="a bias that is too large"),
        pytest.param(("model_info", "params"), NESTED, "nested too deeply", id="nested"),
        pytest.param(("features_info",), None, "missing", id="no features"),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, predictor: Any, path: tuple[Any, ...], value: Any, says: str
) -> None:
    train(tmp_path / "m.json")
    content = json.loads((tmp_path / "m.json").read_text())
    (tmp_path / "m.json").write_bytes(changed(content, path, value))
    with pytest.raises(CouldNotLook, match=says) as refused:
        predictor("m.json")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("entry", ["short", "not a hash", "twice"])
def test_torn_counters_are_refused(tmp_path: Path, predictor: Any, entry: str) -> None:
    train(tmp_path / "m.json")
    content = json.loads((tmp_path / "m.json").read_text())
    held = next(iter(content["ctr_data"].values()))["hash_map"]
    held[:] = {"short": held[:-1], "not a hash": ["x", *held[1:]], "twice": held + held}[entry]
    (tmp_path / "m.json").write_text(json.dumps(content))
    with pytest.raises(CouldNotLook, match=r"torn rows|no number|hash twice"):
        predictor("m.json")


def test_a_full_table_of_hashes_is_refused(tmp_path: Path, predictor: Any) -> None:
    """CatBoost searches it until an empty place comes: without one it never ends."""
    train(tmp_path / "m.cbm")
    whole = (tmp_path / "m.cbm").read_bytes()
    at = 8 + struct.unpack_from("<I", whole, 4)[0]
    tail = whole[at:].replace(b"\xff" * 8, b"\x07" * 8)
    assert tail != whole[at:]
    (tmp_path / "m.cbm").write_bytes(whole[:at] + tail)
    with pytest.raises(CouldNotLook, match=r"no empty place|hash twice"):
        predictor("m.cbm")


def test_json_that_is_no_object_is_refused() -> None:
    from assay.adapters.catboost.model import sound

    for content in (b"[]", b"1", b"null"):
        with pytest.raises(CouldNotLook, match="torn or damaged CatBoost model: it is no object"):
            sound(content, "m.json")


def test_rubbish_behind_a_model_is_refused(tmp_path: Path, predictor: Any) -> None:
    train(tmp_path / "m.cbm")
    (tmp_path / "m.cbm").write_bytes((tmp_path / "m.cbm").read_bytes() + b"more")
    with pytest.raises(CouldNotLook, match="belong to no part"):
        predictor("m.cbm")


def test_the_words_of_the_rows_cover_every_branch_of_the_hash() -> None:
    lengths = {len(word.encode()) for word in WORDS}
    assert min(lengths) <= 3
    assert max(lengths) > 64


def classified() -> Any:
    settings = {"iterations": 5, "depth": 3, "verbose": 0, "thread_count": 1, "allow_writing_files": False}
    return catboost.CatBoostClassifier(**settings).fit(frame(False), label(False))


@pytest.mark.parametrize("name", ["m.cbm", "m.json"])
def test_the_threshold_that_was_set_in_a_model_is_the_one_it_answers_by(
    tmp_path: Path, predictor: Any, name: str
) -> None:
    """That of a JSON file was passed over: 124 of 500 rows were answered otherwise than by the model."""
    classifier = catboost.CatBoostClassifier(
        iterations=5, depth=3, verbose=0, thread_count=1, allow_writing_files=False
    )
    classifier.fit(frame(False), label(False))
    classifier.set_probability_threshold(0.8)
    classifier.save_model(str(tmp_path / name), format=name[2:])
    model = predictor(name)
    assert model.threshold == 0.8
    np.testing.assert_array_equal(model.flagged(table(False)), classifier.predict(frame(False)) == 1)
    declared = predictor(name, threshold=0.5)
    assert declared.threshold == 0.5
    assert "a threshold of 0.8 is set in the file" in " ".join(declared.notes)


@pytest.mark.parametrize("told", ["0", "1", "2", "-1", "0,9", "nan", "1_0"])
def test_a_threshold_that_catboost_takes_for_another_is_refused(tmp_path: Path, predictor: Any, told: str) -> None:
    classifier = catboost.CatBoostClassifier(
        iterations=3, depth=2, verbose=0, thread_count=1, allow_writing_files=False
    )
    classifier.fit(frame(False), label(False))
    classifier.get_metadata()["binclass_probability_threshold"] = told
    classifier.save_model(str(tmp_path / "m.cbm"))
    with pytest.raises(CouldNotLook, match="none between 0 and 1"):
        predictor("m.cbm")
    assert predictor("m.cbm", threshold=0.5).threshold == 0.5


def test_a_threshold_of_probabilities_beside_no_probabilities_is_refused(tmp_path: Path, predictor: Any) -> None:
    model = train(tmp_path / "m.cbm", loss_function="RMSE")
    model.get_metadata()["binclass_probability_threshold"] = "0.9"
    model.save_model(str(tmp_path / "m.cbm"))
    with pytest.raises(CouldNotLook, match="an objective that gives none"):
        predictor("m.cbm")
