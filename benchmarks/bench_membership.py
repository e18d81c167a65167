"""Membership inference on public tables: Assay, an independent re-run of RMIA by the paper's formula, and ART.

python benchmarks/bench_membership.py --data DIR [--sets adult uci_credit] [--seeds N] [--no-art]

DIR holds adult_train.csv and uci_credit_card.csv. Each table is split in two halves at random: members, which the
model is trained on, and others. "assay" is `privacy.membership` as it comes (4 references). "re-run" is a second
implementation that shares no code with it: 4 scikit-learn references on random halves of the whole table (so that each
row is in two and out of two), Pr(x) their mean (the paper's online form) or ((1 + a) out + 1 - a) / 2 with a = .3 (its
offline form), the share of 2,500 population rows z, none of them judged, with ratio(x) / ratio(z) > 2, intervals by
bootstrap over rows. "art" is MembershipInferenceBlackBox (attack model: random forest) in an environment of its own; it
is told of half of the rows whether they were members, and judged on the other half.

Each line of "assay" ends with how its intervals of both true positive rates lie to either form of the re-run: "holds"
where both overlap it or lie above, "below" where one does not. Offline is the same attack; the online form's references
also train on the rows that are judged. The run fails where either is below, or the placebo's area is not one half.
"""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np
import pandas as pd
from common import peer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score, roc_curve

from assay.core.subject import Kind, Subject
from assay.engine.inline import InlineExecutor
from assay.engine.task import Task

Array = Any
FPRS = (0.01, 0.001)
MODELS = ("forest", "forest, 20 a leaf", "lightgbm")
ART_PEER = """
import sys, warnings; warnings.filterwarnings("ignore")
import numpy as np, pickle
from art.attacks.inference.membership_inference import MembershipInferenceBlackBox
from art.estimators.classification import SklearnClassifier
from sklearn.ensemble import RandomForestClassifier
held = np.load(sys.argv[1]); x, y, member = held["x"], held["y"], held["member"]
model = RandomForestClassifier(100, min_samples_leaf=int(sys.argv[2]), random_state=1, n_jobs=2)
model = model.fit(x[member], y[member])
rng = np.random.default_rng(0); told = rng.random(len(x)) < .5
attack = MembershipInferenceBlackBox(SklearnClassifier(model), attack_model_type="rf")
attack.fit(x[told & member], y[told & member], x[told & ~member], y[told & ~member])
np.save(sys.argv[3], np.column_stack([member[~told], attack.infer(x[~told], y[~told], probabilities=True).reshape(-1)]))
"""


def table(name: str, folder: Path, seed: int) -> tuple[Array, Array, Array]:
    """(inputs as numbers, label, whether a member) of a table without rows that have a twin."""
    if name == "adult":
        frame = pd.read_csv(folder / "adult_train.csv", header=None, skipinitialspace=True)
        label = (frame.pop(14) == ">50K").astype(int)
    else:
        frame = pd.read_csv(folder / "uci_credit_card.csv").drop(columns="ID")
        label = frame.pop("default.payment.next.month")
    for column in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            frame[column] = frame[column].astype("category").cat.codes
    alone = ~frame.duplicated(keep=False).to_numpy()
    x, y = frame.to_numpy(dtype=float)[alone], label.to_numpy()[alone]
    member = np.random.default_rng(seed).permutation(len(x)) % 2 == 0
    return x, y, member


def trained(model: str, x: Array, y: Array, seed: int) -> Any:
    """A model as its library trains it."""
    if model == "lightgbm":
        facts = {"objective": "binary", "num_leaves": 63, "min_data_in_leaf": 5, "verbose": -1, "seed": seed}
        return lgb.train({**facts, "num_threads": 2}, lgb.Dataset(x, label=y), 200)
    leaf = 20 if "20" in model else 1
    return RandomForestClassifier(100, min_samples_leaf=leaf, random_state=seed, n_jobs=2).fit(x, y)


def sure(model: Any, x: Array, y: Array) -> Array:
    """How sure a model is of each row's label."""
    p = model.predict(x) if isinstance(model, lgb.Booster) else model.predict_proba(x)[:, 1]
    return np.where(y == 1, p, 1 - p)


