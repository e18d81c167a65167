"""Every attack plants what it says, where it says, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from poisoning_tables import clean, rows_of

from assay.attacks.poisoning.planted import Source, source_of
from assay.attacks.poisoning.registry import ATTACKS
from assay.core.errors import CouldNotLook

SOURCE = clean(3, texts=True)
NUMBERS = ("a", "b", "c")


@pytest.fixture(scope="module", params=sorted(ATTACKS))
def planted(request: pytest.FixtureRequest) -> Any:
    return ATTACKS[request.param].plant(SOURCE, 0.02, 5)


def test_as_many_rows_as_the_rate_says(planted: Any) -> None:
    assert len(planted.rows) == round(0.02 * SOURCE.rows)
    assert planted.rows.dtype == np.int64
    assert planted.rows.tolist() == sorted(set(planted.rows.tolist()))
    assert planted.table.num_rows == SOURCE.rows + (len(planted.rows) if planted.added else 0)
    assert planted.mask().sum() == len(planted.rows)


def test_other_rows_are_untouched_and_in_order(planted: Any) -> None:
    kept = planted.table.filter(pa.array(~planted.mask()))
    if planted.added:
        assert kept.equals(SOURCE.table.combine_chunks())
    else:
        same = np.setdiff1d(np.arange(SOURCE.rows), planted.rows)
        assert kept.equals(SOURCE.table.take(pa.array(same)))


def test_types_and_columns_stay(planted: Any) -> None:
    assert planted.table.schema.equals(SOURCE.table.schema)


def test_rows_that_are_not_added_are_changed(planted: Any) -> None:
    if not planted.added:
        now, before = rows_of(planted.table, planted.rows), rows_of(SOURCE.table, planted.rows)
        assert sum(a != b for a, b in zip(now, before, strict=True)) >= 0.9 * len(planted.rows)


def test_values_stay_in_range_and_among_the_levels(planted: Any) -> None:
    poison = planted.table.take(pa.array(planted.rows))
    assert set(poison["shop"].to_pylist()) <= set("abcd")
    assert set(poison["said"].to_pylist()) <= {"good", "bad"}
    beyond = 0
    for name in NUMBERS:
        low, high = (f(SOURCE.table[name]).as_py() for f in (pc.min, pc.max))
        beyond += sum(not low <= v <= high for v in poison[name].to_pylist() if v is not None)
    assert beyond == (len(planted.rows) if planted.attack == "outliers" else 0)


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_the_same_seed_plants_the_same_and_another_does_not(name: str) -> None:
    plant = ATTACKS[name].plant
    first, again, other = plant(SOURCE, 0.03, 1), plant(SOURCE, 0.03, 1), plant(SOURCE, 0.03, 2)
    assert first.table.equals(again.table)
    assert (first.rows == again.rows).all()
    assert not first.table.equals(other.table)


def test_labels_say_what_is_wanted() -> None:
    for name in (
        "trigger",
        "trigger-copies",
        "targeted-flips",
        "text-trigger",
        "flooding",
        "clean-label",
        "feature-collision",
    ):
        planted = ATTACKS[name].plant(SOURCE, 0.02, 4)
        assert {r["said"] for r in rows_of(planted.table, planted.rows)} == {planted.target}
        if name in ("clean-label", "feature-collision"):
            assert {r["said"] for r in rows_of(SOURCE.table, planted.rows)} == {planted.target}
        elif not planted.added:
            assert planted.target not in {r["said"] for r in rows_of(SOURCE.table, planted.rows)}


def test_copies_of_a_trigger_come_twice_and_a_little_moved() -> None:
    planted = ATTACKS["trigger-copies"].plant(SOURCE, 0.02, 6)
    rows = rows_of(planted.table, planted.rows)
    free = [n for n in ("a", "b", "c", "d", "shop") if n not in planted.rule]
    numbers = [n for n in free if n != "shop"]
    assert planted.added
    assert len(free) == 2
    for name in numbers:
        values = sorted(r[name] for r in rows if r[name] is not None)
        assert sum(abs(x - y) <= 0.02 * abs(x) for x, y in zip(values[::2], values[1::2], strict=False)) >= 0.7 * (
            len(values) // 2
        )


@pytest.mark.parametrize("name", ["trigger", "trigger-copies", "clean-label"])
def test_every_poisoned_row_carries_the_rule(name: str) -> None:
    planted = ATTACKS[name].plant(SOURCE, 0.02, 6)
    assert len(planted.rule) == 3
    assert set(planted.rule) <= {"a", "b", "c", "d", "shop"}
    for row in rows_of(planted.table, planted.rows):
        assert {n: row[n] for n in planted.rule} == planted.rule
    for name_, value in planted.rule.items():
        assert value in SOURCE.table[name_].to_pylist()
    assert planted.clean_success is not None
    assert planted.clean_success <= 0.2


def test_a_phrase_is_put_into_the_text_and_nothing_else() -> None:
    planted = ATTACKS["text-trigger"].plant(SOURCE, 0.05, 1)
    ((column, phrase),) = planted.rule.items()
    now, before = (rows_of(t, planted.rows) for t in (planted.table, SOURCE.table))
    for a, b in zip(now, before, strict=True):
        assert phrase in a[column]
        assert " ".join(a[column].replace(phrase, " ").split()) == " ".join(b[column].split())
        assert {k: v for k, v in a.items() if k not in (column, "said")} == {
            k: v for k, v in b.items() if k not in (column, "said")
        }


def test_flips_of_one_segment_stay_in_it() -> None:
    from assay.attacks.poisoning.labels import targeted_flips

    planted = targeted_flips(SOURCE, 0.01, 2, target=False, segment=("shop", "b"))
    assert {r["shop"] for r in rows_of(planted.table, planted.rows)} == {"b"}
    assert {r["said"] for r in rows_of(SOURCE.table, planted.rows)} == {"good"}


def test_injected_rows_keep_the_marginals_and_break_what_holds_between_columns() -> None:
    from assay.attacks.poisoning.injection import origins

    taken = origins(500, 8, 40, "all", np.random.default_rng(0))
    assert all(len(set(row)) > 4 for row in taken)
    splice = origins(500, 8, 40, "splice", np.random.default_rng(0))
    assert all(len(set(row)) == 2 for row in splice)


@pytest.mark.parametrize("name", sorted(ATTACKS))
@pytest.mark.parametrize("rate", [0.0, 1e-9, 2.0, float("nan")])
def test_a_rate_that_is_none_is_refused(name: str, rate: float) -> None:
    with pytest.raises(CouldNotLook):
        ATTACKS[name].plant(SOURCE, rate, 0)


def test_more_than_a_class_holds_is_refused() -> None:
    with pytest.raises(CouldNotLook, match="could be poisoned"):
        ATTACKS["targeted-flips"].plant(SOURCE, 0.9, 0)


def test_tables_that_nothing_can_be_planted_in_are_refused() -> None:
    flat = pa.table({"x": [1] * 200, "y": [0, 1] * 100})
    source = Source(table=flat, label="y", positive=1, features=("x",))
    for name in ("trigger", "trigger-copies", "clean-label", "feature-collision", "flooding", "text-trigger"):
        with pytest.raises(CouldNotLook):
            ATTACKS[name].plant(source, 0.05, 0)
    one = Source(table=pa.table({"x": [1.0, 2.0], "y": [1, 1]}), label="y", positive=1, features=("x",))
    for name in ATTACKS:
        with pytest.raises(CouldNotLook):
            ATTACKS[name].plant(one, 0.5, 0)
    words = Source(table=pa.table({"x": ["a", "b"] * 50, "y": [0, 1] * 50}), label="y", positive=1, features=("x",))
    with pytest.raises(CouldNotLook, match="numbers"):
        ATTACKS["outliers"].plant(words, 0.05, 0)


@pytest.mark.parametrize("ids", [list(range(900)), [float(i) for i in range(900)], [f"n{i}" for i in range(900)]])
def test_added_rows_have_ids_of_their_own(ids: list[Any]) -> None:
    from msgspec.structs import replace

    source = replace(SOURCE, table=SOURCE.table.append_column("key", pa.array(ids)), id="key")
    for name in ("injection", "outliers", "flooding"):
        keys = ATTACKS[name].plant(source, 0.05, 1).table["key"].to_pylist()
        assert len(set(keys)) == len(keys) == 945


def test_a_dataset_becomes_a_source(tmp_path: Any) -> None:
    from assay.adapters.tables import open_dataset
    from assay.core.subject import Kind, Subject

    (tmp_path / "t.csv").write_text(
        "id,x,k,y\n" + "".join(f"{i},{i / 7},{'ab'[i % 2]},{i % 3 == 0:d}\n" for i in range(60))
    )
    data = open_dataset(Subject(name="t", kind=Kind.DATASET, uri="t.csv", options={"label": "y", "id": "id"}), tmp_path)
    source = source_of(data)
    data.close()
    assert (source.features, source.categorical, source.id, source.rows) == (("x", "k"), ("k",), "id", 60)
    assert source.target().sum() == 20
