"""The options that a model can be hardened by, and the controls that run beside them always."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from assay.core.errors import CouldNotLook, UsageError
from assay.harden.hardening.result import Role
from assay.harden.hardening.workshop import Made, Workshop

Make = Callable[[Workshop, int], Made]
W = TypeVar("W", bound=Any)  # a way of one attack or another: it has a name and a role
COPIES, WIDER, SEVERAL = 3, 3, 3
HALF = 0.5
OURS = "our own boosted trees in the place of the model's, every split chosen against the worst move over it"


class Way(NamedTuple):
    """One way to train the model again. `of` is what it is for: networks, trees with a recipe, any trees (splits), or
    any model with a recipe."""

    name: str
    role: Role
    of: str
    said: str
    make: Make


def _bins(count: int) -> Make:
    def make(shop: Workshop, seed: int) -> Made:
        name = "max_bin" if shop.model.kind == "lightgbm" else "max_bins"
        return shop.refitted(seed=seed, changes={name: count})

    return make


def _leaves(shop: Workshop, seed: int) -> Made:
    least = max(20, len(shop.target) // 100)
    name = "min_data_in_leaf" if shop.model.kind == "lightgbm" else "min_samples_leaf"
    return shop.refitted(seed=seed, changes={name: least})


def _monotone(shop: Workshop, seed: int) -> Made:
    """What can only rise must not lower the score by rising, and what can only fall not by falling."""
    features = shop.contract.columns
    signs = []
    for name in shop.model.features:
        told = features.get(name)
        one_way = told is not None and told.mutable and shop.kinds.get(name) in ("number", "integer")
        signs.append({"up": 1, "down": -1}.get(told.direction, 0) if one_way and told is not None else 0)
    if not any(signs):
        raise CouldNotLook("no number that the attacker can move goes one way only, so no constraint would stop a move")
    if shop.model.kind == "lightgbm":
        return shop.refitted(seed=seed, changes={"monotone_constraints": signs})
    return shop.refitted(seed=seed, changes={"monotonic_cst": signs})


def _random(shop: Workshop, seed: int) -> Made:
    if shop.model.kind != "lightgbm":
        raise CouldNotLook("thresholds at random are an option of LightGBM")
    return shop.refitted(seed=seed, changes={"extra_trees": True})


def _oversampled(shop: Workshop, seed: int) -> Made:
    rows, places = shop.with_copies(COPIES)
    return shop.refitted(seed=seed, rows=rows, places=places)


def _noise(shop: Workshop, seed: int) -> Made:
    rows, places = shop.with_noise()
    return shop.refitted(seed=seed, rows=rows, places=places)


WAYS: tuple[Way, ...] = (
    Way("retrained", "control", "recipe", "the model's own recipe on the same rows, another seed",
        lambda s, k: s.refitted(seed=k)),
    Way("plain-network", "control", "network", "our training without any attack",
        lambda s, k: s.taught("plain", seed=k)),
    Way("plain-several", "control", "network", f"{SEVERAL} networks side by side, trained without any attack",
        lambda s, k: s.taught("plain", seed=k, several=SEVERAL)),
    Way("oversampled", "control", "trees", f"positive rows {COPIES} times",
        _oversampled),
    Way("noise", "control", "trees", "beside each positive row one moved at random, as far as the attack may go",
        _noise),
    Way("oversampled-network", "control", "network", f"our training, positive rows {COPIES} times",
        lambda s, k: s.taught("plain", seed=k, repeated=COPIES)),
    Way("noise-network", "control", "network", "our training, positive rows moved at random as far as the attack",
        lambda s, k: s.taught("noise", seed=k)),
    Way("adversarial", "option", "network", "trained against projected gradient steps inside the contract (PGD)",
        lambda s, k: s.taught("pgd", seed=k, what="adversarial")),
    Way("adversarial-half", "option", "network", "the same with half the budget",
        lambda s, k: s.taught("pgd", seed=k, share=HALF, what="adversarial-half")),
    Way("adversarial-mixed", "option", "network", "half of the loss at the rows as they are",
        lambda s, k: s.taught("mixed", seed=k, what="adversarial-mixed")),
    Way("adversarial-wide", "option", "network",
        f"hidden layers {WIDER} times as wide, half of the loss at the rows as they are, half the budget",
        lambda s, k: s.taught("mixed", seed=k, share=HALF, wider=WIDER, what="adversarial-wide")),
    Way("adversarial-several", "option", "network",
        f"{SEVERAL} networks side by side, half of the loss at the rows as they are, half the budget",
        lambda s, k: s.taught("mixed", seed=k, share=HALF, several=SEVERAL, what="adversarial-several")),
    Way("trades", "option", "network", "loss at the rows and divergence from them, like TRADES",
        lambda s, k: s.taught("trades", seed=k, what="trades")),
    Way("coarse-bins", "option", "trees", "8 bins a number", _bins(8)),
    Way("coarse-bins-16", "option", "trees", "16 bins a number", _bins(16)),
    Way("large-leaves", "option", "trees", "a leaf holds 1% of the training rows", _leaves),
    Way("monotone", "option", "trees", "no move that goes one way only can lower the score", _monotone),
    Way("random-thresholds", "option", "trees", "thresholds drawn at random (extremely randomised trees)", _random),
    Way("robust-splits", "option", "splits", f"{OURS}, against moves of three quarters of the budget; half a row stays",
        lambda s, k: s.split(share=0.75, seed=k, what="robust-splits")),
    Way("robust-splits-half", "option", "splits", f"{OURS}, against moves of half the budget",
        lambda s, k: s.split(share=HALF, clean=0.0, seed=k, what="robust-splits-half")),
    Way("plain-splits", "control", "splits", "our own boosted trees in the place of the model's",
        lambda s, k: s.split(seed=k, what="plain-splits")),
    Way("oversampled-splits", "control", "splits", f"the same, positive rows {COPIES} times",
        lambda s, k: s.split(repeated=COPIES, seed=k, what="oversampled-splits")),
    Way("noise-splits", "control", "splits", "the same, half of each positive row moved at random",
        lambda s, k: s.split(noise=True, seed=k, what="noise-splits")),
    Way("abstain", "option", "network",
        f"{SEVERAL} networks side by side, half of the loss at the rows as they are, half the budget; the largest "
        "score counts, and a row that the mean would pass is referred to a person",
        lambda s, k: s.taught("mixed", seed=k, share=HALF, several=SEVERAL, abstains=True, what="abstain")),
    Way("plain-largest", "control", "network", f"the largest of {SEVERAL} networks trained without any attack",
        lambda s, k: s.taught("plain", seed=k, several=SEVERAL, abstains=True)),
)  # fmt: skip
ASKED = {"abstain"}
"""Options that are made only when they are named: somebody must be there to decide what is referred."""
SPLITS = ("robust-splits", "robust-splits-half")
BESIDE = {
    "plain-largest": ("abstain",),
    **dict.fromkeys(("plain-splits", "oversampled-splits", "noise-splits"), SPLITS),
}
"""Controls that run only beside the option that they are for: what its shape alone would bring."""
REPLACEMENT = "a network in the place of the trees: "
"""Options of networks can replace trees; they are named as what they are."""


def ways(shop: Workshop, only: tuple[str, ...]) -> list[Way]:
    """The controls of this model and the options asked (if none is, all but `ASKED`). Raises what `fitted` raises."""
    return fitted(shop, only, WAYS, _fitting)


def fitted(
    shop: Workshop, only: tuple[str, ...], all_: Sequence[W], fitting: Callable[[Workshop, tuple[str, ...]], list[W]]
) -> list[W]:
    """The controls and options that `fitting` gives. Raises UsageError where one that was asked does not fit the model,
    naming those that do, CouldNotLook where there is no option."""

    def fits(name: str) -> bool:
        return any(way.name == name for way in fitting(shop, (name,)))

    if unfit := [name for name in only if not fits(name)]:
        others = [way.name for way in all_ if way.role == "option" and fits(way.name)]
        fix = f"of this attack's options these fit it: {', '.join(others)}" if others else "none of this attack's does"
        raise UsageError(f"{', '.join(unfit)} does not fit {shop.subject.uri}", where="--try", fix=fix)
    found = fitting(shop, only)
    if not any(way.role == "option" for way in found):
        raise CouldNotLook(f"{shop.subject.uri}: no option fits it")
    return found


def _fitting(shop: Workshop, only: tuple[str, ...]) -> list[Way]:
    """The controls and options that `ways` gives; of the options there may be none."""
    found = []
    for way in WAYS:
        if way.role == "option" and (way.name not in only if only else way.name in ASKED):
            continue
        if way.of in ("trees", "splits") and not shop.trees:
            continue
        if way.of == "network" and shop.trees:
            # Of the options of networks one is enough to say what a replacement would bring.
            if way.role == "option" and way.name not in (only or ("adversarial",)):
                continue
            way = way._replace(said=REPLACEMENT + way.said)
        if way.of in ("recipe", "trees") and shop.own is None:
            continue
        found.append(way)
    if shop.trees and not any(w.role == "option" and w.of == "network" for w in found):
        found = [w for w in found if w.of != "network"]
    names = {way.name for way in found}
    return [w for w in found if w.name not in BESIDE or not names.isdisjoint(BESIDE[w.name])]


def seed_of(way: Way, seed: int) -> int:
    """Each way trains from a seed of its own, so that no two candidates share their luck."""
    place = [w.name for w in WAYS].index(way.name)
    return int(np.random.default_rng([seed, 33, place]).integers(1 << 31))
