"""What the detectors find and how often they cry wolf: every figure of "False alarms" in docs/benchmarks.md.

python benchmarks/bench_detectors.py [--seeds N] [--data DIR]
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from assay.adapters.encode import Encoded
from assay.checks.data.label_flips import LEAST_TOLD, SEPARABLE
from assay.core.subject import Contract, Kind, Subject
from assay.detectors.giveaway import giveaways
from assay.detectors.label_errors import direction, separation, unlike_batches
from assay.detectors.out_of_fold import out_of_fold, row_groups
from assay.detectors.overlap import judge, overlap
from assay.engine.inline import InlineExecutor
from assay.engine.task import Task
from assay.stats import classifier as c
from assay.stats.intervals import Counts, overlapping_difference, paired_difference, wilson

Array = Any
TRAIN, HOLD, LEAKED = 3500, 1500, 75


def table(title: str, head: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    """Print one table, row by row as it is measured."""
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def rate(hits: int, n: int) -> str:
    """`hits` of `n` with the 95% interval."""
    low, high = wilson(hits, n)
    return f"{hits} of {n} ({low:.1%}–{high:.1%})"


# Split leakage: training and holdout tables, honest and leaked.


def continuous(rng: Any, n: int) -> Array:
    """Rows of which no two are the same."""
    return rng.normal(size=(n, 4))


def categories(rng: Any, n: int) -> Array:
    """Three columns of 6, 6 and 9 levels."""
    return np.stack([rng.integers(0, k, n) for k in (6, 6, 9)], axis=1)


def skewed(rng: Any, n: int, power: float = 1.3) -> Array:
    """Three columns of 200 levels, the first common, the last rare."""
    share = np.arange(1, 201) ** -power
    return np.searchsorted(np.cumsum(share / share.sum())[:-1], rng.random((n, 3)))


def one_hot(rng: Any, n: int) -> Array:
    """Five columns of 8 levels, each written as 8 columns."""
    codes = np.stack([rng.choice(8, n, p=[0.5, 0.2, 0.1, 0.08, 0.05, 0.04, 0.02, 0.01]) for _ in range(5)], axis=1)
    return (codes[:, :, None] == np.arange(8)).reshape(n, -1).astype(int)


def half_empty(rng: Any, n: int) -> Array:
    """Every other row is the same row of zeros."""
    return np.where(rng.random((n, 1)) < 0.5, 0.0, continuous(rng, n))


def copied(rows: Array, times: int) -> Array:
    """As many rows as before, each `times` times."""
    return np.repeat(rows[: len(rows) // times], times, axis=0)


def leak(train: Array, hold: Array, rng: Any, jitter: float = 0.0) -> tuple[Array, Array]:
    """75 rows of the training data in the holdout."""
    out = hold.copy()
    out[rng.choice(len(out), LEAKED, replace=False)] = train[rng.integers(0, len(train), LEAKED)]
    return train, out * (1 + jitter * rng.normal(size=out.shape))


def twice(train: Array, hold: Array) -> tuple[Array, Array]:
    """Every holdout row twice."""
    return train, np.repeat(hold, 2, axis=0)


def redrawn(train: Array, hold: Array, rng: Any) -> tuple[Array, Array]:
    """Three times as many holdout rows, drawn from those there are."""
    return train, hold[rng.integers(0, len(hold), 3 * len(hold))]


def before_split(rng: Any, share: float, times: int) -> tuple[Array, Array]:
    """Copies of a share of the rows, made before a random split."""
    rows = continuous(rng, TRAIN + HOLD)
    part = int(share * len(rows))
    rows = rng.permutation(np.concatenate([rows[part:], np.repeat(rows[:part], times, axis=0)]))
    return rows[: len(rows) * 7 // 10], rows[len(rows) * 7 // 10 :]


def once(rows: Array) -> Array:
    """Each distinct row once."""
    return np.unique(rows, axis=0)


SPLITS: dict[str, Callable[[Any], tuple[Array, Array]]] = {
    "honest: continuous": lambda r: (continuous(r, TRAIN), continuous(r, HOLD)),
    "honest: categories": lambda r: (categories(r, TRAIN), categories(r, HOLD)),
    "honest: one-hot": lambda r: (one_hot(r, TRAIN), one_hot(r, HOLD)),
    "honest: holdout more concentrated": lambda r: (skewed(r, TRAIN, 1.2), skewed(r, HOLD, 1.5)),
    "honest: holdout less concentrated": lambda r: (skewed(r, TRAIN, 1.5), skewed(r, HOLD, 1.2)),
    "honest: training data oversampled ×3": lambda r: (copied(continuous(r, TRAIN), 3), continuous(r, HOLD)),
    "honest: half of the rows identical": lambda r: (half_empty(r, TRAIN), half_empty(r, HOLD)),
    "honest: categories, holdout freed of repeats": lambda r: (categories(r, TRAIN), once(categories(r, HOLD))),
    "honest: skewed, both freed of repeats": lambda r: (once(skewed(r, TRAIN)), once(skewed(r, HOLD))),
    "5% leaked": lambda r: leak(continuous(r, TRAIN), continuous(r, HOLD), r),
    "5% leaked, jitter of 1e-9": lambda r: leak(continuous(r, TRAIN), continuous(r, HOLD), r, 1e-9),
    "5% leaked, half of the rows identical": lambda r: leak(half_empty(r, TRAIN), half_empty(r, HOLD), r),
    "5% leaked, training data copied ×3": lambda r: leak(copied(continuous(r, TRAIN), 3), continuous(r, HOLD), r),
    "5% leaked, training data copied ×10": lambda r: leak(copied(continuous(r, TRAIN), 10), continuous(r, HOLD), r),
    "5% leaked, holdout copied ×2": lambda r: twice(*leak(continuous(r, TRAIN), continuous(r, HOLD), r)),
    "5% leaked, holdout drawn with replacement": lambda r: redrawn(
        *leak(continuous(r, TRAIN), continuous(r, HOLD), r), r
    ),
    "30% copied ×4 before the split": lambda r: before_split(r, 0.3, 4),
    "6% copied ×3 before the split": lambda r: before_split(r, 0.06, 3),
}


def judged(train: Array, hold: Array) -> str:
    """What the check says of two arrays of rows: high, medium or nothing."""
    first, second = (pa.table({f"c{i}": rows[:, i] for i in range(rows.shape[1])}) for rows in (train, hold))
    return str(judge(overlap(first, second)) or "")


def split_rows(seeds: int) -> Iterator[tuple[Any, ...]]:
    """Case, high and medium findings."""
    for name, case in SPLITS.items():
        said = [judged(*case(np.random.default_rng(seed))) for seed in range(seeds)]
        yield name, rate(said.count("high"), seeds), rate(said.count("medium"), seeds)


# Label flips: batches whose labels are unlike the rest, and the share that looks mislabelled.


def batched(kind: str, seed: int, slope: float = 1.0, batches: int = 8, rows: int = 3000) -> tuple[Array, ...]:
    """(matrix, labels, batch of each row): batches that honestly differ in rates or features, or hold copies."""
    rng = np.random.default_rng([seed, len(kind)])
    batch = np.arange(rows) * batches // rows
    matrix = rng.normal(size=(rows, 5))
    if "features" in kind:
        matrix += rng.normal(size=(batches, 5))[batch]
    logit = slope * (3.5 * matrix[:, 0] + 2.5 * matrix[:, 1]) - 2
    if "rates" in kind:
        logit = logit + (1.0 if "far" in kind else 0.6) * rng.normal(size=batches)[batch]
    target = rng.random(rows) < 1 / (1 + np.exp(-logit))
    if "copies" in kind:
        for one in range(batches):
            inside = np.flatnonzero(batch == one)
            for source in rng.choice(inside, 4, replace=False):
                at = rng.choice(inside, len(inside) // 8, replace=False)
                matrix[at], target[at] = matrix[source], target[source]
    return matrix, target, batch


def named(matrix: Array, target: Array, batch: Array, seed: int) -> tuple[list[int], float]:
    """(batches called unlike the rest, area under the ROC curve of the out-of-fold scores)."""
    encoded = Encoded(matrix=matrix, names=tuple("abcde"), categorical=())
    names = tuple(map(str, range(int(batch.max()) + 1)))
    probability = out_of_fold(encoded, target, seed, rounds=40)
    found = unlike_batches(probability, target, batch, names, groups=row_groups(matrix))
    return [int(b.name) for b in found], c.roc_area(probability, target)


def honest_rows(seeds: int) -> Iterator[tuple[Any, ...]]:
    """Honest batches: alarms at a family-wise level of 1%."""
    for kind in (
        "alike",
        "other rates",
        "far other rates",
        "other features",
        "copies",
        "other rates, features, copies",
    ):
        yield kind, rate(sum(bool(named(*batched(kind, s), s)[0]) for s in range(seeds)), seeds)


def power_rows(seeds: int) -> Iterator[tuple[Any, ...]]:
    """One batch of eight (375 rows each) with a part of its labels flipped: how often it is named."""
    for slope in (2.0, 1.0, 0.6):
        found, areas, wrong = {0.1: 0, 0.15: 0, 0.3: 0}, [], 0
        for flips in found:
            for seed in range(seeds):
                matrix, target, batch = batched("other rates", seed, slope)
                bad = seed % 8
                flip = np.random.default_rng([seed, 5]).random(len(target)) < flips
                names, area = named(matrix, target ^ ((batch == bad) & flip), batch, seed)
                found[flips] += bad in names
                wrong += bool(set(names) - {bad})
                areas.append(area)
        yield f"{np.mean(areas):.2f}", *(rate(k, seeds) for k in found.values()), rate(wrong, 3 * seeds)


def share_rows(seeds: int) -> Iterator[tuple[Any, ...]]:
    """How often the contradicted labels are called a finding, by scores of real trees out of fold: two normal classes,
    30% positive, as many rows as the check asks for; and a tenth of the positives missed."""
    for shift, flips in (
        (1.4, 0.0),
        (1.5, 0.0),
        (1.6, 0.0),
        (1.7, 0.0),
        (1.9, 0.0),
        (2.2, 0.0),
        (2.2, 0.05),
        (2.2, 0.1),
    ):
        hits, areas = 0, []
        for seed in range(seeds):
            rng = np.random.default_rng([seed, int(10 * shift)])
            target = rng.random(LEAST_TOLD) < 0.3
            matrix = rng.normal(size=(LEAST_TOLD, 5))
            matrix[target, :2] += shift
            target &= rng.random(LEAST_TOLD) >= flips
            probability = out_of_fold(Encoded(matrix=matrix, names=tuple("abcde"), categorical=()), target, seed)
            both = [direction(probability, target, is_, seed) for is_ in (False, True)]
            aside = np.concatenate([d.rows for d in both])
            areas.append(c.roc_area(probability, target))
            apart = min(areas[-1], separation(probability, target, aside))
            hits += max(d.low for d in both) > 0.01 and apart >= SEPARABLE
        yield f"{np.mean(areas):.2f}", f"{flips:.0%}", rate(hits, seeds)


# Target leakage.


def strongest(matrix: Array, target: Array, seed: int, categorical: tuple[int, ...] = ()) -> float:
    """The lower end of the strongest column's area."""
    names = tuple(map(str, range(matrix.shape[1])))
    return giveaways(Encoded(matrix=matrix, names=names, categorical=categorical), target, seed)[0].low


