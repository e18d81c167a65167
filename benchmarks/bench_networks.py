"""White-box evasion of small networks: distance, share decided at the median distance, seconds a row.

python benchmarks/bench_networks.py --data DIR [--sets NAME ...] [--widths A,B ...] [--activation NAME] [--rows N]
    [--seed N]

DIR holds the CSV files of bench_data.py. Numeric columns (at most 30) are scaled to [0, 1]; scikit-learn's
MLPClassifier, pickled, is read out of its sandbox. Caught rows of the rest may move within [0, 1]. The budget is the
median of the distances found without one; decided is evaded within it or proved. Seconds are CPU seconds of this
process. The limits of the programs behind proofs were chosen on phishing, spambase and nsl_kdd.
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
import pyarrow as pa
from bench_data import table

from assay.adapters.predictors import open_predictor
from assay.attacks.gradient.attack import attack_gradient
from assay.attacks.space import Space
from assay.core.errors import CouldNotLook
from assay.core.subject import Contract, Feature, Kind, Subject

WIDTH = 30
SETS = ("uci_credit", "adult", "phishing", "spambase")


def numbers(name: str, data: Path) -> tuple[Any, Any]:
    """(x in [0, 1], y) of a table."""
    frame = table(name, data).dropna()
    y = frame.pop("y").to_numpy().astype(int)
    x = frame.select_dtypes("number").to_numpy(dtype=float)
    x = x[:, x.std(axis=0) > 0][:, :WIDTH]
    low, high = x.min(axis=0), x.max(axis=0)
    return (x - low) / (high - low), y


def measured(name: str, widths: tuple[int, ...], data: Path, rows: int, seed: int, activation: str) -> None:
    """One network: a line for each norm."""
    from sklearn.neural_network import MLPClassifier

    x, y = numbers(name, data)
    order = np.random.default_rng(seed).permutation(len(y))[:12_000]
    x, y = x[order], y[order]
    cut = int(0.6 * len(y))
    columns = tuple(f"x{j}" for j in range(x.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = MLPClassifier(widths, activation=activation, max_iter=60, random_state=seed).fit(x[:cut], y[:cut])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "m.pkl").write_bytes(pickle.dumps(fitted))
        options = {"inputs": list(columns), "threshold": float(np.quantile(fitted.predict_proba(x[:cut])[:, 1], 0.8))}
        subject = Subject(name="m", kind=Kind.MODEL, uri="m.pkl", options=options)
        with open_predictor(subject, Path(folder)) as model:
            known = pa.table(dict(zip(columns, x[:cut].T, strict=True)))
            rest = pa.table(dict(zip(columns, x[cut:].T, strict=True)))
            flags = model.flagged(rest)
            caught = rest.take(pa.array(np.flatnonzero(flags & (y[cut:] == 1))[:rows]))
            passing = rest.take(pa.array(np.flatnonzero(~flags)[:500]))
            contract = Contract(features={n: Feature(min=0.0, max=1.0) for n in columns})
            space = Space(caught, contract, known, dict.fromkeys(columns, "number"), columns)
            for norm in ("linf", "l2", "l1"):
                print(line(model, space, passing, norm, f"| {name} {widths} {activation} | {norm} ", seed), flush=True)


def line(model: Any, space: Space, passing: Any, norm: Any, head: str, seed: int) -> str:
    """A line of the table."""
    start = time.process_time()
    try:
        first = attack_gradient(model, space, passing, norm, np.inf, seed=seed)
        found = time.process_time() - start
        budget = float(np.median(first.distance))
        start = time.process_time()
        again = attack_gradient(model, space, passing, norm, budget, seed=seed)
    except CouldNotLook as why:
        return f"{head}| {space.size} | refused: {str(why)[:90]} | | | |"
    taken = (time.process_time() - start) / space.size
    decided = np.mean([v in ("evaded", "certified") for v in again.verdicts(budget)])
    return f"{head}| {space.size} | {found / space.size:.3f} | {budget:.4g} | {decided:.0%} | {taken:.3f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--widths", nargs="+", default=["16", "32,16", "64,32"])
    parser.add_argument("--activation", default="relu", choices=("relu", "tanh", "logistic"))
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print("| network | norm | rows | s a row, no budget | median distance | decided there | s a row |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in asked.sets:
        for widths in asked.widths:
            measured(
                name, tuple(int(w) for w in widths.split(",")), asked.data, asked.rows, asked.seed, asked.activation
            )


if __name__ == "__main__":
    main()
