"""What runs things in Python source with no call of its own in sight: handed on, or fetched by a computed name."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from assay.core.finding import Severity
from assay.formats.texts.python_dangers import COMPUTED, GRAVITY, Does, what_it_does, words
from assay.formats.texts.python_names import Names
from assay.formats.texts.python_when import When

AT = {When.IMPORT: 0, When.LOADED: 1, When.LATER: 2}
COMPUTED_IMPORTS = ("builtins.__import__()", "importlib.import_module()", "importlib.__import__()")
_NOT_GIVEN = words(
    """isinstance issubclass hasattr getattr cast TypeVar patch print repr type staticmethod classmethod"""
)
_MOST = 1000
_CALLS_AT_ONCE = frozenset({"map", "filter", "starmap", "reduce", "Thread"})
_MAPPING = frozenset({"map", "starmap", "imap"})
_SPECIAL = ("__code__", "co_code")


class Handed:
    """Judges what is handed on to what may call it: arguments, items, results, attributes, decorators' own."""

    def __init__(self, names: Names, say: Callable[..., None]) -> None:
        self.names, self.say = names, say

    def judge(self, node: ast.AST, when: When) -> None:
        """A function that runs things, handed on by its name: `(os.system, ("…",))`, `map(exec, …)`."""
        for argument in self._given(node):
            if not isinstance(argument, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)):
                continue
            if isinstance(argument, ast.Subscript) and not isinstance(node, ast.Call):
                continue
            name = self.names.of(argument)
            if name.endswith(f".{COMPUTED}"):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _CALLS_AT_ONCE:
                    self._computed(argument, when)
                continue
            does = what_it_does(name) if name and not name.endswith("()") else None
            if (
                does not in (Does.COMMAND, Does.EVALUATE, Does.CODE_OBJECT)
                or name == "builtins.compile"
                or "()" in name
            ):
                continue
            if name[name.rfind(".") + 1].isupper():  # a class, as annotations and checks name it
                continue
            if does is Does.EVALUATE and not name.startswith("builtins."):
                continue
            grave = GRAVITY[does][AT[when]]
            self.say(f"hands on what {does}", f"{does.name.lower()}-handed", when, grave, argument, name)
        if isinstance(node, ast.Dict):
            self._targets(node, when)
        elif isinstance(node, ast.Assign):
            self._replaced(node, when)

    def _given(self, node: ast.AST) -> list[ast.expr | None]:
        """The values that a node hands on."""
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in _NOT_GIVEN:
                return []
            return [*node.args, *(k.value for k in node.keywords)]
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return [*node.elts[:_MOST]]
        if isinstance(node, ast.Dict):
            return [*node.values[:_MOST]]
        if isinstance(node, (ast.Return, ast.Yield)):
            return [node.value]
        if isinstance(node, ast.Assign) and any(_is_place(target) for target in node.targets):
            return [node.value]
        return []

    def _targets(self, node: ast.Dict, when: When) -> None:
        """`{"_target_": "os.system"}`: what a configuration's maker of objects would call."""
        for key, value in zip(node.keys[:_MOST], node.values[:_MOST], strict=True):
            if isinstance(key, ast.Constant) and key.value in ("_target_", "()"):  # of Hydra, of logging.config
                name = self.names.constant(value)
                name = name.removeprefix("ext://") if isinstance(name, str) else name
                does = what_it_does(name) if isinstance(name, str) else None
                if does in (Does.COMMAND, Does.EVALUATE, Does.CODE_OBJECT):
                    grave = GRAVITY[does][AT[when]]
                    self.say(f"hands on what {does}", f"{does.name.lower()}-handed", when, grave, value, str(name))

    def _replaced(self, node: ast.Assign, when: When) -> None:
        """The code object of a function, given another."""
        for target in node.targets:
            if isinstance(target, ast.Attribute) and target.attr in _SPECIAL:
                grave = (Severity.HIGH, Severity.MEDIUM, Severity.LOW)[AT[when]]
                self.say("gives a function another's code", "code-replaced", when, grave, node, "__code__")

    def _computed(self, node: ast.AST, when: When) -> None:
        grave = Severity.CRITICAL if when is When.IMPORT else Severity.HIGH if when else Severity.MEDIUM
        self.say("calls what it fetches by a name that is computed", "computed", when, grave, node, "")

    def computed(self, func: ast.expr, name: str) -> bool:
        """Whether a call is of an attribute, by a name that nobody can tell, of a module that can run things."""
        if name.endswith(f".{COMPUTED}"):
            # A class by its name among the built-ins, and a parameter called as that is called elsewhere.
            elsewhere = isinstance(func, ast.Name) and name.startswith("builtins.") and self.names.parameters[func.id]
            return not elsewhere
        if not isinstance(func, ast.Call) or self.names.of(func.func) != "builtins.getattr" or len(func.args) < 2:
            return False
        owner = self.names.of(func.args[0])
        known = self.names.constant(func.args[1])
        return known is None and (
            owner in ("os", "subprocess", "builtins", "sys.modules") or owner.endswith(COMPUTED_IMPORTS)
        )

    def mapped(self, node: ast.Call, name: str) -> Iterator[ast.Call]:
        """The calls that `map(f, items)` makes, of functions that are made on the spot."""
        called = (name or getattr(node.func, "id", "")).rpartition(".")[2]
        if (
            called not in _MAPPING
            or len(node.args) < 2
            or not isinstance(node.args[0], (ast.Call, ast.Name, ast.Lambda))
        ):
            return
        for item in list(self.names.flow.elements(node))[:20]:
            if isinstance(item, ast.Call) and isinstance(node.args[0], (ast.Call, ast.Name)):
                yield item

    def method_called(self, node: ast.Call) -> ast.Call | None:
        """`methodcaller("system", "…")(os)` as the call that it makes: `os.system("…")`."""
        maker: ast.expr | None = node.func
        if isinstance(maker, ast.Name):
            sources = self.names.sources.get(maker.id, [])[:4]
            maker = next((s for s in sources if isinstance(s, ast.Call) and self._makes(s)), None)
        if not isinstance(maker, ast.Call) or not node.args or not maker.args or not self._makes(maker):
            return None
        attribute = self.names.constant(maker.args[0])
        if not isinstance(attribute, str):
            return None
        called = ast.Attribute(value=node.args[0], attr=attribute, ctx=ast.Load())
        made = ast.Call(func=called, args=maker.args[1:], keywords=maker.keywords)
        return ast.copy_location(made, node)

    def _makes(self, maker: ast.Call) -> bool:
        return self.names.of(maker.func) in ("operator.methodcaller", "_operator.methodcaller")


def _is_place(target: ast.expr) -> bool:
    """Whether what is bound to a target may be called by another name or by Python itself."""
    if isinstance(target, ast.Name):
        return target.id.startswith("__") and target.id.endswith("__")
    return isinstance(target, ast.Subscript) or (
        isinstance(target, ast.Attribute) and not (isinstance(target.value, ast.Name) and target.value.id == "self")
    )
