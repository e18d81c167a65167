"""Folding of constants in Python: what operators, methods and decoders give, bounded; nothing is executed."""

from __future__ import annotations

import ast
import base64
import binascii
import codecs
import re
import zlib
from typing import Any

Constant = str | bytes | int | tuple[str | bytes | int, ...]
MOST_FOLDED = 1 << 20


def built(kind: str, node: ast.Call, arguments: list[Constant | None]) -> Constant | None:
    """What `chr`, `ord`, `int`, `str`, `bytes`, `reversed` and `map(chr, …)` give."""
    first = arguments[0] if arguments else None
    if kind == "map" and isinstance(node.args[0], ast.Name) and node.args[0].id == "chr":
        items = arguments[1] if len(arguments) > 1 else None
        return tuple(chr(i) for i in items if isinstance(i, int)) if isinstance(items, (tuple, bytes)) else None
    if kind == "chr" and isinstance(first, int):
        return chr(first)
    if kind == "ord" and isinstance(first, (str, bytes)):
        return ord(first)
    if kind == "int" and isinstance(first, (str, int)):
        return int(first, int(str(arguments[1] or 10))) if len(arguments) > 1 and isinstance(first, str) else int(first)
    if kind == "reversed" and isinstance(first, (str, tuple)):
        return tuple(reversed(first))
    if kind in ("bytes", "bytearray"):
        if isinstance(first, tuple):
            return bytes(i for i in first if isinstance(i, int))
        return first.encode() if isinstance(first, str) else first if isinstance(first, bytes) else None
    if kind == "str":
        return (
            first.decode()
            if isinstance(first, bytes) and len(arguments) > 1
            else str(first)
            if isinstance(first, (str, int))
            else None
        )
    return None


def short_text(value: str) -> str | None:
    """The text, or None of one that grew too long."""
    return value if len(value) <= MOST_FOLDED else None


def short(value: Constant | None) -> Constant | None:
    """The value, or None of a text that grew too long."""
    return value if not isinstance(value, (str, bytes)) or len(value) <= MOST_FOLDED else None


def _computed(op: ast.operator, left: int, right: int) -> int | None:
    """What an operator gives of two numbers."""
    if isinstance(op, ast.Sub):
        return left - right
    if isinstance(op, ast.BitXor):
        return left ^ right
    if isinstance(op, ast.BitAnd):
        return left & right
    if isinstance(op, ast.BitOr):
        return left | right
    if isinstance(op, ast.Mult):
        return left * right
    if isinstance(op, ast.FloorDiv) and right:
        return left // right
    if isinstance(op, ast.Mod) and right:
        return left % right
    if isinstance(op, (ast.LShift, ast.RShift)) and 0 <= right <= 64:
        return left << right if isinstance(op, ast.LShift) else left >> right
    return None


def operate(op: ast.operator, left: Constant | None, right: Constant | None) -> Constant | None:
    """What an operator gives of two constants, as far as texts are hidden with it."""
    if left is None or right is None:
        return None
    if isinstance(left, int) and isinstance(right, int):
        if abs(left) > 1 << 64 or abs(right) > 1 << 64:
            return None
        if isinstance(op, ast.Add):
            return left + right
        return _computed(op, left, right)
    if isinstance(op, ast.Add) and type(left) is type(right):
        return short(left + right)  # type: ignore[operator]
    if (
        isinstance(op, ast.Mult)
        and isinstance(left, (str, bytes))
        and isinstance(right, int)
        and right * len(left) < MOST_FOLDED
    ):
        return left * right
    if isinstance(op, ast.Mod) and isinstance(left, str) and len(left) < 10_000 and "*" not in left:
        return short(left % right)
    return None


def _formatted(text: str, arguments: list[Constant | None], keywords: dict[str, Constant | None]) -> str | None:
    """`"{}{1}{a}".format(…)` of plain fields."""
    count = iter(range(len(arguments)))

    def field(found: re.Match[str]) -> str:
        key = found[1]
        value = (
            keywords[key] if key and not key.isdigit() else arguments[int(key) if key else next(count, len(arguments))]
        )
        if not isinstance(value, (str, int)):
            raise ValueError("not known")
        return str(value)

    made = re.sub(r"\{(\w*)(?:![sra])?(?::s?)?\}", field, text)
    return short_text(made) if "{" not in made and "}" not in made else None


