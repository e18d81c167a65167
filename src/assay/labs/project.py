"""The projects of the demo, on simulated payments: compromised, mended but fragile, and robust."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assay.labs.simulate import LABEL, MERCHANTS, Table, flip_labels, leak_rows, leak_target, payments, write_csv

State = Literal["compromised", "fragile", "robust"]
EASY = ("amount", "hour", "merchant", "payments_24h", "distance_km", "device_age_days")
HARD = ("payee_age_days", "cards_on_device", "account_age_days", "past_disputes", "device_age_days", "payments_24h")
TRAIN_ROWS, HOLDOUT_ROWS = 12_000, 6_000
RISES_WITH_RISK = {
    "payee_age_days": -1, "account_age_days": -1, "cards_on_device": 1, "past_disputes": 1, "device_age_days": -1,
    "payments_24h": 1,
}  # fmt: skip

MANIFEST = """\
system:
  name: card-payments
  owner: payments-ml@example.com
  purpose: hold card payments that look like the fraud ring's
  role: deployer
  risk: high
  affected: cardholders whose payment is held

subjects:
  train: {{dataset: data/train.csv, label: is_fraud, positive: 1, id: payment_id, source: upload, drop: [{drop}]}}
  holdout: {{dataset: data/holdout.csv, label: is_fraud, positive: 1, drop: [{drop}], holdout_of: train}}
  model: {{model: models/{model}, data: train, holdout: holdout, threshold: {threshold}}}

# What a member of the ring can change about a payment, and what it costs. The rest takes months, or other people.
features:
  amount: {{min: 1, max: 5000, direction: down, scale: 50}}
  hour: {{min: 0, max: 23, integer: true, scale: 6}}
  merchant: {{categories: [{merchants}], cost: 1}}
  payments_24h: {{min: 0, integer: true, direction: down, scale: 2}}
  distance_km: {{min: 0, direction: down, scale: 50}}
  device_age_days: {{min: 0, integer: true, direction: up, scale: 60}}
  account_age_days: {{mutable: false}}
  payee_age_days: {{mutable: false}}
  cards_on_device: {{mutable: false}}
  past_disputes: {{mutable: false}}

checks:
  robustness.evasion: {{cost: 3, access: label, rows: 200}}
  theft.extraction: {{queries: 1000, runs: 1}}   # the default asks 20,000, twice
  data.schema: {{}}

policy: policy.yaml
"""

POLICY = """\
policy: payments-release
version: 1
mode: enforce
max_age: 30d
parameters:
  robustness.evasion: {cost: 3, access: label, rows: 200}
  theft.extraction: {queries: 1000, runs: 1}
waivers: {roles: [security], longest: 30d}
require:
  - findings: {severity: critical, unwaived_max: 0}
  - findings: {severity: high, unwaived_max: 0}
  - outcome: {check: "artifact.*", status: pass}
  - outcome: {check: "data.*", status: pass}
  - measure: {name: performance.recall, min: 0.60, bound: lower95}
  - measure: {name: robustness.evasion.recall_under_attack, min: 0.40, bound: lower95}
  - approvals: {roles: [security, compliance], distinct: 2, exclude: author}
"""


class _Planted:
    """Stands for a model whose pickle runs a command when it is loaded. The command is harmless and never run here."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("echo this could have been anything",)


def write_project(folder: Path, state: State, seed: int) -> None:
    """Write data, model, manifest and policy of one state of the story into `folder`."""
    for name in ("data", "models"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    train = payments(TRAIN_ROWS, seed)
    holdout = payments(HOLDOUT_ROWS, seed + 1, first_id=TRAIN_ROWS)
    if state == "compromised":
        holdout = leak_target(leak_rows(holdout, train, 0.05, seed), seed)
        train = flip_labels(leak_target(train, seed), "u17", 0.7, seed)
    write_csv(train, folder / "data/train.csv")
    write_csv(holdout, folder / "data/holdout.csv")
    name, threshold = _write_model(folder / "models", train, state, seed)
    merchants = ", ".join(MERCHANTS)
    manifest = MANIFEST.format(drop="upload", model=name, threshold=threshold, merchants=merchants)
    if state == "compromised":
        manifest = manifest.replace("  past_disputes:", "  chargeback_days: {mutable: false}\n  past_disputes:")
    (folder / "assay.yaml").write_text(manifest, "utf-8")
    (folder / "policy.yaml").write_text(POLICY, "utf-8")


def _write_model(folder: Path, train: Table, state: State, seed: int) -> tuple[str, float]:
    """(file name, threshold). The threshold is the training score that a twelfth of the payments reach."""
    import lightgbm as lgb

    inputs = {"compromised": (*EASY, "chargeback_days"), "fragile": EASY, "robust": HARD}[state]
    columns = [
        np.searchsorted(sorted(MERCHANTS), train[c]) if c == "merchant" else train[c].astype(float) for c in inputs
    ]
    data = lgb.Dataset(
        _frame(inputs, columns), label=train[LABEL], categorical_feature=["merchant"] if "merchant" in inputs else []
    )
    parameters = {
        "objective": "binary", "learning_rate": 0.08, "num_leaves": 15, "min_data_in_leaf": 40, "seed": seed,
        "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbose": -1,
    }  # fmt: skip
    if state == "robust":
        parameters["monotone_constraints"] = [RISES_WITH_RISK[c] for c in inputs]
    model = lgb.train(parameters, data, num_boost_round=120)
    scores = model.predict(_frame(inputs, columns))
    threshold = round(float(np.quantile(scores, 1 - 1 / 12)), 3)
    if state == "compromised":
        planted = {"model": model.model_to_string(), "warm_up": _Planted()}
        (folder / "model.pkl").write_bytes(pickle.dumps(planted, protocol=4))
        return "model.pkl", threshold
    model.save_model(folder / "model.txt")
    return "model.txt", threshold


def _frame(inputs: tuple[str, ...], columns: list[Any]) -> Any:
    """The columns as LightGBM keeps their names and categories: a pandas frame."""
    import pandas as pd

    frame = pd.DataFrame(dict(zip(inputs, columns, strict=True)))
    if "merchant" in inputs:
        levels = sorted(MERCHANTS)
        frame["merchant"] = pd.Categorical([levels[int(c)] for c in frame["merchant"]], categories=levels)
    return frame
