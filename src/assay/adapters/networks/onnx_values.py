"""What a tensor of an ONNX graph is while it is followed: affine in the columns, or in what the last layer gave."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from assay.adapters.networks.network import NORMAL, TINY, Noise, faint, largest
from assay.core.protocols import FloatArray


class Value(NamedTuple):
    """A tensor (n, width) that is `of` the numbers of stage `stage` times `weight` (p, width) plus `bias` (width,).

    Stage 0 are the inputs, stage s what layer s gave. `words` is the column of a text input, else -1; `head` says that
    the stage is a softmax; `curve` that erf, or a cut to whole numbers, and not the weights alone, stands between.
    `noise`, shaped as (weight, bias), bounds what rounding, and underflow, add on the way, in units of the model's
    roundoff: |stage| times the one plus the other (Higham 2002, section 3.1); its third part (p + 1,) bounds, told
    likewise, every number on the way. Steps that cancel out leave no trace in the weights, but they do here.
    """

    stage: int
    weight: FloatArray
    bias: FloatArray
    words: int = -1
    curve: str = ""
    noise: Noise | None = None

    @property
    def width(self) -> int:
        """How many columns it has."""
        return int(self.weight.shape[1])

    def times(self, matrix: FloatArray) -> Value:
        """It multiplied from the right by `matrix` (width, k)."""
        size, (steep, flat, most) = np.abs(matrix), self.noisy()
        # One rounding a product and a sum, one more for a factor of them all.
        terms = np.count_nonzero(matrix, axis=0) + 2
        weight, bias = np.abs(self.weight) @ size, np.abs(self.bias) @ size
        under, lost = faint(matrix)
        steep = steep @ size + terms * weight + np.abs(self.weight) @ under
        flat = flat @ size + terms * bias + np.abs(self.bias) @ under + lost
        noise = steep, flat, np.maximum(most, largest(weight, bias))
        return Value(self.stage, self.weight @ matrix, self.bias @ matrix, noise=noise)

    def scaled(self, by: FloatArray) -> Value:
        """Each column multiplied by `by` (width,) or one number."""
        steep, flat, most = self.noisy()
        weight, bias, size = self.weight * by, self.bias * by, np.abs(by)
        most = np.maximum(most, largest(weight, bias))
        under = np.where((size > 0) & (size < NORMAL), TINY, 0.0)
        steep = steep * size + np.abs(weight) + np.abs(self.weight) * under
        noise = (steep, flat * size + np.abs(bias) + np.abs(self.bias) * under + TINY * (2 + size), most)
        return Value(self.stage, weight, bias, -1, self.curve, noise)

    def plus(self, more: FloatArray) -> Value:
        """Numbers added to each column."""
        steep, flat, most = self.noisy()
        bias = self.bias + more
        size = np.maximum(most, largest(self.weight, bias))
        noise = (steep + np.abs(self.weight), flat + np.abs(bias) + 2 * TINY, size)
        return Value(self.stage, self.weight, bias, -1, self.curve, noise)

    def blurred(self, times: float, more: FloatArray | float = 0.0) -> Value:
        """It with `times` roundings of its own size more, and `more` (width,) units of roundoff."""
        steep, flat, most = self.noisy()
        noise = steep + times * np.abs(self.weight), flat + times * np.abs(self.bias) + more, most
        return self._replace(noise=noise)

    def taken(self, columns: FloatArray) -> Value:
        """Some of its columns. Raises ValueError where a text is said to have another."""
        if self.words >= 0:
            if columns.tolist() != [0]:
                raise ValueError("one column")
            return self
        steep, flat, most = self.noisy()
        noise = steep[:, columns], flat[columns], most
        return Value(self.stage, self.weight[:, columns], self.bias[columns], -1, self.curve, noise)

    def noisy(self) -> Noise:
        """The noise, zeros where nothing was rounded."""
        if self.noise is not None:
            return self.noise
        return np.zeros_like(self.weight), np.zeros_like(self.bias), largest(self.weight, self.bias)

    def noised(self, count: int) -> Noise:
        """The noise with rows for inputs that came later."""
        steep, flat, most = self.noisy()
        more = count - len(steep)
        return np.pad(steep, ((0, more), (0, 0))), np.asarray(flat, float), np.insert(most, -1, np.zeros(more))

    def padded(self, count: int) -> FloatArray:
        """The weight with rows for inputs that came later."""
        return np.pad(self.weight, ((0, count - len(self.weight)), (0, 0)))


def together(values: list[Value]) -> Value:
    """Values side by side. Raises ValueError where they hang on different stages."""
    stages = {v.stage for v in values if v.weight.any()} or {values[0].stage}
    if len(stages) > 1 or any(v.words >= 0 or v.curve for v in values):
        raise ValueError("branches")
    count = max(len(v.weight) for v in values)
    weight = np.hstack([v.padded(count) for v in values])
    parts = [v.noised(count) for v in values]
    steep, flat = np.hstack([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    noise = steep, flat, np.max([p[2] for p in parts], axis=0)
    return Value(stages.pop(), weight, np.concatenate([v.bias for v in values]), noise=noise)
