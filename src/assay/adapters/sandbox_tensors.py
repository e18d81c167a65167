"""Tensors of a file by name, in the sandbox's child: which there are, what else there is, and their bytes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

from assay.adapters.sandbox_standins import Beside, NumpyArray, Thing
from assay.adapters.sandbox_strides import Dtype, Refused, Storage, StorageType, Tensor
from assay.adapters.sandbox_unpickle import READERS

_MOST_DEPTH = 64
_MOST_VISITS = 2_000_000
_MOST_LEFT_OUT = 10_000
_MOST_NAME = 4_096
_MOST_TEXT = 100_000
_NOT_PLAIN = object()
ROOT = "tensor"  # what a lone tensor is called


class Contents:
    """The tensors of one file by name, in the order of the file; `values` are what JSON can hold beside them.

    `left_out` pairs a name with why it is not among them.
    """

    def __init__(self, root: Any) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.values: dict[str, Any] = {}
        self.left_out: list[tuple[str, str]] = []
        self.modules = 0
        self._visits = self._more = 0
        self._others: list[tuple[str, Any]] = []  # attributes of modules, which are looked at last
        value = self._walk(root, "", 0)
        if value is not _NOT_PLAIN and value not in ({}, []):
            self._keep("", value)
        kept = {tensor.place for tensor in self.tensors.values()}
        for name, item in self._others:
            if _holds_more(item, kept):
                self._leave(name, "is no parameter or buffer of its module, but holds tensors")

    def facts(self) -> dict[str, Any]:
        """What the parent is told before any bytes."""
        groups: dict[Any, list[str]] = {}
        for name, tensor in self.tensors.items():
            groups.setdefault(tensor.place, []).append(name)
        return {
            "tensors": [[name, t.type, list(t.shape)] for name, t in self.tensors.items()],
            "values": self.values,
            "left_out": [*self.left_out, *([("", f"and {self._more} more")] if self._more else [])],
            "shared": [names for names in groups.values() if len(names) > 1 and self.tensors[names[0]].count],
            "modules": self.modules,
        }

    def stream(self, name: str) -> Iterator[bytes]:
        """A tensor's bytes, and their SHA-256 in hexadecimal at last."""
        digest = hashlib.sha256()
        for chunk in self.tensors[name].chunks():
            digest.update(chunk)
            yield chunk
        yield digest.hexdigest().encode()

    def _walk(self, value: Any, name: str, depth: int) -> Any:
        """The value as plain JSON where all of it is that, else _NOT_PLAIN: then it was taken apart."""
        self._visits += 1
        if depth > _MOST_DEPTH or self._visits > _MOST_VISITS:
            what = f"is nested more than {_MOST_DEPTH} deep, or in a circle: it cannot be laid out by name"
            raise Refused(what, "save its tensors in one flat dict")
        if isinstance(value, Beside):
            self._leave(name, value.why)
            return self._walk(value.value, name, depth + 1)
        if beside := getattr(value, "beside", ""):
            self._leave(name, beside)
        if isinstance(value, NumpyArray):
            value = value.tensor if value.tensor is not None else value
        if isinstance(value, Tensor):
            return self._tensor(value, name)
        plain = _plain(value)
        if plain is not _NOT_PLAIN:
            return plain
        if isinstance(value, dict):
            return self._children(list(value.items()), name, depth, {})
        if isinstance(value, list | tuple):
            return self._children(list(enumerate(value)), name, depth, [])
        if isinstance(value, Thing) and (found := _state_dict(value)) is not None:
            self.modules += 1
            self._others += [(f"{name}.{key}" if name else key, item) for key, item in _attributes(value)]
            self._children(found, name, depth, {})
            return _NOT_PLAIN
        return self._leave(name, _what(value))

    def _children(self, items: list[tuple[Any, Any]], name: str, depth: int, empty: Any) -> Any:
        made: list[tuple[str, Any]] = []
        seen: set[str] = set()
        for key, child in items:
            if why := _no_name(key, name):
                self._leave(name, why)
                made.append(("", _NOT_PLAIN))
                continue
            inner = f"{name}.{key}" if name else str(key)
            if str(key) in seen:
                raise _clash("two things", inner)
            seen.add(str(key))
            made.append((str(key), self._walk(child, inner, depth + 1)))
        if all(value is not _NOT_PLAIN for _, value in made):
            return [value for _, value in made] if isinstance(empty, list) else dict(made)
        for key, value in made:
            if value is not _NOT_PLAIN:
                self._keep(f"{name}.{key}" if name else key, value)
        return _NOT_PLAIN

    def _tensor(self, tensor: Tensor, name: str) -> Any:
        name = name or ROOT
        if tensor.why_not:
            return self._leave(name, tensor.why_not)
        if name in self.tensors or name == "__metadata__":
            raise _clash("two tensors" if name in self.tensors else "a tensor", name)
        self.tensors[name] = tensor
        return _NOT_PLAIN

    def _keep(self, name: str, value: Any) -> None:
        if name in self.values:
            raise _clash("two values", name)
        self.values[name] = value

    def _leave(self, name: str, why: str) -> Any:
        if len(self.left_out) < _MOST_LEFT_OUT:
            self.left_out.append((name[:_MOST_NAME], why[:300].encode("utf-8", "backslashreplace").decode()))
        else:
            self._more += 1
        return _NOT_PLAIN


