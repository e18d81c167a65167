"""Drift: false alarms where nothing changed, shifted columns found, and what a look costs, beside Evidently.

python benchmarks/bench_watch.py [--runs N] [--rows N] [--only PART] [--most N]

Parts: quiet (false alarms of one look), forever (of looks without end), shifts (seven shifted columns of 30), cost (1
million rows of 30 columns against 200,000, from Parquet), large (up to 100 million rows of five columns: about 2 GB of
disk for a while). Evidently runs in an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import ASSAY, middle_run, peer

from assay.adapters.profiles import count, reference_profile
from assay.adapters.relation import relation_of
from assay.detectors.drift import drift
from assay.stats.betting import EXPONENTS, JUMP
from assay.stats.intervals import wilson

Array = Any
PEER = """
import json, sys, pandas as pd
from evidently import Report, Dataset, DataDefinition
from evidently.presets import DataDriftPreset
a, b = (pd.read_parquet(p) for p in sys.argv[1:3])
snapshot = Report([DataDriftPreset()]).run(Dataset.from_pandas(b), Dataset.from_pandas(a))
found = {}
for m in snapshot.dict()["metrics"]:
    config = m.get("config", m)
    if "ValueDrift" in str(config.get("type", m.get("metric_name", ""))):
        found[config["column"]] = [config.get("method"), config.get("threshold"), m["value"]]
json.dump(found, sys.stdout, default=str)
"""


def quiet_table(n: int, rng: np.random.Generator) -> Any:
    """Thirty columns of ten kinds, no two alike in what makes tests go wrong."""
    made: dict[str, Any] = {}
    for i in range(3):
        holes = rng.random(n) < 0.05
        made |= {
            f"normal{i}": rng.normal(size=n), f"lognormal{i}": rng.lognormal(size=n), f"whole{i}": rng.poisson(3, n),
            f"rounded{i}": rng.normal(size=n).round(1), f"holes{i}": pa.array(rng.normal(size=n), mask=holes),
            f"zeros{i}": np.where(rng.random(n) < 0.7, 0.0, rng.exponential(size=n)),
            f"words{i}": rng.choice(list("abcdefgh"), n, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.03, 0.015, 0.005]),
            f"tail{i}": [f"w{v}" for v in rng.zipf(1.7, n).clip(max=180)],
            f"ids{i}": [f"{v:x}" for v in rng.integers(0, 10**12, n)], f"rare{i}": rng.random(n) < 0.01,
        }  # fmt: skip
    return pa.table(made)


def quiet(runs: int) -> None:
    """Any alarm at all over 30 columns where both tables come from one population."""
    print("| rows on each side | runs | any alarm | 95% | bound |\n| --- | --- | --- | --- | --- |")
    for n in (200, 1_000, 10_000):
        rings = 0
        for seed in range(runs):
            rng = np.random.default_rng([n, seed])
            with relation_of(quiet_table(n, rng), "before") as relation:
                reference = reference_profile(relation)
            with relation_of(quiet_table(n, rng), "now") as relation:
                rings += bool(drift(reference, count(relation, reference), seed=seed, least_effect=0.0).flagged)
        low, high = wilson(rings, runs)
        print(f"| {n:,} | {runs:,} | {rings / runs:.1%} | {low:.1%}–{high:.1%} | lower end ≤ 5% |", flush=True)


def forever(runs: int, steps: int = 100_000) -> None:
    """Capital that ever reaches 1 / .05 over many steps of uniform p-values."""
    generator = np.random.default_rng(11)
    kappa = np.array(EXPONENTS)
    shares, highest = np.zeros((runs, len(kappa))), np.ones(runs)
    for t in range(1, steps + 1):
        p = generator.random((runs, 1))
        level = (JUMP * shares.sum(1, keepdims=True) + 1 / (t * (t + 1))) / len(kappa)
        shares = ((1 - JUMP) * shares + level) * kappa * p ** (kappa - 1)
        highest = np.maximum(highest, shares.sum(1) + 1 / (t + 1))
    rings = int((highest >= 20).sum())
    low, high = wilson(rings, runs)
    print("| looks | runs | ever rang at .05 | 95% |\n| --- | --- | --- | --- |")
    print(f"| {steps:,} | {runs:,} | {rings / runs:.2%} | {low:.2%}–{high:.2%} |", flush=True)


def shifted(n: int, seed: int, shift: bool) -> Any:
    """24 numbers and 6 words; with `shift` seven of them are changed a little, each in its own way."""
    rng = np.random.default_rng(seed)
    made = {f"n{i}": rng.normal(size=n) if i % 3 else rng.lognormal(size=n) for i in range(24)}
    made |= {f"c{i}": rng.choice([f"v{k}" for k in range(5 + 5 * i)], n) for i in range(6)}
    if shift:
        made["n0"] = made["n0"] * 1.1
        made["n1"] = made["n1"] + 0.05
        made["n2"] = made["n2"] * 1.15
        made["n4"] = np.where(rng.random(n) < 0.02, np.nan, made["n4"])
        made["n5"] = np.where(rng.random(n) < 0.03, 0.0, made["n5"])
        made["c0"] = np.where((made["c0"] == "v0") & (rng.random(n) < 0.2), "v1", made["c0"])
        made["c3"] = np.where(rng.random(n) < 0.01, "new", made["c3"])
    return pa.table(made)


SHIFTED = {"n0", "n1", "n2", "n4", "n5", "c0", "c3"}


def write(folder: Path, rows: int) -> tuple[Path, Path]:
    """A reference of `rows` rows and a fifth as many current ones, seven columns of which are shifted."""
    before, now = folder / "before.parquet", folder / "now.parquet"
    pq.write_table(shifted(rows, 0, False), before)
    pq.write_table(shifted(rows // 5, 1, True), now)
    return before, now


def shifts(folder: Path, rows: int) -> None:
    """Which of the seven are found, and which of the other 23 are flagged."""
    before, now = write(folder, rows)
    done = subprocess.run(
        [*ASSAY, "watch", str(before), str(now), "-f", "json"], capture_output=True, text=True, check=False
    )
    flagged = {c["name"] for c in json.loads(done.stdout)["columns"] if c.get("flagged")}
    print("| tool | shifted columns found, of 7 | others flagged, of 23 |\n| --- | --- | --- |")
    print(f"| assay watch | {len(flagged & SHIFTED)} | {len(flagged - SHIFTED)} |", flush=True)
    home = peer("evidently", "0.7.23", "pandas<3")
    if home is not None:
        script = folder / "peer.py"
        script.write_text(PEER)
        told = subprocess.run(
            [str(home / "python"), str(script), str(before), str(now)], capture_output=True, text=True, check=False
        )
        try:
            values = json.loads(told.stdout[told.stdout.index("{") :])
        except ValueError:
            print(f"| Evidently 0.7.23 | did not end: {told.stderr.strip().splitlines()[-1:]} | |")
            return
        hit = {c for c, (method, threshold, value) in values.items() if _rings(str(method), threshold, value)}
        print(f"| Evidently 0.7.23 | {len(hit & SHIFTED)} | {len(hit - SHIFTED)} |", flush=True)


def _rings(method: str, threshold: Any, value: Any) -> bool:
    """Evidently's own rule: p-values below the threshold, distances above it."""
    value, threshold = float(value), float(threshold if threshold is not None else 0.1)
    return value < threshold if "p_value" in method else value >= threshold


