"""Who belongs to which group: all pairs come before any three, what is left out is counted."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from assay.detectors.groups import OTHER
from assay.detectors.members import MOST_CROSSED, Grouping, People, _merged, crossed


def halves(columns: int, rows: int = 400) -> tuple[list[Grouping], People]:
    """Columns of two levels each, and rows that are all draws of their own."""
    rng = np.random.default_rng(columns)
    made = [
        Grouping(columns=(f"c{i}",), names=("a", "b"), code=rng.integers(0, 2, rows), left_out=0, share=1.0)
        for i in range(columns)
    ]
    return made, People(np.ones(rows), np.arange(rows), 20)


@pytest.mark.parametrize(
    ("columns", "asked", "pairs", "triples"),
    [
        (1, 0, 0, 0), (2, 1, 0, 0), (3, 4, 0, 0), (6, 35, 0, 0), (7, 56, 0, 0), (8, 66, 0, 18), (12, 66, 0, 220),
        (13, 66, 12, 286), (20, 66, 124, 1140),
    ],
)  # fmt: skip
def test_how_many_are_asked_and_how_many_are_not(columns: int, asked: int, pairs: int, triples: int) -> None:
    found = crossed(*halves(columns))
    assert (len(found.asked), found.pairs, found.triples) == (asked, pairs, triples)
    assert found.unasked == pairs + triples


@pytest.mark.parametrize("columns", [2, 5, 9, 12])
def test_every_pair_is_asked_before_any_three(columns: int) -> None:
    single, people = halves(columns)
    names = [g.columns for g in crossed(single, people).asked]
    pairs = [a.columns + b.columns for a, b in combinations(single, 2)]
    assert names[: len(pairs)] == pairs
    assert len(names) <= MOST_CROSSED
    assert all(len(n) == 3 for n in names[len(pairs) :])


def test_what_cannot_be_judged_takes_no_place() -> None:
    single, people = halves(13)
    large = People(people.weight, people.draw, 150)  # a quarter of the rows is no group
    found = crossed(single, large)
    assert (found.asked, found.pairs, found.triples) == ((), 0, 0)


def test_groups_of_few_draws_are_nobodys() -> None:
    single, people = halves(2)
    once = People(people.weight, np.zeros(400, dtype=int), 20)
    assert crossed(single, once).asked == ()
    (pair,) = crossed(single, people).asked
    both = single[0].code * 2 + single[1].code
    assert pair.names == ("a & a", "a & b", "b & a", "b & b")
    assert (pair.code == both).all()
    assert (pair.left_out, pair.share) == (0, 1.0)


def test_a_group_that_one_row_outweighs_is_told_and_one_of_few_rows_is_not() -> None:
    """Alone, and where small groups are one: twelve spellings of a group hid it so."""
    for parts, told in (([120], ("b", OTHER)), ([60], ("b", OTHER)), ([30] * 4, (OTHER,)), ([20, 20], ())):
        code = np.repeat(np.arange(len(parts) + 2), [200, *parts, 5])
        names = ["a", *("b" * (i + 1) for i in range(len(parts))), "d"]
        for heavy, shrunk in ((1, ()), (400, told)):
            draw = np.concatenate([np.arange(len(code)), np.full(heavy, 210)])  # one row of the first, again and again
            people = People(np.ones(len(draw)), draw, 50)
            merged = _merged("c", np.concatenate([code, np.ones(heavy, dtype=int)]), names, people)
            assert merged.shrunk == shrunk


def test_a_group_of_two_columns_that_one_row_outweighs_is_told_too() -> None:
    """Of 265 people whom the model treats worse one was copied 60 times, and they were in no figure any more."""
    for rows, heavy, told in ((265, 1, ()), (265, 60, ("b & b",)), (90, 60, ())):
        size = np.array([400, 400, 400, rows])
        both = np.repeat(np.arange(4), size)
        single = [
            Grouping(columns=(n,), names=("a", "b"), code=code, left_out=0, share=1.0)
            for n, code in (("x", both // 2), ("y", both % 2))
        ]
        weight = np.ones(len(both))
        weight[-1] = heavy
        found = crossed(single, People(weight / weight.max(), np.arange(len(both)), 50))
        assert [g.shrunk for g in found.shrunk] == ([told] if told else [])
        assert ("b & b" in found.asked[0].names) == (heavy == 1)
