"""Files that a tool obeys when it starts or opens a folder: settings of debuggers, editors, shells, consoles, builds.

Every line of such a file is acted on, so no word has to hand it to a shell first: what a line, or a text in it, would
do as a command is told, and what it fetches to evaluate in the tool's own language.
"""

# ruff: noqa: E501 - one pattern stands in one place
from __future__ import annotations

import ast
import html
import re
import warnings
from collections.abc import Iterator
from functools import cache

from assay.core.finding import Severity
from assay.formats.reading import Note, Topic
from assay.formats.texts.python_code import judge_python
from assay.formats.texts.python_dangers import SENSITIVE
from assay.formats.texts.shell_flow import Flow
from assay.formats.texts.shell_text import MOST_LINE, MOST_LINES, command_kinds
from assay.formats.texts.shell_words import GATE

_H, _M = Severity.HIGH, Severity.MEDIUM
_MOST_LINE = 4_000
_SHORT = 4_000  # longer files both fetch and evaluate for reasons of their own
_OF_VIM = re.compile(r"(?:^|[._])(?:vimrc|exrc|nvimrc|gvimrc|ideavimrc)|\.vim$")
_COMMENT = re.compile(r"\s*(?:#(?![({])|//|--(?!\w)|;|\*|<!--|%(?![xw]))")
_QUOTED = re.compile(
    r"\"((?:\\.|[^\"\\\n]){1,2000})\"|'((?:\\.|[^'\\\n]){1,2000})'|`([^`\n]{1,2000})`|\{([^{}\n]{4,2000})\}|\[\[([^\]\n]{4,2000})\]\]"
)
# The tool's own words before a command: `shell …`, `:!…`, `\! …`, `.system …`, `run-shell …`, `set x=…`.
_LEAD = re.compile(
    r"\s*(?:[:.\\]?[A-Za-z][\w-]*!?[ \t]+){0,3}?[:\\.]?!{1,2}[ \t]*|\s*[.\\:]?[A-Za-z][\w-]*[ \t]*(?:=[ \t]*|[ \t])"
)
_PYTHON = re.compile(r"[ \t]*(?:python3?|py3?|pyx|script|pi)[ \t]+(?!<<|print\b|-)(?P<code>\S.*)")
_BLOCK = re.compile(r"[ \t]*(?:python3?|py3?|pyx?)(?:[ \t]*<<-?[ \t]*(?:trim[ \t]+)?(?P<end>\w*))?[ \t]*$")


@cache
def _evaluating() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """A word that evaluates what an address on its line holds; words that fetch; words that evaluate."""
    runs = r"(?:eval\w*|source|include|load(?:-?(?:file|string)|string)?|dofile|instance_eval|class_eval|exec|sys\.source|Code\.eval_\w+)"
    return (
        re.compile(rf"(?<![\w.-]){runs}\b[ \t]*[(\s][^\n]{{0,400}}?(?:https?|ftp)://(?!localhost|127\.)"),
        re.compile(
            r"(?i)Net::HTTP|open-uri|URI\.open|url-(?:retrieve|copy)|https?\.request|socket\.http|readLines\s*\(\s*url|httr::|RCurl"
            r"|download(?:\.file)?\s*\(|HTTP\.get|urlopen|requests\.get|\bcurl\b|\bwget\b|TCPSocket|httpc|:gen_tcp|fetch\s*\("
        ),
        re.compile(rf"(?<![\w.-]){runs}[ \t]*[(\s]|parse\s*\(\s*text"),
    )


