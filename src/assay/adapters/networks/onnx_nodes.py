"""Follows an ONNX graph operator by operator, from a name back to the columns that feed it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from assay.adapters.extras import library
from assay.adapters.networks.activations import KINDS, Activation
from assay.adapters.networks.network import DOUBLE, SINGLE, Inputs, Layer, largest
from assay.adapters.networks.onnx_gates import gelu, silu
from assay.adapters.networks.onnx_kinds import (
    FITS_INT64,
    FLOAT,
    FLOATS,
    INT64,
    PASSED,
    TEXT,
    coarse,
    codes_of,
    counted,
    kind_after,
    told_float,
)  # fmt: skip
from assay.adapters.networks.onnx_values import Value, together
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray
from assay.core.text import visible

_DEEP = 400


class Follow:
    """One walk through a graph. `layers` are what it has met so far, in order; `single` whether inputs are float32,
    `unit` the roundoff of the coarsest step, `whole` the columns that the graph takes as whole numbers."""

    def __init__(self, model: Any, where: str, features: tuple[str, ...]) -> None:
        onnx = library("onnx")
        graph = model.graph
        self.where, self.features = where, features
        if graph.sparse_initializer:  # one may stand for a dense one of its name
            raise CouldNotLook(f"{where}: has sparse constants, which are not read; attack it with `access: label`")
        self.constants: dict[str, FloatArray] = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        self.nodes = {name: node for node in graph.node for name in node.output if name}
        self.outputs = [o.name for o in graph.output]
        inputs = [i for i in graph.input if i.name not in self.constants]
        self.entries = {i.name: i.type.tensor_type.elem_type for i in inputs}
        # One input a column: in their order where a converter spells them otherwise (`a-b` becomes `a_b`).
        alike = len(inputs) != len(features) or {i.name for i in inputs} == set(features)
        self._places = {name: j for j, name in enumerate(features if alike else self.entries)}
        self.kinds = dict(self.entries)
        self.layers: list[Layer] = []
        self.levels: dict[str, tuple[Any, ...]] = {}
        self.labels: tuple[Any, ...] = ()
        self.single, self.softmax, self.unit = False, False, DOUBLE
        self.whole: set[str] = set()
        self._inputs: list[list[float]] = [[float(j), math.nan, math.nan, 0.0] for j in range(len(features))]
        self._known: dict[str, Value | FloatArray] = {}
        self._deep = 0

    @property
    def cut(self) -> FloatArray:
        """Of which inputs the code is cut down to a whole number, (p,) bool."""
        return np.array(self._inputs)[:, 3] > 0

    def inputs(self) -> Inputs:
        """What the first layer reads."""
        column, level, filled, _ = np.array(self._inputs).T
        return Inputs(column.astype(np.int64), level, filled)

    def width(self, stage: int) -> int:
        """How many numbers a stage gives."""
        return len(self._inputs) if stage == 0 else len(self.layers[stage - 1].bias)

    def layers_done(self, last: Layer) -> tuple[Layer, ...]:
        """The layers, the last one without its softmax."""
        return (*self.layers[:-1], last)

    def value(self, name: str) -> Value:
        """What a name stands for. Raises CouldNotLook for an operator that cannot be followed."""
        found = self.any(name)
        if not isinstance(found, Value):
            raise ValueError("a constant where an input should be")
        return found

    def constant(self, name: str) -> FloatArray:
        """A name that no input reaches, as numbers."""
        found = self.any(name)
        if isinstance(found, Value):
            raise ValueError("an input where a constant should be")
        return found

    def any(self, name: str) -> Value | FloatArray:
        """What a name stands for, a constant or not."""
        if name in self._known:
            return self._known[name]
        if name in self.constants:
            return self.constants[name]
        if name in self.entries:
            found: Value | FloatArray = self._entry(name)
        else:
            self._deep += 1
            if self._deep > _DEEP:
                raise CouldNotLook(f"{self.where}: its graph is more than {_DEEP} operators deep")
            found = self._node(self.nodes[name], name)
            self._deep -= 1
        self._known[name] = found
        return found

    def _entry(self, name: str) -> Value:
        """An input of the graph: a column, or all of them."""
        kind = self.entries[name]
        columns = [self._places[name]] if name in self._places else list(range(len(self.features)))
        if kind == TEXT:
            if len(columns) != 1:
                raise self.odd("one tensor of text")
            return Value(0, np.zeros((len(self._inputs), 1)), np.zeros(1), words=columns[0])
        if kind in (10, 16):
            raise self.odd("numbers of 16 bits")
        if kind == FLOAT:
            self.single, self.unit = True, SINGLE
        if kind not in FLOATS:
            self.whole |= {self.features[c] for c in columns}
        return Value(0, np.eye(len(self.features))[:, columns], np.zeros(len(columns)))

    def _node(self, node: Any, name: str) -> Value | FloatArray:
        if node.domain not in ("", "ai.onnx", "ai.onnx.ml"):
            raise self.odd(f"{node.domain}.{node.op_type}")
        told = attributes(node)
        found = self._followed(node, told, name)
        if isinstance(found, Value):
            read = [i for i in node.input if isinstance(self._known.get(i), Value)]
            kind = self.kinds[name] = kind_after(node, told, self.kinds[read[0]])
            if counted(node, kind):
                raise self.odd(f"{node.op_type} on whole numbers")
            if coarse(node, told, kind):
                self.unit = SINGLE
        return found

    def _followed(self, node: Any, told: dict[str, Any], name: str) -> Value | FloatArray:
        kind = node.op_type
        if kind == "Constant":
            return np.asarray(next(iter(told.values())))
        if kind in KINDS:
            return self.layer(self.value(node.input[0]), *KINDS[kind](told))
        if kind in PASSED or kind == "ZipMap":
            self.labels = tuple(told.get("classlabels_int64s") or told.get("classlabels_strings") or self.labels)
            return self.any(node.input[0])
        found: Callable[[Any, dict[str, Any], str], Value | FloatArray] | None = getattr(self, f"_{kind.lower()}", None)
        if found is None:
            raise self.odd(kind)
        return found(node, told, name)

    def odd(self, what: str) -> CouldNotLook:
        """The refusal of an operator."""
        text = f"{self.where}: its graph holds {visible(what, 40)}, which cannot be followed as a small network"
        return CouldNotLook(f"{text}; attack it with `access: score` or `access: label`")

    def layer(self, value: Value, kind: Activation, alpha: float = 1.0) -> Value:
        """An activation over a value, as a layer."""
        if value.curve or value.words >= 0 or value.stage != len(self.layers) or self.softmax:
            raise self.odd("branches, or a step after its softmax")
        if not math.isfinite(alpha) or (kind == "elu" and alpha <= 0):
            raise self.odd(f"{kind} with a factor of {alpha:g}")
        count = self.width(value.stage)
        weight, bias = np.asarray(value.padded(count), float), np.asarray(value.bias, float)
        self.layers.append(Layer(weight, bias, kind, alpha, value.noised(count)))
        return Value(len(self.layers), np.eye(value.width), np.zeros(value.width))

    # One method an operator, named by it.

    def _cast(self, node: Any, told: dict[str, Any], name: str) -> Value | FloatArray:
        found, to = self.any(node.input[0]), told["to"]
        if not isinstance(found, Value):
            return found.astype(library("onnx").helper.tensor_dtype_to_np_dtype(to))
        before = self.kinds[node.input[0]]
        if to == INT64 and not found.curve and found.stage == 0:
            # Only an encoder of levels may follow what is cut down.
            return found if before in FITS_INT64 else found._replace(curve="whole")
        if to not in FLOATS or found.curve or found.words >= 0:
            raise self.odd("a cast to whole or short numbers")
        if to == FLOAT:
            self.single |= found.stage == 0
            self.unit = SINGLE
            found = found.scaled(np.float64(1.0))  # rounded once
        return found

    def _short(self, name: str) -> Value:
        """What an operator of ai.onnx.ml reads: numbers, rounded to float32 where they are none."""
        value = self.value(name)
        self._plain(value)
        return value if self.kinds[name] == FLOAT else value.scaled(np.float64(1.0))

    def _matmul(self, node: Any, told: dict[str, Any], name: str) -> Value:
        value, matrix = self.value(node.input[0]), np.asarray(self.constant(node.input[1]), float)
        self._plain(value)
        return value.times(matrix.reshape(len(matrix), -1))

    def _gemm(self, node: Any, told: dict[str, Any], name: str) -> Value:
        value, matrix = self.value(node.input[0]), np.asarray(self.constant(node.input[1]), float)
        self._plain(value)
        if told.get("transA"):
            raise self.odd("a transposed Gemm")
        out = value.times((matrix.T if told.get("transB") else matrix) * told.get("alpha", 1.0))
        if len(node.input) > 2 and node.input[2]:
            more = np.asarray(self.constant(node.input[2]), float).reshape(-1) * told.get("beta", 1.0)
            out = out.plus(more).blurred(0.0, np.abs(more))
        return out

    def _add(self, node: Any, told: dict[str, Any], name: str) -> Value | FloatArray:
        return self._sum(node, 1.0)

    def _sub(self, node: Any, told: dict[str, Any], name: str) -> Value | FloatArray:
        return self._sum(node, -1.0)

    def _sum(self, node: Any, sign: float) -> Value | FloatArray:
        left, right = (self.any(i) for i in node.input)
        if not isinstance(left, Value) and not isinstance(right, Value):
            return np.asarray(left + sign * right)
        if isinstance(left, Value) and isinstance(right, Value):
            both = together([left, right])
            k = left.width
            if right.width != k:
                raise ValueError("widths")
            return both.times(np.vstack([np.eye(k), sign * np.eye(k)]))
        if (isinstance(left, Value) and left.curve) or (isinstance(right, Value) and right.curve):
            return self._risen(left, right, sign)
        if isinstance(left, Value):
            return self._spread(left, right).plus(sign * _row(right))
        return self._spread(right, left).scaled(np.float64(sign)).plus(_row(left))

    def _risen(self, left: Any, right: Any, sign: float) -> Value:
        """erf and 1."""
        value, number = (left, right) if isinstance(left, Value) else (right, left)
        if value.curve != "erf" or sign != 1.0 or np.size(number) != 1 or float(np.reshape(number, -1)[0]) != 1.0:
            raise self.odd("a step after erf")
        return value._replace(curve="erf 1")

    def _mul(self, node: Any, told: dict[str, Any], name: str) -> Value | FloatArray:
        left, right = (self.any(i) for i in node.input)
        if isinstance(left, Value) and isinstance(right, Value):
            return self._gated(left, right)
        value, number = (left, right) if isinstance(left, Value) else (right, left)
        if not isinstance(value, Value):
            return np.multiply(value, np.asarray(number))
        self._plain(value)
        return self._spread(value, number).scaled(_row(number))

    def _div(self, node: Any, told: dict[str, Any], name: str) -> Value | FloatArray:
        left, right = self.any(node.input[0]), np.asarray(self.constant(node.input[1]))
        if not isinstance(left, Value):
            if left.dtype.kind in "iu" and right.dtype.kind in "iu":
                raise self.odd("a quotient of whole numbers")
            return np.asarray(left / right)
        self._plain(left)
        # One rounding more than a product: that of the reciprocal here.
        return self._spread(left, right).scaled(1.0 / _row(right)).blurred(1.0)

    def _neg(self, node: Any, told: dict[str, Any], name: str) -> Value:
        value = self.value(node.input[0])
        self._plain(value)
        return value.scaled(np.float64(-1))

    def _spread(self, value: Value, by: FloatArray) -> Value:
        """A value of one column as wide as the numbers that it meets."""
        size = int(np.size(by))
        if value.words >= 0 or (size not in (1, value.width) and value.width != 1):
            raise ValueError("widths")
        return value.times(np.ones((1, size))) if value.width == 1 and size > 1 else value

    def _erf(self, node: Any, told: dict[str, Any], name: str) -> Value:
        return self.value(node.input[0])._replace(curve="erf")

    def _gated(self, left: Value, right: Value) -> Value:
        for value, gate in ((left, right), (right, left)):
            if (bent := gelu(value, gate)) is not None:
                return self.layer(bent[0], "gelu").scaled(np.float64(bent[1]))
            if self.layers and (layer := silu(value, gate, self.layers[-1], len(self.layers))) is not None:
                self.layers[-1] = layer
                return gate
        raise self.odd("a product of inputs")

    def _gelu(self, node: Any, told: dict[str, Any], name: str) -> Value:
        return self.layer(self.value(node.input[0]), "gelu tanh" if told.get("approximate") == "tanh" else "gelu")

    def _selu(self, node: Any, told: dict[str, Any], name: str) -> Value:
        alpha, gamma = told_float(told, "alpha", 1.67326319217681884765625), told_float(told, "gamma", 1.05070102214813)
        return self.layer(self.value(node.input[0]), "elu", alpha).scaled(np.float64(gamma))

    def _hardsigmoid(self, node: Any, told: dict[str, Any], name: str) -> Value:
        value, by = self.value(node.input[0]), told_float(told, "alpha", 0.2)
        return self.layer(value.scaled(np.float64(by)).plus(np.float64(told_float(told, "beta", 0.5))), "clip", 1.0)

    def _clip(self, node: Any, told: dict[str, Any], name: str) -> Value:
        given = [float(self.constant(i).reshape(-1)[0]) if i else math.nan for i in node.input[1:3]]
        low, high = [*given, math.nan, math.nan][:2]
        low, high = told.get("min", low), told.get("max", high)
        value = self.value(node.input[0])
        if not (math.isfinite(low) and math.isfinite(high)):
            if low == 0.0 and not math.isfinite(high):
                return self.layer(value, "relu")
            raise self.odd("a clip with one end")
        if low > high:
            raise self.odd("a clip to nothing")
        return self.layer(value.plus(np.float64(-low)), "clip", high - low).plus(np.float64(low))

    def _softmax(self, node: Any, told: dict[str, Any], name: str) -> Value:
        if told.get("axis", -1) not in (1, -1):
            raise self.odd("a softmax over rows")
        out = self.layer(self.value(node.input[0]), "identity")
        self.softmax = True
        return out

    def _concat(self, node: Any, told: dict[str, Any], name: str) -> Value | FloatArray:
        parts = [self.any(i) for i in node.input]
        values = [p for p in parts if isinstance(p, Value)]
        if not values:
            return np.concatenate([np.asarray(p) for p in parts], axis=told.get("axis", 0))
        if len(values) < len(parts) or told.get("axis", 1) not in (1, -1, 2):
            raise self.odd("rows put together")
        return together(values) if len(values) > 1 else values[0]

    def _gather(self, node: Any, told: dict[str, Any], name: str) -> Value:
        value, index = self.value(node.input[0]), np.asarray(self.constant(node.input[1])).reshape(-1).astype(int)
        if told.get("axis", 0) not in (1, -1):
            raise self.odd("a choice of rows")
        return value.taken(index)

    def _arrayfeatureextractor(self, node: Any, told: dict[str, Any], name: str) -> Value:
        return self.value(node.input[0]).taken(np.asarray(self.constant(node.input[1])).reshape(-1).astype(int))

    def _batchnormalization(self, node: Any, told: dict[str, Any], name: str) -> Value:
        value = self.value(node.input[0])
        self._plain(value)
        factor, shift, mean, spread = (np.asarray(self.constant(i), float).reshape(-1) for i in node.input[1:5])
        by = factor / np.sqrt(spread + told_float(told, "epsilon", 1e-5))
        # The factor is the end of a sum, a root, a quotient and a product, and the shift of a product with it.
        lost = 7.0 * np.abs(mean * by) + 2.0 * np.abs(shift)
        return value.scaled(by).blurred(4.0, lost).plus(shift - mean * by)

    def _scaler(self, node: Any, told: dict[str, Any], name: str) -> Value:
        offset, by = (np.asarray(told[k], float) for k in ("offset", "scale"))
        value = self._short(node.input[0])
        return value.plus(-offset).scaled(np.broadcast_to(by, (value.width,)))

    def _normalizer(self, node: Any, told: dict[str, Any], name: str) -> Value:
        """A row divided by its sum, which is 1: a softmax, or a share and what it leaves."""
        value = self.value(node.input[0])
        weight, bias = value.weight, value.bias
        one = self.softmax and not bias.any() and sorted(weight.tolist()) == sorted(np.eye(len(weight)).tolist())
        pair = False
        if value.width == 2 and value.stage and not self.softmax:
            last = self.layers[value.stage - 1]
            within = last.activation == "logistic" or (last.activation == "clip" and last.alpha == 1.0)
            single = np.count_nonzero(weight, axis=0).tolist() == [1, 1] and np.abs(weight).max() == 1
            opposite = not weight.sum(axis=1).any() and sorted(bias.tolist()) == [0.0, 1.0]
            pair = within and single and opposite and bool((weight.sum(axis=0) == np.where(bias == 1, -1, 1)).all())
        if told.get("norm", "MAX") != "L1" or value.curve or not (one or pair):
            raise self.odd("a row divided by its own length")
        return value

    def _imputer(self, node: Any, told: dict[str, Any], name: str) -> Value:
        value = self.value(node.input[0])
        fill = np.asarray(told["imputed_value_floats"], float)
        if not math.isnan(told.get("replaced_value_float", 0.0)) or value.stage:
            raise self.odd("an imputer of other values than missing ones")
        for k, number in enumerate(np.broadcast_to(fill, (value.width,)).tolist()):
            used = np.flatnonzero(value.weight[:, k])
            if len(used) != 1 or not math.isnan(self._inputs[used[0]][1]):
                raise self.odd("an imputer of more than a column")
            given = (number - float(value.bias[k])) / float(value.weight[used[0], k])
            if not (
                math.isnan(self._inputs[used[0]][2]) or math.isclose(self._inputs[used[0]][2], given, rel_tol=1e-12)
            ):
                raise self.odd("two imputers of one column")
            self._inputs[used[0]][2] = given
        return value

    def _onehotencoder(self, node: Any, told: dict[str, Any], name: str) -> Value:
        value = self.value(node.input[0])
        if not told.get("zeros", 1):
            raise self.odd("a one-hot encoder that fails on unknown levels")
        # Where it looks for whole numbers onnxruntime cuts others down to them.
        return self._indicators(value, told.get("cats_strings") or told.get("cats_int64s") or [], "cats_int64s" in told)

    def _labelencoder(self, node: Any, told: dict[str, Any], name: str) -> Value:
        value = self.value(node.input[0])
        keys = next(told[k] for k in ("keys_strings", "keys_int64s", "keys_floats", "keys_tensor") if k in told)
        to = next(told[k] for k in ("values_floats", "values_int64s", "values_tensor") if k in told)
        none = -1 if "values_int64s" in told else 0.0
        rest = next((told[k] for k in ("default_float", "default_int64", "default_tensor") if k in told), none)
        to, rest = np.asarray(to, float), float(np.asarray(rest).reshape(-1)[0])
        if math.isnan(rest):
            raise self.odd("an encoder that gives NaN for unknown levels")
        found = self._indicators(value, list(keys)).times((to - rest)[:, None]).plus(np.float64(rest))
        weight, bias = np.abs(found.weight), np.abs(found.bias)  # looked up, not added up
        return found._replace(noise=(weight, bias, largest(weight, bias)))

    def _indicators(self, value: Value, levels: list[Any], cut: bool = False) -> Value:
        """One input for each level of a column, `cut` down to whole numbers."""
        cut = value.words < 0 and (cut or value.curve == "whole")
        if value.words >= 0:
            column = value.words
            name = self.features[column]
            known = self.levels.get(name, ())
            known = (*known, *(v for v in levels if v not in known))
            self.levels[name] = known
            codes = codes_of([known.index(v) for v in levels])
        else:
            used = np.flatnonzero(value.weight[:, 0])
            plain = (
                value.curve in ("", "whole")
                and value.stage == 0
                and value.width == 1
                and len(used) == 1
                and value.bias[0] == 0
            )
            if not plain or value.weight[used[0], 0] != 1 or used[0] >= len(self.features):
                raise self.odd("levels of what is no column")
            column, codes = int(used[0]), codes_of(levels)
        start = len(self._inputs)
        self._inputs += [[float(column), code, math.nan, float(cut)] for code in codes]
        weight = np.zeros((len(self._inputs), len(codes)))
        weight[start + np.arange(len(codes)), np.arange(len(codes))] = 1
        return Value(0, weight, np.zeros(len(codes)))

    def _linearclassifier(self, node: Any, told: dict[str, Any], name: str) -> Value:
        if name != node.output[1]:
            raise self.odd("its label")
        value, bias = self._short(node.input[0]), np.asarray(told.get("intercepts", [0.0]), float)
        labels = told.get("classlabels_ints") or told.get("classlabels_strings") or ()
        self.labels = self.labels or tuple(labels)
        weight = np.asarray(told["coefficients"], float).reshape(len(bias), -1)
        out, after = value.times(weight.T).plus(bias), told.get("post_transform", "NONE")
        if after == "SOFTMAX" and len(bias) > 1:
            out = self.layer(out, "identity")
            self.softmax = True
        elif after == "LOGISTIC":
            out = self._logistic(out)
        elif after != "NONE":
            raise self.odd(f"LinearClassifier with {after}")
        if len(labels) == 2 and len(bias) == 1:
            if after != "LOGISTIC":
                raise self.odd("LinearClassifier with one row of two")
            out = out.times(np.array([[-1.0, 1.0]])).plus(np.array([1.0, 0.0]))
        return out

    def _logistic(self, out: Value) -> Value:
        """Sigmoids; two that are each other's opposite are one and what it leaves."""
        both = out.width == 2 and np.array_equal(out.weight[:, 0], -out.weight[:, 1]) and out.bias[0] == -out.bias[1]
        if not both:
            return self.layer(out, "logistic")
        one = self.layer(out.taken(np.array([1])), "logistic")
        return one.times(np.array([[-1.0, 1.0]])).plus(np.array([1.0, 0.0]))

    def _linearregressor(self, node: Any, told: dict[str, Any], name: str) -> Value:
        value, count = self._short(node.input[0]), told.get("targets", 1)
        if told.get("post_transform", "NONE") != "NONE":
            raise self.odd("LinearRegressor with a step after it")
        weight = np.asarray(told["coefficients"], float).reshape(count, -1)
        return value.times(weight.T).plus(np.asarray(told.get("intercepts", np.zeros(count)), float))

    def _transpose(self, node: Any, told: dict[str, Any], name: str) -> FloatArray:
        return np.transpose(self.constant(node.input[0]), told.get("perm"))

    def _plain(self, value: Value) -> None:
        if value.words >= 0 or value.curve:
            raise self.odd("text among numbers")


def _row(numbers: FloatArray) -> FloatArray:
    """A constant as one row (k,) or one number."""
    out = np.asarray(numbers, float)
    return out.reshape(-1) if out.size > 1 else np.float64(out.reshape(-1)[0])


def attributes(node: Any) -> dict[str, Any]:
    """A node's attributes as plain values; text decoded."""
    helper = library("onnx").helper
    out: dict[str, Any] = {}
    for item in node.attribute:
        value = helper.get_attribute_value(item)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, list) and value and isinstance(value[0], bytes):
            value = [v.decode("utf-8", "replace") for v in value]
        elif hasattr(value, "raw_data"):
            value = library("onnx").numpy_helper.to_array(value)
        out[item.name] = value
    return out
