"""How many raw bytes follow a joblib array wrapper inside a pickle, from the dtype and shape in its state."""

from __future__ import annotations

from typing import Any

import msgspec

from assay.formats.pickle.values import HEAD_KEYS, Made

ARRAY_WRAPPERS = frozenset(
    {("joblib.numpy_pickle", "NumpyArrayWrapper"), ("sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper")}
)
DTYPES = frozenset({("numpy", "dtype"), ("numpy.core.multiarray", "dtype"), ("numpy._core.multiarray", "dtype")})

_FIXED = {
    "b": 1,
    "?": 1,
    "B": 1,
    "h": 2,
    "H": 2,
    "e": 2,
    "f": 4,
    "d": 8,
    "i": 4,
    "I": 4,
    "q": 8,
    "Q": 8,
    "F": 8,
    "D": 16,
}
_STATE_FIELDS, _STATE_SIZE = 4, 5


class Layout(msgspec.Struct, frozen=True):
    """Raw data after a wrapper: `size` bytes (after padding where `aligned`), or a pickle where `has_objects`."""

    size: int
    aligned: bool
    has_objects: bool


def array_layout(state: Any) -> Layout | None:
    """The layout that joblib's `NumpyArrayWrapper.read` would follow; None where the state does not say.

    Source: joblib/numpy_pickle.py, `read_array`.
    """
    if type(state) is not dict:
        return None
    kind, shape = state.get("dtype"), state.get("shape")
    if type(kind) is not Made or type(shape) is not tuple:
        return None
    count = 1
    for extent in shape:
        if type(extent) is not int or extent < 0:
            return None
        count *= extent
    size = item_size(kind)
    objects = has_objects(kind, 8)
    if size is None or objects is None:
        return None
    return Layout(count * size, type(state.get("numpy_array_alignment_bytes")) is int, objects)


def _code(kind: Made) -> str:
    args = kind.args
    return args[0].lstrip("<>|=") if type(args) is tuple and args and type(args[0]) is str else ""


def _state(kind: Made) -> tuple[Any, ...]:
    return kind.state if type(kind.state) is tuple else ()


def item_size(kind: Made) -> int | None:
    """Bytes of one element. Text, bytes and records take the size that their state gives, as numpy does."""
    code, state = _code(kind), _state(kind)
    if code in _FIXED:
        return _FIXED[code]
    if not code[1:].isdigit():
        return 8 if code == "O" else None
    if code[0] in "USV" and len(state) > _STATE_SIZE and type(state[_STATE_SIZE]) is int and state[_STATE_SIZE] >= 0:
        return int(state[_STATE_SIZE])
    size = int(code[1:])
    return size * 4 if code[0] == "U" else size


def has_objects(kind: Any, depth: int) -> bool | None:
    """Whether elements hold Python objects (then a pickle follows); None where that cannot be told."""
    if type(kind) is not Made or depth == 0:
        return None
    if _code(kind).startswith("O"):
        return True
    state = _state(kind)
    if len(state) <= _STATE_FIELDS:
        return False
    inner: list[Any] = []
    if type(state[2]) is tuple and state[2]:
        inner.append(state[2][0])
    fields = state[_STATE_FIELDS]
    if fields is not None:
        if type(fields) is not dict or len(fields) >= HEAD_KEYS:
            return None
        inner += [field[0] if type(field) is tuple and field else None for field in fields.values()]
    found = [has_objects(part, depth - 1) for part in inner]
    if None in found:
        return None
    return True in found
