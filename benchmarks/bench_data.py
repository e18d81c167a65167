"""Flipped labels and injected rows in public tables, beside cleanlab and pyod, and what clean tables raise.

python benchmarks/bench_data.py --data DIR [--seeds N] [--sets NAME ...] [--only flips trusted rows clean]

DIR holds the CSV files named below ("uci_credit" is both halves). Thresholds were chosen on the develop sets; the
others were kept for the end. cleanlab and pyod run in environments of their own; pyod's detectors are as they come and
read the same matrix, holes filled by the column's median, columns scaled to mean 0 and deviation 1, for LOF and KNN
categories one column for each of their 30 commonest levels.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from common import peer

from assay.adapters.encode import Encoded
from assay.attacks.poisoning.injection import beyond, origins
from assay.attacks.poisoning.labels import drawn
from assay.core.subject import Contract, Kind, Subject
from assay.core.suspects import Suspects
from assay.detectors.injected_rows import injected
from assay.detectors.label_suspicion import committee, leaning, stacked, suspicion, trusted_rates
from assay.detectors.odd_values import oddness
from assay.detectors.out_of_fold import out_of_fold
from assay.engine.inline import InlineExecutor
from assay.engine.task import Task
from assay.stats.intervals import wilson

Array = Any
DEVELOP = ("german_credit", "spambase", "fraud_oracle", "uci_credit, first half")
UNSEEN = ("uci_credit, second half", "adult", "nsl_kdd", "phishing")
CLEAN = ("data.label-flips", "data.injected-rows", "data.odd-values", "data.near-duplicates", "data.triggers")
CLEANLAB, PYOD = "2.9.0", "3.6.7"
DETECTORS = ("IForest", "ECOD", "LOF", "KNN")
PYOD_SEEDS = 3
MIXES = ("all", "half", "splice", "odd")
PEER = """
import sys, numpy as np, lightgbm as lgb
from cleanlab.rank import get_label_quality_scores
from sklearn.model_selection import StratifiedKFold, cross_val_predict
held = np.load(sys.argv[1])
p = cross_val_predict(lgb.LGBMClassifier(n_jobs=1, verbose=-1), held["x"], held["y"], method="predict_proba",
                      cv=StratifiedKFold(5, shuffle=True, random_state=0),
                      params={"categorical_feature": held["c"].tolist()})
np.savez(sys.argv[2], quality=get_label_quality_scores(held["y"], p))
"""
PYOD_PEER = """
import sys, time, numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from pyod.models.lof import LOF
held = np.load(sys.argv[1])
codes, out = held["c"].tolist(), {}
rest = [i for i in range(held["x"].shape[1]) if i not in codes]
plain = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
ones = ColumnTransformer([("n", plain, rest), ("c", OneHotEncoder(max_categories=30, sparse_output=False), codes)])
for model, how in ((IForest(random_state=int(held["seed"])), plain), (ECOD(), plain), (LOF(), ones), (KNN(), ones)):
    before = time.process_time()
    out[type(model).__name__] = model.fit(how.fit_transform(held["x"])).decision_scores_
    out["s" + type(model).__name__] = time.process_time() - before