def method(
    owner: Constant | None, name: str, arguments: list[Constant | None], keywords: dict[str, Constant | None]
) -> Constant | None:
    """What a method of text, bytes or a number gives; None for one that is not followed."""
    first = arguments[0] if arguments else None
    if name == "to_bytes" and isinstance(owner, int) and isinstance(first, int) and 0 <= first <= MOST_FOLDED:
        order = arguments[1] if len(arguments) > 1 else keywords.get("byteorder", "big")
        return owner.to_bytes(first, "little" if order == "little" else "big")
    if isinstance(owner, str):
        if name == "join" and isinstance(first, tuple):
            return short(owner.join(str(i) for i in first))
        if name == "join" and isinstance(first, str):
            return short(owner.join(first))
        if name == "encode":
            return owner.encode()
        if name in ("lower", "upper", "strip", "lstrip", "rstrip", "swapcase", "title"):
            return str(getattr(owner, name)(*([first] if isinstance(first, str) and "strip" in name else [])))
        if name == "replace" and isinstance(first, str) and isinstance(arguments[1], str):
            return short(owner.replace(first, arguments[1])) if len(owner) < 10_000 else None
        if name == "split":
            return tuple(owner.split(first)) if isinstance(first, str) else tuple(owner.split())
        if name in ("format", "format_map") and "{" in owner and len(owner) < 1000:
            return _formatted(owner, arguments, keywords)
        if name in ("partition", "rpartition") and isinstance(first, str) and first:
            return owner.partition(first) if name == "partition" else owner.rpartition(first)
        if name in ("removeprefix", "removesuffix", "casefold", "capitalize"):
            return str(getattr(owner, name)(*([first] if isinstance(first, str) else [])))
    elif isinstance(owner, bytes):
        if name == "decode":
            return owner.decode(first if isinstance(first, str) and first in _PLAIN_CODECS else "utf-8")
        if name == "join" and isinstance(first, tuple):
            return short(owner.join(i for i in first if isinstance(i, bytes)))
    return None


_PLAIN_CODECS = frozenset({"utf-8", "utf8", "ascii", "latin-1", "latin1", "utf-16", "utf-16-le", "unicode_escape"})


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else bytes(0)


def _inflate(arguments: list[Any]) -> bytes:
    return zlib.decompressobj(wbits=47).decompress(_bytes(arguments[0]), MOST_FOLDED)


def _codec(arguments: list[Any]) -> Constant | None:
    codec = str(arguments[1] if len(arguments) > 1 else "utf-8").replace("-", "").replace("_", "").lower()
    if codec in ("rot13", "rot_13"):
        return codecs.decode(str(arguments[0]), "rot13")
    if codec in ("hex", "hexcodec"):
        return bytes.fromhex(_bytes(arguments[0]).decode())
    if codec in ("base64", "base64codec"):
        return base64.b64decode(_bytes(arguments[0]))
    return _bytes(arguments[0]).decode() if codec in ("utf8", "ascii") else None


DECODE: dict[str, Any] = {
    "base64.b64decode": lambda a: base64.b64decode(_bytes(a[0])),
    "base64.standard_b64decode": lambda a: base64.b64decode(_bytes(a[0])),
    "base64.decodebytes": lambda a: base64.b64decode(_bytes(a[0])),
    "base64.urlsafe_b64decode": lambda a: base64.urlsafe_b64decode(_bytes(a[0])),
    "base64.b32decode": lambda a: base64.b32decode(_bytes(a[0])),
    "base64.b16decode": lambda a: base64.b16decode(_bytes(a[0])),
    "base64.b85decode": lambda a: base64.b85decode(_bytes(a[0])),
    "base64.a85decode": lambda a: base64.a85decode(_bytes(a[0])),
    "binascii.a2b_base64": lambda a: binascii.a2b_base64(_bytes(a[0])),
    "binascii.unhexlify": lambda a: binascii.unhexlify(_bytes(a[0])),
    "binascii.a2b_hex": lambda a: binascii.unhexlify(_bytes(a[0])),
    "zlib.decompress": _inflate,
    "gzip.decompress": _inflate,
    "codecs.decode": _codec,
}
