"""Secrets in configuration, prompts, notebooks and code: found by their structure or by the key they stand behind.

A note names the kind, the line and the length, never a character of the secret itself.
"""

from __future__ import annotations

import base64
import math
import re
from collections import Counter
from collections.abc import Iterator

import msgspec

from assay.core.finding import Confidence, Severity
from assay.core.text import Redacted
from assay.formats.reading import Note, Topic

MOST_PLACES = 20_000
_MOST_NOTES = 50
_CONTEXT = 400


class _Token(msgspec.Struct, frozen=True):
    """A provider's token: what must stand in a text before its pattern is tried, and its pattern."""

    kind: str
    mark: str
    pattern: re.Pattern[str]
    severity: Severity = Severity.HIGH


def _token(kind: str, mark: str, pattern: str, severity: Severity = Severity.HIGH) -> _Token:
    return _Token(kind, mark, re.compile(rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])"), severity)


_TOKENS = (
    _token("an AWS access key", "AKIA", r"AKIA[0-9A-Z]{16}"),
    _token("an AWS session key", "ASIA", r"ASIA[0-9A-Z]{16}"),
    *(_token("a GitHub token", m, rf"{m}\w{{30,255}}") for m in ("ghp_", "gho_", "ghs_", "ghu_", "ghr_")),
    _token("a GitHub token", "github_pat_", r"github_pat_\w{40,}"),
    _token("a GitLab token", "glpat-", r"glpat-[\w-]{18,}"),
    _token("a Hugging Face token", "hf_", r"hf_[A-Za-z0-9]{30,40}"),
    _token("a Hugging Face token", "api_org_", r"api_org_[A-Za-z0-9]{30,40}"),
    _token("an Anthropic key", "sk-ant-", r"sk-ant-[\w-]{24,}"),
    _token("an OpenAI key", "sk-proj-", r"sk-proj-[\w-]{24,}"),
    _token("an OpenAI key", "sk-", r"sk-(?:svcacct-|None-)?[A-Za-z0-9]{32,64}"),
    _token("an OpenRouter key", "sk-or-", r"sk-or-v1-[0-9a-f]{48,}"),
    _token("a LangSmith key", "lsv2_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    *(_token("a Slack token", m, rf"{m}[\w-]{{20,}}") for m in ("xoxb-", "xoxp-", "xoxa-", "xoxs-", "xoxe-", "xapp-")),
    _token("a Slack webhook", "hooks.slack.com/services/", r"hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{16,}"),
    _token("a Discord webhook", "/api/webhooks/", r"discord(?:app)?\.com/api/webhooks/\d{16,}/[\w-]{50,}"),
    _token("a Google API key", "AIza", r"AIza[\w-]{35}"),
    _token("a Google OAuth secret", "GOCSPX-", r"GOCSPX-[\w-]{28}"),
    _token("an npm token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    _token("a PyPI token", "pypi-AgEI", r"pypi-AgEI[\w-]{50,}"),
    *(_token("a Stripe key", m, rf"{m}[A-Za-z0-9]{{20,}}") for m in ("sk_live_", "rk_live_")),
    _token("a Stripe test key", "sk_test_", r"sk_test_[A-Za-z0-9]{20,}", Severity.LOW),
    _token("a SendGrid key", "SG.", r"SG\.[\w-]{20,}\.[\w-]{40,}"),
    _token("a DigitalOcean token", "dop_v1_", r"dop_v1_[0-9a-f]{64}"),
    _token("a Databricks token", "dapi", r"dapi[0-9a-f]{32}(?:-\d)?"),
    _token("a Replicate token", "r8_", r"r8_[A-Za-z0-9]{37,40}"),
    _token("a Groq key", "gsk_", r"gsk_[A-Za-z0-9]{48,56}"),
    _token("a Pinecone key", "pcsk_", r"pcsk_\w{40,}"),
    _token("a Vault token", "hvs.", r"hvs\.[\w-]{24,}"),
    _token("a Doppler token", "dp.pt.", r"dp\.pt\.[A-Za-z0-9]{40,}"),
    _token("an age key", "AGE-SECRET-KEY-", r"AGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    _token("a Telegram bot token", ":AA", r"\d{8,10}:AA[\w-]{33}"),
    _token("a Shopify token", "shpat_", r"shpat_[0-9a-fA-F]{32}"),
    _token("an Azure storage key", "AccountKey=", r"AccountKey=[A-Za-z0-9+/]{60,}={0,2}"),
    _token("a Weights & Biases key", "local-", r"local-[0-9a-f]{40}"),
    _token("a signed web token", "eyJ", r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}", Severity.MEDIUM),
    _token("a signed web token", "eyJhbGciOi", r"eyJhbGciOi[\w-]{8,}\.[\w-]{30,}\.[\w-]{40,}", Severity.MEDIUM),
    # "-----BEGIN … PRIVATE KEY" in base64, as in kubeconfig's client-key-data
    _token("a private key", "LS0tLS1CRUdJTi", r"LS0tLS1CRUdJTi(?:BSU0EgUFJJVkFURSBLRVk|BQUklWQVRFIEtFW"
           r"|BFQyBQUklWQVRFIEtFW|BPUEVOU1NIIFBSSVZBVEUgS0VZ)[A-Za-z0-9+/]{100,}={0,2}"),
)  # fmt: skip
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\\n|\\r|\s|[A-Za-z0-9+/=:,.\-]){100}"
)
_ADDRESS = re.compile(
    r"\b(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|redis|rediss|amqps?|mssql|oracle|ftp|sftp|ssh|ldaps?|clickhouse"
    r"|https?|smb|snowflake|s3)(?:\+\w+)?://([^\s/@:'\"<>]{0,60}):([^\s/@'\"<>]{3,120})@[\w.\-\[]+"
)
# A word that announces a secret, what sets it, and a quoted or bare value.
_KEY_WORDS = (
    r"passw(?:or)?d|passphrase|secret|api[_-]?key|apikey|access[_-]?key|private[_-]?key|account[_-]?key|auth[_-]?token"
    r"|access[_-]?token|refresh[_-]?token|bearer[_-]?token|client[_-]?secret|secret[_-]?key|hf[_-]?token|api[_-]?token"
    r"|wandb[_-]?api[_-]?key|encryption[_-]?key|credentials?|pwd"
)
_ASSIGNED = re.compile(
    rf"(?i)(?P<key>[\w.-]{{0,40}}(?:{_KEY_WORDS})[\w-]{{0,20}})[\"']?\s{{0,3}}(?::=|=>|[=:](?!=))\s{{0,3}}"
    r"(?:(?P<quote>[\"'])(?P<quoted>[^\"'\n]{6,300})(?P=quote)|(?P<bare>[^\s\"'#;,<>(){}\[\]]{8,300}))"
)
# Docker's and npm's stored sign-ins, and headers: a name and a password in base64 (RFC 7617).
_BASIC = re.compile(
    r"(?:\"auth\"\s*:\s*\"|(?<!\w)_auth\s*=\s*[\"']?|\bBasic\s+)(?P<value>[A-Za-z0-9+/]{12,1000}={0,2})(?![A-Za-z0-9+/=_-])"
)
# Whose passwords RFC 7617 and RFC 6749 give as examples.
_OF_STANDARDS = ("Aladdin", "s6BhdRkqt3")
_NETRC = re.compile(r"\b(?:machine\s+\S{1,200}|default)\s+login\s+\S{1,200}\s+password\s+(?P<value>\S{6,300})")
# In prose only what an environment's variable is set to, where its name says key and its value is nothing else.
_VARIABLE = re.compile(
    r"(?<![A-Za-z0-9_])[A-Z][A-Z0-9_]{0,60}(?:API_KEY|SECRET_KEY|ACCESS_KEY|_TOKEN|_SECRET|_PASSWORD)=[\"']?(?P<value>[0-9a-f]{32,64})"
    r"(?![\w-])"
)
_MARKS = ("passw", "secret", "key", "token", "credential", "pwd", "passphrase")
_LETTERS_ONLY = re.compile(r"[a-z]+(?:[ _.-][a-z]+)*|[A-Z]+(?:[ _.-][A-Z]+)*|[A-Z]?[a-z]+(?:[A-Z][a-z]+)*")
_PLACEHOLDER = re.compile(
    r"(?i)^\W*$|x{4,}|\*{3,}|\.{3}|…|^<.*>$|^\[.*\]$|^\{.*\}$|\$\{?\(?\w|%\(?\w+|\{\{|\}\}|your|change|example|dummy|sample"
    r"|placeholder|redacted|insert|replace|todo|fake|mock|test|foo|bar\b|secret$|^secret|password$|^pass(?:word)?\d{0,4}$"
    r"|none|null|undefined|default|env[.\[(]|environ|getenv|process\.|config[.\[]|settings[.\[]|os\.|self\.|args\.|vault:"
    r"|secretsmanager|arn:|ref\+|keyvault|^/|^\.{1,2}/|^~/|^https?://|^file:|^(.)\1+$|1234|abcd|qwert|lorem|hunter2|^true$"
    r"|^false$|^\d{1,9}$|^<\|.*\|>$|optional|required|string|^int$|^str$|token_?ids?$"
)
_HEX = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128}|[0-9A-F]{32}|[0-9A-F]{40}|[0-9A-F]{64}")
_SURE_KEY = re.compile(r"(?i)api_?key|secret_?key|(?:access|auth|api|bearer)_?token|client_?secret|passw(?:or)?d$")
_UUID = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EXAMPLES = frozenset({"AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE", "ASIAIOSFODNN7EXAMPLE"})
_EMULATOR = "Eby8vdM02xNOcq"  # the key that Azure's emulator documents for all
# Keys that hold no secret although a word in them says so.
_NO_SECRET = re.compile(
    r"(?i)(?:^|[_.-])(?:bos|eos|pad|unk|sep|cls|mask|special|image|num|max|min|n|total|new|stop|start|end|begin|first|last"
    r"|per|tokens?_per|cost|price|prompt|completion|public|primary|foreign|sort|partition|group|cache|hash|key)[_.-]?tokens?\b"
    r"|tokens?$(?<!auth_token)(?<!auth-token)(?<!api_token)(?<!access_token)(?<!hf_token)(?<!refresh_token)(?<!bearer_token)"
    r"(?<!authtoken)(?<!accesstoken)(?<!api-token)(?<!access-token)|token_?(?:id|ids|type|count|limit|url|uri|endpoint)"
    r"|(?:name|id|file|path|url|uri|dir|env|var|type|field|column|prefix|suffix|length|size|count|hint|label|policy|regex"
    r"|format|expires?|ttl|manager|provider|ref|version|class|arn|prompt|help|description|title|placeholder)$|public_?key|keyword"
)


