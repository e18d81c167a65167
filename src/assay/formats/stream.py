"""What readable, seekable streams share, and a part of a file as a file of its own."""

from __future__ import annotations

import io
from typing import IO, Any


class Stream(io.RawIOBase):
    """A binary stream that is read and sought; its heir gives `read`, `seek` and `tell`."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer)) or b""
        buffer[: len(data)] = data
        return len(data)


class Window(Stream):
    """Bytes [start, start + size) of a file as a file of its own: nothing is copied or read ahead."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        super().__init__()
        self._file, self._start, self._size = file, start, max(0, size)
        self._at = 0

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, (0, self._at, self._size)[whence] + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._at)
        want = left if size is None or size < 0 else min(size, left)
        data = read_at(self._file, self._start + self._at, want)
        self._at += len(data)
        return data


def read_at(file: IO[bytes], at: int, size: int) -> bytes:
    """Up to `size` bytes from offset `at`; b"" where there are none."""
    if at < 0 or at >= 1 << 62 or size <= 0:
        return b""
    file.seek(at)
    return file.read(size)
