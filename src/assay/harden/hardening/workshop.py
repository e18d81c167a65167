"""What options are made from: the model, its recipe, its network, the training rows, and what an attacker can do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from assay.adapters.encode import encode
from assay.adapters.networks.network import Inputs, Layer, Network
from assay.adapters.networks.onnx_network import reader
from assay.adapters.onnx_predictor import OnnxPredictor
from assay.adapters.predictor_base import BasePredictor, positive_index
from assay.adapters.refit import Boosted, Recipe, class_places, recipe_of
from assay.adapters.sandboxed import SandboxedPredictor
from assay.adapters.tables import Dataset
from assay.attacks.one_hot import Fold
from assay.attacks.space import Space
from assay.core.errors import CouldNotLook
from assay.core.progress import Onward
from assay.core.protocols import ArrowTable, Progress, silent
from assay.core.protocols import FloatArray as Array
from assay.core.subject import Contract, Kind, Norm, Subject
from assay.core.text import visible
from assay.harden.hardening.adversarial import Lesson, Loss, Pace, largest, shape_of, together, trained
from assay.harden.hardening.graph import network_to_onnx, trees_to_onnx
from assay.harden.hardening.noise import noisy
from assay.harden.hardening.reach import Reach
from assay.harden.hardening.splits import grown

REPLACED = (32, 16)
"""Hidden layers of the network that stands in the place of trees."""
MOST, SPLIT = 20_000, 10_000
"""Positive rows that are pushed or moved at random, and rows of each class that trees of our own are grown from; drawn
at random where there are more."""


Steps = Callable[[str, int, int], Progress]
"""(name of a candidate, its place, how many there are) -> what is told how far it is with this one."""


class Made(NamedTuple):
    """A candidate: what answers, and the file that it would be (`content` None where it has yet to be written).

    One that abstains scores the largest of several margins, and `decided` their mean: a row that only the first flags
    is referred to a person.
    """

    predictor: BasePredictor
    content: bytes | None
    format: str
    decided: BasePredictor | None = None


class Workshop:
    """Makes candidates of one model. Raises CouldNotLook where the model has no two classes."""

    def __init__(
        self, model: BasePredictor, subject: Subject, root: Path, train: Dataset, contract: Contract, norm: Norm,
        budget: float, seed: int, progress: Progress = silent,
    ) -> None:  # fmt: skip
        if len(model.classes) != 2:
            raise CouldNotLook(f"{subject.uri}: has {len(model.classes)} classes; models of two are hardened here")
        self.model, self.subject, self.train, self.contract = model, subject, train, contract
        self.norm, self.budget, self.seed, self.progress = norm, budget, seed, Onward(progress)
        self.positive = positive_index(subject, train, model.classes)
        self.target = np.asarray(train.target(), dtype=bool)
        self.whole = train.table()  # relations and one-hot groups speak of columns that the model does not read
        self.rows = self.whole.select(list(model.features))
        self.places = class_places(model, subject, train)
        self.kinds = {c.name: c.kind for c in train.columns}
        self.own: Recipe | None = None
        self.no_recipe = ""
        try:
            self.own = recipe_of(model, subject, root)
        except CouldNotLook as why:
            self.no_recipe = str(why)

    def steps(self, doing: str, begin: float, end: float) -> Steps:
        """Work on candidates, one after the other, as the part from `begin` to `end` of the whole."""

        def step(name: str, place: int, count: int) -> Progress:
            one = (end - begin) / count
            self.progress.part(begin + place * one, begin + (place + 1) * one, f"{doing} {place + 1}/{count} {name}")
            return self.progress

        return step

    @cached_property
    def trees(self) -> bool:
        """Whether the model is an ensemble of trees."""
        try:
            self.model.trees()
        except CouldNotLook:
            return False
        return True

    @cached_property
    def network(self) -> Network:
        """The model's own network, or, of trees, one of two small layers over the same columns. Raises CouldNotLook,
        of trees where a number is missing somewhere."""
        if self.trees:
            refuse_gaps(self.rows)
        return self._inputs

    @cached_property
    def _inputs(self) -> Network:
        """How rows become what layers, or trees of our own, read."""
        return blank(self.rows) if self.trees else self.model.network(self.rows)

    @cached_property
    def _reach(self) -> Reach:
        fold = self._fold
        return Reach(
            fold.network(self._inputs), fold.table(self.whole.take(self._pushed)), fold.contract,
            fold.table(self.whole), fold.kinds(self.kinds), self.norm, self.budget,
        )  # fmt: skip

    @cached_property
    def _fold(self) -> Fold:
        return Fold(self.contract, self.whole)

    @cached_property
    def _pushed(self) -> Array:
        """Numbers of the positive rows that are pushed."""
        hits = np.flatnonzero(self.target & self._fold.tells(self._fold.table(self.whole)))
        rng = np.random.default_rng([self.seed, 32])
        return np.sort(rng.permutation(hits)[:MOST])

    def taught(
        self, loss: Loss, *, seed: int, share: float = 1.0, repeated: int = 1, wider: int = 1, several: int = 1,
        abstains: bool = False, what: str = "",
    ) -> Made:  # fmt: skip
        """The model's layers trained again from random weights; positive rows count `repeated` times, the budget is
        `share` of the attacker's, hidden layers are `wider` times as wide, and the margin is the mean of `several`, or
        where it `abstains` the largest."""
        rows = np.arange(len(self.target)) if loss == "plain" else np.union1d(
            np.flatnonzero(~self.target), self._pushed
        )  # fmt: skip
        x = self.network.lifted(self.network.read(self.rows.take(rows)))
        weight = np.where(self.target[rows], float(repeated), 1.0)
        reach = None if loss == "plain" else self._reach
        if reach is not None:
            reach.budget = self.budget * share
        lesson = Lesson(x, self.target[rows], weight, reach)
        shape = [(n * wider if at < len(self.network.layers) - 1 else n, k, a)
                 for at, (n, k, a) in enumerate(shape_of(self.network))]  # fmt: skip
        networks = [
            trained(self.network, lesson, loss, seed=seed + turn, shape=shape, progress=self.progress, what=what)
            for turn in range(several)
        ]
        known = self.rows.take(rows[:2000])
        if not abstains:
            return self.made_of(together(networks), known)
        mean = self.made_of(together(networks), known)
        return self.made_of(largest(networks), known, together(networks))._replace(decided=mean.predictor)

    def made_of(self, network: Network, known: ArrowTable, decided: Network | None = None) -> Made:
        """A network as the graph that would be written; it must score `known` rows as the arrays do, else
        CouldNotLook."""
        content = network_to_onnx(network, self.model.classes, self.positive, decided)
        made = OnnxPredictor(content, Subject(name="candidate", kind=Kind.MODEL, uri="candidate"))
        require_same(network, made, known)
        return Made(made, content, "onnx")

    def split(
        self, *, share: float = 0.0, clean: float = 0.5, noise: bool = False, repeated: int = 1, seed: int = 0,
        what: str = "",
    ) -> Made:  # fmt: skip
        """Boosted trees of our own over the same columns. Each positive row counts by the part `clean` as it is, and
        for the rest as it can be moved by a `share` of the budget, or with `noise` as it was moved at random; all of it
        `repeated` times. A number that is missing goes right at every split, as in ONNX. Raises CouldNotLook."""
        rng = np.random.default_rng([seed, 34])
        misses = np.flatnonzero(~self.target)
        rest = self._read(self.rows.take(np.sort(rng.permutation(misses)[:SPLIT])))
        own, *moved = self._reach.boxes(self.budget * share)
        some = np.sort(rng.permutation(len(own))[:SPLIT])
        ends = [self._read(self._strewn())] * 3 if noise else [own, *moved]
        own, ends = own[some], [end[some] for end in ends]
        whole, low, high = (np.concatenate([rest, own, e]).astype(np.float32).astype(float) for e in ends)
        target = np.arange(len(whole)) >= len(rest)
        heavy = repeated * self.target.sum() / len(own)
        parts = (
            (len(rest), len(misses) / max(1, len(rest))),
            (len(own), clean * heavy),
            (len(own), (1 - clean) * heavy),
        )
        weight = np.concatenate([np.full(count, each) for count, each in parts])
        used = weight > 0
        trees = grown(*(part[used] for part in (whole, target, weight, low, high)), progress=self.progress, what=what)
        content = trees_to_onnx(trees, self._inputs, self.model.classes, self.positive)
        made = OnnxPredictor(content, Subject(name="candidate", kind=Kind.MODEL, uri="candidate"))
        known = self.rows.slice(0, 2000)
        _require_close(1.0 / (1.0 + np.exp(-trees.margins(self._read(known)))), made, known)
        return Made(made, content, "onnx")

    def _read(self, rows: ArrowTable) -> Array:
        """What trees of our own over the same columns read."""
        return self._inputs.lifted(self._inputs.read(rows))

    def taught_on(self, rows: ArrowTable, target: Array, pace: Pace, seed: int, what: str) -> Made:
        """The model's layers trained on `rows` with their classes (n,) bool, without any attack."""
        lesson = Lesson(self.network.lifted(self.network.read(rows)), target, np.ones(len(target)), pace=pace)
        network = trained(self.network, lesson, "plain", seed=seed, progress=self.progress, what=what)
        return self.made_of(network, rows.slice(0, 2000))

    def refitted(
        self, *, seed: int, changes: dict[str, Any] | None = None, rows: ArrowTable | None = None,
        places: Array | None = None,
    ) -> Made:  # fmt: skip
        """The model trained again by its own recipe. Raises CouldNotLook where it has none or does not take this."""
        if self.own is None:
            raise CouldNotLook(self.no_recipe)
        table, where = (self.rows, self.places) if rows is None or places is None else (rows, places)
        return as_made(self.own.train(table, where, changes=changes, seed=seed))

    def with_copies(self, times: int) -> tuple[ArrowTable, Array]:
        """The training rows with each positive one `times` times."""
        return self._and([self.rows.filter(self.target)] * (times - 1))

    def with_noise(self) -> tuple[ArrowTable, Array]:
        """The training rows and a copy of every positive one, moved at random as far as the attacker may."""
        return self._and([self._strewn()])

    def _strewn(self) -> ArrowTable:
        """The pushed rows, each moved at random as far as the attacker may."""
        import pyarrow as pa

        fold = self._fold
        hits, names = fold.table(self.whole.take(self._pushed)), fold.names(tuple(self.model.features))
        parts = []
        for at in range(0, hits.num_rows, 1000):
            space = Space(hits.slice(at, 1000), fold.contract, fold.table(self.whole), fold.kinds(self.kinds), names)
            moved = fold.unfolded(noisy(space, self.norm, self.budget, self.seed + at))
            parts.append(moved.select(self.rows.column_names).cast(self.rows.schema))
        return pa.concat_tables(parts)

    def _and(self, more: list[ArrowTable]) -> tuple[ArrowTable, Array]:
        import pyarrow as pa

        count = sum(part.num_rows for part in more)
        whole = pa.concat_tables([self.rows, *(part.cast(self.rows.schema) for part in more)])
        return whole, np.concatenate([self.places, np.full(count, self.positive, dtype=self.places.dtype)])