def judge_secrets(text: str, where: str = "", *, strict: bool = True, bare: bool = True) -> list[Note]:
    """Secrets in a text, the note of each kind once with its first line; bounded in places looked at.

    Without `strict` (prose) only structures that are nothing else count, no values behind keys; without `bare` (code)
    such a value must stand in quotation marks.
    """
    notes: dict[str, Note] = {}
    counts: Counter[str] = Counter()
    for kind, at, value, severity, sure in _found(text, strict, bare):
        key = f"secret:{kind}"
        counts[key] += 1
        if key not in notes and len(notes) < _MOST_NOTES:
            notes[key] = Note(
                topic=Topic.SECRETS,
                message=f"holds {kind} ({Redacted(value, 'secret')})",
                severity=severity,
                key=key,
                where=where,
                line=text.count("\n", 0, at) + 1,
                confidence=sure,
                fix="revoke it where it was issued, then take it out: whoever has the file has it",
            )
    return [
        msgspec.structs.replace(note, evidence={"places": counts[key]}) if counts[key] > 1 else note
        for key, note in notes.items()
    ]


def judge_metadata(key: str, text: str) -> list[Note]:
    """Secrets in what a model's file says of itself under a key. No lines, for it has none."""
    found = judge_secrets(f'"{key}": "{text}"', key, bare=False)
    return [msgspec.structs.replace(note, line=None) for note in found]


