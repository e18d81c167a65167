"""An MLflow tracking server, its artifacts read through its own proxy."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from assay.adapters.remote.access import Access, RemoteError
from assay.adapters.remote.client import Client, refusal
from assay.adapters.remote.listed import MOST_SIZE, Entry, RemoteSource, bounded, name_problem
from assay.adapters.remote.login import mlflow_login, server
from assay.adapters.remote.mlflow_store import Wanted
from assay.adapters.remote.ranged import Content
from assay.adapters.remote.url import Url
from assay.adapters.remote.web import whole
from assay.core.artifact import MAX_DEPTH, MAX_FILES
from assay.core.errors import InputError
from assay.core.protocols import Progress
from assay.core.text import visible

MOST_ANSWER = 16 << 20
MOST_FOLDERS = 10_000
_API = "api/2.0/mlflow"
_PROXY = "api/2.0/mlflow-artifacts/artifacts"


class _FileInfo(msgspec.Struct, frozen=True):
    path: str
    is_dir: bool = False
    file_size: int | str | None = None


class _Files(msgspec.Struct, frozen=True):
    files: list[_FileInfo] = []


class _Location(msgspec.Struct, frozen=True):
    artifact_uri: str


class _Version(msgspec.Struct, frozen=True):
    version: int | str


class _Aliased(msgspec.Struct, frozen=True):
    model_version: _Version


class _Run(msgspec.Struct, frozen=True):
    info: _Location


class _RunAnswer(msgspec.Struct, frozen=True):
    run: _Run


class _LoggedAnswer(msgspec.Struct, frozen=True):
    model: _Run


class Server:
    """The server named by MLFLOW_TRACKING_URI. Raises UsageError."""

    def __init__(self, access: Access, named: str) -> None:
        self._root = server("MLFLOW_TRACKING_URI", named)
        self._login = mlflow_login(self._root)
        self._client = Client(access)

    def version_of(self, wanted: Wanted) -> Wanted:
        """The version that an alias stands for now. Raises InputError."""
        try:
            query = {"name": wanted.name, "alias": wanted.alias}
            found = str(self._ask("registered-models/alias", query, _Aliased).model_version.version)
        except OSError as error:
            self._client.close()
            raise whole(error, wanted.uri) from None
        if not (found.isascii() and found.isdigit()):
            raise InputError("the server names no version for it", where=wanted.uri)
        return Wanted("version", wanted.name, version=found)

    def open(self, wanted: Wanted, progress: Progress) -> RemoteSource:
        """The files of a version, a logged model or a run. Raises InputError."""
        try:
            return self._listed(wanted, progress)
        except BaseException as error:
            self._client.close()
            if isinstance(error, OSError):
                raise whole(error, wanted.uri) from None
            raise

    def _ask(self, method: str, query: dict[str, str], kind: Any) -> Any:
        return self._get(self._root.below(f"{_API}/{method}", urlencode(query, quote_via=quote)), kind)

    def _get(self, url: Url, kind: Any) -> Any:
        """One JSON answer. Raises RemoteError."""
        reply = self._client.get(url, login=self._login)
        if reply.status != 200:
            reply.drain()
            if reply.status == 400:  # so the server says that an alias is not known
                raise RemoteError("is not there", fix="check the name", status=400)
            if reply.status == 401:
                fix = "set MLFLOW_TRACKING_TOKEN; it is sent over https:// or to this machine only"
                raise RemoteError("asks for a login", fix=fix, status=401)
            raise refusal(reply.status)
        data = reply.body(MOST_ANSWER)
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, RecursionError):
            raise RemoteError("was answered in no form that is known", fix="check MLFLOW_TRACKING_URI") from None

    def _location(self, wanted: Wanted) -> str:
        if wanted.kind == "run":
            return str(self._ask("runs/get", {"run_id": wanted.name}, _RunAnswer).run.info.artifact_uri)
        if wanted.kind == "logged":
            return str(self._ask(f"logged-models/{wanted.name}", {}, _LoggedAnswer).model.info.artifact_uri)
        query = {"name": wanted.name, "version": wanted.version}
        return str(self._ask("model-versions/get-download-uri", query, _Location).artifact_uri)

    def _folder(self, location: str) -> str:
        """The path under the server's proxy. Raises RemoteError for artifacts that lie elsewhere."""
        scheme, _, rest = location.partition(":")
        scheme = scheme.lower()
        if scheme == "mlflow-artifacts":
            if rest.startswith("//"):
                netloc, _, rest = rest[2:].partition("/")
                there = self._root.joined(f"//{netloc}/") if netloc else self._root
                if there.origin != self._root.origin:
                    raise RemoteError(f"keeps its artifacts on another server, {there.host}", fix="name that one")
            path = rest.strip("/")
        elif scheme in ("http", "https"):
            there = self._root.joined(location)
            base = self._root.below(_PROXY).path
            if there.origin != self._root.origin or not there.path.startswith(f"{base}/"):
                raise RemoteError(f"keeps its artifacts on another server, {there.host}", fix="name that one")
            path = there.path.removeprefix(base).strip("/")
        else:
            shown = visible(scheme, 20) if ":" in location else "file"
            raise RemoteError(
                f"keeps its artifacts in {shown}:, which is not read from here",
                fix="copy it with `mlflow artifacts download`, and scan the copy",
            )
        if "%" in path or name_problem(path):
            raise RemoteError("keeps its artifacts in a path that cannot be asked for")
        return path

    def _listed(self, wanted: Wanted, progress: Progress) -> RemoteSource:
        root = self._folder(self._location(wanted))
        full = f"{root}/{wanted.path}" if wanted.path else root
        found, complete = bounded(self._walk(full, progress))
        if not found:
            return self._single(wanted, full)
        source = RemoteSource(self._client, wanted.uri)
        for entry in found:
            source.add(entry, self._content(f"{full}/{entry.name}", entry))
        if not complete:
            source.add_problem(wanted.uri, f"holds more than {MAX_FILES} files")
        return source

    def _single(self, wanted: Wanted, full: str) -> RemoteSource:
        parent, _, name = full.rpartition("/")
        for info in self._files(parent) if wanted.path else ():
            if info.path == name and not info.is_dir:
                entry = _entry(info, name)
                source = RemoteSource(self._client, wanted.uri, single=True)
                source.add(entry, self._content(full, entry))
                return source
        raise RemoteError("holds no files", fix="check the path; MLflow 3 keeps a run's models as models:/m-…")

    def _content(self, path: str, entry: Entry) -> Content:
        url = self._root.below(f"{_PROXY}/{_quoted(path)}")
        return Content(self._client, url, login=self._login, size=entry.size)

    def _files(self, path: str) -> list[_FileInfo]:
        query = urlencode({"path": path.encode("utf-8", "replace")}, quote_via=quote)
        return list(self._get(self._root.below(_PROXY, query), _Files).files)

    def _walk(self, root: str, progress: Progress) -> Iterator[Entry]:
        folders, asked, count = deque([""]), 0, 0
        while folders:
            folder = folders.popleft()
            asked += 1
            if asked > MOST_FOLDERS:
                yield Entry(name=folder, problem=f"was not listed: there are more than {MOST_FOLDERS} folders")
                return
            for info in self._files(f"{root}/{folder}" if folder else root):
                name = f"{folder}/{info.path}" if folder else info.path
                wrong = "/" in info.path or name_problem(info.path) or name_problem(name)
                if info.is_dir and not wrong and name.count("/") < MAX_DEPTH:
                    folders.append(name)
                    continue
                count += 1
                yield _entry(info, name)
            progress(count, count + len(folders), "files listed")


def _quoted(path: str) -> str:
    return quote(path.encode("utf-8", "replace"), safe="/")


def _entry(info: _FileInfo, name: str) -> Entry:
    if "/" in info.path:
        return Entry(name=name, problem="has a name that leaves its folder or means no file")
    if info.is_dir:
        return Entry(name=name, problem=name_problem(name) or f"is nested deeper than {MAX_DEPTH} folders")
    size = str(info.file_size) if info.file_size is not None else ""
    if size and not (size.isascii() and size.isdigit() and len(size) < 17 and int(size) < MOST_SIZE):
        return Entry(name=name, problem="has no proper size in the listing")
    return Entry(name=name, size=int(size) if size else None)
