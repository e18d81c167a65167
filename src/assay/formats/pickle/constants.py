"""The opcodes that push a constant: numbers, text and bytes, kept short, the rest passed over."""

from __future__ import annotations

from codecs import escape_decode
from collections.abc import Callable
from struct import unpack_from
from typing import Any

from assay.formats.pickle import leaks
from assay.formats.pickle.source import Torn
from assay.formats.pickle.state import Handler, State
from assay.formats.pickle.values import BIG_INT, BUFFER, FLOAT, KEEP_BYTES, KEEP_TEXT, SET, Cut

_ZIP = b"PK\x03\x04"


def _constant(value: Any, width: int = 0) -> Handler:
    def handler(m: State, pos: int) -> int:
        m.stack.append(value)
        return pos + width

    return handler


def _binint1(m: State, pos: int) -> int:
    m.stack.append(m.src.buf[pos])
    return pos + 1


def _binint2(m: State, pos: int) -> int:
    m.stack.append(unpack_from("<H", m.src.buf, pos)[0])
    return pos + 2


def _binint(m: State, pos: int) -> int:
    m.stack.append(unpack_from("<i", m.src.buf, pos)[0])
    return pos + 4


def _int_line(m: State, pos: int) -> int:
    line, pos = m.src.line(pos)
    m.stack.append({b"00": False, b"01": True}[line] if line in (b"00", b"01") else m.number(line, 0))
    return pos


def _long_line(m: State, pos: int) -> int:
    line, pos = m.src.line(pos)
    m.stack.append(m.number(line[:-1] if line.endswith(b"L") else line, 0))
    return pos


def _long(m: State, pos: int, size: int) -> int:
    if size <= 32:
        pos = m.src.need(pos, size)
        m.stack.append(int.from_bytes(m.src.buf[pos : pos + size], "little", signed=True))
        return pos + size
    m.stack.append(BIG_INT)
    return m.src.skip(pos, size)


def _long1(m: State, pos: int) -> int:
    return _long(m, pos + 1, m.src.buf[pos])


def _long4(m: State, pos: int) -> int:
    (size,) = unpack_from("<i", m.src.buf, pos)
    if size < 0:
        raise Torn(f"negative length at byte {m.src.base + pos}")
    return _long(m, pos + 4, size)


def _float_line(m: State, pos: int) -> int:
    line, pos = m.src.line(pos)
    try:
        float(line)
    except ValueError:
        raise Torn(f"a FLOAT before byte {m.src.base + pos} holds no number") from None
    m.stack.append(FLOAT)
    return pos


def _text(m: State, pos: int, size: int) -> int:
    if size > KEEP_TEXT:
        return _long_constant(m, pos, size, "str")
    pos = m.src.need(pos, size)
    value = m.src.buf[pos : pos + size].decode("utf-8", "surrogatepass")
    m.stack.append(value)
    if size >= leaks.LONG_TEXT and m.text_left > 0:
        leaks.text(m, value, size)
    return pos + size


def _long_constant(m: State, pos: int, size: int, kind: str) -> int:
    """Pass over a long constant, keeping its head and where it lies."""
    head = min(size, KEEP_TEXT)
    pos = m.src.need(pos, head)
    m.stack.append(Cut(kind, size, m.src.buf[pos : pos + head], m.src.base + pos))
    if kind == "str" and m.text_left > 0:
        leaks.text(m, m.src.buf[pos : pos + head].decode("utf-8", "replace"), head)
    return m.src.skip(pos, size)


def _bytes(m: State, pos: int, size: int) -> int:
    if size > KEEP_BYTES or m.held_bytes < size:
        return _long_constant(m, pos, size, "bytes")
    pos = m.src.need(pos, size)
    if m.src.buf.startswith(_ZIP, pos):
        return _long_constant(m, pos, size, "bytes")  # where it lies is asked of a file inside
    m.held_bytes -= size
    m.stack.append(m.src.buf[pos : pos + size])
    return pos + size


def _python2_text(m: State, pos: int, size: int) -> int:
    """A byte string of Python 2: text or bytes as the loader chooses, so the text is kept and anything else cut."""
    if size < 0:
        raise Torn(f"negative length at byte {m.src.base + pos}")
    if size > KEEP_TEXT:
        return _bytes(m, pos, size)
    pos = m.src.need(pos, size)
    value = m.src.buf[pos : pos + size].decode("latin-1")
    m.stack.append(value)
    if size >= leaks.LONG_TEXT and m.text_left > 0:
        leaks.text(m, value, size)
    return pos + size


def _string_line(m: State, pos: int) -> int:
    line, pos = m.src.line(pos)
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise Torn(f"a STRING before byte {m.src.base + pos} is not quoted")
    try:
        raw: bytes = escape_decode(line[1:-1])[0]
    except ValueError:
        raise Torn(f"a STRING before byte {m.src.base + pos} has a broken escape") from None
    m.stack.append(raw.decode("latin-1") if len(raw) <= KEEP_TEXT else raw)
    if len(raw) >= leaks.LONG_TEXT and m.text_left > 0:
        leaks.text(m, raw[:KEEP_TEXT].decode("latin-1"), len(raw))
    return pos


def _unicode_line(m: State, pos: int) -> int:
    line, pos = m.src.line(pos)
    text = str(line, "raw-unicode-escape")
    if len(text) >= leaks.LONG_TEXT and m.text_left > 0:
        leaks.text(m, text[:KEEP_TEXT], len(text))
    m.stack.append(text if len(text) <= KEEP_TEXT else Cut("str", len(line), line[:KEEP_TEXT], m.src.base + pos))
    return pos


def _sized(reader: Callable[[State, int, int], int], form: str, width: int) -> Handler:
    def handler(m: State, pos: int) -> int:
        return reader(m, pos + width, unpack_from(form, m.src.buf, pos)[0])

    return handler


CONSTANT_OPCODES: dict[str, Handler] = {
    "N": _constant(None), ")": _constant(()), "\x88": _constant(True), "\x89": _constant(False), "\x8f": _constant(SET),
    "\x97": _constant(BUFFER), "G": _constant(FLOAT, 8), "J": _binint, "K": _binint1, "M": _binint2,
    "I": _int_line, "L": _long_line, "F": _float_line, "\x8a": _long1, "\x8b": _long4,
    "S": _string_line, "T": _sized(_python2_text, "<i", 4), "U": _sized(_python2_text, "<B", 1),
    "V": _unicode_line, "X": _sized(_text, "<I", 4), "\x8c": _sized(_text, "<B", 1), "\x8d": _sized(_text, "<Q", 8),
    "B": _sized(_bytes, "<I", 4), "C": _sized(_bytes, "<B", 1), "\x8e": _sized(_bytes, "<Q", 8),
    "\x96": _sized(_bytes, "<Q", 8),
}  # fmt: skip
