"""The meaning of each pickle opcode on abstract values, as a table of 256 small handlers.

A handler takes the machine and the position after its opcode, and returns the position after its operand. The semantics
are those of CPython's C unpickler (Modules/_pickle.c); where the pure Python one goes on and C does not, or the
reverse, the handler goes on, so that whatever either of them would import is seen.
"""

from __future__ import annotations

from struct import unpack_from
from typing import Any

from assay.formats.pickle import carried, evaluated, exhaust, leaks, uses
from assay.formats.pickle.calls import give_bound_in, hold
from assay.formats.pickle.constants import CONSTANT_OPCODES
from assay.formats.pickle.source import Torn
from assay.formats.pickle.state import Handler, State
from assay.formats.pickle.values import (
    DICT,
    FROZENSET,
    HEAD_ITEMS,
    HEAD_KEYS,
    LIST,
    NESTS,
    PERSISTENT,
    SET,
    Cut,
    Made,
    Ref,
    flat,
)

# Attributes of what a pickle makes that the unpickler itself looks up on it and calls.
_CALLED_BY_LOADERS = ("append", "extend", "add", "__setstate__", "__setitem__", "__reduce__", "__reduce_ex__")
# What the state of a function holds, cloudpickle's and dill's alike.
_OF_FUNCTIONS = frozenset(
    (
        *("__closure__", "__globals__", "__name__", "__doc__", "__annotations__", "__kwdefaults__", "__defaults__"),
        *("__module__", "__dict__", "__qualname__", "__package__", "__file__", "__path__", "__type_params__"),
    )
)


def _bad_opcode(m: State, pos: int) -> int:
    raise Torn(f"byte {m.src.buf[pos - 1]:#04x} at {m.src.base + pos - 1} is no opcode")


def _proto(m: State, pos: int) -> int:
    version = m.src.buf[pos]
    if version > 5:
        raise Torn(f"protocol {version} at byte {m.src.base + pos} is unknown")
    m.protocol = max(m.protocol, version)
    return pos + 1


def _frame(m: State, pos: int) -> int:
    (size,) = unpack_from("<Q", m.src.buf, pos)
    m.frame_end = m.src.base + pos + 8 + size
    return pos + 8


# --- containers
# --------------------------------------------------------------------------------------------------------


def _mark(m: State, pos: int) -> int:
    m.meta.append(m.stack)
    m.buried += len(m.stack)
    m.stack = []
    return pos


def _tuple(m: State, pos: int) -> int:
    items = m.pop_mark()
    m.stack.append(tuple([_inside(m, item) for item in items[: 4 * HEAD_ITEMS]]))
    return pos


def _inside(m: State, value: Any) -> Any:
    """A value as part of another: itself, or only its kind once the machine holds too many such parts."""
    if type(value) not in NESTS:
        return value
    m.links -= 1
    m.tupled += type(value) is tuple
    return value if m.links > 0 else flat(value)


def _tuple1(m: State, pos: int) -> int:
    stack = m.stack
    stack[-1] = (_inside(m, stack[-1]),)
    return pos


def _tuple2(m: State, pos: int) -> int:
    stack = m.stack
    last = stack.pop()
    stack[-1] = (_inside(m, stack[-1]), _inside(m, last))
    return pos


def _tuple3(m: State, pos: int) -> int:
    stack = m.stack
    third, second = stack.pop(), stack.pop()
    stack[-1] = (_inside(m, stack[-1]), _inside(m, second), _inside(m, third))
    return pos


def _empty_list(m: State, pos: int) -> int:
    m.heads -= 1
    m.stack.append([] if m.heads > 0 else LIST)
    return pos


def _empty_dict(m: State, pos: int) -> int:
    m.heads -= 1
    m.stack.append({} if m.heads > 0 else DICT)
    return pos


def _list(m: State, pos: int) -> int:
    items = m.pop_mark()
    m.heads -= 1
    m.stack.append([_inside(m, item) for item in items[:HEAD_ITEMS]] if m.heads > 0 else LIST)
    return pos


def _dict(m: State, pos: int) -> int:
    items = m.pop_mark()
    head: dict[str, Any] = {}
    _look_at(m, items)
    m.heads -= 1
    if m.heads > 0:
        _keep_pairs(m, head, items)
    m.stack.append(head if m.heads > 0 else DICT)
    return pos


def _keep_pairs(m: State, target: dict[str, Any], items: list[Any]) -> None:
    for i in range(0, len(items) - 1, 2):
        if type(items[i]) is str:
            if len(target) >= HEAD_KEYS and items[i] not in target:
                return
            target[items[i]] = _inside(m, items[i + 1])
        elif type(items[i]) in (Made, Cut) or items[i] is PERSISTENT:
            target[evaluated.COMPUTED_KEY] = None


