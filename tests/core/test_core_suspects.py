"""Rows that checks flag as a table: by number, the row that most checks flag first, never more than a page carries."""

from __future__ import annotations

import pytest

from assay.core.suspects import SHOWN, Suspects, flagged_rows


def suspects(check: str, *rows: tuple[int, float, bool]) -> Suspects:
    return Suspects(
        check=check,
        rows=tuple(r for r, _, _ in rows),
        scores=tuple(s for _, s, _ in rows),
        flagged=tuple(f for _, _, f in rows),
        reasons=tuple(f"why {check}" if f else "" for _, _, f in rows),
    )


def test_rows_of_several_checks_come_first_then_the_worst_of_each() -> None:
    found = flagged_rows(
        [suspects("a", (5, 1.0, True), (9, 3.0, True), (2, 9.0, False)), suspects("b", (5, 0.1, True), (7, 0.2, True))]
    )
    assert found is not None
    assert [row[0] for row in found.rows] == [5, 7, 9]
    assert found.rows[0][1:] == ("a, b", "why a; why b")
    assert found.title == "3 rows are flagged: 2 by a, 2 by b"


def test_nothing_flagged_is_no_table() -> None:
    assert flagged_rows([]) is None
    assert flagged_rows([suspects("a", (1, 1.0, False))]) is None


def test_more_rows_than_fit_are_counted() -> None:
    found = flagged_rows([suspects("a", *((i, -float(i), True) for i in range(SHOWN + 3)))])
    assert found is not None
    assert (len(found.rows), found.note.startswith("3 more rows")) == (SHOWN, True)


def test_ragged_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="columns of"):
        Suspects(check="a", rows=(1,), scores=(), flagged=(True,), reasons=("",))