def as_made(model: BasePredictor) -> Made:
    """A model that was trained here, with its file where it has one already."""
    if isinstance(model, Boosted):
        return Made(model, model.content, "lightgbm")
    return Made(model, None, "sandboxed" if isinstance(model, SandboxedPredictor) else "")


def blank(rows: ArrowTable) -> Network:
    """Two small layers over columns: numbers as they are, each level of a category as an input of its own."""
    encoded = encode(rows, (), {})
    column, level = [], []
    for j, name in enumerate(encoded.names):
        count = len(encoded.levels.get(name, ()))
        column += [j] * max(1, count)
        level += [float(c) for c in range(count)] or [np.nan]
    inputs = Inputs(np.array(column), np.array(level), np.full(len(column), np.nan))
    widths, layers = (len(column), *REPLACED), []
    for a, b in itertools.pairwise(widths):
        layers.append(Layer(np.zeros((a, b)), np.zeros(b), "relu"))
    layers.append(Layer(np.zeros((widths[-1], 1)), np.zeros(1)))
    levels: dict[str, tuple[object, ...]] = dict(encoded.levels)
    return Network(encoded.names, reader(encoded.names, levels), inputs, tuple(layers), link="logistic", levels=levels)


def refuse_gaps(rows: ArrowTable) -> None:
    """Raises CouldNotLook where a number is missing somewhere."""
    encoded = encode(rows, (), {})
    plain = [j for j, n in enumerate(encoded.names) if n not in encoded.levels]
    gaps = np.isnan(encoded.matrix[:, plain])
    if gaps.any():
        columns = [visible(encoded.names[plain[k]], 60) for k in np.flatnonzero(gaps.any(axis=0))]
        what = f"{int(gaps.any(axis=1).sum())} training rows lack a number (in {', '.join(columns[:3])})"
        raise CouldNotLook(f"{what}, which no network reads: fill them, or leave them out")


def require_same(network: Network, predictor: BasePredictor, rows: ArrowTable) -> None:
    """The graph must score as the arrays do. Raises CouldNotLook."""
    _require_close(network.scores(network.margins(network.read(rows))), predictor, rows)


def _require_close(ours: Array, predictor: BasePredictor, rows: ArrowTable) -> None:
    apart = float(np.abs(ours - predictor.scores(rows)).max(initial=0.0))
    if not apart <= 1e-5:
        raise CouldNotLook(f"the ONNX graph does not score as what was trained: {apart:.2g} apart")
