"""Planted triggers in public tables: rows found, and what clean tables raise.

python benchmarks/bench_triggers.py --data DIR [--seeds N] [--sets NAME ...] [--only planted copies clean labels]

DIR holds the CSV files of bench_data.py. Thresholds were chosen on the develop sets; the others were kept for the end.
"copies" plants one row in fifty, but copies of fewer different rows. "labels" takes other columns of the tables as the
label: natural tasks, full of rules that are pure.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from bench_data import DEVELOP, UNSEEN, encoded, mean, show, table
from common import PEERS
from msgspec.structs import replace

from assay.attacks.poisoning.planted import Source
from assay.attacks.poisoning.trigger import trigger
from assay.core.errors import CouldNotLook
from assay.detectors.triggers import Judged, judged

Array = Any
ART = "1.20.1"
RATE, REACHED = 0.01, 0.9
LABELS = 12
COPIED, JITTER = 0.02, 0.01


def source(frame: pd.DataFrame) -> Source:
    """A table as the planter sees it."""
    frame = frame.rename(columns=str).reset_index(drop=True)
    names = tuple(c for c in frame.columns if c != "y")
    words = tuple(c for c in names if frame[c].dtype.kind not in "ifb")
    held = pa.Table.from_pandas(frame, preserve_index=False)
    return Source(table=held, label="y", positive=1, features=names, categorical=words)


def flagged(found: tuple[Judged, ...]) -> set[int]:
    """The rows of confirmed triggers."""
    return {row for one in found if one.verdict == "trigger" for row in one.rows.tolist()}


def planted(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """Recall and precision of rows over the tables in which the planter reached its aim."""
    for name in sets:
        clean = source(table(name, folder))
        recalls: list[float] = []
        precisions: list[float] = []
        reached: list[float] = []
        natural: list[float] = []
        spent: list[float] = []
        weak = 0
        for seed in range(seeds):
            try:
                poisoned = trigger(clean, RATE, seed)
            except CouldNotLook:
                weak += 1
                continue
            if (poisoned.success or 0) < REACHED:
                weak += 1
                continue
            given = source(poisoned.table.to_pandas())
            started = time.process_time()
            rows = flagged(judged(given.encoded(), given.target(), seed))
            spent.append((time.process_time() - started) / given.rows * 1e4)
            truth = set(poisoned.rows.tolist())
            recalls.append(len(rows & truth) / len(truth))
            if rows:
                precisions.append(len(rows & truth) / len(rows))
            reached.append(poisoned.success or 0.0)
            natural.append(poisoned.clean_success or 0.0)
        if not recalls:
            yield name, 0, weak, "", "", "", "", ""
            continue
        yield (
            name, len(recalls), weak, mean(recalls), mean(precisions) if precisions else "none flagged", mean(reached),
            mean(natural), f"{np.mean(spent):.1f}",
        )  # fmt: skip


def copies(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """As many rows are planted, of which each is so many times there; over tables in which the planter reached its aim
    without copies."""
    for name in sets:
        clean = source(table(name, folder))
        poisoned = []
        for seed in range(seeds):
            try:
                one = trigger(clean, COPIED, seed)
            except CouldNotLook:
                continue
            if (one.success or 0) >= REACHED:
                poisoned.append((seed, one))
        for times, jitter in ((1, 0.0), (2, 0.0), (4, 0.0), (3, JITTER)):
            recalls: list[float] = []
            precisions: list[float] = []
            noted = 0
            for seed, one in poisoned:
                given = source(_copied(one, times, jitter, seed))
                found = judged(given.encoded(), given.target(), seed)
                rows, truth = flagged(found), set(one.rows.tolist())
                recalls.append(len(rows & truth) / len(truth))
                precisions += [len(rows & truth) / len(rows)] if rows else []
                told = {row for j in found if j.verdict == "undecided" for row in j.rows.tolist()}
                noted += not rows and len(told & truth) >= len(truth) / 2
            if recalls:
                how = f"{times} times" + (", jittered" if jitter else "")
                yield (
                    name, how, len(recalls), sum(r >= 0.5 for r in recalls), noted, mean(recalls),
                    mean(precisions) if precisions else "none flagged",
                )  # fmt: skip


def _copied(one: Any, times: int, jitter: float, seed: int) -> pd.DataFrame:
    """The poisoned table with planted rows replaced by copies of others, so that each is `times` times there; the
    numbers outside the rule jittered by that share of themselves, or of the column's spread where that is less."""
    frame = one.table.to_pandas()
    rng = np.random.default_rng([seed, 21])
    rows = rng.permutation(one.rows)
    frame.iloc[rows] = frame.iloc[np.resize(rows[: max(1, len(rows) // times)], len(rows))].to_numpy()
    frame = frame.astype(one.table.to_pandas().dtypes)
    for name in frame.columns:
        if jitter and name != "y" and name not in one.rule and frame[name].dtype.kind in "if":
            values = frame[name].to_numpy(float)[rows]
            spread = np.minimum(np.abs(values), frame[name].std())
            moved = values + jitter * spread * rng.normal(size=len(rows))
            whole = frame[name].dtype.kind == "i"
            frame[name] = frame[name].astype(float)
            frame.iloc[rows, frame.columns.get_loc(name)] = np.round(moved) if whole else moved
    return frame


def clean(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """Triggers in clean tables, four fifths of the rows drawn anew for each seed."""
    for name in sets:
        frame = table(name, folder)
        verdicts: list[str] = []
        loud = 0
        for seed in range(seeds):
            given = source(frame.sample(frac=0.8, random_state=seed))
            found = judged(given.encoded(), given.target(), seed)
            loud += any(one.verdict == "trigger" for one in found)
            verdicts += [one.verdict for one in found]
        yield name, f"{loud} of {seeds}", verdicts.count("undecided"), len(verdicts)


def labels(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """Triggers in clean tables with another column as the label: a common value of it, or its upper quarter."""
    rng = np.random.default_rng(5)
    for name in sets:
        features, y = encoded(table(name, folder))
        loud, undecided, asked = 0, 0, 0
        for at in rng.permutation(len(features.names))[: max(LABELS, seeds)]:
            target = _as_label(features.matrix[:, at])
            if target is None:
                continue
            kept = [i for i in range(len(features.names)) if i != at]
            given = replace(
                features,
                matrix=np.column_stack([features.matrix[:, kept], y]),
                names=(*(features.names[i] for i in kept), "y"),
                categorical=tuple(place for place, i in enumerate(kept) if i in features.categorical),
            )
            found = judged(given, target, 0)
            asked += 1
            loud += any(one.verdict == "trigger" for one in found)
            undecided += sum(one.verdict == "undecided" for one in found)
        yield name, f"{loud} of {asked}", undecided


def _as_label(values: Array) -> Array | None:
    levels, size = np.unique(values[~np.isnan(values)], return_counts=True)
    if len(levels) > 12:
        target = values > np.nanquantile(values, 0.75)
    else:
        common = levels[(size > 0.04 * len(values)) & (size < 0.6 * len(values))]
        if not len(common):
            return None
        target = values == common[0]
    return target if target.mean() >= 0.03 else None


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sets", nargs="+", default=[*DEVELOP, *UNSEEN])
    parser.add_argument("--only", nargs="+", default=["planted", "copies", "clean", "labels"])
    asked = parser.parse_args()
    given = asked.sets, asked.data, asked.seeds
    print(f"Develop: {'; '.join(DEVELOP)}. Unseen until the end: {'; '.join(UNSEEN)}. Seeds: {asked.seeds}.")
    there = (PEERS / f"art-{ART}" / ".done").exists()
    print(f"ART (activation clustering, spectral signatures): not run{'' if there else ', not installed'}.")
    if "planted" in asked.only:
        head = (
            "table", "tables", "aim not reached", "rows found", "row precision", "success", "clean success",
            "CPU s / 10,000 rows",
        )  # fmt: skip
        show(f"Planted triggers ({RATE:.0%} of the rows, three columns)", head, planted(*given))
    if "copies" in asked.only:
        head = ("table", "each row is there", "tables", "found", "noted only", "rows found", "row precision")
        show(f"Copied triggers ({COPIED:.0%} of the rows, copies counted)", head, copies(*given))
    if "clean" in asked.only:
        show("Clean tables", ("table", "with a trigger", "undecided rules", "rules examined"), clean(*given))
    if "labels" in asked.only:
        show("Other columns as the label", ("table", "with a trigger", "undecided rules"), labels(*given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