def _found(text: str, strict: bool, bare: bool) -> Iterator[tuple[str, int, str, Severity, Confidence]]:
    for token in _TOKENS:
        for at in _places(text, token.mark):
            match = token.pattern.search(text, max(0, at - 30), at + _CONTEXT)
            if match and match.start() <= at < match.end() and not _is_made_up(match.group(), token.mark):
                yield token.kind, match.start(), match.group(), token.severity, Confidence.HIGH
    if "PRIVATE KEY" in text:
        for match in _PRIVATE_KEY.finditer(text):
            if len(set(match.group()[-90:])) > 20:
                yield "a private key", match.start(), match.group(), Severity.HIGH, Confidence.HIGH
    for at in _places(text, "://"):
        match = _ADDRESS.search(text, max(0, at - 20), at + _CONTEXT)
        if (
            match
            and match.start() <= at
            and not _PLACEHOLDER.search(match[2])
            and not _LETTERS_ONLY.fullmatch(match[2])
        ) and match[1].lower() != match[2].lower():
            yield "a password in an address", match.start(2), match[2], Severity.HIGH, Confidence.MEDIUM
    yield from _signed_in(text)
    if strict:
        yield from _assigned(text, bare)
    else:
        for at in (at for mark in ("_KEY=", "_TOKEN=", "_SECRET=", "_PASSWORD=") for at in _places(text, mark)):
            match = _VARIABLE.search(text, max(0, at - 80), at + _CONTEXT)
            if (
                match
                and match.start() < at < match.end()
                and _HEX.fullmatch(match["value"])
                and _bits(match["value"]) > 2.8
            ):
                yield (
                    "a value behind a key that says secret",
                    match.start(),
                    match["value"],
                    Severity.MEDIUM,
                    Confidence.MEDIUM,
                )