def read(number: int, kind: str) -> Contents:
    """Lay out the tensors of an open file. `kind` is one of READERS."""
    return Contents(READERS[kind](number))


def _clash(what: str, name: str) -> Refused:
    return Refused(f"holds what safetensors cannot: {what} would be called {name[:100]}", "rename one")


def _no_name(key: Any, name: str) -> str:
    """Why a key cannot be part of a name; "" where it can."""
    if type(key) not in (str, int):
        return f"a key that is a {type(key).__name__}"
    if key.bit_length() > 64 if type(key) is int else len(name) + len(key) >= _MOST_NAME:
        return "a key that is too long"
    return "" if type(key) is int or _is_text(key) else f"a key that is no text: {ascii(key)[:100]}"


def _is_text(value: str) -> bool:
    """Whether a str is Unicode text: without the halves of a surrogate pair, which no UTF-8 holds."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(value: Any) -> Any:
    """A number, text or None as JSON has it; a float that is not finite as {"float": "nan"}."""
    if value is None or type(value) in (bool, int):
        return value if type(value) is not int or value.bit_length() <= 64 else _NOT_PLAIN
    if type(value) is str:
        return value if len(value) <= _MOST_TEXT and _is_text(value) else _NOT_PLAIN
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    return f"torch.{value.name}" if type(value) is Dtype else _NOT_PLAIN


def _state_dict(value: Thing) -> list[tuple[str, Any]] | None:
    """What `state_dict()` of a torch module gives: parameters, persistent buffers, and those of its children."""
    state = value.state
    if (
        not value.whole
        or not isinstance(state, dict)
        or not all(isinstance(state.get(k), dict) for k in ("_parameters", "_modules"))
    ):
        return None
    passing = state.get("_non_persistent_buffers_set")
    passing = passing if isinstance(passing, set) else set()
    buffers = state.get("_buffers") if isinstance(state.get("_buffers"), dict) else {}
    held = [*state["_parameters"].items(), *((k, v) for k, v in (buffers or {}).items() if k not in passing)]
    return [(k, v) for k, v in (*held, *state["_modules"].items()) if v is not None]


def _attributes(module: Thing) -> list[tuple[str, Any]]:
    """A module's attributes other than its parameters, buffers and children."""
    return [(str(k), v) for k, v in module.state.items() if k not in ("_parameters", "_buffers", "_modules")]


def _holds_more(value: Any, kept: set[tuple[Any, ...]]) -> bool:
    """Whether tensors lie anywhere in a value, other than those `kept` (an LSTM lists its own parameters once more)."""
    pending, seen = [value], set()
    while pending:
        item = pending.pop()
        item = item.value if isinstance(item, Beside) else item
        item = item.tensor if isinstance(item, NumpyArray) else item
        if isinstance(item, Tensor) and item.place not in kept:
            return True
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            pending += [*item, *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            pending += item
        elif isinstance(item, Thing):
            pending.append(item.state)
    return False


def _what(value: Any) -> str:
    if isinstance(value, Thing):
        return f"is a {value.what}"
    if isinstance(value, Storage | StorageType):
        return "is a bare storage"
    if isinstance(value, type):
        return f"is the class {getattr(value, 'what', value.__name__)}"
    if isinstance(value, NumpyArray):
        return "is an array without content"
    if isinstance(value, str):
        return "is a text too long to keep, or no Unicode"
    return f"is a {type(value).__name__}"
