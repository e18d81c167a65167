"""What particular calls mean: attribute getters resolved, nested loaders followed, array wrappers remembered."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import Any

from assay.formats.pickle import carried, evaluated, exhaust, uses
from assay.formats.pickle.joblib_arrays import ARRAY_WRAPPERS, DTYPES
from assay.formats.pickle.state import State
from assay.formats.pickle.tier_dangers import DANGEROUS_MODULES, DANGEROUS_NAMES, STDLIB
from assay.formats.pickle.values import DICT, LIST, MAX_CALLS, SET, Cut, Made, Opaque, Ref, show_call
from assay.formats.stream import Window

MAX_ARGUMENTS = 16
STATE_HEADS = 64
_SHORT = 1  # a separator: no path and no order
SHOWN_CALLS = 200  # calls whose arguments are put into words, in search of different ones

GETTERS = frozenset({("builtins", "getattr"), ("__builtin__", "getattr")})
UFUNC_GETTERS = frozenset(
    {("numpy.core", "_ufunc_reconstruct"), ("numpy._core", "_ufunc_reconstruct"), ("numpy", "_ufunc_reconstruct")}
)
STREAMS = frozenset({("io", "BytesIO"), ("_io", "BytesIO")})
BYTE_FILES = STREAMS | {("builtins", "bytes"), ("builtins", "bytearray")}
# Make an instance of their first argument, as the opcodes do that newer pickles have for it.
RECONSTRUCTORS = frozenset(
    (module, name) for module in ("copyreg", "copy_reg") for name in ("_reconstructor", "__newobj__", "__newobj_ex__")
)
_TAKE_ANYTHING = frozenset({"builtins", "__builtin__", "collections", "copyreg", "copy_reg"})
ENCODERS = frozenset({("_codecs", "encode"), ("codecs", "encode")})
# Make a callable of a name: no attribute is fetched and no method called before that is.
METHOD_GETTERS = frozenset(
    (module, name) for module in ("operator", "_operator") for name in ("attrgetter", "methodcaller")
)
# Names of modules of the standard library are as good as the modules, which many modules import.
_NO_ATTRIBUTE = frozenset(DANGEROUS_NAMES) | frozenset(DANGEROUS_MODULES) | STDLIB
_OF_CONTAINERS = frozenset(("append", "remove", "pop", "add", "discard", "get", "extend", "clear", "index", "count"))
# Keras: a bound class method, or a function of Keras 2, that loads the archive that it is given, with safe_mode off.
_KERAS_LOADERS = re.compile(
    r"(?:keras|tf_keras|tensorflow\.python\.keras)(?:\.\w+)*:(?:\w+\._unpickle_model|deserialize_model_from_bytecode)"
)
# What calls its first argument, at once or later.
HOLDERS = frozenset({("functools", "partial"), ("_functools", "partial")})
PARTIALS = HOLDERS | {("dill._dill", "_create_array")}
# Text that a function could run, open or fetch.
_TELLING = re.compile(r"[/\\]|[()=;]|\bimport\b|\bfile:")
LOADERS = frozenset(
    (module, name)
    for modules, names in (
        ("pickle _pickle cPickle", "loads load _loads _load"),
        (
            "dill dill._dill cloudpickle cloudpickle.cloudpickle joblib joblib.numpy_pickle torch torch.serialization",
            "loads load",
        ),
        ("torch.storage", "_load_from_bytes"),
        ("pandas pandas.io.pickle numpy numpy.lib.npyio numpy.lib._npyio_impl", "read_pickle load"),
    )
    for module in modules.split()
    for name in names.split()
)


def call_ref(m: State, func: Ref, args: Any, offset: int) -> Any:
    """Note that `func` is called with `args`; the abstract value that the call returns."""
    func.called += 1
    if len(func.calls) < MAX_CALLS and func.called <= SHOWN_CALLS:
        text = show_call(func, args)
        if text not in func.calls:
            func.calls.append(text)
    key = (func.module, func.name)
    if key in DTYPES or key in ARRAY_WRAPPERS:
        m.heads = max(m.heads, STATE_HEADS)  # the state that follows decides how many raw bytes to pass over
        return Made(func, args)
    if type(args) is not tuple:
        func.unexplained += 1
        return func.made
    if func.carries != "" and carried.judge_call(func, args):
        m.binds = True
    elif m.binds:
        _give_bound(key, args)
    if (use := func.use) is None:
        use = func.use = uses.use_of(func.module, func.name) or False
    if use:
        use(m, func, args)
    if key in RECONSTRUCTORS and args and type(args[0]) is Ref and args[0].watch:
        args[0].allocated += 1
        return call_ref(m, args[0], args[1:], offset)
    if func.watch:
        m.heads = max(m.heads, STATE_HEADS)  # what is set on it is looked at
        evaluated.judge_call(func, args)
    if key in GETTERS or key in UFUNC_GETTERS:
        return _get(m, func, args, offset, attribute=key in GETTERS)
    if key in METHOD_GETTERS:
        return _method(m, func, args)
    partial = None
    if key in LOADERS:
        _load(m, func, args, offset)
    elif key in STREAMS and not args:
        return Made(func, args)  # its bytes are the state that follows
    elif key in BYTE_FILES and args and (type(args[0]) is bytes or type(args[0]) is Cut):
        return args[0]
    elif is_keras_loader(key):
        _keep(m, func, args, offset)
    elif key in ENCODERS and len(args) == 2 and type(args[0]) is str and args[1] in ("latin1", "latin-1"):
        return args[0].encode("latin-1", "replace")
    elif key in PARTIALS:
        hold(m, func, args[0] if args else None)
        if key in HOLDERS:
            partial = Made(func, args)
        elif args and type(args[0]) is Ref and (args[0].module, args[0].name) not in PARTIALS:
            call_ref(m, args[0], args[1] if len(args) > 1 else None, offset)  # with what follows, at once
    elif (made := exhaust.called(m, func, args)) is not None:
        return made
    else:
        _unlisted(m, func, args, offset)
    _give_unknown(func, args)
    if len(func.arguments) < MAX_ARGUMENTS:
        func.arguments += [item for item in args[:MAX_ARGUMENTS] if type(item) is Ref and item not in func.arguments]
    return partial or func.made


def _unlisted(m: State, func: Ref, args: tuple[Any, ...], offset: int) -> None:
    """What a function of no particular meaning here is given: telling text, and pickles that it may load."""
    for value in args[:MAX_ARGUMENTS]:
        if type(value) is str or (type(value) is Cut and value.kind == "str"):
            text = value.head.decode("utf-8", "replace") if isinstance(value, Cut) else value
            func.told = func.told or _TELLING.search(text) is not None
        elif type(value) is bytes or type(value) is Cut:
            head = value.head[:2] if isinstance(value, Cut) else value[:2]
            if len(head) == 2 and head[0] == 0x80 and head[1] <= 5:
                _load(m, func, (value,), offset, sure=False)
            else:
                m.look_inside(func, value, offset)


def _get(m: State, func: Ref, args: tuple[Any, ...], offset: int, *, attribute: bool) -> Any:
    """`getattr(Global, "name")` is `Global.name`; a ufunc is named by its module and name. Otherwise unexplained."""
    if attribute and len(args) >= 2 and type(args[0]) is Ref and type(args[1]) is str and args[0].resolved:
        return m.ref(args[0].module, f"{args[0].name}.{args[1]}", offset, via=f"{func.module}.{func.name}")
    if attribute and len(args) == 2 and _is_method(args[0], args[1]):
        func.bound = m.binds = True
        func.owners |= {args[0].ref} if type(args[0]) is Made else set()
        return func.made
    if not attribute and len(args) == 2 and type(args[0]) is str and type(args[1]) is str:
        return m.ref(args[0], args[1], offset, via=f"{func.module}.{func.name}")
    func.unexplained += 1
    return func.made


def _load(m: State, func: Ref, args: tuple[Any, ...], offset: int, *, sure: bool = True) -> None:
    """Follow a nested loader, or with `sure` off what may be one, into the bytes it is given, as far as at hand."""
    data = _data(args)
    where = f"{m.where}!{func.module}.{func.name}@{offset}"
    if type(data) is str:
        data = data.encode("latin-1", "replace")
    file: Any = None
    if type(data) is bytes:
        file = io.BytesIO(data)
    elif type(data) is Cut:
        file = Slice(m.src.file, data.offset, data.length)
    if file is None or not m.follow(file, where, sure=sure):
        func.unexplained += 1


def _data(args: tuple[Any, ...]) -> Any:
    """What a loader is given first: a constant, or the bytes that a stream was given as its state."""
    data = args[0] if args else None
    if type(data) is Made and (data.ref.module, data.ref.name) in STREAMS and type(data.state) is tuple and data.state:
        data = data.state[0]
    return data


def is_keras_loader(key: tuple[str, str]) -> bool:
    """Whether a name is Keras' own loader of the archive inside a pickled model."""
    return key[1].endswith(("_unpickle_model", "_bytecode")) and _KERAS_LOADERS.fullmatch(":".join(key)) is not None


