"""Jinja chat templates: whether they reach for Python's inside, or say things to the model that the user never sees."""

from __future__ import annotations

import re
from collections.abc import Iterator

from assay.core.finding import Confidence, Severity
from assay.core.text import visible
from assay.formats.reading import Note, Reading, Topic
from assay.formats.texts.hidden_text import hidden, unhidden
from assay.formats.texts.instructions import instructions, unseen_orders
from assay.formats.texts.jinja_lexer import MOST_TEMPLATE, Piece, Token, pieces
from assay.formats.texts.jinja_values import HUGE, Values
from assay.formats.texts.python_dangers import words
from assay.formats.texts.template_bombs import Bombs
from assay.formats.texts.template_calls import own_calls, written

_DUNDER = re.compile(r"__\w+__")
_INNER = re.compile(
    r"__(?:class|mro|base|bases|subclasses|globals|builtins|init|new|import|getattribute|getattr|dict|reduce|reduce_ex|code"
    r"|func|self|wrapped|loader|spec|closure|module|call|getitem|setattr|init_subclass|annotations|doc|name|format)__"
)
_RUNS = frozenset(
    {"popen", "system", "check_output", "eval", "exec", "spawn", "Popen", "getattr", "import_module", "mro"}
)
# Objects that templates are given by Jinja and by web frameworks, whose functions lead to their module's globals.
_REACHED = frozenset(
    {"lipsum", "url_for", "get_flashed_messages", "request", "self", "cycler", "joiner", "g", "config"}
)
_COMPUTED_NAMES = frozenset({"os", "popen", "subprocess", "builtins", "eval", "exec", "os.system", "os.popen"})
# Words by which a branch hands a message on, or refuses it for all to see.
_HANDS_ON = frozenset({"raise_exception", "message", "text", "m", "msg", "tojson"})
_SPEECH = re.compile(r"(?<![\w|<])[A-Za-z][a-z']+(?![\w|>])")
_LEAST_SPEECH = 5
_LOADS = frozenset({"import", "include", "from", "extends"})
_GADGETS = frozenset({"attr"})
_MARKUP = re.compile(r"[<>\[\]{}|/\\\n#*`_=@\x00-\x1f]|^\W*$|^[A-Z_]+:?$")
_DATES = frozenset({"strftime_now", "now", "today", "datetime", "date_string", "current_date", "date", "utcnow"})
_NAMES = frozenset({"model_name", "model_id", "hostname", "user_name", "username", "user_id", "ip"})
_COMPARES = frozenset({"==", "!=", "<", ">", "<=", ">="})
_MOST_KEY = 200  # tokens of a subscript that are looked at
_JOINS = frozenset("~+,()[]*")
_SCRIPT = re.compile(
    r"(?i)<script\b|javascript:|\bon(?:error|load|click|mouseover)\s*=|<iframe\b|<object\s+data|<embed\s|<svg\s[^>]*on\w+="
)
# A tool call that the template itself writes, with a tool's name, and one that is handed all messages or an address.
_OWN_CALL = re.compile(
    r"\\?\"name\\?\"\s*:\s*\\?\"(?P<tool>[A-Za-z_][\w.-]{1,60})\\?\"[^{}\n]{0,60}?\"(?:arguments|parameters|input)\\?\"\s*:"
)
_TAKES_ALL = re.compile(
    r"\bmessages(?:\[[^\]]*\])?(?:\.content|\['content'\])?\s*\|\s*(?:tojson|string|list|join|map|e\b|urlencode)|\bmessages\s*\}\}"
)
_MOST_CALL = 600
# Keys of messages, roles and words of the protocol: a test for one of them looks at the form, not at what is said.
_PROTOCOL = words(
    """system user assistant tool tools function functions developer ipython role content type text image images video
    audio documents document tool_calls tool_call function_call name arguments parameters observation model json
    python query citation message reasoning_content thinking enabled disabled true false none url image_url
    input_audio input_text output_text default required auto low medium high string object array number boolean
    integer null"""
)


def read_template(text: str, where: str = "") -> Reading:
    """Judge a Jinja template by its tokens. A template that does not end, or is too large, is a gap.

    Severities: the gadgets by which a template leaves its sandbox are critical, for runtimes that have none run them
    at the first prompt; words and conditions that work against the user are high.
    """
    judge = _Judge(where)
    gaps: list[str] = []
    try:
        if len(text) > MOST_TEMPLATE:
            raise ValueError(f"is longer than {MOST_TEMPLATE >> 20} MB")
        for piece in pieces(text):
            judge.piece(piece)
    except ValueError as error:
        gaps.append(f"holds a template that {error}")
    judge.words_said(text)
    return Reading(notes=tuple(judge.notes.values()), gaps=tuple(gaps))


