"""Tensors as the sandbox's child sees them: bytes in a file, an element type, a shape, strides; read piece by piece.

Runs inside the child, on the standard library alone.
"""

from __future__ import annotations

import itertools
import math
import os
from array import array
from collections.abc import Iterator
from typing import Any

CHUNK = 8 << 20
_MOST_SPAN = 0x7FFFF000  # what one read gives, a little less than 2 GB
# torch's name of an element's type: (safetensors' name, "" where it has none; bytes; bytes swapped together).
TYPES: dict[str, tuple[str, int, int]] = {
    "float64": ("F64", 8, 8), "float32": ("F32", 4, 4), "float16": ("F16", 2, 2), "bfloat16": ("BF16", 2, 2),
    "int64": ("I64", 8, 8), "int32": ("I32", 4, 4), "int16": ("I16", 2, 2), "int8": ("I8", 1, 1),
    "uint64": ("U64", 8, 8), "uint32": ("U32", 4, 4), "uint16": ("U16", 2, 2), "uint8": ("U8", 1, 1),
    "bool": ("BOOL", 1, 1), "complex64": ("C64", 8, 4), "float8_e4m3fn": ("F8_E4M3", 1, 1),
    "float8_e5m2": ("F8_E5M2", 1, 1), "float8_e8m0fnu": ("F8_E8M0", 1, 1), "float8_e4m3fnuz": ("F8_E4M3FNUZ", 1, 1),
    "float8_e5m2fnuz": ("F8_E5M2FNUZ", 1, 1),
    "complex128": ("", 16, 8), "complex32": ("", 4, 2), "qint8": ("", 1, 1), "quint8": ("", 1, 1),
    "qint32": ("", 4, 4), "quint4x2": ("", 1, 1), "quint2x4": ("", 1, 1), "float4_e2m1fn_x2": ("", 1, 1),
    "bits8": ("", 1, 1), "bits16": ("", 2, 2),
}  # fmt: skip
_SWAPPED = {2: "H", 4: "I", 8: "Q"}
_VIEWED: dict[int, Any] = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Refused(ValueError):  # noqa: N818 - it is an answer
    """What the file holds can be read, but not kept. The parent is told so in these words, with what would help."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.fix = fix


class Bytes:
    """Bytes at hand, or a range of the open file that nothing is read of before it is asked for."""

    def __init__(self, size: int, *, held: bytes | bytearray | None = None, file: int = -1, start: int = 0) -> None:
        self.size, self._held, self._file, self._start = size, held, file, start

    def piece(self, at: int, size: int) -> bytes:
        """`size` bytes from `at`. Raises ValueError where there are fewer."""
        if at < 0 or size < 0 or at + size > self.size:
            raise ValueError("a tensor reaches beyond its storage")
        if self._held is not None:
            return bytes(memoryview(self._held)[at : at + size])
        parts = bytearray()
        while len(parts) < size:
            block = os.pread(self._file, size - len(parts), self._start + at + len(parts))
            if not block:
                raise ValueError("the file is shorter than its tensors")
            if len(block) == size:
                return block
            parts += block
        return bytes(parts)

    def part(self, at: int, size: int) -> Bytes:
        """A range of it as bytes of their own. Raises ValueError beyond its end."""
        if at < 0 or size < 0 or at + size > self.size:
            raise ValueError("a view reaches beyond its storage")
        if self._held is not None:
            return Bytes(size, held=self.piece(at, size))
        return Bytes(size, file=self._file, start=self._start + at)

    def whole(self) -> bytes:
        """All of it."""
        return self.piece(0, self.size)


class Dtype:
    """The type of an element: torch's, or what a numpy.dtype is called there. `known` False where it is neither."""

    def __init__(self, name: str, *, swapped: bool = False) -> None:
        self.name, self.swapped = name, swapped

    @property
    def known(self) -> bool:
        """Whether its elements' size is known."""
        return self.name in TYPES


