"""hf://: repositories of the Hugging Face Hub, or of a server with its interface, at one commit.

Source: the Hub's OpenAPI description (revision, tree, resolve) and the spelling of `huggingface_hub`'s file system.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec

from assay.adapters.remote.access import Access, RemoteError
from assay.adapters.remote.client import Client, refusal
from assay.adapters.remote.listed import MOST_SIZE, Entry, RemoteSource, bounded, name_problem
from assay.adapters.remote.login import hub_login, server
from assay.adapters.remote.ranged import Content
from assay.adapters.remote.url import Url
from assay.adapters.remote.web import whole
from assay.core.artifact import MAX_FILES
from assay.core.errors import InputError, UsageError
from assay.core.protocols import Progress, silent
from assay.core.text import visible

HUB = "https://huggingface.co"
CONTENT_HOSTS = ("huggingface.co", "*.huggingface.co", "*.hf.co")
MOST_ANSWER = 16 << 20
MOST_PAGES = 2000
_KINDS = {"datasets": "datasets", "spaces": "spaces"}
_REPO = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95})?")
_SPECIAL = re.compile(r"(refs/(?:convert/\w+|pr/\d+))(?:/(.*))?", re.DOTALL)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NEXT = re.compile(r'<([^<>]{1,4096})>\s*;\s*rel="?next"?', re.IGNORECASE)
_FIX = "write hf://ORG/NAME, and @REVISION or /PATH after it where meant"


class Spot(NamedTuple):
    """What an hf:// address names. `kind` is models, datasets or spaces."""

    kind: str
    repo: str
    revision: str
    path: str

    @property
    def prefix(self) -> str:
        """Where the repository's pages lie on the server."""
        return self.repo if self.kind == "models" else f"{self.kind}/{self.repo}"

    @property
    def uri(self) -> str:
        """The address, its revision always said."""
        path = f"/{visible(self.path, 4096)}" if self.path else ""
        return f"hf://{self.prefix}@{visible(quote(self.revision, safe=''), 300)}{path}"


class _Lfs(msgspec.Struct, frozen=True):
    oid: str = ""
    size: int = -1


class _Item(msgspec.Struct, frozen=True):
    type: str
    path: str
    size: int = -1
    oid: str = ""
    lfs: _Lfs | None = None


class _Revision(msgspec.Struct, frozen=True):
    sha: str


def parse_hf(uri: str) -> Spot:
    """Take an hf:// address apart. Raises UsageError."""
    rest = uri.partition("://")[2].rstrip("/")
    if not rest.isprintable() or len(rest) > 4096:
        raise UsageError("is no address of a repository", where="hf://…", fix=_FIX)
    kind = "models"
    first, _, after = rest.partition("/")
    if first in _KINDS or first == "models":
        kind, rest = first, after
    if "@" in "/".join(rest.split("/")[:2]):
        repo, _, tail = rest.partition("@")
        special = _SPECIAL.fullmatch(tail)
        revision, path = (special[1], special[2] or "") if special else tail.partition("/")[::2]
        revision = unquote(revision)
    else:
        parts = rest.split("/", 2)
        repo, revision, path = "/".join(parts[:2]), "main", parts[2] if len(parts) > 2 else ""
    odd = not revision or not revision.isprintable() or ".." in revision or ".." in repo
    if odd or not _REPO.fullmatch(repo) or (path and name_problem(path)):
        raise UsageError("is no address of a repository", where=visible(uri, 200), fix=_FIX)
    return Spot(kind, repo, revision, path)


