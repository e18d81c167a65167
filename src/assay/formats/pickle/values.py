"""The abstract values on the machine's stack, and how a call with constant arguments is shown."""

from __future__ import annotations

from typing import Any

from assay.formats.texts.secrets import without_secrets

KEEP_TEXT = 256
KEEP_BYTES = 1 << 16
HEAD_ITEMS = 8
HEAD_KEYS = 32
MAX_CALLS = 4
SHOW_ARG = 120
SHOW_CALL = 240


class Opaque:
    """A value of which only the kind matters: a float, a set, a persistent object."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


FLOAT = Opaque("float")
SET = Opaque("set")
FROZENSET = Opaque("frozenset")
LIST = Opaque("list")
DICT = Opaque("dict")
TUPLE = Opaque("tuple")
BUFFER = Opaque("buffer")
BIG_INT = Opaque("int")
PERSISTENT = Opaque("persistent object")


class Cut:
    """A long text or byte constant: its kind ("str" or "bytes"), length in bytes, head and offset in the stream."""

    __slots__ = ("head", "kind", "length", "offset")

    def __init__(self, kind: str, length: int, head: bytes, offset: int) -> None:
        self.kind, self.length, self.head, self.offset = kind, length, head, offset


class Ref:
    """An imported global, with what the pickle does to it. One per (module, name) and pickle.

    `unexplained` counts the calls of an attribute getter or nested loader whose result is not known from constants;
    `allocated` counts those that only make an instance (NEWOBJ), `told` is set once a call is given text that looks
    like code, a path or an address. `bound` says that it gave a method by its name, `owners` of what; `watch` is how
    its arguments or state must be looked at (see evaluated.py), `evaluates` what they would have it run. `given` are
    the functions that it is given to, `held` those that a partial object of it holds. `still` says that it is, or that
    a partial object of it holds, a function that is safe as long as nothing calls it.
    """

    __slots__ = (
        "allocated",
        "arguments",
        "bound",
        "built",
        "called",
        "calls",
        "carries",
        "evaluates",
        "given",
        "held",
        "made",
        "module",
        "name",
        "offset",
        "owners",
        "patched",
        "resolved",
        "result_called",
        "sizes",
        "still",
        "told",
        "unexplained",
        "use",
        "via",
        "watch",
        "why",
    )  # fmt: skip

    def __init__(
        self, module: str, name: str, offset: int, *, resolved: bool = True, why: str = "", via: str = ""
    ) -> None:
        self.module, self.name, self.offset = module, name, offset
        self.resolved, self.why, self.via = resolved, why, via
        self.called = self.unexplained = self.allocated = 0
        self.told = self.bound = False
        self.given: set[Ref] = set()
        self.held: set[Ref] = set()
        self.still = False
        self.watch = self.evaluates = ""
        self.carries: Any = None  # how it makes functions of the file's bytes, "" for not (see carried.py)
        self.use: Any = None  # how its calls must be looked at, False for no such way (see uses.py)
        self.sizes: Any = None  # the rule for what its calls ask for, False for none (see exhaust_sizes.py)
        self.owners: set[Ref] = set()
        self.calls: list[str] = []
        self.arguments: list[Ref] = []
        self.built = self.patched = self.result_called = False
        self.made = Made(self)


class Made:
    """What a call of `ref` returned. One for all calls, except where arguments and state decide how to read on."""

    __slots__ = ("args", "ref", "state")

    def __init__(self, ref: Ref, args: Any = None) -> None:
        self.ref, self.args = ref, args
        self.state: Any = None


NESTS = frozenset({tuple, list, dict, Made})
_FLAT: dict[type, Opaque] = {tuple: TUPLE, list: LIST, dict: DICT}


def flat(value: Any) -> Any:
    """What stands for one of NESTS inside another where no more of them are kept: its kind alone."""
    return value.ref.made if type(value) is Made else _FLAT[type(value)]


def show_call(ref: Ref, args: Any) -> str:
    """`os.system('id')`: the name with its constant arguments, at most 240 characters, likely secrets taken out."""
    inner = ", ".join(_show(item, 2) for item in args) if type(args) is tuple else _show(args, 2)
    text = without_secrets(f"{ref.module}.{ref.name}({inner})")
    return text if len(text) <= SHOW_CALL else text[: SHOW_CALL - 2] + "…)"


def _show(value: Any, depth: int) -> str:
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return repr(value) if kind is not int or value.bit_length() < 200 else "<int>"
    if kind is str or kind is bytes:
        # Before it is cut and quoted: half a token, or one behind a backslash, is no longer known for one.
        value = without_secrets(value) if kind is str else without_secrets(value.decode("latin-1")).encode("latin-1")
        return repr(value) if len(value) <= SHOW_ARG else repr(value[:SHOW_ARG])[:-1] + "…'"
    if kind is Cut:
        return f"<{value.kind} of {value.length} bytes>"
    if kind is Ref:
        return f"{value.module}.{value.name}"
    if kind is Made:
        return f"<result of {value.ref.module}.{value.ref.name}>"
    if kind is Opaque:
        return f"<{value.kind}>"
    if depth == 0:
        return "…"
    if kind is tuple or kind is list:
        inner = ", ".join(_show(item, depth - 1) for item in value[:HEAD_ITEMS])
        return f"({inner})" if kind is tuple else f"[{inner}]"
    if kind is dict:
        return "{" + ", ".join(f"{key!r}: {_show(item, depth - 1)}" for key, item in list(value.items())[:4]) + "}"
    return f"<{kind.__name__}>"
