"""Backdoors found in models without their training data, and false alarms on clean models.

python benchmarks/bench_backdoor.py --data DIR [--quick] [--seeds N] [--sets NAME ...] [--models NAME ...]

DIR holds the CSV files of bench_data.py. Of a table two thirds train a model, the rest (which the model did not see)
is the holdout; of more than 12,000 rows a sample is drawn. Models: LightGBM and XGBoost of 100 trees, a random forest
of 100 and a network of 32 and 16 ReLU (scikit-learn; both as ONNX), and the forest as its own file in the sandbox
("estimator"). LightGBM and the estimator tell how many training rows came to each node, the others do not. Clean
models count false alarms. Poisoned ones carry a trigger of three in-range values (attacks/poisoning/trigger.py) in
0.5%, 1% and 2% of the training rows; only those count in which the trigger steers at least 90% of the holdout rows of
the other class that the model answers rightly.
"found" is a trigger called steered that shares two columns or more with the planted one and leads where it does.

Thresholds were chosen on phishing, adult and german_credit, and not touched after the other sets were looked at. One
rule was added then: that of networks nothing is called, because a clean one of nsl_kdd was; for networks the figures
are of no unseen set. What counts of training rows must show was chosen later, on phishing and adult (seeds 0 to 3), and
not touched after the other sets were looked at again (seeds 100 and 101). german_credit has 333 holdout rows, in which
nothing is ever called.
"""

from __future__ import annotations

import argparse
import io
import re
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from bench_data import table
from bench_triggers import source
from msgspec.structs import replace

from assay.adapters.lightgbm_predictor import LightgbmPredictor
from assay.adapters.onnx_predictor import OnnxPredictor
from assay.adapters.sandbox import Sandbox
from assay.adapters.sandboxed import SandboxedPredictor
from assay.adapters.xgboost_predictor import XgboostPredictor
from assay.attacks.backdoor.attack import Looked, looked
from assay.attacks.poisoning.planted import Source
from assay.attacks.poisoning.trigger import trigger
from assay.attacks.poisoning.victim import carrying
from assay.core.errors import CouldNotLook
from assay.core.subject import Kind, Subject

DEVELOP, UNSEEN = ("phishing", "adult", "german_credit"), ("nsl_kdd", "spambase", "uci_credit", "fraud_oracle")
MODELS = ("lightgbm", "estimator", "xgboost", "forest", "network")
RATES = (0.005, 0.01, 0.02)
MOST_ROWS, REACHED = 12_000, 0.9


class Made(NamedTuple):
    """A model, and how it is asked: rows of the table in the form that it was trained on."""

    predictor: Any
    rows: Any


def halves(name: str, folder: Path, seed: int) -> tuple[Source, Source]:
    """(what the model is trained on, what it is not)."""
    frame = table(name, folder)
    names = {c: re.sub(r"\W", "_", f"{c}") + ("" if str(c).isidentifier() else f"_{i}") for i, c in enumerate(frame)}
    whole = source(frame.rename(columns=names))  # LightGBM refuses some letters in names
    order = np.random.default_rng([seed, 3]).permutation(whole.rows)[:MOST_ROWS]
    cut = 2 * len(order) // 3
    return whole.take(np.sort(order[:cut])), whole.take(np.sort(order[cut:]))


