"""Group fairness: how often each rule fails a compliant model and finds an unfair one, and what 2,000 resamples cost.

python benchmarks/bench_fairness.py [PYTHON]

PYTHON is the interpreter of an environment that holds fairlearn (or ASSAY_FAIRLEARN); without it one is made by `peer`.
Models are simulated: of two (four) groups one has `ratio` times the favourable rate of the others, .4. At 0.8 and above
the model is compliant. `whole check` asks `fairness.groups` itself: every metric of two or seven columns and of their
combinations (1, and 21 pairs and 35 threes), of a model whose groups differ in nothing; any finding is a false one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from common import peer

from assay.core.finding import Severity
from assay.stats.fairness import largest_difference, smallest_ratio

MODELS, RESAMPLES, RATE = 500, 2000, 0.4
THEIRS = """
import sys, time
import numpy as np
from fairlearn.metrics import MetricFrame, selection_rate, true_positive_rate, false_positive_rate
rows, draws = int(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
group, y = rng.integers(0, 4, rows), rng.random(rows) < 0.3
said = rng.random(rows) < np.where(y, 0.7, 0.2)
start = time.perf_counter()
frame = MetricFrame(
    metrics={"selection": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate},
    y_true=y, y_pred=said, sensitive_features=group, n_boot=draws, ci_quantiles=[0.025, 0.975], random_state=0,
)
low, high = (q["selection"] for q in frame.ratio_ci())
print(time.perf_counter() - start, low, high)
"""


def resampled(group: np.ndarray, y: np.ndarray, said: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Selection rate, true and false positive rate of each group in multinomial resamples of its cells, (3, b, g)."""
    rng = np.random.default_rng(seed)
    counts = np.bincount(group * 4 + y * 2 + said, minlength=size * 4)
    drawn = rng.multinomial(len(y), counts / len(y), RESAMPLES).reshape(RESAMPLES, size, 2, 2)
    flagged, of = drawn[..., 1], drawn.sum(axis=3)
    return np.stack([flagged.sum(axis=2) / of.sum(axis=2), flagged[..., 1] / of[..., 1], flagged[..., 0] / of[..., 0]])


def by_resamples(group: np.ndarray, y: np.ndarray, said: np.ndarray) -> tuple[float, float]:
    """Percentiles of the smallest ratio of selection; pulled down, for the smallest of noisy ratios is too small."""
    selection = resampled(group, y, said, 4, 0)[0]
    low, high = np.quantile(selection.min(axis=1) / selection.max(axis=1), [0.025, 0.975])
    return float(low), float(high)


def by_limits(group: np.ndarray, y: np.ndarray, said: np.ndarray) -> tuple[float, float]:
    """What the check does: the smallest ratio of selection, and the differences of both error rates."""
    size = np.bincount(group).astype(float)
    found = smallest_ratio(np.bincount(group, weights=said) / size, size, bound=0.8)
    for among in (y, ~y):
        n = np.bincount(group, weights=among)
        largest_difference(np.bincount(group, weights=said * among) / n, n, bound=0.1)
    assert found is not None
    return found.low, found.high


def quickest(work: Callable[[], tuple[float, float]], times: int = 7) -> tuple[float, tuple[float, float]]:
    """(seconds of the quickest of several runs, what it gave)."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        gave = work()
        taken.append(time.perf_counter() - start)
    return min(taken), gave


def speed(python: str | None) -> None:
    """One table: intervals from 2,000 resamples and from limits in closed form, beside fairlearn."""
    print("| rows | what | seconds | ratio of selection, 95% |\n|---|---|---|---|")
    for rows in (2_000, 20_000):
        rng = np.random.default_rng(0)
        group, y = rng.integers(0, 4, rows), rng.random(rows) < 0.3
        said = rng.random(rows) < np.where(y, 0.7, 0.2)
        took, (low, high) = quickest(partial(by_resamples, group, y, said))
        print(f"| {rows:,} | multinomial bootstrap, {RESAMPLES} | {took:.4f} | {low:.3f}–{high:.3f} |")
        took, (low, high) = quickest(partial(by_limits, group, y, said))
        print(f"| {rows:,} | limits in closed form | {took:.4f} | {low:.3f}–{high:.3f} |")
        if python is None or rows > 2_000:  # it takes minutes
            print(f"| {rows:,} | fairlearn | {'not installed' if python is None else 'not run'} | |")
            continue
        done = subprocess.run(
            [python, "-W", "ignore", "-c", THEIRS, str(rows), str(RESAMPLES)],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, low, high = map(float, done.stdout.split())
        print(f"| {rows:,} | fairlearn, n_boot={RESAMPLES} | {seconds:.2f} | {low:.3f}–{high:.3f} |")


def errors() -> None:
    """How often the plain rule and ours fail, pass or leave open a model, by its true ratio."""
    print("\n| rows | groups | true ratio | plain share < .8 | ours fail | ours pass | open | covered |")
    print("|---|---|---|---|---|---|---|---|")
    for rows in (200, 2000):
        for groups in (2, 4):
            for ratio in (1.0, 0.9, 0.86, 0.8, 0.6, 0.5):
                rng = np.random.default_rng(rows + groups)
                size = np.full(groups, rows // groups)
                truth = np.r_[RATE * ratio, np.full(groups - 1, RATE)]
                seen = rng.binomial(size, truth, (MODELS, groups)) / size
                plain = float((seen.min(axis=1) < 0.8 * seen.max(axis=1)).mean())
                found = [f for s in seen if (f := smallest_ratio(s, size.astype(float), bound=0.8)) is not None]
                said = [sum(f.verdict == v for f in found) / MODELS for v in ("fail", "pass", "undecided")]
                held = sum(f.low <= ratio <= f.high for f in found) / MODELS
                print(
                    f"| {rows} | {groups} | {ratio:.2f} | {plain:.3f} | {said[0]:.3f} | {said[1]:.3f} | {said[2]:.3f} "
                    f"| {held:.3f} |"
                )


class Told:
    """A model whose score is a column of the row."""

    threshold, features, classes, kind, notes = 0.5, ("score",), (0, 1), "", ()

    def scores(self, table: object) -> np.ndarray:
        """The column."""
        return table.column("score").to_numpy().astype(float)  # type: ignore[attr-defined]


def whole(models: int) -> None:
    """Any finding above info of the whole check, on models that treat all alike and on ones that do not."""
    from itertools import takewhile

    from assay.adapters.cases import ModelCase, open_model
    from assay.checks.fairness.groups import groups
    from assay.core.finding import Finding, Measure
    from assay.core.subject import Contract, Kind, Subject

    ModelCase.predictor = property(lambda self: Told())  # type: ignore[assignment]
    print("\n| rows | columns | chance of a flag | any finding |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for rows in (200, 2000):
            for columns, flag in ((2, (0.3, 0.3)), (7, (0.3, 0.3)), (2, (0.5, 0.3))):
                names = ["sex", *(f"mark{i}" for i in range(1, columns))]
                options = {"label": "y", "positive": 1, "protected": names}
                subjects = {
                    "t": Subject(name="t", kind=Kind.DATASET, uri="t.csv", options=options),
                    "m": Subject(name="m", kind=Kind.MODEL, uri="m", reads={"holdout": "t"}),
                }
                hits = 0
                for seed in range(models):
                    write(Path(folder) / "t.csv", rows, names, flag, seed)
                    with open_model(subjects["m"], subjects, Path(folder), Contract()) as case:
                        asked = groups(case, favourable="flagged")
                        told = list(takewhile(lambda item: isinstance(item, Finding | Measure), asked))
                    hits += any(isinstance(i, Finding) and i.severity is not Severity.INFO for i in told)
                print(f"| {rows} | {columns} | {flag[0]:g} and {flag[1]:g} | {hits / models:.3f} |", flush=True)


def write(path: Path, rows: int, names: list[str], flag: tuple[float, float], seed: int) -> None:
    """A table of people with the model's score."""
    rng = np.random.default_rng(seed)
    marks, y = rng.integers(0, 2, (rows, len(names))), rng.random(rows) < 0.4
    chance = np.asarray(flag)[marks[:, 0]] * np.where(y, 1.6, 0.6)
    score = np.where(rng.random(rows) < chance, 0.75, 0.25) + rng.uniform(-0.25, 0.25, rows)
    lines = [",".join([*map(str, m), f"{s:.6f}", str(int(t))]) for m, s, t in zip(marks, score, y, strict=True)]
    path.write_text("\n".join([",".join([*names, "score", "y"]), *lines]) + "\n")


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("ASSAY_FAIRLEARN")
    home = None if given else peer("fairlearn", "0.15.0")
    speed(given or (str(home / "python") if home else None))
    errors()
    whole(500)
