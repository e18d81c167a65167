"""Walks an ONNX graph from its trees to its answer: which score is which rising function of which sum over leaves."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from assay.adapters.ensembles.onnx_columns import DOMAINS, Facts, attributes
from assay.adapters.ensembles.trees import Link
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray
from assay.core.text import visible

_PLAIN_CASTS = (1, 11)  # float, double
_SWALLOWED = 4.0
"""How many times larger than its leaves and its base a sum may be on the way, before its own rounding counts."""


class Score(NamedTuple):
    """`link` of `base` plus the sum of each tree's leaf in `values` (m,); `most` is what was added or taken away on the
    way, in size."""

    values: FloatArray
    base: float
    link: Link
    most: float = 0.0

    def times(self, factor: float) -> Score:
        """Before the link."""
        return Score(self.values * factor, self.base * factor, self.link, self.most * abs(factor))

    def plus(self, number: float) -> Score:
        """Before the link, with a number added."""
        return self._replace(base=self.base + number, most=self.most + abs(number))

    @property
    def sure(self) -> bool:
        """Whether nothing larger than itself was added and taken away again, which would swallow what it says."""
        scale = abs(self.base) + float(np.abs(self.values).max(initial=0.0))
        return not (self.most > _SWALLOWED * scale or math.isinf(self.most))  # a torn leaf is told as such elsewhere


def answer(facts: Facts, made: dict[str, list[Score]], target: str, where: str) -> list[Score]:
    """The columns of tensor (or map) `target`, of which trees have `made` some. Raises CouldNotLook."""
    known = dict(made)
    for node in facts.graph.node:
        if any(name in known for name in node.input) and node.output[0] not in known:
            found = _after(node, [known.get(name) for name in node.input], facts)
            if found is not None:
                known[node.output[0]] = found
    if target not in known:
        node = facts.made.get(target)
        kind = visible(str(node.op_type), 40) if node is not None else "graph"
        what = f"its answer is made of the trees by operators ({kind}) that cannot be reasoned about here"
        raise CouldNotLook(f"{where}: {what}; attack it with `access: label`")
    if not all(score.sure for score in known[target]):
        what = "adds to its trees, and takes away again, so much that rounding swallows what they say"
        raise CouldNotLook(f"{where}: {what}; attack it with `access: label`")
    return known[target]


def _after(node: Any, given: list[list[Score] | None], facts: Facts) -> list[Score] | None:
    kind, said = node.op_type, attributes(node)
    if node.domain not in DOMAINS:
        return None  # a function of that name
    if kind == "Concat":
        whole = said.get("axis") in (1, -1) and all(g is not None for g in given)
        return [s for g in given if g is not None for s in g] if whole else None
    if kind in ("Add", "Sub", "Mul", "Div"):
        return _arithmetic(node, given, facts)
    first = given[0]
    if first is None:
        return None
    if kind in ("Identity", "ZipMap", "Reshape", "Flatten"):
        return first
    if kind == "Cast":
        return first if said["to"] in _PLAIN_CASTS else None
    if kind == "Neg":
        return [s.times(-1.0) for s in first] if all(s.link == "identity" for s in first) else None
    if kind == "Sigmoid":
        return [s._replace(link="logistic") for s in first] if all(s.link == "identity" for s in first) else None
    if kind == "Normalizer":
        return first if said.get("norm", "MAX") == "L1" and _sums_to_one(first) else None
    if kind in ("Gather", "ArrayFeatureExtractor"):
        places = facts.constant(node.input[1])
        if places is None or (kind == "Gather" and said.get("axis", 0) not in (1, -1)):
            return None
        return [first[int(p)] for p in places] if all(0 <= int(p) < len(first) for p in places) else None
    return None


def _arithmetic(node: Any, given: list[list[Score] | None], facts: Facts) -> list[Score] | None:
    at = 0 if given[0] is not None else 1
    scores, constant = given[at], facts.constant(node.input[1 - at])
    if scores is None or constant is None or len(constant) != 1 or not np.isfinite(constant[0]):
        return None
    number, kind = float(constant[0]), node.op_type
    if kind in ("Mul", "Div") and number == 1.0 and (kind == "Mul" or at == 0):
        return scores
    if kind == "Sub" and at == 1 and number == 1.0 and all(s.link == "logistic" for s in scores):
        return [s.times(-1.0) for s in scores]  # 1 - σ(x) = σ(-x)
    if any(s.link != "identity" for s in scores):
        return None
    if kind == "Add":
        return [s.plus(number) for s in scores]
    if kind == "Sub":
        turned = [s.times(-1.0) for s in scores] if at == 1 else scores
        return [s.plus(number if at == 1 else -number) for s in turned]
    if kind == "Mul":
        return [s.times(number) for s in scores]
    return [s.times(1.0 / number) for s in scores] if at == 0 and number else None


def _sums_to_one(scores: list[Score]) -> bool:
    """Whether scores are shares: of a forest whose leaves hold shares, or two of one margin."""
    if len(scores) == 2 and all(s.link == "logistic" for s in scores):
        return np.array_equal(scores[0].values, -scores[1].values) and scores[0].base == -scores[1].base
    if len(scores) < 2 or any(s.link != "identity" or s.base or (s.values < 0).any() for s in scores):
        return False
    total = np.sum([s.values for s in scores], axis=0)
    held = total[total > 0]
    return bool(len(held)) and bool(np.allclose(held, held[0], rtol=1e-5))
