"""False alarms on real tables that nobody poisoned: no check of data may cry high on them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from checks_tools import Bench, said

pytest.importorskip("lightgbm")
np = pytest.importorskip("numpy")
SHARED = Path(os.environ.get("ASSAY_SHARED", Path(__file__).parents[2].parent / "shared")) / "data/tabular"
CHECKS = ("data.duplicates", "data.target-leakage", "data.split-leakage", "data.label-flips")
SETS: dict[str, dict[str, Any]] = {
    "adult_train.csv": {"header": False, "label": "column14", "positive": ">50K"},
    "german_credit.csv": {"header": False, "label": "column20", "positive": 2},
    "nsl_kdd_train20.csv": {"header": False, "label": "column41", "positive": "normal", "drop": ["column42"]},
    "spambase.csv": {"positive": 1},
    "phishing_urls.csv": {"label": "CLASS_LABEL", "positive": 1, "id": "id"},
    "uci_credit_card.csv": {"label": "default.payment.next.month", "positive": 1, "id": "ID"},
    "fraud_oracle.csv": {
        "label": "FraudFound_P", "positive": 1, "id": "PolicyNumber", "time": "Year", "source": "RepNumber",
        "drop": ["RepNumber"],
    },
}  # fmt: skip


def split(bench: Bench, name: str) -> str:
    """Seven tenths to train on, three to judge, drawn at random."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{name} is not in the shared data")
    facts = dict(SETS[name])
    lines = [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    head = [] if facts.get("header") is False else [lines.pop(0)]
    facts.setdefault("label", head[0].rpartition(",")[2].strip('"') if head else "")
    mine = np.random.default_rng(0).random(len(lines)) < 0.3
    for part, want in (("train", False), ("hold", True)):
        text = "\n".join([*head, *(line for line, m in zip(lines, mine, strict=True) if m == want)])
        bench.table(text + "\n", part, holdout_of="train" if want else "", **facts)
    return "hold"


@pytest.mark.parametrize("name", sorted(SETS))
def test_clean_tables_raise_no_high_alarm(bench: Bench, name: str) -> None:
    hold = split(bench, name)
    for check in CHECKS:
        outcome = bench.ask(check, hold if check == "data.split-leakage" else "train", seed=1)
        assert outcome.complete, (check, outcome.reason)
        assert [m for s, m in said(outcome) if s in ("high", "critical")] == [], check
        assert check == "data.duplicates" or str(outcome.status) == "pass", (check, said(outcome))