def judge_start(text: str, name: str, where: str = "") -> list[Note]:
    """What a tool's start file has it do. Topic REMOTE_CODE; ordinary settings give nothing."""
    vim = _OF_VIM.search(name.replace("\\", "/").rpartition("/")[2].lower()) is not None
    notes: dict[str, Note] = {}
    plain: list[str] = []
    flow = Flow()
    gate = GATE.search(text) is not None
    for number, line in enumerate(text.splitlines()[:MOST_LINES], 1):
        if _COMMENT.match(line) or (vim and line.lstrip().startswith('"')):
            continue
        line = line[:_MOST_LINE]
        plain.append(line)
        for kind, said, grave in _line(line, flow, gate=gate):
            notes.setdefault(
                kind, _note(f"has a tool that {said}, as soon as it starts here", grave, kind, where, number)
            )
    for kind, said, grave in _own_words("\n".join(plain)):
        notes.setdefault(kind, _note(said, grave, kind, where, None))
    for code, number in _python_parts(text):
        for note in judge_python(code, where).notes:
            if note.severity.rank >= _H.rank:
                said = (
                    f"has a tool run Python that {note.message.partition(' when it is ')[0]}, as soon as it starts here"
                )
                notes.setdefault(note.key, _note(said, _H, note.key, where, number))
    return list(notes.values())


def _line(line: str, flow: Flow, *, gate: bool) -> Iterator[tuple[str, str, Severity]]:
    """What one line does as a command, whatever the tool's own words around it are."""
    seen = command_kinds(line)
    if gate:
        texts = [next(g for g in m.groups() if g is not None) for m in _QUOTED.finditer(line)][:100]
        lead = _LEAD.match(line)
        for text in [*texts, "".join(texts), " ".join(texts), line[lead.end() :] if lead else ""]:
            if text and GATE.search(text):
                seen += command_kinds(text)
                seen += flow.line(text)
    if SENSITIVE.search(line) and re.search(r"(?i)https?://(?!localhost|127\.)|\bnc\s|/dev/tcp/", line):
        seen.append(("send-secrets", "sends keys or the environment to another machine", _H))
    yield from (k for k in seen if k[2].rank >= _H.rank)


def _own_words(text: str) -> Iterator[tuple[str, str, Severity]]:
    """What a file fetches and evaluates in its tool's own language."""
    if not re.search(r"(?i)https?://|ftp://|socket|gen_tcp", text):
        return
    direct, fetches, runs = _evaluating()
    if direct.search(text):
        yield "fetch-evaluate", "has a tool fetch code and evaluate it, as soon as it starts here", _H
    elif SENSITIVE.search(text) and re.search(
        r"(?i)\bcurl\b[^\n]{0,200}\s(?:-d|-F|-T|--data|--form|--upload)|Net::HTTP|\.post\b|\bnc\s", text
    ):
        yield (
            "send-secrets",
            "has a tool that reads files of keys and sends something away, as soon as it starts here",
            _M,
        )
    elif len(text) < _SHORT and fetches.search(text) and runs.search(text):
        yield "fetch-evaluate", "has a tool that fetches text and evaluates text, as soon as it starts here", _M


def _python_parts(text: str) -> Iterator[tuple[str, int]]:
    """Python in settings of debuggers and editors (`python …`, `py3 <<EOF`, blocks up to `end`)."""
    if "py" not in text and "script" not in text and "pi " not in text:
        return
    lines = text.splitlines()[:MOST_LINES]
    at = 0
    while at < len(lines):
        block, single = _BLOCK.match(lines[at]), _PYTHON.match(lines[at])
        if block:
            end = block["end"] or ("." if block["end"] == "" else "end")
            stop = next((i for i in range(at + 1, min(len(lines), at + 2_000)) if lines[i].strip() == end), len(lines))
            yield "\n".join(lines[at + 1 : stop]), at + 1
            at = stop
        elif single:
            code = single["code"]
            if _parses(code):
                yield code, at + 1
        at += 1


