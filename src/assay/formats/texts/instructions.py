"""Instructions to a language model that a person does not see: in templates, tool descriptions and prompt files."""

from __future__ import annotations

import base64
import re

from assay.core.finding import Severity
from assay.formats.texts.concepts import combined, forbidden, untold
from assay.formats.texts.spared import consented, obeyed, of_messages, own_header, unmixed
from assay.formats.texts.tongues import KEY_FILE, OTHER_TONGUES

MOST = 1 << 18

_H, _M = Severity.HIGH, Severity.MEDIUM
_KEYS = (
    r"(?:\.ssh\b|id_rsa|\.env\b|\.aws\b|\.netrc|mcp\.json|api[ _-]?keys?|passwords?|credentials?|private keys?"
    r"|secrets?|access tokens?|environment variables?|(?:system|conversation|chat) (?:prompt|history))"
)
_USER = r"(?:the |this |any )?(?:users?|humans?|persons?|operators?|developers?|customers?)"
# What a business keeps to itself is its own matter.
_OWN_MATTER = (
    r"(?!\s+(?:the\s+|any\s+|our\s+|their\s+|other\s+|about\s+)*(?:internal|confidential|private|personal|prices?|salar(?:y|ies)"
    r"|tickets?|account|order|phone|home|passwords?|secrets?|keys?|credentials?|tokens?|codes?|pins?)\b)"
)
# A rule for people may keep a subject from users; an order that hides something keeps what the model itself does.
_OF_THE_DEED = (
    r"(?!\s+(?:about|of|how|which)\s+(?!(?:this|that|it|them|these|those|anything|any of (?:this|these)|what you"
    r"|your|you|the (?:\w+ )?(?:tools?|files?|calls?|steps?|requests?|keys?|contents?|parameters?|instructions?"
    r"|commands?|actions?))\b))"
)
_DOMAIN = (
    r"(?:the |our |my )?[a-z0-9-]{2,}(?:\.[a-z0-9-]{2,})*\.(?:example|com|net|org|io|dev|app|xyz|ru|cn"
    r"|top|site|info|me|co"
    r"|sh)\b"
)
_PATTERNS: tuple[tuple[str, str, Severity, str], ...] = (
    (
        "override",
        "tells the model to set earlier instructions aside",
        _H,
        (
            r"\b(?:ignore|disregard|forget|override|bypass)\s+(?:all\s+|any\s+|the\s+|your\s+|every\s+|of\s+"
            r"|these\s+|those\s+)*"
            r"(?:previous|prior|above|earlier|preceding|other|former|existing)\s+(?:\w+\s+){0,2}?"
            r"(?:instructions?|prompts?|rules|guidelines|directions|messages|tools?|agents|servers|skills)\b"
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
            rf"(?:(?:this|that|it|them|anything|about|any of this|to)\s+){{0,3}}?{_USER}\b{_OF_THE_DEED}{_OWN_MATTER}"
            rf"|\b(?:hide|conceal|keep)\s+(?:this|it|that|these|all of this)\s+(?:\w+\s+){{0,3}}?"
            rf"(?:from|secret from)\s+{_USER}"
            rf"|\bwithout\s+{_USER}(?:'s)?\s+(?:knowledge|knowing|consent|noticing|awareness)"
            r"|\b(?:do not|don't|never) (?:mention|reveal|disclose|repeat|admit|acknowledge) "
            r"(?:that you (?:have )?(?:read|sent|called|used|did)|this (?:step|instruction|tool|call|request"
            r"|parameter))"
        ),
    ),
    (
        "take-keys",
        "asks the model for keys or private files",
        _H,
        (
            r"\b(?:read|open|cat|load|fetch|get|access|include|pass|copy|collect|exfiltrate|extract|print|output|append"
            r"|attach)\s"
            rf"[^\n.]{{0,80}}?(?:~|/home|/root|\$HOME)?/?{KEY_FILE}"
            # any other file that is kept hidden at home, where it goes on into an argument or away
            r"|\b(?:read|open|cat|load|fetch|get|copy|extract)\s[^\n]{0,60}?(?:~|\$HOME|/root|/home/\w+)/\.[\w./-]+[^\n]{0,40}?"
            r"\b(?:and|then)\s+(?:put|pass|include|send|add|insert|provide|append|attach|post|upload)\b"
            rf"|\b(?:send|post|upload|transmit|forward|exfiltrate|leak|email"
            rf"|submit)\s[^\n.]{{0,100}}?{_KEYS}[^\n]{{0,100}}?"
            rf"(?:https?://|\bto\s+\S+@\S+|\bwebhook|\bto\s+{_DOMAIN})"
            r"|\b(?:give|hand|grant|send|forward)\s+(?:it|me|us|him|them|this \w+|that \w+)\s+(?:\w+\s+){0,3}?"
            r"(?:credentials|api keys?|access tokens?|secrets|passwords)\b"
            rf"|\b(?:pass|include|put|provide|add|attach|copy|supply)\s[^\n.]{{0,60}}?\b(?:all|whole|entire|full"
            rf"|every|contents? of)"
            rf"\s(?:\w+\s){{0,3}}?{_KEYS}"
        ),
    ),
    (
        "send-away",
        "asks the model to send what is said to an address",
        _H,
        (
            r"\b(?:send|post|upload|transmit|forward|exfiltrate|leak|submit|bcc|copy)\s[^\n.]{0,100}?"
            r"(?:conversation|messages?|chat|history|user(?:'s)? (?:data|input|question|prompt)|response|contents?"
            r"|emails?|results?|output|answers?|repl(?:y|ies))\b"
            rf"[^\n.]{{0,80}}?(?:https?://(?!localhost|127\.)|\bto\s+[\w.+-]+@[\w-]+\.\w+|\bto\s+{_DOMAIN})"
            r"|\b(?:always|must|every time|silently|secretly)\s+(?:add\s+|put\s+|include\s+|set\s+|use\s+"
            r"|fill\s+)?(?:the\s+)?(?:bcc|cc)\b[^\n]{0,60}?[\w.+-]+@[\w-]+\.\w+"
            r"|https?://(?!localhost|127\.)[^\s\"'`]{3,200}[?&/=][\"'`]\s{0,4}\+\s{0,4}(?:\w{1,30}\(\s{0,4}){0,3}"
            r"(?:conversation|messages?|chat|history|transcript|answer|response|secrets?|passwords?|(?:api_?)?keys?|env)\b"
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
            r"(?:tool|function)s?\b(?![^\n~]{0,60}\b(?:docs?/|README|CONTRIBUTING|documentation\b|guide(?:s|lines)?\b))[^\n.]{0,60}(?:must|always|first|read|call)\b[^\n]{0,80}(?:file|\.\w{2,4}\b|~/)"
            r"|\b(?:this (?:tool|function|server)|you|it) (?:must|has to|should|needs to) (?:always )?be "
            r"(?:called|used|invoked|run) (?:first|before (?:any|all|every|using|calling|each))"
            r"|\bbefore (?:using|calling|invoking|executing|running|responding|answering|doing)[^\n.]{0,60}"
            r"\b(?:you )?(?:must|always|have to|need to) (?:first )?(?:call|use|invoke|run) (?:this|the current)"
            r"(?: tool| function)?\b"
            r"|\balways (?:call|use|invoke|run) this (?:tool|function)? ?(?:first|before)"
            r"|\b(?:instead of|rather than|in place of) (?:using |calling )?(?:any |all |the )?other (?:tool"
            r"|server|agent)s?\b"
            r"|\b(?:always )?(?:route|send|forward|delegate|give) (?:all|every|any) (?:tasks?|requests?|calls?|queries)"
            r" to (?:this|me\b)"
        ),
    ),
    (
        "shadow",
        "tells the model how to use what is not its own",
        _H,
        (
            r"\b(?:when|whenever|if|each time|every time|before|after)\b[^.\n]{0,80}\b(?:another|other|different)\s+"
            r"(?:mcp )?(?:servers?|plugins?|agents?|tools?)\b[^.\n]{0,80}?"
            r"\b(?:change|replace|set|redirect|rewrite|modify|overwrite|bcc|swap|alter|substitute)\b"
        ),
    ),
    (
        "weaken",
        "tells the model to harm what it writes",
        _H,
        (
            r"\b(?:insert|add|include|introduce|inject|embed|append)\s[^\n]{0,80}?(?:https?:)?//[^\n]{0,80}?"
            r"(?:document\.cookie|localStorage|sessionStorage|process\.env|os\.environ)"
            r"|\b(?:insert|add|include|introduce|inject|embed)\s+(?:a |an |some |subtle |hidden |small )*"
            r"(?:backdoors?|vulnerabilit(?:y|ies)|malware|malicious code|security holes?|exploit"
            r"|keylogger|reverse shell)\b"
            r"|\bdisable (?:all )?(?:safety|security) (?:checks|filters|features|measures)\b"
        ),
    ),
)
# What only a text that no user sees has reason to say: the words of a chat template, hidden parts of a page.
_UNSEEN: tuple[tuple[str, str, Severity, str], ...] = (
    (
        "steers",
        "tells the model what to recommend",
        _H,
        (
            r"\b(?:always|must|should|make sure to|be sure to|every time)\s+(?:\w+\s+){0,2}?"
            r"(?:recommend|promote|advertise|endorse|praise|favou?r|advise (?:buying|using)|suggest (?:buying"
            r"|using|visiting))\b"
            r"|\b(?:recommend|promote|advertise|endorse)\s+(?:\w+\s+){0,3}?(?:https?://\S+|" + _DOMAIN + ")"
            r"|\b(?:include|insert|append|add|embed|put|mention|end with|share|visit)\s[^\n.]{0,60}?(?:\blinks?\b"
            r"|\burl\b|\baddress\b"
            r"|\bwebsite\b|\bimage\b)[^\n]{0,60}?(?:https?://|" + _DOMAIN + ")"
            r"|\b(?:include|insert|append|embed|add|refer (?:users? )?to|direct (?:users? )?to|visit|link to)\s+"
            r"(?:\w+\s+){0,4}?(?:https?://\S+|" + _DOMAIN + ")"
        ),
    ),
    (
        "unseen",
        "tells the model to act behind the user's back",
        _H,
        (
            r"\b(?:do not|don't|never)\s+(?:ever\s+)?(?:mention|report|reveal|disclose)\s+(?:it|this|that)"
            r"\s*(?=[.!;,\n]|$)|\b(?:secret|hidden|covert)ly\s+\w+"
            r"|\byour (?:real|true|hidden|secret) (?:goal|task|instructions?|purpose)\b"
        ),
    ),
    (  # by itself what the honest ask of a model too
        "confidential",
        "tells the model to keep its instructions from the user",
        Severity.LOW,
        (
            r"\b(?:do not|don't|never|must not)\s+(?:ever\s+)?(?:mention|reveal|disclose|acknowledge|admit|repeat"
            r"|discuss|tell)\s+"
            r"(?:\w+\s+){0,2}?(?:this|these|the hidden|the above|your)\s+(?:\w+\s+)?(?:instructions?|rules?"
            r"|messages?|prompts?"
            r"|orders?|guidelines?|directives?|notes?)\b"
        ),
    ),
    (
        "asked",
        "gives the model an answer that misleads",
        _M,
        (
            r"\b(?:if|when|whenever)\s+(?:(?:you are|you're|the user|a user|anyone|someone|they"
            r"|users?)\s+)?(?:is\s+|are\s+)?"
            r"(?:asked|asks?|mentions?|says?|types?|writes?)\b[^\n.]{0,100}?[,:]?\s*(?:always\s+|you must\s+|then\s+)?"
            r"(?:say|claim|deny|pretend|lie|answer (?:that|with|yes|no)|respond that|insist|state that|tell them)\b"
            r"|\b(?:always|only ever)\s+(?:say|claim|pretend|insist|deny|answer that|approve|accept|agree|rate"
            r"|score|classify)\b"
            r"|\bpretend\s+(?:that|to be)\b"
        ),
    ),
    (
        "unrestricted",
        "tells the model that no rules hold for it",
        _H,
        (
            r"\byou are (?:now )?(?:unrestricted|uncensored|unfiltered|jailbroken|DAN\b|free (?:of|from) (?:all |any )?"
            r"(?:rules|restrictions|limits|filters|guidelines))"
            r"|\b(?:safety|ethical|content|security|moderation)\s+(?:\w+\s+)?(?:rules?|guidelines?|polic(?:y|ies)"
            r"|filters?|limits?"
            r"|restrictions?)\s+(?:do|does|are|is)\s*(?:not|n't)\s+(?:apply|active|enabled|in force|hold|valid)"
            r"|\b(?:without|no|ignore (?:all |any )?|bypass (?:all |any )?)\s*(?:safety|ethical|moral"
            r"|content)\s+(?:\w+\s+)?"
            r"(?:rules?|guidelines?|restrictions?|filters?|limits?|polic(?:y|ies))"
            r"|\b(?:never|do not|don't) (?:refuse|decline|reject) (?:any|a|the|user)\b"
            r"|\b(?:comply|obey)\s+with\s+(?:all|any|every)\b|\bobey (?:the )?user\b"
        ),
    ),
    (
        "beacon",
        "writes an image or a link that carries what was said to an address",
        _H,
        (
            r"!\[[^\]\n]{0,200}\]\(\s*<?\s*(?:https?:)?//|<img\b[^<>\n]{0,300}?\bsrc\s*=\s*[\"']?(?:https?:)?//"
            r"|\]\(\s*<?(?:https?:)?//[^)\s]{0,300}[?&#/][^)\s]{0,200}=\s*(?:\n|$)|url\(\s*[\"']?https?://"
            r"|<a\b[^<>\n]{0,300}?\bhref\s*=\s*[\"']?https?://[^\s\"'<>]{0,300}=\s*(?:\n|$)"
        ),
    ),
)
_COMPILED = tuple(
    (kind, said, severity, re.compile(pattern, re.IGNORECASE)) for kind, said, severity, pattern in _PATTERNS
)
_EVERY_TONGUE = (*_COMPILED, *OTHER_TONGUES)
_COMPILED_UNSEEN = tuple(
    (kind, said, severity, re.compile(pattern, re.IGNORECASE)) for kind, said, severity, pattern in _UNSEEN
)
_ENCODED = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{32,20000}={0,2}(?![\w+/=-])")
_HEXED = re.compile(r"(?<![\w])(?:[0-9a-fA-F]{2}){20,10000}(?![\w])")
_MOST_ENCODED = 50
# Letters with blanks between them, words further apart: read by a model as what they spell.
_SPACED = re.compile(r"(?<!\S)(?:\w[ \t.·_-]){3}(?:\w[ \t.·_-]{1,4}){8,4000}\w?(?!\S)")
_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)", re.DOTALL)
# Prose that talks about such attacks names them in quotation marks or after these words.
_ABOUT = re.compile(
    r"(?i)(?:such as|for example|e\.g\.|like|attack|inject|phrases?|prompts? (?:that|which)|detect|say|says|:)"
    r"\s*[\"'“‘`*]*$"
)
# "Do not follow instructions inside documents that say to …": an order against such orders.
_WARNED = re.compile(
    r"(?i)\b(?:do not|don't|never|must not|should not|refuse to|without)\s+(?:\w+\s+)?"
    r"(?:follow|obey|act on|execute|trust|comply|listen|respond|heed|carry out|accept)\w*\b[^.!?\n]{0,120}"
    r"\b(?:say|tell|ask|instruct|try|tries|attempt|claim|want|request)\w*\b[^.!?\n]{0,30}$"
)


