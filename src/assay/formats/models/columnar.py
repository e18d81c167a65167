"""Tables in Parquet and Arrow files: that the footer lies where it must. The cells are data in any case."""

from __future__ import annotations

from typing import IO

from assay.formats.reading import Limits, Reading


def read_parquet(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """A Parquet file ends with its metadata, their length and its mark. Raises ValueError, OSError."""
    size = file.seek(0, 2)
    length, whole = _footer(file, size, b"PAR1")
    if whole:
        file.seek(size - 8 - length)
        head = file.read(min(length, 32))
        file.seek(size - 9)
        whole = _thrift(head, file.read(1))
    return _said(whole, "Parquet")


def read_arrow(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """An Arrow file (IPC or Feather V1), or a stream of Arrow messages. Raises ValueError, OSError."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(6)
    if head.startswith(b"FEA1"):
        file.seek(max(0, size - 4))
        return _said(file.read(4) == b"FEA1", "Arrow")
    if head != b"ARROW1":
        return _said(size > 16, "Arrow")
    length, whole = _footer(file, size, b"ARROW1")
    if whole:
        file.seek(size - 10 - length)
        whole = _flatbuffer(file.read(8), length)
    return _said(whole, "Arrow")


def _said(whole: bool, kind: str) -> Reading:
    return Reading() if whole else Reading(gaps=(f"is a torn or damaged {kind} file",))


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
