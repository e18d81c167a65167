"""A model with everything that its checks read: training data, holdout, champion; each opened when first asked for."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import msgspec

from assay.adapters.predictor_base import BasePredictor
from assay.adapters.predictors import open_predictor
from assay.adapters.tables import Dataset, open_dataset
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray, Predictor
from assay.core.subject import Contract, Subject
from assay.core.text import visible

ALONE = 64
TOLERANCE = 1e-5


def scores_alone(predictor: Predictor, rows: ArrowTable, seed: int) -> FloatArray:
    """The scores of `rows`, shape (n,), asked in a drawn order; a sample of them is asked again one by one.

    Raises CouldNotLook where the two differ: a model that looks at a row's neighbours or at its place can be perfect on
    a test and useless on the next case.
    """
    import numpy as np

    order = np.random.default_rng(seed).permutation(rows.num_rows)
    scores = np.empty(rows.num_rows)
    scores[order] = predictor.scores(rows.take(order))
    # Which ones nobody can foresee: who is judged knows the seed.
    for row in random.SystemRandom().sample(range(rows.num_rows), min(ALONE, rows.num_rows)):
        single = float(predictor.scores(rows.slice(row, 1))[0])
        if np.isnan(single) and np.isnan(scores[row]):
            continue  # who reads the scores says what is wrong with them
        if not abs(scores[row] - single) <= TOLERANCE * max(1.0, abs(single)):
            raise CouldNotLook("a row alone gets another score than among others: the answer is not the row's own")
    return scores


class ModelCase:
    """A model subject as checks see it. Close it once; that closes all that was opened through it."""

    def __init__(
        self,
        subject: Subject,
        subjects: Mapping[str, Subject],
        root: Path,
        contract: Contract,
        *,
        weak_sandbox: bool = False,
        champions: int = 1,
        memory: int = 0,
        datasets: dict[str, Dataset] | None = None,
    ) -> None:
        self.name, self.subject, self.contract = subject.name, subject, contract
        self._subjects, self._root = subjects, root
        self._weak, self._champions, self._memory = weak_sandbox, champions, memory
        # Shared with the champion, so that a table that both read is opened once.
        self._datasets: dict[str, Dataset] = {} if datasets is None else datasets
        self._used: BasePredictor | None = None  # since notes were last taken

    @property
    def predictor(self) -> BasePredictor:
        """The model itself, its inputs fitted to the training data, or to the holdout where none is named."""
        self._used = self._predictor
        return self._used

    @cached_property
    def _predictor(self) -> BasePredictor:
        data = self.train or self.holdout
        opened = open_predictor(self.subject, self._root, data=data, weak_sandbox=self._weak)
        # How wide numbers are stored counts wherever it is asked of them.
        opened.tables = lambda: tuple(d for d in (self._dataset("data"), self._dataset("holdout")) if d is not None)
        return opened

    @property
    def threshold(self) -> float:
        """The deployed operating point."""
        return self.predictor.threshold

    @property
    def train(self) -> Dataset | None:
        """The dataset in the role `data`, None where the manifest names none."""
        return self._dataset("data")

    @property
    def holdout(self) -> Dataset | None:
        """The dataset in the role `holdout`, None where the manifest names none.

        Raises CouldNotLook for the training data under another name: what a model remembers says nothing of it.
        """
        mine, theirs = self._role("holdout"), self._role("data")
        if mine is not None and theirs is not None:
            same = mine.name == theirs.name or (mine.digest and mine.digest == theirs.digest)
            if same:
                why = "the data it was trained on; name untouched rows"
                raise CouldNotLook(f"{self.name} would be judged on {mine.name}, {why}")
        return self._dataset("holdout")

    def untouched(self, purpose: str) -> Dataset:
        """The holdout, for a check that has nothing to say without it; `purpose` ends "has no untouched data …".

        Raises CouldNotLook where the manifest names none, and what `holdout` raises.
        """
        if (data := self.holdout) is None:
            raise CouldNotLook(f"{self.name} has no untouched data {purpose}; add `holdout:` to it in assay.yaml")
        return data

    @property
    def protected(self) -> tuple[str, ...]:
        """The protected columns of the holdout, then those of the training data that it has too; the label is none."""
        hold, train = self.holdout, self.train
        if hold is None:
            return ()
        there = {c.name for c in hold.columns} - {hold.label}
        declared = (*hold.protected, *(train.protected if train is not None else ()))
        return tuple(dict.fromkeys(c for c in declared if c in there))

    @cached_property
    def champion(self) -> ModelCase | None:
        """The model in the role `champion`, None where the manifest names none. It inherits roles that it lacks."""
        other = self._role("champion")
        if other is None:
            return None
        if not self._champions or other.name == self.name:
            raise CouldNotLook(f"{self.subject.uri}: its champion names a champion in turn, or itself")
        inherited = {role: name for role, name in self.subject.reads.items() if role in ("data", "holdout")}
        other = msgspec.structs.replace(other, reads={**inherited, **other.reads})
        return ModelCase(
            other,
            self._subjects,
            self._root,
            self.contract,
            weak_sandbox=self._weak,
            champions=self._champions - 1,
            memory=self._memory,
            datasets=self._datasets,
        )

    def settle(self) -> None:
        """At the end of a check: some of what it asked is asked again. Raises CouldNotLook where an answer changed."""
        champion = self.__dict__.get("champion")
        for used in (self._used, champion and champion._used):
            if used is not None:
                used.settle()

    def take_notes(self) -> tuple[str, ...]:
        """What is to be said of the models that were used since this was last asked: how each was loaded.

        By use, not by what happens to be open: an outcome must not depend on which checks ran before it.
        """
        used, self._used = self._used, None
        mine = tuple(f"{self.name}: {note}" for note in used.notes) if used is not None else ()
        if used is not None and len(used.classes) > 2:
            more = f"has {len(used.classes)} classes: rows are flagged by its score of the positive one alone"
            mine = (*mine, f"{self.name}: {more}")
        champion = self.__dict__.get("champion")
        return (*mine, *champion.take_notes()) if champion is not None else mine

    def close(self) -> None:
        """Close what was opened: the predictor, the champion, the datasets."""
        for name in ("_predictor", "champion"):
            opened = self.__dict__.pop(name, None)
            if opened is not None:
                opened.close()
        for dataset in self._datasets.values():
            dataset.close()
        self._datasets.clear()

    def __enter__(self) -> ModelCase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _role(self, role: str) -> Subject | None:
        name = self.subject.reads.get(role)
        if name is None:
            return None
        if name not in self._subjects:
            raise CouldNotLook(f"{self.subject.uri}: `{role}: {visible(name, 60)}` names no subject")
        return self._subjects[name]

    def _dataset(self, role: str) -> Dataset | None:
        subject = self._role(role)
        if subject is None:
            return None
        if subject.name not in self._datasets:
            self._datasets[subject.name] = open_dataset(subject, self._root, self.contract, memory=self._memory)
        return self._datasets[subject.name]


def open_model(
    subject: Subject,
    subjects: Mapping[str, Subject],
    root: Path,
    contract: Contract | None = None,
    *,
    weak_sandbox: bool = False,
    memory: int = 0,
) -> ModelCase:
    """The case of a model subject; `subject.reads` maps data, holdout and champion to names in `subjects`.

    `memory` is how many bytes each table may use, 0 for the default. Nothing is opened yet: each property raises what
    `open_dataset` and `open_predictor` raise, when it is first read.
    """
    return ModelCase(subject, subjects, root, contract or Contract(), weak_sandbox=weak_sandbox, memory=memory)
