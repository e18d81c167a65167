"""What takes all memory or never ends while a pickle is loaded, with nothing but known-safe names, or none at all.

Sources: CPython gh-115952 (memo indexes allocate), and the semantics of the built-ins named here.
"""

from __future__ import annotations

from typing import Any

from assay.formats.pickle.exhaust_sizes import MANY, rule_of, size, spend, unfolded, unfolds
from assay.formats.pickle.state import State
from assay.formats.pickle.values import Made, Ref

FAR = 1 << 24  # memo indexes: 128 MB of pointers
DEEP = 24  # tuples in tuples; below it nothing can double often enough
MOST_HASHES = 1 << 26
MOST_LOOKED_AT = 2_000_000
_UNSEEN = f"hashes more than {MOST_LOOKED_AT:,} tuples in tuples"
_MOST_PARTS = 10_000
_ENDLESS = frozenset({"count", "cycle", "repeat"})
# Pass on what they are given, one by one and only when asked.
_LAZY = frozenset({"chain", "cycle", "enumerate", "iter", "map", "filter", "islice", "reversed", "partial", "zip"})
_BUILTINS = ("builtins", "__builtin__")
_TAKE_ALL = frozenset(
    ("list", "tuple", "set", "frozenset", "dict", "bytes", "bytearray", "sum", "max", "min", "sorted", "any", "all")
)
_TAKERS = ("collections", "array", "math", "statistics", "numpy", "torch", "pandas")
_KEEP = frozenset({"list", "tuple", "bytes", "bytearray", "array", "deque"})
_MAKERS = ("copyreg", "copy_reg")
_SIZED = frozenset({"bytes", "bytearray"})
_SETS = frozenset({"set", "frozenset"})
_SPACES = frozenset({"linspace", "logspace", "geomspace"})


def memo_index(m: State, index: int, opcodes: int) -> None:
    """A memo index far beyond the number of values that the pickle can have made: the table is grown up to it."""
    if index >= FAR and index > 16 * opcodes:
        m.say("memo", f"stores a value under the memo index {index:,}, for which a loader may reserve all memory")


def hashed(m: State, keys: list[Any]) -> None:
    """Keys of a dict or items of a set that hold themselves so often that hashing them never ends."""
    for key in keys:
        if type(key) is not tuple or not any(type(p) is tuple and _holds_tuples(p) for p in key):
            continue
        if m.hash_left <= 0:
            if not any(note.startswith(_UNSEEN) for note in m.notes):
                m.notes.append(f"{_UNSEEN}, of which the rest were not looked at")
            return
        if _hashes(m, key) > MOST_HASHES:
            m.say("hash", "hashes a tuple that holds itself again and again, which never ends")
            return


def _holds_tuples(value: tuple[Any, ...]) -> bool:
    return any(type(part) is tuple for part in value)


def _hashes(m: State, root: tuple[Any, ...]) -> int:
    """How many tuples hashing `root` goes through: each as often as it is held. From the inside out, no recursion."""
    known: dict[int, int] = {}
    waiting: list[tuple[Any, ...]] = [root]
    while waiting and len(known) < _MOST_PARTS:
        m.hash_left -= 1
        item = waiting[-1]
        inner = [part for part in item if type(part) is tuple]
        missing = [part for part in inner if id(part) not in known]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        known[id(item)] = min(1 + sum(known[id(part)] for part in inner), 1 << 62)
    return known.get(id(root), 0)


def called(m: State, func: Ref, args: tuple[Any, ...]) -> Made | None:
    """Note a call that exhausts memory or never ends; an object of its own where what it returns has a length."""
    module, name = func.module, func.name
    if module in _MAKERS and args and type(args[0]) is Ref:  # NEWOBJ by its function
        return called(m, args[0], args[2:] if name == "_reconstructor" else args[1:])
    if (rule := func.sizes) is None:
        rule = func.sizes = rule_of(module, name) or False
    made: Made | None = rule(m, func, args) if rule else None
    if made is not None:
        return made
    if unfolds(module, name):
        unfolded(m, func, args)
    if name in ("range", "xrange") and module in _BUILTINS:
        return Made(func, _span(args)) if args else None
    if module == "itertools" and name in _ENDLESS:
        bounded = name == "repeat" and len(args) > 1
        return Made(func, args[1] if bounded and type(args[1]) is int else 0 if bounded else MANY)
    longest = max((_length(item) for item in args), default=0)
    if name in _LAZY:
        return Made(func, longest) if longest and name != "zip" else None
    numbers = [item for item in args if type(item) is int]
    takes = name in _TAKE_ALL if module in _BUILTINS else module.startswith(_TAKERS)
    if longest and takes:
        if longest >= MANY:
            m.say(f"endless {func.name}", f"has {module}.{name} take an endless or huge row of numbers to its end")
        else:
            spend(m, func, longest, "")
        return Made(func, longest) if name in _KEEP else None
    if module in _BUILTINS and name in _SIZED and len(args) == 1 and numbers and numbers[0] > 0:
        spend(m, func, numbers[0], f"makes {module}.{name} of {numbers[0]:,} bytes")
        return Made(func, min(numbers[0], 1 << 62))
    if name in _SPACES and module.startswith("numpy") and len(numbers) > 2:
        spend(m, func, max(0, numbers[2]), f"makes an array of {numbers[2]:,} numbers")
    elif name in _SETS and module in _BUILTINS and args and type(args[0]) in (list, tuple) and m.tupled >= DEEP:
        hashed(m, list(args[0]))
    return None


def _span(args: tuple[Any, ...]) -> int:
    """How many numbers a range has; 0 where that is not known."""
    if not 1 <= len(args) <= 3 or any(type(item) is not int for item in args):
        return 0
    return len(range(*args)) if abs(max(args, key=abs)) < 1 << 62 and args[2:] != (0,) else MANY


def _length(value: Any) -> int:
    """The length of what `called` made; 0 for anything else."""
    return size(value) if type(value) is Made else 0
