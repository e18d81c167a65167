"""What a tensor of an ONNX graph is while it is followed: affine in the columns, or in what the last layer gave."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from assay.core.protocols import FloatArray


class Value(NamedTuple):
    """A tensor (n, width) that is `of` the numbers of stage `stage` times `weight` (p, width) plus `bias` (width,).

    Stage 0 are the inputs, stage s what layer s gave. `words` is the column of a text input, else -1; `head` says that
    the stage is a softmax; `curve` that erf, and not the weights alone, stands between.
    """

    stage: int
    weight: FloatArray
    bias: FloatArray
    words: int = -1
    curve: str = ""

    @property
    def width(self) -> int:
        """How many columns it has."""
        return int(self.weight.shape[1])

    def times(self, matrix: FloatArray) -> Value:
        """It multiplied from the right by `matrix` (width, k)."""
        return Value(self.stage, self.weight @ matrix, self.bias @ matrix)

    def scaled(self, by: FloatArray) -> Value:
        """Each column multiplied by `by` (width,) or one number."""
        return Value(self.stage, self.weight * by, self.bias * by, -1, self.curve)

    def plus(self, more: FloatArray) -> Value:
        """Numbers added to each column."""
        return Value(self.stage, self.weight, self.bias + more, -1, self.curve)

    def taken(self, columns: FloatArray) -> Value:
        """Some of its columns."""
        return Value(self.stage, self.weight[:, columns], self.bias[columns])

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
    return Value(stages.pop(), weight, np.concatenate([v.bias for v in values]))