class Hub:
    """One server with the Hub's interface: HF_ENDPOINT, else the public one. Raises UsageError."""

    def __init__(self, access: Access) -> None:
        named = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or HUB
        self._endpoint = server("HF_ENDPOINT", named)
        self._login = hub_login(self._endpoint)
        self._client = Client(access, hosts=CONTENT_HOSTS if named == HUB else ())

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def settle(self, uri: str) -> str:
        """`uri` at the commit that its revision names now. Raises InputError, UsageError."""
        return self._settled(parse_hf(uri)).uri

    def open(self, uri: str, progress: Progress = silent) -> RemoteSource:
        """The files behind `uri`, at one commit. Raises InputError, UsageError."""
        try:
            spot = self._settled(parse_hf(uri))
            try:
                return self._listed(spot, progress)
            except OSError as error:
                raise whole(error, spot.uri) from None
        except BaseException:
            self._client.close()
            raise

    def _settled(self, spot: Spot) -> Spot:
        if _COMMIT.fullmatch(spot.revision):
            return spot
        url = self._api(spot, f"revision/{quote(spot.revision, safe='')}")
        try:
            found = msgspec.json.decode(self._answer(url)[0], type=_Revision)
        except OSError as error:
            raise whole(error, spot.uri) from None
        except (msgspec.MsgspecError, RecursionError):
            raise InputError("the server names no commit for it", where=spot.uri) from None
        if not _COMMIT.fullmatch(found.sha):
            raise InputError("the server names no commit for it", where=spot.uri)
        return spot._replace(revision=found.sha)

    def _api(self, spot: Spot, path: str, query: str = "") -> Url:
        return self._endpoint.below(f"api/{spot.kind}/{spot.repo}/{path}", query)

    def _answer(self, url: Url) -> tuple[bytes, str]:
        """A JSON body and the Link header. Raises RemoteError."""
        reply = self._client.get(url, login=self._login)
        if reply.status != 200:
            reply.drain()
            error = refusal(reply.status)
            if reply.status == 401:
                sent = self._login is not None and self._client.trusts(self._endpoint)
                fix = "check the name, and that the token may read it" if sent else "check the name, or set HF_TOKEN"
                raise RemoteError("is not there, or asks for a login", fix=fix, status=401)
            raise error
        return reply.body(MOST_ANSWER), reply.header("Link")

    def _listed(self, spot: Spot, progress: Progress) -> RemoteSource:
        try:
            items = self._tree(spot, spot.path, progress, recursive=True)
            first = next(items, None)
        except RemoteError as error:
            if error.status != 404 or not spot.path:
                raise
            return self._single(spot, progress)
        if first is None:
            raise RemoteError("holds no files", fix="check the revision and the path")
        source = RemoteSource(self._client, spot.uri)
        entries = (_entry(item, spot.path) for item in _chain(first, items) if item.type != "directory")
        found, complete = bounded(entries)
        for entry in found:
            full = f"{spot.path}/{entry.name}" if spot.path else entry.name
            source.add(entry, self._content(spot, full, entry))
        if not complete:
            source.add_problem(spot.uri, f"holds more than {MAX_FILES} files")
        return source

    def _single(self, spot: Spot, progress: Progress) -> RemoteSource:
        """One file, found in the listing of its folder."""
        parent = spot.path.rpartition("/")[0]
        for item in self._tree(spot, parent, progress, recursive=False):
            if item.path == spot.path and item.type != "directory":
                entry = _entry(item, parent)
                source = RemoteSource(self._client, spot.uri, single=True)
                source.add(entry, self._content(spot, spot.path, entry))
                return source
        raise RemoteError("is not there", fix="check the path", status=404)

    def _content(self, spot: Spot, path: str, entry: Entry) -> Content:
        url = self._endpoint.below(f"{spot.prefix}/resolve/{spot.revision}/{_quoted(path)}")
        return Content(self._client, url, login=self._login, size=entry.size)

    def _tree(self, spot: Spot, path: str, progress: Progress, *, recursive: bool) -> Iterator[_Item]:
        below = f"/{_quoted(path)}" if path else ""
        url = self._api(spot, f"tree/{spot.revision}{below}", f"recursive={'true' if recursive else 'false'}")
        seen, count = {url}, 0
        while True:
            data, link = self._answer(url)
            try:
                items = msgspec.json.decode(data, type=list[_Item])
            except (msgspec.MsgspecError, RecursionError):
                raise RemoteError("is listed in no form that is known") from None
            yield from items
            count += len(items)
            progress(count, count + 1, "files listed")
            found = _NEXT.search(link)
            if found is None:
                return
            url = url.joined(found[1])
            if url.origin != self._endpoint.origin:
                raise RemoteError(f"has a listing that goes on at {url.host}, another server")
            if url in seen or len(seen) >= MOST_PAGES:
                raise RemoteError("has a listing without an end")
            seen.add(url)


def _chain(first: _Item, rest: Iterator[_Item]) -> Iterator[_Item]:
    yield first
    yield from rest


def _quoted(path: str) -> str:
    return quote(path.encode("utf-8", "replace"), safe="/")


def _entry(item: _Item, folder: str) -> Entry:
    name, problem = item.path, ""
    if folder:
        name = name.removeprefix(f"{folder}/")
        if name == item.path:
            problem = "is listed in a folder it does not lie in"
    if item.type != "file":
        problem = f"is neither a file nor a folder ({visible(item.type, 20)})"
    elif not 0 <= item.size < MOST_SIZE or (item.lfs is not None and item.lfs.size != item.size):
        problem = "has no one size in the listing"
    sha256 = item.lfs.oid if item.lfs is not None and re.fullmatch(r"[0-9a-f]{64}", item.lfs.oid) else ""
    git = item.oid if item.lfs is None and _COMMIT.fullmatch(item.oid) else ""
    return Entry(name=name, size=item.size, sha256=sha256, git=git, problem=problem)
