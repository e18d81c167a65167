"""How often `assay attack` cannot judge an honest model: made-up tables, drawn models, norms, accesses and contracts.

python benchmarks/bench_refusals.py [--runs N] [--seed N]

Each run draws one combination: a model (logistic regression and a network behind a StandardScaler, a random forest,
histogram boosting, XGBoost, LightGBM) on 750 made-up rows (whole numbers, steps of 50, cents, a count, a one-hot group,
two numbers of which one is never below the other), a norm, an access and a contract, and attacks 40 rows of 750 others
by the command, as a user would. A run is open where it exits with 3: the sanity test failed, or nothing could be asked.
Every such run is printed with its reason.
"""

from __future__ import annotations

import argparse
import itertools
import pickle
import random
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from common import ASSAY

from assay.stats.intervals import wilson

MODELS = ("logistic", "network", "forest", "histograms", "xgboost", "lightgbm")
NORMS = ("linf", "l2", "l1", "cost")
ACCESSES = ("whitebox", "score", "label")
CONTRACTS = ("ranges", "steps", "one-hot", "relation", "scales", "all")
ROWS, ATTACKED, WORKERS = 750, 40, 1


def table(seed: int) -> pd.DataFrame:
    """Twice ROWS rows; of odd seeds the label bends where inputs meet."""
    rng, n = np.random.default_rng([seed, 77]), 2 * ROWS
    kind = rng.integers(0, 3, n)
    low = rng.uniform(0, 10, n).round(2)
    df = pd.DataFrame(
        {
            "months": rng.integers(1, 60, n), "amount": np.round(rng.gamma(2, 300, n) / 50) * 50,
            "age": rng.integers(18, 80, n), "rate": rng.normal(size=n), "cents": rng.normal(2, 1, n).round(2),
            "far": rng.exponential(3, n).round(3), "count": rng.integers(0, 4, n),
            **{f"is_{name}": (kind == k).astype(int) for k, name in enumerate("abc")},
            "low": low, "high": (low + rng.exponential(2, n)).round(2),
        }
    )  # fmt: skip
    margin = ((df - df.mean()) / df.std()) @ rng.normal(size=df.shape[1])
    if seed % 2:
        margin = margin + 2.0 * ((df.rate > 0) & (df.months > 30)) - 1.5 * (df.cents * df.rate > 1)
    return df.assign(y=(margin + rng.normal(size=n) * 0.7 > np.quantile(margin, 0.7)).astype(int))


def threat(contract: str, df: pd.DataFrame) -> dict[str, Any]:
    """A threat model of the kind."""
    features: dict[str, Any] = {n: {"min": float(df[n].min()), "max": float(df[n].max())} for n in df if n != "y"}
    for name in ("months", "age", "count"):
        features[name]["integer"] = True
    if contract in ("steps", "all"):
        features["amount"]["step"], features["cents"]["step"] = 50, 0.01
        features["months"]["direction"], features["far"]["direction"] = "up", "down"
        features["age"] = {"mutable": False}
    if contract in ("one-hot", "all"):
        features["count"] = {"order": [0, 1, 2, 3]}
        features = {n: f for n, f in features.items() if not n.startswith("is_")}
        features["kind"] = {"one_hot": ["is_a", "is_b", "is_c"]}
    if contract == "scales":
        features = {n: {**f, "scale": float(df[n].std())} for n, f in features.items()}
    return {"features": features, "constraints": ["low <= high"] if contract in ("relation", "all") else []}


def trained(kind: str, df: pd.DataFrame, folder: Path, seed: int) -> Path:
    """The file of a model of the kind."""
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from xgboost import XGBClassifier

    x, y = df.drop(columns="y"), df.y
    if kind == "xgboost":
        XGBClassifier(n_estimators=60, max_depth=4, n_jobs=1).fit(x, y).save_model(folder / "m.json")
        return folder / "m.json"
    if kind == "lightgbm":
        grown = LGBMClassifier(n_estimators=60, num_leaves=15, verbose=-1, n_jobs=1).fit(x, y)
        grown.booster_.save_model(folder / "m.txt")
        return folder / "m.txt"
    made = {
        "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        "network": lambda: make_pipeline(StandardScaler(), MLPClassifier((16, 8), max_iter=300, random_state=seed)),
        "forest": lambda: RandomForestClassifier(40, random_state=seed, n_jobs=1),
        "histograms": lambda: HistGradientBoostingClassifier(max_iter=60, random_state=seed),
    }
    (folder / "m.pkl").write_bytes(pickle.dumps(made[kind]().fit(x, y)))
    return folder / "m.pkl"


def attacked(kind: str, norm: str, access: str, contract: str, seed: int) -> tuple[int, str]:
    """(exit code, the reason of what is open) of one run."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, df = Path(temporary), table(seed)
        model = trained(kind, df[:ROWS], folder, seed)
        df[ROWS:].to_csv(folder / "rows.csv", index=False)
        (folder / "threat.yaml").write_text(yaml.safe_dump(threat(contract, df)))
        command = [*ASSAY, "attack", str(model), "--data", str(folder / "rows.csv"), "--label", "y", "--threat"]
        command += [str(folder / "threat.yaml"), "--norm", norm, "--access", access, "--rows", str(ATTACKED)]
        done = subprocess.run([*command, "--jobs", str(WORKERS)], capture_output=True, text=True, check=False)
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if "could not be judged" in line]
    return done.returncode, said[0] if said else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    every = list(itertools.product(MODELS, NORMS, ACCESSES, CONTRACTS))
    chosen = draw.sample(every, min(asked.runs, len(every)))
    runs, bad = Counter[str](), Counter[str]()
    for one in chosen:
        code, why = attacked(*one, draw.randrange(1000))
        runs.update(one)
        if code not in (0, 1):
            bad.update(one)
            print(f"open: {', '.join(one)} (exit code {code}): {why}", flush=True)
    print("| of | runs | open |\n| --- | --- | --- |")
    for group in (MODELS, NORMS, ACCESSES, CONTRACTS):
        for name in group:
            print(f"| {name} | {runs[name]} | {bad[name]} |")
    count, total = sum(bad[n] for n in MODELS), len(chosen)
    low, high = wilson(count, total)
    print(f"| all | {total} | {count} ({count / total:.1%}, 95%: {low:.1%} to {high:.1%}) |")


if __name__ == "__main__":
    main()
