"""Distance, queries and seconds a row of evasion (L-infinity) beside ART and Veritas, on tables of 30 scaled features.

python benchmarks/bench_evasion.py --data DIR [--sets NAME ...] [--models NAME ...] [--rows N] [--slow N] [--only NAME]

DIR holds the CSV files of bench_data.py; breast_cancer comes with scikit-learn, "synthetic" is its
make_classification. Of a table the first 30 numeric columns are scaled to [0, 1]; 70% train XGBoost, LightGBM and a
random forest of 100 trees as they come (CatBoost's of depth 6 too: no Veritas, and ART through onnxruntime only).
Caught rows of the rest are attacked, every value free within [0, 1] (Veritas: beyond it too). "exact" is, row by
row, the nearer of Veritas (60 s a row) and our white-box search with ten times its usual work. ART 1.20.1 runs in
an environment of its own (ASSAY_PEERS) with its own settings (ZOO: those of ART's notebook on XGBoost), asked
natively and through onnxruntime, one thread each, 120 s a row at most. The forest asks slowly natively: there ART
gets --slow rows. Seconds are CPU seconds; ratios are of means over the rows that both reached.

nsl_kdd and phishing hold whole numbers, whose trees split a hair beside them: most distances are next to nothing, and
say little. The search was tuned on make_classification (seeds 3 to 6) and spambase, on none of the sets here.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from bench_data import table
from common import peer

from assay.adapters.catboost.predictor import CatboostPredictor
from assay.adapters.lightgbm_predictor import LightgbmPredictor
from assay.adapters.onnx_predictor import OnnxPredictor
from assay.adapters.xgboost_predictor import XgboostPredictor
from assay.attacks.boundary.search import Search
from assay.attacks.space import Space
from assay.attacks.trees.whitebox import PROOF, SEARCH, Whitebox
from assay.core.errors import CouldNotLook
from assay.core.subject import Contract, Feature, Kind, Subject

Array = Any
SETS, MODELS = ("breast_cancer", "synthetic", "nsl_kdd", "phishing"), ("xgboost", "lightgbm", "catboost", "forest")
WIDTH, LABEL, SCORE = 30, 1000, 600
ART, ALSO = "1.20.1", ("scikit-learn", "xgboost-cpu", "lightgbm", "onnxruntime", "onnxmltools", "skl2onnx")
THEIRS = """
import json, pickle, signal, sys, time
import numpy as np, onnxruntime
from art.attacks.evasion import HopSkipJump, ZooAttack
from art.estimators.classification import BlackBoxClassifier
folder, kind, served, attack, count = *sys.argv[1:5], int(sys.argv[5])
rows = np.load(folder + "/rows.npy")[:count].astype(np.float32)
asked = [0]
if served == "onnxruntime":
    options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder + "/" + kind + ".onnx", options)
    name = session.get_inputs()[0].name
    told = lambda x: session.run(None, {name: x.astype(np.float32)})[1]
    maps = kind == "catboost"  # its graph gives a map a row
    score = lambda x: np.array([r[1] for r in told(x)]) if maps else np.asarray(told(x))[:, 1]
elif kind == "xgboost":
    import xgboost
    booster = xgboost.Booster(model_file=folder + "/xgboost.json"); booster.set_param({"nthread": 1})
    score = lambda x: booster.inplace_predict(x.astype(np.float32))
elif kind == "lightgbm":
    import lightgbm
    booster = lightgbm.Booster(model_file=folder + "/lightgbm.txt")
    score = lambda x: booster.predict(x, num_threads=1)
else:
    forest = pickle.load(open(folder + "/forest.pkl", "rb"))
    score = lambda x: forest.predict_proba(x)[:, 1]
def predict(x):
    asked[0] += len(x)
    p = np.asarray(score(np.asarray(x)), dtype=float)
    return np.column_stack([1 - p, p])