def _keep(m: State, func: Ref, args: tuple[Any, ...], offset: int) -> None:
    """Remember the archive that Keras is given, which is read as a file of its own."""
    data = _data(args)
    where = f"{m.where}!{func.module}.{func.name}@{offset}"
    archive = type(data) is Cut and data.head.startswith(b"PK\x03\x04")
    if not archive or len(args) != 1 or not m.keep_file(data, where, "model.keras"):
        func.unexplained += 1


def hold(m: State, partial: Ref, held: Any) -> None:
    """Remember what a partial object holds: a function by its name, or a method fetched by its name."""
    m.heads = max(m.heads, STATE_HEADS)  # the state that follows is looked at
    if type(held) is Made and held.ref.bound and not held.ref.unexplained:
        partial.bound = m.binds = True
    elif type(held) is Ref:
        partial.held.add(held)
        partial.still |= held.still
        if uses.is_named(held.module, held.name):
            partial.evaluates = f"holds a call of {held.module}.{held.name}, which is safe in some uses only"
    else:
        partial.unexplained += 1


def held_call(partial: Made, args: Any) -> tuple[Ref, tuple[Any, ...]] | None:
    """What a call of a partial object calls: the function that it holds, with the arguments that it holds and `args`;
    None where one of them is not known."""
    if partial.state is not None:
        state = partial.state
    else:
        state = (partial.args[0], partial.args[1:], None) if partial.args else None
    if type(state) is not tuple or len(state) < 3 or type(state[0]) is not Ref or type(args) is not tuple:
        return None
    held, before, keywords = state[:3]
    if type(before) is not tuple or not (keywords is None or type(keywords) is dict):
        return None
    return held, (*before, *args, *([keywords] if keywords else []))


