"""What the sandbox's own unpickler makes instead of torch's and numpy's objects: tensors that know where they lie.

Runs inside the child, on the standard library alone: neither torch nor numpy is imported, and no name in a file is.
Whatever a stand-in does not take in whole it refuses, or tells as a `Beside`: nothing is dropped without a word.
"""

from __future__ import annotations

from typing import Any

from assay.adapters.sandbox_strides import TYPES, Bytes, Dtype, Refused, Storage, StorageType, Tensor, dense_strides

_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "QInt8Storage": "qint8", "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32", "QUInt4x2Storage": "quint4x2", "QUInt2x4Storage": "quint2x4",
}  # fmt: skip
# numpy's kind and bytes of an element.
_NUMPY = {
    **{f"f{n}": f"float{8 * n}" for n in (2, 4, 8)},
    **{f"i{n}": f"int{8 * n}" for n in (1, 2, 4, 8)},
    **{f"u{n}": f"uint{8 * n}" for n in (1, 2, 4, 8)},
    "b1": "bool",
    "?": "bool",
    "c8": "complex64",
    "c16": "complex128",
}


class NumpyDtype(Dtype):
    """numpy.dtype as a pickle makes it: `dtype('f4', False, True)`, then its state with the byte order."""

    def __init__(self, spec: Any = "", *_: Any) -> None:
        text = spec if isinstance(spec, str) else "record"
        super().__init__(_NUMPY.get(text.lstrip("<>=|"), f"numpy {text[:20]}"), swapped=text.startswith(">"))

    def __setstate__(self, state: Any) -> None:
        if type(state) is not tuple or len(state) < 8 or state[1] not in ("<", ">", "|", "=", b"<", b">", b"|", b"="):
            raise Refused("holds a numpy type whose state is no type's")
        _, order, parts, names, fields, *_, metadata = (*state[:8], state[8] if len(state) > 8 else None)
        self.swapped = order in (">", b">")
        if any(item is not None for item in (parts, names, fields)):
            self.name = "numpy record"
        elif metadata or len(state) > 9:
            self.name += " with metadata"


class NumpyArray:
    """numpy.ndarray as `_reconstruct` and its state make it; `tensor` once both are there."""

    tensor: Tensor | None = None

    def __init__(self, *_: Any) -> None:
        """Take no argument for an array: only its state is one."""

    def __setstate__(self, state: Any) -> None:
        if type(state) is not tuple or len(state) not in (4, 5):
            raise Refused("holds an array whose state is no array's")
        shape, dtype, fortran, data = state[-4:]
        self.tensor = numpy_tensor(data, dtype, shape, bool(fortran))


def _reconstruct(kind: Any, *_: Any) -> Any:
    """numpy's function of that name; an array of another class (a matrix) is none of ours, and told as such."""
    if kind is NumpyArray:
        return NumpyArray()
    if isinstance(kind, type) and issubclass(kind, Thing):
        return kind()
    raise Refused("holds an array of a class that is none")


def numpy_tensor(data: Any, dtype: Any, shape: Any, fortran: bool) -> Tensor:
    """An array of raw bytes (a str holds them in Latin-1: Python 2). Elements that are Python objects are told."""
    shape = (shape,) if isinstance(shape, int) else shape
    if not isinstance(dtype, Dtype) or type(shape) not in (tuple, list):
        raise ValueError("an array without a type or shape")
    shape = tuple(shape)
    data = data.encode("latin-1") if isinstance(data, str) else data
    content = data if isinstance(data, Bytes) else Bytes(0)
    if isinstance(data, bytes | bytearray):
        content = Bytes(len(data), held=data)
    elif not isinstance(data, Bytes):
        dtype = Dtype("Python object")
    tensor = Tensor(content, dtype, shape, dense_strides(shape, fortran=fortran))
    if dtype.known and tensor.count * TYPES[dtype.name][1] != content.size:
        raise Refused("holds an array with more or fewer bytes than its shape takes")
    return tensor


_WRAPPED = frozenset({"subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"})


