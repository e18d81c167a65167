"""Tool calls that a chat template makes by itself: a literal tool with arguments of its own, whatever the notation.

An honest template describes how calls are written, and repeats those of `message.tool_calls`: there a name, or all of
an example's words, come from the conversation or stand in a description. Here the template's output is put together
with marks for what is not literal, and calls are looked for in that.
"""

# ruff: noqa: E501 - one pattern stands in one place
from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from assay.formats.texts.jinja_lexer import Token
from assay.formats.texts.python_dangers import SENSITIVE

OTHER, SAID = "\x01", "\x02"  # in place of a value that is not known, and of what the conversation says
_MOST = 1 << 18
_MOST_CALLS = 200
_WINDOW, _BEFORE = 700, 400
_WORDS_OF_TESTS = frozenset({"if", "else", "and", "or", "not", "in", "is", "elif"})
_REPEATS = frozenset({"tool_calls", "tool_call", "function_call", "tools", "tool", "functions", "documents"})

_NAME_KEY = r"(?:name|tool|tool_?name|function|function_?name|fn|func|action|recipient_?name|api|api_?name|method|command|skill|plugin)"
_ARGS_KEY = r"(?:arguments?|args|parameters|params|inputs?|action_?input|tool_?input|kwargs|payload|body|data|content|query|values)"
_NAME = r"[A-Za-z_][\w.:/-]{1,60}"
# A tag, a word or a sign by which models begin a call.
_MARK = re.compile(
    r"(?i)<[|｜]?(?!/)[^<>\n\x01]{0,30}?(?:tool|function|func|call|invoke|action|python_tag|ipython|plugin)[^<>\n\x01]{0,60}>"
    r"|\[(?!/)[A-Z_]{0,20}(?:TOOL|CALL|FUNC|ACTION)[A-Z_]{0,20}\]|\b(?:Action|Tool|Function call|Tool call)\s*:(?!\s*(?:the|one|a|your|<|\{\{))"
    r"|\bto=(?:functions?\.)?(?=\w)|```(?:tool\w*|function\w*|json)\s|✿FUNCTION✿:?|✿\w+✿:?"
)
_IN_MARK = re.compile(rf"(?:[=:]|name\s*=)\s*[\"']?({_NAME})[\"']?\s*>$")
_NAMED = re.compile(rf"\\?[\"']{_NAME_KEY}\\?[\"']\s*:\s*\\?[\"']({_NAME})\\?[\"']", re.IGNORECASE)
_GIVEN = re.compile(rf"\\?[\"']{_ARGS_KEY}\\?[\"']\s*:\s*(?P<value>[\[{{\"'\\\x01\x02])", re.IGNORECASE)
_NEXT = re.compile(
    rf"\s*(?:functions?\.|function\s*<[^<>\n]{{1,40}}>\s*)?({_NAME})(?::\d+)?\s*"
    rf"(?:\(|\[ARGS\]|<[|｜][^<>\n]{{1,40}}>|\n?\s*(?:Action Input|Input|Arguments|Parameters|✿ARGS✿)\s*:|\n?\s*(?:```json\s*)?\{{)"
)
_TAGGED = re.compile(
    rf"\s*<(?:tool_?name|function_?name|name|tool)>\s*({_NAME})\s*</[\s\S]{{0,40}}?<(?:arguments?|args|parameters|params|input|tool_input)>",
    re.IGNORECASE,
)
_PYTHONIC = re.compile(rf"[\[\n>]\s*({_NAME})\((?=\w+\s*=)")
_CLOSED = re.compile(
    rf"\s*({_NAME})\s*</[\w-]+>\s*<(?:action_?input|arguments?|args|parameters|params|input|tool_input)>", re.IGNORECASE
)
_PLACEHOLDER = re.compile(
    r"(?i)example|(?:func(?:tion)?|tool|api|action|param\w*|arg\w*|your|my|some|the|method|plugin)_?(?:call_?)?name|^(?:name|foo|bar|baz|tool|function|func"
    r"|args?|arguments?|parameters|string|object|action|x+|test|answer|response|none|null|true|false|final\w*|respond\w*|user|assistant|system)\d*$"
    r"|name\d+$|_\d$|^func\d|^tool\d|placeholder"
)
_ROLE = re.compile(
    r"(?i)(?:<[|｜]?(?:im_start|start_header_id|start_of_turn|start_of_role|start|turn|role)[|｜]?>\s*)?(?P<role>assistant|model|gpt|bot|system|user|human|tool|ipython)\b"
    r"|\[/?INST\]"
)
_SPEECH = re.compile(r"(?<![\w|<>/.\"'])[A-Za-z][a-z']+(?![\w|>\"':])")
_REACHES = re.compile(
    r"(?i)https?://|\b[\w.+-]+@[\w-]+\.\w{2,}|\b(?:rm\s+-|curl\s|wget\s|bash\s|powershell|os\.system|subprocess)"
)