np.savez(sys.argv[2], **out)
"""


def _named(column: object) -> str:
    """Columns without a name get one: a header of numbers would be taken for a row."""
    return column if isinstance(column, str) else f"c{column}"


def table(name: str, folder: Path) -> pd.DataFrame:
    """A public table with its label, 0 or 1, in the column y."""
    if name == "german_credit":
        frame = pd.read_csv(folder / "german_credit.csv", header=None)
        return frame.assign(y=(frame.pop(frame.columns[-1]) == 2).astype(int)).rename(columns=_named)
    if name == "spambase":
        frame = pd.read_csv(folder / "spambase.csv")
        return frame.rename(columns={frame.columns[-1]: "y"})
    if name == "fraud_oracle":
        frame = pd.read_csv(folder / "fraud_oracle.csv", sep=";").drop(columns=["PolicyNumber"])
        return frame.rename(columns={"FraudFound_P": "y"})
    if name.startswith("uci_credit"):
        frame = pd.read_csv(folder / "uci_credit_card.csv").drop(columns=["ID"])
        frame = frame.rename(columns={"default.payment.next.month": "y"})
        half = len(frame) // 2
        return frame[:half] if "first" in name else frame[half:].reset_index(drop=True) if "second" in name else frame
    if name == "adult":
        frame = pd.read_csv(folder / "adult_train.csv", header=None, skipinitialspace=True)
        return frame.assign(y=frame.pop(frame.columns[-1]).str.contains(">").astype(int)).rename(columns=_named)
    if name == "nsl_kdd":
        frame = pd.read_csv(folder / "nsl_kdd_train20.csv", header=None).iloc[:, :-1]  # the last is its difficulty
        return frame.assign(y=(frame.pop(frame.columns[-1]) != "normal").astype(int)).rename(columns=_named)
    return pd.read_csv(folder / "phishing_urls.csv").drop(columns=["id"]).rename(columns={"CLASS_LABEL": "y"})


def encoded(frame: pd.DataFrame) -> tuple[Encoded, Array]:
    """(features, label)."""
    features = frame.drop(columns=["y"])
    matrix, coded = np.empty(features.shape), []
    for place, name in enumerate(features.columns):
        if features[name].dtype.kind in "ifb":
            matrix[:, place] = features[name].to_numpy(float)
        else:
            codes, _ = pd.factorize(features[name], sort=True)
            matrix[:, place] = np.where(codes < 0, np.nan, codes)
            coded.append(place)
    names = tuple(map(str, features.columns))
    return Encoded(matrix=matrix, names=names, categorical=tuple(coded)), frame["y"].to_numpy() == 1


def flipped(y: Array, kind: str, seed: int) -> tuple[Array, Array]:
    """(labels, rows flipped): a fifth of the positives to negative, as many negatives to positive, or 5% of all."""
    of, many = {
        "positives": (np.flatnonzero(y), 0.2 * y.sum()),
        "negatives": (np.flatnonzero(~y), 0.2 * min(y.sum(), (~y).sum())),
        "uniform": (np.arange(len(y)), 0.05 * len(y)),
    }[kind]
    rows = drawn(of, round(many), seed)
    said = y.copy()
    said[rows] = ~said[rows]
    return said, rows


def mixed(matrix: Array, kind: Any, seed: int) -> tuple[Array, Array]:
    """(rows with 1% more among them, which those are): all or half of their values from other rows, each value from a
    row of its own; half of them from one other row (splice); or one value far outside its column's range (odd)."""
    rng = np.random.default_rng([seed, 5])
    n, width = matrix.shape
    many = max(1, round(0.01 * n))
    if kind == "odd":
        new, _ = matrix[rng.integers(0, n, many)].copy(), rng.integers(0, n, many)  # the draws of the other kinds
        for i in range(many):
            at = rng.permutation(width)[0]
            new[i, at] = beyond(matrix[:, at])
    else:
        new = matrix[origins(n, width, many, kind, rng), np.arange(width)]
    planted = np.zeros(n + many, dtype=bool)
    planted[rng.choice(n + many, many, replace=False)] = True
    out = np.empty((n + many, width))
    out[planted], out[~planted] = new, matrix
    return out, np.flatnonzero(planted)


def recall(score: Array, rows: Array) -> float:
    """The share of `rows` among as many of the highest scores."""
    return float(np.isin(np.argsort(-score, kind="stable")[: len(rows)], rows).mean())


def mean(values: list[float]) -> str:
    """Mean ± standard error."""
    spread = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.3f} ± {spread:.3f}"


