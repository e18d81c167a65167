"""Two hundred seeds: a relabelled upload is found, clean payments are left alone, as often as the check promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("lightgbm")
pytest.importorskip("duckdb")

from assay.core.finding import Outcome, Severity, Status
from assay.core.subject import Kind, Subject
from assay.engine.inline import InlineExecutor
from assay.engine.task import Task
from assay.labs.simulate import LABEL, UPLOADS, flip_labels, payments, write_csv

pytestmark = pytest.mark.heavy
SEEDS = range(1000, 1200)  # no threshold was chosen on these
OPTIONS: dict[str, Any] = {"label": LABEL, "positive": 1, "id": "payment_id", "source": "upload", "drop": ["upload"]}


def asked(table: dict[str, Any], folder: Path, seed: int) -> Outcome:
    write_csv(table, folder / "t.csv")
    subject = Subject(name="t", kind=Kind.DATASET, uri="t.csv", options=OPTIONS)
    parameters = {"rate": 0.01, "alpha": 0.01}
    task = Task(
        check="data.label-flips", subject="t", root=str(folder), subjects={"t": subject}, seed=seed,
        parameters=parameters,
    )  # fmt: skip
    ((_, outcome, _),) = InlineExecutor().run([msgspec.json.encode(task)])
    assert outcome.complete, outcome.reason
    return outcome


def test_clean_payments_raise_hardly_an_alarm(tmp_path: Path) -> None:
    alarms = [s for s in SEEDS if asked(payments(4000, s), tmp_path, s).status is not Status.PASS]
    assert len(alarms) <= 7, alarms  # at alpha = 0.01, more than 7 of 200 is chance once in a thousand


def test_a_relabelled_upload_is_named_and_no_other(tmp_path: Path) -> None:
    missed, wrong = [], []
    for seed in SEEDS:
        upload = f"u{seed % UPLOADS + 1:02d}"
        outcome = asked(flip_labels(payments(6000, seed), upload, 0.8, seed), tmp_path, seed)
        named = {f.evidence["batch"] for f in outcome.findings if f.severity is Severity.HIGH}
        missed += [seed] * (upload not in named)
        wrong += [seed] * bool(named - {upload})
    assert len(missed) <= 4, missed
    assert len(wrong) <= 7, wrong