def _signed_in(text: str) -> Iterator[tuple[str, int, str, Severity, Confidence]]:
    """Names with passwords as programs store them: base64 of both, and the lines of a .netrc file."""
    for mark in ('"auth"', "_auth", "Basic "):
        for at in _places(text, mark):
            match = _BASIC.search(text, at, at + 1_200)
            if match is None or match.start() > at:
                continue
            try:
                said = base64.b64decode(match["value"], validate=True).decode()
            except ValueError:
                continue
            name, colon, password = said.partition(":")
            plain = not colon or not said.isprintable() or len(password) < 6 or name in (password, *_OF_STANDARDS)
            if plain or _PLACEHOLDER.search(password) or (mark == "Basic " and not _is_secret(password, bare=False)):
                continue
            yield "a password in base64", match.start(), match["value"], Severity.HIGH, Confidence.MEDIUM
    for at in _places(text, "login"):
        match = _NETRC.search(text, max(0, at - 210), at + 600)
        if match is None or not match.start() < at < match.end():
            continue
        value = match["value"]
        if not _PLACEHOLDER.search(value) and (
            _is_secret(value, bare=False) or (_HEX.fullmatch(value) and _bits(value) > 2.8)
        ):
            yield "a password of .netrc", match.start(), value, Severity.HIGH, Confidence.MEDIUM


def _assigned(text: str, bare: bool) -> Iterator[tuple[str, int, str, Severity, Confidence]]:
    """Values behind keys that say secret."""
    low = text.lower()
    if len(low) != len(text):  # a letter whose small form is longer
        low = text
    done = -1
    for at in sorted({at for mark in _MARKS for at in _places(low, mark)}):
        if at <= done:
            continue
        start = at
        while start > max(0, at - 40) and (text[start - 1].isalnum() or text[start - 1] in "_.-"):
            start -= 1
        match = _ASSIGNED.match(text, start, at + _CONTEXT)
        if match is None:
            continue
        done = match.end()
        value = match["quoted"] or match["bare"]
        if match["bare"] is not None and not bare:
            continue
        if _NO_SECRET.search(match["key"]) or any(token.mark in value for token in _TOKENS if len(token.mark) > 2):
            continue
        digits = _SURE_KEY.search(match["key"]) is not None and _HEX.fullmatch(value) is not None and _bits(value) > 2.8
        if digits or _is_secret(value, bare=match["bare"] is not None):
            yield "a value behind a key that says secret", match.start(), value, Severity.MEDIUM, Confidence.MEDIUM


def _places(text: str, mark: str) -> Iterator[int]:
    at, count = text.find(mark), 0
    while at >= 0 and count < MOST_PLACES:
        yield at
        count += 1
        at = text.find(mark, at + 1)


def _is_secret(value: str, *, bare: bool) -> bool:
    """Whether a value looks made by chance or by a careful person, and like no placeholder, word, digest or path."""
    if _PLACEHOLDER.search(value) or _LETTERS_ONLY.fullmatch(value) or (_HEX.fullmatch(value) and len(value) != 32):
        return False
    if (
        _UUID.fullmatch(value)
        or value.startswith(_EMULATOR)
        or value.count(" ") > 1
        or (bare and ("." in value or "(" in value))
    ):
        return False
    kinds = sum(any(map(test, value)) for test in (str.isupper, str.islower, str.isdigit)) + any(
        c in "!@#$%^&*+/=_-" for c in value
    )
    return kinds >= 3 and len(value) >= 8 and _bits(value) >= (2.8 if len(value) < 16 else 3.2)


def _bits(value: str) -> float:
    """Shannon's entropy of a text's characters, bits for each."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())


def _is_made_up(value: str, mark: str) -> bool:
    """Whether a token is one of documentation: words in it, one sign repeated, an alphabet counted up."""
    rest = value.partition(mark)[2]
    low = rest.lower()
    return (
        value in _EXAMPLES
        or rest.startswith(_EMULATOR)
        or any(
            word in low
            for word in (
                "example",
                "xxxx",
                "your",
                "1234567890",
                "abcdef",
                "dummy",
                "fake",
                "test",
                "placeholder",
                "00000",
            )
        )
        or _bits(rest) < 2.5
    )