def assay(model: Any, x: Array, y: Array, member: Array, seed: int) -> tuple[dict[str, Any], float]:
    """(measures by name, seconds) of the check, asked as the engine asks it."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        names = [f"x{i}" for i in range(x.shape[1])]
        for name, rows in (("train", member), ("hold", ~member)):
            pd.DataFrame(x[rows], columns=names).assign(y=y[rows]).to_csv(folder / f"{name}.csv", index=False)
        if isinstance(model, lgb.Booster):
            uri = "m.txt"
            model.save_model(folder / uri)
        else:
            uri = "m.pkl"
            (folder / uri).write_bytes(pickle.dumps(model.set_params(n_jobs=None)))
        facts = {"label": "y", "positive": 1}
        subjects = {n: Subject(name=n, kind=Kind.DATASET, uri=f"{n}.csv", options=facts) for n in ("train", "hold")}
        reads = {"data": "train", "holdout": "hold"}
        subjects["m"] = Subject(name="m", kind=Kind.MODEL, uri=uri, options={"inputs": names}, reads=reads)
        task = Task(check="privacy.membership", subject="m", root=home, subjects=subjects, seed=seed)
        start = time.perf_counter()
        ((_, outcome, _),) = InlineExecutor().run([msgspec.json.encode(task)])
        if not outcome.measures:
            raise SystemExit(f"nothing was measured: {outcome.reason}")
        return {m.name.partition("membership.")[2]: m for m in outcome.measures}, time.perf_counter() - start


def again(kind: str, model: Any, x: Array, y: Array, member: Array, seed: int) -> dict[str, Array]:
    """Scores by the paper's formulas, NaN for the rows that serve as z."""
    rng = np.random.default_rng([seed, 99])
    inside = np.zeros((4, len(x)), dtype=bool)
    for k in (0, 2):
        inside[k, rng.permutation(len(x))[: len(x) // 2]] = True
        inside[k + 1] = ~inside[k]
    refs = np.array([sure(trained(kind, x[i], y[i], 500 + k), x, y) for k, i in enumerate(inside)])
    target = sure(model, x, y)
    z = rng.choice(np.flatnonzero(~member), 2500, replace=False)
    outside = (refs * ~inside).sum(axis=0) / (~inside).sum(axis=0)
    found = {}
    for name, prior in (("online", refs.mean(axis=0)), ("offline", (1.3 * outside + 0.7) / 2)):
        ratio = target / np.maximum(prior, 1e-9)
        score = np.array([np.mean(r / np.maximum(ratio[z], 1e-9) > 2) for r in ratio])
        # One set of z for all: the share is full for whole groups of rows. Many z would order these by the ratio.
        score = score + 1e-6 * ratio
        score[z] = np.nan
        found[name] = score
    return found


def rates(score: Array, member: Array, draws: int = 200) -> list[tuple[float, float, float]]:
    """(value, low, high) of the area and of the true positive rates, by bootstrap over the rows."""
    known = ~np.isnan(score)
    score, member = score[known], member[known]

    def figures(at: Array) -> list[float]:
        false, true, _ = roc_curve(member[at], score[at], drop_intermediate=False)
        return [roc_auc_score(member[at], score[at]), *(float(np.interp(f, false, true)) for f in FPRS)]

    rng = np.random.default_rng(0)
    drawn = np.array([figures(rng.integers(len(score), size=len(score))) for _ in range(draws)])
    value = figures(np.arange(len(score)))
    return [(v, *np.quantile(d, [0.025, 0.975])) for v, d in zip(value, drawn.T, strict=True)]


def art(x: Array, y: Array, member: Array, leaf: int) -> list[tuple[float, float, float]] | None:
    """The rates of ART's attack; None where it cannot be installed."""
    home = peer("adversarial-robustness-toolbox", "1.20.1", "scikit-learn", "packaging")
    if home is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        rows, out = Path(folder) / "rows.npz", Path(folder) / "out.npy"
        np.savez(rows, x=x, y=y, member=member)
        subprocess.run([home / "python", "-c", ART_PEER, rows, str(leaf), out], check=True, capture_output=True)
        found = np.load(out)
    return rates(found[:, 1], found[:, 0].astype(bool))


def shown(what: str, figures: list[tuple[float, float, float]], end: str = "") -> None:
    """One line of the table."""
    cells = " | ".join(f"{v:.4f} ({low:.4f} to {high:.4f})" for v, low, high in figures)
    print(f"| {what} | {cells} | {end} |", flush=True)


def main() -> int:
    """Print a table per data set and model."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--sets", nargs="*", default=["adult", "uci_credit"])
    asked.add_argument("--seeds", type=int, default=1)
    asked.add_argument("--no-art", action="store_true")
    args = asked.parse_args()
    failed = 0
    for name in args.sets:
        for seed in range(args.seeds):
            x, y, member = table(name, args.data, seed)
            for kind in MODELS:
                failed += compared(name, seed, kind, (x, y, member), not args.no_art)
    return int(failed > 0)


def compared(name: str, seed: int, kind: str, rows: tuple[Array, Array, Array], with_art: bool) -> bool:
    """One model, every attack; whether the number fails."""
    x, y, member = rows
    model = trained(kind, x[member], y[member], 1)
    print(f"\n{name}, {kind}, seed {seed}: {int(member.sum())} members, {int((~member).sum())} others\n")
    print("| attack | area | TPR at 1% FPR | TPR at .1% FPR | |\n|---|---|---|---|---|")
    shown("loss, no references", rates(sure(model, x, y), member))
    other = {k: rates(s, member) for k, s in again(kind, model, x, y, member, seed).items()}
    for way, figures in other.items():
        shown(f"re-run, {way}", figures)
    if with_art and kind != "lightgbm" and (figures := art(x, y, member, 20 if "20" in kind else 1)):
        shown("ART, told half of the members", figures)
    measures, seconds = assay(model, x, y, member, seed)
    ours = [measures[f"rmia_{m}"] for m in ("auc", "tpr_at_1pct_fpr", "tpr_at_01pct_fpr")]
    null = measures["null_auc"]
    null_holds = null.low <= 0.5 <= null.high
    valued = [(m.value, m.low, m.high) if m.value is not None else (float("nan"),) * 3 for m in ours]
    reached = {
        way: all(o[2] >= r[1] for o, r in zip(valued[1:], figures[1:], strict=True)) for way, figures in other.items()
    }
    said = "; ".join(f"{way} {'holds' if held else 'below'}" for way, held in reached.items()) + f"; {seconds:.0f} s"
    shown("assay", valued, f"{said}; null area {null.value:.4f} ({null.low:.4f} to {null.high:.4f})")
    return not (null_holds and all(reached.values()))


if __name__ == "__main__":
    sys.exit(main())
