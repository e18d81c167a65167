"""Runs the operators of a torch program one by one: those of a fixed list, by torch itself, within bounds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from assay.adapters.extras import library
from assay.adapters.torch.program import MAX_ROWS, Named, Program, Step, Told
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray
from assay.core.text import visible

CELLS = 1 << 24
"""Numbers that one tensor inside the program may hold; all of one run together 8 times as many."""
PARTS = 1 << 17
"""Into how many tensors one may be split."""
WORK = 10**11
"""Multiplications that one run may take."""
_TYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64", 12: "bool",
    13: "bfloat16",
}  # fmt: skip
_MEMORY = {1: "contiguous_format", 2: "channels_last", 4: "preserve_format"}
_TARGET = re.compile(r"torch\.ops\.aten\.(\w{1,60})\.(\w{1,40})\Z")
_MOST_INT = 1 << 31
_MOST_LIST = 64


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


PRODUCTS = words("linear addmm mm matmul bmm baddbmm mv dot einsum scaled_dot_product_attention")
VIEWS = words("view reshape _unsafe_view flatten unflatten squeeze unsqueeze contiguous clone alias detach") | {
    "lift_fresh_copy"
}
"""Operators that give the same numbers in another shape, or as they are."""
CASTS = words("to _to_copy type_as float")
_FACTORIES = words("arange full zeros ones scalar_tensor eye linspace")
DROPS = words("dropout alpha_dropout feature_dropout feature_alpha_dropout native_dropout")
_NORMS = words("batch_norm native_batch_norm instance_norm")
_PLAIN = words("""
    relu relu6 sigmoid tanh elu selu celu gelu silu mish softplus leaky_relu prelu hardtanh hardsigmoid hardswish
    log_sigmoid softsign softshrink hardshrink tanhshrink threshold glu softmax _softmax log_softmax _log_softmax
    logsumexp add sub rsub mul div neg abs exp expm1 log log1p log2 log10 sqrt rsqrt square pow sin cos reciprocal sign
    erf floor ceil round trunc clamp clamp_min clamp_max minimum maximum lerp addcmul addcdiv remainder fmod atan asin
    acos sinh cosh
    eq ne lt le gt ge logical_and logical_or logical_not logical_xor isnan isinf isfinite nan_to_num where masked_fill
    bitwise_and bitwise_or bitwise_not
    sum mean prod amax amin max min any all argmax argmin var std var_mean cumsum norm linalg_vector_norm sort argsort
    topk
    cat concat stack hstack split split_with_sizes chunk unbind tensor_split select slice narrow index_select gather
    index embedding expand expand_as repeat repeat_interleave tile permute transpose t movedim flip roll tril triu
    constant_pad_nd pad outer one_hot
    layer_norm native_layer_norm group_norm native_group_norm rms_norm _native_batch_norm_legit_no_training
    zeros_like ones_like full_like new_zeros new_ones new_full
    """)
ALLOWED = PRODUCTS | VIEWS | CASTS | _FACTORIES | DROPS | _NORMS | _PLAIN
"""What is run: functions of numbers alone, without files, devices, randomness or memory of their own layout."""
_SPLITS = words("chunk split tensor_split unbind")
_TOLD = {"dtype": "dtype", "device": "device", "layout": "layout", "memory_format": "memory"}
_INTS: dict[str, Callable[..., int]] = {
    "_operator.add": lambda a, b: a + b, "_operator.sub": lambda a, b: a - b, "_operator.mul": lambda a, b: a * b,
    "_operator.floordiv": lambda a, b: a // b, "_operator.neg": lambda a: -a,
}  # fmt: skip
# Comparisons of sizes, and assertions about them, that nothing else reads.
_IDLE = re.compile(r"(_operator\.\w+|torch\.sym_\w+|torch\.ops\.aten\.(_assert|sym_)\w+\.\w+)\Z")
_INPLACE = re.compile(r"[a-z0-9]_\Z")


class Runner:
    """A program ready to run: `steps` are those that its input reaches, `constants` (tensors by name) all else.

    Raises CouldNotLook for operators that are not run here, and for shapes that do not fit or take too much.
    """

    def __init__(self, program: Program, where: str) -> None:
        torch = library("torch", "torch")
        torch.set_num_threads(1)  # sums in another order would make a score depend on the machine
        self._torch, self._program, self._where = torch, program, where
        self.constants: dict[str, Any] = self._weights()
        self.steps = self._needed()
        self._functions = [self._function(step) for step in self.steps]
        self._frees = self._last_uses()
        self.rows = self._fitting()
        if not any(_changes(step) for step in self.steps):
            self._fold()
        self._versions = {name: t._version for name, t in self.constants.items() if isinstance(t, torch.Tensor)}

    def run(self, x: FloatArray) -> Any:
        """What it gives for rows (n, width), n one of those that it takes: float64, (n,) or (n, k)."""
        torch = self._torch
        out = self._walk(torch.from_numpy(x), "cpu")
        if any(self.constants[name]._version != version for name, version in self._versions.items()):
            raise CouldNotLook(f"{self._where}: changes its own weights while it answers: export it after model.eval()")
        return out.detach().double().numpy()

    def shape(self, rows: int) -> tuple[int, ...]:
        """The shape of what it gives for so many rows."""
        return tuple(self._walk(self._blank(rows), "meta").shape)

    def _weights(self) -> dict[str, Any]:
        torch, program = self._torch, self._program
        flat: dict[tuple[str, int], Any] = {}
        out = {}
        for name, one in program.weights.items():
            kind = getattr(torch, _TYPES[one.kind])
            if (one.member, one.kind) not in flat:
                data = bytearray(program.members[one.member])
                size = len(data) - len(data) % kind.itemsize
                flat[one.member, one.kind] = (
                    torch.frombuffer(data[:size], dtype=kind) if size else torch.empty(0, dtype=kind)
                )
            out[name] = torch.as_strided(flat[one.member, one.kind], one.sizes, one.strides, one.offset)
        return out

    def _needed(self) -> list[Step]:
        """The steps that the output hangs on, and those that change what they are given."""
        wanted, kept = {self._program.output}, []
        for step in reversed(self._program.steps):
            if wanted.isdisjoint(step.outputs) and not _changes(step):
                if not _IDLE.match(step.target):
                    self._function(step)  # torch's own loader would run it, needed or not
                continue
            wanted.update(step.reads())
            kept.append(step)
        return kept[::-1]

    def _function(self, step: Step) -> Callable[..., Any]:
        """What runs a step. Raises CouldNotLook for what is not on the list."""
        if step.target in _INTS:
            return _INTS[step.target]
        if step.target == "torch.ops.aten.sym_size.int":
            return lambda self, dim: int(self.shape[dim])
        found = _TARGET.match(step.target)
        name = base_of(step)
        if found is None or name not in ALLOWED or "out" in found[2]:
            what = f"holds {visible(step.target.removeprefix('torch.ops.'), 60)}, which is not run here"
            raise CouldNotLook(f"{self._where}: its graph {what}; convert it to ONNX")
        if (
            (name in DROPS and step.inputs.get("train"))
            or step.inputs.get("training")
            or step.inputs.get("use_input_stats")
        ):
            raise CouldNotLook(f"{self._where}: was exported while training ({name}): export it after model.eval()")
        packet = getattr(self._torch.ops.aten, found[1], None)
        if packet is None or found[2] not in packet.overloads():
            raise CouldNotLook(f"{self._where}: names aten.{name}.{found[2]}, which this torch does not have")
        function: Any = getattr(packet, found[2])
        takes, gives = function._schema.arguments, function._schema.returns
        written = [a.name for a in takes if a.alias_info is not None and a.alias_info.is_write]
        # Overloads of plain numbers are not for tensors, and torch does not survive some of them (`remainder.int`).
        tensors = name in _FACTORIES or (takes and str(takes[0].type) in ("Tensor", "List[Tensor]"))
        tensors = tensors and all(str(g.type) in ("Tensor", "List[Tensor]") for g in gives)
        if not tensors or (written and (written != ["self"] or not _INPLACE.search(found[1]))):
            raise CouldNotLook(
                f"{self._where}: its graph calls aten.{name}.{found[2]} on no tensor; convert it to ONNX"
            )
        return function  # type: ignore[no-any-return]

    def _last_uses(self) -> list[list[str]]:
        """After each step, the names that nothing reads any more."""
        last: dict[str, int] = {}
        for at, step in enumerate(self.steps):
            last |= dict.fromkeys((*step.reads(), *step.outputs), at)
        last.pop(self._program.output, None)
        frees: list[list[str]] = [[] for _ in self.steps]
        for name, at in last.items():
            if name not in self.constants:
                frees[at].append(name)
        return frees

    def _fitting(self) -> int:
        """How many rows to run at once, so that no tensor inside grows too large. Shapes alone are computed for it."""
        program = self._program
        rows = program.batch or min(max(program.least, MAX_ROWS), program.most)
        while True:
            try:
                self._walk(self._blank(rows), "meta", bounded=True)
                return rows
            except _TooMuchError as why:
                if program.batch or rows <= program.least:
                    raise CouldNotLook(f"{self._where}: {why}; convert it to ONNX") from None
                rows = max(program.least, rows // 16)

    def _blank(self, rows: int) -> Any:
        torch, program = self._torch, self._program
        return torch.empty((rows, program.width or 1), dtype=getattr(torch, _TYPES[program.kind]), device="meta")

    def _fold(self) -> None:
        """Run once what the input does not reach."""
        reached, later = {self._program.entry}, []
        for step, function in zip(self.steps, self._functions, strict=True):
            if reached.isdisjoint(step.reads()):
                self._give(step, self._call(step, function, self.constants, "cpu"), self.constants)
            else:
                reached.update(step.outputs)
                later.append((step, function))
        self.steps, self._functions = [s for s, _ in later], [f for _, f in later]
        self._frees = self._last_uses()

    def _walk(self, x: Any, device: str, *, bounded: bool = False) -> Any:
        constants = self.constants
        if device == "meta":
            constants = {k: t.to("meta") if hasattr(t, "to") else t for k, t in constants.items()}
        held = {**constants, self._program.entry: x}
        work = made = 0
        with self._torch.no_grad():
            for step, function, free in zip(self.steps, self._functions, self._frees, strict=True):
                out = self._call(step, function, held, device)
                self._give(step, out, held)
                if bounded:
                    cells, cost = self._weighed(step, held)
                    made, work = made + cells, work + cost
                    if made > 8 * CELLS:
                        raise _TooMuchError(f"makes more than {8 * CELLS:,} numbers for one batch")
                    if work > WORK:
                        raise _TooMuchError(f"takes more than {WORK:.0e} multiplications for one batch")
                for name in free:
                    held.pop(name, None)
        out = held[self._program.output]
        if not isinstance(out, self._torch.Tensor):
            raise CouldNotLook(f"{self._where}: gives a number of its shapes, no score")
        return out

    def _weighed(self, step: Step, held: dict[str, Any]) -> tuple[int, int]:
        """(numbers that a step makes, about how many multiplications it takes). Raises _TooMuchError."""
        cells = 0
        for name in step.outputs:
            value = held.get(name)
            if isinstance(value, self._torch.Tensor):
                cells += value.numel()
                if max(value.numel(), *value.shape, 0) > CELLS or min(value.shape, default=0) < 0:
                    raise _TooMuchError(f"{base_of(step)} makes a tensor of more than {CELLS:,} numbers")
        read = [held[n] for n in step.reads() if getattr(held.get(n), "ndim", 0)]
        inner = max((t.shape[-1] for t in read), default=1)
        return cells, cells * inner if base_of(step) in PRODUCTS else cells + sum(t.numel() for t in read)

    def _call(self, step: Step, function: Callable[..., Any], held: dict[str, Any], device: str) -> Any:
        try:
            for name, value in step.inputs.items():
                # Torch takes any number for a type, and does not survive all of them.
                if (value.kind if isinstance(value, Told) else None) != _TOLD.get(name) and value is not None:
                    raise ValueError("an argument of another kind")
            told = {name: self._argument(value, step, held, device) for name, value in step.inputs.items()}
            if base_of(step) in _FACTORIES:
                told["device"] = device
            if step.target in _INTS:
                out = function(*told.values())
                if abs(out) > _MOST_INT:
                    raise ValueError("size")
                return out
            if (
                base_of(step) in _SPLITS
                and max(*told["self"].shape, *(told.get(n) or 0 for n in ("chunks", "sections"))) > PARTS
            ):
                raise ValueError("parts")
            return function(**told)
        except CouldNotLook:
            raise
        except Exception as error:  # torch raises RuntimeError, IndexError, NotImplementedError, and types of its own
            what = f"failed to predict: {type(error).__name__} in {visible(base_of(step), 40)}"
            raise CouldNotLook(f"{self._where}: {what}") from None

    def _argument(self, value: Any, step: Step, held: dict[str, Any], device: str) -> Any:
        if isinstance(value, Named):
            return held[value.name]
        if isinstance(value, list):
            if len(value) > _MOST_LIST:
                raise ValueError("list")
            return [self._argument(one, step, held, device) for one in value]
        if isinstance(value, int) and abs(value) > _MOST_INT:
            return self._clipped(value, step)
        if not isinstance(value, Told):
            return value
        torch = self._torch
        if value.kind == "dtype":
            return getattr(torch, _TYPES[value.code])
        if value.kind == "memory":
            return getattr(torch, _MEMORY[value.code])
        return torch.device(device) if value.kind == "device" else torch.strided

    @staticmethod
    def _clipped(value: int, step: Step) -> int:
        """The end of a slice, which torch writes as the largest number; no other number is so large."""
        if base_of(step) != "slice":
            raise ValueError("size")
        return _MOST_INT if value > 0 else -_MOST_INT

    def _give(self, step: Step, out: Any, held: dict[str, Any]) -> None:
        several = list(out) if isinstance(out, tuple | list) else [out]
        if len(several) < len(step.outputs):
            raise CouldNotLook(
                f"{self._where}: its graph is torn: {visible(base_of(step), 40)} gives less than it says"
            )
        held.update(zip(step.outputs, several, strict=False))


class _TooMuchError(Exception):
    """A batch is too large, or the program is."""


def base_of(step: Step) -> str:
    """The operator's name without its overload and without the mark of what changes its input."""
    found = _TARGET.match(step.target)
    if found is None:
        return step.target
    return found[1][:-1] if _INPLACE.search(found[1]) else found[1]


def _changes(step: Step) -> bool:
    """Whether an operator changes what it is given (`relu_`)."""
    found = _TARGET.match(step.target)
    return bool(found and _INPLACE.search(found[1]) and found[1] != "detach_")
