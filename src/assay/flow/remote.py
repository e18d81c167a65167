"""What lies elsewhere as a subject: settled on now, shown without its query, copied here where all of it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.adapters.remote.opened import Access, fetch, open_source, settle
from assay.config.strict_yaml import MAX_BYTES
from assay.core.artifact import Source
from assay.core.errors import InputError, os_words
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Subject
from assay.engine.task import Remote


def remote_subject(address: str, access: Access) -> tuple[Subject, Remote]:
    """The subject that an address stands for, and how its files are read. Raises UsageError.

    One that does not answer now is told where its files are asked for, beside the other subjects.
    """
    try:
        settled = settle(address, access)
    except InputError:
        settled = address
    uri = shown(settled)
    return Subject(name=shown(address), kind=Kind.ARTIFACT, uri=uri), Remote(address=settled, access=access)


def copied(remote: Remote, folder: Path, progress: Progress = silent) -> Remote:
    """All files of a remote subject, whole, as a copy in `folder`; a single file is the copy. Raises InputError."""
    source = open_source(remote.address, remote.access, progress)
    try:
        fetch(source, folder, progress)
        names = list(folder.iterdir()) if source.single else []
    finally:
        source.close()
    return Remote(address=remote.address, access=remote.access, copy=str(names[0] if names else folder))


def read_remote_pack(address: str, private: bool, redirects: tuple[str, ...]) -> tuple[bytes, bytes]:
    """A threat pack's bytes from an address, and those of its signature, which lies beside it. Raises InputError."""
    access = Access(private=private, redirects=redirects, most_bytes=4 * MAX_BYTES)
    path, sign, query = address.partition("?")
    return _read(address, access), _read(f"{path}.sig{sign}{query}", access)


def _read(address: str, access: Access) -> bytes:
    with _opened(address, access) as source:
        for file in source.files():
            try:
                with source.open(file) as stream:
                    data = stream.read(MAX_BYTES + 1)
            except OSError as error:
                raise InputError(f"cannot be read: {os_words(error)}", where=shown(address)) from None
            if len(data) > MAX_BYTES:
                raise InputError(f"is larger than {MAX_BYTES} bytes", where=shown(address))
            return data
    raise InputError("holds no file", where=shown(address))


@contextmanager
def _opened(address: str, access: Access) -> Iterator[Source]:
    source = open_source(address, access)
    try:
        yield source
    finally:
        source.close()


def shown(address: str) -> str:
    """An address without its query, which is often a key; of hf:// and mlflow: nothing is left out."""
    return address.partition("?")[0].partition("#")[0] if address.lower().startswith("http") else address
