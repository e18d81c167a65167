"""Hidden orders to a model found by what they combine, in any of many languages, and not by how they are phrased.

In one sentence: to set aside × what came earlier × rules; not × to tell × the user × what is done; to send × keys or what
was said × an address; before × tools × to read × a path. Each alone is ordinary speech. What a sentence forbids, or says
that somebody attempts, is not ordered by it; nor is what is quoted in speech about attacks.
"""

# ruff: noqa: E501 - one pattern stands in one place
from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from assay.core.finding import Severity
from assay.formats.texts.lexicons import PARTS, WORDS
from assay.formats.texts.python_dangers import words
from assay.formats.texts.spared import (
    asked_by_authority,
    comma_between,
    consented,
    listed,
    obeyed,
    of_messages,
    reaches,
)
from assay.formats.texts.tongues import KEY_FILE

_SENTENCE = re.compile(r"(?:[^.!?。！？؟।\n;]|[.!?;](?=\S)|\n(?![ \t]{0,80}(?:\n|[-*#>|\d]))){4,600}")
_WORD = re.compile(r"[^\W_]+")
_SCRIPTS = {
    "zh": re.compile("[\u4e00-\u9fff]"), "ja": re.compile("[\u3040-\u30ff]"), "hi": re.compile("[\u0900-\u097f]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
}  # fmt: skip
_SIGNS = {"zh": 2, "ja": 2, "hi": 5, "th": 4}  # of a word, about
_ADDRESS = re.compile(
    r"(?i)(?<!\]\()\b(?:https?|ftp|wss?)://(?!localhost|127\.|0\.0\.0\.0|\[::1\])\S+|\b[\w.+-]+@[\w-]+\.\w{2,}"
    r"|(?<![\w./@-])(?:[a-z0-9-]{2,}\.)+(?:example|com|net|org|io|dev|app|xyz|ru|cn|top|site|info|me|co|sh|test|biz|cloud)\b"
)
_PATH = re.compile(rf"(?:~|\$HOME|/etc|/root|/home/\w+|%USERPROFILE%)[/\\][\w./\\-]+|(?<![\w.])\.env\b|{KEY_FILE}")
_HEADER = re.compile(r"(?i)header|authoriz|bearer|oauth|x-api-key|api key:|sign[ -]?in|log[ -]?in")
_QUOTES = "\"'“”‘’«»„`*「」『』《》"
Places = dict[str, list[int]]
Found = tuple[str, str, Severity, int]
Told = tuple[tuple[str, str, Severity], int]
Spans = list[tuple[int, int]]

_OVERRIDE = ("override", "tells the model to set earlier instructions aside", Severity.HIGH)
_CONCEAL = ("conceal", "tells the model to hide something from the user", Severity.HIGH)
_SEND = ("send-away", "asks the model to send keys, or what is said, to an address", Severity.HIGH)
_FIRST = ("take-keys", "asks the model for private files before it does anything else", Severity.HIGH)
_FAR = re.compile(r"(?i)(?<!\]\()\bhttps?://(?!docs\.|localhost|127\.)")
_FROM_NOW = re.compile(
    r"(?i)\byou\b|\byour\b|from now|henceforth|this (?:point|moment)|[aà] partir|ab (?:jetzt|sofort)|desde ahora|da ora|vanaf nu|od teraz|с этого"
)
_WITH = re.compile(r"(?i)\b(?:with|using|via|by)\b")
_ENDED = r"(?:void|null|cancel+ed|obsolete|invalid|superseded|revoked|annulled|rescinded|withdrawn|lifted|suspended|repealed)\b"
_OLD = r"(?:prior|previous|earlier|above|preceding|old|former|initial|original|existing|system)"
_RULES = r"(?:instructions?|prompts?|rules|guidelines?|directives?|directions|orders|guidance|restrictions?)\b"
_VOID = re.compile(
    rf"(?i)\b(?:treat|consider|regard)\b[^\n]{{0,60}}\b(?:prior|previous|earlier|above|system|original)\b[^\n]{{0,40}}\b{_ENDED}"
    rf"|\b(?:told|gave|instructed) (?:to )?you\b[^\n]{{0,30}}\b(?:is|are|was|were) (?:now )?{_ENDED}"
    rf"|\b(?:your|all(?: the| of your)?) (?:\w+ ){{0,2}}?{_OLD} (?:\w+ )?{_RULES}\s+(?:is|are|were|was|have been|has been)\s+(?:now |hereby |all |therefore )*{_ENDED}"
    rf"|\bnew {_RULES}\s+(?:now )?(?:replace|supersede|override|overrule|take the place of)\s+(?:all|any|your|every)\s(?:of )?(?:the |your )?{_OLD}\b"
    rf"|\b(?:pay|give|take|lend)\s+(?:absolutely |now )?(?:no|zero)\s+(?:more |further )?(?:attention|heed|regard|notice|mind|weight)\s+(?:to|of)\s[^\n.]{{0,30}}"
    rf"(?:{_RULES}[^\n.]{{0,20}}\b(?:above|before|earlier|previously|so far)\b|\b{_OLD} (?:\w+ )?{_RULES})"
    rf"|\b(?:set|put|leave|cast|lay|throw) (?:aside|away|out)\s(?:everything|all|anything|whatever)\b[^\n.]{{0,20}}\byou (?:were|have been|had been|are) (?:told|given|taught|instructed)\b"
    rf"|\b(?:act|behave|respond|continue|proceed|answer) as (?:if|though)\b[^.\n]{{0,40}}\b(?:system prompt|{_OLD} (?:\w+ )?{_RULES})[^.\n]{{0,20}}\b(?:never|not|n't|no longer)\b"
)
# What is done with what is a user's own, in words that tell of it.
_DEED = re.compile(
    r"(?i)\b(?:sent|sending|upload(?:s|ed|ing)?|cop(?:ied|ying)|forward(?:ed|ing)|exfiltrat\w+|leak(?:ed|ing)|transmit(?:ted|ting)|post(?:ed|ing)"
    r"|mail(?:ed|ing)|shar(?:ed|ing)|harvest(?:ed|ing)|collected|stolen)\b"
)
_OF_USERS = re.compile(
    r"(?i)\b(?:their|(?:the )?users?['’]s?|his|her)\s+(?:\w+\s+)?(?:files?|data|messages?|conversations?|documents?|keys?|passwords?|secrets?|credentials?|photos?|e-?mails?|history|questions?|input)\b"
)
# Languages in which the verb, or the negation, comes last.
_LAST = frozenset({"ja", "ko", "hi", "tr", "de", "nl", "sv"})
_CLAUSE = re.compile(
    r"(?i)\b(?:and|but|und|aber|sondern|et|mais|pero|sino|mas|ma|maar|ale|но|а|але|och|men|tetapi|fakat)\b"
)
_OR = re.compile(r"(?i)\b(?:or|nor|oder|ou|или)\s*$")
_SAYS = re.compile(r"(?i)\b(?:says?|reads|states|contains?|phrases?|texts?|wrote|writes)\s*:?\s*[\"'“‘«„`]$")
# Of how a program is told to work: its options, what is the default and what may be given.
_OPTION = re.compile(
    r"(?i)\b(?:can|could|may|might|allows?|options?|parameters?|flags?|arguments?|default|settings?|config\w*|optional\w*|field)\b|--\w"
)
_SYSTEM = re.compile(r"(?i)system|original|initial|developer|given")
# Words that only English has: its neighbours share its instructions and its verbs to ignore.
_ENGLISH = words("the of and this that with your you all any such not from if do")
_OTHER_LETTERS = frozenset({"ru", "uk", "ar", "he", "ko"})
# Before an English verb that orders, and does not tell of somebody.
_ORDERS = words(
    """please you must should shall will now then and just simply always completely immediately so instead first fully
    entirely to or also therefore henceforth hereby let totally all assistant ai model agent claude gpt"""
)


def combined(text: str) -> list[Found]:
    """What the sentences of a text order a model behind a person's back: (kind, in words, severity, line from 1)."""
    found: dict[str, Found] = {}
    scripts = [name for name, pattern in _SCRIPTS.items() if not text.isascii() and pattern.search(text)]
    if "ja" in scripts and "zh" in scripts:
        scripts.remove("zh")
    for match in _SENTENCE.finditer(text):
        sentence = match.group()
        for kind, said, severity in _judged(sentence, text[max(0, match.start() - 80) : match.start()], scripts):
            if kind not in found:
                line = text.count("\n", 0, match.start() + len(sentence) - len(sentence.lstrip())) + 1
                found[kind] = (kind, said, severity, line)
    return list(found.values())


def _judged(sentence: str, before: str, scripts: list[str]) -> Iterator[tuple[str, str, Severity]]:
    spans: Spans = []
    tongues: dict[str, Places] = defaultdict(lambda: defaultdict(list))
    stems, longest = _stems()
    english = sum(match.group().lower() in _ENGLISH for match in _WORD.finditer(sentence)) > 1
    for at, match in enumerate(_WORD.finditer(sentence)):
        spans.append(match.span())
        word = _folded(match.group())
        for length in range(1, min(len(word), longest) + 1):
            for tongue, concept, whole in stems.get(word[:length], ()):
                if (not whole or length == len(word)) and (not english or tongue == "en" or tongue in _OTHER_LETTERS):
                    tongues[tongue][concept].append(at)
    for tongue in scripts:
        verbs = [m.span() for m in _parts(tongue)["V"].finditer(sentence)]
        for concept, pattern in _parts(tongue).items():
            tongues[tongue][concept] += [
                m.start() // _SIGNS[tongue] for m in pattern.finditer(sentence)
                if concept != "N" or not any(start <= m.start() < end for start, end in verbs)
            ]  # fmt: skip
    lacking = [at for places in tongues.values() for at in places.get("W", ())]
    for tongue, places in tongues.items():
        kin = [other for other in tongues if set(tongues[other].get("V", ())) & set(places.get("V", ()))]
        for concept in "NAUCQ":  # languages share their verbs: what guards in one guards in its kin
            places[f"{concept}+"] = sorted({at for other in kin or [tongue] for at in tongues[other].get(concept, ())})
        places["without"] = lacking if tongue in WORDS else places.get("W", [])
        last = tongue in _LAST or tongue in PARTS
        for rule in (_overrides, _lifts, _conceals, _keeps, _sends, _takes):
            result = rule(places, sentence, last, [] if tongue in PARTS else spans)
            if result is None:
                continue
            said, verb = result
            if tongue == "en" and rule in (_overrides, _sends, _takes) and _descriptive(sentence, spans, verb):
                continue
            sign = verb * _SIGNS[tongue] if tongue in PARTS else spans[verb][0]
            spoken = _quoted(sentence, sign) and (
                places.get("Q+") or re.search(r"[:\"“„`«]\s*$", before) or _SAYS.search(sentence[:sign])
            )
            if not spoken or obeyed(sentence, sign, sign):
                yield said


def _overrides(places: Places, sentence: str, last: bool, spans: Spans) -> Told | None:
    for verb in places.get("V", ()):
        rule = _near(places, "R", verb, 8, after=not last)
        if rule is None:
            continue
        end = len(spans)
        earlier = [
            e
            for e in places.get("E", ())
            if e != verb
            and (0 < rule - e <= 3 or 0 < e - rule <= 2 or (0 < e - rule <= 5 and e >= end - (3 if last else 1)))
        ]
        if not last:
            earlier = [e for e in earlier if e > verb]
        if not earlier or _CLAUSE.search(_between(sentence, spans, verb, rule)):
            continue
        if spans and of_messages(sentence, spans[verb][0], spans[rule][1]):
            continue
        named = all(_SYSTEM.match(_between(sentence, spans, e, e)) for e in earlier) if spans else False
        if not (named and _OPTION.search(sentence)) and not _guarded(places, sentence, verb, last, spans, turned=True):
            return _OVERRIDE, verb
    return None


def _lifts(places: Places, sentence: str, last: bool, spans: Spans) -> Told | None:
    """Rules from before that are said to hold no longer, or not to be followed any more."""
    for rule in places.get("R", ()):
        if _near(places, "E", rule, 4, after=False) is None:
            continue
        if len(spans) > 10 and not _FROM_NOW.search(sentence):
            return None
        holds, more = _near(places, "Z", rule, 10, after=False), places.get("M")
        if holds is not None and more and _near(places, "M", holds, 8, after=False) is not None:
            return _OVERRIDE, rule
        follow = _near(places, "F", rule, 8, after=False)
        if follow is not None and (
            _near(places, "G", follow, 2, after=False) is not None or (more and places.get("N"))
        ):
            return _OVERRIDE, follow
    if void := _VOID.search(sentence):
        return _OVERRIDE, sum(1 for start, _ in spans if start < void.start())
    return None


def _keeps(places: Places, sentence: str, last: bool, spans: Spans) -> Told | None:
    """What the user must not know, or need not: `the user does not need to know of this`."""
    for know in places.get("X", ()):
        user = _near(places, "U", know, 7, after=False)
        denied = any(0 < know - n <= 5 or (last and 0 <= abs(n - know) <= 6) for n in places.get("N", ()))
        ends = bool(spans) and know >= len(spans) - 2
        if user is not None and denied and spans and not places.get("W") and _tells_deed(sentence[spans[know][1] :]):
            return _CONCEAL, know
        if user is None or not denied or not (ends or _near(places, "D", know, 4, after=False) is not None):
            continue
        if not places.get("W") and not places.get("C") and not places.get("A") and not _is_told(sentence):
            return _CONCEAL, know
    return None


def _conceals(places: Places, sentence: str, last: bool, spans: Spans) -> Told | None:
    denied, without = places.get("N", []), places.get("W", [])
    for tell in places.get("T", ()):
        user = _near(places, "U", tell, 6, after=False)
        if user is None:
            continue
        not_told = not any(w < tell for w in places["without"]) and any(
            0 < tell - n <= 4 or (last and 0 <= abs(n - tell) <= 6) for n in denied
        )
        this = _near(places, "D", tell, 5, after=False)
        if this is not None and spans and this + 1 in places.get("R", ()):
            continue  # these instructions, which the honest keep to themselves too
        if last and any(min(denied) < s < max(denied) for s in places.get("S", ()) if denied):
            continue  # nothing is to be sent without telling
        if (
            not_told
            and this is not None
            and not _is_told(sentence)
            and not _guarded(places, sentence, tell, True, spans)
        ):
            return _CONCEAL, tell
        if not_told and spans and _tells_deed(sentence[spans[max(tell, user)][1] :]):
            return _CONCEAL, tell
        unsaid = any(abs(tell - w) <= 5 for w in without) and not any(n < min(without) for n in denied)
        if unsaid and (
            _near(places, "S", tell, 40, after=False) is not None or _PATH.search(sentence) or places.get("L")
        ):
            return _CONCEAL, tell
    if places.get("H") and places.get("K") and (places.get("S") or places.get("L")) and not denied:
        verb = (places.get("S") or places["L"])[0]
        if abs(places["H"][0] - verb) <= 6 and (_PATH.search(sentence) or _ADDRESS.search(sentence)):
            return _CONCEAL, verb
    return None


def _sends(places: Places, sentence: str, last: bool, spans: Spans) -> Told | None:
    if places.get("C") and places.get("U") and places.get("A"):
        return None
    for put in places.get("P", ()):
        given = _near(places, "J", put, 6, after=True)
        far = given is not None and _FAR.search(sentence) is not None and not _HEADER.search(sentence)
        if far and not _guarded(places, sentence, put, last, spans):
            return _SEND, put
    for send in places.get("S", ()):
        keys = _near(places, "K", send, 12 if spans else 40, after=not last)
        if keys is None or keys == send or not (address := _ADDRESS.search(sentence)) or _HEADER.search(sentence):
            continue
        if "://" not in address.group() and consented(sentence, address.end()):
            continue
        if _WITH.search(_between(sentence, spans, send, keys)):
            continue
        if not _guarded(places, sentence, send, last, spans) and "docs" not in address.group():
            return _SEND, send
    return None


def _takes(places: Places, sentence: str, last: bool, spans: Spans) -> Told | None:
    for before in places.get("B", ()):
        tool = _near(places, "O", before, 8, after=not last)
        look = next(iter([*places.get("L", ()), *places.get("S", ())]), None)
        if (
            tool is not None
            and look is not None
            and _PATH.search(sentence)
            and not _guarded(places, sentence, look, last, spans)
        ):
            return _FIRST, look
    return None


def _tells_deed(said: str) -> bool:
    """Whether what follows tells of something that is done with what is a user's own, or that goes to an address."""
    deed = _DEED.search(said)
    return deed is not None and (_OF_USERS.search(said) is not None or _ADDRESS.search(said, deed.end()) is not None)


def _near(places: Places, concept: str, at: int, most: int, *, after: bool) -> int | None:
    """The nearest word of a concept about a place, `after` it only where so said."""
    found = [p for p in places.get(concept, ()) if (0 < p - at <= most) or (not after and 0 <= at - p <= most)]
    return min(found, key=lambda p: abs(p - at), default=None)


def _between(sentence: str, spans: Spans, one: int, other: int) -> str:
    """What stands from one word to another; "" in scripts without words."""
    first, last = min(one, other), max(one, other)
    return sentence[spans[first][0] : spans[last][1]] if last < len(spans) else ""


def _guarded(places: Places, sentence: str, verb: int, last: bool, spans: Spans, *, turned: bool = False) -> bool:
    """Whether a sentence forbids what its verb says, or tells of somebody who attempts or asks for it. `turned`: also
    by a word behind the verb, where the language puts it there, and by a condition only what it asks about."""
    denied = places.get("N+", ())
    behind = sentence[spans[verb][1] :] if verb < len(spans) else ""
    for n in denied:
        near = (0 if last else 1) <= verb - n <= (4 if not last else 2) and (not last or turned)
        if near and (n == verb or not spans or reaches(_gap(sentence, spans, n, verb), behind)):
            return True
    if turned and not last and verb + 1 in denied:  # `forget nothing`
        return True
    if last and turned and not spans and _ASKED_LAST.search(sentence):
        return True
    if last and turned and any(0 < n - verb <= 8 for n in denied):
        return True
    conditions = [c for c in places.get("C+", ()) if c < verb]
    for a in places.get("A+", ()):
        if 0 < verb - a <= (10 if _OR.search(sentence[: spans[verb][0]] if spans else "") else 5):
            gap = _gap(sentence, spans, a, verb)
            if not turned or listed(behind) or _OR.search(gap) or not comma_between(gap, last=last):
                said_by_others = bool(conditions) or not spans or not asked_by_authority(sentence[: spans[a][0]])
                if said_by_others or not turned:
                    return True
    users = [u for u in places.get("U+", ()) if u < verb]
    if not conditions or not users:
        return False
    return not turned or not comma_between(_gap(sentence, spans, users[-1], verb), last=last)


def _gap(sentence: str, spans: Spans, one: int, other: int) -> str:
    """What stands between two words."""
    return sentence[spans[one][1] : spans[other][0]] if other < len(spans) else ""


def _descriptive(sentence: str, spans: Spans, verb: int) -> bool:
    """Whether an English verb tells of somebody and does not order: behind a noun, or behind `to` that nobody must."""
    before = sentence[spans[verb - 1][1] : spans[verb][0]] if verb else ","
    if before.strip():
        return False
    word = sentence[slice(*spans[verb - 1])].lower()
    if word == "to":
        return verb < 2 or sentence[slice(*spans[verb - 2])].lower() not in _OBLIGES
    return word not in _ORDERS and not word.endswith("ly")


_OBLIGES = frozenset(
    {"need", "needs", "must", "have", "has", "want", "you", "sure", "remember", "required", "free", "going", "ought"}
)


def _is_told(sentence: str) -> bool:
    """Whether what is kept from users is a subject that is named, as honest rules do: `this is …`, `about this topic`."""
    return (
        re.search(
            r"(?i)\b(?:this|it|these)\s+(?:is|was|are|will|can|has|topic|subject|information|data|feature)\b", sentence
        )
        is not None
    )


def _quoted(sentence: str, at: int) -> bool:
    """Whether a place lies in quotation marks of its sentence."""
    return any(sign in _QUOTES and (i == 0 or not sentence[i - 1].isalnum()) for i, sign in enumerate(sentence[:at]))


def _folded(word: str) -> str:
    word = word.casefold()
    if word.isascii() or word[0] > "\u024f":
        return word
    return (
        "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
        .replace("ı", "i")
        .replace("ł", "l")
    )


@cache
def _stems() -> tuple[dict[str, tuple[tuple[str, str, bool], ...]], int]:
    """Every word and stem with its languages and concepts, and the longest's length."""
    made: dict[str, list[tuple[str, str, bool]]] = defaultdict(list)
    for tongue, concepts in WORDS.items():
        for concept, held in concepts.items():
            for word in held.split():
                plain = _folded(word.rstrip("*").replace("'", ""))
                made[plain].append((tongue, concept, not word.endswith("*")))
    return {word: tuple(held) for word, held in made.items()}, max(map(len, made))


@cache
def _parts(tongue: str) -> dict[str, re.Pattern[str]]:
    return {concept: re.compile(listed) for concept, listed in PARTS[tongue].items()}


_NOT_HINDI = re.compile(r"\s(?:न|मत|नहीं)\s")
_UNDONE = re.compile(
    r"する?よう(?:に)?(?:求め|言わ|指示され|要求|頼ま)|\s*(?:\w+\s+)?(?:niet|nicht|inte)\b|\s?하?지\s?(?:는\s)?(?:마|않|말)|し?な|するな|せず"
)


# A clause that ended, and what little stands between its comma and a verb: `do not hesitate, please …`.
_CLOSED = re.compile(r"\w\s*[,，、،]\s*((?:\w{1,12}\s+){0,2})$")


_DOUBLY = re.compile(r"(?i)hesitat|worr|afraid|matter what|\b(?:fail|forget|neglect|omit) to\b")
_ASKED = re.compile(
    r"(?:不要|不得|切勿|请勿|别|禁止|绝不|不能)\s?$|(?:如果|若|当|假如|即使)[^。，,]{0,20}(?:要求|请求|试图|企图|让|叫)[^。，,]{0,6}$"
)
_SOMEBODY = re.compile(r"(?i)\b(?:any|some)(?:one|body)\b")
_ASKED_LAST = re.compile(r"する?よう(?:に)?(?:求め|言わ|指示され|要求|頼ま)")
_MAY_TRY = re.compile(
    r"(?i)\b(?:may|might|could|will|sometimes|often)\s+(?:try|attempt|ask|tell|want|instruct)\w*\s[^,;]{0,30}$"
)


def _concepts(word: str) -> set[tuple[str, str]]:
    """What a word may stand for, in which languages."""
    stems, longest = _stems()
    word = _folded(word)
    return {
        (t, c)
        for length in range(1, min(len(word), longest) + 1)
        for t, c, whole in stems.get(word[:length], ())
        if not whole or length == len(word)
    }


_NOTHING_UNTOLD = re.compile(
    r"[^。.\n]{0,25}?(?:送信|実行|削除|変更|보내|전송|실행|삭제|변경)[^。.\n]{0,8}?(?:ない|ません|禁止|마|말|않)"
)


def untold(text: str, end: int) -> bool:
    """Whether what ends at `end` says that nothing is to be done without telling, in languages whose verb comes last."""
    return _NOTHING_UNTOLD.match(text, end) is not None


def forbidden(text: str, start: int, end: int) -> bool:
    """Whether what stands from `start` to `end` is forbidden by the words about it in its sentence, or is what somebody asks."""
    if (
        _UNDONE.match(text, end)
        or (text[start:end].endswith(("ma", "mayın")) and "unut" in text[start:end])
        or _NOT_HINDI.search(text, start, end)
    ):
        return True
    before = re.split(r"[.!?。！？\n;:]\s", text[max(0, start - 160) : start])[-1]
    if _DOUBLY.search(before) and not listed(text[end : end + 40]):
        return False
    if any(concept == "N" for told in map(_concepts, _WORD.findall(text[start:end])[1:2]) for _, concept in told):
        return True  # `ignoriere niemals`, `forget nothing`
    if _MAY_TRY.search(before) or _ASKED.search(before):
        return True
    found = [(match.end(), _concepts(match.group())) for match in _WORD.finditer(before)]
    near = found[-7 if _OR.search(before) or re.search(r"[,，]\s*$", before) else -3 :]
    denied = [at for at, told in near if any(concept == "N" for _, concept in told)]
    behind = text[end : end + 40]
    if denied:
        return reaches(before[denied[-1] :], behind)
    if _CLOSED.search(before) and not listed(behind) and not _OR.search(before):
        return False
    close: set[tuple[str, str]] = set().union(*(told for _, told in near))
    whole: set[tuple[str, str]] = set().union(*(told for _, told in found))
    named = _SOMEBODY.search(before) is not None
    return any((named or (t, "U") in whole) and bool({(t, "C"), (t, "Q")} & whole) for t, c in close if c == "A")
