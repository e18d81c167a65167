"""Small models that the performance and evasion tests train in their own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from assay.labs.simulate import LABEL, Table, payments

INPUTS = ("payee_age_days", "cards_on_device", "payments_24h", "device_age_days")
RISES = (-1, 1, 1, -1)
FACTS: dict[str, Any] = {"label": LABEL, "positive": 1, "drop": ["payment_id", "upload", "merchant"]}


def matrix(table: Table, inputs: tuple[str, ...] = INPUTS) -> Any:
    """The inputs as float64 (rows, inputs)."""
    return np.column_stack([np.asarray(table[c], dtype=float) for c in inputs])


def lightgbm_model(
    path: Path, table: Table, inputs: tuple[str, ...] = INPUTS, rounds: int = 25, rises: tuple[int, ...] = ()
) -> Any:
    """A monotone LightGBM text model; gives the booster."""
    import lightgbm as lgb

    data = lgb.Dataset(matrix(table, inputs), label=table[LABEL], feature_name=list(inputs))
    rises = rises or tuple(RISES[INPUTS.index(c)] for c in inputs)
    parameters = {
        "objective": "binary", "num_leaves": 7, "learning_rate": 0.2, "verbose": -1, "num_threads": 1, "seed": 1,
        "deterministic": True, "monotone_constraints": list(rises),
    }  # fmt: skip
    model = lgb.train(parameters, data, num_boost_round=rounds)
    model.save_model(path)
    return model


def onnx_model(path: Path, table: Table, inputs: tuple[str, ...] = INPUTS) -> Any:
    """A logistic regression as ONNX; gives the scikit-learn pipeline."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X = matrix(table, inputs).astype(np.float32)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, table[LABEL])
    path.write_bytes(to_onnx(pipeline, X[:1], options={"zipmap": False}).SerializeToString())
    return pipeline


def two_tables() -> tuple[Table, Table]:
    """(train, holdout) of simulated payments."""
    return payments(1500, 1), payments(1200, 2)
