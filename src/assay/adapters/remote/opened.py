"""Where models are read from elsewhere: what is remote, what it is pinned to, its files, and a copy of all of them.

Nothing of the network is imported before it is asked for.
"""

from __future__ import annotations

from pathlib import Path

from assay.adapters.remote.access import Access
from assay.core.artifact import Source
from assay.core.protocols import Progress, silent

__all__ = ["Access", "fetch", "is_remote", "open_source", "settle"]

_SCHEMES = ("https://", "http://", "hf://", "mlflow:")


def is_remote(uri: str) -> bool:
    """Whether `uri` names something to read from elsewhere."""
    return uri[:8].lower().startswith(_SCHEMES)


def settle(uri: str, access: Access) -> str:
    """`uri` with what may move pinned: a branch as its commit, an alias as its version; https:// as it is.

    Raises InputError, UsageError.
    """
    scheme = uri.partition(":")[0].lower()
    if scheme == "hf":
        from assay.adapters.remote.hub import Hub

        with Hub(access) as hub:
            return hub.settle(uri)
    if scheme == "mlflow":
        from assay.adapters.remote.mlflow import settle_mlflow

        return settle_mlflow(uri, access)
    from assay.adapters.remote.web import address

    address(uri)
    return uri


def open_source(uri: str, access: Access, progress: Progress = silent) -> Source:
    """The files behind `uri`, listed. Its `uri` is pinned and without a query. Raises InputError, UsageError."""
    scheme = uri.partition(":")[0].lower()
    if scheme == "hf":
        from assay.adapters.remote.hub import Hub

        return Hub(access).open(uri, progress)
    if scheme == "mlflow":
        from assay.adapters.remote.mlflow import open_mlflow

        return open_mlflow(uri, access, progress)
    from assay.adapters.remote.client import Client
    from assay.adapters.remote.web import open_web

    client = Client(access)
    try:
        return open_web(uri, client)
    except BaseException:
        client.close()
        raise


def fetch(source: Source, folder: Path, progress: Progress = silent) -> None:
    """Copy every file of `source`, whole, into `folder`, which is empty or absent. Raises InputError."""
    from assay.adapters.remote.fetched import fetch_all

    fetch_all(source, folder, progress)