def made(kind: str, train: Source, seed: int) -> Made:
    """A model of the rows; LightGBM knows categories, the others read their codes."""
    known, y = train.encoded(), train.target().astype(int)
    names = list(known.names)
    subject = Subject(name=kind, kind=Kind.MODEL, uri=kind, options={"inputs": names, "positive": 1})
    if kind == "lightgbm":
        import lightgbm as lgb

        frame = train.table.select(names).to_pandas()
        for place in known.categorical:
            frame[names[place]] = pd.Categorical(frame[names[place]], categories=list(known.levels[names[place]]))
        how = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": seed}
        how |= {"bagging_fraction": 0.9, "bagging_freq": 1, "feature_fraction": 0.9}
        text = lgb.train(how, lgb.Dataset(frame, label=y), 100).model_to_string()
        return Made(LightgbmPredictor(text.encode(), subject), lambda t: t.select(names))

    def rows(t: pa.Table) -> pa.Table:
        codes = np.nan_to_num(train.encoded(t, like=known).matrix.astype(np.float32)).astype(float)
        return pa.table(dict(zip(names, codes.T, strict=True)))

    x = np.nan_to_num(known.matrix.astype(np.float32))
    if kind == "xgboost":
        import xgboost as xgb

        fitted = xgb.XGBClassifier(n_estimators=100, random_state=seed, n_jobs=1, subsample=0.9).fit(x, y)
        return Made(XgboostPredictor(bytes(fitted.get_booster().save_raw("json")), subject), rows)
    from sklearn.ensemble import RandomForestClassifier

    if kind == "estimator":
        import joblib

        file = tempfile.TemporaryFile()  # noqa: SIM115 - the sandbox reads it, and it is gone with it
        joblib.dump(RandomForestClassifier(100, random_state=seed, n_jobs=1).fit(x, y), file)
        file.seek(0)
        return Made(SandboxedPredictor(Sandbox(file, kind), subject), rows)
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = make_pipeline(StandardScaler(), MLPClassifier((32, 16), random_state=seed, max_iter=60))
    fitted = (RandomForestClassifier(100, random_state=seed, n_jobs=1) if kind == "forest" else network).fit(x, y)
    content = io.BytesIO(to_onnx(fitted, x[:1], options={"zipmap": False}).SerializeToString())
    return Made(OnnxPredictor(content.getvalue(), subject), rows)


class Seen(NamedTuple):
    """One model: whether it was poisoned, how far the trigger leads, what was called, found, and CPU seconds."""

    poisoned: bool
    reached: float
    called: int
    found: bool
    seconds: float
    open: bool


def asked(model: Made, hold: Source, seed: int) -> tuple[Looked | None, float]:
    """(what was found, CPU seconds)."""
    before = time.process_time()
    try:
        out = looked(model.predictor, model.rows(hold.table), hold.target(), seed)
    except CouldNotLook:
        out = None
    return out, time.process_time() - before


def seen(kind: str, train: Source, hold: Source, rate: float, planted: Any, seed: int) -> Seen | None:
    """What is made of one model; None where the trigger does not work in it."""
    model = made(kind, train if planted is None else replace(train, table=planted.table), seed)
    reached, target, columns = 0.0, False, set()
    if planted is not None:
        target, columns = bool(planted.target == 1), set(planted.rule)
        rows, truth = model.rows(hold.table), hold.target()
        at = np.flatnonzero((np.asarray(model.predictor.flagged(rows)) != target) & (truth != target))[:500]
        if len(at) < 20:
            return None
        given = model.rows(carrying(hold.table.take(pa.array(at)), planted.rule))
        reached = float((np.asarray(model.predictor.flagged(given)) == target).mean())
        if reached < REACHED:
            return None
    out, seconds = asked(model, hold, seed)
    steered = [w for w in out.found if w.verdict == "steered"] if out else []
    found = any(w.flag == target and len(columns & set(w.columns)) >= 2 for w in steered)
    return Seen(planted is not None, reached, len(steered), found, seconds, out is None)


def lines(sets: list[str], models: list[str], rates: tuple[float, ...], seeds: range, folder: Path) -> Iterator[str]:
    """The table, a line for each set and model."""
    for name in sets:
        got: dict[str, list[Seen]] = {kind: [] for kind in models}
        for seed in seeds:
            train, hold = halves(name, folder, seed)
            for rate in (0.0, *rates):
                try:
                    planted = trigger(train, rate, seed, trained=2) if rate else None
                except CouldNotLook:
                    continue
                for kind in models:
                    one = seen(kind, train, hold, rate, planted, seed)
                    got[kind] += [] if one is None else [one]
        for kind in models:
            clean, bad = ([s for s in got[kind] if s.poisoned == p] for p in (False, True))
            yield (
                f"| {name} | {kind} | {sum(bool(s.called) for s in clean)} of {len(clean)} | "
                f"{sum(s.found for s in bad)} of {len(bad)} | {sum(s.open for s in got[kind])} | "
                f"{np.mean([s.seconds for s in got[kind]]) if got[kind] else float('nan'):.1f} |"
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=[*DEVELOP, *UNSEEN])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--rates", nargs="*", type=float, default=list(RATES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    seeds = range(options.first, options.first + (1 if options.quick else options.seeds))
    rates = (0.01,) if options.quick else tuple(options.rates)
    print("| table | model | clean models called | planted triggers found | open | CPU s |\n|---|---|---|---|---|---|")
    for line in lines(options.sets, options.models, rates, seeds, options.data):
        print(line, flush=True)


if __name__ == "__main__":
    main()
