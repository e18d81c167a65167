"""Commands that text of other grammars hands to a shell: build files, pipelines, documents with code that runs.

Of languages that are not read here only what their strings have a shell do is told, where that is past doubt: a
command that no honest file gives, behind a word by which the language runs commands.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

import msgspec

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.reading import Note, Topic
from assay.formats.texts.python_code import judge_python
from assay.formats.texts.shell_text import MOST_LINES, command_kinds, judge_shell
from assay.formats.texts.shell_words import GATE, looks_like_shell

_MOST_NOTES = 20
_BEFORE, _STEP = 500, 1_000  # signs of a line that are judged together
_WINDOW = 1_200  # how far before a command the word may stand that runs it
# What every command that is told has in it.
_SIGN = re.compile(
    r"(?i)\b(?:curl|wget|fetch|aria2c|iwr|irm|iex|invoke-\w+|base64|base32|openssl|xxd|powershell|nc|ncat|netcat|socat"
    r"|mkfifo|mshta|regsvr32|rundll32|msiexec|certutil|bitsadmin|crontab|mkfs\.\w+|rm\s+-|dd\s)|/dev/(?:tcp|udp)/|ld\.so\.preload"
)
_COMMENT = re.compile(r"\s*(?!//go:generate\s)(?://|#(?!!)|--|\*|/\*|%(?!x)|;|<!--|\")")
# By which a language runs commands: Jenkins' steps, calls, CMake, Terraform and their kin.
_HANDS = re.compile(
    r"//go:generate\s|\bqx\s*[{(/|!]|(?:Command(?:Context)?(?:::new)?|\.args?|Process\.[Ss]tart|StartInfo|proc_open|passthru|\blocal\w*)\s*\("
    r"|\b\w*(?:[sS]cript|[hH]ook|[cC]ommand|[cC]md|[aA]rg(?:ument)?s|[pP]hase)\w{0,8}\"?\s*[=:]\s*(?:''|[\[\"'({])"
    r"|\bcommand\s*(?:<<<|\{)|\b(?:sh|bash|bat|powershell|pwsh)\s*\(?\s*(?:script\s*:\s*)?['\"]|\bCOMMAND\s|%x[({\[]"
    r"|(?:\b|[a-z_.])(?:[eE]xec|[sS]pawn|[sS]ystem|[pP]open|[sS]hell|ProcessBuilder|runcmd)\w*!?\s*\(\s*|\b(?:system|exec)\s+[\"']"
    r"|(?:\b|_)(?:command|commands|cmd|inline|user_data|script|shell|program|args)\"?\s*[=:]\s*(?:<<|[\[\"'({])"
)
_OPENS = re.compile(r"[ \t]*(?P<fence>`{3,}|~{3,})[ \t]*\{[ \t]*(?P<language>\w+)[^}]*\}")
_MOST_BLOCKS, _MOST_BLOCK = 1_000, 50_000
_CLOSED = {'"""': '"""', "'''": "'''", "<<<": ">>>", "{": r"\n[ \t]*\}"}
_OPENED = re.compile(
    r"\b(?:script|shell|command|exec|run|cmd|user_data|inline|output|sh|bash)\b[ \t]{0,20}[\"'(=:]{0,3}\s{0,80}"
    r"(?:(?P<mark>\"\"\"|'''|<<<|\{(?=[ \t]*\n))|<<-?[ \t]*\"?(?P<end>\w+)\"?(?=\n))"
)
_OF_PDB = re.compile(r"\s*(?:alias\s+\S+\s+|commands\b.*|!)?(?P<code>.*)")


def judge_handed(text: str, where: str = "") -> list[Note]:
    """Commands that a text of an unread language has a shell run. Topic REMOTE_CODE."""
    notes: dict[str, Note] = {}
    done = 0
    for sign in _SIGN.finditer(text):
        at = sign.start()
        if at < done:
            continue
        start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
        begin, stop = max(start, at - _BEFORE), min(end if end >= 0 else len(text), at + 2 * _STEP)
        done = min(stop, at + _STEP)  # what reaches further is looked at once more from there
        if _COMMENT.match(text, start, start + 200):
            continue
        kinds = [k for k in command_kinds(text[begin:stop]) if k[2].rank >= Severity.HIGH.rank]
        if kinds and _is_handed(text, at):
            number = text.count("\n", 0, start) + 1
            for kind, said, severity in kinds:
                notes.setdefault(kind, _note(f"hands a shell a command that {said}", severity, kind, where, number))
        if len(notes) >= _MOST_NOTES:
            break
    for body, number in _blocks(text):
        for note in judge_shell(body, where) if GATE.search(body) and looks_like_shell(body) else ():
            if note.severity.rank >= Severity.HIGH.rank:
                said = f"hands a shell a script that {note.message.removesuffix(' (shell)')}"
                kind = note.key.partition(":")[2]
                line = number + (note.line or 1) - 1
                notes.setdefault(kind, _note(said, note.severity, kind, where, line))
    return list(notes.values())


def _blocks(text: str) -> Iterator[tuple[str, int]]:
    """Scripts of several lines that a language hands to a shell (WDL, Nextflow, Snakemake, Terraform), with the number
    of their first line."""
    for count, opened in enumerate(_OPENED.finditer(text)):
        if count >= _MOST_BLOCKS:
            return
        close = _CLOSED.get(opened["mark"] or "", rf"\n[ \t]*{opened['end']}\b")
        found = re.compile(close).search(text, opened.end(), opened.end() + _MOST_BLOCK)
        if found:
            body = text[opened.end() : found.start()]
            before = len(body) - len(body.lstrip("\n"))
            yield body.lstrip("\n"), text.count("\n", 0, opened.end() + before) + 1


def _is_handed(text: str, at: int) -> bool:
    """Whether what stands before a command runs it: the last such word, and no end of a statement in between."""
    before = text[max(0, at - _WINDOW) : at]
    words = list(_HANDS.finditer(before))
    return bool(words) and not re.search(r";|\)[ \t]*\n", before[words[-1].end() :])


def judge_chunks(text: str, where: str = "") -> list[Note]:
    """A document whose code runs when it is rendered (Quarto, R Markdown). Topic REMOTE_CODE."""
    notes: list[Note] = []
    fence, language, first = "", "", 0
    body: list[str] = []
    for number, line in enumerate([*text.split("\n"), "\0"], 1):
        opened = None if fence else _OPENS.match(line)
        if opened:
            fence, language, first, body = opened["fence"], opened["language"].lower(), number, []
        elif fence and (line.strip() == fence or line == "\0"):
            found = _judge_chunk(language, "\n".join(body), where)
            notes += [msgspec.structs.replace(n, line=first + n.line if n.line else None) for n in found]
            fence = ""
        elif fence:
            body.append(line)
    return notes


def _judge_chunk(language: str, body: str, where: str) -> list[Note]:
    if language in ("bash", "sh", "zsh", "shell"):
        return judge_shell(body, where)
    if language.startswith("python"):
        return list(judge_python(body, where, later=True).notes)
    return judge_handed(body, where)


def judge_debugger(text: str, where: str = "") -> list[Note]:
    """.pdbrc, which Python's debugger runs line by line wherever it is started (pdb, CPython)."""
    lines = []
    for line in text.splitlines()[:MOST_LINES]:
        match = _OF_PDB.fullmatch(line)
        code = match["code"] if match and not line.lstrip().startswith("#") else ""
        lines.append(code if _parses(code) else "")
    return list(judge_python("\n".join(lines), where).notes)