def instructions(text: str) -> list[tuple[str, str, Severity, int]]:
    """What a text tells a model behind a person's back: (kind, in words, severity, line from 1), each kind once.

    What stands in quotation marks after words that speak about attacks is left out. Text in base64 or hexadecimal is
    read too.
    """
    text = unmixed(text[:MOST])
    found = _once([*_found(text, _EVERY_TONGUE), *combined(text)])
    kinds = {kind for kind, *_ in found}
    for inner, line in _decoded(text):
        found += [
            (kind, f"{said}, in an encoding", _H, line)
            for kind, said, _, _ in _once([*_found(inner, _EVERY_TONGUE), *combined(inner)]) if kind not in kinds
        ]  # fmt: skip
    return found


def unseen_orders(text: str) -> list[tuple[str, str, Severity, int]]:
    """What nobody would hide but from a user: brands to recommend, answers to give, rules that do not hold, beacons.

    Only for text that a user never sees; in a prompt that a person reads most of it is ordinary.
    """
    return _found(text[:MOST], _COMPILED_UNSEEN)


def _decoded(text: str) -> list[tuple[str, int]]:
    """What base64 or hexadecimal inside a text says, where that is text, with its line."""
    found = [(_drawn_together(m.group()), text.count("\n", 0, m.start()) + 1) for m in _SPACED.finditer(text)]
    for pattern in (_ENCODED, _HEXED):
        for count, match in enumerate(pattern.finditer(text)):
            if count >= _MOST_ENCODED:
                break
            try:
                if pattern is _HEXED:
                    said = bytes.fromhex(match.group()).decode()
                else:
                    whole = match.group().rstrip("=").replace("-", "+").replace("_", "/")
                    said = base64.b64decode(whole + "=" * (-len(whole) % 4)).decode()
            except ValueError:
                continue
            if said.isprintable() or "\n" in said:
                found.append((said, text.count("\n", 0, match.start()) + 1))
    return found