def _parses(code: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


# Lines of an editor's own in any file

_MODELINE = re.compile(r"(?:^|\s)(?:vim?|ex)\d*:[^\n]{0,1000}")
_ACTS = re.compile(r"system\s*\(|(?:^|[:\s|])!\s*\w|\b(?:py3?|lua|call|source|exec\w*)\s")
_EVAL = re.compile(r"(?im)^[^\n]{0,20}?(?:-\*-[^\n]{0,300}?)?\beval:\s*\((?P<code>[^\n]{0,1000})")
_SPAWNS = re.compile(
    r"shell-command|call-process|start-process|make-process|url-retrieve|load-file|delete-|async-shell|\(eval\b|process-lines"
)
_HEAD, _TAIL = 2_000, 4_000


def judge_modelines(text: str, where: str = "") -> list[Note]:
    """Lines by which any file sets up the editor that opens it (Vim's modelines, Emacs' local variables)."""
    notes: dict[str, Note] = {}
    for part in (text[:_HEAD], text[-_TAIL:] if len(text) > _HEAD else ""):
        for match in _MODELINE.finditer(part) if "vi" in part or "ex:" in part else ():
            said = match.group()
            if re.search(r"\bset?\b|=", said) and _ACTS.search(re.sub(r"^\s*(?:vim?|ex)\d*:\s*(?:set?\s)?", " ", said)):
                what = "has Vim run what stands in a line of it, when it is opened"
                notes.setdefault("vim", _note(what, _H, "modeline", where, None))
        for match in _EVAL.finditer(part) if "eval:" in part else ():
            code = match["code"]
            bad = any(k[2].rank >= _H.rank for k in command_kinds(code))
            if bad or (_SPAWNS.search(code) and ("-*-" in part or "Local Variables:" in part)):
                what = "has Emacs run what stands in a line of it, when it is opened"
                notes.setdefault("emacs", _note(what, _H if bad else _M, "modeline-eval", where, None))
    return list(notes.values())


# Settings of consoles that are Python, and of development environments that are XML


def judge_console(text: str, where: str = "") -> list[Note]:
    """Texts that IPython and Jupyter run for their configuration: lines of code, commands of terminals and kernels."""
    notes: dict[str, Note] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [node.func] if isinstance(node, ast.Call) else []
        named = {part.attr for target in targets for part in ast.walk(target) if isinstance(part, ast.Attribute)}
        if not named:
            continue
        held = [*node.args] if isinstance(node, ast.Call) else [node.value] if isinstance(node, ast.Assign) else []
        texts = [n.value for h in held for n in ast.walk(h) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        for said in [*texts, " ".join(texts)] if len(texts) > 1 else texts:
            for note in _console_text(said[:MOST_LINE], where, code="exec_lines" in named or "code_to_run" in named):
                notes.setdefault(note.key, note)
    return list(notes.values())


def _console_text(said: str, where: str, *, code: bool) -> Iterator[Note]:
    for kind, does, grave in command_kinds(re.sub(r"^\s*(?:!!?|%\w+\s)", "", said)):
        if grave.rank >= _H.rank:
            yield _note(f"has a console that {does}, as soon as it starts", grave, kind, where, None)
    if code and not re.match(r"\s*[!%]", said):
        for note in judge_python(said, where).notes:
            if note.severity.rank >= _H.rank:
                does = note.message.partition(" when it is ")[0]
                yield _note(f"has a console run Python that {does}, as soon as it starts", _H, note.key, where, None)


_HELD = re.compile(
    r"(?i)\b(?:value|line|command\w*|cmd\w*|exec\w*|arg\w*|script\w*|parameters|options)\s*=\s*(?:\"([^\"<]{6,8000})\"|'([^'<]{6,8000})')"
    r"|<(?:command\w*|cmd\w*|exec\w*|arg\w*|script\w*|(?:Pre|Post)\w*Event)\b[^<>]{0,400}>([^<]{6,8000})<"
)


def judge_xml_commands(text: str, where: str = "") -> list[Note]:
    """Commands in XML of development environments and builds: run configurations, Ant, Maven, MSBuild."""
    notes: dict[str, Note] = {}
    if GATE.search(text):
        for match in _HELD.finditer(text):
            said = html.unescape(next(g for g in match.groups() if g))
            for kind, does, grave in command_kinds(said) if GATE.search(said) else ():
                if grave.rank >= _H.rank:
                    number = text.count("\n", 0, match.start()) + 1
                    notes.setdefault(kind, _note(f"has a tool run a command that {does}", grave, kind, where, number))
    return list(notes.values())


def _note(said: str, severity: Severity, kind: str, where: str, line: int | None) -> Note:
    return Note(
        topic=Topic.REMOTE_CODE, message=said, severity=severity, key=f"start:{kind}", where=where, line=line,
        fix="read it before the tool is started in its folder, or leave it out",
    )  # fmt: skip
