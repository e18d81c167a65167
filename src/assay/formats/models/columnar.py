"""Tables in Parquet and Arrow files: that the footer lies where it must, and no column's type is a pickle.

The cells are data in any case. A column of pyarrow's type "arrow.py_extension_type" carries its class as a pickle in
the schema, which pyarrow before 14.0.1 unpickles on reading, and later ones when told to (CVE-2023-47248). Parquet
keeps the schema of Arrow in base64.
"""

from __future__ import annotations

import base64
import re
from typing import IO

from assay.core.finding import Severity
from assay.formats.reading import Limits, Note, Reading, Topic

_PICKLED = b"arrow.py_extension_type"
_SCHEMA = 4 << 20  # bytes at the beginning of an Arrow file in which its schema lies
_CHUNK, _OVERLAP = 1 << 20, 64


def _in_base64(text: bytes) -> list[bytes]:
    """What base64 of any text that holds `text` must hold, for each of the three places where it may begin."""
    found = []
    for before in range(3):
        packed = base64.b64encode(b"\0" * before + text + b"\0" * (-(before + len(text)) % 3))
        found.append(packed[-(-before * 8 // 6) : (before + len(text)) * 8 // 6])
    return found


_TYPE = re.compile(b"|".join(re.escape(form) for form in (_PICKLED, *_in_base64(_PICKLED))))


def read_parquet(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """A Parquet file ends with its metadata, their length and its mark. Raises ValueError, OSError."""
    size = file.seek(0, 2)
    length, whole = _footer(file, size, b"PAR1")
    if whole:
        file.seek(size - 8 - length)
        head = file.read(min(length, 32))
        file.seek(size - 9)
        whole = _thrift(head, file.read(1))
    return _said(whole, "Parquet", whole and _is_pickled(file, size - 8 - length, length, limits))


def read_arrow(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """An Arrow file (IPC or Feather V1), or a stream of Arrow messages. Raises ValueError, OSError."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(6)
    if head.startswith(b"FEA1"):
        file.seek(max(0, size - 4))
        return _said(file.read(4) == b"FEA1", "Arrow")
    pickled = _is_pickled(file, 0, min(size, _SCHEMA), limits)
    if head != b"ARROW1":
        return _said(size > 16, "Arrow", pickled)
    length, whole = _footer(file, size, b"ARROW1")
    if whole:
        file.seek(size - 10 - length)
        whole = _flatbuffer(file.read(8), length)
        pickled = pickled or _is_pickled(file, size - 10 - length, length, limits)
    return _said(whole, "Arrow", pickled)


def _said(whole: bool, kind: str, pickled: bool = False) -> Reading:
    note = Note(
        topic=Topic.MODEL_CODE,
        message="has a column whose type is a pickle (arrow.py_extension_type), which older pyarrow loads on reading",
        severity=Severity.HIGH,
        key="pickled type",
        fix="read it with pyarrow 14.0.1 or later, which leaves such types alone, and write it again without them",
    )
    return Reading(notes=(note,) if pickled else (), gaps=() if whole else (f"is a torn or damaged {kind} file",))


def _is_pickled(file: IO[bytes], start: int, count: int, limits: Limits) -> bool:
    """Whether the schema that lies among these bytes names the type that is a pickle. Raises ValueError, OSError."""
    if count > limits.max_bytes:
        raise ValueError("a schema of more bytes than may be read")
    file.seek(start)
    before = b""
    while count > 0:
        if limits.late():
            raise ValueError("out of time")
        chunk = file.read(min(_CHUNK, count))
        if not chunk:
            return False
        if _TYPE.search(before + chunk):
            return True
        count -= len(chunk)
        before = chunk[-_OVERLAP:]
    return False


def _footer(file: IO[bytes], size: int, magic: bytes) -> tuple[int, bool]:
    """The footer's length, and whether it and the mark behind it fit into the file."""
    file.seek(max(0, size - len(magic) - 4))
    tail = file.read(len(magic) + 4)
    length = int.from_bytes(tail[:4], "little")
    return length, tail[4:] == magic and 0 < length <= size - 2 * len(magic) - 4


def _thrift(footer: bytes, last: bytes) -> bool:
    """Whether it begins and ends as Parquet's FileMetaData in Thrift's compact form: a version, a list of structs."""
    return (
        len(footer) >= 5
        and (footer[0], footer[2]) == (0x15, 0x19)
        and footer[1] in (2, 4, 6)  # version 1 to 3, zigzag
        and footer[3] & 0x0F == 0x0C
        and footer[3] >> 4 > 0
        and last == b"\0"
    )


def _flatbuffer(footer: bytes, length: int) -> bool:
    """Whether it begins with the place of a table inside it."""
    return len(footer) >= 8 and 4 <= int.from_bytes(footer[:4], "little") <= length - 4
