"""Where Python source puts code or sends names: the import path, Python's own folders, names that are looked up."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from assay.core.finding import Severity
from assay.formats.texts.python_dangers import RESOLVERS, words
from assay.formats.texts.python_names import Names
from assay.formats.texts.python_taints import Taints
from assay.formats.texts.python_when import When

_PATH_CALLS = words("sys.path.insert sys.path.append sys.path.extend site.addsitedir")
# A file on the import path is an archive (zipimport), whatever its name; Spark's own are put there by its users.
_ARCHIVE = re.compile(r"(?i)\.(?:zip|egg|whl|pyz|bin|pt|pth|dat|data|safetensors|gguf|onnx|pkl|jar|npz|npy|png|jpg)$")
_SPARK = re.compile(r"(?i)(?:py4j|pyspark)[\w.*-]*\.zip$")
_WRITES = frozenset({"write_text", "write_bytes", "symlink_to", "hardlink_to"})
_COPIES = words("shutil.copy shutil.copyfile shutil.copy2 shutil.move os.rename os.replace os.symlink os.link")
_OPENS = words("builtins.open io.open os.open codecs.open")


class Places:
    """Judges single calls by the place that they write to, import from, or ask for."""

    def __init__(self, names: Names, taints: Taints, say: Callable[..., None]) -> None:
        self.names, self.taints, self.say = names, taints, say

    def judge(self, node: ast.Call, name: str, when: When) -> None:
        """Judge one call; `name` is "" where it is not known."""
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name in _PATH_CALLS:
            self._path(node, name, when)
        elif name in RESOLVERS:
            if self.taints.sends_secret(node):
                grave = Severity.CRITICAL if when is When.IMPORT else Severity.HIGH
                self.say("sends keys or the environment over the network", "send", when, grave, node, name)
            elif self.taints.spells_host(node):
                grave = Severity.HIGH if when is When.IMPORT else Severity.MEDIUM
                self.say("tells others of the machine by names that it looks up", "lookup", when, grave, node, name)
        elif method in _WRITES and isinstance(node.func, ast.Attribute):
            self._written(node.func.value, node, when)
        elif name in _OPENS and node.args:
            mode = (
                node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg == "mode"), None)
            )
            given = self.names.constant(mode)
            if isinstance(given, str) and set(given) & set("wax+"):
                self._written(node.args[0], node, when)
        elif name in _COPIES and len(node.args) > 1:
            self._written(node.args[1], node, when)

    def _path(self, node: ast.Call, name: str, when: When) -> None:
        """What is put on the import path: an archive, whose code nobody reads, or a folder that all may write to."""
        for argument in node.args:
            held = self.names.constant(argument)
            for path in held if isinstance(held, tuple) else (held,):
                if not isinstance(path, str) or _SPARK.search(path):
                    continue
                if _ARCHIVE.search(path):
                    grave = Severity.HIGH if when is When.IMPORT else Severity.MEDIUM if when else Severity.LOW
                    self.say("imports code from inside an archive", "path-archive", when, grave, node, name)

    def _written(self, path: ast.expr, node: ast.Call, when: When) -> None:
        """A file among Python's own packages, which it imports or runs by itself from then on."""
        if "site" in self.taints.of(path):
            grave = Severity.CRITICAL if when is When.IMPORT else Severity.HIGH
            self.say("writes into the folder of Python's own packages", "site", when, grave, node, "")
