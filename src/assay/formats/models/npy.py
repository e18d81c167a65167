"""The header of an npy file: whether a pickle follows it, and how many bytes of data there must be."""

from __future__ import annotations

from typing import IO, Any

import msgspec

MAX_HEADER = 1 << 20


class NpyHeader(msgspec.Struct, frozen=True):
    """`data_at` is where the header ends; `has_objects` if numpy would unpickle what follows; `size` of raw
    data in bytes, if known.
    """

    data_at: int
    has_objects: bool
    size: int | None


def read_header(file: IO[bytes]) -> NpyHeader:
    """Read the header at the start of `file`. Raises ValueError where it is not one that numpy would accept.

    Source: numpy.lib.format, versions 1.0 to 3.0.
    """
    import ast

    head = file.read(12)
    if len(head) < 12 or head[6] not in (1, 2, 3):
        raise ValueError("no npy header of a known version")
    start, width = (10, 2) if head[6] == 1 else (12, 4)
    length = int.from_bytes(head[8 : 8 + width], "little")
    if length > MAX_HEADER:
        raise ValueError(f"an npy header of {length} bytes")
    file.seek(start)
    text = file.read(length)
    if len(text) < length:
        raise ValueError("the npy header is cut short")
    try:
        fields = ast.literal_eval(text.decode("utf-8" if head[6] == 3 else "latin-1").strip())
        shape, descr = fields["shape"], fields["descr"]
        count = 1
        for extent in shape:
            if int(extent) < 0:
                raise ValueError("a negative extent")
            count *= int(extent)
    except (SyntaxError, ValueError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ValueError(f"an npy header that cannot be read ({type(error).__name__})") from None
    size = _item_size(descr)
    return NpyHeader(start + length, _has_objects(descr, 16), None if size is None or count < 0 else count * size)


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


def _item_size(descr: Any) -> int | None:
    if type(descr) is not str or not descr.lstrip("<>|=")[1:].isdigit():
        return None
    code = descr.lstrip("<>|=")
    return int(code[1:]) * (4 if code[0] == "U" else 1)
