"""Instructions to a language model that a person does not see: in templates, tool descriptions and prompt files."""

from __future__ import annotations

import re

from assay.core.finding import Severity

MOST = 1 << 18

_H, _M = Severity.HIGH, Severity.MEDIUM
_KEYS = (
    r"(?:\.ssh\b|id_rsa|\.env\b|\.aws\b|\.netrc|mcp\.json|api[ _-]?keys?|passwords?|credentials?|private keys?"
    r"|secrets?|access tokens?|environment variables?|(?:system|conversation|chat) (?:prompt|history))"
)
_USER = r"(?:the |this |any )?(?:users?|humans?|persons?|operators?|developers?|customers?)"
_PATTERNS: tuple[tuple[str, str, Severity, str], ...] = (
    (
        "override",
        "tells the model to set earlier instructions aside",
        _H,
        (
            r"\b(?:ignore|disregard|forget|override|bypass)\s+(?:all\s+|any\s+|the\s+|your\s+|every\s+|of\s+|these\s+|those\s+)*"
            r"(?:previous|prior|above|earlier|preceding|other|former|existing)\s+(?:\w+\s+){0,2}?"
            r"(?:instructions?|prompts?|rules|guidelines|directions|messages|tools?)\b"
        ),
    ),
    (
        "conceal",
        "tells the model to hide something from the user",
        _H,
        (
            r"\b(?:do not|don't|dont|never|must not|should not|shouldn't|without)\s+(?:\w+\s+){0,2}?"
            rf"(?:tell(?:ing)?|inform(?:ing)?|notify(?:ing)?|alert(?:ing)?|show(?:ing)?|let(?:ting)?|reveal(?:ing)?"
            rf"|mention(?:ing)?|disclos(?:e|ing)|warn(?:ing)?)\s+"
            rf"(?:(?:this|that|it|them|anything|about|any of this|to)\s+){{0,3}}?{_USER}\b"
            rf"|\b(?:hide|conceal|keep)\s+(?:this|it|that|these|all of this)\s+(?:\w+\s+){{0,3}}?"
            rf"(?:from|secret from)\s+{_USER}"
            rf"|\bwithout\s+{_USER}(?:'s)?\s+(?:knowledge|knowing|consent|noticing|awareness)"
            r"|\bdo not (?:mention|reveal|disclose) "
            r"(?:that you (?:have )?(?:read|sent|called|used|did)|this (?:step|instruction|tool))"
        ),
    ),
    (
        "take-keys",
        "asks the model for keys or private files",
        _H,
        (
            r"\b(?:read|open|cat|load|fetch|get|access|include|pass|copy|collect|exfiltrate|extract|print|output|append"
            r"|attach)\s"
            rf"[^\n.]{{0,80}}?(?:~|/home|/root|\$HOME)?/?(?:\.ssh\b|id_rsa|\.aws/|\.netrc\b|mcp\.json|/etc/passwd|/etc/shadow)"
            rf"|\b(?:send|post|upload|transmit|forward|exfiltrate|leak|email|submit)\s[^\n.]{{0,100}}?{_KEYS}[^\n]{{0,100}}?"
            r"(?:https?://|\bto\s+\S+@\S+|\bwebhook)"
        ),
    ),
    (
        "send-away",
        "asks the model to send what is said to an address",
        _H,
        (
            r"\b(?:send|post|upload|transmit|forward|exfiltrate|leak|submit|bcc|copy)\s[^\n.]{0,100}?"
            r"(?:conversation|messages?|chat|history|user(?:'s)? (?:data|input|question|prompt)|response|contents?"
            r"|emails?|results?|output)\b"
            r"[^\n.]{0,80}?(?:https?://(?!localhost|127\.)|\bto\s+[\w.+-]+@[\w-]+\.\w+)"
            r"|!\[[^\]\n]{0,60}\]\(https?://[^)\s]{0,200}(?:\?|=)[^)\s]{0,100}(?:\{|<|%7b|\[)"
        ),
    ),
    (
        "authority",
        "speaks to the model with a feigned authority",
        _M,
        (
            r"<\s*(?:important|secret|hidden|system_override|admin|instructions?_to_(?:ai|model|assistant))\s*>"
            r"|\b(?:before|prior to) (?:using|calling|invoking|executing) (?:this|any|other|the) (?:\w+ )?"
            r"(?:tool|function)s?\b[^\n.]{0,60}(?:must|always|first|read|call)\b[^\n]{0,80}(?:file|\.\w{2,4}\b|~/)"
            r"|\b(?:this tool|you) must be (?:called|used|invoked) before (?:any|all|every) other"
        ),
    ),
    (
        "weaken",
        "tells the model to harm what it writes",
        _H,
        (
            r"\b(?:insert|add|include|introduce|inject|embed)\s+(?:a |an |some |subtle |hidden |small )*"
            r"(?:backdoors?|vulnerabilit(?:y|ies)|malware|malicious code|security holes?|exploit"
            r"|keylogger|reverse shell)\b"
            r"|\bdisable (?:all )?(?:safety|security) (?:checks|filters|features|measures)\b"
        ),
    ),
)
_COMPILED = tuple(
    (kind, said, severity, re.compile(pattern, re.IGNORECASE)) for kind, said, severity, pattern in _PATTERNS
)
_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)", re.DOTALL)
# Prose that talks about such attacks names them in quotation marks or after these words.
_ABOUT = re.compile(
    r"(?i)(?:such as|for example|e\.g\.|like|attack|inject|phrases?|prompts? (?:that|which)|detect|say|says|:)"
    r"\s*[\"'“‘`*]*$"
)


def instructions(text: str) -> list[tuple[str, str, Severity, int]]:
    """What a text tells a model behind a person's back: (kind, in words, severity, line from 1), each kind once.

    What stands in quotation marks after words that speak about attacks is left out.
    """
    text = text[:MOST]
    found = []
    for kind, said, severity, pattern in _COMPILED:
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - 60) : match.start()]
            if _ABOUT.search(before) and before.rstrip()[-1:] in "\"'“‘`*":
                continue
            found.append((kind, said, severity, text.count("\n", 0, match.start()) + 1))
            break
    return found


def comment_instructions(text: str) -> list[tuple[str, str, Severity, int]]:
    """What HTML comments of a Markdown file say, which a reader of the rendered page never sees."""
    return [found for match in _COMMENT.finditer(text[:MOST]) for found in instructions(match[1])]
