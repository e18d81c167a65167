"""What a place where MLflow keeps models is asked, whether it is a server or a folder."""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from assay.core.artifact import Source
from assay.core.protocols import Progress
from assay.core.text import visible


class Wanted(NamedTuple):
    """What an mlflow: address names: a version or an alias of a model, a logged model by its id, or a path of a run.

    `kind` is version, alias, logged or run.
    """

    kind: str
    name: str
    version: str = ""
    alias: str = ""
    path: str = ""

    @property
    def uri(self) -> str:
        """The address."""
        end = f"@{self.alias}" if self.alias else f"/{self.version}" if self.version else ""
        path = f"/{self.path}" if self.path else ""
        return f"mlflow:{'runs' if self.kind == 'run' else 'models'}:/{visible(self.name + end + path, 4096)}"


class Store(Protocol):
    """A server or a folder."""

    def version_of(self, wanted: Wanted) -> Wanted:
        """The version that an alias stands for now. Raises InputError."""

    def open(self, wanted: Wanted, progress: Progress) -> Source:
        """The files. Raises InputError."""


def local_path(text: str) -> str:
    """The path of a file: URI on this machine, or of a plain path; "" for anything else."""
    if not text.lower().startswith("file:"):
        return "" if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) or "\0" in text else text
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    path = unquote(parts.path)
    return path if parts.netloc in ("", "localhost") and "\0" not in path else ""