class Call(msgspec.Struct, frozen=True):
    """A call: the tool's name, and whether what is given is what was said, or an address, a file of keys, a command."""

    tool: str
    grave: bool


def written(
    tokens: tuple[Token, ...], known: Callable[[str], object], said: Callable[[str], bool], made: dict[str, str]
) -> str:
    """What an expression writes, as far as it is literal. `known`: a name's text, `said`: whether a name stands for what
    the conversation says, `made`: names set to mappings, as they are written."""
    out: list[str] = []
    at, depth = 0, 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "text":
            out.append(f'"{token.value}"' if depth else token.value)
        elif token.kind == "number":
            out.append(token.value if depth else "")
        elif token.kind == "sign":
            depth += (token.value in "{[") - (token.value in "}]")
            if token.value == "|":  # a filter's name and arguments are not written
                at = _over(tokens, at + 2) - 1
            elif depth or token.value in "}]":
                out.append(token.value if token.value in "{}[]:," else "")
            elif token.value == "%":
                out.append(SAID if any(t.kind == "name" and said(t.value) for t in tokens[at:]) else "")
        elif token.value == "if" and not depth:
            at = next((i for i in range(at, len(tokens)) if tokens[i].value == "else"), len(tokens))
        elif token.value not in _WORDS_OF_TESTS:
            end = _operand(tokens, at)
            part = tokens[at:end]
            value = known(token.value) if len(part) == 1 else None
            names = {t.value for t in part if t.kind in ("name", "text")}
            if token.value in made and len(part) == 1:
                out.append(made[token.value])
            elif isinstance(value, str):
                out.append(value)
            elif any(map(said, names)) and not names & _REPEATS:
                out.append(f'"{SAID}"' if depth else SAID)
            else:
                out.append(OTHER)
            at = end - 1
        at += 1
    whole = "".join(out)
    if "%s" in whole or "{}" in whole:
        held = SAID if any(t.kind == "name" and said(t.value) for t in tokens) else OTHER
        whole = whole.replace("%s", held).replace("{}", held)
    return whole


def _over(tokens: tuple[Token, ...], at: int) -> int:
    """Where a group ends that opens at `at`; `at` itself where none opens."""
    if at >= len(tokens) or tokens[at].value not in ("(", "["):
        return at
    depth = 0
    for place in range(at, len(tokens)):
        if tokens[place].kind == "sign":
            depth += (tokens[place].value in "([{") - (tokens[place].value in ")]}")
            if not depth:
                return place + 1
    return len(tokens)


def _operand(tokens: tuple[Token, ...], at: int) -> int:
    """Where a name ends with its attributes, subscripts and calls."""
    at += 1
    while at < len(tokens) and tokens[at].kind == "sign":
        if tokens[at].value == "." and at + 1 < len(tokens):
            at += 2
        elif tokens[at].value in ("(", "["):
            at = _over(tokens, at)
        else:
            break
    return at


