"""Drift: false alarms where nothing changed, shifted columns found, and what a look costs, beside three other tools.

python benchmarks/bench_watch.py [--runs N] [--peer-runs N] [--sizes N ...] [--rows N] [--only PART] [--most N]

Parts: quiet (false alarms of one look), forever (of looks without end), shifts (seven shifted columns of 30), cost (1
million rows of 30 columns against 200,000, from Parquet), large (up to 100 million rows of five columns: about 2 GB of
disk for a while).

Peers run in environments of their own, each as it comes. Evidently: `DataDriftPreset`, a column by the method and the
threshold that it chooses for it. NannyML: univariate drift (Jensen-Shannon distance beyond three deviations of the
reference's own chunks), a column with an alert in any chunk: ten chunks of each table, and where the reference is
larger also the current table as one chunk and the reference in chunks of that size. alibi-detect: `TabularDrift`
(Kolmogorov-Smirnov and chi-squared) at .05 with Bonferroni's correction over the columns; it takes numbers only, so
words and truth values are coded with the levels of both tables, and a hole becomes a number below all others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
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
SILENT = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}  # no tool is to call home
READ = """
import json, sys, pandas as pd
def pairs():
    for before, now in zip(sys.argv[1::2], sys.argv[2::2]):
        yield pd.read_parquet(before), pd.read_parquet(now)
def say(columns):
    print(json.dumps(sorted(columns)), flush=True)
"""
EVIDENTLY = """
from evidently import Report, Dataset, DataDefinition
from evidently.presets import DataDriftPreset
for a, b in pairs():
    flagged = set()
    for m in Report([DataDriftPreset()]).run(Dataset.from_pandas(b), Dataset.from_pandas(a)).dict()["metrics"]:
        config = m.get("config", m)
        if "ValueDrift" in str(config.get("type", m.get("metric_name", ""))):
            value, limit = float(m["value"]), float(config["threshold"] if config.get("threshold") is not None else 0.1)
            if value < limit if "p_value" in str(config.get("method")) else value >= limit:
                flagged.add(config["column"])
    say(flagged)
"""
NANNYML = """
import nannyml as nml
for a, b in pairs():
    names = list(a.columns)
    calculator = nml.UnivariateDriftCalculator(column_names=names, CHUNKS).fit(a)
    told = calculator.calculate(b).filter(period="analysis").to_df()
    say(n for n in names if told[(n, "jensen_shannon", "alert")].any())
"""
ALIBI = """
import numpy as np
from alibi_detect.cd import TabularDrift
for a, b in pairs():
    both, levels = pd.concat([a, b], ignore_index=True), {}
    for i, name in enumerate(both.columns):
        if both[name].dtype.kind in "iuf":
            both[name] = both[name].fillna(both[name].min() - 1)
        else:
            both[name], held = pd.factorize(both[name])
            levels[i] = list(range(len(held)))
    x = both.to_numpy(float)
    told = TabularDrift(x[:len(a)], p_val=0.05, categories_per_feature=levels).predict(x[len(a):])["data"]
    say(n for n, p in zip(both.columns, told["p_val"]) if p < told["threshold"])
"""
NANNYML_NEEDS = ("nannyml", "0.13.1", "pandas<3", "numpy<2", "pyarrow<20", "statsmodels")
WHOLE = "NannyML 0.13.1, whole table"
TOOLS = {
    "Evidently 0.7.23": (("evidently", "0.7.23", "pandas<3"), EVIDENTLY),
    "NannyML 0.13.1": (NANNYML_NEEDS, NANNYML.replace("CHUNKS", "")),
    WHOLE: (NANNYML_NEEDS, NANNYML.replace("CHUNKS", "chunk_size=len(b)")),
    "alibi-detect 0.13.0": (("alibi-detect", "0.13.0", "pyarrow<20"), ALIBI),
}


def peers(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """(title, command) of each peer that can be installed; pairs of Parquet files follow the command."""
    for place, (title, (needs, script)) in enumerate(TOOLS.items()):
        home = peer(*needs)
        if home is None:
            print(f"{title} cannot be installed here.", flush=True)
            continue
        path = folder / f"peer{place}.py"
        path.write_text(READ + script)
        yield title, [str(home / "python"), "-W", "ignore", str(path)]


def told_by(command: list[str]) -> tuple[list[set[str]], str]:
    """(the columns that a peer flags, for each pair of tables; its last words)."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **SILENT})
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    return [set(json.loads(line)) for line in lines], " ".join(done.stderr.strip().splitlines()[-1:])


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


def quiet(folder: Path, sizes: list[int], runs: int, peer_runs: int) -> None:
    """Any alarm at all over 30 columns where both tables come from one population; the peers see the first of them."""
    print("| rows on each side | tool | runs | any alarm | 95% | columns an alarm |\n|" + " --- |" * 6)
    for n in sizes:
        rings = []
        for seed in range(runs):
            before, now = quiet_pair(n, seed)
            with relation_of(before, "before") as relation:
                reference = reference_profile(relation)
            with relation_of(now, "now") as relation:
                rings.append(len(drift(reference, count(relation, reference), seed=seed, least_effect=0.0).flagged))
        say_quiet(n, "assay watch", rings)
        files = []
        for seed in range(min(peer_runs, runs)):
            for side, made in zip(("before", "now"), quiet_pair(n, seed), strict=True):
                files.append(str(folder / f"{side}-{n}-{seed}.parquet"))
                pq.write_table(made, files[-1])
        for title, command in peers(folder) if files else ():
            if title == WHOLE:
                continue  # a reference of one chunk gives no threshold
            flagged, words = told_by([*command, *files])
            if 2 * len(flagged) < len(files):
                print(f"| {n:,} | {title} | {len(flagged)} | did not end: {words} | | |", flush=True)
            else:
                say_quiet(n, title, [len(f) for f in flagged])


def quiet_pair(n: int, seed: int) -> tuple[Any, Any]:
    """Two tables of one population."""
    rng = np.random.default_rng([n, seed])
    return quiet_table(n, rng), quiet_table(n, rng)


def say_quiet(n: int, title: str, rings: list[int]) -> None:
    """One line: the share of runs with an alarm, and how many columns rang in those."""
    loud = [r for r in rings if r]
    low, high = wilson(len(loud), len(rings))
    each = f"{np.mean(loud):.1f}" if loud else ""
    share = f"{len(loud) / len(rings):.1%} | {low:.1%}–{high:.1%}"
    print(f"| {n:,} | {title} | {len(rings):,} | {share} | {each} |", flush=True)


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
    for title, command in peers(folder):
        told, words = told_by([*command, str(before), str(now)])
        if told:
            print(f"| {title} | {len(told[0] & SHIFTED)} | {len(told[0] - SHIFTED)} |", flush=True)
        else:
            print(f"| {title} | did not end: {words} | |", flush=True)


def cost(folder: Path, rows: int) -> None:
    """CPU seconds and memory of the whole command."""
    before, now = write(folder, rows)
    print("| rows | tool | CPU s | peak MB | ended |\n| --- | --- | --- | --- | --- |")
    tools = {"assay watch": [*ASSAY, "watch", str(before), str(now)]}
    tools |= {title: [*command, str(before), str(now)] for title, command in peers(folder)}
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
    parser.add_argument("--peer-runs", type=int, default=50, help="of the peers where nothing changed; 0: none of them")
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 1_000, 10_000], help="of the part quiet")
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
            quiet(folder, options.sizes, options.runs, options.peer_runs)


if __name__ == "__main__":
    main()
