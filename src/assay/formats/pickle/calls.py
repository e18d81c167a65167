"""What particular calls mean: attribute getters resolved, nested loaders followed, array wrappers remembered."""

from __future__ import annotations

import io
import re
from typing import Any

from assay.formats.pickle.joblib_arrays import ARRAY_WRAPPERS, DTYPES
from assay.formats.pickle.state import State
from assay.formats.pickle.values import MAX_CALLS, Cut, Made, Ref, show_call
from assay.formats.stream import Window

MAX_ARGUMENTS = 16
STATE_HEADS = 64
SHOWN_CALLS = 200  # calls whose arguments are put into words, in search of different ones

GETTERS = frozenset({("builtins", "getattr"), ("__builtin__", "getattr")})
UFUNC_GETTERS = frozenset(
    {("numpy.core", "_ufunc_reconstruct"), ("numpy._core", "_ufunc_reconstruct"), ("numpy", "_ufunc_reconstruct")}
)
BYTE_FILES = frozenset({("io", "BytesIO"), ("_io", "BytesIO"), ("builtins", "bytes"), ("builtins", "bytearray")})
ENCODERS = frozenset({("_codecs", "encode"), ("codecs", "encode")})
# What calls its first argument, at once or later.
PARTIALS = frozenset({("functools", "partial"), ("_functools", "partial"), ("dill._dill", "_create_array")})
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
    if key in GETTERS or key in UFUNC_GETTERS:
        return _get(m, func, args, offset, attribute=key in GETTERS)
    if key in LOADERS:
        _load(m, func, args, offset)
    elif key in BYTE_FILES and args and (type(args[0]) is bytes or type(args[0]) is Cut):
        return args[0]
    elif key in ENCODERS and len(args) == 2 and type(args[0]) is str and args[1] in ("latin1", "latin-1"):
        return args[0].encode("latin-1", "replace")
    elif key in PARTIALS and not (args and type(args[0]) is Ref):
        func.unexplained += 1
    else:
        _unlisted(m, func, args, offset)
    if len(func.arguments) < MAX_ARGUMENTS:
        func.arguments += [item for item in args[:MAX_ARGUMENTS] if type(item) is Ref and item not in func.arguments]
    return func.made


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


def _get(m: State, func: Ref, args: tuple[Any, ...], offset: int, *, attribute: bool) -> Any:
    """`getattr(Global, "name")` is `Global.name`; a ufunc is named by its module and name. Otherwise unexplained."""
    if attribute and len(args) >= 2 and type(args[0]) is Ref and type(args[1]) is str and args[0].resolved:
        return m.ref(args[0].module, f"{args[0].name}.{args[1]}", offset, via=f"{func.module}.{func.name}")
    if not attribute and len(args) == 2 and type(args[0]) is str and type(args[1]) is str:
        return m.ref(args[0], args[1], offset, via=f"{func.module}.{func.name}")
    func.unexplained += 1
    return func.made


def _load(m: State, func: Ref, args: tuple[Any, ...], offset: int, *, sure: bool = True) -> None:
    """Follow a nested loader, or with `sure` off what may be one, into the bytes it is given, as far as at hand."""
    data = args[0] if args else None
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


class Slice(Window):
    """A window that leaves the file where it found it: the pickle around it is read on from there."""

    def read(self, size: int | None = -1) -> bytes:
        before = self._file.tell()
        try:
            return super().read(size)
        finally:
            self._file.seek(before)
