"""A source that is opened when its files are first asked for, and whose failure is remembered, not tried again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from assay.adapters.remote.access import Access
from assay.core.artifact import File, Source
from assay.core.errors import AssayError


class DeferredSource:
    """The files behind `address`; `uri` is how it is shown until it is open."""

    def __init__(self, address: str, access: Access, uri: str) -> None:
        self.uri = uri
        self._address, self._access = address, access
        self._source: Source | None = None
        self._error: AssayError | None = None

    @property
    def single(self) -> bool:
        """Whether it is one file, no folder. Raises InputError, UsageError."""
        return self._opened().single

    def files(self) -> Iterator[File]:
        """Every file. Raises InputError, UsageError."""
        return self._opened().files()

    def open(self, file: File) -> BinaryIO:
        """A seekable stream over one file. Raises OSError."""
        return self._opened().open(file)

    def close(self) -> None:
        """Let go of connections; nothing is opened any more."""
        if self._source is not None:
            self._source.close()

    def _opened(self) -> Source:
        if self._error is not None:
            raise self._error
        if self._source is None:
            from assay.adapters.remote.opened import open_source

            try:
                self._source = open_source(self._address, self._access)
            except AssayError as error:
                self._error = error
                raise
        return self._source
