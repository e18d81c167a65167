"""Texts that a model file carries beside its numbers: files packed into them, secrets, chat templates, hidden orders.

No runtime of these formats opens them; the program around the model does, and tools show them to people and models.
"""

from __future__ import annotations

import base64
import io
import re

import msgspec

from assay.core.finding import Confidence, Severity
from assay.core.text import visible
from assay.formats.models.facts import Facts
from assay.formats.reading import Part, Topic

MOST_VALUE = 1 << 20
_MOST_TOGETHER = 8 << 20
_MOST_PARTS = 20
_MOST_LINES = 1_000_000
_LEAST_PACKED = 16
_LINE = 2000
# What begins a pickle or a program; and the same in base64 and in hexadecimal digits.
_MARKS = (
    b"PK\x03\x04",
    b"\x7fELF",
    b"\x1f\x8b\x08",
    b"BZh",
    b"\xfd7zXZ\0",
    b"\x93NUMPY",
    b"\x89HDF\r\n",
    b"\xcf\xfa\xed\xfe",
)
_PICKLE = re.compile(rb"\x80[\x00-\x05]")
_GLOBAL = re.compile(rb"[ci][A-Za-z_][\w.]{0,200}\n[A-Za-z_][\w.]{0,200}\n")
_MOST_TRIED, _MOST_NAMED = (
    4096,
    1 << 16,
)  # bytes that are tried as a pickle of the text protocol, or searched for a name
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/_-]{4}\s*){4,}[A-Za-z0-9+/_-]{0,3}={0,2}\s*")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){16,}")
_DATA_URL = re.compile(rb"\A\s*(?:data:[\w./+-]*;base64,|base64:|b64:|hex:|0x)", re.IGNORECASE)
_STATEMENT = re.compile(
    r"\{%-?\+?\s*(?:for|if|set|macro|include|import|from|extends|block|call|filter|raw|generation)\b"
)
_LOOKUP = re.compile(r"\{\{[^{}]{0,400}?(?:messages|__\w+__|content|bos_token|lipsum|cycler|self\b)[^{}]{0,400}\}\}")
_TEMPLATE_KEY = re.compile(r"(?:^|[._-])(?:chat_?template|jinja|template)s?(?:$|[._-])", re.IGNORECASE)
_PROMPT_KEY = re.compile(r"prompt|template|system|instruct|message|persona|greeting|role|tool|preset", re.IGNORECASE)


