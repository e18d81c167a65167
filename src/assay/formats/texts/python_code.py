"""Python source judged by what it says: what runs at import, in what loaders call, and what is hidden in it."""

from __future__ import annotations

import ast
import re
import warnings

import msgspec

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.reading import Note, Reading, Topic
from assay.formats.texts.hidden_text import hidden
from assay.formats.texts.python_calls import Judge, Said
from assay.formats.texts.python_names import Names
from assay.formats.texts.python_when import When, is_program, owners

MOST_SOURCE = 4 << 20
MOST_TOKENS = 600_000
_MOST_LAYERS = 4  # code in a text in code
_TOKEN = re.compile(r"\w+|[^\w\s]")
# Code after so much blank is meant to lie beyond a window's edge.
_OFF_SCREEN = re.compile(r"^(?=[^\n]{200})[^\n]*?[^\s\\'\"][ \t]{150,}[^\s#\\|)'\"\]},]", re.MULTILINE)
_COOKIE = re.compile(rb"^[ \t\f]*#[^\r\n]*?coding[:=][ \t]*([-\w.]+)", re.MULTILINE)
_HIDING_CODECS = frozenset(
    {"utf7", "unicodeescape", "rawunicodeescape", "punycode", "idna", "rot13", "hex", "base64", "utf16", "utf32", "uu"}
)
_WHEN = {When.IMPORT: "when it is imported", When.LOADED: "in what its loader calls", When.LATER: "in a function"}


def judge_python(
    source: str | bytes, where: str = "", *, installer: bool = False, later: bool = False, layer: int = 0
) -> Reading:
    """Judge Python source; nothing is imported or run.

    `installer`: an installation runs it (setup.py). `later`: none of it runs by itself (a notebook's cells).
    `layer` counts how often text was found inside code. A source that this Python's grammar does not know, or that is
    too large, is a gap. Notes are of REMOTE_CODE.
    """
    notes: list[Note] = []
    if isinstance(source, bytes):
        decoded = _decoded(source)
        if decoded is None:
            return Reading(gaps=("is Python source in no encoding that it names",))
        source, codec = decoded
        if codec.replace("-", "").replace("_", "").lower() in _HIDING_CODECS:
            notes.append(_note("declares an encoding in which its code reads as something else", "codec", where))
    if kinds := hidden(source):
        notes.append(_note(f"hides what it says with {' and '.join(kinds)}", "hidden", where, evidence=dict(kinds)))
    if found := _OFF_SCREEN.search(source):
        line = source.count("\n", 0, found.end()) + 1
        notes.append(_note("has code far beyond the right edge", "off-screen", where, line=line))
    if len(source) > MOST_SOURCE or sum(1 for _ in _TOKEN.finditer(source)) > MOST_TOKENS:
        return Reading(notes=tuple(notes), gaps=("is Python source that is too large to judge",))
    tree = _parsed(source)
    if isinstance(tree, str):
        return Reading(notes=tuple(notes), gaps=(tree,))
    nodes = list(ast.walk(tree))
    names = Names(nodes)
    judge = Judge(names, lambda text: _inside(text, layer), installer=installer)
    judge.program = is_program(tree, nodes, names)
    judge.taints.downloaded([node for node in nodes if isinstance(node, ast.Call)])
    for owner in owners(tree, names, installer=installer):
        judge.judge(owner, When.LATER if later else owner.when)
    notes += [_said(said, where, layer) for said in judge.said.values()]
    gaps = ("is Python source that was not followed to its end",) if names.exhausted else ()
    return Reading(notes=tuple(notes), gaps=gaps)


def judge_path_file(text: str, where: str = "") -> Reading:
    """A .pth file of site-packages: lines that start with `import` run at every start of Python (site, CPython)."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if re.match(r"(?:\ufeff)?import[ \t]", line)]
    notes: list[Note] = []
    gaps: list[str] = []
    for number, line in lines[:200]:
        said = judge_python(line.lstrip("\ufeff"), where)
        notes += [msgspec.structs.replace(note, line=number) for note in said.notes]
        gaps += said.gaps
    if lines:
        notes.append(
            Note(
                topic=Topic.REMOTE_CODE, message="is a path file with code that runs at every start of Python",
                severity=Severity.LOW, key="python:path-file", where=where, line=lines[0][0],
            )
        )  # fmt: skip
    return Reading(notes=tuple(notes), gaps=tuple(dict.fromkeys(gaps)))


def _decoded(data: bytes) -> tuple[str, str] | None:
    """The text of a source file and the encoding it names (PEP 263)."""
    head = b"\n".join(re.split(rb"\r\n|\r|\n", data[:4096])[:2])
    cookie = _COOKIE.search(head)
    codec = cookie[1].decode("ascii", "replace") if cookie else "utf-8"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    try:
        return data.decode("utf-8-sig" if codec.lower().replace("_", "-") in ("utf-8", "utf8") else codec), codec
    except (LookupError, ValueError, TypeError):
        return None


def _parsed(source: str) -> ast.Module | str:
    """The tree, or why there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except SyntaxError as error:
            return f"is no Python that this version can parse (line {error.lineno or 0}: {visible(str(error.msg), 60)})"
        except (ValueError, RecursionError, MemoryError):
            return "is no Python that this version can parse"


def _inside(text: str, layer: int) -> Reading:
    """Judge code that is a text inside code."""
    if layer >= _MOST_LAYERS:
        return Reading(gaps=("holds code in texts in code, deeper than this version follows",))
    return judge_python(text, layer=layer + 1)


def _said(said: Said, where: str, layer: int) -> Note:
    names = ", ".join(visible(name, 50) for name in sorted(said.names)[:3])
    more = f" and {len(said.names) - 3} more" if len(said.names) > 3 else ""
    return Note(
        topic=Topic.REMOTE_CODE,
        message=f"{said.what} {_WHEN[said.when]} ({names}{more})" if names else f"{said.what} {_WHEN[said.when]}",
        severity=said.severity,
        key=f"python:{said.kind}:{said.when.name.lower()}",
        where=where,
        line=said.line if not layer else None,
        confidence=said.confidence,
        evidence={"names": sorted(visible(n, 80) for n in said.names)[:20], "when": said.when.name.lower()},
        fix="read it before it runs; ship a model that needs no code of its own" if said.severity.rank > 1 else "",
    )


def _note(
    message: str, kind: str, where: str, *, line: int | None = None, evidence: dict[str, int] | None = None
) -> Note:
    return Note(
        topic=Topic.REMOTE_CODE, message=message, severity=Severity.HIGH, key=f"python:{kind}", where=where, line=line,
        evidence={**(evidence or {})}, fix="do not run it; ask who wrote it why",
    )  # fmt: skip
