"""Jinja's source cut into text and the tokens of its tags; nothing is rendered (Jinja 3, template designer docs)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

MOST_TEMPLATE = 1 << 20
MOST_PIECES = 200_000

_OPEN = re.compile(r"\{([{%#])")
_CLOSE = {"{": "}}", "%": "%}", "#": "#}"}
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?P<name>[^\W\d]\w*)|(?P<number>\d[\w.]*)"""
    r"""|(?P<sign>//|\*\*|==|!=|>=|<=|[-+*/%~<>=.,:;|()\[\]{}!@#&^$?\\`'"])""",
    re.DOTALL,
)
_RAW = re.compile(r"[-+]?\s*raw\s*[-+]?%\}")
_END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|N\{[^}]*\}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\n": "", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class Token(msgspec.Struct, frozen=True):
    """A token of an expression or statement; a `text` is given as what it stands for, escapes resolved."""

    kind: Literal["text", "name", "number", "sign"]
    value: str


class Piece(msgspec.Struct, frozen=True):
    """A part of a template: `words` to be written as they stand, a `comment`, or a tag with its tokens."""

    kind: Literal["words", "comment", "expression", "statement"]
    text: str
    tokens: tuple[Token, ...] = ()
    line: int = 1


def pieces(text: str) -> Iterator[Piece]:
    """The parts of a template in order. Raises ValueError where a tag or a text in it does not end."""
    at, line, count = 0, 1, 0
    while at < len(text):
        count += 1
        if count > MOST_PIECES:
            raise ValueError("has too many tags")
        opened = _OPEN.search(text, at)
        if opened is None:
            yield Piece("words", text[at:], line=line)
            return
        if opened.start() > at:
            yield Piece("words", text[at : opened.start()], line=line)
        line += text.count("\n", at, opened.start())
        kind, start = opened[1], opened.end()
        if kind == "#":
            end = text.find("#}", start)
            if end < 0:
                raise ValueError("has a comment that does not end")
            yield Piece("comment", text[start:end], line=line)
            stop = end + 2
        elif kind == "%" and (raw := _RAW.match(text, start)):
            closed = _END_RAW.search(text, raw.end())
            if closed is None:
                raise ValueError("has a raw part that does not end")
            yield Piece("words", text[raw.end() : closed.start()], line=line)
            stop = closed.end()
        else:
            tokens, stop = _tokens(text, start, _CLOSE[kind])
            yield Piece("expression" if kind == "{" else "statement", text[start:stop], tokens, line)
        line += text.count("\n", opened.start(), stop)
        at = stop


def _tokens(text: str, at: int, close: str) -> tuple[tuple[Token, ...], int]:
    """The tokens up to a tag's end, and where that is. Braces that open inside must close first."""
    found: list[Token] = []
    depth = 0
    while at < len(text):
        if depth <= 0 and (text.startswith(close, at) or (text[at] in "-+" and text.startswith(close, at + 1))):
            return tuple(found), at + len(close) + (0 if text.startswith(close, at) else 1)
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError("has a sign that Jinja does not know")
        kind, value = match.lastgroup, match.group()
        if kind == "text":
            found.append(Token("text", unescaped(value[1:-1])))
        elif kind in ("name", "number"):
            found.append(Token("name" if kind == "name" else "number", value))
        elif kind == "sign":
            depth += value in ("(", "[", "{")
            depth -= value in (")", "]", "}")
            found.append(Token("sign", value))
        at = match.end()
    raise ValueError("has a tag that does not end")


def unescaped(text: str) -> str:
    """What a text of Python's and Jinja's grammar stands for."""
    return _ESCAPE.sub(_sign, text) if "\\" in text else text


def _sign(match: re.Match[str]) -> str:
    said = match[1]
    if said[0] in "xuU" and len(said) > 1:
        number = int(said[1:], 16)
        return chr(number) if number <= 0x10FFFF else match.group()
    if said[0] in "01234567":
        return chr(int(said, 8))
    return _ESCAPED.get(said, said)