class JoblibArray:
    """joblib's NumpyArrayWrapper: what is known of an array whose bytes follow in the file."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        if arguments or more:
            raise Refused("holds an array of joblib's that is made with arguments")
        self.subclass: Any = None
        self.shape: Any = ()
        self.order = "C"
        self.dtype: Any = None
        self.numpy_array_alignment_bytes: Any = None

    def __setstate__(self, state: Any) -> None:
        if type(state) is not dict or not state.keys() <= _WRAPPED or state.get("order", "C") not in ("C", "F"):
            raise Refused("holds an array of joblib's whose state is no such array's")
        for name, value in state.items():
            setattr(self, name, value)


class Beside:
    """A value, and `why` something that its class holds beside it is not kept."""

    __slots__ = ("value", "why")

    def __init__(self, value: Any, why: str) -> None:
        self.value, self.why = value, why


class Mapping(dict[Any, Any]):
    """dict, OrderedDict and their like, made of what those take: nothing, a dict, or a list of pairs.

    `beside` names what else was set on it; only torch's `_metadata` of a state_dict, versions of its modules, goes.
    """

    beside = ""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        if len(arguments) > 1 or not all(_is_pairs(argument) for argument in arguments):
            raise Refused("holds a dict made of something else than pairs")
        super().__init__(*arguments, **more)

    def __setstate__(self, state: Any) -> None:
        for part in state if type(state) is tuple else (state,):
            if part and not (isinstance(part, dict) and part.keys() == {"_metadata"} and _only_versions(part)):
                names = ", ".join(map(str, part)) if isinstance(part, dict) else type(part).__name__
                self.beside = f"attributes set on it: {names[:200]}"


def _is_pairs(argument: Any) -> bool:
    if isinstance(argument, dict):
        return not getattr(argument, "beside", "")
    return isinstance(argument, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in argument
    )


def _only_versions(value: Any, depth: int = 0) -> bool:
    """Whether it is made of numbers and texts alone."""
    if isinstance(value, dict) and depth < 4:
        plain = not getattr(value, "beside", "")
        return plain and all(_only_versions(item, depth + 1) for pair in value.items() for item in pair)
    return value is None or type(value) in (bool, int, float, str)


def _default_dict(factory: Any = None, *arguments: Any, **more: Any) -> Mapping:
    """collections.defaultdict; what makes missing values is a class, which no format of tensors keeps."""
    if factory is not None and not isinstance(factory, type):
        raise Refused("holds a defaultdict whose factory is no class")
    return Mapping(*arguments, **more)


class Thing:
    """An object of any other class, never imported: its state, so that tensors in a module can be found.

    `whole` False where it was given more than one state: arguments, items, or a second one.
    """

    what = "object"

    def __new__(cls, *arguments: Any, **more: Any) -> Thing:
        """Whatever its class would take."""
        made = super().__new__(cls)
        made.state, made.whole = None, not (arguments or more)
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: Any
        self.whole: bool

    def __setstate__(self, state: Any) -> None:
        self.whole = self.whole and self.state is None
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.whole = False

    def append(self, value: Any) -> None:
        """An item of a list's subclass: not kept."""
        self.whole = False

    def add(self, value: Any) -> None:
        """An item of a set's subclass: not kept."""
        self.whole = False


def thing(module: str, name: str) -> type[Thing]:
    """A stand-in for one class."""
    return type("Thing", (Thing,), {"what": f"{module}.{name}"})


