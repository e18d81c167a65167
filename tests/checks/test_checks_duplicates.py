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
    assert (str(found.severity), found.location.row) == ("medium", 5)
    assert measure(outcome, "data.duplicate_rate").value == pytest.approx(30 / 1000, abs=0.002)


def test_small_tables_of_categories_have_twins_by_nature(bench: Bench) -> None:
    rng = np.random.default_rng(1)
    outcome = bench.ask(CHECK, bench.table({"a": rng.integers(0, 4, 800), "b": rng.choice(list("xyz"), 800)}))
    assert outcome.findings == (), said(outcome)
    assert measure(outcome, "data.duplicate_rate").value == pytest.approx(1 - 12 / 800)


def test_twins_with_another_label_are_counted_on_both_sides(bench: Bench) -> None:
    a = np.arange(200)
    a[1::20] = a[0::20]
    outcome = bench.ask(CHECK, bench.table({"a": a, "y": np.arange(200) % 2}, label="y", positive=1))
    assert str(finding(outcome, "20 rows (10.0%) have a twin with another label").severity) == "low"
    assert measure(outcome, "data.conflicting_rate").value == pytest.approx(0.1)


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
