"""Texts that Python source gives to others to run: queries, templates, libraries of databases, the environment."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from assay.core.finding import Severity
from assay.formats.reading import Reading
from assay.formats.texts.python_dangers import matters, words
from assay.formats.texts.python_names import Names
from assay.formats.texts.python_when import When

_TABLE_EVAL = words("pandas.eval pandas.core.computation.eval.eval pandas.core.computation.api.eval")
_TEMPLATES = words(
    """jinja2.Template jinja2.Environment().from_string jinja2.environment.Template jinja2.nativetypes.NativeTemplate
    jinja2.nativetypes.NativeEnvironment().from_string flask.render_template_string mako.template.Template"""
)
# Variables by which Python, or a shell, is told what to run at its start.
_STARTS = words("PYTHONBREAKPOINT PYTHONSTARTUP BASH_ENV")
_DEBUGGERS = re.compile(r"0?|(?:i?pdb|pudb|web_pdb|bpdb|rpdb|debugpy)(?:\.\w+){0,2}|IPython\S{0,60}|pdbr\S{0,40}")
_NAME = re.compile(r"\b[A-Za-z_]\w*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_LIBRARY = re.compile(r"(?i)[/\\]|\.(?:so|dll|dylib|bin|dat)$")
_MOST_SEEDED = 50


class Given:
    """Judges what single calls and assignments of one module give to others as text."""

    def __init__(self, names: Names, say: Callable[..., None], inside: Callable[[str], Reading]) -> None:
        self.names, self.say, self.inside = names, say, inside

    def known(self, text: str) -> str:
        """A text that is run as code, with imports before it for the names that it has from the module about it."""
        if "__future__" in text:
            return text
        seeded: list[str] = []
        for name in sorted(set(_NAME.findall(text))):
            stands_for = self.names.aliases.get(name, "")
            if _DOTTED.fullmatch(stands_for) and len(seeded) < _MOST_SEEDED:
                seeded.append(f"import {stands_for} as {name}\n")
        return "".join(seeded) + text

    def call(self, node: ast.Call, name: str, when: When) -> None:
        """Judge one call; `name` is "" where it is not known."""
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        first = self.names.constant(node.args[0]) if node.args else None
        grave = Severity.CRITICAL if when is When.IMPORT else Severity.HIGH
        if (name in _TABLE_EVAL or method in ("query", "eval")) and isinstance(first, str) and not matters(name):
            if "@" in first or "__" in first or name in _TABLE_EVAL:
                self._told(first.replace("@", ""), node, when)
        elif name in _TEMPLATES and isinstance(first, str):
            from assay.formats.texts.templates import read_template  # which few modules need

            if any(note.severity is Severity.CRITICAL for note in read_template(first).notes):
                said = "renders a template that leaves its sandbox"
                self.say(said, "template", when, grave, node, name)
        elif method == "load_extension" and name.startswith(("sqlite3.", "apsw.")):
            plain = isinstance(first, str) and not _LIBRARY.search(first)
            loaded = Severity.LOW if plain else Severity.HIGH if when is When.IMPORT else Severity.MEDIUM
            self.say("loads a native library", "library", when, loaded, node, name)
        elif name in ("os.environ.setdefault", "os.putenv", "os.environ.__setitem__") and len(node.args) > 1:
            self._environment(node.args[0], node.args[1], node, when)
        elif name == "os.environ.update":
            for keyword in node.keywords:
                if keyword.arg is not None:
                    self._environment(ast.Constant(keyword.arg), keyword.value, node, when)
            for mapping in node.args[:1]:
                if isinstance(mapping, ast.Dict):
                    for key, value in zip(mapping.keys, mapping.values, strict=True):
                        if key is not None:
                            self._environment(key, value, node, when)

    def assigned(self, node: ast.Assign, when: When) -> None:
        """`os.environ["PYTHONSTARTUP"] = …`."""
        for target in node.targets:
            if isinstance(target, ast.Subscript) and self.names.of(target.value) == "os.environ":
                self._environment(target.slice, node.value, node, when)

    def _environment(self, key: ast.expr, value: ast.expr, node: ast.AST, when: When) -> None:
        name, given = self.names.constant(key), self.names.constant(value)
        if name not in _STARTS or (isinstance(given, str) and _DEBUGGERS.fullmatch(given)):
            return
        grave = Severity.HIGH if when is When.IMPORT else Severity.MEDIUM
        self.say("tells other programs what to run at their start", "environ", when, grave, node, str(name))

    def _told(self, text: str, node: ast.AST, when: When) -> None:
        """A query whose text, run as code, would run things."""
        for note in self.inside(self.known(text)).notes:
            if note.severity.rank >= Severity.MEDIUM.rank:
                grave = Severity.CRITICAL if when is When.IMPORT else Severity.HIGH
                self.say("runs commands by a query of a table", "query", when, grave, node, "")