class StorageType:
    """torch.FloatStorage and its like: which element type a storage has; None for untyped bytes."""

    def __init__(self, dtype: str | None) -> None:
        self.dtype = dtype


class Storage:
    """A torch storage: bytes, their element type (None where the tensor says it) and whether they are big-endian."""

    def __init__(self, content: Bytes, dtype: str | None, swapped: bool) -> None:
        self.content, self.dtype, self.swapped = content, dtype, swapped


class Tensor:
    """Elements of `dtype` in some bytes: `offset` and `strides` in elements. `why_not` says why it is not written."""

    def __init__(
        self, content: Bytes, dtype: Dtype, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0
    ) -> None:
        self.content, self.shape, self.strides, self.offset = content, shape, strides, offset
        self.type, self.bytes, self.unit = TYPES.get(dtype.name, ("", 0, 1))
        self.swapped = dtype.swapped and self.unit > 1
        self.why_not = "" if self.type else f"safetensors has no type for {dtype.name} elements"
        if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in (*shape, *strides, offset)):
            raise ValueError("a tensor with a shape or strides that no tensor has")
        if self.type and self.count:
            last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
            if (last + 1) * self.bytes > content.size:
                raise ValueError("a tensor reaches beyond its storage")

    @property
    def count(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def place(self) -> tuple[Any, ...]:
        """Equal for two tensors that are the same elements of the same storage."""
        return id(self.content), self.offset, self.shape, self.strides, self.type

    def chunks(self) -> Iterator[bytes]:
        """Its elements in C order, little-endian, CHUNK bytes or so at a time."""
        for chunk in self._ordered():
            if self.swapped:
                turned = array(_SWAPPED[self.unit], chunk)
                turned.byteswap()
                yield turned.tobytes()
            else:
                yield chunk

    def _ordered(self) -> Iterator[bytes]:
        shape, strides = _merged(self.shape, self.strides)
        if not self.count:
            return
        if not shape or (len(shape) == 1 and strides[0] == 1):
            start, total = self.offset * self.bytes, self.count * self.bytes
            for at in range(0, total, CHUNK):
                yield self.content.piece(start + at, min(CHUNK, total - at))
            return
        span = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if span * self.bytes > _MOST_SPAN:
            raise ValueError("a strided tensor over more than 2 GB")
        view = memoryview(self.content.piece(self.offset * self.bytes, span * self.bytes)).cast(_VIEWED[self.bytes])
        yield from _gathered(view, shape, strides)


def _merged(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The same elements in the same order in as few dimensions as they take."""
    out: list[tuple[int, int]] = []
    for extent, stride in zip(shape, strides, strict=True):
        if extent == 1:
            continue
        if out and out[-1][1] == stride * extent:
            out[-1] = (out[-1][0] * extent, stride)
        else:
            out.append((extent, stride))
    return [extent for extent, _ in out], [stride for _, stride in out]


def _gathered(view: memoryview, shape: list[int], strides: list[int]) -> Iterator[bytes]:
    inner, step = shape[-1], strides[-1]
    length = max(1, CHUNK // view.itemsize)
    buffer = bytearray()
    for place in itertools.product(*(range(extent) for extent in shape[:-1])):
        at = sum(i * s for i, s in zip(place, strides[:-1], strict=True))
        for first in range(0, inner, length):
            count = min(length, inner - first)
            if step:
                start = at + first * step
                buffer += view[start : start + (count - 1) * step + 1 : step].tobytes()
            else:
                buffer += view[at : at + 1].tobytes() * count
            if len(buffer) >= CHUNK:
                yield bytes(buffer)
                buffer.clear()
    if buffer:
        yield bytes(buffer)


def dense_strides(shape: tuple[int, ...], *, fortran: bool = False) -> tuple[int, ...]:
    """Strides in elements of an array without gaps."""
    order = shape if fortran else shape[::-1]
    strides = [1]
    for extent in order[:-1]:
        strides.append(strides[-1] * max(1, extent))
    strides = strides[: len(shape)]
    return tuple(strides if fortran else strides[::-1])
