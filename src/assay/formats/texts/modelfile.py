"""Ollama's Modelfile: what it builds on, its Go template, and the words it says to the model for every user."""

from __future__ import annotations

import re
from collections.abc import Iterator

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.reading import Note, Topic
from assay.formats.texts.config_paths import leaves
from assay.formats.texts.hidden_text import hidden, unhidden
from assay.formats.texts.instructions import instructions, unseen_orders

MOST = 1 << 20
_PART = re.compile(
    r"^[ \t]*(?P<word>FROM|ADAPTER|SYSTEM|TEMPLATE|MESSAGE|PARAMETER|LICENSE)[ \t]+"
    r"(?:(?P<role>system|user|assistant)[ \t]+)?(?:\"\"\"(?P<long>.*?)(?:\"\"\"|\Z)|(?P<line>[^\n]*))",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
# A test of Go's templates on what is said: `{{ if eq .Prompt "…" }}`, `{{ if contains … }}`.
_WAITS = re.compile(
    r"\{\{-?\s*(?:else\s+)?if\b[^}]*\b(?:eq|ne|contains|hasPrefix|hasSuffix)\b[^}]*\.(?:Prompt|Content|Response)\b[^}]*\"[^\"]{3,}\""
    r"|\{\{-?\s*(?:else\s+)?if\b[^}]*\"[^\"]{3,}\"[^}]*\.(?:Prompt|Content|Response)\b"
)


def judge_modelfile(text: str, where: str = "") -> list[Note]:
    """The notes on a Modelfile (Ollama's own grammar: a word, then a line or a text in three quotation marks)."""
    notes: dict[str, Note] = {}
    for note in _notes(text[:MOST], where):
        notes.setdefault(note.key, note)
    return list(notes.values())


def _notes(text: str, where: str) -> Iterator[Note]:
    for match in _PART.finditer(text):
        word = match["word"].upper()
        said = (match["long"] or match["line"] or "").strip()
        line = text.count("\n", 0, match.start()) + 1
        if word in ("FROM", "ADAPTER"):
            yield from _built_on(word, said.strip("\"'"), where, line)
        elif word in ("SYSTEM", "TEMPLATE", "MESSAGE"):
            plain = unhidden(said)
            for kind, told, severity, _ in [*instructions(plain), *(unseen_orders(plain) if word != "MESSAGE" else ())]:
                yield _note(f"{told} ({word})", severity, kind, where, line)
            if kinds := hidden(said):
                yield _note(
                    f"hides what it says with {' and '.join(kinds)} ({word})", Severity.HIGH, "hidden", where, line
                )
            if word == "TEMPLATE" and _WAITS.search(said):
                yield _note("acts on a word in what the user says (TEMPLATE)", Severity.HIGH, "trigger", where, line)


def _built_on(word: str, said: str, where: str, line: int) -> Iterator[Note]:
    shown = visible(re.sub(r"//[^/@\s]*@", "//", said), 60)
    if re.match(r"(?i)(?:http|ftp)://", said):
        yield _note(f"takes {word} from {shown}, without TLS", Severity.HIGH, f"plain-{word.lower()}", where, line)
    elif re.match(r"(?i)https://", said):
        yield _note(
            f"takes {word} from {shown}, whatever lies there then", Severity.MEDIUM, f"far-{word.lower()}", where, line
        )
    elif word == "ADAPTER" and leaves(said):
        yield _note(f"takes {word} from outside its folder ({shown})", Severity.MEDIUM, "outside", where, line)


def _note(said: str, severity: Severity, kind: str, where: str, line: int) -> Note:
    return Note(
        topic=Topic.TEMPLATE, message=f"is a Modelfile that {said}", severity=severity, key=f"modelfile:{kind}",
        where=where, line=line, fix="use the model's own words, and weights from its first publisher by digest",
    )  # fmt: skip
