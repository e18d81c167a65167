"""Known-safe names in ways of use in which they are not: what they then open, call or take for a live object.

Found by writing pickles that do it: pandas' and numpy's rebuilders call what they are given, `type` makes classes of
any functions, array functions call methods of objects by their own names, boosters and time zones open files, and a
dtype whose state contradicts itself has bytes taken for pointers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from assay.formats.pickle.joblib_arrays import DTYPES, has_objects, item_size
from assay.formats.pickle.state import State
from assay.formats.pickle.tier_tables import SAFE_NAMES
from assay.formats.pickle.values import HEAD_KEYS, Cut, Made, Ref
from assay.formats.texts.python_dangers import words

# Attributes of any object from which numpy, torch and others take memory by its address, or which they call.
PROTOCOLS = frozenset(
    (
        *("__array_interface__", "__array_struct__", "__array__", "__array_function__", "__array_ufunc__"),
        *("__cuda_array_interface__", "__torch_function__", "__buffer__", "__array_wrap__", "__array_finalize__"),
        "__dlpack__",
    )
)
_REFCOUNTED = 3  # NPY_ITEM_REFCOUNT and NPY_LIST_PICKLE, which numpy sets for every dtype of objects
_FLAGS, _FIELDS = 7, 4
_ZONE = re.compile(r"dateutil/(?:[/\\~]|.*\.\.)")
_MADE_CLASS = "makes a class whose methods are what the pickle names"


def _class_made(m: State, ref: Ref, args: tuple[Any, ...]) -> None:
    """`type(name, bases, namespace)` with functions or objects in the namespace."""
    if len(args) < 3:
        return
    held = args[2]
    plain = type(held) is dict and len(held) < HEAD_KEYS
    if not plain or any(type(value) in (Ref, Made) for value in held.values()):
        ref.evaluates = _MADE_CLASS


def _file_opened(m: State, ref: Ref, args: tuple[Any, ...]) -> None:
    """A booster that is made of anything but nothing loads the file that it is given the name of."""
    if any(type(item) in (str, bytes, Cut, Made) for item in args):
        ref.evaluates = "opens the file that it is given the name of"


def _zone_file(m: State, ref: Ref, args: tuple[Any, ...]) -> None:
    """dateutil's tzfile opens its first argument; its own pickles give None, and the contents as state."""
    if args and args[0] is not None:
        ref.evaluates = "opens the file that it is given the name of"


def _zone(m: State, ref: Ref, args: tuple[Any, ...]) -> None:
    """`dateutil//etc/…` as a time zone: pandas has the file opened."""
    if any(type(item) is str and _ZONE.match(item) for item in _flat(args)):
        ref.evaluates = "opens a file as a time zone"


def _called_at(place: int) -> Callable[[State, Ref, tuple[Any, ...]], None]:
    def rule(m: State, ref: Ref, args: tuple[Any, ...]) -> None:
        """A rebuilder that calls its argument: that is called, and must be a name."""
        given = args[place] if len(args) > place else None
        if type(given) is Made or (type(given) is not Ref and place == 0):
            ref.evaluates = "calls what the pickle makes"
        elif type(given) is Ref:
            given.called += 1

    return rule


def _methods_by_name(m: State, ref: Ref, args: tuple[Any, ...]) -> None:
    """An array function of objects calls their methods of its own name; of constants it only computes."""
    if any(type(item) in (Ref, Made) for item in _flat(args)):
        ref.evaluates = "calls methods of the objects that it is given"


def _flat(items: Iterable[Any], depth: int = 3) -> Iterable[Any]:
    for item in items:
        if depth and type(item) in (list, tuple):
            yield from _flat(item, depth - 1)
        elif depth and type(item) is dict:
            yield from _flat(item.values(), depth - 1)
        else:
            yield item


Use = Callable[[State, Ref, tuple[Any, ...]], None]
_CONSTRUCTORS = words(
    """array ndarray dtype matrix recarray record bool bool_ bytes_ str_ unicode_ string_ object_ void generic number
    integer poly1d nan inf finfo iinfo half single double longdouble csingle cdouble clongdouble"""
)
_FUNCTIONS = frozenset(
    name
    for name in SAFE_NAMES["numpy"].split()
    if name not in _CONSTRUCTORS and not re.search(r"\d\d|int|byte|short|long", name)
)
_USES: dict[tuple[str, str], Use] = {
    ("builtins", "type"): _class_made,
    ("__builtin__", "type"): _class_made,
    ("lightgbm.basic", "Booster"): _file_opened,
    ("xgboost.core", "Booster"): _file_opened,
    ("dateutil.tz.tz", "tzfile"): _zone_file,
    ("pandas.core.indexes.base", "_new_Index"): _called_at(0),
    ("pandas.core.indexes.datetimes", "_new_DatetimeIndex"): _called_at(0),
    ("pandas.core.indexes.period", "_new_PeriodIndex"): _called_at(0),
    ("pandas.core.indexes.interval", "_new_IntervalIndex"): _called_at(0),
    ("torch._tensor", "_rebuild_from_type"): _called_at(0),
    ("torch._tensor", "_rebuild_from_type_v2"): _called_at(0),
    ("numpy.random._pickle", "__generator_ctor"): _called_at(1),
    ("numpy.random._pickle", "__randomstate_ctor"): _called_at(1),
}


def is_named(module: str, name: str) -> bool:
    """Whether it depends on its arguments whether a known-safe name is safe, so that it is never called later."""
    return (module, name) in _USES


def use_of(module: str, name: str) -> Use | None:
    """How calls of a known-safe name must be looked at; None where any call of it is as good as another."""
    found = _USES.get((module, name))
    if found is None and module in ("numpy", "numpy.core._multiarray_umath", "numpy._core._multiarray_umath"):
        return _methods_by_name if name in _FUNCTIONS else None
    return _zone if found is None and module.startswith("pandas") else found


def judge_state(ref: Ref, state: Any) -> None:
    """State that gives an object what numpy takes memory from by its address."""
    for part in state if type(state) is tuple else (state,):
        if type(part) is dict and not PROTOCOLS.isdisjoint(part):
            ref.evaluates = "is given an attribute by which others take memory or call what the pickle names"


def judge_dtype(made: Made) -> None:
    """A dtype whose state numpy believes though it contradicts itself: bytes of the file become live objects."""
    state = made.state
    if (made.ref.module, made.ref.name) not in DTYPES or type(state) is not tuple or len(state) <= _FLAGS:
        return
    flags, size = state[_FLAGS], item_size(made)
    objects = has_objects(made, 8)
    wrong = objects is True and type(flags) is int and flags & _REFCOUNTED != _REFCOUNTED
    fields = state[_FIELDS]
    if type(fields) is dict and size is not None:
        for field in fields.values():
            if type(field) is not tuple or len(field) < 2 or type(field[0]) is not Made or type(field[1]) is not int:
                continue
            inner = item_size(field[0])
            wrong = wrong or field[1] < 0 or (inner is not None and field[1] + inner > size)
    if wrong:
        made.ref.evaluates = (
            "its state contradicts itself, so that bytes are taken for live objects or read beyond them"
        )