def giveaway_rows(seeds: int) -> Iterator[tuple[Any, ...]]:
    """Perfect columns, narrow bands and noise: how often they are called a giveaway at .985."""
    for positives, rows in ((20, 220), (20, 2000), (40, 400), (100, 1000)):
        hits = {"a perfect number": 0, "a narrow band": 0, "40 columns of noise": 0}
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            target = rng.permutation(np.arange(rows) < positives)
            outside = rng.choice([-1, 1], rows) * rng.uniform(0.01, 3, rows)
            noise = rng.normal(size=(rows, 40))
            noise[:, 0] = rng.integers(0, 150, rows)
            hits["a perfect number"] += strongest((target * 20 + rng.normal(size=rows))[:, None], target, seed) > 0.985
            band = np.where(target, rng.uniform(-0.001, 0.001, rows), outside)
            hits["a narrow band"] += strongest(band[:, None], target, seed) > 0.985
            hits["40 columns of noise"] += strongest(noise, target, seed, (0,)) > 0.985
        yield f"{positives} of {rows}", *(rate(k, seeds) for k in hits.values())


# Coverage of the intervals.


def paired_coverage(first: float, second: float, n: int) -> float:
    """Exact coverage of the paired difference, by enumerating both discordant counts."""
    covered = total = 0.0
    for b in range(min(n, int(n * first + 7 * math.sqrt(n * first)) + 6)):
        for k in range(min(n - b, int(n * second + 7 * math.sqrt(n * second)) + 6) if second else 1):
            log = math.lgamma(n + 1) - math.lgamma(b + 1) - math.lgamma(k + 1) - math.lgamma(n - b - k + 1)
            log += b * math.log(first) + (k * math.log(second) if k else 0)
            weight = math.exp(log + (n - b - k) * math.log(1 - first - second))
            if weight > 1e-7:
                low, high = paired_difference(b, k, n)
                total += weight
                covered += weight * (low <= first - second <= high)
    return covered / total


