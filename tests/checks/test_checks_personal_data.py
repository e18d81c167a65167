"""data.personal-data: planted identifiers and secrets are named by column and row, never by value; numbers are not."""

from __future__ import annotations

import random
from typing import Any

import pytest
from checks_tools import Bench, finding, measure, said

from assay.detectors.identifiers import luhn
from assay.labs.simulate import LABEL, payments

pytest.importorskip("duckdb")
CHECK = "data.personal-data"


def numbers(count: int, digits: int, seed: int = 1) -> list[str]:
    rng = random.Random(seed)
    return [str(rng.randrange(10 ** (digits - 1), 10**digits)) for _ in range(count)]


def cards(count: int) -> list[str]:
    found = []
    for body in numbers(count, 14):
        found.append(next(f"4{body}{d}" for d in range(10) if luhn(f"4{body}{d}")))
    return found


def test_columns_of_identifiers_are_named_without_a_value(bench: Bench) -> None:
    columns: dict[str, list[Any]] = {
        "mail": [f"person{i}@mail.example.org" for i in range(60)],
        "pan": cards(60),
        "reach": [f"+49 30 90{i:02d} 1{i:03d}" for i in range(60)],
        "host": [f"10.0.{i}.{i + 1}" for i in range(60)],
        "last_name": [f"Surname{chr(65 + i % 26)}{chr(97 + i // 26)}" for i in range(60)],
        "amount": list(range(60)),
    }
    outcome = bench.ask(CHECK, bench.table(columns, drop=["mail"]))
    assert {(f.location.column, str(f.severity), f.key) for f in outcome.findings} == {
        ("mail", "low", "personal:mail addresses"),
        ("pan", "medium", "personal:card numbers"),
        ("reach", "medium", "personal:telephone numbers"),
        ("host", "medium", "personal:addresses of the network (IP)"),
        ("last_name", "medium", "personal:names of people"),
    }
    assert finding(outcome, "mail holds").message == "mail holds mail addresses in 60 rows (first rows: 0, 1, 2, 3, 4)"
    assert measure(outcome, "data.personal_data.columns").value == 5
    text = str(outcome)
    assert not [v for name in ("mail", "pan", "reach", "host", "last_name") for v in columns[name] if str(v) in text]


def test_one_address_in_a_text_is_found_in_its_row(bench: Bench) -> None:
    notes = [f"the customer called about order {i} and was content" for i in range(300)]
    notes[217] += ", write to a.b@mail.example.org"
    outcome = bench.ask(CHECK, bench.table({"note": notes, "x": list(range(300))}))
    found = finding(outcome, "mail addresses")
    assert (found.location.row, found.evidence["rows"]) == (217, 1)
    assert str(finding(outcome, "free text").severity) == "info"


def test_secrets_are_high_and_not_shown(bench: Bench) -> None:
    token = "ghp_" + "a8Fk2LmQ9xZt7RbW4cVn6YpJ3sHd5GuE1oKi"
    outcome = bench.ask(CHECK, bench.table({"log": ["started"] * 40 + [f"push with {token}"], "x": list(range(41))}))
    found = finding(outcome, "GitHub token")
    assert (str(found.severity), found.location.row, found.location.column) == ("high", 40, "log")
    assert token not in str(outcome)


def test_numbers_that_only_look_like_it_raise_no_alarm(bench: Bench) -> None:
    columns = {
        "order_number": numbers(500, 16),
        "phone_cost": [f"{i}.99" for i in range(500)],
        "product_name": [f"widget {i}" for i in range(500)],
        "version": [f"1.{i}.3" for i in range(500)],
        "address_type": ["home", "work"] * 250,
        "ean": numbers(500, 13, 2),
        "nine": numbers(500, 9, 3),
        "eleven": numbers(500, 11, 4),
        "fit": ["+5 to +10", "+10 to +20"] * 250,
        "first_name_length": list(range(500)),
    }
    outcome = bench.ask(CHECK, bench.table(columns))
    assert (str(outcome.status), said(outcome)) == ("pass", [])
    clean = bench.ask(CHECK, bench.table(payments(1500, 3), "clean", label=LABEL, positive=1))
    assert (str(clean.status), said(clean)) == ("pass", [])


def test_an_empty_column_and_nulls_are_nobodys(bench: Bench) -> None:
    outcome = bench.ask(
        CHECK, bench.table({"email": [None] * 30, "surname": ["", None, "x"] * 10, "n": list(range(30))})
    )
    assert (str(outcome.status), said(outcome)) == ("pass", [])


def test_the_last_of_many_columns_is_looked_at_and_rows_are_the_first_ones(bench: Bench) -> None:
    columns: dict[str, list[Any]] = {f"c{i}": [f"w{(i + j) % 9}" for j in range(30)] for i in range(70)}
    columns["n"] = [j if j != 4 else None for j in range(30)]
    columns["last"] = [f"p{j % 3}@mail.example.org" if 4 <= j < 9 else None if j % 2 else "none" for j in range(30)]
    outcome = bench.ask(CHECK, bench.table(columns))
    told = finding(outcome, "mail addresses")
    assert (told.location.column, told.location.row, told.evidence["rows"]) == ("last", 4, 5)
    assert "(first rows: 4, 5, 6)" in told.message
    assert len(outcome.findings) == 1
