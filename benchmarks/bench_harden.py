"""Hardening scikit-learn's MLP against evasion on NSL-KDD and phishing URLs, beside the controls, three seeds.

python benchmarks/bench_harden.py --data DIR [--sets NAME ...] [--seeds N] [--rows N] [--queries N]
    [--original mlp|lightgbm|xgboost] [--try OPTION ...] [--quick]

DIR holds the CSV files of bench_data.py. Of a table the numeric columns are scaled to [0, 1]; a seed halves the rows
into training and holdout, and StandardScaler with MLPClassifier (64, 32) of 60 rounds (or 100 trees) is the original.
An attacker may move every column within [0, 1] by up to --budget (L-infinity). Options and controls are compared as
`assay harden` does; the figures are those of the rows that confirm, at 1% false alarms: recall, and what is left of it
after white-box, score, label-only and transfer attacks together, the worst for each row (controls: white-box alone,
which flatters them).
"""

from __future__ import annotations

import argparse
import pickle
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bench_data import table

from assay.flow.harden_model import Asked, harden_model
from assay.harden.hardening.result import Measured, ModelHardened, Rate

SETS = ("nsl_kdd", "phishing", "spambase")
BUDGET = 0.05
HEAD = (
    "| set | seed | what | recall | under attack | false alarms | each attack | verdict |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def case(name: str, data: Path, folder: Path, seed: int, original: str) -> Path:
    """The tables and the threat model, in a folder; the original's file."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = table(name, data).dropna()
    y = frame.pop("y").to_numpy().astype(int)
    x = frame.select_dtypes("number").to_numpy(dtype=float)
    x = x[:, x.std(axis=0) > 0]
    x = (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0))
    rows = pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])]).assign(y=y)
    order = np.random.default_rng(seed).permutation(len(y))
    half = len(y) // 2
    rows.iloc[order[:half]].to_parquet(folder / "train.parquet")
    rows.iloc[order[half:]].to_parquet(folder / "hold.parquet")
    threat = "".join(f"  x{j}: {{min: 0, max: 1}}\n" for j in range(x.shape[1]))
    (folder / "threat.yaml").write_text("features:\n" + threat, "utf-8")
    if original != "mlp":
        return boosted(rows.iloc[order[:half]], folder, seed, original)
    model = make_pipeline(StandardScaler(), MLPClassifier((64, 32), max_iter=60, random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows.iloc[order[:half], :-1], y[order[:half]])
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    return folder / "model.pkl"


def boosted(train: pd.DataFrame, folder: Path, seed: int, original: str) -> Path:
    """100 trees of LightGBM or XGBoost with its defaults."""
    x, y = train.drop(columns="y"), train["y"]
    if original == "xgboost":
        import xgboost

        made = xgboost.train({"objective": "binary:logistic", "seed": seed, "nthread": 1}, xgboost.DMatrix(x, y), 100)
        made.save_model(folder / "model.json")
        return folder / "model.json"
    import lightgbm

    how = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": seed}
    lightgbm.train(how, lightgbm.Dataset(x, y), 100).save_model(folder / "model.txt")
    return folder / "model.txt"


def told(rate: Rate | None, form: str = ".3f") -> str:
    """A rate with its interval."""
    return "–" if rate is None else f"{rate.value:{form}} ({rate.low:{form}} to {rate.high:{form}})"


def line(name: str, seed: int, m: Measured, verdict: str) -> str:
    """One line of the table."""
    each = ", ".join(f"{n} {r.value:.3f}" for n, r in m.attacks.items()) or m.why
    cells = (name, seed, m.name, told(m.clean), told(m.attacked), told(m.alarms, ".4f"), each, verdict)
    return f"| {' | '.join(map(str, cells))} |"


def report(name: str, seed: int, done: ModelHardened, seconds: float) -> None:
    """The lines of one run."""
    for m in done.confirmed:
        print(line(name, seed, m, done.verdict if m.role == "option" else m.role), flush=True)
    for g in done.gains:
        print(f"  gain over {g.over}: under attack {told(g.attacked, '+.3f')}, clean {told(g.clean, '+.3f')}")
    for m in done.picked_on:
        print(f"  to choose: {m.name}: {told(m.clean)}, under attack {told(m.attacked)} {m.why}")
    print(f"  {done.reasons[0]}; {seconds:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", type=int, default=150, help="positive rows that are attacked to confirm")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--budget", type=float, default=BUDGET)
    parser.add_argument("--try", dest="options", nargs="+", default=[], help="only these options")
    parser.add_argument("--original", default="mlp", choices=("mlp", "lightgbm", "xgboost"))
    parser.add_argument("--quick", action="store_true", help="one seed, one option, 50 rows")
    asked = parser.parse_args()
    only: tuple[str, ...] = ("adversarial-half",) if asked.quick else tuple(asked.options)
    print(HEAD)
    for name in asked.sets:
        for seed in asked.seeds[:1] if asked.quick else asked.seeds:
            with tempfile.TemporaryDirectory() as place:
                folder, began = Path(place), time.monotonic()
                model = case(name, asked.data, folder, seed, asked.original)
                how: dict[str, Any] = {"norm": "linf", "budget": asked.budget, "access": "whitebox", "seed": seed}
                what = Asked(
                    train=folder / "train.parquet", holdout=folder / "hold.parquet", label="y", only=only,
                    threat=folder / "threat.yaml", rows=50 if asked.quick else asked.rows, queries=asked.queries,
                    weak=True, **how,
                )  # fmt: skip
                report(name, seed, harden_model(model, what), time.monotonic() - began)


if __name__ == "__main__":
    main()
