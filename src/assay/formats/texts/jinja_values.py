"""What constant expressions of a Jinja template stand for: names put together over sets, blocks, macros and filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from assay.formats.texts.jinja_lexer import Token

MOST_TEXT = 4_096
MOST_DEPTH = 40
HUGE = 200_000  # turns of a loop, or signs of a text, that no chat template needs
_MOST_BITS = 1_024
_WORDS_OF_TESTS = frozenset({"and", "or", "not", "in", "is", "if", "else", "recursive", "ignore", "missing", "without"})
_COMPARES = frozenset({"==", "!=", "<", ">", "<=", ">="})
_ALIKE: dict[str, Callable[[str], str]] = {
    "lower": str.lower, "upper": str.upper, "trim": str.strip, "strip": str.strip, "title": str.title,
    "lstrip": str.lstrip, "rstrip": str.rstrip, "capitalize": str.capitalize, "swapcase": str.swapcase,
    "string": str, "safe": str, "e": str, "escape": str, "forceescape": str, "casefold": str.casefold,
}  # fmt: skip

Value = Any  # a text, a whole number, a list of these, or None: not known


class Lookup(msgspec.Struct, frozen=True):
    """A subscript: its key where that is known, and whether it was put together rather than written."""

    key: Value
    made: bool


class Values:
    """The values of one template's names, and what was put together or looked up on the way."""

    def __init__(self) -> None:
        self.known: dict[str, Value] = {}
        self.made: set[str] = set()  # names whose text was put together
        self.texts: list[str] = []  # texts that were put together since the last `take`
        self.lookups: list[Lookup] = []
        self.turns = 0  # of the largest range or repetition since the last `take`
        self.blocks: list[tuple[str, str, list[str], tuple[Token, ...]]] = []  # kind, name, text so far, filters
        self.loops: list[int] = []

    def take(self) -> tuple[list[str], list[Lookup], int]:
        """What was seen since the last call."""
        found = self.texts, self.lookups, self.turns
        self.texts, self.lookups, self.turns = [], [], 0
        return found

    def words(self, text: str) -> None:
        """Text that the template writes as it stands."""
        for block in self.blocks:
            if sum(map(len, block[2])) < MOST_TEXT:
                block[2].append(text[:MOST_TEXT])

    def expression(self, tokens: tuple[Token, ...]) -> Value:
        """An expression whose value is written; what it comes to."""
        value = _Parser(self, tokens).whole()
        if value is not None:
            self.words(_text(value))
        return value

    def statement(self, tokens: tuple[Token, ...]) -> None:
        """A tag: bindings, loops, and the blocks that catch what is written in them."""
        word, rest = tokens[0].value, tokens[1:]
        if word == "set":
            self._set(rest)
        elif word in ("macro", "call", "filter") and len(self.blocks) < MOST_DEPTH:
            name = next((t.value for t in rest if t.kind == "name"), "")
            self.blocks.append((word, name, [], rest if word == "filter" else ()))
        elif word in ("endset", "endmacro", "endcall", "endfilter"):
            self._close()
        elif word == "for":
            self._for(rest)
        elif word == "endfor":
            if self.loops:
                self.loops.pop()
        elif word == "with":
            self._bindings(rest)
        else:
            _Parser(self, rest).whole()

    def _set(self, rest: tuple[Token, ...]) -> None:
        at = next((i for i, t in enumerate(rest) if t.kind == "sign" and t.value == "="), -1)
        names = [t.value for t in rest[: at if at >= 0 else 1] if t.kind == "name"]
        if at < 0:
            if len(self.blocks) < MOST_DEPTH:
                self.blocks.append(("set", names[0] if names else "", [], rest[1:]))
            return
        target = "".join(t.value for t in rest[:at] if t.value not in ("(", ")"))
        parser = _Parser(self, rest[at + 1 :])
        value = parser.whole()
        if "," in target and isinstance(value, list):
            self.known.update(zip(names, value, strict=False))
        else:
            self.known[target] = value
        if parser.joined:
            self.made.add(target)
            self.made.update(names)

    def _bindings(self, rest: tuple[Token, ...]) -> None:
        """`a = 'x', b = 'y'` of a with tag."""
        starts = [
            i for i, t in enumerate(rest[:-1])
            if t.kind == "name" and rest[i + 1].value == "=" and (not i or rest[i - 1].value == ",")
        ]  # fmt: skip
        for start, end in zip(starts, [*starts[1:], len(rest) + 1], strict=True):
            self._set(rest[start : end - 1])

    def _for(self, rest: tuple[Token, ...]) -> None:
        at = next((i for i, t in enumerate(rest) if t.kind == "name" and t.value == "in"), len(rest))
        before = self.turns
        self.turns = 0
        value = _Parser(self, rest[at + 1 :]).whole()
        count = max(self.turns, len(value) if isinstance(value, (list, str)) else 1, 1)
        self.turns = before
        if len(self.loops) < MOST_DEPTH:
            self.loops.append(count)
        product = 1
        for turns in self.loops:
            product *= turns
        self.turns = max(self.turns, product if product >= HUGE else 0)
        # A loop that appends each part of a list puts together what the list does.
        parts = [_text(v) for v in value] if isinstance(value, list) else []
        for token in rest[:at]:
            if token.kind == "name":
                self.known[token.value] = "".join(parts)[:MOST_TEXT] if parts else None
                if parts:
                    self.made.add(token.value)

    def _close(self) -> None:
        if not self.blocks:
            return
        kind, name, parts, filters = self.blocks.pop()
        text: Value = "".join(parts)[:MOST_TEXT]
        if filters:
            given = (Token("sign", "|"), *filters) if kind == "filter" else filters
            text = _Parser(self, (Token("text", text), *given)).whole()
            self.words(_text(text)) if kind == "filter" and text is not None else None
        if isinstance(text, str) and len(text) < 200:
            self.texts.append(text.strip())
        if kind in ("set", "macro"):
            key = name if kind == "set" else f"{name}()"
            self.known[key] = text
            self.made.add(key)
        elif kind == "call":
            self.known["caller()"] = text


