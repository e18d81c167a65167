"""`assay harden TABLE` on poisoned and on clean public tables: what it changed, and what that did to the model.

python benchmarks/bench_sanitise.py --data DIR [--seeds N] [--rows N] [--sets NAME ...] [--only flips trigger clean]

DIR holds the CSV files of bench_data.py. Each seed draws rows anew and sets a quarter of them aside, untouched, as the
holdout that the model is measured on, and a tenth as trusted rows, which only `flips` is given. Poison goes into the
rest: a fifth of the positives to negative, or an in-bounds trigger in 1% of the rows. The whole command is run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bench_data import DEVELOP, mean, show, table
from bench_triggers import source
from common import ASSAY

from assay.attacks.poisoning.labels import targeted_flips
from assay.attacks.poisoning.trigger import trigger
from assay.core.errors import CouldNotLook

KINDS = ("flips", "trigger", "clean")
SETS = (*DEVELOP, "adult", "nsl_kdd", "phishing")
SCORE = "average_precision"
FLIPPED, TRIGGERED = 0.2, 0.01
HELD, TRUSTED = 0.25, 0.1


def poisoned(frame: pd.DataFrame, kind: str, seed: int) -> tuple[pd.DataFrame, set[int]]:
    """(the table, the rows planted in it). Raises CouldNotLook where that poison cannot be planted."""
    if kind == "clean":
        return frame, set()
    clean = source(frame)
    if kind == "flips":
        done = targeted_flips(clean, FLIPPED * float(clean.target().mean()), seed, target=False)
    else:
        done = trigger(clean, TRIGGERED, seed)
    return done.table.to_pandas(), set(done.rows.tolist())


def hardened(frame: pd.DataFrame, kind: str, seed: int) -> dict[str, Any]:
    """What the command did with one draw; `why` where it wrote nothing."""
    order = np.random.default_rng([seed, 3]).permutation(len(frame))
    held, known = round(HELD * len(frame)), round(TRUSTED * len(frame))
    parts = {"holdout": order[:held], "trusted": order[held : held + known], "t": np.sort(order[held + known :])}
    given = {name: frame.iloc[rows].reset_index(drop=True) for name, rows in parts.items()}
    given["t"], truth = poisoned(given["t"], kind, seed)
    with tempfile.TemporaryDirectory() as here:
        for name, part in given.items():
            part.to_parquet(f"{here}/{name}.parquet", index=False)
        command = [
            *ASSAY, "harden", f"{here}/t.parquet", "--label", "y", "--holdout", f"{here}/holdout.parquet",
            *(["--trusted", f"{here}/trusted.parquet"] if kind == "flips" else []),
            "-o", f"{here}/out.parquet", "--patch", f"{here}/p.json", "--seed", str(seed), "-f", "json",
        ]  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    try:
        told = json.loads(done.stdout)
    except ValueError:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        return {"why": words[0] if words else f"exit {done.returncode}", "planted": len(truth), "cpu": cpu}
    changed = {change["row"] for change in told["changes"]}
    figures = {f["name"]: f for f in (told["measured"] or {"figures": ()})["figures"]}
    return {
        "rows": len(given["t"]), "planted": len(truth), "changed": len(changed), "hit": len(changed & truth),
        "cpu": cpu, "score": figures.get(SCORE),
        "verdict": told["measured"]["verdict"] if told["measured"] else "not measured: " + told["not_measured"],
        "by": {c for change in told["changes"] for c in change["checks"]}, "code": done.returncode,
    }  # fmt: skip


def rows_of(sets: list[str], folder: Path, rows: int, seeds: int, kinds: list[str]) -> Iterator[tuple[Any, ...]]:
    """A line for each table and poison."""
    for name in sets:
        frame = table(name, folder)
        for kind in kinds:
            told: list[dict[str, Any]] = []
            refused: list[dict[str, Any]] = []
            for seed in range(seeds):
                part = frame.sample(min(rows, len(frame)), random_state=seed)
                try:
                    one = hardened(part, kind, seed)
                except CouldNotLook as why:
                    one = {"why": f"not planted: {why}"}
                (refused if "why" in one else told).append(one)
            yield name, kind, *_line(told, refused)


def _line(told: list[dict[str, Any]], refused: list[dict[str, Any]]) -> tuple[Any, ...]:
    """The cells of several runs: sums of rows, means of scores."""
    whys = "; ".join(sorted({one["why"][:100] for one in refused}))
    note = f"{len(refused)} not written: {whys}" if refused else ""
    if not told:
        return (*[""] * 8, note)
    total = {key: sum(one[key] for one in told) for key in ("rows", "planted", "changed", "hit", "cpu")}
    scores = [one["score"] for one in told if one["score"]]
    verdicts = [one["verdict"] for one in told]
    said = ", ".join(f"{v} {verdicts.count(v)}" for v in dict.fromkeys(verdicts))
    by = ", ".join(sorted({check.removeprefix("data.") for one in told for check in one["by"]}))
    score = mean([s["before"] for s in scores]) + " → " + mean([s["after"] for s in scores]) if scores else ""
    lean = mean([s["difference"] for s in scores]) if scores else ""
    count = f"{total['rows'] // len(told):,} × {len(told)}"
    changed = f"{total['changed']} ({by})" if by else total["changed"]
    return count, total["planted"], changed, total["hit"], score, lean, said, f"{total['cpu'] / len(told):.0f}", note


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=8_000, help="drawn from each table, holdout and trusted among them")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    asked = parser.parse_args()
    head = (
        "table", "poison", "rows × draws", "planted", "changed (by)", "of them planted", "average precision",
        "difference", "verdict after", "CPU s a run", "note",
    )  # fmt: skip
    lines = rows_of(asked.sets, asked.data, asked.rows, asked.seeds, asked.only)
    show("assay harden TABLE, rows summed over the draws", head, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
