"""Values that the second judge's attack parts share: the harmless payload, chains of calls, made-up secrets."""

from __future__ import annotations

import hashlib
from typing import Any

from judge_kit import call, name, opcodes, reduce, text, whole

ECHO = "echo assay-second"
ARGV = ["echo", "assay-second"]
PY = "print('assay-second')"
CODE = f"__import__('os').system('{ECHO}')"
URL = "http://198.51.100.7/assay-second"
ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
HEXES = "0123456789abcdef"


def bad(protocol: int = 4) -> bytes:
    """A plain attack to be hidden in something: os.system of the harmless echo."""
    return whole(call("os", "system", ECHO), protocol)


def made_up(seed: str, size: int, alphabet: str = ALNUM) -> str:
    """A random-looking secret that nobody owns, always the same for one seed."""
    digits, out = hashlib.sha512(seed.encode()).digest() * 8, ""
    for at in range(size):
        out += alphabet[(digits[at % 64] + at * 7) % len(alphabet)]
    return out


def method(owner: tuple[str, str], attribute: str, instance: bytes, *values: Any) -> bytes:
    """Call an unbound method (a dotted name) of a class with an instance and plain values."""
    return reduce(name(owner[0], f"{owner[1]}.{attribute}"), instance, *(opcodes(v, 3) for v in values))


def one(value: bytes) -> bytes:
    """A one-element tuple of what these opcodes push."""
    return value + b"\x85"


def imported(module: str, attribute: str) -> bytes:
    """The opcodes of STACK_GLOBAL with plain strings."""
    return text(module) + text(attribute) + b"\x93"
