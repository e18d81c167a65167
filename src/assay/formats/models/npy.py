"""The arrays of an npy file, one behind the other: where each one's data lie, and whether they are a pickle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any

import msgspec

MAX_HEADER = 1 << 20
MAX_ARRAYS = 100_000
MAGIC = b"\x93NUMPY"
_HEAD = 12
_MOST_DEPTH = 16
# A type's letter and bytes, as numpy writes it; times and dates say their unit too.
_TYPE = re.compile(r"[<>|=!]?([biufcSaUVMm])(\d{1,18})(?:\[\w+(?:/\d+)?\])?")
_NAMED = {"?": 1, "bool": 1, "bool_": 1, "complex64": 8, "complex128": 16} | {
    f"{kind}{bits}": bits // 8
    for kind in ("int", "uint", "float")
    for bits in (8, 16, 32, 64)
    if kind != "float" or bits > 8
}


class NpyHeader(msgspec.Struct, frozen=True):
    """`data_at` is where the header ends, from the file's start; `has_objects` if numpy would unpickle what follows;
    `size` of raw data in bytes, None where its type's size is not known.
    """

    data_at: int
    has_objects: bool
    size: int | None


def walk(file: IO[bytes]) -> Iterator[NpyHeader]:
    """Every array from the file's start on, as `np.load` reads them from one open file: each begins where one ends.

    Ends after an array of objects (where its pickle ends is not known here), after one whose size is not known, and at
    bytes that begin no array; what lies behind the last one is the caller's to look at. It only ever seeks forward.
    Raises ValueError for a header that numpy would refuse, and for more than MAX_ARRAYS arrays.
    """
    at, head = 0, b""
    for _ in range(MAX_ARRAYS):
        header = read_header(file, at, head)
        yield header
        if header.has_objects or header.size is None:
            return
        at = header.data_at + header.size
        file.seek(at)
        head = file.read(_HEAD)
        if file.tell() - len(head) != at or not head.startswith(MAGIC):
            return
    raise ValueError(f"more than {MAX_ARRAYS:,} arrays in one npy file")


def read_header(file: IO[bytes], at: int = 0, head: bytes = b"") -> NpyHeader:
    """Read the header that stands at byte `at` of a file, of which the bytes `head` may have been read already.

    Source: numpy.lib.format, versions 1.0 to 3.0. Raises ValueError where numpy would not accept it.
    """
    import ast

    if not head:
        file.seek(at)
        head = file.read(_HEAD)
    if len(head) < _HEAD or not head.startswith(MAGIC) or head[6] not in (1, 2, 3):
        raise ValueError("no npy header of a known version")
    start, width = (10, 2) if head[6] == 1 else (12, 4)
    length = int.from_bytes(head[8 : 8 + width], "little")
    if length > MAX_HEADER:
        raise ValueError(f"an npy header of {length} bytes")
    text = head[start:] + file.read(max(0, length - (_HEAD - start)))
    if len(text) < length:
        raise ValueError("the npy header is cut short")
    try:
        fields = ast.literal_eval(text[:length].decode("utf-8" if head[6] == 3 else "latin-1").strip())
        shape, descr = fields["shape"], fields["descr"]
        count = 1
        for extent in shape:
            if int(extent) < 0:
                raise ValueError("a negative extent")
            count *= int(extent)
    except (SyntaxError, ValueError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ValueError(f"an npy header that cannot be read ({type(error).__name__})") from None
    size = _item_size(descr, _MOST_DEPTH)
    return NpyHeader(at + start + length, _has_objects(descr, _MOST_DEPTH), None if size is None else count * size)


def _has_objects(descr: Any, depth: int) -> bool:
    """Whether the dtype description names an object type anywhere; True where it is too deep to tell."""
    if depth == 0:
        return True
    if type(descr) is str:
        return "O" in descr or "object" in descr
    if type(descr) is tuple:
        return _has_objects(descr[0], depth - 1) if descr else True
    if type(descr) is list:
        return any(len(field) < 2 or _has_objects(field[1], depth - 1) for field in descr if type(field) is tuple)
    return True


def _item_size(descr: Any, depth: int) -> int | None:
    """Bytes of one element: of a plain type, of a record (a list of fields) or of a type with a shape (a pair)."""
    if depth == 0:
        return None
    if type(descr) is str:
        found = _TYPE.fullmatch(descr)
        if found:
            return int(found[2]) * (4 if found[1] == "U" else 1)
        if "," in descr:
            return _sum(_item_size(part.strip(), depth - 1) if part.strip() else None for part in descr.split(","))
        return _NAMED.get(descr)
    if type(descr) is tuple and len(descr) == 2:
        return _times(_item_size(descr[0], depth - 1), descr[1])
    if type(descr) is list:
        return _sum(
            _times(_item_size(field[1], depth - 1), field[2] if len(field) > 2 else ())
            if type(field) is tuple and 2 <= len(field) <= 3
            else None
            for field in descr
        )
    return None


def _sum(sizes: Iterator[int | None]) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _times(size: int | None, shape: Any) -> int | None:
    """The size of as many elements as a shape, or one extent, has."""
    for extent in shape if type(shape) is tuple else (shape,):
        if size is None or type(extent) is not int or extent < 0:
            return None
        size *= extent
    return size