def _look_at(m: State, items: list[Any]) -> None:
    """What keys and values of a dict say besides: secrets, and keys that are never hashed to their end."""
    if m.pairs > 0:
        leaks.pairs(m, items)
    if m.binds:
        called = [items[at + 1] for at in range(0, len(items) - 1, 2) if _is_called(items[at])]
        give_bound_in(called, 1)
        carried.give(called, 1)
    if m.tupled >= exhaust.DEEP:
        exhaust.hashed(m, items[::2])


def _is_called(key: Any) -> bool:
    """Whether the unpickler, or any object, calls what stands under this key, or it is not known which key it is."""
    if type(key) is str:
        return key in _CALLED_BY_LOADERS or (key[:2] == "__" and key[-2:] == "__" and key not in _OF_FUNCTIONS)
    return type(key) in (Made, Cut)


def _frozenset(m: State, pos: int) -> int:
    items = m.pop_mark()
    if m.tupled >= exhaust.DEEP:
        exhaust.hashed(m, items)
    m.stack.append(FROZENSET)
    return pos


def _append(m: State, pos: int) -> int:
    item = m.stack.pop()
    _extend(m, [item])
    return pos


def _appends(m: State, pos: int) -> int:
    items = m.pop_mark()
    _extend(m, items)
    return pos


def _extend(m: State, items: list[Any]) -> None:
    target = m.stack[-1]
    if m.binds and not (type(target) is list and len(target) + len(items) <= HEAD_ITEMS):
        if type(target) is Made:
            carried.give(items, 1)
        give_bound_in(items, 1)  # what is not kept cannot be seen where the list is given away
    if target is SET and m.tupled >= exhaust.DEEP:
        exhaust.hashed(m, items)
    if type(target) is list:
        if len(target) < HEAD_ITEMS:
            target.extend([_inside(m, item) for item in items[: HEAD_ITEMS - len(target)]])
    elif type(target) is Ref:
        target.patched = True


def _setitem(m: State, pos: int) -> int:
    value, key = m.stack.pop(), m.stack.pop()
    _update(m, [key, value])
    return pos


def _setitems(m: State, pos: int) -> int:
    items = m.pop_mark()
    _update(m, items)
    return pos


def _update(m: State, items: list[Any]) -> None:
    target = m.stack[-1]
    _look_at(m, items)
    if type(target) is dict:
        _keep_pairs(m, target, items)
    elif type(target) is Ref:
        target.patched = True


# --- stack and memo
# ----------------------------------------------------------------------------------------------------


def _pop(m: State, pos: int) -> int:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()
    return pos


def _pop_mark(m: State, pos: int) -> int:
    m.pop_mark()
    return pos


def _readonly(m: State, pos: int) -> int:
    m.stack[-1]  # an empty stack stops CPython too
    return pos


def _dup(m: State, pos: int) -> int:
    m.stack.append(m.stack[-1])
    return pos


def _memoize(m: State, pos: int) -> int:
    m.put(len(m.memo) + len(m.sparse), m.stack[-1])
    return pos


def _put_line(m: State, pos: int) -> int:
    line, pos = m.src.line(pos)
    index = m.number(line, 10)
    if index < 0:
        raise Torn(f"a PUT before byte {m.src.base + pos} has a negative index")
    m.put(index, m.stack[-1])
    return pos


def _get_line(m: State, pos: int) -> int:
    line, pos = m.src.line(pos)
    m.stack.append(m.get(m.number(line, 10)))
    return pos


def _binput(m: State, pos: int) -> int:
    m.put(m.src.buf[pos], m.stack[-1])
    return pos + 1


def _long_binput(m: State, pos: int) -> int:
    m.put(unpack_from("<I", m.src.buf, pos)[0], m.stack[-1])
    return pos + 4


def _binget(m: State, pos: int) -> int:
    m.stack.append(m.get(m.src.buf[pos]))
    return pos + 1


def _long_binget(m: State, pos: int) -> int:
    m.stack.append(m.get(unpack_from("<I", m.src.buf, pos)[0]))
    return pos + 4


# --- names and calls
# ---------------------------------------------------------------------------------------------------


def _names(m: State, pos: int) -> tuple[str, str, int, int]:
    start = m.src.base + pos - 1
    module, pos = m.src.line(pos)
    name, pos = m.src.line(pos)
    return module.decode(), name.decode(), start, pos


def _global(m: State, pos: int) -> int:
    module, name, start, pos = _names(m, pos)
    m.stack.append(m.ref(module, name, start))
    return pos


