"""The simulator: seeded, plausible, and its attacks do what they say and nothing else."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
from assay.labs.simulate import LABEL, UPLOADS, flip_labels, leak_rows, leak_target, payments, write_csv  # noqa: E402


def test_one_seed_one_table_and_another_seed_another() -> None:
    first, same, other = payments(500, 1), payments(500, 1), payments(500, 2)
    assert all((first[n] == same[n]).all() for n in first)
    assert any((first[n] != other[n]).any() for n in first)


def test_the_payments_are_plausible() -> None:
    table = payments(20_000, 4)
    fraud = table[LABEL] == 1
    assert fraud.mean() == pytest.approx(0.06, abs=0.01)
    assert len(set(table["payment_id"].tolist())) == 20_000
    assert len(set(table["upload"].tolist())) == UPLOADS
    assert (table["amount"] >= 1).all()
    assert set(table["hour"].tolist()) <= set(range(24))
    assert (table["cards_on_device"] >= 1).all()
    for name, sign in (("payments_24h", 1), ("device_age_days", -1), ("payee_age_days", -1), ("amount", 1)):
        assert sign * (np.median(table[name][fraud]) - np.median(table[name][~fraud])) > 0, name


def test_honest_payments_overlap_with_the_ring() -> None:
    table = payments(20_000, 4)
    fraud = table[LABEL] == 1
    for name, column in table.items():
        if name not in (LABEL, "payment_id", "upload", "merchant"):
            assert column[fraud].min() <= np.quantile(column[~fraud], 0.9), name
            assert column[fraud].max() >= np.quantile(column[~fraud], 0.1), name


def test_flipping_touches_only_fraud_of_one_upload() -> None:
    table = payments(6000, 1)
    flipped = flip_labels(table, "u03", 0.7, 1)
    changed = flipped[LABEL] != table[LABEL]
    there = (table["upload"] == "u03") & (table[LABEL] == 1)
    assert changed.sum() == pytest.approx(0.7 * there.sum(), rel=0.5)
    assert not (changed & ~there).any()
    assert all(flipped[n] is table[n] for n in table if n != LABEL)


def test_the_leaks_are_what_they_say() -> None:
    train, holdout = payments(2000, 1), payments(1000, 2, first_id=2000)
    leaked = leak_target(train, 1)
    assert ((leaked["chargeback_days"] > 0) == (train[LABEL] == 1)).all()
    mixed = leak_rows(holdout, train, 0.1, 1)
    known = set(train["payment_id"].tolist())
    assert sum(i in known for i in mixed["payment_id"].tolist()) == pytest.approx(100, abs=40)
    assert len(mixed[LABEL]) == 1000


def test_what_is_written_can_be_read_back(tmp_path: Path) -> None:
    table = payments(50, 1)
    write_csv(table, tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(r["amount"]) for r in rows] == table["amount"].tolist()
    assert list(rows[0]) == list(table)