def show(title: str, head: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    """Print one table, row by row as it is measured."""
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def flip_rows(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """Recall at as many rows as were flipped."""
    binary = peer("cleanlab", CLEANLAB, "lightgbm", "scikit-learn")
    for name in sets:
        features, y = encoded(table(name, folder))
        for kind in ("positives", "uniform", "negatives"):
            ours, theirs, spent, leans = [], [], [], []
            for seed in range(min(seeds, 3) if kind == "negatives" else seeds):
                said, rows = flipped(y, kind, seed)
                started = time.process_time()
                votes = committee(features, said, out_of_fold(features, said, seed), seed)
                leans.append(leaning(votes, said))
                score = suspicion(votes, said, leans[-1])
                spent.append(time.process_time() - started)
                ours.append(recall(score, rows))
                if binary is not None:
                    theirs.append(recall(-by_peer(binary, PEER, features, y=said.astype(int))["quality"], rows))
            told = ", ".join(f"{w} {leans.count(w)}" for w in dict.fromkeys(leans))
            yield name, kind, mean(ours), mean(theirs) if theirs else "not installed", told, f"{np.mean(spent):.1f}"


def by_peer(binary: Path, script: str, features: Encoded, **also: Any) -> dict[str, Array]:
    """What a peer says of the features (and what it needs `also`), by name."""
    with tempfile.TemporaryDirectory() as folder:
        given, told = f"{folder}/given.npz", f"{folder}/told.npz"
        np.savez(given, x=features.matrix, c=np.array(features.categorical, dtype=int), **also)
        command = [str(binary / "python"), "-W", "ignore", "-c", script, given, told]
        subprocess.run(command, check=True, capture_output=True)
        return dict(np.load(told))


def trusted_rows(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """The same with a tenth of the rows, 2,000 at most, set apart as known to be right; and whether the count holds."""
    for name in sets:
        features, y = encoded(table(name, folder))
        for kind in ("positives", "uniform", "none"):
            ours, covered, lows, wide = [], 0, 0, []
            for seed in range(seeds):
                known = np.zeros(len(y), dtype=bool)
                known[np.random.default_rng([seed, 8]).permutation(len(y))[: min(2000, len(y) // 10)]] = True
                some, kept = (
                    msgspec.structs.replace(features, matrix=features.matrix[part]) for part in (known, ~known)
                )
                truth = y[~known]
                said, rows = flipped(truth, kind, seed) if kind != "none" else (truth, np.empty(0, dtype=int))
                both, _ = stacked(kept, some, None)
                labels = np.concatenate([said, y[known]])
                votes = committee(both, labels, out_of_fold(both, labels, seed), seed)
                rates = trusted_rates(votes[: len(said)], said, votes[len(said) :], y[known])
                if len(rows):
                    score = suspicion(votes[: len(said)], said, leaning(votes[: len(said)], said), rates)
                    ours.append(recall(score, rows))
                for count in rates.counts:
                    truly = int(((said != truth) & (said == count.is_)).sum())
                    covered += count.low <= truly <= count.high
                    lows += count.low > 0.01 * (said == count.is_).sum() and not truly
                    wide.append((count.high - count.low) / len(said))
            holds = f"{covered} of {2 * seeds}"
            yield name, kind, mean(ours) if ours else "", holds, f"{np.mean(wide):.3f}", lows


def row_rows(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """Recall at as many rows as were injected, by both scores, and CPU seconds per 10,000 rows; pyod's beside it."""
    binary = peer("pyod", PYOD)
    for name in sets:
        features, _ = encoded(table(name, folder))
        for kind in MIXES:
            ours, odd, share, spent = [], [], [], []
            told: dict[str, list[tuple[float, float]]] = {d: [] for d in DETECTORS}
            for seed in range(seeds if kind == "all" else min(seeds, 2)):
                matrix, rows = mixed(features.matrix, kind, seed)
                one = msgspec.structs.replace(features, matrix=matrix)
                started = time.process_time()
                found = injected(one, seed)
                spent.append((time.process_time() - started) / len(matrix) * 1e4)
                ours.append(recall(found.score, rows))
                share.append(found.share)
                odd.append(recall(oddness(one).score, rows))
                if binary is not None and kind == "all" and seed < PYOD_SEEDS:
                    said = by_peer(binary, PYOD_PEER, one, seed=seed)
                    for d in DETECTORS:
                        told[d].append((recall(said[d], rows), float(said["s" + d]) / len(matrix) * 1e4))
            peers = (f"{mean([r for r, _ in t])}, {np.mean([c for _, c in t]):.1f}" if t else "" for t in told.values())
            yield name, kind, mean(ours), mean(odd), mean(share), f"{np.mean(spent):.1f}", *peers


def clean_rows(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """What the checks say of clean tables, four fifths of the rows drawn anew for each seed."""
    for name in sets:
        frame = table(name, folder)
        for check in CLEAN:
            loud, flagged, rows = 0, 0, 0
            for seed in range(seeds):
                part = frame.sample(frac=0.8, random_state=seed)
                outcome, suspects = ask(check, part, seed)
                loud += any(str(f.severity) != "info" for f in outcome.findings)
                flagged += sum(suspects.flagged) if suspects is not None else 0
                rows += len(part)
            low, high = wilson(loud, seeds)
            yield name, check, f"{loud} of {seeds}", f"{low:.0%}–{high:.0%}", f"{flagged} of {rows}"


def ask(check: str, frame: pd.DataFrame, seed: int) -> tuple[Any, Suspects | None]:
    """(outcome, suspects) of one check of one table."""
    with tempfile.TemporaryDirectory() as folder:
        frame.to_csv(f"{folder}/t.csv", index=False)
        (Path(folder) / "suspects").mkdir()
        subject = Subject(name="t", kind=Kind.DATASET, uri="t.csv", options={"label": "y", "positive": 1})
        task = Task(
            check=check, subject="t", root=folder, subjects={"t": subject}, contract=Contract(), parameters={},
            seed=seed, suspects=f"{folder}/suspects",
        )  # fmt: skip
        ((_, outcome, _),) = InlineExecutor().run([msgspec.json.encode(task)])
        files = list((Path(folder) / "suspects").iterdir())
        return outcome, msgspec.msgpack.decode(files[0].read_bytes(), type=Suspects) if files else None


PARTS: dict[str, tuple[str, tuple[str, ...], Callable[..., Iterator[tuple[Any, ...]]]]] = {
    "flips": (
        "Flipped labels: recall at k",
        ("table", "flipped", "recall", f"cleanlab {CLEANLAB}", "direction told", "CPU s"), flip_rows,
    ),
    "trusted": (
        "Flipped labels with trusted rows",
        ("table", "flipped", "recall", "count in its interval", "mean width / rows", "false lows above 1%"),
        trusted_rows,
    ),
    "rows": (
        f"Injected rows (1%): recall at k, pyod {PYOD} beside it ({PYOD_SEEDS} seeds; with CPU s / 10,000 rows)",
        ("table", "values from", "dependency", "odd values", "share told", "CPU s / 10,000 rows", *DETECTORS), row_rows,
    ),
    "clean": (
        "Clean tables", ("table", "check", "tables with a finding above info", "95%", "rows flagged"), clean_rows,
    ),
}  # fmt: skip


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sets", nargs="+", default=[*DEVELOP, *UNSEEN])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    asked = parser.parse_args()
    print(f"Develop: {'; '.join(DEVELOP)}. Unseen until the end: {'; '.join(UNSEEN)}. Seeds: {asked.seeds}.")
    for part in asked.only:
        title, head, rows = PARTS[part]
        show(title, head, rows(asked.sets, asked.data, asked.seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