def precision_coverage(first: float, second: float, flags: int, draws: int) -> tuple[int, int]:
    """(covered, asked) of the difference of two precisions; half of the flags are shared, 5 on each side at least."""
    rng, both, shared = np.random.default_rng(3), 0.5 * flags, (first + second) / 2
    weights = [
        both * shared, both * (1 - shared), first * flags - both * shared, flags - both - first * flags + both * shared,
        second * flags - both * shared, flags - both - second * flags + both * shared,
    ]  # fmt: skip
    asked = covered = 0
    for row in rng.poisson(np.maximum(weights, 0), size=(draws, 6)).tolist():
        cells = Counts(*row)
        if min(sum(cells[:4]), sum(cells[:2]) + sum(cells[4:])) >= 5:
            low, high = overlapping_difference(cells)
            asked += 1
            covered += low <= first - second <= high
    return covered, asked


def drawn(kind: str, positives: int, share: float, rng: Any) -> tuple[Array, Array, Array]:
    """(scores of a model, of a worse one, target): two normal classes, or half of the positives hard."""
    shift = {
        "weak": 1.0,
        "fair": 2.0,
        "almost perfect": 4.2,
        "half hard": np.where(rng.random(positives) < 0.5, 4, 0.5),
    }
    rest = round(positives / share) - positives
    scores = np.concatenate([rng.normal(size=positives) + shift[kind], rng.normal(size=rest)])
    return scores, scores + 0.7 * rng.normal(size=len(scores)), np.arange(len(scores)) < positives