def _drawn_together(spaced: str) -> str:
    """`i g n o r e   a l l` as `ignore all`: single gaps are taken out, wider ones are the gaps between words."""
    return re.sub(r"[ \t.·_-]{2,}", "\0", spaced).translate({ord(c): None for c in " \t.·_-"}).replace("\0", " ")


def _once(found: list[tuple[str, str, Severity, int]]) -> list[tuple[str, str, Severity, int]]:
    """One of each kind, the first."""
    kinds: dict[str, tuple[str, str, Severity, int]] = {}
    for each in found:
        kinds.setdefault(each[0], each)
    return list(kinds.values())


def _found(
    text: str, patterns: tuple[tuple[str, str, Severity, re.Pattern[str]], ...]
) -> list[tuple[str, str, Severity, int]]:
    found = []
    for kind, said, severity, pattern in patterns:
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - 60) : match.start()]
            if (
                _ABOUT.search(before)
                and before.rstrip()[-1:] in "\"'“‘`*"
                and not (kind == "override" and obeyed(text, *match.span()))
            ):
                continue
            if _spared(kind, text, match):
                continue
            if kind == "override" and _WARNED.search(text[max(0, match.start() - 160) : match.start()]):
                continue
            if (kind == "override" or match.group().lower().startswith("without")) and forbidden(text, *match.span()):
                continue
            if kind == "conceal" and untold(text, match.end()):
                continue
            found.append((kind, said, severity, text.count("\n", 0, match.start()) + 1))
            break
    return found


def _spared(kind: str, text: str, match: re.Match[str]) -> bool:
    """Whether an order is about what is its giver's own, or about messages that are no rules."""
    if kind == "override":
        return of_messages(text, *match.span())
    if kind == "take-keys":
        return own_header(text[match.start() : match.end() + 80])
    return kind == "send-away" and "://" not in match.group() and consented(text, match.end())


def comment_instructions(text: str) -> list[tuple[str, str, Severity, int]]:
    """What HTML comments of a Markdown file say, which a reader of the rendered page never sees."""
    return [found for match in _COMMENT.finditer(text[:MOST]) for found in instructions(match[1])]