class Late(Exception): pass
def late(*_): raise Late
signal.signal(signal.SIGALRM, late)
model = BlackBoxClassifier(predict, rows.shape[1:], 2, clip_values=(0.0, 1.0))
np.random.seed(0)
made = HopSkipJump(model, norm=np.inf, verbose=False) if attack == "hsj" else ZooAttack(
    model, learning_rate=0.1, max_iter=20, binary_search_steps=10, variable_h=0.2, use_resize=False,
    use_importance=False, nb_parallel=1, verbose=False)
out = []
for row in rows:
    asked[0], start = 0, time.process_time()
    signal.alarm(120)
    try:
        found = made.generate(row[None])
    except Late:
        found = row[None]
    signal.alarm(0)
    taken, queries = time.process_time() - start, asked[0]
    passes = predict(found)[0, 1] < 0.5
    out.append((float(np.abs(found - row).max()) if passes else float("inf"), queries, taken))
print(json.dumps(out))
"""
Row = tuple[str, list[float], list[float], float]


class Case:
    """A table, its three models in a folder, and predictors for them."""

    def __init__(self, name: str, data: Path, folder: Path, rows: int) -> None:
        self.folder, self.name = folder, name
        x, y = _numbers(name, data)
        order = np.random.default_rng(0).permutation(len(y))
        cut = int(0.7 * len(y))
        self.train, self.test = order[:cut], order[cut:]
        self.x, self.y, self.count = x, y, rows
        self.names = tuple(f"x{j}" for j in range(x.shape[1]))
        self.known = self.table(x[self.train])

    def table(self, x: Array) -> pa.Table:
        """Rows as Arrow; values of float32, which all peers read alike."""
        return pa.table(dict(zip(self.names, x.astype(np.float32).astype(float).T, strict=True)))

    def model(self, kind: str) -> tuple[Any, Any]:
        """(the fitted model, our predictor of its file); written natively and as ONNX."""
        x, y = self.x[self.train].astype(np.float32), self.y[self.train]
        fitted = _fitted(kind).fit(x, y)
        onnx = _onnx(kind, fitted, x.shape[1])
        (self.folder / f"{kind}.onnx").write_bytes(onnx)
        subject = Subject(name=kind, kind=Kind.MODEL, uri=kind, options={"inputs": list(self.names)})
        if kind == "xgboost":
            fitted.get_booster().save_model(self.folder / "xgboost.json")
            return fitted, XgboostPredictor((self.folder / "xgboost.json").read_bytes(), subject)
        if kind == "lightgbm":
            fitted.booster_.save_model(self.folder / "lightgbm.txt")
            return fitted, LightgbmPredictor((self.folder / "lightgbm.txt").read_bytes(), subject)
        if kind == "catboost":
            fitted.save_model(self.folder / "catboost.cbm")
            return fitted, CatboostPredictor((self.folder / "catboost.cbm").read_bytes(), subject)
        (self.folder / "forest.pkl").write_bytes(pickle.dumps(fitted))
        return fitted, OnnxPredictor(onnx, subject)

    def space(self, predictor: Any) -> tuple[Space, pa.Table]:
        """(caught rows with everything allowed, rows that pass)."""
        rest = self.table(self.x[self.test])
        flags = predictor.flagged(rest)
        caught = np.flatnonzero(flags & (self.y[self.test] == 1))[: self.count]
        # Peers may move within [0, 1], so may we.
        contract = Contract(features={n: Feature(min=0.0, max=1.0) for n in self.names})
        kinds = dict.fromkeys(self.names, "number")
        space = Space(rest.take(pa.array(caught)), contract, self.known, kinds, self.names)
        np.save(self.folder / "rows.npy", np.column_stack([a.origin for a in space.axes]))
        return space, rest.take(pa.array(np.flatnonzero(~flags)[:500]))


def _numbers(name: str, data: Path) -> tuple[Array, Array]:
    if name == "breast_cancer":
        from sklearn.datasets import load_breast_cancer

        x, y = load_breast_cancer(return_X_y=True)
    elif name == "synthetic":
        from sklearn.datasets import make_classification

        x, y = make_classification(6000, WIDTH, n_informative=12, n_redundant=6, flip_y=0.05, random_state=11)
    else:
        frame = table(name, data).dropna()
        y = frame.pop("y").to_numpy()
        x = frame.select_dtypes("number").to_numpy(dtype=float)
        x = x[:, x.std(axis=0) > 0][:, :WIDTH]
    low, high = x.min(axis=0), x.max(axis=0)
    return (x - low) / (high - low), y.astype(int)


def _fitted(kind: str) -> Any:
    if kind == "xgboost":
        import xgboost

        return xgboost.XGBClassifier(n_estimators=100, n_jobs=1)
    if kind == "lightgbm":
        import lightgbm

        return lightgbm.LGBMClassifier(n_estimators=100, n_jobs=1, verbose=-1)
    if kind == "catboost":
        import catboost

        return catboost.CatBoostClassifier(iterations=100, thread_count=1, verbose=0, allow_writing_files=False)
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(100, n_jobs=1, random_state=0)


def _onnx(kind: str, fitted: Any, width: int) -> bytes:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType
    from skl2onnx import to_onnx

    if kind == "catboost":
        with tempfile.TemporaryDirectory() as place:
            fitted.save_model(f"{place}/m.onnx", format="onnx")
            return Path(f"{place}/m.onnx").read_bytes()
    if kind == "forest":
        model = to_onnx(fitted, np.zeros((1, width), np.float32), options={"zipmap": False}, target_opset=15)
    elif kind == "lightgbm":
        kinds = [("x", FloatTensorType([None, width]))]
        model = onnxmltools.convert_lightgbm(fitted, initial_types=kinds, zipmap=False, target_opset=15)
    else:
        kinds = [("x", FloatTensorType([None, width]))]
        model = onnxmltools.convert_xgboost(fitted, initial_types=kinds, target_opset=15)
    return bytes(model.SerializeToString())


def ours(predictor: Any, space: Space, passing: pa.Table) -> Iterator[Row]:
    """White-box, label-only and score-based; libraries are loaded before the clock starts."""
    Search(predictor, space, passing, "linf", "score", 20, 0).run()
    try:
        trees = predictor.trees()
        for name, work in (("ours, white-box, work x 10", 10.0), ("ours, white-box", 1.0)):
            start = time.process_time()
            found = Whitebox(trees, space, "linf", predictor.threshold).run(search=SEARCH * work, proof=PROOF * work)
            taken = (time.process_time() - start) / space.size
            proved = (found.bound >= found.distance * (1 - 1e-5)).mean()
            yield f"{name}; {proved:.0%} proved", found.distance.tolist(), [0.0] * space.size, taken
        budget, start = float(np.median(found.distance)), time.process_time()
        within = Whitebox(trees, space, "linf", predictor.threshold).run(budget)
        taken = (time.process_time() - start) / space.size
        decided = ((within.distance <= budget) | (within.bound >= budget)).mean()
        yield f"ours, budget {budget:.3g}; {decided:.0%} decided", within.distance.tolist(), [0.0] * space.size, taken
    except (CouldNotLook, AttributeError) as error:
        print(f"white-box: {error}")
    for access, limit in (("label", LABEL), ("score", SCORE)):
        start = time.process_time()
        asked = Search(predictor, space, passing, "linf", access, limit, 0).run()
        taken = (time.process_time() - start) / space.size
        assert not predictor.flagged(space.moved(np.arange(space.size), asked.codes)).any()
        assert space.valid(space.moved(np.arange(space.size), asked.codes)).all()
        yield f"ours, {access}", asked.best.tolist(), asked.queries.tolist(), taken


def veritas(fitted: Any, kind: str, rows: Array) -> Row:
    """Veritas on float32 rows; exact where it ends in time."""
    import veritas as peer_

    ensemble = peer_.get_addtree(fitted, silent=True)
    found, taken = [], []
    for row in rows.astype(np.float32).astype(np.float64):
        start = time.process_time()
        search = peer_.VeritasRobustnessSearch(row, 0.5, ensemble, None, max_time=60, silent=True, num_steps=20)
        try:
            found.append(float(search.search()[2]))
        except ValueError:  # its box is empty where a border lies within rounding of the row
            found.append(float("inf"))
        taken.append(time.process_time() - start)
    return f"Veritas ({sum(t >= 60 for t in taken)} late)", found, [0.0] * len(found), float(np.mean(taken))


def art(python: Path, folder: Path, kind: str, served: str, attack: str, count: int) -> Row:
    """An attack of ART, in its own environment."""
    command = [str(python), "-c", THEIRS, str(folder), kind, served, attack, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-600:])
        return f"ART {attack}, {served}: failed", [np.nan], [np.nan], np.nan
    found = json.loads(done.stdout.splitlines()[-1])
    far, queries, taken = (list(part) for part in zip(*found, strict=True))
    return f"ART {attack}, {served}", far, queries, float(np.mean(taken))


def line(
    name: str, far: list[float], queries: list[float], seconds: float, exact: Array | None, hsj: Array | None
) -> str:
    """One line of the table; ratios over the rows that both reached."""
    got = np.array(far)
    there = np.isfinite(got)
    if not there.any():
        return f"| {name} | 0/{len(got)} | {seconds:.4f} | {np.mean(queries):,.0f} | – | – | – | – | – |"
    cells = [f"{float(of(got[there])):.3g}" for of in (np.mean, np.median, np.max)]
    for other, ratio in ((exact, True), (hsj, False)):
        if other is None:
            cells.append("–")
            continue
        k = min(len(got), len(other))
        both = there[:k] & np.isfinite(other[:k])
        if not both.any():
            cells.append("–")
            continue
        mean = got[:k][both].mean() / other[:k][both].mean()
        cells.append(f"{mean:.4g}" + (f" (max {np.max(got[:k][both] / other[:k][both]):.3g})" if ratio else ""))
    asked = f"{np.mean(queries):,.0f}" if np.nansum(queries) else "–"
    return f"| {name} | {there.sum()}/{len(got)} | {seconds:.4f} | {asked} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--slow", type=int, default=2, help="rows for ART on the forest's own predict")
    parser.add_argument("--only", choices=("ours", "all"), default="all")
    asked = parser.parse_args()
    binary = peer("adversarial-robustness-toolbox", ART, *ALSO) if asked.only == "all" else None
    for name in asked.sets:
        with tempfile.TemporaryDirectory() as place:
            case = Case(name, asked.data, Path(place), asked.rows)
            for kind in asked.models:
                fitted, predictor = case.model(kind)
                space, passing = case.space(predictor)
                lines = list(ours(predictor, space, passing))
                if asked.only == "all" and kind not in ("forest", "catboost"):
                    rows = np.column_stack([a.origin for a in space.axes])
                    lines.append(veritas(fitted, kind, rows))
                if binary is not None:
                    for served in ("native", "onnxruntime") if kind != "catboost" else ("onnxruntime",):
                        slow = kind == "forest" and served == "native"
                        count = asked.slow if slow else space.size
                        lines.append(art(binary / "python", case.folder, kind, served, "hsj", count))
                    lines.append(art(binary / "python", case.folder, kind, "onnxruntime", "zoo", 2))
                oracles = [f for n, f, _, _ in lines if n.startswith(("Veritas", "ours, white-box, work x 10"))]
                exact = np.min(oracles, axis=0) if oracles else None
                hsj = next((np.array(f) for n, f, _, _ in lines if n == "ART hsj, onnxruntime"), None)
                print(f"\n{name}, {kind}(100): {space.size} caught rows, {len(case.names)} features")
                print("| what | reached | s a row | queries | mean | median | max | x exact | x HopSkipJump |")
                print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
                for entry in lines:
                    print(line(*entry, exact, hsj), flush=True)


if __name__ == "__main__":
    main()