class Texts:
    """The texts of one file, each judged as it is met; what goes beyond the bounds is counted in `unread`."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.seen: set[int] = set()
        self.lines: set[int] = set()
        self.together = self.unread = 0

    def judge(self, key: str, value: bytes, *, whole: bool = True, brief: bool = False) -> None:
        """Judge one entry; `whole` if `value` is all of it. Texts that were judged already are passed over.

        With `brief` it is one of thousands that say where a node comes from: no person or model reads them, and most
        of their lines are the same, so each is looked at once, for what is packed into it and for secrets.
        """
        name = hash((key, value))
        if name in self.seen:
            return
        if brief:
            self._packed(key, value)
            value = b"\n".join(line for line in value.split(b"\n") if self._is_new(line))
        if self.together + len(value) > _MOST_TOGETHER or not whole:
            self.unread += 1
            if self.together + len(value) > _MOST_TOGETHER:
                return
        self.seen.add(name)
        self.together += len(value) + 50
        self.facts.asks.add(Topic.SECRETS)
        text = value.decode("utf-8", "replace")
        self._secrets(key, text)
        if brief:
            return
        self._packed(key, value)
        self._config(key, text)
        self._template(key, text)
        self._orders(key, text)

    def _config(self, key: str, text: str) -> None:
        """A configuration in JSON, from whose `_target_` a program builds the model."""
        if '"_target_"' not in text:
            return
        from assay.formats.texts.config_targets import judge_targets
        from assay.formats.texts.documents import mappings

        try:
            decoded = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return  # a text that a JSON reader takes for none
        self.facts.asks.add(Topic.REMOTE_CODE)
        for path, mapping in mappings(decoded):
            self.facts.take(tuple(judge_targets(path, mapping, key)))

    def _is_new(self, line: bytes) -> bool:
        name = hash(line)
        known = name in self.lines
        if len(self.lines) < _MOST_LINES:
            self.lines.add(name)
        return not known

    def template(self, key: str, text: str) -> None:
        """Judge a text that is a chat template by its key."""
        from assay.formats.texts.templates import read_template

        self.facts.asks.add(Topic.TEMPLATE)
        found = read_template(text, key)
        self.facts.take(found.notes)
        for gap in found.gaps:
            self.facts.gap(gap)

    def finish(self) -> None:
        """Say what went beyond the bounds."""
        if self.unread:
            self.facts.measured["texts_not_read"] = self.unread
            self.facts.gap(f"holds texts of more than {_MOST_TOGETHER >> 20} MB, of which not all were read")

    def _packed(self, key: str, value: bytes) -> None:
        for how, data in _unpacked(value):
            kind = _kind(data)
            if not kind:
                continue
            shown = visible(key, 60)
            self.facts.note(
                Severity.LOW,
                f"packed:{key}",
                f"carries {kind}{how} in its metadata '{shown}', which a program may open that loads the model",
                where=key,
                fix="keep data that a program opens in a file of its own, of a format that holds no code",
            )
            if len(self.facts.parts) < _MOST_PARTS:
                self.facts.parts.append(Part(f"metadata {shown}", data))
            else:
                self.facts.gap(f"packs more than {_MOST_PARTS} files into its metadata")
            return

    def _secrets(self, key: str, text: str) -> None:
        from assay.formats.texts.secret_search import judge_metadata

        self.facts.take(judge_metadata(key, text))

    def _template(self, key: str, text: str) -> None:
        if "{%" not in text and "{{" not in text:
            return
        named = _TEMPLATE_KEY.search(key) is not None
        if named or _STATEMENT.search(text) or _LOOKUP.search(text):
            self.template(key, text)

    def _orders(self, key: str, text: str) -> None:
        from assay.formats.texts.hidden_text import hidden, unhidden
        from assay.formats.texts.instructions import instructions

        for kind, count in hidden(text).items():
            self.facts.note(
                Severity.MEDIUM,
                f"hidden-text:{kind}",
                f"hides {count:,} {kind} in its metadata '{visible(key, 60)}', which no screen shows",
                where=key,
            )
        prompt = _PROMPT_KEY.search(key) is not None
        for kind, said, severity, _line in instructions(unhidden(text)):
            self.facts.asks.add(Topic.TEMPLATE)
            self.facts.note(
                severity if prompt else Severity.LOW,
                f"orders:{kind}",
                f"holds a text in its metadata '{visible(key, 60)}' that {said}",
                where=key,
                topic=Topic.TEMPLATE,
                confidence=Confidence.MEDIUM,
                fix="take the text out, or use the model of its first publisher",
            )


def _unpacked(value: bytes) -> list[tuple[str, bytes]]:
    """A value as it is, and decoded where it is base64 or hexadecimal digits: how it was packed, and its bytes."""
    found = [("", value)]
    body = _DATA_URL.sub(b"", value, count=1).strip(b" \t\r\n\"'")
    if len(body) < _LEAST_PACKED:
        return found
    if _HEX.fullmatch(body):
        found.append((" in hexadecimal digits", bytes.fromhex(body.decode("ascii"))))
    elif _BASE64.match(body[:_LINE]) and (match := _BASE64.fullmatch(body)):
        packed = b"".join(match.group().split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        if len(packed) % 4 != 1:
            found.append((" in base64", base64.b64decode(packed + b"=" * (-len(packed) % 4))))
    return found


def _kind(data: bytes) -> str:
    """What bytes are that some loader would run or unpack, in words; "" for a text or numbers."""
    if len(data) < 2:
        return ""
    if data.startswith(_MARKS) or (data[:2] == b"MZ" and b"PE\0\0" in data[:1024]):
        return "a file"
    from assay.formats.pickle.stream import plausible

    if not data.rstrip(b"\n\0 ").endswith(b"."):
        return ""
    if len(data) <= _MOST_TRIED:
        named = plausible(io.BytesIO(data))
    else:
        named = _GLOBAL.search(data, 0, _MOST_NAMED) is not None
    return "a pickle" if named or _PICKLE.match(data) else ""