def area_coverage(kind: str, share: float, draws: int) -> tuple[int, int]:
    """(covered, covered) of the precision-recall area and of the difference of two, at 40 positives."""
    big = drawn(kind, 20_000, share, np.random.default_rng(0))
    truth = [float(c.average_precision(s, big[2])) for s in big[:2]]
    alone = together = 0
    for seed in range(draws):
        *both, target = drawn(kind, 40, share, np.random.default_rng([seed, 1]))
        areas = float(c.average_precision(both[0], target)), float(c.average_precision(both[1], target))

        def pair(w: Array, both: list[Array] = both, target: Array = target) -> Array:
            return np.stack([c.average_precision(s, target, w) for s in both], axis=1)

        resampled = c.bootstrap_draws(pair, target, seed, 150)
        low, high = c.area_interval(areas[0], resampled[:, 0], 40)
        alone += low <= truth[0] <= high
        low, high = c.area_difference(areas, resampled, 40)
        together += low <= truth[0] - truth[1] <= high
    return alone, together


def calibration_coverage(off: tuple[float, float], n: int, draws: int) -> int:
    """How often the upper end of the calibration error lies above the error of the rows at hand."""
    covered = 0
    for seed in range(draws):
        rng = np.random.default_rng([seed, n])
        x = rng.normal(-1.0, 1.3, n)
        scores, true = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(-(off[0] * x + off[1])))
        parts = np.array_split(np.argsort(scores, kind="stable"), 10)
        error = sum(abs(scores[p].mean() - true[p].mean()) * len(p) for p in parts) / n
        covered += c.calibration_bound(scores, rng.random(n) < true) >= error
    return covered


