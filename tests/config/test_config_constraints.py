"""Relations between columns: the same answers as Python gives, and nothing but relations is read."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.config.constraints import Constraint
from assay.core.errors import UsageError

NUMBERS = st.integers(-5, 5) | st.sampled_from([0.5, -1.5, float("nan"), 1e9])
LEAVES = st.sampled_from(["a", "b", "c"]) | st.integers(0, 9).map(str) | st.sampled_from(["0.5", "1.25"])
SUMS = st.recursive(
    LEAVES,
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
        | inner.map(lambda t: f"(-{t})")
    ),
    max_leaves=4,
)
COMPARED = st.tuples(SUMS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), SUMS).map(" ".join)
CHAINED = st.tuples(COMPARED, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), SUMS).map(" ".join)
LISTED = st.tuples(SUMS, st.sampled_from(["in", "not in"]), st.lists(SUMS, max_size=3)).map(
    lambda t: f"{t[0]} {t[1]} [{', '.join(t[2])}]"
)
RELATIONS = st.recursive(
    COMPARED | CHAINED | LISTED | st.sampled_from(["True", "False"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
        | inner.map(lambda t: f"(not {t})")
    ),
    max_leaves=5,
)


@given(RELATIONS, st.fixed_dictionaries({"a": NUMBERS, "b": NUMBERS, "c": NUMBERS}))
@settings(max_examples=400, deadline=None)
def test_it_answers_as_python_does(text: str, row: dict[str, Any]) -> None:
    wanted = eval(text, {"__builtins__": {}}, dict(row))
    constraint = Constraint(text)
    assert bool(constraint(row)) is bool(wanted)
    assert set(constraint.columns) == {name for name in "abc" if name in text.replace("and", "").replace("False", "")}


def test_arrays_are_answered_row_by_row() -> None:
    np = pytest.importorskip("numpy")
    rows = {"age": np.array([0, 12, 16, np.nan]), "kind": np.array(["a", "b", "c", "a"])}
    assert Constraint("age == 0 or age >= 16")(rows).tolist() == [True, False, True, False]
    assert Constraint("0 <= age < 16")(rows).tolist() == [True, True, False, False]
    assert Constraint("kind in ['a', 'c']")(rows).tolist() == [True, False, True, True]
    assert Constraint("not (kind not in ('a', 'c')) and age / 2 != 8")(rows).tolist() == [True, False, False, True]


def test_names_that_are_no_identifiers_are_written_in_backticks() -> None:
    text = "`Past claims` <= `claims (all)` and kind != 'the `odd` one'"
    constraint = Constraint(text)
    assert constraint.columns == ("Past claims", "claims (all)", "kind")
    assert constraint({"Past claims": 1, "claims (all)": 2, "kind": "the `odd` one"}) is False
    assert constraint({"Past claims": 1, "claims (all)": 2, "kind": "other"}) is True


def test_a_column_that_looks_like_an_alias_is_itself() -> None:
    assert Constraint("__column_0 > 1 and `x y` > 2").columns == ("__column_0", "x y")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('id')",
        "a.b > 1",
        "a[0] > 1",
        "(lambda: 1)() > 0",
        "len(a) > 1",
        "[x for x in a] == a",
        "a if b else c",
        "(y := 1) > 0",
        "a is None",
        "a is not b",
        "f'{a}' == a",
        "a ** 9 > 1",
        "a % 2 == 0",
        "a // 2 > 1",
        "a @ b > 1",
        "~a > 1",
        "a & b > 1",
        "a | b > 1",
        "a << 9 > 1",
        "a in b",
        "a in 'abc'",
        "a in {1, 2}",
        "a in range(9)",
        "b'x' == a",
        "1j < a",
        "... == a",
        "None == a",
        "*a, b > 1",
        "a > 1; b > 1",
        "a = 1",
        "",
        "   ",
        "#",
        "`",
        "``> 1",
        "`a > 1",
        "a >",
        "a > 1)",
        "a > 1 in [1]",
        "1 < a in [1]",
        "yield",
        "await a",
        "a\n> 1",
        "\x00",
        "a > \udcff",
        "a",
        "1",
        "'text'",
        "a + 1",
        "not a",
        "a and b",
        "a > 1 and b",
        "a or b > 1",
        "'a' * 9 == b",
        "-'a' == b",
        "(a > 1) + 1 > 1",
        "-(a > 1) == 1",
        "a / 0 > 1",
        "a / 0.0 > 1",
        "(" * 300 + "a" + ")" * 300,
        "-" * 1500 + "a > 1",
        "not " * 400 + "a > 1",
        " + ".join("a" * 150) + " > 1",
        "a > " + "9" * 2000,
        "[1] == a",
        "(1, 2) == a",
    ],
)
def test_what_is_no_relation_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Constraint(text)
    assert caught.value.what
    assert caught.value.fix


@given(st.text(max_size=60) | st.text("ab01<>=!+-*/()[]'\"`, andornti", max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_relation_or_refused(text: str) -> None:
    try:
        constraint = Constraint(text)
    except UsageError as error:
        said = error.what
    else:
        said = " ".join(constraint.columns) or "no column"
    assert said


def test_no_number_is_below_itself() -> None:
    assert Constraint("a < a")({"a": math.nan}) is False
    assert Constraint("not (a < a)")({"a": math.nan}) is True