class _Parser:
    """One expression, read from left to right; what it cannot tell is None. Never raises."""

    def __init__(self, values: Values, tokens: tuple[Token, ...]) -> None:
        self.values, self.tokens, self.at, self.depth = values, tokens[:2_000], 0, 0
        self.joined = False

    def whole(self) -> Value:
        """The value of the first expression; the others are read for what they put together."""
        value: Value = None
        items: list[Value] = []
        while self.at < len(self.tokens):
            before = self.at
            items.append(self._either())
            value = value if len(items) > 1 else items[0]
            if self.at == before:
                self.at += 1
        commas = any(t.kind == "sign" and t.value == "," for t in self.tokens)
        return [i for i in items if i is not None] if commas and len(items) > 1 else value

    def _peek(self) -> str:
        return self.tokens[self.at].value if self.at < len(self.tokens) and self._kind() != "text" else ""

    def _kind(self) -> str:
        return self.tokens[self.at].kind if self.at < len(self.tokens) else ""

    def _either(self) -> Value:
        """Tests and choices: each side is read, the first that is known stands for all."""
        self.depth += 1
        if self.depth > MOST_DEPTH:
            self.at = len(self.tokens)
            return None
        value = self._joins()
        while (word := self._peek()) in _WORDS_OF_TESTS or word in _COMPARES:
            self.at += 1
            if word == "is":
                continue
            other = self._joins()
            value = other if value is None and word in ("else", "or") else value
            value = None if word in _COMPARES or word in ("in", "not") else value
        self.depth -= 1
        return value

    def _joins(self) -> Value:
        value = self._times()
        while (sign := self._peek()) in ("~", "+", "-"):
            self.at += 1
            other = self._times()
            if sign == "~" or isinstance(value, str) or isinstance(other, str):
                self.joined = self.joined or isinstance(value, str) or isinstance(other, str)
                value = self._put(_text(value) + _text(other))
            elif isinstance(value, int) and isinstance(other, int):
                value = value + other if sign == "+" else value - other
            elif isinstance(value, list) and isinstance(other, list):
                value = (value + other)[:MOST_TEXT]
            else:
                value = None
        return value

    def _times(self) -> Value:
        value = self._unary()
        while (sign := self._peek()) in ("*", "**", "%", "/", "//"):
            self.at += 1
            other = self._unary()
            if sign == "*":
                value = self._repeat(value, other)
            elif sign == "**" and isinstance(value, int) and isinstance(other, int):
                value = self._power(value, other)
            elif sign == "%" and isinstance(value, str):
                value = self._put(_percent(value, other if isinstance(other, list) else [other]))
            else:
                value = None
        return value

    def _power(self, value: int, other: int) -> int:
        """A power; where it has more digits than any template needs, that it costs its renderer so much."""
        bits = value.bit_length() * max(other, 0)
        if bits < _MOST_BITS:
            return value**other if other >= 0 else 0
        self.values.turns = max(self.values.turns, bits * HUGE)
        return value

    def _repeat(self, value: Value, other: Value) -> Value:
        if isinstance(value, int) and isinstance(other, (str, list)):
            value, other = other, value
        if isinstance(other, int) and isinstance(value, (str, list)):
            if len(value) * other >= HUGE:
                self.values.turns = max(self.values.turns, len(value) * other)
                return None
            made = value * max(0, min(other, MOST_TEXT))
            return self._put(made) if isinstance(made, str) else made[:MOST_TEXT]
        if isinstance(value, int) and isinstance(other, int):
            return value * other if max(abs(value), abs(other)) < 1 << 62 else HUGE * HUGE
        return None

    def _unary(self) -> Value:
        signs: list[str] = []
        while (sign := self._peek()) in ("-", "+", "not"):
            signs.append(sign)
            self.at += 1
        value = self._after(*self._first())
        if "not" in signs or (signs and not isinstance(value, int)):
            return None
        return -value if signs.count("-") % 2 else value

    def _first(self) -> tuple[Value, str]:
        """A value, and the name by which it is called."""
        if self.at >= len(self.tokens):
            return None, ""
        token = self.tokens[self.at]
        if token.kind == "sign" and token.value in "([{":
            self.at += 1
            return self._group({"(": ")", "[": "]", "{": "}"}[token.value]), ""
        if token.kind == "sign":
            return None, ""
        self.at += 1
        if token.kind == "text":
            value = token.value[:MOST_TEXT]
            while self._kind() == "text":  # texts side by side are one
                value = self._put((value + self.tokens[self.at].value)[:MOST_TEXT])
                self.at += 1
            return value, ""
        if token.kind == "number":
            return int(token.value) if token.value.isdigit() and len(token.value) < 30 else None, ""
        if token.value in self.values.made:
            self.joined = True
        return self.values.known.get(token.value), token.value

    def _group(self, close: str) -> Value:
        items, comma = self._items(close)
        if close == "]" or comma:
            return items
        return items[0] if items and close == ")" else None

    def _items(self, close: str) -> tuple[list[Value], bool]:
        """Arguments or parts up to the closing sign; of `name=value` the name where the value is not known."""
        items: list[Value] = []
        comma = False
        while self.at < len(self.tokens) and self._peek() != close:
            before = self.at
            ahead = self.tokens[self.at + 1].value if self.at + 1 < len(self.tokens) else ""
            name = self._peek() if self._kind() == "name" and ahead == "=" else ""
            if name:
                self.at += 2
            value = self._either()
            items.append((name, value) if name else value)
            if self._peek() in (",", ":"):
                comma = True
                self.at += 1
            elif self.at == before:
                self.at += 1
        self.at += 1
        return items, comma

    def _after(self, value: Value, name: str) -> Value:
        """What follows a value: attributes, subscripts, calls and filters."""
        while sign := self._peek():
            if sign == "." and self.at + 1 < len(self.tokens):
                word = self.tokens[self.at + 1].value
                self.at += 2
                if self._peek() == "(":
                    self.at += 1
                    value, name = self._apply(word, value, self._items(")")[0], method=True), ""
                else:
                    name = f"{name}.{word}"
                    self.joined = self.joined or name in self.values.made
                    value = self.values.known.get(name)
            elif sign == "[":
                self.at += 1
                value, name = self._subscript(value), ""
            elif sign == "(":
                self.at += 1
                value, name = self._called(name, self._items(")")[0]), ""
            elif sign == "|" and self.at + 1 < len(self.tokens):
                word = self.tokens[self.at + 1].value
                self.at += 2
                arguments: list[Value] = []
                if self._peek() == "(":
                    self.at += 1
                    arguments = self._items(")")[0]
                value, name = self._apply(word, value, arguments), ""
            else:
                break
        return value

    def _called(self, name: str, given: list[Value]) -> Value:
        plain = [g for g in given if not isinstance(g, tuple)]
        if name == "range":
            numbers = [g for g in plain if isinstance(g, int)]
            if len(numbers) == len(plain) and numbers:
                start, stop = (0, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])
                step = abs(numbers[2]) if len(numbers) > 2 and numbers[2] else 1
                self.values.turns = max(self.values.turns, abs(stop - start) // step)
            return None
        if name == "dict":
            return [g[0] for g in given if isinstance(g, tuple)]
        if name == "namespace":
            return None
        if f"{name}()" in self.values.made:
            self.joined = True
        return self.values.known.get(f"{name}()")

    def _subscript(self, value: Value) -> Value:
        start, parts = self.at, [None]
        joined, self.joined = self.joined, False
        colons = 0
        while self.at < len(self.tokens) and self._peek() != "]":
            before = self.at
            if self._peek() == ":":
                colons += 1
                parts.append(None)
                self.at += 1
                continue
            parts[-1] = self._either()
            if self.at == before:
                self.at += 1
        written = self.at - start == 1 and self.tokens[start].kind == "text"
        self.at += 1
        made, self.joined = self.joined, joined
        if not colons:
            self.values.lookups.append(Lookup(parts[0], made and not written))
        if not isinstance(value, (str, list)):
            return None
        try:
            if colons:
                cut = value[slice(*(p if isinstance(p, int) else None for p in parts[:3]))]
                return self._put(cut) if isinstance(cut, str) else cut
            return value[parts[0]] if isinstance(parts[0], int) else None
        except (IndexError, ValueError):
            return None

    def _apply(self, word: str, value: Value, given: list[Value], *, method: bool = False) -> Value:
        """A filter, or a method of a text."""
        plain = [g[1] if isinstance(g, tuple) else g for g in given]
        if word in ("attr", "map", "selectattr", "rejectattr", "groupby", "sum", "sort", "unique", "min", "max"):
            self.values.lookups += [Lookup(p, self.joined) for p in plain if isinstance(p, str)]
            return None
        if word in ("center", "ljust", "rjust", "zfill", "indent", "expandtabs"):
            if plain and isinstance(plain[0], int):
                self.values.turns = max(self.values.turns, plain[0])
            return value
        if word == "join":
            parts, between = (plain[0] if plain else None, value) if method else (value, plain[0] if plain else "")
            if isinstance(parts, (list, str)):
                self.joined = True
                return self._put((between if isinstance(between, str) else "").join(map(_text, parts)))
            return None
        if word in ("list", "items", "keys"):
            return list(value) if isinstance(value, (str, list)) else None
        if word in ("first", "last") and isinstance(value, (str, list)) and value:
            return value[0 if word == "first" else -1]
        if word in ("reverse", "reversed") and isinstance(value, (str, list)):
            return self._put(value[::-1]) if isinstance(value, str) else value[::-1]
        if not isinstance(value, str):
            return None
        if word in _ALIKE:
            return self._put(_ALIKE[word](value))
        if word in ("replace", "removeprefix", "removesuffix") and plain and isinstance(plain[0], str) and plain[0]:
            new = plain[1] if word == "replace" and len(plain) > 1 and isinstance(plain[1], str) else ""
            return self._put(value.replace(plain[0], new))
        if word == "format":
            return self._put(_braces(value, plain) if method else _percent(value, plain))
        if word == "split":
            by = plain[0] if plain and isinstance(plain[0], str) and plain[0] else None
            return value.split(by)
        return value if word in ("default", "d") else None

    def _put(self, text: str) -> str:
        text = text[:MOST_TEXT]
        self.joined = True
        if len(self.values.texts) < 1_000:
            self.values.texts.append(text)
        return text


def _text(value: Value) -> str:
    """What a value is written as; nothing for what is not known."""
    if isinstance(value, tuple):
        return value[0] if isinstance(value[0], str) else ""
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _percent(text: str, given: list[Value]) -> str:
    """`%s`, `%c` and `%d` with what is known."""
    parts = text.replace("%%", "\0").split("%")
    out = parts[0]
    for at, part in enumerate(parts[1:]):
        value = given[at] if at < len(given) else None
        sign = chr(value) if isinstance(value, int) and part[:1] == "c" and 0 <= value < 0x110000 else _text(value)
        out += sign + part[1:]
    return out.replace("\0", "%")


def _braces(text: str, given: list[Value]) -> str:
    """`{}`, `{0}` and `{name}` with what is known, in their order."""
    out, rest = "", text
    for at in range(100):
        before, brace, after = rest.partition("{")
        out += before
        if not brace:
            break
        field, _, rest = after.partition("}")
        number = int(field) if field.isdigit() and len(field) < 4 else at
        value = given[number] if number < len(given) else None
        code = isinstance(value, int) and field.endswith(":c") and 0 <= value < 0x110000
        out += chr(int(value or 0)) if code else _text(value)
    return out