def coverage_rows(seeds: int) -> Iterator[tuple[Any, ...]]:
    """Interval, the grid, its worst and mean coverage, and how many draws a cell."""
    rates = ((0.002, 0.0), (0.005, 0.0), (0.01, 0.0), (0.02, 0.0), (0.01, 0.002))
    exact = [paired_coverage(*pair, n) for pair in rates for n in (50, 100, 300, 1000, 2000)]
    yield "paired difference", "25 cells, n 50 to 2,000", f"{min(exact):.3f}", f"{np.mean(exact):.3f}", "exact"
    many, few = 200 * seeds, 10 * seeds
    sides = ((0.5, 0.5), (0.9, 0.7), (0.98, 0.98), (0.1, 0.05))
    found = [precision_coverage(*side, flags, many) for side in sides for flags in (6, 20, 60)]
    shares = [k / n for k, n in found]
    yield (
        "precision against the champion",
        "12 cells, 6 to 60 flags",
        f"{min(shares):.3f}",
        f"{np.mean(shares):.3f}",
        many,
    )
    kinds = ("weak", "fair", "almost perfect", "half hard")
    for share in (0.2, 0.015):
        both = [area_coverage(kind, share, few if share > 0.1 else seeds * 3) for kind in kinds]
        draws = few if share > 0.1 else seeds * 3
        for name, at in (("precision-recall area", 0), ("its difference", 1)):
            cells = [pair[at] / draws for pair in both]
            where = f"4 models, 40 positives, {share:.1%} positive"
            yield name, where, f"{min(cells):.3f}", f"{np.mean(cells):.3f}", draws
    offs = ((1.0, 0.0), (0.85, 0.15), (0.5, 1.0), (2.0, 0.0))
    bounds = [calibration_coverage(off, n, few) / few for off in offs for n in (200, 1000)]
    where = "8 cells, n 200 and 1,000"
    yield "calibration error, upper end", where, f"{min(bounds):.3f}", f"{np.mean(bounds):.3f}", few


# Real tables that nobody poisoned.

SETS: dict[str, dict[str, Any]] = {
    "adult_train.csv": {"header": False, "label": "column14", "positive": ">50K"},
    "german_credit.csv": {"header": False, "label": "column20", "positive": 2},
    "nsl_kdd_train20.csv": {"header": False, "label": "column41", "positive": "normal", "drop": ["column42"]},
    "spambase.csv": {"positive": 1},
    "phishing_urls.csv": {"label": "CLASS_LABEL", "positive": 1, "id": "id"},
    "uci_credit_card.csv": {"label": "default.payment.next.month", "positive": 1, "id": "ID"},
    "fraud_oracle.csv": {
        "label": "FraudFound_P", "positive": 1, "id": "PolicyNumber", "time": "Year", "source": "RepNumber",
        "drop": ["RepNumber"],
    },
}  # fmt: skip


