"""Functions that a pickle brings along by value (cloudpickle, dill): made while it is loaded, run once they are used.

As long as nothing that loading does can call them they are code, but no code that runs. What may call them: any other
call that they are given to, and state under the names that the unpickler calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from assay.formats.pickle.values import Made, Ref
from assay.formats.texts.python_dangers import words

# By the last parts of the module: cloudpickle 0.8 to 3 (also inside other packages), dill 0.3.
_MAKERS = {
    "cloudpickle": words(
        "_make_function _function_setstate _make_empty_cell _make_cell _fill_function _make_skel_func"
    ),
    "dill._dill": words("_create_function _create_code _create_cell"),
    "__builtin__": words("__main__"),  # what dill calls the namespace that functions were made in
}
_TYPES = frozenset({"CodeType", "LambdaType", "FunctionType", "CellType"})
# Modules that a function names as its own globals; to import them runs nothing that the file chose.
_MODULES = words(
    """numpy pandas scipy sklearn math re json collections itertools functools statistics datetime random string time
    typing decimal fractions torch xgboost lightgbm joblib polars"""
)


def judge_call(ref: Ref, args: tuple[Any, ...]) -> bool:
    """Whether `ref` makes functions, cells or code of what it is given; told once, and after each call of it."""
    if ref.carries is None:
        tail = ref.module.rpartition("cloudpickle.")[2] or ref.module
        known = _MAKERS.get("cloudpickle" if tail == "cloudpickle" else ref.module, frozenset())
        imports = tail == "cloudpickle" and ref.name in ("_builtin_type", "subimport")
        ref.carries = "function" if ref.name in known else ref.name if imports else ""
    named = args[0] if args and type(args[0]) is str else ""
    if ref.carries == "subimport" and named.partition(".")[0] not in _MODULES:
        ref.carries = ""  # it imports what the file says
    elif ref.carries == "_builtin_type" and named != "CodeType":
        ref.carries = "type" if named in _TYPES else ""  # code cannot be called, the others can
    elif ref.carries == "type" and named not in _TYPES:
        ref.carries = ""
    return bool(ref.carries)


def give(items: Iterable[Any], depth: int = 4) -> None:
    """Remember that functions of the file, among these or in what they hold, are given to what may call them."""
    for item in items:
        if type(item) is Made and item.ref.carries:
            item.ref.result_called = True
        elif depth and type(item) in (tuple, list):
            give(item, depth - 1)
        elif depth and type(item) is dict:
            give(item.values(), depth - 1)


def by_value(ref: Ref) -> bool:
    """Whether all that a name does here is to make functions that loading does not call."""
    if ref.carries is None:  # never called: dill's name for a namespace
        return judge_call(ref, ()) and not ref.patched
    called = ref.result_called and ref.carries != "_builtin_type"
    return bool(ref.carries) and not called and not ref.patched and not (ref.built and ref.carries == "subimport")
