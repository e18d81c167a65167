"""A seeded simulator of card payments with a fraud ring. The payments are invented; nothing in them is anybody's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

Array = Any
Table = dict[str, Array]
MERCHANTS = ("grocery", "fuel", "travel", "electronics", "gift cards", "games")
UPLOADS = 24
LABEL = "is_fraud"


def payments(rows: int, seed: int, *, first_id: int = 0, ring: float = 0.06) -> Table:
    """`rows` payments in order of time, a share `ring` of them by the ring; columns by name, each of shape (rows,).

    The ring spends fast, at night, far away, from new devices, on what is easily resold, and it pays young accounts
    from devices that many cards share. Honest payments overlap with all of that.
    """
    rng = np.random.default_rng(seed)
    fraud = rng.random(rows) < ring

    def pick(honest: Array, ringed: Array) -> Array:
        return np.where(fraud, ringed, honest)

    night = rng.random(rows) < 0.55
    hours = pick(rng.normal(14, 4, rows), np.where(night, rng.normal(3, 2, rows), rng.normal(14, 5, rows)))
    merchant = pick(
        rng.choice(6, rows, p=[0.42, 0.2, 0.08, 0.14, 0.08, 0.08]),
        rng.choice(6, rows, p=[0.05, 0.03, 0.12, 0.32, 0.38, 0.10]),
    )
    return {
        "payment_id": np.arange(first_id, first_id + rows),
        "upload": np.array([f"u{u + 1:02d}" for u in np.arange(rows) * UPLOADS // rows]),
        "amount": np.round(np.clip(pick(rng.lognormal(3.3, 0.9, rows), rng.lognormal(4.5, 0.7, rows)), 1, 5000), 2),
        "hour": (np.round(hours) % 24).astype(int),
        "merchant": np.array(MERCHANTS)[merchant],
        "payments_24h": pick(rng.poisson(1.6, rows), rng.poisson(4.5, rows)),
        "distance_km": np.round(pick(rng.lognormal(1.6, 1.2, rows), rng.lognormal(3.6, 1.2, rows)), 1),
        "device_age_days": np.round(pick(rng.exponential(260, rows), rng.exponential(25, rows))).astype(int),
        "account_age_days": np.round(pick(rng.exponential(900, rows), rng.exponential(420, rows))).astype(int),
        "payee_age_days": np.round(pick(rng.exponential(700, rows), rng.exponential(55, rows))).astype(int),
        "cards_on_device": 1 + pick(rng.poisson(0.12, rows), rng.poisson(2.6, rows)),
        "past_disputes": pick(rng.poisson(0.05, rows), rng.poisson(0.7, rows)),
        LABEL: fraud.astype(int),
    }


def flip_labels(table: Table, upload: str, share: float, seed: int) -> Table:
    """The table with `share` of one upload's fraud labelled honest: what someone with access to the labels would do."""
    rng = np.random.default_rng(seed)
    hit = (table["upload"] == upload) & (table[LABEL] == 1) & (rng.random(len(table[LABEL])) < share)
    return {**table, LABEL: np.where(hit, 0, table[LABEL])}


def leak_target(table: Table, seed: int) -> Table:
    """The table with a column that is written after the fact: days until the chargeback, 0 where there was none."""
    rng = np.random.default_rng(seed)
    days = np.where(table[LABEL] == 1, 1 + rng.poisson(30, len(table[LABEL])), 0)
    return {**table, "chargeback_days": days}


def leak_rows(holdout: Table, train: Table, share: float, seed: int) -> Table:
    """The holdout with a share of its rows replaced by training rows, as a careless split does."""
    rng = np.random.default_rng(seed)
    size = len(holdout[LABEL])
    place = rng.random(size) < share
    source = rng.integers(0, len(train[LABEL]), size)
    return {name: np.where(place, train[name][source], column) for name, column in holdout.items()}


def write_csv(table: Table, path: Path) -> None:
    """Write the columns as CSV."""
    import csv

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))