def rebuilt(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Any:
    """torch._utils._rebuild_tensor and _v2: then come requires_grad, hooks (none), and perhaps metadata."""
    if len(rest) > 3:
        raise Refused("holds a tensor made with more than torch's functions take")
    dtype = Dtype(storage.dtype or "untyped") if isinstance(storage, Storage) else None
    return _rebuilt(storage, offset, shape, strides, dtype, rest[1:2], rest[2:])


def rebuilt_v3(
    storage: Any, offset: Any, shape: Any, strides: Any, _grad: Any, hooks: Any, dtype: Any, *metadata: Any
) -> Any:
    """torch._utils._rebuild_tensor_v3, which says the type itself."""
    if type(dtype) is not Dtype or len(metadata) > 1:
        raise Refused("holds a tensor made with something else than torch's functions take")
    return _rebuilt(storage, offset, shape, strides, dtype, (hooks,), metadata)


def _rebuilt(storage: Any, offset: Any, shape: Any, strides: Any, dtype: Any, hooks: Any, metadata: Any) -> Any:
    if not isinstance(storage, Storage) or type(shape) not in (tuple, list) or type(strides) not in (tuple, list):
        raise ValueError("a tensor without a storage, shape or strides")
    tensor = Tensor(storage.content, Dtype(dtype.name, swapped=storage.swapped), tuple(shape), tuple(strides), offset)
    marks = metadata[0] if metadata else None
    if marks is not None and not isinstance(marks, dict):
        raise Refused("holds a tensor whose metadata is none")
    if marks and any(mark is not False for mark in marks.values()):
        tensor.why_not = "it is a conjugate or negative view"
    return _noted(tensor, "hooks", *hooks)


def _noted(value: Any, what: str, *states: Any) -> Any:
    """The value; where any state is not empty, with the word that it is not kept."""
    for state in states:
        parts = state if type(state) is tuple else (state,)
        if any(part is not None and part is not False and (not isinstance(part, dict) or part) for part in parts):
            names = ", ".join(str(name) for part in parts if isinstance(part, dict) for name in part)
            return Beside(value, f"{what} set on it: {names[:200]}")
    return value


def parameter(value: Any, _grad: Any = False, hooks: Any = None, state: Any = None) -> Any:
    """torch._utils._rebuild_parameter and _with_state: a parameter is its tensor."""
    return _noted(_noted(value, "hooks", hooks), "attributes", state)


def _typed(function: Any, _type: Any, arguments: Any, state: Any = None) -> Any:
    """torch._tensor._rebuild_from_type_v2: a subclass of tensor is its tensor."""
    return _noted(function(*arguments), "attributes", state)


def _device(kind: Any, *number: Any) -> str:
    """torch.device, as it is written."""
    if type(kind) is not str or len(number) > 1 or not all(type(item) is int for item in number):
        raise Refused("holds a torch.device that is none")
    return ":".join(map(str, (kind, *number)))


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    """_codecs.encode, as protocol 2 writes bytes."""
    if encoding not in ("latin1", "latin-1", "utf-8"):
        raise ValueError("bytes in an encoding that no pickler uses")
    return text.encode(encoding)


def _scalar(dtype: Any, data: Any = b"") -> Tensor:
    return numpy_tensor(data, dtype, (), False)


def _from_buffer(data: Any, dtype: Any, shape: Any, order: str, axes: Any = None) -> NumpyArray:
    """numpy's _frombuffer; since numpy 2.3 the order K comes with the axes that turn it back."""
    if order not in ("C", "F") and not (order == "K" and sorted(axes or ()) == list(range(len(shape)))):
        raise Refused("holds an array of an order that no pickler writes")
    made = NumpyArray()
    made.tensor = tensor = numpy_tensor(data, dtype, shape, order == "F")
    if order == "K":
        tensor.shape = tuple(tensor.shape[axis] for axis in axes)
        tensor.strides = tuple(tensor.strides[axis] for axis in axes)
    return made


_CORES = ("numpy.core", "numpy._core")
_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): NumpyDtype,
    ("numpy", "ndarray"): NumpyArray,
    ("numpy", "memmap"): NumpyArray,
    **{(f"{core}.multiarray", "_reconstruct"): _reconstruct for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _CORES},
    **{("torch", name): StorageType(dtype) for name, dtype in _STORAGES.items()},
    **{("torch.storage", name): StorageType(None) for name in ("UntypedStorage", "_UntypedStorage")},
    ("torch", "UntypedStorage"): StorageType(None),
    **{("torch", name): Dtype(name) for name in TYPES},
    **{("torch._utils", f"_rebuild_tensor{version}"): rebuilt for version in ("", "_v2")},
    ("torch._utils", "_rebuild_tensor_v3"): rebuilt_v3,
    ("torch._utils", "_rebuild_parameter"): parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _typed,
    ("torch._tensor", "_rebuild_from_type"): _typed,
    ("torch", "Size"): list,
    ("torch", "device"): _device,
    ("collections", "OrderedDict"): Mapping,
    ("collections", "defaultdict"): _default_dict,
    ("builtins", "dict"): Mapping,
    ("builtins", "list"): list,
    ("builtins", "tuple"): tuple,
    ("builtins", "set"): set,
    ("builtins", "bytes"): bytes,
    ("builtins", "bytearray"): bytearray,
    ("_codecs", "encode"): _encode,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): JoblibArray,
}


def stand_in(module: str, name: str) -> Any:
    """What a global name becomes; a `Thing` for any that is not known."""
    module = {"__builtin__": "builtins"}.get(module, module)
    found = _NAMES.get((module, name))
    return found if found is not None else thing(module, name)