def own_calls(output: str) -> Iterator[Call]:
    """Calls in what a template writes whose tool and arguments are its own."""
    output = output[:_MOST]
    count = 0
    for match in _MARK.finditer(output):
        count += 1
        if count > _MOST_CALLS:
            return
        body = output[match.end() : match.end() + _WINDOW]
        inside = _IN_MARK.search(match.group())
        found = inside or _NEXT.match(body) or _TAGGED.match(body) or _CLOSED.match(body)
        name, given = (found[1], body if inside else body[found.end() - 1 :]) if found else _mapping(body)
        if not name or _is_form(name) or not given.strip() or given.lstrip()[:1] == OTHER:
            continue
        given = given[: _end(given)]
        if grave := _grave(given):
            yield Call(name, grave)
        elif _in_answer(output[max(0, match.start() - _BEFORE) : match.start()], given):
            yield Call(name, grave=False)
    for match in _NAMED.finditer(output):
        count += 1
        if count > _MOST_CALLS:
            return
        start = max(0, match.start() - _WINDOW // 2)
        name, given = _mapping(output[start : match.end() + _WINDOW], match.start() - start)
        if not name or _is_form(name):
            continue
        value = _value(given)
        if SAID in value:
            yield Call(name, grave=True)
        elif _in_answer(output[max(0, match.start() - _BEFORE) : match.start()], value):
            yield Call(name, grave=_grave(value))
    for match in _PYTHONIC.finditer(output):
        given = output[match.end() : match.end() + _WINDOW].partition(")")[0]
        before = output[max(0, match.start() - _BEFORE) : match.start()]
        if not _is_form(match[1]) and _grave(given) and _in_answer(before, given):
            yield Call(match[1], grave=True)


def _mapping(body: str, at: int = 0) -> tuple[str, str]:
    """The tool and the arguments of a mapping: keys in any order, one perhaps inside the other's."""
    named = _NAMED.search(body, at, at + 300)
    if named is None:
        return "", ""
    after = _GIVEN.search(body, named.end(), named.end() + 200)
    before = [
        m for m in _GIVEN.finditer(body, max(0, named.start() - 350), named.start()) if m["value"] in "{[\"'\\\x02"
    ]
    if after:
        return named[1], body[after.start("value") :]
    return (named[1], body[before[0].start("value") : named.start()]) if before else ("", "")


def _end(given: str) -> int:
    """Where a call's arguments end: at what closes it, or where words begin again."""
    found = re.search(r"</|\[/|<[|｜]|\n\n|\bObservation\b", given)
    return found.start() if found else min(len(given), _WINDOW)


def _value(given: str) -> str:
    """A value up to where it ends: the brace that closes it, or the next quotation mark."""
    given = given[: _end(given)]
    if given[:1] not in ("{", "["):
        return given[: max(given.find(given[:1], 1), 0) + 1]
    depth = 0
    for at, sign in enumerate(given):
        depth += (sign in "{[") - (sign in "}]")
        if not depth:
            return given[: at + 1]
    return given


def _is_form(name: str) -> bool:
    """Whether a name stands for that of any tool."""
    return _PLACEHOLDER.search(name) is not None


def _grave(given: str) -> bool:
    return SAID in given or _REACHES.search(given) is not None or SENSITIVE.search(given) is not None


def _in_answer(before: str, given: str) -> bool:
    """Whether a call stands where the model's answer does, and not in a description of how calls are written."""
    if _PLACEHOLDER.search(re.sub(r"https?://[^\s\"']+|[\w.+-]+@[\w.-]+", "", given[:300])) or re.search(
        r"<[a-z_ -]+>|\.\.\.|\bvalue\d?\b", given
    ):
        return False
    roles = list(_ROLE.finditer(before))
    last = roles[-1] if roles else None
    since = before[last.end() :] if last else before
    if len(_SPEECH.findall(since)) >= 4:
        return False
    return last is not None and (last["role"] or "").lower() in ("assistant", "model", "gpt", "bot")