def _give_bound(key: tuple[str, str], args: tuple[Any, ...]) -> None:
    """A method fetched by its name is ordinary in an object's state, not as what a function is given to call; nor is a
    function that the file brings."""
    carried.give(args)
    if key in PARTIALS:
        args = args[1:]
    give_bound_in(args, 4)


def give_bound_in(items: Iterable[Any], depth: int) -> None:
    """Remember that methods fetched by name, or what nothing may call, among these or in what they hold, are given to
    what may call them."""
    for item in items:
        if type(item) is Ref and item.still:
            item.result_called = True
        elif type(item) is Made and (item.ref.bound or item.ref.still):
            item.ref.unexplained += item.ref.bound
            item.ref.result_called |= item.ref.still
        elif depth and type(item) in (tuple, list):
            give_bound_in(item, depth - 1)
        elif depth and type(item) is dict:
            give_bound_in(item.values(), depth - 1)


def _give_unknown(func: Ref, args: tuple[Any, ...]) -> None:
    """A function that no list knows, given to a function and to no class: that may call it, and is there for it."""
    last = func.name.rpartition(".")[2]
    if last[:1] == "_" or last[:1].isupper() or func.module in _TAKE_ANYTHING:  # rebuilders take classes
        return
    for item in args[:MAX_ARGUMENTS]:
        if type(item) is Ref and item.resolved and not item.name.rpartition(".")[2].lstrip("_")[:1].isupper():
            item.given.add(func)


def _is_method(held: Any, name: Any) -> bool:
    """Whether `name` is ordinary for a method of a list or dict, or of what a class of a library made by itself."""
    if type(held) in (list, dict) or held in (LIST, DICT, SET):
        return name in _OF_CONTAINERS
    owner = held.ref if type(held) is Made else None
    if (
        type(name) is not str
        or owner is None
        or owner.called == 0
        or owner.allocated != owner.called
        or not owner.resolved
    ):
        return False
    known = owner.module.partition(".")[0] not in STDLIB and "." not in owner.name
    return known and name.isidentifier() and not name.startswith("__") and name not in DANGEROUS_NAMES


def _method(m: State, func: Ref, args: tuple[Any, ...]) -> Any:
    """`attrgetter("name", …)` and `methodcaller("name")` of ordinary names make callables that do what those say."""
    names = args if func.name == "attrgetter" else args[:1]
    ordinary = bool(args) and all(_is_attribute(name) for name in names)
    if func.name == "methodcaller" and not all(_is_plain(item) for item in args[1:]):
        ordinary = False
    if ordinary:
        func.bound = m.binds = True
    else:
        func.unexplained += 1
    return func.made


def _is_attribute(name: Any) -> bool:
    if type(name) is not str or not name.replace(".", "_").isidentifier():
        return False
    parts = name.split(".")
    refused = DANGEROUS_NAMES if len(parts) == 1 else _NO_ATTRIBUTE
    return not any(part.startswith("_") or part in refused for part in parts)


def _is_plain(value: Any) -> bool:
    """A constant that names no file, code or address: no text of more than a letter."""
    return value is None or isinstance(value, (bool, int, Opaque)) or (type(value) is str and len(value) <= _SHORT)


class Slice(Window):
    """A window that leaves the file where it found it: the pickle around it is read on from there."""

    def read(self, size: int | None = -1) -> bytes:
        before = self._file.tell()
        try:
            return super().read(size)
        finally:
            self._file.seek(before)