class _Judge:
    """What one template said so far."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.notes: dict[str, Note] = {}
        self.written: list[str] = []
        self.contents: set[str] = {"content"}  # names that hold what a message says
        self.dates: set[str] = set(_DATES)
        self.values = Values()
        self.output: list[str] = []  # what is written, with marks for what is not literal
        self.mappings: dict[str, str] = {}
        self.system: _Branch | None = None
        self.bombs = Bombs()

    def note(
        self, kind: str, said: str, severity: Severity, line: int | None = None, sure: Confidence = Confidence.HIGH
    ) -> None:
        key = f"template:{kind}"
        if key not in self.notes or self.notes[key].severity.rank < severity.rank:
            self.notes[key] = Note(
                topic=Topic.TEMPLATE, message=f"holds a chat template that {said}", severity=severity, key=key,
                where=self.where, line=line, confidence=sure,
                fix="use the template of the model's first publisher; render templates only in Jinja's sandbox",
            )  # fmt: skip

    def piece(self, piece: Piece) -> None:
        for said in self.bombs.piece(piece):
            self.note("bomb", said, Severity.MEDIUM, piece.line)
        if piece.kind == "words":
            self.written.append(piece.text)
            self.output.append(piece.text)
            self.values.words(piece.text)
            self._in_system(piece)
            return
        tokens = piece.tokens
        if not tokens:
            return
        self._reaches(tokens, piece.line)
        self._in_system(piece)
        if piece.kind == "statement":
            self._statement(tokens, piece.line)
            self.values.statement(tokens)
        else:
            value = self.values.expression(tokens)
            told = any(t.kind == "name" and self._is_said(t.value) for t in tokens)
            self.output.append(value if isinstance(value, str) and not told else self._literal(tokens))
        self._puts_together(piece.line)
        self._conditions(tokens, piece)
        self.written += [t.value for t in tokens if t.kind == "text" and len(t.value) > 11]

    def _reaches(self, tokens: tuple[Token, ...], line: int) -> None:
        """Names and texts that lead to Python's inside, however they are put together."""
        for at, token in enumerate(tokens):
            before = tokens[at - 1] if at else None
            after = tokens[at + 1] if at + 1 < len(tokens) else None
            attribute = before is not None and before.value == "." and before.kind == "sign"
            if _DUNDER.fullmatch(token.value) if token.kind == "name" else _INNER.search(token.value):
                word = visible(token.value if token.kind == "name" else "a text", 40)
                self.note("inside", f"reaches for Python's inside ({word})", Severity.CRITICAL, line)
            if token.kind == "name":
                self._named(token, before, after, attribute, line)
            if token.kind == "sign" and token.value == "[" and before is not None and _is_value(before):
                self._computed(tokens, at, line)
        for joined in _joined(tokens):
            if _INNER.search(joined):
                self.note("inside", "puts together a name of Python's inside", Severity.CRITICAL, line)
            elif joined in _COMPUTED_NAMES:
                self.note("computed", "puts together a name that can run code", Severity.HIGH, line)

    def _puts_together(self, line: int) -> None:
        """What this tag's constants come to, over all that was set before it."""
        texts, lookups, turns = self.values.take()
        if any(_INNER.search(text) for text in texts):
            self.note("inside", "puts together a name of Python's inside", Severity.CRITICAL, line)
        elif any(text in _COMPUTED_NAMES for text in texts):
            self.note("computed", "puts together a name that can run code", Severity.HIGH, line)
        for lookup in lookups:
            if isinstance(lookup.key, str) and _INNER.search(lookup.key):
                self.note("inside", "looks up a name of Python's inside", Severity.CRITICAL, line)
            elif lookup.made and not isinstance(lookup.key, int):
                self.note("computed", "looks up a name that is put together", Severity.MEDIUM, line)
        if turns >= HUGE:
            self.note("endless", f"goes round, or counts, {turns:,} times or more, which hangs what renders it",
                      Severity.HIGH if turns >= HUGE * 50 else Severity.MEDIUM, line)  # fmt: skip

    def _in_system(self, piece: Piece) -> None:
        """Whether what a template does for a system message is to write words of its own instead."""
        word = piece.tokens[0].value if piece.kind == "statement" and piece.tokens else ""
        branch = self.system
        if branch is not None:
            if word in ("if", "for"):
                branch.depth += 1
            elif word in ("endif", "endfor") and branch.depth:
                branch.depth -= 1
            elif not branch.depth and word in ("elif", "else", "endif"):
                self.system = None
                said = " ".join(branch.written)
                if not branch.hands_on and len(_SPEECH.findall(said)) >= _LEAST_SPEECH:
                    what = "writes words of its own in place of the system message"
                    self.note("drops-system", what, Severity.MEDIUM, branch.line, Confidence.MEDIUM)
            elif piece.kind == "words":
                branch.written.append(piece.text)
            else:
                named = {t.value for t in piece.tokens if t.kind in ("name", "text")}
                branch.hands_on |= bool(named & (self.contents | _HANDS_ON))
                branch.written += [t.value for t in piece.tokens if t.kind == "text"]
        if self.system is None and word in ("if", "elif") and _is_system(piece.tokens):
            self.system = _Branch(piece.line)

    def _named(self, token: Token, before: Token | None, after: Token | None, attribute: bool, line: int) -> None:
        called = after is not None and after.value == "("
        if token.value in _GADGETS and before is not None and before.value == "|":
            self.note("attr", "fetches attributes by name (the filter attr)", Severity.HIGH, line)
        elif attribute and token.value in _RUNS and called:
            self.note("runs", f"calls {visible(token.value, 20)}()", Severity.CRITICAL, line)
        elif not attribute and token.value in _REACHED and after is not None and after.value in (".", "[", "|"):
            grave = (
                Severity.MEDIUM
                if token.value in ("lipsum", "url_for", "get_flashed_messages", "cycler", "joiner")
                else Severity.LOW
            )
            if after.value != "|" or grave is Severity.MEDIUM:
                self.note("object", f"looks inside {token.value}", grave, line, Confidence.MEDIUM)

    def _computed(self, tokens: tuple[Token, ...], at: int, line: int) -> None:
        """A subscript whose key is put together from texts."""
        depth, inner = 0, []
        for token in tokens[at : at + _MOST_KEY]:
            depth += (token.value in ("[", "(")) - (token.value in ("]", ")")) if token.kind == "sign" else 0
            inner.append(token)
            if not depth:
                break
        texts = [t for t in inner if t.kind == "text"]
        joins = any(t.kind == "sign" and t.value == "~" for t in inner) or any(
            t.kind == "name" and t.value in ("join", "format", "reverse", "replace") for t in inner
        )
        added = any(t.kind == "sign" and t.value in ("+", "*", "%") for t in inner)
        if (joins and texts) or (added and texts and any(t.value.strip("_") == "" for t in texts)):
            self.note("computed", "looks up a name that is put together", Severity.MEDIUM, line)

    def _statement(self, tokens: tuple[Token, ...], line: int) -> None:
        if tokens[0].value in _LOADS:
            self.note("loads", f"loads another template ({tokens[0].value})", Severity.MEDIUM, line)
        if tokens[0].value == "debug":
            self.note("debug", "writes out all that it is given (debug)", Severity.MEDIUM, line)
        if tokens[0].value == "set" and len(tokens) > 3 and tokens[1].kind == "name" and tokens[2].value == "=":
            rest = tokens[3:]
            if self._says_content(rest):
                self.contents.add(tokens[1].value)
            if rest[0].value in ("{", "["):
                self.mappings[tokens[1].value] = self._literal(rest)
            if any(t.kind == "name" and t.value in self.dates for t in rest):
                self.dates.add(tokens[1].value)

    def _literal(self, tokens: tuple[Token, ...]) -> str:
        """What an expression writes, as far as it is literal."""
        return written(tokens, self.values.known.get, self._is_said, self.mappings)

    def _is_said(self, name: str) -> bool:
        return name in self.contents or name == "messages"

    def _says_content(self, tokens: tuple[Token, ...]) -> bool:
        return any(t.kind in ("name", "text") and t.value in self.contents for t in tokens)

    def _conditions(self, tokens: tuple[Token, ...], piece: Piece) -> None:
        """Tests on what the user says, on the date, or on who runs the model: what a backdoor waits for."""
        names = {t.value for t in tokens if t.kind == "name"}
        tests = "if" in names or "elif" in names or piece.kind == "statement"
        if not tests:
            return
        for at, token in enumerate(tokens):
            if token.kind == "text" and self._waits_for(tokens, at):
                self.note(
                    "trigger", "acts on a word in what the user says", Severity.HIGH, piece.line, Confidence.MEDIUM
                )
        if "if" not in names and "elif" not in names:
            return
        for at, token in enumerate(tokens):
            if token.kind == "sign" and token.value in _COMPARES:
                beside = {t.value for t in tokens[max(0, at - 8) : at + 8] if t.kind == "name"}
                if beside & self.dates and not beside & {"length", "count", "role"}:
                    self.note("date", "acts on the date", Severity.HIGH, piece.line, Confidence.MEDIUM)
                elif beside & _NAMES:
                    self.note("who", "acts on who or what runs it", Severity.MEDIUM, piece.line, Confidence.MEDIUM)

    def _waits_for(self, tokens: tuple[Token, ...], at: int) -> bool:
        """Whether a text is a word of speech that is looked for in a message's content."""
        word = tokens[at].value.strip()
        if len(word) < 3 or _MARKUP.search(word) or word.lower() in _PROTOCOL:
            return False
        after, before = tokens[at + 1 : at + 12], tokens[max(0, at - 12) : at]
        if after and after[0].value == "in":
            return _content_last(after[1:], self.contents)
        if before and before[-1].value in ("==", "!="):
            return _content_last(before[:-1][::-1], self.contents, backwards=True)
        if (
            len(before) > 2
            and before[-1].value == "("
            and before[-2].value in ("startswith", "endswith", "find", "count")
        ):
            return _content_last(before[:-3][::-1], self.contents, backwards=True)
        return False

    def words_said(self, text: str) -> None:
        """Judge what the template writes, and how it is written."""
        if kinds := hidden(text):
            self.note("hidden", f"hides what it says with {' and '.join(kinds)}", Severity.HIGH)
        said = unhidden("\n".join(self.written))
        for kind, told, severity, _line in instructions(said):
            self.note(kind, told, severity)
        for kind, told, severity, _line in unseen_orders(said):
            self.note(kind, told, severity)
        calls = (c for c in _OWN_CALL.finditer(text) if _TAKES_ALL.search(text, c.end(), c.end() + _MOST_CALL))
        if called := next(calls, None):
            what = f"calls a tool of its own choice with what is said ({visible(called['tool'], 40)})"
            self.note("tool-call", what, Severity.HIGH)
        for call in own_calls("".join(self.output)):
            what = f"calls a tool of its own choice ({visible(call.tool, 40)})"
            if call.grave:
                self.note("tool-call", f"{what} with what is said, or what is not its own", Severity.HIGH)
            else:
                self.note("tool-call", what, Severity.MEDIUM, sure=Confidence.MEDIUM)
        if found := _SCRIPT.search(said):
            self.note("script", f"writes active HTML ({visible(found.group().strip(), 20)})", Severity.HIGH)


