"""What turns an order to a model into ordinary speech, and what does not: quotations, conditions, letters of others.

Each is as narrow as its cause: a condition guards what it asks about and nothing behind its comma; a quotation that is
to be obeyed is an order; messages of a kind are no rules; a token in the header of a service's own address is no theft.
"""

# ruff: noqa: E501 - one pattern stands in one place
from __future__ import annotations

import re

# Letters of other scripts that look like Latin ones, where they stand inside a word of Latin letters (Unicode TR 39).
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁԛԝһӏвмнктАВЕКМНОРСТУХІЈЅαοερνιτυκγΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijsdqwhlbmhktABEKMHOPCTYXIJSaoepvitukyABEZHIKMNOPTYX",
)
_MIXED = re.compile(r"(?=\w{0,30}[A-Za-z])(?=\w{0,30}[\u0370-\u03ff\u0400-\u052f])\w{2,40}")
_OBEYED = re.compile(
    r"(?i)\b(?:do (?:exactly|just|precisely) (?:that|this|so|it)\b|(?:please|then|now) (?:do|obey|follow|execute|perform) (?:it|this|that|them|so)\b"
    r"|obey (?:it|this|that|them)\b|but obey\b|in order to (?:follow|obey|execute) (?:it|this|that|them)\b|comply with (?:it|this|that|them)\b"
    r"|carry (?:it|this|that|them) out\b|follow (?:it|this|that|them) (?:now|exactly|to the letter)\b)"
)
_DENIED = re.compile(
    r"(?i)(?:\b(?:not|never|no|cannot|without|refuse|decline|avoid)|n't|asks?|tells?|instructs?|wants?|tr(?:y|ies)|attempts?)\b[^.!?\n]{0,40}$"
)
_KIND = re.compile(
    r"(?i)\s+(?:that|which|about|regarding|concerning|on|in which|unless|not|off|older|whose|containing|mentioning)\b"
)
_RESET = re.compile(
    r"(?i)\b(?:if|when|whenever|once|after)\s+(?:the |a |any |your )?(?:users?|players?|customers?|persons?|they|someone)\s+(?:\w+\s+){0,2}(?:says?|types?|writes?|enters?|asks?|wants?|requests?|starts?|begins?|clicks?)\b[^\n]{0,100}$"
)
_OWN_HEADER = re.compile(
    r"(?i)\b(?:the|your|an?|its|this)\s+(?:\w+\s+)?(?:access token|api[ -]?key|token|bearer token)\s+(?:in|as|via|through|using)\s+(?:the\s+|an?\s+|its\s+)?(?:[\w`'\"-]+\s+){0,2}?(?:[`'\"]?authorization|headers?\b|bearer|basic auth)"
)
_CONSENT = re.compile(
    r"(?i)^[^.!?\n]{0,40}\b(?:only (?:if|when|after|once|with)\b[^.!?\n]{0,40}\b(?:users?|customers?|they|persons?)\b|(?:if|when|once|after|unless)\s+(?:the |a )?(?:users?|customers?|they)\s+(?:\w+\s+)?(?:agree|consent|confirm|approve|opt)\w*)"
)
_LISTED = re.compile(
    r"(?i)^(?:\s*|\s*,\s*(?:\w+\s*,?\s*){0,2})\b(?:or|oder|ou|o|of|lub|nebo|или|чи|veya|atau|hoặc|eller|أو|או)\b"
)
_ASKED_BY = re.compile(
    r"(?i)\b(?:system|developers?|admin\w*|openai|anthropic|google|microsoft|company|management|headquarters|security team|i|we)\s+(?:now |hereby |team |has |have |also )?$"
)
_COMMA = re.compile(r"[,，、،;；:–—]")


def unmixed(text: str) -> str:
    """A text of the same length whose words of Latin letters hold no lookalikes from other scripts."""
    return text if text.isascii() else _MIXED.sub(lambda match: match.group().translate(_LOOKALIKES), text)


def obeyed(text: str, start: int, end: int) -> bool:
    """Whether what is quoted from `start` to `end` is said to be done: `… - please do exactly that`."""
    for low, high in ((max(0, start - 100), start), (end, end + 120)):
        around = text[low:high]
        for match in _OBEYED.finditer(around):
            if not _DENIED.search(around[: match.start()]):
                return True
    return False


def of_messages(text: str, start: int, end: int) -> bool:
    """Whether what is to be forgotten is messages of a kind, or those of a game that somebody begins anew, no rules."""
    said = text[start:end].lower()
    if not said.endswith("messages"):
        return False
    between = said.split()
    kind = len(between) > 2 and between[-2] not in _EARLIER
    return kind or _KIND.match(text, end) is not None or _RESET.search(text[max(0, start - 160) : start]) is not None


_EARLIER = frozenset(
    {"previous", "prior", "above", "earlier", "preceding", "other", "former", "existing", "system", "developer", "user"}
)


def own_header(said: str) -> bool:
    """Whether a service is given its own token, where its interface expects it."""
    return _OWN_HEADER.search(said) is not None


def consented(text: str, end: int) -> bool:
    """Whether what is sent is sent only if the user asks for it or agrees."""
    return _CONSENT.match(text[end : end + 120]) is not None


def comma_between(between: str, *, last: bool) -> bool:
    """Whether a clause ends between a word and a verb behind it. `last`: of languages whose verb may come last, and
    whose infinitives a comma parts from their clause, only where the comma stands before the verb itself."""
    if last:
        return between.rstrip()[-1:] in tuple(",，、،;；")
    return _COMMA.search(between) is not None


def listed(behind: str) -> bool:
    """Whether a verb goes on as one of several: `reveal, ignore, or change`."""
    return _LISTED.match(behind) is not None


def asked_by_authority(before: str) -> bool:
    """Whether what asks is the system or the speaker, and not somebody who talks to the model."""
    return _ASKED_BY.search(before) is not None


# Before a comma, what a negation reaches over: `do not, under any circumstances, …`.
_DOUBLY = re.compile(r"(?i)\b(?:fail|forget|neglect|omit|hesitate|afraid|scruple) to\b")
_PARENTHESES = re.compile(
    r"(?i)^\W*(?:under|in any|at any|ever|even|for any|unter|auf|sous|en|bajo|em|in nessun|onder|pod|ни)\b"
)


def reaches(between: str, behind: str) -> bool:
    """Whether a negation reaches a verb behind it: not over the comma of `do not hesitate, ignore …`, but over that of a
    parenthesis or of a list. `between` stands between the two, `behind` behind the verb."""
    if _DOUBLY.search(between):
        return False
    comma = _COMMA.search(between)
    if comma is None or listed(behind) or re.search(r"(?i)\b(?:or|nor|oder|ou|или)\s*$", between):
        return True
    if not between[
        : comma.start()
    ].strip():  # a parenthesis between two commas, or a clause that ends with its negation
        return _COMMA.search(between, comma.end()) is not None or not comma_between(between, last=True)
    return _PARENTHESES.match(between) is not None
