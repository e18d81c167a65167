"""Evasion by queries under a drafted threat model: what copies of the model add to a search by price, and how far rows
are told that lie outside their range.

python benchmarks/bench_priced.py --data DIR [--sets NAME ...] [--seeds N] [--rows N]

DIR holds the CSV files of bench_data.py. Of a table's numeric columns (those with a value for every row) half trains
XGBoost of 100 trees, drawn by the seed; the threat is what `assay attack init` drafts from that half, and caught rows
of the other half are attacked under it, at 3 cost units and 600 queries. "search alone" asks the search by price for
all of them; "label" and "score" are what `assay attack --norm cost` does, copies of the model included, "copies alone"
is `--method transfer`; white-box is what is left where the model itself is known. The share of caught rows that stays
caught has Wilson's interval. In L-infinity, L2 and L1 the table gives mean distance over white-box, of the same rows,
apart for rows that lie within all drafted ranges and those that do not.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
from bench_data import table

from assay.adapters.xgboost_predictor import XgboostPredictor
from assay.attacks.attacked import Attacked
from assay.attacks.priced.search import attack
from assay.attacks.space import Space
from assay.attacks.strike import Asked, struck
from assay.config.manifest import load_threat
from assay.core.errors import CouldNotLook
from assay.core.subject import COST, Attacker, Kind, Subject
from assay.flow.threat_draft import draft_threat
from assay.stats.intervals import wilson

SETS = ("phishing", "spambase", "uci_credit", "nsl_kdd")
QUERIES = Attacker().queries


class Case:
    """A table, the model of one half, and caught rows of the other under a drafted threat."""

    def __init__(self, name: str, data: Path, seed: int, rows: int) -> None:
        import xgboost

        frame = table(name, data).dropna(axis=1)
        y = frame.pop("y").to_numpy().astype(int)
        frame = frame.select_dtypes("number").astype(np.float64)
        frame.columns = [f"x{j}" for j in range(frame.shape[1])]
        order = np.random.default_rng(seed).permutation(len(y))
        train, rest = order[: len(y) // 2], order[len(y) // 2 :]
        self.known = pa.Table.from_pandas(frame.iloc[train], preserve_index=False)
        with tempfile.TemporaryDirectory() as place:
            fitted = xgboost.XGBClassifier(n_estimators=100, n_jobs=1, random_state=seed)
            fitted.fit(frame.iloc[train].to_numpy(np.float32), y[train])
            fitted.get_booster().save_model(f"{place}/m.json")
            subject = Subject(name=name, kind=Kind.MODEL, uri=name, options={"inputs": list(frame.columns)})
            self.model = XgboostPredictor(Path(f"{place}/m.json").read_bytes(), subject)
            pc.write_csv(self.known.append_column("y", pa.array(y[train])), f"{place}/train.csv")
            drafted = draft_threat(Path(f"{place}/train.csv"), {"label": "y"})
            (Path(place) / "threat.yaml").write_text(drafted)
            self.contract = load_threat(Path(f"{place}/threat.yaml"))
        held = pa.Table.from_pandas(frame.iloc[rest], preserve_index=False)
        flags = self.model.flagged(held)
        self.flagged = held.take(np.flatnonzero(flags & (y[rest] == 1)))
        self.caught = self.flagged[:rows]
        self.passing = held.take(np.flatnonzero(~flags)[:500])
        kinds = dict.fromkeys(frame.columns, "number")
        self.against = self.contract, self.known, kinds, tuple(frame.columns)

    def outside(self) -> Any:
        """Whether a flagged row lies outside the drafted range of some column (n,)."""
        out = np.zeros(self.flagged.num_rows, dtype=bool)
        for name, feature in self.contract.columns.items():
            if name in self.flagged.column_names:
                x = self.flagged[name].to_numpy()
                low = -np.inf if feature.min is None else feature.min
                high = np.inf if feature.max is None else feature.max
                out |= (x < low) | (x > high)
        return out

    def struck(self, rows: pa.Table, norm: Any, access: Any, seed: int, method: Any = "search") -> Attacked:
        """What `assay attack` does of these rows."""
        budget = COST if norm == "cost" else np.inf
        asked = Asked(norm, access, budget, QUERIES, seed, method=method)
        return struck(self.model, rows, self.passing, self.against, asked)[1]

    def searched(self, seed: int) -> tuple[Any, Any]:
        """(distances, queries) of the search by price alone, by label, with all queries."""
        space = Space(self.caught, *self.against)
        found = attack(self.model, space, self.passing, access="label", limit=QUERIES, seed=seed)
        return found.cost, found.queries


def copies(case: Case, seed: int) -> Iterator[tuple[str, int, int, float, float]]:
    """(what, rows that stay caught, rows, queries a row, seconds a row) at 3 cost units."""
    start = time.process_time()
    cost, queries = case.searched(seed)
    yield "label, search alone", int((cost > COST).sum()), len(cost), queries.mean(), time.process_time() - start
    for what in ("label", "label, copies alone", "score", "whitebox"):
        start, access = time.process_time(), what.partition(",")[0]
        try:
            found = case.struck(case.caught, "cost", access, seed, "transfer" if "copies" in what else "search")
        except CouldNotLook as why:
            print(f"{what}, seed {seed}: {why}", flush=True)
            continue
        stays = int((~found.within(COST)).sum())
        yield what, stays, len(found.distance), found.queries.mean(), time.process_time() - start


def apart(case: Case, norm: str, rows: int, seed: int) -> Iterator[str]:
    """Lines of mean distance over white-box, for that many rows within and as many outside their ranges."""
    out = case.outside()
    ids = np.concatenate([np.flatnonzero(~out)[:rows], np.flatnonzero(out)[:rows]])
    outside, caught = out[ids], case.flagged.take(ids)
    best = case.struck(caught, norm, "whitebox", seed).distance
    for access in ("label", "score"):
        try:
            far = case.struck(caught, norm, access, seed).distance
        except CouldNotLook as why:
            yield f"| {norm} | {access} | {why} | – |"
            continue
        cells = []
        for part in (~outside, outside):
            both = part & np.isfinite(far) & np.isfinite(best) & (best > 0)
            ratio = far[both].mean() / best[both].mean() if both.any() else np.nan
            cells.append(f"{ratio:.3f} ({both.sum()})" if both.any() else "–")
        yield f"| {norm} | {access} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=60)
    asked = parser.parse_args()
    for name in asked.sets:
        totals: dict[str, list[Any]] = {}
        for seed in range(asked.seeds):
            case = Case(name, asked.data, seed, asked.rows)
            for what, stays, n, queries, seconds in copies(case, seed):
                totals.setdefault(what, []).append((stays, n, queries, seconds / n))
        print(f"\n{name}, {asked.seeds} seeds, 3 cost units")
        print("| what | rows | stay caught | queries a row | CPU s a row |\n| --- | --- | --- | --- | --- |")
        for what, said in totals.items():
            stays, n, queries, seconds = (np.array(part) for part in zip(*said, strict=True))
            low, high = wilson(int(stays.sum()), int(n.sum()))
            share = f"{stays.sum() / n.sum():.1%} [{low:.1%}, {high:.1%}]"
            print(f"| {what} | {n.sum()} | {share} | {queries.mean():,.0f} | {seconds.mean():.3f} |", flush=True)
        print("\n| norm | access | within ranges: x white-box (rows) | outside |\n| --- | --- | --- | --- |")
        for norm in ("linf", "l2", "l1"):
            for line in apart(case, norm, asked.rows // 2, asked.seeds - 1):
                print(line, flush=True)


if __name__ == "__main__":
    main()