def halves(path: Path, folder: Path, seed: int, *, rid: bool = False) -> dict[str, Subject]:
    """Seven tenths to train on, three to judge, drawn at random; with `rid` each side loses its repeated rows."""
    lines = [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    facts = dict(SETS[path.name])
    head = [] if facts.get("header") is False else [lines.pop(0)]
    facts.setdefault("label", head[0].rpartition(",")[2].strip('"') if head else "")
    mine = np.random.default_rng(seed).random(len(lines)) < 0.3
    subjects = {}
    for part, want in (("train", False), ("hold", True)):
        chosen = [line for line, m in zip(lines, mine, strict=True) if m == want]
        chosen = list({line.rpartition(",")[0]: line for line in chosen}.values()) if rid else chosen
        (folder / f"{part}.csv").write_text("\n".join([*head, *chosen]) + "\n")
        reads = {"holdout_of": "train"} if want else {}
        subjects[part] = Subject(name=part, kind=Kind.DATASET, uri=f"{part}.csv", options=facts, reads=reads)
    return subjects


def asked(check: str, subjects: dict[str, Subject], folder: Path) -> str:
    """The findings of one check, by severity and confidence."""
    subject = "hold" if check == "data.split-leakage" else "train"
    task = Task(
        check=check, subject=subject, root=str(folder), subjects=subjects, contract=Contract(), parameters={}, seed=1
    )
    ((_, outcome, _),) = InlineExecutor().run([msgspec.json.encode(task)])
    said = [f"{f.severity} ({f.confidence} confidence)" for f in outcome.findings]
    return ", ".join(said) or str(outcome.status)


def real_rows(data: Path) -> Iterator[tuple[Any, ...]]:
    """Each table and check."""
    checks = ("data.duplicates", "data.target-leakage", "data.split-leakage", "data.label-flips")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in SETS:
            if (data / file).is_file():
                subjects = halves(data / file, folder, 0)
                yield file, *(asked(check, subjects, folder) for check in checks)


def rid_rows(data: Path) -> Iterator[tuple[Any, ...]]:
    """Honest splits of which both sides lost their repeats afterwards: what data.split-leakage says, 5 seeds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("spambase.csv", "adult_train.csv"):
            if (data / file).is_file():
                said = [asked("data.split-leakage", halves(data / file, folder, s, rid=True), folder) for s in range(5)]
                yield file, "; ".join(f"{said.count(s)} × {s}" for s in dict.fromkeys(said))


def main() -> int:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40, help="simulations a case, with seeds from 0 (40)")
    parser.add_argument("--data", type=Path, help="a folder with the public tables, for the real ones")
    given = parser.parse_args()
    n = given.seeds
    print(f"{n} seeds a case, from 0; in brackets Wilson 95% intervals")
    table(f"data.split-leakage, {TRAIN} and {HOLD} rows", ("case", "high", "medium"), split_rows(n))
    table("data.label-flips, honest batches (8 of 375 rows)", ("batches", "alarms at 1%"), honest_rows(n))
    flipped = ("ROC area", "10% flipped", "15%", "30%", "another batch named")
    table("data.label-flips, one batch of eight flipped", flipped, power_rows(n))
    table("data.label-flips, share", ("ROC area", "positives missed", "called a finding"), share_rows(n))
    leaks = ("positives", "a perfect number", "a narrow band", "40 columns of noise")
    table("data.target-leakage at .985", leaks, giveaway_rows(n))
    table("coverage of 95% intervals", ("interval", "grid", "worst", "mean", "draws a cell"), coverage_rows(n))
    if given.data is not None:
        table("clean public tables", ("table", "duplicates", "target", "split", "label flips"), real_rows(given.data))
        table("both sides freed of repeats after an honest split", ("table", "split-leakage"), rid_rows(given.data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
