"""What may make a model forget who was in its training data: its recipe made milder, or answers that tell less."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from assay.adapters.predictor_base import BasePredictor
from assay.adapters.refit import Recipe, stand_in
from assay.attacks.extraction.schema import Schema
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable
from assay.core.protocols import FloatArray as Array
from assay.harden.hardening.adversarial import Pace
from assay.harden.hardening.options import COPIES, fitted
from assay.harden.hardening.outputs import LABEL, TWO, WHOLE, Output
from assay.harden.hardening.result import Role
from assay.harden.hardening.workshop import Made, Workshop, as_made

Rows = tuple[ArrowTable, Array]
Changes = Callable[[Workshop], tuple[Mapping[str, Any], ...]]
LONG = Pace(decay=0.0, share=2.0)
"""Our training where nothing holds it back: what a network that remembers was given."""
NOISE = 0.1
"""Of a column's spread, by which numbers are moved at random: in copies beside the rows that is a control, in place of
the rows an option, for no row is learned as it is."""


class Course(Recipe):
    """A recipe with other parameters: the first of `changes` that its library knows; rows are made `ready` first."""

    def __init__(
        self, inner: Recipe, changes: tuple[Mapping[str, Any], ...] = ({},),
        ready: Callable[[ArrowTable, Array, int], Rows] | None = None,
    ) -> None:  # fmt: skip
        self.inner, self.changes, self.ready = inner, changes, ready
        self.own, self.said = inner.own, inner.said

    def train(
        self, rows: ArrowTable, places: Array, *, changes: Mapping[str, Any] | None = None, seed: int = 0
    ) -> BasePredictor:
        """See `Recipe.train`."""
        return self.made(rows, places, seed, changes).predictor

    def made(self, rows: ArrowTable, places: Array, seed: int, changes: Mapping[str, Any] | None = None) -> Made:
        """The same, with its file where it has one. Raises CouldNotLook."""
        if self.ready is not None:
            rows, places = self.ready(rows, places, seed)
        first: CouldNotLook | None = None
        for one in self.changes:
            told = {**one, **(changes or {})}
            try:
                if isinstance(self.inner, Taught):
                    return self.inner.made(rows, places, seed, told)
                return as_made(self.inner.train(rows, places, changes=told, seed=seed))
            except CouldNotLook as why:
                first = first or why
        raise first or CouldNotLook("nothing to change")


class Taught(Recipe):
    """Our own training of the model's layers, for a network whose file does not say how it was trained."""

    own = False
    said = "our own training of its layers"

    def __init__(self, shop: Workshop, pace: Pace = LONG) -> None:
        self.shop, self.pace = shop, pace

    def train(
        self, rows: ArrowTable, places: Array, *, changes: Mapping[str, Any] | None = None, seed: int = 0
    ) -> BasePredictor:
        """See `Recipe.train`; parameters are those of `Pace`."""
        return self.made(rows, places, seed, dict(changes or {})).predictor

    def made(self, rows: ArrowTable, places: Array, seed: int, changes: dict[str, Any]) -> Made:
        """The same, with its file."""
        pace = self.pace._replace(**changes)
        rows = rows.select(list(self.shop.model.features))
        return self.shop.taught_on(rows, places == self.shop.positive, pace, seed, "training")


class LeakWay(NamedTuple):
    """One way to leak less.

    `of` is what it is for: trees or networks with a recipe of their own, "taught" (a network without one, by our
    training), "again" (all that can be trained again), or "any" model, which stays as it is but for its `output`.
    """

    name: str
    role: Role
    of: str
    said: str
    changes: Changes = lambda _: ({},)
    ready: str = ""
    output: Output = WHOLE

    @property
    def kept(self) -> bool:
        """Whether the model itself stays as it is."""
        return self.of == "any"


def base(shop: Workshop) -> Recipe:
    """How the model was trained, as far as anybody can tell: its recipe, else our training, else LightGBM's."""
    if shop.own is not None:
        return shop.own
    if kind_of(shop) == "taught":
        return Taught(shop)
    return stand_in(shop.model, shop.subject, shop.train)


def kind_of(shop: Workshop) -> str:
    """trees, network, taught (a network without a recipe) or "" of a model."""
    if shop.trees:
        return "trees" if shop.own is not None else ""
    try:
        _ = shop.network
    except CouldNotLook:
        return ""
    return "network" if shop.own is not None else "taught"


def course(shop: Workshop, way: LeakWay) -> Course:
    """The recipe of a way, for its target and for the references of who attacks it and knows it."""
    import pyarrow as pa

    noisy = way.ready in ("noise", "moved")
    schema = Schema(shop.rows, shop.model.features, shop.kinds) if noisy else None

    def ready(rows: ArrowTable, places: Array, seed: int) -> Rows:
        if schema is None:
            return _copied(rows, places, shop.positive)
        other = moved(schema, rows, NOISE, 0.0, np.random.default_rng([seed, 34]))
        if way.ready == "moved":
            return other, places
        return pa.concat_tables([rows, other.cast(rows.schema)]), np.concatenate([places, places])

    return Course(base(shop), way.changes(shop), ready if way.ready else None)


def moved(schema: Schema, rows: ArrowTable, far: float, redrawn: float, rng: np.random.Generator) -> ArrowTable:
    """Rows whose numbers lie `far` of their spread away, at random, and of whose levels a share is `redrawn`."""
    own = schema.encoded(rows)
    spread = np.nan_to_num(np.nanstd(schema.known, axis=0))
    numbers = ~np.isin(np.arange(own.shape[1]), schema.codes)
    out = own + np.where(numbers, rng.normal(size=own.shape) * far * spread, 0.0)
    out = np.where(schema.integer & numbers, np.round(out), out)
    other = schema.known[rng.integers(0, len(schema.known), own.shape), np.arange(own.shape[1])]
    out = np.where(~numbers & (rng.random(own.shape) < redrawn), other, out)
    return schema.written(out)


