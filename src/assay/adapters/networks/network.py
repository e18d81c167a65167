"""A feed-forward network as arrays, whatever trained it: forward, exact gradients, and where its score flips."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from assay.adapters.networks.activations import Activation, bent, slope
from assay.core.protocols import ArrowTable, FloatArray

Link = Literal["identity", "logistic", "clip"]
_CELLS = 8_000_000
SINGLE, DOUBLE = 2.0**-24, 2.0**-52
"""The roundoff of float32; of float64 twice, as what is read out of a model is rounded once more."""
NORMAL = 2.0**-126
"""The least number that float32 tells in full; below it a number may be taken for zero."""
TINY = NORMAL / SINGLE
"""It in units of roundoff (of float64 it is far more than is lost there)."""
Noise = tuple[FloatArray, FloatArray, FloatArray]


def largest(weight: FloatArray, bias: FloatArray) -> FloatArray:
    """What bounds, times |x| and 1, each of the sums x @ weight + bias, (inputs + 1,)."""
    return np.append(np.abs(weight).max(axis=1, initial=0.0), np.abs(bias).max(initial=0.0))


def faint(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What is lost near zero by x @ matrix, in units of roundoff: |x| times the one (its shape), and the other (of its
    columns), as numbers, weights, products and sums below NORMAL may count as zero."""
    size = np.abs(matrix)
    under = np.where((size > 0) & (size < NORMAL), TINY, 0.0)
    lost: FloatArray = TINY * (2.0 * np.count_nonzero(matrix, axis=0) + 2.0 + size.sum(axis=0))
    return under, lost


class Layer(NamedTuple):
    """`activation`(x @ weight + bias): weight (inputs, outputs), bias (outputs,).

    `noise` bounds what rounding does to the sum, in units of roundoff: |x| times the first (of the weight's shape) plus
    the second (of the bias's); and every number on the way: |x| times the third (inputs + 1,) without its last, plus
    that. None where the sum is taken in one step.
    """

    weight: FloatArray
    bias: FloatArray
    activation: Activation = "identity"
    alpha: float = 1.0
    noise: Noise | None = None

    def noisy(self) -> Noise:
        """The noise; of one step it is that of a sum of products (Higham 2002, section 3.1)."""
        if self.noise is not None:
            return self.noise
        terms = np.count_nonzero(self.weight, axis=0) + 2
        under, lost = faint(self.weight)
        flat = terms * np.abs(self.bias) + lost
        return terms * np.abs(self.weight) + under, flat, largest(self.weight, self.bias)


class Inputs(NamedTuple):
    """The p numbers that the first layer reads, each from one column: `column` (p,) is its place.

    Where `level` (p,) is NaN it is the column's value, `filled` (p,) where that is missing (NaN: nothing fills it);
    else it is 1 where the column's code is that level, 0 where it is any other.
    """

    column: FloatArray
    level: FloatArray
    filled: FloatArray


class Network:
    """Layers one after the other; the last gives one number, or `several` logits of which `positive` is asked.

    Of one number the margin is that number; of several it is the log-odds of the positive class among them, so that
    `logistic` of it is the softmax. The score, `link` of the margin, rises with it (`clip`: cut to `ends`). `read`
    turns rows into codes (n, d) of `columns`; `levels` are the categories whose place is the code. `single` models read
    their inputs as float32; `unit` is the roundoff of what the model computes in. Where `cut` (p,) says so a code is
    cut down to a whole number before it is compared with a level; of the columns in `whole` every number is,
    so that only whole ones are told right. A linear model is a network of one layer.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        read: Callable[[ArrowTable], FloatArray],
        inputs: Inputs,
        layers: tuple[Layer, ...],
        *,
        positive: int = -1,
        link: Link = "identity",
        ends: tuple[float, float] = (-math.inf, math.inf),
        single: bool = False,
        levels: dict[str, tuple[object, ...]] | None = None,
        unit: float | None = None,
        cut: FloatArray | None = None,
        whole: frozenset[str] = frozenset(),
    ) -> None:
        self.columns, self.read, self.inputs, self.layers = columns, read, inputs, layers
        self.positive, self.link, self.ends, self.single = positive, link, ends, single
        self.levels, self.cut, self.whole = levels or {}, cut, whole
        self.unit = unit if unit is not None else SINGLE if single else DOUBLE

    @property
    def linear(self) -> bool:
        """Whether the margin is one weighted sum of the inputs."""
        return len(self.layers) == 1 and self.layers[0].activation == "identity" and self.positive < 0

    def lifted(self, codes: FloatArray) -> FloatArray:
        """What the first layer reads (n, p) for codes (n, d)."""
        column, level, filled = self.inputs
        cut = self.cut
        x = np.asarray(codes, dtype=np.float64)[:, column]
        if self.single:
            with np.errstate(over="ignore"):
                x = x.astype(np.float32).astype(np.float64)
        with np.errstate(invalid="ignore"):
            ones = ((x if cut is None else np.where(cut, np.trunc(x), x)) == level).astype(np.float64)
        return np.where(np.isnan(level), np.where(np.isnan(x), filled, x), ones)

    def margins(self, codes: FloatArray) -> FloatArray:
        """The margin of each row of codes (n, d), shape (n,)."""
        step = max(1, _CELLS // max(1, len(self.inputs.column) + max(len(layer.bias) for layer in self.layers)))
        parts = [self.forward(self.lifted(codes[at : at + step])) for at in range(0, len(codes), step)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def forward(self, x: FloatArray) -> FloatArray:
        """The margin (n,) of lifted rows (n, p)."""
        for layer in self.layers:
            x = bent(x @ layer.weight + layer.bias, layer.activation, layer.alpha)
        return self.odds(x)[0]

    def sloped(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(margin (n,), its gradient (n, p)) at lifted rows (n, p)."""
        slopes = []
        for layer in self.layers:
            z = x @ layer.weight + layer.bias
            slopes.append(slope(z, layer.activation, layer.alpha))
            x = bent(z, layer.activation, layer.alpha)
        margin, back = self.odds(x)
        for layer, at in zip(reversed(self.layers), reversed(slopes), strict=True):
            back = (back * at) @ layer.weight.T
        return margin, back

    def odds(self, out: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(margin (n,), its gradient (n, k)) of what the last layer gives (n, k)."""
        if self.positive < 0:
            return out[:, 0], np.ones_like(out)
        rest = np.delete(out, self.positive, axis=1)
        top = rest.max(axis=1, keepdims=True)
        weight = np.exp(rest - top)
        total = weight.sum(axis=1, keepdims=True)
        back = np.insert(-weight / total, self.positive, 1.0, axis=1)
        return out[:, self.positive] - (top + np.log(total))[:, 0], back

    def scores(self, margins: FloatArray) -> FloatArray:
        """What the model scores for margins (n,)."""
        if self.link == "logistic":
            return 1.0 / (1.0 + np.exp(-np.clip(margins, -700, 700)))
        return np.clip(margins, *self.ends) if self.link == "clip" else margins

    def least(self, threshold: float) -> float:
        """The margin from which a score is at or above `threshold`; infinite where no score, or every one, is."""
        if self.link == "identity":
            return threshold
        low, high = (0.0, 1.0) if self.link == "logistic" else self.ends
        if threshold <= low:
            return -math.inf
        if threshold > high or (self.link == "logistic" and threshold >= high):
            return math.inf
        return math.log(threshold / (1.0 - threshold)) if self.link == "logistic" else threshold
