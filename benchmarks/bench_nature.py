"""Natural or adversarial: what the watch says of changes whose cause is known, made of real tables.

python benchmarks/bench_nature.py --data DIR [--seeds N] [--sets NAME ...]

A model is fitted on a third of the rows, the reference is another third with its scores, the current rows are the last
third, changed. Rows have random sources (30) and times.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_data import encoded, table

from assay.engine.plan import Settings
from assay.flow.watch import facts_of, reference, watch

Array = Any
Frame = dict[str, Array]


class World:
    """A table's rows as numbers, a model of them, and the threshold at which it flags as many as are positive."""

    def __init__(self, matrix: Array, target: Array, seed: int) -> None:
        import lightgbm as lgb

        self.rng = np.random.default_rng(seed)
        matrix = np.nan_to_num(matrix)
        order = self.rng.permutation(len(matrix))
        fit, self.before, self.now = np.array_split(order, 3)
        self.matrix, self.target = matrix, target
        data = lgb.Dataset(matrix[fit], label=target[fit].astype(float), params={"verbose": -1})
        self.model = lgb.train({"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 1}, data, 100)
        scores = self.score(matrix[self.before])
        self.threshold = float(np.quantile(scores, 1 - target.mean()))
        self.many = [j for j in range(matrix.shape[1]) if len(np.unique(matrix[:, j])) > 40]

    def score(self, rows: Array) -> Array:
        """The model's scores of rows."""
        return np.asarray(self.model.predict(rows, num_threads=1))

    def frame(self, rows: Array, source: Array | None = None, time: Array | None = None) -> Frame:
        """A table of rows, their scores, sources and times."""
        n = len(rows)
        made: Frame = {f"f{j}": rows[:, j] for j in range(rows.shape[1])}
        made["score"] = self.score(rows)
        made["source"] = self.rng.integers(0, 30, n) if source is None else source
        made["when"] = self.rng.random(n) * 100 if time is None else time
        return made


def _changed(world: World, rows: Array, who: Array, column: int, value: Callable[[Array], Array]) -> Array:
    rows = rows.copy()
    rows[who, column] = value(rows[who, column])
    return rows


def weights(world: World) -> Frame:
    """Nature: rows with high values of a column come more often."""
    rows = world.matrix[world.now]
    column = world.rng.choice(world.many)
    rank = np.argsort(np.argsort(rows[:, column])) / len(rows)
    chosen = world.rng.choice(len(rows), len(rows), p=np.exp(2 * rank) / np.exp(2 * rank).sum())
    return world.frame(np.unique(rows[chosen], axis=0))


def season(world: World) -> Frame:
    """Nature: the same, little by little."""
    rows = world.matrix[world.now]
    column = world.rng.choice(world.many)
    rank = np.argsort(np.argsort(rows[:, column])) / len(rows)
    time = 100 * np.clip(rank * 0.5 + world.rng.random(len(rows)) * 0.5, 0, 1)
    kept = world.rng.random(len(rows)) < time / 100
    return world.frame(rows[kept], time=time[kept])


def unit(world: World) -> Frame:
    """Fault: a column is scaled from some day on."""
    rows = world.matrix[world.now]
    time = world.rng.random(len(rows)) * 100
    return world.frame(
        _changed(world, rows, time > 40, world.rng.choice(world.many), lambda v: v * 1.3 + 0.1), time=time
    )


def sensor(world: World) -> Frame:
    """Fault: from some day on one source in ten sends the same value."""
    rows = world.matrix[world.now]
    time, source = world.rng.random(len(rows)) * 100, world.rng.integers(0, 30, len(rows))
    column = world.rng.choice(world.many)
    stuck = float(np.median(rows[:, column]))
    return world.frame(_changed(world, rows, (time > 50) & (source < 3), column, lambda v: v * 0 + stuck), source, time)


def hangs(world: World) -> Frame:
    """Fault: one source sends one row again and again."""
    rows = world.matrix[world.now].copy()
    source = world.rng.integers(0, 30, len(rows))
    rows[source == 4] = rows[world.rng.integers(0, len(rows))]
    return world.frame(rows, source)


def holes(world: World) -> Frame:
    """Fault: a column goes missing at one day."""
    rows = world.matrix[world.now]
    time = world.rng.random(len(rows)) * 100
    return world.frame(_changed(world, rows, time > 70, world.rng.choice(world.many), lambda v: v * np.nan), time=time)


def shop(world: World) -> Frame:
    """Nature: a new source whose customers are of one kind."""
    rows = world.matrix[world.now]
    column = world.rng.choice(world.many)
    source = world.rng.integers(0, 29, len(rows))
    rank = np.argsort(np.argsort(rows[:, column])) / len(rows)
    source = np.where((rank > 0.8) & (world.rng.random(len(rows)) < 0.5), 29, source)
    kept = (rank <= 0.8) | (source == 29) | (world.rng.random(len(rows)) < 0.8)
    more = rows[(rank > 0.9)]
    frame = np.concatenate([rows[kept], more])
    return world.frame(frame, np.concatenate([source[kept], np.full(len(more), 29)]))


def prior(world: World) -> Frame:
    """Nature: twice as many positives."""
    rows, target = world.matrix[world.now], world.target[world.now]
    return world.frame(rows[target | (world.rng.random(len(rows)) < 0.5)])


def _evaded(world: World, share: float) -> tuple[Array, Array]:
    """Rows that the model flags, moved towards rows that it lets pass until they just pass; their positions."""
    rows = world.matrix[world.now].copy()
    scores = world.score(rows)
    flagged, passing = np.flatnonzero(scores >= world.threshold), np.flatnonzero(scores < world.threshold)
    count = min(int(share * len(rows)), len(flagged))
    chosen = world.rng.choice(flagged, count, replace=False)
    goal = rows[world.rng.choice(passing, count)]
    low, high = np.zeros(count), np.ones(count)  # the share of the way: at high it passes
    start = rows[chosen].copy()
    for _ in range(12):
        middle = (low + high) / 2
        passes = world.score(start + middle[:, None] * (goal - start)) < world.threshold
        low, high = np.where(passes, low, middle), np.where(passes, middle, high)
    rows[chosen] = start + high[:, None] * (goal - start)
    return rows, chosen


def evasion(world: World) -> Frame:
    """Attack: a tenth of the rows is changed until it just passes, by two of 30 sources, from some day on."""
    rows, chosen = _evaded(world, 0.1)
    source, time = world.rng.integers(0, 30, len(rows)), world.rng.random(len(rows)) * 100
    source[chosen] = world.rng.integers(0, 2, len(chosen))
    time[chosen] = 60 + 0.4 * time[chosen]
    return world.frame(rows, source, time)


def spread(world: World) -> Frame:
    """Attack: the same, from all sources at all times."""
    return world.frame(_evaded(world, 0.1)[0])


def probes(world: World) -> Frame:
    """Attack: one source tries 20 rows in variations, from some day on: a twentieth of all rows."""
    rows = world.matrix[world.now].copy()
    source, time = world.rng.integers(0, 30, len(rows)), world.rng.random(len(rows)) * 100
    tried = world.rng.choice(len(rows), len(rows) // 20, replace=False)
    base = rows[world.rng.choice(len(rows), 20)]
    made = base[world.rng.integers(0, 20, len(tried))]
    for j in world.many:
        made[:, j] *= 1 + world.rng.normal(size=len(made)) * 0.002
    rows[tried], source[tried], time[tried] = made, 7, 50 + 0.5 * time[tried]
    return world.frame(rows, source, time)


NATURE = (weights, season, prior, shop, unit, sensor, hangs, holes)
ATTACK = (evasion, spread, probes)


def verdict(world: World, frame: Frame, folder: Path) -> str:
    """What the watch says, "no drift" where it sees none."""
    before, now = folder / "before.parquet", folder / "now.parquet"
    pq.write_table(pa.table(world.frame(world.matrix[world.before])), before)
    pq.write_table(pa.table(frame), now)
    facts = facts_of(score="score", source="source", time="when", threshold=world.threshold)
    found = watch(reference(before, facts), now, facts, Settings(), rows=before)
    return found.nature or found.verdict


def main() -> None:
    """Print a table: for each change what was said, over sets and seeds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="*", default=["spambase", "fraud_oracle", "uci_credit, first half"])
    options = parser.parse_args()
    print("| set | cause | natural | unclear | adversarial | no drift |\n| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.sets:
            features, target = encoded(table(name, options.data))
            for make in (*NATURE, *ATTACK):
                said: Counter[str] = Counter()
                for seed in range(options.seeds):
                    world = World(features.matrix, target, seed)
                    said[verdict(world, make(world), Path(temporary))] += 1
                cells = " | ".join(str(said[v]) for v in ("natural", "unclear", "adversarial", "no drift"))
                kind = "attack" if make in ATTACK else "none"
                print(f"| {name} | {make.__name__} ({kind}) | {cells} |", flush=True)


if __name__ == "__main__":
    main()
