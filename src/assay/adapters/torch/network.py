"""The small network that a torch program is: its operators written as ONNX ones, which are followed as any graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from assay.adapters.extras import library
from assay.adapters.networks.network import Network
from assay.adapters.networks.onnx_network import FAULTS, Asked, onnx_network
from assay.adapters.torch.program import Named, Program, Step, Told
from assay.adapters.torch.run import CASTS, DROPS, VIEWS, base_of
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray
from assay.core.text import visible

_SAME = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "selu": "Selu", "neg": "Neg"}
_FLOATS = {7: 1, 8: 11}
"""Float and double, as torch and as ONNX number them."""
_TAIL = 15
"""From where on `softplus` may be a straight line: it is one within 1e-6 there."""


def torch_network(
    program: Program, steps: list[Step], constants: dict[str, Any], where: str, features: tuple[str, ...], place: int,
    *, count: int, logits: bool,
) -> Network:  # fmt: skip
    """The network behind output `place` of `count`; `constants` are tensors by name, `steps` what the input reaches.

    `logits` get a sigmoid (one) or softmax (several). Raises CouldNotLook for a program that holds more than affine
    steps, activations one after the other, and one softmax, sigmoid or clip at its end.
    """
    write = _Write(program, constants, where)
    try:
        for at, step in enumerate(steps):
            write.step(step, steps[at + 1 :])
        last = program.output
        if logits:
            several: dict[str, Any] = {"axis": 1} if count > 1 else {}
            last = write.put("Softmax" if several else "Sigmoid", [last], "the score", **several)
        elif write.logs:
            raise write.odd("log_softmax")
        if count == 1 and place == 0:  # the one number is the second class's
            last = write.put("Sub", [write.number(1.0), last], "the rest")
        graph = write.model(last, len(features))
    except FAULTS as error:
        what = f"its graph cannot be followed ({type(error).__name__}); attack it with `access: score`"
        raise CouldNotLook(f"{where}: {what}") from None
    return onnx_network(graph, where, features, Asked(0, "tensor", place if count > 1 else 0, None))


class _Write:
    """Writes steps as nodes of ONNX. One method an operator, named by it."""

    def __init__(self, program: Program, constants: dict[str, Any], where: str) -> None:
        self.program, self.constants, self.where = program, constants, where
        self.onnx = library("onnx")
        self.nodes: list[Any] = []
        self.held: list[Any] = []
        self.logs = False
        self._made = 0

    def odd(self, what: str) -> CouldNotLook:
        """The refusal of an operator."""
        text = f"{self.where}: its graph holds {visible(what, 60)}, which cannot be followed as a small network"
        return CouldNotLook(f"{text}; attack it with `access: score` or `access: label`")

    def put(self, kind: str, inputs: list[str], output: str = "", **told: Any) -> str:
        """Add a node; the name of what it gives."""
        self._made += 1
        output = output or f"between {self._made}"
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], **told))
        return output

    def number(self, value: Any) -> str:
        """Add a constant; its name."""
        self._made += 1
        array = np.asarray(value)
        self.held.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), f"held {self._made}"))
        return f"held {self._made}"

    def model(self, output: str, width: int) -> Any:
        """All of it as a ModelProto."""
        make, types = self.onnx.helper, self.onnx.TensorProto
        kind = types.FLOAT if self.program.kind == 7 else types.DOUBLE
        entry = make.make_tensor_value_info(self.program.entry, kind, [None, width])
        ends = [make.make_tensor_value_info(output, types.DOUBLE, None)]
        return make.make_model(make.make_graph(self.nodes, "program", [entry], ends, self.held))

    def step(self, step: Step, later: list[Step]) -> None:
        """Write one operator. Raises CouldNotLook for one that is not written here."""
        name = base_of(step)
        changed = step.inputs.get("self")
        again = isinstance(changed, Named) and any(changed.name in one.reads() for one in later)
        if again and step.target.split(".")[-2:-1] == [f"{name}_"]:
            raise self.odd(f"{name}_ on what is used again")
        if step.target in ("torch.ops.aten.sym_size.int",) or step.target.startswith("_operator."):
            return  # sizes, which the shapes below are judged by
        if self.logs and name not in VIEWS:
            raise self.odd("a step after log_softmax")
        if name in VIEWS or name in CASTS or name in DROPS:
            self._passed(step, name)
            return
        out = step.outputs[0]
        if name in _SAME:
            self.put(_SAME[name], [self._in(step.inputs["self"])], out)
            return
        found: Callable[[dict[str, Any], str], None] | None = getattr(self, f"_{name.strip('_')}", None)
        if found is None:
            raise self.odd(f"aten.{name}")
        found(step.inputs, out)

    def _passed(self, step: Step, name: str) -> None:
        """Another shape of the same numbers: at most one dimension beside the rows may be larger than 1."""
        value = step.inputs.get("self", step.inputs.get("input"))
        kind = step.inputs.get("dtype")
        to = kind.code if isinstance(kind, Told) else 7 if name == "float" else None
        if name in CASTS and ("other" in step.inputs or to not in (None, *_FLOATS)):
            raise self.odd(f"a cast ({name})")
        sizes = self.program.sizes.get(step.outputs[0])
        if name in VIEWS and sizes is not None and sum(s != 1 for s in sizes[1:]) > 1:
            raise self.odd(f"aten.{name} to more than (rows, columns)")
        if name in CASTS and to is not None:
            self.put("Cast", [self._in(value)], step.outputs[0], to=_FLOATS[to])
        else:
            self.put("Identity", [self._in(value)], step.outputs[0])

    def _in(self, value: Any) -> str:
        """The name of what the input reaches."""
        if not isinstance(value, Named) or value.name in self.constants:
            raise ValueError("a constant where an input should be")
        return value.name

    def _const(self, value: Any) -> FloatArray:
        """A weight, what was computed of weights, or a plain number, in double."""
        if isinstance(value, Named):
            if value.name not in self.constants:
                raise self.odd("a product of inputs")
            value = self.constants[value.name]
            value = value.detach().double().numpy() if hasattr(value, "detach") else value
        if value is None:
            raise ValueError("nothing where a constant should be")
        return np.asarray(value, dtype=np.float64)

    def _either(self, value: Any) -> str:
        """The name of an operand, a constant or not."""
        if isinstance(value, Named) and value.name not in self.constants:
            return value.name
        return self.number(self._const(value))

    # One method an operator, named by it.

    def _linear(self, told: dict[str, Any], out: str) -> None:
        bias = told.get("bias")
        made = self.put(
            "MatMul", [self._in(told["input"]), self.number(self._const(told["weight"]).T)], "" if bias else out
        )
        if bias:
            self.put("Add", [made, self.number(self._const(bias))], out)

    def _addmm(self, told: dict[str, Any], out: str) -> None:
        weight, bias = self._const(told["mat2"]) * told.get("alpha", 1), self._const(told["self"]) * told.get("beta", 1)
        made = self.put("MatMul", [self._in(told["mat1"]), self.number(weight)])
        self.put("Add", [made, self.number(bias)], out)

    def _mm(self, told: dict[str, Any], out: str) -> None:
        right = told.get("mat2", told.get("other", told.get("vec")))
        self.put("MatMul", [self._in(told["self"]), self.number(self._const(right))], out)

    _matmul = _mm
    _mv = _mm

    def _add(self, told: dict[str, Any], out: str) -> None:
        self._sum("Add", told["self"], told["other"], told.get("alpha", 1), out)

    def _sub(self, told: dict[str, Any], out: str) -> None:
        self._sum("Sub", told["self"], told["other"], told.get("alpha", 1), out)

    def _rsub(self, told: dict[str, Any], out: str) -> None:
        if told.get("alpha", 1) != 1:
            raise self.odd("aten.rsub with alpha")
        self.put("Sub", [self._either(told["other"]), self._in(told["self"])], out)

    def _sum(self, kind: str, left: Any, right: Any, alpha: float, out: str) -> None:
        second = self._either(right)
        if alpha != 1:
            second = self.put("Mul", [second, self.number(float(alpha))])
        self.put(kind, [self._either(left), second], out)

    def _mul(self, told: dict[str, Any], out: str) -> None:
        self.put("Mul", [self._either(told["self"]), self._either(told["other"])], out)

    def _div(self, told: dict[str, Any], out: str) -> None:
        if told.get("rounding_mode") is not None:
            raise self.odd("aten.div that rounds")
        self.put("Div", [self._in(told["self"]), self.number(self._const(told["other"]))], out)

    def _batch_norm(self, told: dict[str, Any], out: str) -> None:
        mean, spread = (self._const(told[n]) for n in ("running_mean", "running_var"))
        by, shift = np.ones_like(mean), np.zeros_like(mean)
        if told.get("weight") is not None:
            by = self._const(told["weight"])
        if told.get("bias") is not None:
            shift = self._const(told["bias"])
        held = [self.number(part) for part in (by, shift, mean, spread + told["eps"])]  # an epsilon would be float32
        self.put("BatchNormalization", [self._in(told["input"]), *held], out, epsilon=0.0)

    _native_batch_norm_legit_no_training = _batch_norm
    _native_batch_norm = _batch_norm

    def _softmax(self, told: dict[str, Any], out: str) -> None:
        self.put("Softmax", [self._across(told)], out, axis=1)

    def _log_softmax(self, told: dict[str, Any], out: str) -> None:
        self.logs = True  # its softmax is that of what it read
        self.put("Identity", [self._across(told)], out)

    def _across(self, told: dict[str, Any]) -> str:
        """What a softmax reads, in the type that it is told to compute in."""
        if told.get("dim") not in (1, -1):
            raise self.odd("a softmax over rows")
        kind = told.get("dtype")
        if kind is None:
            return self._in(told["self"])
        if not isinstance(kind, Told) or kind.code not in _FLOATS:
            raise self.odd("a softmax in another type")
        return self.put("Cast", [self._in(told["self"])], to=_FLOATS[kind.code])

    def _elu(self, told: dict[str, Any], out: str) -> None:
        if told.get("input_scale", 1) != 1:
            raise self.odd("aten.elu with an input scale")
        made = self.put("Elu", [self._in(told["self"])], alpha=float(told.get("alpha", 1)))
        self.put("Mul", [made, self.number(float(told.get("scale", 1)))], out)

    def _celu(self, told: dict[str, Any], out: str) -> None:
        alpha = float(told.get("alpha", 1))
        if not alpha > 0:
            raise self.odd("aten.celu with a factor that is not above 0")
        made = self.put("Elu", [self.put("Mul", [self._in(told["self"]), self.number(1 / alpha)])])
        self.put("Mul", [made, self.number(alpha)], out)

    def _gelu(self, told: dict[str, Any], out: str) -> None:
        self.put("Gelu", [self._in(told["self"])], out, approximate=told.get("approximate", "none"))

    def _silu(self, told: dict[str, Any], out: str) -> None:
        name = self._in(told["self"])
        self.put("Mul", [name, self.put("Sigmoid", [name])], out)

    def _softplus(self, told: dict[str, Any], out: str) -> None:
        beta = float(told.get("beta", 1))
        if told.get("threshold", 20) < _TAIL or beta <= 0:
            raise self.odd("aten.softplus with a low threshold")
        made = self.put("Softplus", [self.put("Mul", [self._in(told["self"]), self.number(beta)])])
        self.put("Mul", [made, self.number(1 / beta)], out)

    def _leaky_relu(self, told: dict[str, Any], out: str) -> None:
        self.put("LeakyRelu", [self._in(told["self"])], out, alpha=float(told.get("negative_slope", 0.01)))

    def _prelu(self, told: dict[str, Any], out: str) -> None:
        slope = self._const(told["weight"])
        if slope.size != 1:
            raise self.odd("aten.prelu with a slope for each column")
        self.put("LeakyRelu", [self._in(told["self"])], out, alpha=float(slope.reshape(-1)[0]))

    def _hardtanh(self, told: dict[str, Any], out: str) -> None:
        self._clip(told["self"], told.get("min_val", -1), told.get("max_val", 1), out)

    def _relu6(self, told: dict[str, Any], out: str) -> None:
        self._clip(told["self"], 0.0, 6.0, out)

    def _hardsigmoid(self, told: dict[str, Any], out: str) -> None:
        made = self.put("Mul", [self._in(told["self"]), self.number(1 / 6)])
        made = self.put("Add", [made, self.number(0.5)])
        self.put("Clip", [made, self.number(0.0), self.number(1.0)], out)

    def _clamp(self, told: dict[str, Any], out: str) -> None:
        self._clip(told["self"], told.get("min"), told.get("max"), out)

    def _clamp_min(self, told: dict[str, Any], out: str) -> None:
        self._clip(told["self"], told["min"], None, out)

    def _clip(self, value: Any, low: Any, high: Any, out: str) -> None:
        ends = ["" if v is None else self.number(self._const(v).reshape(-1)) for v in (low, high)]
        self.put("Clip", [self._in(value), *ends], out)

    def _select(self, told: dict[str, Any], out: str) -> None:
        self._columns(told, np.array([told["index"]]), out)

    def _slice(self, told: dict[str, Any], out: str) -> None:
        start, end, step = told.get("start") or 0, told.get("end"), told.get("step", 1)
        if told.get("dim", 0) == 0 and start == 0 and step == 1 and (end is None or end == (1 << 63) - 1):
            self.put("Identity", [self._in(told["self"])], out)  # all rows
            return
        self._columns(told, np.arange(self._width(told["self"]))[start:end:step], out)

    def _index_select(self, told: dict[str, Any], out: str) -> None:
        self._columns(told, self._const(told["index"]), out)

    def _columns(self, told: dict[str, Any], places: FloatArray, out: str) -> None:
        if told.get("dim", 0) not in (1, -1):
            raise self.odd("a choice of rows")
        width = self._width(told["self"])
        self.put(
            "Gather", [self._in(told["self"]), self.number(np.asarray(places, dtype=np.int64) % width)], out, axis=1
        )

    def _width(self, value: Named) -> int:
        sizes = self.program.sizes[value.name]
        if len(sizes) != 2 or not sizes[1]:
            raise self.odd("a choice among more than columns")
        return sizes[1]

    def _cat(self, told: dict[str, Any], out: str) -> None:
        if told.get("dim", 0) not in (1, -1):
            raise self.odd("rows put together")
        self.put("Concat", [self._in(one) for one in told["tensors"]], out, axis=1)
