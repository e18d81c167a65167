"""Markup that says what nobody sees: hidden HTML and comments in pages and cards, entities of XML that reach out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from assay.core.finding import Confidence, Severity
from assay.core.text import visible
from assay.formats.reading import Note, Topic
from assay.formats.texts.hidden_text import hidden, unhidden
from assay.formats.texts.instructions import MOST, instructions, unseen_orders

MOST_PAGE = 4 * MOST
_MOST_PARTS = 2_000
_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)", re.DOTALL)
# A link definition that is never used shows nothing: the comments of Markdown.
_DEFINED = re.compile(
    r"^[ ]{0,3}\[[^\]\n]{1,40}\]:[ \t]*(?:#|<>|/)[ \t]*[\"'(]([^\n]{12,4000})[\"')][ \t]*$", re.MULTILINE
)
_INVISIBLE = (
    r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0?\.?0*(?:;|[\"']|\s|$)|font-size\s*:\s*(?:0(?!\.\d*[1-9])|0?\.\d+|1px)"
    r"|(?:^|[;\"'\s])color\s*:\s*(?:#fff(?:fff)?\b|white\b|transparent\b|rgba?\(\s*255\s*,\s*255\s*,\s*255|rgba\([^)]*,\s*0?\.?0*\s*\))"
    r"|(?:left|top|text-indent)\s*:\s*-\d{3,}|clip\s*:\s*rect\(\s*0|(?:max-)?(?:height|width)\s*:\s*0(?:px)?\s*(?:;|[\"'])"
)
_TAG = re.compile(
    rf"<(?P<tag>[a-zA-Z][\w-]{{0,20}})\b(?P<rest>[^<>]{{0,2000}}?(?:style\s*=\s*(?:\"[^\"<>]*?(?:{_INVISIBLE})|'[^'<>]*?(?:{_INVISIBLE}))"
    r"|\s(?:hidden|aria-hidden\s*=\s*[\"']true|color\s*=\s*[\"']?(?:white|#fff(?:fff)?|transparent)|size\s*=\s*[\"']?0)(?=[\s>=\"'/]))"
    r"[^<>]{0,2000})>(?P<text>.*?)(?:</(?P=tag)\s*>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE = re.compile(
    r"\s(?:alt|title|aria-label|data-[\w-]+|content)\s*=\s*(?:\"([^\"]{20,4000})\"|'([^']{20,4000})')"
)
# What comments say to people too, unless they speak to a model.
_OF_PEOPLE = frozenset({"send-away", "take-keys", "steers", "asked", "authority"})
_TO_A_MODEL = re.compile(
    r"(?i)\b(?:AIs?|LLMs?|language models?|assistants?|chat ?bots?|agents?|GPT|Claude|Gemini|Copilot|model|prompt"
    r"|instructions?|reviewers?|user)\b"
)
_TAGS = re.compile(r"<[^<>]{0,2000}>")

_DOCTYPE = re.compile(r"<!DOCTYPE\b", re.IGNORECASE)
_ENTITY = re.compile(
    r"<!ENTITY\s+(?P<percent>%\s+)?(?P<name>[\w.:-]{1,200})\s+"
    r"(?:(?:SYSTEM|PUBLIC\s+[\"'][^\"']*[\"'])\s+[\"'](?P<at>[^\"']*)"
    r"|(?P<value>\"[^\"]{0,100000}\"|'[^']{0,100000}'))",
)
_REFERENCE = re.compile(r"[&%][\w.:-]{1,200};")
_OUTSIDE_DTD = re.compile(r"<!DOCTYPE\s+[\w.:-]+\s+SYSTEM\s+[\"'](?P<at>[^\"']*)[\"']", re.IGNORECASE)
_ELSEWHERE = re.compile(r"(?i)[a-z][\w.+-]*:|/(?!usr/share/)|\.\./|~|\\\\")
_GRAMMARS = re.compile(
    r"(?i)https?://(?:[\w-]+\.)*(?:(?:w3|dmg|apache|mybatis|hibernate|oasis-open|docbook)\.org|(?:apple|opensymphony)\.com"
    r"|docbook\.sourceforge\.net)/"
)
_INCLUDE = re.compile(r"<(?:\w+:)?include\b[^<>]{0,500}?\bhref\s*=\s*[\"'](?P<at>[^\"']{1,500})[\"'][^<>]{0,500}>")
_SCRIPT = re.compile(
    r"<(?:msxsl|xalan|lxslt)?:?(?:script|component)\b[^<>]{0,500}?(?:implements-prefix|language\s*=)|urn:schemas-microsoft-com:xslt",
    re.I,
)


def judge_page(text: str, where: str = "") -> list[Note]:
    """Orders to a model in the parts of a Markdown or HTML page that its reader does not see. Topic AGENT_TOOLS."""
    notes: dict[str, Note] = {}
    lines: list[int] = []
    parts: list[str] = []
    for part, line in _unseen(text[:MOST_PAGE]):
        lines += [line] * (part.count("\n") + 1)
        parts.append(part)
    said = unhidden("\n".join(parts))[:MOST]
    to_a_model = _TO_A_MODEL.search(said) is not None
    for kind, told, _severity, at in [*instructions(said), *unseen_orders(said)]:
        if kind == "beacon" or (kind in _OF_PEOPLE and not to_a_model):
            continue
        notes.setdefault(
            kind,
            Note(
                topic=Topic.AGENT_TOOLS, message=f"{told}, where its reader does not see it", severity=Severity.HIGH,
                key=f"page:{kind}", where=where, line=lines[at - 1] if at <= len(lines) else None,
                confidence=Confidence.MEDIUM, fix="take it out: a model that is given the page obeys it",
            ),
        )  # fmt: skip
    if "tag characters" in (kinds := hidden(text)):
        notes["hidden"] = Note(
            topic=Topic.AGENT_TOOLS, message=f"hides text with {kinds['tag characters']} tag characters",
            severity=Severity.HIGH, key="page:hidden", where=where, fix="take them out; no honest page has them",
        )  # fmt: skip
    return list(notes.values())


def _unseen(text: str) -> Iterator[tuple[str, int]]:
    """The parts that do not show, with the line of each."""
    count = 0
    fenced = [m.span() for m in re.finditer(r"^(```|~~~).*?^\1", text, re.MULTILINE | re.DOTALL)]
    for pattern in (_COMMENT, _DEFINED, _TAG, _ATTRIBUTE):
        for match in pattern.finditer(text):
            count += 1
            if count > _MOST_PARTS:
                return
            if any(start <= match.start() < end for start, end in fenced):
                continue  # an example of it, which shows
            part = match["text"] if pattern is _TAG else next((g for g in match.groups() if g), "")
            yield _TAGS.sub(" ", part), text.count("\n", 0, match.start()) + 1


def judge_xml(text: str, where: str = "") -> list[Note]:
    """What an XML document (PMML too) has its parser fetch or unfold. Topic REMOTE_CODE.

    Entities and includes are resolved by parsers that were not told otherwise (XML 1.0, ch. 4.2; OWASP on XXE).
    """
    notes: list[Note] = []
    entities = list(_ENTITY.finditer(text[:MOST_PAGE])) if _DOCTYPE.search(text[:MOST_PAGE]) else []
    outside = [m for m in entities if m["at"] and _ELSEWHERE.match(m["at"]) and not _GRAMMARS.match(m["at"])]
    if outside:
        said = f"declares an entity that its parser fetches from elsewhere ({visible(outside[0]['name'], 40)})"
        notes.append(_xml(said, Severity.HIGH, "entity", where))
    nested = [m for m in entities if m["value"] and len(_REFERENCE.findall(m["value"])) >= 2]
    if len(nested) >= 2 or any(len(_REFERENCE.findall(m["value"])) > 50 for m in nested):
        notes.append(
            _xml("declares entities that unfold into one another without bound", Severity.HIGH, "unfolds", where)
        )
    dtd = _OUTSIDE_DTD.search(text[:MOST_PAGE])
    if dtd and _ELSEWHERE.match(dtd["at"]) and not _GRAMMARS.match(dtd["at"]):
        notes.append(
            _xml(f"has its parser fetch a grammar from {visible(dtd['at'], 60)}", Severity.MEDIUM, "dtd", where)
        )
    for match in _INCLUDE.finditer(text[:MOST_PAGE]):
        if "XInclude" in text and _ELSEWHERE.match(match["at"]):
            notes.append(_xml(f"includes {visible(match['at'], 60)}", Severity.HIGH, "include", where))
            break
    if _SCRIPT.search(text[:MOST_PAGE]) and "xsl" in text:
        notes.append(_xml("holds a script that an XSLT processor runs", Severity.HIGH, "script", where))
    return notes


def _xml(said: str, severity: Severity, kind: str, where: str) -> Note:
    fix = "read it only with a parser that resolves no entities (defusedxml), or take them out"
    return Note(topic=Topic.REMOTE_CODE, message=said, severity=severity, key=f"xml:{kind}", where=where, fix=fix)
