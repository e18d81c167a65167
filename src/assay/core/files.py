"""Files written whole or not at all: a draft beside the place, moved there once every byte is on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from assay.core.errors import InputError, os_words


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file at `path` when the block ends well; otherwise `path` stays as it was.

    `durable` waits for the disk. Raises OSError.
    """
    draft = _draft(path)
    try:
        with open(draft, "xb") as stream:
            yield stream
            _settle(stream, durable)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def write_new(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a file that is not there yet, whole or not at all, for `mode` less the umask.

    Raises FileExistsError where there is one: of two writers at once, one wins. OSError for the rest.
    """
    draft = _draft(path)
    try:
        _create(draft, data, mode)
        try:
            os.link(draft, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            _create(path, data, mode)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _create(path: Path, data: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            _settle(stream, durable=True)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises InputError when it cannot be written."""
    try:
        with replacing(path) as stream:
            stream.write(data)
    except OSError as error:
        what = f"cannot be written: {os_words(error)}"
        raise InputError(what, where=str(path), fix="choose a writable place") from None


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name[:100]}.{os.urandom(6).hex()}")


def _settle(stream: BinaryIO, durable: bool) -> None:
    stream.flush()
    if durable:
        os.fsync(stream.fileno())


def running(pid: int) -> bool:
    """Whether a process of this number runs on this machine, whosesoever."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