def cost(folder: Path, rows: int) -> None:
    """CPU seconds and memory of the whole command."""
    before, now = write(folder, rows)
    print("| rows | tool | CPU s | peak MB | ended |\n| --- | --- | --- | --- | --- |")
    tools = {"assay watch": [*ASSAY, "watch", str(before), str(now)]}
    home = peer("evidently", "0.7.23", "pandas<3")
    if home is not None:
        script = folder / "peer.py"
        script.write_text(PEER)
        tools["Evidently 0.7.23"] = [str(home / "python"), str(script), str(before), str(now)]
    for title, command in tools.items():
        cpu, memory, ended = middle_run(command, 3 if "assay" in title else 1)
        print(f"| {rows:,} | {title} | {cpu:.2f} | {memory:.0f} | {ended} |", flush=True)


def large(folder: Path, most: int) -> None:
    """Time and memory over tables of more and more rows, against a saved reference: five columns, one Parquet file."""
    import duckdb

    print("| rows | file MB | CPU s | CPU s / million rows | peak MB | ended |\n| --- | --- | --- | --- | --- | --- |")
    before = folder / "reference.json"
    for rows in (1_000_000, 10_000_000, 30_000_000, 100_000_000):
        if rows > most:
            break
        path = folder / f"rows{rows}.parquet"
        query = (
            "SELECT (random() * 100)::FLOAT AS amount, (-ln(1 - random()))::FLOAT AS wait, "
            "(random() * 40)::INT AS age, 'shop' || (random() * 30)::INT AS shop, "
            "CASE WHEN random() < .01 THEN NULL ELSE random() END AS score"
        )
        with duckdb.connect() as connection:
            connection.execute("SELECT setseed(.5)")
            connection.execute(f"COPY ({query} FROM range({rows})) TO '{path}' (FORMAT parquet)")
        if not before.exists():
            subprocess.run(
                [*ASSAY, "watch", str(path), "--save-reference", str(before)], check=True, capture_output=True
            )
        cpu, memory, ended = middle_run([*ASSAY, "watch", str(before), str(path)], 1)
        size = path.stat().st_size / 1e6
        print(f"| {rows:,} | {size:,.0f} | {cpu:.2f} | {cpu / rows * 1e6:.3f} | {memory:.0f} | {ended} |", flush=True)
        path.unlink()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", default="", choices=["", "quiet", "forever", "shifts", "cost", "large"])
    parser.add_argument("--most", type=int, default=100_000_000, help="rows of the largest table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.only in ("", "cost"):
            cost(folder, options.rows)
        if options.only in ("", "shifts"):
            shifts(folder, options.rows)
        if options.only in ("", "forever"):
            forever(options.runs)
        if options.only in ("", "large"):
            large(folder, options.most)
        if options.only in ("", "quiet"):
            quiet(options.runs)


if __name__ == "__main__":
    main()
