"""data.duplicates: a flood of one row, twins that contradict, an id that repeats; natural twins are only measured."""

from __future__ import annotations

import numpy as np
import pytest
from checks_tools import Bench, finding, measure, said

from assay.labs.simulate import LABEL, Table, payments

pytest.importorskip("duckdb")
CHECK = "data.duplicates"


def repeated(table: Table, row: int, times: int) -> Table:
    """The table with one row's copies in front of its last rows."""
    place = np.r_[np.arange(len(table[LABEL]) - times), np.full(times, row)]
    return {name: column[place] for name, column in table.items()}


def test_rows_that_differ_pass(bench: Bench) -> None:
    outcome = bench.ask(CHECK, bench.table(payments(1000, 3), label=LABEL, positive=1, id="payment_id"))
    assert (str(outcome.status), outcome.findings) == ("pass", ())
    assert measure(outcome, "data.duplicate_rate").value == pytest.approx(0, abs=0.002)


def test_a_flood_of_one_row_is_found(bench: Bench) -> None:
    table = repeated(payments(1000, 3), 5, 30)
    outcome = bench.ask(CHECK, bench.table(table, label=LABEL, positive=1, drop=["payment_id", "upload"]))
    found = finding(outcome, "one row occurs 31 times")
    assert (str(found.severity), str(found.confidence), found.location.row) == ("medium", "low", 5)
    assert "or repeats by nature" in found.message
    assert measure(outcome, "data.duplicate_rate").value == pytest.approx(30 / 1000, abs=0.002)


def test_an_index_that_nobody_declared_blinds_nothing_and_is_named(bench: Bench) -> None:
    table = {"Unnamed: 0": np.arange(1000), **repeated(payments(1000, 3), 5, 30)}
    outcome = bench.ask(CHECK, bench.table(table, label=LABEL, positive=1, drop=["payment_id", "upload"]))
    assert finding(outcome, "one row occurs 31 times").message.endswith("left out as undeclared ids: Unnamed: 0")
    assert measure(outcome, "data.duplicate_rate").value == pytest.approx(30 / 1000, abs=0.002)


def test_a_table_of_one_row_many_times_is_told_as_such(bench: Bench) -> None:
    outcome = bench.ask(CHECK, bench.table({"a": [1.5] * 300, "b": [2] * 300}))
    assert "one row occurs 300 times and there is no other" in said(outcome)[0][1]


def test_small_tables_of_categories_have_twins_by_nature(bench: Bench) -> None:
    rng = np.random.default_rng(1)
    outcome = bench.ask(CHECK, bench.table({"a": rng.integers(0, 4, 800), "b": rng.choice(list("xyz"), 800)}))
    assert outcome.findings == (), said(outcome)
    assert measure(outcome, "data.duplicate_rate").value == pytest.approx(1 - 12 / 800)


def test_copies_of_other_rows_make_a_flood_usual(bench: Bench) -> None:
    """49 copies of other rows in 1000 leave the flood a finding, 50 do not."""
    for others, found in ((49, 1), (50, 0)):
        a = np.concatenate(
            [np.arange(others), np.arange(others), 5000 + np.arange(970 - 2 * others), np.full(30, 9999)]
        )
        outcome = bench.ask(CHECK, bench.table({"a": a}, f"t{others}"))
        assert len(outcome.findings) == found, said(outcome)


def continuous(rng: np.random.Generator, n: int) -> Table:
    return {name: rng.normal(size=n) for name in "abc"}


def test_twins_with_another_label_are_counted_on_both_sides(bench: Bench) -> None:
    table = continuous(np.random.default_rng(2), 200)
    for column in table.values():
        column[1::20] = column[0::20]
    outcome = bench.ask(CHECK, bench.table({**table, "y": np.arange(200) % 2}, label="y", positive=1))
    assert str(finding(outcome, "20 rows (10.0%) have a twin with another label").severity) == "low"
    assert measure(outcome, "data.conflicting_rate").value == pytest.approx(0.1)


@pytest.mark.parametrize("seed", range(5))
def test_a_noisy_label_of_few_categories_is_measured_not_reported(bench: Bench, seed: int) -> None:
    rng = np.random.default_rng(seed)
    share = np.arange(1, 31.0) ** -1.3
    table: Table = {name: rng.choice(30, 2000, p=share / share.sum()) for name in "abcd"}
    table["e"] = table["a"] // 3  # follows from another
    outcome = bench.ask(CHECK, bench.table({**table, "y": rng.integers(0, 2, 2000)}, label="y", positive=1))
    assert (str(outcome.status), outcome.findings) == ("pass", ()), said(outcome)
    assert (measure(outcome, "data.conflicting_rate").value or 0) > 0.1


def test_inactive_customers_are_a_question_and_no_conflict(bench: Bench) -> None:
    rng = np.random.default_rng(4)
    table = {n: np.where(np.arange(1000) < 80, 0.0, c) for n, c in continuous(rng, 1000).items()}
    outcome = bench.ask(CHECK, bench.table({**table, "y": rng.integers(0, 2, 1000)}, label="y", positive=1))
    assert (len(outcome.findings), str(outcome.findings[0].confidence)) == (1, "low")
    assert measure(outcome, "data.conflicting_rate").value == pytest.approx(0.08)


def test_many_copies_of_one_row_are_one_observation(bench: Bench) -> None:
    """200 copies spread over 200 rows say more about the rate than 200 copies of one."""
    spread, single = np.r_[np.arange(800), np.arange(200)], np.r_[np.arange(800), np.full(200, 3)]
    widths = []
    for place, name in ((spread, "spread"), (single, "single")):
        rate = measure(bench.ask(CHECK, bench.table({"a": place}, name)), "data.duplicate_rate")
        assert rate.value == pytest.approx(0.2)
        assert rate.low is not None
        assert rate.high is not None
        widths.append(rate.high - rate.low)
    assert widths[0] == pytest.approx(0.05, abs=0.01)
    assert widths[1] > 0.3


@pytest.mark.parametrize("labels", [1, 2])
def test_one_row_alone_many_times_has_intervals(bench: Bench, labels: int) -> None:
    outcome = bench.ask(
        CHECK, bench.table({"a": [7] * 40, "y": [i % labels for i in range(40)]}, label="y", positive=0)
    )
    rate = measure(outcome, "data.conflicting_rate")
    assert rate.value == labels - 1
    assert 0 <= (rate.low or 0) <= (rate.high or 0) <= 1


def test_an_id_that_repeats_or_is_missing(bench: Bench) -> None:
    outcome = bench.ask(CHECK, bench.table({"i": [1, 2, 2, None, 5], "a": [1, 2, 3, 4, 5]}, id="i"))
    found = finding(outcome, "the id i is not unique: 1 repeated and 1 missing")
    assert found.location.column == "i"


def test_odd_column_names_are_only_names(bench: Bench) -> None:
    outcome = bench.ask(CHECK, bench.table({'a"; DROP TABLE data; --': [1, 1, 2], "select": [1, 1, 2]}))
    assert str(outcome.status) == "pass"
    assert measure(outcome, "data.duplicate_rate").value == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (b"a\n", {}, "no rows"),
        (b"y\n1\n0\n", {"label": "y"}, "no features"),
        (b"a,b\n1,2\n", {"label": "nope"}, "nope"),
        (b'a,b\n1,"2\n', {}, "quote"),
    ],
)
def test_what_it_cannot_read_is_open(bench: Bench, content: bytes, options: dict[str, str], reason: str) -> None:
    outcome = bench.ask(CHECK, bench.table(content, **options))
    assert str(outcome.status) == "open"
    assert reason in outcome.reason
