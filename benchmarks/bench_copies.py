"""Near-copies of one row planted in public tables: how often they are found, and what clean draws raise.

python benchmarks/bench_copies.py --data DIR [--seeds N] [--clean N] [--sizes N ...] [--sets NAME ...] [--only PART]

DIR holds the CSV files of bench_data.py. Each seed draws rows anew; `attacks.poisoning.flooding` then adds 1% of
near-copies of one of them with the wrong label. That row itself is flagged with its copies, and counts as wrongly
flagged. Draws of one table overlap. All tables are develop for this check.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from bench_data import ask, mean, show, table
from bench_triggers import source

from assay.attacks.poisoning.flooding import flooding
from assay.stats.intervals import wilson

CHECK, RATE = "data.near-duplicates", 0.01
SETS = ("german_credit", "spambase", "fraud_oracle", "uci_credit", "adult", "nsl_kdd", "phishing")
PARTS = ("planted", "clean")


def sizes_of(frame: pd.DataFrame, sizes: list[int]) -> list[int]:
    """How many rows are drawn: as many as asked, four fifths of the table at most, no number twice."""
    return sorted({min(size, 4 * len(frame) // 5) for size in sizes})


def drawn(frame: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    """`size` rows of the table."""
    return frame.sample(size, random_state=seed).reset_index(drop=True)


def asked(frame: pd.DataFrame, seed: int) -> tuple[list[str], set[int]]:
    """(the keys of findings above info, the rows flagged)."""
    outcome, suspects = ask(CHECK, frame, seed)
    loud = [f.key for f in outcome.findings if str(f.severity) != "info"]
    pairs = () if suspects is None else zip(suspects.rows, suspects.flagged, strict=True)
    return loud, {row for row, flagged in pairs if flagged}


def planted(sets: list[str], folder: Path, sizes: list[int], seeds: int) -> Iterator[tuple[Any, ...]]:
    """Found: a finding above info and at least half of the copies among the rows flagged."""
    for name in sets:
        frame = table(name, folder)
        for size in sizes_of(frame, sizes):
            loud, found, spent = 0, 0, 0.0
            recalls: list[float] = []
            precisions: list[float] = []
            for seed in range(seeds):
                poisoned = flooding(source(drawn(frame, size, seed)), RATE, seed)
                truth = set(poisoned.rows.tolist())
                started = time.process_time()
                keys, flagged = asked(poisoned.table.to_pandas(), seed)
                spent += time.process_time() - started
                loud += bool(keys)
                found += bool(keys) and 2 * len(flagged & truth) >= len(truth)
                recalls.append(len(flagged & truth) / len(truth))
                precisions += [len(flagged & truth) / len(flagged)] if flagged else []
            low, high = wilson(found, seeds)
            right = mean(precisions) if precisions else "none flagged"
            share = f"{found} of {seeds} ({low:.0%}–{high:.0%})"
            yield name, f"{size:,}", len(truth), share, loud, mean(recalls), right, f"{spent / seeds:.1f}"


def clean(sets: list[str], folder: Path, sizes: list[int], seeds: int) -> Iterator[tuple[Any, ...]]:
    """Draws without copies: findings above info."""
    for name in sets:
        frame = table(name, folder)
        for size in sizes_of(frame, sizes):
            told = [asked(drawn(frame, size, seed), seed) for seed in range(seeds)]
            loud = sum(bool(keys) for keys, _ in told)
            low, high = wilson(loud, seeds)
            keys = ", ".join(sorted({key for found, _ in told for key in found}))
            flagged = sum(len(rows) for _, rows in told)
            yield name, f"{size:,}", f"{loud} of {seeds} ({low:.0%}–{high:.0%})", keys, flagged


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10, help="plantings of each table and size")
    parser.add_argument("--clean", type=int, default=20, help="clean draws of each table and size")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 6_000])
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    given = options.sets, options.data, options.sizes
    if "planted" in options.only:
        head = (
            "table", "rows drawn", "planted", "found (95%)", "any finding", "rows found", "row precision", "CPU s",
        )  # fmt: skip
        show(f"Near-copies of one row, {RATE:.0%} of the rows, by {CHECK}", head, planted(*given, options.seeds))
    if "clean" in options.only:
        columns = ("table", "rows drawn", "draws with a finding above info (95%)", "of which kind", "rows flagged")
        show("Clean draws", columns, clean(*given, options.clean))
    return 0


if __name__ == "__main__":
    sys.exit(main())