class _Branch:
    """What a template writes where the message is the system's."""

    def __init__(self, line: int) -> None:
        self.line, self.depth, self.hands_on = line, 0, False
        self.written: list[str] = []


def _is_system(tokens: tuple[Token, ...]) -> bool:
    """Whether a test asks for nothing but the system's role."""
    said = [t.value for t in tokens if t.kind == "text"]
    signs = {t.value for t in tokens}
    return said in (["role", "system"], ["system"], ["system", "role"]) and "==" in signs and not signs & {"not", "or"}


def _is_value(token: Token) -> bool:
    """Whether `[` after it looks something up, and does not begin a list."""
    return token.kind == "text" or token.value in (")", "]", "}") or (
        token.kind == "name" and token.value not in ("in", "if", "else", "and", "or", "not", "is", "set", "elif")
    )  # fmt: skip


def _content_last(tokens: tuple[Token, ...], contents: set[str], *, backwards: bool = False) -> bool:
    """Whether the operand that begins here is a message's content: `messages[-1].content`, `content | lower`."""
    for token in tokens:
        if token.kind == "sign" and token.value in ("%", "}", ",", ":", "==", "+", "~"):
            return False
        if token.kind == "name" and token.value in ("and", "or", "if", "else", "elif", "not", "is"):
            return False
        if token.kind in ("name", "text") and token.value in contents:
            return True
    return False


def _joined(tokens: tuple[Token, ...]) -> Iterator[str]:
    """Texts that are put together: with ~ and +, in a list for join, with format, turned round or repeated."""
    run: list[str] = []
    for at, token in enumerate(tokens):
        if token.kind == "text":
            after = [t.value for t in tokens[at + 1 : at + 4]]
            times = int(after[1]) if after[:1] == ["*"] and len(after) > 1 and after[1] in "23456789" else 1
            run.append(token.value * times)
            if "reverse" in after or after[:1] == ["["]:
                yield token.value[::-1]
            if "%" in token.value or "{" in token.value:
                rest = [t.value for t in tokens[at + 1 : at + 40] if t.kind == "text"]
                parts = re.split(r"%s|%c|\{\d*\}", token.value)
                if len(parts) > 1:
                    yield "".join(a + b for a, b in zip(parts, [*rest, *[""] * len(parts)], strict=False))
        elif (token.kind == "sign" and token.value in _JOINS) or token.kind == "number":
            continue
        else:
            if len(run) > 1:
                yield "".join(run)
            run = []
    if len(run) > 1:
        yield "".join(run)
