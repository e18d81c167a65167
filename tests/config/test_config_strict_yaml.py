"""Strict YAML: plain and unambiguous is read, everything else is one line with the file and its line, in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.config.strict_yaml import MAX_BYTES, convert, parse, read_text
from assay.core.errors import AssayError, InputError, UsageError


def value(text: str | bytes) -> Any:
    return parse(text.encode() if isinstance(text, str) else text, "f.yaml").value


def refused(text: str | bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        value(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("Off", "Off"), ("y", "y"),
        ("12:30", "12:30"), ("1:30:00", "1:30:00"),
        ("true", True), ("False", False), ("TRUE", True), ("tRue", "tRue"), ("null", None), ("~", None), ("", None),
        ("None", "None"), ("'true'", "true"),
        ('"1"', "1"), ("1", 1), ("-7", -7), ("+7", 7), ("010", 10), ("0o10", "0o10"),
        ("0x1F", "0x1F"), ("0b1", "0b1"), ("1_000", "1_000"), ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0),
        ("-1.5E-2", -0.015), (".nan", ".nan"), (".inf", ".inf"), ("-.inf", "-.inf"), ("2026-11-21", "2026-11-21"),
        ("9007199254740991", 2**53 - 1), ("٣", "٣"), ("=", "="),
        ("[1, no]", [1, "no"]), ("{a: {b: ~}}", {"a": {"b": None}}), ("|\n  x\n  y\n", "x\ny\n"),
    ],
)  # fmt: skip
def test_plain_values_mean_what_they_say(text: str, wanted: Any) -> None:
    got = value(f"a: {text}")["a"]
    assert got == wanted
    assert type(got) is type(wanted)


BAD = [
    ("a: 1\nb: 2\na: 3\n", 3, "duplicate key 'a'"),
    ("a:\n  1: x\n  '1': y\n", 3, "duplicate key '1'"),
    ("a: &x 1\nb: *x\n", 1, "anchors and aliases"),
    ("a: 1\nb: *x\n", 2, "anchors and aliases"),
    ("a: [&a [x, x], *a]\n", 1, "anchors and aliases"),
    ("a: 1\nb: !!python/object/apply:os.system [id]\n", 2, "python/object/apply:os.system is not allowed"),
    ("a: !include x\n", 1, "!include is not allowed"),
    ("a: !!str 5\n", 1, "is not allowed"),
    ("a: !!binary aGk=\n", 1, "is not allowed"),
    ("a: 1\n<<: {b: 2}\n", 2, "a key must be plain text"),
    ("? [a, b]\n: 1\n", 1, "a key must be plain text"),
    ("? {a: b}\n: 1\n", 1, "a key must be plain text"),
    ("a: 1\n---\nb: 2\n", 2, "second document"),
    ("a: 1\n...\n---\nb: 2\n", 3, "second document"),
    ("a:\n\t- 1\n", 2, "cannot start any token"),
    ("a: 1\n b: 2\n", 2, ""),
    ("a: [1, 2\n", 2, ""),
    ("a: 'x\n", 2, ""),
    ("a: }\n", 1, ""),
    ("a: 1\nb: 1e999\n", 2, "too large to be exact"),
    ("a: 1\nb: 9007199254740992\n", 2, "too large to be exact"),
    ("a: 1\nb: 1234567890123456789012\n", 2, "too large to be exact"),
    ("a: 1\nb: " + "9" * 5000, 2, "too large to be exact"),
    ("a: 1\n" + "k" * 999 + ": 1\n", 2, "longer than 1000 characters"),
]


@pytest.mark.parametrize(("text", "line", "said"), BAD, ids=[repr(t[:24]) for t, _, _ in BAD])
def test_what_is_not_plain_is_refused_with_its_line(text: str, line: int, said: str) -> None:
    error = refused(text)
    assert error.where == f"f.yaml:{line}"
    assert said in error.what
    assert error.fix
    assert "\n" not in str(error)


@pytest.mark.parametrize("text", ["", "   \n", "# only words\n", "---\n"])
def test_an_empty_file_is_told(text: str) -> None:
    with pytest.raises(AssayError):
        convert(parse(text.encode(), "f.yaml"), dict[str, int])


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert value(b"\xef\xbb\xbfa: 1\n") == {"a": 1}


@pytest.mark.parametrize("text", [b"a: \xff\n", "a: ä\n".encode("latin-1"), "a: 1\n".encode("utf-16")])
def test_what_is_not_utf8_is_told(text: bytes) -> None:
    error = refused(text)
    assert error.where.startswith("f.yaml")
    assert "UTF-8" in error.what or "character" in error.what


def outcome_of(data: bytes) -> str:
    """What the parser says of bytes: its refusal, or nothing."""
    try:
        document = parse(data, "f.yaml")
    except UsageError as error:
        return str(error)
    return "" if document.line("$") >= 1 else "no line"


HARMLESS = ("long keys, many nodes", "one long scalar", "quotes", "blank lines")
BOMBS = {
    "brackets": "[" * 100_000,
    "braces": "{a: " * 100_000,
    "dashes": "- " * 100_000,
    "question marks": "? " * 50_000,
    "aliases": "a: &a [x]\n" + "".join(f"b{i}: [*a, *a]\n" for i in range(9999)),
    "nodes": "a: [" + "1," * 200_000 + "]",
    "long keys, many nodes": '"' + "k" * 900 + '": [' + "1," * 49_000 + "]",
    "one long scalar": "a: " + "x" * 900_000,
    "quotes": "a: '" + "''" * 400_000,
    "comments": "#\n" * 400_000,
    "blank lines": "\n" * 900_000 + "a: 1",
    "deep block": "".join(" " * i + "a:\n" for i in range(900)),
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_bombs_end_soon_and_in_one_line(name: str) -> None:
    said = outcome_of(BOMBS[name].encode())
    assert "\n" not in said
    assert said.startswith("f.yaml") or name in HARMLESS


def test_files_are_bounded_and_told(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"#" * MAX_BYTES)
    assert len(read_text(path)) == MAX_BYTES
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    for bad in (path, tmp_path / "none.yaml", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(InputError) as caught:
            read_text(bad)
        assert caught.value.where


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    minimum: int = 0
    maximum: int = 0


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    inner: dict[str, Inner] = {}
    many: tuple[Inner, ...] = ()


WRONG = [
    ("name: x\nmany:\n- minimum: 1\n- maximun: 2\n", 4, "maximun", "did you mean maximum?"),
    (
        "name: x\ninner:\n  a: {minimum: 1}\n  b:\n    maximum: 2\n    minimun: 3\n",
        6,
        "minimun",
        "did you mean minimum?",
    ),
    ("name: x\ninner:\n  a: {}\n  b: {minimum: no}\n", 4, "inner.b.minimum", "assay schema"),
    ("name: x\ninner:\n  a: {}\n  b: 3\n", 4, "inner.b", "assay schema"),
    ("name: x\nzzzz: 3\n", 2, "zzzz", "remove it"),
    ("name: 5\n", 1, "name", "assay schema"),
    ("inner: {}\n", 1, "needs the key 'name'", "add it"),
    ("- name\n", 1, "", "assay schema"),
]


@pytest.mark.parametrize(("text", "line", "what", "fix"), WRONG, ids=[repr(t[:30]) for t, *_ in WRONG])
def test_what_does_not_fit_says_line_key_and_nearest(text: str, line: int, what: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        convert(parse(text.encode(), "f.yaml"), Outer)
    assert caught.value.where == f"f.yaml:{line}"
    assert what in caught.value.what
    assert fix in caught.value.fix


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_no_bytes_do_anything_but_parse_or_be_refused(data: bytes) -> None:
    said = outcome_of(data)
    assert said == "" or said.startswith("f.yaml")
    assert "\n" not in said


KEYS = st.text(st.characters(categories=("Lu", "Nd")), min_size=1, max_size=5)
YAML = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(YAML)
@settings(max_examples=200, deadline=None)
def test_json_reads_back_as_itself(tree: Any) -> None:
    """JSON is YAML, so every JSON document must read as the value that it is."""
    text = msgspec.json.encode({"root": tree})
    if msgspec.json.decode(text) == {"root": tree}:
        assert value(text) == {"root": tree}