def _copied(rows: ArrowTable, places: Array, positive: int) -> Rows:
    """The rows with each positive one several times."""
    import pyarrow as pa

    hits = places == positive
    more = [rows.filter(hits)] * (COPIES - 1)
    return pa.concat_tables([rows, *more]), np.concatenate([places, np.full(int(hits.sum()) * (COPIES - 1), positive)])


def _leaves(shop: Workshop) -> tuple[Mapping[str, Any], ...]:
    least = max(20, len(shop.target) // 50)
    return tuple({name: least} for name in ("min_data_in_leaf", "min_samples_leaf", "min_child_samples"))


def _few_leaves(_: Workshop) -> tuple[Mapping[str, Any], ...]:
    return ({"num_leaves": 7}, {"max_leaf_nodes": 8})


def _ridge(shop: Workshop) -> tuple[Mapping[str, Any], ...]:
    strong = max(10.0, len(shop.target) / 50)
    return tuple({name: strong} for name in ("lambda_l2", "l2_regularization", "reg_lambda"))


def _fewer(shop: Workshop) -> tuple[Mapping[str, Any], ...]:
    if shop.model.kind == "lightgbm":
        return ({"num_iterations": max(1, int(shop.model.booster.current_iteration()) // 4)},)  # type: ignore[attr-defined]
    return ({"max_iter": 25}, {"n_estimators": 25, "learning_rate": 0.1})


def _drawn(_: Workshop) -> tuple[Mapping[str, Any], ...]:
    return (
        {"bagging_fraction": 0.5, "bagging_freq": 1, "feature_fraction": 0.5},
        {"max_samples": 0.3},
        {"subsample": 0.5, "max_features": 0.5},
        {"max_features": 0.5},
    )


def _all(shop: Workshop) -> tuple[Mapping[str, Any], ...]:
    first = {**_leaves(shop)[0], **_few_leaves(shop)[0], **_ridge(shop)[0], **_drawn(shop)[0]}
    bumps = {**_leaves(shop)[1], **_few_leaves(shop)[1], **_ridge(shop)[1]}
    forest = {**_leaves(shop)[1], **_few_leaves(shop)[1], **_drawn(shop)[1]}
    return (first, bumps, forest, {**_leaves(shop)[1], **_few_leaves(shop)[1]})


def _decay(alpha: float, c: float) -> Changes:
    return lambda _: ({"alpha": alpha}, {"C": c})


LEAK_WAYS: tuple[LeakWay, ...] = (
    LeakWay("attacked-again", "control", "any", "the model as it is, attacked with other references"),
    LeakWay("retrained", "control", "again", "trained again as it was, another seed"),
    LeakWay("oversampled", "control", "again", f"positive rows {COPIES} times", ready="oversampled"),
    LeakWay("noise", "control", "again", f"beside each row one whose numbers are moved by {NOISE:g} of their spread",
            ready="noise"),
    LeakWay("moved-rows", "option", "again", f"each row's numbers moved at random by {NOISE:g} of their spread",
            ready="moved"),
    LeakWay("larger-leaves", "option", "trees", "a leaf holds 2% of the training rows", _leaves),
    LeakWay("few-leaves", "option", "trees", "7 or 8 leaves a tree", _few_leaves),
    LeakWay("stronger-l2", "option", "trees", "leaves drawn to nothing by 2% of the training rows", _ridge),
    LeakWay("fewer-rounds", "option", "trees", "a quarter of the trees, or 25 of scikit-learn", _fewer),
    LeakWay("drawn-rows", "option", "trees", "each tree learns from a part of rows and columns", _drawn),
    LeakWay("regularised", "option", "trees", "these together, with as many trees", _all),
    LeakWay("decay", "option", "network", "weight decay (alpha .3, or C .1)", _decay(0.3, 0.1)),
    LeakWay("strong-decay", "option", "network", "weight decay (alpha 3, or C .01)", _decay(3.0, 0.01)),
    LeakWay("early-stopping", "option", "network", "stops where a part set aside is learned no better",
            lambda _: ({"early_stopping": True},)),
    LeakWay("taught-decay", "option", "taught", "our training with weight decay", lambda _: ({"decay": 0.02},)),
    LeakWay("taught-early", "option", "taught", "our training, an eighth of the steps",
            lambda _: ({"share": LONG.share / 8},)),
    LeakWay("taught-smooth", "option", "taught", "our training with labels of .1 and .9", lambda _: ({"smooth": 0.1},)),
    LeakWay("rounded", "option", "any", TWO.said, output=TWO),
    LeakWay("label-only", "option", "any", LABEL.said, output=LABEL),
)  # fmt: skip


def leak_ways(shop: Workshop, only: tuple[str, ...]) -> list[LeakWay]:
    """The controls of this model and the options asked (all if none is). Raises what `fitted` raises."""
    return fitted(shop, only, LEAK_WAYS, _fitting)


def _fitting(shop: Workshop, only: tuple[str, ...]) -> list[LeakWay]:
    """The controls and options that `leak_ways` gives; of the options there may be none."""
    kind, found = kind_of(shop), []
    for way in LEAK_WAYS:
        if way.role == "option" and only and way.name not in only:
            continue
        if way.of == "again" and shop.own is None and kind != "taught":
            continue
        if way.of in ("trees", "network", "taught") and way.of != kind:
            continue
        if way.output != WHOLE and shop.model.access == "label":
            continue
        found.append(way)
    return found
