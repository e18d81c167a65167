"""Poison planted in public tables: what it does to a model, and from which share of the rows the checks find it.

python benchmarks/bench_poisoning.py --data DIR [--seeds N] [--sets NAME ...] [--only success rows dose rag]

DIR holds the CSV files that bench_data.py names. Settings were chosen on the develop sets; the others were kept for
the end. Parts: `success` of each attack on rows kept out, at 1% and 5%, mean ± standard error over the seeds; `rows`:
recall and precision of the rows that the checks flag at 1% and 5%; `dose`: the ladder of `assay data dose`; `rag`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench_data import DEVELOP, UNSEEN, mean, show, table

from assay.adapters.tables import open_dataset
from assay.attacks.poisoning.planted import Source, source_of
from assay.attacks.poisoning.rag import Query, retrieval
from assay.attacks.poisoning.registry import ATTACKS
from assay.attacks.poisoning.victim import Trial
from assay.core.errors import CouldNotLook
from assay.core.finding import Outcome
from assay.core.subject import Kind, Subject
from assay.engine.plan import Settings
from assay.flow.dose import Plan, dose

RATES = (0.01, 0.05)
FACTS: dict[str, Any] = {"label": "y", "positive": 1}
MOST = 5000


def source(name: str, folder: Path, most: int) -> Source:
    """A public table as the attacks see it, `most` of its rows."""
    frame = table(name, folder)
    frame = frame.sample(most, random_state=0).sort_index() if len(frame) > most else frame
    with tempfile.TemporaryDirectory() as here:
        frame.to_csv(f"{here}/t.csv", index=False)
        data = open_dataset(Subject(name="t", kind=Kind.DATASET, uri="t.csv", options=FACTS), Path(here))
        try:
            return source_of(data)
        finally:
            data.close()


def success_rows(sets: list[str], folder: Path, seeds: int, attacks: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """How often the victims are called what the attack wants, by a clean and by a poisoned model."""
    for name in sets:
        clean = source(name, folder, MOST)
        for attack in attacks:
            for rate in RATES:
                before, after, reached = [], [], 0
                try:
                    for seed in range(seeds):
                        effect = Trial(clean, seed).effect(ATTACKS[attack].plant, rate, seed)
                        before.append(effect.clean)
                        after.append(effect.poisoned)
                        reached += effect.poisoned >= 0.9 and effect.clean <= 0.2
                except CouldNotLook as why:
                    yield name, attack, f"{rate:.0%}", f"not planted: {why}", "", ""
                    continue
                yield name, attack, f"{rate:.0%}", mean(before), mean(after), f"{reached} of {seeds}"


def dose_rows(sets: list[str], folder: Path, plan: Plan) -> Iterator[tuple[Any, ...]]:
    """The dose of each attack as `assay data dose` tells it."""
    for name in sets:
        for outcome in doses(name, folder, plan):
            attack = outcome.check.removeprefix("data.dose.")
            if len(outcome.exhibits) < 2:
                yield name, attack, outcome.reason, *[""] * 8
                continue
            told = {m.name: m for m in outcome.measures}
            found = told.get(outcome.check)
            for rung in outcome.exhibits[1].rows:  # type: ignore[union-attr]
                yield name, attack, "not found" if found is None else f"{found.value:.2%}", *rung


def doses(name: str, folder: Path, plan: Plan) -> tuple[Outcome, ...]:
    """What `assay data dose` says of a public table."""
    with tempfile.TemporaryDirectory() as here:
        path = Path(here) / "t.csv"
        table(name, folder).to_csv(path, index=False)
        return dose(path, FACTS, plan, Settings(jobs=1)).body.outcomes


def rag_rows(seeds: int) -> Iterator[tuple[Any, ...]]:
    """Retrieval of planted documents in a corpus of made-up notes about made-up places (no public text is needed)."""
    for many in (1, 3, 5):
        for k in (1, 5):
            told = [_retrieved(seed, many, k) for seed in range(seeds)]
            yield many, k, *(mean([t[i] for t in told]) for i in range(3))


def _retrieved(seed: int, each: int, k: int) -> tuple[float, float, float]:
    import numpy as np

    rng = np.random.default_rng(seed)
    words = np.array([f"word{i}" for i in range(2000)])
    weight = 1 / np.arange(1, 2001)
    drawn = lambda n: " ".join(rng.choice(words, n, p=weight / weight.sum()))  # noqa: E731
    documents = [f"{drawn(80)} the height of place{i} is what {drawn(20)} place{i}" for i in range(1000)]
    queries = [Query(f"what is the height of place{i} {drawn(3)}", f"it is {i} metres") for i in range(50)]
    others = [f"what is the height of place{i} {drawn(3)}" for i in range(500, 600)]
    told = retrieval(documents, queries, each, seed, k=k, others=others)
    return told.success, told.payload_only, told.others or 0.0


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sets", nargs="+", default=[*DEVELOP, *UNSEEN])
    parser.add_argument("--only", nargs="+", default=["success", "rows", "dose", "rag"])
    parser.add_argument("--attacks", nargs="+", default=list(ATTACKS))
    asked = parser.parse_args()
    print(f"Develop: {'; '.join(DEVELOP)}. Unseen until the end: {'; '.join(UNSEEN)}. Seeds: {asked.seeds}.")
    if "success" in asked.only:
        head = ("table", "attack", "rate", "clean model", "poisoned model", "≥ .9 where the clean one is ≤ .2")
        show("Success on rows kept out", head, success_rows(asked.sets, asked.data, asked.seeds, tuple(asked.attacks)))
    head = ("table", "attack", "dose", "rate", "found", "low", "high", "recall", "precision", "recall at k", "success")
    attacks = tuple(asked.attacks)
    if "rows" in asked.only:
        plan = Plan(attacks=attacks, rates=RATES, every=True, plantings=asked.seeds, rows=MOST)
        show("Rows flagged at 1% and 5%", head, dose_rows(asked.sets, asked.data, plan))
    if "dose" in asked.only:
        plan = Plan(attacks=attacks, plantings=asked.seeds, rows=MOST)
        show("Detectable dose", head, dose_rows(asked.sets, asked.data, plan))
    if "rag" in asked.only:
        head = ("planted a query", "k", "retrieved", "payload alone", "other queries")
        show("Planted documents among the k best (BM25)", head, rag_rows(asked.seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