def _parses(code: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def front_matter(text: str) -> tuple[str, str]:
    """The YAML at a document's head, and what follows it; "" and the whole where there is none."""
    match = re.match(r"\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*$", text, re.MULTILINE | re.DOTALL)
    return (match[1], text[match.end() :]) if match else ("", text)


def judge_submodules(text: str, where: str = "") -> Iterator[Note]:
    """.gitmodules and git's own configuration: values by which git runs a program (CVE-2018-17456 and its kin)."""
    for number, line in enumerate(text.splitlines()[:MOST_LINES], 1):
        match = re.match(r"\s*(\w+)\s*=\s*[\"']?(.*?)[\"']?\s*$", line)
        if match is None:
            continue
        key, value = match[1].lower(), match[2]
        if key in ("url", "path", "pushurl") and value.startswith("-"):
            said = f"gives git an option in place of {'a path' if key == 'path' else 'an address'}"
            yield _note(f"{said} ({visible(value, 40)})", Severity.HIGH, "git-option", where, number)
        elif key in ("url", "pushurl") and re.match(r"(?i)(?:ext|fd)::", value):
            yield _note("has git run a program to fetch (ext::)", Severity.HIGH, "git-transport", where, number)
        elif key == "update" and value.startswith("!"):
            yield _note("has git run a command at every update", Severity.HIGH, "git-update", where, number)
        elif key in _GIT_RUNS and re.search(r"[|;&`$]|^\.{0,2}/(?!usr/)|\b(?:curl|wget|sh|bash|python\d?)\b", value):
            said = f"has git run a command ({key}: {visible(value, 40)})"
            yield _note(said, Severity.HIGH, "git-command", where, number)


_GIT_RUNS = frozenset(
    (
        *("fsmonitor", "sshcommand", "hookspath", "gitproxy", "askpass", "editor", "pager", "textconv", "clean"),
        *("smudge", "uploadpack", "receivepack", "external", "program"),
    )
)


def _note(said: str, severity: Severity, kind: str, where: str, line: int | None) -> Note:
    return Note(
        topic=Topic.REMOTE_CODE, message=said, severity=severity, key=f"handed:{kind}", where=where, line=line,
        fix="read what it runs, and pin what it fetches by digest",
    )  # fmt: skip
