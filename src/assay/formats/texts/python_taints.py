"""What flows into an expression of Python source: decoded, fetched, read from files, keys or the environment."""

from __future__ import annotations

import ast
import re

from assay.formats.texts.python_dangers import (
    DECODERS,
    FETCHES,
    NETWORK,
    OPENERS,
    SECRET_NAME,
    SENSITIVE,
    SITE,
    what_it_does,
    words,
)
from assay.formats.texts.python_names import Names

_MOST_TAINT = 400
_DOWNLOADS = words(
    """urllib.request.urlretrieve urllib.urlretrieve wget.download torch.hub.download_url_to_file gdown.download
    gdown.cached_download torchvision.datasets.utils.download_url pooch.retrieve"""
)
_REMOTE = re.compile(r"(?i)(?:simplecache::|filecache::|blockcache::)?(?:https?|ftp)://(?!localhost[:/]|127\.)")
# What names the machine or whoever works at it.
_HOST = words(
    """getpass.getuser os.getlogin platform.node socket.gethostname os.uname platform.uname uuid.getnode
    psutil.users pwd.getpwuid"""
)
_TO = frozenset({"filename", "out", "dst", "output", "path", "fname"})


class Taints:
    """What the names of one module were bound to, wherever that was."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.known: dict[str, set[str]] = {}
        self.downloads: set[str] = set()  # paths that downloads are written to

    def downloaded(self, calls: list[ast.Call]) -> None:
        """Note where the module's downloads are written: `urlretrieve(url, path)` and its kin."""
        for node in calls:
            if self.names.of(node.func) in _DOWNLOADS:
                given = [*node.args[1:3], *(k.value for k in node.keywords if k.arg in _TO)]
                self.downloads |= {path for a in given if isinstance(path := self.names.constant(a), str)}

    def sends_secret(self, node: ast.Call) -> bool:
        """Whether a call is given keys or the environment, but for where a service expects its own."""
        given = [*node.args, *(k.value for k in node.keywords if k.arg not in ("headers", "auth", "token", "cookies"))]
        return any(self.of(argument) & {"environment", "credential", "keyfile"} for argument in given)

    def spells_host(self, node: ast.Call) -> bool:
        """Whether a call is given a text that was put together with what names the machine or its user."""
        return any(
            "host" in self.of(a) and not (isinstance(a, ast.Call) and self.names.of(a.func) in _HOST)
            for a in node.args[:1]
        )

    def of(self, node: ast.AST | None, depth: int = 0) -> set[str]:
        """What flows into it: "decoded", "fetched", "file", "environment", "credential", "keyfile", "host", "site"."""
        if node is None or depth > 4:
            return set()
        found: set[str] = set()
        for count, inner in enumerate(ast.walk(node)):
            if count > _MOST_TAINT:
                break
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
                found |= self._of_name(inner.id, depth)
            elif isinstance(inner, ast.Call):
                found |= self._of_call(inner)
            elif isinstance(inner, ast.Attribute) and self.names.of(inner) in SITE:
                found.add("site")
            elif isinstance(inner, ast.Subscript):
                key = self.names.constant(inner.slice)
                if self.names.of(inner.value) == "os.environ" and isinstance(key, str) and SECRET_NAME.search(key):
                    found.add("credential")
        return found

    def _of_name(self, name: str, depth: int) -> set[str]:
        if name not in self.known:
            self.known[name] = set()  # what is bound to itself adds nothing
            for value in self.names.sources.get(name, [])[:20]:
                self.known[name] |= self.of(value, depth + 1)
        return self.known[name]

    def _of_call(self, node: ast.Call) -> set[str]:
        name = self.names.of(node.func)
        if name in DECODERS or _is_decoder(node):
            return {"decoded"}
        if name in OPENERS and node.args:
            address = self.names.constant(node.args[0])
            return {"fetched"} if isinstance(address, str) and _REMOTE.match(address) else {"file"}
        if name in _HOST:
            return {"host"}
        if name in ("os.getenv", "os.environ.get"):
            key = self.names.constant(node.args[0]) if node.args else None
            return {"credential"} if isinstance(key, str) and SECRET_NAME.search(key) else set()
        if name.startswith("os.environ.") or any(
            self.names.of(a) in ("os.environ", "os.environ()") for a in node.args[:2]
        ):
            return {"environment"}
        if name in ("builtins.open", "io.open", "codecs.open", "tokenize.open") or (
            isinstance(node.func, ast.Attribute) and node.func.attr in ("read_text", "read_bytes", "read", "open")
        ):
            path = self.names.constant(node.args[0]) if node.args else None
            return {"keyfile"} if isinstance(path, str) and SENSITIVE.search(path) else {"file"}
        does = what_it_does(name)
        return (
            {"fetched"} if does in NETWORK and name.rpartition(".")[2] in FETCHES | {"recv", "text", "read"} else set()
        )


def _is_decoder(node: ast.Call) -> bool:
    """Whether it makes text of numbers: `bytes.fromhex(…)`, `bytes([…])`, `map(chr, […])`, `n.to_bytes(…)`."""
    if isinstance(node.func, ast.Attribute):
        plain = isinstance(node.func.value, ast.Name) and node.func.value.id in ("bytes", "bytearray")
        return (plain and node.func.attr == "fromhex") or node.func.attr == "to_bytes"
    if not isinstance(node.func, ast.Name) or not node.args:
        return False
    first = node.args[0]
    if node.func.id == "map":
        return isinstance(first, ast.Name) and first.id == "chr"
    return node.func.id in ("bytes", "bytearray") and isinstance(first, (ast.List, ast.Tuple)) and len(first.elts) > 3
