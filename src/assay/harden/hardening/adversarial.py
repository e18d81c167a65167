"""Adversarial training of small networks: their own layers, from random weights, against rows that are pushed.

The inner maximisation moves positive rows only: nobody makes a row that passes look like one that is flagged. Every
column stays within the contract. Losses are Madry's (2018: cross-entropy at the pushed row in place of the row) and one
like TRADES (Zhang et al. 2019: cross-entropy at the row, and the divergence of the pushed row's answer from its own).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from assay.adapters.networks.activations import Activation, bent, slope
from assay.adapters.networks.network import Layer, Network
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray as Array
from assay.core.protocols import Progress, silent
from assay.harden.hardening.reach import Reach

Loss = Literal["plain", "noise", "pgd", "mixed", "trades"]
BATCH, EPOCHS, MOST_STEPS, LEAST_STEPS = 200, 40, 4000, 2000
RATE, DECAY = 3e-3, 2e-3
INNER = 7
WARM = 0.3
"""The share of training in which the budget grows from nothing."""
BETA = 4.0
"""How much the divergence counts in the loss that is like TRADES."""
_ADAM = (0.9, 0.999, 1e-8)


class Pace(NamedTuple):
    """How strongly weights decay, the share of the usual steps, and how far labels are drawn from 0 and 1."""

    decay: float = DECAY
    share: float = 1.0
    smooth: float = 0.0


class Lesson(NamedTuple):
    """Lifted rows (n, p) with their class (n,) bool and weight (n,); `reach` the moves of the positive ones."""

    x: Array
    target: Array
    weight: Array
    reach: Reach | None = None
    pace: Pace = Pace()


class Net:
    """Layers over standardised inputs, that learn: (x − middle) / spread goes into the first."""

    def __init__(self, shape: list[tuple[int, Activation, float]], x: Array, numbers: Array, seed: int) -> None:
        rng = np.random.default_rng([seed, 5])
        self.middle = np.where(numbers, x.mean(axis=0), 0.0)
        spread = np.where(numbers, x.std(axis=0), 1.0)
        self.spread = np.where(spread > 0, spread, 1.0)
        self.weights: list[Array] = []
        self.biases: list[Array] = []
        self.kinds = [(kind, alpha) for _, kind, alpha in shape]
        width = x.shape[1]
        for count, kind, _ in shape:
            far = np.sqrt((2.0 if kind in ("tanh", "logistic", "identity") else 6.0) / max(1, width))
            self.weights.append(rng.uniform(-far, far, (width, count)))
            self.biases.append(np.zeros(count))
            width = count

    def margins(self, x: Array) -> Array:
        """The margin (n,) of lifted rows (n, p)."""
        return self._forward(x)[0]

    def sloped(self, x: Array) -> tuple[Array, Array]:
        """(margin (n,), its gradient (n, p)) at lifted rows (n, p)."""
        margin, held = self._forward(x)
        back = np.ones((len(x), 1))
        for weight, (_, at) in zip(reversed(self.weights), reversed(held), strict=True):
            back = (back * at) @ weight.T
        return margin, back / self.spread

    def gradients(self, x: Array, by: Array) -> list[Array]:
        """The gradients of sum(by · margin) in every weight and bias, in the order of `parameters`."""
        _, held = self._forward(x)
        back, out = by[:, None], []
        for weight, (before, at) in zip(reversed(self.weights), reversed(held), strict=True):
            back = back * at
            out += [back.sum(axis=0), before.T @ back]
            back = back @ weight.T
        return out[::-1]

    @property
    def parameters(self) -> list[Array]:
        """Weight and bias of each layer in turn; they are changed in place."""
        return [p for pair in zip(self.weights, self.biases, strict=True) for p in pair]

    def layers(self) -> tuple[Layer, ...]:
        """As layers over rows that are not standardised."""
        out = []
        for at, (weight, bias, (kind, alpha)) in enumerate(zip(self.weights, self.biases, self.kinds, strict=True)):
            if at == 0:
                bias = bias - (self.middle / self.spread) @ weight
                weight = weight / self.spread[:, None]
            out.append(Layer(weight.copy(), bias.copy(), kind, alpha))
        return tuple(out)

    def _forward(self, x: Array) -> tuple[Array, list[tuple[Array, Array]]]:
        """(margin, of each layer what it read and its slope)."""
        x, held = (x - self.middle) / self.spread, []
        for weight, bias, (kind, alpha) in zip(self.weights, self.biases, self.kinds, strict=True):
            z = x @ weight + bias
            held.append((x, slope(z, kind, alpha)))
            x = bent(z, kind, alpha)
        return x[:, 0], held


def shape_of(network: Network) -> list[tuple[int, Activation, float]]:
    """The widths and activations of a network's layers, its end replaced by one margin. Layers that are only affine are
    joined with the next, as a step before them would be."""
    hidden = [(len(one.bias), one.activation, one.alpha) for one in network.layers[:-1] if one.activation != "identity"]
    last = network.layers[-1]
    if last.activation != "identity":
        hidden.append((len(last.bias), last.activation, last.alpha))
    return [*hidden, (1, "identity", 1.0)]


def trained(
    network: Network, lesson: Lesson, loss: Loss, *, seed: int,
    shape: list[tuple[int, Activation, float]] | None = None,
    progress: Progress = silent, what: str = "",
) -> Network:  # fmt: skip
    """The network trained from random weights on a lesson; its score is the logistic function of its margin.

    Raises CouldNotLook for values that no step fills, and for weights that did not stay finite.
    """
    if not np.isfinite(lesson.x).all():
        raise CouldNotLook("training rows have missing values that the model does not fill: nothing can be learned")
    net = Net(shape or shape_of(network), lesson.x, np.isnan(network.inputs.level), seed)
    rng = np.random.default_rng([seed, 6])
    # Sums in another order would make the weights depend on the machine.
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        _descend(net, lesson, loss, rng, progress, what)
    layers = net.layers()
    if not all(np.isfinite(one.weight).all() and np.isfinite(one.bias).all() for one in layers):
        raise CouldNotLook("training did not converge: its weights are not finite")
    return Network(
        network.columns, network.read, network.inputs, layers, link="logistic", single=network.single,
        levels=network.levels,
    )  # fmt: skip


def together(networks: list[Network]) -> Network:
    """Networks of one shape side by side, as one whose margin is the mean of theirs: draws of the weights cancel out
    (Hansen and Salamon 1990)."""
    count = len(networks)
    return _joined(networks, [Layer(np.full((count, 1), 1 / count), np.zeros(1))])


def largest(networks: list[Network]) -> Network:
    """Three networks of one shape side by side, as one whose margin is the largest of theirs.

    max(a, b) is a + relu(b − a), and a is relu(a) − relu(−a): two more layers of ReLU, which attacks and bounds follow.
    """
    if len(networks) != 3:
        raise ValueError("three networks")
    first = Layer(np.array([[1.0, -1, -1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, -1]]), np.zeros(5), "relu")
    both, third = np.array([1.0, -1, 1, 0, 0]), np.array([0.0, 0, 0, 1, -1])
    second = Layer(np.column_stack([both, -both, third - both]), np.zeros(3), "relu")
    return _joined(networks, [first, second, Layer(np.array([[1.0], [-1], [1]]), np.zeros(1))])


def _joined(networks: list[Network], end: list[Layer]) -> Network:
    """Networks side by side, `end` reading their margins; its first layer is taken into their last."""
    first = networks[0]
    layers = []
    for at, one in enumerate(first.layers):
        weights, biases = ([getattr(n.layers[at], name) for n in networks] for name in ("weight", "bias"))
        # What goes in is one beside the other, or (at the first layer) the same for all.
        weight, bias = np.hstack(weights) if at == 0 else block_diagonal(weights), np.concatenate(biases)
        if at == len(first.layers) - 1:
            to = end[0]
            one = Layer(weight, bias, to.activation, to.alpha)
            weight, bias = weight @ to.weight, bias @ to.weight + to.bias
        layers.append(Layer(weight, bias, one.activation, one.alpha))
    layers += end[1:]
    return Network(
        first.columns, first.read, first.inputs, tuple(layers), link="logistic", single=first.single,
        levels=first.levels,
    )  # fmt: skip


def block_diagonal(parts: list[Array]) -> Array:
    """Matrices along the diagonal, zeros elsewhere."""
    out = np.zeros(np.sum([p.shape for p in parts], axis=0))
    row = column = 0
    for part in parts:
        out[row : row + part.shape[0], column : column + part.shape[1]] = part
        row, column = row + part.shape[0], column + part.shape[1]
    return out


def _descend(net: Net, lesson: Lesson, loss: Loss, rng: np.random.Generator, progress: Progress, what: str) -> None:
    """Steps over drawn batches, the rate falling to nothing by a cosine."""
    n, reach = len(lesson.target), lesson.reach
    place = np.cumsum(lesson.target) - 1  # of a positive row among the pushed ones
    total = max(1, int(np.clip(EPOCHS * n / BATCH, LEAST_STEPS, MOST_STEPS) * lesson.pace.share))
    first = [np.zeros_like(p) for p in net.parameters]
    second = [np.zeros_like(p) for p in net.parameters]
    order, at = rng.permutation(n), 0
    for step in range(total):
        if at + min(BATCH, n) > n:
            order, at = rng.permutation(n), 0
        rows = order[at : at + BATCH]
        at += BATCH
        progress(step, total, what)
        share = min(1.0, (step + 1) / (WARM * total))
        gradients = _gradients(net, lesson, rows, place, reach, loss, share, rng)
        rate = RATE * 0.5 * (1 + np.cos(np.pi * step / total))
        _adam(net.parameters, gradients, (first, second), step + 1, rate, lesson.pace.decay)


def _gradients(
    net: Net, lesson: Lesson, rows: Array, place: Array, reach: Reach | None, loss: Loss, share: float,
    rng: np.random.Generator,
) -> list[Array]:  # fmt: skip
    """The gradients of the loss over some rows, in the order of `parameters`."""
    x, target, weight = lesson.x[rows], lesson.target[rows].astype(float), lesson.weight[rows]
    weight = weight / weight.sum()
    if reach is None or loss == "plain":
        target = target * (1 - 2 * lesson.pace.smooth) + lesson.pace.smooth
        return net.gradients(x, (_logistic(net.margins(x)) - target) * weight)
    hit = target > 0
    pushed = x.copy()
    if hit.any():
        pushed[hit] = reach.pushed(net, place[rows[hit]], INNER if loss != "noise" else 0, rng, share)
    if loss == "mixed":  # half at the row, half at the pushed one (Goodfellow et al. 2015)
        x, target, weight = np.vstack([x, pushed]), np.tile(target, 2), np.tile(weight / 2, 2)
        return net.gradients(x, (_logistic(net.margins(x)) - target) * weight)
    if loss != "trades":
        return net.gradients(pushed, (_logistic(net.margins(pushed)) - target) * weight)
    p, q = _logistic(net.margins(x)), _logistic(net.margins(pushed))
    clean = net.gradients(x, (p - target) * weight + BETA * weight * hit * p * (1 - p) * (_logit(p) - _logit(q)))
    away = net.gradients(pushed, BETA * weight * hit * (q - p))
    return [a + b for a, b in zip(clean, away, strict=True)]


def _adam(
    parameters: list[Array], gradients: list[Array], moments: tuple[list[Array], list[Array]], turn: int, rate: float,
    decay: float,
) -> None:  # fmt: skip
    """One step of Adam (Kingma and Ba 2015), in place; weights decay a little."""
    one, two, least = _ADAM
    for p, g, m, v in zip(parameters, gradients, *moments, strict=True):
        g = g + decay * p
        m += (1 - one) * (g - m)
        v += (1 - two) * (g * g - v)
        p -= rate * (m / (1 - one**turn)) / (np.sqrt(v / (1 - two**turn)) + least)


def _logistic(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -500, 500)))


def _logit(p: Array) -> Array:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return np.log(p) - np.log1p(-p)
