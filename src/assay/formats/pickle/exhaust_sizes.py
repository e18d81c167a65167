"""Known-safe names whose constant arguments ask for memory or time out of all proportion to the pickle's own bytes.

Each rule gives the size that a call comes to (items, bytes or digits) and, where that is spent at once, what to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from typing import Any

from assay.formats.pickle.state import State
from assay.formats.pickle.values import Cut, Made, Ref

MANY = 1 << 28  # items or bytes: more than any constant, count or size in an honest call of these
MOST_DIGITS = 4_000_000  # of a number made from the exponent in a short text
_MOST_DECIMAL = 200_000  # digits of a text that `int` reads in a time that grows with their square
_LINEAR_BASES = frozenset({2, 4, 8, 16, 32})
_EXPONENT = re.compile(r"[0-9._]e([+-]?[0-9_]{1,20})\s*$", re.IGNORECASE)
_WIDTH = re.compile(r"[|<>=]?[SVUa](\d{1,20})")
_MASK = re.compile(r"/(\d{1,3})$")
_MOST_PARTS = 10_000
_MOST_SHOWN = 1 << 24  # parts that a text or array of lists in lists is made of


def exponent(m: State, func: Ref, args: tuple[Any, ...]) -> Made | None:
    """`Fraction("1e999999999")`: a number of so many digits. A Decimal keeps its exponent until it is made a whole."""
    text = args[0] if args and type(args[0]) is str else ""
    found = _EXPONENT.search(text)
    if found is None or abs(int(found[1])) < MOST_DIGITS:
        return whole(m, func, args) if func.name == "Fraction" else None
    if func.name == "Decimal":
        return Made(func, MANY)
    m.say("exponent", f"computes a number of {abs(int(found[1])):,} digits")
    return None


def whole(m: State, func: Ref, args: tuple[Any, ...]) -> Made | None:
    """A whole number of a Decimal of a huge exponent, or of a decimal text of very many digits."""
    first = args[0] if args else None
    if type(first) is Made and first.ref.name == "Decimal" and first.args == MANY:
        m.say("exponent", f"computes a number of more than {MOST_DIGITS:,} digits")
    length = first.length if type(first) is Cut else 0
    linear = len(args) > 1 and type(args[1]) is int and args[1] in _LINEAR_BASES
    if length >= _MOST_DECIMAL and func.name == "int" and not linear:
        m.say("digits", f"computes a number from a text of {length:,} digits")
    return None


def shaped(m: State, func: Ref, args: tuple[Any, ...]) -> Made | None:
    """An array or tensor that is made of a shape alone, or a storage of a size, with no bytes behind it."""
    name, module = func.name, func.module
    if name == "_reconstruct":
        args = args[1:]
    wide = 1
    numbers: list[int] = []
    for item in args[:8]:
        if type(item) is int:
            numbers.append(item)
        elif type(item) is tuple and item and all(type(part) is int for part in item):
            numbers += item
        elif type(item) is Made and item.ref.name == "dtype" and type(item.args) is tuple and item.args:
            wide = _width(item.args[0])
        elif type(item) is str:
            wide = _width(item)
    if module.startswith("numpy") and type(args[0] if args else None) is tuple:
        numbers = list(args[0]) if all(type(part) is int for part in args[0]) else numbers
    elif module.startswith("scipy"):
        numbers = [max(numbers, default=0)]
    asked = prod(numbers) * wide if numbers and all(number > 0 for number in numbers) else 0
    spend(m, func, asked, f"makes {module}.{name} of {asked:,} items or bytes that are not in the file")
    return None


def _width(dtype: Any) -> int:
    found = _WIDTH.match(dtype) if type(dtype) is str else None
    return max(1, int(found[1])) if found else 1


def spend(m: State, func: Ref, asked: int, message: str) -> None:
    """Note a call that asks for too much, or that is one too many of those that ask for much."""
    m.asked += asked
    if asked >= MANY:
        m.say(f"size {func.name}", message)
    elif m.asked >= 4 * MANY:
        m.say("sizes", f"asks for {m.asked:,} items or bytes that are not in the file, call by call")


def network(m: State, func: Ref, args: tuple[Any, ...]) -> Made | None:
    """An IP network, which gives as many addresses as its mask leaves."""
    found = _MASK.search(args[0]) if args and type(args[0]) is str else None
    bits = (32 if "4" in func.name else 128) - int(found[1]) if found else 0
    return Made(func, 1 << bits) if 28 <= bits <= 128 else None


def indexed(m: State, func: Ref, args: tuple[Any, ...]) -> Made | None:
    """A RangeIndex, which is as long as its numbers say."""
    numbers = [item for item in args[:3] if type(item) is int]
    if not numbers or abs(max(numbers, key=abs)) >= 1 << 62 or numbers[2:] == [0]:
        return None
    return Made(func, len(range(*numbers)))


def repeated(m: State, func: Ref, args: tuple[Any, ...]) -> Made | None:
    """A row repeated by a number: as long as both say, however often that is done."""
    if len(args) != 2:
        return None
    count = next((item for item in args if type(item) is int), None)
    row = next((item for item in args if type(item) is not int), None)
    if count is None or row is None or count < 0:
        return None
    length = count * max(1, size(row))
    if length >= MANY:
        m.say("repeated", f"repeats a value until it has {length:,} parts")
    return Made(func, min(length, 1 << 62))


def powered(m: State, func: Ref, args: tuple[Any, ...]) -> Made | None:
    """A power: as many binary digits as its base has, times the exponent."""
    if len(args) != 2 or type(args[1]) is not int or args[1] <= 0:
        return None
    base = args[0]
    digits = args[1] * (
        base.bit_length() if type(base) is int and abs(base) > 1 else size(base) if type(base) is Made else 0
    )
    if digits >= MANY:
        m.say("power", f"computes a power of {digits:,} binary digits")
    return Made(func, min(digits, 1 << 62)) if digits > 1 << 16 else None


def zipped(m: State, func: Ref, args: tuple[Any, ...]) -> Made | None:
    """Rows zipped: as long as the shortest of them."""
    length = min((size(item) for item in args), default=0)
    return Made(func, length) if length >= MANY else None


def size(value: Any) -> int:
    """How many parts a value is known to have; 0 where that is not known."""
    if type(value) is Made:
        return value.args if type(value.args) is int else 0
    if type(value) in (str, bytes, list, tuple):
        return len(value)
    return value.length if type(value) is Cut else 0


def unfolded(m: State, func: Ref, args: tuple[Any, ...]) -> None:
    """Lists in lists that hold themselves again and again, made into a text or an array: each is gone through."""
    for root in args[:4]:
        if type(root) not in (list, tuple) or not any(type(part) in (list, tuple) and part for part in root):
            continue
        if _visits(m, root) > _MOST_SHOWN:
            m.say("unfolded", f"has {func.module}.{func.name} go through lists that hold themselves again and again")
            return


def _visits(m: State, root: Any) -> int:
    """How many lists and tuples going through `root` comes to. From the inside out, no recursion."""
    known: dict[int, int] = {}
    opened: set[int] = set()
    waiting = [root]
    while waiting and len(known) < _MOST_PARTS and m.hash_left > 0:
        m.hash_left -= 1
        item = waiting[-1]
        inner = [part for part in item if type(part) in (list, tuple)]
        missing = [part for part in inner if id(part) not in known and id(part) not in opened]
        if missing:
            opened.add(id(item))
            waiting += missing
            continue
        waiting.pop()
        known[id(item)] = min(1 + sum(known.get(id(part), 1) for part in inner), 1 << 62)
    return known.get(id(root), 0)


Rule = Callable[[State, Ref, tuple[Any, ...]], Made | None]
_NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core._multiarray_umath")
_BUILTIN_RULES: dict[str, Rule] = {"int": whole, "round": whole, "zip": zipped, "pow": powered}
RULES: dict[tuple[str, str], Rule] = {
    ("fractions", "Fraction"): exponent,
    ("decimal", "Decimal"): exponent,
    **{(module, name): shaped for module in (*_NUMPY, "numpy._core._multiarray_umath") for name in ("ndarray", "void")},
    **{(module, "_reconstruct"): shaped for module in (*_NUMPY, "numpy._core._multiarray_umath")},
    **{("numpy", name): shaped for name in ("recarray", "zeros", "ones", "empty", "full")},
    **{("ipaddress", f"IPv{kind}Network"): network for kind in (4, 6)},
    ("pandas", "RangeIndex"): indexed,
    ("pandas.core.indexes.range", "RangeIndex"): indexed,
    **{(module, name): repeated for module in ("operator", "_operator") for name in ("mul", "imul")},
    **{(module, name): powered for module in ("operator", "_operator") for name in ("pow", "ipow")},
    **{(module, name): rule for module in ("builtins", "__builtin__") for name, rule in _BUILTIN_RULES.items()},
}
_UNFOLD = frozenset({"str", "repr", "UserString", "array", "asarray", "matrix", "max", "min", "sorted", "sum", "hash"})


def rule_of(module: str, name: str) -> Rule | None:
    """The rule for calls of a name, None for one that asks for nothing by its arguments."""
    rule = RULES.get((module, name))
    if rule is not None:
        return rule
    if module.startswith("torch") and (name.endswith(("Storage", "Tensor")) or module.startswith("torch.nn.modules.")):
        return shaped
    return shaped if module.startswith("scipy.sparse") else None


def unfolds(module: str, name: str) -> bool:
    """Whether a call goes through all that the lists which it is given hold."""
    if name in _UNFOLD or (module == "torch" and name.endswith("Tensor")):
        return module.startswith(("builtins", "__builtin__", "collections", "numpy", "torch"))
    return module.startswith("pandas") and name in ("DataFrame", "Series", "Index")