def _stack_global(m: State, pos: int) -> int:
    name, module = m.stack.pop(), m.stack.pop()
    m.stack.append(m.dynamic_ref(module, name, m.src.base + pos - 1))
    return pos


def _inst(m: State, pos: int) -> int:
    module, name, start, pos = _names(m, pos)
    ref = m.ref(module, name, start)
    args = m.pop_mark()
    m.stack.append(m.call(ref, tuple(args[: 4 * HEAD_ITEMS]), start))
    return pos


def _obj(m: State, pos: int) -> int:
    args = m.pop_mark()
    cls = args.pop(0)
    m.stack.append(m.call(cls, tuple(args[: 4 * HEAD_ITEMS]), m.src.base + pos - 1))
    return pos


def _reduce(m: State, pos: int) -> int:
    args = m.stack.pop()
    m.stack[-1] = m.call(m.stack[-1], args, m.src.base + pos - 1)
    return pos


def _newobj(m: State, pos: int) -> int:
    if type(m.stack[-2]) is Ref:
        m.stack[-2].allocated += 1
    return _reduce(m, pos)


def _newobj_ex(m: State, pos: int) -> int:
    keywords, args = m.stack.pop(), m.stack.pop()
    if type(args) is tuple and type(keywords) is dict and keywords:
        args = (*args, keywords)
        if type(m.stack[-1]) is Ref:
            uses.judge_state(m.stack[-1], keywords)
    m.stack[-1] = m.call(m.stack[-1], args, m.src.base + pos - 1)
    return pos


def _build(m: State, pos: int) -> int:
    state = m.stack.pop()
    inst = m.stack[-1]
    if type(inst) is Made:
        ref = inst.ref
        ref.built = True
        if ref.name == "partial":  # the state replaces the callable that it holds, and what it is called with
            hold(m, ref, state[0] if type(state) is tuple and state else None)
            if m.binds and type(state) is tuple:
                give_bound_in(state[1:], 4)
                carried.give(state)
        if ref.watch:
            evaluated.judge_state(m, ref, state)
        uses.judge_state(ref, state)
        if type(state) is bytes or type(state) is Cut:
            m.look_inside(ref, state, m.src.base + pos - 1)
        if inst.args is not None:
            return m.build_special(inst, state, pos)
    elif type(inst) is Ref:
        inst.patched = True
    elif inst is PERSISTENT:
        m.foreign("persistent object", m.src.base + pos - 1).built = True
    return pos


def _ext(form: str, width: int) -> Handler:
    def handler(m: State, pos: int) -> int:
        (code,) = unpack_from(form, m.src.buf, pos)
        if code <= 0:
            raise Torn(f"extension code {code} at byte {m.src.base + pos} is not valid")
        why = "the extension registry of the loading process decides what this is"
        m.stack.append(m.ref("copyreg extension", str(code), m.src.base + pos - 1, resolved=False, why=why))
        return pos + width

    return handler


def _persid_line(m: State, pos: int) -> int:
    _, pos = m.src.line(pos)
    m.persistent_ids += 1
    m.stack.append(PERSISTENT)
    return pos


def _binpersid(m: State, pos: int) -> int:
    """A persistent id. Torch's old form names a module's class in it, which its loader gives back as it is."""
    name = m.stack[-1]
    is_class = type(name) is tuple and len(name) > 1 and name[0] == "module" and type(name[1]) is Ref
    m.stack[-1] = name[1] if is_class else PERSISTENT
    m.persistent_ids += 1
    return pos


_BY_OPCODE: dict[str, Handler] = CONSTANT_OPCODES | {
    "(": _mark, "0": _pop, "1": _pop_mark, "2": _dup, "R": _reduce, "P": _persid_line, "Q": _binpersid,
    "a": _append, "b": _build, "c": _global, "d": _dict, "}": _empty_dict, "e": _appends, "i": _inst, "l": _list,
    "]": _empty_list, "o": _obj, "s": _setitem, "t": _tuple, "u": _setitems,
    "g": _get_line, "h": _binget, "j": _long_binget, "p": _put_line, "q": _binput, "r": _long_binput,
    "\x80": _proto, "\x81": _newobj, "\x82": _ext("<B", 1), "\x83": _ext("<H", 2), "\x84": _ext("<i", 4),
    "\x85": _tuple1, "\x86": _tuple2, "\x87": _tuple3, "\x90": _appends, "\x91": _frozenset, "\x92": _newobj_ex,
    "\x93": _stack_global, "\x94": _memoize, "\x95": _frame, "\x98": _readonly,
}  # fmt: skip

HANDLERS: tuple[Handler, ...] = tuple(_BY_OPCODE.get(chr(code), _bad_opcode) for code in range(256))
