"""Commands of a notebook's cells followed through its names: what a command writes, fetches, keeps and is given.

`!`, `%sx`, `%%bash` and `get_ipython().system(…)` hand text to one shell that shares its files with all cells, and
names of Python go into it and come out of it (IPython, system commands).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from assay.formats.texts.python_dangers import SENSITIVE
from assay.formats.texts.python_names import Names
from assay.formats.texts.shell_blocks import Stuff
from assay.formats.texts.shell_flow import Flow, Found
from assay.formats.texts.shell_words import GATE

MOST_COMMANDS = 2_000
_PLACE = re.compile(r"\{([^{}\n]{1,500})\}")
PRINTED = "PRINTED_TOKEN"  # a name for what a command printed that prints keys
_KEYS = re.compile(rf"{SENSITIVE.pattern}|^{PRINTED}$")
_NAME = re.compile(r"[A-Za-z_]\w*")
_FETCHES = re.compile(r"^(?:requests|urllib\.request|urllib3|httpx|aiohttp|http\.client|wget)\.")
_DECODES = re.compile(r"^(?:base64|binascii|codecs|zlib|gzip|lzma|bz2|bytes\.fromhex|marshal)\b")
# A fetched script of Python that is run beside is what many honest notebooks do.
_OWN_MODULE = re.compile(r"(?i)^\s*(?:%run|python[\d.]*)\s+\S+\.py\b")


class Commands:
    """All commands of one notebook, in their order, as lines of one shell."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.count = 0

    def take(self, text: str) -> list[Found]:
        """What commands do, knowing those of the cells before."""
        self.count += 1
        if self.count > MOST_COMMANDS:
            return []
        joined = re.sub(r"\\\r?\n", " ", text)
        found = [found for line in joined.split("\n")[:1_000] for found in self.flow.line(as_shell(line))]
        return [f for f in found if f[0] != "download-run" or not _OWN_MODULE.match(joined)]

    def learn(self, names: Names, nodes: list[ast.AST]) -> None:
        """What the names of Python hold that are put into commands: keys, and what was fetched or decoded."""
        for node in nodes:
            if not isinstance(node, ast.Assign) or len(self.flow.names) > MOST_COMMANDS:
                continue
            stuff = _made_of(node.value, names)
            for target in node.targets:
                if isinstance(target, ast.Name) and stuff != Stuff():
                    self.flow.names[target.id] = stuff


def as_shell(text: str) -> str:
    """A command with IPython's `{name}` written as the shell's `$name`."""
    return re.sub(r"\{([A-Za-z_]\w*)(?:\[[^\]{}\n]{0,40}\]|\.\w+(?:\(\))?)?\}", r"$\1", text)


def prints_keys(command: str) -> bool:
    """Whether what a command writes holds keys or tokens."""
    return GATE.search(command + " curl") is not None and Flow().writes(command).secret


def completed(command: str, names: Names) -> str:
    """A command with the expressions in its braces, and its `$name`s, put in where they are constant."""

    def expression(match: re.Match[str]) -> str:
        said = match[1].strip()
        if _NAME.fullmatch(said):
            value = names.values.get(said)
        else:
            try:
                value = names.constant(ast.parse(said, mode="eval").body)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return match.group()
        return str(value)[:2_000] if isinstance(value, (str, int)) else match.group()

    whole = _PLACE.sub(expression, command)
    return re.sub(
        r"\$\{?([A-Za-z_]\w*)\}?",
        lambda m: str(v)[:2_000] if isinstance(v := names.values.get(m[1]), (str, int)) else m.group(), whole,
    )  # fmt: skip


def _made_of(value: ast.expr, names: Names) -> Stuff:
    """Whether an expression holds keys of this machine, or what was fetched or decoded."""
    made = Stuff()
    for node in _inner(value):
        called = names.of(node.func) if isinstance(node, ast.Call) else ""
        whole = isinstance(node, ast.Call) and any(names.of(a) == "os.environ" for a in node.args)
        text = node.value[:500] if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if whole or (text and _KEYS.search(text)):
            made |= Stuff(secret=True)
        elif _FETCHES.match(called):
            made |= Stuff(fetched=True)
        elif _DECODES.match(called):
            made |= Stuff(decoded=True)
    return made


def _inner(value: ast.expr) -> Iterator[ast.AST]:
    for count, node in enumerate(ast.walk(value)):
        if count > 200:
            return
        yield node


def shown(nodes: list[ast.AST], names: Names) -> Iterator[tuple[str, str, int]]:
    """HTML and scripts that cells show (`display(HTML(…))`): (kind, text, line)."""
    for node in nodes:
        if isinstance(node, ast.Call) and node.args:
            called = names.of(node.func)
            if called.startswith("IPython.") and called.endswith(
                (".HTML", ".Javascript", ".SVG", ".display_html", ".display_javascript")
            ):
                text = names.constant(node.args[0])
                if isinstance(text, str):
                    yield ("script" if "avascript" in called else "html"), text, node.lineno
